//! Behaviours that Marathon's and Chronos's users rely on, against the running binary: a function for each
//! given/when/then line. `docs/reference/behaviours.md` says which line which function stands for, and why some wait.
#![allow(clippy::unwrap_used)]

#[path = "behaviours/chronos.rs"]
mod chronos;
#[path = "behaviours/marathon.rs"]
mod marathon;

fn main() -> std::process::ExitCode {
    meseta_tests::behaviours::main(&[marathon::chapter(), chronos::chapter()])
}
