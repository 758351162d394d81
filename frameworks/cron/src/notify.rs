//! Telling owners: a job was deleted, was disabled, or has failed for good. Never more.
//!
//! Messages go to an HTTP address as JSON whose values are all texts, one per owner. Sending never holds up the engine: a
//! bounded queue, one sender, a few attempts, and what cannot be delivered is counted and logged without the address.

use meseta_cron_core::io::Notice;
use meseta_cron_core::job::{Job, JobName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Messages that wait for the sender.
pub(crate) const QUEUE_MAX: usize = 1_000;

/// Where notices go.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    queue: Option<mpsc::Sender<Value>>,
}

impl Notifier {
    /// With a queue somebody sends from.
    pub(crate) fn to(queue: mpsc::Sender<Value>) -> Notifier {
        Notifier { queue: Some(queue) }
    }

    /// Queues one message per owner.
    pub(crate) fn tell(&self, notice: &Notice, jobs: &BTreeMap<JobName, Job>) {
        let (name, subject, message) = words(notice);
        tracing::info!(job = %name, %subject, "notice");
        let Some(queue) = &self.queue else { return };
        let job = jobs.get(name);
        let definition = job.map(crate::job::definition).unwrap_or_default();
        let owners: Vec<&str> = definition.owner.split(',').map(str::trim).filter(|o| !o.is_empty()).collect();
        for to in if owners.is_empty() { vec![""] } else { owners } {
            let counters = job.map(|job| job.counters).unwrap_or_default();
            let moment = |at: Option<jiff::Timestamp>| at.map_or_else(String::new, crate::job::time);
            let body = json!({
                "subject": subject, "message": message, "to": to, "job": name.as_str(),
                "command": definition.command, "cpus": format!("{:?}", definition.cpus),
                "mem": format!("{:?}", definition.mem), "softError": definition.soft_error.to_string(),
                "errorCount": counters.error.to_string(),
                "errorsSinceLastSuccess": counters.errors_since_success.to_string(),
                "executor": definition.executor, "executorFlags": definition.executor_flags,
                "lastError": moment(counters.last_error), "lastSuccess": moment(counters.last_success),
                "retries": definition.retries.to_string(), "successCount": counters.success.to_string(),
                "uris": definition.uris.join(","),
            });
            if queue.try_send(body).is_err() {
                tracing::warn!(job = %name, "a notice is dropped: too many wait");
            }
        }
    }
}

fn words(notice: &Notice) -> (&JobName, String, String) {
    match notice {
        Notice::Failed { job, retries, run, message } => (
            job,
            format!("[Chronos] job '{job}' failed!"),
            format!("'{job}' failed after {retries} retries. Task {run}: {message}"),
        ),
        Notice::Disabled(job) => (job, format!("[Chronos] job '{job}' disabled"), format!("'{job}' was disabled")),
        Notice::Deleted(job) => {
            (job, format!("[Chronos] Your job '{job}' was deleted!"), format!("'{job}' was deleted"))
        }
    }
}

/// Longest one delivery may take.
const POST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Posts one notice over plain HTTP.
///
/// # Errors
/// What went wrong, without the address.
pub(crate) async fn post(url: &str, body: &Value) -> Result<(), String> {
    let attempt = async {
        let uri: http::Uri = url.parse().map_err(|_| "the address is no URL".to_owned())?;
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let request = http::Request::post(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(body.to_string())))
            .map_err(|error| error.to_string())?;
        let response = client.request(request).await.map_err(|_| "no connection".to_owned())?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(format!("the answer was {}", response.status())),
        }
    };
    tokio::time::timeout(POST_TIMEOUT, attempt).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
}
