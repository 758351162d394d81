//! How a command fails: one shape of message, one meaning per exit code.

use serde_json::json;
use std::fmt::Write;

/// Exit codes, the same in every command.
pub(crate) mod exit {
    /// It was tried and failed.
    pub(crate) const FAILED: u8 = 1;
    /// Wrong flags, words or local files.
    pub(crate) const USAGE: u8 = 2;
    /// No such thing.
    pub(crate) const NOT_FOUND: u8 = 3;
    /// Refused, or ambiguous.
    pub(crate) const REFUSED: u8 = 4;
    /// `--timeout` passed.
    pub(crate) const TIMEOUT: u8 = 5;
    /// No server or leader: worth repeating.
    pub(crate) const UNREACHABLE: u8 = 6;
    /// Not logged in or not allowed.
    pub(crate) const NOT_ALLOWED: u8 = 7;
    /// There are differences (only with `--exit-code`).
    pub(crate) const DIFFERS: u8 = 8;
    /// Several things, some of which failed.
    pub(crate) const SOME_FAILED: u8 = 9;
    /// In use, to be tried again.
    pub(crate) const TRY_AGAIN: u8 = 75;
    /// `execute`: our failure, not the command's.
    pub(crate) const NOT_RUN: u8 = 125;
    /// Ended by SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// Ended by a closed pipe.
    pub(crate) const CLOSED_PIPE: u8 = 141;
    /// Ended by SIGTERM.
    pub(crate) const TERMINATED: u8 = 143;
}

/// A failure for a person (or, under `--json`, for a program).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A stable word.
    pub(crate) code: &'static str,
    /// What failed, in one line.
    pub(crate) what: String,
    /// Why, with numbers and the place.
    pub(crate) details: Vec<String>,
    /// A line that can be pasted or done.
    pub(crate) fix: Option<String>,
    /// The process's exit code.
    pub(crate) exit: u8,
}

impl Failure {
    pub(crate) fn new(code: &'static str, exit: u8, what: impl Into<String>) -> Failure {
        Failure {
            code,
            what: what.into(),
            details: Vec::new(),
            fix: None,
            exit,
        }
    }

    pub(crate) fn detail(mut self, line: impl Into<String>) -> Failure {
        self.details.push(line.into());
        self
    }

    pub(crate) fn fix(mut self, line: impl Into<String>) -> Failure {
        self.fix = Some(line.into());
        self
    }

    /// The words on standard error.
    pub(crate) fn render(&self, as_json: bool) -> String {
        if as_json {
            let object = json!({"error": {
                "code": self.code,
                "message": self.what,
                "details": self.details,
                "hint": self.fix,
                "exit": self.exit,
            }});
            return format!("{object}\n");
        }
        let mut text = format!("error[{}]: {}\n", self.code, self.what);
        for line in &self.details {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(fix) = &self.fix {
            let _ = writeln!(text, "  fix: {fix}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_read_the_same_failure() {
        let failure = Failure::new("no-leader", exit::UNREACHABLE, "2 masters answer, none leads")
            .detail("tried m1:5050 m2:5050")
            .fix("meseta status");
        assert_eq!(
            failure.render(false),
            "error[no-leader]: 2 masters answer, none leads\n  tried m1:5050 m2:5050\n  fix: meseta status\n"
        );
        assert_eq!(
            failure.render(true),
            "{\"error\":{\"code\":\"no-leader\",\"details\":[\"tried m1:5050 m2:5050\"],\"exit\":6,\
             \"hint\":\"meseta status\",\"message\":\"2 masters answer, none leads\"}}\n"
        );
    }
}
