//! The service's API as these commands use it: Marathon's paths, and its refusals in words with a way out.

use crate::api::Answer;
use crate::args::Global;
use crate::cluster::{list, string};
use crate::definition::{Definition, readable};
use crate::failure::{Failure, exit};
use crate::services::{self, Kind, Service};
use crate::text::{age, harmless, nearest, plural};
use http::Method;
use meseta_service_core::app::AppId;
use serde_json::Value;

/// The service, and its clock as it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct Apps {
    service: Service,
}

/// A deployment that a change has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// Its id.
    pub(crate) deployment: String,
    /// The version it leads to.
    pub(crate) version: String,
}

/// An answer with the server's clock, in seconds since the epoch.
#[derive(Clone, Debug)]
pub(crate) struct Dated<T> {
    pub(crate) value: T,
    pub(crate) now: f64,
}

/// An id as people write it, with or without its slash.
pub(crate) fn id_of(text: &str) -> Result<AppId, Failure> {
    let name = text.strip_prefix("app/").unwrap_or(text);
    AppId::parse(name, None)
        .map_err(|why| Failure::new("bad-name", exit::USAGE, format!("'{text}' is no app id: {why}")))
}

impl Apps {
    /// Finds the service.
    pub(crate) async fn find(global: &Global) -> Result<Apps, Failure> {
        let service = Service::find(global, Kind::Service).await?;
        Ok(Apps { service })
    }

