//! Events that only the API can tell of: what was asked for by whom, and health checks that come and go with it.

use super::Inner;
use super::ask::Ask;
use super::show;
use super::show::event::{Shown, one};
use crate::definition::{HealthCheck, parse_stored};
use crate::owner::{CallError, Told, What};
use crate::view::AppView;
use meseta_service_core::app::{AppId, AppSpec, Version};
use serde_json::json;

/// Tells of a definition that somebody sent, once it counts.
fn posted(api: &Inner, ask: &Ask, spec: &AppSpec) {
    let Ok(mut definition) = serde_json::from_slice::<serde_json::Value>(&spec.wire) else {
        return;
    };
    if let Some(object) = definition.as_object_mut() {
        object.insert("instances".to_owned(), spec.instances.into());
    }
    let fields = json!({"clientIp": ask.peer(), "uri": ask.uri(), "appDefinition": definition});
    publish(api, one("api_post_event", api.now(), fields));
}

/// What a change brings that only the API knows of.
#[derive(Default)]
pub(super) struct Change {
    specs: Vec<AppSpec>,
    checks: Vec<Checks>,
    group: Option<String>,
}

impl Change {
    /// One more app of the change. Nothing is kept while nobody listens.
    pub(super) fn add(&mut self, api: &Inner, spec: &AppSpec, before: Option<&AppView>) {
        if api.hub.is_heard() {
            self.specs.push(spec.clone());
            self.checks.push(Checks::of(spec, before));
            self.touch(&spec.id);
        }
    }

    /// Also changes this app, but brings no definition of it.
    pub(super) fn touch(&mut self, app: &AppId) {
        let parent = app.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
        let parent = if parent.is_empty() { "/" } else { parent };
        // Marathon tells of the root when a change is not within one group.
        self.group = Some(match &self.group {
            Some(group) if group != parent => "/".to_owned(),
            _ => parent.to_owned(),
        });
    }

    /// Tells of it, now that it is durable.
    pub(super) fn done(self, api: &Inner, ask: &Ask, version: Version) {
        self.specs.iter().for_each(|spec| posted(api, ask, spec));
        self.checks
            .into_iter()
            .for_each(|checks| checks.tell(api, version));
        if let Some(group) = self.group {
            let fields = json!({"groupId": group, "version": show::version(version)});
            publish(api, one("group_change_success", api.now(), fields));
        }
    }

    /// Tells that nothing came of it.
    pub(super) fn failed(self, api: &Inner, why: &CallError) {
        if let Some(group) = self.group {
            let version = show::time(api.now());
            let fields = json!({"groupId": group, "version": version, "reason": why.to_string()});
            publish(api, one("group_change_failed", api.now(), fields));
        }
    }
}

/// Health checks that a change brings.
struct Checks {
    app: String,
    added: Vec<HealthCheck>,
}

impl Checks {
    /// Those of a definition that the app did not have before.
    fn of(spec: &AppSpec, before: Option<&AppView>) -> Checks {
        let same = before.is_some_and(|before| before.spec.wire == spec.wire);
        let added = if same || !spec.has_health_checks {
            Vec::new()
        } else {
            parse_stored(spec)
                .map(|app| app.health_checks)
                .unwrap_or_default()
        };
        Checks {
            app: spec.id.to_string(),
            added,
        }
    }

    /// Tells of them.
    fn tell(self, api: &Inner, version: Version) {
        for check in self.added {
            let fields = json!({"appId": self.app, "healthCheck": check, "version": show::version(version)});
            publish(api, one("add_health_check_event", api.now(), fields));
        }
    }
}

/// Tells of the health checks of an app that goes.
pub(super) fn checks_removed(api: &Inner, app: &AppView) {
    for _ in &app.definition.health_checks {
        let fields = json!({"appId": app.spec.id.as_str()});
        publish(api, one("remove_health_check_event", api.now(), fields));
    }
}

fn publish(api: &Inner, shown: Shown) {
    api.handle.publish(Told {
        at: api.now(),
        what: What::Wire {
            kind: shown.kind,
            json: shown.json.into(),
        },
    });
}
