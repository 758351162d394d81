//! A framework for tests: the SDK's client with what it heard kept for questions.

use crate::wait::PATIENCE;
use meseta_sdk::proto as v1;
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{
    CallError, Client, Config, Event, Events, Framework, IdentityStore, Offer, Stop, Transport,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;
use v1::TaskState;

/// A subscribed framework that acknowledges every update it hears and remembers it.
#[derive(Debug)]
pub struct Scheduler {
    runtime: Runtime,
    /// The client, for calls with no method here.
    pub client: Client,
    events: Events,
    offers: Vec<Offer>,
    heard: Heard,
}

/// What a framework was told.
#[derive(Debug, Default)]
pub struct Heard {
    /// Every status of each task, in order of arrival; a repeated one is there again.
    pub statuses: BTreeMap<String, Vec<v1::TaskStatus>>,
    /// How often it was subscribed.
    pub subscriptions: u32,
    /// How many tasks were told as finished.
    pub finished: usize,
    /// Data from executors.
    pub messages: Vec<bytes::Bytes>,
}

impl Heard {
    /// The states of a task in order, repeated ones once.
    pub fn states(&self, task: &str) -> Vec<TaskState> {
        let statuses = self.statuses.get(task).map_or(&[][..], Vec::as_slice);
        let mut states: Vec<TaskState> = statuses.iter().map(v1::TaskStatus::state).collect();
        states.dedup();
        states
    }

    /// The last status of a task.
    pub fn last(&self, task: &str) -> Option<&v1::TaskStatus> {
        self.statuses.get(task)?.last()
    }

    /// Whether the last state of a task is this.
    pub fn is(&self, task: &str, state: TaskState) -> bool {
        self.last(task).is_some_and(|s| s.state() == state)
    }

    /// How many tasks have a last state for which `which` holds.
    pub fn count(&self, which: impl Fn(TaskState) -> bool) -> usize {
        let last = self.statuses.values().filter_map(|s| s.last());
        last.filter(|s| which(s.state())).count()
    }
}

/// Whether no state follows by the agent's word.
pub fn terminal(state: TaskState) -> bool {
    use TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskGoneByOperator, TaskKilled, TaskLost,
    };
    matches!(
        state,
        TaskFinished
            | TaskFailed
            | TaskKilled
            | TaskError
            | TaskLost
            | TaskDropped
            | TaskGone
            | TaskGoneByOperator
    )
}

/// A framework named `name` that waits a week for its tasks.
pub fn patient(name: &str) -> Framework {
    Framework::failover(name, Duration::from_secs(7 * 86_400)).user(user())
}

/// Who runs this test.
pub fn user() -> String {
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid());
    me.ok().flatten().map_or_else(|| "root".to_owned(), |u| u.name)
}

