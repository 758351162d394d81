//! Which job waits for which. Edges are kept in both directions, so that a success looks only at its own children.

use crate::job::JobName;
use std::collections::{BTreeMap, BTreeSet};

/// Parents and children by name. No cycles, no unknown parents.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    children: BTreeMap<JobName, BTreeSet<JobName>>,
    parents: BTreeMap<JobName, Vec<JobName>>,
}

/// Why an edge is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A parent nobody knows.
    #[error("parents: the job '{0}' was not found")]
    UnknownParent(JobName),
    /// A job would wait for itself.
    #[error("parents: the jobs would wait for each other: {}", path(.0))]
    Cycle(Vec<JobName>),
    /// A dependent job without parents.
    #[error("parents: at least one parent is needed")]
    NoParents,
}

fn path(names: &[JobName]) -> String {
    names.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ")
}

impl Graph {
    /// Whether `name` may get these parents, without changing anything. `known` tells which jobs exist.
    ///
    /// # Errors
    /// No parents, unknown parents, or a cycle with its path.
    pub fn check(
        &self,
        name: &JobName,
        parents: &[JobName],
        known: impl Fn(&JobName) -> bool,
    ) -> Result<(), GraphError> {
        if parents.is_empty() {
            return Err(GraphError::NoParents);
        }
        for parent in parents {
            if parent == name {
                return Err(GraphError::Cycle(vec![name.clone(), name.clone()]));
            }
            if !known(parent) {
                return Err(GraphError::UnknownParent(parent.clone()));
            }
            if let Some(mut way) = self.way_down(name, parent) {
                way.push(name.clone());
                return Err(GraphError::Cycle(way));
            }
        }
        Ok(())
    }

    /// Sets the parents of a job, replacing those it had.
    pub fn set(&mut self, name: &JobName, parents: &[JobName]) {
        self.remove_parents(name);
        if parents.is_empty() {
            return;
        }
        for parent in parents {
            self.children
                .entry(parent.clone())
                .or_default()
                .insert(name.clone());
        }
        self.parents.insert(name.clone(), parents.to_vec());
    }

    /// Forgets a job. Its children must have got other parents before.
    pub fn remove(&mut self, name: &JobName) {
        self.remove_parents(name);
        self.children.remove(name);
    }

    /// The children of a job, by name.
    pub fn children(&self, name: &JobName) -> impl Iterator<Item = &JobName> {
        self.children.get(name).into_iter().flatten()
    }

    /// How many children a job has.
    pub fn child_count(&self, name: &JobName) -> usize {
        self.children.get(name).map_or(0, BTreeSet::len)
    }

    /// The parents of a job, as sent.
    pub fn parents(&self, name: &JobName) -> &[JobName] {
        self.parents.get(name).map_or(&[], Vec::as_slice)
    }

    fn remove_parents(&mut self, name: &JobName) {
        for parent in self.parents.remove(name).into_iter().flatten() {
            if let Some(children) = self.children.get_mut(&parent) {
                children.remove(name);
                if children.is_empty() {
                    self.children.remove(&parent);
                }
            }
        }
    }

    /// The names from `from` down to `to`, both included, if there is a way. Each job is visited once.
    fn way_down(&self, from: &JobName, to: &JobName) -> Option<Vec<JobName>> {
        let mut came_from: BTreeMap<&JobName, &JobName> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return Some(trace(&came_from, from, to));
            }
            for child in self.children(at) {
                if child != from && !came_from.contains_key(child) {
                    came_from.insert(child, at);
                    open.push(child);
                }
            }
        }
        None
    }
}

fn trace(came_from: &BTreeMap<&JobName, &JobName>, from: &JobName, to: &JobName) -> Vec<JobName> {
    let mut way = vec![to.clone()];
    let mut at = to;
    while at != from {
        let Some(before) = came_from.get(at) else { break };
        at = before;
        way.push(at.clone());
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> JobName {
        JobName::recorded(text)
    }

    fn names(texts: &[&str]) -> Vec<JobName> {
        texts.iter().copied().map(name).collect()
    }

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let mut graph = Graph::default();
        for (child, parents) in edges {
            graph.set(&name(child), &names(parents));
        }
        graph
    }

    #[test]
    fn a_cycle_is_refused_with_its_path_and_nothing_changes() {
        let graph = graph(&[("b", &["a"]), ("c", &["b"])]);
        let refused = graph.check(&name("a"), &names(&["c"]), |_| true);
        assert_eq!(refused, Err(GraphError::Cycle(names(&["a", "b", "c", "a"]))));
        assert_eq!(graph.parents(&name("b")), names(&["a"]));
        assert!(matches!(
            graph.check(&name("a"), &names(&["a"]), |_| true),
            Err(GraphError::Cycle(_))
        ));
    }

    #[test]
    fn unknown_and_missing_parents_are_refused() {
        let graph = Graph::default();
        let unknown = graph.check(&name("a"), &names(&["x"]), |_| false);
        assert_eq!(unknown, Err(GraphError::UnknownParent(name("x"))));
        assert_eq!(graph.check(&name("a"), &[], |_| true), Err(GraphError::NoParents));
    }

    #[test]
    fn replacing_parents_removes_the_old_edges() {
        let mut graph = graph(&[("c", &["a", "b"])]);
        graph.set(&name("c"), &names(&["b"]));
        assert_eq!(graph.children(&name("a")).count(), 0);
        assert_eq!(graph.children(&name("b")).collect::<Vec<_>>(), [&name("c")]);
    }

    #[test]
    fn a_diamond_of_a_thousand_is_checked_without_visiting_twice() {
        let mut graph = Graph::default();
        for n in 0..1_000 {
            let parents = [format!("l{n}"), format!("r{n}")].map(|n| name(&n));
            graph.set(&name(&format!("l{}", n + 1)), &parents);
            graph.set(&name(&format!("r{}", n + 1)), &parents);
        }
        assert!(graph.check(&name("new"), &[name("l1000")], |_| true).is_ok());
        assert!(graph.check(&name("l0"), &[name("r1000")], |_| true).is_err());
    }
}
