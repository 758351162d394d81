//! Stories of the driver in virtual time. Each ends by proving that nothing else was said.
#![allow(clippy::unwrap_used)]

use super::*;
use meseta_types::{AgentId, TaskId, Wall};
use std::sync::Arc;

/// A driver, a clock, and everything it said and nobody has looked at yet.
struct Env {
    driver: Driver,
    now: Mono,
    out: Vec<Output>,
    next_command: u64,
}

fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        roles: vec!["a".into(), "b".into()],
        ..Default::default()
    }
}

fn config() -> DriverConfig {
    DriverConfig::new(Wish {
        framework: framework(),
        suppressed: Default::default(),
        constraints: None,
    })
}

fn id() -> FrameworkId {
    FrameworkId::new("test-1").unwrap()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Env {
    fn new() -> Env {
        Env::with(Identity::Known(id()))
    }

    fn with(identity: Identity) -> Env {
        Env {
            driver: Driver::new(config(), identity, 42),
            now: Mono(0),
            out: Vec::new(),
            next_command: 0,
        }
    }

    fn subscribed() -> Env {
        let mut env = Env::new();
        env.step(Input::Tick);
        env.subscribe_now();
        env
    }

    fn step(&mut self, input: Input) {
        let now = Now {
            mono: self.now,
            wall: Wall(0),
        };
        self.driver.step(now, input, &mut self.out);
        self.driver.check().unwrap();
    }

    /// Lets time pass, ticking at every deadline on the way.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.driver.deadline().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.step(Input::Tick);
        }
        self.now = end;
    }

    fn link(&mut self, event: LinkEvent) {
        let link = self.driver.link;
        self.step(Input::Link(link, event));
    }

    fn event(&mut self, event: scheduler::Event) {
        self.link(LinkEvent::Event(Box::new(event)));
    }

    fn locate(&mut self, masters: &[&str]) -> Endpoint {
        self.take(|o| matches!(o, Output::Locate).then_some(()));
        let masters = masters.iter().map(|m| m.parse().unwrap()).collect();
        self.step(Input::Located(Ok(masters)));
        self.connected_to().0
    }

    fn connected_to(&mut self) -> (Endpoint, Box<scheduler::Call>) {
        self.take(|o| match o {
            Output::Connect {
                endpoint, subscribe, ..
            } => Some((endpoint.clone(), subscribe.clone())),
            _ => None,
        })
    }

    /// From `Locate` to `Subscribed`; returns what was said in SUBSCRIBE.
    fn subscribe_now(&mut self) -> call::Subscribe {
        self.take(|o| matches!(o, Output::Locate).then_some(()));
        self.step(Input::Located(Ok(vec!["m1".parse().unwrap()])));
        let (_, call) = self.connected_to();
        self.link(LinkEvent::Opened);
        self.event(subscribed_event("test-1"));
        self.take(|o| matches!(o, Output::Deliver(Notice::Subscribed { .. })).then_some(()));
        call.subscribe.unwrap()
    }

    /// From a lost stream to the next one.
    fn resubscribe(&mut self) -> call::Subscribe {
        self.disconnected();
        self.pass(secs(15));
        self.subscribe_now()
    }

    fn disconnected(&mut self) -> String {
        self.take(|o| match o {
            Output::Deliver(Notice::Disconnected { why, .. }) => Some(why.clone()),
            _ => None,
        })
    }

    fn cut(&mut self) {
        self.take(|o| matches!(o, Output::Cut(_)).then_some(()));
    }

    fn exited(&mut self) -> Exit {
        self.take(|o| match o {
            Output::Exit(exit) => Some(exit.clone()),
            _ => None,
        })
    }

    fn command(&mut self, epoch: Option<Epoch>, call: scheduler::Call) -> CommandId {
        self.next_command += 1;
        let command = CommandId(self.next_command);
        let call = Command::Call {
            epoch,
            agent: None,
            call: Box::new(call),
        };
        self.step(Input::Command(command, call));
        command
    }

    fn stop(&mut self, how: Stop) {
        self.step(Input::Command(CommandId(0), Command::Stop(how)));
    }

    fn sent(&mut self, kind: call::Type) -> CallSeq {
        self.take(|o| match o {
            Output::Send { seq, call, .. } if call.r#type() == kind => Some(*seq),
            _ => None,
        })
    }

    fn reply(&mut self, seq: CallSeq, reply: Reply) {
        let link = self.driver.link;
        self.step(Input::Reply(link, seq, reply));
    }

    fn answer(&mut self, command: CommandId) -> Result<Sent, CallError> {
        self.take(|o| match o {
            Output::Answer(c, result) if *c == command => Some(result.clone()),
            _ => None,
        })
    }

    /// The first output that fits, taken away; fails with what was said instead.
    fn take<T>(&mut self, pick: impl Fn(&Output) -> Option<T>) -> T {
        let found = self.out.iter().position(|o| pick(o).is_some());
        let Some(at) = found else {
            panic!("not said; instead: {:#?}", self.out);
        };
        pick(&self.out.remove(at)).unwrap()
    }

    #[track_caller]
    fn nothing_else(&self) {
        assert!(self.out.is_empty(), "also said: {:#?}", self.out);
    }
}

