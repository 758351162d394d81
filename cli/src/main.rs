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
mod config;
mod definition;
mod demo;
mod execute;
mod failure;
mod files;
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
mod view;

use args::{Cli, Command, FrameworkVerb, Global, NodeVerb, TaskVerb};
use clap::{CommandFactory, FromArgMatches};
use failure::{Failure, exit};
use std::ffi::OsString;
use std::process::ExitCode;

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
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (Cli { mut global, command }, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers (standard output, 0), everything else is a usage error (2).
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let as_json = global.json || matches!(global.output, Some(output::Format::Json | output::Format::Jsonl));
    let role_args = |args: Vec<String>| args.into_iter().map(OsString::from);
    match command {
        Command::Master(args) => return role::master(role_args(args.args)),
        Command::Agent(args) => return role::agent(role_args(args.args)),
        Command::Service(args) => return role::service(role_args(args.args)),
        Command::Cron(args) => return role::cron(role_args(args.args)),
        Command::Completion(args) => return ExitCode::from(config::commands::completion(&args)),
        _ => {}
    }
    if let Err(failure) = config::complete(&mut global, |flag| matches.value_source(flag)) {
        return report(&failure, as_json);
    }
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

fn report(failure: &Failure, as_json: bool) -> ExitCode {
    eprint!("{}", failure.render(as_json));
    ExitCode::from(failure.exit)
}

/// Runs a command; `Ok` is an exit code that needs no words.
async fn run(global: &Global, command: Command) -> Result<u8, Failure> {
    if global.output == Some(output::Format::Env) && !matches!(command, Command::Up(_) | Command::Status(_)) {
        let what = "-o env prints the addresses of a cluster: it goes with up and status";
        return Err(Failure::new("bad-flag", exit::USAGE, what).fix("meseta status -o env"));
    }
    // These give --timeout a meaning of their own: it ends the waiting, not what is waited for.
    let command = match command {
        Command::Up(args) => return up::run(global, &args).await,
        Command::Execute(args) => return execute::run(global, &args).await,
        Command::App(args) if args.waits() => return app::run(global, args).await,
        Command::Deployment(args) if args.waits() => return app::deployment::run(global, args.verb).await,
        Command::Apply(args) => return app::apply(global, &args).await,
        command => command,
    };
    let asked = answer(global, command);
    match global.timeout {
        None => asked.await,
        Some(limit) => tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
            let what = format!("not done within {limit:?} (--timeout)");
            Err(Failure::new("timeout", exit::TIMEOUT, what))
        }),
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
            None | Some(NodeVerb::List) => view::nodes(global).await,
        },
        Command::Framework(args) => {
            let verb_says_all = matches!(&args.verb, Some(FrameworkVerb::List(list)) if list.all);
            view::frameworks(global, args.list.all || verb_says_all).await
        }
        Command::Task(args) => match args.verb {
            None => view::tasks(global, &args.list).await,
            Some(TaskVerb::List(list)) => view::tasks(global, &list.or(&args.list)).await,
            Some(TaskVerb::Show { task }) => view::task(global, &task).await,
            Some(TaskVerb::Kill { tasks, grace }) => view::kill(global, &tasks, grace).await,
        },
        Command::Logs(args) => logs::run(global, &args).await,
        Command::Context(args) => config::commands::run(global, args),
        Command::Job(args) => job::run(global, args).await,
        Command::Run(args) => job::runs(global, args).await,
        // Handled before a runtime exists, or with a timeout of their own.
        Command::Master(_)
        | Command::Agent(_)
        | Command::Service(_)
        | Command::Cron(_)
        | Command::Completion(_)
        | Command::Up(_)
        | Command::Execute(_)
        | Command::Apply(_) => Ok(0),
    }
}
