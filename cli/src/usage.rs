//! The command as a whole: how its help is laid out, what is forgiven, and what a mistake is answered with.
//!
//! `get apps` is `app list`: the two orders of noun and verb cannot be confused. Other words of other tools are never
//! run; where something here does what they mean, the error says so.

mod foreign;

pub(crate) use foreign::of_server;

use crate::args::Cli;
use crate::failure::{Failure, exit};
use crate::text::nearest_two;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use std::ffi::{OsStr, OsString};

/// Examples stand before the arguments: most people look no further.
const HELP: &str = "{before-help}{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

/// The whole command, as it is parsed, helped with and completed.
pub(crate) fn command() -> Command {
    laid_out(Cli::command())
}

fn laid_out(command: Command) -> Command {
    command.help_template(HELP).mut_subcommands(laid_out)
}

/// The words in the order of noun and verb: `get apps` becomes `app list`, `delete app web` becomes `app delete web`.
pub(crate) fn in_order(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let all = command();
    let (Some(verb), Some(noun)) = (word(&words, 1), word(&words, 2)) else {
        return words;
    };
    if verb.starts_with('-') || all.find_subcommand(verb).is_some() {
        return words;
    }
    let Some(noun) = all.find_subcommand(noun) else {
        return words;
    };
    let has_name = word(&words, 3).is_some_and(|next| !next.starts_with('-'));
    let verb = match verb {
        "get" if has_name => "show",
        "get" => "list",
        other => other,
    };
    if let Some(verb) = noun.find_subcommand(verb) {
        let (noun, verb) = (noun.get_name().to_owned(), verb.get_name().to_owned());
        words.splice(1..3, [noun.into(), verb.into()]);
    }
    words
}

fn word(words: &[OsString], index: usize) -> Option<&str> {
    words.get(index).and_then(|word| word.to_str())
}

/// What the words asked for, when it is no command: help and version (0), or a mistake (2).
pub(crate) enum Answer {
    /// For standard output.
    Text(String),
    /// For standard error.
    Mistake(Failure),
}

/// Turns the parser's error into an answer.
pub(crate) fn answer(error: &clap::Error, words: &[OsString]) -> Answer {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Answer::Text(error.render().to_string());
    }
    let said: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let all = command();
    let (at, path) = deepest(&all, &said);
    let text = error.render().to_string();
    let mut blocks = text.split("\n\n");
    let mut lines = blocks.next().unwrap_or_default().lines().map(str::trim);
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let rest: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let mut failure = Failure::new("bad-usage", exit::USAGE, what.trim_end_matches(':'));
    for line in rest {
        failure = failure.detail(line.trim_matches(|c| c == '[' || c == ']'));
    }
    let usage = at.clone().bin_name(path.clone()).render_usage().to_string();
    failure = failure.detail(usage.replace("Usage: ", "usage: "));
    let fix = foreign::hint(&said).or_else(|| match error.kind() {
        ErrorKind::InvalidSubcommand => near_word(at, &path, error),
        ErrorKind::UnknownArgument => near_flag(&all, at, error, &said),
        ErrorKind::InvalidValue => foreign::of_value(&said),
        _ => None,
    });
    Answer::Mistake(failure.fix(fix.unwrap_or_else(|| format!("{path} --help"))))
}

/// The command that the words lead to, and its words.
fn deepest<'a>(all: &'a Command, said: &[&str]) -> (&'a Command, String) {
    let (mut at, mut path) = (all, "meseta".to_owned());
    for word in said.iter().filter(|word| !word.starts_with('-')) {
        match at.find_subcommand(word) {
            Some(below) => {
                path = format!("{path} {}", below.get_name());
                at = below;
            }
            // The value of a flag, or a name.
            None if at.has_subcommands() => {}
            None => break,
        }
    }
    (at, path)
}

