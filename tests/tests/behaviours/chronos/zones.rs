//! C: time zones and the calendar, as the running server computes them. Days cannot be waited for: the server is asked for
//! the next starts of a schedule, of which the first is in the future.

use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::cron::{Cron, job};
use meseta_tests::service::text;
use serde_json::{Value, json};

behaviours! {
    "C1" a_day_keeps_its_local_time,
    "C2" twenty_four_hours_are_exact,
    "C3" a_time_that_does_not_exist_is_shifted_for_that_day_only,
    "C4" a_time_that_exists_twice_is_taken_once,
    "C5" hours_go_on_across_both_changes,
    "C6" a_zone_replaces_the_offset_and_keeps_the_fields,
    "C7" without_a_zone_the_offset_stays,
    "C8" without_zone_and_offset_it_is_utc,
    "C9" an_unknown_zone_is_refused,
    "C10" old_zone_ids_are_known_and_an_ambiguous_one_is_refused,
    "C11" months_begin_from_the_anchor,
    "C12" leap_days_come_back,
    "C13" periods_of_all_units_are_understood,
}

/// The next starts of a schedule that is not stored.
fn next(cron: Cron, schedule: &str, zone: &str, n: usize) -> Vec<String> {
    let encode = |text: &str| text.replace('+', "%2B").replace(' ', "%20");
    let path = format!(
        "/v1/scheduler/next?schedule={}&scheduleTimeZone={}&n={n}",
        encode(schedule),
        encode(zone)
    );
    let body = cron.rest.get(&path).expect(200).json();
    let times = body["times"].as_array().unwrap_or_else(|| panic!("{body}"));
    times.iter().map(|t| text(t).replace(".000Z", "Z")).collect()
}

const NEW_YORK: &str = "America/New_York";

/// The first three times of a schedule in New York.
fn starts_at(ground: &Ground, schedule: &str, expected: [&str; 3]) {
    assert_eq!(next(ground.cron(), schedule, NEW_YORK, 3), expected);
}

fn a_day_keeps_its_local_time(ground: &Ground) {
    starts_at(
        ground,
        "R/2027-03-13T09:00:00/P1D",
        [
            "2027-03-13T14:00:00Z",
            "2027-03-14T13:00:00Z",
            "2027-03-15T13:00:00Z",
        ],
    );
}

fn twenty_four_hours_are_exact(ground: &Ground) {
    starts_at(
        ground,
        "R/2027-03-13T09:00:00/PT24H",
        [
            "2027-03-13T14:00:00Z",
            "2027-03-14T14:00:00Z",
            "2027-03-15T14:00:00Z",
        ],
    );
}

fn a_time_that_does_not_exist_is_shifted_for_that_day_only(ground: &Ground) {
    // 02:30 EST; 03:30 EDT, since 02:30 does not exist; 02:30 EDT.
    starts_at(
        ground,
        "R/2027-03-13T02:30:00/P1D",
        [
            "2027-03-13T07:30:00Z",
            "2027-03-14T07:30:00Z",
            "2027-03-15T06:30:00Z",
        ],
    );
}

fn a_time_that_exists_twice_is_taken_once(ground: &Ground) {
    starts_at(
        ground,
        "R/2027-11-06T01:30:00/P1D",
        [
            "2027-11-06T05:30:00Z",
            "2027-11-07T05:30:00Z",
            "2027-11-08T06:30:00Z",
        ],
    );
}

fn hours_go_on_across_both_changes(ground: &Ground) {
    for (start, hours) in [("2027-03-14T05:00:00Z", 23), ("2027-11-07T04:00:00Z", 25)] {
        // From one local midnight to the next.
        let schedule = format!("R/{start}/PT1H");
        let times = next(ground.cron(), &schedule, NEW_YORK, 30);
        let first: jiff::Timestamp = start.parse().unwrap();
        let zoned = |t: &String| t.parse::<jiff::Timestamp>().unwrap().in_tz(NEW_YORK).unwrap();
        let day = first.in_tz(NEW_YORK).unwrap().date();
        // The zone replaces the offset and keeps the fields: what counts is that each hour comes once.
        let gaps = times
            .windows(2)
            .map(|w| zoned(&w[1]).timestamp().as_second() - zoned(&w[0]).timestamp().as_second());
        assert!(gaps.into_iter().all(|gap| gap == 3600), "{times:?}");
        let local = format!("R/{day}T00:00:00/PT1H");
        let of_day = next(ground.cron(), &local, NEW_YORK, 30)
            .iter()
            .filter(|t| zoned(t).date() == day)
            .count();
        assert_eq!(of_day, hours, "{local}");
    }
}

