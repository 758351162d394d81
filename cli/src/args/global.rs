//! The flags that mean the same everywhere.

use crate::config::Chosen;
use crate::output::{Format, Times};
use crate::text::parse_duration;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// What stands above them in the help of every command.
pub(crate) const GLOBAL_FLAGS: &str = "Global flags";

/// Flags that mean the same everywhere.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = GLOBAL_FLAGS)]
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
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "MESETA_CONTEXT",
        hide_short_help = true
    )]
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
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) quiet: bool,
    /// Give up after this long, for example 90s or 5m (exit code 5)
    #[arg(long, global = true, value_name = "DUR", value_parser = parse_duration, env = "MESETA_TIMEOUT", hide_short_help = true)]
    pub(crate) timeout: Option<Duration>,
    /// Ask again and again: redraws a list on a terminal, prints the rows that change elsewhere
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) watch: bool,
    /// Only these columns of a list, by their names, in this order
    #[arg(
        long,
        global = true,
        value_name = "A,B",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub(crate) columns: Vec<String>,
    /// Sort a list by a column; -age begins at the other end
    #[arg(
        long,
        global = true,
        value_name = "COLUMN",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub(crate) sort: Option<String>,
    /// Print each thing by a template, for example '{{ id }} {{ tasksRunning }}'
    ///
    /// The names are those of the objects that --json prints; the language is minijinja's.
    #[arg(
        long = "format",
        global = true,
        value_name = "TEMPLATE",
        hide_short_help = true
    )]
    pub(crate) template: Option<String>,
    /// How lists show times
    #[arg(long, global = true, value_enum, value_name = "HOW", env = "MESETA_TIME", default_value_t = Times::Relative, hide_short_help = true)]
    pub(crate) time: Times,
    /// Lists without their first line
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_headers: bool,
    /// Full values, however narrow the terminal is
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_trunc: bool,
    /// Where the service framework is, instead of asking the master
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "MESETA_SERVICE_URL",
        hide_short_help = true
    )]
    pub(crate) service_url: Option<String>,
    /// Where the cron framework is, instead of asking the master
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "MESETA_CRON_URL",
        hide_short_help = true
    )]
    pub(crate) cron_url: Option<String>,
    /// Answer every question with yes
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) yes: bool,
    /// Never ask; what would need an answer fails (exit code 2)
    #[arg(long, global = true, env = "MESETA_NO_INPUT", value_parser = clap::builder::FalseyValueParser::new(), hide_short_help = true)]
    pub(crate) no_input: bool,
    /// How progress is shown
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        env = "MESETA_PROGRESS",
        default_value_t = Progress::Auto, hide_short_help = true)]
    pub(crate) progress: Progress,
    /// Colour and symbols
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto, hide_short_help = true)]
    pub(crate) color: Colour,
    /// Same as `--color never`
    #[arg(long, global = true, conflicts_with = "color", hide_short_help = true)]
    pub(crate) no_color: bool,
    /// Say whom this program asks; twice: each call, as a line for curl
    #[arg(short, long, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub(crate) verbose: u8,
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
