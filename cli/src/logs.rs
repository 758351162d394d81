//! `meseta logs`: the end of what tasks wrote, and what they go on writing.

use crate::api::Leader;
use crate::args::{Global, LogsArgs};
use crate::cluster::{Cluster, list, masters, string};
use crate::failure::{Failure, exit};
use crate::files::{Follower, Sandbox};
use meseta_sdk::endpoint::Endpoint;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;

/// How far back the last lines are looked for: longer lines than this are shown from their middle.
const TAIL_BYTES: u64 = 1024 * 1024;
/// How often the master is asked whether a followed task has ended.
const ENDED_EVERY: Duration = Duration::from_secs(1);

struct Source {
    task: String,
    framework: String,
    file: &'static str,
    sandbox: Sandbox,
    /// Before each line, when there are several sources.
    prefix: String,
}

/// Prints and, with `-f`, follows.
pub(crate) async fn run(global: &Global, args: &LogsArgs) -> Result<u8, Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    let mut sources = Vec::new();
    for name in &args.tasks {
        sources.extend(sources_of(&leader, &cluster, name, args)?);
    }
    let mut followed = Vec::new();
    for source in sources {
        let from = tail_offset(&source, args.lines).await?;
        let follower = Follower::new(source.sandbox.clone(), source.file, from);
        followed.push((source, follower, Lines::default()));
    }
    let mut ended = !args.follow;
    let mut asked = tokio::time::Instant::now();
    loop {
        let mut quiet = true;
        for (source, follower, lines) in &mut followed {
            loop {
                let data = follower.more().await.map_err(|why| lost(&source.task, &why))?;
                if data.is_empty() {
                    break;
                }
                quiet = false;
                if print(&lines.take(&source.prefix, &data)).is_err() {
                    return Ok(exit::CLOSED_PIPE);
                }
            }
        }
        if ended && quiet {
            break;
        }
        if !ended && asked.elapsed() >= ENDED_EVERY {
            ended = all_ended(&leader, followed.iter().map(|(s, ..)| s)).await?;
            asked = tokio::time::Instant::now();
        } else if quiet {
            let pause = followed.iter_mut().map(|(_, f, _)| f.pause()).min();
            tokio::time::sleep(pause.unwrap_or(ENDED_EVERY)).await;
        }
    }
    let rests: String = followed
        .iter_mut()
        .map(|(s, _, lines)| lines.rest(&s.prefix))
        .collect();
    Ok(print(rests.as_bytes()).err().map_or(0, |_| exit::CLOSED_PIPE))
}

fn print(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn sources_of(
    leader: &Leader,
    cluster: &Cluster,
    name: &str,
    args: &LogsArgs,
) -> Result<Vec<Source>, Failure> {
    let task = cluster.task(name)?;
    let id = |member: &str| string(task, &[member, "value"]).to_owned();
    let (task_id, framework) = (id("task_id"), id("framework_id"));
    let executor = Some(id("executor_id"))
        .filter(|e| !e.is_empty())
        .unwrap_or_else(|| task_id.clone());
    let agent = agent_address(cluster, &id("agent_id")).ok_or_else(|| {
        let what = format!("the agent of {task_id} is not there; its output cannot be read");
        Failure::new("agent-lost", exit::UNREACHABLE, what)
            .fix(format!("what the master last knew: meseta task show {task_id}"))
    })?;
    let files: &[&'static str] = match (args.stdout, args.stderr) {
        (true, _) => &["stdout"],
        (_, true) => &["stderr"],
        _ => &["stdout", "stderr"],
    };
    let source = |file: &&'static str| Source {
        task: task_id.clone(),
        framework: framework.clone(),
        file,
        sandbox: Sandbox::new(leader.http.clone(), agent.clone(), &framework, &executor),
        prefix: if args.tasks.len() > 1 {
            format!("{task_id} | ")
        } else {
            String::new()
        },
    };
    Ok(files.iter().map(source).collect())
}

