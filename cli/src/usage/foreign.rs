//! What other people's fingers type: words of Nomad, Docker, Kubernetes and Mesos's own command lines, and what does here
//! what they mean. Only what exists is named.

/// How the words begin, and what is meant.
const MEANT: &[(&[&str], &str)] = &[
    (&["plan"], "meseta diff FILE"),
    (&["run"], "meseta apply FILE"),
    (&["deploy", "destroy"], "meseta deployment rollback ID"),
    (&["deploy"], "meseta apply FILE"),
    (&["job", "stop"], "meseta job pause NAME · meseta job delete NAME"),
    (&["job", "dispatch"], "meseta job run NAME --arg TEXT"),
    (&["job", "periodic"], "meseta job run NAME"),
    (&["job", "plan"], "meseta diff FILE"),
    (&["job", "logs"], "meseta logs NAME"),
    (&["app", "logs"], "meseta logs NAME"),
    (&["app", "add"], "meseta app create FILE"),
    (&["app", "tasks"], "meseta task list NAME"),
    (&["task", "log"], "meseta logs TASK"),
    (&["task", "logs"], "meseta logs TASK"),
    (&["task", "why"], "meseta app why NAME"),
    (
        &["node", "show"],
        "meseta node list · meseta task list --node NODE",
    ),
    (&["alloc", "logs"], "meseta logs TASK"),
    (&["alloc"], "meseta task list"),
    (&["eval"], "meseta why NAME"),
    (&["server"], "meseta status"),
    (&["cluster"], "meseta status"),
    (&["info"], "meseta status"),
    (&["get", "pods"], "meseta task list"),
    (&["get", "pod"], "meseta task list"),
    (&["get", "po"], "meseta task list"),
    (&["get", "deploy"], "meseta app list"),
    (&["get", "services"], "meseta app list"),
    (&["get", "svc"], "meseta app list"),
    (&["get", "cronjobs"], "meseta job list"),
    (&["get", "cronjob"], "meseta job list"),
    (&["get", "events"], "meseta events"),
    (
        &["get"],
        "meseta app list · meseta job list · meseta task list · meseta node list",
    ),
    (&["scale"], "meseta app scale NAME N"),
    (&["restart"], "meseta app restart NAME"),
    (&["stop"], "meseta app suspend NAME · meseta job pause NAME"),
    (&["start"], "meseta app resume NAME · meseta job run NAME"),
    (&["kill"], "meseta task kill TASK"),
    (&["delete"], "meseta app delete NAME · meseta job delete NAME"),
    (&["rm"], "meseta app delete NAME · meseta job delete NAME"),
    (
        &["create"],
        "meseta apply FILE · meseta app create FILE · meseta job create FILE",
    ),
    (&["rollout", "status"], "meseta app wait NAME"),
    (&["rollout", "undo"], "meseta app rollback NAME"),
    (&["rollout"], "meseta app restart NAME"),
    (&["swarm", "init"], "meseta up"),
    (
        &["swarm", "join"],
        "meseta agent --master=HOST:5050 --work_dir=DIR",
    ),
    (&["ps"], "meseta task list"),
    (&["ls"], "meseta app list · meseta job list"),
    (&["list"], "meseta app list · meseta job list · meseta task list"),
    (&["tail"], "meseta logs -f NAME"),
    (&["cat"], "meseta logs TASK"),
    (&["resolve"], "meseta status"),
    (&["state"], "meseta status --json"),
    (&["marathon"], "meseta app list · meseta deployment list"),
    (&["chronos"], "meseta job list"),
];

