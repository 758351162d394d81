//! G: what a death of a part leaves.

use super::{until_runs, witness};
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::Up;
use meseta_tests::cron::{Diary, from_now, job};
use meseta_tests::service::text;
use meseta_tests::wait;
use serde_json::{Value, json};
use std::collections::BTreeSet;

behaviours! {
    "G2" a_killed_scheduler_leaves_its_runs_alone,
    "G3 G4 G5" a_run_is_started_once_wherever_the_scheduler_dies,
    "G9" a_new_master_changes_nothing,
}

fn framework_id(up: &Up) -> Result<String, String> {
    let state = up.json("/frameworks")?;
    let all = state["frameworks"].as_array().into_iter().flatten();
    let ours = all
        .into_iter()
        .find(|f| f["name"] == "chronos" && f["active"] == true);
    ours.map(|f| text(&f["id"]))
        .ok_or_else(|| format!("no cron framework in {state}"))
}

fn a_killed_scheduler_leaves_its_runs_alone(_: &Ground) {
    let up = Up::start(&[]);
    let (cron, diary) = (up.cron(), Diary::new());
    let go = diary.folder().join("go");
    let then = format!("while ! test -e {}; do sleep 0.1; done", go.display());
    let more = json!({"schedule": format!("R/{}/PT2S", from_now(1))});
    let g2 = cron.store(&job("g2", &diary.note("$$", &then), &more));
    let pid: i32 = diary.until(1)[0].parse().unwrap();
    let id = framework_id(&up).unwrap();
    up.kill("cron");
    g2.until_state("1 running");
    assert!(meseta_tests::cluster::alive(pid));
    let back = wait::until("it has subscribed again", || framework_id(&up));
    assert_eq!(back, id);
    witness(cron, "g2-witness");
    assert_eq!(diary.lines().len(), 1);
    std::fs::write(go, "").unwrap();
    g2.until("its success counts", |job| {
        job["successCount"].as_i64() >= Some(1)
    });
}

fn a_run_is_started_once_wherever_the_scheduler_dies(_: &Ground) {
    let up = Up::start(&[]);
    let (cron, diary) = (up.cron(), Diary::new());
    // Twelve jobs due one after the other, a quarter of a second apart in effect: the kills fall before, within and
    // after their launches.
    let jobs: Vec<_> = (0..12)
        .map(|n| {
            let name = format!("g3-{n:02}");
            let more = json!({"schedule": format!("R1/{}/PT1H", from_now(2 + n / 3)), "retries": 0});
            cron.store(&job(&name, &diary.note(&name, "true"), &more))
        })
        .collect();
    for n in 0..4_usize {
        diary.until(n * 3 + 1);
        up.kill("cron");
        wait::until("the cron framework is back", || {
            cron.rest.json("/v1/scheduler/jobs")
        });
    }
    for job in &jobs {
        let ended = |runs: &[Value]| runs.len() == 1 && runs[0]["result"] == "success";
        until_runs(job, "ran once", ended);
        assert_eq!(job.show()["successCount"], 1);
    }
    let lines = diary.lines();
    let names: BTreeSet<&String> = lines.iter().collect();
    assert_eq!((lines.len(), names.len()), (12, 12), "{lines:?}");
}

fn a_new_master_changes_nothing(_: &Ground) {
    let up = Up::start(&[]);
    let (cron, diary) = (up.cron(), Diary::new());
    let g9 = cron.store(&job("g9", &diary.note("$$", "exec sleep 1000"), &json!({})));
    g9.start();
    let pid: i32 = diary.until(1)[0].parse().unwrap();
    g9.until_state("1 running");
    let id = framework_id(&up).unwrap();
    up.kill("master");
    let back = wait::until("it has subscribed with the new master", || framework_id(&up));
    assert_eq!(back, id);
    witness(cron, "g9-witness");
    g9.until_state("1 running");
    assert!(meseta_tests::cluster::alive(pid));
    assert_eq!(diary.lines().len(), 1);
    g9.kill();
}
