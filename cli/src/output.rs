//! How lists and things are printed: a table for people, the API's own objects for programs.

mod cell;
mod csv;
mod pick;
mod table;
mod template;
mod watch;

pub(crate) use cell::{Cell, cells};
pub(crate) use table::{Column, List, Style, number, text};
pub(crate) use watch::show;

use crate::args::Global;
use crate::failure::Failure;
use crate::text::harmless;
use clap::ValueEnum;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write};

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns
    Wide,
    /// One JSON array (of a list) or object
    Json,
    /// One JSON object per line
    Jsonl,
    /// Names only, one per line
    Name,
    /// All columns of a list, separated by commas
    Csv,
    /// Addresses for `eval`: `up` and `status` only
    Env,
}

/// `--time`: how tables show times. Objects always have RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Times {
    /// How long ago
    #[default]
    Relative,
    /// In this machine's zone
    Local,
    /// In UTC
    Utc,
}

/// What programs get of one thing: the object, its name, or what a template makes of it. `None`: it is for people.
///
/// # Errors
/// The template names what the object does not have (exit code 2).
pub(crate) fn for_programs(global: &Global, object: &Value, name: &str) -> Result<Option<String>, Failure> {
    if let Some(template) = &global.template {
        return template::render(template, std::iter::once(object)).map(Some);
    }
    Ok(match global.format() {
        Format::Json | Format::Jsonl => Some(format!("{object}\n")),
        Format::Name => Some(format!("{name}\n")),
        Format::Table | Format::Wide | Format::Csv | Format::Env => None,
    })
}

/// `key  value` lines.
pub(crate) fn block(pairs: &[(&str, String)]) -> String {
    let width = pairs
        .iter()
        .map(|(key, _)| key.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{key:width$}  {}", harmless(value));
    }
    text
}

/// Writes to standard output; `Err` carries the exit code of a closed pipe.
pub(crate) fn print(text: &str) -> Result<(), u8> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|_| crate::failure::exit::CLOSED_PIPE)
}
