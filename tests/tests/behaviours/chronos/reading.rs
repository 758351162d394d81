//! A: creating and reading.

use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cron::{Cron, Job, job};
use meseta_tests::daemon::Pair;
use meseta_tests::golden::http::Connection;
use meseta_tests::rest::Reply;
use meseta_tests::service::text;
use serde_json::{Value, json};
use std::collections::BTreeSet;

behaviours! {
    "A1" an_empty_server_lists_nothing_on_one_line,
    "A2 A3" a_job_comes_back_at_once_with_all_defaults,
    "A4" a_second_post_replaces_the_job,
    "A5" put_works_on_the_unversioned_path,
    "A6 A7" blanks_in_names_belong_to_the_unversioned_path,
    "A8" names_follow_their_rules,
    "A9" bodies_that_are_no_jobs_are_refused,
    "A10" a_schedule_or_parents_are_needed,
    "A11" parents_win_over_a_schedule,
    "A12" a_job_is_taken_for_what_it_is_whichever_path_it_came_by,
    "A13" texts_are_taken_for_numbers_and_truths,
    "A14" nulls_are_absent_in_jobs,
    "A15" unknown_fields_of_jobs_are_ignored,
    "A16" posting_back_what_was_read_changes_nothing,
    "A17" absurd_numbers_are_refused,
    "A18" zero_is_the_default,
    "A19" a_container_needs_an_image,
    "A20" constraints_that_cannot_be_understood_are_refused,
    "A21" a_search_has_a_limit_and_an_offset,
}

fn never() -> Value {
    json!({"schedule": "R0//PT1H"})
}

/// Refused with 400 and words that name `what`.
fn refused(reply: Reply, what: &str) {
    let body = reply.clone().expect(400).json();
    assert_eq!(body["status"], "Bad Request", "{reply:?}");
    assert!(text(&body["message"]).contains(what), "{what}: {reply:?}");
}

fn an_empty_server_lists_nothing_on_one_line(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (_daemon, cron) = pair.start_cron(&[]);
    for path in ["/v1/scheduler/jobs", "/scheduler/jobs"] {
        assert_eq!(cron.rest.get(path).expect(200).text().trim_end(), "[]");
    }
}

fn a_job_comes_back_at_once_with_all_defaults(ground: &Ground) {
    let cron = ground.cron();
    let posted = json!({"name": "a2", "command": "echo hi", "schedule": "R0/2030-01-01T00:00:00Z/PT1H"});
    let reply = cron.rest.post("/v1/scheduler/iso8601", &posted).expect(204);
    assert_eq!(reply.text(), "");
    let a2 = Job {
        cron,
        name: "a2".into(),
    };
    let shown = a2.show();
    for (field, value) in [
        ("name", json!("a2")),
        ("command", json!("echo hi")),
        ("shell", json!(true)),
        ("executor", json!("")),
        ("executorFlags", json!("")),
        ("taskInfoData", json!("")),
        ("retries", json!(2)),
        ("owner", json!("")),
        ("ownerName", json!("")),
        ("description", json!("")),
        ("successCount", json!(0)),
        ("errorCount", json!(0)),
        ("lastSuccess", json!("")),
        ("lastError", json!("")),
        ("cpus", json!(0.1)),
        ("mem", json!(128.0)),
        ("disk", json!(256.0)),
        ("disabled", json!(false)),
        ("softError", json!(false)),
        ("dataProcessingJobType", json!(false)),
        ("errorsSinceLastSuccess", json!(0)),
        ("uris", json!([])),
        ("fetch", json!([])),
        ("environmentVariables", json!([])),
        ("arguments", json!([])),
        ("highPriority", json!(false)),
        ("concurrent", json!(false)),
        ("maxCompletionTime", json!(0)),
        ("constraints", json!([])),
        ("schedule", json!("R0/2030-01-01T00:00:00Z/PT1H")),
        ("scheduleTimeZone", json!("")),
    ] {
        assert_eq!(shown[field], value, "{field} in {shown}");
    }
    // That of the flag: root, or nobody in particular under `meseta up`.
    assert!(shown["runAsUser"].is_string(), "{shown}");
    assert!(
        shown.get("parents").is_none() && shown.get("container").is_none(),
        "{shown}"
    );
    assert_eq!(found(cron, "name=a2"), BTreeSet::from(["a2".to_owned()]));
}

fn found(cron: Cron, query: &str) -> BTreeSet<String> {
    let all = cron
        .rest
        .get(&format!("/v1/scheduler/jobs/search?{query}"))
        .expect(200)
        .json();
    all.as_array()
        .into_iter()
        .flatten()
        .map(|j| text(&j["name"]))
        .collect()
}

fn a_second_post_replaces_the_job(ground: &Ground) {
    let cron = ground.cron();
    let a4 = cron.store(&job("a4", "echo first", &never()));
    cron.post(&job("a4", "echo second", &never())).expect(204);
    assert_eq!(a4.show()["command"], "echo second");
    let all = cron.rest.get("/v1/scheduler/jobs").expect(200).json();
    assert_eq!(
        all.as_array()
            .unwrap()
            .iter()
            .filter(|j| j["name"] == "a4")
            .count(),
        1
    );
}

