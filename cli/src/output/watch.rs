//! Lists on standard output: once, or with `-w` again and again.
//!
//! On a terminal the table is redrawn in place; elsewhere each row that changed is a line (of JSON with `--json`). The
//! servers have no stream of lists, so they are asked again; only what time does to an age is no change.

use super::table::{List, Style};
use super::{Cell, Format, print};
use crate::args::Global;
use crate::failure::{Failure, exit};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Between two questions: as often as the smallest unit of an age.
const PAUSE: Duration = Duration::from_secs(1);
/// Lines of a terminal that does not tell its size.
const USUAL_LINES: usize = 24;

/// Prints a list, and with `--watch` what becomes of it, until interrupted.
///
/// # Errors
/// The list cannot be read, or the flags name what it does not have. While watching, servers that are away are asked
/// again.
pub(crate) async fn show(
    global: &Global,
    read: impl AsyncFn() -> Result<List, Failure>,
) -> Result<u8, Failure> {
    let style = Style::of_stdout(global);
    let first = read().await?.sorted(global.sort.as_deref())?;
    if !global.watch {
        let (out, nothing) = first.render(&style)?;
        if let Some(line) = nothing.filter(|_| !global.quiet) {
            eprint!("{line}");
        }
        return Ok(print(&out).err().unwrap_or(0));
    }
    let in_place = io::stdout().is_terminal()
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
        && style.template.is_none()
        && matches!(style.format, Format::Table | Format::Wide);
    let mut display = match in_place {
        true => Display::Screen { drawn: 0 },
        false => Display::Lines { seen: None },
    };
    let mut list = first;
    let mut is_away = false;
    loop {
        let out = display.next(&list, &style)?;
        if let Err(code) = print(&out) {
            return Ok(code);
        }
        list = loop {
            tokio::time::sleep(PAUSE).await;
            match read().await {
                Ok(list) => break list.sorted(global.sort.as_deref())?,
                Err(failure) if failure.exit == exit::UNREACHABLE => {
                    if !is_away && !global.quiet {
                        eprintln!("-- {}; asking again --", failure.what);
                    }
                    is_away = true;
                    if in_place {
                        // The line just said stands below the table, which is drawn anew.
                        display = Display::Screen { drawn: 0 };
                    }
                }
                Err(failure) => return Err(failure),
            }
        };
        is_away = false;
    }
}

enum Display {
    /// Lines on the screen that the next drawing replaces.
    Screen { drawn: usize },
    /// What each row said when it was last printed.
    Lines { seen: Option<Seen> },
}

/// By name and, where names are not unique, by their order.
type Seen = BTreeMap<(String, usize), String>;

impl Display {
    fn next(&mut self, list: &List, style: &Style) -> Result<String, Failure> {
        match self {
            Display::Screen { drawn } => {
                let (table, nothing) = list.render(style)?;
                let height = terminal_size::terminal_size_of(io::stdout())
                    .map_or(USUAL_LINES, |(_, height)| usize::from(height.0));
                let text = cut(&nothing.unwrap_or(table), height.saturating_sub(1).max(2));
                let out = match *drawn {
                    0 => text.clone(),
                    lines => format!("\u{1b}[{lines}A\u{1b}[J{text}"),
                };
                *drawn = text.lines().count();
                Ok(out)
            }
            Display::Lines { seen } => {
                let now = rows(list);
                let out = match seen.as_ref() {
                    None => stream(list, style, style.headers)?,
                    Some(before) => changes(list, style, before, &now)?,
                };
                *seen = Some(now);
                Ok(out)
            }
        }
    }
}

/// At most so many lines, the last of which says how many are missing.
fn cut(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= most {
        return text.to_owned();
    }
    let kept = most - 1;
    let shown: String = lines.iter().take(kept).map(|line| format!("{line}\n")).collect();
    format!("{shown}... {} more\n", lines.len() - kept)
}

fn rows(list: &List) -> Seen {
    let mut rows = Seen::new();
    for key in keys(list) {
        let said = list.rows.get(rows.len());
        let said = said.map_or(String::new(), |(cells, object)| {
            let cells: Vec<String> = cells.iter().map(Cell::constant).collect();
            format!("{}\n{object}", cells.join("\n"))
        });
        rows.insert(key, said);
    }
    rows
}

/// The key of each row, in order.
fn keys(list: &List) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let names = list
        .rows
        .iter()
        .map(|(cells, _)| cells.first().map_or(String::new(), Cell::constant));
    names
        .map(|name| {
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            (name, *count)
        })
        .collect()
}

