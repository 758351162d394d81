#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn interval(text: &str, zone: &str) -> Schedule {
    Schedule::interval(text, Some(zone), ts("2024-01-01T00:00:00Z")).unwrap()
}

fn slots(schedule: &Schedule, from: &str, n: usize) -> Vec<String> {
    let mut at = ts(from);
    let mut found = Vec::new();
    while let Some(slot) = schedule.after(at).filter(|_| found.len() < n) {
        found.push(slot.at.to_string());
        at = slot.at;
    }
    found
}

#[test]
fn a_calendar_day_keeps_local_time_over_the_change_and_24_hours_do_not() {
    let daily = interval("R/2024-03-09T09:00:00/P1D", "America/New_York");
    let expected = [
        "2024-03-09T14:00:00Z",
        "2024-03-10T13:00:00Z",
        "2024-03-11T13:00:00Z",
    ];
    assert_eq!(slots(&daily, "2024-03-01T00:00:00Z", 3), expected);
    let exact = interval("R/2024-03-09T09:00:00/PT24H", "America/New_York");
    let expected = ["2024-03-09T14:00:00Z", "2024-03-10T14:00:00Z"];
    assert_eq!(slots(&exact, "2024-03-01T00:00:00Z", 2), expected);
}

#[test]
fn a_time_that_does_not_exist_is_shifted_once_and_one_that_exists_twice_runs_once() {
    let gap = interval("R/2024-03-09T02:30:00/P1D", "America/New_York");
    let expected = [
        "2024-03-09T07:30:00Z",
        "2024-03-10T07:30:00Z",
        "2024-03-11T06:30:00Z",
    ];
    assert_eq!(slots(&gap, "2024-03-01T00:00:00Z", 3), expected);
    let fold = interval("R/2024-11-02T01:30:00/P1D", "America/New_York");
    let expected = [
        "2024-11-02T05:30:00Z",
        "2024-11-03T05:30:00Z",
        "2024-11-04T06:30:00Z",
    ];
    assert_eq!(slots(&fold, "2024-11-01T00:00:00Z", 3), expected);
}

#[test]
fn an_anchor_inside_a_gap_keeps_its_written_hour_on_later_days() {
    let schedule = interval("R/2024-03-10T02:30:00/P1D", "America/New_York");
    let expected = ["2024-03-10T07:30:00Z", "2024-03-11T06:30:00Z"];
    assert_eq!(slots(&schedule, "2024-03-01T00:00:00Z", 2), expected);
}

#[test]
fn month_ends_and_leap_days_do_not_stick() {
    let monthly = interval("R/2024-01-31T00:00:00Z/P1M", "");
    let days: Vec<String> = slots(&monthly, "2024-01-01T00:00:00Z", 4)
        .iter()
        .map(|s| s[5..10].to_owned())
        .collect();
    assert_eq!(days, ["01-31", "02-29", "03-31", "04-30"]);
    let yearly = interval("R/2024-02-29T00:00:00Z/P1Y", "");
    let days: Vec<String> = slots(&yearly, "2024-03-01T00:00:00Z", 4)
        .iter()
        .map(|s| s[..10].to_owned())
        .collect();
    assert_eq!(days, ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]);
}

#[test]
fn an_hour_runs_23_and_25_times_on_the_days_of_the_changes() {
    let hourly = interval("R/2024-01-01T00:00:00/PT1H", "America/New_York");
    let day = |from, to| hourly.between(ts(from), ts(to));
    assert_eq!(day("2024-03-10T04:59:59Z", "2024-03-11T03:59:59Z"), 23);
    assert_eq!(day("2024-11-03T03:59:59Z", "2024-11-04T04:59:59Z"), 25);
}

#[test]
fn the_zone_replaces_the_offset_but_keeps_the_fields_and_without_one_the_offset_is_fixed() {
    let berlin = interval("R1/2024-07-01T09:00:00+09:00/P1D", "Europe/Berlin");
    assert_eq!(
        slots(&berlin, "2024-01-01T00:00:00Z", 1),
        ["2024-07-01T07:00:00Z"]
    );
    let fixed = interval("R2/2024-07-01T09:00:00+09:00/P1D", "");
    assert_eq!(
        slots(&fixed, "2024-01-01T00:00:00Z", 2),
        ["2024-07-01T00:00:00Z", "2024-07-02T00:00:00Z"]
    );
    let utc = interval("R1/2024-07-01T09:00:00/P1D", "");
    assert_eq!(slots(&utc, "2024-01-01T00:00:00Z", 1), ["2024-07-01T09:00:00Z"]);
}

