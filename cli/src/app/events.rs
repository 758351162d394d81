//! `events` and `app events`: what happened as the master remembers it, and what happens as the service tells it.

use super::args::EventsArgs;
use super::client::{Apps, id_of, seconds, short_deployment};
use super::list::action_word;
use super::past::{Happened, clock, timeline};
use super::sse::{Stream, Told};
use super::why::task_prefix;
use crate::api::Leader;
use crate::args::Global;
use crate::cluster::{Cluster, list, masters, short_task, string};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::text::{age, harmless};
use meseta_service_core::app::AppId;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Pauses before a lost stream is opened again: short at first, the service may only be starting again.
const AGAIN_FIRST: Duration = Duration::from_millis(200);
const AGAIN_MOST: Duration = Duration::from_secs(5);

/// `events`.
pub(crate) async fn run(global: &Global, args: &EventsArgs) -> Result<u8, Failure> {
    let app = args.app.as_deref().map(id_of).transpose()?;
    if args.follow {
        follow(global, &args.types, app.as_ref()).await
    } else {
        past(global, app.as_ref(), args.lines).await
    }
}

/// `app events ID`.
pub(super) async fn of_app(global: &Global, id: &str, is_followed: bool) -> Result<u8, Failure> {
    /// As many as fit on a screen.
    const LINES: usize = 20;
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    apps.app(&id).await?;
    if is_followed {
        follow(global, &[], Some(&id)).await
    } else {
        past(global, Some(&id), LINES).await
    }
}

async fn past(global: &Global, app: Option<&AppId>, lines: usize) -> Result<u8, Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    let prefix = app.map_or(String::new(), |id| task_prefix(id.as_str()));
    let found = timeline(&cluster, &prefix, lines);
    let text: String = match global.format() {
        Format::Json => format!("{}\n", found.iter().map(Happened::object).collect::<Value>()),
        Format::Jsonl => found.iter().map(|h| format!("{}\n", h.object())).collect(),
        _ => found.iter().map(|h| format!("{}\n", h.line())).collect(),
    };
    if found.is_empty() {
        eprintln!("the master remembers no state change; what happens from now on: meseta events -f");
    }
    Ok(output::print(&text).err().unwrap_or(0))
}

async fn follow(global: &Global, types: &[String], app: Option<&AppId>) -> Result<u8, Failure> {
    let apps = Apps::find(global).await?;
    let mut stream = Stream::open(apps.service(), types).await?;
    let as_json = matches!(global.format(), Format::Json | Format::Jsonl);
    loop {
        let why = loop {
            let told = match stream.next().await {
                Ok(told) => told,
                Err(why) => break why,
            };
            if app.is_some_and(|id| !is_about(&told.data, id.as_str())) {
                continue;
            }
            let line = if as_json {
                told.data.to_string()
            } else {
                line(&told)
            };
            if let Err(code) = output::print(&format!("{line}\n")) {
                return Ok(code);
            }
        };
        let lost = Instant::now();
        if !global.quiet {
            eprintln!("-- no events: {why}; connecting again --");
        }
        stream = again(global, types).await;
        if !global.quiet {
            // Marathon's stream has no replay: what happened meanwhile is not known.
            eprintln!(
                "-- {} without connection, events of that time are missing --",
                age(lost.elapsed().as_secs_f64())
            );
        }
    }
}

/// The service may come back elsewhere: it is looked for each time.
async fn again(global: &Global, types: &[String]) -> Stream {
    let mut pause = AGAIN_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MOST);
        if let Ok(apps) = Apps::find(global).await
            && let Ok(stream) = Stream::open(apps.service(), types).await
        {
            return stream;
        }
    }
}

