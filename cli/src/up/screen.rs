//! What `up` says, on standard error: standard output belongs to the command it runs.

use super::child::Ended;
use super::host::is_local_only;
use super::plan::{Machine, Plan, Role};
use super::seconds;
use crate::failure::Failure;
use crate::text::{cores, harmless, mebibytes, plural};
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// Lines of a log that are shown when a role cannot be kept alive.
const TAIL_LINES: usize = 5;
/// As much of a log's end as is looked at for them.
const TAIL_BYTES: usize = 16 * 1024;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Screen {
    quiet: bool,
    fancy: bool,
}

impl Screen {
    pub(super) fn new(quiet: bool) -> Screen {
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .is_some_and(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"));
        Screen {
            quiet,
            fancy: utf8 && std::io::stderr().is_terminal(),
        }
    }

    fn progress(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    pub(super) fn opening(&self, dir: &Path, machine: &Machine) {
        self.progress(&format!(
            "meseta {} · state in {} · {} cpus, {}",
            env!("CARGO_PKG_VERSION"),
            dir.display(),
            cores(machine.cpus),
            mebibytes(machine.mem as f64),
        ));
        let note = machine
            .isolation_note
            .as_ref()
            .map_or(String::new(), |n| format!(" ({n})"));
        self.progress(&format!("  isolation: {}{note}", machine.isolation));
    }

    pub(super) fn ready(&self, name: &str, url: &str, after: Duration, note: &str) {
        let tick = if self.fancy { "✓" } else { "ok" };
        self.progress(format!("{tick} {name:8} {url}  {}  {note}", seconds(after)).trim_end());
    }

    pub(super) fn up(&self, plan: &Plan, after: Duration) {
        self.progress("");
        self.progress(&format!("Up in {}.", seconds(after)));
        self.progress(&format!("  master   {}", plan.url(&Role::Master)));
        self.progress(&format!("  logs     {}", plan.log_dir().display()));
        let master = plan.master();
        let at = if master.port == 5050 {
            String::new()
        } else {
            format!(" -m {master}")
        };
        self.progress("Try in another terminal");
        self.progress(&format!(
            "  meseta status{at}        meseta execute{at} -- echo hello        meseta task list{at}"
        ));
        if is_local_only(plan.ip()) {
            self.progress("Only this machine can reach it; for others: meseta up --ip ADDRESS");
        }
        self.progress("Ctrl-C stops everything.");
    }

    pub(super) fn job_ended(&self, ended: Result<u8, Failure>) {
        match ended {
            Ok(code) => self.progress(&format!(
                "the command ended with exit code {code}; the cluster stays up, Ctrl-C stops it"
            )),
            Err(failure) => eprint!("{}", failure.render(false)),
        }
    }

    pub(super) fn died(&self, name: &str, ended: &Ended, after: Duration) {
        eprintln!("{name} died ({ended}), starting it again in {}", seconds(after));
    }

    pub(super) fn not_started(&self, failure: &Failure) {
        eprint!("{}", failure.render(false));
    }

    pub(super) fn given_up(&self, name: &str, ended: &Ended, why: &str) {
        eprintln!("{name} ended ({ended}) and is not started again: {why}");
    }

    /// The last lines of a role's log.
    pub(super) fn log_tail(&self, path: &Path) {
        let bytes = std::fs::read(path).unwrap_or_default();
        let end = bytes
            .get(bytes.len().saturating_sub(TAIL_BYTES)..)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(end);
        let lines: Vec<&str> = text.lines().collect();
        eprintln!(
            "  the last of {}:",
            plural(lines.len().min(TAIL_LINES), "line") + &format!(" of {}", path.display())
        );
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
            eprintln!("  | {}", harmless(line));
        }
    }

    pub(super) fn ending(&self) {
        self.progress("stopping: tasks end with their grace periods (Ctrl-C again ends them at once)");
    }

    pub(super) fn waiting_for(&self, what: &str) {
        self.progress(&format!("still waiting for {what}"));
    }

    pub(super) fn killing(&self) {
        self.progress("killing what is left");
    }

    pub(super) fn ended(&self, gently: bool) {
        if gently {
            self.progress("stopped");
        }
    }
}
