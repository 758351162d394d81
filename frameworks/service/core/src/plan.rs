//! From what is to what shall be: the steps of a deployment.
//!
//! First everything that goes away is stopped, then everything new is registered, then one step per layer of
//! dependencies scales or restarts, those that others need before those that need them. Apps that do not change get no
//! action; a plan without steps is done at once.

use crate::app::{AppId, AppSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The identity of a deployment, a uuid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(pub Arc<str>);

/// What one step does to one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Known from now on, without instances.
    Start(AppId),
    /// Another number of instances.
    Scale(AppId),
    /// Another configuration, replaced as its strategy allows.
    Restart(AppId),
    /// No instances, and then unknown.
    Stop(AppId),
}

impl Action {
    /// Of which app.
    pub fn app(&self) -> &AppId {
        match self {
            Action::Start(app) | Action::Scale(app) | Action::Restart(app) | Action::Stop(app) => app,
        }
    }

    /// As the wire names it.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Start(_) => "StartApplication",
            Action::Scale(_) => "ScaleApplication",
            Action::Restart(_) => "RestartApplication",
            Action::Stop(_) => "StopApplication",
        }
    }
}

/// What changes of one app: from what, to what. `None`: not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As it is.
    pub before: Option<Arc<AppSpec>>,
    /// As it shall be.
    pub after: Option<Arc<AppSpec>>,
}

/// The steps. Actions of a step go on side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Vec<Action>>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dependencies of {} have a cycle", .0.iter().map(AppId::as_str).collect::<Vec<_>>().join(", "))]
pub struct Cycle(pub Vec<AppId>);

impl Plan {
    /// The plan that makes these changes. `depends` tells the dependencies of any app as they shall be.
    ///
    /// # Errors
    /// Apps that would wait for each other.
    pub fn new(
        changes: &BTreeMap<AppId, Change>,
        depends: impl Fn(&AppId) -> BTreeSet<AppId>,
    ) -> Result<Plan, Cycle> {
        let layers = layers(changes, depends)?;
        let pick = |wanted: fn(&Change) -> bool, action: fn(AppId) -> Action| -> Vec<Action> {
            changes
                .iter()
                .filter(|(_, change)| wanted(change))
                .map(|(id, _)| action(id.clone()))
                .collect()
        };
        let stops = pick(
            |change| change.after.is_none() && change.before.is_some(),
            Action::Stop,
        );
        let starts = pick(
            |change| change.before.is_none() && change.after.is_some(),
            Action::Start,
        );
        let mut by_layer: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        for (id, change) in changes {
            if let Some(action) = reach(id, change) {
                by_layer
                    .entry(layers.get(id).copied().unwrap_or(0))
                    .or_default()
                    .push(action);
            }
        }
        let steps = [stops, starts].into_iter().chain(by_layer.into_values());
        Ok(Plan {
            steps: steps.filter(|step| !step.is_empty()).collect(),
        })
    }

    /// Every app it touches.
    pub fn apps(&self) -> BTreeSet<AppId> {
        self.steps
            .iter()
            .flatten()
            .map(|action| action.app().clone())
            .collect()
    }
}

fn reach(id: &AppId, change: &Change) -> Option<Action> {
    match (&change.before, &change.after) {
        (_, None) => None,
        (None, Some(after)) => (after.instances > 0).then(|| Action::Scale(id.clone())),
        (Some(before), Some(after)) if !before.same_config(after) => Some(Action::Restart(id.clone())),
        (Some(before), Some(after)) => {
            (before.instances != after.instances).then(|| Action::Scale(id.clone()))
        }
    }
}

