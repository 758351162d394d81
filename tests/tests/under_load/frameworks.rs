//! Apps and jobs while processes die: what was acknowledged is kept, each run happens once or has its reason; and what one
//! PUT costs beside ten and beside ten thousand apps.

use meseta_tests::bar::{self, Bar, median};
use meseta_tests::cluster::{Up, arguments, signal};
use meseta_tests::cron::{Cron, DUE_AND_ATTEMPT, Diary, Job, WHOLE_HISTORY, from_now, job};
use meseta_tests::rest::{Reply, Server};
use meseta_tests::service::{App, Service, sleeper};
use meseta_tests::wait;
use meseta_types::random::Random;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Apps that are scaled and changed, each by a writer of its own.
const APPS: usize = 3;

/// Jobs with a slot every second.
const JOBS: usize = 4;

/// Milliseconds between two slots.
const PERIOD: i64 = 1_000;

/// What is in the way of the end may take this long: back-offs, agents that come back, deployments.
const SETTLING: Duration = Duration::from_secs(180);

/// Bound of the ratio.
const GROWTH: f64 = 1.3;

/// A definition that a writer has sent, and what may have become of it.
struct Written {
    /// What may be stored: the last acknowledged one, and those without an answer since.
    possible: Vec<Value>,
    acknowledged: usize,
    unanswered: usize,
}

impl Written {
    fn note(&mut self, definition: Value, answer: &Result<Reply, String>) {
        match answer {
            Ok(reply) if (200..300).contains(&reply.status()) => {
                self.possible = vec![definition];
                self.acknowledged += 1;
            }
            // A refusal changes nothing.
            Ok(_) => {}
            Err(_) => {
                self.possible.push(definition);
                self.unanswered += 1;
            }
        }
    }
}

pub(crate) fn kills(bar: &mut Bar) {
    let times = if bar::full() { 50 } else { 5 };
    let mut random = Random::new(11);
    let mut up = Up::start_with(&["--agents", "2"], &[WHOLE_HISTORY]);
    let (service, cron) = (up.service(), up.cron());
    let diaries: Vec<Diary> = (0..JOBS).map(|_| Diary::new()).collect();
    let jobs: Vec<Job> = diaries
        .iter()
        .enumerate()
        .map(|(n, diary)| cron.store(&every_second(n, diary)))
        .collect();
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let (apps, created) = std::thread::scope(|scope| {
        let stop = &stop;
        let writers: Vec<_> = (0..APPS)
            .map(|n| scope.spawn(move || change(service, n, stop)))
            .collect();
        let creator = scope.spawn(move || create(service, cron, stop));
        for n in 0..times {
            let roles = ["master", "agent", "supervise", "service", "cron"];
            let role = if bar::full() {
                roles[random.below(5) as usize]
            } else {
                roles[n % 5]
            };
            let pids = wait::until("the role has a process", || match up.pids(role) {
                pids if pids.is_empty() => Err(up.said()),
                pids => Ok(pids),
            });
            signal(pids[random.below(pids.len() as u64) as usize], Signal::SIGKILL);
            // Random moments are the point of this test.
            std::thread::sleep(random.duration_below(Duration::from_secs(2)));
        }
        stop.store(true, Ordering::Relaxed);
        let apps: Vec<Written> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        (apps, creator.join().unwrap())
    });
    bar.note(format!(
        "{times} times kill -9 in {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    judge_apps(bar, &up, service, &apps);
    judge_created(bar, service, cron, &created);
    judge_runs(bar, jobs, &diaries);
    let code = up.stop();
    bar.figure(
        "exit code of `up` with frameworks",
        format!("{code:?}"),
        0,
        code == Some(0),
    );
}

fn every_second(n: usize, diary: &Diary) -> Value {
    let more = json!({"schedule": format!("R/{}/PT1S", from_now(2)), "retries": 0});
    job(&format!("tick-{n}"), &diary.note(DUE_AND_ATTEMPT, "true"), &more)
}

/// The n-th app, whose processes are told apart by their argument.
fn app_id(n: usize) -> String {
    format!("/load-{n}")
}

fn sleep_of(n: usize) -> String {
    format!("100{n}")
}

/// Scales and changes an app until it is told to stop.
fn change(service: Service, n: usize, stop: &AtomicBool) -> Written {
    let mut random = Random::new(100 + n as u64);
    let mut written = Written {
        possible: Vec::new(),
        acknowledged: 0,
        unanswered: 0,
    };
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) || written.acknowledged == 0 {
        round += 1;
        // Every third change replaces all instances, the others scale.
        let definition = json!({
            "cmd": format!("exec sleep {}", sleep_of(n)),
            "cpus": 0.01,
            "mem": 16,
            "instances": 1 + random.below(4),
            "backoffSeconds": 1,
            "maxLaunchDelaySeconds": 3,
            "env": {"ROUND": (round / 3).to_string()},
        });
        let headers = [("Content-Type", "application/json")];
        let path = format!("/v2/apps{}?force=true", app_id(n));
        let answer = service
            .rest
            .try_call("PUT", &path, &headers, Some(definition.to_string().as_bytes()));
        written.note(definition, &answer);
        std::thread::sleep(random.duration_below(Duration::from_millis(400)));
    }
    written
}

/// Names of apps and jobs whose creation was acknowledged.
#[derive(Default)]
struct Created {
    apps: Vec<String>,
    jobs: Vec<String>,
}

fn create(service: Service, cron: Cron, stop: &AtomicBool) -> Created {
    let mut random = Random::new(7);
    let mut created = Created::default();
    let headers = [("Content-Type", "application/json")];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (app, name) = (format!("/new/app-{n}"), format!("new-{n}"));
        let body = sleeper(&app, &json!({"instances": 0})).to_string();
        if let Ok(reply) = service
            .rest
            .try_call("POST", "/v2/apps", &headers, Some(body.as_bytes()))
            && reply.status() == 201
        {
            created.apps.push(app);
        }
        let body = job(&name, "true", &json!({})).to_string();
        if let Ok(reply) =
            cron.rest
                .try_call("POST", "/v1/scheduler/iso8601", &headers, Some(body.as_bytes()))
            && reply.status() == 204
        {
            created.jobs.push(name);
        }
        std::thread::sleep(random.duration_below(Duration::from_millis(300)));
    }
    created
}

