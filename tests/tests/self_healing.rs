//! Self-healing: under `meseta up`, whatever is killed comes back by itself, and nothing else notices.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::{self, Bar};
use meseta_tests::cluster::{Up, alive, signal};
use meseta_tests::cron::{DUE_AND_ATTEMPT, Diary, Job, WHOLE_HISTORY, from_now, job};
use meseta_tests::service::{App, sleeper, text};
use meseta_tests::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// From the kill of an instance to a new one that runs: the first back-off is one second.
const REPLACED: Duration = Duration::from_secs(2);

/// Between two looks at what is measured.
const LOOK: Duration = Duration::from_millis(5);

/// Milliseconds between two slots of the job.
const PERIOD: i64 = 1_000;

#[test]
fn what_is_killed_comes_back_and_nothing_else_notices() {
    let mut bar = Bar::new("self-healing");
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start_with(&[], &[WHOLE_HISTORY]);
    let app = up.service().deploy(&with_pids("/kept", folder.path()));
    instances(&mut bar, &app, folder.path());

    let diary = Diary::new();
    let every_second = json!({"schedule": format!("R/{}/PT1S", from_now(1)), "retries": 0});
    let clock = up
        .cron()
        .store(&job("clock", &diary.note(DUE_AND_ATTEMPT, "true"), &every_second));
    let moving = up.service().deploy(&checked("/moving"));
    let rounds = if bar::full() { 5 } else { 1 };
    for round in 0..rounds {
        for role in ["service", "cron", "master", "agent"] {
            kill(&mut bar, &up, role, &app, &moving, folder.path(), &diary, round);
        }
    }
    runs(&mut bar, &clock, &diary);
    bar.finish();
}

/// Three instances that write their process ids down. Each failure is followed by the first delay, as if it were the
/// only one in a while: without that, ten in a minute wait longer and longer.
fn with_pids(id: &str, folder: &Path) -> Value {
    let cmd = format!(
        "echo $$ > {0}/$MESOS_TASK_ID.new; mv {0}/$MESOS_TASK_ID.new {0}/$MESOS_TASK_ID; exec sleep 1000",
        folder.display()
    );
    sleeper(id, &json!({"cmd": cmd, "instances": 3, "backoffFactor": 1}))
}

/// Three instances that are healthy after a check, so that an update takes a while.
fn checked(id: &str) -> Value {
    let check = json!({"protocol": "COMMAND", "command": {"value": "true"}, "intervalSeconds": 1, "timeoutSeconds": 1,
        "delaySeconds": 0, "gracePeriodSeconds": 60});
    sleeper(
        id,
        &json!({"instances": 3, "healthChecks": [check],
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 0}}),
    )
}

/// Task → process id, of the tasks that the service lists as running.
fn pids(app: &App, folder: &Path) -> Result<BTreeMap<String, i32>, String> {
    let body = app.service.rest.json(&app.path("/tasks"))?;
    let tasks = body["tasks"].as_array().into_iter().flatten();
    let running = tasks
        .filter(|task| task["state"] == "TASK_RUNNING")
        .map(|task| text(&task["id"]));
    running
        .map(|id| {
            let path: PathBuf = folder.join(&id);
            let pid =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((id, pid.trim().parse().map_err(|error| format!("{pid}: {error}"))?))
        })
        .collect()
}

/// Waits with a finer look than other waits have, and returns how long it took.
fn timed<T>(what: &str, start: Instant, mut look: impl FnMut() -> Result<T, String>) -> Duration {
    loop {
        match look() {
            Ok(_) => return start.elapsed(),
            Err(last) => assert!(
                start.elapsed() < wait::PATIENCE,
                "not in time: {what}; last seen: {last}"
            ),
        }
        std::thread::sleep(LOOK);
    }
}

