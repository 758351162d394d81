//! The words and flags of `meseta`, and their help.
//!
//! `meseta NOUN VERB [NAME...] [flags]`; a noun alone lists. The roles `master` and `agent` take Mesos's flags instead
//! and never come through here (see `main`).

use crate::app::args::{AppArgs, ApplyArgs, DeploymentArgs, DiffArgs, EventsArgs, ValidateArgs, WhyArgs};
use crate::config::Chosen;
use crate::config::commands::{CompletionArgs, ContextArgs};
use crate::job::args::{JobArgs, RunArgs};
use crate::output::Format;
use crate::text::parse_duration;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
First day:
  meseta up                              a cluster on this machine, in the foreground
  meseta up -- sh -c 'echo hello'        the same, and a first task in it
  meseta execute --cpus 0.5 -- ./job.sh  run a command somewhere in the cluster, see its output
  meseta task list                       what runs
  meseta status                          the cluster on one screen

Exit codes: 0 done, 1 tried and failed, 2 usage, 3 not found, 4 refused, 5 timeout, 6 no server, 7 not allowed,
125-127 execute's own failures, 130 interrupted.";

/// A resource manager: frameworks share the machines of a cluster by Mesos's APIs.
#[derive(Debug, Parser)]
#[command(name = "meseta", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that mean the same everywhere.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// A master's address, or several separated by commas; any one leads to the leader
    ///
    /// Default: the `meseta up` of this user, else 127.0.0.1:5050.
    #[arg(
        short,
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "MESETA_MASTER",
        alias = "address"
    )]
    pub(crate) master: Option<String>,
    /// One of the configured clusters (`meseta context list`)
    #[arg(long, global = true, value_name = "NAME", env = "MESETA_CONTEXT")]
    pub(crate) context: Option<String>,
    /// How to print
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "MESETA_OUTPUT"
    )]
    pub(crate) output: Option<Format>,
    /// Same as `-o json`; errors are JSON objects too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Lists print names only, other commands no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Give up after this long, for example 90s or 5m (exit code 5)
    #[arg(long, global = true, value_name = "DUR", value_parser = parse_duration, env = "MESETA_TIMEOUT")]
    pub(crate) timeout: Option<Duration>,
    /// Lists without their first line
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Where the service framework is, instead of asking the master
    #[arg(long, global = true, value_name = "URL", env = "MESETA_SERVICE_URL")]
    pub(crate) service_url: Option<String>,
    /// Where the cron framework is, instead of asking the master
    #[arg(long, global = true, value_name = "URL", env = "MESETA_CRON_URL")]
    pub(crate) cron_url: Option<String>,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask; what would need an answer fails (exit code 2)
    #[arg(long, global = true, env = "MESETA_NO_INPUT", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_input: bool,
    /// How progress is shown
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        env = "MESETA_PROGRESS",
        default_value_t = Progress::Auto
    )]
    pub(crate) progress: Progress,
    /// Colour and symbols
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
    /// Same as `--color never`
    #[arg(long, global = true, conflicts_with = "color")]
    pub(crate) no_color: bool,
    /// What the file of contexts adds (see `config`).
    #[arg(skip)]
    pub(crate) chosen: Chosen,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Bars on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// Bars
    Bar,
    /// A line per change
    Plain,
    /// Nothing
    None,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal that can
    #[default]
    Auto,
    /// Also into a pipe
    Always,
    /// Not at all
    Never,
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

