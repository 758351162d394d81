//! The shortest complete framework: one task, its states, its end.
//!
//! `hello [HOST:PORT]`. Left out: tracking across restarts (it has no failover timeout, so its task ends with it) and
//! reconciliation.

use meseta_sdk::proto::TaskState;
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{Client, Config, Event, Framework, Stop};
use std::process::ExitCode;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let master = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "localhost:5050".to_owned());
    let config = Config::new(Framework::ephemeral("hello"), &master)?;
    let (client, mut events) = Client::start(config).await?;
    let needs = Needs {
        cpus: 0.1,
        mem: 32.0,
        ..Default::default()
    };
    let mut launched = false;
    while let Some(event) = events.next().await {
        match event {
            Event::Offers(offers) => {
                // Offers that are not used here are declined when they are dropped.
                for offer in offers.into_iter().take(usize::from(!launched)) {
                    if let Ok(resources) = needs.cut_from(&offer.resources) {
                        let task = Task::shell("hello.1", "echo hello").build(&offer.agent_id, resources);
                        client.launch(vec![offer], vec![task], Duration::ZERO).await?;
                        launched = true;
                    }
                }
            }
            Event::Update(update) => {
                let state = update.status.state();
                println!("{} is {}", update.status.task_id.value, state.as_str_name());
                update.ack();
                match state {
                    TaskState::TaskStarting | TaskState::TaskRunning => {}
                    TaskState::TaskFinished => return Ok(client.stop(Stop::Teardown).await.into()),
                    _ => return Ok(ExitCode::FAILURE),
                }
            }
            Event::Stopped(exit) => return Ok(exit.into()),
            _ => {}
        }
    }
    Ok(ExitCode::FAILURE)
}