fn judge_apps(bar: &mut Bar, up: &Up, service: Service, apps: &[Written]) {
    for (n, written) in apps.iter().enumerate() {
        let id = app_id(n);
        let app = App {
            service,
            id: id.clone(),
        };
        let shown = wait::within(SETTLING, &format!("{id} is as wanted"), || {
            let under_way = service.deployments_of(&id)?;
            let shown = service.rest.json(&app.path(""))?["app"].clone();
            let tasks = service.rest.json(&app.path("/tasks"))?["tasks"].clone();
            let tasks = tasks.as_array().cloned().unwrap_or_default();
            let good = tasks.iter().filter(|t| t["state"] == "TASK_RUNNING").count();
            let wanted = shown["instances"].as_u64().unwrap_or(u64::MAX);
            let processes = up
                .left_over()
                .into_iter()
                .filter(|pid| arguments(*pid) == ["sleep", &sleep_of(n)])
                .count();
            let whole =
                under_way.is_empty() && good as u64 == wanted && tasks.len() == good && processes == good;
            if whole {
                Ok(shown)
            } else {
                Err(format!("{under_way:?} {processes} processes; {shown}; {tasks:?}"))
            }
        });
        let same = |definition: &Value| {
            ["cmd", "instances", "env"]
                .iter()
                .all(|field| definition[*field] == shown[*field])
        };
        let kept = written.possible.iter().any(same);
        let what = format!(
            "{id}: {} changes acknowledged, {} unanswered",
            written.acknowledged, written.unanswered
        );
        bar.figure(
            &what,
            if kept { "the last one stands" } else { "lost" },
            "the last one stands",
            kept,
        );
    }
}

