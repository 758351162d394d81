//! Behaviour as Mesos's own tests state it (sorter_tests, hierarchical_allocator_tests), where we differ as decided,
//! and invariants over random histories.
#![allow(clippy::unwrap_used)]

mod fair_share;
mod invariants;
mod refusals;
mod sorter;

use crate::*;
use meseta_types::task::Capabilities;
use meseta_types::{FrameworkId, Mono, Resources, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn role(text: &str) -> Role {
    Role::new(text).unwrap()
}

fn roles(list: &[&str]) -> BTreeSet<Role> {
    list.iter().map(|r| role(r)).collect()
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, &Role::star()).unwrap()
}

fn terms(list: &[&str]) -> FrameworkTerms {
    FrameworkTerms {
        roles: roles(list),
        ..FrameworkTerms::default()
    }
}

/// An allocator with a clock; numbers are given out in order.
struct Cluster {
    allocator: Allocator,
    now: Mono,
    agents: u32,
    frameworks: u32,
}

impl Cluster {
    fn new() -> Cluster {
        Cluster::with(Config::default())
    }

    fn with(config: Config) -> Cluster {
        Cluster {
            allocator: Allocator::new(config, 7),
            now: Mono(1_000_000_000),
            agents: 0,
            frameworks: 0,
        }
    }

    fn agent(&mut self, total: &str) -> AgentNo {
        let no = AgentNo(self.agents);
        self.agents += 1;
        let total = resources(total);
        self.allocator
            .add_agent(no, &total, AgentTraits::default())
            .unwrap();
        no
    }

    fn framework(&mut self, list: &[&str]) -> FrameworkNo {
        self.framework_with(terms(list))
    }

    fn framework_with(&mut self, terms: FrameworkTerms) -> FrameworkNo {
        let no = FrameworkNo(self.frameworks);
        self.frameworks += 1;
        let id = FrameworkId::new(format!("fw-{:04}", no.0)).unwrap();
        self.allocator.add_framework(no, &id, terms, true).unwrap();
        no
    }

    /// Runs what is due and checks the books.
    fn run(&mut self) -> Vec<Grant> {
        let mut out = Vec::new();
        self.allocator.allocate(self.now, &mut out);
        self.allocator.check().unwrap();
        let mut again = Vec::new();
        self.allocator.allocate(self.now, &mut again);
        assert_eq!(again, [], "a second run must change nothing");
        out
    }

    fn after(&mut self, time: Duration) -> Vec<Grant> {
        self.now = self.now + time;
        self.run()
    }

    /// The one grant of a run, in short.
    fn one(&mut self) -> (FrameworkNo, String) {
        match &self.run()[..] {
            [grant] => (grant.framework, grant.resources.unallocated().to_string()),
            other => panic!("one grant expected: {other:?}"),
        }
    }

    fn free(&mut self, grant: &Grant) {
        self.give_back(grant, Return::Freed);
    }

    fn refuse(&mut self, grant: &Grant, refuse: Duration) {
        self.give_back(grant, Return::Refused { refuse });
    }

    fn give_back(&mut self, grant: &Grant, how: Return) {
        self.allocator
            .recover(grant.agent, grant.framework, &grant.resources, how, self.now)
            .unwrap();
        self.allocator.check().unwrap();
    }
}

fn per_framework(grants: &[Grant]) -> BTreeMap<u32, usize> {
    grants.iter().fold(BTreeMap::new(), |mut counts, g| {
        *counts.entry(g.framework.0).or_default() += 1;
        counts
    })
}
