//! Stories of the driver in virtual time. Each ends by proving that nothing else was said.
#![allow(clippy::unwrap_used)]

use super::*;
use meseta_types::{AgentId, TaskId, Wall};
use std::sync::Arc;

mod env;
mod random;
mod wishes;

use env::*;

#[test]
fn the_id_is_durable_before_anything_is_sent() {
    let mut env = Env::with(Identity::Chosen(id()));
    env.step(Input::Tick);
    let stored = env.take(|o| match o {
        Output::Store(id) => Some(id.clone()),
        _ => None,
    });
    assert_eq!(stored, id());
    env.pass(secs(3600));
    env.nothing_else();
    env.step(Input::Stored(Ok(())));
    let subscribe = env.subscribe_now();
    assert_eq!(subscribe.framework_info.id.unwrap().value, "test-1");
    env.nothing_else();
}

#[test]
fn an_id_that_cannot_be_stored_ends_the_driver() {
    let mut env = Env::with(Identity::Chosen(id()));
    env.step(Input::Tick);
    env.out.clear();
    env.step(Input::Stored(Err("disk full".into())));
    assert_eq!(env.exited(), Exit::StoreLost("disk full".into()));
    env.nothing_else();
}

#[test]
fn redirects_are_followed_at_once() {
    let mut env = Env::new();
    env.step(Input::Tick);
    assert_eq!(env.locate(&["m1", "m2"]).host, "m1");
    env.link(LinkEvent::Moved("//m2:5050/master/api/v1/scheduler".into()));
    env.cut();
    assert_eq!(env.connected_to().0.host, "m2");
    env.nothing_else();
}

#[test]
fn redirects_in_a_circle_are_an_election_under_way() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m1"]);
    env.link(LinkEvent::Moved("//m2:5050".into()));
    env.cut();
    env.connected_to();
    env.link(LinkEvent::Moved("//m1:5050".into()));
    env.cut();
    assert!(env.disconnected().contains("circles"));
    env.nothing_else();
}

#[test]
fn a_chain_of_redirects_ends_after_five_hops() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m0"]);
    for n in 1..=5 {
        env.link(LinkEvent::Moved(format!("//m{n}:5050")));
        env.cut();
        env.connected_to();
    }
    env.link(LinkEvent::Moved("//m6:5050".into()));
    env.cut();
    env.disconnected();
    env.nothing_else();
}

#[test]
fn each_failed_attempt_goes_to_the_next_master_and_waits_longer() {
    let mut env = Env::new();
    env.step(Input::Tick);
    for host in ["m1", "m2", "m3", "m1"] {
        assert_eq!(env.locate(&["m1", "m2", "m3"]).host, host);
        env.link(LinkEvent::Lost("connection refused".into()));
        env.cut();
        assert_eq!(env.disconnected(), "connection refused");
        env.nothing_else();
        env.pass(secs(15));
    }
}

#[test]
fn a_master_that_asks_to_wait_is_given_that_time() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m1"]);
    env.link(LinkEvent::Unavailable {
        text: "Master has not finished recovery".into(),
        retry_after: Some(secs(3)),
    });
    env.cut();
    env.disconnected();
    env.pass(Duration::from_millis(2_999));
    env.nothing_else();
    env.pass(Duration::from_millis(1));
    env.locate(&["m1"]);
}

#[test]
fn a_master_that_accepts_and_says_nothing_is_given_up() {
    for opened in [false, true] {
        let mut env = Env::new();
        env.step(Input::Tick);
        env.locate(&["m1"]);
        if opened {
            env.link(LinkEvent::Opened);
        }
        env.pass(Duration::from_millis(14_999));
        env.nothing_else();
        env.pass(Duration::from_millis(1));
        env.cut();
        env.disconnected();
        env.nothing_else();
    }
}

#[test]
fn three_silent_intervals_end_a_stream_and_any_byte_is_life() {
    let mut env = Env::subscribed();
    for _ in 0..10 {
        env.pass(secs(44));
        env.nothing_else();
        env.link(LinkEvent::Alive);
    }
    env.pass(secs(45));
    env.cut();
    assert_eq!(env.disconnected(), "the master was silent for 45 s");
    let subscribe = env.resubscribe_after_told();
    assert_eq!(subscribe.framework_info.id.unwrap().value, "test-1");
    env.nothing_else();
}

