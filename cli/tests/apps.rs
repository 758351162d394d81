//! The app commands against a real cluster with its service.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/service.rs"]
mod service;

use cluster::{Running, Up, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use service::{ends_with, file, json_of};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn web(instances: u32) -> Value {
    json!({
        "id": "/web", "cmd": "echo started; exec sleep 1000", "cpus": 0.05, "mem": 16, "instances": instances,
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5},
    })
}

/// One cluster for all of these: starting it is most of the time they take.
#[test]
fn apps_are_created_changed_explained_and_deleted() {
    let up = Up::start(&[]);
    an_empty_cluster_says_how_to_fill_it(&up);
    a_file_is_applied_and_waited_for(&up);
    the_same_file_changes_nothing(&up);
    a_dry_run_shows_what_would_happen(&up);
    lists_and_shows_have_tables_and_objects(&up);
    scaling_is_absolute_or_relative(&up);
    fields_are_updated_one_by_one(&up);
    versions_are_listed_compared_and_brought_back(&up);
    suspended_apps_come_back_with_their_count(&up);
    a_restart_replaces_every_instance(&up);
    logs_are_those_of_all_instances(&up);
    an_app_is_edited_in_an_editor(&up);
    refusals_name_what_is_wrong(&up);
    status_finds_names_among_all_kinds(&up);
    jobs_are_applied_too(&up);
    nothing_is_deleted_without_an_answer(&up);
}

fn an_empty_cluster_says_how_to_fill_it(up: &Up) {
    let output = up.run(&["app", "list"]);
    ends_with(&output, 0, &["no apps; start one: meseta apply FILE"]);
    assert_eq!(up.ask(&["app", "list", "--json"]), "[]\n");
    ends_with(
        &up.run(&["deployment", "list"]),
        0,
        &["no deployment is under way"],
    );
}

fn a_file_is_applied_and_waited_for(up: &Up) {
    let path = file(up, "web.json", &web(2));
    let output = up.run(&["apply", &path]);
    ends_with(&output, 0, &["2/2"]);
    assert_eq!(text(&output.stdout), "created app /web\n");
    assert!(
        !text(&output.stderr).contains('\u{1b}'),
        "no control characters without a terminal"
    );
    let app = json_of(up, &["app", "show", "web"]);
    assert_eq!(app["tasksRunning"], 2, "it was waited for");
}

fn the_same_file_changes_nothing(up: &Up) {
    let path = file(up, "web.json", &web(2));
    let before = json_of(up, &["app", "show", "web"])["version"].clone();
    assert_eq!(up.ask(&["apply", &path]), "unchanged app /web\n");
    assert_eq!(json_of(up, &["app", "show", "web"])["version"], before);
    let shown = up.meseta(&["app", "show", "web", "--json"]).output().unwrap();
    let sent_back = up.folder.path().join("back.json");
    std::fs::write(&sent_back, shown.stdout).unwrap();
    assert_eq!(
        up.ask(&["apply", sent_back.to_str().unwrap()]),
        "unchanged app /web\n"
    );
}

fn a_dry_run_shows_what_would_happen(up: &Up) {
    let mut changed = web(3);
    changed["env"] = json!({"LOG_LEVEL": "debug"});
    let path = file(up, "web2.json", &changed);
    let out = up.ask(&["apply", &path, "--dry-run"]);
    let first = out.lines().next().unwrap();
    assert!(first.starts_with("~ /web     restarts 2 instances"), "{out}");
    assert!(out.contains("\n    env.LOG_LEVEL  + \"debug\"\n"), "{out}");
    assert!(out.contains("\n    instances      2 → 3\n"), "{out}");
    assert!(out.contains("\n    would fit now  yes: 3 new on "), "{out}");
    assert!(out.contains("to apply exactly this:  meseta apply "), "{out}");
    assert_eq!(up.ask(&["diff", &path]), out);
    assert_eq!(up.run(&["diff", &path, "--exit-code"]).status.code(), Some(8));
    assert_eq!(
        json_of(up, &["app", "show", "web"])["instances"],
        2,
        "nothing was changed"
    );
    let object = &json_of(up, &["diff", &path])[0];
    assert_eq!(
        (&object["kind"], &object["change"]),
        (&json!("diff"), &json!("changed"))
    );
}