fn told(error: &clap::Error, kind: clap::error::ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(clap::error::ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

fn near_word(at: &Command, path: &str, error: &clap::Error) -> Option<String> {
    let wrong = told(error, clap::error::ContextKind::InvalidSubcommand)?;
    let known = at
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(Command::get_name);
    let near = nearest_two(&wrong, known);
    let near: Vec<String> = near.into_iter().map(|word| format!("{path} {word}")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

fn near_flag(all: &Command, at: &Command, error: &clap::Error, said: &[&str]) -> Option<String> {
    let wrong = told(error, clap::error::ContextKind::InvalidArg)?;
    let flags = || {
        all.get_arguments()
            .filter(|arg| arg.is_global_set())
            .chain(at.get_arguments())
    };
    let names = || flags().filter_map(clap::Arg::get_long);
    // The parser takes `-json` for `-j -s -o -n`.
    let one_dash = said.iter().filter_map(|word| word.strip_prefix('-'));
    let mut one_dash = one_dash.map(|word| word.split('=').next().unwrap_or_default());
    if let Some(name) = one_dash.find(|word| word.len() > 1 && names().any(|name| name == *word)) {
        return Some(format!("flags have two dashes: --{name}"));
    }
    let wrong = wrong.trim_start_matches('-');
    let wrong = wrong.split(['=', ' ']).next().unwrap_or_default();
    let near: Vec<String> = nearest_two(wrong, names())
        .iter()
        .map(|name| format!("--{name}"))
        .collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// Whether errors are wanted as JSON, as far as words that were not understood tell.
pub(crate) fn wants_json(words: &[OsString]) -> bool {
    let is =
        |word: &OsStr| word == "--json" || word == "-ojson" || word == "--output=json" || word == "-o=json";
    let pair = |pair: &[OsString]| matches!(pair, [flag, value] if (flag == "-o" || flag == "--output") && (value == "json" || value == "jsonl"));
    words.iter().any(|word| is(word))
        || words.windows(2).any(pair)
        || std::env::var("MESETA_OUTPUT").is_ok_and(|value| value == "json" || value == "jsonl")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("meseta")
            .chain(line.split_whitespace())
            .map(OsString::from)
            .collect()
    }

    fn ordered(line: &str) -> String {
        let words = in_order(words(line).into_iter());
        let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    fn mistake(line: &str) -> Failure {
        let words = in_order(words(line).into_iter());
        let error = command().try_get_matches_from(&words).unwrap_err();
        match answer(&error, &words) {
            Answer::Mistake(failure) => failure,
            Answer::Text(text) => panic!("{line}: {text}"),
        }
    }

    #[test]
    fn a_verb_before_its_noun_is_understood() {
        for (line, meant) in [
            ("get apps", "app list"),
            ("get app web", "app show web"),
            ("get nodes -o json", "node list -o json"),
            ("delete app web", "app delete web"),
            ("rm job clock", "job delete clock"),
            ("describe task web.1", "task show web.1"),
            ("ls apps", "app list"),
            ("why app", "why app"),
            ("app list", "app list"),
            ("frobnicate app", "frobnicate app"),
            ("logs web", "logs web"),
            ("", ""),
        ] {
            assert_eq!(ordered(line), meant, "{line}");
        }
    }

    #[test]
    fn mistakes_name_the_nearest_word_and_run_nothing() {
        for (line, fix) in [
            ("tsak", "did you mean meseta task?"),
            ("app lsit", "did you mean meseta app list?"),
            ("app list --jsno", "did you mean --json?"),
            ("app list -json", "flags have two dashes: --json"),
            ("frobnicate", "meseta --help"),
            ("app scale web", "meseta app scale --help"),
            ("plan web.json", "meseta diff FILE"),
            ("job stop clock", "meseta job pause NAME · meseta job delete NAME"),
            ("get pods", "meseta task list"),
            ("scale --replicas=3 deploy/web", "meseta app scale NAME N"),
            ("run web.json", "meseta apply FILE"),
            ("app list -o jsonpath={.id}", "--format '{{ id }}'"),
        ] {
            let failure = mistake(line);
            assert_eq!(failure.fix.as_deref(), Some(fix), "{line}: {failure:?}");
            assert_eq!((failure.code, failure.exit), ("bad-usage", exit::USAGE));
        }
        let failure = mistake("app list -o xml");
        assert_eq!(failure.what, "invalid value 'xml' for '--output <FORMAT>'");
        assert!(failure.details[0].contains("table, wide, json"), "{failure:?}");
        assert!(
            failure.details[1].starts_with("usage: meseta app list"),
            "{failure:?}"
        );
    }

    #[test]
    fn help_has_its_examples_first_and_fits_eighty_columns() {
        fn each(command: &Command) {
            for help in [command.get_after_help(), command.get_before_help()]
                .into_iter()
                .flatten()
            {
                let help = help.to_string();
                let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
                assert!(long.is_empty(), "{}: {long:#?}", command.get_name());
            }
            command.get_subcommands().for_each(each);
        }
        each(&command());
        let asked = command()
            .try_get_matches_from(["meseta", "app", "--help"])
            .unwrap_err();
        let help = asked.to_string();
        assert!(
            help.find("Examples:").unwrap() < help.find("Usage:").unwrap(),
            "{help}"
        );
        assert!(help.contains("Global flags:"), "{help}");
    }
}
