//! D: retries, failures, counters.

use super::{until_runs, with_result, witness};
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::signal;
use meseta_tests::cron::{Cron, Diary, Job, from_now, job};
use meseta_tests::daemon::{Daemon, Pair};
use meseta_tests::service::text;
use meseta_tests::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

behaviours! {
    "D1" retries_exhausted_are_one_error,
    "D2" the_next_slot_has_its_retries_again,
    "D3" a_retry_that_succeeds_is_no_error,
    "D4" a_retry_outlives_the_scheduler,
    "D5" the_next_slot_supersedes_a_pending_retry,
    "D6" a_pending_retry_ends_with_its_right_to_be,
    "D7" a_lost_agent_fails_a_run_without_retries,
    "D8" a_lost_agent_is_followed_by_the_next_attempt,
    "D10" an_unreachable_run_goes_on,
    "D11" too_many_failures_in_a_row_disable_a_job,
    "D12" a_disabled_job_stays_disabled_when_its_run_fails,
    "D13" a_soft_error_fires_the_children,
    "D14" a_run_that_takes_too_long_is_killed_and_failed,
    "D17" a_lost_agent_takes_only_its_own_runs_along,
    "D18" a_running_run_is_taken_over,
}

fn once(more: Value) -> Value {
    let mut once = json!({"schedule": "R1//PT1H"});
    meseta_tests::service::merge(&mut once, &more);
    once
}

/// Writes the number of the attempt.
const ATTEMPT: &str = "$CHRONOS_JOB_RUN_ATTEMPT";

fn retries_exhausted_are_one_error(ground: &Ground) {
    let diary = Diary::new();
    let d1 = ground.hasty_cron().store(&job(
        "d1",
        &diary.note(ATTEMPT, "exit 1"),
        &once(json!({"retries": 2})),
    ));
    let shown = d1.until("has failed for good", |job| job["errorCount"] == 1);
    assert_eq!(
        (&shown["errorsSinceLastSuccess"], &shown["successCount"]),
        (&json!(1), &json!(0)),
        "{shown}"
    );
    let error = text(&shown["lastError"]);
    assert!(
        error.ends_with('Z') && error.len() == "2026-01-01T00:00:00.000Z".len(),
        "{shown}"
    );
    assert_eq!(diary.lines(), ["0", "1", "2"]);
    let runs = d1.runs().unwrap();
    assert_eq!(
        (runs.len(), &runs[0]["attempts"], &runs[0]["result"]),
        (1, &json!(3), &json!("failed")),
        "{runs:?}"
    );
}

fn the_next_slot_has_its_retries_again(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": format!("R2/{}/PT4S", from_now(1)), "retries": 1});
    let d2 = ground
        .hasty_cron()
        .store(&job("d2", &diary.note(ATTEMPT, "exit 1"), &more));
    d2.until("has failed twice", |job| job["errorCount"] == 2);
    assert_eq!(diary.lines(), ["0", "1", "0", "1"]);
}

fn a_retry_that_succeeds_is_no_error(ground: &Ground) {
    let diary = Diary::new();
    let then = format!("test {ATTEMPT} = 1");
    let d3 = ground.hasty_cron().store(&job(
        "d3",
        &diary.note(ATTEMPT, &then),
        &once(json!({"retries": 2})),
    ));
    let shown = d3.until("has succeeded", |job| job["successCount"] == 1);
    assert_eq!(
        (&shown["errorCount"], &shown["errorsSinceLastSuccess"]),
        (&json!(0), &json!(0)),
        "{shown}"
    );
    assert_eq!(diary.lines(), ["0", "1"]);
}

fn a_retry_outlives_the_scheduler(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let flags = ["--failure_retry=3000"];
    let (mut daemon, cron) = pair.start_cron(&flags);
    let diary = Diary::new();
    let d4 = cron.store(&job(
        "d4",
        &diary.note(ATTEMPT, "exit 1"),
        &once(json!({"retries": 1})),
    ));
    until_runs(&d4, "waits for its retry", |runs| {
        !with_result(runs, "retrying").is_empty()
    });
    daemon.end(Signal::SIGKILL);
    let (_daemon, _) = pair.start_cron(&flags);
    d4.until("has failed for good", |job| job["errorCount"] == 1);
    assert_eq!(diary.lines(), ["0", "1"]);
}

fn the_next_slot_supersedes_a_pending_retry(ground: &Ground) {
    // The shared cron retries after a minute.
    let diary = Diary::new();
    let more = json!({"schedule": format!("R2/{}/PT3S", from_now(1)), "retries": 5});
    let d5 = ground
        .cron()
        .store(&job("d5", &diary.note(ATTEMPT, "exit 1"), &more));
    let runs = until_runs(&d5, "the first run is settled, the second retries", |runs| {
        with_result(runs, "superseded").len() == 1 && with_result(runs, "retrying").len() == 1
    });
    assert_eq!(diary.lines(), ["0", "0"], "{runs:?}");
}

