//! Which processes this cluster consists of, written down so that the next `up` can take them over.
//!
//! `processes.json` in the folder has pid, start and arguments of each role. A process is believed only if all three
//! are as written (and the boot is the same): a number that another program got meanwhile is never taken. The note is
//! written after the process was started; what was started in the instant before a kill -9 is found by its exact
//! arguments, which name this folder.

use super::plan::{Plan, Role};
use super::processes::{Identity, Process, all, arguments, boot, is_ours};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The format of the file; another one is not understood and the processes are found by their arguments alone.
const FORMAT: u64 = 1;

/// One role's process as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) arguments: Vec<String>,
}

/// All roles' processes, by the role's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

/// What runs already.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    /// As the plan wants it.
    pub(super) fitting: Vec<(Role, Process)>,
    /// Of this cluster, but started with other flags: to be ended, tasks kept.
    pub(super) outdated: Vec<Process>,
    /// Agents that the plan has no more: to be ended with their tasks.
    pub(super) surplus: Vec<Process>,
    /// How long ago the file was written last.
    pub(super) since: Option<Duration>,
}

impl Survivors {
    /// Whether nothing runs any more.
    pub(super) fn is_empty(&self) -> bool {
        self.fitting.is_empty() && self.outdated.is_empty() && self.surplus.is_empty()
    }
}

impl Ledger {
    /// Reads what an earlier `up` left. Whatever cannot be read counts as nothing.
    pub(super) fn open(folder: &Path) -> Ledger {
        let path = folder.join("processes.json");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        Ledger {
            entries: understood(&told, &boot()),
            path,
        }
    }

    /// Finds what of it still runs, and what the plan makes of it. Only the holder of the folder's lock may ask.
    pub(super) fn survivors(&self, plan: &Plan) -> Survivors {
        let mut found = Survivors {
            since: fs::metadata(&self.path)
                .and_then(|m| m.modified())
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok()),
            ..Survivors::default()
        };
        let roles = plan.roles();
        for role in &roles {
            let wanted = plan.arguments(role);
            let noted = self.entries.get(&role.key()).and_then(live);
            match noted {
                Some((process, entry)) if entry.arguments == wanted => {
                    found.fitting.push((role.clone(), process));
                }
                Some((process, _)) => found.outdated.push(process),
                None => found
                    .fitting
                    .extend(by_arguments(&wanted).map(|process| (role.clone(), process))),
            }
        }
        let known: Vec<String> = roles.iter().map(Role::key).collect();
        for (_, entry) in self.entries.iter().filter(|(key, _)| !known.contains(key)) {
            if let Some((process, entry)) = live(entry) {
                let is_agent = entry.arguments.first().is_some_and(|word| word == "agent");
                if is_agent {
                    found.surplus.push(process);
                } else {
                    found.outdated.push(process);
                }
            }
        }
        found
    }

    /// Notes a role's process, durably enough for a kill -9 of this one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn note(&mut self, role: &Role, pid: i32, arguments: Vec<String>) -> io::Result<()> {
        // One that has ended already needs no note.
        if let Some(identity) = Identity::of(pid) {
            self.entries.insert(role.key(), Entry { identity, arguments });
        }
        self.write()
    }

    /// Nothing of the cluster runs any more.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        // What is left over is recognised as such by the next one.
        let _ = self.write();
    }

    fn write(&self) -> io::Result<()> {
        let roles: serde_json::Map<String, Value> = self
            .entries
            .iter()
            .map(|(key, entry)| {
                let told = json!({
                    "pid": entry.identity.pid,
                    "started": entry.identity.started,
                    "arguments": entry.arguments,
                });
                (key.clone(), told)
            })
            .collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let told = json!({"format": FORMAT, "boot": boot(), "written": now.as_secs(), "roles": roles});
        let beside = self.path.with_extension("json.new");
        fs::write(&beside, format!("{told}\n")).and_then(|()| fs::rename(&beside, &self.path))
    }
}