/// A line for each row that is new, says something else, or is not there any more.
fn changes(list: &List, style: &Style, before: &Seen, now: &Seen) -> Result<String, Failure> {
    let is_table = style.template.is_none() && matches!(style.format, Format::Table | Format::Wide);
    let changed = keys(list)
        .into_iter()
        .map(|key| before.get(&key) != now.get(&key));
    let missing = before
        .keys()
        .filter(|key| !now.contains_key(key) && style.template.is_none());
    let gone = missing.map(|(name, _)| (gone(list, name), true));
    let rows: Vec<(Row, bool)> = list.rows.iter().cloned().zip(changed).chain(gone).collect();
    let shown = |rows: Vec<Row>| List {
        columns: list.columns.clone(),
        rows,
        empty: "",
    };
    if !is_table {
        let rows = rows
            .into_iter()
            .filter_map(|(row, changed)| changed.then_some(row));
        return stream(&shown(rows.collect()), style, false);
    }
    // The whole table, so that its columns stay where they are.
    let (rows, changed): (Vec<Row>, Vec<bool>) = rows.into_iter().unzip();
    let table = stream(&shown(rows), style, true)?;
    let lines = table.lines().skip(1).zip(changed).filter(|(_, changed)| *changed);
    Ok(lines.map(|(line, _)| format!("{line}\n")).collect())
}

/// Programs get an object per line: an array would have no end.
fn stream(list: &List, style: &Style, headers: bool) -> Result<String, Failure> {
    let style = Style {
        headers,
        format: match style.format {
            Format::Json => Format::Jsonl,
            format => format,
        },
        ..style.clone()
    };
    Ok(list.render(&style)?.0)
}

type Row = (Vec<Cell>, Value);

/// The row of something that is not there any more.
fn gone(list: &List, name: &str) -> Row {
    let mut cells = vec![Cell::default(); list.columns.len()];
    if let Some(first) = cells.first_mut() {
        *first = name.into();
    }
    let state = list
        .columns
        .iter()
        .position(|c| matches!(c.key().as_str(), "state" | "status" | "result"));
    if let Some(cell) = state.and_then(|state| cells.get_mut(state)) {
        *cell = "gone".into();
    }
    (cells, json!({"kind": "gone", "schema": 1, "name": name}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::{cells, text};

    fn list(rows: &[(&str, &str, f64)]) -> List {
        let row = |(name, state, age): &(&str, &str, f64)| {
            (
                cells![*name, *state, Cell::ago(1_000.0 + age, 1_000.0)],
                json!({"name": name, "state": state}),
            )
        };
        List {
            columns: vec![text("NAME"), text("STATE"), text("AGE")],
            rows: rows.iter().map(row).collect(),
            empty: "nothing",
        }
    }

    fn style(format: Format) -> Style {
        Style {
            format,
            ..Style::plain()
        }
    }

    #[test]
    fn elsewhere_each_row_that_changed_is_a_line() {
        let mut display = Display::Lines { seen: None };
        let style = style(Format::Table);
        let first = list(&[("a", "starting", 1.0), ("b", "running", 1.0)]);
        assert_eq!(
            display.next(&first, &style).unwrap(),
            "NAME  STATE     AGE\na     starting  1s\nb     running   1s\n"
        );
        let later = list(&[("a", "starting", 2.0), ("b", "running", 2.0)]);
        assert_eq!(display.next(&later, &style).unwrap(), "", "only time passed");
        let then = list(&[("a", "running", 3.0), ("c", "starting", 0.0)]);
        assert_eq!(
            display.next(&then, &style).unwrap(),
            "a     running   3s\nc     starting  0s\nb     gone      -\n"
        );
    }

    #[test]
    fn programs_read_an_object_per_line() {
        let mut display = Display::Lines { seen: None };
        let style = style(Format::Json);
        assert_eq!(
            display.next(&list(&[("a", "x", 0.0)]), &style).unwrap(),
            "{\"name\":\"a\",\"state\":\"x\"}\n"
        );
        assert_eq!(
            display.next(&list(&[]), &style).unwrap(),
            "{\"kind\":\"gone\",\"name\":\"a\",\"schema\":1}\n"
        );
    }

    #[test]
    fn a_terminal_is_redrawn_in_place() {
        let mut display = Display::Screen { drawn: 0 };
        let style = style(Format::Table);
        let two = list(&[("a", "x", 0.0), ("b", "x", 0.0)]);
        assert!(!display.next(&two, &style).unwrap().contains('\u{1b}'));
        let again = display.next(&list(&[]), &style).unwrap();
        assert_eq!(again, "\u{1b}[3A\u{1b}[Jnothing\n");
        assert_eq!(
            display.next(&two, &style).unwrap().lines().next(),
            Some("\u{1b}[1A\u{1b}[JNAME  STATE  AGE")
        );
    }

    #[test]
    fn a_screen_holds_what_it_holds() {
        assert_eq!(cut("1\n2\n3\n", 3), "1\n2\n3\n");
        assert_eq!(cut("1\n2\n3\n4\n", 3), "1\n2\n... 2 more\n");
    }
}
