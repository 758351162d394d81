//! Stories on a small environment: one core, a log that is durable at once (or when told), a clock that jumps.
//!
//! Every step is followed by `check()`; a story ends by proving that nothing else was wanted.
#![allow(clippy::unwrap_used)]

mod build;
mod custom;
mod gc;
mod kill;
mod link;
mod probes;
mod recovery;
mod storm;
mod tasks;
mod updates;

use crate::*;
use build::*;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::task::TaskStatus;
use meseta_types::{ContainerId, Mono, Now, TaskState, UpdateUuid, Wall};
use std::sync::Arc;
use std::time::Duration;

/// One agent's core and what surrounds it.
struct Env {
    core: AgentCore,
    config: Config,
    now: Now,
    /// Effects not looked at yet.
    out: Vec<Effect>,
    /// The durable log.
    log: Vec<Record>,
    /// Batches that are not durable yet, when `hold` is set.
    held: Vec<(PersistId, Vec<Record>)>,
    hold: bool,
    link: LinkId,
    requests: u64,
}

impl Env {
    /// A fresh agent that was not told anything yet.
    fn cold(config: Config) -> Env {
        let now = Now {
            mono: Mono(1_000_000_000),
            wall: Wall(1_795_239_201_000_000_000),
        };
        Env {
            core: AgentCore::new(config.clone(), agent_spec()),
            config,
            now,
            out: Vec::new(),
            log: Vec::new(),
            held: Vec::new(),
            hold: false,
            link: LinkId::default(),
            requests: 0,
        }
    }

    /// A registered agent without tasks.
    fn registered() -> Env {
        Env::registered_with(Config::default())
    }

    fn registered_with(config: Config) -> Env {
        let mut env = Env::cold(config);
        env.recover(Vec::new());
        env.register();
        env.out.clear();
        env
    }

    /// The next life of the agent, on the same log, with these containers found. Not registered yet.
    fn restart(&mut self, containers: Vec<FoundContainer>) {
        self.core = AgentCore::new(self.config.clone(), agent_spec());
        self.held.clear();
        self.out.clear();
        self.now.mono = self.now.mono + Duration::from_millis(10);
        self.now.wall = Wall(self.now.wall.0 + 10_000_000);
        self.recover(containers);
    }

    fn recover(&mut self, containers: Vec<FoundContainer>) {
        let records = self.log.clone();
        self.input(Input::Recover(Found {
            records,
            containers,
            boot_id: Arc::from("boot-1"),
            old_agents: Vec::new(),
        }));
    }

    /// Detects a master, connects, registers.
    fn register(&mut self) {
        self.input(Input::Master(Some(Arc::from("m:5050"))));
        self.connect();
        self.answer_registration(Vec::new());
    }

    /// Waits for the next connection and opens it.
    fn connect(&mut self) {
        if !self.out.iter().any(|e| matches!(e, Effect::Connect { .. })) {
            self.until(TimerKind::Link);
        }
        let link = self.out.iter().find_map(|e| match e {
            Effect::Connect { link, .. } => Some(*link),
            _ => None,
        });
        self.link = link.expect("the agent connects");
        self.input(Input::LinkUp(self.link));
    }

    fn answer_registration(&mut self, reconcile: Vec<(&str, &str)>) {
        let again = self
            .out
            .iter()
            .any(|e| matches!(e, Effect::Send(FromAgent::Reregister { .. })));
        let agent_id = agent_id();
        let total_ping_timeout = Duration::from_secs(75);
        let answer = if again {
            ToAgent::Reregistered {
                agent_id,
                total_ping_timeout,
                reconcile: reconcile.into_iter().map(|(f, t)| (fid(f), tid(t))).collect(),
            }
        } else {
            ToAgent::Registered {
                agent_id,
                total_ping_timeout,
            }
        };
        self.master(answer);
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        self.core.check().unwrap();
        for effect in out {
            match effect {
                Effect::Persist { id, records } if self.hold => self.held.push((id, records)),
                Effect::Persist { id, records } => {
                    self.log.extend(records);
                    self.input(Input::Persisted(id));
                }
                other => self.out.push(other),
            }
        }
    }

    /// Everything held becomes durable.
    fn release(&mut self) {
        for (id, records) in std::mem::take(&mut self.held) {
            self.log.extend(records);
            self.input(Input::Persisted(id));
        }
    }

