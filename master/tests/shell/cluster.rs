//! One agent, one framework, and what everybody sees of them.

use crate::agent::{Agent, reported};
use crate::support::{Answer, EventStream, Master, SUBSCRIBE, within};
use meseta_types::link::ToAgent;
use meseta_types::{AgentId, TaskState};
use serde_json::{Value, json};

pub(crate) struct Story {
    pub(crate) master: Master,
    pub(crate) agent: Agent,
    pub(crate) agent_id: AgentId,
    pub(crate) events: EventStream,
    pub(crate) framework_id: String,
    pub(crate) stream_id: String,
}

impl Story {
    /// An agent has registered, a framework has subscribed.
    pub(crate) async fn begin() -> Story {
        let master = Master::start().await;
        let (agent, agent_id) = Agent::register(&master).await;
        let mut events = master.stream("/api/v1/scheduler", SUBSCRIBE).await;
        let subscribed = events.next().await.unwrap();
        assert_eq!(subscribed["type"], "SUBSCRIBED");
        assert_eq!(events.next().await.unwrap(), json!({"type": "HEARTBEAT"}));
        let framework_id = subscribed["subscribed"]["framework_id"]["value"]
            .as_str()
            .unwrap();
        Story {
            stream_id: events.stream_id(),
            framework_id: framework_id.to_owned(),
            master,
            agent,
            agent_id,
            events,
        }
    }

    /// A call of the framework.
    pub(crate) async fn call(&self, mut call: Value) -> Answer {
        call["framework_id"] = json!({"value": self.framework_id});
        self.master.scheduler(&self.stream_id, &call.to_string()).await
    }

