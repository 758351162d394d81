//! Filters, back-off, SUPPRESS and REVIVE.

use super::*;

fn busy() -> (Cluster, FrameworkNo) {
    let mut c = Cluster::new();
    c.agent("cpus:4;mem:1024");
    let fw = c.framework(&["r"]);
    (c, fw)
}

#[test]
fn a_filter_hides_the_same_resources_for_its_time() {
    let (mut c, _) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 2 * SECOND);
    assert!(c.run().is_empty());
    assert_eq!(c.allocator.deadline(), Some(c.now + 2 * SECOND));
    assert_eq!(c.allocator.active_filters(), BTreeMap::from([(role("r"), 1)]));
    assert!(c.after(SECOND).is_empty());
    assert_eq!(c.after(SECOND).len(), 1);
    assert!(c.allocator.active_filters().is_empty());
}

#[test]
fn a_filter_shorter_than_the_interval_counts_as_written() {
    let (mut c, _) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 100 * MS);
    assert!(c.after(99 * MS).is_empty());
    assert_eq!(c.after(MS).len(), 1);
}

#[test]
fn what_one_refused_goes_to_another_at_once() {
    let (mut c, fw) = busy();
    let other = c.framework(&["s"]);
    let first = c.run().remove(0);
    c.refuse(&first, SECOND);
    let second = c.run().remove(0);
    assert_eq!(
        BTreeSet::from([first.framework, second.framework]),
        BTreeSet::from([fw, other])
    );
}

#[test]
fn more_than_what_was_refused_is_offered() {
    let (mut c, fw) = busy();
    let grant = c.run().remove(0);
    let half = resources("cpus:2;mem:512").allocated_to(&role("r"));
    let refuse = Return::Refused {
        refuse: 1_000 * SECOND,
    };
    c.allocator
        .recover(grant.agent, fw, &half, refuse, c.now)
        .unwrap();
    assert!(c.run().is_empty());
    let more = resources("mem:1").allocated_to(&role("r"));
    c.allocator
        .recover(grant.agent, fw, &more, Return::Freed, c.now)
        .unwrap();
    assert_eq!(c.one(), (fw, "cpus:2; mem:513".to_owned()));
}

#[test]
fn giving_the_same_back_unused_waits_twice_as_long_each_time() {
    let (mut c, _) = busy();
    let mut grant = c.run().remove(0);
    c.refuse(&grant, Duration::ZERO);
    grant = c.run().remove(0);
    for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000] {
        c.refuse(&grant, Duration::ZERO);
        assert_eq!(c.allocator.deadline(), Some(Mono(0)));
        assert!(c.run().is_empty());
        assert_eq!(c.allocator.deadline(), Some(c.now + wait * MS), "{wait}");
        grant = c.after(wait * MS).remove(0);
    }
    // A launch ends that.
    c.allocator.launched(grant.framework);
    c.refuse(&grant, Duration::ZERO);
    grant = c.run().remove(0);
    c.refuse(&grant, Duration::ZERO);
    assert!(c.run().is_empty());
    // REVIVE too.
    c.allocator.revive(grant.framework, &BTreeSet::new()).unwrap();
    grant = c.run().remove(0);
    c.refuse(&grant, Duration::ZERO);
    assert_eq!(c.run().len(), 1);
}

#[test]
fn more_resources_end_the_back_off() {
    let (mut c, fw) = busy();
    let grant = c.run().remove(0);
    let half = resources("cpus:2;mem:512").allocated_to(&role("r"));
    let refuse = Return::Refused {
        refuse: Duration::ZERO,
    };
    for expected in [1, 0] {
        c.allocator
            .recover(grant.agent, fw, &half, refuse, c.now)
            .unwrap();
        assert_eq!(c.run().len(), expected);
    }
    let rest = resources("cpus:2;mem:512").allocated_to(&role("r"));
    c.allocator
        .recover(grant.agent, fw, &rest, Return::Freed, c.now)
        .unwrap();
    let whole = c.run().remove(0);
    assert_eq!(whole.resources.unallocated(), resources("cpus:4;mem:1024"));
    c.refuse(&whole, Duration::ZERO);
    assert_eq!(c.run().len(), 1);
}