fn instances(bar: &mut Bar, app: &App, folder: &Path) {
    let rounds = if bar::full() { 10 } else { 2 };
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let before = wait::until("three instances run", || match pids(app, folder)? {
            pids if pids.len() == 3 => Ok(pids),
            pids => Err(format!("{pids:?}")),
        });
        let victim = *before.values().next().unwrap();
        let start = Instant::now();
        signal(victim, Signal::SIGKILL);
        let took = timed("a new instance runs", start, || {
            let now = pids(app, folder)?;
            let new = now
                .values()
                .filter(|pid| !before.values().any(|old| old == *pid) && alive(**pid))
                .count();
            if new == 1 && now.len() == 3 {
                Ok(())
            } else {
                Err(format!("{before:?} {now:?}"))
            }
        });
        slowest = slowest.max(took);
        let now = pids(app, folder).unwrap();
        let kept = now
            .values()
            .filter(|pid| before.values().any(|old| old == *pid))
            .count();
        assert_eq!(kept, 2, "the others keep their processes");
    }
    let value = format!("{:.2} s, the slowest of {rounds}", slowest.as_secs_f64());
    bar.figure(
        "kill -9 of an instance: a new one runs after",
        value,
        "2 s",
        slowest <= REPLACED || !bar::full(),
    );
}

#[allow(clippy::too_many_arguments)]
fn kill(
    bar: &mut Bar,
    up: &Up,
    role: &str,
    app: &App,
    moving: &App,
    folder: &Path,
    diary: &Diary,
    round: usize,
) {
    let before = wait::until("three instances run", || match pids(app, folder)? {
        pids if pids.len() == 3 => Ok(pids),
        pids => Err(format!("{pids:?}")),
    });
    // A deployment that is under way while the process dies.
    let change = json!({"env": {"ROUND": format!("{round}-{role}")}});
    let deployment = moving
        .service
        .rest
        .put(&moving.path(""), &change)
        .expect(200)
        .json();
    let ran = diary.lines().len();
    let start = Instant::now();
    let pid = up.kill(role);
    let back = timed("it is back", start, || {
        let pids = up.pids(role);
        if pids.is_empty() || pids.contains(&pid) {
            return Err(format!("{role}: {pids:?}"));
        }
        match role {
            "service" => up.service().rest.json("/v2/info").map(drop),
            "cron" => up.cron().rest.json("/v1/scheduler/jobs").map(drop),
            _ => active(up),
        }
    });
    bar.note(format!(
        "kill -9 of the {role}: back after {:.2} s",
        back.as_secs_f64()
    ));
    moving.settled();
    let version = moving.show()["version"].clone();
    let tasks = moving.running(3);
    let whole = version == deployment["version"] && tasks.iter().all(|task| task["version"] == version);
    bar.figure(
        &format!("deployment under way when the {role} died"),
        "completed",
        "completed",
        whole,
    );
    let after = wait::until("the instances are listed again", || match pids(app, folder)? {
        pids if pids.len() == 3 => Ok(pids),
        pids => Err(format!("{pids:?}")),
    });
    let same = before == after && after.values().all(|pid| alive(*pid));
    bar.figure(
        &format!("processes of the instances after the {role} died"),
        "the same",
        "the same",
        same,
    );
    diary.until(ran + 1);
}

/// Whether the master lists an active agent and both frameworks.
fn active(up: &Up) -> Result<(), String> {
    let slaves = up.json("/slaves")?;
    let frameworks = up.json("/frameworks")?;
    let count = |all: &Value| {
        all.as_array()
            .map_or(0, |all| all.iter().filter(|one| one["active"] == true).count())
    };
    let seen = (count(&slaves["slaves"]), count(&frameworks["frameworks"]));
    if seen == (1, 2) {
        Ok(())
    } else {
        Err(format!("{seen:?}"))
    }
}

fn runs(bar: &mut Bar, clock: &Job, diary: &Diary) {
    let path = format!("/v1/scheduler/pause/{}", clock.name);
    clock.cron.rest.call("PUT", &path, &[], None).expect(204);
    clock.until_state("idle");
    let ledger = clock.ledger(diary, PERIOD);
    bar.note(format!(
        "{} slots, {} ran, {} recorded with a reason",
        ledger.slots, ledger.ran, ledger.recorded
    ));
    bar.figure(
        "runs that were doubled",
        format!("{:?}", ledger.doubled),
        "none",
        ledger.doubled.is_empty(),
    );
    bar.figure(
        "slots neither run nor recorded",
        format!("{:?}", ledger.lost),
        "none",
        ledger.lost.is_empty(),
    );
    assert!(ledger.ran > 3, "{ledger:?}");
}
