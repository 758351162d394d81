//! Room is found, and what lacks is named.

use super::*;
use serde_json::json;

fn scalars(cpus: f64, mem: f64) -> Vec<Value> {
    vec![
        json!({"name": "cpus", "scalar": {"value": cpus}}),
        json!({"name": "mem", "scalar": {"value": mem}}),
        json!({"name": "ports", "ranges": {"range": [{"begin": 31000, "end": 31009}]}}),
    ]
}

fn agent(name: &str, total: (f64, f64), used: (f64, f64)) -> Value {
    let mut used = scalars(used.0, used.1);
    used.pop();
    json!({
        "agent_info": {"id": {"value": format!("m-{name}")}, "hostname": name}, "active": true,
        "total_resources": scalars(total.0, total.1), "allocated_resources": used,
    })
}

fn cluster(agents: Vec<Value>) -> Cluster {
    Cluster {
        agents,
        ..Cluster::default()
    }
}

fn need(cpus: f64, mem: f64) -> Need {
    Need::of(&json!({"cpus": cpus, "mem": mem}))
}

#[test]
fn the_nearest_agent_is_named_with_what_it_has() {
    let cluster = cluster(vec![
        agent("a1", (8.0, 4096.0), (7.0, 0.0)),
        agent("a3", (8.0, 4096.0), (5.5, 0.0)),
    ]);
    let room = Room::look(&cluster, &need(4.0, 512.0));
    assert_eq!(
        room.verdict().as_deref(),
        Some("no usable agent has 4 cpus free; the nearest is a3 with 2.5 cpus")
    );
    assert_eq!(
        room.ways(&cluster, "/web"),
        [("meseta app update web --cpus 2.5".to_owned(), 1)]
    );
    assert_eq!(room.failing(Stage::Cpus).count(), 2);
}

#[test]
fn what_fits_nowhere_even_when_empty_is_said_so() {
    let cluster = cluster(vec![agent("a1", (8.0, 4096.0), (0.0, 0.0))]);
    let cpus = Room::look(&cluster, &need(100.0, 1.0));
    assert_eq!(
        cpus.verdict().as_deref(),
        Some("no agent is large enough for 100 cpus; the largest is a1 with 8 cpus")
    );
    let mem = Room::look(&cluster, &need(1.0, 8192.0));
    assert_eq!(
        mem.verdict().as_deref(),
        Some("no agent is large enough for 8G of memory; the largest is a1 with 4G of memory")
    );
}

#[test]
fn ports_count_and_fixed_ones_must_be_there() {
    let cluster = cluster(vec![agent("a1", (8.0, 4096.0), (0.0, 0.0))]);
    let mut app = json!({"cpus": 1, "mem": 1, "portDefinitions": vec![json!({"port": 0}); 11]});
    let many = Room::look(&cluster, &Need::of(&app));
    assert_eq!(
        many.verdict().as_deref(),
        Some("no agent with room has 11 ports free; the most are 10 on a1")
    );
    app["portDefinitions"] = json!([{"port": 8080}]);
    assert_eq!(
        Room::look(&cluster, &Need::of(&app)).places(),
        8,
        "a service port is no host port"
    );
    app["requirePorts"] = json!(true);
    let fixed = Room::look(&cluster, &Need::of(&app));
    assert_eq!(
        fixed.verdict().as_deref(),
        Some(
            "no agent with room has port 8080 (requirePorts): it is outside the offered range 31000-31009 on 1"
        )
    );
    assert_eq!(
        fixed.ways(&cluster, "/web"),
        [("meseta app update web requirePorts=false".to_owned(), 8)]
    );
    app["portDefinitions"] = json!([{"port": 31005}]);
    assert_eq!(Room::look(&cluster, &Need::of(&app)).places(), 1);
}

#[test]
fn agents_that_are_not_ready_and_reservations_of_others_do_not_count() {
    let mut draining = agent("a1", (8.0, 4096.0), (0.0, 0.0));
    draining["drain_info"] = json!({"state": "DRAINING"});
    let mut reserved = agent("a2", (8.0, 4096.0), (0.0, 0.0));
    for resource in reserved["total_resources"].as_array_mut().into_iter().flatten() {
        resource["reservations"] = json!([{"type": "STATIC", "role": "ads"}]);
    }
    let cluster = cluster(vec![draining, reserved]);
    let room = Room::look(&cluster, &need(1.0, 1.0));
    assert_eq!(
        (
            room.failing(Stage::State).count(),
            room.failing(Stage::Role).count()
        ),
        (1, 1)
    );
    let ads = Need {
        role: "ads".to_owned(),
        ..need(1.0, 1.0)
    };
    assert_eq!(Room::look(&cluster, &ads).places(), 8);
}

#[test]
fn ranges_are_cut() {
    assert_eq!(without(&[(1, 10)], &[(3, 4), (10, 12)]), [(1, 2), (5, 9)]);
    assert_eq!(without(&[(1, 10)], &[(0, 20)]), []);
    assert_eq!(without(&[(5, 6)], &[(1, 2)]), [(5, 6)]);
}
