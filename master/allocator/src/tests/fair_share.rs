//! Who gets an agent.

use super::*;
use meseta_types::resource::{DiskInfo, Particulars, Persistence, Quantities, Reservation, ReservationKind};
use meseta_types::{Resource, Scalar};
use std::sync::Arc;

#[test]
fn roles_come_first_then_the_frameworks_in_them() {
    let mut c = Cluster::new();
    c.agent("cpus:2;mem:1024");
    let fw1 = c.framework(&["role1"]);
    assert_eq!(c.one(), (fw1, "cpus:2; mem:1024".to_owned()));
    let fw2 = c.framework(&["role2"]);
    assert!(c.run().is_empty());
    c.agent("cpus:1;mem:512");
    assert_eq!(c.one().0, fw2);
    c.agent("cpus:3;mem:2048");
    assert_eq!(c.one().0, fw2);
    let fw3 = c.framework(&["role1"]);
    c.agent("cpus:4;mem:4096");
    assert_eq!(c.one().0, fw3);
    c.framework(&["role1"]);
    c.agent("cpus:1;mem:512");
    assert_eq!(c.one().0, fw2);
}

#[test]
fn allocated_reservations_count_in_shares() {
    let mut c = Cluster::new();
    c.agent("cpus:1;mem:512;cpus(role1):100;mem(role1):1024");
    let fw1 = c.framework(&["role1"]);
    assert_eq!(c.one().0, fw1);
    let fw2 = c.framework(&["role2"]);
    for _ in 0..3 {
        c.agent("cpus:2;mem:512");
        assert_eq!(c.one().0, fw2);
    }
    let fw3 = c.framework(&["role1"]);
    c.agent("cpus(role1):2;mem(role1):1024");
    assert_eq!(c.one().0, fw3);
}

#[test]
fn excluded_resources_do_not_count_in_shares() {
    let mut c = Cluster::with(Config {
        excluded: BTreeSet::from(["gpus".into()]),
        filter_gpus: false,
        ..Config::default()
    });
    let fw1 = c.framework(&["role1"]);
    c.agent("cpus:1;mem:512;gpus:1");
    assert_eq!(c.one().0, fw1);
    let fw2 = c.framework(&["role2"]);
    c.agent("cpus:8;mem:8192");
    assert_eq!(c.one().0, fw2);
    c.agent("cpus:1;mem:512");
    assert_eq!(c.one().0, fw1);
}

#[test]
fn nested_roles_share_what_their_parent_gets() {
    let mut c = Cluster::new();
    c.agent("cpus:2;mem:1024");
    let fw1 = c.framework(&["a/b"]);
    assert_eq!(c.one().0, fw1);
    c.framework(&["a/c"]);
    let fw3 = c.framework(&["d/e"]);
    c.agent("cpus:1;mem:512");
    assert_eq!(c.one().0, fw3);
    let fw4 = c.framework(&["d/f"]);
    c.agent("cpus:2;mem:1024");
    assert_eq!(c.one().0, fw4);
}

#[test]
fn agents_are_offered_whole() {
    let mut c = Cluster::new();
    c.agent("cpus:2;mem:1024");
    c.agent("cpus:2;mem:1024");
    let (fw1, fw2) = (c.framework(&["role1"]), c.framework(&["role2"]));
    let grants = c.run();
    assert_eq!(per_framework(&grants), BTreeMap::from([(fw1.0, 1), (fw2.0, 1)]));
    assert!(
        grants
            .iter()
            .all(|g| g.resources.unallocated() == resources("cpus:2;mem:1024"))
    );
}

#[test]
fn frameworks_that_return_everything_take_turns() {
    let mut c = Cluster::new();
    c.agent("cpus:2;mem:1024");
    let (fw1, fw2) = (c.framework(&["r"]), c.framework(&["r"]));
    let mut all = Vec::new();
    for _ in 0..10 {
        let grants = c.run();
        c.free(&grants[0]);
        all.extend(grants);
    }
    assert_eq!(per_framework(&all), BTreeMap::from([(fw1.0, 5), (fw2.0, 5)]));
}

