//! The known differences from the recordings: where, what, why. One line each; `docs/compatibility.md` tells users of
//! those they can see.

use super::compare::Difference;

/// One known difference. `*` at the end of `file` or `at` stands for anything that follows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The recording, or the stream and the key of its record.
    pub file: &'static str,
    /// Where in the answer.
    pub at: &'static str,
    /// Why it is so.
    pub reason: &'static str,
}

const fn known(file: &'static str, at: &'static str, reason: &'static str) -> Known {
    Known { file, at, reason }
}

const GROUP: &str = "the task group of the recording is not launched";

const PAST: &str =
    "a framework without tasks is completed at once; in the recording the next task came before";

/// All of them.
pub const KNOWN: &[Known] = &[
    // what the HTTP library decides
    known(
        "http-level/bad-method",
        "answers",
        "an unknown method is answered, by the method rules of the path",
    ),
    known(
        "http-level/bad-request-line",
        "answers",
        "the HTTP library answers 400 before it closes",
    ),
    known(
        "http-level/bad-query-encoding",
        "answers",
        "a bad query is answered 400 instead of closing without a word",
    ),
    known(
        "http-level/expect-100-continue",
        "100 Continue",
        "the HTTP library asks for the body as RFC 9110 says",
    ),
    known(
        "master-v0-misc/get-version-http10*",
        "version",
        "the HTTP library answers HTTP/1.0 in kind",
    ),
    known(
        "crashes/*",
        "answers",
        "real Mesos aborts; ours answers 4xx and goes on",
    ),
    // who we are
    known(
        "*",
        "*.build_date",
        "a fact of Mesos's build; ours are in meseta_version",
    ),
    known(
        "*",
        "*.build_time",
        "a fact of Mesos's build; ours are in meseta_version",
    ),
    known(
        "*",
        "*.build_user",
        "a fact of Mesos's build; ours are in meseta_version",
    ),
    known(
        "*",
        "*.git_sha",
        "a fact of Mesos's build; ours are in meseta_version",
    ),
    known(
        "*",
        "*.meseta_version",
        "our version beside the one clients compare",
    ),
    // flags and figures of our own
    known("*", "name max_request_bytes", "a flag of ours"),
    known("*", "name master/broken_invariants", "a figure of ours"),
    known("*", "name master/inputs", "a figure of ours"),
    known("*", "name slave/broken_invariants", "a figure of ours"),
    known("*", "name slave/ignored_inputs", "a figure of ours"),
    known("*", "name slave/update_retries", "a figure of ours"),
    // what comes later
    known(
        "*",
        "*.capabilities",
        "agents claim no capability of things that come later",
    ),
    known(
        "master-v0-misc/machine-down-POST-empty",
        "status",
        "maintenance comes later",
    ),
    known("master-v0-*/quota*", "status", "quota comes later"),
    known(
        "master-v0-misc/weights-PUT-garbage",
        "status",
        "weights come later",
    ),
    known(
        "master-v0-misc/reserve-POST-empty",
        "status",
        "reservations come later",
    ),
    // what does not come
    known(
        "master-v0-misc/help-json",
        "status",
        "the endpoints' documentation is not in the process",
    ),
    known(
        "master-v0-misc/processes",
        "status",
        "there are no libprocess processes",
    ),
    known(
        "master-v0-misc/profiler-start",
        "status",
        "there is no profiler in the process",
    ),
    known("*/registry*", "status", "the registry is no Mesos registry"),
    // the recorded task group, which is not launched
    known("master-with-tasks/*", "*allocated_resources*", GROUP),
    known("master-with-tasks/*", "*offered_resources*", GROUP),
    known("master-with-tasks/*", "*.offers*", GROUP),
    known("master-v0-with-tasks/*", "*_resources*", GROUP),
    known("master-v0-with-tasks/*", "*.offers*", GROUP),
    known("master-v0-with-tasks/*", "*.TASK_RUNNING", GROUP),
    known("master-v0-with-tasks/roles", ".roles[].*", GROUP),
    known("master-v0-with-tasks/state-jsonp", "body", GROUP),
    known(
        "agent-v0-with-tasks/*state",
        ".unreserved_resources_allocated.*",
        GROUP,
    ),
    known("agent-with-tasks/*", "*.containers", GROUP),
    known("agent-v0-with-tasks/files-debug", "*group-exec*", GROUP),
    // command tasks have no executor process
    known(
        "agent-with-tasks/*",
        "*.executor_info.command.*",
        "a command task has no executor process: its own command",
    ),
    // the recorded reservation
    known(
        "master-with-tasks/GET_OPERATIONS-after-op",
        ".get_operations.operations",
        "reservations come later",
    ),
    known(
        "scheduler/stream-1-SUBSCRIBE operation op-1",
        "order",
        "reservations come later: OPERATION_ERROR",
    ),
    known(
        "scheduler/stream-2-* OFFERS",
        "*",
        "an offer of the recording is of a reservation",
    ),
    known(
        "scheduler/stream-3-* OFFERS",
        "*",
        "an offer of the recording is of a reservation",
    ),
    known(
        "master-after-teardown/*",
        "*.total_resources*",
        "the recorded agent has a reservation left",
    ),
    known(
        "master-after-teardown/GET_ROLES",
        ".get_roles.roles",
        "the recorded agent has a reservation left",
    ),
    // what the agent and the master show of the past
    known("agent-with-tasks/GET_*", "*.completed_frameworks", PAST),
    known("agent-v0-with-tasks/*state", ".completed_frameworks", PAST),
    known(
        "agent-v0-with-tasks/*state",
        ".frameworks[].completed_executors",
        PAST,
    ),
    known(
        "master-with-tasks/GET_FRAMEWORKS-disconnected",
        "*.unregistered_time",
        "since when it is disconnected",
    ),
    known(
        "* FRAMEWORK_UPDATED golden2",
        "*_resources",
        "what it uses and is offered at that moment",
    ),
    known(
        "* TASK_UPDATED *",
        ".task_updated.state",
        "how far the agent runs ahead of its updates is timing",
    ),
    known(
        "* FAILURE pyexec",
        ".failure.status",
        "the process that stands for the executor is killed here",
    ),
    // texts that say more, or depend on timing
    known(
        "* UPDATE bad-cpu *",
        ".update.status.message",
        "what is left of the offer depends on the order of events",
    ),
    known("*", "*.status.message", "a failed fetch says what failed"),
    known(
        "master-after-teardown/*",
        "*.statuses[].message",
        "a failed fetch says what failed",
    ),
    known("*/files-debug", "./*/log", "log files have names of their own"),
    known("*/READ_FILE-log", ".read_file.data", "log lines are our own"),
    known(
        "*",
        ".master_hostname",
        "an agent knows its master by the address it was given",
    ),
];

/// Whether `text` is `pattern`, in which every `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(tail) = text.strip_prefix(front) else {
        return false;
    };
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    starts.into_iter().any(|at| matches(rest, &tail[at..]))
}

/// The entry that explains a difference.
pub fn explained(difference: &Difference) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|k| matches(k.file, &difference.file) && matches(k.at, &difference.at))
}

/// The entries that explain none of them: they may have become untrue.
pub fn unused(found: &[Difference]) -> Vec<&'static Known> {
    let used = |k: &Known| {
        found
            .iter()
            .any(|d| matches(k.file, &d.file) && matches(k.at, &d.at))
    };
    KNOWN.iter().filter(|k| !used(k)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("a/*", "a/b") && matches("*", "") && matches("*.x", "[].y.x") && matches("a", "a"));
        assert!(matches("a*c*e", "abcde") && matches("*b*", "abc") && !matches("a*c*e", "abde"));
        assert!(!matches("a/*", "b/a") && !matches("a", "ab") && !matches("ab*ba", "aba"));
    }

    #[test]
    fn every_difference_has_a_reason() {
        assert!(KNOWN.iter().all(|k| k.reason.len() > 10));
    }
}
