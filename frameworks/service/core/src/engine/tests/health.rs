//! Health, readiness, and what is told of them.

use super::*;

impl Env {
    /// One instance is launched; its task.
    fn launch_one(&mut self) -> Instance {
        self.offer();
        let [instance] = &std::mem::take(&mut self.launched)[..] else {
            panic!("one launch is expected");
        };
        instance.clone()
    }
}

#[test]
fn an_instance_killed_by_its_agent_for_its_health_is_told_once_and_one_that_dies_or_is_killed_by_us_is_not() {
    let mut env = Env::new();
    let mut spec = app("/web", 1);
    spec.has_health_checks = true;
    env.put(spec).unwrap();
    let told = |env: &Env| {
        let kills = env
            .events
            .iter()
            .filter(|event| matches!(event, Event::UnhealthyKill { .. }));
        kills.count()
    };
    let first = env.launch_one();
    env.task(&first.task_id(), TaskKind::Running, Some(false));
    env.task(&first.task_id(), TaskKind::Ended, Some(false));
    assert_eq!(told(&env), 0, "it crashed by itself");
    env.advance(2);
    let second = env.launch_one();
    env.task(&second.task_id(), TaskKind::Running, Some(false));
    env.task(&second.task_id(), TaskKind::Killed, Some(false));
    assert_eq!(told(&env), 1);
    let third = env.launch_one();
    env.task(&third.task_id(), TaskKind::Running, Some(false));
    env.call(Call::Kill {
        instances: vec![third.id.clone()],
        how: KillHow::Restart,
        force: false,
    })
    .unwrap();
    env.task(&third.task_id(), TaskKind::Killed, Some(false));
    assert_eq!(told(&env), 1, "a user killed it");
}

#[test]
fn readiness_is_asked_of_what_a_deployment_starts_and_of_nothing_else() {
    let mut env = Env::new();
    let mut spec = app("/web", 1);
    spec.has_readiness_checks = true;
    env.put(spec.clone()).unwrap();
    let first = env.launch_one();
    assert!(!first.ready);
    env.task(&first.task_id(), TaskKind::Running, None);
    assert_eq!(env.deploying(), 1, "it is not ready");
    env.step(Input::Ready {
        instance: first.id.clone(),
        incarnation: first.incarnation,
    });
    assert_eq!(env.deploying(), 0);
    // Its successor is started by no deployment, and holds up none that comes later.
    env.task(&first.task_id(), TaskKind::Ended, None);
    env.advance(2);
    let second = env.launch_one();
    assert!(second.ready);
    env.task(&second.task_id(), TaskKind::Running, None);
    env.put(AppSpec { instances: 2, ..spec }).unwrap();
    let third = env.launch_one();
    assert!(!third.ready);
    env.task(&third.task_id(), TaskKind::Running, None);
    assert_eq!(env.deploying(), 1);
    env.step(Input::Ready {
        instance: third.id.clone(),
        incarnation: third.incarnation,
    });
    assert_eq!(env.deploying(), 0);
}

#[test]
fn the_end_of_a_task_that_nobody_knows_is_told() {
    let mut env = Env::new();
    let stranger = InstanceId::new(&id("/web"), [7; 16]);
    env.task(&stranger.task(1), TaskKind::Running, None);
    env.task(&stranger.task(1), TaskKind::Unknown, None);
    assert_eq!(env.events, []);
    env.task(&stranger.task(1), TaskKind::Killed, None);
    let [Event::Stranger { instance, condition }] = &env.events[..] else {
        panic!("{:?}", env.events);
    };
    assert_eq!((instance, *condition), (&stranger, "Killed"));
}

#[test]
fn an_instance_that_is_named_twice_is_killed_and_counted_once() {
    let mut env = Env::new();
    env.put(app("/web", 3)).unwrap();
    env.play();
    let victim = env.running("/web").remove(0).id;
    env.call(Call::Kill {
        instances: vec![victim.clone(), victim],
        how: KillHow::Scale,
        force: false,
    })
    .unwrap();
    env.play();
    assert_eq!(env.running("/web").len(), 2);
    assert_eq!(env.engine.app(&id("/web")).unwrap().spec.instances, 2);
}
