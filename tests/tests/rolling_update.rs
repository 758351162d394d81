//! A rolling update under load: what an app promises of its health while it is replaced, seen from outside.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::{self, Bar};
use meseta_tests::binary::meseta;
use meseta_tests::cluster::Up;
use meseta_tests::rest::Server;
use meseta_tests::service::{App, sleeper, text};
use meseta_tests::wait;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests per second, and threads that send them.
const RATE: u32 = 200;
const SENDERS: u32 = 4;

/// Parts of the instances that stay healthy, and that may be there beyond them.
const MINIMUM: f64 = 0.9;
const OVER: f64 = 0.25;

#[test]
fn an_update_under_load_keeps_its_promises() {
    let mut bar = Bar::new("rolling update");
    let instances: usize = if bar::full() { 20 } else { 4 };
    let up = Up::start(&[]);
    let app = up.service().deploy(&web(instances));
    let load = Load::default();
    let mut watch = Watch::new(&app, instances);
    std::thread::scope(|scope| {
        for n in 0..SENDERS {
            let load = &load;
            scope.spawn(move || load.send(n));
        }
        load.spread(&app);
        let start = Instant::now();
        let change = json!({"env": {"GREETING": "greetings from"}});
        app.service.rest.put(&app.path(""), &change).expect(200);
        wait::until("the update ends", || {
            load.spread(&app);
            watch.look();
            let under_way = app.service.deployments_of(&app.id)?;
            if under_way.is_empty() {
                Ok(())
            } else {
                Err(format!("{under_way:?}"))
            }
        });
        bar.note(format!(
            "{instances} instances replaced in {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        watch.look();
        load.stop.store(true, Ordering::Relaxed);
    });
    watch.report(&mut bar);
    load.report(&mut bar);
    bar.finish();
}

fn web(instances: usize) -> Value {
    let check = json!({"protocol": "MESOS_HTTP", "path": "/health", "delaySeconds": 0, "intervalSeconds": 2,
        "timeoutSeconds": 1, "gracePeriodSeconds": 60});
    sleeper(
        "/rolling",
        &json!({
            "cmd": format!("exec {} demo-web", meseta().display()),
            "instances": instances,
            "mem": 32,
            "healthChecks": [check],
            "upgradeStrategy": {"minimumHealthCapacity": MINIMUM, "maximumOverCapacity": OVER},
        }),
    )
}

fn healthy(task: &Value) -> bool {
    let results = task["healthCheckResults"].as_array();
    task["state"] == "TASK_RUNNING" && results.is_some_and(|all| all.iter().any(|r| r["alive"] == true))
}

/// The load: requests over the instances that `/v2/tasks` lists as healthy.
#[derive(Default)]
struct Load {
    targets: Mutex<Vec<Server>>,
    stop: AtomicBool,
    answered: AtomicUsize,
    failed: AtomicUsize,
    new: AtomicUsize,
}

impl Load {
    /// Takes the targets anew.
    fn spread(&self, app: &App) {
        let body = app.service.rest.get("/v2/tasks").expect(200).json();
        let tasks = body["tasks"].as_array().into_iter().flatten();
        let mine = tasks.filter(|task| task["appId"] == app.id && healthy(task));
        let ports = mine.filter_map(|task| {
            task["ports"][0]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
        });
        let targets: Vec<Server> = ports.map(|port| Server { port }).collect();
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    fn send(&self, first: u32) {
        let pause = Duration::from_secs(1) * SENDERS / RATE;
        let mut next = Instant::now() + pause * first / SENDERS;
        let mut n = first as usize;
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pause;
            n += SENDERS as usize;
            let target = {
                let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
                targets.get(n % targets.len().max(1)).copied()
            };
            match target.map(|target| target.try_call("GET", "/", &[("Connection", "close")], None)) {
                Some(Ok(reply)) if reply.status() == 200 => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    if reply.text().starts_with("greetings") {
                        self.new.fetch_add(1, Ordering::Relaxed);
                    }
                }
                _ => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn report(&self, bar: &mut Bar) {
        let [answered, failed, new] =
            [&self.answered, &self.failed, &self.new].map(|n| n.load(Ordering::Relaxed));
        bar.note(format!(
            "requests: {answered} answered, {new} of them by the new version, {failed} failed (an instance that was \
             killed after it was last listed)"
        ));
        assert!(answered > 0 && new > 0, "no load");
    }
}

/// What was seen of the app.
struct Watch<'a> {
    app: &'a App,
    old: String,
    instances: usize,
    looks: usize,
    fewest_healthy: usize,
    most: usize,
    too_early: Vec<String>,
}

impl Watch<'_> {
    fn new(app: &App, instances: usize) -> Watch<'_> {
        Watch {
            app,
            old: text(&app.show()["version"]),
            instances,
            looks: 0,
            fewest_healthy: usize::MAX,
            most: 0,
            too_early: Vec::new(),
        }
    }

    fn look(&mut self) {
        let tasks = self.app.tasks();
        let count = |fits: &dyn Fn(&Value) -> bool| tasks.iter().filter(|task| fits(task)).count();
        let old = count(&|task| task["version"] == self.old && task["state"] != "TASK_KILLING");
        let new_healthy = count(&|task| task["version"] != self.old && healthy(task));
        let all_healthy = count(&healthy);
        self.looks += 1;
        self.fewest_healthy = self.fewest_healthy.min(all_healthy);
        self.most = self.most.max(tasks.len());
        // What the minimum lets go at once is free; each further old one goes for a new one that is healthy.
        let free = self.instances - self.minimum();
        if old + new_healthy + free < self.instances {
            self.too_early
                .push(format!("{old} old, {new_healthy} new and healthy"));
        }
    }

    fn minimum(&self) -> usize {
        (self.instances as f64 * MINIMUM).ceil() as usize
    }

    fn report(&self, bar: &mut Bar) {
        let most = (self.instances as f64 * (1.0 + OVER)).floor() as usize;
        bar.note(format!("looked at {} times", self.looks));
        let minimum = self.minimum();
        bar.figure(
            "fewest healthy instances",
            self.fewest_healthy,
            minimum,
            self.fewest_healthy >= minimum,
        );
        bar.figure("most instances", self.most, most, self.most <= most);
        let early = format!("{:?}", self.too_early);
        bar.figure(
            "old instances killed before new ones were healthy",
            early,
            "none",
            self.too_early.is_empty(),
        );
    }
}