#[test]
fn weights_decide_how_many_agents_a_role_gets() {
    for (weights, expected) in [
        (vec![1.0, 1.0], vec![3, 3]),
        (vec![1.0, 2.0], vec![2, 4]),
        (vec![1.0, 2.0, 3.0], vec![1, 2, 3]),
    ] {
        let mut c = Cluster::new();
        for (i, weight) in weights.iter().enumerate() {
            let name = format!("role{i}");
            c.allocator.set_weight(&role(&name), *weight).unwrap();
            c.framework(&[&name]);
        }
        for _ in 0..6 {
            c.agent("cpus:2;mem:1024");
        }
        let counts: Vec<usize> = per_framework(&c.run()).into_values().collect();
        assert_eq!(counts, expected, "{weights:?}");
    }
    assert!(Cluster::new().allocator.set_weight(&role("a"), 0.0).is_err());
    assert!(Cluster::new().allocator.set_weight(&role("a"), f64::NAN).is_err());
}

#[test]
fn reservations_go_to_their_role_and_its_subtree_only() {
    let mut c = Cluster::new();
    let fw2 = c.framework(&["role2"]);
    c.agent(
        "cpus:1;mem:512;cpus(role1):2;mem(role1):64;cpus(role2):3;mem(role2):64;cpus(role3):4;mem(role3):64",
    );
    let (who, what) = c.one();
    assert_eq!(who, fw2);
    assert_eq!(
        resources("cpus:1;mem:512;cpus(role2):3;mem(role2):64").to_string(),
        what
    );
    let fw1 = c.framework(&["role1"]);
    let (who, what) = c.one();
    assert_eq!(
        (who, what),
        (fw1, resources("cpus(role1):2;mem(role1):64").to_string())
    );

    let mut c = Cluster::new();
    c.agent("cpus(a):1;mem(a):64");
    c.agent("cpus(b/c):1;mem(b/c):64");
    let below = c.framework(&["a/b/c"]);
    c.framework(&["b"]);
    assert_eq!(c.one().0, below);
}

#[test]
fn freed_resources_are_offered_again_at_once() {
    let mut c = Cluster::new();
    let agent = c.agent("cpus:1;mem:512;cpus(role1):2");
    let fw = c.framework(&["role1"]);
    let grant = &c.run()[0];
    assert_eq!(grant.agent, agent);
    assert!(c.after(SECOND).is_empty());
    let part = resources("cpus:1;cpus(role1):1").allocated_to(&role("role1"));
    c.allocator
        .recover(agent, fw, &part, Return::Freed, c.now)
        .unwrap();
    assert_eq!(c.allocator.deadline(), Some(Mono(0)));
    assert_eq!(c.one(), (fw, part.unallocated().to_string()));
    assert_eq!(c.allocator.deadline(), None);
}

#[test]
fn removing_an_agent_frees_its_share() {
    let mut c = Cluster::new();
    let gone = c.agent("cpus:2;mem:200");
    let fw1 = c.framework(&["r1"]);
    assert_eq!(c.one().0, fw1);
    let fw2 = c.framework(&["r2"]);
    c.agent("cpus:1;mem:100");
    assert_eq!(c.one().0, fw2);
    c.allocator.remove_agent(gone).unwrap();
    c.allocator.check().unwrap();
    c.agent("cpus:1;mem:100");
    assert_eq!(c.one().0, fw1);
    // The number may be used again, and knows nothing of the one before.
    c.allocator
        .add_agent(gone, &resources("cpus:4;mem:100"), AgentTraits::default())
        .unwrap();
    assert_eq!(c.run().len(), 1);
}

#[test]
fn one_that_cannot_use_an_agent_does_not_starve_the_others() {
    let mut c = Cluster::new();
    let mut total = Resources::new();
    for (name, amount) in [("cpus", 2), ("mem", 512)] {
        let level = |kind, r: &str| Reservation {
            kind,
            role: role(r),
            principal: None,
            labels: Vec::new(),
        };
        total.push(Resource::scalar(name, Scalar::whole(amount)).with(Particulars {
            reservations: vec![
                level(ReservationKind::Static, "a"),
                level(ReservationKind::Dynamic, "a/b"),
            ],
            ..Particulars::default()
        }));
    }
    c.framework(&["a/b"]);
    c.allocator
        .add_agent(AgentNo(9), &total, AgentTraits::default())
        .unwrap();
    assert!(c.run().is_empty());
    let able = c.framework_with(FrameworkTerms {
        capabilities: Capabilities {
            reservation_refinement: true,
            ..Capabilities::default()
        },
        ..terms(&["a/b"])
    });
    assert_eq!(c.one().0, able);
}