impl Global {
    /// The format asked for.
    pub(crate) fn format(&self) -> Format {
        match (self.json, self.quiet, self.output) {
            (true, _, _) => Format::Json,
            (false, _, Some(format)) => format,
            (false, true, None) => Format::Name,
            (false, false, None) => Format::Table,
        }
    }
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
    /// Completion of words and flags for a shell
    Completion(CompletionArgs),
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

impl TaskList {
    /// Flags given before and after the verb count alike.
    pub(crate) fn or(&self, other: &TaskList) -> TaskList {
        TaskList {
            all: self.all || other.all,
            node: self.node.clone().or_else(|| other.node.clone()),
            state: self.state.clone().or_else(|| other.state.clone()),
            framework: self.framework.clone().or_else(|| other.framework.clone()),
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
  meseta up                          a cluster on 127.0.0.1: master 5050, agent 5051, service 8080, cron 4400
  meseta up web.json clock.json      the same, with an app and a job in it
  meseta up --agents 3               the machine's cpus, memory and ports split among three agents
  meseta up --port-offset 100        beside another cluster: ports 5150, 5151, 8180, 4500
  meseta up --detach                 in the background; meseta up --stop ends it
  meseta up -- sh -c 'echo hello'    run a command once the cluster is ready; the cluster stays up

Ctrl-C ends the tasks with their grace periods, then the cluster; a second Ctrl-C ends everything at once. Apps and jobs
come back with the next `meseta up` in the same folder. After a kill -9 of `meseta up` the cluster runs on, and the next
one takes it over.";

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

/// What a command gets unless it asks.
const DEFAULT_CPUS: f64 = 0.1;
/// MiB.
const DEFAULT_MEM: f64 = 32.0;

const EXECUTE_EXAMPLES: &str = "\
Examples:
  meseta execute -- echo hello
  meseta execute --cpus 2 --mem 512 --env MODE=fast -- sh -c 'make -j2 && ./run'
  meseta execute --uri https://example.org/data.tgz -- ls -l
  meseta execute --detach --name nightly -- ./long-job.sh

The exit code is the command's own; 125 when it could not be run, 126 and 127 as a shell gives them, 130 after Ctrl-C
(which kills the task; a second Ctrl-C does not wait for it).";

/// Run a command as a task: its output here, its exit code ours.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXECUTE_EXAMPLES)]
pub(crate) struct ExecuteArgs {
    /// Cores
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CPUS, value_parser = positive)]
    pub(crate) cpus: f64,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_MEM, value_parser = positive)]
    pub(crate) mem: f64,
    /// Sandbox space in MiB
    #[arg(long, value_name = "MIB", default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) disk: f64,
    /// A name for people; the command's first word unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// An environment variable; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// A file to fetch into the sandbox, archives are unpacked; may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) uri: Vec<String>,
    /// Whose share it uses
    #[arg(long, value_name = "ROLE", default_value = "*")]
    pub(crate) role: String,
    /// The Unix user it runs as; whoever you are unless given
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Whom the master knows this framework as
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// The time between SIGTERM and SIGKILL when the task is killed
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,
    /// How long the task lives on if this program dies
    ///
    /// Default: 30s, and a week with --detach.
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) failover_timeout: Option<Duration>,
    /// Return as soon as the task runs; prints its id
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// The command and its arguments (no shell: use sh -c '...')
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

impl ExecuteArgs {
    /// A command with every default.
    pub(crate) fn plain(command: Vec<String>) -> ExecuteArgs {
        ExecuteArgs {
            cpus: DEFAULT_CPUS,
            mem: DEFAULT_MEM,
            disk: 0.0,
            name: None,
            env: Vec::new(),
            uri: Vec::new(),
            role: "*".to_owned(),
            user: None,
            principal: None,
            grace: None,
            failover_timeout: None,
            detach: false,
            command,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<NodeVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// All nodes
    #[command(aliases = ["ls", "ps"])]
    List,
}

#[derive(Args, Debug)]
pub(crate) struct FrameworkArgs {
    #[command(flatten)]
    pub(crate) list: FrameworkList,
    #[command(subcommand)]
    pub(crate) verb: Option<FrameworkVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FrameworkVerb {
    /// All frameworks
    #[command(aliases = ["ls", "ps"])]
    List(FrameworkList),
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FrameworkList {
    /// Also those that ended
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TaskArgs {
    #[command(flatten)]
    pub(crate) list: TaskList,
    #[command(subcommand)]
    pub(crate) verb: Option<TaskVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Tasks of all frameworks
    #[command(aliases = ["ls", "ps"])]
    List(TaskList),
    /// One task: where, since when, its states
    #[command(aliases = ["describe", "inspect", "status"])]
    Show {
        /// Its id, or any unique beginning of it
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Kill tasks
    Kill {
        /// Their ids, or unique beginnings
        #[arg(required = true, value_name = "TASK")]
        tasks: Vec<String>,
        /// The time between SIGTERM and SIGKILL; the task's own unless given
        #[arg(long, value_name = "DUR", value_parser = parse_duration)]
        grace: Option<Duration>,
    },
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TaskList {
    /// Also those that ended
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those on this node
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Only those in this state, for example running
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only those of this framework (name or id)
    #[arg(long, value_name = "FRAMEWORK")]
    pub(crate) framework: Option<String>,
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
  meseta logs web               the last 20 lines of all instances of an app, or runs of a job
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

fn amount(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err("must be a finite number".to_owned())
    }
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    amount(text).and_then(|v| {
        if v >= 0.001 {
            Ok(v)
        } else {
            Err("must be at least 0.001".to_owned())
        }
    })
}

fn not_negative(text: &str) -> Result<f64, String> {
    amount(text).and_then(|v| {
        if v >= 0.0 {
            Ok(v)
        } else {
            Err("must not be negative".to_owned())
        }
    })
}

pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is no NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
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
            Command::Task(TaskArgs {
                verb: Some(TaskVerb::Show { .. }),
                ..
            })
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
        let Command::Up(up) = cli.command else { panic!() };
        assert_eq!(up.command, ["sh", "-c", "echo --json"]);
        assert!(!cli.global.json);
    }
}
