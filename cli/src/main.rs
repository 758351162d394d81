//! The `meseta` binary: one program for masters, agents and the people who use them.
//!
//! The first word decides. `supervise` and `fetch` are an agent's own helpers and must start before anything else in
//! this process does (no thread, no signal handler, no logger); `master` and `agent` take Mesos's flags; `demo-web` is
//! what the examples run; everything else is the command line of [`args`]. Nothing is initialised that the chosen role
//! does not need.

mod api;
mod app;
mod args;
mod ask;
mod cluster;
mod complete;
mod config;
mod definition;
mod demo;
mod editor;
mod execute;
mod failure;
mod files;
mod help;
mod job;
mod logs;
mod look;
mod output;
mod progress;
mod role;
mod services;
mod status;
mod text;
mod up;
mod usage;
mod version;
mod view;

use app::args::{AppArgs, AppVerb, DeploymentVerb};
use args::{Cli, Command, FrameworkVerb, Global, NodeVerb, TaskList, TaskListArgs, TaskVerb};
use clap::FromArgMatches;
use config::commands::ContextVerb;
use failure::{Failure, exit};
use job::args::{JobVerb, RunArgs, RunVerb};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("supervise") => meseta_containerizer::supervise::main(words),
        Some("fetch") => meseta_containerizer::fetch::main(words),
        Some("demo-web") => demo::main(words),
        Some("master") => role::master(words),
        Some("service") => role::service(words),
        Some("cron") => role::cron(words),
        Some("agent") => role::agent(words),
        _ => command_line(),
    }
}

fn command_line() -> ExitCode {
    if complete::answer() {
        return ExitCode::SUCCESS;
    }
    let words = usage::in_order(std::env::args_os());
    let parsed = usage::command()
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (Cli { mut global, command }, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return match usage::answer(&error, &words) {
                usage::Answer::Text(text) => say(&text),
                usage::Answer::Mistake(failure) => report(&failure, usage::wants_json(&words)),
            };
        }
    };
    let as_json = global.json || matches!(global.output, Some(output::Format::Json | output::Format::Jsonl));
    let role_args = |args: Vec<String>| args.into_iter().map(OsString::from);
    let command = match command {
        None => return say(help::FIRST),
        Some(Command::Master(args)) => return role::master(role_args(args.args)),
        Some(Command::Agent(args)) => return role::agent(role_args(args.args)),
        Some(Command::Service(args)) => return role::service(role_args(args.args)),
        Some(Command::Cron(args)) => return role::cron(role_args(args.args)),
        Some(command) => command,
    };
    let at_once = match &command {
        Command::Completion(args) => Some(config::commands::completion(args)),
        Command::Help(args) => Some(help::text(args).map(|text| output::print(&text).err().unwrap_or(0))),
        _ => None,
    };
    if let Some(ended) = at_once {
        return ended.map_or_else(|failure| report(&failure, as_json), ExitCode::from);
    }
    if let Err(failure) = config::complete(&mut global, |flag| matches.value_source(flag)) {
        return report(&failure, as_json);
    }
    tell(global.verbose);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(
                &Failure::new("no-runtime", exit::FAILED, error.to_string()),
                as_json,
            );
        }
    };
    let ended = runtime.block_on(run(&global, command));
    // A blocked read of a terminal or a name look-up must not hold the process.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure, as_json),
    }
}

/// `--verbose`: what this program does, on standard error.
fn tell(verbose: u8) {
    let most = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false);
    let own = filter_fn(move |event| event.target().starts_with("meseta") && *event.level() <= most);
    // A second one in a process would be a defect, not a reason to stop.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(own))
        .try_init();
}

/// An answer that needs no server.
fn say(text: &str) -> ExitCode {
    ExitCode::from(output::print(text).err().unwrap_or(0))
}

fn report(failure: &Failure, as_json: bool) -> ExitCode {
    // Nobody may be there to read it.
    let _ = std::io::stderr().write_all(failure.render(as_json).as_bytes());
    ExitCode::from(failure.exit)
}

/// Runs a command; `Ok` is an exit code that needs no words.
async fn run(global: &Global, command: Command) -> Result<u8, Failure> {
    if global.output == Some(output::Format::Env) && !matches!(command, Command::Up(_) | Command::Status(_)) {
        let what = "-o env prints the addresses of a cluster: it goes with up and status";
        return Err(Failure::new("bad-flag", exit::USAGE, what).fix("meseta status -o env"));
    }
    only_for_lists(global, &command)?;
    // These give --timeout a meaning of their own: it ends the waiting, not what is waited for.
    let command = match command {
        Command::Up(args) => return up::run(global, &args).await,
        Command::Execute(args) => return execute::run(global, &args).await,
        Command::App(args) if args.waits() => return app::run(global, args).await,
        Command::Deployment(args) if args.waits() => return app::deployment::run(global, args.verb).await,
        Command::Apply(args) => return app::apply(global, &args).await,
        command => command,
    };
    let goes_on = goes_on(global, &command);
    let asked = answer(global, command);
    let asked = async {
        match global.timeout {
            None => asked.await,
            Some(limit) => tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
                let what = format!("not done within {limit:?} (--timeout)");
                Err(Failure::new("timeout", exit::TIMEOUT, what))
            }),
        }
    };
    if !goes_on {
        return asked.await;
    }
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return asked.await;
    };
    tokio::select! {
        ended = asked => ended,
        _ = tokio::signal::ctrl_c() => Ok(exit::INTERRUPTED),
        _ = terminate.recv() => Ok(exit::TERMINATED),
    }
}

