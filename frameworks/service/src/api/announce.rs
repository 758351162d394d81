//! Events that only the API can tell of: what was asked for by whom, and health checks that come and go with it.

use super::Inner;
use super::ask::Ask;
use super::show;
use super::show::event::{Shown, one};
use crate::definition::{HealthCheck, parse_stored};
use crate::owner::{Told, What};
use crate::view::AppView;
use meseta_service_core::app::{AppSpec, Version};
use serde_json::json;

/// Tells of a definition that somebody sent.
pub(super) fn posted(api: &Inner, ask: &Ask, spec: &AppSpec) {
    if !api.hub.is_heard() {
        return;
    }
    let Ok(mut definition) = serde_json::from_slice::<serde_json::Value>(&spec.wire) else {
        return;
    };
    if let Some(object) = definition.as_object_mut() {
        object.insert("instances".to_owned(), spec.instances.into());
    }
    let fields = json!({"clientIp": ask.peer(), "uri": ask.uri(), "appDefinition": definition});
    publish(api, one("api_post_event", api.now(), fields));
}

/// Health checks that a change brings.
pub(super) struct Checks {
    app: String,
    added: Vec<HealthCheck>,
}

impl Checks {
    /// Those of a definition that the app did not have before.
    pub(super) fn of(spec: &AppSpec, before: Option<&AppView>) -> Checks {
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
    pub(super) fn tell(self, api: &Inner, version: Version) {
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
