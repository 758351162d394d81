#![allow(clippy::unwrap_used)]

use super::*;
use crate::app::{AppId, Backoff, Demand, UnreachableStrategy, UpgradeStrategy, Version};
use crate::instance::Since;
use meseta_types::Wall;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

fn spec(instances: u32, minimum_health: f64, maximum_over: f64, health: bool) -> AppSpec {
    AppSpec {
        id: AppId::recorded("/a"),
        version: Version(2),
        config_version: Version(2),
        instances,
        demand: Demand::default(),
        ports: Vec::new(),
        accepted_roles: BTreeSet::new(),
        has_health_checks: health,
        has_readiness_checks: false,
        upgrade: UpgradeStrategy {
            minimum_health,
            maximum_over,
        },
        backoff: Backoff {
            first: Duration::from_secs(1),
            factor: 1.15,
            max: Duration::from_secs(300),
        },
        kill_selection: KillSelection::YoungestFirst,
        unreachable: UnreachableStrategy::Disabled,
        dependencies: BTreeSet::new(),
        wire: bytes::Bytes::from_static(b"{}"),
    }
}

fn instance(n: u32, config: i64, condition: Condition, healthy: Option<bool>) -> Instance {
    Instance {
        id: InstanceId::recorded(&format!("a.instance-{n:04}")),
        app: AppId::recorded("/a"),
        version: Version(config),
        config_version: Version(config),
        incarnation: 1,
        goal: Goal::Running,
        condition,
        place: None,
        since: Since {
            scheduled: Wall(i64::from(n)),
            ..Since::default()
        },
        healthy,
        ready: false,
        kill_sent: None,
    }
}

fn running(count: u32, config: i64) -> Vec<Instance> {
    (0..count)
        .map(|n| instance(n + 1000 * config as u32, config, Condition::Running, Some(true)))
        .collect()
}

fn decide_on(spec: &AppSpec, mode: Mode, instances: &[Instance]) -> Decision {
    let instances: Vec<&Instance> = instances.iter().collect();
    decide(spec, mode, &instances, |_| false, |_| spec.has_health_checks)
}

/// Carries decisions out, with each start becoming healthy one round later and each end taking one round, and returns
/// the least number that served and the greatest that existed.
fn roll(spec: &AppSpec, mut instances: Vec<Instance>) -> (usize, usize) {
    let (mut least, mut most) = (usize::MAX, 0);
    let mut next = 5_000;
    for _ in 0..1_000 {
        let decision = decide_on(spec, Mode::Deploying, &instances);
        if decision.done {
            assert_eq!(instances.len(), spec.instances as usize);
            return (least, most);
        }
        instances.retain(|instance| instance.goal == Goal::Running);
        for instance in &mut instances {
            instance.condition = Condition::Running;
            instance.healthy = Some(true);
            if decision.end.contains(&instance.id) {
                instance.goal = Goal::Decommissioned;
            }
        }
        for _ in 0..decision.start {
            next += 1;
            instances.push(instance(next, 2, Condition::Scheduled, None));
        }
        let serving = instances
            .iter()
            .filter(|i| i.is_serving(spec.has_health_checks, false))
            .count();
        least = least.min(serving);
        most = most.max(instances.len());
    }
    panic!("it never ends: {instances:?}");
}

#[test]
fn with_room_for_all_new_ones_they_start_before_an_old_one_ends() {
    let first = decide_on(&spec(3, 1.0, 1.0, true), Mode::Deploying, &running(3, 1));
    assert_eq!((first.start, first.end.len()), (3, 0));
    assert_eq!(roll(&spec(3, 1.0, 1.0, true), running(3, 1)), (3, 6));
}

#[test]
fn half_the_capacity_may_go_first_and_never_more() {
    let first = decide_on(&spec(4, 0.5, 0.0, true), Mode::Deploying, &running(4, 1));
    assert_eq!((first.start, first.end.len()), (0, 2));
    assert_eq!(roll(&spec(4, 0.5, 0.0, true), running(4, 1)), (2, 4));
}

#[test]
fn bounds_without_any_room_get_one_more() {
    assert_eq!(roll(&spec(2, 1.0, 0.0, true), running(2, 1)), (2, 3));
}

#[test]
fn a_new_version_that_never_gets_healthy_leaves_the_old_minimum_alone() {
    let spec = spec(4, 0.5, 0.5, true);
    let mut instances = running(2, 1);
    instances.extend((0..4).map(|n| instance(n, 2, Condition::Running, Some(false))));
    let decision = decide_on(&spec, Mode::Deploying, &instances);
    assert_eq!((decision.start, decision.end.len(), decision.done), (0, 0, false));
}

#[test]
fn old_ones_that_fail_go_at_once_and_those_of_unknown_health_do_not() {
    let spec = spec(3, 1.0, 0.0, true);
    let old = [
        instance(1, 1, Condition::Running, Some(false)),
        instance(2, 1, Condition::Running, None),
        instance(3, 1, Condition::Staging, None),
    ];
    let decision = decide_on(&spec, Mode::Deploying, &old);
    let ended: Vec<&str> = decision.end.iter().map(InstanceId::as_str).collect();
    assert_eq!(ended, ["a.instance-0003", "a.instance-0001"]);
}

