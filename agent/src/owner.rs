//! The one task that owns the core: takes what happens, lets the core decide, carries its effects out in order.
//!
//! Everybody else sends it [`Message`]s and awaits answers; readers get a shared view. It drains its inbox in batches
//! and reads the clocks once per batch. It never waits for the disk, the master or an executor: what waits for them
//! comes back as a message.

mod effects;

use crate::clock::Clock;
use crate::containers::Containers;
use crate::executors::Streams;
use crate::host;
use crate::journal::{Durable, Journal};
use crate::link;
use crate::sandboxes::Sandboxes;
use meseta_agent_core::{
    AgentCore, Effect, ExecutorRefusal, ExitReason, Input, LinkId, ProbeId, RequestId, StreamId, View,
};
use meseta_http::inbox::{Inbox, Queued, Room};
use meseta_http::inputs::Recorder;
use meseta_http::stream::RecordSender;
use meseta_proto::body::MediaType;
use meseta_types::last_inputs::InputLog;
use meseta_types::link::ToAgent;
use meseta_types::task::TaskStatus;
use meseta_types::{AgentId, ExecutorId, FrameworkId, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Messages taken at once, before their effects are carried out and the clocks read again.
const BATCH_MAX: usize = 256;

/// Views are made at most this often; readers within share one.
const VIEW_INTERVAL: Duration = Duration::from_millis(10);

/// The core's invariants are checked this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A call of an executor, in its own shape: ids are given by the owner.
#[derive(Debug)]
pub(crate) enum Call {
    /// SUBSCRIBE.
    Subscribe {
        /// The stream its events go to.
        stream: RecordSender,
        /// How they are written.
        media: MediaType,
        /// Tasks it was given and of which no update was acknowledged.
        unacknowledged_tasks: Vec<TaskId>,
        /// Updates not acknowledged.
        unacknowledged_updates: Vec<TaskStatus>,
    },
    /// UPDATE.
    Update(TaskStatus),
    /// MESSAGE.
    Message(bytes::Bytes),
}

/// What the owner is told and asked.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something happened.
    Input(Input),
    /// An executor calls.
    Executor {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
        /// What.
        call: Call,
        /// How it went.
        answer: oneshot::Sender<Result<(), ExecutorRefusal>>,
    },
    /// An operator wants the last inputs.
    LastInputs(oneshot::Sender<InputLog<Input>>),
    /// A reader wants to look.
    View(oneshot::Sender<Arc<View>>),
    /// End now and leave everything running.
    Leave,
    /// Something the agent cannot go on without is lost.
    Fault(Arc<str>),
}

/// What others may want to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the last life is recovered: calls are served.
    pub recovered: bool,
    /// The agent's id once it is known.
    pub agent_id: Option<AgentId>,
    /// The master it is registered with.
    pub registered_with: Option<Arc<str>>,
}

/// How the agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told to, tasks go on.
    Left,
    /// All its containers ended (the text is the master's, if it ordered this).
    Stopped(Option<Arc<str>>),
    /// What it remembers does not fit what it is now: the text tells the operator what to do.
    Incompatible(Arc<str>),
    /// It could not go on; the text says why. The next life recovers.
    Failed(Arc<str>),
}

/// Everything the owner acts upon.
pub(crate) struct Parts {
    /// The core, not yet told anything.
    pub(crate) core: AgentCore,
    /// The clocks.
    pub(crate) clock: Clock,
    /// Sends to the owner itself.
    pub(crate) inbox: Inbox<Message>,
    /// The disk.
    pub(crate) journal: Journal,
    /// The containers.
    pub(crate) containers: Containers,
    /// Sandboxes and the virtual file tree.
    pub(crate) sandboxes: Sandboxes,
    /// For those who wait.
    pub(crate) status: watch::Sender<Status>,
    /// What the core was told. Not what it found at its start: that is the log on the disk.
    pub(crate) inputs: Recorder<Input>,
}

/// An input for the core, with the room in the inbox that it holds until it is applied.
struct Told {
    input: Input,
    bytes: usize,
    _room: Option<Room>,
}

impl From<Input> for Told {
    /// One that did not come through the inbox.
    fn from(input: Input) -> Told {
        Told {
            input,
            bytes: 0,
            _room: None,
        }
    }
}

