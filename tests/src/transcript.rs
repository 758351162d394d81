//! Transcripts in pages: what a page says that a command prints is what it prints.
//!
//! A block of three backquotes and `console` holds commands (`$ command`) with the output that follows them, standard
//! output and error together. `...` within a line stands for any text, a line of `...` alone for any lines.

use crate::cluster::Up;
use crate::wait;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command and what it is to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Of the page, counted from 1.
    pub line: usize,
    /// For a shell.
    pub command: String,
    /// Patterns of lines.
    pub output: Vec<String>,
}

/// The steps of a page, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (n, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step {
                line: n + 1,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let (true, Some(step)) = (inside, steps.last_mut()) {
            // A comment behind a command is no part of it for people either; an empty line parts two commands.
            step.output.push(line.to_owned());
        }
    }
    for step in &mut steps {
        while step.output.last().is_some_and(|line| line.trim().is_empty()) {
            step.output.pop();
        }
    }
    steps
}

/// Whether lines fit patterns.
pub fn fits(patterns: &[String], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == "..." => {
            (0..=lines.len()).any(|n| fits(rest, lines.get(n..).unwrap_or_default()))
        }
        Some((first, rest)) => match lines.split_first() {
            Some((line, others)) => line_fits(first, line) && fits(rest, others),
            None => false,
        },
    }
}

fn line_fits(pattern: &str, line: &str) -> bool {
    let line = line.trim_end();
    // From the right, so that a dot before the three is a dot.
    let mut parts: Vec<&str> = pattern.trim_end().rsplit("...").collect();
    parts.reverse();
    let Some((first, parts)) = parts.split_first() else {
        return line.is_empty();
    };
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Default port → port of a cluster.
fn ports(up: &Up) -> Vec<(String, String)> {
    let port = |url: String| url.rsplit(':').next().unwrap_or_default().to_owned();
    vec![
        ("5050".to_owned(), port(up.master())),
        ("5051".to_owned(), port(up.agent(0))),
        ("8080".to_owned(), up.service().rest.port.to_string()),
        ("4400".to_owned(), up.cron().rest.port.to_string()),
    ]
}

/// A shell's command, as a page has it, against a cluster on other ports than the page's.
pub fn shell(up: &Up, binary: &Path, command: &str) -> String {
    let ports = ports(up);
    let mut command = command.to_owned();
    for (default, ours) in &ports {
        for host in ["localhost", "127.0.0.1"] {
            command = command.replace(&format!("{host}:{default}"), &format!("127.0.0.1:{ours}"));
        }
    }
    let folder = binary.parent().unwrap_or(Path::new("/"));
    let path = std::env::var("PATH").unwrap_or_default();
    let out = Command::new("bash")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(crate::binary::root())
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("MESETA_MASTER", up.master_address())
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", up.folder())
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    let out = out.unwrap_or_else(|error| panic!("{command}: {error}"));
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    for (default, ours) in &ports {
        text = text.replace(&format!("127.0.0.1:{ours}"), &format!("127.0.0.1:{default}"));
    }
    text
}

/// Runs all steps of a page, and says which do not fit. What only reads is asked again until it fits or too much time has
/// passed: a page does not say how long a reader takes to type.
pub fn differences(up: &Up, binary: &Path, page: &str) -> Vec<String> {
    let mut different = Vec::new();
    for step in steps(page) {
        let start = std::time::Instant::now();
        let said = loop {
            let said = shell(up, binary, &step.command);
            let lines: Vec<&str> = said.lines().collect();
            if fits(&step.output, &lines) {
                break None;
            }
            if !reads(&step.command) || start.elapsed() > wait::PATIENCE / 2 {
                break Some(said);
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
        };
        if let Some(said) = said {
            let wanted = step.output.join("\n");
            different.push(format!(
                "line {}: $ {}\n{said}\n--- instead of:\n{wanted}",
                step.line, step.command
            ));
        }
    }
    different
}

fn reads(command: &str) -> bool {
    let words = [
        " list",
        " show",
        " history",
        " status",
        " logs",
        " why",
        " next",
        " graph",
        " versions",
        "curl -s ",
    ];
    words.iter().any(|word| command.contains(word)) && !command.contains("-X ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn steps_are_the_commands_of_console_blocks() {
        let page = "text\n```sh\n$ not this\n```\n```console\n$ a b\nout ...\n\n$ c\n```\n$ nor this\n";
        let steps = steps(page);
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].command.as_str(), steps[0].line), ("a b", 6));
        assert_eq!(
            (steps[0].output.clone(), steps[1].output.len()),
            (lines(&["out ..."]), 0)
        );
    }

    #[test]
    fn dots_stand_for_any_text_or_any_lines() {
        assert!(fits(&lines(&["a ... c", "..."]), &["a bb c", "x", "y"]));
        assert!(fits(&lines(&["...", "z"]), &["z"]));
        assert!(!fits(&lines(&["a ... c"]), &["a bb d"]));
        assert!(!fits(&lines(&["a"]), &["a", "b"]));
        assert!(!fits(&lines(&["a..."]), &["b"]));
        assert!(fits(&lines(&["web.... is"]), &["web.1f2e is"]));
    }
}
