//! How soon a master answers and an agent is registered, and what they hold while nothing happens.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::{self, Bar, median};
use meseta_tests::cluster::{arguments, mentioning};
use meseta_tests::daemon::Pair;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const MASTER_BOUND: f64 = 50.0;
const AGENT_BOUND: f64 = 100.0;
const PSS_BOUND: f64 = 20.0;

/// Between two looks: far below the bounds, and rare enough not to slow down what is measured.
const LOOK: Duration = Duration::from_millis(1);

/// A machine under load may take long; the bounds are judged on the medians.
const PATIENCE: Duration = Duration::from_secs(60);

/// The body of a GET, as cheaply as it can be had.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.1 200").then_some(text)
}

fn milliseconds_until(what: &str, start: Instant, mut done: impl FnMut() -> bool) -> f64 {
    while !done() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(LOOK);
    }
    start.elapsed().as_secs_f64() * 1e3
}

/// Proportional set size in MB: memory shared with others counts in parts.
fn pss(pid: i32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

#[test]
fn master_and_agent_start_fast_and_stay_small() {
    let mut bar = Bar::new("start-up");
    let rounds = if bar::full() { 15 } else { 1 };
    let (mut masters, mut agents) = (Vec::new(), Vec::new());
    let mut memory = None;
    for round in 0..rounds {
        let start = Instant::now();
        let mut pair = Pair::master_only(&[]);
        let master = pair.master_address();
        masters.push(milliseconds_until("the master is healthy", start, || {
            get(&master, "/health").is_some()
        }));

        let start = Instant::now();
        pair.start_agent(&[]);
        agents.push(milliseconds_until("the agent is registered", start, || {
            get(&master, "/slaves").is_some_and(|body| body.contains("\"active\":true"))
        }));
        if round + 1 == rounds {
            memory = Some(measure(&pair));
        }
        pair.stop();
    }
    let judge = |bound: f64, value: f64| value < bound || !bar::full();
    let (master, agent) = (median(&masters), median(&agents));
    bar.figure(
        "master answers, median",
        format!("{master:.1} ms"),
        "50 ms",
        judge(MASTER_BOUND, master),
    );
    bar.figure(
        "agent is registered, median",
        format!("{agent:.1} ms"),
        "100 ms",
        judge(AGENT_BOUND, agent),
    );
    let (master, agent) = memory.unwrap();
    bar.figure(
        "idle master, PSS",
        format!("{master:.1} MB"),
        "20 MB",
        judge(PSS_BOUND, master),
    );
    let what = "idle agent with its supervisor, PSS";
    bar.figure(what, format!("{agent:.1} MB"), "20 MB", judge(PSS_BOUND, agent));
    bar.finish();
}

/// Master, and agent with everything below it, after they had time to do what they do at their start.
fn measure(pair: &Pair) -> (f64, f64) {
    std::thread::sleep(Duration::from_secs(2));
    let all = mentioning(pair.folder());
    let of = |role: &[&str]| -> f64 {
        let mine = all.iter().filter(|pid| {
            arguments(**pid)
                .get(1)
                .is_some_and(|a| role.contains(&a.as_str()))
        });
        mine.map(|pid| pss(*pid)).sum()
    };
    let (master, agent) = (of(&["master"]), of(&["agent", "supervise"]));
    assert!(
        master > 0.0 && agent > 0.0,
        "no memory figures: {:?}",
        all.iter().map(|p| arguments(*p)).collect::<Vec<_>>()
    );
    (master, agent)
}
