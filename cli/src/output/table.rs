//! Lists as tables: columns that fit a terminal, full values elsewhere.

use super::{Cell, Format, Times, csv, pick, template};
use crate::args::Global;
use crate::failure::Failure;
use crate::look::{Look, Tone};
use crate::text::{harmless, shorten};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

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

    /// Its name where it is not a heading: in lower case.
    pub(super) fn key(&self) -> String {
        self.name.to_lowercase()
    }
}

/// Rows beside the API's objects they were made from.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) columns: Vec<Column>,
    /// Cells per column, and the object.
    pub(crate) rows: Vec<(Vec<Cell>, Value)>,
    /// What to say when there is nothing.
    pub(crate) empty: &'static str,
}

/// Where and how to print.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) headers: bool,
    /// Characters per line of a terminal; `None`: full values.
    pub(crate) width: Option<usize>,
    pub(crate) times: Times,
    /// `--columns`.
    pub(crate) columns: Vec<String>,
    /// `--format`.
    pub(crate) template: Option<String>,
    pub(crate) look: Look,
}

impl Style {
    /// A table with full values, for a part of something larger.
    pub(crate) fn plain() -> Style {
        Style {
            format: Format::Table,
            headers: true,
            width: None,
            times: Times::Relative,
            columns: Vec::new(),
            template: None,
            look: Look::default(),
        }
    }

    /// The same for standard output as it is.
    pub(crate) fn part(global: &Global) -> Style {
        let is_terminal = io::stdout().is_terminal();
        Style {
            width: width(global, is_terminal),
            times: global.time,
            look: Look::of(global, is_terminal),
            ..Style::plain()
        }
    }

    /// For a list on standard output, as the flags ask for it.
    pub(crate) fn of_stdout(global: &Global) -> Style {
        Style {
            format: global.format(),
            headers: !global.no_headers,
            columns: global.columns.clone(),
            template: global.template.clone(),
            ..Style::part(global)
        }
    }
}

/// Of a terminal, unless values are wanted in full.
fn width(global: &Global, is_terminal: bool) -> Option<usize> {
    /// Narrower than anything can be read in: taken for a mistake.
    const LEAST: usize = 20;
    if global.no_trunc || !is_terminal {
        return None;
    }
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    told.or_else(asked).filter(|width| *width > LEAST)
}

impl List {
    /// Puts the rows in the order that `--sort` asks for.
    ///
    /// # Errors
    /// There is no such column (exit code 2).
    pub(crate) fn sorted(mut self, by: Option<&str>) -> Result<List, Failure> {
        if let Some(by) = by {
            pick::sort(&mut self, by)?;
        }
        Ok(self)
    }

    /// The text for standard output, and a line for standard error when there is nothing.
    ///
    /// # Errors
    /// `--columns` or `--format` name what is not there (exit code 2).
    pub(crate) fn render(&self, style: &Style) -> Result<(String, Option<String>), Failure> {
        let objects = || self.rows.iter().map(|(_, object)| object);
        if let Some(template) = &style.template {
            return Ok((template::render(template, objects())?, None));
        }
        let chosen = pick::columns(&self.columns, &style.columns)?;
        let all = |wide: bool| -> Vec<usize> {
            match chosen.is_empty() {
                true => (0..self.columns.len())
                    .filter(|i| wide || !self.columns[*i].wide)
                    .collect(),
                false => chosen.clone(),
            }
        };
        Ok(match style.format {
            Format::Json => (format!("{}\n", Value::Array(objects().cloned().collect())), None),
            Format::Jsonl => (objects().map(|o| format!("{o}\n")).collect(), None),
            Format::Name => {
                let names = self.rows.iter().filter_map(|(cells, _)| cells.first());
                (names.map(|n| format!("{n}\n")).collect(), None)
            }
            Format::Csv => (csv::lines(self, &all(true), style), None),
            Format::Table | Format::Wide | Format::Env if self.rows.is_empty() => {
                (String::new(), Some(format!("{}\n", self.empty)))
            }
            Format::Table | Format::Env => (self.table(style, all(false), false), None),
            Format::Wide => (self.table(style, all(true), chosen.is_empty()), None),
        })
    }

