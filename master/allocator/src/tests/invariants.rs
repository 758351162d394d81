//! What holds after any history: nothing is given twice, the books add up, equal clients get equal parts.

use super::*;
use proptest::prelude::*;

const ROLES: [&str; 5] = ["a", "a/b", "b", "c/d/e", "*"];
const TOTALS: [&str; 5] = [
    "cpus:4;mem:1024",
    "cpus:1.5;mem:100;ports:[1-100]",
    "cpus(a):2;mem(a):64;cpus:1;mem:32",
    "cpus(c/d):1;mem(c/d):128;gpus:1",
    "cpus:8;mem:4096;disk:100",
];

#[derive(Clone, Debug)]
enum Step {
    AddAgent(u32, usize),
    ResizeAgent(u32, usize),
    RemoveAgent(u32),
    AgentActive(u32, bool),
    AddFramework(u32, Vec<usize>, bool),
    UpdateFramework(u32, Vec<usize>, Vec<usize>),
    RemoveFramework(u32),
    FrameworkActive(u32, bool),
    Suppress(u32, usize),
    Revive(u32, usize),
    Weight(usize, u32),
    Launched(u32),
    /// Gives back the n-th outstanding grant, or a part of it.
    Back(usize, bool, Option<u64>),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let agent = 0u32..6;
    let framework = 0u32..5;
    let some_roles = || prop::collection::vec(0..ROLES.len(), 1..4);
    prop_oneof![
        4 => (agent.clone(), 0..TOTALS.len()).prop_map(|(a, t)| Step::AddAgent(a, t)),
        1 => (agent.clone(), 0..TOTALS.len()).prop_map(|(a, t)| Step::ResizeAgent(a, t)),
        1 => agent.clone().prop_map(Step::RemoveAgent),
        1 => (agent, any::<bool>()).prop_map(|(a, on)| Step::AgentActive(a, on)),
        3 => (framework.clone(), some_roles(), any::<bool>()).prop_map(|(f, r, g)| Step::AddFramework(f, r, g)),
        1 => (framework.clone(), some_roles(), some_roles()).prop_map(|(f, r, s)| Step::UpdateFramework(f, r, s)),
        1 => framework.clone().prop_map(Step::RemoveFramework),
        1 => (framework.clone(), any::<bool>()).prop_map(|(f, on)| Step::FrameworkActive(f, on)),
        1 => (framework.clone(), 0..ROLES.len()).prop_map(|(f, r)| Step::Suppress(f, r)),
        1 => (framework.clone(), 0..ROLES.len()).prop_map(|(f, r)| Step::Revive(f, r)),
        1 => (0..ROLES.len(), 1u32..5).prop_map(|(r, w)| Step::Weight(r, w)),
        1 => framework.prop_map(Step::Launched),
        6 => (any::<usize>(), any::<bool>(), prop::option::of(0u64..3_000)).prop_map(|(n, part, f)| Step::Back(n, part, f)),
        2 => (1u64..3_000).prop_map(Step::Wait),
    ]
}

fn names(list: &[usize]) -> BTreeSet<Role> {
    list.iter().map(|i| role(ROLES[*i])).collect()
}

