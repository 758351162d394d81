//! How many instances to start and which to end, for one app, right now.
//!
//! Level-triggered: it looks at what is there and at what shall be, and takes no hint of what happened. Called again and
//! again it leads an app to its target, through any failure, without falling below the minimum of serving instances or
//! rising above the maximum of all of them by its own doing.

use crate::app::{AppSpec, KillSelection};
use crate::instance::{Condition, Goal, Instance, InstanceId};

/// Whether instances of an older configuration are to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A deployment is under way: yes, as the upgrade strategy allows.
    Deploying,
    /// None is: only the number is kept.
    Keeping,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// New instances to schedule.
    pub start: usize,
    /// Instances to end.
    pub end: Vec<InstanceId>,
    /// Everything is as it shall be.
    pub done: bool,
}

/// The bounds of an app while it is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least so many serve.
    pub serving_min: usize,
    /// At most so many exist.
    pub all_max: usize,
}

impl Bounds {
    /// Of a target. If they leave no room at all, one more may exist: otherwise nothing could ever be replaced.
    pub fn of(spec: &AppSpec) -> Bounds {
        let target = spec.instances as usize;
        let part = |factor: f64| factor.clamp(0.0, 1.0) * target as f64;
        let serving_min = part(spec.upgrade.minimum_health).ceil() as usize;
        let over = part(spec.upgrade.maximum_over).floor() as usize;
        match over {
            0 if serving_min >= target => Bounds {
                serving_min,
                all_max: target + 1,
            },
            over => Bounds {
                serving_min,
                all_max: target + over,
            },
        }
    }
}

/// Decides. `inactive` tells which instances are given up because their agent is out of reach, `checked` which of them
/// have health checks by the definition they were started with.
pub fn decide(
    spec: &AppSpec,
    mode: Mode,
    instances: &[&Instance],
    inactive: impl Fn(&Instance) -> bool,
    checked: impl Fn(&Instance) -> bool,
) -> Decision {
    let counted: Vec<&Instance> = instances
        .iter()
        .filter(|i| i.counts(inactive(i)))
        .copied()
        .collect();
    let (new, old): (Vec<&Instance>, Vec<&Instance>) = counted
        .iter()
        .partition(|instance| instance.config_version == spec.config_version);
    let ending = instances.iter().filter(|i| i.goal == Goal::Decommissioned);
    let ending: Vec<&Instance> = ending.copied().collect();
    match mode {
        Mode::Keeping => keep(spec, &new, &old, &ending, checked),
        Mode::Deploying => deploy(spec, &new, &old, &ending, checked),
    }
}

/// How many instances may be started beside so many that count. What still ends takes room as long as it is of another
/// configuration: then it is being replaced.
fn room(spec: &AppSpec, counted: usize, old: &[&Instance], ending: &[&Instance]) -> usize {
    // Whoever cannot be reached may be dead and would be waited for without end.
    let there = ending.iter().filter(|i| i.condition != Condition::Unreachable);
    let replaced_end = there.clone().any(|i| i.config_version != spec.config_version);
    match old.is_empty() && !replaced_end {
        // Nothing is replaced: what still ends does not hold up what is missing.
        true => usize::MAX,
        false => Bounds::of(spec).all_max.saturating_sub(counted + there.count()),
    }
}

/// Too many: those that do not serve go first, and among both kinds those of older configurations.
fn keep(
    spec: &AppSpec,
    new: &[&Instance],
    old: &[&Instance],
    ending: &[&Instance],
    checked: impl Fn(&Instance) -> bool,
) -> Decision {
    let target = spec.instances as usize;
    let have = new.len() + old.len();
    let too_many = have.saturating_sub(target);
    let serves = |instance: &&Instance| instance.is_serving(checked(instance), spec.has_readiness_checks);
    let (old_serving, old_rest): (Vec<&Instance>, Vec<&Instance>) = old.iter().partition(|i| serves(i));
    let (new_serving, new_rest): (Vec<&Instance>, Vec<&Instance>) = new.iter().partition(|i| serves(i));
    let end = surplus(spec, [old_rest, new_rest, old_serving, new_serving], too_many);
    let done = have == target && end.is_empty();
    Decision {
        start: target.saturating_sub(have).min(room(spec, have, old, ending)),
        end,
        done,
    }
}

