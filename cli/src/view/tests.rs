//! What people see of a small cluster, word for word.
#![allow(clippy::unwrap_used)]

use super::task::{task_list, task_text};
use super::*;
use crate::args::TaskList;
use crate::output::Style;

fn resources(cpus: f64, mem: f64) -> Value {
    json!([
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 10240.0}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31000}, {"begin": 31005, "end": 31009}]}},
    ])
}

fn cluster() -> Cluster {
    let ns = |secs: f64| json!({"nanoseconds": secs * 1e9});
    Cluster {
        agents: vec![
            json!({
                "agent_info": {"id": {"value": "m-S0"}, "hostname": "a1"}, "active": true, "version": "1.12.0",
                "pid": "slave(1)@10.0.0.1:5051", "registered_time": ns(1000.0),
                "total_resources": resources(8.0, 8192.0), "allocated_resources": resources(2.5, 1536.0),
            }),
            json!({
                "agent_info": {"id": {"value": "m-S1"}, "hostname": "a2"}, "active": false,
                "pid": "slave(1)@10.0.0.2:5051", "registered_time": ns(4000.0),
                "total_resources": resources(4.0, 4096.0),
            }),
        ],
        recovered_agents: vec![json!({"id": {"value": "m-S2"}, "hostname": "a3"})],
        frameworks: vec![json!({
            "framework_info": {"id": {"value": "f-1"}, "name": "web", "roles": ["prod"], "failover_timeout": 60.0},
            "active": true, "connected": true, "recovered": false, "registered_time": ns(4540.0),
            "allocated_resources": resources(2.5, 1536.0),
        })],
        completed_frameworks: vec![json!({
            "framework_info": {"id": {"value": "f-0"}, "name": "old"}, "active": false, "connected": false,
        })],
        tasks: vec![json!({
            "task_id": {"value": "web.3f2a91c0"}, "name": "web", "framework_id": {"value": "f-1"},
            "agent_id": {"value": "m-S0"}, "state": "TASK_RUNNING", "resources": resources(0.5, 128.0),
            "statuses": [
                {"state": "TASK_STARTING", "timestamp": 4408.0, "source": "SOURCE_EXECUTOR"},
                {"state": "TASK_RUNNING", "timestamp": 4409.0, "source": "SOURCE_EXECUTOR", "healthy": true,
                 "container_status": {"container_id": {"value": "c-1"}}},
            ],
        })],
        unreachable_tasks: vec![json!({
            "task_id": {"value": "db.1"}, "framework_id": {"value": "f-1"}, "agent_id": {"value": "m-S1"},
            "state": "TASK_UNREACHABLE",
        })],
        completed_tasks: vec![json!({
            "task_id": {"value": "job.7"}, "framework_id": {"value": "f-0"}, "agent_id": {"value": "gone-S9"},
            "state": "TASK_FAILED", "statuses": [{"state": "TASK_FAILED", "timestamp": 1400.0}],
        })],
        now: 4600.0,
    }
}

fn table(list: &List) -> String {
    list.part(&Style::plain())
}

#[test]
fn nodes() {
    let want = "\
NODE  ADDRESS        STATE            CPUS        MEM     DISK  TASKS  AGE
a1    10.0.0.1:5051  ready           2.5/8    1.5G/8G  10G/10G      1  1h
a2    10.0.0.2:5051  disconnected      0/4      0M/4G   0M/10G      0  10m
a3    -              recovering          -          -        -      -  -
";
    assert_eq!(
        squeeze(&table(&node_list(&cluster(), &NodeList::default()))),
        squeeze(want)
    );
}

#[test]
fn frameworks() {
    let want = "\
NAME ID STATE ROLES TASKS CPUS MEM SHARE AGE
web f-1 active prod 1 2.5 1.5G 21%cpus 1m
old f-0 ended * 0 0 0M 0% -
";
    assert_eq!(squeeze(&table(&framework_list(&cluster(), true))), want);
    assert!(!table(&framework_list(&cluster(), false)).contains("old"));
}

#[test]
fn a_disconnected_framework_shows_how_long_its_tasks_have() {
    let framework = json!({
        "framework_info": {"failover_timeout": 600.0}, "connected": false, "active": false,
        "unregistered_time": {"nanoseconds": 1000e9},
    });
    assert_eq!(state_cell(1060.0, &framework, false), "disconnected:9m-left");
}

#[test]
fn tasks() {
    let want = "\
TASK OF NODE STATE HEALTH PORTS AGE
db.1 web a2 unreachable - - -
web.3f2a91c0 web a1 running healthy 31000,31005-31009 3m12s
";
    let list = |filter: TaskList| squeeze(&table(&task_list(&cluster(), &filter).unwrap()));
    assert_eq!(list(TaskList::default()), want);
    let all = TaskList {
        all: true,
        ..Default::default()
    };
    assert!(list(all).contains("job.7 old S9 failed - - 53m\n"));
    let failed = TaskList {
        state: Some("FAILED".into()),
        ..Default::default()
    };
    assert_eq!(list(failed).lines().count(), 2);
    let on_a1 = TaskList {
        node: Some("a1".into()),
        ..Default::default()
    };
    assert_eq!(list(on_a1).lines().count(), 2);
    let of_web = TaskList {
        framework: Some("web".into()),
        ..Default::default()
    };
    assert_eq!(list(of_web).lines().count(), 3);
}

#[test]
fn one_task() {
    let cluster = cluster();
    let text = task_text(&cluster, cluster.task("web").unwrap(), &Style::plain());
    let want = "\
task web.3f2a91c0
name web
state running
framework web (f-1)
node a1 (m-S0)
cpus 0.5
mem 128M
ports 31000,31005-31009
container c-1

STATE AGO SOURCE REASON MESSAGE
starting 3m12s executor - -
running 3m11s executor - -
";
    assert_eq!(squeeze(&text), want);
}

/// Runs of blanks as one: the alignment has its own tests.
fn squeeze(text: &str) -> String {
    text.lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}
