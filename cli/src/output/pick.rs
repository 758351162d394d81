//! `--columns` and `--sort`: which columns of a list are shown, and in which order its rows come.

use super::{Cell, Column, List};
use crate::failure::{Failure, exit};
use crate::text::nearest;
use std::cmp::Ordering;

/// The columns of these names, in this order.
///
/// # Errors
/// There is no such column (exit code 2).
pub(super) fn columns(all: &[Column], names: &[String]) -> Result<Vec<usize>, Failure> {
    names.iter().map(|name| index(all, name, "--columns")).collect()
}

/// Sorts the rows by a column, `-age` from its end.
///
/// # Errors
/// There is no such column (exit code 2).
pub(super) fn sort(list: &mut List, by: &str) -> Result<(), Failure> {
    let (name, backwards) = match by.strip_prefix('-') {
        Some(name) => (name, true),
        None => (by, false),
    };
    let column = index(&list.columns, name, "--sort")?;
    let none = Cell::default();
    list.rows.sort_by(|(a, _), (b, _)| {
        let (a, b) = (a.get(column).unwrap_or(&none), b.get(column).unwrap_or(&none));
        compare(a, b, backwards)
    });
    Ok(())
}

fn index(all: &[Column], name: &str, flag: &str) -> Result<usize, Failure> {
    let wanted = name.trim().to_lowercase();
    let keys: Vec<String> = all.iter().map(Column::key).collect();
    if let Some(found) = keys.iter().position(|key| *key == wanted) {
        return Ok(found);
    }
    let what = format!(
        "{flag}: this list has no column '{name}'; it has {}",
        keys.join(", ")
    );
    let failure = Failure::new("bad-column", exit::USAGE, what);
    Err(match nearest(&wanted, keys.iter().map(String::as_str)) {
        Some(meant) => failure.fix(format!("{flag} {meant}")),
        None => failure,
    })
}

/// Times, numbers and sizes by what they mean, everything else by its letters; nothing comes last either way.
fn compare(a: &Cell, b: &Cell, backwards: bool) -> Ordering {
    let turned = |order: Ordering| if backwards { order.reverse() } else { order };
    match (key(a), key(b)) {
        (Key::Nothing, Key::Nothing) => Ordering::Equal,
        (Key::Nothing, _) => Ordering::Greater,
        (_, Key::Nothing) => Ordering::Less,
        (Key::Number(a), Key::Number(b)) => turned(a.total_cmp(&b)),
        // Numbers before words.
        (Key::Number(_), Key::Text(_)) => turned(Ordering::Less),
        (Key::Text(_), Key::Number(_)) => turned(Ordering::Greater),
        (Key::Text(a), Key::Text(b)) => turned(a.cmp(&b)),
    }
}

enum Key {
    Nothing,
    Number(f64),
    Text(String),
}

fn key(cell: &Cell) -> Key {
    match cell {
        // An age grows as its time lies further back.
        Cell::Time { at, relative, .. } if !relative.starts_with("in-") => Key::Number(-at),
        Cell::Time { at, .. } => Key::Number(*at),
        Cell::Text(text) if text.trim().is_empty() || text == "-" => Key::Nothing,
        Cell::Text(text) => amount(text).map_or_else(|| Key::Text(text.to_lowercase()), Key::Number),
    }
}

/// The number that a value begins with, in the smallest of its units: `2.5/8`, `1.5G`, `3m12s`, `41%mem`.
fn amount(text: &str) -> Option<f64> {
    let text = text.split(['/', '%']).next().unwrap_or_default();
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let size = match rest.get(..end)? {
            "" => 1.0,
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "M" => 1.0,
            "G" => 1_024.0,
            "T" => 1_048_576.0,
            _ => return None,
        };
        sum += number * size;
        rest = rest.get(end..)?;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::{number, text};
    use serde_json::Value;

    fn list() -> List {
        let row = |name: &str, mem: &str, age: Option<f64>| {
            let age = age.map_or_else(Cell::default, |age| Cell::ago(1_000.0, 1_000.0 - age));
            (vec![name.into(), mem.into(), age], Value::Null)
        };
        List {
            columns: vec![text("NAME"), number("MEM"), text("AGE").wide()],
            rows: vec![
                row("b", "900M/2G", Some(300.0)),
                row("a", "1.5G/2G", None),
                row("c", "-", Some(20.0)),
            ],
            empty: "",
        }
    }

    fn order(by: &str) -> String {
        let mut list = list();
        sort(&mut list, by).unwrap();
        list.rows.iter().map(|(cells, _)| cells[0].to_string()).collect()
    }

    #[test]
    fn rows_are_sorted_by_what_values_mean() {
        assert_eq!(order("name"), "abc");
        assert_eq!(order("-name"), "cba");
        assert_eq!(order("mem"), "bac");
        assert_eq!(order("-mem"), "abc", "nothing is last either way");
        assert_eq!(order("AGE"), "cba");
        assert_eq!(order("-age"), "bca");
    }

    #[test]
    fn columns_are_named_as_they_are_printed() {
        let columns = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::columns(&list().columns, &names)
        };
        assert_eq!(columns(&["age", "name"]).unwrap(), [2, 0]);
        let failure = columns(&["naem"]).unwrap_err();
        assert_eq!(failure.exit, exit::USAGE);
        assert_eq!(
            failure.what,
            "--columns: this list has no column 'naem'; it has name, mem, age"
        );
        assert_eq!(failure.fix.as_deref(), Some("--columns name"));
    }

    #[test]
    fn amounts_have_units() {
        for (text, value) in [
            ("12", Some(12.0)),
            ("0.3/2", Some(0.3)),
            ("1.5G", Some(1_536.0)),
            ("3m12s", Some(192.0)),
            ("55ms", Some(0.055)),
            ("41%mem", Some(41.0)),
            ("running", None),
            ("web.1", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(amount(text), value, "{text}");
        }
    }
}