#[test]
fn the_count_bounds_the_slots_and_zero_means_never() {
    assert_eq!(
        slots(
            &interval("R3/2024-01-01T00:00:00Z/PT5S", ""),
            "2023-01-01T00:00:00Z",
            9
        )
        .len(),
        3
    );
    assert_eq!(
        slots(
            &interval("R0/2024-01-01T00:00:00Z/PT5S", ""),
            "2023-01-01T00:00:00Z",
            9
        )
        .len(),
        0
    );
    assert_eq!(
        slots(&interval("R1//P", ""), "2023-12-31T00:00:00Z", 9),
        ["2024-01-01T00:00:00Z"]
    );
}

#[test]
fn readers_see_the_remaining_count_and_the_next_start_and_the_period_as_written() {
    let schedule = interval("R5/2024-01-01T00:00:00Z/PT24H", "");
    assert_eq!(
        schedule.shown(ts("2023-12-31T00:00:00Z")),
        "R5/2024-01-01T00:00:00Z/PT24H"
    );
    assert_eq!(
        schedule.shown(ts("2024-01-02T00:00:00Z")),
        "R3/2024-01-03T00:00:00.000Z/PT24H"
    );
    let zoned = interval("R/2024-03-09T09:00:00/P1D", "America/New_York");
    assert_eq!(
        zoned.shown(ts("2024-03-09T20:00:00Z")),
        "R/2024-03-10T09:00:00.000-04:00/P1D"
    );
}

