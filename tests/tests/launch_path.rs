//! The whole way of a task: from the framework's ACCEPT over master, agent and exec to the acknowledged end.
#![allow(clippy::unwrap_used)]

use meseta_sdk::proto::TaskState;
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::wire::Encoding;
use meseta_sdk::{IdentityStore, Stop, Transport};
use meseta_tests::bar::{self, Bar, median};
use meseta_tests::daemon::Pair;
use meseta_tests::floor::Floor;
use meseta_tests::scheduler::{Scheduler, patient};
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;

/// Part of the floor that must be reached.
const BOUND: f64 = 0.25;

const NEEDS: Needs = Needs {
    cpus: 0.01,
    mem: 1.0,
    disk: 0.0,
    ports: 0,
};

const TRANSPORTS: [(&str, Transport); 2] = [
    ("HTTP/protobuf", Transport::Http(Encoding::Protobuf)),
    ("gRPC", Transport::Grpc),
];

/// Launches `count` tasks in one ACCEPT; tasks per second until the last TASK_FINISHED is acknowledged.
fn rate(pair: &Pair, transport: Transport, count: usize) -> f64 {
    let master = pair.master_address();
    let mut scheduler = Scheduler::start(
        &master,
        patient("launch path"),
        transport,
        IdentityStore::Ephemeral,
    );
    let needs = Needs {
        cpus: NEEDS.cpus * count as f64,
        mem: NEEDS.mem * count as f64,
        ..NEEDS
    };
    let offers = scheduler.offers_for(&needs);
    let tasks = (0..count)
        .map(|n| Task::shell(format!("true-{n:05}"), "true"))
        .collect();
    let start = Instant::now();
    scheduler.launch_from(offers, tasks, &NEEDS);
    // A batch that needs nothing more says so, or every end of a task would bring it an offer.
    scheduler.block_on(scheduler.client.suppress(Vec::new())).unwrap();
    scheduler.until("all tasks finished", |h| h.finished == count);
    // This way of leaving waits for the answers to all acknowledgements.
    scheduler.block_on(scheduler.client.stop(Stop::Failover));
    let took = start.elapsed();
    let heard = scheduler.heard();
    let finished = heard.count(|s| s == TaskState::TaskFinished);
    assert_eq!(finished, count, "every task finished");
    count as f64 / took.as_secs_f64()
}

/// The framework that left is removed, so that the next round begins as the first did.
fn forget(pair: &Pair) {
    let state =
        meseta_tests::cluster::get_json(&format!("http://{}/frameworks", pair.master_address())).unwrap();
    for framework in state["frameworks"].as_array().unwrap() {
        let id = framework["id"].as_str().unwrap();
        let url = format!("http://{}/teardown", pair.master_address());
        meseta_tests::cluster::post_form(&url, &format!("frameworkId={id}")).unwrap();
    }
}

#[test]
fn tasks_get_through_at_a_good_part_of_what_the_machine_can_start() {
    let mut bar = Bar::new("launch path");
    let pair = Pair::start(
        &[],
        &["--resources=cpus:1000;mem:1000000;disk:1000;ports:[31000-32000]"],
    );
    let count = if bar::full() { 1_000 } else { 20 };
    if !bar::full() {
        for (name, transport) in TRANSPORTS {
            let rate = rate(&pair, transport, count);
            bar.note(format!("{count} tasks over {name}: {rate:.0}/s"));
            forget(&pair);
        }
        pair.stop();
        return bar.finish();
    }
    let floor = match Floor::build() {
        Ok(floor) => floor,
        Err(missing) => {
            bar.figure("floor", missing, "must be there", false);
            return bar.finish();
        }
    };
    for (_, transport) in TRANSPORTS {
        rate(&pair, transport, count); // warms files and memory up
        forget(&pair);
    }
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        let floor = floor.exec_only();
        for (n, (name, transport)) in TRANSPORTS.into_iter().enumerate() {
            std::thread::sleep(Duration::from_millis(200)); // lets the round before settle
            let rate = rate(&pair, transport, count);
            forget(&pair);
            ratios[n].push(rate / floor);
            bar.note(format!(
                "round {round}: {name} {rate:.0}/s, floor {floor:.0}/s, {:.3}",
                rate / floor
            ));
        }
    }
    for ((name, _), ratios) in TRANSPORTS.iter().zip(&ratios) {
        let middle = median(ratios);
        let (low, high) = ratios
            .iter()
            .fold((f64::MAX, 0.0f64), |(l, h), r| (l.min(*r), h.max(*r)));
        let value = format!("{middle:.3} ({low:.3} to {high:.3})");
        bar.figure(
            &format!("{name}, part of the floor"),
            value,
            BOUND,
            middle >= BOUND,
        );
    }
    pair.stop();
    bar.finish();
}
