//! Telling owners: a job was deleted, was disabled, or has failed for good. Never more, as in Chronos.
//!
//! Messages go to an HTTP address as JSON whose values are all texts, one per owner. Sending never holds up the engine: a
//! bounded queue, one sender, a few attempts, and what cannot be delivered is counted and logged without the address.

use crate::config::Messages;
use crate::job;
use crate::numbers::Numbers;
use http::header::CONTENT_TYPE;
use meseta_cron_core::io::Notice;
use meseta_cron_core::job::{Job, JobName};
use meseta_http::inbox::{self, Inbox, Queued};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Owners of one job that are told: the list is text of up to a whole definition.
const OWNERS_MAX: usize = 100;

/// Longest one delivery may take.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts to deliver one message.
const ATTEMPTS: u32 = 3;

/// Between the first two attempts; four times as long between the next.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// Bounded in messages and in bytes: when it is full, somebody's endpoint has been down for long.
    queue: Option<Inbox<String>>,
    prefix: String,
    numbers: Arc<Numbers>,
}

impl Notifier {
    /// Starts the sender, if there is an address. It ends with the last handle on its queue.
    pub(crate) fn start(messages: Option<Messages>, numbers: Arc<Numbers>) -> Notifier {
        let cluster = messages.as_ref().and_then(|messages| messages.cluster.clone());
        let queue = messages.map(|messages| {
            let (queue, queued) = inbox::inbox();
            tokio::spawn(send(messages, queued, Arc::clone(&numbers)));
            queue
        });
        Notifier {
            queue,
            prefix: cluster.map_or_else(String::new, |cluster| format!("[{cluster}] ")),
            numbers,
        }
    }

    /// Queues one message per owner.
    pub(crate) fn tell(&self, notice: &Notice, job: Option<&Job>) {
        let (name, subject, message) = words(notice);
        tracing::info!(job = %name, %subject, "message to the owner");
        let Some(queue) = &self.queue else { return };
        for body in bodies(name, &format!("{}{subject}", self.prefix), &message, job) {
            let bytes = body.len();
            if !queue.try_send(body, bytes) {
                Numbers::add(&self.numbers.messages_dropped, 1);
                tracing::warn!(job = %name, "a message is dropped: too many wait");
            }
        }
    }
}

/// A message for each owner, made when it is asked for: all of them may be many times the job's definition.
fn bodies(name: &JobName, subject: &str, message: &str, job: Option<&Job>) -> impl Iterator<Item = String> {
    let definition = job.map(job::definition).unwrap_or_default();
    let counters = job.map(|job| job.counters).unwrap_or_default();
    let moment = |at: Option<jiff::Timestamp>| at.map_or_else(String::new, job::time);
    let owners = definition
        .owner
        .split(',')
        .map(str::trim)
        .filter(|owner| !owner.is_empty());
    let mut owners: Vec<String> = owners.take(OWNERS_MAX).map(str::to_owned).collect();
    if owners.is_empty() {
        owners.push(String::new());
    }
    let mut body = json!({
        "subject": subject, "message": message, "job": name.as_str(),
        "command": definition.command, "cpus": format!("{:?}", definition.cpus),
        "mem": format!("{:?}", definition.mem), "softError": definition.soft_error.to_string(),
        "errorCount": counters.error.to_string(),
        "errorsSinceLastSuccess": counters.errors_since_success.to_string(),
        "executor": definition.executor, "executorFlags": definition.executor_flags,
        "lastError": moment(counters.last_error), "lastSuccess": moment(counters.last_success),
        "retries": definition.retries.to_string(), "successCount": counters.success.to_string(),
        "uris": definition.uris.join(","), "async": definition.asynchronous.to_string(),
        "epsilon": definition.epsilon.unwrap_or_default(),
    });
    owners.into_iter().map(move |to| {
        if let Some(body) = body.as_object_mut() {
            body.insert("to".to_owned(), to.into());
        }
        body.to_string()
    })
}

fn words(notice: &Notice) -> (&JobName, String, String) {
    match notice {
        Notice::Failed {
            job,
            retries,
            run,
            message,
        } => (
            job,
            format!("[Chronos] job '{job}' failed!"),
            format!("'{job}' failed after {retries} retries. Task {run}: {message}"),
        ),
        Notice::Disabled(job) => (
            job,
            format!("[Chronos] job '{job}' disabled"),
            format!("'{job}' was disabled"),
        ),
        Notice::Deleted(job) => (
            job,
            format!("[Chronos] Your job '{job}' was deleted!"),
            format!("'{job}' was deleted"),
        ),
    }
}

