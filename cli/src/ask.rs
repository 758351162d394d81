//! Questions before something is lost: asked only where somebody can answer.
//!
//! On a terminal the default is No; elsewhere, or with `--no-input`, the command fails before it has done anything. In a
//! protected context the context's name is asked for instead.

use crate::args::Global;
use crate::failure::{Failure, exit};
use std::io::{self, BufRead, IsTerminal, Write};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Asks a yes-or-no question: one line that names the object and what happens to it.
///
/// # Errors
/// Nobody can be asked (exit code 2), or the answer is no (exit code 1).
pub(crate) fn yes_or_no(global: &Global, question: &str) -> Result<(), Failure> {
    if let Some(context) = global
        .chosen
        .context
        .as_ref()
        .filter(|_| global.chosen.is_protected)
    {
        return name(global, question, context);
    }
    let typed = typed(global, &format!("{question} [y/N] "))?;
    match typed.as_deref().map(|answer| answer.trim().to_ascii_lowercase()) {
        None => Ok(()),
        Some(answer) if matches!(answer.as_str(), "y" | "yes") => Ok(()),
        Some(_) => Err(declined()),
    }
}

/// Asks for a name to be typed, for what cannot be undone.
///
/// # Errors
/// Nobody can be asked (exit code 2), or the name was not typed (exit code 1).
pub(crate) fn name(global: &Global, question: &str, name: &str) -> Result<(), Failure> {
    let typed = typed(global, &format!("{question}\ntype {name} to go on: "))?;
    match typed.as_deref().map(str::trim) {
        None => Ok(()),
        Some(answer) if answer == name => Ok(()),
        Some(_) => Err(declined()),
    }
}

fn declined() -> Failure {
    Failure::new("declined", exit::FAILED, "nothing was changed")
}

/// What was typed; `None` when `--yes` answers.
fn typed(global: &Global, prompt: &str) -> Result<Option<String>, Failure> {
    if global.yes {
        return Ok(None);
    }
    let can_ask = !global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !can_ask {
        let what = format!(
            "this needs --yes, since nobody can be asked: {}",
            prompt.trim_end()
        );
        return Err(Failure::new("needs-yes", exit::USAGE, what).fix("the same command with --yes"));
    }
    let fault = |e: io::Error| Failure::new("no-answer", exit::USAGE, format!("cannot ask: {e}"));
    let mut err = io::stderr().lock();
    err.write_all(prompt.as_bytes())
        .and_then(|()| err.flush())
        .map_err(fault)?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX)
        .read_line(&mut answer)
        .map_err(fault)?;
    Ok(Some(answer))
}
