//! `app scale`, `suspend` and `resume`: how many instances are wanted.

use super::change::{Planned, carry_out, context, dry_run, nothing_to_do, put, to_version};
use super::client::{Apps, id_of};
use super::list::count;
use crate::args::{Changing, Global};
use crate::ask;
use crate::failure::{Failure, exit};
use crate::text::plural;
use meseta_service_core::app::AppId;
use serde_json::json;

/// `app scale ID N|+N|-N`.
pub(super) async fn scale(global: &Global, id: &str, text: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let now = count(&current.value, "instances");
    scale_to(global, &apps, &id, now, counted(text, now)?, changing).await
}

/// `5`, `+2`, `-1`.
fn counted(text: &str, now: u64) -> Result<u64, Failure> {
    let wrong = || {
        let what = format!("'{text}' is no number of instances");
        Failure::new("bad-count", exit::USAGE, what).fix("a number from 0, or +2, or -1")
    };
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<u32>().map(u64::from).map_err(|_| wrong()),
        false => Err(wrong()),
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => Ok(now + number(more)?),
        (_, Some(less)) => now.checked_sub(number(less)?).ok_or_else(|| {
            let what = format!("{text} is more than there are: {now} instances are wanted now");
            Failure::new("bad-count", exit::REFUSED, what).fix("meseta app suspend stops all")
        }),
        _ => number(text),
    }
}

async fn scale_to(
    global: &Global,
    apps: &Apps,
    id: &AppId,
    now: u64,
    to: u64,
    changing: Changing,
) -> Result<u8, Failure> {
    if now == to {
        return nothing_to_do(
            global,
            id,
            &format!(
                "wants {} already",
                plural(usize::try_from(to).unwrap_or(0), "instance")
            ),
        );
    }
    let body = json!({"instances": to});
    if changing.dry_run {
        return dry_run(global, apps, id, &body, false, None).await;
    }
    if to == 0 {
        let running = plural(usize::try_from(now).unwrap_or(0), "instance");
        ask::yes_or_no(global, &format!("stop all {running} of {id}{}?", context(global)))?;
    }
    let planned = Planned {
        ask: put(id, body, changing.force, "scale"),
        told: None,
        id: id.to_string(),
        said: format!("{now} → {to} instances"),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, apps, &planned).await
}

/// `app suspend ID...`.
pub(super) async fn suspend(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    scale(global, id, "0", changing).await
}

/// `app resume ID [N]`: as many as the newest version with any.
pub(super) async fn resume(
    global: &Global,
    id: &str,
    to: Option<u32>,
    changing: Changing,
) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let now = count(&current.value, "instances");
    if let Some(to) = to {
        return scale_to(global, &apps, &id, now, u64::from(to), changing).await;
    }
    if now > 0 {
        return nothing_to_do(
            global,
            &id,
            &format!("is not suspended ({now} instances are wanted)"),
        );
    }
    for version in apps.versions(&id).await? {
        let had = count(&apps.version(&id, &version).await?, "instances");
        if had > 0 {
            return scale_to(global, &apps, &id, now, had, changing).await;
        }
    }
    let what = format!("no version of {id} had any instance");
    Err(Failure::new("no-count", exit::REFUSED, what).fix(format!("meseta app resume {id} 1")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_are_absolute_or_relative() {
        assert_eq!(counted("5", 3).unwrap(), 5);
        assert_eq!(counted("+2", 3).unwrap(), 5);
        assert_eq!(counted("-1", 3).unwrap(), 2);
        assert_eq!(counted("-4", 3).unwrap_err().exit, exit::REFUSED);
        for text in ["", "x", "+", "--1", "1.5"] {
            assert_eq!(counted(text, 3).unwrap_err().exit, exit::USAGE, "{text}");
        }
    }
}