#[test]
fn an_agent_that_came_back_smaller_is_offered_when_it_fits_again() {
    let mut c = Cluster::new();
    let agent = c.agent("cpus:100;mem:1024");
    let fw = c.framework(&["r"]);
    let first = c.run().remove(0);
    let resize = |c: &mut Cluster, text: &str| {
        let total = resources(text);
        c.allocator
            .update_agent(agent, &total, AgentTraits::default())
            .unwrap();
    };
    resize(&mut c, "cpus:112;mem:1024");
    let more = c.run().remove(0);
    assert_eq!(more.resources.unallocated(), resources("cpus:12"));
    resize(&mut c, "cpus:50;mem:1024");
    assert!(c.run().is_empty());
    c.free(&more);
    assert!(c.run().is_empty());
    c.free(&first);
    assert_eq!(c.one(), (fw, "cpus:50; mem:1024".to_owned()));
    resize(&mut c, "cpus:100;mem:1024");
    assert_eq!(c.one(), (fw, "cpus:50".to_owned()));
}

#[test]
fn agents_with_next_to_nothing_free_are_not_offered() {
    for (total, offered) in [
        ("cpus:0.005;mem:16;disk:128", false),
        ("cpus:0.01;mem:16", true),
        ("mem:32", true),
        ("cpus:0.005;mem:16;cpus(r):0.005;mem(r):16", true),
    ] {
        let mut c = Cluster::new();
        c.framework(&["r"]);
        c.agent(total);
        assert_eq!(c.run().len(), usize::from(offered), "{total}");
    }
}

#[test]
fn a_framework_may_set_its_own_minimum() {
    let small = |list: Vec<Quantities>| FrameworkTerms {
        min_allocatable: BTreeMap::from([(role("r"), list)]),
        ..terms(&["r"])
    };
    let mut c = Cluster::new();
    c.agent("cpus:0.004;disk:1");
    let fw = c.framework(&["r"]);
    assert!(c.run().is_empty());
    let change = small(vec![Quantities::parse("cpus:0.0033").unwrap()]);
    c.allocator.update_framework(fw, change).unwrap();
    assert_eq!(c.run().len(), 1);
    c.agent("disk:1");
    assert!(c.run().is_empty());
    c.allocator.update_framework(fw, small(Vec::new())).unwrap();
    assert_eq!(c.one(), (fw, "disk:1".to_owned()));
}

#[test]
fn agents_are_kept_from_frameworks_that_do_not_know_them() {
    let mut c = Cluster::new();
    c.framework(&["a"]);
    let knowing = c.framework_with(FrameworkTerms {
        capabilities: Capabilities {
            gpu_resources: true,
            region_aware: true,
            ..Capabilities::default()
        },
        ..terms(&["z"])
    });
    c.agent("cpus:1;mem:64;gpus:1");
    assert_eq!(c.one().0, knowing);
    let remote = AgentTraits {
        remote: true,
        ..AgentTraits::default()
    };
    let total = resources("cpus:1;mem:64");
    c.allocator.add_agent(AgentNo(5), &total, remote).unwrap();
    assert_eq!(c.one().0, knowing);

    let mut c = Cluster::new();
    c.framework_with(FrameworkTerms {
        capabilities: Capabilities {
            multi_role: true,
            ..Capabilities::default()
        },
        ..terms(&["a"])
    });
    let old = AgentTraits {
        multi_role: false,
        ..AgentTraits::default()
    };
    c.allocator.add_agent(AgentNo(1), &total, old).unwrap();
    assert!(c.run().is_empty());
    c.allocator
        .update_agent(AgentNo(1), &total, AgentTraits::default())
        .unwrap();
    assert_eq!(c.run().len(), 1);
}

#[test]
fn deactivated_agents_and_frameworks_get_nothing_until_they_are_back() {
    let mut c = Cluster::new();
    let agent = c.agent("cpus:1;mem:64");
    c.allocator.deactivate_agent(agent);
    let fw = c.framework(&["r"]);
    assert!(c.run().is_empty());
    c.allocator.activate_agent(agent);
    let grant = c.run().remove(0);
    c.allocator.deactivate_framework(fw).unwrap();
    c.free(&grant);
    assert!(c.run().is_empty());
    c.allocator.activate_framework(fw).unwrap();
    assert_eq!(c.one().0, fw);
    c.allocator.remove_framework(fw).unwrap();
    let next = c.framework(&["other"]);
    assert_eq!(c.one().0, next);
}

#[test]
fn a_framework_keeps_its_share_in_a_role_it_left_but_gets_no_offers() {
    let mut c = Cluster::new();
    c.agent("cpus:1;mem:64");
    let fw = c.framework(&["r"]);
    let grant = c.run().remove(0);
    c.allocator.update_framework(fw, terms(&["other"])).unwrap();
    assert_eq!(c.allocator.explain(fw)[1].standing, Standing::Unsubscribed);
    c.free(&grant);
    let again = c.run().remove(0);
    assert_eq!(again.role, role("other"));
}

