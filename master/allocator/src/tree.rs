//! The order of roles and, within a role, of frameworks: a tree whose every level is sorted by dominant share.
//!
//! Inner nodes are roles, leaves are *clients*: a framework in a role. A role's own frameworks sit below a node `.` of
//! weight 1, which competes with the role's sub-roles. Each node knows the sum below it; each level is kept in order as
//! sums change, so that the next client in line is found by walking down the first entries.

use crate::amounts::{Amounts, NameNo};
use meseta_types::Role;
use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::sync::Arc;

/// The place of a node. Reused after the node is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeNo(pub(crate) u32);

/// The top of the tree.
const ROOT: NodeNo = NodeNo(0);

/// Levels of most trees: roles, `.`, clients, and one more.
const LEVELS: usize = 4;

/// The name of the node that holds a role's own frameworks.
const OWN: &str = ".";

/// The rank of a node among its siblings: share, then number of allocations ever made, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The bits of the share: not negative, so they sort as the number does.
    share: u64,
    allocations: u64,
    name: Arc<str>,
    node: NodeNo,
}

#[derive(Clone, Debug)]
struct Node {
    parent: NodeNo,
    rank: Rank,
    weight: f64,
    sum: Amounts,
    /// How many active clients are in here: the node is in its parent's order if there is any.
    active: u32,
    children: u32,
    order: BTreeSet<Rank>,
    /// For a role's node: the node `.` below it.
    own: Option<NodeNo>,
    /// For a role's node and the clients below: the role.
    role: Option<Role>,
}