    /// The one that is known already.
    pub(crate) fn of(service: Service) -> Apps {
        Apps { service }
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    async fn read(&self, path: &str) -> Result<Dated<Value>, Failure> {
        let answer = self.service.send(Method::GET, path, None).await?;
        let now = answer.date.unwrap_or_else(crate::api::local_clock);
        Ok(Dated {
            value: self.service.json(&answer)?,
            now,
        })
    }

    /// All apps; `query` begins with `?` unless it is empty.
    pub(crate) async fn all(&self, query: &str) -> Result<Dated<Vec<Value>>, Failure> {
        let answer = self.read(&format!("/v2/apps{query}")).await?;
        Ok(Dated {
            value: list(&answer.value, "apps").to_vec(),
            now: answer.now,
        })
    }

    /// One app; `None` when there is none of this id.
    pub(crate) async fn get(&self, id: &AppId) -> Result<Option<Dated<Value>>, Failure> {
        const EMBED: &str = "embed=app.tasks&embed=app.counts&embed=app.deployments&embed=app.lastTaskFailure\
                             &embed=app.readiness";
        let path = format!("/v2/apps{id}?{EMBED}");
        let answer = self.service.send(Method::GET, &path, None).await?;
        if answer.status.as_u16() == 404 {
            return Ok(None);
        }
        let mut value = self.service.json(&answer)?;
        Ok(Some(Dated {
            value: value.get_mut("app").map(Value::take).unwrap_or_default(),
            now: answer.date.unwrap_or_else(crate::api::local_clock),
        }))
    }

    /// One app that must be there.
    pub(crate) async fn app(&self, id: &AppId) -> Result<Dated<Value>, Failure> {
        match self.get(id).await? {
            Some(app) => Ok(app),
            None => Err(self.no_app(id).await),
        }
    }

    /// That there is no such app, and which one may have been meant.
    pub(crate) async fn no_app(&self, id: &AppId) -> Failure {
        let failure = Failure::new("not-found", exit::NOT_FOUND, format!("there is no app '{id}'"));
        // Only a help: without it the failure is as true.
        let all = self.all("").await.map(|all| all.value).unwrap_or_default();
        match nearest(id.as_str(), all.iter().map(|app| string(app, &["id"]))) {
            Some(near) => failure.fix(format!("did you mean {near}? all: meseta app list")),
            None => failure.fix("meseta app list"),
        }
    }

    /// Deployments under way.
    pub(crate) async fn deployments(&self) -> Result<Dated<Vec<Value>>, Failure> {
        let answer = self.read("/v2/deployments").await?;
        Ok(Dated {
            value: answer.value.as_array().cloned().unwrap_or_default(),
            now: answer.now,
        })
    }

    /// What waits to be launched.
    pub(crate) async fn queue(&self) -> Result<Vec<Value>, Failure> {
        let answer = self.read("/v2/queue").await?;
        Ok(list(&answer.value, "queue").to_vec())
    }

    /// The server's description of itself.
    pub(crate) async fn info(&self) -> Result<Value, Failure> {
        Ok(self.read("/v2/info").await?.value)
    }

    /// Time stamps of an app's versions, newest first.
    pub(crate) async fn versions(&self, id: &AppId) -> Result<Vec<String>, Failure> {
        let answer = self
            .service
            .send(Method::GET, &format!("/v2/apps{id}/versions"), None)
            .await?;
        if answer.status.as_u16() == 404 {
            return Err(self.no_app(id).await);
        }
        let value = self.service.json(&answer)?;
        let texts = list(&value, "versions").iter().filter_map(Value::as_str);
        Ok(texts.map(str::to_owned).collect())
    }

    /// An app as it was at a version.
    pub(crate) async fn version(&self, id: &AppId, version: &str) -> Result<Value, Failure> {
        let path = format!("/v2/apps{id}/versions/{}", escaped(version));
        let answer = self.service.send(Method::GET, &path, None).await?;
        match answer.status.as_u16() {
            404 => {
                let what = format!("{id} has no version {version}");
                Err(Failure::new("not-found", exit::NOT_FOUND, what).fix(format!("meseta app versions {id}")))
            }
            422 | 400 => {
                let what = format!("'{version}' is no version: {}", answer.text());
                Err(Failure::new("bad-version", exit::USAGE, what).fix(format!("meseta app versions {id}")))
            }
            _ => self.service.json(&answer),
        }
    }

    /// A version as people name it: a time stamp, or `-1` for the one before the current one.
    pub(crate) async fn named_version(&self, id: &AppId, name: &str) -> Result<String, Failure> {
        let Some(back) = name.strip_prefix('-') else {
            return Ok(name.to_owned());
        };
        let back: usize = back.parse().map_err(|_| {
            let what = format!("'{name}' is no version: give a time stamp, or -1 for the one before");
            Failure::new("bad-version", exit::USAGE, what)
        })?;
        let versions = self.versions(id).await?;
        versions.get(back).cloned().ok_or_else(|| {
            let what = format!("{id} has only {}", plural(versions.len(), "version"));
            Failure::new("not-found", exit::NOT_FOUND, what).fix(format!("meseta app versions {id}"))
        })
    }

    /// Asks for a change that starts a deployment. `told` is what the body was read from, for line and column of an
    /// objection; `word` is what was tried.
    pub(crate) async fn change(&self, ask: &Ask<'_>, told: Option<&Definition>) -> Result<Started, Failure> {
        let force = match (ask.force, ask.path.contains('?')) {
            // DELETE forces unless told otherwise.
            (force, true) => format!("&force={force}"),
            (force, false) => format!("?force={force}"),
        };
        let path = format!("{}{force}", ask.path);
        let answer = self
            .service
            .send(ask.method.clone(), &path, ask.body.as_ref())
            .await?;
        if answer.status.is_success() {
            return Ok(started(&answer));
        }
        Err(self.refused(ask, told, &answer).await)
    }

    async fn refused(&self, ask: &Ask<'_>, told: Option<&Definition>, answer: &Answer) -> Failure {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status.as_u16() {
            404 => match ask.app {
                Some(id) => self.no_app(id).await,
                None => services::refusal(answer),
            },
            409 if body.get("deployments").is_some() => {
                let ids: Vec<&str> = list(&body, "deployments")
                    .iter()
                    .map(|d| string(d, &["id"]))
                    .collect();
                let known = self.deployments().await.ok();
                locked(ask, &ids, known.as_ref())
            }
            409 => {
                let what = format!("{} is there already", ask.app.map_or("it", AppId::as_str));
                Failure::new("already-exists", exit::REFUSED, what)
                    .detail(answer_text(&body, answer))
                    .fix("change it: meseta app update, or meseta apply FILE")
            }
            400 | 422 => {
                let found = objections(&body);
                match (told, found.is_empty()) {
                    (Some(definition), false) => definition.objections(&found),
                    _ => invalid(ask, &found, &answer_text(&body, answer)),
                }
            }
            _ => services::refusal(answer),
        }
    }
}

/// A change to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// With its query, without `force`.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) force: bool,
    /// The one app it is about.
    pub(crate) app: Option<&'a AppId>,
    /// What is tried: `update`.
    pub(crate) word: &'static str,
}

fn answer_text(body: &Value, answer: &Answer) -> String {
    match string(body, &["message"]) {
        "" => answer.text(),
        message => harmless(message),
    }
}

fn started(answer: &Answer) -> Started {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let told = answer.header("marathon-deployment-id").unwrap_or_default();
    let deployment = [
        string(&body, &["deploymentId"]),
        told,
        list(&body, "deployments")
            .first()
            .map_or("", |d| string(d, &["id"])),
    ];
    Started {
        deployment: deployment
            .into_iter()
            .find(|id| !id.is_empty())
            .unwrap_or_default()
            .to_owned(),
        version: string(&body, &["version"]).to_owned(),
    }
}

