//! `meseta help`: for a command, a topic, or the code of an error; and what `meseta` alone says.

mod errors;
mod topics;

use crate::failure::{Failure, exit};
use crate::text::nearest_two;
use crate::usage;
use clap::Args;
use errors::ERRORS;
use topics::TOPICS;

const EXAMPLES: &str = "\
Examples:
  meseta help app scale     a command
  meseta help exit-codes    a topic
  meseta help unreachable   the code of an error";

/// `help`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HelpArgs {
    /// A command, a topic, or the code of an error
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

/// Five commands in the order of a first day.
macro_rules! first_day {
    () => {
        "\
First day:
  meseta up web.json clock.json   a cluster on this machine, an app and a job
  meseta status                   the cluster on one screen
  meseta logs -f web              what the app writes
  meseta app scale web 5          more of it
  meseta why web                  what it waits for

"
    };
}
pub(crate) use first_day;

/// What `meseta` alone says: enough for the first day.
pub(crate) const FIRST: &str = concat!(
    "\
Meseta shares the machines of a cluster between services and jobs: a manager of
resources with the APIs of Mesos, Marathon and Chronos.

",
    first_day!(),
    "\
What there is:
  app  deployment                 services, and how they change
  job  run                        what runs when, and what came of it
  task  node  framework           all that runs, where, and for whom
  apply  diff  validate           what files describe
  logs  events  execute           output, happenings, a single command
  context  completion             several clusters; names by the Tab key

Servers: meseta master, agent, service, cron

meseta COMMAND --help, or meseta help TOPIC: exit-codes, output, environment,
contexts, selectors, schedules, why, errors
"
);

/// The text asked for.
///
/// # Errors
/// There is nothing of that name (exit code 2).
pub(crate) fn text(args: &HelpArgs) -> Result<String, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let command = usage::command();
    let mut at = &command;
    let mut path = "meseta".to_owned();
    let mut rest = words.as_slice();
    while let [word, more @ ..] = rest
        && let Some(below) = at.find_subcommand(word)
    {
        path = format!("{path} {}", below.get_name());
        (at, rest) = (below, more);
    }
    if rest.is_empty() {
        let mut at = at.clone().bin_name(path);
        if !words.is_empty() {
            // What stands in every command is passed on only when words are parsed.
            at = at.args(command.get_arguments().filter(|arg| arg.is_global_set()));
        }
        return Ok(at.render_long_help().to_string());
    }
    if let [name] = words.as_slice() {
        if let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == name) {
            return Ok((*text).to_owned());
        }
        if *name == "errors" {
            return Ok(all_errors());
        }
        if let Some((code, meaning)) = ERRORS.iter().find(|(code, _)| code == name) {
            return Ok(format!("error[{code}]\n\n{meaning}\n"));
        }
    }
    Err(unknown(&words.join(" ")))
}

fn all_errors() -> String {
    let width = ERRORS.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let lines = ERRORS.iter().map(|(code, meaning)| {
        let first = meaning.lines().next().unwrap_or_default();
        format!("  {code:width$}  {first}\n")
    });
    format!(
        "An error's code is the word in brackets: error[no-leader]. Codes keep their\nmeaning; meseta help CODE says more.\n\n{}",
        lines.collect::<String>()
    )
}

fn unknown(name: &str) -> Failure {
    let command = usage::command();
    let topics = TOPICS
        .iter()
        .chain(ERRORS)
        .map(|(name, _)| *name)
        .chain(["errors"]);
    let commands = command.get_subcommands().map(clap::Command::get_name);
    let near = nearest_two(name, commands.chain(topics));
    let what = format!("there is no command, topic or error '{name}'");
    let failure = Failure::new("bad-usage", exit::USAGE, what);
    match near.first() {
        Some(meant) => failure.fix(format!("meseta help {meant}")),
        None => failure.fix("meseta --help"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn of(words: &[&str]) -> Result<String, Failure> {
        text(&HelpArgs {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    #[test]
    fn commands_topics_and_codes_have_help() {
        assert!(of(&[]).unwrap().contains("Usage: meseta"));
        assert!(of(&["app", "scale"]).unwrap().contains("Usage: meseta app scale"));
        assert!(of(&["exit-codes"]).unwrap().contains("130"));
        assert!(of(&["no-leader"]).unwrap().starts_with("error[no-leader]\n"));
        assert!(of(&["errors"]).unwrap().contains("no-leader"));
        let failure = of(&["exit-code"]).unwrap_err();
        assert_eq!(
            (failure.exit, failure.fix.as_deref()),
            (exit::USAGE, Some("meseta help exit-codes"))
        );
    }

    #[test]
    fn lines_fit_a_terminal_and_the_first_page_a_screen() {
        let pages = TOPICS.iter().chain(ERRORS).map(|(_, text)| *text).chain([FIRST]);
        for line in pages.flat_map(str::lines) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(FIRST.lines().count() <= 25);
        assert!(all_errors().lines().all(|line| line.chars().count() <= 100));
        for (topic, _) in TOPICS {
            assert!(FIRST.contains(topic), "{topic}");
        }
    }

    /// The codes that the sources of this program give to failures.
    fn codes(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for marker in ["Failure::new(", "code: "] {
                for rest in text.split(marker).skip(1) {
                    let rest = rest.trim_start().strip_prefix('"');
                    if let Some((code, _)) = rest.and_then(|rest| rest.split_once('"')) {
                        found.insert(code.to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn each_code_has_its_page() {
        let mut found = BTreeSet::new();
        codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        // Reasons of `why`, which have words of their own.
        for reason in ["running", "launching"] {
            found.remove(reason);
        }
        let told: BTreeSet<String> = ERRORS.iter().map(|(code, _)| (*code).to_owned()).collect();
        let missing: Vec<_> = found.difference(&told).collect();
        assert!(missing.is_empty(), "without a page: {missing:?}");
        let sorted: Vec<&str> = ERRORS.iter().map(|(code, _)| *code).collect();
        assert!(sorted.is_sorted(), "in the order of the alphabet");
    }
}
