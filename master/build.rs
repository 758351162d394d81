//! Tells the program when, by whom and from which commit it was built, for `/version`.
//!
//! `SOURCE_DATE_EPOCH` makes builds repeatable. Without git there is no commit to tell.

use std::env;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-env-changed=MESETA_GIT_SHA");
    let given = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    let seconds: u64 = given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    });
    println!("cargo::rustc-env=MESETA_BUILD_TIME={seconds}");
    println!("cargo::rustc-env=MESETA_BUILD_DATE={}", date(seconds));
    let user = env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=MESETA_BUILD_USER={user}");
    if let Some(sha) = env::var("MESETA_GIT_SHA").ok().or_else(head) {
        println!("cargo::rustc-env=MESETA_GIT_SHA={sha}");
    }
}

fn head() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let sha = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && sha.len() == 40).then_some(sha)
}

/// `2026-11-21 04:40:49 UTC`: days to a date by the civil calendar's 400-year cycle.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months count from March, so that the leap day is the last of a year.
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year + u64::from(month < 3);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
