//! Ten prepared situations: something waits or does not run, and `why` must name the true reason.

use meseta_tests::bar::Bar;
use meseta_tests::binary::meseta;
use meseta_tests::cluster::{Up, signal};
use meseta_tests::cron::job;
use meseta_tests::daemon::Pair;
use meseta_tests::service::{App, sleeper};
use meseta_tests::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A reason may take a moment to become known: offers are looked at, checks are made.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the first line holds all words.
fn told(bar: &mut Bar, situation: &str, master: &str, question: [&str; 2], words: &[&str]) {
    let mut last = String::new();
    let start = std::time::Instant::now();
    let good = loop {
        let out = Command::new(meseta())
            .args(["--master", master, question[0], "why", question[1]])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        last.clear();
        last.push_str(&String::from_utf8_lossy(&out.stdout));
        let verdict = last.lines().next().unwrap_or_default().to_lowercase();
        if out.status.success() && words.iter().all(|word| verdict.contains(word)) {
            break true;
        }
        if start.elapsed() > PATIENCE {
            last.push_str(&String::from_utf8_lossy(&out.stderr));
            break false;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    let verdict = if good {
        last.lines().next().unwrap_or_default()
    } else {
        &last
    };
    bar.figure(situation, verdict.trim(), words.join(", "), good);
}

pub(crate) fn reasons(bar: &mut Bar) {
    let up = Up::start(&[]);
    let master = up.master_address();
    too_big(bar, &up, &master);
    no_ports(bar, &up, &master);
    back_off(bar, &up, &master);
    failing_check(bar, &up, &master);
    held_deployment(bar, &up, &master);
    jobs(bar, &up, &master);
    lost_agent(bar);
    no_offers(bar);
}

fn too_big(bar: &mut Bar, up: &Up, master: &str) {
    let _app = up
        .service()
        .create(&sleeper("/too-big", &json!({"cpus": 10_000})));
    told(
        bar,
        "too big",
        master,
        ["app", "too-big"],
        &["/too-big", "waits", "cpus", "10000"],
    );
}

fn no_ports(bar: &mut Bar, up: &Up, master: &str) {
    let fixed = json!({"requirePorts": true, "portDefinitions": [{"port": 31_777}], "instances": 2});
    let app = up.service().create(&sleeper("/no-ports", &fixed));
    app.running(1);
    told(
        bar,
        "no ports",
        master,
        ["app", "no-ports"],
        &["/no-ports", "waits", "port", "31777"],
    );
}

fn back_off(bar: &mut Bar, up: &Up, master: &str) {
    let crashes = json!({"cmd": "exit 3", "backoffSeconds": 60});
    let _app = up.service().create(&sleeper("/back-off", &crashes));
    told(
        bar,
        "back-off",
        master,
        ["app", "back-off"],
        &["/back-off", "next start in"],
    );
}

fn check(command: &str) -> Value {
    json!([{"protocol": "COMMAND", "command": {"value": command}, "gracePeriodSeconds": 3600, "intervalSeconds": 1,
        "timeoutSeconds": 1, "delaySeconds": 0}])
}

fn failing_check(bar: &mut Bar, up: &Up, master: &str) {
    let _app = up
        .service()
        .create(&sleeper("/failing", &json!({"healthChecks": check("false")})));
    told(
        bar,
        "failing check",
        master,
        ["app", "failing"],
        &["/failing", "health check"],
    );
}

fn held_deployment(bar: &mut Bar, up: &Up, master: &str) {
    let service = up.service();
    let list = json!([
        sleeper("/held/db", &json!({"healthChecks": check("false")})),
        sleeper("/held/web", &json!({"dependencies": ["/held/db"]})),
    ]);
    service.rest.put("/v2/apps", &list).expect(200);
    let _apps = ["/held/web", "/held/db"].map(|id| App {
        service,
        id: id.into(),
    });
    told(
        bar,
        "held deployment",
        master,
        ["app", "held/web"],
        &["/held/web", "waits for", "/held/db"],
    );
}

fn jobs(bar: &mut Bar, up: &Up, master: &str) {
    let cron = up.cron();
    let _parent = cron.store(&job(
        "parent",
        "true",
        &json!({"schedule": "R/2031-01-01T00:00:00Z/P1D"}),
    ));
    let _child = cron.store(&job("child", "true", &json!({"parents": ["parent"]})));
    told(
        bar,
        "parent not run",
        master,
        ["job", "child"],
        &["success of parent"],
    );
    let _off = cron.store(&job(
        "off",
        "true",
        &json!({"schedule": "R//PT1H", "disabled": true}),
    ));
    told(bar, "disabled", master, ["job", "off"], &["disabled"]);
    let past = cron.store(&job("past", "true", &json!({"schedule": "R1//PT1H"})));
    past.until("has used its only start", |job| {
        job["successCount"] == 1 && job["disabled"] == true
    });
    told(
        bar,
        "past its end",
        master,
        ["job", "past"],
        &["no further start"],
    );
}

fn lost_agent(bar: &mut Bar) {
    let pair = Pair::start(
        &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
        &["--hostname=host-a"],
    );
    let (_daemon, service) = pair.start_service(&[]);
    let patient = json!({"inactiveAfterSeconds": 600, "expungeAfterSeconds": 1200});
    let app = service.deploy(&sleeper("/lost", &json!({"unreachableStrategy": patient})));
    let agent = pair.agent.as_ref().unwrap().pid();
    signal(agent, Signal::SIGSTOP);
    wait::until("the task is unreachable", || {
        let tasks = app.tasks();
        if tasks.iter().any(|task| task["state"] == "TASK_UNREACHABLE") {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    told(
        bar,
        "lost agent",
        &pair.master_address(),
        ["app", "lost"],
        &["host-a", "unreachable"],
    );
    signal(agent, Signal::SIGCONT);
}

fn no_offers(bar: &mut Bar) {
    // A master without agents.
    let pair = Pair::master_only(&[]);
    let (_daemon, service) = pair.start_service(&[]);
    let _app = service.create(&sleeper("/nowhere", &json!({})));
    told(
        bar,
        "no offers",
        &pair.master_address(),
        ["app", "nowhere"],
        &["/nowhere", "offer"],
    );
}
