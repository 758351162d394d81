//! Sandboxes on disk and in the virtual file tree: attached while they are there, linked as `latest`, deleted for good.
//!
//! Called by the owner of the core; file work runs on blocking threads.

use crate::layout::{self, Layout};
use crate::owner::Message;
use meseta_agent_core::{Input, LaunchOrder, Record, SandboxPath};
use meseta_http::files::Files;
use meseta_http::inbox::Inbox;
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The sandboxes of this agent.
#[derive(Clone, Debug)]
pub(crate) struct Sandboxes {
    layout: Layout,
    files: Files,
    agent: Arc<Mutex<Option<AgentId>>>,
}

impl Sandboxes {
    /// Attaches what the records say is still there.
    pub(crate) fn new(layout: Layout, files: Files, records: &[Record]) -> Sandboxes {
        let all = Sandboxes {
            layout,
            files,
            agent: Arc::default(),
        };
        let mut agent = None;
        let mut present: BTreeMap<ContainerId, (AgentId, FrameworkId, ExecutorId)> = BTreeMap::new();
        let mut order = Vec::new();
        for record in records {
            let (framework_id, executor_id, container_id) = match record {
                Record::Agent(spec) => {
                    agent.clone_from(&spec.id);
                    continue;
                }
                Record::SandboxGone(container_id) => {
                    present.remove(container_id);
                    continue;
                }
                Record::Executor {
                    framework_id,
                    executor,
                    container_id,
                    ..
                } => (framework_id, &executor.executor_id, container_id),
                Record::Sandbox {
                    framework_id,
                    executor_id,
                    container_id,
                } => (framework_id, executor_id, container_id),
                _ => continue,
            };
            if let Some(agent) = &agent {
                let whose = (agent.clone(), framework_id.clone(), executor_id.clone());
                present.insert(container_id.clone(), whose);
                order.push(container_id.clone());
            }
        }
        // In the order of their launches, so that `latest` is the last one.
        for container in order {
            if let Some((agent, framework, executor)) = present.get(&container) {
                all.attach(agent, framework, executor, &container);
            }
        }
        all.set_agent(agent);
        all
    }

    /// The work directory.
    pub(crate) fn work_dir(&self) -> &Path {
        self.layout.work_dir()
    }

    fn set_agent(&self, agent: Option<AgentId>) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent;
    }

    fn agent(&self) -> Option<AgentId> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The agent has this id: `meta/slaves/latest` says so from now on.
    pub(crate) fn registered(&self, agent: &AgentId) {
        self.set_agent(Some(agent.clone()));
        let (layout, agent) = (self.layout.clone(), agent.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = layout.set_latest_agent(&agent) {
                tracing::warn!(%error, "cannot set the link meta/slaves/latest");
            }
        });
    }

    /// A container is being launched: its sandbox can be browsed.
    pub(crate) fn launching(&self, order: &LaunchOrder) {
        if let Some(framework) = &order.framework.id {
            self.attach(
                &order.agent_id,
                framework,
                &order.executor.executor_id,
                &order.container_id,
            );
        }
    }

    fn attach(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) {
        let real = self.layout.sandbox(agent, framework, executor, container);
        let [by_path, latest, short] = self.names(agent, framework, executor, container);
        self.files.attach(by_path, &real);
        self.files.attach(latest, &real);
        self.files.attach(short, &real);
    }

    /// Its own path, the path of `latest`, and the short form of that.
    fn names(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) -> [String; 3] {
        let runs = self.layout.runs(agent, framework, executor);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            text(runs.join(container.as_str())),
            text(runs.join("latest")),
            format!("/frameworks/{framework}/executors/{executor}/runs/latest"),
        ]
    }

    /// Takes a run out of the file tree; `latest` only if it is this run.
    fn detach(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) {
        let real = self.layout.sandbox(agent, framework, executor, container);
        let [by_path, latest, short] = self.names(agent, framework, executor, container);
        self.files.detach(&by_path);
        for name in [latest, short] {
            self.files.detach_if(&name, &real);
        }
    }

    /// Deletes a folder off the owner's task and tells the owner.
    pub(crate) fn remove(&self, path: SandboxPath, inbox: Inbox<Message>) {
        let this = self.clone();
        tokio::spawn(async move {
            let wanted = path.clone();
            let gone = tokio::task::spawn_blocking(move || this.remove_now(&wanted))
                .await
                .unwrap_or(false);
            // The owner is gone: the next life asks again.
            let _ = inbox.send(Message::Input(Input::Removed { path, gone }), 0).await;
        });
    }

    fn remove_now(&self, path: &SandboxPath) -> bool {
        match path {
            SandboxPath::Run {
                framework_id,
                executor_id,
                container_id,
            } => {
                let Some(agent) = self.agent() else { return false };
                self.detach(&agent, framework_id, executor_id, container_id);
                let sandbox = self
                    .layout
                    .sandbox(&agent, framework_id, executor_id, container_id);
                layout::remove_run(&sandbox, &self.layout.agent(&agent))
            }
            SandboxPath::Agent(agent) => layout::remove_tree(&self.layout.agent(agent)),
        }
    }
}

/// Points `runs/latest` at a sandbox that exists now.
pub(crate) fn link_latest(sandbox: Arc<Path>) {
    tokio::task::spawn_blocking(move || {
        // The sandbox may be gone again already; then there is nothing to point at.
        if sandbox.exists()
            && let Err(error) = layout::set_latest_run(&sandbox)
        {
            tracing::warn!(path = %sandbox.display(), %error, "cannot set the link runs/latest");
        }
    });
}
