//! B: schedules, and what happens to missed slots.

use super::{NOW, starts, until_runs, with_result, witness};
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::{Up, signal};
use meseta_tests::cron::{Diary, Job, due, from_now, job};
use meseta_tests::daemon::Pair;
use meseta_tests::service::text;
use meseta_tests::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

behaviours! {
    "B1" once_and_now_runs_once_and_is_disabled,
    "B2" three_times_are_three_starts_on_the_grid,
    "B3" no_times_at_all_is_never,
    "B4" the_next_start_is_shown,
    "B5" the_remaining_count_is_shown,
    "B6" a_start_in_the_past_runs_once_and_stays_on_the_grid,
    "B7" an_epsilon_keeps_old_slots_from_running,
    "B8 B9 B10 B11 B12" an_outage_is_settled_by_the_records,
    "B13" a_slot_that_finds_no_offer_is_missed_with_the_reason,
    "B14" a_job_that_finds_no_offer_waits_and_holds_up_nobody,
    "B15" a_job_longer_than_its_period_waits_for_itself,
    "B16" concurrent_runs_overlap,
    "B17" many_jobs_of_one_second_all_start,
    "B18" a_second_is_a_period,
    "B19 B20" periods_that_are_none_are_refused,
    "B21" schedules_that_cannot_be_parsed_are_refused_with_their_text,
    "B22" a_start_by_hand_uses_up_no_slot,
    "B23" retries_use_one_count,
    "B24" a_start_by_hand_leaves_never_at_never,
    "B25" a_last_run_that_fails_disables_the_job,
    "B27" a_stopped_scheduler_settles_what_it_slept_through,
    "B28" far_away_starts_and_periods,
    "B29" two_jobs_on_two_agents_are_counted_once,
}

fn once_and_now_runs_once_and_is_disabled(ground: &Ground) {
    let diary = Diary::new();
    let b1 = ground.cron().store(&job(
        "b1",
        &diary.note("ran", "true"),
        &json!({"schedule": "R1//PT1M"}),
    ));
    let shown = b1.until("disabled", |job| job["disabled"] == true);
    assert_eq!(
        (&shown["successCount"], &shown["errorCount"]),
        (&json!(1), &json!(0)),
        "{shown}"
    );
    witness(b1.cron, "b1-witness");
    assert_eq!(diary.lines(), ["ran"]);
}

fn three_times_are_three_starts_on_the_grid(ground: &Ground) {
    let diary = Diary::new();
    let start = from_now(2);
    let more = json!({"schedule": format!("R3/{start}/PT2S")});
    let b2 = ground.cron().store(&job("b2", &diary.note(NOW, "true"), &more));
    b2.until("used up", |job| job["disabled"] == true);
    let first = start.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let dues = until_runs(&b2, "three", |runs| runs.len() == 3);
    let mut dues: Vec<i64> = dues.iter().map(due).collect();
    dues.sort_unstable();
    assert_eq!(dues, [first, first + 2_000, first + 4_000]);
    let began = starts(&diary);
    assert_eq!(began.len(), 3);
    assert!(
        began.iter().zip(&dues).all(|(at, due)| at >= due),
        "{began:?} {dues:?}"
    );
}

fn no_times_at_all_is_never(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": "R0/2014-01-01T00:00:00Z/PT1S"});
    let b3 = ground.cron().store(&job("b3", &diary.note("ran", "true"), &more));
    witness(b3.cron, "b3-witness");
    assert_eq!(diary.lines(), Vec::<String>::new());
    assert_eq!(b3.show()["disabled"], false);
}

fn the_next_start_is_shown(ground: &Ground) {
    let start = from_now(3);
    let b4 = ground.cron().store(&job(
        "b4",
        "true",
        &json!({"schedule": format!("R/{start}/PT1H")}),
    ));
    let shown = text(&b4.show()["schedule"]);
    assert!(shown.starts_with("R/") && shown.ends_with("/PT1H"), "{shown}");
    assert_eq!(start_of(&shown), start.parse().unwrap());
    let shown = b4.until("has run", |job| job["successCount"] == 1);
    let next = text(&shown["schedule"]);
    assert!(next.starts_with("R/") && next.ends_with("/PT1H"), "{next}");
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(start_of(&next), start.parse::<jiff::Timestamp>().unwrap() + hour);
}

