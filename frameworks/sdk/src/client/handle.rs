//! The cloneable handle: calls from anywhere, answered when their fate is known.

use super::Events;
use super::config::{Config, IdentityStore, StartError};
use super::event::Offer;
use super::shell::{self, Request};
use crate::driver::{CallError, Command, Driver, DriverConfig, Epoch, Exit, Identity, Sent, Stop, Wish};
use crate::framework::Framework;
use crate::identity;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_types::{AgentId, ExecutorId, FrameworkId, TaskId};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that wait for the shell. It takes them at once; this only smooths bursts.
const COMMANDS_MAX: usize = 1_024;

/// Calls of one framework. Clones share the subscription; when the last one is dropped the client aborts.
///
/// A future that is dropped is not recalled: the call may go out.
#[derive(Clone, Debug)]
pub struct Client {
    framework_id: FrameworkId,
    requests: mpsc::Sender<Request>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Client {
    /// Chooses or reads the framework's id and starts to subscribe.
    pub async fn start(config: Config) -> Result<(Client, Events), StartError> {
        if let Some(role) = config
            .suppressed
            .iter()
            .find(|r| !config.framework.info().roles.contains(r))
        {
            return Err(StartError::SuppressedRole(role.clone()));
        }
        let name = config.framework.info().name.clone();
        let identity = match &config.identity {
            IdentityStore::Ephemeral => Identity::Known(identity::choose(&name)),
            IdentityStore::Known(id) => Identity::Known(id.clone()),
            IdentityStore::File(path) => identity::load(path, &name).await?,
        };
        let framework_id = identity.id().clone();
        let driver = Driver::new(
            DriverConfig::new(Wish {
                framework: config.framework.info().clone(),
                suppressed: config.suppressed.clone(),
                constraints: config.constraints.clone(),
            }),
            identity,
            identity::seed(),
        );
        let (requests, requested) = mpsc::channel(COMMANDS_MAX);
        let (exited, exit) = watch::channel(None);
        let events = shell::spawn(driver, &config, requested, exited);
        let client = Client {
            framework_id,
            requests,
            exit,
        };
        Ok((client, events))
    }

    /// The framework's id, the same over restarts if it is stored.
    pub fn framework_id(&self) -> &FrameworkId {
        &self.framework_id
    }

    /// Uses offers of one agent: runs the operations in order and gives back what they do not use, refused for
    /// `refuse` (zero: it may be offered again at once).
    ///
    /// `Ok` means that the master has taken the call, not that the tasks run: that is told by updates. On
    /// [`CallError::Unknown`] the tasks may have been launched: reconcile them after the next `Subscribed`, and never
    /// launch the same task ids again. On every other error nothing was launched and the offers are declined.
    pub async fn accept(
        &self,
        offers: Vec<Offer>,
        operations: Vec<v1::offer::Operation>,
        refuse: Duration,
    ) -> Result<Sent, CallError> {
        let Some(first) = offers.first() else {
            let text = "no offers given".to_owned();
            return Err(CallError::Refused { code: 400, text });
        };
        let (epoch, agent) = (first.epoch(), first.agent_id.value.clone());
        let mixed = offers.iter().any(|o| o.agent_id.value != agent);
        if mixed || offers.iter().any(|o| o.epoch() != epoch) {
            let text = "offers of different agents or subscriptions cannot be used together".to_owned();
            return Err(CallError::Refused { code: 400, text });
        }
        let call = scheduler::Call {
            accept: Some(call::Accept {
                offer_ids: offers.iter().map(|o| o.id.clone()).collect(),
                operations,
                filters: Some(filters(refuse)),
            }),
            ..bare(call::Type::Accept)
        };
        let answer = self.call(Some(epoch), AgentId::new(agent).ok(), call).await;
        if matches!(answer, Ok(_) | Err(CallError::Unknown(_))) {
            offers.into_iter().for_each(Offer::forget);
        }
        answer
    }

    /// Launches tasks on one agent, see [`Client::accept`].
    pub async fn launch(
        &self,
        offers: Vec<Offer>,
        tasks: Vec<v1::TaskInfo>,
        refuse: Duration,
    ) -> Result<Sent, CallError> {
        let launch = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        self.accept(offers, vec![launch], refuse).await
    }

    /// Declines offers: their resources stay away from this framework for `refuse`.
    pub fn decline(&self, offers: impl IntoIterator<Item = Offer>, refuse: Duration) {
        for offer in offers {
            offer.decline(refuse);
        }
    }

    /// Kills a task. Repeated until the master has it, over reconnections too; that it is dead is told by an update.
    /// Give the agent if you know it: the call then cannot overtake the task's launch.
    pub async fn kill(
        &self,
        task: &TaskId,
        agent: Option<&AgentId>,
        policy: Option<v1::KillPolicy>,
    ) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            kill: Some(call::Kill {
                task_id: wire_task(task),
                agent_id: agent.map(wire_agent),
                kill_policy: policy,
            }),
            ..bare(call::Type::Kill)
        };
        self.call(None, agent.cloned(), call).await
    }

    /// Shuts an executor down, with all its tasks.
    pub async fn shutdown(&self, executor: &ExecutorId, agent: &AgentId) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            shutdown: Some(call::Shutdown {
                executor_id: wire_executor(executor),
                agent_id: wire_agent(agent),
            }),
            ..bare(call::Type::Shutdown)
        };
        self.call(None, Some(agent.clone()), call).await
    }

    /// Sends data to an executor: best effort, never repeated.
    pub async fn message(
        &self,
        executor: &ExecutorId,
        agent: &AgentId,
        data: bytes::Bytes,
    ) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            message: Some(call::Message {
                agent_id: wire_agent(agent),
                executor_id: wire_executor(executor),
                data,
            }),
            ..bare(call::Type::Message)
        };
        self.call(None, Some(agent.clone()), call).await
    }

    /// Asks for the state of these tasks, or with none of all the master knows. Give each task's agent, if known:
    /// without it the master stays silent until the last recovered agent is back.
    pub async fn reconcile(
        &self,
        tasks: impl IntoIterator<Item = (TaskId, Option<AgentId>)>,
    ) -> Result<Sent, CallError> {
        let tasks = tasks
            .into_iter()
            .map(|(task, agent)| call::reconcile::Task {
                task_id: wire_task(&task),
                agent_id: agent.as_ref().map(wire_agent),
            })
            .collect();
        let call = scheduler::Call {
            reconcile: Some(call::Reconcile { tasks }),
            ..bare(call::Type::Reconcile)
        };
        self.call(None, None, call).await
    }

    /// No offers for these roles (with none: for all) until they are revived; kept over reconnections.
    pub async fn suppress(&self, roles: Vec<String>) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            suppress: Some(call::Suppress { roles }),
            ..bare(call::Type::Suppress)
        };
        self.call(None, None, call).await
    }

    /// Ends suppression and all filters of these roles (with none: of all).
    pub async fn revive(&self, roles: Vec<String>) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            revive: Some(call::Revive { roles }),
            ..bare(call::Type::Revive)
        };
        self.call(None, None, call).await
    }

    /// Describes the framework anew. `Ok` once it is in force.
    pub async fn update_framework(
        &self,
        framework: &Framework,
        suppressed: Vec<String>,
    ) -> Result<Sent, CallError> {
        let call = scheduler::Call {
            update_framework: Some(call::UpdateFramework {
                framework_info: framework.info().clone(),
                suppressed_roles: suppressed,
                offer_constraints: None,
            }),
            ..bare(call::Type::UpdateFramework)
        };
        self.call(None, None, call).await
    }

    /// Any scheduler call but SUBSCRIBE and TEARDOWN, for what has no method of its own. `epoch` is that of the
    /// offers it names.
    pub async fn call(
        &self,
        epoch: Option<Epoch>,
        agent: Option<AgentId>,
        call: scheduler::Call,
    ) -> Result<Sent, CallError> {
        let call = Box::new(call);
        self.request(Command::Call { epoch, agent, call }).await
    }

    /// Ends the client; returns how it ended, which is not as asked if something final came first.
    pub async fn stop(&self, how: Stop) -> Exit {
        // Whatever the answer: the driver ends.
        let _ = self.request(Command::Stop(how)).await;
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|e| e.clone()).unwrap_or(Exit::Stopped)
    }

    async fn request(&self, command: Command) -> Result<Sent, CallError> {
        let (answer, mut answered) = oneshot::channel();
        let request = Request { command, answer };
        if self.requests.send(request).await.is_err() {
            return Err(CallError::Stopped);
        }
        let mut exit = self.exit.clone();
        let told = tokio::select! {
            biased;
            told = &mut answered => told.ok(),
            // What was put into the queue while the shell closed it lies there as long as there are handles, and nobody
            // answers it. All answers there are were given before the exit was told.
            _ = exit.wait_for(Option::is_some) => answered.try_recv().ok(),
        };
        told.unwrap_or(Err(CallError::Stopped))
    }
}

