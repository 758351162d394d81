//! Completion by the Tab key: words and flags from the tables, names from the cluster.
//!
//! The script that `meseta completion SHELL` prints asks this program each time, with the variable `COMPLETE` set.
//! Names are asked for at most 300 ms, and whatever fails is silent: a shell that hangs or talks is worse than one that
//! does not know a name.

use crate::api::Leader;
use crate::app::client::Apps;
use crate::args::{Cli, Global};
use crate::cluster::{Cluster, list, masters, short_task, string};
use crate::config;
use crate::failure::Failure;
use crate::services::{Kind, Service};
use crate::usage;
use clap::FromArgMatches;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// How long names may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// Set by the scripts.
const VARIABLE: &str = "COMPLETE";

/// Which names belong somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Apps,
    Jobs,
    AppsAndJobs,
    /// Whatever writes something.
    Targets,
    Tasks,
    Nodes,
    Deployments,
    Contexts,
}

/// Answers a shell's script, if it is one that asks.
pub(crate) fn answer() -> bool {
    let env = CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin("meseta")
        .completer("meseta");
    let current = std::env::current_dir().ok();
    // A shell that asks wrongly gets nothing.
    env.try_complete(std::env::args_os(), current.as_deref())
        .unwrap_or(true)
}

/// The script for a shell.
pub(crate) fn script(shell: clap_complete::Shell) -> Option<String> {
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string())?;
    let mut text = Vec::new();
    completer
        .write_registration(VARIABLE, "meseta", "meseta", "meseta", &mut text)
        .ok()?;
    String::from_utf8(text).ok()
}

fn command() -> clap::Command {
    usage::command().mut_subcommands(|noun| {
        let name = noun.get_name().to_owned();
        let noun = with_names(noun, &name);
        noun.mut_subcommands(|verb| with_names(verb, &name))
    })
}

fn with_names(command: clap::Command, noun: &str) -> clap::Command {
    let noun = noun.to_owned();
    command.mut_args(move |arg| {
        let value = arg
            .get_value_names()
            .and_then(|names| names.first())
            .map(|name| name.to_string());
        match value.and_then(|value| names(&noun, &value)) {
            Some(names) => arg.add(ArgValueCompleter::new(move |word: &OsStr| {
                candidates(names, word)
            })),
            None => arg,
        }
    })
}

/// By the noun, and how a value is called in its help.
fn names(noun: &str, value: &str) -> Option<Names> {
    Some(match (noun, value) {
        ("app", "ID") => Names::Apps,
        ("job", "NAME") => Names::Jobs,
        ("run", "NAME") => Names::Jobs,
        ("deployment", "ID") => Names::Deployments,
        ("why", "NAME") | (_, "APP|JOB") => Names::AppsAndJobs,
        ("logs" | "status", "TARGET" | "NAME") => Names::Targets,
        ("events", "ID") => Names::Apps,
        ("context", "NAME") => Names::Contexts,
        (_, "TASK") => Names::Tasks,
        (_, "NODE") => Names::Nodes,
        _ => return None,
    })
}

fn candidates(names: Names, word: &OsStr) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else {
        return Vec::new();
    };
    let found = found(names, std::env::args_os()).unwrap_or_default();
    let slash = word.starts_with('/');
    let fitting = found.into_iter().filter_map(|name| {
        // Ids are typed with and without their slash.
        let name = if slash {
            name
        } else {
            name.strip_prefix('/').unwrap_or(&name).to_owned()
        };
        name.starts_with(word).then_some(name)
    });
    fitting.map(CompletionCandidate::new).collect()
}

/// The names, asked for where the words typed so far say.
fn found(names: Names, words: impl Iterator<Item = OsString>) -> Option<BTreeSet<String>> {
    let typed = words.skip_while(|word| word != "--").skip(1);
    let matches = usage::command()
        .ignore_errors(true)
        .try_get_matches_from(typed)
        .ok()?;
    let mut global = Cli::from_arg_matches(&matches).map(|cli| cli.global).ok()?;
    config::complete(&mut global, |flag| matches.value_source(flag)).ok()?;
    if names == Names::Contexts {
        return config::commands::names().ok();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(names, &global)).await });
    runtime.shutdown_background();
    asked.ok()?.ok()
}

async fn ask(names: Names, global: &Global) -> Result<BTreeSet<String>, Failure> {
    match names {
        Names::Apps => apps(global).await,
        Names::Jobs => jobs(global).await,
        Names::AppsAndJobs => {
            let (apps, jobs) = futures_util::join!(apps(global), jobs(global));
            Ok(apps.into_iter().chain(jobs).flatten().collect())
        }
        Names::Targets => {
            let (apps, jobs, tasks) = futures_util::join!(apps(global), jobs(global), tasks(global));
            Ok(apps.into_iter().chain(jobs).chain(tasks).flatten().collect())
        }
        Names::Tasks => tasks(global).await,
        Names::Nodes => {
            let cluster = cluster(global).await?;
            Ok(cluster
                .node_names()
                .values()
                .map(|name| (*name).to_owned())
                .collect())
        }
        Names::Deployments => {
            let deployments = Apps::find(global).await?.deployments().await?.value;
            Ok(deployments
                .iter()
                .map(|d| string(d, &["id"]).to_owned())
                .collect())
        }
        Names::Contexts => Ok(BTreeSet::new()),
    }
}

async fn apps(global: &Global) -> Result<BTreeSet<String>, Failure> {
    let apps = Apps::find(global).await?.all("").await?.value;
    Ok(apps.iter().map(|app| string(app, &["id"]).to_owned()).collect())
}

async fn jobs(global: &Global) -> Result<BTreeSet<String>, Failure> {
    let cron = Service::find(global, Kind::Cron).await?;
    let rows = cron.get("/v1/scheduler/jobs/overview").await?;
    let names = list(&rows, "jobs")
        .iter()
        .map(|row| string(row, &["name"]).to_owned());
    Ok(names.collect())
}

async fn cluster(global: &Global) -> Result<Cluster, Failure> {
    Cluster::read(&Leader::find(&masters(global)?).await?).await
}

async fn tasks(global: &Global) -> Result<BTreeSet<String>, Failure> {
    let cluster = cluster(global).await?;
    let live = cluster.live_tasks();
    Ok(live
        .map(|task| short_task(string(task, &["task_id", "value"])))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_that_is_typed_has_its_kind() {
        let mut missing = Vec::new();
        let all = usage::command();
        for noun in all.get_subcommands() {
            let verbs = std::iter::once(noun).chain(noun.get_subcommands());
            for arg in verbs.flat_map(clap::Command::get_arguments) {
                let value = arg.get_value_names().and_then(|names| names.first());
                let Some(value) =
                    value.filter(|value| matches!(value.as_str(), "ID" | "TASK" | "NODE" | "TARGET"))
                else {
                    continue;
                };
                if names(noun.get_name(), value).is_none() {
                    missing.push(format!("{} {value}", noun.get_name()));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_shell_has_a_script() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            assert!(
                script(*shell).is_some_and(|text| text.contains(VARIABLE)),
                "{shell}"
            );
        }
    }
}