fn lists_and_shows_have_tables_and_objects(up: &Up) {
    let out = up.ask(&["app", "list"]);
    let rows: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["ID", "STATUS", "INSTANCES", "HEALTHY", "CPUS", "MEM", "AGE"]
    );
    assert_eq!(rows[1][..6], ["/web", "running", "2/2", "-", "0.1", "32M"]);
    assert_eq!(up.ask(&["app", "list", "-q"]), "/web\n");
    assert_eq!(json_of(up, &["apps"])[0]["id"], "/web");
    let out = up.ask(&["app", "show", "/web"]);
    assert!(out.contains("instances   2/2 running\n"), "{out}");
    assert!(out.contains("\nINSTANCE"), "{out}");
    let task = json_of(up, &["app", "show", "web"])["tasks"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let short = format!("web.{}", &task["web.instance-".len()..][..8]);
    assert!(out.contains(&short), "{short} is not in {out}");
    assert!(up.ask(&["task", "list"]).contains(&short));
    assert!(up.ask(&["task", "show", &short[..8]]).contains(&task));
    let missing = up.run(&["app", "show", "wbe"]);
    ends_with(&missing, 3, &["error[not-found]: there is no app '/wbe'"]);
    assert_eq!(
        up.ask(&["why", "web"]).lines().next(),
        Some("/web: nothing waits: 2 of 2 instances run (no health check).")
    );
}

fn scaling_is_absolute_or_relative(up: &Up) {
    assert_eq!(up.ask(&["app", "scale", "web", "3"]), "/web 2 → 3 instances\n");
    assert_eq!(up.ask(&["app", "scale", "web", "-1"]), "/web 3 → 2 instances\n");
    assert_eq!(up.ask(&["app", "scale", "web", "+1"]), "/web 2 → 3 instances\n");
    let app = json_of(up, &["app", "show", "web"]);
    assert_eq!((&app["instances"], &app["tasksRunning"]), (&json!(3), &json!(3)));
    ends_with(
        &up.run(&["app", "scale", "web", "3"]),
        0,
        &["wants 3 instances already; nothing to do"],
    );
    ends_with(
        &up.run(&["app", "scale", "web", "-9"]),
        4,
        &["3 instances are wanted now"],
    );
    ends_with(
        &up.run(&["app", "scale", "web", "many"]),
        2,
        &["'many' is no number of instances"],
    );
}

fn fields_are_updated_one_by_one(up: &Up) {
    let out = up.ask(&["app", "update", "web", "env.A=1", "labels.team=shop"]);
    assert_eq!(out, "/web changed (env.A, labels.team)\n");
    let out = up.ask(&["app", "update", "web", "env.B=two words", "--mem", "20"]);
    assert_eq!(out, "/web changed (env.B, mem)\n");
    let app = json_of(up, &["app", "show", "web"]);
    assert_eq!(app["env"], json!({"A": "1", "B": "two words"}));
    assert_eq!((&app["mem"], &app["tasksRunning"]), (&json!(20), &json!(3)));
    ends_with(
        &up.run(&["app", "update", "web", "mem=20"]),
        0,
        &["is so already"],
    );
    ends_with(
        &up.run(&["app", "update", "web", "memm=20"]),
        4,
        &["memm  is no field; nearest: \"mem\""],
    );
    ends_with(
        &up.run(&[
            "app",
            "update",
            "web",
            "mem=24",
            "--if-version",
            "2020-01-01T00:00:00.000Z",
        ]),
        4,
        &["error[changed-meanwhile]"],
    );
}