#[test]
fn texts_that_are_no_schedule_are_refused_with_the_words_clients_look_for() {
    for text in [
        "every day",
        "R/yesterday/PT1H",
        "R5/2020-01-01",
        "R-1//PT1H",
        "r1//PT1H",
        "R99999999999999999999//PT1H",
        "R//PT0.5S",
        "R//P",
        "R5//PT0S",
        "R//-PT1H",
        "R/1969-12-31T00:00:00Z/P1D",
        "R//1D",
        "R//P0.5D",
        "",
        "R///P1D",
    ] {
        let error = Schedule::interval(text, None, ts("2024-01-01T00:00:00Z"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("Cannot parse schedule"), "{text}: {error}");
    }
    let far = Schedule::interval("R/2100-01-01T00:00:00Z/P100Y", None, ts("2024-01-01T00:00:00Z")).unwrap();
    assert_eq!(slots(&far, "2024-01-01T00:00:00Z", 100).len(), 79);
}

#[test]
fn a_cron_expression_follows_its_zone() {
    let schedule = Schedule::cron("30 9 * * MON-FRI", Some("Europe/Berlin")).unwrap();
    let expected = ["2024-03-29T08:30:00Z", "2024-04-01T07:30:00Z"];
    assert_eq!(slots(&schedule, "2024-03-28T12:00:00Z", 2), expected);
    assert_eq!(
        schedule
            .newest(ts("2024-03-01T00:00:00Z"), ts("2024-03-31T00:00:00Z"))
            .unwrap()
            .at,
        ts(expected[0])
    );
    assert!(Schedule::cron("99 9 * * *", None).is_err());
}

fn cron(text: &str, zone: &str) -> Schedule {
    Schedule::cron(text, Some(zone)).unwrap()
}

#[test]
fn named_times_move_out_of_a_gap_and_what_repeats_with_the_clock_skips_it() {
    let named = ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"];
    let daily = cron("30 2 * * *", "Europe/Paris");
    assert_eq!(slots(&daily, "2026-03-28T12:00:00Z", 2), named);
    let both = cron("30 2,14 * * *", "Europe/Paris");
    let expected = ["2026-03-29T01:30:00Z", "2026-03-29T12:30:00Z"];
    assert_eq!(slots(&both, "2026-03-28T18:00:00Z", 2), expected);
    let merged = cron("0 2,3 * * *", "Europe/Paris");
    let expected = ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"];
    assert_eq!(slots(&merged, "2026-03-28T12:00:00Z", 2), expected);
    let repeating = cron("*/30 2 * * *", "Europe/Paris");
    let expected = ["2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"];
    assert_eq!(slots(&repeating, "2026-03-28T12:00:00Z", 2), expected);
}

#[test]
fn named_times_take_the_first_of_two_and_what_repeats_with_the_clock_takes_both() {
    let daily = cron("30 2 * * *", "Europe/Paris");
    let expected = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    assert_eq!(slots(&daily, "2026-10-24T12:00:00Z", 2), expected);
    let sundays = cron("*/30 2 * * SUN", "Europe/Paris");
    let expected = [
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
        "2026-11-01T01:00:00Z",
    ];
    assert_eq!(slots(&sundays, "2026-10-24T22:00:00Z", 5), expected);
    let newest = |to| sundays.newest(ts("2026-10-20T00:00:00Z"), ts(to)).unwrap().at;
    assert_eq!(newest("2026-10-31T00:00:00Z"), ts(expected[3]));
    assert_eq!(newest("2026-10-25T00:59:59Z"), ts(expected[1]));
}

#[test]
fn a_day_that_a_zone_leaves_out_costs_no_weekly_run_and_doubles_no_daily_one() {
    // Samoa had no 30 December 2011, a Friday.
    let fridays = cron("0 0 * * FRI", "Pacific/Apia");
    let expected = [
        "2011-12-23T10:00:00Z",
        "2011-12-30T10:00:00Z",
        "2012-01-05T10:00:00Z",
    ];
    assert_eq!(slots(&fridays, "2011-12-20T00:00:00Z", 3), expected);
    let expected = [
        "2011-12-29T10:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-31T10:00:00Z",
    ];
    let daily = cron("0 0 * * *", "Pacific/Apia");
    assert_eq!(slots(&daily, "2011-12-28T12:00:00Z", 3), expected);
    let interval = interval("R/2011-12-01T00:00:00/P1D", "Pacific/Apia");
    assert_eq!(slots(&interval, "2011-12-28T12:00:00Z", 3), expected);
}

#[test]
fn a_change_of_rules_that_changes_no_clock_moves_no_slot() {
    // On 29 October 2023 Greenland began to follow the European rule; its clocks had been put there in March.
    let monthly = interval("R/2023-09-28T23:59:59/P1M", "America/Nuuk");
    let expected = [
        "2023-09-29T01:59:59Z",
        "2023-10-29T01:59:59Z",
        "2023-11-29T01:59:59Z",
    ];
    assert_eq!(slots(&monthly, "2023-09-01T00:00:00Z", 3), expected);
    let daily = cron("59 23 28 * *", "America/Nuuk");
    let expected = ["2023-10-29T01:59:00Z", "2023-11-29T01:59:00Z"];
    assert_eq!(slots(&daily, "2023-10-01T00:00:00Z", 2), expected);
}

#[test]
fn an_expression_that_is_never_due_has_no_slots() {
    let never = cron("0 0 30 2 *", "Europe/Paris");
    assert_eq!(never.after(ts("2026-01-01T00:00:00Z")), None);
    assert_eq!(never.newest(Timestamp::MIN, ts("2026-01-01T00:00:00Z")), None);
    let leap = cron("0 12 29 2 *", "America/New_York");
    assert_eq!(slots(&leap, "2096-03-01T00:00:00Z", 1), ["2104-02-29T17:00:00Z"]);
}

proptest! {
    /// Searching forwards and backwards finds the same slots, and counting agrees.
    #[test]
    fn forwards_and_backwards_agree(
        minute in prop::sample::select(vec!["*", "0", "30", "*/20", "15,45"]),
        hour in prop::sample::select(vec!["*", "0", "1", "2", "3", "*/6", "1-3", "2,14"]),
        day in prop::sample::select(vec!["* * *", "* * SUN", "1 * *", "29 2 *", "15 * SUN"]),
        from in 1_262_304_000i64..2_208_988_800, zone in prop::sample::select(vec![
            "UTC", "America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca",
        ]),
    ) {
        let schedule = cron(&format!("{minute} {hour} {day}"), zone);
        let from = Timestamp::from_second(from).unwrap();
        let (mut at, mut count) = (from, 0);
        while let Some(slot) = schedule.after(at).filter(|_| count < 30) {
            prop_assert!(slot.at > at);
            prop_assert_eq!(schedule.newest(at, slot.at), Some(slot));
            let before = slot.at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
            prop_assert_eq!(schedule.newest(at, before), None);
            at = slot.at;
            count += 1;
        }
        prop_assert_eq!(schedule.between(from, at), count);
    }

    /// The slot found by halving is the one a walk from the anchor finds, and counting agrees with it.
    #[test]
    fn halving_finds_what_walking_finds(
        months in 0i64..14, days in 0i64..40, hours in 0i64..60, minutes in 1i64..60,
        start in 0i64..2_000_000_000, walk in 1u64..200, zone in prop::sample::select(vec![
            "UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca",
        ]),
    ) {
        let start = Timestamp::from_second(start + 1_000_000).unwrap();
        let text = format!("R/{start}/P{months}M{days}DT{hours}H{minutes}M");
        let Schedule::Interval(interval) = interval(&text, zone) else { unreachable!() };
        let at = interval.at(walk).unwrap();
        let before = interval.at(walk - 1).unwrap();
        prop_assert!(before <= at);
        if before < at {
            prop_assert_eq!(interval.settled(before), walk);
            let schedule = Schedule::Interval(interval.clone());
            prop_assert_eq!(schedule.after(before), Some(Slot { index: walk, at }));
            prop_assert_eq!(schedule.newest(Timestamp::MIN, before).unwrap().at, before);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,40}", zone in "[A-Z/+:0-9]{0,8}") {
        let _ = Schedule::interval(&text, Some(&zone), Timestamp::UNIX_EPOCH);
        let _ = Schedule::interval(&format!("R/2024-01-01T00:00:00Z/{text}"), None, Timestamp::UNIX_EPOCH);
        let _ = Schedule::cron(&text, Some(&zone));
    }
}