fn start_of(schedule: &str) -> jiff::Timestamp {
    let start = schedule.split('/').nth(1).unwrap_or_default();
    start
        .parse()
        .unwrap_or_else(|error| panic!("{schedule}: {error}"))
}

fn the_remaining_count_is_shown(ground: &Ground) {
    let start = from_now(-1);
    let b5 = ground.cron().store(&job(
        "b5",
        "true",
        &json!({"schedule": format!("R3/{start}/PT1H")}),
    ));
    let shown = b5.until("has run", |job| job["successCount"] == 1);
    let next = text(&shown["schedule"]);
    assert!(next.starts_with("R2/"), "{next}");
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(start_of(&next), start.parse::<jiff::Timestamp>().unwrap() + hour);
}

fn a_start_in_the_past_runs_once_and_stays_on_the_grid(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": "R/2014-01-01T00:00:00Z/PT1H"});
    let b6 = ground.cron().store(&job("b6", &diary.note("ran", "true"), &more));
    let shown = b6.until("has run", |job| job["successCount"].as_i64() >= Some(1));
    let next = start_of(&text(&shown["schedule"]));
    assert_eq!(next.as_second() % 3600, 0, "{shown}");
    let now = jiff::Timestamp::now();
    assert!(
        next > now && next <= now + jiff::SignedDuration::from_hours(1),
        "{shown}"
    );
    witness(b6.cron, "b6-witness");
    assert_eq!(diary.lines(), ["ran"]);
    let settled = until_runs(&b6, "the older slots are settled", |runs| {
        !with_result(runs, "superseded").is_empty()
    });
    let slots: i64 = with_result(&settled, "superseded")
        .iter()
        .filter_map(|run| run["slots"].as_i64())
        .sum();
    // Every hour of the years since: one ran late, the others stand in the history.
    assert!(slots > 100_000, "{settled:?}");
}

fn an_epsilon_keeps_old_slots_from_running(ground: &Ground) {
    let (cron, old, young) = (ground.cron(), Diary::new(), Diary::new());
    let schedule =
        |seconds: i64| json!({"schedule": format!("R/{}/PT1H", from_now(seconds)), "epsilon": "PT60S"});
    // The last slot is half an hour, or twenty seconds, ago.
    let b7 = cron.store(&job("b7", &old.note("ran", "true"), &schedule(-7 * 3600 - 1800)));
    let b7b = cron.store(&job(
        "b7-young",
        &young.note("ran", "true"),
        &schedule(-7 * 3600 - 20),
    ));
    b7b.until("has run", |job| job["successCount"] == 1);
    until_runs(&b7, "its slots are settled", |runs| {
        !with_result(runs, "missed").is_empty()
    });
    witness(cron, "b7-witness");
    assert_eq!((old.lines().len(), young.lines().len()), (0, 1));
    assert!(start_of(&text(&b7.show()["schedule"])) > jiff::Timestamp::now());
}

/// What became of slots: a started run each, or counted in entries that did not start.
#[derive(Debug, Default)]
struct Settled {
    ran: i64,
    superseded: i64,
    missed: i64,
}

/// Of the slots due within a time.
fn settled(runs: &[Value], from: i64, to: i64) -> Settled {
    let mut settled = Settled::default();
    for run in runs.iter().filter(|run| (from..to).contains(&due(run))) {
        let slots = run["slots"].as_i64().unwrap_or(1);
        match text(&run["result"]).as_str() {
            "superseded" => settled.superseded += slots,
            "missed" => settled.missed += slots,
            _ => settled.ran += slots,
        }
    }
    settled
}

