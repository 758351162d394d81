//! What one ACCEPT with its updates costs the master's core, in a small and in a large cluster.

use bytes::Bytes;
use meseta_master_core::io::{Accept, Call, Event, Filters, LinkId, Operation, Outcome, StreamId, Subscribe};
use meseta_master_core::state::Offer;
use meseta_master_core::{Config, Effect, Effects, Input, MasterCore, Recovered};
use meseta_types::link::{AgentSpec, FromAgent, StatusUpdate};
use meseta_types::task::{Capabilities, FrameworkSpec, Source, TaskSpec, TaskStatus};
use meseta_types::{
    AgentId, FrameworkId, Mono, Now, OfferId, Resources, Role, TaskId, TaskState, UpdateUuid, Wall,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STREAM: StreamId = StreamId(1);

/// Rounds before anything is measured: a cluster that has been at work, whose heap no longer lies in the order of its
/// set-up.
const WORK: usize = 50_000;

/// A core with agents, one framework, and running tasks.
pub(crate) struct Cluster {
    core: MasterCore,
    now: Now,
    out: Effects,
    framework: FrameworkId,
    /// Outstanding offers by agent, in their order.
    offers: Vec<Vec<OfferId>>,
    /// Offers that came during the inputs of a round.
    offered: Vec<Arc<Offer>>,
    /// The inputs of a round: one buffer for all rounds, as a shell has one for all messages.
    inputs: Vec<Input>,
    task: Resources,
    tasks: u64,
    updates: u64,
}

impl Cluster {
    pub(crate) fn new(agents: usize, tasks: usize) -> Cluster {
        let now = Now {
            mono: Mono(1_000_000_000),
            wall: Wall(1_700_000_000_000_000_000),
        };
        let config = Config {
            offer_timeout: None,
            ..Config::new("m")
        };
        let mut cluster = Cluster {
            core: MasterCore::new(config, Recovered::default(), now),
            now,
            out: Effects::new(),
            framework: FrameworkId::new("none").unwrap(),
            offers: vec![Vec::new(); agents],
            offered: Vec::new(),
            inputs: Vec::new(),
            task: Resources::parse("cpus:0.01;mem:1", &Role::star()).unwrap(),
            tasks: 0,
            updates: 0,
        };
        for n in 0..agents {
            cluster.add_agent(n);
        }
        cluster.subscribe();
        for n in 0..tasks {
            cluster.life(n % agents, &[TaskState::Running]);
            cluster.feed();
        }
        for n in 0..WORK {
            cluster.round(n);
        }
        cluster.core.check().unwrap();
        cluster
    }

    /// The time of one ACCEPT of one task with its three updates and their acknowledgements, on each of the agents in
    /// turn: the median of `rounds`, after a turn that is not measured, since what was done before (the other cluster's
    /// turns, a check of every sum) has left the processor's caches as no master at work finds them.
    pub(crate) fn cost(&mut self, rounds: usize) -> Duration {
        for n in 0..self.offers.len() {
            self.round(n);
        }
        let mut times: Vec<Duration> = (0..rounds).map(|n| self.round(n)).collect();
        times.sort_unstable();
        times[rounds / 2]
    }

    /// One task's life, and how long the core was at it.
    ///
    /// The inputs are made before the time is taken: a shell has decoded them from a socket just now, so they lie in
    /// memory that is at hand, and in ids of their own. What the client remembers (its offers, by agent) and reads up
    /// is its own cost, in a process of its own.
    fn round(&mut self, n: usize) -> Duration {
        let agent = n * 7 % self.offers.len();
        let states = [TaskState::Starting, TaskState::Running, TaskState::Finished];
        self.life(agent, &states);
        self.feed()
    }

    /// The ACCEPT of one task on an agent, then its updates, each with its acknowledgement.
    fn life(&mut self, agent: usize, states: &[TaskState]) {
        let task_id = format!("task-{:08}", self.tasks);
        self.tasks += 1;
        let launch = self.launch(agent, &task_id);
        self.inputs.push(launch);
        for state in states {
            let update = self.update(agent, &task_id, *state);
            self.inputs.extend(update);
        }
    }

    fn feed(&mut self) -> Duration {
        let mut inputs = std::mem::take(&mut self.inputs);
        let start = Instant::now();
        for input in inputs.drain(..) {
            self.step(input);
        }
        let time = start.elapsed();
        self.inputs = inputs;
        for offer in self.offered.drain(..) {
            self.offers[number(&offer.agent_id)].push(offer.id.id());
        }
        time
    }

    /// Recomputes every sum.
    pub(crate) fn check(&self) {
        self.core.check().unwrap();
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.core.step(self.now, input, &mut self.out);
            while self.core.deadline().is_some_and(|(at, _)| at <= self.now.mono) {
                self.core.step(self.now, Input::Tick, &mut self.out);
            }
            for effect in self.out.drain() {
                match effect {
                    Effect::Commit { id, .. } => inputs.push(Input::Committed {
                        id,
                        outcome: Outcome::Done,
                    }),
                    Effect::ToFramework {
                        event: Event::Subscribed { framework_id },
                        ..
                    } => self.framework = framework_id,
                    Effect::ToFramework {
                        event: Event::Offers { offers, .. },
                        ..
                    } => self.offered.extend(offers),
                    _ => {}
                }
            }
        }
        self.now.mono = self.now.mono + Duration::from_micros(1);
    }

    fn add_agent(&mut self, n: usize) {
        let agent = AgentSpec {
            id: None,
            hostname: format!("host{n}").into(),
            ip: "10.0.0.1".parse().unwrap(),
            port: 5051 + u16::try_from(n).unwrap(),
            resources: Resources::parse("cpus:64;mem:65536;ports:[31000-32000]", &Role::star()).unwrap(),
            version: "1.12.0".into(),
            capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE"].map(Into::into).to_vec(),
            wire: Bytes::new(),
        };
        self.inputs.push(Input::Agent {
            link: link(n),
            message: FromAgent::Register { agent },
        });
        self.feed();
    }

    fn subscribe(&mut self) {
        let framework = FrameworkSpec {
            id: None,
            name: "load".into(),
            user: "nobody".into(),
            roles: vec![Role::star()],
            capabilities: Capabilities {
                multi_role: true,
                partition_aware: true,
                ..Capabilities::default()
            },
            failover_timeout: Duration::from_secs(3600),
            checkpoint: true,
            principal: None,
            wire: Bytes::new(),
        };
        self.inputs.push(Input::Subscribe {
            stream: STREAM,
            subscribe: Subscribe {
                framework,
                suppressed_roles: Vec::new(),
            },
        });
        self.feed();
        assert!(
            self.offers.iter().all(|of| !of.is_empty()),
            "every agent is offered"
        );
    }

    fn call(&self, call: Call) -> Input {
        Input::Call {
            stream: STREAM,
            framework_id: self.framework.clone(),
            call,
        }
    }

    fn launch(&mut self, number: usize, task_id: &str) -> Input {
        let offers = std::mem::take(&mut self.offers[number]);
        assert!(!offers.is_empty(), "agent {number} is offered");
        let task = TaskSpec {
            task_id: TaskId::as_written(task_id),
            name: task_id.into(),
            agent_id: agent_id(number),
            resources: self.task.clone(),
            executor: None,
            has_command: true,
            kill_grace: None,
            max_completion_time: None,
            has_limits: false,
            health_check: None,
            check: None,
            invalid: None,
            wire: Bytes::new(),
            kept: Bytes::new(),
        };
        self.call(Call::Accept(Accept {
            offer_ids: offers.iter().map(|id| OfferId::as_written(id.as_str())).collect(),
            operations: vec![Operation::Launch {
                id: None,
                tasks: vec![task],
            }],
            filters: Filters::from_seconds(Some(0.0)),
        }))
    }

    /// An update, and its acknowledgement.
    fn update(&mut self, number: usize, task_id: &str, state: TaskState) -> [Input; 2] {
        self.updates += 1;
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&self.updates.to_le_bytes());
        let uuid = UpdateUuid(uuid);
        let status = TaskStatus {
            task_id: TaskId::as_written(task_id),
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            agent_id: Some(agent_id(number)),
            executor_id: None,
            timestamp: self.now.wall,
            uuid: Some(uuid),
            healthy: None,
            unreachable_time: None,
            wire: Bytes::new(),
        };
        let update = Input::Agent {
            link: link(number),
            message: FromAgent::Update(StatusUpdate {
                framework_id: self.framework.clone(),
                status,
                latest_state: state,
            }),
        };
        let acknowledgement = self.call(Call::Acknowledge {
            agent_id: agent_id(number),
            task_id: TaskId::as_written(task_id),
            uuid,
        });
        [update, acknowledgement]
    }
}

fn link(number: usize) -> LinkId {
    LinkId(number as u64 + 1)
}

/// The n-th agent's id.
fn agent_id(number: usize) -> AgentId {
    AgentId::as_written(format!("m-S{number}"))
}

/// The n of the n-th agent's id.
fn number(agent: &AgentId) -> usize {
    agent.as_str().trim_start_matches("m-S").parse().unwrap()
}
