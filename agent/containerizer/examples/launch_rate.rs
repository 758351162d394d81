//! Measures launches: `launch_rate FOLDER TASKS [ISOLATION]`; tasks of `true` given at once, until each has ended and
//! was acknowledged. Prints the rate and the CPU time of the supervisor with its launchers and of this process, per task.
//!
//! Build with `--release`; the helper binary must lie beside the example's folder, where cargo puts it.

use meseta_containerizer::isolate::{CgroupOptions, Isolation, detect_isolation};
use meseta_containerizer::{Command, Config, Containerizer, Event, LaunchSpec, Resources};
use meseta_types::ContainerId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: launch_rate FOLDER TASKS [ISOLATION [LAUNCHERS]]";
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    let tasks: usize = arguments.next().ok_or(usage)?.parse()?;
    let mut config = Config::new(folder.join("run"), vec![helper()?.into()]);
    if let Some(text) = arguments.next() {
        let host = detect_isolation(Path::new("/sys/fs/cgroup"), "meseta-rate");
        let options = CgroupOptions {
            root: "meseta-rate".to_owned(),
            ..CgroupOptions::default()
        };
        config.isolation = Isolation::choose(&text, options, &host)?;
    }
    if let Some(launchers) = arguments.next() {
        config.launchers = launchers.parse()?;
    }
    let mut started = Containerizer::start(config).await?;
    let containerizer = started.containerizer.clone();
    let begun = Instant::now();
    let giver = tokio::spawn(async move {
        for n in 0..tasks {
            if containerizer.launch(spec(&folder, n)?).await.is_err() {
                break;
            }
        }
        Ok::<(), meseta_types::id::IdError>(())
    });
    let mut ended = 0;
    while ended < tasks {
        match started.events.recv().await.ok_or("the containerizer ended")? {
            Event::Exited { id, exit } => {
                if exit.status() != Some(0) {
                    return Err(format!("{id} ended with {exit:?}").into());
                }
                started.containerizer.acknowledge(id).await?;
                ended += 1;
            }
            Event::LaunchFailed { id, failure } => return Err(format!("{id}: {failure}").into()),
            _ => {}
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    giver.await??;
    println!("{:.0} tasks/s", tasks as f64 / elapsed);
    for (who, seconds) in cpu_seconds() {
        println!("{who}: {:.0} us/task", seconds * 1e6 / tasks as f64);
    }
    started.containerizer.stop_supervisor().await?;
    Ok(())
}

fn helper() -> Outcome<PathBuf> {
    let example = std::env::current_exe()?;
    let built = example.parent().and_then(Path::parent).ok_or("no folder")?;
    Ok(built.join("containerizer-helper"))
}

fn spec(folder: &Path, n: usize) -> Result<LaunchSpec, meseta_types::id::IdError> {
    let sandbox = folder.join(format!("executors/task-{n}/runs/c{n}"));
    Ok(LaunchSpec {
        id: ContainerId::new(format!("c{n}"))?,
        environment: vec![("MESOS_SANDBOX".into(), sandbox.to_string_lossy().into())],
        sandbox: Arc::from(sandbox),
        command: Command::Program {
            path: "/bin/true".into(),
            argv: vec!["true".into()],
        },
        user: None,
        resources: Resources {
            cpus_milli: 200,
            mem_bytes: 32 << 20,
            ..Resources::default()
        },
        uris: Vec::new(),
        rlimits: Vec::new(),
    })
}

/// CPU seconds of the helper's processes and of this one.
fn cpu_seconds() -> Vec<(String, f64)> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return out;
    };
    for entry in entries.flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let ours = stat.contains("(containerizer-h") || stat.contains("(launch_rate)");
        let Some((head, rest)) = stat.rsplit_once(')').filter(|_| ours) else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        out.push((head.to_owned() + ")", (ticks(11) + ticks(12)) / 100.0));
    }
    out
}
