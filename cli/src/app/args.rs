//! The words and flags of `app`, `deployment`, and the verbs that take files or any name.

use crate::args::Changing;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `NAME=VALUE` of `--env` and `--label`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is no NAME=VALUE")),
    }
}

const APP_EXAMPLES: &str = "\
Examples:
  meseta app list                 all apps
  meseta app show web             one: its definition in short, its instances
  meseta app scale web 5          5 instances (+2 two more, -1 one less)
  meseta app update web cpus=0.5  a new version, rolled out as it says itself
  meseta app rollback web         back to the version before
  meseta app why web              what it waits for, and ways out

Names are app ids, with or without the slash at their start. What changes
something waits until the deployment has ended (10m, --timeout); -d returns at
once.";

#[derive(Args, Debug)]
#[command(after_help = APP_EXAMPLES)]
pub(crate) struct AppArgs {
    #[command(flatten)]
    pub(crate) list: AppFilter,
    #[command(subcommand)]
    pub(crate) verb: Option<AppVerb>,
}

impl AppArgs {
    /// Whether it may wait for a deployment, which `--timeout` then bounds.
    pub(crate) fn waits(&self) -> bool {
        match &self.verb {
            None => false,
            Some(verb) => matches!(
                verb,
                AppVerb::Create(_)
                    | AppVerb::Update(_)
                    | AppVerb::Scale { .. }
                    | AppVerb::Restart { .. }
                    | AppVerb::Suspend { .. }
                    | AppVerb::Resume { .. }
                    | AppVerb::Rollback { .. }
                    | AppVerb::Delete { .. }
                    | AppVerb::Wait { .. }
                    | AppVerb::Edit { .. }
            ),
        }
    }
}

