//! Jobs: create, read, search, start.

use super::answer::{bad, failure, json, no_content, not_found, text};
use super::rows::{state, status};
use super::{Api, Ctx, Outcome, declared_json};
use crate::board::Board;
use crate::gate::Action;
use crate::job;
use http::StatusCode;
use meseta_cron_core::io::{Answer, Call};
use meseta_cron_core::job::JobName;
use meseta_http::{Body, Response};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Longest arguments of a start by hand, in bytes: they become part of a command line.
const ARGUMENTS_BYTES_MAX: usize = 16 * 1024;

#[derive(Serialize)]
struct Summary {
    jobs: Vec<SummaryOf>,
}

#[derive(Serialize)]
struct SummaryOf {
    name: String,
    status: &'static str,
    state: String,
    schedule: String,
    parents: Vec<String>,
    disabled: bool,
}

impl Api {
    pub(super) async fn jobs(&self, ctx: &Ctx<'_>) -> Outcome {
        let board = self.board().await?;
        let headers = ctx.headers.clone();
        // With thousands of jobs this is long enough to hold up others.
        aside(move || {
            let jobs = board.sorted();
            let shown = jobs
                .iter()
                .map(|seen| job::show(&seen.job, job::definition(&seen.job).with_both_lists()));
            json(&shown.collect::<Vec<_>>(), &headers)
        })
        .await
    }

    pub(super) async fn search(&self, ctx: &Ctx<'_>) -> Outcome {
        let number = |name: &str, default: usize| match ctx.query.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| failure(StatusCode::NOT_FOUND, &format!("{name}: must be a number"))),
        };
        let (limit, offset) = (number("limit", 10)?, number("offset", 0)?);
        let wanted = |name: &str| ctx.query.get(name).filter(|text| !text.is_empty());
        let wanted = |name: &str| wanted(name).map(str::to_lowercase);
        let (name, command, any) = (wanted("name"), wanted("command"), wanted("any"));
        let board = self.board().await?;
        let headers = ctx.headers.clone();
        aside(move || {
            let found = board.sorted().into_iter().filter_map(|seen| {
                let definition = job::definition(&seen.job);
                let its_name = definition.name.to_lowercase();
                let its_command = definition.command.to_lowercase();
                let both = name.as_ref().is_none_or(|text| its_name.contains(text))
                    && command.as_ref().is_none_or(|text| its_command.contains(text));
                let any = any
                    .as_ref()
                    .is_some_and(|text| its_name.contains(text) || its_command.contains(text));
                let taken = both || any;
                taken.then(|| job::show(&seen.job, definition))
            });
            let shown: Vec<job::Shown> = found.skip(offset).take(limit).collect();
            json(&shown, &headers)
        })
        .await
    }

    pub(super) async fn summary(&self, ctx: &Ctx<'_>) -> Outcome {
        let board = self.board().await?;
        let headers = ctx.headers.clone();
        aside(move || json(&summary_of(&board), &headers)).await
    }

    pub(super) async fn job(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let board = self.board().await?;
        let key = JobName::recorded(name);
        if let Some(why) = board.broken.get(&key) {
            return Err(bad(&format!(
                "the record of the job '{name}' cannot be read: {why}"
            )));
        }
        let seen = board.get(&key).ok_or_else(|| not_found(name))?;
        Ok(json(
            &job::show(&seen.job, job::definition(&seen.job)),
            ctx.headers,
        ))
    }

    pub(super) async fn put(&self, ctx: &Ctx<'_>, body: Body) -> Outcome {
        let body = self.body(ctx, body).await?;
        let wish = job::read(&body, ctx.dialect, &self.defaults, (self.wall)());
        let wish = wish.map_err(|fault| bad(&fault.to_string()))?;
        self.may(ctx, Action::PutJob(&wish.spec.name))?;
        self.call(Call::Put {
            spec: Arc::new(wish.spec),
            counters: wish.counters,
        })
        .await?;
        Ok(no_content())
    }

    pub(super) async fn mark_success(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let key = JobName::recorded(name);
        self.may(ctx, Action::MarkSuccess(&key))?;
        let marked = self.call(Call::MarkSuccess(key)).await? == Answer::Marked(true);
        Ok(text(format!("marked job {name} as successful: {marked}")))
    }

    /// Chronos's way to start a run: the arguments are in the query, and nothing comes back.
    pub(super) async fn start(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let arguments = ctx.query.get("arguments").map(str::to_owned);
        self.start_run(ctx, name, arguments).await.map(|_| no_content())
    }

    /// Ours: the arguments are in the body, and the run's id comes back.
    pub(super) async fn start_and_tell(&self, ctx: &Ctx<'_>, name: &str, body: Body) -> Outcome {
        declared_json(ctx.headers)?;
        let empty = http_body::Body::size_hint(&body).exact() == Some(0);
        let body = match empty {
            true => serde_json::Value::Null,
            false => self.body(ctx, body).await?,
        };
        let arguments = match body.get("arguments") {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(bad("arguments: must be a text")),
        };
        let run = self.start_run(ctx, name, arguments).await?;
        Ok(json(&json!({ "run": run, "job": name }), ctx.headers))
    }

    async fn start_run(
        &self,
        ctx: &Ctx<'_>,
        name: &str,
        arguments: Option<String>,
    ) -> Result<Option<String>, Response> {
        let key = JobName::recorded(name);
        self.may(ctx, Action::StartJob(&key))?;
        if let Some(arguments) = &arguments {
            self.may(ctx, Action::StartWithArguments(&key))?;
            if arguments.len() > ARGUMENTS_BYTES_MAX || arguments.contains('\0') {
                let allowed = format!("arguments: at most {ARGUMENTS_BYTES_MAX} bytes without NUL");
                return Err(bad(&allowed));
            }
        }
        let arguments = arguments.map(Arc::from);
        match self.call(Call::Start { name: key, arguments }).await? {
            Answer::Started(run) => Ok(Some(run.as_str().to_owned())),
            Answer::Done | Answer::Marked(_) | Answer::Purged { .. } => Ok(None),
        }
    }
}

fn summary_of(board: &Board) -> Summary {
    let jobs = board.sorted().into_iter().map(|seen| {
        let job = &seen.job;
        SummaryOf {
            name: job.spec.name.as_str().to_owned(),
            status: status(job),
            state: state(seen),
            schedule: job::shown_schedule(job).0,
            parents: job
                .parents()
                .iter()
                .map(|parent| parent.as_str().to_owned())
                .collect(),
            disabled: job.spec.disabled,
        }
    });
    Summary { jobs: jobs.collect() }
}

/// Runs what takes long beside the tasks that answer others.
pub(super) async fn aside(work: impl FnOnce() -> Response + Send + 'static) -> Outcome {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|broken| {
        tracing::error!(%broken, "an answer broke");
        failure(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made")
    })
}
