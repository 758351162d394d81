//! `deployment list|show|watch|stop|rollback`.

use super::args::DeploymentVerb;
use super::client::{Apps, Ask, Dated, seconds, short_deployment};
use super::list::{self, action_word, count};
use super::wait::{Watch, targets};
use crate::args::Global;
use crate::ask;
use crate::cluster::{list as members, string};
use crate::failure::{Failure, exit};
use crate::look::{Look, Tone};
use crate::output::{self, Format, Style, block};
use crate::text::{age, plural};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Carries out a verb; without one, lists.
pub(crate) async fn run(global: &Global, verb: Option<DeploymentVerb>) -> Result<u8, Failure> {
    let apps = Apps::find(global).await?;
    match verb {
        None | Some(DeploymentVerb::List) => list(global).await,
        Some(DeploymentVerb::Show { id }) => show(global, &apps, &id).await,
        Some(DeploymentVerb::Watch { id }) => {
            // Before its plan is read: its end cannot be missed.
            let watch = Watch::begin(&apps).await;
            let found = find(&apps.deployments().await?, &id)?;
            let id = string(&found.value, &["id"]).to_owned();
            watch.until_end(global, &apps, &id, &targets(&found.value)).await
        }
        Some(DeploymentVerb::Stop { id }) => stop(global, &apps, &id).await,
        Some(DeploymentVerb::Rollback { id, detach }) => rollback(global, &apps, &id, detach).await,
    }
}

async fn list(global: &Global) -> Result<u8, Failure> {
    let read = async || Ok(list::deployments(&Apps::find(global).await?.deployments().await?));
    output::show(global, read).await
}

/// The one under way of this id, or with this unique beginning of it.
fn find(deployments: &Dated<Vec<Value>>, id: &str) -> Result<Dated<Value>, Failure> {
    let found: Vec<&Value> = deployments
        .value
        .iter()
        .filter(|d| string(d, &["id"]).starts_with(id))
        .collect();
    match found.as_slice() {
        [one] => Ok(Dated {
            value: (*one).clone(),
            now: deployments.now,
        }),
        [] => {
            let what = format!("there is no deployment '{id}' under way: it has ended, or never was");
            Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta deployment list"))
        }
        several => {
            let shown: Vec<&str> = several.iter().take(10).map(|d| string(d, &["id"])).collect();
            let what = format!(
                "'{id}' is the beginning of {}",
                plural(several.len(), "deployment")
            );
            Err(Failure::new("ambiguous", exit::REFUSED, what).detail(shown.join(" ")))
        }
    }
}

async fn show(global: &Global, apps: &Apps, id: &str) -> Result<u8, Failure> {
    let found = find(&apps.deployments().await?, id)?;
    let out = match output::for_programs(global, &found.value, string(&found.value, &["id"]))? {
        Some(text) => text,
        None => plan(&found, Look::of(global, std::io::stdout().is_terminal())),
    };
    Ok(output::print(&out).err().unwrap_or(0))
}

/// The plan with its done, current and coming steps.
fn plan(found: &Dated<Value>, look: Look) -> String {
    let deployment = &found.value;
    let affected: Vec<&str> = members(deployment, "affectedApps")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let since = seconds(string(deployment, &["version"]));
    let mut text = block(&[
        ("deployment", string(deployment, &["id"]).to_owned()),
        ("apps", affected.join(" ")),
        ("step", list::step(deployment)),
        ("age", since.map_or(String::new(), |t| age(found.now - t))),
        ("version", string(deployment, &["version"]).to_owned()),
    ]);
    text.push('\n');
    let current = count(deployment, "currentStep");
    for (index, step) in (1_u64..).zip(members(deployment, "steps")) {
        let state = match index.cmp(&current) {
            std::cmp::Ordering::Less => look.good(),
            std::cmp::Ordering::Equal => look.waiting(),
            std::cmp::Ordering::Greater => look.paint(Tone::Dim, "-"),
        };
        let actions: Vec<String> = members(step, "actions")
            .iter()
            .map(|a| format!("{} {}", action_word(string(a, &["action"])), string(a, &["app"])))
            .collect();
        let _ = writeln!(text, "  {index}  {state}  {}", actions.join(", "));
    }
    text
}