fn versions_are_listed_compared_and_brought_back(up: &Up) {
    let versions: Vec<String> = up
        .ask(&["app", "versions", "web"])
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(versions.len() >= 5, "{versions:?}");
    let now = json_of(up, &["app", "show", "web"])["version"].clone();
    assert_eq!(json!(versions[0]), now);
    let out = up.ask(&["app", "diff", "web"]);
    assert!(out.contains("env.B") && out.contains("mem"), "{out}");
    ends_with(
        &up.run(&["app", "rollback", "web"]),
        2,
        &["error[needs-yes]", "roll /web back to "],
    );
    let out = up.ask(&["app", "rollback", "web", "--yes"]);
    assert_eq!(out, format!("/web back to {}\n", versions[1]));
    let app = json_of(up, &["app", "show", "web"]);
    assert_eq!((&app["env"], &app["mem"]), (&json!({"A": "1"}), &json!(16)));
    ends_with(&up.run(&["app", "rollback", "web", "-99"]), 3, &["has only"]);
}

fn suspended_apps_come_back_with_their_count(up: &Up) {
    assert_eq!(up.ask(&["app", "suspend", "web", "-y"]), "/web 3 → 0 instances\n");
    assert!(up.ask(&["app", "list"]).contains("suspended"));
    assert!(up.ask(&["app", "why", "web"]).contains("it is suspended"));
    assert_eq!(up.ask(&["app", "resume", "web"]), "/web 0 → 3 instances\n");
}

fn a_restart_replaces_every_instance(up: &Up) {
    let ids = |app: &Value| -> Vec<String> {
        let tasks = app["tasks"].as_array().unwrap().iter();
        tasks.map(|t| t["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids(&json_of(up, &["app", "show", "web"]));
    assert_eq!(up.ask(&["app", "restart", "web"]), "/web restarted\n");
    let after = ids(&json_of(up, &["app", "show", "web"]));
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|id| !before.contains(id)),
        "{before:?} {after:?}"
    );
}

fn logs_are_those_of_all_instances(up: &Up) {
    until("every instance wrote its line", || {
        let out = up.ask(&["logs", "web"]);
        let good = out
            .lines()
            .filter(|l| l.starts_with("web.") && l.ends_with(" | started"))
            .count();
        if good == 3 { Ok(()) } else { Err(out) }
    });
    let mut logs = Running::start(&mut up.meseta(&["logs", "-f", "web"]));
    logs.wait_out(" | started\n");
    up.ask(&["app", "scale", "web", "4"]);
    until("the new instance is picked up", || {
        let out = logs.out();
        if out.lines().count() == 4 {
            Ok(())
        } else {
            Err(out)
        }
    });
    logs.signal(Signal::SIGTERM);
    logs.wait();
    up.ask(&["app", "scale", "web", "2"]);
}

fn an_app_is_edited_in_an_editor(up: &Up) {
    let mut command = up.meseta(&["app", "edit", "web"]);
    let output = command
        .env("EDITOR", "sed -i 's/started/edited/'")
        .output()
        .unwrap();
    ends_with(&output, 0, &["cmd"]);
    assert_eq!(text(&output.stdout), "/web changed (cmd)\n");
    assert_eq!(
        json_of(up, &["app", "show", "web"])["cmd"],
        "echo edited; exec sleep 1000"
    );
    let mut command = up.meseta(&["app", "edit", "web"]);
    ends_with(
        &command.env("EDITOR", "true").output().unwrap(),
        0,
        &["is not changed"],
    );
    let mut command = up.meseta(&["app", "edit", "web"]);
    let output = command
        .env("EDITOR", "sed -i 's/\"mem\"/\"memm\"/'")
        .output()
        .unwrap();
    ends_with(&output, 4, &["nearest: \"mem\"", "your text is in "]);
}

fn refusals_name_what_is_wrong(up: &Up) {
    ends_with(
        &up.run(&["app", "create", "--id", "web", "--cmd", "sleep 5"]),
        4,
        &["error[already-exists]"],
    );
    ends_with(
        &up.run(&["app", "create", "--id", "Bad", "--cmd", "sleep 5"]),
        2,
        &["'Bad' is no app id"],
    );
    ends_with(
        &up.run(&["app", "create", "--cmd", "sleep 5"]),
        2,
        &["an app needs an id"],
    );
    let path = file(
        up,
        "broken.json",
        &json!({"id": "broken", "cmd": "sleep 5", "healthChecks": [{"protocol": "COMMAND"}]}),
    );
    ends_with(
        &up.run(&["apply", &path]),
        4,
        &["error[invalid-app]", "healthChecks[0]", "nothing was changed"],
    );
    ends_with(
        &up.run(&["app", "delete", "nosuch", "-y"]),
        3,
        &["there is no app '/nosuch'"],
    );
    let output = up.run(&["app", "show", "nosuch", "--json"]);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["exit"]),
        (&json!("not-found"), &json!(3))
    );
}

