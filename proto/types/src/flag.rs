//! Flags of the servers: one entry per flag says its name, type, default, older names and help.
//!
//! The entry, written once with [`flags!`](crate::flags), yields the typed field, the parsing of `--name=value`, `--name value`,
//! `--name` and `--no-name` for switches, the environment (`MESETA_NAME`, then the ancestor's `MESOS_NAME`,
//! `MARATHON_NAME` or `CHRONOS_NAME`), `--help` and what
//! `/flags` shows. The syntax and the spelling of values are Mesos's (its `docs/configuration` pages), so that an
//! existing unit file works. Called by the master's, the agent's and the frameworks' shells; never reads the
//! environment or a file by itself: both come in as [`Sources`].

mod args;
mod value;

pub use args::{Raw, nearest};
pub use value::{FlagBytes, FlagDuration, FlagValue, Kind, Percent, format_duration, parse_duration};

use std::fmt::Write;

/// One flag, as the table has it.
#[derive(Debug)]
pub struct Entry {
    /// Its name, with underscores (dashes are understood as well).
    pub name: &'static str,
    /// Older names of the same flag.
    pub aliases: &'static [&'static str],
    /// What its values look like.
    pub kind: Kind,
    /// Its default as text, `None` when it is unset by default or must be given.
    pub default: Option<&'static str>,
    /// Lines for people.
    pub help: &'static [&'static str],
}

/// A flag of Mesos that is understood but has no field: what an existing start script may say.
#[derive(Debug)]
pub struct Foreign {
    /// Its name.
    pub name: &'static str,
    /// The one value that changes nothing; `None` when any value is harmless, empty when none is.
    pub only: Option<&'static str>,
    /// Why, for the warning or the error.
    pub why: &'static str,
}

/// A program, and what it understands.
#[derive(Debug)]
pub struct Program {
    /// As people type it.
    pub name: &'static str,
    /// Whose variables are read besides our own: `MESOS`, `MARATHON`, `CHRONOS`.
    pub ancestor: &'static str,
    /// Its flags.
    pub table: &'static [Entry],
    /// Flags of the ancestor that have no field.
    pub foreign: &'static [Foreign],
}

/// Where values come from besides the arguments.
pub struct Sources<'a> {
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads the file of a `file://` value.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Sources<'static> {
    /// No environment, no files: for tests and embedders.
    pub fn none() -> Sources<'static> {
        Sources {
            env: &|_| None,
            read: &|_| Err("no files here".to_owned()),
        }
    }
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Asked<T> {
    /// Run, with these flags and these warnings about flags without effect.
    Run(T, Vec<String>),
    /// Print this text and end.
    Help(String),
    /// Print the version and end.
    Version,
}