#[test]
fn old_ones_from_before_there_were_health_checks_serve_as_long_as_they_run() {
    let spec = spec(2, 1.0, 1.0, true);
    let mut instances = vec![
        instance(1, 1, Condition::Running, None),
        instance(2, 1, Condition::Running, None),
    ];
    let decide_now = |instances: &[Instance]| {
        let all: Vec<&Instance> = instances.iter().collect();
        decide(
            &spec,
            Mode::Deploying,
            &all,
            |_| false,
            |i| i.config_version == Version(2),
        )
    };
    assert_eq!(
        (decide_now(&instances).start, decide_now(&instances).end.len()),
        (2, 0)
    );
    instances.extend(running(2, 2));
    assert_eq!(decide_now(&instances).end.len(), 2);
}

#[test]
fn one_of_unknown_health_goes_when_enough_others_serve() {
    let spec = spec(2, 1.0, 0.0, true);
    let mut instances = running(2, 2);
    instances.push(instance(1, 1, Condition::Running, None));
    assert_eq!(decide_on(&spec, Mode::Deploying, &instances).end.len(), 1);
}

#[test]
fn what_is_replaced_and_still_ends_counts_until_it_is_gone() {
    let spec = spec(2, 0.0, 0.0, true);
    let mut instances = running(2, 1);
    for instance in &mut instances {
        instance.goal = Goal::Decommissioned;
    }
    assert_eq!(decide_on(&spec, Mode::Deploying, &instances).start, 0);
    instances[0].condition = Condition::Unreachable;
    assert_eq!(decide_on(&spec, Mode::Deploying, &instances).start, 1);
    assert_eq!(decide_on(&spec, Mode::Deploying, &[]).start, 2);
}

#[test]
fn one_that_was_told_to_end_does_not_serve_any_more() {
    let spec = spec(2, 0.5, 1.0, true);
    let mut instances = running(2, 1);
    instances[0].kill_sent = Some(Wall(1));
    assert_eq!(decide_on(&spec, Mode::Deploying, &instances).end, []);
}

#[test]
fn scaling_down_ends_the_youngest_that_run_last() {
    let mut instances = running(3, 2);
    instances.push(instance(9, 2, Condition::Staging, None));
    let decision = decide_on(&spec(2, 1.0, 1.0, true), Mode::Keeping, &instances);
    let ended: Vec<&str> = decision.end.iter().map(InstanceId::as_str).collect();
    assert_eq!(ended, ["a.instance-0009", "a.instance-2002"]);
    let oldest = AppSpec {
        kill_selection: KillSelection::OldestFirst,
        ..spec(2, 1.0, 1.0, true)
    };
    let decision = decide_on(&oldest, Mode::Keeping, &running(3, 2));
    assert_eq!(decision.end[0].as_str(), "a.instance-2000");
}

#[test]
fn without_a_deployment_old_ones_count_and_only_the_number_is_kept() {
    let decision = decide_on(&spec(3, 1.0, 1.0, true), Mode::Keeping, &running(2, 1));
    assert_eq!((decision.start, decision.end.len()), (1, 0));
}

#[test]
fn scaling_down_ends_those_first_that_do_not_serve() {
    let oldest = AppSpec {
        kill_selection: KillSelection::OldestFirst,
        ..spec(1, 1.0, 1.0, true)
    };
    let mut instances = running(2, 2);
    instances.push(instance(9_000, 2, Condition::Running, None));
    let decision = decide_on(&oldest, Mode::Deploying, &instances);
    assert!(decision.end.contains(&instances[2].id) && decision.end.len() == 2);
}

#[test]
fn after_a_dropped_deployment_those_that_serve_stay() {
    let mut instances = running(1, 1);
    instances.push(instance(7, 2, Condition::Running, Some(false)));
    let decision = decide_on(&spec(1, 1.0, 1.0, true), Mode::Keeping, &instances);
    assert_eq!(decision.end, [instances[1].id.clone()]);
}

#[test]
fn an_instance_given_up_as_unreachable_is_replaced() {
    let instances = running(2, 2);
    let refs: Vec<&Instance> = instances.iter().collect();
    let inactive = |i: &Instance| i.id == instances[0].id;
    let decision = decide(&spec(2, 1.0, 1.0, true), Mode::Keeping, &refs, inactive, |_| true);
    assert_eq!(decision.start, 1);
}

proptest! {
    /// Whatever the strategy and the sizes: the bounds are kept, it ends, and then nothing more is to be done.
    #[test]
    fn updates_keep_their_bounds_and_end(
        before in 0u32..12, target in 0u32..12, health in 0.0f64..=1.0, over in 0.0f64..=1.0, checks in any::<bool>(),
    ) {
        let spec = spec(target, health, over, checks);
        let bounds = Bounds::of(&spec);
        let (least, most) = roll(&spec, running(before, 1));
        let had = before as usize;
        if least != usize::MAX {
            prop_assert!(least >= bounds.serving_min.min(had), "{least} served, {bounds:?}");
            prop_assert!(most <= bounds.all_max.max(had), "{most} existed, {bounds:?}");
        }
        let done = decide_on(&spec, Mode::Deploying, &running(target, 2));
        prop_assert_eq!(done, Decision { start: 0, end: Vec::new(), done: true });
    }
}

#[test]
fn what_is_replaced_and_still_ends_takes_room_in_an_app_that_waits_for_its_turn_too() {
    let spec = spec(3, 0.0, 0.5, false);
    let ending = |config: i64| -> Vec<Instance> {
        running(4, config)
            .into_iter()
            .map(|instance| Instance {
                goal: Goal::Decommissioned,
                ..instance
            })
            .collect()
    };
    let start = |instances: &[Instance]| decide_on(&spec, Mode::Keeping, instances).start;
    assert_eq!(start(&ending(1)), 0, "four are there, and four may be");
    assert_eq!(start(&ending(1)[..2]), 2);
    assert_eq!(start(&ending(2)), 3, "nothing is replaced");
}
