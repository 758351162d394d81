//! Containers under a real supervisor, as any user: life, death, and what survives whom.

#![allow(clippy::unwrap_used)]

#[path = "common/host.rs"]
mod common;

use common::{Host, exists, id, kill, processes_of, wait_until};
use meseta_containerizer::probe::Verdict;
use meseta_containerizer::{Command, CommandProbe, Event, ExitCause, LaunchFailure, Rlimit, Uri, UsageOf};
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn a_command_runs_in_its_sandbox_with_its_environment_and_nothing_else() {
    let mut host = Host::new().await;
    let mut spec = host.spec(
        "c",
        "pwd; env | sort; echo err >&2; ls -l /proc/self/fd | wc -l; exit 3",
    );
    spec.environment.push(("GREETING".into(), "hello".into()));
    host.containerizer.launch(spec).await.unwrap();
    assert!(host.launched("c").await > 0);
    assert_eq!(host.exited("c").await.status(), Some(3 << 8));
    let sandbox = host.sandbox("c").to_str().unwrap().to_owned();
    let output = host.output("c");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], sandbox);
    assert!(lines.contains(&"GREETING=hello"), "{output}");
    // Besides what the shell itself adds.
    let ours = lines[1..lines.len() - 1]
        .iter()
        .filter(|l| {
            !["PWD=", "_=", "SHLVL=", "OLDPWD="]
                .iter()
                .any(|p| l.starts_with(p))
        })
        .count();
    assert_eq!(ours, 3, "{output}");
    // 0, 1, 2, the folder being listed, and the line of the total.
    assert_eq!(lines.last(), Some(&"5"), "{output}");
    let stderr = std::fs::read_to_string(host.sandbox("c").join("stderr")).unwrap();
    assert_eq!(stderr, "err\n");
    host.end().await;
}

