//! A modelled host: a supervisor with its containers, which outlives the agent's process.
//!
//! A container starts, runs its script, ends by itself, by SIGTERM or by SIGKILL; its end is remembered until the agent
//! says that it recorded it. What the agent's process missed it finds when it starts again.

use crate::agent::AgentNode;
use crate::marks::Mark;
use crate::script::Script;
use crate::world::{Event, World};
use meseta_agent_core::{
    FoundContainer, Input, LaunchFailure, LaunchInfo, LaunchOrder, ProbeKind, ProbeOrder, ProbeOutcome,
    Termination,
};
use meseta_types::random::Random;
use meseta_types::{ContainerId, FrameworkId, Resources, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Something that happens to a container.
#[derive(Debug)]
pub(crate) enum HostEvent {
    /// Its launch is over.
    Started(ContainerId),
    /// Its first process ends with this raw wait status, if it has not yet.
    Ends(ContainerId, i32),
}

/// How far a container is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Starting,
    Running,
    Ended(Termination),
}

/// A container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) order: Arc<LaunchOrder>,
    pub(crate) script: Script,
    pub(crate) phase: Phase,
    /// It lived through an end of its agent's process.
    pub(crate) survived: bool,
}

impl Container {
    pub(crate) fn framework_id(&self) -> Option<&FrameworkId> {
        self.order.framework.id.as_ref()
    }

    pub(crate) fn command_task(&self) -> Option<&TaskId> {
        self.order.command_task.as_ref().map(|t| &t.task_id)
    }
}

/// A host.
pub(crate) struct Host {
    random: Random,
    pub(crate) containers: BTreeMap<ContainerId, Container>,
    /// Gone with their supervisor.
    perished: BTreeSet<ContainerId>,
}

impl Host {
    pub(crate) fn new(random: Random) -> Host {
        Host {
            random,
            containers: BTreeMap::new(),
            perished: BTreeSet::new(),
        }
    }

    pub(crate) fn is_running_any(&self) -> bool {
        self.containers.values().any(|c| c.phase == Phase::Running)
    }

    /// What an agent that starts finds.
    pub(crate) fn found(&self) -> Vec<FoundContainer> {
        self.containers
            .iter()
            .filter(|(_, c)| c.phase != Phase::Starting)
            .map(|(id, c)| FoundContainer {
                container_id: id.clone(),
                info: info(),
                exit: match &c.phase {
                    Phase::Ended(termination) => Some(termination.clone()),
                    Phase::Starting | Phase::Running => None,
                },
            })
            .collect()
    }

    /// A launch under way when the agent's process ends comes to nothing or is completed.
    pub(crate) fn agent_crashed(&mut self) {
        let random = &mut self.random;
        self.containers.retain(|_, c| {
            if c.phase == Phase::Starting {
                if random.below(2) == 0 || c.script.unlaunchable {
                    return false;
                }
                c.phase = Phase::Running;
            }
            c.survived |= c.phase == Phase::Running;
            true
        });
    }
}

fn info() -> LaunchInfo {
    LaunchInfo {
        pid: 1000,
        container_status: Default::default(),
    }
}

impl World {
    pub(crate) fn host_launch(&mut self, i: usize, order: Arc<LaunchOrder>) {
        let executor = order.executor.wire.clone();
        let wire = order.command_task.as_ref().map_or(executor, |t| t.wire.clone());
        let Some(script) = Script::decode(&wire) else {
            return self.fail("a container without a script");
        };
        let id = order.container_id.clone();
        if let Err(why) = self.oracle.container_launched(&order) {
            self.fail(format!("agent {i}: {why}"));
        }
        let container = Container {
            order,
            script,
            phase: Phase::Starting,
            survived: false,
        };
        if self.agents[i]
            .host
            .containers
            .insert(id.clone(), container)
            .is_some()
        {
            return self.fail(format!("agent {i}: container {id} launched twice"));
        }
        self.at(script.launch, Event::Host(i, HostEvent::Started(id)));
    }

    pub(crate) fn host_event(&mut self, i: usize, event: HostEvent) {
        match event {
            HostEvent::Started(id) => self.container_started(i, id),
            HostEvent::Ends(id, status) => {
                let termination = Termination {
                    status: Some(status),
                    ..Termination::default()
                };
                self.container_ends(i, &id, termination);
            }
        }
    }

