//! Reads of apps.

use super::Inner;
use super::ask::{Ask, app_id};
use super::embed::Embed;
use super::gate::Action;
use super::refusal::Refused;
use super::selector::Selector;
use super::stream::{self, Listing};
use super::{reply, show};
use crate::view::AppView;
use http::StatusCode;
use meseta_http::Response;
use std::sync::Arc;

/// `GET /v2/apps`.
pub(super) async fn list(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    let filter = Filter::of(ask)?;
    let embed = Embed::of(ask.parameters("embed"));
    let now = api.now();
    let view = api.handle.view().await?;
    let may_see = ask.viewer();
    let listing = Listing {
        below: "/".to_owned(),
        head: "{\"apps\":[",
        tail: "]}",
        separator: ",",
        media: "application/json",
        write: move |out: &mut Vec<u8>, app: &AppView| {
            if filter.shows(app) && may_see(&app.spec.id) {
                show::app::write(out, app, embed, now);
            }
        },
    };
    Ok(stream::list(view, listing, ask.headers()))
}

/// `GET /v2/apps/{group}/*`.
pub(super) async fn below(api: &Inner, ask: &Ask, group: &str) -> Result<Response, Refused> {
    let below = below_of(group);
    let view = api.handle.view().await?;
    known_group(&view, group, &below)?;
    let now = api.now();
    let may_see = ask.viewer();
    let mut embed = Embed::of(ask.parameters("embed"));
    embed.tasks = true;
    embed.failure = true;
    let listing = Listing {
        below,
        head: "{\"*\":[",
        tail: "]}",
        separator: ",",
        media: "application/json",
        write: move |out: &mut Vec<u8>, app: &AppView| {
            if may_see(&app.spec.id) {
                show::app::write(out, app, embed, now);
            }
        },
    };
    Ok(stream::list(view, listing, ask.headers()))
}

/// The ids of a group begin like this.
pub(super) fn below_of(group: &str) -> String {
    format!("{}/", group.trim_end_matches('/'))
}

/// 404 unless the group is the root or has an app.
pub(super) fn known_group(view: &crate::view::View, group: &str, below: &str) -> Result<(), Refused> {
    let first = meseta_service_core::app::AppId::recorded(below);
    let next = view.apps.from(std::ops::Bound::Included(&first)).next();
    if below == "/" || next.is_some_and(|(id, _)| id.as_str().starts_with(below)) {
        return Ok(());
    }
    Err(Refused::not_found(format!("Group '{group}' does not exist")))
}

/// `GET /v2/apps/{id}`.
pub(super) async fn show(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let app = find(api, ask, id).await?;
    let embed = Embed {
        tasks: true,
        failure: true,
        ..Embed::of(ask.parameters("embed"))
    };
    let mut out = b"{\"app\":".to_vec();
    show::app::write(&mut out, &app, embed, api.now());
    out.push(b'}');
    Ok(reply::raw_json(StatusCode::OK, out))
}

/// The app that a path names, if it is there and the caller may see it.
pub(super) async fn find(api: &Inner, ask: &Ask, id: &str) -> Result<Arc<AppView>, Refused> {
    let id = app_id(id)?;
    ask.check(Action::ViewApp(&id))?;
    let app = api.handle.app(&id).await?;
    app.ok_or_else(|| Refused::no_app(id.as_str()))
}

/// Which apps a list shows.
struct Filter {
    id: Option<String>,
    cmd: Option<String>,
    label: Option<Selector>,
}

impl Filter {
    fn of(ask: &Ask) -> Result<Filter, Refused> {
        let text = |name| ask.parameter(name).map(str::to_lowercase);
        let label = ask.parameter("label").map(Selector::parse).transpose();
        Ok(Filter {
            id: text("id"),
            cmd: text("cmd"),
            label: label.map_err(Refused::argument)?,
        })
    }

    fn shows(&self, app: &AppView) -> bool {
        let holds = |part: &Option<String>, whole: Option<&str>| {
            part.as_ref()
                .is_none_or(|part| whole.is_some_and(|whole| whole.to_lowercase().contains(part)))
        };
        holds(&self.id, Some(app.spec.id.as_str()))
            && holds(&self.cmd, app.definition.cmd.as_deref())
            && self
                .label
                .as_ref()
                .is_none_or(|selector| selector.matches(&app.definition.labels))
    }
}
