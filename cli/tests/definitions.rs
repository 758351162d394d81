//! `meseta validate` as people and scripts see it: no server, places in the file, exit codes.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::meseta;
use std::path::Path;
use std::process::Output;

fn validate(folder: &Path, files: &[(&str, &str)], flags: &[&str]) -> Output {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let names = files.iter().map(|(name, _)| *name);
    meseta()
        .current_dir(folder)
        .arg("validate")
        .args(names)
        .args(flags)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn good_files_are_named_with_what_they_define() {
    let folder = tempfile::tempdir().unwrap();
    let app =
        r#"{"id": "web", "cmd": "sleep 1000", "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/"}]}"#;
    let job = r#"{"name": "clock", "command": "date", "schedule": "R/2030-01-01T00:00:00Z/PT5S"}"#;
    let output = validate(folder.path(), &[("web.json", app), ("clock.json", job)], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "web.json: app /web is valid\nclock.json: job clock is valid\n"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn mistakes_are_told_with_line_and_column_and_exit_code_4() {
    let folder = tempfile::tempdir().unwrap();
    let app = "{\n  \"id\": \"/web\",\n  \"cmd\": \"sleep 1000\",\n  \"instances\": \"three\",\n  \"helthChecks\": []\n}\n";
    let output = validate(folder.path(), &[("web.json", app)], &[]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        "error[invalid-app]: web.json has 2 problems\n  \
         4:16  instances    \"three\" is text, expected a whole number from 0\n  \
         5:3   helthChecks  \"helthChecks\" is no field of an app; nearest: \"healthChecks\"\n"
    );
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn the_services_own_rules_are_held_and_placed() {
    let folder = tempfile::tempdir().unwrap();
    let app = "{\n  \"id\": \"/web\",\n  \"cmd\": \"sleep 1000\",\n  \"healthChecks\": [\n    {\"protocol\": \"COMMAND\"}\n  ]\n}\n";
    let output = validate(folder.path(), &[("web.json", app)], &[]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("\n  5:5"), "{said}");
    assert!(said.contains("healthChecks[0]"), "{said}");
}

#[test]
fn programs_get_one_array_with_places() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (
            "good.json",
            "{\"id\": \"web\", \"cmd\": \"sleep 1\", \"colour\": 1}",
        ),
        ("bad.json", "{\"id\": \"web\", \"cmd\": 5}"),
    ];
    let output = validate(folder.path(), &files, &["--json"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&all[0]["valid"], &all[1]["valid"]),
        (&true.into(), &false.into())
    );
    assert_eq!(all[0]["warnings"][0]["code"], "unknown-field");
    let problem = &all[1]["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"], &problem["field"]),
        (&1.into(), &22.into(), &"cmd".into())
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn standard_input_and_folders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.json"),
        "{\"id\": \"a\", \"cmd\": \"sleep 1\"}",
    )
    .unwrap();
    let output = validate(folder.path(), &[], &["."]);
    assert!(
        text(&output.stdout).ends_with("a.json: app /a is valid\n"),
        "{output:?}"
    );
    let input = std::fs::File::open(folder.path().join("a.json")).unwrap();
    let output = meseta().args(["validate", "-"]).stdin(input).output().unwrap();
    assert_eq!(
        text(&output.stdout),
        "standard input: app /a is valid\n",
        "{output:?}"
    );
    let missing = meseta().args(["validate", "/nonexistent.json"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert!(text(&missing.stderr).starts_with("error[no-file]: cannot read /nonexistent.json: "));
}
