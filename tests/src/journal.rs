//! What the framework under load wrote down, and what a test reads from it.

use meseta_sdk::proto::{TaskState, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, ErrorKind, Write};
use std::path::Path;

use crate::scheduler::terminal;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// About to launch.
    Launch {
        /// The task.
        task: String,
        /// Where.
        agent: String,
    },
    /// The master has taken the launch.
    Sent {
        /// The task.
        task: String,
    },
    /// The master has not taken it, and never will.
    Refused {
        /// The task.
        task: String,
    },
    /// A status was heard.
    Heard {
        /// The task.
        task: String,
        /// Its state.
        state: TaskState,
        /// The update's uuid in hexadecimal; `-` for one made by the master.
        uuid: String,
    },
}

impl Entry {
    /// The entry of a status.
    pub fn heard(status: &TaskStatus) -> Entry {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Entry::Heard {
            task: status.task_id.value.clone(),
            state: status.state(),
            uuid: status.uuid.as_deref().map_or_else(|| "-".to_owned(), hex),
        }
    }

    fn line(&self) -> String {
        match self {
            Entry::Launch { task, agent } => format!("launch {task} {agent}\n"),
            Entry::Sent { task } => format!("sent {task}\n"),
            Entry::Refused { task } => format!("refused {task}\n"),
            Entry::Heard { task, state, uuid } => format!("heard {task} {} {uuid}\n", state.as_str_name()),
        }
    }

    fn parse(line: &str) -> Option<Entry> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match &words[..] {
            [kind, task, agent] if kind == "launch" => Some(Entry::Launch {
                task: task.clone(),
                agent: agent.clone(),
            }),
            [kind, task] if kind == "sent" => Some(Entry::Sent { task: task.clone() }),
            [kind, task] if kind == "refused" => Some(Entry::Refused { task: task.clone() }),
            [kind, task, state, uuid] if kind == "heard" => Some(Entry::Heard {
                task: task.clone(),
                state: TaskState::from_str_name(state)?,
                uuid: uuid.clone(),
            }),
            _ => None,
        }
    }
}

/// What is known of one task.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Where it was launched.
    pub agent: String,
    /// Whether the master took it.
    pub sent: bool,
    /// Whether the master will never take it.
    pub refused: bool,
    /// Whether it was heard to run.
    pub ran: bool,
    /// Terminal states by the agent's word: state and uuid.
    pub ends: BTreeSet<(TaskState, String)>,
    /// Whether the master said that it is over or unknown.
    pub over: bool,
}

impl Known {
    /// Whether nothing more is to come.
    pub fn ended(&self) -> bool {
        self.refused || self.over || !self.ends.is_empty()
    }
}

/// The file, and its content by task.
#[derive(Debug)]
pub struct Journal {
    file: File,
    tasks: BTreeMap<String, Known>,
    open: BTreeSet<String>,
}

impl Journal {
    /// Opens it, reading what is there; a torn last line is cut off by a new one.
    pub fn open(path: &Path) -> Result<Journal, Error> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        let mut journal = Journal {
            file,
            tasks: BTreeMap::new(),
            open: BTreeSet::new(),
        };
        let lines: Vec<String> = BufReader::new(File::open(path)?)
            .lines()
            .collect::<Result<_, _>>()?;
        for line in &lines {
            if let Some(entry) = Entry::parse(line) {
                journal.apply(&entry);
            }
        }
        journal.file.write_all(b"\n")?;
        Ok(journal)
    }

    /// Writes an entry down. A process that is killed afterwards has it.
    pub fn write(&mut self, entry: Entry) -> Result<(), Error> {
        let line = entry.line();
        if Entry::parse(line.trim_end()).as_ref() != Some(&entry) {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("cannot be read again: {line}"),
            ));
        }
        self.file.write_all(line.as_bytes())?;
        self.apply(&entry);
        Ok(())
    }

    fn apply(&mut self, entry: &Entry) {
        let (Entry::Launch { task, .. }
        | Entry::Sent { task }
        | Entry::Refused { task }
        | Entry::Heard { task, .. }) = entry;
        let known = self.tasks.entry(task.clone()).or_default();
        match entry {
            Entry::Launch { agent, .. } => known.agent.clone_from(agent),
            Entry::Sent { .. } => known.sent = true,
            Entry::Refused { .. } => known.refused = true,
            Entry::Heard { state, uuid, .. } => {
                known.ran |= *state == TaskState::TaskRunning;
                if uuid == "-" {
                    known.over |= terminal(*state) || *state == TaskState::TaskUnknown;
                } else if terminal(*state) {
                    known.ends.insert((*state, uuid.clone()));
                }
            }
        }
        if known.ended() {
            self.open.remove(task);
        } else {
            self.open.insert(task.clone());
        }
    }

    /// Tasks whose end is not known, with their agents.
    pub fn open_tasks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.open.iter().filter_map(|task| {
            let known = self.tasks.get(task)?;
            Some((task.as_str(), known.agent.as_str()))
        })
    }

    /// All tasks.
    pub fn tasks(&self) -> &BTreeMap<String, Known> {
        &self.tasks
    }

    /// A name no task had before.
    pub fn new_name(&self) -> String {
        format!("load-{:06}", self.tasks.len())
    }
}