#[test]
fn a_shared_volume_is_offered_while_it_is_used_and_counts_once() {
    let volume = Resource::scalar("disk", Scalar::whole(100)).with(Particulars {
        shared: true,
        disk: Some(Arc::new(DiskInfo {
            persistence: Some(Persistence {
                id: "v".into(),
                principal: None,
            }),
            ..DiskInfo::default()
        })),
        ..Particulars::default()
    });
    let mut total = resources("cpus:4;mem:1000;disk:900");
    total.push(volume.clone());
    let mut c = Cluster::new();
    let agent = AgentNo(0);
    c.allocator
        .add_agent(agent, &total, AgentTraits::default())
        .unwrap();
    let sharing = FrameworkTerms {
        capabilities: Capabilities {
            shared_resources: true,
            ..Capabilities::default()
        },
        ..terms(&["r"])
    };
    let fw1 = c.framework_with(sharing.clone());
    let grant = c.run().remove(0);
    assert!(grant.resources.iter().any(|r| r.traits.shared));
    let part = resources("cpus:1;mem:100").allocated_to(&role("r"));
    c.allocator
        .recover(agent, fw1, &part, Return::Freed, c.now)
        .unwrap();
    let again = c.run().remove(0);
    assert!(
        again.resources.iter().any(|r| r.traits.shared),
        "the volume comes along again"
    );
    let part = again.resources.filter(|r| !r.traits.shared);
    c.allocator
        .recover(agent, fw1, &part, Return::Freed, c.now)
        .unwrap();
    c.allocator.suppress(fw1, &BTreeSet::new()).unwrap();
    c.framework(&["s"]);
    let incapable = c.run().remove(0);
    assert!(!incapable.resources.iter().any(|r| r.traits.shared));
}

#[test]
fn after_a_fail_over_nothing_is_offered_until_enough_agents_are_back() {
    let mut c = Cluster::new();
    c.allocator.hold_off(2, 10 * SECOND, c.now);
    let fw = c.framework(&["r"]);
    c.agent("cpus:1;mem:64");
    assert!(c.run().is_empty());
    assert!(c.allocator.explain(fw)[0].held_off);
    assert_eq!(c.allocator.deadline(), Some(c.now + 10 * SECOND));
    c.agent("cpus:1;mem:64");
    assert_eq!(c.run().len(), 2);

    let mut c = Cluster::new();
    c.allocator.hold_off(2, 10 * SECOND, c.now);
    c.framework(&["r"]);
    c.agent("cpus:1;mem:64");
    assert!(c.after(9 * SECOND).is_empty());
    assert_eq!(c.after(SECOND).len(), 1);
}

#[test]
fn tasks_known_after_a_fail_over_count_before_offers_are_made() {
    let mut c = Cluster::new();
    let agent = c.agent("cpus:4;mem:512");
    let (fw1, fw2) = (c.framework(&["r1"]), c.framework(&["r2"]));
    let used = resources("cpus:1;mem:128").allocated_to(&role("r1"));
    c.allocator.allocated(agent, fw1, &used).unwrap();
    assert_eq!(c.one(), (fw2, "cpus:3; mem:384".to_owned()));
}

#[test]
fn books_that_differ_are_reported_and_change_nothing() {
    let mut c = Cluster::new();
    let agent = c.agent("cpus:1;mem:64");
    let fw = c.framework(&["r"]);
    let grant = c.run().remove(0);
    let much = resources("cpus:2").allocated_to(&role("r"));
    assert!(
        c.allocator
            .recover(agent, fw, &much, Return::Freed, c.now)
            .is_err()
    );
    let bare = resources("cpus:1");
    assert!(
        c.allocator
            .recover(agent, fw, &bare, Return::Freed, c.now)
            .is_err()
    );
    assert!(
        c.allocator
            .recover(AgentNo(7), fw, &grant.resources, Return::Freed, c.now)
            .is_err()
    );
    assert!(
        c.allocator
            .add_agent(agent, &bare, AgentTraits::default())
            .is_err()
    );
    // One part that is not held spoils the whole.
    let mixed = &grant.resources + &resources("cpus:1").allocated_to(&role("other"));
    let refused = c.allocator.recover(agent, fw, &mixed, Return::Freed, c.now);
    assert!(refused.is_err());
    c.allocator.check().unwrap();
    c.free(&grant);
    assert!(
        c.allocator
            .recover(agent, fw, &grant.resources, Return::Freed, c.now)
            .is_err()
    );
}
