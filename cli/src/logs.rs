//! `meseta logs`: the end of what tasks wrote, and what they go on writing.
//!
//! A target is an app or a job (all its tasks, merged), or one task. While following, new tasks of an app or job are picked
//! up as they come; an agent that cannot be reached is told about and the others go on.

use crate::api::Leader;
use crate::args::{Global, LogsArgs};
use crate::cluster::{Cluster, agent_address, is_live, list, masters, number, short_task, string};
use crate::failure::{Failure, exit};
use crate::files::{Follower, Sandbox};
use crate::look::{Look, Tone};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::time::Instant;

/// How far back the last lines are looked for: longer lines than this are shown from their middle.
const TAIL_BYTES: u64 = 1024 * 1024;
/// How often the master is asked for new tasks and for ended ones.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files that are read in one command: each is asked for several times a second.
const SOURCES_MAX: usize = 2_000;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All tasks whose ids begin so; of an app.
    App(String),
    /// All runs of a job.
    Job(String),
    /// One task, by its id.
    Task(String),
}

impl Target {
    pub(crate) fn has(&self, task: &Value) -> bool {
        let id = string(task, &["task_id", "value"]);
        match self {
            Target::App(prefix) => id.starts_with(prefix),
            Target::Job(name) => job_of(id) == Some(name),
            Target::Task(task) => id == task,
        }
    }

    /// Whether more tasks may come.
    fn grows(&self) -> bool {
        !matches!(self, Target::Task(_))
    }
}

/// The job of a run's task, `ct:<due>:<attempt>:<job>:<arguments>`.
pub(crate) fn job_of(task: &str) -> Option<&str> {
    let mut parts = task.strip_prefix("ct:")?.splitn(4, ':');
    let (_, _) = (parts.next()?, parts.next()?);
    parts.next()
}

/// What a name means: an app, a job, or a task. `app/web`, `job/web` and `task/web` say which.
pub(crate) fn target(cluster: &Cluster, name: &str) -> Result<Target, Failure> {
    let all = || {
        cluster
            .tasks
            .iter()
            .chain(&cluster.unreachable_tasks)
            .chain(&cluster.completed_tasks)
    };
    let (kind, bare) = match name.split_once('/') {
        Some((kind @ ("app" | "job" | "task" | "run"), bare)) => (kind, bare),
        _ => ("", name),
    };
    let app = Target::App(crate::app::why::task_prefix(bare));
    let job = Target::Job(bare.to_owned());
    let is_app = matches!(kind, "" | "app") && all().any(|t| app.has(t));
    let is_job = matches!(kind, "" | "job") && all().any(|t| job.has(t));
    match (is_app, is_job) {
        (true, true) => {
            let what = format!("'{name}' is an app and a job");
            Err(Failure::new("ambiguous", exit::REFUSED, what).detail(format!("app/{bare} job/{bare}")))
        }
        (true, false) => Ok(app),
        (false, true) => Ok(job),
        (false, false) if matches!(kind, "app" | "job") => {
            let what = format!("{kind} '{bare}' has no task whose output is still there");
            Err(Failure::new("not-found", exit::NOT_FOUND, what).fix(format!("meseta {kind} why {bare}")))
        }
        (false, false) => match cluster.task(bare) {
            Ok(task) => Ok(Target::Task(string(task, &["task_id", "value"]).to_owned())),
            Err(failure) if failure.exit == exit::NOT_FOUND => {
                let what = format!("there is no app, job or task '{name}' with output");
                Err(Failure::new("not-found", exit::NOT_FOUND, what)
                    .fix("meseta task list -a · why an app has none: meseta app why NAME"))
            }
            Err(failure) => Err(failure),
        },
    }
}

/// The tasks that are shown first: live ones, or the newest one that ended; with `--previous` the newest that ended.
fn first_tasks<'a>(cluster: &'a Cluster, target: &Target, previous: bool) -> Vec<&'a Value> {
    let live = cluster
        .tasks
        .iter()
        .chain(&cluster.unreachable_tasks)
        .filter(|t| target.has(t));
    let live: Vec<&Value> = match target {
        Target::Task(_) => live.collect(),
        _ => live.filter(|t| is_live(t)).collect(),
    };
    if !live.is_empty() && !previous {
        return live;
    }
    let mut ended: Vec<&Value> = cluster
        .tasks
        .iter()
        .chain(&cluster.completed_tasks)
        .filter(|t| target.has(t) && (!is_live(t) || matches!(target, Target::Task(_))))
        .collect();
    let last = |t: &Value| {
        list(t, "statuses")
            .last()
            .and_then(|s| number(s, &["timestamp"]))
            .unwrap_or(0.0)
    };
    ended.sort_by(|a, b| last(a).total_cmp(&last(b)));
    ended.pop().into_iter().collect()
}

/// One file of one task.
struct Source {
    task: String,
    file: &'static str,
    follower: Follower,
    lines: Lines,
    /// Before each line, when there are several tasks.
    prefix: String,
    /// The task has ended; the file is read to its end.
    ended: bool,
    /// Nothing more will come, or can be read.
    closed: bool,
}

