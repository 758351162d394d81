//! What was: the last words of a failed task, and the state changes of tasks as the master remembers them.

use crate::api::Leader;
use crate::cluster::{Cluster, agent_address, list, number, short_task, string};
use crate::files::Sandbox;
use crate::text::harmless;
use serde_json::{Value, json};

/// As much of a file's end as is looked at.
const TAIL_BYTES: u64 = 8 * 1024;

/// The last lines of a task's standard error; none when they cannot be read any more.
pub(super) async fn last_words(
    leader: &Leader,
    cluster: &Cluster,
    task_id: &str,
    lines: usize,
) -> Vec<String> {
    let Ok(task) = cluster.task(task_id) else {
        return Vec::new();
    };
    let id = |member: &str| string(task, &[member, "value"]);
    let executor = match id("executor_id") {
        "" => id("task_id"),
        executor => executor,
    };
    let Some(agent) = agent_address(cluster, id("agent_id")) else {
        return Vec::new();
    };
    let sandbox = Sandbox::new(leader.http.clone(), agent, id("framework_id"), executor);
    let Ok(Some(first)) = sandbox.read("stderr", 0, 1).await else {
        return Vec::new();
    };
    let from = first.size.saturating_sub(TAIL_BYTES);
    let Ok(Some(tail)) = sandbox.read("stderr", from, TAIL_BYTES).await else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&tail.data).into_owned();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = all.iter().skip(all.len().saturating_sub(lines));
    last.map(|line| harmless(line)).collect()
}

/// A state change of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happened {
    /// Seconds since the epoch.
    pub(super) at: f64,
    pub(super) task: String,
    pub(super) state: String,
    pub(super) note: String,
}

impl Happened {
    /// `12:04:31Z web.3f2a91c0 failed: Command exited with status 1`.
    pub(super) fn line(&self) -> String {
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!(": {}", self.note)
        };
        format!("{} {} {}{note}", clock(self.at), self.task, self.state)
    }

    pub(super) fn object(&self) -> Value {
        json!({"timestamp": stamp(self.at), "task": self.task, "state": self.state, "message": self.note})
    }
}

/// The last state changes of tasks whose ids begin with `prefix`, in order.
pub(super) fn timeline(cluster: &Cluster, prefix: &str, last: usize) -> Vec<Happened> {
    let tasks = cluster
        .tasks
        .iter()
        .chain(&cluster.unreachable_tasks)
        .chain(&cluster.completed_tasks);
    let mine = tasks.filter(|t| string(t, &["task_id", "value"]).starts_with(prefix));
    let mut all: Vec<Happened> = mine
        .flat_map(|task| {
            let name = short_task(string(task, &["task_id", "value"]));
            list(task, "statuses").iter().filter_map(move |status| {
                let state = string(status, &["state"]);
                let word = match status.get("healthy").and_then(Value::as_bool) {
                    Some(true) if state == "TASK_RUNNING" => "healthy".to_owned(),
                    Some(false) if state == "TASK_RUNNING" => "unhealthy".to_owned(),
                    _ => state.strip_prefix("TASK_").unwrap_or(state).to_lowercase(),
                };
                Some(Happened {
                    at: number(status, &["timestamp"])?,
                    task: name.clone(),
                    state: word,
                    note: harmless(string(status, &["message"])),
                })
            })
        })
        .collect();
    all.sort_by(|a, b| a.at.total_cmp(&b.at));
    all.split_off(all.len().saturating_sub(last))
}

/// `12:04:31Z` of seconds since the epoch.
pub(super) fn clock(at: f64) -> String {
    let at = jiff::Timestamp::from_millisecond((at * 1000.0) as i64).unwrap_or_default();
    at.strftime("%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC.
pub(super) fn stamp(at: f64) -> String {
    let at = jiff::Timestamp::from_millisecond((at * 1000.0) as i64).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_changes_of_an_app_are_told_in_order() {
        let task = |uuid: &str, statuses: Value| json!({"task_id": {"value": format!("web.instance-{uuid}-1._app.1")}, "statuses": statuses});
        let cluster = Cluster {
            tasks: vec![task(
                "aaaaaaaa",
                json!([
                    {"state": "TASK_RUNNING", "timestamp": 61.0},
                    {"state": "TASK_RUNNING", "timestamp": 63.0, "healthy": true},
                ]),
            )],
            completed_tasks: vec![
                task(
                    "bbbbbbbb",
                    json!([{"state": "TASK_FAILED", "timestamp": 62.0, "message": "exit 1\n"}]),
                ),
                json!({"task_id": {"value": "web2.instance-x"}, "statuses": [{"state": "TASK_LOST", "timestamp": 1.0}]}),
            ],
            ..Cluster::default()
        };
        let lines: Vec<String> = timeline(&cluster, "web.instance-", 9)
            .iter()
            .map(Happened::line)
            .collect();
        assert_eq!(
            lines,
            [
                "00:01:01Z web.aaaaaaaa running",
                "00:01:02Z web.bbbbbbbb failed: exit 1 ",
                "00:01:03Z web.aaaaaaaa healthy",
            ]
        );
        assert_eq!(timeline(&cluster, "web.instance-", 1).len(), 1);
    }
}
