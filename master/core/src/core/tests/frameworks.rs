//! Frameworks subscribe, fail over, stay away, and are removed.

use super::env::*;
use crate::io::{Call, RequestId, Subscribe};
use crate::{Config, Input, Recovered};
use meseta_types::task::{Capabilities, FrameworkSpec};
use meseta_types::{Role, TaskState};
use std::time::Duration;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

#[test]
fn a_second_scheduler_takes_over_and_the_first_is_told() {
    let (mut env, _, old) = Env::running();
    env.call(old, "m-0000", Call::Revive { roles: Vec::new() });
    env.forget();
    let new = env.resubscribe("m-0000", framework("renamed"));
    env.expect(&[
        "stream2 <- ERROR Framework failed over",
        "stream2 closed",
        "session m-0000: stream3",
        "stream3 <- SUBSCRIBED m-0000",
        "op <- FRAMEWORK_UPDATED m-0000",
        "link1 <- update framework m-0000",
        "stream3 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
    // A call that was on its way does not act any more, and the old offer is gone.
    env.accept(old, "m-0000", &["m-O2"], vec![launch(vec![task("late")])]);
    env.step(Input::StreamClosed { stream: old });
    env.accept(new, "m-0000", &["m-O1"], vec![launch(vec![task("stale")])]);
    env.expect(&[
        "note accept: the stream is not the framework's current one",
        "stream3 <- UPDATE stale TASK_DROPPED INVALID_OFFERS 'Task launched with invalid offers: Offer m-O1 is no longer valid'",
    ]);
    assert_eq!(
        &*env
            .core
            .view()
            .framework(&framework_id("m-0000"))
            .unwrap()
            .1
            .spec
            .name,
        "renamed"
    );
}

#[test]
fn an_id_the_master_never_saw_is_accepted() {
    let mut env = Env::new();
    env.resubscribe("marathon-1", framework("f"));
    env.expect(&[
        "session marathon-1: stream1",
        "stream1 <- SUBSCRIBED marathon-1",
        "op <- FRAMEWORK_ADDED marathon-1",
    ]);
}

#[test]
fn a_framework_that_stays_away_is_removed_for_ever() {
    let (mut env, link, stream) = Env::running();
    env.step(Input::StreamClosed { stream });
    env.expect(&["session m-0000: disconnected"]);
    env.pass_with(Duration::from_secs(3599), &[link]);
    env.forget();
    env.pass(Duration::from_secs(1));
    let seen: Vec<String> = env
        .take()
        .into_iter()
        .filter(|line| !line.contains("ping"))
        .collect();
    assert_eq!(
        seen,
        [
            "commit +removed-frameworks/m-0000",
            "link1 <- shutdown framework m-0000",
            "op <- TASK_UPDATED t1 TASK_KILLED FRAMEWORK_REMOVED 'Framework m-0000 removed' TASK_KILLED",
            "session m-0000: removed",
            "op <- FRAMEWORK_REMOVED m-0000",
        ]
    );
    env.resubscribe("m-0000", framework("f"));
    env.expect(&["stream3 <- ERROR Framework has been removed", "stream3 closed"]);
    // Also for the next master.
    let mut next = env.fail_over("n");
    next.resubscribe("m-0000", framework("f"));
    next.expect(&["stream4 <- ERROR Framework has been removed", "stream4 closed"]);
}

#[test]
fn with_no_failover_timeout_a_lost_stream_removes_at_once() {
    let hasty = FrameworkSpec {
        failover_timeout: Duration::ZERO,
        ..framework("f")
    };
    let (mut env, _, stream) = Env::started_with(hasty);
    env.step(Input::StreamClosed { stream });
    env.expect(&[
        "session m-0000: disconnected",
        "commit +removed-frameworks/m-0000",
        "session m-0000: removed",
        "op <- FRAMEWORK_REMOVED m-0000",
    ]);
}

#[test]
fn a_teardown_ends_tasks_stream_and_framework() {
    let (mut env, link, stream) = Env::running();
    env.call(stream, "m-0000", Call::Teardown);
    env.expect(&[
        "commit +removed-frameworks/m-0000",
        "link1 <- shutdown framework m-0000",
        "op <- TASK_UPDATED t1 TASK_KILLED FRAMEWORK_REMOVED 'Framework m-0000 removed' TASK_KILLED",
        "session m-0000: removed",
        "stream2 closed",
        "op <- FRAMEWORK_REMOVED m-0000",
    ]);
    // Later words of its tasks concern nobody: whoever says them missed the end.
    env.update(link, "m-0000", "t1", TaskState::Killed, 2);
    env.expect(&[
        "note status_update: unknown framework",
        "link1 <- shutdown framework m-0000",
    ]);
    // An agent that comes back with something of it is told to end that.
    let described = FrameworkSpec {
        id: Some(framework_id("m-0000")),
        ..framework("f")
    };
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![described], tasks, vec![]));
    env.expect(&[
        "link1 closed",
        "link3 <- reregistered m-S0",
        "link3 <- shutdown framework m-0000",
        "link3 <- ping true",
    ]);
}

#[test]
fn an_operators_teardown_is_answered_when_it_is_durable() {
    let (mut env, _, _) = Env::started();
    env.teardown(7, "m-0000");
    env.expect(&[
        "commit +removed-frameworks/m-0000",
        "session m-0000: removed",
        "stream2 closed",
        "request7: ok",
        "op <- FRAMEWORK_REMOVED m-0000",
    ]);
    env.teardown(8, "m-0000");
    env.expect(&["request8: bad request: No framework found with specified ID"]);
}

