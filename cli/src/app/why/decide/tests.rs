//! Ten situations and the reason that must be named, on answers of the shapes the servers give.

use super::*;

/// 2026-11-21T12:10:00Z.
const NOW: f64 = 1_795_263_000.0;

fn stamp(ago: f64) -> String {
    let at = jiff::Timestamp::from_millisecond(((NOW - ago) * 1000.0) as i64).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "scalar": {"value": value}})
}

fn agent(name: &str, cpus: f64, used: f64) -> Value {
    json!({
        "agent_info": {"id": {"value": format!("m-{name}")}, "hostname": name}, "active": true,
        "total_resources": [
            scalar("cpus", cpus), scalar("mem", 4096.0),
            {"name": "ports", "ranges": {"range": [{"begin": 31000, "end": 31001}]}},
        ],
        "allocated_resources": [scalar("cpus", used)],
    })
}

fn framework(connected: bool) -> Value {
    json!({
        "framework_info": {"id": {"value": "marathon-1"}, "name": "marathon"}, "connected": connected,
        "unregistered_time": {"nanoseconds": (NOW - 20.0) * 1e9},
    })
}

fn entry(overdue: bool, left: u64, since: f64) -> Value {
    json!({
        "count": 1, "delay": {"overdue": overdue, "timeLeftSeconds": left}, "since": stamp(since),
        "processedOffersSummary": {"processedOffersCount": 0, "unusedOffersCount": 0},
    })
}