fn agent_address(cluster: &Cluster, id: &str) -> Option<Endpoint> {
    let agent = cluster
        .agents
        .iter()
        .find(|a| string(a, &["agent_info", "id", "value"]) == id)?;
    let (_, address) = string(agent, &["pid"]).rsplit_once('@')?;
    address.parse().ok()
}

fn lost(task: &str, why: &str) -> Failure {
    Failure::new(
        "agent-lost",
        exit::UNREACHABLE,
        format!("the output of {task} cannot be read: {why}"),
    )
    .fix(format!("what the master last knew: meseta task show {task}"))
}

/// Where the last `lines` lines begin.
async fn tail_offset(source: &Source, lines: usize) -> Result<u64, Failure> {
    let read = |offset| source.sandbox.read(source.file, offset, u64::MAX);
    let failed = |why: String| lost(&source.task, &why);
    let Some(first) = read(0).await.map_err(failed)? else {
        return Ok(0);
    };
    let size = first.size;
    let start = size.saturating_sub(TAIL_BYTES);
    let mut tail = Vec::new();
    while start + (tail.len() as u64) < size {
        match read(start + tail.len() as u64).await.map_err(failed)? {
            Some(piece) if !piece.data.is_empty() => tail.extend_from_slice(&piece.data),
            _ => break,
        }
    }
    Ok(start + last_lines(&tail, lines) as u64)
}

/// The index at which the last `lines` lines begin.
fn last_lines(text: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return text.len();
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let newlines = body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n');
    newlines.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0)
}

async fn all_ended(leader: &Leader, sources: impl Iterator<Item = &Source>) -> Result<bool, Failure> {
    for source in sources {
        let path = format!(
            "/tasks?task_id={}&framework_id={}",
            query(&source.task),
            query(&source.framework)
        );
        let answer = leader.http.get(&leader.at, &path).await;
        // A master that is away says nothing about the task.
        let Ok(answer) = answer else { return Ok(false) };
        let Ok(tasks) = crate::api::understood(&leader.at, answer) else {
            return Ok(false);
        };
        let live = |task: &Value| {
            let state = string(task, &["state"]);
            matches!(
                state,
                "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
            )
        };
        if list(&tasks, "tasks").iter().any(live) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Percent-encodes what has a meaning in a query.
fn query(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

/// Puts prefixes before whole lines; without a prefix bytes pass unchanged.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn take(&mut self, prefix: &str, data: &[u8]) -> Vec<u8> {
        if prefix.is_empty() {
            return data.to_vec();
        }
        self.partial.extend_from_slice(data);
        let whole = self
            .partial
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        let mut out = Vec::new();
        for line in self.partial[..whole].split_inclusive(|b| *b == b'\n') {
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(line);
        }
        self.partial.drain(..whole);
        out
    }

    fn rest(&mut self, prefix: &str) -> String {
        let rest = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
        if rest.is_empty() {
            rest
        } else {
            format!("{prefix}{rest}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_begin_after_a_newline() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(&text[last_lines(text, 1)..], b"three\n");
        assert_eq!(&text[last_lines(text, 2)..], b"two\nthree\n");
        assert_eq!(&text[last_lines(text, 9)..], text);
        assert_eq!(last_lines(text, 0), text.len());
        assert_eq!(last_lines(b"", 3), 0);
        assert_eq!(&b"a\nb"[last_lines(b"a\nb", 1)..], b"b");
    }

    #[test]
    fn prefixes_stand_before_whole_lines_only() {
        let mut lines = Lines::default();
        assert_eq!(lines.take("t | ", b"on"), b"");
        assert_eq!(lines.take("t | ", b"e\ntwo\nthr"), b"t | one\nt | two\n");
        assert_eq!(lines.rest("t | "), "t | thr\n");
        assert_eq!(lines.rest("t | "), "");
    }

    #[test]
    fn odd_ids_cannot_change_a_query() {
        assert_eq!(query("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
