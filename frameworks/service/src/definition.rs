//! App definitions: from a user's JSON to what is stored, decided on and shown.
//!
//! Everything here is a function of the body, the stored definition and the server's [`Rules`]; the command line uses it
//! for checks without a server. Four steps, each a file:
//!
//! | step | file | problems |
//! |---|---|---|
//! | types and ranges of single fields | `draft` | codes, "Invalid JSON" |
//! | old spellings become new ones | `migrate` | texts, "Object is not valid" |
//! | an update is laid over what is stored; defaults are written out | `normalise` | |
//! | what fields mean together | `validate` | texts, "Object is not valid" |
//!
//! Field names, defaults, paths and texts of errors follow Marathon 1.11 (its RAML types, `AppNormalization`,
//! `AppValidation` and their tests). What this release does not do yet is refused by name, never ignored.

mod app;
mod checks;
mod container;
mod draft;
mod migrate;
mod network;
mod normalise;
mod problems;
mod reader;
mod rules;
mod spec;
mod validate;

pub use app::{
    App, Fetch, KillSelection, Limit, ResourceLimits, SINGLE_INSTANCE_LABEL, UnreachableStrategy,
    UpgradeStrategy,
};
pub use checks::{
    Check, CheckCommand, CheckExec, CheckHttp, CheckTcp, Command, HealthCheck, HealthProtocol, IpProtocol,
    ReadinessCheck, Scheme,
};
pub use container::{Container, Docker, Engine, Parameter, Volume, VolumeMode};
pub use network::{Network, NetworkMode, PortDefinition, PortMapping, Protocol};
pub use problems::{Detail, Invalid, Kind};
pub use rules::{AcceptedRoles, Rules};
pub use spec::parse_stored;
pub use validate::{DEFINITION_BYTES_MAX, INSTANCES_MAX};

use draft::Draft;
use meseta_service_core::app::AppId;
use problems::Problems;
use reader::Object;
use serde_json::Value;
use std::collections::BTreeSet;

/// What an update asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// This definition.
    To(App),
    /// The definition it had at this version (a time stamp, as the user wrote it).
    Back(String),
}

/// Reads the definition of a new app, whose id is in the body.
///
/// # Errors
/// All problems that were found.
pub fn create(body: &Value, rules: &Rules) -> Result<App, Invalid> {
    let problems = Problems::default();
    let Some(object) = Object::new(body, "", &problems) else {
        return Err(failed(problems));
    };
    let id = object.required("id", object.string("id"));
    let draft = Draft::read(object);
    let id = id.and_then(|id| parse_id(&id, &problems));
    match id {
        Some(id) => finish(None, draft, &id, rules, problems),
        None => Err(failed(problems)),
    }
}

/// Reads an update of the app `id`; an id in the body is not looked at. `stored` is what is there: absent fields keep
/// its values. Without it (a new app, or a replacement as a whole) they get their defaults.
///
/// # Errors
/// All problems that were found.
pub fn update(id: &AppId, stored: Option<&App>, body: &Value, rules: &Rules) -> Result<Update, Invalid> {
    let problems = Problems::default();
    let Some(object) = Object::new(body, "", &problems) else {
        return Err(failed(problems));
    };
    let version = object.string("version").filter(|_| stored.is_some());
    if let Some(version) = version {
        if object.has_others(&["id", "version"]) {
            problems.rule(
                "/",
                "The 'version' field may only be combined with the 'id' field.",
            );
        }
        return problems.into_result(Update::Back(version));
    }
    let draft = Draft::read(object);
    finish(stored, draft, id, rules, problems).map(Update::To)
}

/// The id in the body of an update that is one of many.
///
/// # Errors
/// When there is none, or it is no app id.
pub fn id_of(body: &Value) -> Result<AppId, Invalid> {
    let problems = Problems::default();
    let id = Object::new(body, "", &problems)
        .and_then(|object| object.required("id", object.string("id")))
        .and_then(|id| parse_id(&id, &problems));
    match id {
        Some(id) => problems.into_result(id),
        None => Err(failed(problems)),
    }
}

fn parse_id(text: &str, problems: &Problems) -> Option<AppId> {
    AppId::parse(text, None)
        .map_err(|error| problems.rule("/id", error.to_string()))
        .ok()
}

fn finish(
    stored: Option<&App>,
    mut draft: Draft,
    id: &AppId,
    rules: &Rules,
    problems: Problems,
) -> Result<App, Invalid> {
    if problems.has_shapes() {
        return Err(failed(problems));
    }
    migrate::migrate(&mut draft, &problems);
    let given_ports = draft
        .port_definitions
        .as_ref()
        .is_some_and(|ports| !ports.is_empty());
    let given_mappings = draft
        .container
        .as_ref()
        .and_then(|container| container.port_mappings.as_ref())
        .is_some_and(|mappings| !mappings.is_empty());
    let merged = match stored {
        Some(app) => Draft::of(app).updated(draft),
        None => draft,
    };
    let networks = normalise::networks(merged.networks.clone(), rules);
    let is_host = networks.iter().all(|network| network.mode == NetworkMode::Host);
    problems.require(
        !(is_host && given_mappings),
        "/",
        "portMappings are not allowed with host-networking",
    );
    problems.require(
        is_host || !given_ports,
        "/",
        "portDefinitions are only allowed with host-networking",
    );
    let dependencies = dependencies(merged.dependencies.as_deref().unwrap_or_default(), id, &problems);
    let app = normalise::app(merged, id, dependencies, rules);
    validate::app(&app, rules, &problems);
    problems.into_result(app)
}

fn dependencies(given: &[String], id: &AppId, problems: &Problems) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (index, text) in given.iter().enumerate() {
        match AppId::parse(text, Some(id)) {
            Ok(dependency) => drop(all.insert(dependency.to_string())),
            Err(error) => problems.rule(format!("/dependencies({index})"), error.to_string()),
        }
    }
    all
}

/// For a definition that cannot be read any further: there is at least one problem.
fn failed(problems: Problems) -> Invalid {
    match problems.into_result(()) {
        Err(invalid) => invalid,
        Ok(()) => Invalid::rule("/", "is not an app definition"),
    }
}

#[cfg(test)]
mod tests;