impl Scheduler {
    /// Subscribes and waits until that is answered.
    ///
    /// # Panics
    /// When it is not.
    pub fn start(
        master: &str,
        framework: Framework,
        transport: Transport,
        identity: IdentityStore,
    ) -> Scheduler {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("no runtime: {error}"));
        let config = Config::new(framework, master).unwrap_or_else(|error| panic!("{master}: {error}"));
        let config = config.transport(transport).identity(identity);
        let started = runtime.block_on(Client::start(config));
        let (client, events) = started.unwrap_or_else(|error| panic!("the framework cannot start: {error}"));
        let mut scheduler = Scheduler {
            runtime,
            client,
            events,
            offers: Vec::new(),
            heard: Heard::default(),
        };
        scheduler.until("the framework is subscribed", |heard| heard.subscriptions > 0);
        scheduler
    }

    /// What was heard so far.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Hears and acknowledges until `done` holds.
    ///
    /// # Panics
    /// After [`PATIENCE`] without an event that makes it hold, or when the subscription ended for good.
    pub fn until(&mut self, what: &str, done: impl Fn(&Heard) -> bool) {
        while !done(&self.heard) {
            self.hear(what);
        }
    }

    /// Hears what comes within `time`.
    pub fn hear_for(&mut self, time: Duration) {
        let end = std::time::Instant::now() + time;
        while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
            let event = self
                .runtime
                .block_on(async { tokio::time::timeout(left, self.events.next()).await });
            match event {
                Ok(Some(event)) => self.take(event),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn hear(&mut self, what: &str) {
        let event = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.events.next()).await });
        match event {
            Ok(Some(event)) => self.take(event),
            Ok(None) => panic!("the framework's events ended while waiting until {what}"),
            Err(_) => panic!(
                "nothing happened for {PATIENCE:?} while waiting until {what}: {:?}",
                self.summary()
            ),
        }
    }

    fn summary(&self) -> BTreeMap<&str, Vec<&str>> {
        let names = |all: &'_ [v1::TaskStatus]| all.iter().map(|s| s.state().as_str_name()).collect();
        let tasks = self.heard.statuses.iter();
        tasks.map(|(task, all)| (task.as_str(), names(all))).collect()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Subscribed(_) => {
                self.offers.clear();
                self.heard.subscriptions += 1;
            }
            Event::Disconnected { .. } => self.offers.clear(),
            Event::Offers(offers) => self.offers.extend(offers),
            Event::Rescinded(id) => self.offers.retain(|offer| offer.id.value != id.as_str()),
            Event::Update(update) => {
                let task = update.status.task_id.value.clone();
                let status = update.status.clone();
                let before = self.heard.is(&task, TaskState::TaskFinished);
                if status.state() == TaskState::TaskFinished && !before {
                    self.heard.finished += 1;
                }
                self.heard.statuses.entry(task).or_default().push(status);
                update.ack();
            }
            Event::Message { data, .. } => self.heard.messages.push(data),
            Event::Stopped(exit) => panic!("the framework was stopped: {exit}"),
            _ => {}
        }
    }

    /// Waits for offers of one agent that together have what is needed, and takes them with the cut resources.
    pub fn offers_for(&mut self, needs: &Needs) -> (Vec<Offer>, Vec<v1::Resource>) {
        loop {
            let agents: Vec<String> = self.offers.iter().map(|o| o.agent_id.value.clone()).collect();
            for agent in agents {
                let of_agent = self.offers.iter().filter(|o| o.agent_id.value == agent);
                let all: Vec<v1::Resource> = of_agent.flat_map(|o| o.resources.clone()).collect();
                if let Ok(cut) = needs.cut_from(&all) {
                    let (taken, rest) = std::mem::take(&mut self.offers)
                        .into_iter()
                        .partition(|o| o.agent_id.value == agent);
                    self.offers = rest;
                    return (taken, cut);
                }
            }
            self.hear(&format!("an agent offers {needs:?}"));
        }
    }

    /// Launches one task on the first agent with room for it; what is left of the offer may come again at once.
    ///
    /// # Panics
    /// When the master does not take the call.
    pub fn launch(&mut self, task: Task, needs: &Needs) {
        self.launch_all(vec![task], needs);
    }

    /// Launches a task, again under another name when its offer was void already (its agent has just left, say), and
    /// waits for its end, which is returned.
    pub fn run(&mut self, name: &str, line: &str, needs: &Needs) -> v1::TaskStatus {
        for attempt in 0.. {
            let id = format!("{name}-{attempt}");
            let offers = self.offers_for(needs);
            let task = Task::shell(&id, line);
            if self.try_launch_from(offers, vec![task], needs).is_err() {
                // Its subscription is over: the next one brings other offers.
                self.hear("another offer comes");
                continue;
            }
            self.until("the task ends", |h| {
                h.last(&id).is_some_and(|s| terminal(s.state()))
            });
            match self.heard.last(&id) {
                Some(end) if end.reason() != v1::task_status::Reason::InvalidOffers => return end.clone(),
                _ => {}
            }
        }
        unreachable!("the loop has no end")
    }

    /// Launches tasks with equal needs in one ACCEPT.
    ///
    /// # Panics
    /// When the master does not take the call.
    pub fn launch_all(&mut self, tasks: Vec<Task>, needs: &Needs) {
        let count = tasks.len();
        let times = count as f64;
        let sum = Needs {
            cpus: needs.cpus * times,
            mem: needs.mem * times,
            disk: needs.disk * times,
            ports: needs.ports * count,
        };
        let offers = self.offers_for(&sum);
        self.launch_from(offers, tasks, needs);
    }

    /// Launches tasks with equal needs in one ACCEPT of offers taken before with [`Scheduler::offers_for`].
    ///
    /// # Panics
    /// When the master does not take the call.
    pub fn launch_from(&mut self, offers: (Vec<Offer>, Vec<v1::Resource>), tasks: Vec<Task>, needs: &Needs) {
        let sent = self.try_launch_from(offers, tasks, needs);
        sent.unwrap_or_else(|error| panic!("ACCEPT: {error}"));
    }

    fn try_launch_from(
        &mut self,
        (offers, mut cut): (Vec<Offer>, Vec<v1::Resource>),
        tasks: Vec<Task>,
        needs: &Needs,
    ) -> Result<(), CallError> {
        let agent = offers.first().map(|o| o.agent_id.clone()).unwrap_or_default();
        let tasks = tasks.into_iter().map(|task| {
            let mine = needs
                .cut_from(&cut)
                .unwrap_or_else(|short| panic!("the sum was cut but a part is not there: {short}"));
            subtract(&mut cut, &mine);
            task.build(&agent, mine)
        });
        let tasks = tasks.collect();
        let launch = self.client.launch(offers, tasks, Duration::ZERO);
        self.runtime.block_on(launch).map(drop)
    }

    /// Runs a call of the client to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The client, for calls from other threads.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Kills a task.
    ///
    /// # Panics
    /// When the master does not take the call.
    pub fn kill(&self, task: &str) {
        let id = meseta_types::TaskId::new(task).unwrap_or_else(|error| panic!("{task}: {error}"));
        let sent = self.block_on(self.client.kill(&id, None, None));
        sent.unwrap_or_else(|error| panic!("KILL {task}: {error}"));
    }

    /// Removes the framework, with its tasks.
    pub fn teardown(self) {
        self.runtime.block_on(self.client.stop(Stop::Teardown));
    }

    /// Leaves without a word, as a process that is killed does; the tasks run on.
    pub fn vanish(self) {
        self.runtime.block_on(self.client.stop(Stop::Abort));
    }
}

/// Takes scalars and ports away from a list that has them.
fn subtract(from: &mut [v1::Resource], taken: &[v1::Resource]) {
    for t in taken {
        for have in from
            .iter_mut()
            .filter(|r| r.name == t.name && r.reservations == t.reservations)
        {
            if let (Some(have), Some(t)) = (&mut have.scalar, &t.scalar) {
                have.value = ((have.value - t.value) * 1000.0).round() / 1000.0;
            }
            if let (Some(have), Some(t)) = (&mut have.ranges, &t.ranges) {
                let mine = to_ranges(have).difference(&to_ranges(t));
                have.range = mine
                    .iter()
                    .map(|r| v1::value::Range {
                        begin: r.begin,
                        end: r.end,
                    })
                    .collect();
            }
        }
    }
}

fn to_ranges(ranges: &v1::value::Ranges) -> meseta_types::resource::Ranges {
    let list = ranges.range.iter();
    list.map(|r| meseta_types::resource::Range {
        begin: r.begin,
        end: r.end,
    })
    .collect()
}
