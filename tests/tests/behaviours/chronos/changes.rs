//! F: changing, disabling, deleting, triggering, killing.

use super::{until_runs, with_result, witness};
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cron::{Cron, Diary, Job, from_now, job};
use meseta_tests::service::text;
use meseta_tests::wait;
use serde_json::{Value, json};
use std::path::PathBuf;

behaviours! {
    "F1 F2" an_edit_counts_from_the_next_start_on,
    "F3 F4" counters_are_kept_unless_they_are_sent,
    "F5" sending_the_same_again_starts_nothing,
    "F6" a_new_schedule_closes_the_slots_of_the_old_one,
    "F7" a_disabled_job_starts_no_more_and_its_run_goes_on,
    "F8" an_enabled_job_follows_the_rule_of_missed_slots,
    "F9" a_disabled_job_is_not_started_by_hand,
    "F10" two_starts_by_hand_are_two_runs,
    "F11 F12" arguments_of_a_start_follow_the_command,
    "F13 F14" a_deleted_job_is_gone_with_its_run,
    "F15 D16" a_job_of_the_same_name_begins_anew,
    "F16 F17" killed_runs_count_for_nothing,
    "F18" a_waiting_run_is_cancelled_by_a_kill,
    "F19" a_callback_ends_an_asynchronous_run_once,
    "F20" an_asynchronous_run_without_a_callback_ends_with_its_time,
    "F21" the_progress_of_a_run_adds_up,
}

/// A command that notes a word and runs until a file is there.
fn held(diary: &Diary, word: &str) -> (String, PathBuf) {
    let go = diary.folder().join("go");
    let command = diary.note(
        word,
        &format!("while ! test -e {}; do sleep 0.1; done", go.display()),
    );
    (command, go)
}

fn an_edit_counts_from_the_next_start_on(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let (first, go) = held(&diary, "first");
    let f1 = cron.store(&job("f1", &first, &json!({})));
    f1.start();
    diary.until(1);
    f1.start();
    until_runs(&f1, "one runs, one waits", |runs| {
        !with_result(runs, "waiting").is_empty()
    });
    cron.post(&job("f1", &diary.note("second", "true"), &json!({})))
        .expect(204);
    f1.until_state("1 running");
    std::fs::write(go, "").unwrap();
    f1.until("both have run", |job| job["successCount"] == 2);
    assert_eq!(diary.lines(), ["first", "second"]);
}

fn counters_are_kept_unless_they_are_sent(ground: &Ground) {
    let cron = ground.cron();
    let f3 = cron.store(&job("f3", "true", &json!({})));
    f3.start();
    f3.until("has run", |job| job["successCount"] == 1);
    let success = f3.show()["lastSuccess"].clone();
    cron.post(&job("f3", "true # changed", &json!({}))).expect(204);
    let shown = f3.show();
    assert_eq!(
        (&shown["successCount"], &shown["lastSuccess"]),
        (&json!(1), &success),
        "{shown}"
    );
    cron.post(&job("f3", "true", &json!({"successCount": 7})))
        .expect(204);
    assert_eq!(f3.show()["successCount"], 7);
}

fn sending_the_same_again_starts_nothing(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let definition = job(
        "f5",
        &diary.note("ran", "true"),
        &json!({"schedule": format!("R/{}/PT1H", from_now(-1))}),
    );
    let f5 = cron.store(&definition);
    let shown = f5.until("has run", |job| job["successCount"] == 1);
    cron.post(&definition).expect(204);
    witness(cron, "f5-witness");
    assert_eq!(diary.lines(), ["ran"]);
    assert_eq!(f5.show()["schedule"], shown["schedule"]);
}