#[tokio::test]
async fn exit_codes_signals_and_core_dumps_are_told_as_they_were() {
    let mut host = Host::new().await;
    assert_eq!(host.run("zero", "true").await, 0);
    assert_eq!(host.run("code", "exit 200").await, 200 << 8);
    assert_eq!(host.run("term", "kill -TERM $$").await, 15);
    assert_eq!(host.run("rt", "kill -35 $$").await & 0x7f, 35);
    host.end().await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_with_the_reason() {
    let mut host = Host::new().await;
    let program = |path: &str| Command::Program {
        path: path.into(),
        argv: vec![path.into(), "x".into()],
    };
    for (name, path, why) in [
        (
            "a",
            "/no/such/program",
            "Failed to execute '/no/such/program': No such file or directory",
        ),
        (
            "b",
            "no-such-program",
            "Failed to execute 'no-such-program': No such file or directory",
        ),
        (
            "c",
            "/etc/passwd",
            "Failed to execute '/etc/passwd': Permission denied",
        ),
    ] {
        let mut spec = host.spec(name, "");
        spec.command = program(path);
        host.containerizer.launch(spec).await.unwrap();
        assert_eq!(host.failed(name).await, LaunchFailure::Exec(why.into()));
    }
    let mut spec = host.spec("d", "true");
    spec.user = Some("no-such-user".into());
    host.containerizer.launch(spec).await.unwrap();
    let sandbox = host.sandbox("d");
    assert_eq!(
        host.failed("d").await,
        LaunchFailure::Sandbox(
            format!(
                "Failed to create executor directory '{}': Failed to chown directory to \
                 'no-such-user': No such user 'no-such-user'",
                sandbox.display()
            )
            .into()
        )
    );
    let mut spec = host.spec("e", "true");
    spec.sandbox = std::path::Path::new("/proc/nowhere/x").into();
    host.containerizer.launch(spec).await.unwrap();
    assert!(matches!(host.failed("e").await, LaunchFailure::Sandbox(_)));
    host.end().await;
}

#[tokio::test]
async fn a_program_of_argv_and_a_script_without_interpreter_line_run() {
    let mut host = Host::new().await;
    let mut spec = host.spec("argv", "");
    spec.command = Command::Program {
        path: "printf".into(),
        argv: vec!["printf".into(), "%s|".into(), "a b".into(), "c".into()],
    };
    host.containerizer.launch(spec).await.unwrap();
    host.launched("argv").await;
    assert_eq!(host.exited("argv").await.status(), Some(0));
    assert_eq!(host.output("argv"), "a b|c|");
    let script = host.folder().join("script");
    std::fs::write(&script, "echo \"$0 $1\"\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = host.spec("script", "");
    spec.command = Command::Program {
        path: script.to_str().unwrap().into(),
        argv: vec!["x".into(), "one".into()],
    };
    host.containerizer.launch(spec).await.unwrap();
    host.launched("script").await;
    assert_eq!(host.exited("script").await.status(), Some(0));
    assert_eq!(host.output("script"), format!("{} one\n", script.display()));
    host.end().await;
}

#[tokio::test]
async fn resource_limits_of_processes_are_set_before_the_program_runs() {
    let mut host = Host::new().await;
    let mut spec = host.spec("c", "ulimit -n; ulimit -Hn");
    spec.rlimits = vec![Rlimit {
        resource: 7,
        soft: Some(50),
        hard: Some(60),
    }];
    host.containerizer.launch(spec).await.unwrap();
    host.launched("c").await;
    host.exited("c").await;
    assert_eq!(host.output("c"), "50\n60\n");
    host.end().await;
}

#[tokio::test]
async fn hundreds_of_short_tasks_each_end_once() {
    let mut host = Host::new().await;
    const TASKS: usize = 300;
    for n in 0..TASKS {
        host.launch(&format!("t{n}"), &format!("exit {}", n % 7)).await;
    }
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for _ in 0..2 * TASKS {
        match host.next().await {
            Event::Launched { id, .. } => seen.entry(id.to_string()).or_default().0 += 1,
            Event::Exited { id, exit } => {
                let n: i32 = id.as_str()[1..].parse().unwrap();
                assert_eq!(exit.status(), Some((n % 7) << 8));
                let counts = seen.entry(id.to_string()).or_default();
                assert_eq!(counts.0, 1, "{id} ended before it began");
                counts.1 += 1;
                host.containerizer.acknowledge(id).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(seen.values().all(|counts| *counts == (1, 1)));
    let supervisor = host.supervisor();
    let children = std::fs::read_dir("/proc").unwrap().flatten().filter(|e| {
        let stat = std::fs::read_to_string(e.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|r| r.split_whitespace().nth(1)?.parse().ok());
        parent == Some(supervisor)
    });
    assert_eq!(children.count(), 2, "only the two launchers are left");
    host.end().await;
}

#[tokio::test]
async fn a_signal_reaches_every_process_of_a_container() {
    let mut host = Host::new().await;
    let child = "trap \"echo child; exit\" TERM; touch ready; while :; do sleep 0.01; done";
    host.launch(
        "c",
        &format!("trap 'echo parent; wait; exit 5' TERM; setsid sh -c '{child}' & wait; wait"),
    )
    .await;
    host.launched("c").await;
    let ready = host.sandbox("c").join("ready");
    wait_until("the child runs", || ready.exists()).await;
    host.containerizer.signal(id("c"), 15).await.unwrap();
    host.exited("c").await;
    let output = host.output("c");
    assert!(output.contains("parent") && output.contains("child"), "{output}");
    host.end().await;
}

#[tokio::test]
async fn destroy_kills_descendants_in_sessions_of_their_own() {
    let mut host = Host::new().await;
    host.launch(
        "c",
        "setsid sleep 1000 & (setsid sleep 1001 &) ; sleep 1002 & touch ready; wait",
    )
    .await;
    host.launched("c").await;
    let sandbox = host.sandbox("c");
    wait_until("all run", || {
        sandbox.join("ready").exists() && processes_of(&sandbox).len() >= 4
    })
    .await;
    host.containerizer.destroy(id("c")).await.unwrap();
    assert_eq!(host.exited("c").await.status(), Some(9));
    wait_until("nothing of it is left", || processes_of(&sandbox).is_empty()).await;
    host.end().await;
}

#[tokio::test]
async fn what_a_task_leaves_behind_is_killed_when_it_ends() {
    let mut host = Host::new().await;
    host.launch("c", "sleep 1000 & setsid sleep 1001 & exit 0").await;
    host.launched("c").await;
    assert_eq!(host.exited("c").await.status(), Some(0));
    let sandbox = host.sandbox("c");
    wait_until("nothing of it is left", || processes_of(&sandbox).is_empty()).await;
    host.end().await;
}

#[tokio::test]
async fn destroying_what_is_not_there_or_not_yet_there_is_answered() {
    let mut host = Host::new().await;
    host.containerizer.destroy(id("nobody")).await.unwrap();
    assert_eq!(host.next().await, Event::Unknown { id: id("nobody") });
    for n in 0..20 {
        let name = format!("c{n}");
        host.launch(&name, "sleep 1000").await;
        host.containerizer.destroy(id(&name)).await.unwrap();
    }
    let mut over = 0;
    while over < 20 {
        match host.next().await {
            Event::Launched { .. } => {}
            Event::LaunchFailed { failure, .. } => {
                assert_eq!(failure, LaunchFailure::Destroyed);
                over += 1;
            }
            Event::Exited { exit, .. } => {
                assert_eq!(exit.status(), Some(9));
                over += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    host.end().await;
}

#[tokio::test]
async fn tasks_outlive_the_agent_and_their_ends_are_told_to_the_next_one_until_acknowledged() {
    let mut host = Host::new().await;
    host.launch("long", "while [ ! -e stop ]; do sleep 0.01; done; exit 4")
        .await;
    let pid = host.launched("long").await;
    host.launch("short", "while [ ! -e stop ]; do sleep 0.01; done; exit 3")
        .await;
    host.launched("short").await;
    let supervisor = host.supervisor();
    let stop = host.sandbox("short").join("stop");
    let host = {
        std::fs::write(&stop, "").unwrap();
        let host = host.restart_agent().await;
        assert_eq!(host.supervisor(), supervisor);
        host
    };
    let long = host.found.iter().find(|f| f.id == id("long")).unwrap();
    assert_eq!((long.pid, &long.exit), (pid, &None));
    // It ended before or after we returned.
    let mut host = host;
    let short = host.found.iter().find(|f| f.id == id("short")).unwrap().clone();
    match short.exit {
        Some(exit) => assert_eq!(exit.status(), Some(3 << 8)),
        None => assert_eq!(host.exited("short").await.status(), Some(3 << 8)),
    }
    let mut host = host.restart_agent().await;
    let again = host.found.iter().find(|f| f.id == id("short")).unwrap();
    assert_eq!(again.exit.as_ref().unwrap().status(), Some(3 << 8));
    host.containerizer.acknowledge(id("short")).await.unwrap();
    std::fs::write(host.sandbox("long").join("stop"), "").unwrap();
    assert_eq!(host.exited("long").await.status(), Some(4 << 8));
    let host = host.restart_agent().await;
    let left: Vec<&str> = host.found.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(left, ["long"]);
    host.end().await;
}

#[tokio::test]
async fn a_killed_supervisor_is_replaced_and_nothing_lies() {
    let mut host = Host::new().await;
    host.launch("survivor", "while [ ! -e stop ]; do sleep 0.01; done; exit 4")
        .await;
    let pid = host.launched("survivor").await;
    host.launch("victim", "sleep 1000").await;
    let victim = host.launched("victim").await;
    assert_eq!(host.run("ended", "exit 6").await, 6 << 8);
    kill(host.supervisor(), 9);
    kill(victim as i32, 9);
    let mut replaced = false;
    let mut unseen = false;
    while !(replaced && unseen) {
        match host.next().await {
            Event::SupervisorReplaced { containers } => {
                assert!(containers.iter().any(|f| f.id == id("survivor") && f.pid == pid));
                replaced = true;
            }
            // Its acknowledgement may have died with the supervisor; the truth has not.
            Event::Exited { id: ended, exit } if ended == id("ended") => {
                assert_eq!(exit.status(), Some(6 << 8));
            }
            Event::Exited { id: ended, exit } => {
                assert_eq!(ended, id("victim"));
                assert!(matches!(exit.cause, ExitCause::Unseen(_)), "{exit:?}");
                unseen = true;
            }
            Event::SupervisorDown { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(exists(pid as i32));
    assert_eq!(host.run("new", "exit 7").await, 7 << 8);
    std::fs::write(host.sandbox("survivor").join("stop"), "").unwrap();
    let exit = host.exited("survivor").await;
    assert!(matches!(&exit.cause, ExitCause::Unseen(why) if why.contains("Exit status unknown")));
    host.end().await;
}

#[tokio::test]
async fn launches_given_while_the_supervisor_dies_start_exactly_once() {
    let mut host = Host::new().await;
    let counter = host.folder().join("counter");
    const TASKS: usize = 60;
    for n in 0..TASKS {
        host.launch(&format!("t{n}"), &format!("echo {n} >> {}", counter.display()))
            .await;
        if n == TASKS / 2 {
            kill(host.supervisor(), 9);
        }
    }
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < TASKS {
        match host.next().await {
            Event::Exited { id, .. } => {
                assert!(ended.insert(id.to_string()), "{id} ended twice");
                host.containerizer.acknowledge(id).await.unwrap();
            }
            Event::LaunchFailed { id, failure } => panic!("{id}: {failure}"),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(&counter).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "something was started twice");
    host.end().await;
}

#[tokio::test]
async fn a_supervisor_that_replaces_a_dead_one_hears_that_it_is_to_end() {
    let host = Host::new().await;
    let dead = host.supervisor();
    kill(dead, 9);
    // Reaped by whoever started it: its end of the connection is closed, and there is no other one yet.
    wait_until("it is gone", || {
        !std::path::Path::new(&format!("/proc/{dead}")).exists()
    })
    .await;
    host.containerizer.stop_supervisor().await.unwrap();
    let folder = host.folder().to_owned();
    wait_until("no process of the test is left", || {
        processes_of(&folder).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_dead_launcher_is_replaced() {
    let mut host = Host::new().await;
    assert_eq!(host.run("before", "true").await, 0);
    let supervisor = host.supervisor();
    let launchers: Vec<i32> = processes_of(&host.config.runtime_dir)
        .into_iter()
        .filter(|pid| *pid != supervisor)
        .collect();
    assert_eq!(launchers.len(), 2);
    launchers.iter().for_each(|pid| kill(*pid, 9));
    for n in 0..10 {
        assert_eq!(host.run(&format!("after{n}"), "true").await, 0);
    }
    host.end().await;
}

#[tokio::test]
async fn launchers_that_die_in_their_work_start_nothing_twice_and_lose_nothing() {
    let mut host = Host::new().await;
    let counter = host.folder().join("counter");
    let supervisor = host.supervisor();
    const TASKS: usize = 100;
    for n in 0..TASKS {
        host.launch(&format!("t{n}"), &format!("echo {n} >> {}", counter.display()))
            .await;
    }
    let (mut started, mut over) = (0, 0);
    while over < TASKS {
        match host.next().await {
            Event::Launched { .. } => started += 1,
            Event::Exited { id, exit } => {
                // A newborn may die with its launcher after it was recorded.
                assert!(matches!(exit.status(), Some(0 | 9)), "{id}: {exit:?}");
                over += 1;
            }
            Event::LaunchFailed { .. } => over += 1,
            other => panic!("{other:?}"),
        }
        if started % 10 == 1 {
            let launchers = processes_of(&host.config.runtime_dir);
            if let Some(launcher) = launchers.into_iter().find(|pid| *pid != supervisor) {
                kill(launcher, 9);
            }
        }
    }
    let text = std::fs::read_to_string(&counter).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "something was started twice");
    assert!(count > TASKS / 2, "{count}");
    host.end().await;
}

#[tokio::test]
async fn another_build_takes_over_in_place_and_keeps_exit_statuses() {
    let mut host = Host::new().await;
    host.launch("c", "while [ ! -e stop ]; do sleep 0.01; done; exit 9")
        .await;
    let pid = host.launched("c").await;
    let supervisor = host.supervisor();
    let copy = host.folder().join("other-build");
    std::fs::copy(env!("CARGO_BIN_EXE_containerizer-helper"), &copy).unwrap();
    host.config.helper = vec![copy.clone().into()];
    let mut host = host.restart_agent().await;
    assert_eq!(host.supervisor(), supervisor);
    let runs = std::fs::read_link(format!("/proc/{supervisor}/exe")).unwrap();
    assert_eq!(runs, copy);
    assert!(host.found.iter().any(|f| f.pid == pid && f.exit.is_none()));
    std::fs::write(host.sandbox("c").join("stop"), "").unwrap();
    assert_eq!(host.exited("c").await.status(), Some(9 << 8));
    host.end().await;
}

#[tokio::test]
async fn a_stranger_with_garbage_disturbs_nobody() {
    use std::io::{Read as _, Write as _};
    let mut host = Host::new().await;
    let socket = host.config.runtime_dir.join("supervisor.sock");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for garbage in [&[0xff; 64][..], b"GET / HTTP/1.1\r\n\r\n", &[1, 0, 0, 0, 8][..]] {
        let mut stranger = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stranger.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        let _ = stranger.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(host.run("c", "true").await, 0);
    host.end().await;
}

#[tokio::test]
async fn files_are_fetched_first_and_a_failure_says_why() {
    let mut host = Host::new().await;
    let source = host.folder().join("data");
    std::fs::write(&source, "content").unwrap();
    let uri = |value: &str| Uri {
        value: value.into(),
        executable: false,
        extract: true,
        output_file: None,
    };
    let mut spec = host.spec("good", "cat data");
    spec.uris = vec![uri(source.to_str().unwrap())];
    host.containerizer.launch(spec).await.unwrap();
    host.launched("good").await;
    assert_eq!(host.exited("good").await.status(), Some(0));
    assert_eq!(host.output("good"), "content");
    let stderr = std::fs::read_to_string(host.sandbox("good").join("stderr")).unwrap();
    assert!(stderr.contains("Fetched '"), "{stderr}");
    let mut spec = host.spec("bad", "true");
    spec.uris = vec![uri("/no/such/file")];
    host.containerizer.launch(spec).await.unwrap();
    let why = host.failed("bad").await.to_string();
    assert_eq!(
        why,
        "Failed to fetch all URIs for container 'bad': exited with status 1: Failed to fetch \
         '/no/such/file': Failed to read '/no/such/file': No such file or directory (os error 2)"
    );
    host.end().await;
}

#[tokio::test]
async fn a_kill_while_fetching_stops_the_fetch() {
    let mut host = Host::new().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = host.spec("c", "true");
    spec.uris = vec![Uri {
        value: format!("http://{}/x", silent.local_addr().unwrap()),
        executable: false,
        extract: false,
        output_file: None,
    }];
    host.containerizer.launch(spec).await.unwrap();
    let listener = tokio::net::TcpListener::from_std({
        silent.set_nonblocking(true).unwrap();
        silent
    })
    .unwrap();
    let (_connection, _) = tokio::time::timeout(common::PATIENCE, listener.accept())
        .await
        .unwrap()
        .unwrap();
    host.containerizer.destroy(id("c")).await.unwrap();
    assert_eq!(host.failed("c").await, LaunchFailure::Destroyed);
    host.end().await;
}

#[tokio::test]
async fn command_probes_see_the_containers_environment_and_die_with_it() {
    let mut host = Host::new().await;
    host.launch("c", "sleep 1000").await;
    host.launched("c").await;
    let spec = host.spec("c", "");
    let probe = |command: &str, timeout| CommandProbe {
        container: id("c"),
        sandbox: spec.sandbox.clone(),
        command: Command::Shell(command.into()),
        environment: spec.environment.clone(),
        user: None,
        timeout,
    };
    let run = |p| host.containerizer.probe_command(p);
    let inside = "test \"$PWD\" = \"$MESOS_SANDBOX\"";
    assert_eq!(run(probe(inside, None)).await.unwrap(), Verdict::Exited(0));
    assert_eq!(run(probe("exit 7", None)).await.unwrap(), Verdict::Exited(7 << 8));
    let slow = probe("sleep 1000", Some(Duration::from_millis(50)));
    assert_eq!(run(slow).await.unwrap(), Verdict::TimedOut);
    let other = CommandProbe {
        container: id("nobody"),
        ..probe("true", None)
    };
    assert!(matches!(run(other).await.unwrap(), Verdict::Skipped(_)));
    let containerizer = host.containerizer.clone();
    let hanging = probe("touch probing; sleep 1000", None);
    let task = tokio::spawn(async move { containerizer.probe_command(hanging).await });
    let probing = host.sandbox("c").join("probing");
    wait_until("the probe runs", || probing.exists()).await;
    host.containerizer.destroy(id("c")).await.unwrap();
    assert_eq!(host.exited("c").await.status(), Some(9));
    assert_eq!(task.await.unwrap().unwrap(), Verdict::Exited(9));
    host.end().await;
}

#[tokio::test]
async fn statistics_are_sums_over_the_process_tree() {
    let mut host = Host::new().await;
    host.launch("c", "sh -c 'while :; do :; done' & while :; do :; done")
        .await;
    let pid = host.launched("c").await;
    let of = || {
        vec![
            UsageOf { id: id("c"), pid },
            UsageOf {
                id: id("gone"),
                pid: u32::MAX,
            },
        ]
    };
    let begun = std::time::Instant::now();
    loop {
        let usage = host.containerizer.usage(of()).await;
        assert_eq!(usage[1], None);
        let usage = usage[0].clone().unwrap();
        if usage.processes == 2 && usage.cpus_user_time_secs > 0.0 && usage.mem_rss_bytes > 0 {
            break;
        }
        assert!(begun.elapsed() < common::PATIENCE, "{usage:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    host.containerizer.destroy(id("c")).await.unwrap();
    host.exited("c").await;
    host.end().await;
}

#[tokio::test]
async fn a_task_runs_as_its_user_who_owns_its_sandbox() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("CI").is_err(), "cannot switch users without root");
        eprintln!("SKIPPED: cannot switch users without root");
        return;
    }
    let mut host = Host::new().await;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    // The way to the sandbox has to be open for others.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(host.folder(), open).unwrap();
    for (name, user, uid) in [("name", "nobody", 65534), ("number", "12345", 12345)] {
        let mut spec = host.spec(name, "id -u; id -G; touch mine");
        spec.user = Some(user.into());
        host.containerizer.launch(spec).await.unwrap();
        host.launched(name).await;
        assert_eq!(host.exited(name).await.status(), Some(0));
        let expected = if uid == 65534 {
            "65534\n65534\n"
        } else {
            "12345\n12345\n"
        };
        assert_eq!(host.output(name), expected);
        for file in ["", "stdout", "stderr", "mine"] {
            let meta = std::fs::metadata(host.sandbox(name).join(file)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (uid, uid), "{name}: {file}");
        }
        let mode = std::fs::metadata(host.sandbox(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o750);
    }
    // Files are fetched by the user: what it may not read it does not get.
    let secret = host.folder().join("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut spec = host.spec("fetch", "true");
    spec.user = Some("nobody".into());
    spec.uris = vec![Uri {
        value: secret.to_str().unwrap().into(),
        executable: false,
        extract: true,
        output_file: None,
    }];
    host.containerizer.launch(spec).await.unwrap();
    let why = host.failed("fetch").await.to_string();
    assert!(
        why.contains("Failed to read") && why.contains("Permission denied"),
        "{why}"
    );
    host.end().await;
}

#[tokio::test]
async fn programs_have_the_limit_of_open_files_that_the_agent_has() {
    let mut host = Host::new().await;
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let expected = format!("{soft}\n{hard}\n");
    let unlimited = |text: String| text.replace("unlimited", &u64::MAX.to_string());
    assert_eq!(host.run("before", "ulimit -n; ulimit -Hn").await, 0);
    assert_eq!(unlimited(host.output("before")), expected);
    // Also below another build that was executed in place.
    let copy = host.folder().join("other-build");
    std::fs::copy(env!("CARGO_BIN_EXE_containerizer-helper"), &copy).unwrap();
    host.config.helper = vec![copy.into()];
    let mut host = host.restart_agent().await;
    assert_eq!(host.run("after", "ulimit -n; ulimit -Hn").await, 0);
    assert_eq!(unlimited(host.output("after")), expected);
    host.end().await;
}

#[tokio::test]
async fn a_fetch_of_thousands_of_files_is_not_too_much_for_an_environment() {
    let mut host = Host::new().await;
    let source = host.folder().join("data");
    std::fs::write(&source, "content").unwrap();
    let mut spec = host.spec("c", "ls | grep -c '^copy'");
    spec.uris = (0..3000)
        .map(|n| Uri {
            value: source.to_str().unwrap().into(),
            executable: false,
            extract: false,
            output_file: Some(format!("copy-{n:060}")),
        })
        .collect();
    host.containerizer.launch(spec).await.unwrap();
    host.launched("c").await;
    assert_eq!(host.exited("c").await.status(), Some(0));
    assert_eq!(host.output("c"), "3000\n");
    host.end().await;
}