    fn container_started(&mut self, i: usize, id: ContainerId) {
        let node = &mut self.agents[i];
        let life = node.life;
        let up = node.core.is_some();
        let Some(container) = node.host.containers.get_mut(&id) else {
            return;
        };
        // Its agent's crash may have completed the launch already.
        let new = container.phase == Phase::Starting;
        if !new && container.phase != Phase::Running {
            return;
        }
        let script = container.script;
        let outcome = if script.unlaunchable {
            node.host.containers.remove(&id);
            Err(LaunchFailure::Launch("the script says so".into()))
        } else {
            container.phase = Phase::Running;
            Ok(info())
        };
        if outcome.is_ok() {
            self.runs(i, &id, script);
        }
        if up && new {
            let input = Input::Launched {
                container_id: id,
                outcome,
            };
            self.at(Duration::from_micros(100), Event::Agent(i, life, input));
        }
    }

    /// A container's first process begins.
    fn runs(&mut self, i: usize, id: &ContainerId, script: Script) {
        let command = self.agents[i]
            .host
            .containers
            .get(id)
            .is_some_and(|c| c.command_task().is_some());
        if !command {
            return self.executor_begins(i, id);
        }
        if let Some(time) = script.run {
            let status = i32::from(script.exit) << 8;
            let event = HostEvent::Ends(id.clone(), status);
            self.at(time, Event::Host(i, event));
        }
    }

    pub(crate) fn container_ends(&mut self, i: usize, id: &ContainerId, termination: Termination) {
        let node = &mut self.agents[i];
        let (life, up) = (node.life, node.core.is_some());
        let Some(container) = node.host.containers.get_mut(id) else {
            return;
        };
        if container.phase != Phase::Running {
            return;
        }
        container.phase = Phase::Ended(termination.clone());
        let survived = container.survived;
        let container = container.clone();
        self.oracle.container_ended(&container, &termination);
        if container.command_task().is_some() {
            if survived && up {
                self.see(Mark::TaskSurvived);
            }
            if !up {
                self.see(Mark::ExitWhileAway);
            }
        }
        self.executor_ends(i, id);
        if up {
            let input = Input::Exited {
                container_id: id.clone(),
                termination,
            };
            self.at(Duration::from_micros(300), Event::Agent(i, life, input));
        }
    }

    pub(crate) fn host_terminate(&mut self, i: usize, id: &ContainerId) {
        if let Some(why) = self.unexcused(i, id) {
            self.fail(format!("agent {i}: SIGTERM for {id}: {why}"));
        }
        let Some(container) = self.agents[i].host.containers.get(id) else {
            return;
        };
        if container.phase == Phase::Running
            && let Some(wait) = container.script.obey
        {
            self.at(wait, Event::Host(i, HostEvent::Ends(id.clone(), SIGTERM)));
        }
    }

    pub(crate) fn host_destroy(&mut self, i: usize, id: &ContainerId) {
        if let Some(why) = self.unexcused(i, id) {
            self.fail(format!("agent {i}: destruction of {id}: {why}"));
        }
        let node = &mut self.agents[i];
        let life = node.life;
        let Some(container) = node.host.containers.get(id) else {
            return;
        };
        match container.phase {
            Phase::Starting => {
                node.host.containers.remove(id);
                let input = Input::Launched {
                    container_id: id.clone(),
                    outcome: Err(LaunchFailure::Launch("destroyed while starting".into())),
                };
                self.at(Duration::from_millis(2), Event::Agent(i, life, input));
            }
            Phase::Running => {
                if container.script.obey.is_none() {
                    self.see(Mark::KillEscalated);
                }
                let event = HostEvent::Ends(id.clone(), SIGKILL);
                self.at(Duration::from_millis(3), Event::Host(i, event));
            }
            Phase::Ended(_) => {}
        }
    }

    /// Why nobody had a reason to end this container, if so.
    fn unexcused(&self, i: usize, id: &ContainerId) -> Option<String> {
        let container = self.agents[i].host.containers.get(id)?;
        self.oracle.unexcused(container)
    }

    pub(crate) fn host_forget(&mut self, i: usize, id: &ContainerId) {
        let containers = &mut self.agents[i].host.containers;
        match containers.get(id).map(|c| &c.phase) {
            Some(Phase::Ended(_)) => {
                containers.remove(id);
            }
            Some(Phase::Starting | Phase::Running) => {
                self.fail(format!("agent {i} forgets container {id}, which lives"));
            }
            None => {}
        }
    }

