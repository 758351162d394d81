//! What a terminal status means for an exit code.

use crate::failure::exit;
use meseta_sdk::proto::{TaskState, TaskStatus};

/// How the task ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The exit code that says so.
    pub(crate) code: u8,
    /// For people.
    pub(crate) text: String,
}

/// Reads a status that no other follows. Mesos has no field for an exit code; its message has the words.
pub(crate) fn of(status: &TaskStatus) -> Verdict {
    let message = status.message();
    let state = status.state();
    let code = match state {
        TaskState::TaskFinished => 0,
        TaskState::TaskFailed | TaskState::TaskKilled => ended_by_itself(message).unwrap_or(exit::NOT_RUN),
        _ => exit::NOT_RUN,
    };
    let name = state
        .as_str_name()
        .trim_start_matches("TASK_")
        .to_lowercase()
        .replace('_', " ");
    let mut text = if message.is_empty() {
        name
    } else {
        format!("{name}: {message}")
    };
    if let Some(reason) = status.reason.map(|_| status.reason().as_str_name()) {
        text = format!("{text} ({reason})");
    }
    Verdict { code, text }
}

/// The code a shell would give: the exit status, or 128 and the signal's number.
fn ended_by_itself(message: &str) -> Option<u8> {
    if let Some(rest) = after(message, "exited with status ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        return digits.parse().ok();
    }
    let signal = after(message, "terminated with signal ")?;
    SIGNALS
        .iter()
        .find(|(name, _)| signal.starts_with(name))
        .map(|(_, number)| 128 + number)
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(_, rest)| rest)
}

/// The names `strsignal` gives on Linux, longer ones before their own beginnings.
const SIGNALS: [(&str, u8); 15] = [
    ("Hangup", 1),
    ("Interrupt", 2),
    ("Quit", 3),
    ("Illegal instruction", 4),
    ("Trace/breakpoint trap", 5),
    ("Aborted", 6),
    ("Bus error", 7),
    ("Floating point exception", 8),
    ("Killed", 9),
    ("User defined signal 1", 10),
    ("Segmentation fault", 11),
    ("User defined signal 2", 12),
    ("Broken pipe", 13),
    ("Alarm clock", 14),
    ("Terminated", 15),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: TaskState, message: &str, code: u8) {
        let status = TaskStatus {
            state: state as i32,
            message: Some(message.into()),
            ..Default::default()
        };
        assert_eq!(of(&status).code, code, "{state:?} {message}");
    }

    #[test]
    fn the_exit_code_is_the_commands_own() {
        check(TaskState::TaskFinished, "Command exited with status 0", 0);
        check(TaskState::TaskFailed, "Command exited with status 3", 3);
        check(TaskState::TaskFailed, "Command exited with status 127", 127);
        check(
            TaskState::TaskFailed,
            "Command terminated with signal Segmentation fault (core dumped)",
            139,
        );
        check(
            TaskState::TaskKilled,
            "Command terminated with signal Terminated",
            143,
        );
        check(
            TaskState::TaskKilled,
            "Command terminated with signal Killed",
            137,
        );
    }

    #[test]
    fn what_the_command_did_not_do_is_our_failure() {
        check(
            TaskState::TaskFailed,
            "Failed to launch container: no such user",
            125,
        );
        check(TaskState::TaskLost, "", 125);
        check(TaskState::TaskError, "Task uses invalid resources", 125);
        check(TaskState::TaskGoneByOperator, "", 125);
    }
}