fn an_outage_is_settled_by_the_records(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (mut daemon, cron) = pair.start_cron(&[]);
    let first = jiff::Timestamp::now().as_second() + 3;
    let at = |seconds: i64| jiff::Timestamp::from_second(first + seconds).unwrap().to_string();
    // Slots four seconds apart; the outage begins before the first and ends right after the third, far from the fourth.
    let diaries: Vec<Diary> = (0..5).map(|_| Diary::new()).collect();
    let store = |n: usize, name: &str, schedule: String, epsilon: Option<&str>| {
        let more = json!({"schedule": schedule, "epsilon": epsilon});
        cron.store(&job(name, &diaries[n].note(NOW, "true"), &more))
    };
    let late = store(0, "b8", format!("R/{}/PT4S", at(0)), None);
    let strict = store(1, "b9", format!("R/{}/PT4S", at(0)), Some("PT1S"));
    let lenient = store(2, "b10", format!("R/{}/PT4S", at(0)), Some("PT1H"));
    let five = store(3, "b11", format!("R5/{}/PT4S", at(0)), None);
    let two = store(4, "b12", format!("R2/{}/PT4S", at(4)), None);
    daemon.end(Signal::SIGKILL);
    let down = jiff::Timestamp::now().as_millisecond();
    let (from, to) = (first * 1000, first * 1000 + 8_300);
    assert!(down < from, "the outage begins too late to mean anything");
    std::thread::sleep(Duration::from_millis(u64::try_from(to - down).unwrap_or(0))); // the outage itself
    let (_daemon, _) = pair.start_cron(&[]);

    let check = |job: &Job, what: &str, fits: &dyn Fn(&Settled) -> bool| {
        wait::until(&format!("{} after the outage: {what}", job.name), || {
            let settled = settled(&job.runs()?, from, to);
            if fits(&settled) {
                Ok(())
            } else {
                Err(format!("{settled:?}; {:#?}", job.runs()))
            }
        });
    };
    check(&late, "one late run, two superseded", &|s| {
        (s.ran, s.superseded, s.missed) == (1, 2, 0)
    });
    check(&strict, "three missed, or the last one young enough", &|s| {
        s.ran + s.missed + s.superseded == 3 && s.missed >= 2
    });
    check(&lenient, "one late run, two superseded", &|s| {
        (s.ran, s.superseded, s.missed) == (1, 2, 0)
    });
    // One run for the first three slots, then the last two, and never a sixth.
    let shown = five.until("used up", |job| job["disabled"] == true);
    assert_eq!(shown["successCount"], 3, "{shown}");
    assert_eq!(starts(&diaries[3]).len(), 3);
    let last = five.runs().unwrap().iter().map(due).max();
    assert_eq!(last, Some((first + 16) * 1000));
    // Both of two slots were passed: one late run, and that was all.
    let shown = two.until("used up", |job| job["disabled"] == true);
    assert_eq!(shown["successCount"], 1, "{shown}");
    assert_eq!(starts(&diaries[4]).len(), 1);
}

fn a_slot_that_finds_no_offer_is_missed_with_the_reason(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": format!("R/{}/PT1H", from_now(1)), "epsilon": "PT2S", "cpus": 10_000});
    let b13 = ground
        .cron()
        .store(&job("b13", &diary.note("ran", "true"), &more));
    let runs = until_runs(&b13, "missed", |runs| !with_result(runs, "missed").is_empty());
    let reason = text(&with_result(&runs, "missed")[0]["reason"]);
    assert!(reason.contains("cpus") && reason.contains("10000"), "{reason}");
    assert_eq!(diary.lines(), Vec::<String>::new());
}

fn a_job_that_finds_no_offer_waits_and_holds_up_nobody(ground: &Ground) {
    let b14 = ground.cron().store(&job(
        "b14",
        "true",
        &json!({"schedule": "R1//PT1H", "cpus": 10_000}),
    ));
    b14.until_state("queued");
    witness(b14.cron, "b14-witness");
    let runs = until_runs(&b14, "a reason is shown", |runs| {
        runs.first()
            .is_some_and(|run| text(&run["reason"]).contains("cpus"))
    });
    assert_eq!(runs.len(), 1, "{runs:?}");
    b14.until_state("queued");
}

fn a_job_longer_than_its_period_waits_for_itself(ground: &Ground) {
    let diary = Diary::new();
    let command = format!(
        "echo begin >> {0}; sleep 2.5; echo end >> {0}",
        diary.path().display()
    );
    let b15 = ground.cron().store(&job(
        "b15",
        &command,
        &json!({"schedule": format!("R/{}/PT1S", from_now(1))}),
    ));
    diary.until(6);
    let lines = diary.lines();
    let pairs = lines.chunks_exact(2);
    assert!(
        pairs.clone().count() >= 3 && pairs.into_iter().all(|p| p == ["begin", "end"]),
        "{lines:?}"
    );
    until_runs(&b15, "slots passed meanwhile are recorded", |runs| {
        !with_result(runs, "superseded").is_empty()
    });
}

