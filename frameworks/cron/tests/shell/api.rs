//! The REST API: paths, methods, status codes, shapes. Nothing here needs a master.

use crate::support::Cron;
use serde_json::{Value, json};

fn never(name: &str) -> Value {
    json!({"name": name, "command": "true", "schedule": "R0//PT1H"})
}

#[tokio::test]
async fn both_dialects_are_served_and_writes_answer_204_with_nothing() {
    let cron = Cron::alone(&[]).await;
    assert_eq!(cron.send("GET", "/v1/scheduler/jobs", None).await.body, "[]");
    for (n, base) in ["/v1/scheduler", "/scheduler"].into_iter().enumerate() {
        let parent = format!("p{n}");
        for method in ["POST", "PUT"] {
            cron.send(method, &format!("{base}/iso8601"), Some(never(&parent)))
                .await
                .done();
            let child = json!({"name": format!("c{n}"), "command": "true", "parents": [parent]});
            cron.send(method, &format!("{base}/dependency"), Some(child))
                .await
                .done();
        }
        assert_eq!(
            cron.get(&format!("{base}/job/{parent}")).await["name"],
            json!(parent)
        );
        cron.send("PUT", &format!("{base}/job/{parent}?arguments=x"), None)
            .await
            .done();
        cron.send("DELETE", &format!("{base}/task/kill/{parent}"), None)
            .await
            .done();
        assert_eq!(
            cron.get(&format!("{base}/leader")).await["leader"],
            json!(cron.address.to_string())
        );
    }
    cron.send("DELETE", "/scheduler/task/all", None).await.done();
    assert_eq!(cron.send("GET", "/ping", None).await.body, "pong");
    let listing = cron.send("GET", "/scheduler/jobs", None).await;
    assert!(!listing.body.contains('\n') && listing.ok().as_array().unwrap().len() == 4);
}

#[tokio::test]
async fn unknown_jobs_are_400_everywhere_and_never_404() {
    let cron = Cron::alone(&[]).await;
    for (method, path) in [
        ("GET", "job/x"),
        ("PUT", "job/x"),
        ("DELETE", "job/x"),
        ("GET", "job/stat/x"),
        ("DELETE", "task/kill/x"),
        ("GET", "history/x"),
        ("GET", "overview/x"),
        ("GET", "next/x"),
        ("GET", "why/x"),
        ("PUT", "pause/x"),
        ("GET", "run/ct:1:0:x:"),
    ] {
        let reply = cron.send(method, &format!("/v1/scheduler/{path}"), None).await;
        let message = reply.refused(400, "Bad Request");
        assert!(message.contains("not found"), "{method} {path}: {message}");
    }
    let reply = cron.send("PUT", "/v1/scheduler/job/success/x", None).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "marked job x as successful: false")
    );
    let callback = cron
        .send("PUT", "/scheduler/task/ct:1:0:x:", Some(json!({"statusCode": 0})))
        .await;
    assert!(callback.refused(400, "Bad Request").contains("not found"));
}