/// Words after a server's name: people mean what it serves.
const OF_SERVERS: &[(&str, &[&str], &str)] = &[
    ("agent", &["list", "ls"], "nodes are listed by: meseta node list"),
    ("agent", &["-dev"], "a whole cluster on this machine: meseta up"),
    (
        "master",
        &["list", "ls", "status"],
        "who leads is told by: meseta status",
    ),
    ("service", &["ls", "list"], "apps are listed by: meseta app list"),
    (
        "service",
        &["ps"],
        "an app's tasks are listed by: meseta task list NAME",
    ),
    (
        "service",
        &["scale"],
        "apps are scaled by: meseta app scale NAME N",
    ),
    (
        "service",
        &["create"],
        "apps are created by: meseta app create FILE",
    ),
    ("service", &["rm"], "apps are deleted by: meseta app delete NAME"),
    (
        "service",
        &["logs"],
        "what apps write is shown by: meseta logs NAME",
    ),
    ("cron", &["list", "ls"], "jobs are listed by: meseta job list"),
    ("cron", &["create"], "jobs are created by: meseta job create FILE"),
    ("cron", &["run"], "jobs are started by: meseta job run NAME"),
];

/// What these words are called here.
pub(super) fn hint(said: &[&str]) -> Option<String> {
    let words: Vec<&str> = said
        .iter()
        .copied()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let found = MEANT.iter().find(|(begin, _)| words.starts_with(begin));
    let (begin, meant) = found?;
    // A noun of ours with a verb of ours, and something else that is wrong.
    let is_ours = *begin == ["run"] && words.get(1).is_some_and(|verb| RUN_VERBS.contains(verb));
    (!is_ours).then(|| (*meant).to_owned())
}

/// The verbs of `run`, the only word that is both a noun here and a verb elsewhere.
const RUN_VERBS: &[&str] = &[
    "list", "ls", "ps", "show", "describe", "inspect", "status", "logs",
];

/// Forms of output that other tools have.
pub(super) fn of_value(said: &[&str]) -> Option<String> {
    let is_path = said.iter().any(|word| {
        word.contains("jsonpath") || word.contains("go-template") || word.contains("custom-columns")
    });
    is_path.then(|| "--format '{{ id }}'".to_owned())
}

/// What a word after a server's name is called here.
pub(crate) fn of_server(role: &str, word: &str) -> Option<&'static str> {
    let found = OF_SERVERS
        .iter()
        .find(|(of, words, _)| *of == role && words.contains(&word));
    found.map(|(_, _, meant)| *meant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The commands that a hint names: `meseta WORDS` up to the next dot or the end.
    fn named(hint: &str) -> Vec<Vec<String>> {
        let commands = hint
            .split("meseta ")
            .skip(1)
            .map(|rest| rest.split(" · ").next().unwrap());
        commands
            .map(|command| command.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn a_hint_names_only_what_exists() {
        let all = crate::usage::command();
        let hints = MEANT
            .iter()
            .map(|(_, hint)| *hint)
            .chain(OF_SERVERS.iter().map(|(_, _, hint)| *hint));
        for hint in hints {
            for words in named(hint) {
                let mut at = &all;
                let mut words = words.iter().peekable();
                while let Some(below) = words.peek().and_then(|word| at.find_subcommand(word)) {
                    at = below;
                    words.next();
                }
                assert_ne!(at.get_name(), "meseta", "{hint}");
                for flag in words.filter(|word| word.starts_with("--")) {
                    let name = flag.trim_start_matches("--").split('=').next().unwrap();
                    let is_role = matches!(at.get_name(), "agent");
                    let global = all.get_arguments().any(|arg| arg.get_long() == Some(name));
                    let own = at.get_arguments().any(|arg| arg.get_long() == Some(name));
                    assert!(is_role || global || own, "{hint}: {flag}");
                }
            }
        }
    }

    #[test]
    fn what_works_here_is_no_mistake() {
        let all = crate::usage::command();
        for (begin, _) in MEANT {
            let first = all.find_subcommand(begin[0]);
            let second = begin.get(1).and_then(|verb| first?.find_subcommand(verb));
            let works = first.is_some() && (begin.len() == 1 || second.is_some());
            assert!(!works || *begin == ["run"], "{begin:?}");
        }
    }

    #[test]
    fn words_after_a_server_mean_what_it_serves() {
        assert_eq!(
            of_server("agent", "list"),
            Some("nodes are listed by: meseta node list")
        );
        assert_eq!(of_server("master", "ls"), of_server("master", "status"));
        assert_eq!(of_server("cron", "--port=1"), None);
    }
}