async fn stop(global: &Global, apps: &Apps, id: &str) -> Result<u8, Failure> {
    let found = find(&apps.deployments().await?, id)?;
    let id = string(&found.value, &["id"]);
    let ask = Ask {
        method: Method::DELETE,
        path: format!("/v2/deployments/{id}"),
        body: None,
        force: true,
        app: None,
        word: "stop",
    };
    apps.change(&ask, None).await?;
    let out = match global.format() {
        Format::Json | Format::Jsonl => {
            format!(
                "{}\n",
                json!({"kind": "change", "schema": 1, "id": id, "change": "stopped"})
            )
        }
        Format::Name => format!("{id}\n"),
        _ => format!(
            "deployment {} stopped where it was; its apps are brought to their new definitions from now on\n",
            short_deployment(id)
        ),
    };
    Ok(output::print(&out).err().unwrap_or(0))
}

async fn rollback(global: &Global, apps: &Apps, id: &str, detach: bool) -> Result<u8, Failure> {
    let found = find(&apps.deployments().await?, id)?;
    let id = string(&found.value, &["id"]);
    let affected: Vec<&str> = members(&found.value, "affectedApps")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let question = format!(
        "undo deployment {} of {}?",
        short_deployment(id),
        affected.join(", ")
    );
    ask::yes_or_no(global, &question)?;
    let watch = Watch::begin(apps).await;
    let ask = Ask {
        method: Method::DELETE,
        path: format!("/v2/deployments/{id}"),
        body: None,
        force: false,
        app: None,
        word: "rollback",
    };
    let started = apps.change(&ask, None).await?;
    let out = match global.format() {
        Format::Json | Format::Jsonl => {
            let object = json!({
                "kind": "change", "schema": 1, "id": id, "change": "rolled back", "deployment": started.deployment,
            });
            format!("{object}\n")
        }
        _ if detach => format!("{}\n", started.deployment),
        _ => format!(
            "deployment {} is being undone by {}\n",
            short_deployment(id),
            short_deployment(&started.deployment)
        ),
    };
    let _ = output::print(&out);
    if detach || started.deployment.is_empty() {
        return Ok(0);
    }
    let plans = apps.deployments().await?;
    match plans
        .value
        .iter()
        .find(|d| string(d, &["id"]) == started.deployment)
    {
        Some(plan) => {
            watch
                .until_end(global, apps, &started.deployment, &targets(plan))
                .await
        }
        // It was done before it could be looked at.
        None => Ok(0),
    }
}

/// The table, for `status`.
pub(crate) fn table(deployments: &Dated<Vec<Value>>, style: &Style) -> String {
    list::deployments(deployments).part(style)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn two() -> Dated<Vec<Value>> {
        Dated {
            value: vec![
                json!({
                    "id": "5f1c2a90-1", "affectedApps": ["/db", "/web"], "currentStep": 2, "totalSteps": 3,
                    "version": "2026-11-21T12:00:00.000Z",
                    "steps": [{"actions": [{"action": "StartApplication", "app": "/db"}]},
                              {"actions": [{"action": "ScaleApplication", "app": "/db"}]},
                              {"actions": [{"action": "RestartApplication", "app": "/web"}]}],
                }),
                json!({"id": "5fff0000-2"}),
            ],
            now: seconds("2026-11-21T12:00:40.000Z").unwrap(),
        }
    }

    #[test]
    fn a_unique_beginning_of_an_id_is_enough() {
        assert_eq!(string(&find(&two(), "5f1").unwrap().value, &["id"]), "5f1c2a90-1");
        assert_eq!(find(&two(), "5f").unwrap_err().exit, exit::REFUSED);
        assert_eq!(find(&two(), "x").unwrap_err().exit, exit::NOT_FOUND);
    }

    #[test]
    fn a_plan_shows_what_is_done_and_what_comes() {
        assert_eq!(
            plan(&find(&two(), "5f1c").unwrap(), Look::default()),
            "\
deployment  5f1c2a90-1
apps        /db /web
step        2/3
age         40s
version     2026-11-21T12:00:00.000Z

  1  ok  start /db
  2  *  scale /db
  3  -  restart /web
"
        );
    }
}
