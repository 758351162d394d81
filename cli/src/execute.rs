//! `meseta execute`: one command as a task, its output here, its exit code ours.
//!
//! A small framework on the SDK: takes the first offer that fits, launches, copies the sandbox's `stdout` and `stderr`
//! as they grow, and ends with the task. Ctrl-C kills the task; if this program dies, the master ends the task after
//! the failover timeout.

mod pump;
mod verdict;

use crate::args::{ExecuteArgs, Global};
use crate::cluster;
use crate::failure::{Failure, exit};
use crate::text::age;
use futures_util::future::pending;
use meseta_sdk::endpoint::Endpoint;
use meseta_sdk::proto::task_status::Reason;
use meseta_sdk::proto::{TaskState, TaskStatus};
use meseta_sdk::task::{Needs, Shortage, Task};
use meseta_sdk::{Client, Config, Event, Events, Exit, Framework, Offer, Stop};
use meseta_types::{AgentId, TaskId};
use pump::Pumps;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use verdict::Verdict;

/// How long the task lives on if this program dies, unless told otherwise: enough for a restarted master.
const FAILOVER: Duration = Duration::from_secs(30);
/// The same for a detached task, which nobody waits for.
const FAILOVER_DETACHED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Offers that do not fit stay away this long: capacity that is freed elsewhere should be seen soon.
const REFUSE_UNFIT: Duration = Duration::from_secs(5);
/// After this long without a launch people want to know why.
const EXPLAIN_AFTER: Duration = Duration::from_secs(5);
/// How long the master is waited for at the end; the framework's failover timeout removes what it did not hear of.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);
/// Between SIGTERM and SIGKILL, unless `--grace` says otherwise: the agent's own default.
const GRACE: Duration = Duration::from_secs(3);
/// How much longer a killed task is waited for: the word of its end travels over agent and master.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long the agent's own word on an end is awaited, whose first retry is due after 10 s.
const OWN_WORD_WITHIN: Duration = Duration::from_secs(15);

/// Runs with the masters of the command line.
pub(crate) async fn run(global: &Global, args: &ExecuteArgs) -> Result<u8, Failure> {
    let masters = cluster::masters(global)?;
    let deadline = global.timeout.map(|t| Instant::now() + t);
    let interrupts =
        Interrupts::Listening(listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    on(&masters, args, global.quiet, deadline, interrupts).await
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::new("no-signals", exit::NOT_RUN, e.to_string()))
}

/// Whether Ctrl-C and SIGTERM are ours to handle.
pub(crate) enum Interrupts {
    Listening(Signal, Signal),
    /// Whoever runs us handles them.
    Elsewhere,
}

impl Interrupts {
    async fn next(&mut self) {
        match self {
            Interrupts::Listening(int, term) => {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            }
            Interrupts::Elsewhere => pending().await,
        }
    }
}

/// Runs `args` on these masters and returns the exit code.
pub(crate) async fn on(
    masters: &[Endpoint],
    args: &ExecuteArgs,
    quiet: bool,
    deadline: Option<Instant>,
    interrupts: Interrupts,
) -> Result<u8, Failure> {
    let framework = describe(args);
    let addresses = masters
        .iter()
        .map(Endpoint::authority)
        .collect::<Vec<_>>()
        .join(",");
    let not_run = |text: String| Failure::new("not-run", exit::NOT_RUN, text);
    let config = Config::new(framework, &addresses).map_err(|e| not_run(e.to_string()))?;
    let (client, events) = Client::start(config).await.map_err(|e| not_run(e.to_string()))?;
    let job = Job {
        args,
        quiet,
        client,
        task_id: task_id(args),
        agent: None,
        sandbox_at: None,
        running: false,
        shortage: None,
        subscribed: false,
        lost: false,
        interrupted: false,
        timed_out: false,
        hearsay: None,
        pumps: Pumps::default(),
    };
    job.run(events, deadline, interrupts).await
}