    /// Takes the next offer and launches a task on it.
    pub(crate) async fn launch(&mut self, task: &str) {
        let offers = self.events.next_of("OFFERS").await;
        let offer = &offers["offers"]["offers"][0];
        let answer = self
            .call(json!({"type": "ACCEPT", "accept": {
                "offer_ids": [offer["id"]],
                "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{
                    "name": task, "task_id": {"value": task}, "agent_id": offer["agent_id"],
                    "command": {"value": "sleep 1"}, "labels": {"labels": [{"key": "a", "value": "b"}]},
                    "resources": [
                        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}},
                        {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
                    ],
                }]}}],
                "filters": {"refuse_seconds": 3600},
            }}))
            .await;
        assert_eq!((answer.status, answer.text()), (202, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_runs_from_offer_to_acknowledged_end() {
    let mut story = Story::begin().await;
    let mut watch = story.master.stream("/api/v1", r#"{"type":"SUBSCRIBE"}"#).await;
    assert_eq!(watch.header("mesos-stream-id"), None);
    let state = watch.next().await.unwrap();
    assert_eq!(
        state["subscribed"]["get_state"]["get_agents"]["agents"][0]["active"],
        true
    );
    assert_eq!(state["subscribed"]["heartbeat_interval_seconds"], 15.0);
    assert_eq!(watch.next().await.unwrap(), json!({"type": "HEARTBEAT"}));

    story.launch("t1").await;
    let added = watch.next().await.unwrap();
    assert_eq!(added["type"], "TASK_ADDED");
    assert_eq!(added["task_added"]["task"]["state"], "TASK_STAGING");
    match story.agent.hear().await {
        ToAgent::RunTask { framework, task, .. } => {
            assert_eq!(framework.id.unwrap().as_str(), story.framework_id);
            assert_eq!(task.task_id.as_str(), "t1");
            assert_eq!(task.resources.scalar("cpus").to_f64(), 0.5);
        }
        other => panic!("{other:?}"),
    }

    let (framework, agent_id) = (story.framework_id.clone(), story.agent_id.clone());
    story
        .agent
        .update(&framework, &agent_id, "t1", TaskState::Running, 1)
        .await;
    let update = story.events.next_of("UPDATE").await;
    assert_eq!(update["update"]["status"]["state"], "TASK_RUNNING");
    assert_eq!(update["update"]["status"]["uuid"], "AQEBAQEBAQEBAQEBAQEBAQ==");
    let answer = story
        .call(json!({"type": "ACKNOWLEDGE", "acknowledge": {
            "agent_id": {"value": agent_id.as_str()}, "task_id": {"value": "t1"}, "uuid": "AQEBAQEBAQEBAQEBAQEBAQ=="}}))
        .await;
    assert_eq!(answer.status, 202);
    match story.agent.hear().await {
        ToAgent::AckUpdate { task_id, uuid, .. } => assert_eq!((task_id.as_str(), uuid.0), ("t1", [1; 16])),
        other => panic!("{other:?}"),
    }
    let updated = watch.next().await.unwrap();
    assert_eq!(updated["task_updated"]["state"], "TASK_RUNNING");

    let task = &story.master.json("/tasks").await["tasks"][0];
    assert_eq!(
        (&task["id"], &task["state"], &task["role"]),
        (&json!("t1"), &json!("TASK_RUNNING"), &json!("dev"))
    );
    assert_eq!(task["labels"], json!([{"key": "a", "value": "b"}]));
    let summary = story.master.json("/state-summary").await;
    assert_eq!(summary["slaves"][0]["TASK_RUNNING"], 1);
    assert_eq!(summary["frameworks"][0]["slave_ids"], json!([agent_id.as_str()]));
    let metrics = story.master.json("/metrics/snapshot").await;
    assert_eq!(
        (&metrics["master/tasks_running"], &metrics["master/cpus_used"]),
        (&json!(1.0), &json!(0.5))
    );

    let launches = format!("master/frameworks/f/{framework}/operations/launch");
    assert_eq!(metrics[launches], json!(1.0));

    let teardown = json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": framework}}});
    let answer = story.master.operator(&teardown.to_string()).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    while let Some(event) = story.events.next().await {
        assert_ne!(event["type"], "ERROR");
    }
    assert_eq!(
        watch.next_of("FRAMEWORK_REMOVED").await["framework_removed"]["framework_info"]["name"],
        "f"
    );
    let state = story.master.operator(r#"{"type":"GET_STATE"}"#).await.json();
    let frameworks = &state["get_state"]["get_frameworks"];
    assert_eq!(frameworks["frameworks"], json!([]));
    assert_eq!(
        frameworks["completed_frameworks"][0]["framework_info"]["name"],
        "f"
    );
    let answer = story.call(json!({"type": "REVIVE"})).await;
    assert_eq!((answer.status, answer.text()), (400, "Framework cannot be found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_stream_disconnects_and_a_new_one_takes_over() {
    let mut story = Story::begin().await;
    let again = SUBSCRIBE
        .replace(
            "\"name\":\"f\"",
            &format!("\"name\":\"f\",\"id\":{{\"value\":\"{}\"}}", story.framework_id),
        )
        .replace(
            "\"type\":\"SUBSCRIBE\"",
            &format!(
                "\"type\":\"SUBSCRIBE\",\"framework_id\":{{\"value\":\"{}\"}}",
                story.framework_id
            ),
        );
    let mut second = story.master.stream("/api/v1/scheduler", &again).await;
    assert_eq!(second.next().await.unwrap()["type"], "SUBSCRIBED");
    let error = story.events.next_of("ERROR").await;
    assert_eq!(error["error"]["message"], "Framework failed over");
    assert_eq!(story.events.next().await, None);
    let answer = story.call(json!({"type": "REVIVE"})).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().ends_with(&story.framework_id), "{}", answer.text());

    drop(second);
    within("the framework to be disconnected", async {
        loop {
            let answer = story.call(json!({"type": "REVIVE"})).await;
            if answer.status == 403 {
                return assert_eq!(answer.text(), "Framework is not subscribed");
            }
        }
    })
    .await;
    assert_eq!(
        story.master.json("/frameworks").await["frameworks"][0]["connected"],
        false
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_kills_a_task() {
    let mut story = Story::begin().await;
    story.launch("t1").await;
    assert!(matches!(story.agent.hear().await, ToAgent::RunTask { .. }));
    let kill = json!({"framework_id": story.framework_id, "task_id": "t1", "grace_seconds": 3.0}).to_string();
    let answer = story
        .master
        .exchange(&crate::support::post("/meseta/v1/kill_task", "", &kill))
        .await;
    assert_eq!((answer.status, answer.text()), (202, ""));
    match story.agent.hear().await {
        ToAgent::KillTask { task_id, grace, .. } => {
            assert_eq!((task_id.as_str(), grace.unwrap().as_secs()), ("t1", 3));
        }
        other => panic!("{other:?}"),
    }
    let answer = story
        .master
        .exchange(&crate::support::post(
            "/meseta/v1/kill_task",
            "",
            &kill.replace("t1", "t9"),
        ))
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_answered_is_applied_before_the_end_of_its_stream() {
    for _ in 0..20 {
        let story = Story::begin().await;
        assert_eq!(story.call(json!({"type": "TEARDOWN"})).await.status, 202);
        drop(story.events);
        within("the framework to be removed", async {
            while story.master.json("/frameworks").await["completed_frameworks"] == json!([]) {}
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_why_offers_stay_away_and_what_was_dropped() {
    let mut story = Story::begin().await;
    let offers = story.events.next_of("OFFERS").await;
    let decline = json!({"type": "DECLINE", "decline": {
        "offer_ids": [offers["offers"]["offers"][0]["id"]], "filters": {"refuse_seconds": 1000}}});
    assert_eq!(story.call(decline).await.status, 202);
    let path = format!("/meseta/v1/why_no_offers?framework_id={}", story.framework_id);
    let why = &story.master.json(&path).await[0];
    assert_eq!(
        (&why["role"], &why["standing"], &why["refused"]),
        (&json!("dev"), &json!("waiting"), &json!(1))
    );
    assert!(why["first_refusal_ends_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        story
            .master
            .get("/meseta/v1/why_no_offers?framework_id=x")
            .await
            .status,
        404
    );

    let message = json!({"type": "MESSAGE", "message": {
        "agent_id": {"value": "nope"}, "executor_id": {"value": "e"}, "data": ""}});
    assert_eq!(story.call(message).await.status, 202);
    let dropped = story.master.json("/meseta/v1/dropped").await;
    assert_eq!(dropped[0]["framework_id"], json!(story.framework_id), "{dropped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_states_are_sent_in_pieces_and_small_ones_whole() {
    let story = Story::begin().await;
    assert!(
        story
            .master
            .get("/state")
            .await
            .header("content-length")
            .is_some()
    );
    let id = story.agent_id.clone();
    let tasks = (0..3000)
        .map(|n| reported(&story.framework_id, format!("task-{n}")))
        .collect();
    let _agent = Agent::reregister(&story.master, &id, tasks).await;
    let state = story.master.get("/state").await;
    assert_eq!(state.header("transfer-encoding"), Some("chunked"));
    assert_eq!(
        state.json()["frameworks"][0]["tasks"].as_array().unwrap().len(),
        3000
    );
    let zipped = story
        .master
        .exchange("GET /state HTTP/1.1\r\nHost: m\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&zipped.body[..]), &mut plain).unwrap();
    let unzipped: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(unzipped["frameworks"], state.json()["frameworks"]);
    let page = story.master.json("/tasks?limit=2&offset=1&order=asc").await;
    assert_eq!(page["tasks"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_refuses_what_breaks_its_rules() {
    let master = Master::start().await;
    let (agent, _) = Agent::register(&master).await;
    agent
        .send(1, 5, vec![meseta_proto::convert::link::agent_alive()])
        .await;
    agent.closed().await;
    let (agent, _) = Agent::register(&master).await;
    agent
        .send(2, 2, vec![meseta_proto::convert::link::agent_alive()])
        .await;
    agent.closed().await;
    within("both agents to be disconnected", async {
        while master.json("/metrics/snapshot").await["master/slaves_connected"] != 0.0 {}
    })
    .await;
}
