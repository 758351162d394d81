//! The helper processes alone, for this crate's tests and measurements; the shipped binary has both as subcommands.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|name| name.to_str()) {
        Some("supervise") => meseta_containerizer::supervise::main(arguments),
        Some("fetch") => meseta_containerizer::fetch::main(arguments),
        _ => {
            eprintln!("usage: containerizer-helper supervise|fetch ...");
            ExitCode::from(2)
        }
    }
}
