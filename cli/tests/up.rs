//! `meseta up` as a user meets it, and as an unkind one does: processes killed, stopped, started twice.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Ports, Running, Up, alive, meseta, signal_pid, until};
use nix::sys::signal::Signal;
use std::net::TcpListener;

/// Detaches `sleep` as a task and returns its process id.
fn sleeper(up: &Up, seconds: &str) -> i32 {
    let pid_file = up.folder.path().join(format!("sleeper-{seconds}"));
    let script = format!("echo $$ > {}; exec sleep {seconds}", pid_file.display());
    up.ask(&[
        "execute", "-q", "--detach", "--name", "sleeper", "--", "sh", "-c", &script,
    ]);
    until("the task runs", || {
        let text = std::fs::read_to_string(&pid_file).map_err(|e| e.to_string())?;
        text.trim().parse().map_err(|e| format!("{e}: {text:?}"))
    })
}

fn running_tasks(up: &Up) -> usize {
    let output = up.run(&["task", "list", "--json", "--state", "running"]);
    let tasks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    tasks.as_array().map_or(0, Vec::len)
}

#[test]
fn a_cluster_comes_up_runs_a_command_and_leaves_nothing() {
    let mut up = Up::start(&[
        "--agents",
        "2",
        "--",
        "sh",
        "-c",
        "echo hello; echo oops >&2; exit 3",
    ]);
    up.up.wait_out("hello\n");
    up.up
        .wait_said("the command ended with exit code 3; the cluster stays up");
    assert_eq!(up.up.out(), "hello\n", "standard output belongs to the command");
    let nodes = up.ask(&["node", "list", "--no-headers"]);
    assert_eq!(nodes.lines().count(), 2, "{nodes}");
    let task = sleeper(&up, "1001");
    up.up.signal(Signal::SIGINT);
    assert_eq!(up.up.wait(), Some(0));
    assert!(!alive(task));
    assert_eq!(up.left(), Vec::<String>::new());
    let cgroups = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let roots = cgroups
        .lines()
        .filter(|l| l.contains(" - cgroup "))
        .filter_map(|l| l.split(' ').nth(4));
    for root in roots {
        let name = |e: std::fs::DirEntry| e.file_name().to_string_lossy().into_owned();
        let ours = std::fs::read_dir(root).into_iter().flatten().flatten().map(name);
        let mark = format!("{:08x}", fnv(up.folder.path().as_os_str().as_encoded_bytes()));
        let left: Vec<String> = ours.filter(|n| n.contains(&mark)).collect();
        assert_eq!(left, Vec::<String>::new(), "in {root}");
    }
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

#[test]
fn each_role_that_is_killed_is_back_and_tasks_run_on() {
    let up = Up::start(&[]);
    let task = sleeper(&up, "1002");
    for role in ["agent", "master"] {
        let before = up.pids(role);
        signal_pid(before[0], Signal::SIGKILL);
        up.up
            .wait_said(&format!("{role} died (signal 9), starting it again"));
        until("it is back", || {
            let now = up.pids(role);
            if now.len() == 1 && now != before {
                Ok(())
            } else {
                Err(format!("{before:?} {now:?}"))
            }
        });
        until("the task is known again", || {
            if running_tasks(&up) == 1 {
                Ok(())
            } else {
                Err(up.up.said())
            }
        });
        assert!(alive(task), "the task survives the {role}");
    }
}

#[test]
fn a_killed_supervisor_is_replaced_and_nobody_lies_about_its_tasks() {
    let up = Up::start(&[]);
    let task = sleeper(&up, "1003");
    let supervisors = up.pids("supervise");
    // The first is the parent of the others.
    signal_pid(supervisors[0], Signal::SIGKILL);
    // A launch that meets the death is told as failed; once there is a successor, tasks run again.
    until("a command runs again", || {
        let output = up.run(&["execute", "-q", "--timeout", "60s", "--", "echo", "again"]);
        if output.stdout == b"again\n" {
            Ok(())
        } else {
            Err(format!("{output:?}"))
        }
    });
    // The task was taken over alive; its end is noticed although it is nobody's child any more.
    assert_eq!(alive(task), running_tasks(&up) == 1);
    signal_pid(task, Signal::SIGKILL);
    until("its end is told", || {
        if running_tasks(&up) == 0 {
            Ok(())
        } else {
            Err(up.ask(&["task", "list", "-a"]))
        }
    });
}

#[test]
fn an_agent_that_hangs_does_not_hang_the_rest() {
    let mut up = Up::start(&["--agents", "2"]);
    let agents = up.pids("agent");
    signal_pid(agents[0], Signal::SIGSTOP);
    let output = up.run(&["execute", "-q", "--timeout", "20s", "--", "echo", "elsewhere"]);
    // The one that hangs may have been chosen: then the time-out speaks.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{output:?}");
    up.up.signal(Signal::SIGINT);
    up.up.wait_said("still waiting for");
    up.up.signal(Signal::SIGINT);
    assert_eq!(up.up.wait(), Some(0));
    assert_eq!(up.left(), Vec::<String>::new());
}

/// All roles' processes.
fn roles(up: &Up) -> Vec<i32> {
    ["master", "agent", "service", "cron"]
        .iter()
        .flat_map(|role| up.pids(role))
        .collect()
}

#[test]
fn after_a_kill_of_up_itself_the_cluster_runs_on_and_the_next_one_takes_over() {
    let mut up = Up::start(&[]);
    let task = sleeper(&up, "1004");
    let before = roles(&up);
    up.up.signal(Signal::SIGKILL);
    assert_eq!(up.up.wait(), None);
    // It runs on: a command finds it and its task.
    assert_eq!(running_tasks(&up), 1);
    assert_eq!(roles(&up), before);
    up.again();
    up.up
        .wait_said(&format!("adopted {} processes and 1 running task", before.len()));
    assert_eq!(roles(&up), before, "nothing was started a second time");
    assert!(alive(task));
    // What was adopted is watched as if it had been started here.
    let agent = up.pids("agent");
    signal_pid(agent[0], Signal::SIGKILL);
    up.up.wait_said("agent died (how is not known");
    until("the agent is back and knows the task", || {
        let now = up.pids("agent");
        if now.len() == 1 && now != agent && running_tasks(&up) == 1 {
            Ok(())
        } else {
            Err(format!("{now:?} {}", up.up.said()))
        }
    });
    assert!(alive(task));
    up.up.signal(Signal::SIGTERM);
    assert_eq!(up.up.wait(), Some(0));
    assert!(!alive(task));
    assert_eq!(up.left(), Vec::<String>::new());
}

/// The ids of the tasks that run.
fn task_ids(up: &Up) -> Vec<String> {
    let tasks = up.ask(&["task", "list", "--json", "--state", "running"]);
    let tasks: serde_json::Value = serde_json::from_str(&tasks).unwrap();
    let id = |task: &serde_json::Value| task["task_id"]["value"].as_str().unwrap().to_owned();
    let ids = tasks.as_array().unwrap().iter().map(id);
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with("web.")).collect();
    ids.sort();
    ids
}