fn concurrent_runs_overlap(ground: &Ground) {
    let more = json!({"schedule": format!("R2/{}/PT1S", from_now(1)), "concurrent": true});
    let b16 = ground.cron().store(&job("b16", "sleep 1000", &more));
    b16.until_state("2 running");
    b16.kill();
}

fn many_jobs_of_one_second_all_start(ground: &Ground) {
    let (cron, diary) = (ground.cron(), Diary::new());
    let schedule = format!("R1/{}/PT1H", from_now(5));
    let jobs: Vec<Job> = (0..40)
        .map(|n| {
            let name = format!("b17-{n:02}");
            let more = json!({"schedule": schedule, "highPriority": n % 2 == 0});
            cron.store(&job(&name, &diary.note(&name, "true"), &more))
        })
        .collect();
    let lines = diary.until(40);
    let names: BTreeSet<&String> = lines.iter().collect();
    assert_eq!((lines.len(), names.len()), (40, 40));
    let launched = |job: &Job| {
        until_runs(job, "has started", |r| {
            r.len() == 1 && r[0]["startTimestamp"].is_string()
        })
    };
    let at: Vec<(bool, String)> = jobs
        .iter()
        .enumerate()
        .map(|(n, job)| (n % 2 == 0, text(&launched(job)[0]["startTimestamp"])))
        .collect();
    let of = |high: bool| {
        at.iter()
            .filter(move |(h, _)| *h == high)
            .map(|(_, at)| at.clone())
    };
    assert!(
        of(true).min() <= of(false).min(),
        "those of high priority begin: {at:?}"
    );
}

fn a_second_is_a_period(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": format!("R10/{}/PT1S", from_now(2))});
    let b18 = ground.cron().store(&job("b18", &diary.note(NOW, "true"), &more));
    let shown = b18.until("used up", |job| job["disabled"] == true);
    assert_eq!(shown["successCount"], 10, "{shown}");
    assert_eq!(diary.lines().len(), 10);
    let dues: BTreeSet<i64> = b18.runs().unwrap().iter().map(due).collect();
    assert_eq!(dues.len(), 10);
}

fn periods_that_are_none_are_refused(ground: &Ground) {
    let cron = ground.cron();
    for schedule in [
        "R/2030-01-01T00:00:00Z/PT0.5S",
        "R//PT0S",
        "R5//P",
        "R//-PT1H",
        "R5//PT0S",
    ] {
        let reply = cron
            .post(&job("b19", "true", &json!({"schedule": schedule})))
            .expect(400);
        assert!(text(&reply.json()["message"]).contains(schedule), "{reply:?}");
    }
    for (name, schedule) in [("b20a", "R1//PT0S"), ("b20b", "R1//P")] {
        let once = cron.store(&job(name, "true", &json!({"schedule": schedule})));
        once.until("has run once", |job| {
            job["successCount"] == 1 && job["disabled"] == true
        });
    }
}

fn schedules_that_cannot_be_parsed_are_refused_with_their_text(ground: &Ground) {
    for schedule in [
        "every day",
        "R/yesterday/PT1H",
        "R5/2020-01-01",
        "R-1//PT1H",
        "r1//PT1H",
        "R99999999999999999999//PT1H",
    ] {
        let reply = ground
            .cron()
            .post(&job("b21", "true", &json!({"schedule": schedule})))
            .expect(400);
        let message = text(&reply.json()["message"]);
        assert!(
            message.contains("Cannot parse schedule") && message.contains(schedule),
            "{message}"
        );
    }
}

fn a_start_by_hand_uses_up_no_slot(ground: &Ground) {
    let diary = Diary::new();
    let more = json!({"schedule": format!("R1/{}/PT1H", from_now(6))});
    let b22 = ground
        .cron()
        .store(&job("b22", &diary.note("ran", "true"), &more));
    b22.start();
    let shown = b22.until("has run by hand", |job| job["successCount"] == 1);
    assert!(
        text(&shown["schedule"]).starts_with("R1/") && shown["disabled"] == false,
        "{shown}"
    );
    b22.until("has run at its time", |job| {
        job["successCount"] == 2 && job["disabled"] == true
    });
    assert_eq!(diary.lines().len(), 2);
}