/// The tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeNo>,
    roles: BTreeMap<Role, NodeNo>,
    weights: BTreeMap<Role, f64>,
    /// Orders are out of date as a whole (the totals or a weight changed): ranks are not maintained until `refresh`.
    stale: bool,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        let mut tree = Tree {
            nodes: Vec::new(),
            free: Vec::new(),
            roles: BTreeMap::new(),
            weights: BTreeMap::new(),
            stale: false,
        };
        tree.insert(ROOT, Arc::from(""), 1.0, None);
        tree
    }

    fn node(&self, no: NodeNo) -> Option<&Node> {
        self.nodes.get(no.0 as usize)?.as_ref()
    }

    fn node_mut(&mut self, no: NodeNo) -> Option<&mut Node> {
        self.nodes.get_mut(no.0 as usize)?.as_mut()
    }

    fn insert(&mut self, parent: NodeNo, name: Arc<str>, weight: f64, role: Option<Role>) -> NodeNo {
        let no = self.free.pop().unwrap_or(NodeNo(self.nodes.len() as u32));
        let node = Node {
            parent,
            rank: Rank {
                share: 0,
                allocations: 0,
                name,
                node: no,
            },
            weight,
            sum: Amounts::default(),
            active: 0,
            children: 0,
            order: BTreeSet::new(),
            own: None,
            role,
        };
        match self.nodes.get_mut(no.0 as usize) {
            Some(slot) => *slot = Some(node),
            None => self.nodes.push(Some(node)),
        }
        if no != ROOT
            && let Some(parent) = self.node_mut(parent)
        {
            parent.children += 1;
        }
        no
    }

    fn role_node(&mut self, role: &Role) -> NodeNo {
        if let Some(no) = self.roles.get(role) {
            return *no;
        }
        let mut missing = vec![role.clone()];
        let mut parent = ROOT;
        for above in role.ancestors() {
            if let Some(no) = self.roles.get(&above) {
                parent = *no;
                break;
            }
            missing.push(above);
        }
        for role in missing.into_iter().rev() {
            let name = role.as_str().rsplit('/').next().unwrap_or_default();
            let weight = self.weights.get(&role).copied().unwrap_or(1.0);
            parent = self.insert(parent, Arc::from(name), weight, Some(role.clone()));
            self.roles.insert(role, parent);
        }
        parent
    }

    /// Adds a client below `role`, inactive and with nothing.
    pub(crate) fn add_client(&mut self, role: &Role, framework: Arc<str>) -> NodeNo {
        let role_no = self.role_node(role);
        let own = match self.node(role_no).and_then(|n| n.own) {
            Some(own) => own,
            None => {
                let own = self.insert(role_no, Arc::from(OWN), 1.0, Some(role.clone()));
                if let Some(node) = self.node_mut(role_no) {
                    node.own = Some(own);
                }
                own
            }
        };
        self.insert(own, framework, 1.0, Some(role.clone()))
    }

    /// Removes a client that has nothing, and the roles that are empty without it.
    pub(crate) fn remove_client(&mut self, client: NodeNo) {
        self.set_active(client, false);
        let mut no = client;
        while no != ROOT {
            let Some(node) = self.node(no).filter(|n| n.children == 0) else {
                return;
            };
            let (parent, role, is_own) = (node.parent, node.role.clone(), &*node.rank.name == OWN);
            if no != client
                && !is_own
                && let Some(role) = role
            {
                self.roles.remove(&role);
            }
            if let Some(slot) = self.nodes.get_mut(no.0 as usize) {
                *slot = None;
            }
            self.free.push(no);
            if let Some(above) = self.node_mut(parent) {
                above.children = above.children.saturating_sub(1);
                if above.own == Some(no) {
                    above.own = None;
                }
            }
            no = parent;
        }
    }

    /// Puts a client into the order, or takes it out. False if it was so already.
    pub(crate) fn set_active(&mut self, client: NodeNo, active: bool) -> bool {
        if self.node(client).is_none_or(|node| (node.active > 0) == active) {
            return false;
        }
        let mut no = client;
        while let Some(node) = self.node_mut(no)
            && no != ROOT
        {
            let before = node.active;
            node.active = if active {
                before + 1
            } else {
                before.saturating_sub(1)
            };
            let (after, rank, parent) = (node.active, node.rank.clone(), node.parent);
            if let Some(parent) = self.node_mut(parent) {
                if before == 0 && after > 0 {
                    parent.order.insert(rank);
                } else if before > 0 && after == 0 {
                    parent.order.remove(&rank);
                }
            }
            no = parent;
        }
        true
    }

    /// Sets a role's weight; it must be positive.
    pub(crate) fn set_weight(&mut self, role: &Role, weight: f64) {
        self.weights.insert(role.clone(), weight);
        if let Some(no) = self.roles.get(role).copied()
            && let Some(node) = self.node_mut(no)
        {
            node.weight = weight;
        }
        self.stale = true;
    }

    /// The totals changed: every share is another.
    pub(crate) fn totals_changed(&mut self) {
        self.stale = true;
    }

    /// Brings the order up to date if it is not.
    pub(crate) fn refresh(&mut self, totals: &Amounts) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        for node in self.nodes.iter_mut().flatten() {
            node.order.clear();
            node.rank.share = share(node, totals);
        }
        for i in 1..self.nodes.len() {
            let Some(node) = self.nodes.get(i).and_then(Option::as_ref) else {
                continue;
            };
            if node.active > 0 {
                let (rank, parent) = (node.rank.clone(), node.parent);
                if let Some(parent) = self.node_mut(parent) {
                    parent.order.insert(rank);
                }
            }
        }
    }

    /// The client was given more: one allocation for it and everything above it.
    pub(crate) fn allocated(&mut self, client: NodeNo, delta: &[(NameNo, i64)], totals: &Amounts) {
        self.change(client, totals, |node| {
            node.sum.add(delta);
            node.rank.allocations += 1;
        });
    }

    /// The client has less.
    pub(crate) fn freed(&mut self, client: NodeNo, delta: &[(NameNo, i64)], totals: &Amounts) {
        self.change(client, totals, |node| node.sum.subtract(delta));
    }

    fn change(&mut self, client: NodeNo, totals: &Amounts, mut apply: impl FnMut(&mut Node)) {
        let stale = self.stale;
        let mut no = client;
        while no != ROOT {
            let Some(node) = self.node(no) else { return };
            let (parent, ordered) = (node.parent, !stale && node.active > 0);
            // Taken out of the parent for a moment, so that the node and its place can be changed together: this is done
            // three times per grant, and copies of ranks would be most of it.
            let mut order = BTreeSet::new();
            if ordered && let Some(parent) = self.node_mut(parent) {
                order = std::mem::take(&mut parent.order);
            }
            let Some(node) = self.node_mut(no) else { return };
            let place = order.take(&node.rank);
            apply(node);
            // While stale, ranks stay as they are in the orders; `refresh` computes all of them anew. Only the
            // count of allocations moves on, so the orders are cleared there, not searched.
            if !stale {
                node.rank.share = share(node, totals);
            }
            if let Some(mut place) = place {
                place.share = node.rank.share;
                place.allocations = node.rank.allocations;
                order.insert(place);
            }
            if ordered && let Some(parent) = self.node_mut(parent) {
                parent.order = order;
            }
            no = parent;
        }
    }

    /// The active clients, lowest share first.
    pub(crate) fn in_order(&self) -> InOrder<'_> {
        let mut levels = Vec::with_capacity(LEVELS);
        levels.extend(self.node(ROOT).map(|n| n.order.iter()));
        InOrder { tree: self, levels }
    }

    /// Compares what is kept with what it is made of; `clients` are the sums as the agents have them.
    pub(crate) fn check(&self, clients: &BTreeMap<NodeNo, Amounts>, totals: &Amounts) -> Result<(), String> {
        let children = |parent: NodeNo| {
            self.nodes
                .iter()
                .flatten()
                .filter(move |n| n.rank.node != ROOT && n.parent == parent)
        };
        for node in self.nodes.iter().flatten() {
            let no = node.rank.node;
            let name = || format!("{:?} {:?}", node.role, node.rank.name);
            if let Some(sum) = clients.get(&no) {
                if *sum != node.sum {
                    return Err(format!("{}: sum {:?}, agents say {sum:?}", name(), node.sum));
                }
            } else if no != ROOT && node.children == 0 && node.sum != Amounts::default() {
                return Err(format!("{}: a sum without anything below", name()));
            }
            if node.children as usize != children(no).count() {
                return Err(format!("{}: counts {} children", name(), node.children));
            }
            if no != ROOT && node.children > 0 {
                let active: u32 = children(no).map(|c| c.active).sum();
                if active != node.active {
                    return Err(format!("{}: {} active, below {active}", name(), node.active));
                }
            }
            if !self.stale {
                let order: BTreeSet<Rank> = children(no)
                    .filter(|c| c.active > 0)
                    .map(|c| Rank {
                        share: share(c, totals),
                        ..c.rank.clone()
                    })
                    .collect();
                if order != node.order {
                    return Err(format!("{}: order {:?}, should be {order:?}", name(), node.order));
                }
            }
        }
        Ok(())
    }
}

fn share(node: &Node, totals: &Amounts) -> u64 {
    let share = node.sum.dominant_share(totals) / node.weight;
    // Adding zero turns a negative zero into a positive one; its bits would sort last.
    (share + 0.0).to_bits()
}

/// Walks the tree depth first, each level in its order.
pub(crate) struct InOrder<'a> {
    tree: &'a Tree,
    levels: Vec<btree_set::Iter<'a, Rank>>,
}

impl Iterator for InOrder<'_> {
    type Item = NodeNo;

    fn next(&mut self) -> Option<NodeNo> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(rank) = level.next() else {
                self.levels.pop();
                continue;
            };
            match self.tree.node(rank.node) {
                Some(node) if node.children > 0 => self.levels.push(node.order.iter()),
                Some(_) => return Some(rank.node),
                None => {}
            }
        }
    }
}