fn task(name: &str, state: &str, more: &Value) -> Value {
    let mut task = json!({
        "id": format!("web.instance-{name}-0000-4000-8000-000000000000._app.1"), "host": "a1", "slaveId": "m-a1",
        "state": state, "stagedAt": stamp(51.0), "startedAt": stamp(50.0), "version": stamp(100.0), "ports": [31412],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        task[name] = value.clone();
    }
    task
}

fn app(more: &Value) -> Value {
    let mut app = json!({
        "id": "/web", "instances": 1, "cpus": 1, "mem": 128, "tasksRunning": 0, "tasks": [], "healthChecks": [],
        "deployments": [], "version": stamp(100.0), "versionInfo": {"lastConfigChangeAt": stamp(100.0)},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        app[name] = value.clone();
    }
    app
}

fn facts(app: Value, entry: Option<Value>, agents: Vec<Value>) -> Facts {
    Facts {
        now: NOW,
        app,
        entry,
        framework: "marathon-1".to_owned(),
        cluster: Some(Cluster {
            agents,
            frameworks: vec![framework(true)],
            ..Cluster::default()
        }),
        ..Facts::default()
    }
}

#[track_caller]
fn says(facts: &Facts, code: &str, verdict: &str) {
    let why = decide(facts);
    assert_eq!((why.code, why.verdict.as_str()), (code, verdict), "{why:?}");
}

#[test]
fn too_big() {
    let facts = facts(
        app(&json!({"cpus": 100})),
        Some(entry(true, 0, 252.0)),
        vec![agent("a1", 8.0, 0.0)],
    );
    says(
        &facts,
        "no-fit",
        "/web waits for 1 of 1 instances, since 4m12s: no agent is large enough for 100 cpus; the largest is a1 with 8 \
         cpus.",
    );
}

#[test]
fn no_ports() {
    let ports = json!({"portDefinitions": [{"port": 0}, {"port": 0}, {"port": 0}]});
    let facts = facts(
        app(&ports),
        Some(entry(true, 0, 6.0)),
        vec![agent("a1", 8.0, 0.0)],
    );
    says(
        &facts,
        "no-fit",
        "/web waits for 1 of 1 instances, since 6s: no agent with room has 3 ports free; the most are 2 on a1.",
    );
}

#[test]
fn back_off_after_crashes() {
    let failed = json!({"lastTaskFailure": {
        "message": "Command exited with status 1", "timestamp": stamp(8.0), "state": "TASK_FAILED",
    }});
    let mut facts = facts(
        app(&failed),
        Some(entry(false, 16, 60.0)),
        vec![agent("a1", 8.0, 0.0)],
    );
    facts.stderr = vec!["cannot open config".to_owned()];
    if let Some(cluster) = &mut facts.cluster {
        let ended = |n: u8| {
            json!({
                "task_id": {"value": format!("web.instance-{n}-0000._app.1")}, "state": "TASK_FAILED",
            })
        };
        cluster.completed_tasks = (0..5).map(ended).collect();
    }
    says(
        &facts,
        "delayed",
        "/web waits for 1 of 1 instances, since 1m: crashed 5 times, last 8s ago (Command exited with status 1), stderr: \
         \"cannot open config\"; next start in 16s.",
    );
}

#[test]
fn a_failing_health_check() {
    let results = json!({"healthCheckResults": [{
        "alive": false, "consecutiveFailures": 7, "lastFailureCause": "503 Service Unavailable", "firstSuccess": null,
    }]});
    let more = json!({
        "tasksRunning": 1, "tasks": [task("3f2a91c0", "TASK_RUNNING", &results)],
        "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0, "gracePeriodSeconds": 60}],
    });
    says(
        &facts(app(&more), None, vec![agent("a1", 8.0, 1.0)]),
        "not-healthy",
        "/web waits: web.3f2a91c0 on a1 runs since 50s, health check HTTP :31412/health fails (7 times: 503 Service \
         Unavailable); grace ends in 10s.",
    );
}

#[test]
fn an_agent_that_cannot_be_reached() {
    let more = json!({
        "tasks": [task("3f2a91c0", "TASK_UNREACHABLE", &json!({}))],
        "unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600},
    });
    let verdict = "/web waits for 1 of 1 instances: agent a1 cannot be reached; web.3f2a91c0 is there, replaced after 5m \
                   (unreachableStrategy).";
    says(&facts(app(&more), None, vec![]), "unreachable", verdict);
    // The service may not have heard of it yet, the master has.
    let mut running = app(&more);
    running["tasks"] = json!([task("3f2a91c0", "TASK_RUNNING", &json!({}))]);
    let mut away = agent("a1", 8.0, 1.0);
    away["active"] = json!(false);
    says(&facts(running, None, vec![away]), "unreachable", verdict);
}

#[test]
fn an_agent_that_was_given_up() {
    let mut lost = facts(app(&json!({})), Some(entry(true, 0, 10.0)), vec![]);
    if let Some(cluster) = &mut lost.cluster {
        cluster.unreachable_tasks = vec![json!({
            "task_id": {"value": "web.instance-3f2a91c0-1._app.1"}, "agent_id": {"value": "m-S3"},
            "statuses": [{"state": "TASK_UNREACHABLE", "timestamp": NOW - 10.0}],
        })];
    }
    says(
        &lost,
        "unreachable",
        "/web waits for 1 of 1 instances, since 10s: agent S3 cannot be reached since 10s, an instance was there and has no \
         new place yet.",
    );
    assert_eq!(decide(&lost).also[0].code, "no-offers");
}

#[test]
fn a_held_deployment() {
    let sick = json!({"version": stamp(30.0), "healthCheckResults": []});
    let more = json!({
        "instances": 2, "tasksRunning": 3, "versionInfo": {"lastConfigChangeAt": stamp(30.0)},
        "tasks": [task("aaaaaaaa", "TASK_RUNNING", &json!({"healthCheckResults": [{"alive": true}]})),
                  task("bbbbbbbb", "TASK_RUNNING", &json!({"healthCheckResults": [{"alive": true}]})),
                  task("cccccccc", "TASK_RUNNING", &sick)],
        "healthChecks": [{"protocol": "TCP", "portIndex": 0, "gracePeriodSeconds": 0}],
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.5},
        "deployments": [{"id": "5f1c2a90-1"}],
    });
    let mut facts = facts(app(&more), None, vec![agent("a1", 8.0, 3.0)]);
    facts.deployments = vec![json!({
        "id": "5f1c2a90-1", "affectedApps": ["/web"], "currentStep": 1, "totalSteps": 1,
        "currentActions": [{"action": "RestartApplication", "app": "/web"}],
        "steps": [{"actions": [{"action": "RestartApplication", "app": "/web"}]}],
    })];
    let why = decide(&facts);
    assert_eq!(why.code, "not-healthy");
    assert!(
        why.verdict
            .contains("web.cccccccc on a1 runs since 50s, health check TCP :31412 has not succeeded yet")
    );
    assert_eq!(why.also[0].code, "kept-old");
    assert_eq!(
        why.also[0].text,
        "deployment 5f1c2a90 holds 2 old instances until new ones are healthy: 2 of 2 must stay \
         (minimumHealthCapacity 1)"
    );
    assert!(
        why.ways
            .iter()
            .any(|(w, _)| w == "meseta deployment rollback 5f1c2a90")
    );
}

#[test]
fn another_app_of_the_deployment_comes_first() {
    let mut facts = facts(
        app(&json!({"deployments": [{"id": "d"}]})),
        None,
        vec![agent("a1", 8.0, 0.0)],
    );
    facts.deployments = vec![json!({
        "id": "5f1c2a90-1", "affectedApps": ["/db", "/web"], "currentStep": 2, "totalSteps": 3,
        "currentActions": [{"action": "ScaleApplication", "app": "/db"}],
        "steps": [{"actions": [{"action": "StartApplication", "app": "/db"}, {"action": "StartApplication", "app": "/web"}]},
                  {"actions": [{"action": "ScaleApplication", "app": "/db"}]},
                  {"actions": [{"action": "ScaleApplication", "app": "/web"}]}],
    })];
    let db = json!({"instances": 2, "tasksHealthy": 1, "healthChecks": [{}]});
    facts.others.insert("/db".to_owned(), db);
    says(
        &facts,
        "dependency",
        "/web waits for 1 of 1 instances: waits for /db (1/2 healthy) in step 2/3 of deployment 5f1c2a90.",
    );
}

#[test]
fn no_offers() {
    let lonely = facts(app(&json!({})), Some(entry(true, 0, 60.0)), vec![]);
    says(
        &lonely,
        "no-offers",
        "/web waits for 1 of 1 instances, since 1m: there are no offers: the cluster has no node.",
    );
    let mut away = agent("a1", 8.0, 0.0);
    away["active"] = json!(false);
    says(
        &facts(app(&json!({})), Some(entry(true, 0, 60.0)), vec![away]),
        "no-offers",
        "/web waits for 1 of 1 instances, since 1m: no agent is ready: a1 disconnected.",
    );
    let mut offered = agent("a1", 8.0, 0.0);
    offered["offered_resources"] = json!([scalar("cpus", 8.0)]);
    says(
        &facts(app(&json!({})), Some(entry(true, 0, 60.0)), vec![offered]),
        "no-offers",
        "/web waits for 1 of 1 instances, since 1m: it gets no offers (none has come yet), although there is room on a1; \
         what is free on 1 agent is offered to other frameworks just now.",
    );
}

#[test]
fn a_lost_master_and_a_suspended_app() {
    let mut lost = facts(app(&json!({})), Some(entry(true, 0, 60.0)), vec![]);
    if let Some(cluster) = &mut lost.cluster {
        cluster.frameworks = vec![framework(false)];
    }
    says(
        &lost,
        "no-framework",
        "/web: service has had no master for 20s; it places nothing until then.",
    );
    let off = facts(app(&json!({"instances": 0})), None, vec![]);
    says(
        &off,
        "suspended",
        "/web: 0 instances are wanted: it is suspended.",
    );
}

#[test]
fn what_starts_and_what_runs() {
    let staged = json!({"tasks": [task("3f2a91c0", "TASK_STAGING", &json!({}))]});
    says(
        &facts(app(&staged), None, vec![agent("a1", 8.0, 1.0)]),
        "launching",
        "/web waits for 1 of 1 instances: 1 not running yet: web.3f2a91c0 on a1 starts since 51s.",
    );
    let runs = json!({"tasksRunning": 1, "tasks": [task("3f2a91c0", "TASK_RUNNING", &json!({}))]});
    let running = facts(app(&runs), None, vec![agent("a1", 8.0, 1.0)]);
    says(
        &running,
        "running",
        "/web: nothing waits: 1 of 1 instances run (no health check).",
    );
    assert!(!decide(&running).waits());
}

#[test]
fn without_a_master_the_services_own_counts_are_told() {
    let mut queued = entry(true, 0, 60.0);
    queued["processedOffersSummary"] = json!({
        "processedOffersCount": 9,
        "rejectSummaryLastOffers": [{"reason": "InsufficientCpus", "declined": 3, "processed": 3},
                                    {"reason": "InsufficientPorts", "declined": 0, "processed": 0}],
    });
    let mut facts = facts(app(&json!({})), Some(queued), vec![]);
    facts.cluster = None;
    says(
        &facts,
        "no-fit",
        "/web waits for 1 of 1 instances, since 1m: no offer fits (of the last ones: InsufficientCpus 3).",
    );
}