/// The owner.
pub(crate) struct Owner {
    parts: Parts,
    messages: mpsc::Receiver<Queued<Message>>,
    link: Option<link::Link>,
    master: Option<Arc<str>>,
    streams: Streams,
    calls: BTreeMap<RequestId, oneshot::Sender<Result<(), ExecutorRefusal>>>,
    probes: BTreeMap<ProbeId, tokio::task::AbortHandle>,
    next_id: u64,
    /// Epoch of the link number 0: later lives of the agent begin above earlier ones as long as the wall clock grows.
    epoch: u64,
    view: Option<Arc<View>>,
    view_made: Option<Instant>,
    waiting: Vec<oneshot::Sender<Arc<View>>>,
    effects: Vec<Effect>,
    /// Inputs that came up while effects were carried out.
    again: Vec<Input>,
    ended: Option<Ended>,
}

enum Wake {
    Message(Option<Queued<Message>>),
    Durable,
    Tick,
    View,
    Check,
}

impl Owner {
    /// An owner of these parts; `messages` is the other end of `parts.inbox`.
    pub(crate) fn new(parts: Parts, messages: mpsc::Receiver<Queued<Message>>) -> Owner {
        let epoch = u64::try_from(parts.clock.wall().0).unwrap_or(0);
        Owner {
            parts,
            messages,
            link: None,
            master: None,
            streams: Streams::default(),
            calls: BTreeMap::new(),
            probes: BTreeMap::new(),
            next_id: 0,
            epoch,
            view: None,
            view_made: None,
            waiting: Vec::new(),
            effects: Vec::new(),
            again: Vec::new(),
            ended: None,
        }
    }

    /// Runs until the agent ends; `first` is the first input (what was found). Everything queued for the disk is
    /// written before it returns.
    pub(crate) async fn run(mut self, first: Input) -> Ended {
        self.step(vec![first.into()]).await;
        self.parts.status.send_modify(|status| status.recovered = true);
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.ended.is_none() {
            match self.wake(&mut check).await {
                Wake::Message(first) => self.messages(first).await,
                Wake::Durable => self.durable().await,
                Wake::Tick => self.step(vec![Input::Tick.into()]).await,
                Wake::View => self.give_views(),
                Wake::Check => self.check(),
            }
        }
        if let (Some(link), Some(Ended::Stopped(_))) = (self.link.take(), &self.ended) {
            // An agent that unregisters must be heard.
            link.finish().await;
        }
        self.streams.close_all();
        self.parts.journal.close().await;
        self.ended.unwrap_or(Ended::Left)
    }

    async fn wake(&mut self, check: &mut tokio::time::Interval) -> Wake {
        let deadline = self
            .parts
            .core
            .deadline()
            .map(|(mono, _)| self.parts.clock.instant(mono));
        let view_due = (!self.waiting.is_empty()).then(|| self.view_due());
        let now = Instant::now();
        let has_room = self.parts.journal.has_room();
        tokio::select! {
            biased;
            _ = self.parts.journal.durable.changed() => Wake::Durable,
            () = sleep_until(deadline.unwrap_or(now)), if deadline.is_some() => Wake::Tick,
            () = sleep_until(view_due.unwrap_or(now)), if view_due.is_some() => Wake::View,
            message = self.messages.recv(), if has_room => Wake::Message(message),
            _ = check.tick() => Wake::Check,
        }
    }

    async fn messages(&mut self, first: Option<Queued<Message>>) {
        let Some(first) = first else {
            // Only the owner's own sender keeps the inbox open; it cannot be gone.
            self.ended = Some(Ended::Failed("the agent's inbox closed".into()));
            return;
        };
        let mut inputs = Vec::new();
        let mut message = Some(first);
        for _ in 0..BATCH_MAX {
            match message.take() {
                Some(message) => self.message(message, &mut inputs),
                None => break,
            }
            message = self.messages.try_recv().ok();
        }
        if let Some(message) = message {
            self.message(message, &mut inputs);
        }
        if !inputs.is_empty() {
            self.step(inputs).await;
        }
        if !self.waiting.is_empty() && Instant::now() >= self.view_due() {
            self.give_views();
        }
    }

    fn message(&mut self, queued: Queued<Message>, inputs: &mut Vec<Told>) {
        let Queued { message, bytes, room } = queued;
        let told = |input| Told {
            input,
            bytes,
            _room: Some(room),
        };
        match message {
            Message::Input(input) => inputs.push(told(input)),
            Message::Executor {
                framework_id,
                executor_id,
                call,
                answer,
            } => {
                let call = self.call(call);
                let request = RequestId(self.id());
                self.calls.insert(request, answer);
                inputs.push(told(Input::ExecutorCall {
                    request,
                    framework_id,
                    executor_id,
                    call,
                }));
            }
            Message::LastInputs(operator) => {
                // Who left needs none.
                let _ = operator.send(self.parts.inputs.snapshot());
            }
            Message::View(reader) => self.waiting.push(reader),
            Message::Leave => self.ended = Some(Ended::Left),
            Message::Fault(why) => self.ended = Some(Ended::Failed(why)),
        }
    }

