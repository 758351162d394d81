//! Lists as people and programs ask for them: chosen, sorted, watched, completed, cut off.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/service.rs"]
mod service;

use cluster::{Running, Up, meseta};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use service::{ends_with, file, json_of};
use std::process::{Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One cluster for all of these: starting it is most of the time they take.
#[test]
fn lists_are_chosen_sorted_watched_and_completed() {
    let up = Up::start(&[]);
    for (id, mem, tier) in [("web", 32, "front"), ("db", 64, "back")] {
        let app = json!({
            "id": id, "cmd": "while :; do echo tick; sleep 0.1; done", "cpus": 0.05, "mem": mem, "instances": 1,
            "labels": {"tier": tier},
        });
        up.ask(&["apply", &file(&up, &format!("{id}.json"), &app)]);
    }
    let job = json!({
        "name": "clock", "schedule": "R//PT5M", "command": "sleep 1000", "cpus": 0.05, "mem": 16,
    });
    up.ask(&["apply", &file(&up, "clock.json", &job)]);
    columns_and_order_are_those_asked_for(&up);
    templates_and_other_forms(&up);
    tasks_are_those_of_an_app_a_job_or_a_label(&up);
    colour_is_for_those_who_want_it(&up);
    names_are_completed(&up);
    flags_of_lists_are_no_flags_of_other_commands(&up);
    a_closed_pipe_is_quiet(&up);
    differences_are_objects_for_programs(&up);
    whoever_follows_ends_it_by_an_interrupt(&up);
    a_watched_list_says_what_changes(&up);
}

fn columns_and_order_are_those_asked_for(up: &Up) {
    assert_eq!(
        up.ask(&["app", "list", "--columns", "id,mem", "--sort", "-mem"]),
        "ID    MEM\n/db   64M\n/web  32M\n"
    );
    assert_eq!(
        up.ask(&["app", "list", "--columns", "id", "--sort", "mem", "--no-headers"]),
        "/web\n/db\n"
    );
    let output = up.run(&["app", "list", "--columns", "naem"]);
    ends_with(&output, 2, &["error[bad-column]", "it has id, status, instances"]);
    let output = up.run(&["app", "list", "--sort", "statsu"]);
    ends_with(&output, 2, &["fix: --sort status"]);
    // Nothing is there, so there is nothing to say what would fill it.
    ends_with(
        &up.run(&["app", "list", "-l", "tier==none"]),
        0,
        &["no such apps"],
    );
}

fn templates_and_other_forms(up: &Up) {
    assert_eq!(
        up.ask(&["app", "list", "--format", "{{.id}} {{ tasksRunning }}"]),
        "/db 1\n/web 1\n"
    );
    assert_eq!(up.ask(&["app", "show", "web", "--format", "{{ id }}"]), "/web\n");
    let output = up.run(&["app", "list", "--format", "{{ nosuch }}"]);
    ends_with(&output, 2, &["error[bad-template]", "its names: "]);
    let csv = up.ask(&["app", "list", "-o", "csv"]);
    assert!(
        csv.starts_with("id,status,instances,healthy,cpus,mem,age,"),
        "{csv}"
    );
    let times = up.ask(&["node", "list", "--time", "utc", "--no-headers"]);
    let age = times.split_whitespace().last().unwrap();
    assert!(age.ends_with('Z') && age.contains('T'), "{times}");
    let told = text(&up.run(&["app", "list", "-vv"]).stderr);
    assert!(
        told.contains("the leading master is ") && told.contains("/v2/apps?embed="),
        "{told}"
    );
    let object = json_of(up, &["version"]);
    assert_eq!(object["server"]["version"], object["client"], "{object}");
}

fn tasks_are_those_of_an_app_a_job_or_a_label(up: &Up) {
    let names = |args: &[&str]| up.ask(&[&["task", "list", "-q"], args].concat());
    let begins = |out: &str, with: &str| out.lines().count() == 1 && out.starts_with(with);
    for args in [
        &["web"][..],
        &["app/web"],
        &["/web"],
        &["-l", "tier==front"],
        &["-l", "tier!=back"],
    ] {
        let out = names(args);
        assert!(begins(&out, "web."), "{args:?}: {out}");
    }
    let out = names(&["clock"]);
    assert!(begins(&out, "ct:"), "{out}");
    ends_with(&up.run(&["task", "list", "nosuch"]), 3, &["error[not-found]"]);
    ends_with(
        &up.run(&["task", "list", "-l", "a="]),
        2,
        &["label selector 'a='"],
    );
    ends_with(
        &up.run(&["node", "list", "--attr", "rack=1"]),
        0,
        &["no such nodes"],
    );
    assert_eq!(
        up.ask(&["node", "list", "--state", "ready", "-q"])
            .lines()
            .count(),
        1
    );
}

fn colour_is_for_those_who_want_it(up: &Up) {
    let run = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = up.meseta(&["app", "list"]);
        command
            .args(args)
            .env_remove("NO_COLOR")
            .env_remove("FORCE_COLOR");
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        text(&command.output().unwrap().stdout)
    };
    let is_coloured = |text: &str| text.contains("\u{1b}[32mrunning");
    assert!(!run(&[], None).contains('\u{1b}'), "no terminal");
    assert!(is_coloured(&run(&["--color", "always"], None)));
    assert!(is_coloured(&run(&[], Some(("FORCE_COLOR", "1")))));
    assert!(!is_coloured(&run(&["--no-color"], Some(("FORCE_COLOR", "1")))));
    assert!(!is_coloured(&run(&[], Some(("NO_COLOR", "1")))));
}