fn judge_created(bar: &mut Bar, service: Service, cron: Cron, created: &Created) {
    let lost = |there: &dyn Fn(&str) -> bool, all: &[String]| all.iter().filter(|name| !there(name)).count();
    let apps = lost(
        &|id| service.rest.get(&format!("/v2/apps{id}")).status() == 200,
        &created.apps,
    );
    let jobs = lost(
        &|name| cron.rest.get(&format!("/v1/scheduler/job/{name}")).status() == 200,
        &created.jobs,
    );
    bar.figure(
        &format!("{} apps created and acknowledged, lost", created.apps.len()),
        apps,
        0,
        apps == 0,
    );
    bar.figure(
        &format!("{} jobs created and acknowledged, lost", created.jobs.len()),
        jobs,
        0,
        jobs == 0,
    );
    assert!(
        !created.apps.is_empty() && !created.jobs.is_empty(),
        "nothing was created"
    );
}

fn judge_runs(bar: &mut Bar, jobs: Vec<Job>, diaries: &[Diary]) {
    for (job, diary) in jobs.iter().zip(diaries) {
        let pause = format!("/v1/scheduler/pause/{}", job.name);
        job.cron.rest.call("PUT", &pause, &[], None).expect(204);
        wait::within(SETTLING, "nothing runs or waits", || {
            let entry = job.cron.summary(&job.name)?;
            if entry["state"] == "idle" {
                Ok(())
            } else {
                Err(entry.to_string())
            }
        });
        let ledger = job.ledger(diary, PERIOD);
        bar.note(format!(
            "{}: {} slots, {} ran, {} recorded with a reason",
            job.name, ledger.slots, ledger.ran, ledger.recorded
        ));
        let doubled = format!("{:?}", ledger.doubled);
        bar.figure(
            &format!("{}: doubled runs", job.name),
            doubled,
            "none",
            ledger.doubled.is_empty(),
        );
        for slot in &ledger.lost {
            let near = |due: i64| (due - slot).abs() <= 3 * PERIOD;
            let runs = job.runs().unwrap();
            let runs: Vec<_> = runs
                .iter()
                .filter(|run| near(meseta_tests::cron::due(run)))
                .collect();
            bar.note(format!(
                "{}: around {slot}: {runs:?}, written: {:?}",
                job.name,
                diary.lines()
            ));
        }
        let lost = format!("{:?}", ledger.lost);
        bar.figure(
            &format!("{}: slots neither run nor recorded", job.name),
            lost,
            "none",
            ledger.lost.is_empty(),
        );
    }
}

/// Two services side by side, one with few and one with many apps.
pub(crate) fn put_cost(bar: &mut Bar) {
    let (few, many, rounds) = if bar::full() {
        (10, 10_000, 300)
    } else {
        (10, 100, 20)
    };
    let (small, large) = (Up::start(&[]), Up::start(&[]));
    fill(small.service().rest, few);
    fill(large.service().rest, many);
    let mut ratios = Vec::new();
    for round in 0..5 {
        let (a, b) = costs(small.service().rest, large.service().rest, rounds, round);
        bar.note(format!(
            "one PUT, median: {a:.2} ms beside {few} apps, {b:.2} ms beside {many}"
        ));
        ratios.push(b / a);
    }
    let ratio = median(&ratios);
    let what = format!("one PUT beside {many} apps : beside {few}");
    bar.figure(
        &what,
        format!("{ratio:.2}"),
        GROWTH,
        ratio <= GROWTH || !bar::full(),
    );
}

fn fill(rest: Server, count: usize) {
    let ids: Vec<usize> = (0..count).collect();
    for part in ids.chunks(500) {
        let apps: Vec<Value> = part
            .iter()
            .map(|n| sleeper(&format!("/fill/app-{n}"), &json!({"instances": 0})))
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

/// Milliseconds of the median PUT that changes an app, of both services. They take turns, so that both have the same of
/// the machine's pace.
fn costs(small: Server, large: Server, rounds: usize, round: usize) -> (f64, f64) {
    let put = |rest: Server, n: usize| {
        let change = json!({"labels": {"round": format!("{round}-{n}")}});
        let start = Instant::now();
        rest.put("/v2/apps/fill/app-3?force=true", &change).expect(200);
        start.elapsed().as_secs_f64() * 1e3
    };
    let (a, b): (Vec<f64>, Vec<f64>) = (0..rounds).map(|n| (put(small, n), put(large, n))).unzip();
    (median(&a), median(&b))
}