fn put_works_on_the_unversioned_path(ground: &Ground) {
    let cron = ground.cron();
    cron.rest
        .put("/scheduler/iso8601", &job("a5-parent", "true", &never()))
        .expect(204);
    let parent = Job {
        cron,
        name: "a5-parent".into(),
    };
    cron.rest
        .put(
            "/scheduler/dependency",
            &job("a5-child", "true", &json!({"parents": ["a5-parent"]})),
        )
        .expect(204);
    let child = Job {
        cron,
        name: "a5-child".into(),
    };
    assert_eq!(child.show()["parents"], json!([parent.name]));
    assert_eq!(
        cron.rest.get("/scheduler/job/a5-child").expect(200).json()["name"],
        "a5-child"
    );
}

fn blanks_in_names_belong_to_the_unversioned_path(ground: &Ground) {
    let cron = ground.cron();
    refused(
        cron.rest
            .post("/v1/scheduler/iso8601", &job("a6 x", "true", &never())),
        "name",
    );
    cron.rest
        .post("/scheduler/iso8601", &job("a7 #x", "true", &never()))
        .expect(204);
    let all = cron.rest.get("/scheduler/jobs").expect(200).json();
    assert!(all.as_array().unwrap().iter().any(|j| j["name"] == "a7 #x"));
    cron.rest
        .call("PUT", "/scheduler/job/a7%20%23x", &[], None)
        .expect(204);
    cron.rest.delete("/scheduler/task/kill/a7%20%23x").expect(204);
    cron.rest.delete("/scheduler/job/a7%20%23x").expect(204);
    cron.rest.delete("/scheduler/job/a7%20%23x").expect(400);
}

fn names_follow_their_rules(ground: &Ground) {
    let cron = ground.cron();
    for name in ["8", &"a".repeat(255)] {
        cron.store(&job(name, "true", &never()));
    }
    for name in [
        "",
        "..",
        "a8/b",
        "a8:b",
        "a8\nb",
        "a8\0b",
        "a8é",
        &"a".repeat(256),
    ] {
        refused(cron.post(&job(name, "true", &never())), "name");
    }
}

fn bodies_that_are_no_jobs_are_refused(ground: &Ground) {
    let cron = ground.cron();
    let mut nameless = job("a9", "true", &never());
    nameless.as_object_mut().unwrap().remove("name");
    refused(cron.post(&nameless), "name");
    for body in [
        "[]",
        "no json",
        "",
        "7",
        &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let reply = cron
            .rest
            .send_text("POST", "/v1/scheduler/iso8601", body)
            .expect(400);
        assert!(reply.json()["message"].is_string(), "{reply:?}");
    }
    let mut connection = Connection::open(cron.rest.port).unwrap();
    let head = "POST /v1/scheduler/iso8601 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n";
    connection.send(head.as_bytes()).unwrap();
    assert_eq!(connection.answer(false).unwrap().map(|a| a.status), Some(413));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    cron.rest
        .call("POST", "/v1/scheduler/iso8601", &form, Some(b"{}"))
        .expect(415);
    cron.rest.call("GET", "/ping", &[], None).expect(200);
}

fn a_schedule_or_parents_are_needed(ground: &Ground) {
    let body = json!({"name": "a10", "command": "true"});
    let reply = ground.cron().rest.post("/v1/scheduler/iso8601", &body);
    refused(reply.clone(), "schedule");
    refused(reply, "parents");
}

fn parents_win_over_a_schedule(ground: &Ground) {
    let cron = ground.cron();
    let _parent = cron.store(&job("a11-parent", "true", &never()));
    let both = json!({"schedule": "R//PT1S", "parents": ["a11-parent"]});
    let child = cron.store(&job("a11", "true", &both));
    let shown = child.show();
    assert!(
        shown.get("schedule").is_none() && shown["parents"] == json!(["a11-parent"]),
        "{shown}"
    );
}

fn a_job_is_taken_for_what_it_is_whichever_path_it_came_by(ground: &Ground) {
    let cron = ground.cron();
    cron.rest
        .post("/v1/scheduler/dependency", &job("a12-parent", "true", &never()))
        .expect(204);
    let parent = Job {
        cron,
        name: "a12-parent".into(),
    };
    cron.rest
        .post(
            "/v1/scheduler/iso8601",
            &job("a12-child", "true", &json!({"parents": ["a12-parent"]})),
        )
        .expect(204);
    let child = Job {
        cron,
        name: "a12-child".into(),
    };
    assert_eq!(parent.show()["schedule"], "R0//PT1H");
    assert_eq!(child.show()["parents"], json!(["a12-parent"]));
}

fn texts_are_taken_for_numbers_and_truths(ground: &Ground) {
    let more = json!({"cpus": "0.5", "mem": "64", "disabled": "true", "retries": "1"});
    let shown = ground.cron().store(&job("a13", "true", &more)).show();
    assert_eq!(
        (&shown["cpus"], &shown["mem"]),
        (&json!(0.5), &json!(64.0)),
        "{shown}"
    );
    assert_eq!(
        (&shown["disabled"], &shown["retries"]),
        (&json!(true), &json!(1)),
        "{shown}"
    );
}

