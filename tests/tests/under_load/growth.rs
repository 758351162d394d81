//! What one ACCEPT with its updates costs the master's core, in a small and in a large cluster.

use bytes::Bytes;
use meseta_master_core::io::{Accept, Call, Event, Filters, LinkId, Operation, Outcome, StreamId, Subscribe};
use meseta_master_core::state::Offer;
use meseta_master_core::{Config, Effect, Effects, Input, MasterCore, Recovered};
use meseta_types::link::{AgentSpec, FromAgent, StatusUpdate};
use meseta_types::task::{Capabilities, FrameworkSpec, Source, TaskSpec, TaskStatus};
use meseta_types::{AgentId, FrameworkId, Mono, Now, Resources, Role, TaskId, TaskState, UpdateUuid, Wall};
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
    /// Outstanding offers by agent, in their order: what the client remembers must not weigh on what is measured.
    offers: Vec<Vec<Arc<Offer>>>,
    agents: Vec<(AgentId, LinkId)>,
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
            agents: Vec::new(),
            task: Resources::parse("cpus:0.01;mem:1", &Role::star()).unwrap(),
            tasks: 0,
            updates: 0,
        };
        for n in 0..agents {
            cluster.add_agent(n);
        }
        cluster.subscribe();
        for n in 0..tasks {
            let (agent, link) = cluster.agents[n % agents].clone();
            let task = cluster.launch(n % agents, &agent);
            cluster.update(link, &agent, &task, TaskState::Running);
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
        for n in 0..self.agents.len() {
            self.round(n);
        }
        let mut times: Vec<Duration> = (0..rounds)
            .map(|n| {
                let start = Instant::now();
                self.round(n);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[rounds / 2]
    }

    fn round(&mut self, n: usize) {
        let number = n * 7 % self.agents.len();
        let (agent, link) = self.agents[number].clone();
        let task = self.launch(number, &agent);
        for state in [TaskState::Starting, TaskState::Running, TaskState::Finished] {
            self.update(link, &agent, &task, state);
        }
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
                    } => {
                        for offer in offers {
                            self.offers[number(&offer.agent_id)].push(offer);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.now.mono = self.now.mono + Duration::from_micros(1);
    }

    fn add_agent(&mut self, n: usize) {
        let link = LinkId(n as u64 + 1);
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
        self.step(Input::Agent {
            link,
            message: FromAgent::Register { agent },
        });
        self.agents.push((AgentId::new(format!("m-S{n}")).unwrap(), link));
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
        self.step(Input::Subscribe {
            stream: STREAM,
            subscribe: Subscribe {
                framework,
                suppressed_roles: Vec::new(),
            },
        });
        assert!(
            self.offers.iter().all(|of| !of.is_empty()),
            "every agent is offered"
        );
    }

    fn call(&mut self, call: Call) {
        let framework_id = self.framework.clone();
        self.step(Input::Call {
            stream: STREAM,
            framework_id,
            call,
        });
    }

    fn launch(&mut self, number: usize, agent: &AgentId) -> TaskId {
        let task_id = TaskId::new(format!("task-{:08}", self.tasks)).unwrap();
        self.tasks += 1;
        let offers = std::mem::take(&mut self.offers[number]);
        assert!(!offers.is_empty(), "{agent} is offered");
        let task = TaskSpec {
            task_id: task_id.clone(),
            name: task_id.as_str().into(),
            agent_id: agent.clone(),
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
            offer_ids: offers.iter().map(|o| o.id.clone()).collect(),
            operations: vec![Operation::Launch {
                id: None,
                tasks: vec![task],
            }],
            filters: Filters::from_seconds(Some(0.0)),
        }));
        task_id
    }

    fn update(&mut self, link: LinkId, agent: &AgentId, task: &TaskId, state: TaskState) {
        self.updates += 1;
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&self.updates.to_le_bytes());
        let uuid = UpdateUuid(uuid);
        let status = TaskStatus {
            task_id: task.clone(),
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            agent_id: Some(agent.clone()),
            executor_id: None,
            timestamp: self.now.wall,
            uuid: Some(uuid),
            healthy: None,
            unreachable_time: None,
            wire: Bytes::new(),
        };
        let framework_id = self.framework.clone();
        self.step(Input::Agent {
            link,
            message: FromAgent::Update(StatusUpdate {
                framework_id,
                status,
                latest_state: state,
            }),
        });
        self.call(Call::Acknowledge {
            agent_id: agent.clone(),
            task_id: task.clone(),
            uuid,
        });
    }
}

/// The n of the n-th agent's id.
fn number(agent: &AgentId) -> usize {
    agent.as_str().trim_start_matches("m-S").parse().unwrap()
}
