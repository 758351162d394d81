//! A framework to be killed at any moment: it launches short tasks at a fixed rate, writes down everything before it
//! acts on it, and after a restart goes on from what it wrote.
//!
//! `load_framework MASTER FOLDER TASKS_PER_SECOND`; ends when `FOLDER/stop` exists and the end of every task is known.

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use meseta_sdk::proto as v1;
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{CallError, Client, Config, Event, IdentityStore, Offer, Update};
use meseta_tests::journal::{Entry, Journal};
use meseta_tests::scheduler::patient;
use meseta_types::{AgentId, TaskId};
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// How often tasks without a known end are asked for.
const ASK: Duration = Duration::from_secs(2);

/// How often tasks are launched.
const BEAT: Duration = Duration::from_millis(50);

/// Tasks launched and not yet ended beyond which none is launched: a cluster that cannot keep up shows in the rate.
const OPEN_MAX: usize = 400;

const NEEDS: Needs = Needs {
    cpus: 0.002,
    mem: 1.0,
    disk: 0.0,
    ports: 0,
};

/// What is owed while no agent can be had, or while the framework itself is dead, is made up for later, up to this many
/// tasks at once.
const OWED_MAX: usize = 60;

/// A launch on its way: the tasks, and what the master said.
type Launch = BoxFuture<'static, (Vec<String>, Result<(), CallError>)>;

struct Load {
    client: Client,
    journal: Journal,
    offers: Vec<Offer>,
    folder: PathBuf,
    /// When its first life began.
    begun: SystemTime,
    /// Tasks per second.
    rate: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [master, folder, rate] = &args[..] else {
        return Err("load_framework MASTER FOLDER TASKS_PER_SECOND".into());
    };
    let folder = PathBuf::from(folder);
    let identity = IdentityStore::File(folder.join("framework"));
    let config = Config::new(patient("load"), master)?.identity(identity);
    let journal = Journal::open(&folder.join("journal"))?;
    let (client, mut events) = Client::start(config).await?;
    let mut load = Load {
        client,
        journal,
        offers: Vec::new(),
        begun: begun(&folder.join("begun"))?,
        folder,
        rate: rate.parse()?,
    };
    let mut launch = interval(BEAT);
    launch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ask = interval(ASK);
    let mut answers: FuturesUnordered<Launch> = FuturesUnordered::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => load.take(event).await?,
                None => return Err("the subscription ended".into()),
            },
            Some((tasks, answer)) = answers.next() => load.answered(tasks, answer)?,
            _ = launch.tick() => {
                if load.stopping() {
                    load.offers.clear();
                    if answers.is_empty() && load.journal.open_tasks().next().is_none() {
                        return Ok(());
                    }
                    continue;
                }
                if let Some(sent) = load.next_launch()? {
                    answers.push(sent);
                }
            }
            _ = ask.tick() => load.ask().await,
        }
    }
}

/// When the file was made, which the first life does.
fn begun(file: &Path) -> io::Result<SystemTime> {
    if let Err(error) = File::create_new(file)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    file.metadata()?.modified()
}

impl Load {
    fn stopping(&self) -> bool {
        Path::exists(&self.folder.join("stop"))
    }

    async fn take(&mut self, event: Event) -> Result<(), Box<dyn Error>> {
        match event {
            Event::Subscribed(_) => {
                self.offers.clear();
                self.ask().await;
            }
            Event::Disconnected { .. } => self.offers.clear(),
            Event::Offers(offers) => self.offers.extend(offers),
            Event::Rescinded(id) => self.offers.retain(|o| o.id.value != id.as_str()),
            Event::Update(update) => self.update(update)?,
            Event::Stopped(exit) => return Err(format!("stopped: {exit}").into()),
            _ => {}
        }
        Ok(())
    }

    /// Written down before it is acknowledged.
    fn update(&mut self, update: Update) -> Result<(), Box<dyn Error>> {
        self.journal.write(Entry::heard(&update.status))?;
        update.ack();
        Ok(())
    }

    /// Asks for every task whose end is not known.
    async fn ask(&self) {
        let open: Vec<(TaskId, Option<AgentId>)> = self
            .journal
            .open_tasks()
            .map(|(task, agent)| (TaskId::as_written(task), Some(AgentId::as_written(agent))))
            .collect();
        if !open.is_empty() {
            // Not heard or refused: it is asked again.
            let _ = self.client.reconcile(open).await;
        }
    }

    /// Tasks that should have been launched by now and were not.
    fn owed(&self) -> usize {
        let elapsed = self.begun.elapsed().unwrap_or_default();
        let due = (self.rate * elapsed.as_secs_f64()) as usize;
        let launched = self.journal.tasks().values().filter(|task| !task.refused);
        due.saturating_sub(launched.count()).min(OWED_MAX)
    }

    /// Launches what is owed with all offers of one agent, so that what is left of them comes back as one.
    fn next_launch(&mut self) -> Result<Option<Launch>, Box<dyn Error>> {
        let room = OPEN_MAX.saturating_sub(self.journal.open_tasks().count());
        let count = self.owed().min(room);
        if count == 0 {
            return Ok(None);
        }
        let Some(agent) = self.offers.last().map(|o| o.agent_id.clone()) else {
            return Ok(None);
        };
        let all = std::mem::take(&mut self.offers).into_iter();
        let (mine, others): (Vec<Offer>, Vec<Offer>) = all.partition(|o| o.agent_id == agent);
        self.offers = others;
        let resources: Vec<v1::Resource> = mine.iter().flat_map(|o| o.resources.clone()).collect();
        let all_of_them = Needs {
            cpus: NEEDS.cpus * count as f64,
            mem: NEEDS.mem * count as f64,
            ..NEEDS
        };
        if all_of_them.cut_from(&resources).is_err() {
            self.client.decline(mine, Duration::from_millis(500));
            return Ok(None);
        }
        let part = NEEDS.cut_from(&resources)?;
        let mut names = Vec::new();
        for _ in 0..count {
            let name = self.journal.new_name();
            self.journal.write(Entry::Launch {
                task: name.clone(),
                agent: agent.value.clone(),
            })?;
            names.push(name);
        }
        let task = |name: &String| Task::argv(name, ["sleep", "0.3"]).build(&agent, part.clone());
        let tasks = names.iter().map(task).collect();
        let client = self.client.clone();
        let launch = async move {
            let sent = client.launch(mine, tasks, Duration::ZERO).await;
            (names, sent.map(drop))
        };
        Ok(Some(launch.boxed()))
    }

    fn answered(&mut self, tasks: Vec<String>, answer: Result<(), CallError>) -> Result<(), Box<dyn Error>> {
        for task in tasks {
            match &answer {
                Ok(()) => self.journal.write(Entry::Sent { task })?,
                Err(CallError::Unknown(_)) => {} // may run or not: reconciliation tells
                Err(_) => self.journal.write(Entry::Refused { task })?,
            }
        }
        Ok(())
    }
}