fn deploy(
    spec: &AppSpec,
    new: &[&Instance],
    old: &[&Instance],
    ending: &[&Instance],
    checked: impl Fn(&Instance) -> bool,
) -> Decision {
    let target = spec.instances as usize;
    let bounds = Bounds::of(spec);
    let serves =
        |instance: &&&Instance| instance.is_serving(spec.has_health_checks, spec.has_readiness_checks);
    let serving_new = new.iter().filter(serves).count();
    let missing = target.saturating_sub(new.len());
    let room = room(spec, new.len() + old.len(), old, ending);
    let (new_serving, new_rest): (Vec<&Instance>, Vec<&Instance>) = new.iter().partition(serves);
    let mut end = surplus(spec, [new_rest, new_serving], new.len().saturating_sub(target));
    // Of those too many, none is counted on.
    end.extend(replaced(spec, old, serving_new.min(target), bounds, checked));
    let done =
        new.len() == target && serving_new == target && old.is_empty() && ending.is_empty() && end.is_empty();
    Decision {
        start: missing.min(room),
        end,
        done,
    }
}

/// Old instances that may go now: all that surely do not serve, and of those that do, as many as serve beyond the
/// minimum. One whose health is not known is not counted as serving, and goes when enough others do.
fn replaced(
    spec: &AppSpec,
    old: &[&Instance],
    serving_new: usize,
    bounds: Bounds,
    checked: impl Fn(&Instance) -> bool,
) -> Vec<InstanceId> {
    // An old instance is judged by its own health alone: readiness was asked of it when it was new.
    let serves = |instance: &Instance| instance.is_serving(checked(instance), false);
    let fails = |instance: &Instance| {
        instance.condition != Condition::Running || (checked(instance) && instance.healthy == Some(false))
    };
    let failing: Vec<&Instance> = old.iter().filter(|i| fails(i)).copied().collect();
    let (serving, rest): (Vec<&Instance>, Vec<&Instance>) =
        old.iter().filter(|i| !fails(i)).partition(|i| serves(i));
    let spare = (serving.len() + serving_new).checked_sub(bounds.serving_min);
    let mut end = victims(spec, &failing, failing.len());
    if let Some(spare) = spare {
        let unknown: Vec<&Instance> = rest.into_iter().filter(|i| i.kill_sent.is_none()).collect();
        end.extend(victims(spec, &unknown, unknown.len()));
        end.extend(victims(spec, &serving, spare));
    }
    if spec.instances == 0 {
        end = old.iter().map(|instance| instance.id.clone()).collect();
    }
    end
}

/// The first `count` to go, from the first of these that has any left.
fn surplus<const N: usize>(spec: &AppSpec, among: [Vec<&Instance>; N], count: usize) -> Vec<InstanceId> {
    let mut end = Vec::new();
    for among in among {
        end.extend(victims(spec, &among, count - end.len()));
    }
    end
}

/// The first `count` to go: those that are furthest from running, then by the app's selection.
fn victims(spec: &AppSpec, among: &[&Instance], count: usize) -> Vec<InstanceId> {
    if count == 0 {
        return Vec::new();
    }
    let mut order: Vec<&Instance> = among.to_vec();
    order.sort_by_key(|instance| {
        let age = instance.since.running.unwrap_or(instance.since.scheduled).0;
        let by_age = match spec.kill_selection {
            KillSelection::YoungestFirst => i128::from(age).wrapping_neg(),
            KillSelection::OldestFirst => i128::from(age),
        };
        (rank(instance.condition), by_age, instance.id.clone())
    });
    order
        .into_iter()
        .take(count)
        .map(|instance| instance.id.clone())
        .collect()
}

fn rank(condition: Condition) -> u8 {
    match condition {
        Condition::Scheduled => 0,
        Condition::Unreachable => 1,
        Condition::Provisioned => 2,
        Condition::Staging => 3,
        Condition::Starting => 4,
        Condition::Killing => 5,
        Condition::Running => 6,
    }
}

#[cfg(test)]
mod tests;
