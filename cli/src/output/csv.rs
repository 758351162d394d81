//! `-o csv`: all columns of a list as RFC 4180 has them.

use super::List;
use super::table::Style;

/// A first line with the names of the columns unless it is not wanted, then one line per row.
pub(super) fn lines(list: &List, columns: &[usize], style: &Style) -> String {
    let mut text = String::new();
    if style.headers {
        line(
            &mut text,
            columns.iter().map(|column| list.columns[*column].key()),
        );
    }
    for (cells, _) in &list.rows {
        let cell = |column: &usize| {
            cells
                .get(*column)
                .map_or(String::new(), |cell| cell.shown(style.times))
        };
        line(&mut text, columns.iter().map(cell));
    }
    text
}

fn line(text: &mut String, values: impl Iterator<Item = String>) {
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if value.contains(['"', ',', '\n', '\r']) {
            text.push_str(&format!("\"{}\"", value.replace('"', "\"\"")));
        } else {
            text.push_str(&value);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_would_break_a_line_are_quoted() {
        let mut text = String::new();
        let values = ["a b", "x,y", "say \"hi\"", "two\nlines", ""];
        line(&mut text, values.into_iter().map(str::to_owned));
        assert_eq!(text, "a b,\"x,y\",\"say \"\"hi\"\"\",\"two\nlines\",\n");
    }
}
