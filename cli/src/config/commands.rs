//! `meseta context` and `meseta completion`.

use super::file::{CONTEXT_KEYS, DEFAULT_KEYS, File};
use super::{Origin, UP};
use crate::args::Global;
use crate::complete;
use crate::failure::{Failure, exit};
use crate::output::{self, Column, Format, List, cells};
use crate::up;
use clap::{Args, Subcommand};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

const EXAMPLES: &str = "\
Examples:
  meseta context add prod m1:5050,m2:5050 --protect
  meseta context use prod
  meseta --context up app list         only this command, of the running `up`
  meseta context show --origin         which value counts, and who gave it";

/// Several clusters, by name.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ContextVerb>,
}

/// What is done with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// All contexts
    #[command(aliases = ["ls"])]
    List,
    /// Make a context, or give it other values
    Add(AddArgs),
    /// Make a context the current one
    Use {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// The values that count
    Show {
        /// Also who gave each of them
        #[arg(long)]
        origin: bool,
    },
    /// Remove a context
    #[command(aliases = ["rm", "delete"])]
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `context add`. `--service-url` and `--cron-url` are kept as well.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A master's address, or several separated by commas
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: String,
    /// Ask for the context's name before something is lost
    #[arg(long)]
    pub(crate) protect: bool,
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(meseta completion bash)     in ~/.bashrc
  source <(meseta completion zsh)      in ~/.zshrc, after compinit
  meseta completion fish | source      in ~/.config/fish/config.fish

Apps, jobs, tasks and nodes are asked for where the words typed so far say.";

/// `completion`.
#[derive(Args, Debug)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Prints a shell's completion of words, flags and names.
pub(crate) fn completion(args: &CompletionArgs) -> Result<u8, Failure> {
    let text = complete::script(args.shell).ok_or_else(|| {
        let what = format!("there is no completion for {}", args.shell);
        Failure::new("bad-usage", exit::USAGE, what)
    })?;
    Ok(output::print(&text).err().unwrap_or(0))
}

/// The names of all contexts.
pub(crate) fn names() -> Result<BTreeSet<String>, Failure> {
    let file = File::read()?;
    Ok(file.contexts().chain([UP]).map(str::to_owned).collect())
}

/// Runs a command about contexts; no server is asked.
pub(crate) async fn run(global: &Global, args: ContextArgs) -> Result<u8, Failure> {
    match args.verb {
        None | Some(ContextVerb::List) => output::show(global, async || list(global)).await,
        Some(ContextVerb::Add(args)) => add(global, &args),
        Some(ContextVerb::Use { name }) => make_current(&name),
        Some(ContextVerb::Show { origin }) => show(global, origin),
        Some(ContextVerb::Remove { name }) => remove(&name),
    }
}

const COLUMNS: [Column; 3] = [
    output::text("NAME"),
    output::text("STATE"),
    output::text("MASTER"),
];

fn list(global: &Global) -> Result<List, Failure> {
    let file = File::read()?;
    let row = |name: &str, master: String, is_protected: bool| {
        let is_current = global.chosen.context.as_deref() == Some(name);
        let states = [(is_current, "current"), (is_protected, "protected")];
        let states: Vec<&str> = states
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| *word)
            .collect();
        let object = json!({"name": name, "master": master, "current": is_current, "protect": is_protected});
        (cells![name, states.join(","), master], object)
    };
    let mut rows: Vec<_> = file
        .contexts()
        .filter_map(|name| {
            let context = file.context(name)?;
            let master = context.text("master").unwrap_or_default();
            Some(row(name, master, context.switch("protect") == Some(true)))
        })
        .collect();
    if let Some(master) = up::running_master().filter(|_| file.context(UP).is_none()) {
        rows.push(row(UP, master, false));
    }
    let list = List {
        columns: COLUMNS.to_vec(),
        rows,
        empty: "no contexts; make one: meseta context add NAME HOST:PORT",
    };
    Ok(list)
}

