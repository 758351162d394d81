//! One ACCEPT with everything that follows (launch, two updates, two acknowledgements, the offers in between), on a
//! small and on a large cluster. What is measured must not depend on the size: the large figure stays within 1.3 times
//! the small one.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use meseta_master_core::io::{Accept, Call, Event, Filters, LinkId, Operation, StreamId, Subscribe};
use meseta_master_core::{Config, Effect, Effects, Input, MasterCore, Recovered};
use meseta_types::link::{AgentSpec, FromAgent, StatusUpdate};
use meseta_types::task::{Capabilities, FrameworkSpec, Source, TaskSpec, TaskStatus};
use meseta_types::{
    AgentId, ExecutorId, FrameworkId, Mono, Now, OfferId, Resources, Role, TaskId, TaskState, UpdateUuid,
    Wall,
};
use std::collections::BTreeMap;
use std::time::Duration;

const STREAM: StreamId = StreamId(1);
const TASKS_PER_AGENT: u64 = 50;

struct Cluster {
    core: MasterCore,
    now: Now,
    out: Effects,
    framework_id: FrameworkId,
    /// Outstanding offers by agent.
    offers: BTreeMap<AgentId, Vec<OfferId>>,
    agents: Vec<AgentId>,
    next: u64,
}

impl Cluster {
    fn new(agents: u64) -> Cluster {
        let now = Now {
            mono: Mono(1_000_000_000),
            wall: Wall(1_700_000_000_000_000_000),
        };
        let mut config = Config::new("1f6bb7a4-6b5e-4f34-a1a2-1b9d8a7c6e5f");
        config.offer_timeout = None;
        let mut cluster = Cluster {
            core: MasterCore::new(config, Recovered::default(), now),
            now,
            out: Effects::new(),
            framework_id: FrameworkId::as_written("1f6bb7a4-6b5e-4f34-a1a2-1b9d8a7c6e5f-0000"),
            offers: BTreeMap::new(),
            agents: Vec::new(),
            next: 0,
        };
        for n in 0..agents {
            let message = FromAgent::Register { agent: agent(n) };
            cluster.step(Input::Agent {
                link: LinkId(n),
                message,
            });
        }
        let subscribe = Subscribe {
            framework: framework(),
            suppressed_roles: Vec::new(),
        };
        cluster.step(Input::Subscribe {
            stream: STREAM,
            subscribe,
        });
        cluster.step(Input::Tick);
        for place in 0..agents as usize {
            for _ in 0..TASKS_PER_AGENT {
                cluster.launch(place);
            }
        }
        cluster
    }

    fn step(&mut self, input: Input) {
        self.core.step(self.now, input, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        for effect in out.drain() {
            match effect {
                Effect::Commit { id, .. } => {
                    let outcome = meseta_master_core::io::Outcome::Done;
                    self.step(Input::Committed { id, outcome });
                }
                Effect::ToFramework {
                    event: Event::Offers { offers, .. },
                    ..
                } => {
                    for offer in offers {
                        self.offers
                            .entry(offer.agent_id.clone())
                            .or_default()
                            .push(offer.id.id());
                    }
                }
                Effect::Operator(meseta_master_core::io::OperatorEvent::AgentAdded(agent)) => {
                    self.agents.push(agent.id.clone());
                }
                _ => {}
            }
        }
        self.out = out;
    }

    fn launch(&mut self, place: usize) -> TaskId {
        let agent_id = self.agents[place].clone();
        let offer_ids = self.offers.remove(&agent_id).unwrap();
        let task_id = TaskId::as_written(format!("task-{:08}", self.next));
        self.next += 1;
        let accept = Accept {
            offer_ids,
            operations: vec![Operation::Launch {
                id: None,
                tasks: vec![task(&task_id, agent_id)],
            }],
            filters: Filters::from_seconds(Some(0.0)),
        };
        self.call(Call::Accept(accept));
        self.step(Input::Tick);
        task_id
    }

    fn update(&mut self, place: usize, task_id: &TaskId, state: TaskState) {
        let uuid = UpdateUuid([state as u8; 16]);
        let agent_id = self.agents[place].clone();
        let status = TaskStatus {
            task_id: task_id.clone(),
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            agent_id: Some(agent_id.clone()),
            executor_id: Some(ExecutorId::as_written(task_id.as_str())),
            timestamp: self.now.wall,
            uuid: Some(uuid),
            healthy: None,
            unreachable_time: None,
            wire: Bytes::from_static(&[0x6a, 4, b'b', b'e', b'n', b'c']),
        };
        let update = StatusUpdate {
            framework_id: self.framework_id.clone(),
            status,
            latest_state: state,
        };
        self.step(Input::Agent {
            link: LinkId(place as u64),
            message: FromAgent::Update(update),
        });
        self.call(Call::Acknowledge {
            agent_id,
            task_id: task_id.clone(),
            uuid,
        });
        self.step(Input::Tick);
    }

    fn call(&mut self, call: Call) {
        let framework_id = self.framework_id.clone();
        self.step(Input::Call {
            stream: STREAM,
            framework_id,
            call,
        });
    }

    /// One task's whole life on one agent.
    fn live(&mut self, turn: u64) {
        let place = (turn.wrapping_mul(7919) % self.agents.len() as u64) as usize;
        let task_id = self.launch(place);
        self.update(place, &task_id, TaskState::Running);
        self.update(place, &task_id, TaskState::Finished);
    }
}

fn agent(n: u64) -> AgentSpec {
    AgentSpec {
        id: None,
        hostname: format!("agent-{n}").into(),
        ip: std::net::Ipv4Addr::from(0x0a00_0000 + n as u32).into(),
        port: 5051,
        resources: Resources::parse(
            "cpus:64;mem:262144;disk:1000000;ports:[31000-32000]",
            &Role::star(),
        )
        .unwrap(),
        version: "1.12.0".into(),
        capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE"].map(Into::into).to_vec(),
        wire: Bytes::from_static(b"an agent"),
    }
}

fn framework() -> FrameworkSpec {
    FrameworkSpec {
        id: None,
        name: "bench".into(),
        user: "nobody".into(),
        roles: vec![Role::new("dev").unwrap()],
        capabilities: Capabilities {
            partition_aware: true,
            multi_role: true,
            ..Capabilities::default()
        },
        failover_timeout: Duration::from_secs(3600),
        checkpoint: true,
        principal: None,
        wire: Bytes::from_static(b"a framework"),
    }
}

fn task(task_id: &TaskId, agent_id: AgentId) -> TaskSpec {
    TaskSpec {
        task_id: task_id.clone(),
        name: "bench".into(),
        agent_id,
        resources: Resources::parse("cpus:0.1;mem:32", &Role::star()).unwrap(),
        executor: None,
        has_command: true,
        kill_grace: None,
        max_completion_time: None,
        has_limits: false,
        health_check: None,
        check: None,
        invalid: None,
        wire: Bytes::from_static(b"a task"),
        kept: Bytes::new(),
    }
}

fn accepts(c: &mut Criterion) {
    let mut group = c.benchmark_group("one ACCEPT and its updates");
    group.sample_size(50).measurement_time(Duration::from_secs(5));
    for agents in [20, 1_000] {
        let mut cluster = Cluster::new(agents);
        let mut turn = 0;
        group.bench_function(
            format!("{} tasks on {agents} agents", agents * TASKS_PER_AGENT),
            |b| {
                b.iter(|| {
                    turn += 1;
                    cluster.live(turn);
                });
            },
        );
        cluster.core.check().unwrap();
    }
    group.finish();
}

criterion_group!(benches, accepts);
criterion_main!(benches);