struct Logs<'a> {
    args: &'a LogsArgs,
    look: Look,
    leader: Leader,
    targets: Vec<Target>,
    sources: Vec<Source>,
    /// Tasks that have been looked at.
    known: BTreeSet<String>,
    prefixed: bool,
}

/// Prints and, with `-f`, follows.
pub(crate) async fn run(global: &Global, args: &LogsArgs) -> Result<u8, Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    let targets = args
        .targets
        .iter()
        .map(|name| target(&cluster, name))
        .collect::<Result<Vec<_>, _>>()?;
    let first: Vec<&Value> = targets
        .iter()
        .flat_map(|t| first_tasks(&cluster, t, args.previous))
        .collect();
    let grows = args.follow && !args.previous && targets.iter().any(Target::grows);
    let mut logs = Logs {
        args,
        look: Look::of(global, std::io::stdout().is_terminal()),
        leader,
        prefixed: grows || first.len() > 1,
        targets,
        sources: Vec::new(),
        known: BTreeSet::new(),
    };
    if first.is_empty() {
        let what = "none of its tasks ended before: there is no previous output";
        return Err(Failure::new("not-found", exit::NOT_FOUND, what));
    }
    // Those that ended before are old, not new.
    logs.known.extend(
        cluster
            .completed_tasks
            .iter()
            .map(|t| string(t, &["task_id", "value"]).to_owned()),
    );
    let mut failures = Vec::new();
    for task in &first {
        if let Err(failure) = logs.add(&cluster, task, Some(args.lines)).await {
            failures.push(failure);
        }
    }
    if failures.len() == first.len() && !grows {
        return Err(failures.remove(0));
    }
    for failure in failures {
        eprintln!("-- {} --", failure.what);
    }
    Ok(logs.run(grows).await.err().unwrap_or(0))
}

impl Logs<'_> {
    /// Begins to read a task's files: from the last lines, or from their start.
    async fn add(&mut self, cluster: &Cluster, task: &Value, tail: Option<usize>) -> Result<(), Failure> {
        let id = |member: &str| string(task, &[member, "value"]).to_owned();
        let task_id = id("task_id");
        self.known.insert(task_id.clone());
        let executor = Some(id("executor_id"))
            .filter(|e| !e.is_empty())
            .unwrap_or_else(|| task_id.clone());
        let name = short_task(&task_id);
        let Some(agent) = agent_address(cluster, &id("agent_id")) else {
            let what = format!("the agent of {name} is not there; its output cannot be read");
            return Err(Failure::new("agent-lost", exit::UNREACHABLE, what)
                .fix(format!("what the master last knew: meseta task show {name}")));
        };
        let files: &[&'static str] = match (self.args.stdout, self.args.stderr) {
            (true, _) => &["stdout"],
            (_, true) => &["stderr"],
            _ => &["stdout", "stderr"],
        };
        let sandbox = Sandbox::new(self.leader.http.clone(), agent, &id("framework_id"), &executor);
        for file in files {
            if self.sources.len() >= SOURCES_MAX {
                let what = format!("more than {SOURCES_MAX} files are not followed; {name} is left out");
                return Err(Failure::new("too-many", exit::REFUSED, what).fix("meseta logs -f TASK"));
            }
            let from = match tail {
                Some(lines) => tail_offset(&sandbox, file, lines)
                    .await
                    .map_err(|why| lost(&name, &why))?,
                None => 0,
            };
            self.sources.push(Source {
                task: task_id.clone(),
                file,
                follower: Follower::new(sandbox.clone(), file, from),
                lines: Lines::default(),
                prefix: self.prefix(&name),
                ended: !self.args.follow,
                closed: false,
            });
        }
        Ok(())
    }

    fn prefix(&self, name: &str) -> String {
        if !self.prefixed {
            return String::new();
        }
        format!("{} ", self.look.paint(Tone::Name, &format!("{name} |")))
    }

    /// Until everything is read; `Err` is the exit code of a closed pipe.
    async fn run(&mut self, grows: bool) -> Result<(), u8> {
        let mut looked = Instant::now();
        loop {
            let mut quiet = true;
            for source in &mut self.sources {
                quiet &= source.read().await?;
            }
            if quiet && !grows && self.sources.iter().all(|s| s.closed) {
                break;
            }
            if self.args.follow && looked.elapsed() >= LOOK_EVERY {
                self.news(grows).await;
                looked = Instant::now();
            } else if quiet && self.args.follow {
                let open = self.sources.iter_mut().filter(|s| !s.closed);
                let pause = open.map(|s| s.follower.pause()).min().unwrap_or(LOOK_EVERY);
                tokio::time::sleep(pause).await;
            }
            self.sources.retain(|s| !s.closed || !grows);
        }
        Ok(())
    }

    /// New tasks, and those that ended. A master that is away says nothing about them.
    async fn news(&mut self, grows: bool) {
        let Ok(cluster) = Cluster::read(&self.leader).await else {
            return;
        };
        let live: BTreeSet<&str> = cluster
            .tasks
            .iter()
            .chain(&cluster.unreachable_tasks)
            .filter(|t| is_live(t))
            .map(|t| string(t, &["task_id", "value"]))
            .collect();
        for source in &mut self.sources {
            source.ended = source.ended || !live.contains(source.task.as_str());
        }
        if !grows {
            return;
        }
        let all = cluster.tasks.iter().chain(&cluster.completed_tasks);
        let new: Vec<&Value> = all
            .filter(|t| self.targets.iter().any(|target| target.grows() && target.has(t)))
            .filter(|t| !self.known.contains(string(t, &["task_id", "value"])))
            .collect();
        for task in new {
            // One that ended meanwhile is read to its end all the same.
            let ended = !is_live(task);
            if let Err(failure) = self.add(&cluster, task, None).await {
                eprintln!("-- {} --", failure.what);
                continue;
            }
            let id = string(task, &["task_id", "value"]);
            self.sources
                .iter_mut()
                .filter(|s| s.task == id)
                .for_each(|s| s.ended = ended);
        }
    }
}