fn understood(told: &Value, boot: &str) -> BTreeMap<String, Entry> {
    let same = told.get("format").and_then(Value::as_u64) == Some(FORMAT)
        && told.get("boot").and_then(Value::as_str) == Some(boot);
    let roles = told.get("roles").and_then(Value::as_object).filter(|_| same);
    let entry = |told: &Value| {
        let arguments = told.get("arguments")?.as_array()?;
        Some(Entry {
            identity: Identity {
                pid: told.get("pid")?.as_i64()?.try_into().ok()?,
                started: told.get("started")?.as_u64()?,
            },
            arguments: arguments
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        })
    };
    roles
        .into_iter()
        .flatten()
        .filter_map(|(key, told)| Some((key.clone(), entry(told)?)))
        .collect()
}

/// The process of an entry, if it is that very one. It is opened first and looked at then, so that what was looked at
/// is what is held.
fn live(entry: &Entry) -> Option<(Process, &Entry)> {
    let process = Process::open(entry.identity.pid)?;
    let same = Identity::of(process.pid).as_ref() == Some(&entry.identity)
        && is_ours(process.pid)
        && arguments(process.pid).get(1..) == Some(&entry.arguments);
    same.then_some((process, entry))
}

/// A process of this user that was started with exactly these arguments.
fn by_arguments(wanted: &[String]) -> Option<Process> {
    let matches = |pid: i32| arguments(pid).get(1..) == Some(wanted) && is_ours(pid);
    let pid = all().find(|pid| matches(*pid))?;
    Process::open(pid).filter(|process| matches(process.pid))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::up::plan::tests::plan;
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};

    /// A process with these arguments, `-s` first: a shell that reads from its input, which stays open. It has said
    /// something, since right after its start the kernel does not tell its arguments yet.
    fn pretender(arguments: &[String]) -> Child {
        let mut command = Command::new("sh");
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"echo ready\n").unwrap();
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        child
    }

    fn ledger(folder: &Path, child: &Child, arguments: &[String]) -> Ledger {
        let mut ledger = Ledger::open(folder);
        let pid = child.id().cast_signed();
        ledger.note(&Role::Master, pid, arguments.to_vec()).unwrap();
        ledger
    }

    #[tokio::test]
    async fn only_the_very_process_that_was_written_down_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(1, "127.0.0.1");
        let words: Vec<String> = ["-s", "x"].map(str::to_owned).to_vec();
        let mut child = pretender(&words);
        let kept = ledger(folder.path(), &child, &words);
        assert_eq!(Ledger::open(folder.path()), kept, "it is read as it was written");
        let found = kept.survivors(&plan);
        assert_eq!(found.fitting.len(), 0, "its flags are not the plan's");
        let outdated: Vec<i32> = found.outdated.iter().map(|p| p.pid).collect();
        assert_eq!(outdated, [child.id().cast_signed()]);

        let mut other_start = kept.clone();
        other_start.entries.get_mut("master").unwrap().identity.started += 1;
        let mut other_words = kept.clone();
        other_words
            .entries
            .get_mut("master")
            .unwrap()
            .arguments
            .push("y".to_owned());
        for foreign in [other_start, other_words] {
            let found = foreign.survivors(&plan);
            assert!(found.fitting.is_empty() && found.outdated.is_empty(), "{found:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let found = kept.survivors(&plan);
        assert!(found.outdated.is_empty(), "it has ended");
    }

    #[test]
    fn another_boot_or_format_makes_the_numbers_meaningless() {
        let told = json!({"format": 1, "boot": "b", "roles": {"master": {"pid": 7, "started": 8, "arguments": ["master"]}}});
        assert_eq!(understood(&told, "b").len(), 1);
        assert_eq!(understood(&told, "c").len(), 0);
        let mut newer = told.clone();
        newer["format"] = 2.into();
        assert_eq!(understood(&newer, "b").len(), 0);
        let mut torn = told;
        torn["roles"]["master"]["pid"] = "x".into();
        assert_eq!(understood(&torn, "b").len(), 0);
    }
}