/// Which apps are listed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AppFilter {
    /// Only those that wait for something
    #[arg(long)]
    pub(crate) waiting: bool,
    /// Only those with these labels, in Marathon's grammar: key, key==value, key!=value, key in (a,b)
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppVerb {
    /// All apps, or those below a group
    #[command(aliases = ["ls", "ps"])]
    List {
        /// A group, for example /shop
        #[arg(value_name = "GROUP")]
        group: Option<String>,
        #[command(flatten)]
        filter: AppFilter,
    },
    /// One app: definition in short, instances, last failure
    #[command(aliases = ["describe", "inspect", "status"])]
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// One of its versions instead: a time stamp, or -1 for the one before
        #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
        version: Option<String>,
    },
    /// Create an app from a file or from flags
    Create(CreateArgs),
    /// Change some fields of an app
    Update(UpdateArgs),
    /// Change the number of instances
    Scale {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// How many: 5, or +2, or -1
        #[arg(value_name = "N", allow_hyphen_values = true)]
        count: String,
        #[command(flatten)]
        changing: Changing,
    },
    /// Replace every instance, as an update would
    Restart {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Stop all instances; the app stays, and `resume` brings back as many
    #[command(alias = "stop")]
    Suspend {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Start a suspended app with as many instances as it had
    #[command(alias = "start")]
    Resume {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// How many instances instead
        #[arg(value_name = "N")]
        count: Option<u32>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Bring back an earlier version
    Rollback {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// A time stamp of `app versions`, or -1 for the one before (the default), -2 ...
        #[arg(value_name = "VERSION", allow_hyphen_values = true)]
        version: Option<String>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Delete apps and their instances
    #[command(aliases = ["rm", "remove", "destroy"])]
    Delete {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Its versions, newest first
    Versions {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// What differs between two versions
    Diff {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// One version: a time stamp, or -1 for the one before (the default)
        #[arg(value_name = "A", allow_hyphen_values = true)]
        from: Option<String>,
        /// The other one; the current one unless given
        #[arg(value_name = "B", allow_hyphen_values = true)]
        to: Option<String>,
        /// Exit with 8 when they differ
        #[arg(long)]
        exit_code: bool,
    },
    /// What it waits for, in numbers, and ways out
    Why(WhyArgs),
    /// Wait until it is as wanted
    Wait {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// What for: healthy (which is running, without a health check), or version=V
        #[arg(long = "for", value_name = "WHAT", default_value = "healthy")]
        until: String,
    },
    /// What happened to it
    Events {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Go on with what happens
        #[arg(short, long)]
        follow: bool,
    },
    /// Edit its definition in $EDITOR
    Edit {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        changing: Changing,
    },
}

/// Fields that have a flag of their own.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Fields {
    /// The command, run by a shell
    #[arg(long, value_name = "TEXT")]
    pub(crate) cmd: Option<String>,
    /// A container image
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Cores per instance
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<f64>,
    /// Memory per instance, in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) mem: Option<f64>,
    /// How many instances
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u32>,
    /// An environment variable; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,
    /// A label; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) label: Vec<(String, String)>,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  meseta app create web.json
  meseta app create --id hello --cmd 'while :; do date; sleep 5; done' \\
      --cpus 0.1 --mem 32 --instances 2";

#[derive(Args, Clone, Debug)]
#[command(after_help = CREATE_EXAMPLES)]
pub(crate) struct CreateArgs {
    /// A file with its definition; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The same
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "file")]
    pub(crate) file_flag: Option<PathBuf>,
    /// Its id; needed without a file
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) fields: Fields,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

const UPDATE_EXAMPLES: &str = "\
Examples:
  meseta app update web cpus=0.5 env.LOG_LEVEL=debug
  meseta app update web --cmd './server -v2'
  meseta app update web changes.json     only the fields in the file
  meseta app update web instances=3 --dry-run";

#[derive(Args, Clone, Debug)]
#[command(after_help = UPDATE_EXAMPLES)]
pub(crate) struct UpdateArgs {
    /// Its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// A file with some fields, or FIELD=VALUE (a dot leads into an object: env.NAME=VALUE)
    #[arg(value_name = "FILE|FIELD=VALUE")]
    pub(crate) changes: Vec<String>,
    /// A file with some fields
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file_flag: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) fields: Fields,
    /// Only if it is still at this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_version: Option<String>,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

#[derive(Args, Debug)]
pub(crate) struct DeploymentArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<DeploymentVerb>,
}

impl DeploymentArgs {
    /// Whether it may wait for a deployment, which `--timeout` then bounds.
    pub(crate) fn waits(&self) -> bool {
        matches!(
            &self.verb,
            Some(DeploymentVerb::Watch { .. } | DeploymentVerb::Rollback { .. })
        )
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentVerb {
    /// Those under way
    #[command(aliases = ["ls", "ps"])]
    List,
    /// Its plan, step by step
    #[command(aliases = ["describe", "inspect", "status"])]
    Show {
        /// Its id, or a unique beginning
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Follow it to its end; exit code 1 unless it succeeds
    Watch {
        /// Its id, or a unique beginning
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Stop it where it is, without rolling back
    #[command(alias = "cancel")]
    Stop {
        /// Its id, or a unique beginning
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Undo it by a new deployment
    #[command(alias = "undo")]
    Rollback {
        /// Its id, or a unique beginning
        #[arg(value_name = "ID")]
        id: String,
        /// Return as soon as the server has it, without waiting for the end
        #[arg(short, long)]
        detach: bool,
    },
}

const APPLY_EXAMPLES: &str = "\
Examples:
  meseta apply web.json clock.json  apps and jobs, told apart by what they say
  meseta apply deploy/              all .json files of a folder
  meseta apply web.json --dry-run   what would change and what would restart
  meseta app show web --json | meseta apply -

A file is the whole definition: what it does not say gets its default; only
`instances` stays as it is when the file does not have it.";

/// Make apps and jobs as files describe them, and wait until they are.
#[derive(Args, Clone, Debug)]
#[command(after_help = APPLY_EXAMPLES)]
pub(crate) struct ApplyArgs {
    /// Files or folders; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "file_flag")]
    pub(crate) files: Vec<PathBuf>,
    /// The same
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file_flag: Vec<PathBuf>,
    /// Only if the app is still at this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_version: Option<String>,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// Check files of apps and jobs; needs no server.
#[derive(Args, Clone, Debug)]
pub(crate) struct ValidateArgs {
    /// Files or folders; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "file_flag")]
    pub(crate) files: Vec<PathBuf>,
    /// The same
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file_flag: Vec<PathBuf>,
}

/// What `apply` would change.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffArgs {
    /// Files or folders; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "file_flag")]
    pub(crate) files: Vec<PathBuf>,
    /// The same
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file_flag: Vec<PathBuf>,
    /// Exit with 8 when there are differences
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// What something waits for.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhyArgs {
    /// An app or a job; app/NAME and job/NAME where both have that name
    #[arg(value_name = "NAME", required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// An app that is not submitted yet: would it fit?
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) file: Option<PathBuf>,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  meseta events                          the last state changes of tasks
  meseta events -f                       what happens from now on
  meseta events -f --type deployment_success --app web";

/// What happens to apps.
#[derive(Args, Clone, Debug)]
#[command(after_help = EVENTS_EXAMPLES)]
pub(crate) struct EventsArgs {
    /// Go on with what happens, until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE", requires = "follow")]
    pub(crate) types: Vec<String>,
    /// Only those of this app
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// How many last state changes, without --follow
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
}
