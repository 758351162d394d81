//! How lists and things are printed: a table for people, the API's own objects for programs.

use crate::text::{harmless, shorten};
use clap::ValueEnum;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

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
    /// Addresses for `eval`: `up` and `status` only
    Env,
}

/// A column: its heading, whether its values are numbers, whether only `wide` shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    right: bool,
    wide: bool,
}

pub(crate) const fn text(name: &'static str) -> Column {
    Column {
        name,
        right: false,
        wide: false,
    }
}

pub(crate) const fn number(name: &'static str) -> Column {
    Column {
        name,
        right: true,
        wide: false,
    }
}

impl Column {
    pub(crate) const fn wide(mut self) -> Column {
        self.wide = true;
        self
    }
}

/// Rows beside the API's objects they were made from.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) columns: Vec<Column>,
    /// Cells per column, and the object.
    pub(crate) rows: Vec<(Vec<String>, Value)>,
    /// What to say when there is nothing.
    pub(crate) empty: &'static str,
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) headers: bool,
    /// Characters per line of a terminal; `None`: full values.
    pub(crate) width: Option<usize>,
}

impl Style {
    /// For standard output as it is.
    pub(crate) fn of_stdout(format: Format, headers: bool) -> Style {
        let width = io::stdout().is_terminal().then(terminal_width).flatten();
        Style {
            format,
            headers,
            width,
        }
    }
}

fn terminal_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|w| *w > 20)
}

impl List {
    /// The text for standard output, and a line for standard error when there is nothing.
    pub(crate) fn render(&self, style: Style) -> (String, Option<String>) {
        let objects = || self.rows.iter().map(|(_, object)| object);
        match style.format {
            Format::Json => (format!("{}\n", Value::Array(objects().cloned().collect())), None),
            Format::Jsonl => (objects().map(|o| format!("{o}\n")).collect(), None),
            Format::Name => {
                let names = self.rows.iter().filter_map(|(cells, _)| cells.first());
                (names.map(|n| format!("{n}\n")).collect(), None)
            }
            Format::Table | Format::Wide | Format::Env if self.rows.is_empty() => {
                (String::new(), Some(format!("{}\n", self.empty)))
            }
            Format::Table | Format::Env => (self.table(style, false), None),
            Format::Wide => (self.table(style, true), None),
        }
    }

    fn table(&self, style: Style, wide: bool) -> String {
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|i| wide || !self.columns[*i].wide)
            .collect();
        let mut lines: Vec<Vec<String>> = Vec::new();
        if style.headers {
            lines.push(shown.iter().map(|i| self.columns[*i].name.to_owned()).collect());
        }
        for (cells, _) in &self.rows {
            let cell = |i: &usize| {
                let text = harmless(cells.get(*i).map_or("", String::as_str));
                if text.trim().is_empty() {
                    "-".to_owned()
                } else {
                    text
                }
            };
            lines.push(shown.iter().map(cell).collect());
        }
        let right: Vec<bool> = shown.iter().map(|i| self.columns[*i].right).collect();
        align(lines, &right, style.width)
    }
}

/// Two blanks between columns; where a terminal is too narrow the widest text column loses its middle, never the
/// name in the first one.
fn align(mut lines: Vec<Vec<String>>, right: &[bool], width: Option<usize>) -> String {
    let widths = |lines: &[Vec<String>]| -> Vec<usize> {
        (0..right.len())
            .map(|c| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0))
            .collect()
    };
    if let Some(limit) = width {
        loop {
            let now = widths(&lines);
            let total: usize = now.iter().sum::<usize>() + 2 * now.len().saturating_sub(1);
            let widest = (1..now.len()).filter(|c| !right[*c]).max_by_key(|c| now[*c]);
            let Some(widest) = widest.filter(|c| total > limit && now[*c] > 8) else {
                break;
            };
            let target = now[widest].saturating_sub(total - limit).max(8);
            for line in &mut lines {
                line[widest] = shorten(&line[widest], target);
            }
        }
    }
    let widths = widths(&lines);
    let mut text = String::new();
    for line in &lines {
        let mut out = String::new();
        for (c, cell) in line.iter().enumerate() {
            let pad = widths[c] - cell.chars().count();
            let gap = if c == 0 { "" } else { "  " };
            let _ = if right[c] {
                write!(out, "{gap}{:pad$}{cell}", "")
            } else {
                write!(out, "{gap}{cell}{:pad$}", "")
            };
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list() -> List {
        List {
            columns: vec![text("TASK"), text("NODE"), number("CPUS"), text("IMAGE").wide()],
            rows: vec![
                (
                    vec![
                        "web.1".into(),
                        "a-very-long-node-name".into(),
                        "0.5".into(),
                        "x".into(),
                    ],
                    json!({"id": "web.1"}),
                ),
                (
                    vec!["b".into(), String::new(), "12".into(), "y".into()],
                    json!({"id": "b"}),
                ),
            ],
            empty: "no tasks run; start one: meseta execute -- echo hello",
        }
    }

    fn style(format: Format) -> Style {
        Style {
            format,
            headers: true,
            width: None,
        }
    }

    #[test]
    fn tables_have_two_blanks_and_numbers_on_the_right() {
        let want = "\
TASK   NODE                   CPUS
web.1  a-very-long-node-name   0.5
b      -                        12
";
        assert_eq!(list().render(style(Format::Table)).0, want);
    }

    #[test]
    fn wide_shows_more_and_narrow_terminals_lose_middles() {
        let wide = list().render(style(Format::Wide)).0;
        assert!(
            wide.lines().next().is_some_and(|l| l.ends_with("IMAGE")),
            "{wide}"
        );
        let narrow = Style {
            width: Some(26),
            ..style(Format::Table)
        };
        let text = list().render(narrow).0;
        assert!(text.lines().all(|l| l.chars().count() <= 26), "{text}");
        assert!(text.contains("web.1  a-very…e-name"), "{text}");
    }

    #[test]
    fn programs_get_the_objects_themselves() {
        assert_eq!(
            list().render(style(Format::Json)).0,
            "[{\"id\":\"web.1\"},{\"id\":\"b\"}]\n"
        );
        assert_eq!(
            list().render(style(Format::Jsonl)).0,
            "{\"id\":\"web.1\"}\n{\"id\":\"b\"}\n"
        );
        assert_eq!(list().render(style(Format::Name)).0, "web.1\nb\n");
    }

    #[test]
    fn an_empty_list_says_what_would_fill_it_on_standard_error() {
        let empty = List {
            rows: vec![],
            ..list()
        };
        let (out, err) = empty.render(style(Format::Table));
        assert_eq!(out, "");
        assert!(err.is_some_and(|e| e.contains("meseta execute")));
        assert_eq!(empty.render(style(Format::Json)), ("[]\n".into(), None));
    }
}