/// Path and text of each objection of a 422.
fn objections(body: &Value) -> Vec<(String, String)> {
    let details = list(body, "details").iter();
    let each = details.flat_map(|detail| {
        let path = string(detail, &["path"]);
        let errors = list(detail, "errors").iter().filter_map(Value::as_str);
        errors.map(move |error| (path.to_owned(), readable(error)))
    });
    each.collect()
}

fn invalid(ask: &Ask<'_>, found: &[(String, String)], message: &str) -> Failure {
    let id = ask.app.map_or("it", AppId::as_str);
    let what = format!("{id}: {} refused, nothing was changed: {message}", ask.word);
    let start = Failure::new("invalid-app", exit::REFUSED, what);
    found
        .iter()
        .fold(start, |sum, (path, text)| sum.detail(format!("{path}  {text}")))
}

/// That a deployment is in the way.
fn locked(ask: &Ask<'_>, ids: &[&str], known: Option<&Dated<Vec<Value>>>) -> Failure {
    let first = ids.first().copied().unwrap_or_default();
    let state = known.and_then(|known| {
        let found = known.value.iter().find(|d| string(d, &["id"]) == first)?;
        let since = seconds(string(found, &["version"]))
            .map_or(String::new(), |t| format!(", {}", age(known.now - t)));
        let step = found.get("currentStep").and_then(Value::as_u64).unwrap_or(0);
        let steps = found.get("totalSteps").and_then(Value::as_u64).unwrap_or(0);
        Some(format!(" (step {step}/{steps}{since})"))
    });
    let id = ask.app.map_or("it", AppId::as_str);
    let short = short_deployment(first);
    let what = format!(
        "{id} is being changed by deployment {short}{}: {} refused",
        state.unwrap_or_default(),
        ask.word
    );
    let failure = Failure::new("app-locked", exit::REFUSED, what).fix(format!(
        "wait: meseta deployment watch {short} · replace it: add --force · undo it: meseta deployment rollback {short}"
    ));
    match ids.len() {
        0 | 1 => failure,
        n => failure.detail(format!("and by {} more", n - 1)),
    }
}

/// The first eight characters of a deployment's id.
pub(crate) fn short_deployment(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Seconds since the epoch of a time stamp.
pub(crate) fn seconds(stamp: &str) -> Option<f64> {
    let at: jiff::Timestamp = stamp.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1000.0)
}

/// Percent-encodes what has a meaning in a path or query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn ask(app: &AppId) -> Ask<'_> {
        Ask {
            method: Method::PUT,
            path: String::new(),
            body: None,
            force: false,
            app: Some(app),
            word: "update",
        }
    }

    #[test]
    fn ids_are_taken_with_and_without_slash() {
        for text in ["web", "/web", "app/web", "app//web"] {
            assert_eq!(id_of(text).unwrap().as_str(), "/web", "{text}");
        }
        assert_eq!(id_of("Web").unwrap_err().exit, exit::USAGE);
    }

    #[test]
    fn a_lock_is_told_with_its_deployment_and_three_ways_out() {
        let id = id_of("web").unwrap();
        let known = Dated {
            value: vec![json!({
                "id": "5f1c2a90-1111-4222-8333-944455566677", "version": "2026-11-21T12:04:31.220Z",
                "currentStep": 1, "totalSteps": 2,
            })],
            now: seconds("2026-11-21T12:05:11.220Z").unwrap(),
        };
        let failure = locked(&ask(&id), &["5f1c2a90-1111-4222-8333-944455566677"], Some(&known));
        assert_eq!(
            failure.render(false),
            "error[app-locked]: /web is being changed by deployment 5f1c2a90 (step 1/2, 40s): update refused
  fix: wait: meseta deployment watch 5f1c2a90 · replace it: add --force · undo it: meseta deployment rollback 5f1c2a90
"
        );
    }

    #[test]
    fn objections_are_read_in_marathons_shape() {
        let body = json!({"message": "Object is not valid", "details": [
            {"path": "/id", "errors": ["error.path.missing"]},
            {"path": "/container/volumes(0)/mode", "errors": ["a", "b"]},
        ]});
        let found = objections(&body);
        assert_eq!(found[0], ("/id".to_owned(), "is missing".to_owned()));
        assert_eq!(found.len(), 3);
        assert!(objections(&json!({"message": "Invalid JSON", "details": "text"})).is_empty());
    }
}
