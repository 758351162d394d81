//! The words and flags of `meseta`, and their help.
//!
//! `meseta NOUN VERB [NAME...] [flags]`; a noun alone lists. The roles `master` and `agent` take Mesos's flags instead
//! and never come through here (see `main`).

mod cluster;
mod execute;
mod global;

pub(crate) use cluster::{
    FrameworkArgs, FrameworkVerb, NodeArgs, NodeList, NodeVerb, TaskArgs, TaskList, TaskListArgs, TaskVerb,
};
pub(crate) use execute::{ExecuteArgs, positive, variable};
pub(crate) use global::{Colour, Global, Progress};

use crate::app::args::{AppArgs, ApplyArgs, DeploymentArgs, DiffArgs, EventsArgs, ValidateArgs, WhyArgs};
use crate::config::commands::{CompletionArgs, ContextArgs};
use crate::help::{HelpArgs, first_day};
use crate::job::args::{JobArgs, RunArgs};
use clap::{Args, Parser, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

const EXAMPLES: &str = concat!(
    first_day!(),
    "\
Exit codes: 0 done, 1 tried and failed, 2 usage, 3 not found, 4 refused,
5 timeout, 6 no server, 7 not allowed, 8 differs, 9 some failed,
125-127 execute's own failures, 130 interrupted, 141 closed pipe."
);

/// A resource manager: frameworks share the machines of a cluster by Mesos's APIs.
#[derive(Debug, Parser)]
#[command(name = "meseta", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of every command that changes something; `#[command(flatten)]` them.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Changing {
    /// Return as soon as the server has it, without waiting for the end
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Show what would happen, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Override the server's lock on what is being changed by another deployment
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A whole cluster on this machine, in the foreground
    Up(UpArgs),
    /// Run a command as a task and show its output
    Execute(ExecuteArgs),
    /// The cluster on one screen, or one thing by its name
    Status(StatusArgs),
    /// Apps: list, show, change, explain
    #[command(alias = "apps")]
    App(AppArgs),
    /// Deployments under way
    #[command(alias = "deployments")]
    Deployment(DeploymentArgs),
    /// Make apps and jobs as files describe them
    Apply(ApplyArgs),
    /// What `apply` would change
    Diff(DiffArgs),
    /// Check files of apps and jobs, without a server
    Validate(ValidateArgs),
    /// What an app or a job waits for
    Why(WhyArgs),
    /// What happens
    Events(EventsArgs),
    /// Machines of the cluster
    #[command(alias = "nodes")]
    Node(NodeArgs),
    /// Frameworks that use it
    #[command(alias = "frameworks")]
    Framework(FrameworkArgs),
    /// Tasks of all frameworks
    #[command(alias = "tasks")]
    Task(TaskArgs),
    /// Output of apps, jobs and tasks
    Logs(LogsArgs),
    /// Jobs: what runs when, and what came of it
    #[command(alias = "jobs")]
    Job(JobArgs),
    /// Runs of jobs
    #[command(alias = "runs")]
    Run(RunArgs),
    /// Several clusters, by name
    #[command(alias = "contexts")]
    Context(ContextArgs),
    /// Completion of words, flags and names for a shell
    Completion(CompletionArgs),
    /// Help for a command, a topic or the code of an error
    Help(HelpArgs),
    /// The version of this program, and of the server
    Version,
    /// Run a master (Mesos's flags; see `meseta master --help`)
    #[command(disable_help_flag = true)]
    Master(RoleArgs),
    /// Run an agent (Mesos's flags; see `meseta agent --help`)
    #[command(disable_help_flag = true)]
    Agent(RoleArgs),
    /// Run the service framework (Marathon's flags; see `meseta service --help`)
    #[command(disable_help_flag = true)]
    Service(RoleArgs),
    /// Run the cron framework (Chronos's flags; see `meseta cron --help`)
    #[command(disable_help_flag = true)]
    Cron(RoleArgs),
}

impl LogsArgs {
    /// For these tasks, with every default.
    pub(crate) fn of(targets: Vec<String>) -> LogsArgs {
        LogsArgs {
            targets,
            follow: false,
            lines: 20,
            previous: false,
            stderr: false,
            stdout: false,
        }
    }
}

/// What follows the name of a role; not looked at here.
#[derive(Args, Debug)]
pub(crate) struct RoleArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) args: Vec<String>,
}

const UP_EXAMPLES: &str = "\
Examples:
  meseta up                        a cluster on 127.0.0.1: master 5050,
                                   agent 5051, service 8080, cron 4400
  meseta up web.json clock.json    the same, with an app and a job in it
  meseta up --agents 3             three agents share the machine
  meseta up --port-offset 100      beside another cluster: 5150, 5151 ...
  meseta up --detach               in the background; meseta up --stop ends it
  meseta up -- sh -c 'echo hello'  a command once the cluster is ready; it stays

