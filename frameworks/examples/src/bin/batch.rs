//! Works through a file of commands, one task each, and survives being killed at any moment.
//!
//! `batch HOST:PORT STATE_DIR FILE`: every line of FILE is run by a shell, failures up to three times. Started again
//! with the same STATE_DIR it goes on where it was: the same framework id, the tasks that were running meanwhile
//! reconciled. Prints a line per end; exit code 1 if a command failed for good.

use meseta_examples::ledger::{Fact, Ledger};
use meseta_sdk::proto::{TaskState, TaskStatus};
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{CallError, Client, Config, Event, Framework, IdentityStore, Offer, Stop};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long its tasks live on while it is away.
const FAILOVER: Duration = Duration::from_secs(3600);

/// Silence is a legal answer to a reconciliation, so it is asked again.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);

struct Batch {
    client: Client,
    ledger: Ledger,
    commands: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [master, dir, file] = args.as_slice() else {
        eprintln!("usage: batch HOST:PORT STATE_DIR FILE");
        return Ok(ExitCode::from(2));
    };
    std::fs::create_dir_all(dir)?;
    let commands = std::fs::read_to_string(file)?
        .lines()
        .map(str::to_owned)
        .collect();
    let identity = IdentityStore::File(Path::new(dir).join("id.json"));
    let config = Config::new(Framework::failover("batch", FAILOVER), master)?.identity(identity);
    let (client, mut events) = Client::start(config).await?;
    let ledger = Ledger::open(&Path::new(dir).join("ledger"))?;
    let mut batch = Batch {
        client,
        ledger,
        commands,
    };
    let mut reconcile = tokio::time::interval(RECONCILE_EVERY);
    while !batch.is_done() {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Offers(offers)) => batch.launch(offers).await?,
                Some(Event::Update(update)) => {
                    batch.update(&update.status)?;
                    update.ack();
                    batch.revive_if_needed().await;
                }
                Some(Event::Subscribed(_)) => batch.reconcile().await,
                Some(Event::Stopped(exit)) => return Ok(exit.into()),
                None => return Ok(ExitCode::FAILURE),
                Some(_) => {}
            },
            _ = reconcile.tick() => batch.reconcile().await,
        }
    }
    batch.client.stop(Stop::Teardown).await;
    let failed = batch.ledger.done().values().any(|ok| !ok);
    Ok(ExitCode::from(u8::from(failed)))
}

impl Batch {
    fn is_done(&self) -> bool {
        self.ledger.done().len() >= self.commands.len()
    }

    async fn launch(&mut self, offers: Vec<Offer>) -> Result<(), Box<dyn Error>> {
        let needs = Needs {
            cpus: 0.1,
            mem: 32.0,
            ..Default::default()
        };
        for offer in offers {
            let Some(job) = self.ledger.next_job(self.commands.len()) else {
                // Dropping the offer declines it.
                continue;
            };
            let Ok(resources) = needs.cut_from(&offer.resources) else {
                continue;
            };
            let task = self.ledger.next_task(job);
            let info = Task::shell(&task, &self.commands[job]).build(&offer.agent_id, resources);
            let agent = offer.agent_id.value.clone();
            self.ledger.record(&Fact::Launch {
                job,
                task: task.clone(),
                agent,
            })?;
            match self.client.launch(vec![offer], vec![info], Duration::ZERO).await {
                // Unknown: it may run; reconciliation tells.
                Ok(_) | Err(CallError::Unknown(_)) => {}
                Err(_) => self.ledger.record(&Fact::End { task, ok: false })?,
            }
        }
        Ok(())
    }

    /// A status: what it means is durable before the caller acknowledges it.
    fn update(&mut self, status: &TaskStatus) -> Result<(), Box<dyn Error>> {
        let task = status.task_id.value.clone();
        let Some(live) = self.ledger.live().get(&task).cloned() else {
            return Ok(());
        };
        let ok = match status.state() {
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable => return Ok(()),
            state => state == TaskState::TaskFinished,
        };
        self.ledger.record(&Fact::End { task, ok })?;
        println!(
            "{} {}",
            if ok { "done  " } else { "failed" },
            self.commands[live.job]
        );
        Ok(())
    }

    /// A failed command needs offers again, which were declined while everything was launched.
    async fn revive_if_needed(&self) {
        if self.ledger.next_job(self.commands.len()).is_some() {
            // If it does not get through, the next end asks again, and filters end by themselves.
            let _ = self.client.revive(Vec::new()).await;
        }
    }

    async fn reconcile(&self) {
        let tasks = self
            .ledger
            .live()
            .iter()
            .filter_map(|(task, live)| Some((task.parse().ok()?, live.agent.parse().ok())));
        let tasks: Vec<_> = tasks.collect();
        if !tasks.is_empty() {
            // The next tick asks again.
            let _ = self.client.reconcile(tasks).await;
        }
    }
}