fn nulls_are_absent_in_jobs(ground: &Ground) {
    let cron = ground.cron();
    let body = r#"{"name": "a14", "command": null, "schedule": "R0//PT1H", "scheduleTimeZone": null,
        "container": null, "cpus": null, "owner": null, "parents": null}"#;
    cron.rest
        .send_text("POST", "/v1/scheduler/iso8601", body)
        .expect(204);
    let shown = Job {
        cron,
        name: "a14".into(),
    }
    .show();
    assert_eq!(
        (&shown["command"], &shown["scheduleTimeZone"]),
        (&json!(""), &json!("")),
        "{shown}"
    );
    assert_eq!(
        (&shown["cpus"], &shown["owner"]),
        (&json!(0.1), &json!("")),
        "{shown}"
    );
}

fn unknown_fields_of_jobs_are_ignored(ground: &Ground) {
    let more = json!({"invented": [1], "gpus": 1, "epsilon": "PT5M", "async": false});
    let shown = ground.cron().store(&job("a15", "true", &more)).show();
    assert!(shown.get("invented").is_none(), "{shown}");
}

fn posting_back_what_was_read_changes_nothing(ground: &Ground) {
    let cron = ground.cron();
    let uris = json!({"uris": ["http://localhost/a.txt"], "schedule": "R5/2035-01-01T00:00:00Z/P1D",
        "scheduleTimeZone": "Europe/Berlin", "successCount": 3, "description": "as it is"});
    let scheduled = cron.store(&job("a16", "true", &uris));
    let child = cron.store(&job("a16-child", "true", &json!({"parents": ["a16"]})));
    let before = (scheduled.show(), child.show());
    let listed = cron.rest.get("/v1/scheduler/jobs").expect(200).json();
    let mine = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|j| text(&j["name"]).starts_with("a16"));
    for entry in mine {
        cron.post(entry).expect(204);
    }
    let after = (scheduled.show(), child.show());
    for field in [
        "schedule",
        "scheduleTimeZone",
        "successCount",
        "description",
        "command",
    ] {
        assert_eq!(before.0[field], after.0[field], "{field}");
    }
    let again = cron.rest.get("/v1/scheduler/jobs").expect(200).json();
    let of = |all: &Value| {
        all.as_array()
            .unwrap()
            .iter()
            .find(|j| j["name"] == "a16")
            .cloned()
            .unwrap()
    };
    assert_eq!(of(&listed), of(&again));
    assert_eq!(before.1, after.1);
}

fn absurd_numbers_are_refused(ground: &Ground) {
    for (field, value) in [
        ("cpus", json!(-1)),
        ("mem", json!(1e300)),
        ("disk", json!(-0.5)),
        ("retries", json!(-1)),
        ("maxCompletionTime", json!(-5)),
    ] {
        refused(
            ground.cron().post(&job("a17", "true", &json!({field: value}))),
            field,
        );
    }
}

fn zero_is_the_default(ground: &Ground) {
    let shown = ground
        .cron()
        .store(&job("a18", "true", &json!({"cpus": 0, "mem": 0, "disk": 0})))
        .show();
    let got = ["cpus", "mem", "disk"].map(|field| shown[field].as_f64());
    assert_eq!(got, [Some(0.1), Some(128.0), Some(256.0)], "{shown}");
}

fn a_container_needs_an_image(ground: &Ground) {
    let cron = ground.cron();
    let incomplete = json!({"container": {"type": "DOCKER", "network": "HOST"}});
    refused(cron.post(&job("a19", "true", &incomplete)), "container.image");
    let shown = cron.store(&job("a19", "true", &json!({"container": {}}))).show();
    assert!(shown.get("container").is_none(), "{shown}");
}

fn constraints_that_cannot_be_understood_are_refused(ground: &Ground) {
    for constraint in [json!(["hostname", "NEAR", "x"]), json!(["hostname", "LIKE", "("])] {
        refused(
            ground
                .cron()
                .post(&job("a20", "true", &json!({"constraints": [constraint]}))),
            "constraints",
        );
    }
}

fn a_search_has_a_limit_and_an_offset(ground: &Ground) {
    let cron = ground.cron();
    let jobs: Vec<Job> = (0..25)
        .map(|n| cron.store(&job(&format!("a21-{n:02}"), "true # A21word", &never())))
        .collect();
    assert_eq!(found(cron, "name=a21-").len(), 10);
    assert_eq!(found(cron, "name=a21-&offset=20").len(), 5);
    assert_eq!(found(cron, "name=A21-&limit=100").len(), 25);
    assert_eq!(found(cron, "command=a21WORD&limit=100").len(), 25);
    assert_eq!(found(cron, "name=a21-03&command=nothing"), BTreeSet::new());
    assert_eq!(
        found(cron, "name=a21-03&command=nothing&any=a21-04"),
        BTreeSet::from(["a21-04".to_owned()])
    );
    drop(jobs);
}