#[test]
fn a_long_subscription_ends_the_back_off() {
    let mut env = Env::new();
    env.step(Input::Tick);
    for _ in 0..20 {
        env.locate(&["m1"]);
        env.link(LinkEvent::Lost("refused".into()));
        env.out.clear();
        env.pass(secs(15));
    }
    env.subscribe_now();
    env.pass(secs(40));
    env.link(LinkEvent::Alive);
    env.pass(secs(20));
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    let wait = env.take(|o| match o {
        Output::Deliver(Notice::Disconnected { retry_in, .. }) => Some(*retry_in),
        _ => None,
    });
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
    env.nothing_else();
}

#[test]
fn failed_over_and_removed_are_final() {
    for (text, exit) in [
        ("Framework failed over", Exit::FailedOver),
        ("Framework has been removed", Exit::Removed),
    ] {
        let mut env = Env::subscribed();
        env.event(error_event(text));
        env.cut();
        assert_eq!(env.exited(), exit);
        env.pass(secs(3600));
        env.nothing_else();
        let late = env.command(None, kill());
        assert_eq!(env.answer(late), Err(CallError::Stopped));
    }
}

#[test]
fn a_removed_id_is_final_while_subscribing_too() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m1"]);
    env.link(LinkEvent::Opened);
    env.event(error_event("Framework has been removed"));
    env.cut();
    assert_eq!(env.exited(), Exit::Removed);
}

#[test]
fn a_refused_subscription_is_final_and_other_errors_of_a_stream_are_not() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m1"]);
    env.link(LinkEvent::Opened);
    env.event(error_event("Roles { x } are not present in the master's --roles"));
    env.cut();
    assert!(matches!(env.exited(), Exit::Refused(_)));
    env.nothing_else();

    let mut env = Env::subscribed();
    env.event(error_event("Some other matter"));
    env.cut();
    assert_eq!(env.disconnected(), "Some other matter");
    env.nothing_else();
}

#[test]
fn missing_credentials_are_final() {
    let mut env = Env::new();
    env.step(Input::Tick);
    env.locate(&["m1"]);
    env.link(LinkEvent::Refused {
        code: 401,
        text: "401 Unauthorized.".into(),
    });
    env.cut();
    assert!(matches!(env.exited(), Exit::Unauthorized(_)));
}

#[test]
fn what_an_old_link_says_counts_for_nothing() {
    let mut env = Env::subscribed();
    let old = env.driver.link;
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    env.resubscribe();
    env.step(Input::Link(old, LinkEvent::Lost("again".into())));
    env.step(Input::Link(
        old,
        LinkEvent::Event(Box::new(error_event("Framework failed over"))),
    ));
    env.step(Input::Reply(old, CallSeq(1), Reply::Accepted));
    env.nothing_else();
}

#[test]
fn an_accept_with_a_lost_answer_is_unknown_and_never_repeated() {
    let mut env = Env::subscribed();
    let command = env.command(Some(Epoch(1)), accept());
    let seq = env.sent(call::Type::Accept);
    env.reply(seq, Reply::Unknown("connection reset".into()));
    assert_eq!(
        env.answer(command),
        Err(CallError::Unknown("connection reset".into()))
    );
    for _ in 0..3 {
        env.pass(secs(40));
        env.link(LinkEvent::Alive);
    }
    env.nothing_else();
}

#[test]
fn an_accept_cut_off_with_its_stream_is_unknown_but_one_refused_with_it_is_only_stale() {
    let mut env = Env::subscribed();
    let command = env.command(Some(Epoch(1)), accept());
    env.sent(call::Type::Accept);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert_eq!(env.answer(command), Err(CallError::Unknown("reset".into())));

    let mut env = Env::subscribed();
    let command = env.command(Some(Epoch(1)), accept());
    let seq = env.sent(call::Type::Accept);
    env.reply(
        seq,
        Reply::Refused {
            code: 403,
            text: "Framework is not subscribed".into(),
        },
    );
    assert_eq!(env.answer(command), Err(CallError::Stale));
    env.cut();
    env.disconnected();
    env.nothing_else();
}

#[test]
fn offers_of_an_older_subscription_are_refused_locally() {
    let mut env = Env::subscribed();
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    let command = env.command(Some(Epoch(1)), accept());
    assert_eq!(env.answer(command), Err(CallError::NotSubscribed));
    env.resubscribe();
    let command = env.command(Some(Epoch(1)), accept());
    assert_eq!(env.answer(command), Err(CallError::Stale));
    env.nothing_else();
}