/// Why the arguments cannot be used. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// No such flag.
    #[error("unknown flag '--{name}'{}", suggestions(.nearest))]
    Unknown {
        /// As given.
        name: String,
        /// At most two that look alike.
        nearest: Vec<&'static str>,
    },
    /// Something that is no flag.
    #[error("unexpected argument '{0}': flags are written --name=value")]
    NotAFlag(String),
    /// Nothing after the name.
    #[error("flag '--{0}' needs a value: --{0}=VALUE")]
    NoValue(String),
    /// `--no-x` for something that is no switch.
    #[error("flag '--{0}' is no switch: '--no-{0}' has no meaning")]
    NotASwitch(String),
    /// Twice on the command line.
    #[error("flag '--{0}' is given twice")]
    Twice(&'static str),
    /// It has no default.
    #[error("missing required flag '--{0}'")]
    Missing(&'static str),
    /// The value is not of the flag's type.
    #[error("flag '--{name}': '{value}' {why}")]
    Invalid {
        /// The flag.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        why: String,
    },
    /// A flag of Mesos whose value asks for something that is not there.
    #[error("flag '--{name}={value}' is not available ({why}); allowed: '{only}'")]
    NotAvailable {
        /// The flag.
        name: &'static str,
        /// The value given.
        value: String,
        /// The value that would do.
        only: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A flag of Mesos that asks for something that is not there, whatever its value.
    #[error("flag '--{name}' is not available: {why}")]
    Absent {
        /// The flag.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A `file://` value whose file cannot be read.
    #[error("flag '--{name}': cannot read '{path}': {why}")]
    File {
        /// The flag.
        name: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        why: String,
    },
}

fn suggestions(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        [one] => format!("; did you mean '--{one}'?"),
        [one, two, ..] => format!("; did you mean '--{one}' or '--{two}'?"),
    }
}

/// What the flags of every server say of its log.
pub trait Logged {
    /// `--log_dir`.
    fn log_dir(&self) -> Option<&std::path::Path>;
    /// `--logging_level`.
    fn logging_level(&self) -> &str;
    /// `--quiet`.
    fn quiet(&self) -> bool;
}

/// The text of `--help`: every flag with type, default and help.
pub fn help(program: &str, ancestor: &str, table: &[Entry]) -> String {
    let mut text = format!(
        "Usage: {program} [--name=value ...]\n\nEvery flag is also read from MESETA_NAME or {ancestor}_NAME.\n\n"
    );
    for entry in table {
        let shown = match entry.kind {
            Kind::Switch => format!("  --[no-]{}", entry.name),
            kind => format!("  --{}={}", entry.name, kind.word()),
        };
        text.push_str(&shown);
        for alias in entry.aliases {
            let _ = write!(text, ", --{alias}");
        }
        text.push('\n');
        for line in entry.help {
            let _ = writeln!(text, "      {}", line.trim());
        }
        if let Some(default) = entry.default {
            let _ = writeln!(text, "      [default: {default}]");
        }
    }
    text
}

/// Declares a struct of flags from one entry per flag.
///
/// `for "program" as "ANCESTOR"` names the ancestor whose variables are read besides `MESETA_NAME`; `MESOS` unless it is
/// given. `and log` behind the entries adds those of every server's log (see [`Logged`](crate::flag::Logged)).
///
/// ```
/// use meseta_types::flag::{Asked, FlagDuration, Sources};
/// meseta_types::flags! {
///     /// Flags of an example.
///     pub struct Flags for "example" {
///         /// Where it listens.
///         pub port ("listen_port"): u16 = "5050";
///         /// For people; unset unless given.
///         pub cluster: Option<String>;
///         /// How long it waits.
///         pub wait: FlagDuration = "15secs";
///     }
///     foreign { }
/// }
/// let args = ["--listen-port=80".to_owned(), "--wait".to_owned(), "1mins".to_owned()];
/// let Ok(Asked::Run(flags, _)) = Flags::parse(args, &Sources::none()) else { panic!() };
/// assert_eq!((flags.port, flags.wait.0.as_secs()), (80, 60));
/// assert_eq!(flags.shown(), [("port", "80".to_owned()), ("wait", "1mins".to_owned())]);
/// ```
#[macro_export]
macro_rules! flags {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident for $program:literal $( as $ancestor:literal )? { $($entries:tt)* }
        and log
        foreign { $($foreign:tt)* }
    ) => {
        $crate::flags! {
            $(#[$meta])*
            $vis struct $name for $program $( as $ancestor )? {
                $($entries)*
                /// Directory of the log file; unset: log to standard error only.
                pub log_dir: Option<std::path::PathBuf>;
                /// Least severe messages logged: INFO, WARNING or ERROR.
                pub logging_level: String = "INFO";
                /// Log nothing to standard error.
                pub quiet: bool = "false";
            }
            foreign { $($foreign)* }
        }

        impl $crate::flag::Logged for $name {
            fn log_dir(&self) -> Option<&std::path::Path> {
                self.log_dir.as_deref()
            }

            fn logging_level(&self) -> &str {
                &self.logging_level
            }

            fn quiet(&self) -> bool {
                self.quiet
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident for $program:literal $( as $ancestor:literal )? {
            $(
                $(#[doc = $help:literal])+
                pub $field:ident $( ( $($alias:literal),+ ) )? : $ty:ty $( = $default:literal )? ;
            )*
        }
        foreign { $( $foreign:literal $( = $only:literal )? : $why:literal ; )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $help])+ pub $field: $ty, )*
        }

        impl $name {
            /// Every flag, in the order of the help.
            $vis const TABLE: &'static [$crate::flag::Entry] = &[
                $( $crate::flag::Entry {
                    name: stringify!($field),
                    aliases: &[ $( $($alias),+ )? ],
                    kind: <$ty as $crate::flag::FlagValue>::KIND,
                    default: [ $( Some($default), )? None ][0],
                    help: &[ $($help),+ ],
                }, )*
            ];

            /// Flags of Mesos that are understood and have no field here.
            $vis const FOREIGN: &'static [$crate::flag::Foreign] = &[
                $( $crate::flag::Foreign { name: $foreign, only: [ $( Some($only), )? None ][0], why: $why }, )*
            ];

            /// Reads arguments and environment. Errors name the flag and what is allowed.
            $vis fn parse(
                args: impl IntoIterator<Item = String>,
                sources: &$crate::flag::Sources<'_>,
            ) -> Result<$crate::flag::Asked<Self>, $crate::flag::FlagError> {
                let program = $crate::flag::Program {
                    name: $program,
                    ancestor: [ $( $ancestor, )? "MESOS" ][0],
                    table: Self::TABLE,
                    foreign: Self::FOREIGN,
                };
                let raw = match $crate::flag::Raw::collect(&program, args, sources)? {
                    $crate::flag::Asked::Run(raw, warnings) => (raw, warnings),
                    $crate::flag::Asked::Help(text) => return Ok($crate::flag::Asked::Help(text)),
                    $crate::flag::Asked::Version => return Ok($crate::flag::Asked::Version),
                };
                let flags = $name {
                    $( $field: raw.0.value::<$ty>(stringify!($field), sources)?, )*
                };
                Ok($crate::flag::Asked::Run(flags, raw.1))
            }

            /// Name and value of every flag that has one, sorted by name: what `/flags` and GET_FLAGS show.
            $vis fn shown(&self) -> Vec<(&'static str, String)> {
                let mut shown: Vec<(&'static str, String)> = [
                    $( (stringify!($field), $crate::flag::FlagValue::show(&self.$field)), )*
                ]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
                shown.sort_unstable();
                shown
            }
        }
    };
}