    fn master(&mut self, message: ToAgent) {
        self.input(Input::FromMaster(self.link, message));
    }

    /// Lets time pass, ticking at every deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some((at, _)) = self.core.deadline().filter(|(at, _)| *at <= end) {
            self.jump(at);
            self.input(Input::Tick);
        }
        self.jump(end);
    }

    /// Jumps to the next deadline of this kind, ticking at those before it.
    fn until(&mut self, kind: TimerKind) {
        for _ in 0..1000 {
            let (at, next) = self.core.deadline().expect("a deadline");
            self.jump(at);
            self.input(Input::Tick);
            if next == kind {
                return;
            }
        }
        panic!("no {kind:?} within 1000 deadlines");
    }

    fn jump(&mut self, at: Mono) {
        let step = at.since(self.now.mono);
        self.now.mono = self.now.mono.max(at);
        self.now.wall = Wall(self.now.wall.0 + i64::try_from(step.as_nanos()).unwrap());
    }

    /// The updates told since the last look, with their tasks.
    fn told(&mut self) -> Vec<TaskStatus> {
        let (told, rest) = std::mem::take(&mut self.out)
            .into_iter()
            .partition(|e| matches!(e, Effect::Send(FromAgent::Update(_))));
        self.out = rest;
        let told: Vec<Effect> = told;
        told.into_iter()
            .filter_map(|e| match e {
                Effect::Send(FromAgent::Update(u)) => Some(u.status),
                _ => None,
            })
            .collect()
    }

    /// The one update told since the last look.
    fn one_told(&mut self) -> TaskStatus {
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    fn ack(&mut self, status: &TaskStatus) {
        self.ack_as(status, status.uuid.unwrap());
    }

    fn ack_as(&mut self, status: &TaskStatus, uuid: UpdateUuid) {
        self.master(ToAgent::AckUpdate {
            framework_id: fid("f"),
            task_id: status.task_id.clone(),
            uuid,
        });
    }

    /// Acknowledges updates until none is told; their states.
    fn ack_all(&mut self) -> Vec<TaskState> {
        let mut states = Vec::new();
        loop {
            let told = self.told();
            if told.is_empty() {
                return states;
            }
            for status in told {
                states.push(status.state);
                self.ack(&status);
            }
        }
    }

    /// Takes the effects not looked at, without notices.
    fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out)
            .into_iter()
            .filter(|e| !matches!(e, Effect::Notice(..) | Effect::MeasureDisk))
            .collect()
    }

    #[track_caller]
    fn nothing_else(&mut self) {
        assert_eq!(self.effects(), Vec::<Effect>::new());
    }

    /// The container ordered since the last look.
    #[track_caller]
    fn launch_order(&mut self) -> Arc<LaunchOrder> {
        let at = self.out.iter().position(|e| matches!(e, Effect::Launch(_)));
        match self.out.remove(at.expect("a launch order")) {
            Effect::Launch(order) => order,
            _ => unreachable!(),
        }
    }

    fn started(&mut self, container: &ContainerId) {
        self.input(Input::Launched {
            container_id: container.clone(),
            outcome: Ok(launch_info()),
        });
    }

    fn exited(&mut self, container: &ContainerId, status: i32) {
        self.input(Input::Exited {
            container_id: container.clone(),
            termination: Termination {
                status: Some(status),
                ..Termination::default()
            },
        });
    }

    /// A command task that runs, its first updates acknowledged.
    fn running(&mut self, task: &str) -> ContainerId {
        self.running_with(framework(), command(task))
    }

    fn running_with(
        &mut self,
        framework: meseta_types::task::FrameworkSpec,
        task: meseta_types::task::TaskSpec,
    ) -> ContainerId {
        self.master(run(framework, task));
        let order = self.launch_order();
        self.started(&order.container_id);
        assert_eq!(self.ack_all(), [TaskState::Starting, TaskState::Running]);
        order.container_id.clone()
    }

    fn task(&self, task: &str) -> TaskView {
        let view = self.core.view();
        let tasks = view.frameworks.iter().flat_map(|f| &f.executors);
        let mut tasks = tasks.flat_map(|e| &e.tasks);
        tasks.find(|t| t.spec.task_id == tid(task)).unwrap().clone()
    }
}