fn subscribed_event(id: &str) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(event::Subscribed {
            framework_id: v1::FrameworkId { value: id.into() },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Default::default()
    }
}

fn error_event(message: &str) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error {
            message: message.into(),
        }),
        ..Default::default()
    }
}

fn bare(kind: call::Type) -> scheduler::Call {
    scheduler::Call {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

fn accept() -> scheduler::Call {
    scheduler::Call {
        accept: Some(call::Accept::default()),
        ..bare(call::Type::Accept)
    }
}

fn kill() -> scheduler::Call {
    scheduler::Call {
        kill: Some(call::Kill {
            task_id: v1::TaskId { value: "t".into() },
            ..Default::default()
        }),
        ..bare(call::Type::Kill)
    }
}

fn update_framework(name: &str) -> scheduler::Call {
    scheduler::Call {
        update_framework: Some(call::UpdateFramework {
            framework_info: v1::FrameworkInfo {
                name: name.into(),
                ..framework()
            },
            ..Default::default()
        }),
        ..bare(call::Type::UpdateFramework)
    }
}

fn ack(epoch: u64) -> Input {
    Input::Ack(AckToken {
        epoch: Epoch(epoch),
        what: Acked::Task {
            agent_id: AgentId::new("a-S0").unwrap(),
            task_id: TaskId::new("t").unwrap(),
            uuid: vec![0; 16].into(),
        },
    })
}

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

impl Env {
    fn resubscribe_after_told(&mut self) -> call::Subscribe {
        self.pass(secs(15));
        self.subscribe_now()
    }
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
fn suppression_is_part_of_the_next_subscribe() {
    let mut env = Env::subscribed();
    let command = env.command(
        None,
        scheduler::Call {
            suppress: Some(call::Suppress {
                roles: vec!["a".into()],
            }),
            ..bare(call::Type::Suppress)
        },
    );
    env.sent(call::Type::Suppress);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert!(env.answer(command).is_ok());
    assert_eq!(env.resubscribe().suppressed_roles, ["a"]);

    let revive = env.command(None, bare(call::Type::Revive));
    let seq = env.sent(call::Type::Revive);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(revive).is_ok());
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert!(env.resubscribe().suppressed_roles.is_empty());
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
    // Its answer comes.
    let mut env = Env::subscribed();
    env.stop(Stop::Teardown);
    let seq = env.sent(call::Type::Teardown);
    env.reply(seq, Reply::Accepted);
    env.cut();
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

/// Hostile and lucky inputs in any order: the books always balance, every command is answered exactly once by the
/// end, and after `Exit` nothing is said.
#[test]
fn any_order_of_inputs_keeps_the_promises() {
    for seed in 0..300 {
        let mut rng = backoff::Rng::new(seed);
        let mut draw = |n: u64| rng.up_to(Duration::from_nanos(n - 1)).as_nanos() as u64;
        let mut env = Env::with(Identity::Chosen(id()));
        env.driver.cfg.calls_max = 20;
        let mut open: Vec<CommandId> = Vec::new();
        let mut flying: Vec<(LinkId, CallSeq)> = Vec::new();
        let mut exits = 0;
        for _ in 0..400 {
            let input = random_input(&mut env, &mut draw, &mut flying, &mut open);
            env.pass(Duration::from_millis(draw(3_000)));
            env.step(input);
            for output in std::mem::take(&mut env.out) {
                assert_eq!(exits, 0, "seed {seed}: {output:?} after the end");
                match output {
                    Output::Send { link, seq, .. } => flying.push((link, seq)),
                    Output::Answer(CommandId(0), _) => {}
                    Output::Answer(command, _) => {
                        let at = open.iter().position(|c| *c == command);
                        open.remove(at.expect("answered twice"));
                    }
                    Output::Exit(_) => exits += 1,
                    _ => {}
                }
            }
            if exits > 0 {
                break;
            }
        }
        env.stop(Stop::Abort);
        for output in std::mem::take(&mut env.out) {
            if let Output::Answer(command, _) = output {
                open.retain(|c| *c != command);
            }
        }
        assert_eq!(open, [], "seed {seed}: never answered");
    }
}

fn random_input(
    env: &mut Env,
    draw: &mut impl FnMut(u64) -> u64,
    flying: &mut [(LinkId, CallSeq)],
    open: &mut Vec<CommandId>,
) -> Input {
    let link = LinkId(env.driver.link.0.saturating_sub(u64::from(draw(8) == 0)));
    let command = |env: &mut Env, open: &mut Vec<CommandId>, call| {
        env.next_command += 1;
        open.push(CommandId(env.next_command));
        let call = Command::Call {
            epoch: Some(env.driver.epoch),
            agent: None,
            call: Box::new(call),
        };
        Input::Command(CommandId(env.next_command), call)
    };
    match draw(20) {
        0 => Input::Stored(Ok(())),
        1 | 2 => Input::Located(Ok(vec!["m1".parse().unwrap(), "m2".parse().unwrap()])),
        3 | 4 => Input::Link(link, LinkEvent::Opened),
        5..=7 => Input::Link(link, LinkEvent::Event(Box::new(subscribed_event("test-1")))),
        8 => Input::Link(link, LinkEvent::Lost("lost".into())),
        9 => Input::Link(link, LinkEvent::Moved("//m3:5050".into())),
        10 => Input::Link(link, LinkEvent::Alive),
        11 => Input::Ack(AckToken {
            epoch: env.driver.epoch,
            what: Acked::Operation(Box::default()),
        }),
        12 => command(env, open, accept()),
        13 => command(env, open, kill()),
        14 => command(env, open, update_framework("x")),
        15 => command(env, open, bare(call::Type::Suppress)),
        _ => match flying.get(draw(1 + flying.len() as u64) as usize) {
            None => Input::Tick,
            Some((link, seq)) => Input::Reply(
                *link,
                *seq,
                match draw(5) {
                    0 => Reply::Unknown("lost".into()),
                    1 => Reply::Later(secs(1)),
                    2 => Reply::Refused {
                        code: 400,
                        text: "no".into(),
                    },
                    _ => Reply::Accepted,
                },
            ),
        },
    }
}

#[test]
fn the_machine_knows_no_clock_no_socket_and_no_randomness_of_its_own() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("driver.rs"), root.join("endpoint.rs")];
    for entry in std::fs::read_dir(root.join("driver")).unwrap() {
        files.push(entry.unwrap().path());
    }
    for file in files.iter().filter(|f| !f.ends_with("tests.rs")) {
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
