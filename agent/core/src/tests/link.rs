//! The connection to the master.

use super::*;

fn connects(env: &Env) -> usize {
    env.out
        .iter()
        .filter(|e| matches!(e, Effect::Connect { .. }))
        .count()
}

#[test]
fn the_first_registration_happens_at_once_and_its_id_is_recorded() {
    let mut env = Env::cold(Config::default());
    env.input(Input::Master(Some(Arc::from("m:5050"))));
    assert_eq!(connects(&env), 0, "not before recovery");
    env.recover(Vec::new());
    assert_eq!(connects(&env), 1);
    env.connect();
    assert!(
        env.out
            .iter()
            .any(|e| matches!(e, Effect::Send(FromAgent::Register { .. })))
    );
    env.answer_registration(Vec::new());
    assert!(env.core.view().registered);
    assert!(
        env.log
            .iter()
            .any(|r| matches!(r, Record::Agent(a) if a.id == Some(agent_id())))
    );
}

#[test]
fn failures_back_off_randomly_and_ever_longer_up_to_a_minute() {
    let mut env = Env::cold(Config::default());
    env.recover(Vec::new());
    env.input(Input::Master(Some(Arc::from("m:5050"))));
    for n in 0..20 {
        let link = env.out.iter().rev().find_map(|e| match e {
            Effect::Connect { link, .. } => Some(*link),
            _ => None,
        });
        env.out.clear();
        let failed = env.now.mono;
        env.input(Input::LinkDown(link.unwrap()));
        assert_eq!(connects(&env), 0, "waits after a failure");
        env.until(TimerKind::Link);
        assert_eq!(connects(&env), 1);
        let bound = Duration::from_secs(1 << n.min(6)).min(Duration::from_secs(60));
        assert!(env.now.mono.since(failed) <= bound, "try {n}");
    }
}

#[test]
fn a_silent_master_is_given_up_after_its_ping_timeout() {
    let mut env = Env::registered();
    env.pass(Duration::from_secs(70));
    env.master(ToAgent::Ping { connected: true });
    assert!(env.effects().contains(&Effect::Send(FromAgent::Pong)));
    env.pass(Duration::from_secs(74));
    assert!(env.core.view().registered);
    env.pass(Duration::from_secs(3));
    assert!(!env.core.view().registered);
    assert!(env.out.contains(&Effect::Disconnect(env.link)));
    env.connect();
    assert!(
        env.out
            .iter()
            .any(|e| matches!(e, Effect::Send(FromAgent::Reregister { .. })))
    );
}

#[test]
fn a_master_that_lost_the_agent_makes_it_register_again() {
    let mut env = Env::registered();
    env.master(ToAgent::Ping { connected: false });
    assert_eq!(connects(&env), 1);
}

#[test]
fn nothing_of_an_older_connection_is_applied() {
    let mut env = Env::registered();
    let old = env.link;
    env.input(Input::LinkDown(old));
    env.out.clear();
    env.connect();
    env.answer_registration(Vec::new());
    env.out.clear();
    env.input(Input::FromMaster(old, run(framework(), command("t1"))));
    env.input(Input::LinkDown(old));
    env.nothing_else();
    assert!(env.core.view().registered);
}

#[test]
fn another_leader_is_registered_with_after_a_random_wait() {
    let mut env = Env::registered();
    env.input(Input::Master(None));
    assert!(!env.core.view().registered);
    env.input(Input::Master(Some(Arc::from("n:5050"))));
    assert_eq!(connects(&env), 0);
    env.until(TimerKind::Link);
    let to = env.out.iter().find_map(|e| match e {
        Effect::Connect { master, .. } => Some(master.clone()),
        _ => None,
    });
    assert_eq!(to.as_deref(), Some("n:5050"));
}

#[test]
fn another_agent_id_than_the_recorded_one_ends_the_process() {
    let mut env = Env::registered();
    env.input(Input::LinkDown(env.link));
    env.out.clear();
    env.connect();
    env.master(ToAgent::Reregistered {
        agent_id: meseta_types::AgentId::new("m-S7").unwrap(),
        total_ping_timeout: Duration::from_secs(75),
        reconcile: Vec::new(),
    });
    assert!(
        env.out
            .iter()
            .any(|e| matches!(e, Effect::Exit(ExitReason::Incompatible(_))))
    );
}

#[test]
fn unregistering_ends_the_tasks_with_grace_and_then_the_process() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.out.clear();
    env.input(Input::Stop { unregister: true });
    assert_eq!(
        env.effects(),
        [
            Effect::Send(FromAgent::Unregister),
            Effect::Terminate(container.clone())
        ]
    );
    env.master(run(framework(), command("t2")));
    assert!(env.effects().is_empty(), "no launch while ending");
    env.input(Input::LinkDown(env.link));
    env.pass(Duration::from_secs(2));
    assert_eq!(connects(&env), 0, "an agent that left does not come back");
    env.out.clear();
    env.exited(&container, 15);
    assert_eq!(
        env.effects(),
        [Effect::Forget(container), Effect::Exit(ExitReason::Stopped(None))]
    );
}

#[test]
fn stopping_waits_until_the_last_updates_are_durable_and_the_next_life_delivers_them() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.input(Input::LinkDown(env.link));
    env.input(Input::Stop { unregister: false });
    env.out.clear();
    env.hold = true;
    env.exited(&container, 15);
    assert!(env.out.is_empty(), "{:?}", env.out);
    env.release();
    env.hold = false;
    assert!(env.out.contains(&Effect::Exit(ExitReason::Stopped(None))));
    env.restart(Vec::new());
    env.register();
    assert_eq!(env.one_told().state, TaskState::Killed);
}

#[test]
fn the_masters_shutdown_ends_the_agent() {
    let mut env = Env::registered();
    env.master(ToAgent::Shutdown {
        message: "Agent is gone".into(),
    });
    let exit = ExitReason::Stopped(Some("Agent is gone".into()));
    assert_eq!(env.effects(), [Effect::Exit(exit)]);
}

/// An agent that has asked to be taken in and has no answer yet.
fn registering() -> Env {
    let mut env = Env::cold(Config::default());
    env.recover(Vec::new());
    env.input(Input::Master(Some(Arc::from("m:5050"))));
    env.connect();
    env.out.clear();
    env
}

#[test]
fn an_agent_that_leaves_before_the_master_answered_waits_for_the_answer_and_says_so() {
    let mut env = registering();
    env.input(Input::Stop { unregister: true });
    env.nothing_else();
    env.answer_registration(Vec::new());
    let effects = env.effects();
    assert!(
        effects.contains(&Effect::Send(FromAgent::Unregister)),
        "{effects:?}"
    );
    assert_eq!(effects.last(), Some(&Effect::Exit(ExitReason::Stopped(None))));
}

#[test]
fn an_agent_that_leaves_does_not_wait_for_a_master_that_is_gone() {
    let mut env = registering();
    env.input(Input::Stop { unregister: true });
    env.input(Input::LinkDown(env.link));
    let effects = env.effects();
    assert_eq!(effects.last(), Some(&Effect::Exit(ExitReason::Stopped(None))));
}