/// The apps that an event is about.
fn apps_of(data: &Value) -> Vec<&str> {
    let direct = ["appId", "runSpecId"].map(|name| string(data, &[name]));
    let defined = string(data, &["appDefinition", "id"]);
    let steps = data.get("plan").map_or(&[][..], |plan| list(plan, "steps"));
    let planned = steps
        .iter()
        .flat_map(|s| list(s, "actions"))
        .map(|a| string(a, &["app"]));
    let mut all: Vec<&str> = direct
        .into_iter()
        .chain([defined])
        .chain(planned)
        .filter(|id| !id.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn is_about(data: &Value, id: &str) -> bool {
    apps_of(data).contains(&id)
}

/// `12:04:31Z deployment_step_success 5f1c2a90 /web restart 1/2`.
fn line(told: &Told) -> String {
    let data = &told.data;
    let text = |name: &str| string(data, &[name]);
    let at = seconds(text("timestamp")).map_or_else(|| "-".to_owned(), clock);
    let apps = apps_of(data).join(" ");
    let instance = || short_task(&format!("{}._app.0", text("instanceId")));
    let rest = match told.name.as_str() {
        "status_update_event" => {
            let state = text("taskStatus").trim_start_matches("TASK_").to_lowercase();
            let message = match text("message") {
                "" => String::new(),
                message => format!(": {message}"),
            };
            format!(
                "{} {state} on {}{message}",
                short_task(text("taskId")),
                text("host")
            )
        }
        "instance_changed_event" => format!(
            "{} {} on {}",
            instance(),
            text("condition").to_lowercase(),
            text("host")
        ),
        "instance_health_changed_event" => {
            let health = match data.get("healthy").and_then(Value::as_bool) {
                Some(true) => "healthy",
                Some(false) => "unhealthy",
                None => "unknown",
            };
            format!("{} {health}", instance())
        }
        "unhealthy_instance_kill_event" | "unhealthy_task_kill_event" => {
            format!(
                "{} on {}: {}",
                short_task(text("taskId")),
                text("host"),
                text("reason")
            )
        }
        name if name.starts_with("deployment_") => {
            let id = match text("id") {
                "" => string(data, &["plan", "id"]),
                id => id,
            };
            format!("{} {apps}{}", short_deployment(id), progress(data))
        }
        "api_post_event" => format!("{apps} from {}", text("clientIp")),
        "event_stream_attached" | "event_stream_detached" => text("remoteAddress").to_owned(),
        _ => apps,
    };
    harmless(format!("{at} {} {rest}", told.name).trim_end())
}

/// ` restart 1/2`.
fn progress(data: &Value) -> String {
    let steps = data.get("plan").map_or(&[][..], |plan| list(plan, "steps"));
    let current = data
        .get("currentStep")
        .map_or(&[][..], |step| list(step, "actions"));
    let Some(action) = current.first() else {
        return match string(data, &["reason"]) {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
    };
    let position = steps
        .iter()
        .position(|s| list(s, "actions") == current)
        .map_or(0, |p| p + 1);
    format!(
        " {} {position}/{}",
        action_word(string(action, &["action"])),
        steps.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(name: &str, data: Value) -> Told {
        Told {
            name: name.to_owned(),
            data,
        }
    }

    #[test]
    fn events_are_lines_for_people() {
        let plan = json!({"id": "5f1c2a90-1", "steps": [
            {"actions": [{"action": "RestartApplication", "app": "/web"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/db"}]},
        ]});
        let at = "2026-11-21T12:04:31.220Z";
        for (event, line_wanted) in [
            (
                told(
                    "deployment_step_success",
                    json!({"timestamp": at, "plan": plan,
                    "currentStep": {"actions": [{"action": "RestartApplication", "app": "/web"}]}}),
                ),
                "12:04:31Z deployment_step_success 5f1c2a90 /db /web restart 1/2",
            ),
            (
                told(
                    "deployment_success",
                    json!({"timestamp": at, "id": "5f1c2a90-1", "plan": plan}),
                ),
                "12:04:31Z deployment_success 5f1c2a90 /db /web",
            ),
            (
                told(
                    "status_update_event",
                    json!({"timestamp": at, "taskId": "web.instance-3f2a91c0-1._app.1",
                    "taskStatus": "TASK_FAILED", "host": "a1", "message": "exit\n1", "appId": "/web"}),
                ),
                "12:04:31Z status_update_event web.3f2a91c0 failed on a1: exit 1",
            ),
            (
                told(
                    "instance_health_changed_event",
                    json!({"timestamp": at, "healthy": true,
                    "instanceId": "web.instance-3f2a91c0-1", "runSpecId": "/web"}),
                ),
                "12:04:31Z instance_health_changed_event web.3f2a91c0 healthy",
            ),
            (
                told("app_terminated_event", json!({"timestamp": at, "appId": "/web"})),
                "12:04:31Z app_terminated_event /web",
            ),
        ] {
            assert_eq!(line(&event), line_wanted);
            assert!(is_about(&event.data, "/web"));
            assert!(!is_about(&event.data, "/other"));
        }
    }
}