#[test]
fn a_kill_is_repeated_until_answered_and_goes_on_over_a_new_stream() {
    let mut env = Env::subscribed();
    let command = env.command(None, kill());
    let seq = env.sent(call::Type::Kill);
    env.reply(seq, Reply::Unknown("reset".into()));
    env.pass(secs(5));
    assert_eq!(env.sent(call::Type::Kill), seq);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    env.resubscribe();
    assert_eq!(env.sent(call::Type::Kill), seq);
    env.reply(seq, Reply::Accepted);
    assert_eq!(env.answer(command), Ok(Sent { seq, epoch: Epoch(2) }));
    env.nothing_else();
}

#[test]
fn a_kill_given_while_disconnected_waits_for_the_stream() {
    let mut env = Env::new();
    env.step(Input::Tick);
    let command = env.command(None, kill());
    env.subscribe_now();
    let seq = env.sent(call::Type::Kill);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(command).is_ok());
    env.nothing_else();
}

#[test]
fn an_unanswered_call_times_out_after_ten_seconds() {
    let mut env = Env::subscribed();
    let command = env.command(Some(Epoch(1)), accept());
    env.sent(call::Type::Accept);
    env.pass(Duration::from_millis(9_999));
    env.nothing_else();
    env.pass(Duration::from_millis(1));
    assert_eq!(
        env.answer(command),
        Err(CallError::Unknown("no answer within 10 s".into()))
    );
    env.nothing_else();
}

#[test]
fn a_refused_call_goes_back_to_its_caller_and_the_stream_lives() {
    let mut env = Env::subscribed();
    let command = env.command(None, kill());
    let seq = env.sent(call::Type::Kill);
    let refusal = (400, "Failed to validate scheduler::Call: x".to_owned());
    env.reply(
        seq,
        Reply::Refused {
            code: refusal.0,
            text: refusal.1.clone(),
        },
    );
    assert_eq!(
        env.answer(command),
        Err(CallError::Refused {
            code: refusal.0,
            text: refusal.1
        })
    );
    env.pass(secs(10));
    env.nothing_else();
}

#[test]
fn a_master_that_does_not_lead_any_more_costs_the_stream() {
    let mut env = Env::subscribed();
    let command = env.command(None, kill());
    let seq = env.sent(call::Type::Kill);
    env.reply(seq, Reply::NotLeading("No leader elected".into()));
    env.cut();
    env.resubscribe();
    env.sent(call::Type::Kill);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(command).is_ok());
    env.nothing_else();
}

#[test]
fn an_unconfirmed_update_of_the_framework_is_tried_with_the_next_subscribe() {
    let mut env = Env::subscribed();
    let command = env.command(None, update_framework("new"));
    env.sent(call::Type::UpdateFramework);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert_eq!(env.resubscribe().framework_info.name, "new");
    assert!(env.answer(command).is_ok());
    env.nothing_else();
}

#[test]
fn an_unconfirmed_update_that_is_refused_gives_way_to_the_old_description() {
    let mut env = Env::subscribed();
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    env.disconnected();
    let command = env.command(None, update_framework("new"));
    env.pass(secs(15));
    env.locate(&["m1"]);
    env.link(LinkEvent::Opened);
    env.event(error_event(
        "'FrameworkInfo.roles' contains duplicate items: { a }",
    ));
    env.cut();
    assert!(matches!(env.answer(command), Err(CallError::Refused { .. })));
    assert_eq!(env.resubscribe().framework_info.name, "test");
    env.nothing_else();
}

#[test]
fn acknowledgements_belong_to_the_stream_that_brought_the_update() {
    let mut env = Env::subscribed();
    env.step(ack(1));
    let seq = env.sent(call::Type::Acknowledge);
    env.reply(seq, Reply::Unknown("reset".into()));
    env.pass(secs(5));
    env.sent(call::Type::Acknowledge);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    env.step(ack(1));
    env.resubscribe();
    env.step(ack(1));
    env.nothing_else();
    env.step(ack(2));
    env.sent(call::Type::Acknowledge);
    env.nothing_else();
}

#[test]
fn failover_flushes_acknowledgements_and_leaves() {
    let mut env = Env::subscribed();
    env.step(ack(1));
    let seq = env.sent(call::Type::Acknowledge);
    env.stop(Stop::Failover);
    env.nothing_else();
    env.reply(seq, Reply::Accepted);
    env.cut();
    assert!(env.answer(CommandId(0)).is_ok());
    assert_eq!(env.exited(), Exit::Stopped);
    env.nothing_else();
}

