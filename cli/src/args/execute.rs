//! The words of `execute`, and amounts as they are typed.

use crate::text::parse_duration;
use clap::Args;
use std::time::Duration;

/// What a command gets unless it asks.
const DEFAULT_CPUS: f64 = 0.1;
/// MiB.
const DEFAULT_MEM: f64 = 32.0;

const EXECUTE_EXAMPLES: &str = "\
Examples:
  meseta execute -- echo hello
  meseta execute --cpus 2 --mem 512 --env MODE=fast -- sh -c 'make && ./run'
  meseta execute --uri https://example.org/data.tgz -- ls -l
  meseta execute --detach --name nightly -- ./long-job.sh

The exit code is the command's own; 125 when it could not be run, 126 and 127
as a shell gives them, 130 after Ctrl-C (which kills the task; a second one
does not wait for it).";

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