fn retries_use_one_count(ground: &Ground) {
    let more = json!({"schedule": "R3/2030-01-01T00:00:00Z/PT1H", "retries": 2});
    let now = json!({"schedule": format!("R3/{}/PT1H", from_now(-1)), "retries": 2});
    drop(more);
    let b23 = ground.hasty_cron().store(&job("b23", "exit 1", &now));
    let shown = b23.until("has failed for good", |job| job["errorCount"] == 1);
    assert!(text(&shown["schedule"]).starts_with("R2/"), "{shown}");
}

fn a_start_by_hand_leaves_never_at_never(ground: &Ground) {
    let diary = Diary::new();
    let b24 = ground.cron().store(&job(
        "b24",
        &diary.note("ran", "true"),
        &json!({"schedule": "R0/2030-01-01T00:00:00Z/PT1H"}),
    ));
    b24.start();
    let shown = b24.until("has run", |job| job["successCount"] == 1);
    assert!(text(&shown["schedule"]).starts_with("R0/"), "{shown}");
    witness(b24.cron, "b24-witness");
    assert_eq!(diary.lines(), ["ran"]);
}

fn a_last_run_that_fails_disables_the_job(ground: &Ground) {
    let b25 = ground.hasty_cron().store(&job(
        "b25",
        "exit 1",
        &json!({"schedule": "R1//PT1H", "retries": 0}),
    ));
    let shown = b25.until("has failed and is disabled", |job| {
        job["errorCount"] == 1 && job["disabled"] == true
    });
    assert_eq!(shown["errorsSinceLastSuccess"], 1, "{shown}");
}

fn a_stopped_scheduler_settles_what_it_slept_through(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (daemon, cron) = pair.start_cron(&[]);
    let diary = Diary::new();
    let first = jiff::Timestamp::now().as_second() + 2;
    let start = jiff::Timestamp::from_second(first).unwrap();
    let b27 = cron.store(&job(
        "b27",
        &diary.note(NOW, "true"),
        &json!({"schedule": format!("R/{start}/PT2S")}),
    ));
    diary.until(1);
    signal(daemon.pid(), Signal::SIGSTOP);
    let to = first * 1000 + 7_000;
    let left = u64::try_from(to - jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    std::thread::sleep(Duration::from_millis(left)); // the time that is slept through
    signal(daemon.pid(), Signal::SIGCONT);
    wait::until("three slots are settled by one run", || {
        let settled = settled(&b27.runs()?, first * 1000 + 1_000, to);
        if (settled.ran, settled.superseded) == (1, 2) {
            Ok(())
        } else {
            Err(format!("{settled:?} {:?}", b27.runs()))
        }
    });
}

fn far_away_starts_and_periods(ground: &Ground) {
    let cron = ground.cron();
    let with = |schedule: &str| cron.post(&job("b28", "true", &json!({"schedule": schedule})));
    with("R/1969-12-31T00:00:00Z/PT1H").expect(400);
    for schedule in [
        "R/2100-01-01T00:00:00Z/PT1H",
        "R/2100-01-01T00:00:00Z/P100Y",
        "R/1970-01-01T00:00:02Z/P100Y",
    ] {
        with(schedule).expect(204);
    }
    cron.rest.delete("/v1/scheduler/job/b28").expect(204);
}

fn two_jobs_on_two_agents_are_counted_once(_: &Ground) {
    let up = Up::start(&[]);
    let _other = up.add_agent("host-b", &[]);
    let cron = up.cron();
    let schedule = format!("R2/{}/PT1H", from_now(2));
    let on = |name: &str, host: &str| {
        let more = json!({"schedule": schedule, "constraints": [["hostname", "EQUALS", host]]});
        cron.store(&job(name, "sleep 1000", &more))
    };
    let jobs = [on("b29a", "127.0.0.1"), on("b29b", "host-b")];
    for job in &jobs {
        job.until_state("1 running");
        assert!(text(&job.show()["schedule"]).starts_with("R1/"), "{}", job.show());
    }
}