    /// The same, for a part of something larger, where nothing is chosen.
    pub(crate) fn part(&self, style: &Style) -> String {
        let shown = (0..self.columns.len())
            .filter(|i| !self.columns[*i].wide)
            .collect();
        self.table(style, shown, false)
    }

    /// Where a terminal is too narrow, wide columns go first, as far as they may.
    fn table(&self, style: &Style, mut shown: Vec<usize>, may_drop: bool) -> String {
        let mut lines = self.lines(style, &shown);
        while may_drop && style.width.is_some_and(|limit| total(&widths(&lines)) > limit) {
            let Some(last) = shown.iter().rposition(|i| self.columns[*i].wide) else {
                break;
            };
            shown.remove(last);
            lines = self.lines(style, &shown);
        }
        let columns: Vec<Column> = shown.iter().map(|i| self.columns[*i]).collect();
        align(lines, &columns, style)
    }

    fn lines(&self, style: &Style, shown: &[usize]) -> Vec<Vec<String>> {
        let mut lines: Vec<Vec<String>> = Vec::new();
        if style.headers {
            lines.push(shown.iter().map(|i| self.columns[*i].name.to_owned()).collect());
        }
        for (cells, _) in &self.rows {
            let cell = |i: &usize| {
                let text = harmless(
                    &cells
                        .get(*i)
                        .map_or(String::new(), |cell| cell.shown(style.times)),
                );
                if text.trim().is_empty() {
                    "-".to_owned()
                } else {
                    text
                }
            };
            lines.push(shown.iter().map(cell).collect());
        }
        lines
    }
}

fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let columns = lines.first().map_or(0, Vec::len);
    (0..columns)
        .map(|c| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0))
        .collect()
}

/// Characters of a line, with two blanks between columns.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

