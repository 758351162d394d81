//! The order of clients: shares, weights, counts, hierarchy.

use super::{resources, role};
use crate::amounts::{Amounts, Delta, Names};
use crate::tree::{NodeNo, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// A tree with one client per path, told amounts as text.
struct Sorter {
    tree: Tree,
    names: Names,
    totals: Amounts,
    clients: BTreeMap<String, (NodeNo, Amounts)>,
}

impl Sorter {
    fn new(total: &str) -> Sorter {
        let mut sorter = Sorter {
            tree: Tree::new(),
            names: Names::new(BTreeSet::new()),
            totals: Amounts::default(),
            clients: BTreeMap::new(),
        };
        sorter.total(total);
        sorter
    }

    fn delta(&mut self, text: &str) -> Delta {
        let mut delta = Delta::new();
        self.names.scalars(resources(text).iter(), &mut delta);
        delta
    }

    fn total(&mut self, text: &str) {
        self.totals = Amounts::default();
        let delta = self.delta(text);
        self.totals.add(&delta);
        self.tree.totals_changed();
    }

    /// Adds the client if it is new, and gives it so much.
    fn give(&mut self, path: &str, text: &str) {
        if !self.clients.contains_key(path) {
            let node = self.tree.add_client(&role(path), "fw".into());
            self.tree.set_active(node, true);
            self.clients.insert(path.to_owned(), (node, Amounts::default()));
        }
        let delta = self.delta(text);
        if !delta.is_empty() {
            let (node, sum) = self.clients.get_mut(path).unwrap();
            sum.add(&delta);
            self.tree.allocated(*node, &delta, &self.totals);
        }
    }

    fn take(&mut self, path: &str, text: &str) {
        let delta = self.delta(text);
        let (node, sum) = self.clients.get_mut(path).unwrap();
        sum.subtract(&delta);
        self.tree.freed(*node, &delta, &self.totals);
    }

    fn remove(&mut self, path: &str) {
        let (node, _) = self.clients.remove(path).unwrap();
        self.tree.remove_client(node);
    }

    fn activate(&mut self, path: &str, active: bool) {
        self.tree.set_active(self.clients[path].0, active);
    }

    fn order(&mut self) -> String {
        self.tree.refresh(&self.totals);
        let sums = self.clients.values().cloned().collect();
        self.tree.check(&sums, &self.totals).unwrap();
        let path_of = |node| {
            self.clients
                .iter()
                .find(|(_, (n, _))| *n == node)
                .unwrap()
                .0
                .as_str()
        };
        self.tree.in_order().map(path_of).collect::<Vec<_>>().join(",")
    }
}

fn hundred() -> Sorter {
    Sorter::new("cpus:100;mem:100")
}

#[test]
fn the_lowest_dominant_share_comes_first() {
    let mut s = hundred();
    s.give("a", "cpus:5;mem:5");
    s.give("b", "cpus:6;mem:6");
    assert_eq!(s.order(), "a,b");
    s.give("c", "cpus:1;mem:1");
    s.give("d", "cpus:3;mem:1");
    assert_eq!(s.order(), "c,d,a,b");
    s.take("a", "cpus:5;mem:5");
    s.remove("a");
    s.take("b", "cpus:4;mem:4");
    assert_eq!(s.order(), "c,b,d");
    s.give("e", "cpus:1;mem:5");
    s.total("cpus:50;mem:100");
    assert_eq!(s.order(), "c,b,e,d");
    s.total("cpus:50;mem:200");
    s.give("f", "cpus:5;mem:1");
    s.give("c", "mem:15");
    assert_eq!(s.order(), "e,b,d,c,f");
    s.activate("d", false);
    assert_eq!(s.order(), "e,b,c,f");
    s.activate("d", true);
    assert_eq!(s.order(), "e,b,d,c,f");
}

#[test]
fn weights_divide_shares() {
    let mut s = hundred();
    s.give("a", "cpus:5;mem:5");
    s.tree.set_weight(&role("b"), 2.0);
    s.give("b", "cpus:6;mem:6");
    assert_eq!(s.order(), "b,a");
    s.give("c", "cpus:4;mem:4");
    assert_eq!(s.order(), "b,c,a");
    s.give("d", "cpus:10;mem:20");
    s.tree.set_weight(&role("d"), 10.0);
    assert_eq!(s.order(), "d,b,c,a");
    s.take("b", "cpus:6;mem:6");
    s.remove("b");
    s.give("d", "cpus:10;mem:25");
    assert_eq!(s.order(), "c,d,a");
    s.tree.set_weight(&role("e"), 0.1);
    s.give("e", "cpus:1;mem:1");
    assert_eq!(s.order(), "c,d,a,e");
}

#[test]
fn equal_shares_are_ordered_by_allocations_ever_made() {
    let mut s = hundred();
    for path in ["a", "b", "e"] {
        s.give(path, "cpus:3;mem:3");
    }
    for _ in 0..3 {
        s.give("c", "cpus:1;mem:1");
    }
    s.give("d", "cpus:2;mem:2");
    s.give("d", "cpus:1;mem:1");
    assert_eq!(s.order(), "a,b,e,d,c");
    s.take("c", "cpus:3;mem:3");
    assert_eq!(s.order(), "c,a,b,e,d");
    s.give("c", "cpus:3;mem:3");
    assert_eq!(s.order(), "a,b,e,d,c");
    s.activate("c", false);
    s.activate("c", true);
    assert_eq!(s.order(), "a,b,e,d,c");
}

#[test]
fn a_role_competes_with_the_sum_of_its_subtree() {
    let mut s = hundred();
    for path in ["a/b", "c", "d", "d/e"] {
        s.give(path, "");
    }
    assert_eq!(s.order(), "a/b,c,d,d/e");
    s.give("c", "cpus:8");
    assert_eq!(s.order(), "a/b,d,d/e,c");
    s.give("d", "cpus:3");
    s.give("d/e", "cpus:2");
    assert_eq!(s.order(), "a/b,d/e,d,c");
    s.give("a/b", "cpus:6");
    assert_eq!(s.order(), "d/e,d,a/b,c");
}

#[test]
fn a_roles_own_frameworks_compete_with_its_subroles() {
    let mut s = hundred();
    s.give("a", "cpus:10");
    s.give("b", "cpus:6");
    assert_eq!(s.order(), "b,a");
    s.give("a/c", "cpus:5");
    assert_eq!(s.order(), "b,a/c,a");
    s.take("a", "cpus:10");
    s.remove("a");
    assert_eq!(s.order(), "a/c,b");
    s.give("a", "cpus:10");
    assert_eq!(s.order(), "b,a/c,a");
    s.tree.set_weight(&role("a/c"), 0.2);
    assert_eq!(s.order(), "b,a,a/c");
    s.tree.set_weight(&role("a"), 3.0);
    assert_eq!(s.order(), "a,a/c,b");
    s.tree.set_weight(&role("a/c"), 1.0);
    assert_eq!(s.order(), "a/c,a,b");
}

#[test]
fn weights_of_inner_roles_act_among_their_siblings() {
    let mut s = hundred();
    s.tree.set_weight(&role("b"), 3.0);
    s.tree.set_weight(&role("a"), 2.0);
    s.give("a/x", "");
    s.give("b/y", "");
    assert_eq!(s.order(), "a/x,b/y");
    s.give("a/x", "cpus:10");
    s.give("b/y", "cpus:10");
    assert_eq!(s.order(), "b/y,a/x");
    s.give("b/z", "cpus:5");
    assert_eq!(s.order(), "b/z,b/y,a/x");
    s.give("b", "cpus:4");
    assert_eq!(s.order(), "a/x,b,b/z,b/y");
    s.give("a/zz", "cpus:2");
    assert_eq!(s.order(), "a/zz,a/x,b,b/z,b/y");
}

#[test]
fn a_long_role_makes_neither_the_stack_nor_the_walk_overflow() {
    let mut s = hundred();
    let deep = vec!["a"; 512].join("/");
    s.give(&deep, "cpus:1");
    s.give("b", "");
    assert_eq!(s.order(), format!("b,{deep}"));
    s.take(&deep, "cpus:1");
    s.remove(&deep);
    assert_eq!(s.order(), "b");
}