fn describe(args: &ExecuteArgs) -> Framework {
    let default = if args.detach { FAILOVER_DETACHED } else { FAILOVER };
    let mut framework = Framework::failover(name(args), args.failover_timeout.unwrap_or(default))
        .roles([args.role.as_str()])
        .user(args.user.clone().unwrap_or_else(current_user));
    if let Some(principal) = &args.principal {
        framework = framework.principal(principal);
    }
    framework
}

fn current_user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    user.ok().flatten().map_or_else(String::new, |u| u.name)
}

/// A name for people: as told, else the command's own.
fn name(args: &ExecuteArgs) -> String {
    let first = args.command.first().map_or("", String::as_str);
    let last = first.rsplit('/').next().unwrap_or_default();
    match &args.name {
        Some(name) => name.clone(),
        None if last.is_empty() => "execute".to_owned(),
        None => last.to_owned(),
    }
}

/// The name and a random part: ids are never used twice.
fn task_id(args: &ExecuteArgs) -> TaskId {
    let readable: String = name(args)
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(100)
        .collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    TaskId::as_written(format!("{readable}.{}", &random[..8]))
}

struct Job<'a> {
    args: &'a ExecuteArgs,
    quiet: bool,
    client: Client,
    task_id: TaskId,
    /// Where it was launched.
    agent: Option<AgentId>,
    sandbox_at: Option<Endpoint>,
    running: bool,
    /// What the best offer lacked.
    shortage: Option<(String, Shortage)>,
    subscribed: bool,
    /// Whether the loss of the master was told.
    lost: bool,
    interrupted: bool,
    timed_out: bool,
    /// The end as a reconciliation tells it, which has no exit status, and until when the agent's own word is awaited.
    hearsay: Option<(Verdict, Instant)>,
    pumps: Pumps,
}

