//! What it starts with, refuses to start with, and how it stops.

use crate::master::Master;
use crate::support::{Cron, Disk, config, start, within};
use meseta_cron::{Ended, StartError};
use meseta_store::{Change, Commit, Key, Outcome, Store};
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;

async fn write(store: &Disk, key: &str, value: &str) {
    let change = Change::put(Key::new(key).unwrap(), value.to_owned());
    let outcome = store
        .submit(Commit {
            changes: vec![change],
        })
        .await;
    assert!(matches!(outcome, Outcome::Done(_)));
}

#[tokio::test]
async fn its_id_is_durable_before_it_subscribes_and_the_same_after_a_death() {
    let mut master = Master::start().await;
    let cron = Cron::start(master.address, &[]).await;
    let first = master.subscribed().await.call.framework_id.unwrap().value;
    let file = std::fs::read_to_string(cron.folder.path().join("framework.json")).unwrap();
    assert!(file.contains(&first), "{file}");
    assert_eq!(cron.disk.keys("framework"), ["framework"]);
    let _cron = cron.killed_and_back().await;
    assert_eq!(master.subscribed().await.call.framework_id.unwrap().value, first);
}

#[tokio::test]
async fn a_foreign_store_and_a_foreign_id_are_refused_with_exit_code_2() {
    let mut master = Master::start().await;
    let folder = TempDir::new().unwrap();
    let address = master.address;
    let config = |more: &[&str]| config(folder.path(), address, more);

    let foreign = Arc::new(Disk::default());
    write(&foreign, "agent/1", "x").await;
    let refused = start(config(&[]), foreign).await.unwrap_err();
    assert_eq!(refused.exit_code(), 2, "{refused}");

    let own = Arc::new(Disk::default());
    let mut running = start(config(&[]), own.clone()).await.unwrap();
    let _stream = master.subscribed().await;
    running.drain();
    assert_eq!(within("its end", running.join()).await, Ended::Stopped);
    let refused = start(config(&["--mesos_framework_name=other"]), own.clone())
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::OtherName { .. }), "{refused}");

    let file = folder.path().join("framework.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut identity: serde_json::Value = serde_json::from_str(&text).unwrap();
    identity["framework_id"] = json!("chronos-somebody-else");
    std::fs::write(&file, identity.to_string()).unwrap();
    let refused = start(config(&[]), own.clone()).await.unwrap_err();
    assert!(matches!(refused, StartError::OtherFramework { .. }), "{refused}");
    assert_eq!(refused.exit_code(), 2);

    // Without the file it comes back as a new framework, with its jobs.
    std::fs::remove_file(&file).unwrap();
    let mut running = start(config(&[]), own).await.unwrap();
    running.drain();
    assert_eq!(within("its end", running.join()).await.exit_code(), 0);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_named_and_can_be_deleted_or_replaced() {
    let cron = Cron::alone(&[]).await;
    for name in ["a", "b", "c"] {
        let job = json!({"name": name, "command": "true", "schedule": "R0//PT1H"});
        cron.put(job).await.done();
    }
    write(&cron.disk, "job/a", "{\"format\":1,").await;
    write(&cron.disk, "job/b", "nonsense").await;
    let cron = cron.killed_and_back().await;
    assert_eq!(cron.get("/v1/scheduler/jobs").await.as_array().unwrap().len(), 1);
    assert_eq!(
        cron.get("/v1/scheduler/jobs/overview").await["broken"],
        json!(["a", "b"])
    );
    let told = cron
        .send("GET", "/v1/scheduler/job/a", None)
        .await
        .refused(400, "Bad Request");
    assert!(told.contains("cannot be read"), "{told}");
    cron.send("DELETE", "/v1/scheduler/job/a", None).await.done();
    cron.put(json!({"name": "b", "command": "true", "schedule": "R0//PT1H"}))
        .await
        .done();
    assert_eq!(cron.get("/v1/scheduler/jobs/overview").await["broken"], json!([]));
    let cron = cron.killed_and_back().await;
    assert_eq!(cron.get("/v1/scheduler/jobs").await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn jobs_counters_and_positions_outlive_a_death_without_any_master() {
    let cron = Cron::alone(&[]).await;
    let job = json!({
        "name": "a", "command": "true", "schedule": "R5/2035-01-31T00:00:00Z/P1M", "scheduleTimeZone": "Europe/Berlin",
        "successCount": 3, "description": "kept", "epsilon": "PT60S", "container": {"image": "i", "type": "MESOS"},
    });
    cron.put(job).await.done();
    let child = json!({"name": "b", "command": "true", "parents": ["a"]});
    cron.send("POST", "/v1/scheduler/dependency", Some(child))
        .await
        .done();
    cron.send("PUT", "/v1/scheduler/pause/a", None).await.done();
    let before = cron.get("/v1/scheduler/jobs").await;
    assert_eq!(
        (&before[0]["disabled"], &before[0]["successCount"]),
        (&json!(true), &json!(3))
    );
    let cron = cron.killed_and_back().await;
    assert_eq!(cron.get("/v1/scheduler/jobs").await, before);
    cron.send("PUT", "/v1/scheduler/resume/a", None).await.done();
    assert_eq!(cron.get("/v1/scheduler/job/a").await["disabled"], false);
}
