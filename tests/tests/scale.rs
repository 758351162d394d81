//! Scale: many instances of one app, many apps, many jobs.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::{self, Bar, median};
use meseta_tests::cluster::Up;
use meseta_tests::cron::{Cron, Diary, due};
use meseta_tests::rest::Server;
use meseta_tests::service::{sleeper, text};
use meseta_tests::wait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bounds, in seconds.
const INSTANCES_HEALTHY: f64 = 5.0;
const APPS_LISTED: f64 = 1.0;
const FIRST_BYTE: f64 = 0.1;
const SERVING: f64 = 2.0;
/// In milliseconds.
const LATENESS: f64 = 50.0;

/// Definitions in one PUT.
const APPS_PER_CALL: usize = 500;

/// Threads that store jobs.
const WRITERS: usize = 8;

#[test]
fn many_instances_apps_and_jobs() {
    let mut bar = Bar::new("scale");
    // Clusters that have ended, with their folders. For each new file, ext4 without a journal passes over all inodes that
    // were deleted within the last minutes: thousands of sandboxes deleted here would slow down what is measured next.
    let mut ended = Vec::new();
    instances(&mut bar, &mut ended);
    ended.push(apps(&mut bar));
    jobs(&mut bar);
    bar.finish();
}

/// A bound counts in full only: a debug build on a busy machine proves nothing about speed.
fn within(value: f64, bound: f64) -> bool {
    value <= bound || !bar::full()
}

fn instances(bar: &mut Bar, ended: &mut Vec<Up>) {
    let (count, rounds) = if bar::full() { (1_000, 3) } else { (40, 1) };
    let mut times = Vec::new();
    for round in 0..rounds {
        let mut up = Up::start(&[]);
        let service = up.service();
        let id = format!("/many-{round}");
        let small = json!({"instances": count, "cpus": 0.001, "mem": 8, "portDefinitions": []});
        let start = Instant::now();
        service
            .rest
            .put(&format!("/v2/apps{id}"), &sleeper(&id, &small))
            .expect(201);
        // The app without its tasks: a thousand of them in every answer would be a load of its own.
        let counts = format!("/v2/apps?id={id}&embed=apps.counts");
        wait::until("all instances run", || {
            let running = service.rest.json(&counts)?["apps"][0]["tasksRunning"].clone();
            if running == count {
                Ok(())
            } else {
                Err(running.to_string())
            }
        });
        times.push(start.elapsed().as_secs_f64());
        // A shell that has just been started is about to become one of them.
        wait::until("each is a process", || {
            let all = up.left_over().into_iter();
            let sleeping = all.filter(|pid| meseta_tests::cluster::arguments(*pid) == ["sleep", "1000"]);
            match sleeping.count() {
                processes if processes >= count => Ok(()),
                processes => Err(format!("{processes} processes for {count} instances")),
            }
        });
        up.stop();
        ended.push(up);
    }
    let all: Vec<String> = times.iter().map(|t| format!("{t:.2}")).collect();
    let what = format!(
        "{count} instances running after the PUT, median of {}",
        all.join(", ")
    );
    let middle = median(&times);
    bar.figure(
        &what,
        format!("{middle:.2} s"),
        "5 s",
        within(middle, INSTANCES_HEALTHY),
    );
}

