//! Several clusters by name: which one a command means, and who said so.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::meseta;
use std::path::Path;
use std::process::Output;

fn run(config: &Path, args: &[&str]) -> Output {
    meseta()
        .args(args)
        .env("MESETA_CONFIG", config)
        .env("XDG_STATE_HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_context_is_made_used_shown_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("meseta/config.toml");
    let ask = |args: &[&str]| {
        let output = run(&config, args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        text(&output.stdout)
    };
    ask(&["context", "add", "prod", "127.0.0.1:1,127.0.0.1:2", "--protect"]);
    ask(&[
        "context",
        "add",
        "test",
        "127.0.0.1:3",
        "--cron-url",
        "http://127.0.0.1:4",
    ]);
    assert_eq!(
        ask(&["context", "list"]),
        "NAME  STATE              MASTER\n\
         prod  current,protected  127.0.0.1:1,127.0.0.1:2\n\
         test  -                  127.0.0.1:3\n"
    );
    ask(&["context", "use", "test"]);
    let shown = ask(&["context", "show", "--origin"]);
    assert!(shown.starts_with("context      test\n"), "{shown}");
    let line = |key: &str| shown.lines().find(|l| l.starts_with(key)).unwrap().to_owned();
    assert!(line("master").ends_with("context test"), "{shown}");
    assert!(line("output").ends_with("built in"), "{shown}");
    // The command asks where the context says; nobody is there.
    let output = run(&config, &["status"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(text(&output.stderr).contains("127.0.0.1:3"), "{output:?}");
    let output = run(&config, &["--context", "prod", "status"]);
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{output:?}");
    // A change says which cluster it means.
    let output = run(&config, &["job", "pause", "x"]);
    assert!(
        text(&output.stderr).starts_with("context test (127.0.0.1:4)\n"),
        "{output:?}"
    );
    ask(&["context", "remove", "test"]);
    let output = run(&config, &["context", "use", "test"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("error[no-context]"), "{output:?}");
}

#[test]
fn the_environment_stands_between_flags_and_contexts() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(
        &config,
        "current = \"a\"\n[contexts.a]\nmaster = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let shown = |env: &[(&str, &str)], args: &[&str]| {
        let mut command = meseta();
        command
            .args(args)
            .args(["context", "show", "--origin"])
            .env("MESETA_CONFIG", &config);
        for (name, value) in env {
            command.env(name, value);
        }
        let shown = text(&command.output().unwrap().stdout);
        let line = shown
            .lines()
            .find(|l| l.starts_with("master"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(&[], &[]), "127.0.0.1:1 context a");
    let env = [("MESETA_MASTER", "127.0.0.1:2")];
    assert_eq!(shown(&env, &[]), "127.0.0.1:2 MESETA_MASTER");
    assert_eq!(shown(&env, &["-m", "127.0.0.1:3"]), "127.0.0.1:3 flag");
}

#[test]
fn a_file_with_a_mistake_is_named_and_stops_no_help() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[defaults]\noutput = \"xml\"\n").unwrap();
    let output = run(&config, &["status"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains("config.toml") && said.contains("table, wide, json"),
        "{said}"
    );
    assert!(run(&config, &["--help"]).status.success());
    assert!(run(&config, &["completion", "bash"]).status.success());
}

#[test]
fn shells_get_their_completion() {
    for (shell, mark) in [
        ("bash", "complete -o"),
        ("zsh", "#compdef meseta"),
        ("fish", "complete --keep-order"),
    ] {
        let output = meseta().args(["completion", shell]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let script = text(&output.stdout);
        assert!(
            script.contains(mark),
            "{shell}: {}",
            &script[..200.min(script.len())]
        );
        // It asks this program each time.
        assert!(script.contains("COMPLETE="), "{shell}");
    }
}

#[test]
fn roles_read_their_flags_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.toml");
    std::fs::write(&file, "prot = 5050\n").unwrap();
    let config = format!("--config={}", file.display());
    let output = meseta().args(["master", &config]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        text(&output.stderr).contains("did you mean 'port'?"),
        "{output:?}"
    );
    // The store of another process: try again later.
    let work = folder.path().join("work");
    std::fs::write(
        &file,
        format!("work_dir = {:?}\nport = 0\nip = \"127.0.0.1\"\n", work),
    )
    .unwrap();
    let mut first = cluster::Running::start(meseta().args(["master", &config]));
    cluster::until("it has its store", || {
        if std::fs::read_dir(&work).is_ok_and(|mut files| files.next().is_some()) {
            Ok(())
        } else {
            Err(first.said())
        }
    });
    let code = cluster::until("the second one is refused", || {
        let mut second = cluster::Running::start(meseta().args(["master", &config]));
        // Started in the instant before the first one had locked its store, it is the holder: then it is ended.
        let start = std::time::Instant::now();
        while !second.has_ended() && start.elapsed() < std::time::Duration::from_secs(2) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if second.has_ended() {
            Ok(second.wait())
        } else {
            Err(second.said())
        }
    });
    assert_eq!(code, Some(75));
    first.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(first.wait(), Some(0));
}
