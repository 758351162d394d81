#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::json;

fn defaults() -> Defaults {
    Defaults {
        cpus: 0.1,
        mem: 128.0,
        disk: 256.0,
        user: "root".into(),
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn read_as(body: Value, dialect: Dialect) -> Result<Wish, Fault> {
    read(&body, dialect, &defaults(), now())
}

fn read_v3(body: Value) -> Result<Wish, Fault> {
    read_as(body, Dialect::V3)
}

fn job_of(wish: Wish) -> Job {
    Job {
        settled: now(),
        counters: wish.counters.over(Default::default()),
        parent_successes: Default::default(),
        generation: 1,
        spec: std::sync::Arc::new(wish.spec),
    }
}

#[test]
fn a_job_of_three_fields_shows_every_default() {
    let job = job_of(
        read_v3(json!({"name": "a", "command": "true", "schedule": "R/2027-01-01T00:00:00Z/P1D"})).unwrap(),
    );
    let shown = serde_json::to_value(show(&job, definition(&job))).unwrap();
    let expected = json!({
        "name": "a", "command": "true", "shell": true, "executor": "", "executorFlags": "", "taskInfoData": "",
        "retries": 2, "owner": "", "ownerName": "", "description": "", "successCount": 0, "errorCount": 0,
        "lastSuccess": "", "lastError": "", "cpus": 0.1, "disk": 256.0, "mem": 128.0, "disabled": false,
        "softError": false, "dataProcessingJobType": false, "errorsSinceLastSuccess": 0, "fetch": [], "uris": [],
        "environmentVariables": [], "arguments": [], "highPriority": false, "runAsUser": "root",
        "concurrent": false, "maxCompletionTime": 0, "constraints": [],
        "schedule": "R/2027-01-01T00:00:00Z/P1D", "scheduleTimeZone": "",
    });
    assert_eq!(shown, expected);
}

#[test]
fn fields_are_shown_in_the_order_of_the_wire() {
    let job = job_of(read_v3(json!({"name": "a", "parents": ["b"]})).unwrap());
    let text = serde_json::to_string(&show(&job, definition(&job))).unwrap();
    let order = [
        "name",
        "command",
        "shell",
        "retries",
        "successCount",
        "cpus",
        "disk",
        "mem",
        "fetch",
        "constraints",
        "parents",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|field| text.find(&format!("\"{field}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(!text.contains("\"schedule\""), "{text}");
}

#[test]
fn parents_win_over_a_schedule_and_one_of_the_two_must_be_there() {
    let both = json!({"name": "a", "schedule": "R//PT1H", "parents": ["b", "c", "b"]});
    let spec = read_v3(both).unwrap().spec;
    assert!(matches!(&spec.trigger, Trigger::Parents(parents) if parents.len() == 2));
    for (body, field) in [
        (json!({"name": "a"}), "schedule"),
        (json!({"name": "a", "parents": []}), "parents"),
        (json!({"name": "a", "schedule": "every day"}), "schedule"),
        (
            json!({"name": "a", "schedule": "R//PT1H", "scheduleTimeZone": "Mars/Olympus"}),
            "scheduleTimeZone",
        ),
        (
            json!({"name": "a", "schedule": "R//PT1H", "epsilon": "soon"}),
            "epsilon",
        ),
        (
            json!({"name": "a", "schedule": "R//PT1H", "epsilon": "-PT1S"}),
            "epsilon",
        ),
        (
            json!({"name": "a", "schedule": "R//PT1H", "constraints": [["x", "NEAR", "y"]]}),
            "constraints[0]",
        ),
        (
            json!({"name": "a", "schedule": "R//PT1H", "constraints": [["x", "LIKE", "("]]}),
            "constraints[0]",
        ),
        (
            json!({"name": "a", "schedule": "R//PT1H", "lastSuccess": "yesterday"}),
            "lastSuccess",
        ),
        (json!({"name": "a b", "schedule": "R//PT1H"}), "name"),
    ] {
        assert_eq!(read_v3(body.clone()).unwrap_err().field, field, "{body}");
    }
    assert!(read_as(json!({"name": "a b", "schedule": "R//PT1H"}), Dialect::V2).is_ok());
    let scheduled = json!({"name": "a", "schedule": "R//PT1H", "parents": []});
    assert!(matches!(
        read_v3(scheduled).unwrap().spec.trigger,
        Trigger::Schedule { .. }
    ));
}

#[test]
fn cron_expressions_are_schedules_too() {
    for text in ["*/5 * * * *", "0 30 2 * * MON", "@daily"] {
        let wish = read_v3(json!({"name": "a", "schedule": text, "scheduleTimeZone": "Europe/Berlin"}));
        let job = job_of(wish.unwrap());
        assert_eq!(
            shown_schedule(&job),
            (text.to_owned(), "Europe/Berlin".to_owned())
        );
    }
}

#[test]
fn counters_in_a_request_are_taken_and_those_left_out_are_not() {
    let wish =
        read_v3(json!({"name": "a", "schedule": "R//PT1H", "successCount": "7", "lastError": ""})).unwrap();
    assert_eq!(wish.counters.success, Some(7));
    assert_eq!(wish.counters.error, None);
    assert_eq!(wish.counters.last_error, Some(None));
}
