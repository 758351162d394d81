//! The order of checks and the words of refusals, as recorded from Mesos 1.12.

use crate::support::{Master, post};

/// Requests that are no calls, and their answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_in_the_recorded_order_and_words() {
    let master = Master::start().await;
    let head = "Host: m\r\nConnection: close\r\n";
    let raw = |line: &str, headers: &str, body: &str| {
        format!(
            "{line} HTTP/1.1\r\n{head}{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (request, status, text) in [
        (
            raw("GET /api/v1", "", ""),
            405,
            "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.",
        ),
        (
            raw("POST /api/v1", "", "{}"),
            400,
            "Expecting 'Content-Type' to be present",
        ),
        (
            raw(
                "POST /api/v1",
                "Content-Type: application/json; charset=utf-8\r\n",
                "{}",
            ),
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        ),
        (
            raw("POST /api/v1", "Content-Type: application/x-protobuf\r\n", "{}"),
            400,
            "Failed to parse body into Call protobuf",
        ),
        (
            post("/api/v1", "Accept: text/html\r\n", r#"{"type":"NOPE"}"#),
            400,
            "Failed to validate master::Call: Expecting 'type' to be present",
        ),
        (
            post("/api/v1", "Accept: text/html\r\n", r#"{"type":"GET_HEALTH"}"#),
            406,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        ),
        (
            post("/api/v1", "", r#"{"type":"UNKNOWN"}"#),
            501,
            "501 Not Implemented.",
        ),
        (
            post(
                "/api/v1",
                "",
                r#"{"type":"TEARDOWN","teardown":{"framework_id":{"value":"x"}}}"#,
            ),
            400,
            "No framework found with specified ID",
        ),
        (
            post("/api/v1/scheduler", "", r#"{"type":"SUBSCRIBE"}"#),
            400,
            "Failed to validate scheduler::Call: Expecting 'subscribe' to be present",
        ),
        (
            post(
                "/api/v1/scheduler",
                "Accept: text/html\r\n",
                r#"{"type":"REVIVE","framework_id":{"value":"x"}}"#,
            ),
            400,
            "Framework cannot be found",
        ),
        (
            post(
                "/api/v1/scheduler",
                "Mesos-Stream-Id: x\r\n",
                crate::support::SUBSCRIBE,
            ),
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ),
        (
            post("/api/v1/scheduler", "", r#"{"type":"REVIVE"}"#),
            400,
            "Failed to validate scheduler::Call: Expecting 'framework_id' to be present",
        ),
        (
            post(
                "/api/v1/scheduler",
                "",
                r#"{"type":"ACKNOWLEDGE","framework_id":{"value":"x"},"acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"c2hvcnQ="}}"#,
            ),
            400,
            "Failed to validate scheduler::Call: Not a valid UUID",
        ),
        (
            post("/teardown", "", ""),
            400,
            "Missing 'frameworkId' query parameter in the request body",
        ),
        (
            raw("GET /metrics/snapshot?timeout=abc", "", ""),
            400,
            "Invalid timeout 'abc': Failed to convert '' to number.\n",
        ),
        (
            raw("GET /reserve", "", ""),
            405,
            "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.",
        ),
        (raw("POST /quota", "", "{garbage"), 501, "501 Not Implemented."),
        (raw("GET /nope", "", ""), 404, "404 Not Found."),
        (raw("GET //version", "", ""), 404, "404 Not Found."),
        (raw("GET /redirect/x", "", ""), 404, "404 Not Found."),
    ] {
        let answer = master.exchange(&request).await;
        assert_eq!((answer.status, answer.text()), (status, text), "{request}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_answers_have_the_recorded_shapes() {
    let master = Master::start().await;
    for (call, answer) in [
        (
            "GET_HEALTH",
            r#"{"type":"GET_HEALTH","get_health":{"healthy":true}}"#,
        ),
        ("GET_ROLES", r#"{"type":"GET_ROLES","get_roles":{}}"#),
        ("GET_WEIGHTS", r#"{"type":"GET_WEIGHTS"}"#),
        (
            "GET_OPERATIONS",
            r#"{"type":"GET_OPERATIONS","get_operations":{}}"#,
        ),
        ("GET_QUOTA", r#"{"type":"GET_QUOTA","get_quota":{"status":{}}}"#),
        (
            "GET_MAINTENANCE_STATUS",
            r#"{"type":"GET_MAINTENANCE_STATUS","get_maintenance_status":{"status":{}}}"#,
        ),
        (
            "GET_STATE",
            r#"{"type":"GET_STATE","get_state":{"get_tasks":{"tasks":[],"unreachable_tasks":[],"completed_tasks":[]},"get_executors":{"executors":[]},"get_frameworks":{"frameworks":[],"completed_frameworks":[]},"get_agents":{"agents":[],"recovered_agents":[]}}}"#,
        ),
    ] {
        let got = master.operator(&format!(r#"{{"type":"{call}"}}"#)).await;
        assert_eq!((got.status, got.text()), (200, answer));
        assert_eq!(got.header("content-type"), Some("application/json"));
    }
    for (path, answer) in [
        ("/slaves", r#"{"slaves":[],"recovered_slaves":[]}"#),
        (
            "/master/frameworks",
            r#"{"frameworks":[],"completed_frameworks":[],"unregistered_frameworks":[]}"#,
        ),
        ("/tasks", r#"{"tasks":[]}"#),
        ("/roles", r#"{"roles":[]}"#),
        ("/weights", "[]"),
        ("/quota", "{}"),
        ("/maintenance/schedule", "{}"),
        ("/slaves?jsonp=cb", r#"cb({"slaves":[],"recovered_slaves":[]})"#),
    ] {
        assert_eq!(master.get(path).await.text(), answer, "{path}");
    }
    let health = master.get("/health").await;
    assert_eq!((health.status, health.text()), (200, ""));
    let version = master.json("/version").await;
    assert_eq!(version["version"], "1.12.0");
    assert_eq!(version["meseta_version"], env!("CARGO_PKG_VERSION"));
    let redirect = master.get("/redirect").await;
    let port = master.address.port();
    assert_eq!(redirect.status, 307);
    assert_eq!(
        redirect.header("location"),
        Some(format!("//localhost:{port}").as_str())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protobuf_callers_get_protobuf() {
    let master = Master::start().await;
    // GET_STATE is 9, GET_AGENTS 10.
    for (number, member) in [(9u8, 9u8 << 3 | 2), (10, 10 << 3 | 2)] {
        let request = format!(
            "POST /api/v1 HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\nAccept: application/x-protobuf\r\nContent-Length: 2\r\n\r\n\u{8}{}",
            char::from(number)
        );
        let answer = master.exchange(&request).await;
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(answer.body[0], 1 << 3);
        assert_eq!(answer.body[2], member);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_same_metrics() {
    let master = Master::start().await;
    let answer = master.get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        answer
            .text()
            .contains("# TYPE meseta_master_elected gauge\nmeseta_master_elected 1\n"),
        "{}",
        answer.text()
    );
}
