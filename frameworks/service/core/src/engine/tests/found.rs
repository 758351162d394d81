//! Defects that the simulated world found, each kept as a story of its own.

use super::*;

#[test]
fn a_forced_update_that_cannot_be_stored_leaves_the_deployment_it_would_have_replaced() {
    for seed in 0..8 {
        let mut env = Env::new();
        env.engine.random = meseta_types::random::Random::new(seed);
        env.put(app("/web", 2)).unwrap();
        env.play();
        env.put(changed(app("/web", 2))).unwrap();
        let before = env.engine.deployment_of(&id("/web")).cloned();
        env.store_refuses = true;
        let refused = env.put_with(app("/web", 3), true, false);
        assert!(matches!(refused, Err(Refusal::NotStored(_))), "{refused:?}");
        env.engine.check().unwrap();
        assert_eq!(env.engine.deployment_of(&id("/web")).cloned(), before);
        assert!(env.killed.is_empty());
    }
}

#[test]
fn while_a_write_is_under_way_no_tick_is_asked_for_and_none_is_kept() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    let mut out = Vec::new();
    let kill = Call::Kill {
        instances: env
            .engine
            .instances_of(&id("/web"))
            .map(|i| i.id.clone())
            .collect(),
        how: KillHow::Wipe,
        force: false,
    };
    env.engine
        .step(env.now, Input::Call(RequestId(99), kill), &mut out);
    assert!(matches!(out[..], [Effect::Commit(..)]), "{out:?}");
    assert_eq!(env.engine.deadline(), None);
    env.engine.step(env.now, Input::Tick, &mut out);
    assert!(env.engine.arrived.is_empty());
}

#[test]
fn a_large_app_is_recorded_in_parts_and_every_offer_is_used() {
    let mut env = Env::new();
    env.engine.config.launches_per_offer = 500;
    env.put(AppSpec {
        ports: Vec::new(),
        ..app("/web", 2_200)
    })
    .unwrap();
    let offers = (0..5).map(|n| env.an_offer(&format!("o{n}"), 300.0)).collect();
    env.step(Input::Offers(offers));
    assert_eq!((env.launched.len(), env.declined), (2_200, 0));
    env.delete("/web", true).unwrap();
    let ending = env
        .stored
        .instances
        .iter()
        .filter(|i| i.goal == Goal::Decommissioned);
    assert_eq!(ending.count(), 2_200);
    assert!(
        env.largest_commit < INSTANCES_PER_COMMIT + 500,
        "{}",
        env.largest_commit
    );
}

#[test]
fn a_full_disk_is_not_asked_in_a_loop_and_is_asked_again_after_a_rest() {
    let mut env = Env::new();
    env.put(app("/web", 2)).unwrap();
    env.stored.instances.clear();
    env.store_refuses = true;
    env.restart();
    env.offer();
    assert_eq!(
        (env.engine.instances_of(&id("/web")).count(), env.launched.len()),
        (0, 0)
    );
    let again = env.engine.deadline().unwrap();
    assert!(again > env.now, "it rests");
    env.store_refuses = false;
    env.advance(1);
    env.play();
    assert_eq!((env.running("/web").len(), env.deploying()), (2, 0));
}

/// A task that was launched on a stream that broke, and the next stream.
fn launched_before_another_master() -> (Env, String) {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.offer();
    let lost = env.launched.pop().unwrap().task_id();
    env.step(Input::Disconnected);
    env.step(Input::Connected);
    (env, lost)
}

#[test]
fn a_task_that_the_master_is_silent_about_is_asked_about_until_it_says_something() {
    let (mut env, lost) = launched_before_another_master();
    assert_eq!(std::mem::take(&mut env.reconciled), std::slice::from_ref(&lost));
    for wait in [1, 1, 2, 4, 8, 16, 16] {
        assert!(env.engine.deadline().unwrap() <= Wall(env.now.0 + wait * SECOND));
        env.advance(wait);
        assert_eq!(
            std::mem::take(&mut env.reconciled),
            std::slice::from_ref(&lost),
            "after {wait} s"
        );
    }
    env.task(&lost, TaskKind::Unknown, None);
    env.offer();
    assert_eq!(env.launched.len(), 1, "it never was, and is launched again");
    env.play();
    env.advance(100);
    assert_eq!(env.reconciled, Vec::<String>::new());
    assert_eq!((env.running("/web").len(), env.deploying()), (1, 0));
}

#[test]
fn an_answer_about_a_task_that_could_not_be_stored_is_asked_for_again() {
    let (mut env, lost) = launched_before_another_master();
    env.store_refuses = true;
    env.task(&lost, TaskKind::Unknown, None);
    env.store_refuses = false;
    env.reconciled.clear();
    env.advance(1);
    assert_eq!(env.reconciled, [lost]);
}

#[test]
fn an_app_whose_turn_never_came_keeps_its_instances_when_the_deployment_is_undone() {
    let mut env = Env::new();
    let front = |instances| AppSpec {
        dependencies: BTreeSet::from([id("/back")]),
        ..app("/front", instances)
    };
    let back = AppSpec {
        has_health_checks: true,
        ..app("/back", 1)
    };
    env.put(back.clone()).unwrap();
    env.put(front(5)).unwrap();
    env.play();
    let before = env.running("/front");
    assert_eq!(before.len(), 5);
    let change = |spec: AppSpec| AppChange {
        base: env.engine.app(&spec.id).map(|app| app.spec.version),
        id: spec.id.clone(),
        spec: Some(spec),
        restart: false,
    };
    let apps = vec![change(changed(back)), change(front(1))];
    let both = env.call(Call::Update { apps, force: false });
    let Ok(Answer::Deployment { id: deployment, .. }) = both else {
        panic!("{both:?}")
    };
    env.play_with(Some(false));
    assert_eq!(env.running("/front"), before, "its turn has not come");
    env.call(Call::Cancel {
        deployment,
        force: false,
    })
    .unwrap();
    env.restart();
    env.play();
    let ids = |instances: &[Instance]| instances.iter().map(|i| i.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&env.running("/front")), ids(&before));
    assert_eq!(env.deploying(), 0);
}

#[test]
fn a_refused_update_leaves_what_waits_to_be_launched_by_the_definition_that_is_stored() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    let stored = env.engine.app(&id("/web")).unwrap().spec.version;
    env.store_refuses = true;
    let refused = env.put_with(changed(app("/web", 1)), true, false);
    assert!(matches!(refused, Err(Refusal::NotStored(_))), "{refused:?}");
    env.store_refuses = false;
    for rested in [0, 1] {
        env.advance(rested);
        env.offer();
    }
    let launched: Vec<Version> = env.launched.iter().map(|instance| instance.version).collect();
    assert_eq!(launched, [stored]);
}