/// What the world outside knows: totals and outstanding grants.
struct Model {
    cluster: Cluster,
    totals: BTreeMap<AgentNo, Resources>,
    known: BTreeSet<FrameworkNo>,
    outstanding: Vec<Grant>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        let now = self.cluster.now;
        let allocator = &mut self.cluster.allocator;
        let traits = AgentTraits::default();
        match step {
            Step::AddAgent(a, t) => {
                let (no, total) = (AgentNo(*a), resources(TOTALS[*t]));
                let new = !self.totals.contains_key(&no);
                assert_eq!(allocator.add_agent(no, &total, traits).is_ok(), new);
                self.totals.entry(no).or_insert(total);
            }
            Step::ResizeAgent(a, t) => {
                let total = resources(TOTALS[*t]);
                if allocator.update_agent(AgentNo(*a), &total, traits).is_ok() {
                    self.totals.insert(AgentNo(*a), total);
                }
            }
            Step::RemoveAgent(a) => {
                if allocator.remove_agent(AgentNo(*a)).is_ok() {
                    self.totals.remove(&AgentNo(*a));
                    self.outstanding.retain(|g| g.agent != AgentNo(*a));
                }
            }
            Step::AgentActive(a, true) => allocator.activate_agent(AgentNo(*a)),
            Step::AgentActive(a, false) => allocator.deactivate_agent(AgentNo(*a)),
            Step::AddFramework(f, r, gpus) => {
                let id = FrameworkId::new(format!("fw-{f}")).unwrap();
                let terms = FrameworkTerms {
                    roles: names(r),
                    capabilities: Capabilities {
                        gpu_resources: *gpus,
                        ..Capabilities::default()
                    },
                    ..FrameworkTerms::default()
                };
                let new = self.known.insert(FrameworkNo(*f));
                assert_eq!(
                    allocator.add_framework(FrameworkNo(*f), &id, terms, true).is_ok(),
                    new
                );
            }
            Step::UpdateFramework(f, r, s) => {
                let terms = FrameworkTerms {
                    roles: names(r),
                    suppressed: names(s),
                    ..FrameworkTerms::default()
                };
                let known = self.known.contains(&FrameworkNo(*f));
                assert_eq!(allocator.update_framework(FrameworkNo(*f), terms).is_ok(), known);
            }
            Step::RemoveFramework(f) => {
                if allocator.remove_framework(FrameworkNo(*f)).is_ok() {
                    self.known.remove(&FrameworkNo(*f));
                    self.outstanding.retain(|g| g.framework != FrameworkNo(*f));
                }
            }
            Step::FrameworkActive(f, true) => drop(allocator.activate_framework(FrameworkNo(*f))),
            Step::FrameworkActive(f, false) => drop(allocator.deactivate_framework(FrameworkNo(*f))),
            Step::Suppress(f, r) => drop(allocator.suppress(FrameworkNo(*f), &names(&[*r]))),
            Step::Revive(f, r) => drop(allocator.revive(FrameworkNo(*f), &names(&[*r]))),
            Step::Weight(r, w) => allocator.set_weight(&role(ROLES[*r]), f64::from(*w)).unwrap(),
            Step::Launched(f) => allocator.launched(FrameworkNo(*f)),
            Step::Back(n, part, filter) => {
                if self.outstanding.is_empty() {
                    return;
                }
                let at = n % self.outstanding.len();
                let grant = self.outstanding[at].clone();
                let back = if *part {
                    grant.resources.filter(|r| &*r.name == "cpus")
                } else {
                    grant.resources.clone()
                };
                let how = filter.map_or(Return::Freed, |ms| Return::Refused {
                    refuse: Duration::from_millis(ms),
                });
                allocator
                    .recover(grant.agent, grant.framework, &back, how, now)
                    .unwrap();
                let rest = &grant.resources - &back;
                if rest.is_empty() {
                    self.outstanding.remove(at);
                } else {
                    self.outstanding[at].resources = rest;
                }
            }
            Step::Wait(ms) => self.cluster.now = now + Duration::from_millis(*ms),
        }
    }

    fn held(&self, agent: AgentNo) -> Resources {
        let on_agent = self.outstanding.iter().filter(|g| g.agent == agent);
        on_agent.fold(Resources::new(), |sum, g| sum + g.resources.unallocated())
    }

    fn run(&mut self) {
        self.cluster.allocator.check().unwrap();
        let before: BTreeMap<AgentNo, Resources> = self.totals.keys().map(|a| (*a, self.held(*a))).collect();
        let grants = self.cluster.run();
        for grant in grants {
            assert!(self.known.contains(&grant.framework));
            assert_eq!(
                grant.resources.allocations(),
                BTreeSet::from([grant.role.clone()])
            );
            assert!(grant.resources.iter().all(|r| r.is_allocatable_to(&grant.role)));
            self.outstanding.push(grant);
        }
        for (agent, total) in &self.totals {
            let held = self.held(*agent);
            assert!(
                total.contains(&held) || held == before[agent],
                "{held} of {total}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_history_over_commits_an_agent_or_breaks_the_books(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut model = Model {
            cluster: Cluster::new(),
            totals: BTreeMap::new(),
            known: BTreeSet::new(),
            outstanding: Vec::new(),
        };
        for (i, step) in steps.iter().enumerate() {
            model.apply(step);
            if i % 3 != 2 {
                model.run();
            }
        }
    }

    #[test]
    fn equal_clients_get_equal_parts(agents in 1usize..40, roles in 1usize..5, frameworks in 1usize..5) {
        let mut c = Cluster::new();
        for r in 0..roles {
            for _ in 0..frameworks {
                c.framework(&[&format!("role{r}")]);
            }
        }
        for _ in 0..agents {
            c.agent("cpus:2;mem:512");
        }
        let grants = c.run();
        prop_assert_eq!(grants.len(), agents);
        let mut per_role = vec![0usize; roles];
        let counts = per_framework(&grants);
        for f in 0..roles * frameworks {
            per_role[f / frameworks] += counts.get(&(f as u32)).copied().unwrap_or(0);
        }
        let spread = |list: &[usize]| list.iter().max().unwrap() - list.iter().min().unwrap();
        prop_assert!(spread(&per_role) <= 1, "{per_role:?}");
        for r in 0..roles {
            let within: Vec<usize> = (0..frameworks)
                .map(|f| counts.get(&((r * frameworks + f) as u32)).copied().unwrap_or(0))
                .collect();
            prop_assert!(spread(&within) <= 1, "{within:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_grants(agents in 1usize..20, frameworks in 1usize..6) {
        let build = || {
            let mut c = Cluster::new();
            for f in 0..frameworks {
                c.framework(&[ROLES[f % ROLES.len()]]);
            }
            for a in 0..agents {
                c.agent(TOTALS[a % TOTALS.len()]);
            }
            c.run()
        };
        prop_assert_eq!(build(), build());
    }
}
