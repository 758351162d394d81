//! `app restart`, `rollback` and `delete`: instances are replaced, or end.

use super::change::{Planned, carry_out, cluster, context, difference, each, nothing_to_do, put, to_version};
use super::client::{Apps, Ask, Started, id_of};
use super::diff;
use super::list::count;
use super::wait::Targets;
use crate::args::{Changing, Global};
use crate::ask;
use crate::failure::Failure;
use crate::output;
use crate::text::plural;
use http::Method;
use meseta_service_core::app::AppId;
use serde_json::json;

/// The apps are gone afterwards.
fn to_nothing(apps: &[AppId], _: &Started) -> Targets {
    apps.iter().map(|id| (id.clone(), None)).collect()
}

/// `app restart ID...`.
pub(super) async fn restart(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    if changing.dry_run {
        let app = apps.app(&id).await?;
        let running = count(&app.value, "tasksRunning");
        let text = format!(
            "~ {id}     replaces {}\n",
            plural(usize::try_from(running).unwrap_or(0), "instance")
        );
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let planned = Planned {
        ask: Ask {
            method: Method::POST,
            path: format!("/v2/apps{id}/restart"),
            body: None,
            force: changing.force,
            app: Some(&id),
            word: "restart",
        },
        told: None,
        id: id.to_string(),
        said: "restarted".to_owned(),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, &apps, &planned).await
}

/// `app rollback ID [VERSION]`.
pub(super) async fn rollback(
    global: &Global,
    id: &str,
    version: Option<&str>,
    changing: Changing,
) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let version = apps.named_version(&id, version.unwrap_or("-1")).await?;
    let old = apps.version(&id, &version).await?;
    let difference = difference(&apps, &id, Some(&current), &old, true, None).await?;
    if difference.is_none() {
        return nothing_to_do(global, &id, &format!("is as it was at {version} already"));
    }
    let running = count(&current.value, "tasksRunning");
    let shown = diff::text(&difference, running, cluster(global).await.as_ref(), None);
    if changing.dry_run {
        return Ok(output::print(&shown).err().unwrap_or(0));
    }
    if !global.quiet {
        eprint!("{shown}");
    }
    ask::yes_or_no(
        global,
        &format!("roll {id} back to {version}{}?", context(global)),
    )?;
    let planned = Planned {
        ask: put(&id, json!({"version": version}), changing.force, "rollback"),
        told: None,
        id: id.to_string(),
        said: format!("back to {version}"),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, &apps, &planned).await
}

/// `app delete ID...`.
pub(super) async fn delete(global: &Global, ids: &[String], changing: Changing) -> Result<u8, Failure> {
    let apps = Apps::find(global).await?;
    let ids = ids.iter().map(|id| id_of(id)).collect::<Result<Vec<_>, _>>()?;
    let mut said = Vec::new();
    for id in &ids {
        let app = apps.app(id).await?;
        let running = usize::try_from(count(&app.value, "tasksRunning")).unwrap_or(0);
        said.push(format!("{id} with {}", plural(running, "running instance")));
    }
    let said = said.join(", ");
    if changing.dry_run {
        return Ok(output::print(&format!("- {said}\n")).err().unwrap_or(0));
    }
    ask::yes_or_no(global, &format!("delete {said}{}?", context(global)))?;
    each(&ids, "deleted", async |id: &AppId| {
        let planned = Planned {
            ask: Ask {
                method: Method::DELETE,
                path: format!("/v2/apps{id}"),
                body: None,
                force: changing.force,
                app: Some(id),
                word: "delete",
            },
            told: None,
            id: id.to_string(),
            said: "deleted".to_owned(),
            targets: to_nothing,
            apps: vec![id.clone()],
        };
        carry_out(global, changing, &apps, &planned).await
    })
    .await
}