/// For each app to be reached, the length of the longest way down its dependencies.
fn layers(
    changes: &BTreeMap<AppId, Change>,
    depends: impl Fn(&AppId) -> BTreeSet<AppId>,
) -> Result<BTreeMap<AppId, usize>, Cycle> {
    let mut depth: BTreeMap<AppId, usize> = BTreeMap::new();
    for id in changes.keys() {
        let mut way: Vec<(AppId, std::vec::IntoIter<AppId>, usize)> = Vec::new();
        let mut on_way = BTreeSet::from([id.clone()]);
        let enter = |id: &AppId| {
            (
                id.clone(),
                depends(id).into_iter().collect::<Vec<_>>().into_iter(),
                0,
            )
        };
        if depth.contains_key(id) {
            continue;
        }
        way.push(enter(id));
        while let Some((at, open, deepest)) = way.last_mut() {
            match open.next() {
                Some(next) => {
                    if let Some(known) = depth.get(&next) {
                        *deepest = (*deepest).max(known + 1);
                    } else if !on_way.insert(next.clone()) {
                        return Err(Cycle(way.into_iter().map(|(id, _, _)| id).collect()));
                    } else {
                        let entered = enter(&next);
                        way.push(entered);
                    }
                }
                None => {
                    let (at, deepest) = (at.clone(), *deepest);
                    on_way.remove(&at);
                    depth.insert(at, deepest);
                    way.pop();
                    if let Some((_, _, above)) = way.last_mut() {
                        *above = (*above).max(deepest + 1);
                    }
                }
            }
        }
    }
    Ok(depth)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::{Backoff, Demand, KillSelection, UnreachableStrategy, UpgradeStrategy, Version};
    use std::time::Duration;

    fn spec(id: &str, config: i64, instances: u32, dependencies: &[&str]) -> Arc<AppSpec> {
        Arc::new(AppSpec {
            id: AppId::recorded(id),
            version: Version(config),
            config_version: Version(config),
            instances,
            demand: Demand::default(),
            ports: Vec::new(),
            accepted_roles: BTreeSet::new(),
            has_health_checks: false,
            has_readiness_checks: false,
            upgrade: UpgradeStrategy {
                minimum_health: 1.0,
                maximum_over: 1.0,
            },
            backoff: Backoff {
                first: Duration::from_secs(1),
                factor: 1.15,
                max: Duration::from_secs(300),
            },
            kill_selection: KillSelection::YoungestFirst,
            unreachable: UnreachableStrategy::Disabled,
            dependencies: dependencies.iter().map(|id| AppId::recorded(id)).collect(),
            wire: bytes::Bytes::from_static(b"{}"),
        })
    }

    type BeforeAfter = (Option<Arc<AppSpec>>, Option<Arc<AppSpec>>);

    fn plan(changes: &[BeforeAfter]) -> Result<Vec<String>, Cycle> {
        let id = |(before, after): &BeforeAfter| before.as_ref().or(after.as_ref()).unwrap().id.clone();
        let changes: BTreeMap<AppId, Change> = changes
            .iter()
            .map(|change| {
                (
                    id(change),
                    Change {
                        before: change.0.clone(),
                        after: change.1.clone(),
                    },
                )
            })
            .collect();
        let depends = |id: &AppId| {
            let after = changes.get(id).and_then(|change| change.after.as_ref());
            after.map(|spec| spec.dependencies.clone()).unwrap_or_default()
        };
        let plan = Plan::new(&changes, depends)?;
        let print = |action: &Action| format!("{}{}", &action.name()[..2], action.app());
        Ok(plan
            .steps
            .iter()
            .map(|step| step.iter().map(print).collect::<Vec<_>>().join(" "))
            .collect())
    }

    #[test]
    fn removed_apps_stop_first_then_new_ones_are_known_then_layers_follow() {
        let steps = plan(&[
            (None, Some(spec("/front", 1, 1, &["/api"]))),
            (None, Some(spec("/api", 1, 2, &["/db"]))),
            (Some(spec("/db", 1, 1, &[])), Some(spec("/db", 2, 1, &[]))),
            (Some(spec("/old", 1, 1, &[])), None),
        ]);
        assert_eq!(
            steps.unwrap(),
            ["St/old", "St/api St/front", "Re/db", "Sc/api", "Sc/front"]
        );
    }

    #[test]
    fn what_does_not_change_gets_no_action_and_scaling_is_no_restart() {
        let same = spec("/a", 1, 1, &[]);
        assert!(
            plan(&[(Some(same.clone()), Some(same.clone()))])
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            plan(&[(Some(same), Some(spec("/a", 1, 3, &[])))]).unwrap(),
            ["Sc/a"]
        );
        assert_eq!(plan(&[(None, Some(spec("/b", 1, 0, &[])))]).unwrap(), ["St/b"]);
    }

    #[test]
    fn a_cycle_has_no_plan() {
        let a = (None, Some(spec("/a", 1, 1, &["/b"])));
        let b = (None, Some(spec("/b", 1, 1, &["/a"])));
        assert_eq!(
            plan(&[a, b]).unwrap_err(),
            Cycle(vec![AppId::recorded("/a"), AppId::recorded("/b")])
        );
    }

    #[test]
    fn a_long_chain_is_planned_without_walking_it_again_and_again() {
        let changes: Vec<_> = (0..2_000)
            .map(|n| {
                let before = format!("/a{}", n - 1);
                let dependencies: &[&str] = if n == 0 { &[] } else { &[&before] };
                (None, Some(spec(&format!("/a{n}"), 1, 1, dependencies)))
            })
            .collect();
        assert_eq!(plan(&changes).unwrap().len(), 2_001);
    }
}
