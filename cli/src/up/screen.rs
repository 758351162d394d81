//! What `up` says, on standard error: standard output belongs to the command it runs.

use super::bring::Brought;
use super::child::Ended;
use super::host::is_local_only;
use super::plan::{Machine, Plan, Role};
use super::seconds;
use crate::args::Global;
use crate::failure::Failure;
use crate::look::Look;
use crate::progress::Progress;
use crate::text::{age, cores, harmless, mebibytes, plural};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

/// Lines of a log that are shown when a role cannot be kept alive.
const TAIL_LINES: usize = 5;
/// As much of a log's end as is looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;
/// Names in a line: the rest is counted.
const NAMES_MAX: usize = 8;
/// Addresses of one app in the summary.
const ADDRESSES_MAX: usize = 5;

/// Where the lines go.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    quiet: bool,
    look: Look,
    progress: Progress,
}

impl Screen {
    pub(super) fn new(global: &Global) -> Screen {
        Screen {
            quiet: global.quiet,
            look: Look::of(global, io::stderr().is_terminal()),
            progress: Progress::new(global),
        }
    }

    /// The display of what is waited for.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What somebody should hear even with `--quiet`.
    fn important(&self, line: &str) {
        if self.quiet {
            eprintln!("{line}");
        } else {
            self.progress.line(line);
        }
    }

    pub(super) fn opening(&self, dir: &Path, machine: &Machine) {
        let note = machine
            .isolation_note
            .as_ref()
            .map_or(String::new(), |n| format!(" ({n})"));
        self.progress.block(&format!(
            "meseta {} {} state in {} {} {} cpus, {}\n  isolation: {}{note}\n",
            env!("CARGO_PKG_VERSION"),
            self.dot(),
            dir.display(),
            self.dot(),
            cores(machine.cpus),
            mebibytes(machine.mem as f64),
            machine.isolation,
        ));
    }

    fn dot(&self) -> &'static str {
        if self.look.symbols { "·" } else { "-" }
    }

    /// What of an earlier `up` goes on here.
    pub(super) fn adopted(&self, processes: usize, tasks: usize) {
        self.progress.line(&format!(
            "adopted {} and {}",
            processes_text(processes),
            plural(tasks, "running task")
        ));
    }

    /// What an earlier `up` left in the folder.
    pub(super) fn found(&self, names: &[String], since: Option<Duration>) {
        let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
        let more = names.len() - shown.len();
        let text = match shown.split_last() {
            Some((last, [])) if more == 0 => (*last).to_owned(),
            Some((last, rest)) if more == 0 => format!("{} and {last}", rest.join(", ")),
            _ => format!("{} and {more} more", shown.join(", ")),
        };
        let since = since.map_or(String::new(), |since| {
            format!(" from {} ago", age(since.as_secs_f64()))
        });
        self.progress.line(&format!("found {}{since}", harmless(&text)));
    }

    pub(super) fn ready(&self, name: &str, url: &str, after: Duration, note: &str) {
        let line = format!("{} {name:8} {url}  {}  {note}", self.look.good(), seconds(after));
        self.progress.line(line.trim_end());
    }

    /// The block that is read again later: where everything is and what to try.
    pub(super) fn up(&self, plan: &Plan, brought: &Brought, after: Duration) {
        let mut text = format!("\nUp in {}.\n", seconds(after));
        let mut address = |name: &str, url: &str| {
            let _ = writeln!(text, "  {name:10} {url}");
        };
        let listed = |role: &Role| !matches!(role, Role::Agent(_));
        for role in plan.roles().into_iter().filter(listed) {
            address(&role.name(plan.agents), &plan.url(&role));
        }
        for (app, addresses) in brought.addresses.iter().take(NAMES_MAX) {
            let mut shown: Vec<String> = Vec::new();
            for (host, port) in addresses.iter().take(ADDRESSES_MAX) {
                shown.push(if shown.is_empty() {
                    format!("http://{host}:{port}")
                } else {
                    format!(":{port}")
                });
            }
            address(&harmless(app), &harmless(&shown.join("  ")));
        }
        address("logs", &plan.log_dir().display().to_string());
        text.push_str("Try in another terminal\n");
        for line in suggestions(plan, brought) {
            let _ = writeln!(text, "  {line}");
        }
        if is_local_only(plan.ip()) {
            text.push_str("Only this machine can reach it; for others: meseta up --ip ADDRESS\n");
        } else {
            let _ = writeln!(
                text,
                "Add a machine:  meseta agent --master={} --work_dir=DIR",
                plan.master()
            );
        }
        text.push_str("Ctrl-C stops everything; apps and jobs come back with the next `meseta up`.\n");
        self.progress.finish();
        self.progress.block(&text);
    }

    /// Something that was to be brought up is not as wanted; the cluster stays up.
    pub(super) fn trouble(&self, failure: &Failure) {
        let text = failure.render(false);
        if self.quiet {
            eprint!("{text}");
        } else {
            self.progress.block(&text);
        }
    }

    pub(super) fn job_ended(&self, ended: Result<u8, Failure>) {
        match ended {
            Ok(code) => self.progress.line(&format!(
                "the command ended with exit code {code}; the cluster stays up, Ctrl-C stops it"
            )),
            Err(failure) => self.trouble(&failure),
        }
    }

    pub(super) fn died(&self, name: &str, ended: &Ended, after: Duration) {
        self.important(&format!(
            "{name} died ({ended}), starting it again in {}",
            seconds(after)
        ));
    }

    pub(super) fn given_up(&self, name: &str, ended: &Ended, why: &str) {
        self.important(&format!("{name} ended ({ended}) and is not started again: {why}"));
    }

    /// The last lines of a role's log.
    pub(super) fn log_tail(&self, path: &Path) {
        let text = tail(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let count = lines.len().min(TAIL_LINES);
        self.important(&format!(
            "  the last {} of {}:",
            plural(count, "line"),
            path.display()
        ));
        for line in lines.iter().skip(lines.len() - count) {
            self.important(&format!("  | {}", harmless(line)));
        }
    }

    pub(super) fn ending(&self) {
        self.progress.finish();
        self.progress
            .line("stopping: tasks end with their grace periods (Ctrl-C again ends them at once)");
    }

    pub(super) fn waiting_for(&self, what: &str) {
        self.progress.line(&format!("still waiting for {what}"));
    }

    pub(super) fn killing(&self) {
        self.progress.line("killing what is left");
    }

    pub(super) fn ended(&self, gently: bool) {
        if gently {
            self.progress.line("stopped");
        }
    }
}