Ctrl-C ends the tasks with their grace periods, then the cluster; a second one
ends everything at once. Apps and jobs come back with the next `meseta up` in
the same folder. After a kill -9 of `meseta up` the cluster runs on, and the
next one takes it over.";

/// A master, agents, service and cron as child processes; each is started again when it dies.
#[derive(Args, Clone, Debug)]
#[command(after_help = UP_EXAMPLES)]
pub(crate) struct UpArgs {
    /// Apps and jobs to bring up: files, folders with .json files, `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Return when everything is up; the cluster stays
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// End the cluster that runs in the folder, as Ctrl-C would
    #[arg(long, conflicts_with_all = ["detach", "files", "command"])]
    pub(crate) stop: bool,
    /// Without the service framework: no apps
    #[arg(long)]
    pub(crate) no_service: bool,
    /// Without the cron framework: no jobs
    #[arg(long)]
    pub(crate) no_cron: bool,
    /// Where the host can: tasks get no more cpu than they asked for, even when cores are idle
    #[arg(long)]
    pub(crate) cpu_limits: bool,
    /// Where state and logs are kept
    ///
    /// Default: /var/lib/meseta/up as root, else $XDG_STATE_HOME/meseta/up or ~/.local/state/meseta/up.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// How many agents share this machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) agents: u16,
    /// The address everything listens on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) ip: IpAddr,
    /// Added to every port, to run beside another cluster
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=50_000))]
    pub(crate) port_offset: u16,
    /// A command to run as a task once the cluster is ready
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// `status`, or `status NAME`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArgs {
    /// An app, job, deployment, task or node
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

const LOGS_EXAMPLES: &str = "\
Examples:
  meseta logs web               the last 20 lines of all instances of an app
  meseta logs -f web            and what comes, also from new instances
  meseta logs --stderr -n 100 web.3f2a
  meseta logs --previous web    of the instance that ended last";

/// Print what tasks write to standard output and standard error.
#[derive(Args, Clone, Debug)]
#[command(after_help = LOGS_EXAMPLES)]
pub(crate) struct LogsArgs {
    /// Apps, jobs, or tasks (any unique beginning); app/NAME, job/NAME where it is both
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Go on with what comes, until the tasks end; of an app or a job until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many last lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Of the instance or run that ended last
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    /// Only standard error
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) stderr: bool,
    /// Only standard output
    #[arg(long)]
    pub(crate) stdout: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::Format;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"meseta").chain(args))
    }

    #[test]
    fn the_table_of_words_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_noun_alone_lists_and_other_peoples_words_work() {
        for args in [
            &["task"][..],
            &["tasks", "ls"],
            &["task", "ps", "-a"],
            &["nodes"],
            &["framework", "-a"],
        ] {
            parse(args).unwrap();
        }
        assert!(matches!(
            parse(&["task", "describe", "x"]).unwrap().command,
            Some(Command::Task(TaskArgs {
                verb: Some(TaskVerb::Show { .. }),
                ..
            }))
        ));
    }

    #[test]
    fn flags_may_stand_anywhere() {
        let cli = parse(&["task", "list", "-m", "m1:5050", "--json"]).unwrap();
        assert_eq!(cli.global.master.as_deref(), Some("m1:5050"));
        assert_eq!(cli.global.format(), Format::Json);
        assert_eq!(parse(&["-q", "node"]).unwrap().global.format(), Format::Name);
        assert_eq!(
            parse(&["task", "--json", "list"]).unwrap().global.format(),
            Format::Json
        );
    }

    #[test]
    fn wrong_values_are_usage_errors_that_say_what_is_allowed() {
        for (args, hint) in [
            (&["execute", "--cpus", "0", "--", "x"][..], "0.001"),
            (&["execute", "--cpus", "NaN", "--", "x"], "finite"),
            (&["execute", "--env", "x", "--", "x"], "NAME=VALUE"),
            (&["execute"], "CMD"),
            (&["task", "list", "--timeout", "5"], "90s"),
            (&["up", "--agents", "0"], "1..=64"),
            (&["tsak"], "task"),
        ] {
            let error = parse(args).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{args:?}");
            assert!(error.to_string().contains(hint), "{args:?}: {error}");
        }
    }

    #[test]
    fn the_command_keeps_its_own_flags() {
        let cli = parse(&["up", "--agents", "2", "--", "sh", "-c", "echo --json"]).unwrap();
        let Some(Command::Up(up)) = cli.command else {
            panic!()
        };
        assert_eq!(up.command, ["sh", "-c", "echo --json"]);
        assert!(!cli.global.json);
    }
}
