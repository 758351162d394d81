//! The job graph as text: for `dot`, and as lines for scripts.

use super::rows::{state, status};
use crate::board::Board;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A digraph with a number per job and its name as the label.
pub(super) fn dot(board: &Board) -> String {
    let jobs = board.sorted();
    let names = jobs.iter().map(|seen| seen.job.spec.name.as_str());
    let numbers: BTreeMap<&str, usize> = names.enumerate().map(|(n, name)| (name, n)).collect();
    let mut out = String::from("digraph G {\n");
    for (name, number) in &numbers {
        let _ = writeln!(out, "  {number} [ label=\"{name}\" ];");
    }
    for seen in &jobs {
        for parent in seen.job.parents() {
            let ends = (
                numbers.get(parent.as_str()),
                numbers.get(seen.job.spec.name.as_str()),
            );
            if let (Some(from), Some(to)) = ends {
                let _ = writeln!(out, "  {from} -> {to};");
            }
        }
    }
    out.push_str("}\n");
    out
}

/// `node,<name>,<last>,<now>` per job, then `link,<parent>,<child>` per edge.
pub(super) fn csv(board: &Board) -> String {
    let jobs = board.sorted();
    let mut out = String::new();
    for seen in &jobs {
        let name = &seen.job.spec.name;
        let _ = writeln!(out, "node,{name},{},{}", status(&seen.job), state(seen));
    }
    for seen in &jobs {
        for parent in seen.job.parents() {
            let _ = writeln!(out, "link,{parent},{}", seen.job.spec.name);
        }
    }
    out
}