fn add(global: &Global, args: &AddArgs) -> Result<u8, Failure> {
    meseta_sdk::endpoint::Endpoint::parse_list(&args.address).map_err(|e| {
        Failure::new("bad-address", exit::USAGE, e.to_string())
            .fix(format!("meseta context add {} HOST:5050", args.name))
    })?;
    let mut file = File::read()?;
    let mut values = vec![("master", args.address.as_str().into())];
    let urls = [
        ("service_url", &global.service_url),
        ("cron_url", &global.cron_url),
    ];
    for (key, url) in urls {
        let given = global.chosen.origins.get(key) == Some(&Origin::Flag);
        if let Some(url) = url.as_ref().filter(|_| given) {
            values.push((key, url.as_str().into()));
        }
    }
    if args.protect {
        values.push(("protect", true.into()));
    }
    let is_first = file.contexts().next().is_none() && file.current().is_none();
    file.put(&args.name, &values)?;
    if is_first {
        file.set_current(&args.name);
    }
    file.write()?;
    let now = if is_first {
        ", and made it the current one"
    } else {
        ""
    };
    eprintln!("wrote {} to {}{now}", args.name, file.path().display());
    Ok(0)
}

fn make_current(name: &str) -> Result<u8, Failure> {
    let mut file = File::read()?;
    if name != UP && file.context(name).is_none() {
        return Err(super::unknown(name, &file));
    }
    file.set_current(name);
    file.write()?;
    eprintln!("{name} is the current context");
    Ok(0)
}

fn remove(name: &str) -> Result<u8, Failure> {
    let mut file = File::read()?;
    if file.context(name).is_none() {
        let mut failure = super::unknown(name, &file);
        failure.exit = exit::NOT_FOUND;
        return Err(failure);
    }
    let was_current = file.remove(name);
    file.write()?;
    let now = if was_current {
        "; there is no current context now"
    } else {
        ""
    };
    eprintln!("removed {name}{now}");
    Ok(0)
}

fn show(global: &Global, with_origin: bool) -> Result<u8, Failure> {
    let values = values(global);
    let origin = |key: &str| global.chosen.origins.get(key).cloned().unwrap_or(Origin::BuiltIn);
    let text = match global.format() {
        Format::Json | Format::Jsonl => {
            let all: serde_json::Map<String, serde_json::Value> = values
                .iter()
                .map(|(key, value)| {
                    let told = json!({"value": value, "origin": origin(key).to_string()});
                    ((*key).to_owned(), told)
                })
                .collect();
            format!(
                "{}\n",
                json!({"kind": "context", "schema": 1, "context": global.chosen.context, "values": all})
            )
        }
        _ => {
            let mut text = String::new();
            let name = global.chosen.context.as_deref().unwrap_or("-");
            let _ = writeln!(text, "{:11}  {name}", "context");
            for (key, value) in &values {
                let value = value.as_deref().unwrap_or("-");
                let _ = if with_origin {
                    writeln!(text, "{key:11}  {value:24}  {}", origin(key))
                } else {
                    writeln!(text, "{key:11}  {value}")
                };
            }
            text
        }
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

/// Every setting that a context or `[defaults]` may have, as it counts now.
fn values(global: &Global) -> Vec<(&'static str, Option<String>)> {
    let word = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
    let value = |key: &str| match key {
        "master" => global.master.clone(),
        "service_url" => global.service_url.clone(),
        "cron_url" => global.cron_url.clone(),
        "protect" => Some(global.chosen.is_protected.to_string()),
        "output" => word(clap::ValueEnum::to_possible_value(&global.format())),
        "timeout" => global.timeout.map(|timeout| format!("{timeout:?}")),
        "progress" => word(clap::ValueEnum::to_possible_value(&global.progress)),
        "color" => word(clap::ValueEnum::to_possible_value(&global.color)),
        "time" => word(clap::ValueEnum::to_possible_value(&global.time)),
        "no_input" => Some(global.no_input.to_string()),
        _ => None,
    };
    let keys = CONTEXT_KEYS.iter().chain(DEFAULT_KEYS);
    keys.map(|key| (*key, value(key))).collect()
}