/// What a shell's script is told when the last of these words is completed.
fn completed(up: &Up, words: &[&str]) -> Vec<String> {
    let mut command = meseta();
    command
        .env("COMPLETE", "bash")
        .env("MESETA_MASTER", up.ports.master());
    command
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n");
    let output = command.args(["--", "meseta"]).args(words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn names_are_completed(up: &Up) {
    assert_eq!(completed(up, &["app", "show", "w"]), ["web"]);
    assert_eq!(completed(up, &["app", "show", "/"]), ["/db", "/web"]);
    assert_eq!(completed(up, &["job", "history", "c"]), ["clock"]);
    assert_eq!(completed(up, &["why", "c"]), ["clock"]);
    assert_eq!(completed(up, &["app", "sca"]), ["scale"]);
    assert!(
        completed(up, &["task", "show", "web."])
            .iter()
            .all(|name| name.starts_with("web."))
    );
    // The cluster that the words name, and silence when nobody answers.
    assert_eq!(completed(up, &["-m", "127.0.0.1:1", "app", "show", "w"]), [""; 0]);
    let script = meseta().args(["completion", "bash"]).output().unwrap();
    assert!(text(&script.stdout).contains("complete -o"), "{script:?}");
}

fn flags_of_lists_are_no_flags_of_other_commands(up: &Up) {
    ends_with(&up.run(&["status", "--watch"]), 2, &["--watch goes with lists"]);
    ends_with(
        &up.run(&["app", "show", "web", "--sort", "id"]),
        2,
        &["--sort goes with lists"],
    );
}

fn a_closed_pipe_is_quiet(up: &Up) {
    let first_line = |args: &[&str]| -> Output {
        let mut all = up.meseta(args);
        let mut child = all.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    };
    for args in [
        &["app", "list"][..],
        &["app", "list", "--watch"],
        &["logs", "-f", "web"],
        &["--help"],
        &["help", "errors"],
        &["completion", "zsh"],
        &["master", "--help"],
        &["app", "show", "web", "--json"],
    ] {
        let output = first_line(args);
        assert_eq!(output.status.code(), Some(141), "{args:?}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{args:?}");
    }
}

fn differences_are_objects_for_programs(up: &Up) {
    let job =
        json!({"name": "clock", "schedule": "R//PT5M", "command": "sleep 999", "cpus": 0.05, "mem": 16});
    let path = file(up, "clock2.json", &job);
    let difference = json_of(up, &["diff", &path]);
    assert_eq!(
        (&difference["kind"], &difference["change"]),
        (&json!("diff"), &json!("changed"))
    );
    assert_eq!(
        difference["fields"],
        json!([{"field": "command", "from": "sleep 1000", "to": "sleep 999"}])
    );
    let already = json_of(up, &["app", "scale", "web", "1"]);
    assert_eq!(
        (&already["id"], &already["change"]),
        (&json!("/web"), &json!("unchanged"))
    );
    let app = json!({"id": "web", "cmd": "sleep 1", "instances": 1});
    let sent = up
        .meseta(&["apply", "--dry-run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut sent = sent.unwrap();
    std::io::Write::write_all(&mut sent.stdin.take().unwrap(), app.to_string().as_bytes()).unwrap();
    let out = text(&sent.wait_with_output().unwrap().stdout);
    assert!(
        out.contains("to apply exactly this:  meseta apply - --if-version "),
        "{out}"
    );
}

fn whoever_follows_ends_it_by_an_interrupt(up: &Up) {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut logs = Running::start(&mut up.meseta(&["logs", "-f", "web"]));
        logs.wait_out("tick");
        logs.signal(signal);
        assert_eq!(logs.wait(), Some(code), "{}", logs.said());
    }
}

fn a_watched_list_says_what_changes(up: &Up) {
    let mut lines = Running::start(&mut up.meseta(&["app", "list", "-w", "--columns", "id,instances"]));
    let mut objects = Running::start(&mut up.meseta(&["task", "list", "web", "-w", "--json"]));
    lines.wait_out("ID    INSTANCES\n/db         1/1\n/web        1/1\n");
    objects.wait_out("\"TASK_RUNNING\"");
    up.ask(&["app", "scale", "web", "2"]);
    lines.wait_out("/web        2/2\n");
    up.ask(&["app", "delete", "db", "--yes"]);
    lines.wait_out("/db           -\n");
    assert!(!lines.out().contains('\u{1b}'), "{}", lines.out());
    for line in objects.out().lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
    }
    for watching in [&mut lines, &mut objects] {
        watching.signal(Signal::SIGINT);
        assert_eq!(watching.wait(), Some(130));
    }
    let once = up.run(&["app", "list", "--watch", "--timeout", "1s"]);
    assert_eq!(once.status.code(), Some(5), "{once:?}");
}
