//! Marathon's lines.

#[path = "marathon/deploy.rs"]
mod deploy;
#[path = "marathon/discovery.rs"]
mod discovery;
#[path = "marathon/health.rs"]
mod health;
#[path = "marathon/life.rs"]
mod life;
#[path = "marathon/shape.rs"]
mod shape;
#[path = "marathon/system.rs"]
mod system;

use meseta_tests::behaviours::{Case, Chapter};
use meseta_tests::service::{merge, sleeper};
use meseta_tests::wait;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Lines 1 to 130.
pub(crate) fn chapter() -> Chapter {
    let cases: [&[Case]; 6] = [
        life::CASES,
        shape::CASES,
        deploy::CASES,
        health::CASES,
        discovery::CASES,
        system::CASES,
    ];
    Chapter {
        title: "Marathon",
        lines: (1..=130).map(|n: u32| n.to_string()).collect(),
        cases: cases.concat(),
    }
}

/// Opens a folder to tasks, which may run as somebody else, and passes the fields through.
fn open_folder(folder: &Path, more: Value) -> Value {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    more
}

/// What is in a file, once it is there.
fn file(path: &Path) -> String {
    wait::until(&format!("{} is there", path.display()), || {
        std::fs::read_to_string(path)
    })
}

/// An app that serves a folder: 503 for what is not there.
fn web(id: &str, folder: &Path, more: &Value) -> Value {
    let cmd = format!("exec {} $PORT0 {}", env!("CARGO_BIN_EXE_web"), folder.display());
    let mut app = open_folder(folder, sleeper(id, &json!({"cmd": cmd})));
    merge(&mut app, more);
    app
}