fn waiting_for_a_retry(cron: Cron, name: &str) -> Job {
    let job = cron.store(&job(name, "exit 1", &once(json!({"retries": 3}))));
    until_runs(&job, "waits for its retry", |runs| {
        !with_result(runs, "retrying").is_empty()
    });
    job
}

fn a_pending_retry_ends_with_its_right_to_be(ground: &Ground) {
    let cron = ground.cron();
    let edited = waiting_for_a_retry(cron, "d6-edited");
    cron.post(&job("d6-edited", "exit 1", &once(json!({"retries": 0}))))
        .expect(204);
    edited.until("has failed", |job| job["errorCount"] == 1);
    let disabled = waiting_for_a_retry(cron, "d6-disabled");
    cron.post(&job(
        "d6-disabled",
        "exit 1",
        &once(json!({"retries": 3, "disabled": true})),
    ))
    .expect(204);
    until_runs(&disabled, "is cancelled", |runs| {
        with_result(runs, "cancelled").len() == 1
    });
    let deleted = waiting_for_a_retry(cron, "d6-deleted");
    cron.rest.delete("/v1/scheduler/job/d6-deleted").expect(204);
    cron.rest.get("/v1/scheduler/job/d6-deleted").expect(400);
    drop(deleted);
}

/// A cluster of two agents with names, whose master gives one up after two seconds.
fn impatient() -> (Pair, Daemon, Daemon, Cron) {
    let pair = Pair::start(
        &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
        &["--hostname=host-a"],
    );
    let other = pair.add_agent("host-b", &[]);
    let (cron_daemon, cron) = pair.start_cron(&["--failure_retry=500"]);
    (pair, other, cron_daemon, cron)
}

fn on_a(more: Value) -> Value {
    let mut job = once(json!({"constraints": [["hostname", "EQUALS", "host-a"]]}));
    meseta_tests::service::merge(&mut job, &more);
    job
}

const NAMED: &[&str] = &["--hostname=host-a"];

fn a_lost_agent_fails_a_run_without_retries(_: &Ground) {
    let (mut pair, _other, _daemon, cron) = impatient();
    let diary = Diary::new();
    let d7 = cron.store(&job(
        "d7",
        &diary.note(ATTEMPT, "sleep 1000"),
        &on_a(json!({"retries": 0})),
    ));
    diary.until(1);
    d7.until_state("1 running");
    pair.crash("agent");
    pair.start_agent(NAMED);
    let shown = d7.until("has failed", |job| job["errorCount"] == 1);
    assert_eq!(shown["successCount"], 0, "{shown}");
    witness(cron, "d7-witness");
    assert_eq!(diary.lines(), ["0"]);
}

fn a_lost_agent_is_followed_by_the_next_attempt(_: &Ground) {
    let (mut pair, _other, _daemon, cron) = impatient();
    let diary = Diary::new();
    let command = diary.note(ATTEMPT, "test $CHRONOS_JOB_RUN_ATTEMPT = 1 || sleep 1000");
    let d8 = cron.store(&job("d8", &command, &on_a(json!({"retries": 2}))));
    diary.until(1);
    d8.until_state("1 running");
    pair.crash("agent");
    pair.start_agent(NAMED);
    d8.until("has succeeded", |job| job["successCount"] == 1);
    assert_eq!(diary.lines(), ["0", "1"]);
    let run = d8.runs().unwrap().remove(0);
    assert_eq!(text(&run["run"]).split(':').nth(2), Some("1"), "{run}");
}

fn an_unreachable_run_goes_on(_: &Ground) {
    let (pair, _other, _daemon, cron) = impatient();
    let diary = Diary::new();
    let go = diary.folder().join("go");
    let then = format!("while ! test -e {}; do sleep 0.1; done", go.display());
    let d10 = cron.store(&job(
        "d10",
        &diary.note(ATTEMPT, &then),
        &on_a(json!({"retries": 3})),
    ));
    diary.until(1);
    d10.until_state("1 running");
    let agent = pair.agent.as_ref().unwrap().pid();
    signal(agent, Signal::SIGSTOP);
    wait::until("the master gives the agent up", || {
        let slaves = meseta_tests::cluster::get_json(&format!("http://{}/slaves", pair.master_address()))?;
        let there = |s: &Value| s["hostname"] == "host-a" && s["active"] == true;
        let all = slaves["slaves"].as_array().cloned().unwrap_or_default();
        if all.iter().any(there) {
            Err(slaves.to_string())
        } else {
            Ok(())
        }
    });
    witness(cron, "d10-witness");
    assert_eq!(diary.lines(), ["0"]);
    signal(agent, Signal::SIGCONT);
    std::fs::write(go, "").unwrap();
    let shown = d10.until("has succeeded", |job| job["successCount"] == 1);
    assert_eq!(shown["errorCount"], 0, "{shown}");
    assert_eq!(diary.lines(), ["0"]);
}

