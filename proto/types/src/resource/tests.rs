//! Behaviour of resources as Mesos's own tests state it, and invariants over generated bags.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Resources {
    Resources::parse(text, &Role::star()).unwrap()
}

fn role(text: &str) -> Role {
    Role::new(text).unwrap()
}

fn ranges(text: &str) -> Ranges {
    match parse_value(text).unwrap() {
        Some(Value::Ranges(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn disk(size: u64, info: DiskInfo) -> Resource {
    Resource::scalar("disk", Scalar::whole(size)).with(Particulars {
        disk: Some(Arc::new(info)),
        ..Particulars::default()
    })
}

fn source(kind: DiskKind, root: &str) -> DiskInfo {
    DiskInfo {
        source: Some(DiskSource {
            kind,
            root: Some(Arc::from(root)),
            vendor: None,
            id: None,
            metadata: Vec::new(),
            profile: None,
        }),
        ..DiskInfo::default()
    }
}

fn volume(id: &str) -> DiskInfo {
    DiskInfo {
        persistence: Some(Persistence {
            id: Arc::from(id),
            principal: None,
        }),
        ..DiskInfo::default()
    }
}

fn bag(list: impl IntoIterator<Item = Resource>) -> Resources {
    list.into_iter().collect()
}

#[test]
fn fixed_point_arithmetic_returns_to_where_it_began() {
    let r = parse("cpus:1.001");
    let mut sum = r.clone();
    for _ in 0..2_500 {
        sum = &(&sum + &r) + &r;
        sum = &(&sum - &r) - &r;
    }
    assert_eq!(sum, r);
    for _ in 0..1_000 {
        sum += &r;
    }
    for _ in 0..1_000 {
        sum -= &r;
    }
    assert_eq!(sum.to_string(), "cpus:1.001");
}

#[test]
fn scalars_round_half_away_from_zero_to_three_decimals() {
    for (given, shown) in [
        ("1.5011", "1.501"),
        ("1.5015", "1.502"),
        ("1.2345", "1.235"),
        ("1.2344", "1.234"),
        ("1.1", "1.1"),
        ("1000001", "1000001"),
        ("99999999999.9994", "99999999999.999"),
        ("0.05", "0.05"),
        ("1e3", "1000"),
    ] {
        assert_eq!(parse(&format!("x:{given}")).to_string(), format!("x:{shown}"));
    }
    assert_eq!(Scalar(-1_500).to_string(), "-1.5");
    assert_eq!(Scalar::from_f64(-0.0015), Scalar(-2));
    assert_eq!(Scalar(1_001).to_f64(), 1.001);
}

#[test]
fn amounts_that_vanish_by_rounding_are_refused_and_zero_is_nothing() {
    let tiny = Resources::parse("cpus:0.00001", &Role::star()).unwrap_err();
    assert!(
        tiny.to_string().ends_with("Invalid scalar resource: value <= 0"),
        "{tiny}"
    );
    assert!(parse("gpus:0").is_empty());
    assert_eq!(Scalar::amount(f64::NAN), Err(ResourceError::NotPositive));
    assert_eq!(Scalar::amount(-1.0), Err(ResourceError::NotPositive));
    assert_eq!(Scalar::amount(f64::INFINITY), Err(ResourceError::TooLarge));
}

#[test]
fn ranges_join_when_they_overlap_or_touch() {
    for (a, b, sum) in [
        ("[20000-40000]", "[30000-50000, 10000-20000]", "[10000-50000]"),
        ("[1-10, 5-30, 50-60]", "[1-65, 70-80]", "[1-65, 70-80]"),
        ("[1-2]", "[3-4]", "[1-4]"),
        ("[7-8]", "[5-6]", "[5-8]"),
        ("[1-4, 9-10, 20-22, 26-30]", "[5-8, 23-25]", "[1-10, 20-30]"),
        (
            "[0-1]",
            "[18446744073709551615-18446744073709551615]",
            "[0-1, 18446744073709551615-18446744073709551615]",
        ),
    ] {
        assert_eq!(ranges(a).union(&ranges(b)).to_string(), sum);
    }
}

#[test]
fn subtracting_ranges_splits_them() {
    let rest = ranges("[1-10, 20-30, 40-50]").difference(&ranges("[2-9, 15-45, 48-50]"));
    assert_eq!(rest.to_string(), "[1-1, 10-10, 46-47]");
    let ports = parse("ports:[50000-60000]");
    assert!((&ports - &ports).is_empty());
    let top = ranges("[5-18446744073709551615]");
    assert!(top.difference(&top).is_empty());
}

#[test]
fn malformed_texts_are_refused_with_the_reason() {
    for bad in [
        "cpus(role1)",
        "cpus(role1:1",
        "cpus)(role1:1",
        "foo(role1):1;foo(role2):[0-1]",
        "cpus:1:2",
        "cpus",
        "cpus:abc",
        "cpus:-1",
        "cpus:inf",
        "cpus:nan",
        "cpus:1e-310",
        "ports:[1-2",
        "ports:1-2]",
        "ports:[2-1]",
        "ports:[1]",
        "ports:[a-b]",
        "s:{a",
        ":1",
        "cpus(/x):1",
        "cpus(a b):1",
        "gpus:0.5",
        "cpus:1[",
    ] {
        assert!(Resources::parse(bad, &Role::star()).is_err(), "{bad}");
    }
    assert_eq!(
        Resources::parse("foo(role1):1;foo(role2):[0-1]", &Role::star())
            .unwrap_err()
            .to_string(),
        "Resources with the same name ('foo') but different types are not allowed"
    );
}

#[test]
fn a_role_in_the_text_reserves_statically() {
    let r = Resources::parse("cpus(a/b):1; mem:5; cpus(*):2", &role("dev")).unwrap();
    assert_eq!(
        r.to_string(),
        "cpus(reservations: [(STATIC,a/b)]):1; mem(reservations: [(STATIC,dev)]):5; cpus:2"
    );
    assert_eq!(r.scalar("cpus"), Scalar::whole(3));
    assert_eq!(
        r.allocatable_to(&role("a/b/c")).to_string(),
        "cpus(reservations: [(STATIC,a/b)]):1; cpus:2"
    );
    assert_eq!(r.allocatable_to(&role("a")).to_string(), "cpus:2");
}

#[test]
fn messages_show_allocations_like_mesos() {
    let r = parse("cpus:10000;mem:32;ports:[1-2,4-5]").allocated_to(&role("dev"));
    assert_eq!(
        r.to_string(),
        "cpus(allocated: dev):10000; mem(allocated: dev):32; ports(allocated: dev):[1-2, 4-5]"
    );
    assert_eq!(r.unallocated(), parse("cpus:10000;mem:32;ports:[1-2,4-5]"));
    assert_eq!(r.allocations().into_iter().collect::<Vec<_>>(), [role("dev")]);
}

#[test]
fn find_prefers_the_own_reservation_then_unreserved() {
    let total = parse("cpus(role1):2;mem(role1):10;cpus:4;mem:20");
    let found = total.find(&parse("cpus:3;mem:15"), &role("role1")).unwrap();
    assert_eq!(found, parse("cpus(role1):2;mem(role1):10;cpus:1;mem:5"));
    let total = parse("cpus(role1):5;mem(role1):5;cpus:5;mem:5");
    let found = total.find(&parse("cpus:6;mem:6"), &Role::star()).unwrap();
    assert_eq!(found, parse("cpus(role1):1;mem(role1):1;cpus:5;mem:5"));
    assert_eq!(total.find(&parse("cpus:11"), &Role::star()), None);
    let ports = parse("ports:[1-10]").find(&parse("ports:[3-4]"), &Role::star());
    assert_eq!(ports, Some(parse("ports:[3-4]")));
}

#[test]
fn path_disks_add_and_exclusive_disks_do_not() {
    let path = |root| disk(10, source(DiskKind::Path, root));
    let sum = bag([path("/a"), path("/a")]);
    assert_eq!(sum.len(), 1);
    assert!(sum.contains(&bag([path("/a")])));
    assert_eq!(bag([path("/a"), path("/b")]).len(), 2);

    let mount = |size| bag([disk(size, source(DiskKind::Mount, "/m"))]);
    assert_eq!((&mount(10) + &mount(10)).len(), 2);
    assert!(!mount(20).contains(&mount(10)));
    assert!(mount(20).contains(&mount(20)));
    assert_eq!(&mount(20) - &mount(10), mount(20));
    assert!((&mount(20) - &mount(20)).is_empty());
}

#[test]
fn volumes_stay_whole_and_shared_ones_are_counted() {
    let plain = |id| disk(10, volume(id));
    assert_eq!(bag([plain("1"), plain("1")]).len(), 2);
    assert!(!bag([plain("1")]).contains(&bag([plain("2")])));

    let shared = || {
        let mut volume = plain("1");
        volume.traits.change(|traits| traits.shared = true);
        volume
    };
    let two = bag([shared(), shared()]);
    let one = bag([shared()]);
    assert_eq!(&two - &one, one);
    assert!(two.contains(&one) && !one.contains(&two));
    assert_ne!(one, bag([plain("1")]));
    assert_ne!(one, two);
}

#[test]
fn where_a_volume_is_mounted_is_no_part_of_what_it_is() {
    let mounted = DiskInfo {
        volume: Some(DiskVolume {
            container_path: Arc::from("data"),
            host_path: None,
            writable: true,
            wire: Bytes::new(),
        }),
        ..volume("1")
    };
    assert_eq!(disk(1, mounted), disk(1, volume("1")));
}

#[test]
fn reservations_merge_only_with_equal_principal_and_labels() {
    let reserved = |principal: Option<&str>, label: &str| {
        Resource::scalar("cpus", Scalar::whole(1)).with(Particulars {
            reservations: vec![Reservation {
                kind: ReservationKind::Dynamic,
                role: role("r"),
                principal: principal.map(Arc::from),
                labels: vec![(Arc::from(label), None)],
            }],
            ..Particulars::default()
        })
    };
    assert_eq!(bag([reserved(Some("p"), "a"), reserved(Some("p"), "a")]).len(), 1);
    assert_eq!(bag([reserved(Some("p"), "a"), reserved(Some("q"), "a")]).len(), 2);
    assert_eq!(bag([reserved(None, "a"), reserved(None, "b")]).len(), 2);
}

#[test]
fn a_reservation_stack_must_refine() {
    let stack = |list: &[(ReservationKind, &str)]| {
        let level = |(kind, r): &(ReservationKind, &str)| Reservation {
            kind: *kind,
            role: role(r),
            principal: None,
            labels: Vec::new(),
        };
        Resource::scalar("cpus", Scalar::whole(1)).with(Particulars {
            reservations: list.iter().map(level).collect(),
            ..Particulars::default()
        })
    };
    use ReservationKind::{Dynamic, Static};
    assert_eq!(stack(&[(Static, "a"), (Dynamic, "a/b")]).validate(), Ok(()));
    assert_eq!(
        stack(&[(Dynamic, "*")]).validate(),
        Err(ResourceError::StarReserved)
    );
    assert_eq!(
        stack(&[(Dynamic, "a"), (Static, "a/b")]).validate(),
        Err(ResourceError::RefinedStatic)
    );
    assert_eq!(
        stack(&[(Dynamic, "a/b"), (Dynamic, "a")])
            .validate()
            .unwrap_err()
            .to_string(),
        "Invalid refined reservation: role 'a' is not a refinement of 'a/b'"
    );
}

#[test]
fn only_persistent_disks_are_shared_and_only_disks_have_disk_info() {
    let shared = |mut r: Resource| {
        r.traits.change(|traits| traits.shared = true);
        r
    };
    let cpus = || Resource::scalar("cpus", Scalar::whole(1));
    assert_eq!(
        shared(cpus()).validate().unwrap_err().to_string(),
        "Resource cpus cannot be shared"
    );
    assert_eq!(
        shared(disk(1, DiskInfo::default())).validate(),
        Err(ResourceError::SharedWithoutPersistence)
    );
    let odd = cpus().with(Particulars {
        disk: Some(Arc::new(DiskInfo::default())),
        ..Particulars::default()
    });
    assert_eq!(
        odd.validate().unwrap_err().to_string(),
        "DiskInfo should not be set for cpus resource"
    );
}

#[test]
fn ports_of_task_and_executor_must_not_overlap() {
    assert!(parse("ports:[1-10]").overlaps(&parse("ports:[5-15]")));
    assert!(!parse("ports:[1-10]").overlaps(&parse("ports:[11-15]")));
    assert!(!parse("ports:[1-10]").overlaps(&parse("others:[5-15]")));
    assert!(parse("s:{a,b}").overlaps(&parse("s:{b}")));
}

#[test]
fn tiny_amounts_built_by_hand_are_dropped() {
    let bag = bag([
        Resource::scalar("cpus", Scalar::from_f64(0.00001)),
        Resource::scalar("mem", Scalar::whole(1)),
    ]);
    assert_eq!(bag, parse("mem:1"));
}

#[test]
fn quantities_sum_over_reservations_and_count_elements() {
    let r = parse("cpus(a):1;cpus:2;ports:[1-10];s:{x,y}");
    assert_eq!(r.quantities().to_string(), "cpus:3; ports:10; s:2");
    assert!(r.contains_quantities(&Quantities::parse("cpus:3;ports:10").unwrap()));
    assert!(!r.contains_quantities(&Quantities::parse("cpus:3.001").unwrap()));
    assert!(Quantities::parse("cpus:[1-2]").is_err());
}

#[test]
fn subtracting_more_than_there_is_is_noticed() {
    let r = parse("cpus:1;mem:10");
    assert_eq!(r.checked_sub(&parse("cpus:2")), None);
    assert_eq!(r.checked_sub(&parse("gpus:1")), None);
    assert_eq!(r.checked_sub(&parse("cpus:1")), Some(parse("mem:10")));
    assert_eq!(&r - &parse("cpus:2"), parse("mem:10"));
}

fn any_resource() -> impl Strategy<Value = Resource> {
    let value = prop_oneof![
        (1i64..1_000_000).prop_map(|m| ("cpus", Value::Scalar(Scalar(m)))),
        (1i64..1_000_000).prop_map(|m| ("mem", Value::Scalar(Scalar(m)))),
        prop::collection::vec((0u64..200, 0u64..20), 1..5).prop_map(|list| (
            "ports",
            Value::Ranges(
                list.into_iter()
                    .map(|(b, n)| Range { begin: b, end: b + n })
                    .collect()
            )
        )),
        prop::collection::btree_set("[a-d]{1,2}", 1..4).prop_map(|s| (
            "s",
            Value::Set(Arc::new(s.iter().map(|i| Arc::from(i.as_str())).collect()))
        )),
    ];
    (value, prop::option::of("[a-c](/[a-c])?"), any::<bool>()).prop_map(
        |((resource_name, value), reserved, revocable)| {
            let reservation = reserved.map(|r| Reservation {
                kind: ReservationKind::Static,
                role: role(&r),
                principal: None,
                labels: Vec::new(),
            });
            Resource::new(name(resource_name), value).with(Particulars {
                reservations: reservation.into_iter().collect(),
                revocable,
                ..Particulars::default()
            })
        },
    )
}

fn any_bag() -> impl Strategy<Value = Resources> {
    prop::collection::vec(any_resource(), 0..6).prop_map(bag)
}

#[test]
fn the_largest_amounts_come_back_too_and_larger_ones_are_refused() {
    let most = Scalar::MAX_AMOUNT;
    assert_eq!(parse(&format!("x:{most}")), parse("x:4398046511104"));
    for text in ["x:4398046511104.001", "x:4398046511104;x:0.001"] {
        assert!(Resources::parse(text, &Role::star()).is_err(), "{text}");
    }
}

proptest! {
    // Where doubles are at their limit only one amount in thousands is at fault.
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn an_amount_comes_back_from_the_wire_and_from_text(
        below in prop_oneof![0..1_000_000_i64, 0..=Scalar::MAX_AMOUNT.milli()],
        from_the_top in any::<bool>(),
    ) {
        let milli = if from_the_top { Scalar::MAX_AMOUNT.milli() - below } else { below };
        let amount = Scalar(milli);
        prop_assert_eq!(Scalar::from_f64(amount.to_f64()), amount);
        let written: f64 = amount.to_string().parse().unwrap();
        prop_assert_eq!(Scalar::from_f64(written), amount);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_sum_contains_its_parts_and_scalars_subtract_back(a in any_bag(), b in any_bag()) {
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        prop_assert_eq!(&sum, &(&b + &a));
        let scalars = |r: &Resources| r.filter(|r| matches!(r.value, Value::Scalar(_)));
        let (a, b) = (scalars(&a), scalars(&b));
        prop_assert_eq!(&(&a + &b) - &b, a);
    }

    #[test]
    fn what_is_taken_away_and_given_back_leaves_the_whole(a in any_bag(), b in any_bag()) {
        let sum = &a + &b;
        let rest = sum.checked_sub(&b).unwrap();
        prop_assert_eq!(&rest + &b, sum.clone());
        prop_assert_eq!(&(&rest + &b) - &b, rest);
        prop_assert!((&sum - &sum).is_empty());
    }

    #[test]
    fn ranges_agree_with_plain_sets(
        a in prop::collection::vec((0u64..60, 0u64..8), 0..6),
        b in prop::collection::vec((0u64..60, 0u64..8), 0..6),
    ) {
        let make = |l: &[(u64, u64)]| Ranges::new(l.iter().map(|(b, n)| Range { begin: *b, end: b + n }));
        let (a, b) = (make(&a), make(&b));
        let set = |r: &Ranges| r.numbers().collect::<BTreeSet<u64>>();
        prop_assert_eq!(set(&a.union(&b)), &set(&a) | &set(&b));
        prop_assert_eq!(set(&a.difference(&b)), &set(&a) - &set(&b));
        prop_assert_eq!(a.contains(&b), set(&a).is_superset(&set(&b)));
        prop_assert_eq!(a.intersects(&b), !set(&a).is_disjoint(&set(&b)));
        prop_assert_eq!(a.count(), set(&a).len() as u64);
    }

    #[test]
    fn plain_resources_read_back_from_their_text(a in any_bag()) {
        let plain = a.unreserved().nonrevocable();
        prop_assert_eq!(parse(&plain.to_string()), plain);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,40}", tokens in "[a-c:;()\\[\\]{},0-9. -]{0,40}") {
        for t in [text, tokens] {
            let _ = Resources::parse(&t, &Role::star());
            let _ = crate::attribute::Attributes::parse(&t);
            let _ = Quantities::parse(&t);
            let _ = Role::new(&t);
        }
    }
}
