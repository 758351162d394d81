//! A framework's process: what it stores, and the tasks it makes up.

use crate::net::StreamId;
use crate::script::Script;
use meseta_master_core::io::Subscribe;
use meseta_master_core::state::Offer;
use meseta_types::random::Random;
use meseta_types::resource::{Resource, Scalar};
use meseta_types::task::{Capabilities, ExecutorSpec, FrameworkSpec, HealthCheckSpec, TaskSpec};
use meseta_types::{AgentId, ExecutorId, FrameworkId, Mono, Resources, Role, TaskId, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a framework may stay away.
const FAILOVER: Duration = Duration::from_secs(10);

/// A task as its framework sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) framework_id: FrameworkId,
    pub(crate) agent_id: AgentId,
    pub(crate) state: TaskState,
    /// Nothing follows, as far as the framework was told.
    pub(crate) ended: bool,
}

/// A framework's process and what it stores.
pub(crate) struct FrameworkNode {
    pub(crate) index: usize,
    pub(crate) life: u32,
    pub(crate) up: bool,
    pub(crate) id: Option<FrameworkId>,
    pub(super) hoards: bool,
    pub(super) calm: bool,
    capabilities: Capabilities,
    pub(super) checkpoint: bool,
    pub(super) random: Random,
    pub(crate) stream: Option<StreamId>,
    pub(crate) subscribed: bool,
    pub(crate) tasks: BTreeMap<TaskId, Seen>,
    pub(super) held: Vec<(Arc<Offer>, Mono)>,
    launched: u64,
    pub(super) target: usize,
    /// Of 100 acknowledgements, so many are slow.
    pub(super) slow: u64,
    /// Agents on which its last task finished after the healing.
    pub(crate) finals: BTreeSet<AgentId>,
    pub(super) final_tasks: BTreeMap<TaskId, AgentId>,
    pub(super) healed: bool,
}

impl FrameworkNode {
    pub(crate) fn new(index: usize, mut random: Random, calm: bool) -> FrameworkNode {
        let hoards = index == 1;
        FrameworkNode {
            index,
            life: 0,
            up: false,
            id: None,
            hoards,
            calm,
            capabilities: Capabilities {
                partition_aware: random.below(3) != 0,
                task_killing_state: random.below(2) == 0,
                ..Capabilities::default()
            },
            checkpoint: random.below(5) != 0,
            stream: None,
            subscribed: false,
            tasks: BTreeMap::new(),
            held: Vec::new(),
            launched: 0,
            target: if calm { 2 } else { 4 } + random.below(if calm { 3 } else { 8 }) as usize,
            slow: if hoards { 15 } else { 3 },
            finals: BTreeSet::new(),
            final_tasks: BTreeMap::new(),
            healed: false,
            random,
        }
    }

    pub(crate) fn subscription(&self) -> Subscribe {
        Subscribe {
            framework: FrameworkSpec {
                id: self.id.clone(),
                name: Arc::from(format!("framework-{}", self.index)),
                user: Arc::from("nobody"),
                roles: vec![Role::star()],
                capabilities: self.capabilities,
                failover_timeout: FAILOVER,
                checkpoint: self.checkpoint,
                principal: None,
                wire: Default::default(),
            },
            suppressed_roles: Vec::new(),
        }
    }

    /// Tasks it believes alive.
    pub(crate) fn alive(&self) -> usize {
        self.tasks.values().filter(|t| !t.ended).count()
    }

    fn script(&mut self) -> Script {
        let r = &mut self.random;
        let millis = |n| Duration::from_millis(n);
        let launch_max = if r.below(20) == 0 { 7000 } else { 300 };
        Script {
            launch: millis(1 + r.below(launch_max)),
            run: (r.below(4) != 0).then(|| millis(r.below(15_000))),
            exit: if r.below(5) == 0 { 3 } else { 0 },
            obey: (r.below(6) != 0).then(|| millis(r.below(1500))),
            unlaunchable: r.below(25) == 0,
            health: if r.below(4) == 0 { 30 } else { 250 },
        }
    }

    pub(super) fn task(&mut self, agent: &AgentId) -> TaskSpec {
        self.launched += 1;
        let script = if self.healed {
            Script {
                launch: Duration::from_millis(5),
                run: Some(Duration::from_millis(100)),
                exit: 0,
                obey: Some(Duration::ZERO),
                unlaunchable: false,
                health: 255,
            }
        } else {
            self.script()
        };
        let r = &mut self.random;
        let health = HealthCheckSpec {
            delay: Duration::from_millis(500),
            interval: Duration::from_millis(700),
            timeout: Duration::from_secs(1),
            consecutive_failures: 2,
            grace_period: Duration::from_secs(1),
        };
        let custom = !self.healed && r.below(4) == 0;
        let checked = !custom && r.below(4) == 0;
        let limited = r.below(12) == 0 && !self.healed;
        let cpus = 100 + 100 * r.below(8) as i64;
        TaskSpec {
            task_id: TaskId::as_written(format!("t{}-{}", self.index, self.launched)),
            name: Arc::from("task"),
            agent_id: agent.clone(),
            resources: resources(cpus, 32_000),
            executor: custom.then(|| self.executor()),
            has_command: !custom,
            kill_grace: Some(Duration::from_millis(self.random.below(3000))),
            max_completion_time: limited.then(|| Duration::from_millis(500 + self.random.below(5000))),
            has_limits: false,
            health_check: checked.then_some(health),
            check: None,
            invalid: None,
            wire: script.encode(),
            kept: Default::default(),
        }
    }

    fn executor(&self) -> ExecutorSpec {
        let script = Script {
            launch: Duration::from_millis(40),
            run: None,
            exit: 0,
            obey: Some(Duration::from_millis(100)),
            unlaunchable: false,
            health: 255,
        };
        ExecutorSpec {
            executor_id: ExecutorId::as_written(format!("e{}", self.index)),
            resources: resources(100, 16_000),
            name: Arc::from("executor"),
            source: Arc::from(""),
            is_default: false,
            shutdown_grace_period: None,
            wire: script.encode(),
        }
    }

    /// Gives up everything but its memory of tasks.
    pub(super) fn disconnect(&mut self) {
        self.stream = None;
        self.subscribed = false;
        self.held.clear();
    }

    pub(crate) fn heal(&mut self) {
        self.healed = true;
    }

    /// The agents it still owes a last task.
    pub(super) fn owes(&self, agent: &AgentId) -> bool {
        self.healed
            && !self.hoards
            && !self.finals.contains(agent)
            && !self
                .final_tasks
                .iter()
                .any(|(t, a)| a == agent && self.tasks.get(t).is_some_and(|t| !t.ended))
    }
}

fn resources(cpus: i64, mem: i64) -> Resources {
    [("cpus", cpus), ("mem", mem)]
        .into_iter()
        .map(|(name, amount)| Resource {
            allocation: Some(Role::star()),
            ..Resource::scalar(name, Scalar(amount))
        })
        .collect()
}

pub(super) fn fits(task: &TaskSpec, rest: &Resources) -> Option<Resources> {
    let mut need = task.resources.clone();
    if let Some(executor) = &task.executor {
        need += &executor.resources;
    }
    rest.checked_sub(&need)
}