#[test]
fn the_examples_come_up_survive_a_kill_of_everything_and_come_back() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let (web, clock) = (format!("{examples}/web.json"), format!("{examples}/clock.json"));
    let mut up = Up::start(&[&web, &clock]);
    assert!(up.up.said().contains("app /web  3/3 healthy"), "{}", up.up.said());
    assert!(up.up.said().contains("first run ok"), "{}", up.up.said());
    let env = up.ask(&["status", "-o", "env"]);
    assert!(env.contains("MESETA_SERVICE_URL=http://127.0.0.1:"), "{env}");
    let ids = task_ids(&up);
    assert_eq!(ids.len(), 3);
    for role in ["service", "cron", "agent", "master"] {
        signal_pid(up.pids(role)[0], Signal::SIGKILL);
    }
    up.up.signal(Signal::SIGKILL);
    assert_eq!(up.up.wait(), None);
    up.again();
    assert_eq!(task_ids(&up), ids, "every instance goes on");
    up.up.signal(Signal::SIGINT);
    assert_eq!(up.up.wait(), Some(0));
    assert_eq!(up.left(), Vec::<String>::new());
    // Without files: what was there comes back by itself, as new instances.
    up.again_with(&[]);
    up.up.wait_said("found /web and clock from");
    assert!(up.up.said().contains("app /web  3/3 healthy"), "{}", up.up.said());
    assert_eq!(task_ids(&up).iter().filter(|id| ids.contains(id)).count(), 0);
}

#[test]
fn other_flags_replace_the_processes_that_were_left_and_keep_their_tasks() {
    let mut up = Up::start(&["--agents", "2"]);
    let task = sleeper(&up, "1005");
    let (masters, agents) = (up.pids("master"), up.pids("agent"));
    up.up.signal(Signal::SIGKILL);
    assert_eq!(up.up.wait(), None);
    up.again_with(&["--agents", "2", "--cpu-limits"]);
    assert_eq!(up.pids("master"), masters, "its flags are the same");
    if up.pids("agent") == agents {
        // A host without cgroups has no limits, so the flags are the same there.
        up.up.wait_said("adopted");
    }
    until("the task is known", || {
        if running_tasks(&up) == 1 {
            Ok(())
        } else {
            Err(up.up.said())
        }
    });
    assert!(alive(task));
}