fn bare(kind: call::Type) -> scheduler::Call {
    scheduler::Call {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

pub(super) fn filters(refuse: Duration) -> v1::Filters {
    v1::Filters {
        refuse_seconds: Some(refuse.as_secs_f64()),
    }
}

fn wire_task(id: &TaskId) -> v1::TaskId {
    v1::TaskId {
        value: id.to_string(),
    }
}

fn wire_agent(id: &AgentId) -> v1::AgentId {
    v1::AgentId {
        value: id.to_string(),
    }
}

fn wire_executor(id: &ExecutorId) -> v1::ExecutorId {
    v1::ExecutorId {
        value: id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::driver::CallSeq;

    /// A client whose shell is the test.
    fn client() -> (Client, mpsc::Receiver<Request>, watch::Sender<Option<Exit>>) {
        let (requests, requested) = mpsc::channel(COMMANDS_MAX);
        let (exited, exit) = watch::channel(None);
        let client = Client {
            framework_id: FrameworkId::new("f").unwrap(),
            requests,
            exit,
        };
        (client, requested, exited)
    }

    /// A request can come into the queue when the shell has emptied it for the last time.
    #[tokio::test]
    async fn a_call_that_crosses_the_end_of_the_client_is_answered() {
        let (client, unread, exited) = client();
        let calls = async { tokio::join!(client.suppress(Vec::new()), client.stop(Stop::Failover)) };
        let ends = async {
            while unread.len() < 2 {
                tokio::task::yield_now().await;
            }
            exited.send_replace(Some(Exit::Stopped));
        };
        let both = async { tokio::join!(calls, ends) };
        let limit = Duration::from_secs(60);
        let ((suppressed, exit), ()) = tokio::time::timeout(limit, both).await.unwrap();
        assert_eq!((suppressed, exit), (Err(CallError::Stopped), Exit::Stopped));
    }

    #[tokio::test]
    async fn an_answer_that_came_before_the_end_counts() {
        let (client, mut requested, exited) = client();
        let sent = Sent {
            seq: CallSeq(7),
            epoch: Epoch(1),
        };
        let answers = async {
            let request = requested.recv().await.unwrap();
            request.answer.send(Ok(sent)).unwrap();
            exited.send_replace(Some(Exit::Stopped));
        };
        let (answer, ()) = tokio::join!(client.revive(Vec::new()), answers);
        assert_eq!(answer, Ok(sent));
    }
}