#[test]
fn rescinded_offers_are_no_refusal() {
    let (mut c, _) = busy();
    for _ in 0..5 {
        let grant = c.run().remove(0);
        c.free(&grant);
    }
    assert_eq!(c.run().len(), 1);
}

#[test]
fn revive_clears_filters_and_a_redundant_one_does_nothing() {
    let (mut c, fw) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 1_000 * SECOND);
    assert!(c.run().is_empty());
    c.allocator.revive(fw, &BTreeSet::new()).unwrap();
    let grant = c.run().remove(0);
    c.allocator.revive(fw, &BTreeSet::new()).unwrap();
    assert!(c.run().is_empty());
    c.allocator.suppress(fw, &roles(&["r"])).unwrap();
    c.free(&grant);
    assert!(c.after(SECOND).is_empty());
    assert_eq!(c.allocator.explain(fw)[0].standing, Standing::Suppressed);
    c.allocator.revive(fw, &roles(&["r"])).unwrap();
    assert_eq!(c.run().len(), 1);
}

#[test]
fn filters_and_suppression_hold_per_role() {
    let mut c = Cluster::new();
    c.agent("cpus:4;mem:1024");
    let fw = c.framework_with(FrameworkTerms {
        suppressed: roles(&["r1"]),
        ..terms(&["r1", "r2"])
    });
    let day = 86_400 * SECOND;
    let grant = c.run().remove(0);
    assert_eq!(grant.role, role("r2"));
    c.refuse(&grant, day);
    assert!(c.run().is_empty());
    c.allocator.revive(fw, &roles(&["r1", "unknown"])).unwrap();
    let grant = c.run().remove(0);
    assert_eq!(grant.role, role("r1"));
    c.refuse(&grant, day);
    assert!(c.after(SECOND).is_empty());
    let why = c.allocator.explain(fw);
    assert_eq!(why.iter().map(|w| w.refused).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(why[0].first_refusal_ends, Some(c.now + day - SECOND));
}

#[test]
fn a_disconnected_framework_comes_back_without_filters() {
    let (mut c, fw) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 1_000 * SECOND);
    c.allocator.deactivate_framework(fw).unwrap();
    assert!(c.run().is_empty());
    c.allocator.activate_framework(fw).unwrap();
    assert_eq!(c.run().len(), 1);
}

#[test]
fn changed_attributes_drop_the_agents_filters() {
    let (mut c, _) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 1_000 * SECOND);
    assert!(c.run().is_empty());
    c.allocator.clear_filters(grant.agent);
    assert_eq!(c.run().len(), 1);
}

#[test]
fn roles_joined_and_unsuppressed_by_an_update_get_offers() {
    let (mut c, fw) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, 1_000 * SECOND);
    assert!(c.run().is_empty());
    c.allocator.update_framework(fw, terms(&["r", "s"])).unwrap();
    let grant = c.run().remove(0);
    assert_eq!(grant.role, role("s"));
    let suppressed = FrameworkTerms {
        suppressed: roles(&["r", "s"]),
        ..terms(&["r", "s"])
    };
    c.allocator.update_framework(fw, suppressed).unwrap();
    c.free(&grant);
    assert!(c.run().is_empty());
    c.allocator.update_framework(fw, terms(&["r", "s"])).unwrap();
    assert_eq!(c.run().len(), 1);
}

#[test]
fn forgotten_refusals_leave_nothing_behind() {
    let (mut c, _) = busy();
    let grant = c.run().remove(0);
    c.refuse(&grant, Duration::ZERO);
    c.run();
    assert!(c.after(5 * SECOND).is_empty());
    assert_eq!(c.allocator.deadline(), None);
}
