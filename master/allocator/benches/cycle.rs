//! Allocation cycles at size: everything free, a hundredth changed, and half of everything refused.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use meseta_allocator::{AgentNo, AgentTraits, Allocator, Config, FrameworkNo, FrameworkTerms, Grant, Return};
use meseta_types::{FrameworkId, Mono, Resources, Role};
use std::collections::BTreeSet;
use std::time::Duration;

const NOW: Mono = Mono(1_000_000_000);

fn cluster(agents: u32, frameworks: u32, roles: u32) -> Allocator {
    let mut allocator = Allocator::new(Config::default(), 1);
    for f in 0..frameworks {
        let terms = FrameworkTerms {
            roles: BTreeSet::from([Role::new(format!("role-{}", f % roles)).unwrap()]),
            ..FrameworkTerms::default()
        };
        let id = FrameworkId::new(format!("1f6bb7a4-6b5e-4f34-a1a2-1b9d8a7c6e5f-{f:04}")).unwrap();
        allocator.add_framework(FrameworkNo(f), &id, terms, true).unwrap();
    }
    for a in 0..agents {
        let text = format!("cpus:{};mem:262144;disk:1000000;ports:[31000-32000]", 64 - a % 7);
        let total = Resources::parse(&text, &Role::star()).unwrap();
        allocator
            .add_agent(AgentNo(a), &total, AgentTraits::default())
            .unwrap();
    }
    allocator
}

fn give_back(allocator: &mut Allocator, grants: &[Grant], how: impl Fn(usize) -> Return) {
    for (i, g) in grants.iter().enumerate() {
        allocator
            .recover(g.agent, g.framework, &g.resources, how(i), NOW)
            .unwrap();
    }
}

fn cycles(c: &mut Criterion) {
    for (agents, frameworks, roles) in [(1_000, 100, 1), (10_000, 200, 20), (50_000, 1_000, 100)] {
        let size = format!("{agents} agents x {frameworks} frameworks, {roles} roles");
        let mut allocator = cluster(agents, frameworks, roles);
        let mut grants = Vec::with_capacity(agents as usize);
        allocator.allocate(NOW, &mut grants);
        assert_eq!(grants.len(), agents as usize);
        let mut group = c.benchmark_group(size);
        group.sample_size(20).measurement_time(Duration::from_secs(4));

        let held = allocator.clone();
        give_back(&mut allocator, &grants, |_| Return::Freed);
        group.bench_function("everything free", |b| {
            b.iter_batched_ref(
                || (allocator.clone(), Vec::with_capacity(agents as usize)),
                |(allocator, out)| allocator.allocate(NOW, out),
                BatchSize::LargeInput,
            );
        });

        let mut changed = held.clone();
        let hundredth = grants.len() / 100;
        give_back(&mut changed, &grants[..hundredth], |_| Return::Freed);
        group.bench_function("1 % dirty", |b| {
            b.iter_batched_ref(
                || (changed.clone(), Vec::with_capacity(agents as usize)),
                |(allocator, out)| allocator.allocate(NOW, out),
                BatchSize::LargeInput,
            );
        });

        group.bench_function("one decline and the next offer", |b| {
            let mut allocator = held.clone();
            let mut grant = vec![grants[0].clone()];
            let refuse = Return::Refused {
                refuse: Duration::ZERO,
            };
            b.iter(|| {
                let g = grant.pop().unwrap();
                allocator.launched(g.framework);
                allocator
                    .recover(g.agent, g.framework, &g.resources, refuse, NOW)
                    .unwrap();
                allocator.allocate(NOW, &mut grant);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