#[test]
fn failover_does_not_wait_for_ever_and_abort_not_at_all() {
    let mut env = Env::subscribed();
    env.step(ack(1));
    env.sent(call::Type::Acknowledge);
    env.stop(Stop::Failover);
    env.pass(secs(5));
    assert_eq!(env.exited(), Exit::Stopped);

    let mut env = Env::subscribed();
    env.step(ack(1));
    env.stop(Stop::Failover);
    env.stop(Stop::Abort);
    assert_eq!(env.exited(), Exit::Stopped);
}

#[test]
fn a_teardown_is_done_when_the_master_says_so_in_any_way() {
    // Its answer comes, then the stream ends. Accepted is not done: nobody leaves before.
    let mut env = Env::subscribed();
    env.stop(Stop::Teardown);
    let seq = env.sent(call::Type::Teardown);
    env.reply(seq, Reply::Accepted);
    env.nothing_else();
    env.link(LinkEvent::Lost("the master ended the stream".into()));
    assert_eq!(env.exited(), Exit::TornDown);

    // Its answer comes, but the stream does not end: not for ever.
    let mut env = Env::subscribed();
    env.stop(Stop::Teardown);
    let seq = env.sent(call::Type::Teardown);
    env.reply(seq, Reply::Accepted);
    env.pass(secs(5));
    assert_eq!(env.exited(), Exit::TornDown);

    // The stream ends first, then its answer comes.
    let mut env = Env::subscribed();
    env.stop(Stop::Teardown);
    let seq = env.sent(call::Type::Teardown);
    env.link(LinkEvent::Lost("the stream ended".into()));
    env.reply(seq, Reply::Accepted);
    assert_eq!(env.exited(), Exit::TornDown);

    // Its answer is lost, the next subscription hears that the framework is gone.
    let mut env = Env::subscribed();
    env.stop(Stop::Teardown);
    env.sent(call::Type::Teardown);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    env.disconnected();
    env.pass(secs(15));
    env.locate(&["m1"]);
    env.link(LinkEvent::Opened);
    env.event(error_event("Framework has been removed"));
    env.cut();
    assert_eq!(env.exited(), Exit::TornDown);
    assert!(env.answer(CommandId(0)).is_ok());
    env.nothing_else();
}

#[test]
fn too_many_calls_are_answered_busy() {
    let mut env = Env::subscribed();
    env.driver.cfg.calls_max = 2;
    env.command(None, kill());
    env.command(None, kill());
    let third = env.command(None, kill());
    assert_eq!(env.answer(third), Err(CallError::Busy));
}

#[test]
fn subscribe_and_teardown_are_no_commands() {
    let mut env = Env::subscribed();
    for kind in [call::Type::Subscribe, call::Type::Teardown, call::Type::Unknown] {
        let command = env.command(None, bare(kind));
        assert!(matches!(env.answer(command), Err(CallError::Refused { .. })));
    }
    env.nothing_else();
}

#[test]
fn the_machine_knows_no_clock_no_socket_and_no_randomness_of_its_own() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("driver.rs"), root.join("endpoint.rs")];
    for entry in std::fs::read_dir(root.join("driver")).unwrap() {
        files.push(entry.unwrap().path());
    }
    for file in files.iter().filter(|f| f.is_file() && !f.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for word in [
            "tokio",
            "hyper::",
            "tonic",
            "Instant",
            "SystemTime",
            "std::net",
            "std::fs",
            "std::thread",
            "HashMap",
            "HashSet",
            "rand::",
            "getrandom",
            "Uuid",
            "unsafe",
            "Mutex",
            "std::env",
        ] {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn calls_are_shared_not_copied_when_they_are_repeated() {
    let mut env = Env::subscribed();
    env.command(None, kill());
    let first = env.take(|o| match o {
        Output::Send { seq, call, .. } => Some((*seq, call.clone())),
        _ => None,
    });
    env.reply(first.0, Reply::Unknown("reset".into()));
    env.pass(secs(5));
    let second = env.take(|o| match o {
        Output::Send { call, .. } => Some(call.clone()),
        _ => None,
    });
    assert!(Arc::ptr_eq(&first.1, &second));
}