/// Whether a command is ended by whoever reads it.
fn goes_on(global: &Global, command: &Command) -> bool {
    let follows_app = |args: &AppArgs| matches!(&args.verb, Some(AppVerb::Events { follow: true, .. }));
    let follows_run = |args: &RunArgs| matches!(&args.verb, RunVerb::Logs(logs) if logs.follow);
    global.watch
        || match command {
            Command::Logs(args) => args.follow,
            Command::Events(args) => args.follow,
            Command::App(args) => follows_app(args),
            Command::Run(args) => follows_run(args),
            _ => false,
        }
}

/// Flags that mean something for lists only are a mistake elsewhere: silently ignored they would mislead.
fn only_for_lists(global: &Global, command: &Command) -> Result<(), Failure> {
    let is_list = match command {
        Command::App(args) => matches!(args.verb, None | Some(AppVerb::List { .. })),
        Command::Deployment(args) => matches!(args.verb, None | Some(DeploymentVerb::List)),
        Command::Node(_) | Command::Framework(_) => true,
        Command::Task(args) => matches!(args.verb, None | Some(TaskVerb::List(_))),
        Command::Job(args) => matches!(args.verb, None | Some(JobVerb::List(_) | JobVerb::History(_))),
        Command::Run(args) => matches!(args.verb, RunVerb::List(_)),
        Command::Context(args) => matches!(args.verb, None | Some(ContextVerb::List)),
        _ => false,
    };
    let given = [
        ("--watch", global.watch),
        ("--columns", !global.columns.is_empty()),
        ("--sort", global.sort.is_some()),
        ("-o csv", global.output == Some(output::Format::Csv)),
    ];
    match given.iter().find(|(_, given)| *given && !is_list) {
        None => Ok(()),
        Some((flag, _)) => {
            let what = format!("{flag} goes with lists, such as meseta app list");
            Err(Failure::new("bad-flag", exit::USAGE, what).fix("meseta help output"))
        }
    }
}

async fn answer(global: &Global, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Status(args) => status::run(global, args.name.as_deref()).await,
        Command::App(args) => app::run(global, args).await,
        Command::Deployment(args) => app::deployment::run(global, args.verb).await,
        Command::Diff(args) => app::diff(global, &args).await,
        Command::Validate(args) => app::validate(global, &args),
        Command::Why(args) => app::why_any(global, &args).await,
        Command::Events(args) => app::events::run(global, &args).await,
        Command::Node(args) => match args.verb {
            None => view::nodes(global, &args.list).await,
            Some(NodeVerb::List(list)) => view::nodes(global, &list.or(&args.list)).await,
        },
        Command::Framework(args) => {
            let verb_says_all = matches!(&args.verb, Some(FrameworkVerb::List(list)) if list.all);
            view::frameworks(global, args.list.all || verb_says_all).await
        }
        Command::Task(args) => match args.verb {
            None => view::tasks(global, &args.list).await,
            Some(TaskVerb::List(TaskListArgs { target, list })) => {
                let list = TaskList {
                    target,
                    ..list.or(&args.list)
                };
                view::tasks(global, &list).await
            }
            Some(TaskVerb::Show { task }) => view::task(global, &task).await,
            Some(TaskVerb::Kill {
                tasks, scale: true, ..
            }) => view::kill_instances(global, &tasks, "scale").await,
            Some(TaskVerb::Kill {
                tasks, wipe: true, ..
            }) => view::kill_instances(global, &tasks, "wipe").await,
            Some(TaskVerb::Kill { tasks, grace, .. }) => view::kill(global, &tasks, grace).await,
        },
        Command::Logs(args) => logs::run(global, &args).await,
        Command::Context(args) => config::commands::run(global, args).await,
        Command::Version => version::run(global).await,
        Command::Job(args) => job::run(global, args).await,
        Command::Run(args) => job::runs(global, args).await,
        // Handled before a runtime exists, or with a timeout of their own.
        Command::Master(_)
        | Command::Agent(_)
        | Command::Service(_)
        | Command::Cron(_)
        | Command::Completion(_)
        | Command::Help(_)
        | Command::Up(_)
        | Command::Execute(_)
        | Command::Apply(_) => Ok(0),
    }
}
