//! Apps and deployments: the commands over the service's public API.
//!
//! Names are enough, what changes something waits for its end, and what waits says why. Tables, differences and reasons
//! are pure functions over the API's objects.

mod apply;
pub(crate) mod args;
mod change;
pub(crate) mod client;
pub(crate) mod deployment;
mod diff;
mod edit;
pub(crate) mod events;
mod jobs;
pub(crate) mod list;
mod past;
mod replace;
mod room;
mod scale;
mod show;
mod sse;
mod update;
pub(crate) mod wait;
pub(crate) mod why;

use crate::api::Leader;
use crate::args::Global;
use crate::cluster::{Cluster, masters, string};
use crate::definition::Definition;
use crate::failure::{Failure, exit};
use crate::output::{self, Format, List, Style};
use crate::services::Service;
use args::{AppArgs, AppFilter, AppVerb, ApplyArgs, DiffArgs, ValidateArgs, WhyArgs};
use client::{Apps, escaped, id_of};
use serde_json::Value;

/// Events that `app show` ends with.
const EVENTS_SHOWN: usize = 10;
/// Lines of a failed task's standard error that `app show` has.
const STDERR_SHOWN: usize = 5;

/// `app ...`.
pub(crate) async fn run(global: &Global, args: AppArgs) -> Result<u8, Failure> {
    match args.verb {
        None => list_apps(global, None, &args.list).await,
        Some(AppVerb::List { group, filter }) => {
            let filter = AppFilter {
                waiting: filter.waiting || args.list.waiting,
                selector: filter.selector.or(args.list.selector),
            };
            list_apps(global, group.as_deref(), &filter).await
        }
        Some(AppVerb::Show { id, version }) => show_app(global, &id, version.as_deref()).await,
        Some(AppVerb::Create(args)) => update::create(global, &args).await,
        Some(AppVerb::Update(args)) => update::update(global, &args).await,
        Some(AppVerb::Scale { id, count, changing }) => scale::scale(global, &id, &count, changing).await,
        Some(AppVerb::Restart { ids, changing }) => {
            change::each(&ids, "restarted", async |id: &String| {
                replace::restart(global, id, changing).await
            })
            .await
        }
        Some(AppVerb::Suspend { ids, changing }) => {
            change::each(&ids, "suspended", async |id: &String| {
                scale::suspend(global, id, changing).await
            })
            .await
        }
        Some(AppVerb::Resume { id, count, changing }) => scale::resume(global, &id, count, changing).await,
        Some(AppVerb::Rollback {
            id,
            version,
            changing,
        }) => replace::rollback(global, &id, version.as_deref(), changing).await,
        Some(AppVerb::Delete { ids, changing }) => replace::delete(global, &ids, changing).await,
        Some(AppVerb::Versions { id }) => versions(global, &id).await,
        Some(AppVerb::Diff {
            id,
            from,
            to,
            exit_code,
        }) => diff_versions(global, &id, from.as_deref(), to.as_deref(), exit_code).await,
        Some(AppVerb::Why(args)) => why_app(global, &args).await,
        Some(AppVerb::Wait { id, until }) => wait::app(global, &id, &until).await,
        Some(AppVerb::Events { id, follow }) => events::of_app(global, &id, follow).await,
        Some(AppVerb::Edit { id, changing }) => edit::run(global, &id, changing).await,
    }
}

/// Brings an app to what a file says; `false` when it is so already.
///
/// # Errors
/// The server refuses it (with the places of the file where they are known), or does not answer.
pub(crate) async fn submit(service: &Service, definition: &Definition) -> Result<bool, Failure> {
    apply::submit(service.clone(), definition).await
}

/// `apply FILE...`.
pub(crate) async fn apply(global: &Global, args: &ApplyArgs) -> Result<u8, Failure> {
    apply::apply(global, args).await
}

/// `diff FILE...`.
pub(crate) async fn diff(global: &Global, args: &DiffArgs) -> Result<u8, Failure> {
    apply::diff(global, args).await
}

/// `validate FILE...`.
pub(crate) fn validate(global: &Global, args: &ValidateArgs) -> Result<u8, Failure> {
    apply::validate(global, args)
}

/// `why NAME`, of an app or a job.
pub(crate) async fn why_any(global: &Global, args: &WhyArgs) -> Result<u8, Failure> {
    match (&args.file, &args.name) {
        (None, Some(name)) => jobs::why(global, name).await,
        _ => why_app(global, args).await,
    }
}

/// `app why`.
async fn why_app(global: &Global, args: &WhyArgs) -> Result<u8, Failure> {
    match (&args.file, &args.name) {
        (Some(file), _) => why::of_file(global, file).await,
        (None, Some(name)) => why::run(global, name).await,
        (None, None) => Err(Failure::new("no-name", exit::USAGE, "give the id of an app")),
    }
}