fn too_many_failures_in_a_row_disable_a_job(ground: &Ground) {
    let more = json!({"schedule": format!("R/{}/PT1S", from_now(1)), "retries": 0});
    let d11 = ground.hasty_cron().store(&job("d11", "exit 1", &more));
    let shown = d11.until("is disabled", |job| job["disabled"] == true);
    assert_eq!(
        (&shown["errorCount"], &shown["errorsSinceLastSuccess"]),
        (&json!(3), &json!(3)),
        "{shown}"
    );
}

fn a_disabled_job_stays_disabled_when_its_run_fails(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let go = diary.folder().join("go");
    let command = diary.note(
        ATTEMPT,
        &format!("while ! test -e {}; do sleep 0.1; done; exit 1", go.display()),
    );
    let schedule = json!({"schedule": "R/2030-01-01T00:00:00Z/PT1H", "retries": 0});
    let d12 = cron.store(&job("d12", &command, &schedule));
    d12.start();
    diary.until(1);
    let mut disabled = job("d12", &command, &schedule);
    disabled["disabled"] = json!(true);
    cron.post(&disabled).expect(204);
    std::fs::write(go, "").unwrap();
    let shown = d12.until("has failed", |job| job["errorCount"] == 1);
    assert_eq!(shown["disabled"], true, "{shown}");
}

fn a_soft_error_fires_the_children(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let soft = json!({"softError": true, "retries": 0});
    let parent = cron.store(&job("d13", "exit 1", &soft));
    let child = cron.store(&job(
        "d13-child",
        &diary.note("child", "true"),
        &json!({"parents": ["d13"]}),
    ));
    parent.start();
    child.until("has run", |job| job["successCount"] == 1);
    let shown = parent.show();
    assert_eq!(
        (&shown["errorCount"], &shown["successCount"]),
        (&json!(1), &json!(0)),
        "{shown}"
    );
}

fn a_run_that_takes_too_long_is_killed_and_failed(ground: &Ground) {
    let diary = Diary::new();
    let more = once(json!({"maxCompletionTime": 2, "retries": 1}));
    let d14 = ground
        .hasty_cron()
        .store(&job("d14", &diary.note(ATTEMPT, "sleep 1000"), &more));
    d14.until("has failed for good", |job| job["errorCount"] == 1);
    assert_eq!(diary.lines(), ["0", "1"]);
    let run = d14.runs().unwrap().remove(0);
    assert!(
        text(&run["reason"]).to_lowercase().contains("completion time"),
        "{run}"
    );
}

fn a_lost_agent_takes_only_its_own_runs_along(_: &Ground) {
    let (mut pair, other, _daemon, cron) = impatient();
    let diary = Diary::new();
    let on = |name: &str, host: &str| {
        let more = json!({"schedule": format!("R/{}/PT1S", from_now(1)), "retries": 0,
            "constraints": [["hostname", "EQUALS", host]]});
        cron.store(&job(name, &diary.note(name, "sleep 1000"), &more))
    };
    let (stays, goes) = (on("d17-stays", "host-a"), on("d17-goes", "host-b"));
    stays.until_state("1 running");
    goes.until_state("1 running");
    pair.crash("host-b");
    drop(other);
    let _other = pair.add_agent("host-b", &[]);
    goes.until("is lost", |job| job["errorCount"].as_i64() >= Some(1));
    until_runs(&stays, "slots pass", |runs| {
        !with_result(runs, "waiting").is_empty()
    });
    stays.until_state("1 running");
    let started = diary.lines().iter().filter(|line| *line == "d17-stays").count();
    assert_eq!(started, 1);
}

fn a_running_run_is_taken_over(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (mut daemon, cron) = pair.start_cron(&[]);
    let diary = Diary::new();
    let go = diary.folder().join("go");
    let then = format!("while ! test -e {}; do sleep 0.1; done", go.display());
    let more = json!({"schedule": format!("R/{}/PT1S", from_now(1))});
    let d18 = cron.store(&job("d18", &diary.note("began", &then), &more));
    d18.until_state("1 running");
    daemon.end(Signal::SIGKILL);
    let (_daemon, _) = pair.start_cron(&[]);
    d18.until_state("1 running");
    witness(cron, "d18-witness");
    assert_eq!(
        diary.lines(),
        ["began"],
        "its slots went on, it was not started beside itself"
    );
    std::fs::write(go, "").unwrap();
    d18.until("has succeeded", |job| job["successCount"].as_i64() >= Some(1));
}
