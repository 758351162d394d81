//! What the tests of apps ask of a cluster.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use crate::cluster::{Running, Up, meseta};
use serde_json::Value;
use std::process::Output;

/// A service of this master, on the usual port with an offset.
pub fn service(master: &str, offset: u16, folder: &std::path::Path) -> Running {
    let mut command = meseta();
    command.args(["service", "--http_address=127.0.0.1", "--hostname=127.0.0.1"]);
    command.arg(format!("--master={master}"));
    command.arg(format!("--http_port={}", 8080 + offset));
    command.arg(format!("--work_dir={}", folder.display()));
    Running::start(&mut command)
}

/// A file with this definition in the cluster's folder.
pub fn file(up: &Up, name: &str, value: &Value) -> String {
    let path = up.folder.path().join(name);
    std::fs::write(&path, format!("{value:#}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
pub fn json_of(up: &Up, args: &[&str]) -> Value {
    let out = up.ask(&[args, &["--json"]].concat());
    serde_json::from_str(&out).unwrap()
}

/// The exit code, and words on standard error.
#[track_caller]
pub fn ends_with(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}