fn status_finds_names_among_all_kinds(up: &Up) {
    let out = up.ask(&["status"]);
    assert!(out.contains("apps        1 running\n"), "{out}");
    assert!(up.ask(&["status", "web"]).starts_with("app /web  running 2/2"));
    ends_with(
        &up.run(&["status", "nosuch"]),
        3,
        &["there is no app, job, deployment, task or node 'nosuch'"],
    );
    let object = json_of(up, &["status"]);
    assert_eq!(
        (&object["kind"], &object["apps"]["running"]),
        (&json!("status"), &json!(1))
    );
}

fn jobs_are_applied_too(up: &Up) {
    let mut job = json!({"name": "clock", "command": "date", "schedule": "R/2090-01-01T00:00:00Z/PT1H"});
    let path = file(up, "clock.json", &job);
    assert_eq!(up.ask(&["apply", &path]), "created job clock\n");
    assert_eq!(up.ask(&["apply", &path]), "unchanged job clock\n");
    job["command"] = json!("date -u");
    let path = file(up, "clock.json", &job);
    assert_eq!(up.run(&["diff", &path, "--exit-code"]).status.code(), Some(8));
    assert_eq!(up.ask(&["apply", &path]), "changed job clock (command)\n");
    assert_eq!(json_of(up, &["why", "clock"])["code"], "not-due");
    assert!(up.ask(&["status"]).contains("jobs        1 not run yet\n"));
    ends_with(
        &up.run(&["why", "nosuch"]),
        3,
        &["there is no app and no job 'nosuch'"],
    );
}

fn nothing_is_deleted_without_an_answer(up: &Up) {
    ends_with(
        &up.run(&["app", "delete", "web"]),
        2,
        &["error[needs-yes]", "delete /web with 2 running instances"],
    );
    assert_eq!(up.ask(&["app", "delete", "web", "--yes"]), "/web deleted\n");
    assert_eq!(up.ask(&["app", "list", "-q"]), "");
    assert_eq!(up.ask(&["task", "list", "-q"]), "");
}

#[test]
fn what_does_not_work_is_explained_and_can_be_undone() {
    let up = Up::start(&[]);
    an_app_that_fits_nowhere_says_what_is_missing(&up);
    crashes_are_told_with_their_last_words(&up);
    a_locked_app_names_the_deployment_and_ways_out(&up);
    events_are_followed(&up);
}

fn an_app_that_fits_nowhere_says_what_is_missing(up: &Up) {
    let path = file(
        up,
        "big.json",
        &json!({"id": "big", "cmd": "sleep 1000", "cpus": 4096}),
    );
    assert!(
        up.ask(&["app", "why", "--file", &path])
            .starts_with("/big would wait for 1 instances: no agent is large enough")
    );
    let output = up.run(&["apply", &path, "--timeout", "7s"]);
    ends_with(
        &output,
        5,
        &[
            "error[timeout]: deployment",
            "it goes on",
            "no agent is large enough for 4096 cpus",
            "fix: meseta app why /big",
        ],
    );
    let out = up.ask(&["app", "why", "big"]);
    assert!(out.starts_with("/big waits for 1 of 1 instances"), "{out}");
    assert!(
        out.contains("no agent is large enough for 4096 cpus; the largest is "),
        "{out}"
    );
    assert!(out.contains("\n  cpus "), "{out}");
    assert_eq!(json_of(up, &["app", "why", "big"])["code"], "no-fit");
    assert!(up.ask(&["app", "list", "--waiting"]).contains("/big"));
    // The creation is undone: the app goes.
    let deployments = json_of(up, &["deployment", "list"]);
    let id = deployments[0]["id"].as_str().unwrap();
    assert!(up.ask(&["deployment", "show", &id[..8]]).contains("/big"));
    up.ask(&["deployment", "rollback", &id[..8], "--yes"]);
    assert_eq!(up.ask(&["app", "list", "-q"]), "");
}

