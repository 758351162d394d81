//! `job graph`: what runs after what.

use super::args::GraphArgs;
use super::{find, overview, state, words};
use crate::args::Global;
use crate::cluster::{list, string};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::text::harmless;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lines of a tree: a job with many parents appears below each, so that a tree may be far larger than the graph.
const LINES_MAX: usize = 10_000;

/// Prints the graph.
pub(super) async fn run(global: &Global, args: &GraphArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    if args.dot || args.csv {
        let kind = if args.dot { "dot" } else { "csv" };
        let path = format!("/v1/scheduler/graph/{kind}");
        let answer = cron.send(http::Method::GET, &path, None).await?;
        if !answer.status.is_success() {
            return Err(crate::services::refusal(&answer));
        }
        let text = String::from_utf8_lossy(&answer.body);
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let rows = overview(&cron).await?;
    if let Some(name) = &args.name
        && !rows.iter().any(|row| string(row, &["name"]) == name)
    {
        return Err(super::no_such(&cron, name).await);
    }
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", object(&rows)),
        _ => tree(&rows, args.name.as_deref(), Timestamp::now()),
    };
    if text.is_empty() {
        eprintln!("no jobs; create one: meseta job create FILE");
    }
    Ok(output::print(&text).err().unwrap_or(0))
}

fn object(rows: &[Value]) -> Value {
    let nodes: Vec<&str> = rows.iter().map(|row| string(row, &["name"])).collect();
    let links: Vec<Value> = rows
        .iter()
        .flat_map(|row| {
            let to = string(row, &["name"]);
            list(row, "parents")
                .iter()
                .map(move |from| json!({"from": from, "to": to}))
        })
        .collect();
    json!({"kind": "job-graph", "schema": 1, "jobs": nodes, "links": links})
}

/// Jobs below their parents.
fn tree(rows: &[Value], only: Option<&str>, now: Timestamp) -> String {
    let mut below: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        for parent in list(row, "parents").iter().filter_map(Value::as_str) {
            below.entry(parent).or_default().push(row);
        }
    }
    let is_root = |row: &&Value| match only {
        Some(name) => string(row, &["name"]) == name,
        None => list(row, "parents").is_empty(),
    };
    let mut text = String::new();
    let mut lines = 0;
    // Depth first; the server keeps the graph free of circles.
    let mut ahead: Vec<(usize, &Value)> = rows.iter().filter(is_root).map(|row| (0, row)).rev().collect();
    while let Some((depth, row)) = ahead.pop() {
        lines += 1;
        if lines > LINES_MAX {
            text.push_str("...\n");
            break;
        }
        let name = string(row, &["name"]);
        let what = if depth == 0 {
            words::short_schedule(row)
        } else {
            String::new()
        };
        let parts = [what, words::last(row, now).to_string(), state(row)];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let _ = writeln!(
            text,
            "{}{}  {}",
            "  ".repeat(depth),
            harmless(name),
            harmless(&parts.join("  "))
        );
        let children = below.get(name).map_or(&[][..], Vec::as_slice);
        ahead.extend(children.iter().rev().map(|child| (depth + 1, *child)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Value> {
        vec![
            json!({"name": "load", "schedule": "@daily", "parents": [], "state": "idle"}),
            json!({"name": "clean", "parents": ["load"], "state": "running"}),
            json!({"name": "report", "parents": ["clean", "load"], "state": "idle"}),
        ]
    }

    #[test]
    fn jobs_stand_below_their_parents() {
        let now = Timestamp::default();
        assert_eq!(
            tree(&rows(), None, now),
            "load  @daily  idle\n  clean  running\n    report  idle\n  report  idle\n"
        );
        assert!(tree(&rows(), Some("clean"), now).starts_with("clean  after:load  running\n  report"));
    }

    #[test]
    fn programs_get_jobs_and_links() {
        let object = object(&rows());
        assert_eq!(object["jobs"], json!(["load", "clean", "report"]));
        assert_eq!(object["links"][0], json!({"from": "load", "to": "clean"}));
    }
}