async fn list_apps(global: &Global, group: Option<&str>, filter: &AppFilter) -> Result<u8, Failure> {
    output::show(global, async || apps_asked_for(global, group, filter).await).await
}

async fn apps_asked_for(global: &Global, group: Option<&str>, filter: &AppFilter) -> Result<List, Failure> {
    let apps = Apps::find(global).await?;
    let mut query = "?embed=apps.counts&embed=apps.deployments&embed=apps.lastTaskFailure".to_owned();
    if let Some(selector) = &filter.selector {
        query.push_str(&format!("&label={}", escaped(selector)));
    }
    let (found, queue) = futures_util::try_join!(apps.all(&query), apps.queue())?;
    let mut found = found;
    if let Some(group) = group {
        let below = format!("/{}/", group.trim_matches('/'));
        found
            .value
            .retain(|app| below == "//" || string(app, &["id"]).starts_with(&below));
    }
    let mut list = list::apps(&found, &queue, filter.waiting);
    if filter.selector.is_some() || group.is_some() {
        list.empty = "no such apps; all of them: meseta app list";
    }
    Ok(list)
}

async fn show_app(global: &Global, id: &str, version: Option<&str>) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    if let Some(version) = version {
        let version = apps.named_version(&id, version).await?;
        let app = apps.version(&id, &version).await?;
        let text = match output::for_programs(global, &app, &version)? {
            Some(text) => text,
            None => show::definition(&app, "", crate::api::local_clock(), &[]),
        };
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let app = apps.app(&id).await?;
    let text = match output::for_programs(global, &app.value, id.as_str())? {
        Some(text) => text,
        None => {
            let (queue, deployments) = futures_util::try_join!(apps.queue(), apps.deployments())?;
            let failed = string(&app.value, &["lastTaskFailure", "taskId"]);
            let (stderr, events) = remembered(global, id.as_str(), failed).await;
            let shown = show::Shown {
                app: &app,
                queue: &queue,
                deployments: &deployments.value,
                stderr: &stderr,
                events: &events,
            };
            show::text(&shown, &Style::part(global))
        }
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

/// What the master and the agents still know; nothing when they cannot be asked.
async fn remembered(global: &Global, id: &str, failed: &str) -> (Vec<String>, Vec<past::Happened>) {
    let read = async {
        let leader = Leader::find(&masters(global)?).await?;
        let cluster = Cluster::read(&leader).await?;
        Ok::<_, Failure>((leader, cluster))
    };
    let Ok((leader, cluster)) = read.await else {
        return (Vec::new(), Vec::new());
    };
    let stderr = match failed {
        "" => Vec::new(),
        failed => past::last_words(&leader, &cluster, failed, STDERR_SHOWN).await,
    };
    (
        stderr,
        past::timeline(&cluster, &why::task_prefix(id), EVENTS_SHOWN),
    )
}

async fn versions(global: &Global, id: &str) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let versions = apps.versions(&id).await?;
    let text = match global.format() {
        Format::Json => format!("{}\n", Value::from(versions)),
        Format::Jsonl => versions
            .into_iter()
            .map(|v| format!("{}\n", Value::from(v)))
            .collect(),
        _ => versions.into_iter().map(|v| format!("{v}\n")).collect(),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

async fn diff_versions(
    global: &Global,
    id: &str,
    from: Option<&str>,
    to: Option<&str>,
    exit_code: bool,
) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let from = apps.named_version(&id, from.unwrap_or("-1")).await?;
    let old = apps.version(&id, &from).await?;
    let (to, new) = match to {
        Some(to) => {
            let to = apps.named_version(&id, to).await?;
            let new = apps.version(&id, &to).await?;
            (to, new)
        }
        None => {
            let app = apps.app(&id).await?.value;
            (string(&app, &["version"]).to_owned(), app)
        }
    };
    let plain = |app: Value| crate::definition::submittable(crate::definition::Kind::App, app);
    let mut fields = Vec::new();
    diff::compare("", &plain(old), &plain(new), &mut fields);
    let text = match global.format() {
        Format::Json | Format::Jsonl => {
            let all: Vec<Value> = fields
                .iter()
                .map(|f| serde_json::json!({"field": f.path, "from": f.from, "to": f.to}))
                .collect();
            let object = serde_json::json!({
                "kind": "diff", "schema": 1, "id": id.as_str(), "from": from, "to": to, "fields": all,
            });
            format!("{object}\n")
        }
        Format::Name => fields.iter().map(|f| format!("{}\n", f.path)).collect(),
        _ => {
            let width = fields.iter().map(|f| f.path.chars().count()).max().unwrap_or(0);
            let lines = fields
                .iter()
                .map(|f| format!("    {:width$}  {}\n", f.path, diff::change_text(f)));
            format!("{id}     {from} → {to}\n{}", lines.collect::<String>())
        }
    };
    let printed = output::print(&text).err();
    Ok(printed.unwrap_or(if exit_code && !fields.is_empty() {
        exit::DIFFERS
    } else {
        0
    }))
}