fn a_new_schedule_closes_the_slots_of_the_old_one(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let (command, go) = held(&diary, "ran");
    let f6 = cron.store(&job(
        "f6",
        &command,
        &json!({"schedule": format!("R/{}/PT1S", from_now(1))}),
    ));
    diary.until(1);
    until_runs(&f6, "a slot waits", |runs| {
        !with_result(runs, "waiting").is_empty()
    });
    cron.post(&job(
        "f6",
        &command,
        &json!({"schedule": "R/2031-01-01T00:00:00Z/PT1H"}),
    ))
    .expect(204);
    std::fs::write(go, "").unwrap();
    f6.until("the first run is done", |job| job["successCount"] == 1);
    until_runs(&f6, "the waiting slot is superseded", |runs| {
        with_result(runs, "waiting").is_empty() && !with_result(runs, "superseded").is_empty()
    });
    assert_eq!(f6.show()["schedule"], "R/2031-01-01T00:00:00Z/PT1H");
    assert_eq!(diary.lines(), ["ran"]);
}

fn a_disabled_job_starts_no_more_and_its_run_goes_on(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let (command, go) = held(&diary, "ran");
    let schedule = format!("R/{}/PT1S", from_now(1));
    let definition = |disabled: bool| {
        job(
            "f7",
            &command,
            &json!({"schedule": schedule, "disabled": disabled}),
        )
    };
    let f7 = cron.store(&definition(false));
    diary.until(1);
    until_runs(&f7, "a slot waits", |runs| {
        !with_result(runs, "waiting").is_empty()
    });
    cron.post(&definition(true)).expect(204);
    f7.until_state("1 running");
    until_runs(&f7, "the waiting one is dropped and recorded", |runs| {
        with_result(runs, "waiting").is_empty() && !with_result(runs, "cancelled").is_empty()
    });
    std::fs::write(go, "").unwrap();
    f7.until("its run counts", |job| job["successCount"] == 1);
    witness(cron, "f7-witness");
    assert_eq!(diary.lines(), ["ran"]);
}

fn an_enabled_job_follows_the_rule_of_missed_slots(ground: &Ground) {
    let (cron, plain, strict) = (ground.cron(), Diary::new(), Diary::new());
    // Five slots of an hour have passed while it was disabled.
    let schedule = format!("R/{}/PT1H", from_now(-5 * 3600 + 1800));
    let with = |name: &str, diary: &Diary, disabled: bool, epsilon: Option<&str>| {
        let more = json!({"schedule": schedule, "disabled": disabled, "epsilon": epsilon});
        job(name, &diary.note("ran", "true"), &more)
    };
    let f8 = cron.store(&with("f8", &plain, true, None));
    let f8e = cron.store(&with("f8-epsilon", &strict, true, Some("PT1M")));
    witness(cron, "f8-witness");
    assert_eq!((plain.lines().len(), strict.lines().len()), (0, 0));
    cron.post(&with("f8", &plain, false, None)).expect(204);
    cron.post(&with("f8-epsilon", &strict, false, Some("PT1M")))
        .expect(204);
    f8.until("has run late, once", |job| job["successCount"] == 1);
    witness(cron, "f8-witness");
    assert_eq!((plain.lines().len(), strict.lines().len()), (1, 0));
    drop(f8e);
}

fn a_disabled_job_is_not_started_by_hand(ground: &Ground) {
    let f9 = ground
        .cron()
        .store(&job("f9", "true", &json!({"disabled": true})));
    let reply = f9
        .cron
        .rest
        .call("PUT", "/v1/scheduler/job/f9", &[], None)
        .expect(400);
    assert!(text(&reply.json()["message"]).contains("disabled"), "{reply:?}");
}

fn two_starts_by_hand_are_two_runs(ground: &Ground) {
    let diary = Diary::new();
    let f10 = ground
        .cron()
        .store(&job("f10", &diary.note("ran", "sleep 0.3"), &json!({})));
    f10.start();
    f10.start();
    f10.until("has run twice", |job| job["successCount"] == 2);
    assert_eq!(diary.lines(), ["ran", "ran"]);
}