    fn call(&mut self, call: Call) -> meseta_agent_core::ExecutorCall {
        use meseta_agent_core::ExecutorCall;
        match call {
            Call::Subscribe {
                stream,
                media,
                unacknowledged_tasks,
                unacknowledged_updates,
            } => {
                let id = StreamId(self.id());
                self.streams.open(id, stream, media, self.parts.inbox.clone());
                ExecutorCall::Subscribe {
                    stream: id,
                    unacknowledged_tasks,
                    unacknowledged_updates,
                }
            }
            Call::Update(status) => ExecutorCall::Update(status),
            Call::Message(data) => ExecutorCall::Message(data),
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    async fn durable(&mut self) {
        let durable = self.parts.journal.durable.borrow_and_update().clone();
        match durable {
            Durable::UpTo(Some(id)) => self.step(vec![Input::Persisted(id).into()]).await,
            Durable::UpTo(None) => {}
            Durable::Lost(why) => {
                self.ended = Some(Ended::Failed(
                    format!("the agent's log cannot tell what is on disk: {why}").into(),
                ));
            }
        }
        if self.parts.journal.is_long() {
            self.parts.journal.rewrite(&self.parts.core.snapshot());
        }
    }

    /// Steps through inputs and carries out what the core wants, until nothing is left to say.
    async fn step(&mut self, inputs: Vec<Told>) {
        let mut inputs = inputs;
        while !inputs.is_empty() {
            let now = self.parts.clock.now();
            let mut effects = std::mem::take(&mut self.effects);
            for Told { input, bytes, _room } in inputs {
                self.note(&input);
                if !matches!(input, Input::Recover(_)) {
                    self.parts.inputs.keep(now, input.clone(), bytes);
                }
                self.parts.core.step(now, input, &mut effects);
            }
            self.view = None;
            for effect in effects.drain(..) {
                self.carry_out(effect).await;
            }
            self.effects = effects;
            inputs = self.again.drain(..).map(Told::from).collect();
        }
    }

    /// Keeps the status for those who wait.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Master(master) => self.master.clone_from(master),
            Input::FromMaster(
                _,
                ToAgent::Registered { agent_id, .. } | ToAgent::Reregistered { agent_id, .. },
            ) => {
                self.parts.sandboxes.registered(agent_id);
                let with = self.master.clone();
                tracing::info!(agent = %agent_id, master = with.as_deref(), "registered");
                self.parts.status.send_modify(|status| {
                    status.agent_id = Some(agent_id.clone());
                    status.registered_with = with;
                });
            }
            Input::ExecutorDisconnected(stream) => self.streams.forget(*stream),
            Input::ProbeDone { probe, .. } => {
                self.probes.remove(probe);
            }
            Input::LinkDown(id) if self.link.as_ref().is_none_or(|link| link.id() == *id) => {
                self.unregistered()
            }
            _ => {}
        }
    }

    fn unregistered(&self) {
        self.parts
            .status
            .send_if_modified(|status| status.registered_with.take().is_some());
    }

    fn link_down(&mut self, id: LinkId) {
        if self.link.as_ref().is_some_and(|link| link.id() == id) {
            self.link = None;
        }
        self.again.push(Input::LinkDown(id));
    }

    fn view_due(&self) -> Instant {
        self.view_made
            .map_or_else(Instant::now, |made| made + VIEW_INTERVAL)
    }

    fn give_views(&mut self) {
        let view = match &self.view {
            Some(view) => Arc::clone(view),
            None => {
                self.view_made = Some(Instant::now());
                self.parts.core.view()
            }
        };
        self.view = Some(Arc::clone(&view));
        for reader in self.waiting.drain(..) {
            // A reader that went away does not need it.
            let _ = reader.send(Arc::clone(&view));
        }
    }

    fn check(&mut self) {
        if let Err(broken) = self.parts.core.check() {
            self.parts.core.count_broken();
            self.parts.inputs.broken(&broken);
        }
    }

    fn exit(&mut self, reason: ExitReason) {
        self.ended = Some(match reason {
            ExitReason::Stopped(message) => Ended::Stopped(message),
            ExitReason::Incompatible(text) => Ended::Incompatible(text),
        });
    }

    fn measure_disk(&self) {
        let inbox = self.parts.inbox.clone();
        let path = self.parts.sandboxes.work_dir().to_owned();
        tokio::spawn(async move {
            let used = tokio::task::spawn_blocking(move || host::disk_used_fraction(&path)).await;
            if let Ok(Some(used)) = used {
                // The owner is gone: nothing to measure for.
                let _ = inbox.send(Message::Input(Input::DiskUsage(used)), 0).await;
            }
        });
    }
}
