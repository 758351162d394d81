//! The reference pages that are generated: what they say is what the binary prints.
//!
//! `MESETA_WRITE_REFERENCE=1 cargo test -p meseta-tests --test reference` writes them anew.
#![allow(clippy::unwrap_used)]

use meseta_tests::binary::{meseta, root};
use std::process::{Command, Stdio};

/// The roles, whose flags come from tables of their own.
const ROLES: &[&str] = &["master", "agent", "service", "cron"];

/// Deepest nesting of words.
const DEPTH: usize = 3;

/// What `meseta WORDS --help` prints, as on a terminal of 100 columns.
fn help(words: &[String]) -> String {
    let out = Command::new(meseta())
        .args(words)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What stands above the flags of every command.
const GLOBAL: &str = "Global flags:";

/// A help without the flags that every command has, and those flags.
fn apart(help: &str) -> (String, String) {
    let (mut own, mut global, mut inside) = (String::new(), String::new(), false);
    for line in help.lines() {
        let is_heading = !line.is_empty() && !line.starts_with(' ');
        inside = line == GLOBAL || inside && !is_heading;
        let to = if inside { &mut global } else { &mut own };
        to.push_str(line);
        to.push('\n');
    }
    (own, global)
}

/// The words below `Commands:`.
fn below(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| line.starts_with(' ') || line.is_empty());
    // A description that is wrapped is indented further than a word.
    let words = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    words
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

fn chapter(words: &mut Vec<String>, page: &mut String) {
    let text = help(words);
    let title = words.iter().map(|word| format!(" {word}")).collect::<String>();
    let (own, _) = apart(&text);
    page.push_str(&format!(
        "\n{} meseta{title}\n\n```\n{}\n```\n",
        "#".repeat(words.len().min(2) + 2),
        own.trim()
    ));
    if words.len() == DEPTH || words.first().is_some_and(|word| ROLES.contains(&word.as_str())) {
        return;
    }
    for word in below(&text) {
        words.push(word);
        chapter(words, page);
        words.pop();
    }
}

fn compare(page: &str, wanted: &str) {
    let path = root().join(page);
    if std::env::var_os("MESETA_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    assert!(
        there == wanted,
        "{page} is not what the binary prints (write it with MESETA_WRITE_REFERENCE=1); first difference: {differs:?}"
    );
}

#[test]
fn the_page_of_the_command_line_is_what_the_binary_prints() {
    let mut page = "\
# Command line

Generated from the tables of words and flags; a test compares it with what `meseta ... --help` prints. Exit codes, output
and errors mean the same in every command: `meseta --help` lists the codes.
"
    .to_owned();
    let (_, global) = apart(&help(&[]));
    assert!(global.contains("--master"), "{global}");
    page.push_str("\n## Global flags\n\nEvery command takes these, anywhere on its line, besides its own.\n");
    page.push_str(&format!(
        "\n```\n{}\n```\n",
        global.trim_start_matches(GLOBAL).trim_matches('\n')
    ));
    page.push_str("\n## Commands\n");
    chapter(&mut Vec::new(), &mut page);
    compare("docs/reference/cli.md", &page);
}

#[test]
fn flags_of_every_command_are_set_apart() {
    let help = "Usage: x\n\nOptions:\n  -h\n\nGlobal flags:\n  -m\n\n      --json\n\nSee also:\n  y\n";
    let (own, global) = apart(help);
    assert_eq!(own, "Usage: x\n\nOptions:\n  -h\n\nSee also:\n  y\n");
    assert_eq!(global, "Global flags:\n  -m\n\n      --json\n\n");
}

#[test]
fn words_are_read_from_the_help() {
    let help = "Usage: x\n\nCommands:\n  app     Apps\n            and more of it\n  up      A cluster\n\nOptions:\n  -h\n";
    assert_eq!(below(help), ["app", "up"]);
}