fn arguments_of_a_start_follow_the_command(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let script = diary.folder().join("script");
    std::fs::write(&script, format!("echo \"$@\" >> {}", diary.path().display())).unwrap();
    let f11 = cron.store(&job("f11", &format!("sh {}", script.display()), &json!({})));
    let start = |arguments: &str, done: i64| {
        let path = format!("/v1/scheduler/job/f11?arguments={arguments}");
        cron.rest.call("PUT", &path, &[], None).expect(204);
        f11.until("has run", |job| job["successCount"] == done);
    };
    start("a%20b%3Bc", 1);
    let long = "x".repeat(300);
    start(&format!("a/b%20{long}"), 2);
    assert_eq!(diary.lines(), ["a bc".to_owned(), format!("a/b {long}")]);
    assert_eq!(f11.show()["arguments"], json!([]));
}

fn a_deleted_job_is_gone_with_its_run(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let f13 = cron.store(&job("f13", &diary.note("$$", "exec sleep 1000"), &json!({})));
    f13.start();
    let pid: i32 = diary.until(1)[0].parse().unwrap();
    f13.until_state("1 running");
    cron.rest.delete("/v1/scheduler/job/f13").expect(204);
    wait::until("its process is gone", || {
        if meseta_tests::cluster::alive(pid) {
            Err(pid)
        } else {
            Ok(())
        }
    });
    for path in [
        "jobs",
        "jobs/search?name=f13",
        "jobs/summary",
        "graph/csv",
        "graph/dot",
    ] {
        let text = cron.rest.get(&format!("/v1/scheduler/{path}")).expect(200).text();
        assert!(!text.contains("f13"), "{path}: {text}");
    }
    let again = cron.rest.delete("/v1/scheduler/job/f13").expect(400);
    assert!(text(&again.json()["message"]).contains("not found"), "{again:?}");
}

fn a_job_of_the_same_name_begins_anew(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let f15 = cron.store(&job("f15", "true", &json!({})));
    f15.start();
    f15.until("has run", |job| job["successCount"] == 1);
    // A run that ends late: it takes a while to die.
    let deaf = diary.note(
        "began",
        "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done",
    );
    cron.post(&job("f15", &deaf, &json!({}))).expect(204);
    f15.start();
    diary.until(1);
    cron.rest.delete("/v1/scheduler/job/f15").expect(204);
    cron.post(&job("f15", "true", &json!({}))).expect(204);
    let shown = f15.show();
    assert_eq!(
        (&shown["successCount"], &shown["lastSuccess"]),
        (&json!(0), &json!("")),
        "{shown}"
    );
    f15.start();
    f15.until("has run as itself", |job| job["successCount"] == 1);
    assert_eq!(f15.show()["errorCount"], 0);
}

fn killed_runs_count_for_nothing(ground: &Ground) {
    let cron = ground.cron();
    let f16 = cron.store(&job(
        "f16",
        "sleep 1000",
        &json!({"concurrent": true, "retries": 2}),
    ));
    let spared = cron.store(&job("f16-child", "true", &json!({"parents": ["f16"]})));
    f16.start();
    f16.start();
    f16.until_state("2 running");
    f16.kill();
    f16.until_state("idle");
    let shown = f16.show();
    assert_eq!(
        (&shown["successCount"], &shown["errorCount"]),
        (&json!(0), &json!(0)),
        "{shown}"
    );
    let ended = until_runs(&f16, "both are told as killed", |runs| {
        with_result(runs, "killed").len() == 2
    });
    assert_eq!(ended.len(), 2, "{ended:?}");
    f16.kill();
    witness(cron, "f16-witness");
    assert_eq!(spared.show()["successCount"], 0);
}

