//! Runs from their slot to their end: what is recorded, launched, acknowledged, and what a death in between leaves.

use crate::master::{Master, Stream};
use crate::support::{Cron, within};
use meseta_cron::Ended;
use meseta_proto::mesos::v1::TaskState;
use meseta_proto::mesos::v1::scheduler::call::Type;
use meseta_sdk::Exit;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn once(name: &str) -> Value {
    json!({"name": name, "command": "true", "schedule": "R1//PT1M", "retries": 0})
}

fn ran(job: &Value) -> bool {
    job["successCount"] == 1
}

/// A framework that is subscribed with a master.
async fn subscribed() -> (Master, Cron, Stream) {
    let mut master = Master::start().await;
    let cron = Cron::start(master.address, &[]).await;
    let stream = master.subscribed().await;
    (master, cron, stream)
}

/// The same with a job `a`, whose only run was launched with the offer `o1`: its id.
async fn launched() -> (Master, Cron, Stream, String) {
    let (mut master, cron, stream) = subscribed().await;
    cron.put(once("a")).await.done();
    stream.offer("o1", 4.0).await;
    let id = master.launch().await.remove(0).task_id.value;
    (master, cron, stream, id)
}

#[tokio::test]
async fn a_due_run_is_recorded_before_it_is_launched_and_its_end_before_it_is_acknowledged() {
    let (mut master, cron, stream, id) = launched().await;
    assert!(id.starts_with("ct:") && id.ends_with(":0:a:"), "{id}");
    assert_eq!(cron.disk.keys("run/"), [format!("run/{id}")]);

    stream.update(&id, TaskState::TaskRunning, 1).await;
    let ack = master.call(Type::Acknowledge).await.acknowledge.unwrap();
    assert_eq!(ack.task_id.value, id);
    let runs = cron.get("/v1/scheduler/history/a").await;
    assert_eq!(
        (&runs["runs"][0]["result"], &runs["runs"][0]["host"]),
        (&json!("running"), &json!("h1"))
    );

    // The same update three times: counted once, acknowledged each time.
    for _ in 0..3 {
        stream.update(&id, TaskState::TaskFinished, 2).await;
        master.call(Type::Acknowledge).await;
        assert_eq!(cron.get("/v1/scheduler/job/a").await["successCount"], 1);
    }
    assert!(cron.disk.keys("run/").is_empty());
    assert_eq!(cron.disk.keys("ended/a/").len(), 1);
    let job = cron.get("/v1/scheduler/job/a").await;
    assert_eq!(job["disabled"], true, "its only slot is used up");
}