async fn send(messages: Messages, mut queued: mpsc::Receiver<Queued<String>>, numbers: Arc<Numbers>) {
    // A second provider in one process is refused; the first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = match reqwest::Client::builder().timeout(POST_TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no messages can be sent");
            return;
        }
    };
    while let Some(Queued {
        message: body,
        room: _room,
        ..
    }) = queued.recv().await
    {
        let mut delay = FIRST_DELAY;
        for attempt in 1..=ATTEMPTS {
            match post(&client, &messages, &body).await {
                Ok(()) => {
                    Numbers::add(&numbers.messages_sent, 1);
                    break;
                }
                Err(why) if attempt == ATTEMPTS => {
                    Numbers::add(&numbers.messages_dropped, 1);
                    tracing::warn!(%why, "a message is given up");
                }
                Err(why) => {
                    tracing::warn!(attempt, %why, "a message was not delivered");
                    tokio::time::sleep(delay).await;
                    delay *= 4;
                }
            }
        }
    }
}

/// Posts one message.
///
/// # Errors
/// What went wrong, without the address: it may hold a password.
async fn post(client: &reqwest::Client, messages: &Messages, body: &str) -> Result<(), String> {
    let request = client.post(&messages.url).body(body.to_owned());
    let mut request = request.header(CONTENT_TYPE, "application/json");
    if let Some(credentials) = &messages.credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        request = request.basic_auth(user, Some(password));
    }
    let response = request
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the answer was {status}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::definition::Defaults;
    use meseta_cron_core::job::Dialect;
    use serde_json::Value;

    fn job(body: &Value) -> Job {
        let defaults = Defaults {
            cpus: 0.1,
            mem: 128.0,
            disk: 256.0,
            user: String::new(),
        };
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let wish = job::read(body, Dialect::V3, &defaults, now).unwrap();
        Job {
            spec: Arc::new(wish.spec),
            settled: now,
            counters: Default::default(),
            parent_successes: Default::default(),
            generation: 1,
        }
    }

    #[tokio::test]
    async fn a_job_with_thousands_of_owners_and_a_long_command_takes_no_more_room_than_there_is() {
        let owners = vec!["a"; 20_000].join(",");
        let long = "x".repeat(200_000);
        let body = json!({"name": "a", "schedule": "R//PT1H", "owner": owners, "command": long});
        let numbers = Arc::new(Numbers::default());
        let (queue, mut queued) = inbox::inbox();
        let notifier = Notifier {
            queue: Some(queue),
            prefix: String::new(),
            numbers: Arc::clone(&numbers),
        };
        for _ in 0..10 {
            notifier.tell(&Notice::Disabled(JobName::recorded("a")), Some(&job(&body)));
        }
        let mut bytes = 0;
        let mut count = 0;
        while let Ok(waiting) = queued.try_recv() {
            bytes += waiting.bytes;
            count += 1;
        }
        assert!(
            count >= OWNERS_MAX as u64 && bytes <= 64 << 20,
            "{count}, {bytes}"
        );
        let dropped = Numbers::read(&numbers.messages_dropped);
        assert_eq!(count + dropped, 10 * OWNERS_MAX as u64);
    }

    #[test]
    fn each_owner_gets_a_message_whose_values_are_all_texts() {
        let job = job(&json!({"name": "a", "schedule": "R//PT1H", "owner": "a@x, b@x", "uris": ["u", "v"]}));
        let notice = Notice::Failed {
            job: JobName::recorded("a"),
            retries: 2,
            run: meseta_cron_core::run::RunId::written("ct:1:2:a:"),
            message: "exit 1".into(),
        };
        let (name, subject, message) = words(&notice);
        assert!(subject.contains("job 'a' failed!"));
        let bodies = bodies(name, &subject, &message, Some(&job));
        let bodies: Vec<Value> = bodies.map(|body| serde_json::from_str(&body).unwrap()).collect();
        let owners: Vec<&str> = bodies.iter().map(|body| body["to"].as_str().unwrap()).collect();
        assert_eq!(owners, ["a@x", "b@x"]);
        assert!(bodies[0].as_object().unwrap().values().all(Value::is_string));
        assert_eq!(
            (&bodies[0]["uris"], &bodies[0]["cpus"]),
            (&json!("u,v"), &json!("0.1"))
        );
    }
}