impl Job<'_> {
    async fn run(
        mut self,
        mut events: Events,
        deadline: Option<Instant>,
        mut interrupts: Interrupts,
    ) -> Result<u8, Failure> {
        let mut explain = Some(Instant::now() + EXPLAIN_AFTER);
        let mut give_up = None;
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return Err(self.stopped(&Exit::Stopped)) };
                    if let Some(verdict) = self.event(event).await? {
                        return self.end(verdict, interrupts).await;
                    }
                    if self.args.detach && self.running {
                        return self.leave().await;
                    }
                }
                () = interrupts.next() => {
                    if self.interrupted || self.agent.is_none() {
                        self.remove().await;
                        return Ok(exit::INTERRUPTED);
                    }
                    self.interrupted = true;
                    self.say("killing it; once more to end without waiting");
                    self.kill();
                }
                () = until(deadline), if !self.timed_out => {
                    self.timed_out = true;
                    if self.agent.is_none() {
                        self.remove().await;
                        return Err(self.not_launched_in_time());
                    }
                    self.say("--timeout passed, killing it");
                    self.kill();
                    give_up = Some(Instant::now() + self.args.grace.unwrap_or(GRACE) + KILL_PATIENCE);
                }
                () = until(give_up), if give_up.is_some() => {
                    self.remove().await;
                    let what = format!("{} did not end within --timeout and its grace", self.task_id);
                    let fate = "its agent may be out of reach; it ends when the agent is back";
                    return Err(Failure::new("timeout", exit::TIMEOUT, what).detail(fate.to_owned()));
                }
                () = until(self.hearsay.as_ref().map(|(_, until)| *until)), if self.hearsay.is_some() => {
                    if let Some((verdict, _)) = self.hearsay.take() {
                        return self.end(verdict, interrupts).await;
                    }
                }
                () = until(explain), if explain.is_some() => {
                    explain = None;
                    self.explain();
                }
                code = self.pumps.broken() => {
                    // Nobody reads our output any more: as for any filter, that ends it.
                    self.remove().await;
                    return Ok(code);
                }
            }
        }
    }

    /// Progress for people, on standard error.
    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}: {text}", self.task_id);
        }
    }

    async fn event(&mut self, event: Event) -> Result<Option<Verdict>, Failure> {
        match event {
            Event::Offers(offers) => self.offers(offers).await,
            Event::Update(update) => {
                let verdict = self.status(&update.status);
                update.ack();
                return Ok(verdict);
            }
            Event::Subscribed(_) => {
                if std::mem::take(&mut self.lost) {
                    self.say("connected again");
                }
                self.subscribed = true;
                self.reconcile();
            }
            Event::Disconnected { why, .. } => {
                if !std::mem::replace(&mut self.lost, true) {
                    self.say(&format!("no master: {why}"));
                }
                self.subscribed = false;
            }
            Event::Stopped(exit) => return Err(self.stopped(&exit)),
            _ => {}
        }
        Ok(None)
    }

    /// What became of the task while nobody listened; repeated by each new subscription.
    fn reconcile(&self) {
        let Some(agent) = self.agent.clone() else { return };
        let (client, task) = (self.client.clone(), self.task_id.clone());
        tokio::spawn(async move {
            // On failure the next subscription asks again.
            let _ = client.reconcile([(task, Some(agent))]).await;
        });
    }

    fn kill(&self) {
        let (client, task, agent) = (self.client.clone(), self.task_id.clone(), self.agent.clone());
        tokio::spawn(async move {
            // Repeated by the client until the master has it.
            let _ = client.kill(&task, agent.as_ref(), None).await;
        });
    }

    async fn offers(&mut self, offers: Vec<Offer>) {
        for offer in offers {
            if self.agent.is_some() || self.interrupted {
                offer.decline(REFUSE_UNFIT);
                continue;
            }
            let needs = Needs {
                cpus: self.args.cpus,
                mem: self.args.mem,
                disk: self.args.disk,
                ports: 0,
            };
            match needs.cut_from(&offer.resources) {
                Ok(resources) => self.launch(offer, resources).await,
                Err(shortage) => {
                    self.shortage = Some((offer.hostname.clone(), shortage));
                    offer.decline(REFUSE_UNFIT);
                }
            }
        }
    }

    async fn launch(&mut self, offer: Offer, resources: Vec<meseta_sdk::proto::Resource>) {
        let agent = AgentId::as_written(&offer.agent_id.value);
        let at = agent_endpoint(&offer);
        let host = offer.hostname.clone();
        let task = self.describe_task().build(&offer.agent_id, resources);
        // Nothing else is wanted; what is left comes back when this framework ends.
        let launched = self
            .client
            .launch(vec![offer], vec![task], FAILOVER_DETACHED)
            .await;
        match launched {
            Ok(_) | Err(meseta_sdk::CallError::Unknown(_)) => {
                // Whether an unanswered launch took place is told by an update or by reconciliation.
                self.say(&format!("launched on {host}"));
                self.agent = Some(agent);
                self.sandbox_at = at;
                self.want_no_more();
            }
            Err(error) => self.say(&format!("not launched: {error}; waiting for another offer")),
        }
    }

    /// One task is all: further offers would only be declined.
    fn want_no_more(&self) {
        let client = self.client.clone();
        tokio::spawn(async move {
            // Part of the next SUBSCRIBE in any case.
            let _ = client.suppress(Vec::new()).await;
        });
    }

    fn describe_task(&self) -> Task {
        let mut task = Task::argv(self.task_id.as_str(), &self.args.command).name(name(self.args));
        for (name, value) in &self.args.env {
            task = task.env(name, value);
        }
        for uri in &self.args.uri {
            task = task.uri(uri);
        }
        if let Some(user) = &self.args.user {
            task = task.user(user);
        }
        if let Some(grace) = self.args.grace {
            task = task.kill_grace(grace);
        }
        task
    }

    /// A status of our task; returns how it ended, once it has.
    fn status(&mut self, status: &TaskStatus) -> Option<Verdict> {
        if status.task_id.value != self.task_id.as_str() {
            return None;
        }
        match status.state() {
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskKilling => {
                self.pump();
                None
            }
            TaskState::TaskRunning => {
                if !self.running {
                    self.say("running");
                }
                self.running = true;
                self.pump();
                None
            }
            TaskState::TaskUnreachable => {
                self.say("its agent cannot be reached; it may still run");
                None
            }
            TaskState::TaskFailed | TaskState::TaskKilled
                if status.uuid.is_none() && status.reason() == Reason::Reconciliation =>
            {
                let until = Instant::now() + OWN_WORD_WITHIN;
                self.hearsay.get_or_insert((verdict::of(status), until));
                None
            }
            _ => Some(verdict::of(status)),
        }
    }

    fn pump(&mut self) {
        if !self.args.detach
            && let Some(agent) = &self.sandbox_at
        {
            self.pumps
                .start(agent, self.client.framework_id().as_str(), self.task_id.as_str());
        }
    }

    /// The task has ended: the rest of its output, then our end.
    async fn end(mut self, verdict: Verdict, mut interrupts: Interrupts) -> Result<u8, Failure> {
        self.pump();
        let complete = tokio::select! {
            complete = self.pumps.finish() => complete,
            // Somebody does not want to wait for the rest.
            () = interrupts.next() => false,
        };
        if !complete {
            self.say("the end of its output could not be read");
        }
        self.say(&verdict.text);
        self.remove().await;
        match (self.timed_out, self.interrupted) {
            (true, _) => {
                let what = format!("{} was killed after --timeout", self.task_id);
                Err(Failure::new("timeout", exit::TIMEOUT, what))
            }
            (_, true) => Ok(exit::INTERRUPTED),
            _ => Ok(verdict.code),
        }
    }

    /// Removes the framework and all that is left of it. Without a master there is nobody to ask; its failover timeout
    /// does the same.
    async fn remove(&self) {
        let how = if self.subscribed {
            Stop::Teardown
        } else {
            Stop::Abort
        };
        if tokio::time::timeout(REMOVE_PATIENCE, self.client.stop(how))
            .await
            .is_err()
        {
            // The master went away meanwhile.
            let _ = tokio::time::timeout(REMOVE_PATIENCE, self.client.stop(Stop::Abort)).await;
        }
    }

    /// Detached: it runs, we go.
    async fn leave(self) -> Result<u8, Failure> {
        let printed = crate::output::print(&format!("{}\n", self.task_id));
        if !self.quiet {
            eprintln!(
                "its output: meseta logs -f {0} · end it: meseta task kill {0}",
                self.task_id
            );
        }
        self.client.stop(Stop::Failover).await;
        Ok(printed.err().unwrap_or(0))
    }

    fn stopped(&self, exit: &Exit) -> Failure {
        let code = match exit {
            Exit::Unauthorized(_) => exit::NOT_ALLOWED,
            _ => exit::NOT_RUN,
        };
        Failure::new("framework-ended", code, format!("{}: {exit}", self.task_id))
    }

    fn not_launched_in_time(&self) -> Failure {
        let failure = Failure::new("no-fit", exit::TIMEOUT, "no offer fitted in time (--timeout)");
        match self.why_waiting() {
            Some(why) => failure.detail(why),
            None => failure.fix("meseta node list"),
        }
    }

    fn why_waiting(&self) -> Option<String> {
        if !self.subscribed {
            return Some("no master answers".to_owned());
        }
        let (host, shortage) = self.shortage.as_ref()?;
        Some(format!("{shortage} (by {host})"))
    }

    fn explain(&self) {
        if self.agent.is_none() {
            let waited = age(EXPLAIN_AFTER.as_secs_f64());
            match self.why_waiting() {
                Some(why) => self.say(&format!("waiting since {waited}: {why}")),
                None => self.say(&format!(
                    "waiting since {waited} for an offer: meseta node list shows what is free"
                )),
            }
        }
    }
}

/// The agent's HTTP address out of the offer.
fn agent_endpoint(offer: &Offer) -> Option<Endpoint> {
    let address = &offer.url.as_ref()?.address;
    let host = [&address.ip, &address.hostname]
        .into_iter()
        .flatten()
        .find(|h| !h.is_empty())?;
    Some(Endpoint {
        host: host.clone(),
        port: u16::try_from(address.port).ok()?,
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
