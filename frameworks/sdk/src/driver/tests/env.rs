//! A driver in a world of literals.
#![allow(clippy::unwrap_used)]

use super::*;

/// A driver, a clock, and everything it said and nobody has looked at yet.
pub(super) struct Env {
    pub(super) driver: Driver,
    pub(super) now: Mono,
    pub(super) out: Vec<Output>,
    pub(super) next_command: u64,
}

pub(super) fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        roles: vec!["a".into(), "b".into()],
        ..Default::default()
    }
}

pub(super) fn config() -> DriverConfig {
    DriverConfig::new(Wish {
        framework: framework(),
        suppressed: Default::default(),
        constraints: None,
    })
}

pub(super) fn id() -> FrameworkId {
    FrameworkId::new("test-1").unwrap()
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Env {
    pub(super) fn new() -> Env {
        Env::with(Identity::Known(id()))
    }

    pub(super) fn with(identity: Identity) -> Env {
        Env {
            driver: Driver::new(config(), identity, 42),
            now: Mono(0),
            out: Vec::new(),
            next_command: 0,
        }
    }

    pub(super) fn subscribed() -> Env {
        let mut env = Env::new();
        env.step(Input::Tick);
        env.subscribe_now();
        env
    }

    pub(super) fn step(&mut self, input: Input) {
        let now = Now {
            mono: self.now,
            wall: Wall(0),
        };
        self.driver.step(now, input, &mut self.out);
        self.driver.check().unwrap();
    }

    /// Lets time pass, ticking at every deadline on the way.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.driver.deadline().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.step(Input::Tick);
        }
        self.now = end;
    }

    pub(super) fn link(&mut self, event: LinkEvent) {
        let link = self.driver.link;
        self.step(Input::Link(link, event));
    }

    pub(super) fn event(&mut self, event: scheduler::Event) {
        self.link(LinkEvent::Event(Box::new(event)));
    }

    pub(super) fn locate(&mut self, masters: &[&str]) -> Endpoint {
        self.take(|o| matches!(o, Output::Locate).then_some(()));
        let masters = masters.iter().map(|m| m.parse().unwrap()).collect();
        self.step(Input::Located(Ok(masters)));
        self.connected_to().0
    }

    pub(super) fn connected_to(&mut self) -> (Endpoint, Box<scheduler::Call>) {
        self.take(|o| match o {
            Output::Connect {
                endpoint, subscribe, ..
            } => Some((endpoint.clone(), subscribe.clone())),
            _ => None,
        })
    }

    /// From `Locate` to `Subscribed`; returns what was said in SUBSCRIBE.
    pub(super) fn subscribe_now(&mut self) -> call::Subscribe {
        self.take(|o| matches!(o, Output::Locate).then_some(()));
        self.step(Input::Located(Ok(vec!["m1".parse().unwrap()])));
        let (_, call) = self.connected_to();
        self.link(LinkEvent::Opened);
        self.event(subscribed_event("test-1"));
        self.take(|o| matches!(o, Output::Deliver(Notice::Subscribed { .. })).then_some(()));
        call.subscribe.unwrap()
    }

    /// From a lost stream to the next one.
    pub(super) fn resubscribe(&mut self) -> call::Subscribe {
        self.disconnected();
        self.pass(secs(15));
        self.subscribe_now()
    }

    pub(super) fn disconnected(&mut self) -> String {
        self.take(|o| match o {
            Output::Deliver(Notice::Disconnected { why, .. }) => Some(why.clone()),
            _ => None,
        })
    }

    pub(super) fn cut(&mut self) {
        self.take(|o| matches!(o, Output::Cut(_)).then_some(()));
    }

    pub(super) fn exited(&mut self) -> Exit {
        self.take(|o| match o {
            Output::Exit(exit) => Some(exit.clone()),
            _ => None,
        })
    }

    pub(super) fn command(&mut self, epoch: Option<Epoch>, call: scheduler::Call) -> CommandId {
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

    pub(super) fn stop(&mut self, how: Stop) {
        self.step(Input::Command(CommandId(0), Command::Stop(how)));
    }

    pub(super) fn sent(&mut self, kind: call::Type) -> CallSeq {
        self.take(|o| match o {
            Output::Send { seq, call, .. } if call.r#type() == kind => Some(*seq),
            _ => None,
        })
    }

    pub(super) fn reply(&mut self, seq: CallSeq, reply: Reply) {
        let link = self.driver.link;
        self.step(Input::Reply(link, seq, reply));
    }

    pub(super) fn answer(&mut self, command: CommandId) -> Result<Sent, CallError> {
        self.take(|o| match o {
            Output::Answer(c, result) if *c == command => Some(result.clone()),
            _ => None,
        })
    }

    /// The first output that fits, taken away; fails with what was said instead.
    pub(super) fn take<T>(&mut self, pick: impl Fn(&Output) -> Option<T>) -> T {
        let found = self.out.iter().position(|o| pick(o).is_some());
        let Some(at) = found else {
            panic!("not said; instead: {:#?}", self.out);
        };
        pick(&self.out.remove(at)).unwrap()
    }

    #[track_caller]
    pub(super) fn nothing_else(&self) {
        assert!(self.out.is_empty(), "also said: {:#?}", self.out);
    }
}

pub(super) fn subscribed_event(id: &str) -> scheduler::Event {
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

pub(super) fn error_event(message: &str) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error {
            message: message.into(),
        }),
        ..Default::default()
    }
}

pub(super) fn bare(kind: call::Type) -> scheduler::Call {
    scheduler::Call {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

pub(super) fn accept() -> scheduler::Call {
    scheduler::Call {
        accept: Some(call::Accept::default()),
        ..bare(call::Type::Accept)
    }
}

pub(super) fn kill() -> scheduler::Call {
    scheduler::Call {
        kill: Some(call::Kill {
            task_id: v1::TaskId { value: "t".into() },
            ..Default::default()
        }),
        ..bare(call::Type::Kill)
    }
}

pub(super) fn update_framework(name: &str) -> scheduler::Call {
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

pub(super) fn ack(epoch: u64) -> Input {
    Input::Ack(AckToken {
        epoch: Epoch(epoch),
        what: Acked::Task {
            agent_id: AgentId::new("a-S0").unwrap(),
            task_id: TaskId::new("t").unwrap(),
            uuid: vec![0; 16].into(),
        },
    })
}

impl Env {
    pub(super) fn resubscribe_after_told(&mut self) -> call::Subscribe {
        self.pass(secs(15));
        self.subscribe_now()
    }
}