fn apps(bar: &mut Bar) -> Up {
    let count: usize = if bar::full() { 10_000 } else { 300 };
    let mut up = Up::start(&[]);
    let rest = up.service().rest;
    store_apps(rest, count);
    let (mut wholes, mut firsts) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..5 {
        let (first, whole, body) = timed_get(rest, "/v2/apps");
        let listed: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(listed["apps"].as_array().map(Vec::len), Some(count));
        bytes = body.len();
        firsts.push(first.as_secs_f64());
        wholes.push(whole.as_secs_f64());
    }
    bar.note(format!("{count} apps are {:.1} MB", bytes as f64 / 1e6));
    let (whole, first) = (median(&wholes), median(&firsts));
    let what = format!("GET /v2/apps with {count} apps");
    bar.figure(&what, format!("{whole:.3} s"), "1 s", within(whole, APPS_LISTED));
    bar.figure(
        "its first byte",
        format!("{:.0} ms", first * 1e3),
        "100 ms",
        within(first, FIRST_BYTE),
    );

    let mut starts = Vec::new();
    for _ in 0..if bar::full() { 5 } else { 1 } {
        let old = up.kill("service");
        // From the moment the new process is there to its first whole answer.
        let start = wait::until("a new process", || match up.pids("service").first() {
            Some(pid) if *pid != old => Ok(Instant::now()),
            other => Err(format!("{other:?}")),
        });
        wait::until("it serves", || {
            match rest.json("/v2/apps")?["apps"].as_array().map(Vec::len) {
                Some(n) if n == count => Ok(()),
                n => Err(format!("{n:?}")),
            }
        });
        starts.push(start.elapsed().as_secs_f64());
    }
    let start = median(&starts);
    bar.figure(
        "start to serving, the list included",
        format!("{start:.2} s"),
        "2 s",
        within(start, SERVING),
    );
    up.stop();
    up
}

/// Stores apps without instances.
fn store_apps(rest: Server, count: usize) {
    let ids: Vec<usize> = (0..count).collect();
    for part in ids.chunks(APPS_PER_CALL) {
        let apps: Vec<Value> = part
            .iter()
            .map(|n| {
                let more = json!({"instances": 0, "labels": {"n": n.to_string(), "team": format!("team-{}", n % 40)},
                    "env": {"LEVEL": "info", "ZONE": "a"}, "portDefinitions": [{"port": 0, "name": "http"}]});
                sleeper(&format!("/group-{}/app-{n}", n % 100), &more)
            })
            .collect();
        rest.put("/v2/apps", &json!(apps)).expect(200);
    }
    wait::until("nothing is deployed any more", || {
        let under_way = rest.json("/v2/deployments")?;
        if under_way == json!([]) {
            Ok(())
        } else {
            Err("deployments go on".to_owned())
        }
    });
}

/// Time to the first byte of the body, time to its end, and the body.
fn timed_get(rest: Server, path: &str) -> (Duration, Duration, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", rest.port)).unwrap();
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let start = Instant::now();
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 << 10];
    let mut first = None;
    loop {
        let n = stream.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..n]);
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        if first.is_none() && head.is_some_and(|at| bytes.len() > at + 4) {
            first = Some(start.elapsed());
        }
        if n == 0 {
            break;
        }
    }
    let whole = start.elapsed();
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    assert!(
        bytes.starts_with(b"HTTP/1.") && bytes[9..12] == *b"200",
        "{:?}",
        &bytes[..12]
    );
    (first.unwrap(), whole, bytes.split_off(head + 4))
}

fn jobs(bar: &mut Bar) {
    // Spread over a minute, or over a few seconds.
    let (count, spread, ahead) = if bar::full() {
        (10_000, 60_000, 40)
    } else {
        (100, 5_000, 4)
    };
    let up = Up::start(&[]);
    let cron = up.cron();
    let diary = Diary::new();
    let accepts = Accepts::listen(&up);
    let first = jiff::Timestamp::now().as_second() * 1000 + ahead * 1000;
    let slot = |n: usize| first + (n as i64) * spread / (count as i64);
    let stored = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (diary, slot) = (&diary, &slot);
            scope.spawn(move || {
                for n in (writer..count).step_by(WRITERS) {
                    store_job(cron, n, slot(n), diary);
                }
            });
        }
    });
    bar.note(format!(
        "{count} jobs stored in {:.1} s",
        stored.elapsed().as_secs_f64()
    ));
    // What was written before is not written back, all at once, beside what is measured.
    nix::unistd::sync();
    assert!(
        jiff::Timestamp::now().as_millisecond() < first,
        "stored too late to be measured"
    );
    let patience = Duration::from_secs(180);
    // Asked of the file they write to: a list of all jobs, again and again, would be a load of its own beside what is
    // measured.
    wait::within(patience, "every job has run", || match diary.lines().len() {
        ran if ran >= count => Ok(()),
        ran => Err(format!("{ran} of {count}")),
    });
    wait::until("every run is known to have succeeded", || {
        let jobs = cron.rest.json("/v1/scheduler/jobs")?;
        let done = jobs
            .as_array()
            .into_iter()
            .flatten()
            .filter(|job| job["successCount"] == 1)
            .count();
        if done == count {
            Ok(())
        } else {
            Err(format!("{done} of {count}"))
        }
    });

    let mut ran: HashMap<String, usize> = HashMap::new();
    for line in diary.lines() {
        *ran.entry(line).or_default() += 1;
    }
    let doubled = ran.values().filter(|n| **n > 1).count();
    bar.figure("jobs that ran", ran.len(), count, ran.len() == count);
    bar.figure("jobs that ran twice", doubled, 0, doubled == 0);

    let taken = accepts.taken();
    let mut late: Vec<f64> = (0..count)
        .filter_map(|n| taken.get(&name(n)).map(|at| (at - slot(n)) as f64))
        .collect();
    late.sort_by(f64::total_cmp);
    assert_eq!(late.len(), count, "the master has told of every task");
    let p99 = late[(count * 99 / 100).min(count - 1)];
    bar.note(format!(
        "lateness of ACCEPT, median: {:.1} ms, largest: {:.1} ms",
        median(&late),
        late[count - 1]
    ));
    bar.figure(
        "lateness of ACCEPT, 99th percentile",
        format!("{p99:.1} ms"),
        "50 ms",
        within(p99, LATENESS),
    );
    early(bar, cron, count, &late);
}

