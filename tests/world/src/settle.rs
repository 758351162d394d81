//! The end of a run: everything is healed, and within bounded time all must agree.

use crate::client::{ClientEvent, SERVICE};
use crate::framework::FrameworkTimer;
use crate::host::Phase;
use crate::oracle::Key;
use crate::world::{AGENTS, Event, World};
use meseta_master_core::state::{FrameworkState, TaskList};
use meseta_types::TaskState;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who runs what, in which state.
type Tasks = BTreeMap<Key, TaskState>;

impl World {
    /// No more faults; whoever is down comes up.
    pub(crate) fn heal(&mut self) {
        self.faults.over = true;
        self.master.refuse = 0;
        self.master.unknown = 0;
        self.net.heal();
        self.trace.say(self.now, "world", &"HEALED");
        self.at(Duration::ZERO, Event::MasterStart);
        for i in 0..AGENTS {
            self.at(Duration::ZERO, Event::AgentStart(i));
        }
        for f in 0..self.frameworks.len() {
            self.frameworks[f].heal();
            self.at(Duration::ZERO, Event::FrameworkStart(f));
            let life = self.frameworks[f].life;
            self.at(
                Duration::from_millis(10),
                Event::Framework(f, life, FrameworkTimer::Connect),
            );
        }
        for c in 0..self.clients.len() {
            self.clients[c].wall_off = 0;
            self.at(Duration::ZERO, Event::Client(c, ClientEvent::Start));
        }
        self.service.store.heal();
        self.service.users.heal();
        self.cron.store.heal();
        self.cron.users.heal();
    }

    /// Demands convergence.
    pub(crate) fn settle(&mut self) {
        let end = self.now + self.options.settle;
        loop {
            let next = self.now + Duration::from_secs(1);
            self.until(next);
            if self.failure.is_some() {
                return;
            }
            let Some(why) = self.unsettled() else {
                return;
            };
            if self.now >= end {
                return self.fail(format!("not settled after {:?}: {why}", self.options.settle));
            }
        }
    }

    /// What still keeps the world from being settled.
    fn unsettled(&self) -> Option<String> {
        self.missing_parts()
            .or_else(|| self.open_ends())
            .or_else(|| self.open_wishes())
            .or_else(|| self.disagreement())
    }

    fn missing_parts(&self) -> Option<String> {
        let Some(master) = &self.master.core else {
            return Some("the master is down".into());
        };
        let view = master.view();
        for (i, node) in self.agents.iter().enumerate() {
            if !node.core.as_ref().is_some_and(|c| c.view().registered) {
                return Some(format!("agent {i} is not registered"));
            }
            let known = node.id().and_then(|id| view.agent(&id).map(|(_, a)| a.connected));
            if known != Some(true) {
                return Some(format!("the master does not see agent {i}"));
            }
        }
        for (f, node) in self.frameworks.iter().enumerate() {
            if !node.subscribed {
                return Some(format!("framework {f} is not subscribed"));
            }
            let state = node
                .id
                .as_ref()
                .and_then(|id| view.framework(id))
                .map(|(_, f)| f.state);
            if state != Some(FrameworkState::Connected) {
                return Some(format!("the master sees framework {f} as {state:?}"));
            }
            if !self.finals_done(f) {
                return Some(format!(
                    "framework {f} finished its last task on {:?} only",
                    node.finals
                ));
            }
        }
        None
    }

    /// Ends nobody has heard of yet.
    fn open_ends(&self) -> Option<String> {
        for (i, node) in self.agents.iter().enumerate() {
            let view = node.core.as_ref()?.view();
            let executors = view.frameworks.iter().flat_map(|f| &f.executors);
            for task in executors.flat_map(|e| &e.tasks) {
                if let Some((state, _)) = task.head {
                    return Some(format!(
                        "agent {i}: task {} waits for the acknowledgement of {}",
                        task.spec.task_id,
                        state.name()
                    ));
                }
            }
            for (id, container) in &node.host.containers {
                if matches!(container.phase, Phase::Ended(_)) {
                    return Some(format!("agent {i}: the end of container {id} is not recorded"));
                }
            }
        }
        None
    }

    /// What users of the two real frameworks still wait for.
    fn open_wishes(&self) -> Option<String> {
        if self.clients.is_empty() {
            return None;
        }
        let away = self.clients.iter().find(|c| !c.is_subscribed());
        away.map(|c| format!("client {} is not subscribed", c.index))
            .or_else(|| self.apps_unsettled())
            .or_else(|| self.jobs_unsettled())
    }

    /// Hosts, agents, master and frameworks name the same tasks in the same states.
    fn disagreement(&self) -> Option<String> {
        let agents = self.by_agents();
        let master = self.by_master();
        if agents != master {
            return Some(format!("by the agents {agents:?}, by the master {master:?}"));
        }
        let frameworks = self.by_frameworks();
        if master != frameworks {
            return Some(format!(
                "by the master {master:?}, by the frameworks {frameworks:?}"
            ));
        }
        let hosts = self.by_hosts();
        let named: BTreeSet<Key> = agents.into_keys().collect();
        (hosts != named).then(|| format!("on the hosts {hosts:?}, by the agents {named:?}"))
    }

    fn by_agents(&self) -> Tasks {
        let mut tasks = Tasks::new();
        for core in self.agents.iter().filter_map(|n| n.core.as_ref()) {
            for framework in &core.view().frameworks {
                for task in framework.executors.iter().flat_map(|e| &e.tasks) {
                    if !task.state.is_terminal() {
                        tasks.insert((framework.id.clone(), task.spec.task_id.clone()), task.state);
                    }
                }
            }
        }
        tasks
    }

    fn by_master(&self) -> Tasks {
        let Some(core) = &self.master.core else {
            return Tasks::new();
        };
        core.view()
            .tasks
            .iter()
            .filter(|(_, t)| t.list != TaskList::Completed && !t.state().is_terminal())
            .map(|(_, t)| ((t.framework_id.clone(), t.task_id.clone()), t.state()))
            .collect()
    }

    fn by_frameworks(&self) -> Tasks {
        let nodes = self.frameworks.iter().flat_map(|n| &n.tasks);
        let scripted = nodes
            .filter(|(_, t)| !t.ended)
            .map(|(id, t)| ((t.framework_id.clone(), id.clone()), t.state));
        // The cron framework is at rest only without any run.
        let service = self.clients.get(SERVICE).and_then(|c| c.id.clone());
        let apps = service.into_iter().flat_map(|id| {
            let tasks = self.app_tasks();
            tasks.map(move |(task, state)| ((id.clone(), task), state))
        });
        scripted.chain(apps).collect()
    }

    fn by_hosts(&self) -> BTreeSet<Key> {
        let mut tasks = BTreeSet::new();
        for node in &self.agents {
            for container in node.host.containers.values() {
                if let (Some(task), Some(framework)) = (container.command_task(), container.framework_id()) {
                    tasks.insert((framework.clone(), task.clone()));
                }
            }
            let works = node.executors.live_tasks();
            tasks.extend(works.map(|(f, t)| (f.clone(), t.clone())));
        }
        tasks
    }
}