impl Source {
    /// Prints what there is; whether there was nothing.
    async fn read(&mut self) -> Result<bool, u8> {
        let mut quiet = true;
        while !self.closed {
            let data = match self.follower.more().await {
                Ok(data) => data,
                Err(why) if self.ended => {
                    eprintln!(
                        "-- {} of {} cannot be read: {why} --",
                        self.file,
                        short_task(&self.task)
                    );
                    self.closed = true;
                    break;
                }
                // The agent may be starting again; its files stay.
                Err(_) => break,
            };
            if data.is_empty() {
                if self.ended {
                    self.closed = true;
                    print(self.lines.rest(&self.prefix).as_bytes())?;
                }
                break;
            }
            quiet = false;
            print(&self.lines.take(&self.prefix, &data))?;
        }
        Ok(quiet)
    }
}

fn print(bytes: &[u8]) -> Result<(), u8> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|_| exit::CLOSED_PIPE)
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
async fn tail_offset(sandbox: &Sandbox, file: &str, lines: usize) -> Result<u64, String> {
    let Some(first) = sandbox.read(file, 0, u64::MAX).await? else {
        return Ok(0);
    };
    let size = first.size;
    let start = size.saturating_sub(TAIL_BYTES);
    let mut tail = Vec::new();
    while start + (tail.len() as u64) < size {
        match sandbox.read(file, start + tail.len() as u64, u64::MAX).await? {
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

/// Puts prefixes before whole lines; without a prefix bytes pass unchanged.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

/// A line that is longer is printed in pieces: memory is bounded, whatever tasks write.
const LINE_BYTES_MAX: usize = 1024 * 1024;

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
        if self.partial.len() > LINE_BYTES_MAX {
            out.extend_from_slice(self.rest(prefix).as_bytes());
        }
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

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
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(lines.take("t | ", &long).len(), long.len() + 5, "in pieces");
    }

    fn task(id: &str, state: &str, at: f64) -> Value {
        json!({"task_id": {"value": id}, "state": state, "statuses": [{"timestamp": at}]})
    }

    fn cluster() -> Cluster {
        Cluster {
            tasks: vec![
                task("web.instance-aaaaaaaa-1._app.1", "TASK_RUNNING", 5.0),
                task("web.instance-bbbbbbbb-1._app.1", "TASK_RUNNING", 6.0),
                task("ct:1:0:both:", "TASK_RUNNING", 1.0),
                task("both.instance-cccccccc-1._app.1", "TASK_RUNNING", 1.0),
            ],
            completed_tasks: vec![
                task("web.instance-dddddddd-1._app.1", "TASK_FAILED", 3.0),
                task("web.instance-eeeeeeee-1._app.1", "TASK_FAILED", 4.0),
                task("ct:1500:0:clock:a:b", "TASK_FINISHED", 2.0),
            ],
            ..Cluster::default()
        }
    }

    fn ids(cluster: &Cluster, name: &str, previous: bool) -> Vec<String> {
        let target = target(cluster, name).unwrap();
        let tasks = first_tasks(cluster, &target, previous);
        tasks
            .iter()
            .map(|t| short_task(string(t, &["task_id", "value"])))
            .collect()
    }

    #[test]
    fn names_stand_for_apps_jobs_and_tasks() {
        let cluster = cluster();
        for name in ["web", "/web", "app/web"] {
            assert_eq!(
                ids(&cluster, name, false),
                ["web.aaaaaaaa", "web.bbbbbbbb"],
                "{name}"
            );
        }
        assert_eq!(ids(&cluster, "web.bb", false), ["web.bbbbbbbb"]);
        assert_eq!(
            ids(&cluster, "clock", false),
            ["ct:1500:0:clock:a:b"],
            "the last run"
        );
        assert_eq!(
            ids(&cluster, "web", true),
            ["web.eeeeeeee"],
            "the instance before"
        );
        assert_eq!(
            target(&cluster, "both").unwrap_err().details,
            ["app/both job/both"]
        );
        assert_eq!(ids(&cluster, "job/both", false), ["ct:1:0:both:"]);
        assert_eq!(target(&cluster, "nosuch").unwrap_err().exit, exit::NOT_FOUND);
    }
}