fn crashes_are_told_with_their_last_words(up: &Up) {
    let app = json!({"id": "crash", "cmd": "echo no config >&2; exit 3", "cpus": 0.05, "mem": 16, "backoffSeconds": 30});
    let path = file(up, "crash.json", &app);
    let out = up.ask(&["apply", &path, "-d"]);
    assert!(out.starts_with("created app /crash\ndeployment "), "{out}");
    until("the back-off is told", || {
        let why = json_of(up, &["app", "why", "crash"]);
        let verdict = why["verdict"].as_str().unwrap_or_default();
        match why["code"] == "delayed" && verdict.contains("no config") && verdict.contains("next start in") {
            true => Ok(()),
            false => Err(why.to_string()),
        }
    });
    let shown = up.ask(&["app", "show", "crash"]);
    assert!(
        shown.contains("last failure") && shown.contains("  | no config\n"),
        "{shown}"
    );
    assert!(up.ask(&["app", "events", "crash"]).contains(" failed"));
    up.ask(&["app", "delete", "crash", "--yes", "--force"]);
}

fn a_locked_app_names_the_deployment_and_ways_out(up: &Up) {
    let path = file(
        up,
        "slow.json",
        &json!({"id": "slow", "cmd": "sleep 1000", "cpus": 4096}),
    );
    let out = up.ask(&["apply", &path, "-d"]);
    let id = out
        .lines()
        .last()
        .unwrap()
        .strip_prefix("deployment ")
        .unwrap()
        .to_owned();
    let output = up.run(&["app", "scale", "slow", "2"]);
    let short = &id[..8];
    ends_with(
        &output,
        4,
        &[
            &format!("error[app-locked]: /slow is being changed by deployment {short} (step "),
            &format!("undo it: meseta deployment rollback {short}"),
            "replace it: add --force",
        ],
    );
    let mut watch = Running::start(&mut up.meseta(&["deployment", "watch", short]));
    watch.wait_said("app /slow");
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait(), Some(130), "{}", watch.said());
    assert!(watch.said().contains(&format!(
        "deployment {short} goes on; watch: meseta deployment watch {short}"
    )));
    let mut watch = Running::start(&mut up.meseta(&["deployment", "watch", short]));
    watch.wait_said("app /slow");
    up.ask(&["deployment", "stop", short]);
    assert_eq!(watch.wait(), Some(1), "stopped is failed: {}", watch.said());
    assert!(
        watch.said().contains("error[deployment-failed]"),
        "{}",
        watch.said()
    );
    up.ask(&["app", "delete", "slow", "--yes", "--force"]);
}

fn events_are_followed(up: &Up) {
    let mut events = Running::start(&mut up.meseta(&["events", "-f"]));
    events.wait_out("event_stream_attached");
    let path = file(
        up,
        "brief.json",
        &json!({"id": "brief", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16}),
    );
    up.ask(&["apply", &path]);
    events.wait_out("deployment_success");
    let out = events.out();
    assert!(
        out.lines()
            .any(|l| l.contains("Z status_update_event brief.") && l.contains(" running on ")),
        "{out}"
    );
    events.signal(Signal::SIGTERM);
    events.wait();
    let past = up.ask(&["events", "--app", "brief"]);
    assert!(
        past.lines()
            .any(|l| l.contains("Z brief.") && l.ends_with(" running")),
        "{past}"
    );
}
