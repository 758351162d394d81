//! The words of `job` and `run`.

use crate::args::Changing;
use crate::text::parse_duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const JOB_EXAMPLES: &str = "\
Examples:
  meseta job create clock.json
  meseta job create --name hello --schedule '*/5 * * * *' --cmd 'echo hello'
  meseta job list
  meseta job history clock
  meseta job run clock --wait
  meseta job next --schedule '30 2 * * *' --zone Europe/Paris
  meseta job why clock";

/// Jobs: what runs when, and what came of it.
#[derive(Args, Debug)]
#[command(after_help = JOB_EXAMPLES)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(subcommand)]
    pub(crate) verb: Option<JobVerb>,
}

/// What is done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobVerb {
    /// All jobs
    #[command(aliases = ["ls", "ps"])]
    List(ListArgs),
    /// One job: its definition in short, its last runs
    #[command(aliases = ["describe", "inspect", "status"])]
    Show(NameArgs),
    /// Create a job from a file or from flags
    Create(CreateArgs),
    /// Change a job
    Update(UpdateArgs),
    /// Change a job in an editor
    Edit(EditArgs),
    /// Start a run now
    Run(StartArgs),
    /// The runs of a job, newest first
    History(HistoryArgs),
    /// When a job, or a schedule that is only thought of, runs next
    Next(NextArgs),
    /// Start no more runs by itself
    Pause(NamesArgs),
    /// Start runs again
    Resume(NamesArgs),
    /// Kill the runs of a job that go on
    Kill(NamesArgs),
    /// Delete jobs with their runs that go on
    #[command(aliases = ["rm", "remove", "destroy"])]
    Delete(DeleteArgs),
    /// What runs after what
    Graph(GraphArgs),
    /// Why a job does not run
    Why(NameArgs),
}

/// Which jobs are listed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ListArgs {
    /// Only those due within this time
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) due: Option<Duration>,
    /// Only those whose last run failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only those that are disabled
    #[arg(long)]
    pub(crate) disabled: bool,
}

impl ListArgs {
    /// Flags given before and after the verb count alike.
    pub(crate) fn or(&self, other: &ListArgs) -> ListArgs {
        ListArgs {
            due: self.due.or(other.due),
            failed: self.failed || other.failed,
            disabled: self.disabled || other.disabled,
        }
    }
}

/// One job.
#[derive(Args, Clone, Debug)]
pub(crate) struct NameArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Some jobs.
#[derive(Args, Clone, Debug)]
pub(crate) struct NamesArgs {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Show what would happen, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What may be said of a job in flags; each replaces what a file says.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FieldArgs {
    /// The command line
    #[arg(long, value_name = "CMD")]
    pub(crate) cmd: Option<String>,
    #[arg(
        long,
        value_name = "SCHEDULE",
        help = "ISO 8601 (R[n]/START/PERIOD) or a cron expression"
    )]
    pub(crate) schedule: Option<String>,
    /// The zone of the schedule, for example Europe/Paris
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// A Docker image to run in
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Cores of a run
    #[arg(long, value_name = "N", value_parser = crate::args::positive)]
    pub(crate) cpus: Option<f64>,
    /// Memory of a run in MiB
    #[arg(long, value_name = "MIB", value_parser = crate::args::positive)]
    pub(crate) mem: Option<f64>,
    /// An environment variable of its runs; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::args::variable)]
    pub(crate) env: Vec<(String, String)>,
}

/// `job create`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CreateArgs {
    /// A file with a job, or with a list of them; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "name")]
    pub(crate) file: Option<PathBuf>,
    /// Its name, when there is no file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    /// Start a run now; with neither schedule nor parents it is the only one
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// `job update`.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpdateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A file with its new definition, or FIELD=VALUE pairs such as retries=3
    #[arg(value_name = "FILE|FIELD=VALUE")]
    pub(crate) changes: Vec<String>,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// `job edit`.
#[derive(Args, Clone, Debug)]
pub(crate) struct EditArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// `job run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StartArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Given to the command of this run; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) arg: Vec<String>,
    /// Wait for the end of the run; exit code 1 when it fails
    #[arg(long)]
    pub(crate) wait: bool,
    /// Show what would happen, start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `job history`.
#[derive(Args, Clone, Debug)]
pub(crate) struct HistoryArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How many runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) lines: u32,
    /// Only those that did not succeed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only those of this last time, for example 2h
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
}

/// `job next`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NextArgs {
    /// Its name
    #[arg(value_name = "NAME", required_unless_present = "schedule")]
    pub(crate) name: Option<String>,
    /// A schedule instead of a job; no server is asked
    #[arg(long, value_name = "SCHEDULE", conflicts_with = "name")]
    pub(crate) schedule: Option<String>,
    /// The zone of that schedule; UTC unless given
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    pub(crate) zone: Option<String>,
    /// How many times
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) count: u16,
}

/// `job delete`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeleteArgs {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// `job graph`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GraphArgs {
    /// Only this job and what runs after it
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// In Graphviz's language
    #[arg(long, conflicts_with = "csv")]
    pub(crate) dot: bool,
    /// As `node,...` and `link,...` lines
    #[arg(long)]
    pub(crate) csv: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  meseta run show ct:1700000000000:0:clock:
  meseta run logs -f ct:1700000000000:0:clock:
  meseta job history clock             the runs of a job";

/// Runs of jobs.
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    pub(crate) verb: RunVerb,
}

/// What is done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunVerb {
    /// The runs of a job, newest first
    #[command(aliases = ["ls", "ps"])]
    List(HistoryArgs),
    /// One run: when, where, what came of it
    #[command(aliases = ["describe", "inspect", "status"])]
    Show {
        /// Its id
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// What a run wrote
    Logs(LogsOfRun),
}

/// `run logs`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogsOfRun {
    /// Its id
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Go on with what comes, until the run ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many last lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Only standard error
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) stderr: bool,
    /// Only standard output
    #[arg(long)]
    pub(crate) stdout: bool,
}
