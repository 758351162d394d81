//! E: dependent jobs.

use super::witness;
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cron::{Cron, Diary, Job, job};
use meseta_tests::daemon::Pair;
use meseta_tests::service::text;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

behaviours! {
    "E1" a_child_runs_after_each_success_of_its_parent,
    "E2 E3" a_child_of_two_waits_for_both,
    "E4" what_a_parent_did_outlives_the_scheduler,
    "E5" a_success_while_the_child_runs_is_not_lost,
    "E6" a_disabled_child_is_not_fired_for_the_past,
    "E7" an_unknown_parent_is_refused,
    "E8" no_parents_are_refused,
    "E9" a_job_is_not_its_own_parent,
    "E10" a_cycle_is_refused_and_changes_nothing,
    "E11" two_jobs_cannot_be_each_others_first_parent,
    "E12" an_orphan_takes_over_the_schedule_and_keeps_the_rest,
    "E13" a_child_with_another_parent_stays_a_child,
    "E14" a_grandchild_moves_up,
    "E15 E16" a_job_changes_between_scheduled_and_dependent,
    "E17" a_child_is_started_by_hand,
    "E18" a_success_is_told_by_hand,
    "E19" a_long_chain_and_a_wide_diamond,
    "E20" a_child_has_a_time_of_its_own,
}

fn never(cron: Cron, name: &str, command: &str) -> Job {
    cron.store(&job(name, command, &json!({"retries": 0})))
}

fn child(cron: Cron, name: &str, command: &str, parents: &[&str]) -> Job {
    cron.store(&job(name, command, &json!({"parents": parents, "retries": 0})))
}

fn succeeds(parent: &Job, times: i64) {
    for _ in 0..times {
        let before = parent.show()["successCount"].as_i64().unwrap_or(0);
        parent.start();
        parent.until("succeeds", |job| job["successCount"].as_i64() == Some(before + 1));
    }
}

fn a_child_runs_after_each_success_of_its_parent(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let fail = diary.folder().join("fail");
    let parent = never(cron, "e1", &format!("! test -e {}", fail.display()));
    let child = child(cron, "e1-child", &diary.note("child", "true"), &["e1"]);
    for n in 1..=3 {
        succeeds(&parent, 1);
        child.until("has run", |job| job["successCount"] == n);
    }
    std::fs::write(&fail, "").unwrap();
    parent.start();
    parent.until("has failed", |job| job["errorCount"] == 1);
    let killed = never(cron, "e1-killed", "sleep 1000");
    let spared = self::child(cron, "e1-spared", &diary.note("spared", "true"), &["e1-killed"]);
    killed.start();
    killed.until_state("1 running");
    killed.kill();
    killed.until_state("idle");
    witness(cron, "e1-witness");
    assert_eq!(diary.lines(), ["child", "child", "child"]);
    assert_eq!(spared.show()["successCount"], 0);
}

fn a_child_of_two_waits_for_both(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let (p, q) = (never(cron, "e2p", "true"), never(cron, "e2q", "true"));
    let child = child(cron, "e2", &diary.note("child", "true"), &["e2p", "e2q"]);
    succeeds(&p, 3);
    witness(cron, "e2-witness");
    assert_eq!(diary.lines().len(), 0);
    succeeds(&q, 1);
    child.until("has run", |job| job["successCount"] == 1);
    // Both counts began anew: neither three times of the one nor one of the other is left over.
    succeeds(&q, 1);
    witness(cron, "e2-witness");
    assert_eq!(diary.lines().len(), 1);
    succeeds(&p, 1);
    child.until("has run again", |job| job["successCount"] == 2);
}

fn what_a_parent_did_outlives_the_scheduler(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (mut daemon, cron) = pair.start_cron(&[]);
    let (p, q) = (never(cron, "e4p", "true"), never(cron, "e4q", "true"));
    let child = child(cron, "e4", "true", &["e4p", "e4q"]);
    succeeds(&p, 1);
    daemon.end(Signal::SIGKILL);
    let (_daemon, _) = pair.start_cron(&[]);
    succeeds(&q, 1);
    child.until("has run", |job| job["successCount"] == 1);
}

fn a_success_while_the_child_runs_is_not_lost(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let go = diary.folder().join("go");
    let parent = never(cron, "e5", "true");
    let wait = format!("while ! test -e {}; do sleep 0.1; done", go.display());
    let child = child(cron, "e5-child", &diary.note("child", &wait), &["e5"]);
    succeeds(&parent, 1);
    child.until_state("1 running");
    succeeds(&parent, 1);
    std::fs::write(go, "").unwrap();
    child.until("has run twice", |job| job["successCount"] == 2);
    assert_eq!(diary.lines().len(), 2);
}

