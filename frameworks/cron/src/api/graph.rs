//! The job graph as text: for `dot`, and as lines for scripts.

use super::jobs::{state, status};
use crate::owner::View;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A digraph with a number per job and its name as the label.
pub(super) fn dot(view: &View) -> String {
    let numbers: BTreeMap<&str, usize> = view.jobs.keys().enumerate().map(|(n, name)| (name.as_str(), n)).collect();
    let mut out = String::from("digraph G {\n");
    for (name, number) in &numbers {
        let _ = writeln!(out, "  {number} [ label=\"{name}\" ];");
    }
    for name in view.jobs.keys() {
        for parent in view.graph.parents(name) {
            if let (Some(from), Some(to)) = (numbers.get(parent.as_str()), numbers.get(name.as_str())) {
                let _ = writeln!(out, "  {from} -> {to};");
            }
        }
    }
    out.push_str("}\n");
    out
}

/// `node,<name>,<last>,<now>` per job, then `link,<parent>,<child>` per edge.
pub(super) fn csv(view: &View) -> String {
    let mut out = String::new();
    for (name, job) in &view.jobs {
        let _ = writeln!(out, "node,{name},{},{}", status(job), state(view, name));
    }
    for name in view.jobs.keys() {
        for parent in view.graph.parents(name) {
            let _ = writeln!(out, "link,{parent},{name}");
        }
    }
    out
}