fn a_waiting_run_is_cancelled_by_a_kill(ground: &Ground) {
    let cron: Cron = ground.cron();
    let waits = cron.store(&job("f18", "true", &json!({"cpus": 10_000})));
    waits.start();
    waits.until_state("queued");
    waits.kill();
    waits.until_state("idle");
    cancelled(&waits);
    let fails = cron.store(&job("f18-retry", "exit 1", &json!({"retries": 3})));
    fails.start();
    until_runs(&fails, "waits for its retry", |runs| {
        !with_result(runs, "retrying").is_empty()
    });
    fails.kill();
    cancelled(&fails);
}

/// Starts a job by hand and waits for its only run; its id.
fn started(job: &Job, what: &str, fits: impl Fn(&Value) -> bool) -> String {
    job.start();
    let runs = until_runs(job, what, |runs| runs.iter().any(&fits));
    text(&runs[0]["run"])
}

fn a_callback_ends_an_asynchronous_run_once(ground: &Ground) {
    let cron = ground.cron();
    let f19 = cron.store(&job("f19", "true", &json!({"async": true})));
    let child = cron.store(&job("f19-child", "true", &json!({"parents": ["f19"]})));
    let id = started(&f19, "its task has ended", |run| {
        text(&run["reason"]).contains("callback")
    });
    assert_eq!(f19.show()["successCount"], 0);
    let path = format!("/scheduler/task/{id}");
    cron.rest.put(&path, &json!({"statusCode": 0})).expect(204);
    child.until("has run", |job| job["successCount"] == 1);
    cron.rest.put(&path, &json!({"statusCode": 0})).expect(400);
    assert_eq!(f19.show()["successCount"], 1);
}

fn an_asynchronous_run_without_a_callback_ends_with_its_time(ground: &Ground) {
    let definition = json!({"async": true, "maxCompletionTime": 2, "retries": 0});
    let f20 = ground.cron().store(&job("f20", "true", &definition));
    f20.start();
    f20.until("has failed", |job| job["errorCount"] == 1);
    let runs = f20.runs().unwrap();
    assert_eq!(runs[0]["result"], "failed", "{runs:?}");
    assert!(text(&runs[0]["reason"]).contains("callback"), "{runs:?}");
}

fn the_progress_of_a_run_adds_up(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let (command, go) = held(&diary, "began");
    let f21 = cron.store(&job("f21", &command, &json!({"dataProcessingJobType": true})));
    let id = started(&f21, "it runs", |run| run["result"] == "running");
    let path = format!("/v1/scheduler/job/f21/task/{id}/progress");
    for more in [5, 7] {
        let body = json!({"numAdditionalElementsProcessed": more});
        cron.rest.post(&path, &body).expect(204);
    }
    let processed = || {
        let stat = cron.rest.get("/v1/scheduler/job/stat/f21").expect(200).json();
        stat["taskStatHistory"][0]["numElementsProcessed"].clone()
    };
    assert_eq!(processed(), 12);
    let refused = [
        (&*path, json!({"numAdditionalElementsProcessed": -1})),
        (&*path, json!({})),
        (
            "/v1/scheduler/job/f21/task/ct:1:0:f21:/progress",
            json!({"numAdditionalElementsProcessed": 1}),
        ),
        (
            "/v1/scheduler/job/f21-none/task/x/progress",
            json!({"numAdditionalElementsProcessed": 1}),
        ),
    ];
    for (path, body) in refused {
        cron.rest.post(path, &body).expect(400);
    }
    std::fs::write(go, "").unwrap();
    f21.until("has run", |job| job["successCount"] == 1);
    assert_eq!(processed(), 12);
    cron.post(&job("f21", "true", &json!({}))).expect(204);
    cron.rest
        .post(&path, &json!({"numAdditionalElementsProcessed": 1}))
        .expect(400);
}

fn cancelled(job: &Job) {
    let ended =
        |runs: &[Value]| with_result(runs, "cancelled").len() + with_result(runs, "killed").len() == 1;
    until_runs(job, "is told as ended by somebody", ended);
    assert_eq!(job.runs().unwrap().len(), 1);
}