    pub(crate) fn host_probe(&mut self, i: usize, order: ProbeOrder) {
        let node = &mut self.agents[i];
        let life = node.life;
        let outcome = match (order.kind, Script::decode(&order.task.wire)) {
            (ProbeKind::Health, Some(script)) => {
                if node.random.below(256) <= u64::from(script.health) {
                    ProbeOutcome::Passed
                } else {
                    ProbeOutcome::Failed("by lot".into())
                }
            }
            _ => ProbeOutcome::Skipped,
        };
        let wait = node.random.duration_below(Duration::from_millis(100));
        let input = Input::ProbeDone {
            probe: order.probe,
            outcome,
        };
        self.at(wait, Event::Agent(i, life, input));
    }

    /// The supervisor dies; some of its containers may outlive it. Launches under way are the next one's; what it finds to
    /// have begun and ended meanwhile is told so.
    pub(crate) fn supervisor_dies(&mut self, i: usize, some_survive: bool) {
        let node = &mut self.agents[i];
        let (mut dead, mut unseen) = (Vec::new(), Vec::new());
        for (id, container) in &mut node.host.containers {
            let spared = some_survive && node.random.below(2) == 0;
            match container.phase {
                Phase::Running if !spared => dead.push(id.clone()),
                Phase::Starting if !spared => unseen.push(id.clone()),
                Phase::Starting | Phase::Running | Phase::Ended(_) => {}
            }
        }
        if !dead.is_empty() {
            self.see(Mark::SupervisorDeath);
        }
        let launching = |c: &Container| c.phase == Phase::Starting;
        if self.agents[i].host.containers.values().any(launching) {
            self.see(Mark::SupervisorDeathWhileLaunching);
        }
        self.perish(i, &dead);
        let node = &self.agents[i];
        let (life, up) = (node.life, node.core.is_some());
        if up {
            // Told before anything is ordered of the new supervisor.
            let survivors = node.host.found();
            self.agent_input(i, life, Input::SupervisorRestarted(survivors));
        }
        for id in unseen {
            self.container_started(i, id.clone());
            self.container_ends(i, &id, Termination::default());
        }
    }

    /// Whether something that is told of a container was overtaken by the death of its supervisor.
    pub(crate) fn is_overtaken(&self, i: usize, input: &Input) -> bool {
        let perished = &self.agents[i].host.perished;
        match input {
            Input::Launched { container_id, .. } | Input::Exited { container_id, .. } => {
                perished.contains(container_id)
            }
            _ => false,
        }
    }

    /// Containers that are gone without anybody having seen how.
    fn perish(&mut self, i: usize, dead: &[ContainerId]) {
        for id in dead {
            if let Some(container) = self.agents[i].host.containers.remove(id) {
                self.oracle.container_perished(&container);
                self.agents[i].host.perished.insert(id.clone());
                self.executor_ends(i, id);
            }
        }
    }

    /// The host is restarted: agent and containers are gone.
    pub(crate) fn reboot(&mut self, i: usize, down: Duration) {
        if self.agents[i].host.is_running_any() {
            self.see(Mark::Reboot);
        }
        let life = self.agents[i].life;
        self.agent_crash(i, down);
        let node: &mut AgentNode = &mut self.agents[i];
        node.boots += 1;
        // Ends the supervisor had logged are still on its disk.
        let dead: Vec<ContainerId> = node
            .host
            .containers
            .iter()
            .filter(|(_, c)| !matches!(c.phase, Phase::Ended(_)))
            .map(|(id, _)| id.clone())
            .collect();
        self.perish(i, &dead);
        debug_assert_eq!(life, self.agents[i].life);
    }

    /// What runs here by the agent's own books never exceeds the host.
    pub(crate) fn check_physical(&mut self, i: usize) {
        let Some(core) = &self.agents[i].core else {
            return;
        };
        let view = core.view();
        let mut sum = Resources::new();
        for framework in &view.frameworks {
            if self.oracle.is_ending(&framework.id) {
                continue;
            }
            for executor in &framework.executors {
                let live = executor.tasks.iter().filter(|t| !t.state.is_terminal());
                for task in live {
                    sum += task.spec.resources.unallocated();
                }
                if !executor.generated && executor.state != meseta_agent_core::ExecutorState::Terminated {
                    sum += executor.spec.resources.unallocated();
                }
            }
        }
        let total = &self.agents[i].total;
        if !total.contains(&sum) {
            self.fail(format!("agent {i} is over-committed: {sum} of {total}"));
        }
    }
}