fn a_zone_replaces_the_offset_and_keeps_the_fields(ground: &Ground) {
    let times = next(
        ground.cron(),
        "R/2031-07-01T09:00:00+09:00/P1D",
        "Europe/Berlin",
        1,
    );
    assert_eq!(times, ["2031-07-01T07:00:00Z"]);
}

fn without_a_zone_the_offset_stays(ground: &Ground) {
    let times = next(ground.cron(), "R/2027-03-27T09:00:00+01:00/P1D", "", 3);
    assert_eq!(
        times,
        [
            "2027-03-27T08:00:00Z",
            "2027-03-28T08:00:00Z",
            "2027-03-29T08:00:00Z"
        ]
    );
}

fn without_zone_and_offset_it_is_utc(ground: &Ground) {
    let times = next(ground.cron(), "R/2031-07-01T09:00:00/P1D", "", 1);
    assert_eq!(times, ["2031-07-01T09:00:00Z"]);
}

fn with_zone(ground: &Ground, zone: &str) -> meseta_tests::rest::Reply {
    let more = json!({"schedule": "R0/2031-07-01T09:00:00/P1D", "scheduleTimeZone": zone});
    ground.cron().post(&job("c9", "true", &more))
}

fn an_unknown_zone_is_refused(ground: &Ground) {
    let reply = with_zone(ground, "Mars/Olympus").expect(400);
    let message = text(&reply.json()["message"]);
    assert!(
        message.contains("scheduleTimeZone") && message.contains("Mars/Olympus"),
        "{message}"
    );
}

fn old_zone_ids_are_known_and_an_ambiguous_one_is_refused(ground: &Ground) {
    for (zone, first) in [
        ("PST", "2031-07-01T16:00:00Z"),
        ("EST5EDT", "2031-07-01T13:00:00Z"),
        ("GMT+2", "2031-07-01T07:00:00Z"),
    ] {
        assert_eq!(
            next(ground.cron(), "R/2031-07-01T09:00:00/P1D", zone, 1),
            [first],
            "{zone}"
        );
    }
    let message = text(&with_zone(ground, "BST").expect(400).json()["message"]);
    assert!(message.contains("ambiguous"), "{message}");
}

fn dates(times: &[String]) -> Vec<&str> {
    times
        .iter()
        .map(|t| t.split('T').next().unwrap_or_default())
        .collect()
}

fn months_begin_from_the_anchor(ground: &Ground) {
    let times = next(ground.cron(), "R/2028-01-31T00:00:00Z/P1M", "", 4);
    assert_eq!(
        dates(&times),
        ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]
    );
}

fn leap_days_come_back(ground: &Ground) {
    let times = next(ground.cron(), "R/2028-02-29T00:00:00Z/P1Y", "", 5);
    assert_eq!(
        dates(&times),
        [
            "2028-02-29",
            "2029-02-28",
            "2030-02-28",
            "2031-02-28",
            "2032-02-29"
        ]
    );
}

fn periods_of_all_units_are_understood(ground: &Ground) {
    for (period, second) in [
        ("P1W", "2030-01-08T00:00:00Z"),
        ("P1DT12H", "2030-01-02T12:00:00Z"),
        ("P1Y2M3DT4H5M6S", "2031-03-04T04:05:06Z"),
    ] {
        let times = next(ground.cron(), &format!("R/2030-01-01T00:00:00Z/{period}"), "", 2);
        assert_eq!(times[1], second, "{period}");
        let stored = ground.cron().store(&job(
            "c13",
            "true",
            &json!({"schedule": format!("R/2030-01-01T00:00:00Z/{period}")}),
        ));
        let shown: Value = stored.show();
        assert!(
            text(&shown["schedule"]).ends_with(period),
            "the text comes back as it was: {shown}"
        );
    }
}