#[tokio::test]
async fn while_the_store_is_full_nothing_is_launched_nothing_changes_and_callers_hear_it() {
    let (mut master, cron, stream) = subscribed().await;
    cron.put(once("a")).await.done();
    cron.until("/v1/scheduler/jobs/summary", "the slot", |all| {
        all["jobs"][0]["state"] == "queued"
    })
    .await;

    cron.disk.full.store(true, Ordering::SeqCst);
    let refused = cron.put(once("b")).await.refused(503, "Service Unavailable");
    assert!(refused.contains("no space"), "{refused}");
    assert_eq!(cron.get("/v1/scheduler/jobs").await.as_array().unwrap().len(), 1);
    stream.offer("o1", 4.0).await;
    // The offer was for a launch that could not be recorded: it goes back.
    let decline = master.call(Type::Decline).await.decline.unwrap();
    assert_eq!(decline.offer_ids[0].value, "o1");
    assert!(master.heard().iter().all(|call| call.r#type() != Type::Accept));

    cron.disk.full.store(false, Ordering::SeqCst);
    stream.offer("o2", 4.0).await;
    assert_eq!(master.launch().await.len(), 1);
    cron.put(once("b")).await.done();
}

#[tokio::test]
async fn a_launch_that_was_recorded_and_never_arrived_is_made_again_and_one_that_did_is_not() {
    let (mut master, cron, stream) = subscribed().await;
    cron.put(once("lost")).await.done();
    cron.put(once("there")).await.done();
    stream.offer("o1", 4.0).await;
    let mut ids: Vec<String> = Vec::new();
    while ids.len() < 2 {
        ids.extend(master.launch().await.into_iter().map(|task| task.task_id.value));
        stream.offer(&format!("more{}", ids.len()), 4.0).await;
    }
    let id = |name: &str| ids.iter().find(|id| id.contains(name)).unwrap().clone();

    let cron = cron.killed_and_back().await;
    let stream = master.subscribed().await;
    let asked = master.call(Type::Reconcile).await.reconcile.unwrap();
    assert_eq!(asked.tasks.len(), 2);
    assert!(
        asked
            .tasks
            .iter()
            .all(|task| task.agent_id.as_ref().unwrap().value == "a1")
    );
    stream.reconciled(&id("there"), TaskState::TaskRunning).await;
    stream.reconciled(&id("lost"), TaskState::TaskGone).await;
    stream.offer("o9", 4.0).await;
    let again: Vec<String> = master
        .launch()
        .await
        .into_iter()
        .map(|task| task.task_id.value)
        .collect();
    let second = format!("{}~2", id("lost"));
    assert_eq!(again, [&*second]);
    for (n, (name, id)) in [("there", id("there")), ("lost", second)].into_iter().enumerate() {
        stream.update(&id, TaskState::TaskFinished, 10 + n as u8).await;
        cron.until(&format!("/v1/scheduler/job/{name}"), "its success", ran)
            .await;
    }
}

#[tokio::test]
async fn an_answer_about_the_time_before_a_launch_does_not_take_the_launch_back() {
    let (mut master, cron, stream, id) = launched().await;
    // Nobody asked about it since it was launched: the word is of an earlier time.
    stream.reconciled(&id, TaskState::TaskGone).await;
    stream.update(&id, TaskState::TaskRunning, 1).await;
    master.call(Type::Acknowledge).await;
    stream.offer("o2", 4.0).await;
    master.call(Type::Decline).await;
    assert!(master.heard().iter().all(|call| call.r#type() != Type::Accept));
    let runs = cron.get("/v1/scheduler/history/a").await;
    assert_eq!(runs["runs"][0]["result"], "running");
}

#[tokio::test]
async fn a_launch_that_the_master_did_not_take_goes_to_the_next_offer() {
    let (mut master, cron, stream, id) = launched().await;
    // The offer was rescinded meanwhile: the master drops the task.
    let dropped = meseta_proto::mesos::v1::task_status::Reason::InvalidOffers;
    stream.say(dropped_task(&id, dropped)).await;
    cron.until("/v1/scheduler/history/a", "it waits", |runs| {
        runs["runs"][0]["result"] == "waiting"
    })
    .await;
    stream.offer("o2", 4.0).await;
    let task = master.launch().await.remove(0);
    let second = task.task_id.value;
    assert_eq!(second, format!("{id}~2"), "the same attempt");
    let variables = task.command.unwrap().environment.unwrap().variables;
    let attempt = variables.iter().find(|v| v.name == "CHRONOS_JOB_RUN_ATTEMPT");
    assert_eq!(attempt.unwrap().value.as_deref(), Some("0"));
    // What the first one's agent says late is settled, and is not about the second.
    stream.update(&id, TaskState::TaskDropped, 1).await;
    master.call(Type::Acknowledge).await;
    for known_as in [&id, &second] {
        let run = cron.get(&format!("/v1/scheduler/run/{known_as}")).await;
        assert_eq!(
            (&run["run"], &run["result"]),
            (&json!(second), &json!("starting"))
        );
    }
    stream.update(&second, TaskState::TaskFinished, 2).await;
    let job = cron.until("/v1/scheduler/job/a", "its success", ran).await;
    assert_eq!(job["errorCount"], 0);
}

fn dropped_task(
    id: &str,
    reason: meseta_proto::mesos::v1::task_status::Reason,
) -> meseta_proto::mesos::v1::scheduler::Event {
    use meseta_proto::mesos::v1;
    v1::scheduler::Event {
        r#type: Some(v1::scheduler::event::Type::Update as i32),
        update: Some(v1::scheduler::event::Update {
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: id.into() },
                state: TaskState::TaskDropped as i32,
                reason: Some(reason as i32),
                ..Default::default()
            },
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_run_started_by_hand_and_a_retry_outlive_a_death() {
    let mut master = Master::start().await;
    let cron = Cron::start(master.address, &["--failure_retry=1"]).await;
    let _stream = master.subscribed().await;
    let never = json!({"name": "a", "command": "x", "schedule": "R0//PT1M", "retries": 1});
    cron.put(never).await.done();
    let started = cron
        .send("POST", "/v1/scheduler/run/a", Some(json!({"arguments": "y z"})))
        .await
        .ok();
    let first = started["run"].as_str().unwrap().to_owned();

    let cron = cron.killed_and_back().await;
    let stream = master.subscribed().await;
    stream.offer("o1", 4.0).await;
    let task = master.launch().await.remove(0);
    assert_eq!(task.task_id.value, first);
    assert_eq!(task.command.unwrap().value.as_deref(), Some("x y z"));
    stream.update(&first, TaskState::TaskFailed, 1).await;
    master.call(Type::Acknowledge).await;

    let cron = cron.killed_and_back().await;
    let stream = master.subscribed().await;
    stream.offer("o2", 4.0).await;
    let second = master.launch().await.remove(0).task_id.value;
    assert_eq!(second, first.replacen(":0:a:", ":1:a:", 1));
    stream.update(&second, TaskState::TaskFinished, 2).await;
    cron.until("/v1/scheduler/job/a", "its success", ran).await;
    let runs = cron.get("/v1/scheduler/history/a").await;
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(
        (runs.len(), &runs[0]["result"], &runs[0]["attempts"]),
        (1, &json!("success"), &json!(2))
    );
    assert_eq!(
        cron.get(&format!("/v1/scheduler/run/{first}")).await["run"],
        second
    );
}

#[tokio::test]
async fn a_deleted_job_takes_its_task_along_and_a_kill_is_told_until_it_is_heard() {
    let (mut master, cron, stream, id) = launched().await;
    stream.update(&id, TaskState::TaskRunning, 1).await;
    master.call(Type::Acknowledge).await;
    cron.send("DELETE", "/v1/scheduler/job/a", None).await.done();
    let kill = master.call(Type::Kill).await.kill.unwrap();
    assert_eq!(
        (&*kill.task_id.value, &*kill.agent_id.unwrap().value),
        (&*id, "a1")
    );
    let gone = cron
        .send("DELETE", "/v1/scheduler/job/a", None)
        .await
        .refused(400, "Bad Request");
    assert!(gone.contains("not found"), "{gone}");
    assert!(cron.disk.keys("ended/").is_empty() && cron.disk.keys("job/").is_empty());

    drop(stream);
    let _stream = master.subscribed().await;
    assert_eq!(master.call(Type::Kill).await.kill.unwrap().task_id.value, id);
}

#[tokio::test]
async fn offers_that_nobody_needs_go_back_for_five_seconds() {
    let (mut master, cron, stream) = subscribed().await;
    master.call(Type::Suppress).await;
    stream.offer("o1", 4.0).await;
    let decline = master.call(Type::Decline).await.decline.unwrap();
    assert_eq!(decline.filters.unwrap().refuse_seconds, Some(5.0));
    cron.put(once("a")).await.done();
    master.call(Type::Revive).await;
    assert_eq!(cron.get("/v1/scheduler/why/a").await["code"], "no-offers");
    stream.offer("o2", 0.01).await;
    let why = cron
        .until("/v1/scheduler/why/a", "the reason", |why| {
            why["code"] == "does-not-fit"
        })
        .await;
    assert!(
        why["verdict"]
            .as_str()
            .unwrap()
            .contains("cpus 0.1 needed, 0.01 largest"),
        "{why}"
    );
}

#[tokio::test]
async fn a_removed_framework_ends_with_a_code_of_its_own_and_says_what_to_do() {
    let mut master = Master::start().await;
    let mut cron = Cron::start(master.address, &[]).await;
    let stream = master.subscribed().await;
    let info = stream.info();
    assert_eq!(info.name, "chronos");
    assert_eq!(
        info.webui_url.clone().unwrap(),
        format!("http://{}", cron.address)
    );
    assert!(
        stream
            .call
            .framework_id
            .as_ref()
            .unwrap()
            .value
            .starts_with("chronos-")
    );
    stream.error("Framework has been removed").await;
    let mut running = cron.running.take().unwrap();
    let ended = within("its end", running.join()).await;
    assert_eq!(ended, Ended::Framework(Exit::Removed));
    assert_eq!(ended.exit_code(), 110);
    assert!(ended.to_string().contains("framework.json"), "{ended}");
}
