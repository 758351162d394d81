//! H: history, statistics, graph, metrics.

use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cron::job;
use meseta_tests::daemon::Pair;
use meseta_tests::service::text;
use serde_json::json;

behaviours! {
    "H5" a_run_that_ended_heads_the_history,
    "H6 H11" one_run_is_in_the_statistics_and_the_metrics,
    "H7" a_job_that_never_ran_has_zeros,
    "H8 H9" the_graph_has_nodes_and_links,
    "H10" success_and_failure_at_once_are_a_failure,
}

fn a_run_that_ended_heads_the_history(ground: &Ground) {
    let cron = ground.cron();
    let h5 = cron.store(&job(
        "h5",
        "exit $(($CHRONOS_JOB_RUN_ATTEMPT + 3))",
        &json!({"retries": 0}),
    ));
    h5.start();
    h5.until("has failed", |job| job["errorCount"] == 1);
    let entry = h5.until_history("has an entry", |runs| runs.len() == 1).remove(0);
    assert_eq!(
        (&entry["jobName"], &entry["status"]),
        (&json!("h5"), &json!("Fail")),
        "{entry}"
    );
    assert!(
        text(&entry["taskId"]).starts_with("ct:") && text(&entry["taskId"]).contains(":h5:"),
        "{entry}"
    );
    for field in ["slaveId", "startTime", "endTime", "duration", "host"] {
        assert!(
            entry[field].as_str().is_some_and(|t| !t.is_empty() && t != "N/A"),
            "{field}: {entry}"
        );
    }
    cron.post(&job("h5", "true", &json!({"retries": 0}))).expect(204);
    h5.start();
    h5.until("has succeeded", |job| job["successCount"] == 1);
    let entries = h5.until_history("has two entries", |runs| runs.len() == 2);
    assert_eq!(
        (&entries[0]["status"], &entries[1]["status"]),
        (&json!("Success"), &json!("Fail")),
        "{entries:?}"
    );
}

fn one_run_is_in_the_statistics_and_the_metrics(ground: &Ground) {
    let cron = ground.cron();
    let h6 = cron.store(&job("h6", "true", &json!({})));
    h6.start();
    h6.until("has run", |job| job["successCount"] == 1);
    for p in [
        "99thPercentile",
        "98thPercentile",
        "95thPercentile",
        "75thPercentile",
        "median",
        "mean",
    ] {
        let all = cron
            .rest
            .get(&format!("/v1/scheduler/stats/{p}"))
            .expect(200)
            .json();
        let mine: Vec<_> = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["jobNameLabel"] == "h6")
            .collect();
        assert!(
            mine.len() == 1 && mine[0]["time"].as_f64() >= Some(0.0),
            "{p}: {all}"
        );
    }
    assert_eq!(
        cron.rest.get("/v1/scheduler/stats/nonsense").expect(200).json(),
        json!([])
    );
    let stat = cron.rest.get("/v1/scheduler/job/stat/h6").expect(200).json();
    assert_eq!(stat["histogram"]["count"], 1, "{stat}");
    let metrics = cron.rest.get("/metrics").expect(200).json();
    assert!(
        metrics["version"].is_string() && metrics["gauges"].is_object(),
        "{metrics}"
    );
    assert_eq!(
        metrics["counters"]["jobs.run.success.h6"]["count"], 1,
        "{metrics}"
    );
}

fn a_job_that_never_ran_has_zeros(ground: &Ground) {
    let h7 = ground.cron().store(&job("h7", "true", &json!({})));
    let stat = h7.cron.rest.get("/v1/scheduler/job/stat/h7").expect(200).json();
    let zeros = json!({"75thPercentile": 0.0, "95thPercentile": 0.0, "98thPercentile": 0.0, "99thPercentile": 0.0,
        "median": 0.0, "mean": 0.0, "count": 0});
    assert_eq!(stat, json!({"histogram": zeros, "taskStatHistory": []}));
    h7.cron.rest.get("/v1/scheduler/job/stat/h7-unknown").expect(400);
}

fn the_graph_has_nodes_and_links(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (_daemon, cron) = pair.start_cron(&[]);
    let csv = || -> Vec<String> {
        let text = cron.rest.get("/v1/scheduler/graph/csv").expect(200).text();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    cron.store(&job("h8a", "true", &json!({}))).forget();
    cron.store(&job("h8b", "true", &json!({}))).forget();
    assert_eq!(csv(), ["node,h8a,fresh,idle", "node,h8b,fresh,idle"]);
    cron.store(&job("h9", "true", &json!({"parents": ["h8a"]})))
        .forget();
    assert_eq!(
        csv(),
        [
            "link,h8a,h9",
            "node,h8a,fresh,idle",
            "node,h8b,fresh,idle",
            "node,h9,fresh,idle"
        ]
    );
}

fn success_and_failure_at_once_are_a_failure(ground: &Ground) {
    let at = "2026-01-02T03:04:05.678Z";
    let h10 = ground
        .cron()
        .store(&job("h10", "true", &json!({"lastSuccess": at, "lastError": at})));
    assert_eq!(h10.cron.summary("h10").unwrap()["status"], "failure");
}