fn a_disabled_child_is_not_fired_for_the_past(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let parent = never(cron, "e6", "true");
    let definition = |disabled: bool| {
        job(
            "e6-child",
            &diary.note("child", "true"),
            &json!({"parents": ["e6"], "disabled": disabled}),
        )
    };
    let child = cron.store(&definition(true));
    succeeds(&parent, 1);
    cron.post(&definition(false)).expect(204);
    witness(cron, "e6-witness");
    assert_eq!(diary.lines().len(), 0);
    succeeds(&parent, 1);
    child.until("has run", |job| job["successCount"] == 1);
}

/// Refused with 400 and a message that holds all words.
fn refused(cron: Cron, definition: &Value, words: &[&str]) {
    let reply = cron.post(definition).expect(400);
    let message = text(&reply.json()["message"]);
    assert!(
        words.iter().all(|word| message.contains(word)),
        "{words:?}: {message}"
    );
}

fn an_unknown_parent_is_refused(ground: &Ground) {
    let cron = ground.cron();
    let _known = never(cron, "e7-known", "true");
    refused(
        cron,
        &job("e7", "true", &json!({"parents": ["e7-known", "e7-unknown"]})),
        &["e7-unknown"],
    );
    cron.rest.get("/v1/scheduler/job/e7").expect(400);
}

fn no_parents_are_refused(ground: &Ground) {
    let cron = ground.cron();
    let empty = json!({"name": "e8", "command": "true", "parents": []});
    let reply = cron.rest.post("/v1/scheduler/dependency", &empty).expect(400);
    assert!(text(&reply.json()["message"]).contains("parents"), "{reply:?}");
}

fn a_job_is_not_its_own_parent(ground: &Ground) {
    let cron = ground.cron();
    refused(cron, &job("e9", "true", &json!({"parents": ["e9"]})), &["e9"]);
    let _e9 = never(cron, "e9", "true");
    refused(cron, &job("e9", "true", &json!({"parents": ["e9"]})), &["e9"]);
}

fn a_cycle_is_refused_and_changes_nothing(ground: &Ground) {
    let cron = ground.cron();
    let a = never(cron, "e10a", "true");
    let b = child(cron, "e10b", "true", &["e10a"]);
    refused(
        cron,
        &job("e10a", "true", &json!({"parents": ["e10b"]})),
        &["e10a", "e10b"],
    );
    assert_eq!(a.show()["schedule"], "R0//PT1H");
    assert_eq!(b.show()["parents"], json!(["e10a"]));
    succeeds(&a, 1);
    b.until("is still fired", |job| job["successCount"] == 1);
}

fn two_jobs_cannot_be_each_others_first_parent(ground: &Ground) {
    refused(
        ground.cron(),
        &job("e11a", "true", &json!({"parents": ["e11b"]})),
        &["e11b"],
    );
}

fn an_orphan_takes_over_the_schedule_and_keeps_the_rest(ground: &Ground) {
    let cron = ground.cron();
    let schedule = json!({"schedule": "R/2031-01-01T00:00:00Z/P1D", "scheduleTimeZone": "Europe/Paris"});
    let parent = cron.store(&job("e12", "true", &schedule));
    let more = json!({"parents": ["e12"], "description": "kept", "runAsUser": "nobody", "arguments": ["x"],
        "environmentVariables": [{"name": "A", "value": "b"}], "constraints": [["hostname", "LIKE", ".*"]]});
    let child = cron.store(&job("e12-child", "echo child", &more));
    let before = child.show();
    cron.rest.delete("/v1/scheduler/job/e12").expect(204);
    let after = child.show();
    assert_eq!(
        (&after["schedule"], &after["scheduleTimeZone"]),
        (&schedule["schedule"], &schedule["scheduleTimeZone"]),
        "{after}"
    );
    assert!(after.get("parents").is_none(), "{after}");
    for field in [
        "command",
        "description",
        "runAsUser",
        "arguments",
        "environmentVariables",
        "constraints",
        "mem",
    ] {
        assert_eq!(before[field], after[field], "{field}");
    }
    drop(parent);
}

fn a_child_with_another_parent_stays_a_child(ground: &Ground) {
    let cron = ground.cron();
    let (_p, q) = (never(cron, "e13p", "true"), never(cron, "e13q", "true"));
    let child = child(cron, "e13", "true", &["e13p", "e13q"]);
    cron.rest.delete("/v1/scheduler/job/e13p").expect(204);
    assert_eq!(child.show()["parents"], json!(["e13q"]));
    succeeds(&q, 1);
    child.until("is fired by the other", |job| job["successCount"] == 1);
}

