//! A small cluster around one core: builders, a clock, and the transcript.

use crate::core::MasterCore;
use crate::io::{
    Accept, Call, Change, CommitId, Effect, Effects, Event, Filters, Input, LinkId, Operation, OperatorEvent,
    Outcome, RequestId, Session, StreamId, Subscribe, TaskRef,
};
use crate::registry::{PREFIX, Recovered};
use crate::{Config, Refusal};
use bytes::Bytes;
use meseta_types::link::{AgentSpec, FromAgent, Inventory, StatusUpdate, ToAgent};
use meseta_types::task::{
    Capabilities, ExecutorSpec, FrameworkSpec, Reason, ReportedExecutor, ReportedTask, Source, TaskSpec,
    TaskStatus,
};
use meseta_types::{
    AgentId, ExecutorId, FrameworkId, Mono, Now, OfferId, Resources, Role, TaskId, TaskState, UpdateUuid,
    Wall,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Env {
    pub(super) core: MasterCore,
    pub(super) now: Now,
    /// Writes are answered as done at once, unless a story wants otherwise.
    pub(super) writes_succeed: bool,
    writes: Vec<CommitId>,
    store: BTreeMap<String, Bytes>,
    pending: BTreeMap<CommitId, Vec<Change>>,
    seen: Vec<String>,
    next: u64,
}

pub(super) fn task_id(text: &str) -> TaskId {
    TaskId::as_written(text)
}

pub(super) fn agent_id(text: &str) -> AgentId {
    AgentId::as_written(text)
}

pub(super) fn framework_id(text: &str) -> FrameworkId {
    FrameworkId::as_written(text)
}

pub(super) fn executor_id(text: &str) -> ExecutorId {
    ExecutorId::as_written(text)
}

pub(super) fn resources(text: &str) -> Resources {
    Resources::parse(text, &Role::star()).unwrap()
}

pub(super) fn uuid(n: u8) -> UpdateUuid {
    UpdateUuid([n; 16])
}

/// An agent at a port of 10.0.0.1, with 4 cpus and 1024 MB unless said otherwise.
pub(super) fn agent(port: u16) -> AgentSpec {
    AgentSpec {
        id: None,
        hostname: format!("host{port}").into(),
        ip: "10.0.0.1".parse().unwrap(),
        port,
        resources: resources("cpus:4;mem:1024"),
        version: "1.12.0".into(),
        capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE"].map(Into::into).to_vec(),
        wire: Bytes::from(format!("agent {port}")),
    }
}

/// A framework in role `dev`: checkpointing, partition aware, away for an hour at most.
pub(super) fn framework(name: &str) -> FrameworkSpec {
    FrameworkSpec {
        id: None,
        name: name.into(),
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
        wire: Bytes::from(format!("framework {name}")),
    }
}

/// A command task of 1 cpu and 128 MB on the first agent.
pub(super) fn task(name: &str) -> TaskSpec {
    TaskSpec {
        task_id: task_id(name),
        name: name.into(),
        agent_id: agent_id("m-S0"),
        resources: resources("cpus:1;mem:128"),
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
    }
}

pub(super) fn executor(name: &str) -> ExecutorSpec {
    ExecutorSpec {
        executor_id: executor_id(name),
        resources: resources("cpus:0.1;mem:32"),
        name: name.into(),
        source: "".into(),
        is_default: false,
        shutdown_grace_period: None,
        wire: Bytes::from(format!("executor {name}")),
    }
}

/// An executor as an agent reports it: allocated.
pub(super) fn executor_of_dev(name: &str) -> ExecutorSpec {
    let executor = executor(name);
    let resources = executor.resources.allocated_to(&Role::new("dev").unwrap());
    ExecutorSpec {
        resources,
        ..executor
    }
}

/// A task under an executor.
pub(super) fn executor_task(name: &str, executor: ExecutorSpec) -> TaskSpec {
    TaskSpec {
        executor: Some(executor),
        has_command: false,
        ..task(name)
    }
}

pub(super) fn launch(tasks: Vec<TaskSpec>) -> Operation {
    Operation::Launch { id: None, tasks }
}

/// What the agent reports of a command task.
pub(super) fn reported(framework: &str, name: &str, state: TaskState) -> ReportedTask {
    ReportedTask {
        framework_id: framework_id(framework),
        task_id: task_id(name),
        name: name.into(),
        executor_id: None,
        resources: resources("cpus:1;mem:128").allocated_to(&Role::new("dev").unwrap()),
        state,
        status_update_state: None,
        status_update_uuid: None,
        statuses: Vec::new(),
        kept: Bytes::new(),
    }
}

pub(super) fn inventory(
    frameworks: Vec<FrameworkSpec>,
    tasks: Vec<ReportedTask>,
    executors: Vec<ReportedExecutor>,
) -> Inventory {
    Inventory {
        frameworks,
        tasks,
        executors,
    }
}

impl Env {
    pub(super) fn new() -> Env {
        Env::with(Config::new("m"), Recovered::default())
    }

    pub(super) fn with(config: Config, recovered: Recovered) -> Env {
        let now = Now {
            mono: Mono(1_000_000_000),
            wall: Wall(1_700_000_000_000_000_000),
        };
        Env {
            core: MasterCore::new(config, recovered, now),
            now,
            writes_succeed: true,
            writes: Vec::new(),
            store: BTreeMap::new(),
            pending: BTreeMap::new(),
            seen: Vec::new(),
            next: 0,
        }
    }

    /// What was made durable.
    pub(super) fn recovered_from_store(&self) -> Recovered {
        let entries = self
            .store
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_ref()));
        Recovered::read(entries).unwrap()
    }

    /// Another master, later, with what this one made durable.
    pub(super) fn fail_over(&self, master_id: &str) -> Env {
        let recovered = self.recovered_from_store();
        let mut config = self.core.config().clone();
        config.master_id = master_id.into();
        let mut env = Env::with(config, recovered);
        env.store = self.store.clone();
        env.next = self.next;
        env
    }

    /// One input, then ticks as long as something is due, then writes are answered, then the same again.
    pub(super) fn step(&mut self, input: Input) {
        self.one(input);
        loop {
            if self.core.deadline().is_some_and(|(at, _)| at <= self.now.mono) {
                self.one(Input::Tick);
            } else if self.writes_succeed && !self.writes.is_empty() {
                self.answer(Outcome::Done);
            } else {
                return;
            }
        }
    }

    fn one(&mut self, input: Input) {
        let mut out = Effects::new();
        self.core.step(self.now, input, &mut out);
        self.core.check().unwrap();
        for effect in out.drain() {
            if let Effect::Commit { id, changes } = &effect {
                self.writes.push(*id);
                self.pending.insert(*id, changes.clone());
            }
            self.seen.push(show(&effect));
        }
    }

    pub(super) fn writes_under_way(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Answers the oldest write.
    pub(super) fn answer(&mut self, outcome: Outcome) {
        let id = self.writes.remove(0);
        let changes = self.pending.remove(&id).unwrap();
        if outcome == Outcome::Done {
            for change in changes {
                match change {
                    Change::Put { key, value } => self.store.insert(key.to_string(), value),
                    Change::Delete { key } => self.store.remove(&*key),
                };
            }
        }
        self.one(Input::Committed { id, outcome });
    }

    /// Everything sent since the last time, line by line.
    #[track_caller]
    pub(super) fn expect(&mut self, lines: &[&str]) {
        let seen = self.take();
        assert_eq!(seen, lines, "\nseen:\n{}\n", seen.join("\n"));
    }

    /// Everything sent since the last time.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    /// What was sent is another story's business.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Lets time pass, ticking whenever the core wants it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some((at, _)) = self.core.deadline().filter(|(at, _)| *at <= end) {
            let step = at.since(self.now.mono);
            self.advance(step);
            self.step(Input::Tick);
        }
        let rest = end.since(self.now.mono);
        self.advance(rest);
        self.step(Input::Tick);
    }

    fn advance(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall = Wall(self.now.wall.0 + i64::try_from(time.as_nanos()).unwrap());
    }

    /// Lets time pass while these agents answer their pings.
    pub(super) fn pass_with(&mut self, time: Duration, alive: &[LinkId]) {
        let end = self.now.mono + time;
        while self.now.mono < end {
            self.pass(Duration::from_secs(5).min(end.since(self.now.mono)));
            for link in alive {
                self.step(Input::Agent {
                    link: *link,
                    message: FromAgent::Pong,
                });
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn register(&mut self, agent: AgentSpec) -> LinkId {
        let link = LinkId(self.number());
        self.step(Input::Agent {
            link,
            message: FromAgent::Register { agent },
        });
        link
    }

    pub(super) fn reregister(&mut self, id: &str, agent: AgentSpec, inventory: Inventory) -> LinkId {
        let link = LinkId(self.number());
        let agent = AgentSpec {
            id: Some(agent_id(id)),
            ..agent
        };
        self.step(Input::Agent {
            link,
            message: FromAgent::Reregister { agent, inventory },
        });
        link
    }

    pub(super) fn subscribe(&mut self, framework: FrameworkSpec) -> StreamId {
        let stream = StreamId(self.number());
        let subscribe = Subscribe {
            framework,
            suppressed_roles: Vec::new(),
        };
        self.step(Input::Subscribe { stream, subscribe });
        stream
    }

    pub(super) fn resubscribe(&mut self, id: &str, framework: FrameworkSpec) -> StreamId {
        self.subscribe(FrameworkSpec {
            id: Some(framework_id(id)),
            ..framework
        })
    }

    pub(super) fn call(&mut self, stream: StreamId, framework: &str, call: Call) {
        self.step(Input::Call {
            stream,
            framework_id: framework_id(framework),
            call,
        });
    }

    pub(super) fn accept(
        &mut self,
        stream: StreamId,
        framework: &str,
        offers: &[&str],
        operations: Vec<Operation>,
    ) {
        self.accept_refusing(stream, framework, offers, operations, 3600.0);
    }

    pub(super) fn accept_refusing(
        &mut self,
        stream: StreamId,
        framework: &str,
        offers: &[&str],
        operations: Vec<Operation>,
        refuse: f64,
    ) {
        let offer_ids = offers.iter().map(OfferId::as_written).collect();
        let filters = Filters::from_seconds(Some(refuse));
        self.call(
            stream,
            framework,
            Call::Accept(Accept {
                offer_ids,
                operations,
                filters,
            }),
        );
    }

    pub(super) fn update(&mut self, link: LinkId, framework: &str, task: &str, state: TaskState, n: u8) {
        self.update_ahead(link, framework, task, state, state, n);
    }

    pub(super) fn update_ahead(
        &mut self,
        link: LinkId,
        framework: &str,
        task: &str,
        state: TaskState,
        latest_state: TaskState,
        n: u8,
    ) {
        let status = TaskStatus {
            task_id: task_id(task),
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            agent_id: Some(agent_id("m-S0")),
            executor_id: Some(executor_id(task)),
            timestamp: self.now.wall,
            uuid: Some(uuid(n)),
            healthy: None,
            unreachable_time: None,
            wire: Bytes::new(),
        };
        let update = StatusUpdate {
            framework_id: framework_id(framework),
            status,
            latest_state,
        };
        self.step(Input::Agent {
            link,
            message: FromAgent::Update(update),
        });
    }

    /// The agent knows nothing of a task it was asked about, nor of its framework.
    pub(super) fn agent_answers_lost(&mut self, link: LinkId, framework: &str, task: &str, n: u8) {
        let status = TaskStatus {
            task_id: task_id(task),
            state: TaskState::Lost,
            source: Source::Agent,
            reason: Some(Reason::RECONCILIATION),
            message: None,
            agent_id: Some(agent_id("m-S0")),
            executor_id: None,
            timestamp: self.now.wall,
            uuid: Some(uuid(n)),
            healthy: None,
            unreachable_time: None,
            wire: Bytes::new(),
        };
        let framework_id = framework_id(framework);
        let update = StatusUpdate {
            framework_id,
            status,
            latest_state: TaskState::Lost,
        };
        self.step(Input::Agent {
            link,
            message: FromAgent::Update(update),
        });
    }

    pub(super) fn acknowledge(&mut self, stream: StreamId, framework: &str, task: &str, n: u8) {
        let (agent_id, task_id, uuid) = (agent_id("m-S0"), task_id(task), uuid(n));
        self.call(
            stream,
            framework,
            Call::Acknowledge {
                agent_id,
                task_id,
                uuid,
            },
        );
    }

    pub(super) fn reconcile(&mut self, stream: StreamId, framework: &str, tasks: &[(&str, Option<&str>)]) {
        let tasks = tasks
            .iter()
            .map(|(task, agent)| TaskRef {
                task_id: task_id(task),
                agent_id: agent.map(agent_id),
            })
            .collect();
        self.call(stream, framework, Call::Reconcile { tasks });
    }

    pub(super) fn teardown(&mut self, request: u64, framework: &str) {
        let request = RequestId(request);
        self.step(Input::Teardown {
            request,
            framework_id: framework_id(framework),
        });
    }

    pub(super) fn operator_kill(&mut self, request: u64, framework: &str, task: &str) {
        self.step(Input::KillTask {
            request: RequestId(request),
            framework_id: framework_id(framework),
            task_id: task_id(task),
            kill_policy: Default::default(),
            grace: None,
        });
    }

    /// One agent, one framework, one offer of everything: the start of most stories.
    pub(super) fn started() -> (Env, LinkId, StreamId) {
        Env::started_with(framework("f"))
    }

    pub(super) fn started_with(framework: FrameworkSpec) -> (Env, LinkId, StreamId) {
        let mut env = Env::new();
        let link = env.register(agent(5051));
        let stream = env.subscribe(framework);
        env.forget();
        (env, link, stream)
    }

    /// As `started`, and the task `t1` runs there, acknowledged.
    pub(super) fn running() -> (Env, LinkId, StreamId) {
        Env::running_with(framework("f"), vec![task("t1")])
    }

    pub(super) fn running_with(framework: FrameworkSpec, tasks: Vec<TaskSpec>) -> (Env, LinkId, StreamId) {
        let (mut env, link, stream) = Env::started_with(framework);
        let names: Vec<String> = tasks.iter().map(|t| t.task_id.to_string()).collect();
        env.accept(stream, "m-0000", &["m-O0"], vec![launch(tasks)]);
        for name in names {
            env.update(link, "m-0000", &name, TaskState::Running, 100);
            env.acknowledge(stream, "m-0000", &name, 100);
        }
        env.forget();
        (env, link, stream)
    }
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Commit { changes, .. } => {
            let changes: Vec<String> = changes
                .iter()
                .map(|change| match change {
                    Change::Put { key, .. } => format!("+{}", key.trim_start_matches(PREFIX)),
                    Change::Delete { key } => format!("-{}", key.trim_start_matches(PREFIX)),
                })
                .collect();
            format!("commit {}", changes.join(" "))
        }
        Effect::ToAgent { link, message } => format!("link{} <- {}", link.0, show_message(message)),
        Effect::CloseLink { link } => format!("link{} closed", link.0),
        Effect::ToFramework { stream, event } => format!("stream{} <- {}", stream.0, show_event(event)),
        Effect::Pace { stream } => format!("stream{} paced", stream.0),
        Effect::CloseStream { stream } => format!("stream{} closed", stream.0),
        Effect::Session {
            framework_id,
            session,
        } => match session {
            Session::Connected { stream, .. } => format!("session {framework_id}: stream{}", stream.0),
            Session::Disconnected { .. } => format!("session {framework_id}: disconnected"),
            Session::Removed => format!("session {framework_id}: removed"),
        },
        Effect::Operator(event) => format!("op <- {}", show_operator(event)),
        Effect::Answer { request, answer } => match answer {
            Ok(()) => format!("request{}: ok", request.0),
            Err(Refusal::BadRequest(text)) => format!("request{}: bad request: {text}", request.0),
            Err(Refusal::NotFound(text)) => format!("request{}: not found: {text}", request.0),
            Err(Refusal::Conflict(text)) => format!("request{}: conflict: {text}", request.0),
            Err(Refusal::Unavailable(text)) => format!("request{}: unavailable: {text}", request.0),
        },
        Effect::Note(note) => format!("note {}: {}", note.what, note.reason),
        Effect::StepDown { reason } => format!("step down: {reason:?}"),
    }
}

fn show_message(message: &ToAgent) -> String {
    match message {
        ToAgent::Registered { agent_id, .. } => format!("registered {agent_id}"),
        ToAgent::Reregistered {
            agent_id, reconcile, ..
        } => {
            let tasks: Vec<String> = reconcile.iter().map(|(_, task)| format!(" {task}?")).collect();
            format!("reregistered {agent_id}{}", tasks.concat())
        }
        ToAgent::Shutdown { message } => format!("shutdown: {message}"),
        ToAgent::RunTask {
            framework,
            task,
            launch_executor,
        } => format!(
            "run {} of {} {}{}",
            task.task_id,
            framework.id.as_ref().unwrap(),
            task.resources,
            if *launch_executor { "" } else { " in its executor" },
        ),
        ToAgent::RunTaskGroup {
            executor,
            tasks,
            launch_executor,
            ..
        } => {
            let tasks: Vec<&str> = tasks.iter().map(|t| t.task_id.as_str()).collect();
            let new = if *launch_executor { "new " } else { "" };
            format!("run group {} in {new}{}", tasks.join(" "), executor.executor_id)
        }
        ToAgent::KillTask { task_id, grace, .. } => match grace {
            Some(grace) => format!("kill {task_id} within {grace:?}"),
            None => format!("kill {task_id}"),
        },
        ToAgent::ShutdownExecutor { executor_id, .. } => format!("shutdown executor {executor_id}"),
        ToAgent::AckUpdate { task_id, uuid, .. } => format!("ack {task_id} #{}", uuid.0[0]),
        ToAgent::FrameworkMessage {
            executor_id, data, ..
        } => format!("message for {executor_id}: {data:?}"),
        ToAgent::ShutdownFramework { framework_id } => format!("shutdown framework {framework_id}"),
        ToAgent::UpdateFramework { framework } => {
            format!("update framework {}", framework.id.as_ref().unwrap())
        }
        ToAgent::Ping { connected } => format!("ping {connected}"),
    }
}

fn show_event(event: &Event) -> String {
    match event {
        Event::Subscribed { framework_id } => format!("SUBSCRIBED {framework_id}"),
        Event::Offers { offers, .. } => {
            let offers: Vec<String> = offers
                .iter()
                .map(|o| format!("{} of {}: {}", o.id, o.agent_id, o.resources))
                .collect();
            format!("OFFERS {}", offers.join(", "))
        }
        Event::Rescind { offer_id } => format!("RESCIND {offer_id}"),
        Event::Update(status) => format!("UPDATE {}", show_status(status)),
        Event::UpdateOperationStatus(status) => {
            format!(
                "OPERATION {} {:?} '{}'",
                status.operation_id, status.state, status.message
            )
        }
        Event::Message {
            executor_id, data, ..
        } => format!("MESSAGE of {executor_id}: {data:?}"),
        Event::Failure {
            agent_id,
            executor: None,
        } => format!("FAILURE {agent_id}"),
        Event::Failure {
            agent_id,
            executor: Some((executor, status)),
        } => {
            format!("FAILURE {agent_id} {executor} {status}")
        }
        Event::Error { message } => format!("ERROR {message}"),
    }
}

fn show_status(status: &TaskStatus) -> String {
    let mut line = format!("{} {}", status.task_id, status.state.name());
    if let Some(reason) = status.reason {
        line.push_str(&format!(" {}", reason_name(reason)));
    }
    if let Some(message) = &status.message {
        line.push_str(&format!(" '{message}'"));
    }
    if let Some(uuid) = status.uuid {
        line.push_str(&format!(" #{}", uuid.0[0]));
    }
    if status.unreachable_time.is_some() {
        line.push_str(" since");
    }
    line
}

fn reason_name(reason: Reason) -> String {
    match reason {
        Reason::INVALID_OFFERS => "INVALID_OFFERS".to_owned(),
        Reason::TASK_INVALID => "TASK_INVALID".to_owned(),
        Reason::TASK_GROUP_INVALID => "TASK_GROUP_INVALID".to_owned(),
        Reason::AGENT_REMOVED => "AGENT_REMOVED".to_owned(),
        Reason::AGENT_DISCONNECTED => "AGENT_DISCONNECTED".to_owned(),
        Reason::AGENT_REREGISTERED => "AGENT_REREGISTERED".to_owned(),
        Reason::RECONCILIATION => "RECONCILIATION".to_owned(),
        Reason::FRAMEWORK_REMOVED => "FRAMEWORK_REMOVED".to_owned(),
        other => format!("{other:?}"),
    }
}

fn show_operator(event: &OperatorEvent) -> String {
    match event {
        OperatorEvent::TaskAdded(task) => format!("TASK_ADDED {} {}", task.task_id, task.state().name()),
        OperatorEvent::TaskUpdated { status, state, .. } => {
            format!("TASK_UPDATED {} {}", show_status(status), state.name())
        }
        OperatorEvent::AgentAdded(agent) => format!("AGENT_ADDED {}", agent.id),
        OperatorEvent::AgentRemoved { agent_id } => format!("AGENT_REMOVED {agent_id}"),
        OperatorEvent::FrameworkAdded { framework, .. } => format!("FRAMEWORK_ADDED {}", framework.id),
        OperatorEvent::FrameworkUpdated { framework, .. } => format!("FRAMEWORK_UPDATED {}", framework.id),
        OperatorEvent::FrameworkRemoved { framework } => {
            format!("FRAMEWORK_REMOVED {}", framework.id.as_ref().unwrap())
        }
    }
}