/// Two blanks between columns; where a terminal is too narrow the widest text column loses its middle, never the
/// name in the first one.
fn align(mut lines: Vec<Vec<String>>, columns: &[Column], style: &Style) -> String {
    if let Some(limit) = style.width {
        loop {
            let now = widths(&lines);
            let total = total(&now);
            let widest = (1..now.len())
                .filter(|c| !columns[*c].right)
                .max_by_key(|c| now[*c]);
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
    for (row, line) in lines.iter().enumerate() {
        let mut out = String::new();
        let last = line.len().saturating_sub(1);
        for (c, cell) in line.iter().enumerate() {
            let pad = widths[c] - cell.chars().count();
            let gap = if c == 0 { "" } else { "  " };
            let is_heading = style.headers && row == 0;
            let painted = match tone(columns[c].name, cell, c == 0).filter(|_| !is_heading) {
                Some(tone) => style.look.paint(tone, cell),
                None => cell.clone(),
            };
            // Nothing stands behind the last value.
            let pad_after = if c == last { 0 } else { pad };
            let _ = if columns[c].right {
                write!(out, "{gap}{:pad$}{painted}", "")
            } else {
                write!(out, "{gap}{painted}{:pad_after$}", "")
            };
        }
        let _ = writeln!(text, "{out}");
    }
    text
}

/// What a value means: names stand out, states have the colour of what they ask for.
fn tone(column: &str, cell: &str, is_first: bool) -> Option<Tone> {
    if is_first {
        return Some(Tone::Name);
    }
    if !matches!(column, "STATE" | "STATUS" | "HEALTH" | "RESULT" | "LAST") {
        return None;
    }
    // `delayed:12s`, `missedx12`.
    let word = cell.split(':').next().unwrap_or_default();
    match word
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches('x')
    {
        "running" | "healthy" | "ready" | "active" | "ok" | "success" | "current" => Some(Tone::Good),
        "staging" | "starting" | "deploying" | "waiting" | "delayed" | "draining" | "queued" | "retrying"
        | "recovering" | "recovered" | "killing" | "inactive" | "deactivated" => Some(Tone::Waiting),
        "failed" | "unhealthy" | "lost" | "unreachable" | "error" | "disconnected" | "missed" | "dropped"
        | "gone" => Some(Tone::Bad),
        "finished" | "killed" | "ended" | "suspended" | "disabled" | "idle" | "drained" => Some(Tone::Dim),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::cells;
    use serde_json::json;

    fn list() -> List {
        List {
            columns: vec![
                text("TASK"),
                text("NODE"),
                text("STATE"),
                number("CPUS"),
                text("IMAGE").wide(),
            ],
            rows: vec![
                (
                    cells!["web.1", "a-very-long-node-name", "running", "0.5", "x"],
                    json!({"id": "web.1"}),
                ),
                (cells!["b", "", "failed", "12", "y,z"], json!({"id": "b"})),
            ],
            empty: "no tasks run; start one: meseta execute -- echo hello",
        }
    }

    fn style(format: Format) -> Style {
        Style {
            format,
            ..Style::plain()
        }
    }

    fn text_of(style: &Style) -> String {
        list().render(style).unwrap().0
    }

    #[test]
    fn tables_have_two_blanks_and_numbers_on_the_right() {
        let want = "\
TASK   NODE                   STATE    CPUS
web.1  a-very-long-node-name  running   0.5
b      -                      failed     12
";
        assert_eq!(text_of(&style(Format::Table)), want);
    }

    #[test]
    fn narrow_terminals_lose_wide_columns_first_and_then_middles() {
        let wide = text_of(&style(Format::Wide));
        assert!(
            wide.lines().next().is_some_and(|l| l.ends_with("IMAGE")),
            "{wide}"
        );
        let narrow = |format| Style {
            width: Some(36),
            ..style(format)
        };
        let text = text_of(&narrow(Format::Table));
        assert!(text.lines().all(|l| l.chars().count() <= 36), "{text}");
        assert!(text.contains("web.1  a-very-…e-name"), "{text}");
        assert_eq!(text_of(&narrow(Format::Wide)), text);
    }

    #[test]
    fn colour_is_beside_the_word_and_does_not_move_columns() {
        let coloured = Style {
            look: Look {
                colour: true,
                symbols: false,
            },
            ..style(Format::Table)
        };
        let text = text_of(&coloured);
        assert!(text.contains("\u{1b}[32mrunning\u{1b}[0m"), "{text}");
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m "), "{text}");
        assert!(text.starts_with("TASK   NODE"), "{text:?}");
        let bare = text
            .split("\u{1b}[")
            .map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
        let plain = text_of(&style(Format::Table));
        assert_eq!(
            bare.collect::<String>()
                .replacen("TASK   NODE", "", 0)
                .lines()
                .nth(1),
            plain.lines().nth(1)
        );
    }

    #[test]
    fn programs_get_the_objects_themselves() {
        assert_eq!(
            text_of(&style(Format::Json)),
            "[{\"id\":\"web.1\"},{\"id\":\"b\"}]\n"
        );
        assert_eq!(
            text_of(&style(Format::Jsonl)),
            "{\"id\":\"web.1\"}\n{\"id\":\"b\"}\n"
        );
        assert_eq!(text_of(&style(Format::Name)), "web.1\nb\n");
        assert_eq!(
            text_of(&style(Format::Csv)),
            "task,node,state,cpus,image\nweb.1,a-very-long-node-name,running,0.5,x\nb,,failed,12,\"y,z\"\n"
        );
        let templated = Style {
            template: Some("<{{ id }}>".to_owned()),
            ..style(Format::Table)
        };
        assert_eq!(text_of(&templated), "<web.1>\n<b>\n");
    }

    #[test]
    fn columns_are_chosen_by_name() {
        let chosen = Style {
            columns: vec!["image".to_owned(), "TASK".to_owned()],
            ..style(Format::Table)
        };
        assert_eq!(text_of(&chosen), "IMAGE  TASK\nx      web.1\ny,z    b\n");
        let unknown = Style {
            columns: vec!["nosuch".to_owned()],
            ..style(Format::Table)
        };
        assert_eq!(list().render(&unknown).unwrap_err().code, "bad-column");
    }

    #[test]
    fn an_empty_list_says_what_would_fill_it_on_standard_error() {
        let empty = List {
            rows: vec![],
            ..list()
        };
        let (out, err) = empty.render(&style(Format::Table)).unwrap();
        assert_eq!(out, "");
        assert!(err.is_some_and(|e| e.contains("meseta execute")));
        assert_eq!(empty.render(&style(Format::Json)).unwrap(), ("[]\n".into(), None));
    }
}