fn a_grandchild_moves_up(ground: &Ground) {
    let cron = ground.cron();
    let _a = never(cron, "e14a", "true");
    let _b = child(cron, "e14b", "true", &["e14a"]);
    let c = child(cron, "e14c", "true", &["e14b"]);
    cron.rest.delete("/v1/scheduler/job/e14b").expect(204);
    assert_eq!(c.show()["parents"], json!(["e14a"]));
}

fn a_job_changes_between_scheduled_and_dependent(ground: &Ground) {
    let cron = ground.cron();
    let parent = never(cron, "e15", "true");
    let scheduled = child(cron, "e15-child", "true", &["e15"]);
    cron.post(&job("e15-child", "true", &json!({"retries": 0})))
        .expect(204);
    assert!(scheduled.show().get("parents").is_none(), "{}", scheduled.show());
    succeeds(&parent, 1);
    witness(cron, "e15-witness");
    assert_eq!(scheduled.show()["successCount"], 0);
    let dependent = job("e15-child", "true", &json!({"parents": ["e15"]}));
    cron.post(&dependent).expect(204);
    let shown = scheduled.show();
    assert!(
        shown.get("schedule").is_none() && shown["parents"] == json!(["e15"]),
        "{shown}"
    );
}

fn a_child_is_started_by_hand(ground: &Ground) {
    let cron = ground.cron();
    let parent = never(cron, "e17", "true");
    let child = child(cron, "e17-child", "true", &["e17"]);
    child.start();
    child.until("has run by hand", |job| job["successCount"] == 1);
    succeeds(&parent, 1);
    child.until("has run for its parent", |job| job["successCount"] == 2);
}

fn a_success_is_told_by_hand(ground: &Ground) {
    let cron = ground.cron();
    let parent = never(cron, "e18", "exit 1");
    let child = child(cron, "e18-child", "true", &["e18"]);
    let told = cron
        .rest
        .call("PUT", "/v1/scheduler/job/success/e18", &[], None)
        .expect(200);
    assert!(told.text().trim_end().ends_with("true"), "{told:?}");
    assert_eq!(parent.show()["successCount"], 1);
    child.until("is fired", |job| job["successCount"] == 1);
    let unknown = cron
        .rest
        .call("PUT", "/v1/scheduler/job/success/e18-unknown", &[], None)
        .expect(200);
    assert!(unknown.text().trim_end().ends_with("false"), "{unknown:?}");
}

fn a_long_chain_and_a_wide_diamond(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (_daemon, cron) = pair.start_cron(&[]);
    // The engine's own tests have a thousand of each; what matters here is that the graph stays whole.
    let count = 200;
    never(cron, "c0", "true").forget();
    for n in 1..=count {
        child(cron, &format!("c{n}"), "true", &[&format!("c{}", n - 1)]).forget();
    }
    for n in 0..count {
        child(cron, &format!("d{n}"), "true", &["c0"]).forget();
    }
    let names: Vec<String> = (0..count).map(|n| format!("d{n}")).collect();
    let parents: Vec<&str> = names.iter().map(String::as_str).collect();
    child(cron, "bottom", "true", &parents).forget();
    cron.rest
        .delete(&format!("/v1/scheduler/job/c{}", count / 2))
        .expect(204);
    let csv = cron.rest.get("/v1/scheduler/graph/csv").expect(200).text();
    let links: Vec<&str> = csv.lines().filter(|line| line.starts_with("link,")).collect();
    assert_eq!(links.len(), count - 1 + 2 * count, "{links:?}");
    let bridge = format!("link,c{},c{}", count / 2 - 1, count / 2 + 1);
    assert!(links.contains(&bridge.as_str()), "{links:?}");
    assert_eq!(
        csv.lines().filter(|line| line.starts_with("node,")).count(),
        2 * count + 1
    );
    let dot = cron.rest.get("/v1/scheduler/graph/dot").expect(200).text();
    assert!(
        dot.starts_with("digraph") && dot.matches("->").count() == links.len(),
        "{dot}"
    );
}

fn a_child_has_a_time_of_its_own(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let parent = never(cron, "e20", &diary.note("$CHRONOS_JOB_RUN_TIME", "sleep 0.1"));
    let child = child(
        cron,
        "e20-child",
        &diary.note("$CHRONOS_JOB_RUN_TIME", "true"),
        &["e20"],
    );
    succeeds(&parent, 1);
    child.until("has run", |job| job["successCount"] == 1);
    let times: Vec<i64> = diary.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert!(times[0] < times[1], "{times:?}");
}
