//! `app edit`: the definition as the server has it, in an editor; what was changed is applied.

use super::change::{Planned, carry_out, check_version, difference, nothing_to_do, to_version};
use super::client::{Apps, Ask, id_of};
use super::diff;
use super::list::count;
use crate::args::{Changing, Global};
use crate::cluster::string;
use crate::definition::{self, Kind, Source};
use crate::editor::Scratch;
use crate::failure::{Failure, exit};
use http::Method;
use meseta_service_core::app::AppId;

/// `app edit ID`.
pub(super) async fn run(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let version = string(&current.value, &["version"]).to_owned();
    let shown = definition::submittable(Kind::App, current.value.clone());
    let mut file = Scratch::new("app", &shown)?;
    let Some(text) = file.edited().await? else {
        return nothing_to_do(global, &id, "is not changed");
    };
    let source = Source {
        name: file.path().display().to_string(),
        text,
    };
    let ended = apply(global, changing, &apps, &id, &version, &source).await;
    if ended
        .as_ref()
        .err()
        .is_some_and(|failure| failure.exit == exit::REFUSED)
    {
        let at = file.keep().display();
        return ended.map_err(|failure| failure.fix(format!("your text is in {at}: meseta apply it")));
    }
    ended
}

async fn apply(
    global: &Global,
    changing: Changing,
    apps: &Apps,
    id: &AppId,
    version: &str,
    source: &Source,
) -> Result<u8, Failure> {
    let told = &definition::single(source, Kind::App)?;
    if told.id != id.as_str() {
        let what = format!("an app cannot be renamed: {id} became {}", told.id);
        return Err(Failure::new("renamed", exit::REFUSED, what));
    }
    // Somebody may have been faster.
    let now = apps.app(id).await?;
    check_version(id, &now.value, Some(version))?;
    let difference = difference(apps, id, Some(&now), &told.value, true, Some(told)).await?;
    if difference.is_none() {
        return nothing_to_do(global, id, "is not changed");
    }
    let running = count(&now.value, "tasksRunning");
    let shown = diff::text(&difference, running, None, None);
    if changing.dry_run {
        return Ok(crate::output::print(&shown).err().unwrap_or(0));
    }
    if !global.quiet {
        eprint!("{shown}");
    }
    let planned = Planned {
        ask: Ask {
            method: Method::PUT,
            path: format!("/v2/apps{id}?partialUpdate=false"),
            body: Some(told.value.clone()),
            force: changing.force,
            app: Some(id),
            word: "edit",
        },
        told: Some(told),
        id: id.to_string(),
        said: format!("changed ({})", difference.names()),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, apps, &planned).await
}