/// Commands that fit what was brought up, against this cluster.
fn suggestions(plan: &Plan, brought: &Brought) -> Vec<String> {
    let master = plan.master();
    let at = if master.port == 5050 {
        String::new()
    } else {
        format!(" -m {master}")
    };
    let mut lines = vec![format!("meseta status{at}"), format!("meseta task list{at}")];
    let plain = |name: &str| harmless(name.trim_start_matches('/'));
    if let Some((app, _)) = brought.addresses.first() {
        let app = plain(app);
        lines.push(format!("meseta logs -f {app}{at}"));
        lines.push(format!("meseta app scale {app} 5{at}"));
        lines.push(format!("meseta app why {app}{at}"));
    }
    if let Some(job) = brought.jobs.first() {
        lines.push(format!("meseta job history {}{at}", plain(job)));
    }
    if brought.addresses.is_empty() && brought.jobs.is_empty() {
        lines.push(format!("meseta execute{at} -- echo hello"));
    }
    lines
}

fn processes_text(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::up::plan::tests::plan;

    #[test]
    fn what_is_suggested_fits_what_runs() {
        let nothing = suggestions(&plan(1, "127.0.0.1"), &Brought::default());
        assert!(nothing.contains(&"meseta execute -m 127.0.0.1:5150 -- echo hello".to_owned()));
        let brought = Brought {
            addresses: vec![("/web".to_owned(), vec![("127.0.0.1".to_owned(), 31_412)])],
            jobs: vec!["clock".to_owned()],
            ..Brought::default()
        };
        let lines = suggestions(&plan(1, "127.0.0.1"), &brought).join("\n");
        for line in [
            "meseta logs -f web -m 127.0.0.1:5150",
            "meseta app scale web 5 -m 127.0.0.1:5150",
            "meseta job history clock -m 127.0.0.1:5150",
        ] {
            assert!(lines.contains(line), "{lines}");
        }
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "x".repeat(40_000) + "\nlast\n").unwrap();
        assert!(tail(log.path()).unwrap().ends_with("x\nlast\n"));
        assert!(tail(log.path()).unwrap().len() as u64 <= TAIL_BYTES);
    }
}