#[tokio::test]
async fn paths_and_methods_that_are_none_say_so() {
    let cron = Cron::alone(&[]).await;
    for path in [
        "/",
        "/v1",
        "/v1/scheduler",
        "/v1/scheduler/nothing",
        "/v2/apps",
        "/v1/scheduler/job/a/b/c",
    ] {
        cron.send("GET", path, None).await.refused(404, "Not Found");
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/scheduler/jobs", "GET"),
        ("GET", "/v1/scheduler/iso8601", "POST, PUT"),
        ("POST", "/v1/scheduler/job/a", "GET, PUT, DELETE"),
        ("PATCH", "/scheduler/task/kill/a", "DELETE"),
    ] {
        let reply = cron.send(method, path, None).await;
        reply.refused(405, "Method Not Allowed");
        assert_eq!(reply.allow.as_deref(), Some(allow));
    }
    cron.send("GET", "/v1/scheduler/job/%ZZ", None)
        .await
        .refused(400, "Bad Request");
    let head = cron.send("HEAD", "/v1/scheduler/jobs", None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn bodies_that_are_no_jobs_are_refused_and_the_server_lives() {
    let cron = Cron::alone(&[]).await;
    let path = "/v1/scheduler/iso8601";
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["", "no json", "[]", "7", "null", "\"x\"", &deep] {
        cron.raw("POST", path, "application/json", body.into())
            .await
            .refused(400, "Bad Request");
    }
    let head = cron.head_of("POST", path, 100 << 20).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/jsonp",
    ] {
        let reply = cron.raw("POST", path, kind, never("a").to_string().into()).await;
        reply.refused(415, "Unsupported Media Type");
        let reply = cron.raw("POST", "/v1/scheduler/run/a", kind, Vec::new()).await;
        reply.refused(415, "Unsupported Media Type");
    }
    let with_charset = cron.raw(
        "POST",
        path,
        "application/json; charset=utf-8",
        never("a").to_string().into(),
    );
    with_charset.await.done();
}

#[tokio::test]
async fn every_answer_may_be_read_by_every_page_and_no_method_is_allowed_to_one() {
    let cron = Cron::alone(&[]).await;
    for (method, path) in [
        ("GET", "/ping"),
        ("GET", "/nothing"),
        ("OPTIONS", "/v1/scheduler/iso8601"),
    ] {
        let reply = cron.send(method, path, None).await;
        assert_eq!(reply.cors.as_deref(), Some("*"), "{method} {path}");
    }
}

#[tokio::test]
async fn with_credentials_everything_asks_for_them() {
    let cron = Cron::alone(&["--http_credentials=anna:geheim"]).await;
    for path in ["/ping", "/v1/scheduler/jobs", "/metrics"] {
        let reply = cron.send("GET", path, None).await;
        reply.refused(401, "Unauthorized");
        assert!(reply.challenge.unwrap().starts_with("Basic"));
    }
}

#[tokio::test]
async fn fields_that_make_no_sense_are_named() {
    let cron = Cron::alone(&[]).await;
    for (more, word) in [
        (json!({"name": ".."}), "name"),
        (json!({"name": "x".repeat(256)}), "1 to 255"),
        (
            json!({"schedule": "every day"}),
            "Cannot parse schedule 'every day'",
        ),
        (json!({"schedule": "R/2030-01-01T00:00:00Z/PT0.5S"}), "one second"),
        (json!({"schedule": "R5//P"}), "R5//P"),
        (
            json!({"schedule": "R//PT1H", "scheduleTimeZone": "BST"}),
            "ambiguous",
        ),
        (json!({"schedule": "61 * * * *"}), "61 * * * *"),
        (json!({"cpus": -1}), "cpus"),
        (json!({"retries": 1e9}), "retries"),
        (json!({"parents": ["x"]}), "the job 'x' was not found"),
        (json!({"container": {"type": "DOCKER"}}), "container.image"),
        (json!({"constraints": [["rack", "LIKE", "("]]}), "constraints[0]"),
        (json!({"command": "x".repeat(300_000)}), "262144 bytes"),
    ] {
        let mut job = never("a");
        job.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let message = cron.put(job).await.refused(400, "Bad Request");
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(cron.get("/v1/scheduler/jobs").await, json!([]));
}

#[tokio::test]
async fn dependent_jobs_are_refused_as_a_whole_and_the_graph_is_shown() {
    let cron = Cron::alone(&[]).await;
    let child = |name: &str, parents: &[&str]| json!({"name": name, "command": "true", "parents": parents});
    cron.put(never("a")).await.done();
    cron.put(child("b", &["a"])).await.done();
    let message = cron.put(child("a", &["b"])).await.refused(400, "Bad Request");
    assert!(message.contains("a, b, a"), "{message}");
    assert_eq!(cron.get("/v1/scheduler/job/a").await["schedule"], "R0//PT1H");
    let csv = cron.send("GET", "/v1/scheduler/graph/csv", None).await;
    assert_eq!(csv.body, "node,a,fresh,idle\nnode,b,fresh,idle\nlink,a,b\n");
    let dot = cron.send("GET", "/v1/scheduler/graph/dot", None).await;
    assert!(
        dot.body.starts_with("digraph") && dot.body.contains("0 -> 1;"),
        "{}",
        dot.body
    );
    let why = cron.get("/v1/scheduler/why/b").await;
    assert_eq!(
        (&why["code"], &why["verdict"]),
        (&json!("parent-not-run"), &json!("it waits for a success of a"))
    );
    cron.send("PUT", "/v1/scheduler/job/success/a", None).await;
    assert_eq!(cron.get("/v1/scheduler/overview/b").await["state"], "queued");
    assert_eq!(cron.get("/v1/scheduler/why/b").await["code"], "no-master");
}

#[tokio::test]
async fn starts_by_hand_wait_with_their_arguments_and_a_disabled_job_refuses_them() {
    let cron = Cron::alone(&[]).await;
    cron.put(never("a")).await.done();
    let started = cron
        .send("POST", "/v1/scheduler/run/a", Some(json!({"arguments": "x;y"})))
        .await
        .ok();
    let id = started["run"].as_str().unwrap();
    let run = cron.get(&format!("/v1/scheduler/run/{id}")).await;
    assert_eq!(
        (&run["result"], &run["cause"], &run["arguments"]),
        (&json!("waiting"), &json!("manual"), &json!("x;y"))
    );
    assert!(run["frameworkId"].as_str().unwrap().starts_with("chronos-"));
    cron.send("PUT", "/v1/scheduler/job/a", None).await.done();
    assert_eq!(cron.get("/v1/scheduler/overview/a").await["waiting"], 2);
    let long = "x".repeat(20_000);
    let refused = cron
        .send("POST", "/v1/scheduler/run/a", Some(json!({"arguments": long})))
        .await;
    assert!(refused.refused(400, "Bad Request").contains("arguments"));
    cron.send("DELETE", "/v1/scheduler/task/kill/a", None)
        .await
        .done();
    let runs = cron.get("/v1/scheduler/history/a").await;
    let results: Vec<&Value> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["result"])
        .collect();
    assert_eq!(results, ["cancelled", "cancelled"]);
    cron.send("PUT", "/v1/scheduler/pause/a", None).await.done();
    let refused = cron
        .send("PUT", "/v1/scheduler/job/a", None)
        .await
        .refused(400, "Bad Request");
    assert!(refused.contains("disabled"), "{refused}");
    assert_eq!(cron.get("/v1/scheduler/why/a").await["code"], "exhausted");
}

#[tokio::test]
async fn next_times_are_told_for_jobs_and_for_texts() {
    let cron = Cron::alone(&[]).await;
    let job = json!({"name": "a", "command": "x", "schedule": "R/2035-03-24T02:30:00/P1D", "scheduleTimeZone": "Europe/Paris"});
    cron.put(job).await.done();
    let next = cron.get("/v1/scheduler/next/a?n=3").await;
    // On the 25th clocks go forward at 02:00: 02:30 does not exist and is moved by the gap.
    let times = [
        "2035-03-24T01:30:00.000Z",
        "2035-03-25T01:30:00.000Z",
        "2035-03-26T00:30:00.000Z",
    ];
    assert_eq!(next["times"], json!(times));
    let text = "/v1/scheduler/next?schedule=R2/2035-01-01T00:00:00Z/PT1H&n=5";
    let next = cron.get(text).await;
    assert_eq!(
        (next["times"].as_array().unwrap().len(), &next["reason"]),
        (2, &json!("no further start"))
    );
    let next = cron
        .get("/v1/scheduler/next?schedule=0+12+*+*+*&scheduleTimeZone=UTC&n=2")
        .await;
    assert!(
        next["times"]
            .as_array()
            .unwrap()
            .iter()
            .all(|t| t.as_str().unwrap().ends_with("T12:00:00.000Z"))
    );
    for bad in [
        "schedule=soon",
        "schedule=R//PT1H&n=0",
        "n=1",
        "schedule=R//PT1H&scheduleTimeZone=Mars",
    ] {
        let reply = cron.send("GET", &format!("/v1/scheduler/next?{bad}"), None).await;
        reply.refused(400, "Bad Request");
    }
}

#[tokio::test]
async fn a_job_that_was_read_and_is_sent_back_changes_nothing() {
    let cron = Cron::alone(&[]).await;
    let job = json!({
        "name": "a", "command": "x", "schedule": "R5/2035-01-31T00:00:00Z/P1M", "uris": ["http://x/a"], "successCount": 2,
    });
    cron.put(job).await.done();
    let before = cron.get("/v1/scheduler/jobs").await;
    cron.put(before[0].clone()).await.done();
    assert_eq!(cron.get("/v1/scheduler/jobs").await, before);
    let mut edited = before[0].clone();
    edited.as_object_mut().unwrap().remove("successCount");
    edited["command"] = json!("y");
    cron.put(edited).await.done();
    let after = cron.get("/v1/scheduler/job/a").await;
    assert_eq!(
        (&after["command"], &after["successCount"]),
        (&json!("y"), &json!(2))
    );
    assert_eq!(after["schedule"], before[0]["schedule"]);
}

#[tokio::test]
async fn numbers_of_a_job_that_never_ran_are_zeros() {
    let cron = Cron::alone(&[]).await;
    cron.put(never("a")).await.done();
    let zeros = json!({
        "75thPercentile": 0.0, "95thPercentile": 0.0, "98thPercentile": 0.0, "99thPercentile": 0.0,
        "median": 0.0, "mean": 0.0, "count": 0,
    });
    let stat = cron.get("/v1/scheduler/job/stat/a").await;
    assert_eq!(stat, json!({"histogram": zeros, "taskStatHistory": []}));
    assert_eq!(
        cron.get("/v1/scheduler/stats/median").await,
        json!([{"jobNameLabel": "a", "time": 0.0}])
    );
    assert_eq!(cron.get("/v1/scheduler/stats/nonsense").await, json!([]));
    let metrics = cron.get("/metrics").await;
    assert!(metrics["version"].is_string() && metrics["gauges"].is_object());
    let text = cron.send("GET", "/metrics/prometheus", None).await.body;
    assert!(
        text.contains("meseta_cron_jobs 1\n") && text.contains("meseta_cron_subscribed 0\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_search_takes_ten_from_an_offset_on() {
    let cron = Cron::alone(&[]).await;
    for n in 0..25 {
        cron.put(never(&format!("job-{n:02}"))).await.done();
    }
    let count = async |query: &str| {
        let found = cron.get(&format!("/v1/scheduler/jobs/search?{query}")).await;
        found.as_array().unwrap().len()
    };
    assert_eq!(count("name=JOB").await, 10);
    assert_eq!(count("name=job&offset=20").await, 5);
    assert_eq!(count("limit=100").await, 25);
    assert_eq!(count("name=job-03&command=nothing").await, 0);
    assert_eq!(count("name=job-03&command=nothing&any=job-04").await, 1);
    let odd = cron.send("GET", "/v1/scheduler/jobs/search?limit=x", None).await;
    odd.refused(404, "Not Found");
}

#[tokio::test]
async fn the_last_inputs_are_shown_without_what_jobs_hold() {
    let cron = Cron::alone(&[]).await;
    let job = json!({"name": "a", "command": "open sesame", "schedule": "R0//PT1M"});
    cron.put(job).await.done();
    let shown = cron.send("GET", "/meseta/v1/last_inputs", None).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    assert!(
        shown.body.contains("Put") && !shown.body.contains("sesame"),
        "{}",
        shown.body
    );
    cron.send("PUT", "/meseta/v1/last_inputs", None)
        .await
        .refused(405, "Method Not Allowed");
}
