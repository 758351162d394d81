//! `history` of a job and a single `run`: every run and every slot that was none, with its reason.

use super::answer::{bad, json, not_found};
use super::rows::{RunRow, run_rows};
use super::{Api, Ctx, Outcome};
use crate::board::{Board, Seen};
use meseta_cron_core::job::JobName;
use meseta_cron_core::run::RunId;
use serde::Serialize;
use serde_json::json;

/// Rows of a history unless asked otherwise.
const LIMIT: usize = 25;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneRun<'a> {
    #[serde(flatten)]
    row: &'a RunRow,
    framework_id: &'a str,
}

impl Api {
    pub(super) async fn history(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let limit = match ctx.query.get("limit") {
            None => LIMIT,
            Some(text) => text.parse().map_err(|_| bad("limit: must be a number"))?,
        };
        let board = self.board().await?;
        let seen = board
            .get(&JobName::recorded(name))
            .ok_or_else(|| not_found(name))?;
        let mut rows = run_rows(seen);
        rows.truncate(limit);
        Ok(json(&json!({ "job": name, "runs": rows }), ctx.headers))
    }

    pub(super) async fn run(&self, ctx: &Ctx<'_>, id: &str) -> Outcome {
        let board = self.board().await?;
        let wanted = RunId::written(id);
        let found = match job_of(id).and_then(|name| board.get(&JobName::recorded(name))) {
            Some(seen) => row_of(seen, &wanted),
            None => search(&board, &wanted),
        };
        let row = found.ok_or_else(|| bad(&format!("the run '{id}' was not found")))?;
        let shown = OneRun {
            row: &row,
            framework_id: &self.framework_id,
        };
        Ok(json(&shown, ctx.headers))
    }
}

/// The job in an id; long names are cut in it.
fn job_of(id: &str) -> Option<&str> {
    id.strip_prefix("ct:")?.split(':').nth(2)
}

/// The run that has, or had, this attempt: whoever started it by hand knows the id of the first launch only.
fn row_of(seen: &Seen, id: &RunId) -> Option<RunRow> {
    let is_it = |row: &RunRow| row.ids.iter().any(|other| other.attempt() == id.attempt());
    run_rows(seen).into_iter().find(is_it)
}

fn search(board: &Board, id: &RunId) -> Option<RunRow> {
    let holds = |seen: &&std::sync::Arc<Seen>| {
        let entries = seen.history.iter().map(|entry| RunId::written(&entry.id));
        let mut ids = seen.runs.iter().map(|run| run.id.clone()).chain(entries);
        ids.any(|other| other.attempt() == id.attempt())
    };
    board.iter().find(holds).and_then(|seen| row_of(seen, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_job() {
        assert_eq!(job_of("ct:1700000000000:0:a b:x:y"), Some("a b"));
        for odd in ["", "ct", "ct:1:2", "x:1:2:a:"] {
            assert_eq!(job_of(odd), None, "{odd}");
        }
    }
}
