//! The bar "all encodings": one scenario, the same over JSON, over protobuf, and over gRPC.
#![allow(clippy::unwrap_used)]

use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{Encoding, IdentityStore, Transport};
use meseta_tests::bar::Bar;
use meseta_tests::cluster::get_json;
use meseta_tests::daemon::Pair;
use meseta_tests::scheduler::{Scheduler, patient, terminal};
use meseta_tests::wait;
use std::collections::BTreeMap;

const TRANSPORTS: [(&str, Transport); 3] = [
    ("JSON over HTTP", Transport::Http(Encoding::Json)),
    ("protobuf over HTTP", Transport::Http(Encoding::Protobuf)),
    ("gRPC", Transport::Grpc),
];

const NEEDS: Needs = Needs {
    cpus: 0.1,
    mem: 32.0,
    disk: 0.0,
    ports: 1,
};

/// What a framework hears of its tasks, without ids and times.
type Told = BTreeMap<String, Vec<String>>;

#[test]
fn one_scenario_passes_in_every_encoding() {
    let mut bar = Bar::new("all encodings");
    let pair = Pair::start(
        &[],
        &["--resources=cpus:2;mem:1024;disk:1024;ports:[31000-31100]"],
    );
    let mut first: Option<Told> = None;
    for (name, transport) in TRANSPORTS {
        let told = scenario(&pair, name, transport);
        let same = first.as_ref().is_none_or(|first| *first == told);
        if !same {
            println!("{name}: {told:#?}\ninstead of {first:#?}");
        }
        bar.figure(
            name,
            format!("{} tasks told alike", told.len()),
            "as in the other encodings",
            same,
        );
        first.get_or_insert(told);
    }
    pair.stop();
    bar.finish();
}

/// Tasks that end well, badly and by a kill, a refused one, a health check, and reconciliation.
fn scenario(pair: &Pair, name: &str, transport: Transport) -> Told {
    let framework = patient(name);
    let identity = IdentityStore::File(pair.folder().join(name));
    let mut scheduler = Scheduler::start(&pair.master_address(), framework, transport, identity);
    scheduler.launch(Task::shell("ends-well", "exit 0"), &NEEDS);
    scheduler.launch(Task::shell("ends-badly", "exit 3"), &NEEDS);
    scheduler.launch(Task::shell("is-killed", "sleep 1000"), &NEEDS);
    // Non-ASCII text and control characters travel in every encoding.
    let odd = Task::shell(
        "odd",
        "test \"$ODD\" = \"$(printf 'caf\\303\\251\\t\\360\\237\\230\\200')\"",
    );
    scheduler.launch(odd.env("ODD", "caf\u{e9}\t\u{1f600}"), &NEEDS);
    let faulty = Task::shell("refused", "true").raw(|info| {
        info.max_completion_time = Some(meseta_sdk::proto::DurationInfo { nanoseconds: -1 });
    });
    scheduler.launch(faulty, &NEEDS);
    use meseta_sdk::proto::TaskState::TaskRunning;
    scheduler.until("the long task runs", |heard| heard.is("is-killed", TaskRunning));
    scheduler.kill("is-killed");
    let tasks = ["ends-well", "ends-badly", "is-killed", "odd", "refused"];
    scheduler.until("all tasks ended", |heard| {
        tasks
            .iter()
            .all(|t| heard.last(t).is_some_and(|s| terminal(s.state())))
    });
    let told = told(&scheduler);
    scheduler.teardown();
    completed(pair, name);
    told
}

fn told(scheduler: &Scheduler) -> Told {
    let of = |statuses: &Vec<meseta_sdk::proto::TaskStatus>| {
        let mut lines: Vec<String> = statuses
            .iter()
            .map(|s| {
                let reason = s.reason.map(|_| s.reason().as_str_name());
                let text = s.message.as_deref();
                let (uuid, at) = (s.uuid.as_ref().map(|u| u.len()), s.timestamp.is_some());
                format!(
                    "{} {} {reason:?} {text:?} {uuid:?} {at}",
                    s.state().as_str_name(),
                    s.source().as_str_name()
                )
            })
            .collect();
        lines.dedup();
        lines
    };
    scheduler
        .heard()
        .statuses
        .iter()
        .map(|(task, all)| (task.clone(), of(all)))
        .collect()
}

fn completed(pair: &Pair, name: &str) {
    wait::until("the framework is completed", || {
        let state = get_json(&format!("http://{}/frameworks", pair.master_address()))?;
        let done = state["completed_frameworks"]
            .as_array()
            .is_some_and(|all| all.iter().any(|f| f["name"] == name));
        if done { Ok(()) } else { Err(state.to_string()) }
    });
}