#[test]
fn unwelcome_frameworks_hear_why() {
    let mut config = Config::new("m");
    config.roles = Some([role("ops")].into());
    config.root_submissions = false;
    let mut env = Env::with(config, Recovered::default());
    env.subscribe(framework("f"));
    env.expect(&[
        "stream1 <- ERROR Roles { dev } are not present in the master's --roles",
        "stream1 closed",
    ]);
    env.subscribe(FrameworkSpec {
        user: "root".into(),
        roles: vec![role("ops")],
        ..framework("f")
    });
    env.expect(&[
        "stream2 <- ERROR User 'root' is not allowed to run frameworks without --root_submissions set",
        "stream2 closed",
    ]);
    let stream = crate::io::StreamId(9);
    let subscribe = Subscribe {
        framework: FrameworkSpec {
            roles: vec![role("ops")],
            ..framework("f")
        },
        suppressed_roles: vec![role("b")],
    };
    env.step(Input::Subscribe { stream, subscribe });
    env.expect(&[
        "stream9 <- ERROR Suppressed roles { b } are not contained in the set of roles",
        "stream9 closed",
    ]);
}

#[test]
fn a_principal_may_not_change() {
    let owned = FrameworkSpec {
        principal: Some("alice".into()),
        ..framework("f")
    };
    let (mut env, _, _) = Env::started_with(owned);
    env.resubscribe(
        "m-0000",
        FrameworkSpec {
            principal: Some("bob".into()),
            ..framework("f")
        },
    );
    env.expect(&[
        "stream3 <- ERROR Changing framework's principal is not allowed.",
        "stream3 closed",
    ]);
}

#[test]
fn user_and_checkpointing_stay_what_they_were() {
    let (mut env, _, _) = Env::started();
    env.resubscribe(
        "m-0000",
        FrameworkSpec {
            user: "other".into(),
            checkpoint: false,
            ..framework("f")
        },
    );
    let view = env.core.view();
    let spec = &view.framework(&framework_id("m-0000")).unwrap().1.spec;
    assert_eq!((&*spec.user, spec.checkpoint), ("nobody", true));
}

#[test]
fn a_role_that_is_left_takes_its_offers_along_and_a_new_one_brings_some() {
    let (mut env, _, stream) = Env::started();
    let update = |roles: Vec<Role>, suppressed_roles| Subscribe {
        framework: FrameworkSpec {
            id: Some(framework_id("m-0000")),
            roles,
            ..framework("f")
        },
        suppressed_roles,
    };
    let request = RequestId(1);
    env.step(Input::UpdateFramework {
        request,
        stream,
        update: update(vec![role("ops")], vec![]),
    });
    env.expect(&[
        "stream2 <- RESCIND m-O0",
        "op <- FRAMEWORK_UPDATED m-0000",
        "request1: ok",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: ops):4; mem(allocated: ops):1024",
    ]);
    // The same again is no news, also with another suppression.
    env.step(Input::UpdateFramework {
        request,
        stream,
        update: update(vec![role("ops")], vec![role("ops")]),
    });
    env.expect(&["request1: ok"]);
    let other = FrameworkSpec {
        user: "other".into(),
        ..update(vec![role("ops")], vec![]).framework
    };
    let update = Subscribe {
        framework: other,
        suppressed_roles: vec![],
    };
    env.step(Input::UpdateFramework {
        request,
        stream,
        update,
    });
    env.expect(&["request1: bad request: FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'nobody' to 'other'"]);
}

#[test]
fn completed_frameworks_and_tasks_are_bounded_with_the_oldest_out() {
    let mut config = Config::new("m");
    config.max_completed_frameworks = 1;
    config.max_completed_tasks_per_framework = 1;
    let mut env = Env::with(config, Recovered::default());
    let link = env.register(agent(5051));
    let stream = env.subscribe(framework("f"));
    env.accept(
        stream,
        "m-0000",
        &["m-O0"],
        vec![launch(vec![task("t1"), task("t2")])],
    );
    for name in ["t1", "t2"] {
        env.update(link, "m-0000", name, TaskState::Finished, 1);
        env.acknowledge(stream, "m-0000", name, 1);
    }
    let view = env.core.view();
    let tasks: Vec<&str> = view.tasks.iter().map(|(_, t)| t.task_id.as_str()).collect();
    assert_eq!(tasks, ["t2"]);
    env.call(stream, "m-0000", Call::Teardown);
    env.subscribe(framework("g"));
    env.teardown(1, "m-0001");
    let view = env.core.view();
    let completed: Vec<String> = view.frameworks.iter().map(|(_, f)| f.id.to_string()).collect();
    assert_eq!((completed, view.tasks.len()), (vec!["m-0001".to_owned()], 0));
}

#[test]
fn frameworks_see_each_other_only_through_their_offers() {
    let (mut env, _, _) = Env::started();
    let stream = env.subscribe(FrameworkSpec {
        capabilities: Capabilities {
            multi_role: true,
            ..Capabilities::default()
        },
        ..framework("g")
    });
    env.forget();
    env.reconcile(stream, "m-0001", &[]);
    env.call(stream, "m-0000", Call::Teardown);
    env.call(stream, "m-0042", Call::Teardown);
    env.expect(&[
        "note teardown: the stream is not the framework's current one",
        "note teardown: unknown framework",
    ]);
}