/// No run starts before its time.
fn early(bar: &mut Bar, cron: Cron, count: usize, late: &[f64]) {
    let early = late.iter().filter(|ms| **ms < 0.0).count();
    bar.figure("launched before their time", early, 0, early == 0);
    let runs = cron
        .rest
        .json(&format!("/v1/scheduler/history/{}", name(count / 2)))
        .unwrap();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
    assert!(due(&runs["runs"][0]) > 0);
}

fn name(n: usize) -> String {
    format!("job-{n:05}")
}

fn store_job(cron: Cron, n: usize, slot: i64, diary: &Diary) {
    let start = jiff::Timestamp::from_millisecond(slot).unwrap();
    let job = json!({"name": name(n), "command": format!("echo {} >> {}", name(n), diary.path().display()),
        "schedule": format!("R1/{start}/PT1H"), "cpus": 0.001, "mem": 8, "disk": 0, "retries": 0});
    cron.rest.post("/v1/scheduler/iso8601", &job).expect(204);
}

/// When the master took each task, by its stream of events.
struct Accepts {
    events: std::sync::mpsc::Receiver<(i64, Vec<u8>)>,
}

impl Accepts {
    fn listen(up: &Up) -> Accepts {
        let (told, events) = std::sync::mpsc::channel();
        let port: u16 = up.master_address().rsplit(':').next().unwrap().parse().unwrap();
        let mut connection = meseta_tests::golden::http::Connection::open(port).unwrap();
        let call = meseta_tests::golden::http::post_json("/api/v1", "{\"type\":\"SUBSCRIBE\"}");
        connection.send(&call).unwrap();
        assert_eq!(
            connection.answer_head().unwrap().map(|head| head.status),
            Some(200)
        );
        std::thread::spawn(move || {
            // One record is one chunk.
            while let Ok(Some(chunk)) = connection.chunk() {
                let now = jiff::Timestamp::now().as_millisecond();
                if told.send((now, chunk)).is_err() {
                    break;
                }
            }
        });
        Accepts { events }
    }

    /// Job → when its first task was taken, in milliseconds since 1970.
    fn taken(&self) -> BTreeMap<String, i64> {
        let mut taken = BTreeMap::new();
        for (at, record) in self.events.try_iter() {
            let Some(start) = record.iter().position(|byte| *byte == b'\n') else {
                continue;
            };
            let event: Value = serde_json::from_slice(&record[start + 1..]).unwrap_or_default();
            if event["type"] == "TASK_ADDED" {
                // ct:DUE:ATTEMPT:JOB:ARGUMENTS
                let id = text(&event["task_added"]["task"]["task_id"]["value"]);
                if let Some(job) = id.split(':').nth(3) {
                    taken.entry(job.to_owned()).or_insert(at);
                }
            }
        }
        taken
    }
}