#[test]
fn what_a_killed_up_left_can_be_stopped_without_starting_anything() {
    let mut up = Up::start(&[]);
    let task = sleeper(&up, "1006");
    up.up.signal(Signal::SIGKILL);
    assert_eq!(up.up.wait(), None);
    let folder = up.folder.path().to_str().unwrap().to_owned();
    let offset = up.ports.offset().to_string();
    let stop = || {
        let output = meseta()
            .args(["up", "--stop", "--dir", &folder, "--port-offset", &offset])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(!alive(task));
    assert_eq!(up.left(), Vec::<String>::new());
    let (code, said) = stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing runs in"), "{said}");
}

/// Runs `up` to its end; exit code, standard output and what it said.
fn up_in(folder: &std::path::Path, ports: &Ports, more: &[&str]) -> (Option<i32>, String, String) {
    let output = meseta()
        .args(["up", "--dir"])
        .arg(folder)
        .args(["--port-offset", &ports.offset().to_string()])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// An app in a file of this folder.
fn app_file(folder: &std::path::Path) -> String {
    let file = folder.join("app.json");
    let app = r#"{"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16}"#;
    std::fs::write(&file, app).unwrap();
    file.display().to_string()
}

#[test]
fn the_exit_code_in_the_background_says_what_did_not_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let app = app_file(folder.path());
    let run = |more: &[&str]| up_in(folder.path(), &ports, more);
    let (code, _, said) = run(&["--detach", "--no-service", "--no-cron", &app]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("--no-service left out what the app /web needs")
            && said.contains("it runs in the background"),
        "{said}"
    );
    let (code, _, said) = run(&["--stop"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_app_that_is_as_its_file_says_gets_no_new_version() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let app = app_file(folder.path());
    let run = |more: &[&str]| up_in(folder.path(), &ports, more);
    let versions = || {
        let asked = ["-m", &ports.master(), "app", "versions", "web", "--no-headers"];
        let output = meseta().args(asked).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    for _ in 0..2 {
        let (code, _, said) = run(&["--detach", &app]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(versions(), 1, "{said}");
        let (code, _, said) = run(&["--stop"]);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_cluster_in_the_background_outlives_its_terminal_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports::take();
    let run = |more: &[&str]| up_in(folder.path(), &ports, more);
    let (code, out, said) = run(&["--detach", "-o", "env"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Up in") && said.contains("it runs in the background"),
        "{said}"
    );
    assert!(
        out.contains(&format!("export MESETA_MASTER={}\n", ports.master())),
        "{out}"
    );
    let status = meseta().args(["-m", &ports.master(), "status"]).output().unwrap();
    assert!(status.status.success(), "{status:?}");
    let (code, _, said) = run(&["--stop"]);
    assert_eq!(code, Some(0), "{said}");
    let status = meseta().args(["-m", &ports.master(), "status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(6));
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_stubborn_task() {
    let mut up = Up::start(&[]);
    let script = "trap : TERM INT; echo ready; while :; do sleep 1; done";
    let mut job = Running::start(&mut up.meseta(&["execute", "--grace", "1h", "--", "sh", "-c", script]));
    job.wait_out("ready");
    up.up.signal(Signal::SIGINT);
    up.up.wait_said("still waiting for tasks to end");
    up.up.signal(Signal::SIGINT);
    assert_eq!(up.up.wait(), Some(0));
    assert_eq!(up.left(), Vec::<String>::new());
    // Whether it heard of its task's end before the master went or not: it does not wait for a master for ever.
    until("execute ends", || {
        job.signal(Signal::SIGINT);
        if job.has_ended() { Ok(()) } else { Err(job.said()) }
    });
}

#[test]
fn what_is_in_the_way_is_named_with_a_way_out() {
    let up = Up::start(&[]);
    let folder = up.folder.path().to_str().unwrap();
    let ports = Ports::take();
    let offset = ports.offset().to_string();
    let second = meseta()
        .args(["up", "--dir", folder, "--port-offset", &offset])
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(
        said.contains(&format!("in use by process {} (meseta up)", up.up.pid())),
        "{said}"
    );

    let other = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 5051 + ports.offset())).unwrap();
    let blocked = meseta()
        .args(["up", "--port-offset", &offset, "--dir"])
        .arg(other.path())
        .output()
        .unwrap();
    let said = String::from_utf8(blocked.stderr).unwrap();
    assert_eq!(blocked.status.code(), Some(75), "{said}");
    let port = taken.local_addr().unwrap().port();
    let want = format!(
        "port {port} for the agent is in use by process {} ",
        std::process::id()
    );
    assert!(said.contains(&want), "{said}");
    assert!(said.contains("--port-offset"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_no_half_cluster() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ports = Ports::take();
    let output = meseta()
        .args(["up", "--port-offset", &ports.offset().to_string(), "--dir"])
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error[no-state]: cannot write"), "{said}");
}
