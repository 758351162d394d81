//! The bag of resources and its arithmetic.

use super::{Quantities, Ranges, Resource, Scalar, Value};
use crate::id::Role;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::Arc;

/// A bag of resources: entries that differ in more than their amount, none of them empty.
///
/// Cheap to clone (shared until changed), and no larger than what is in it. The order of entries is that of their arrival and has no
/// meaning; equality ignores it.
#[derive(Clone, Debug, Default)]
pub struct Resources(Option<Arc<[Resource]>>);

/// Entries on their way into a bag: as many as an ordinary agent has (cpus, mem, disk, ports) need no allocation.
type Entries = SmallVec<[Resource; 4]>;

impl Resources {
    /// Nothing.
    pub fn new() -> Resources {
        Resources(None)
    }

    fn entries(&self) -> &[Resource] {
        self.0.as_deref().unwrap_or_default()
    }

    fn entries_mut(&mut self) -> &mut [Resource] {
        self.0.as_mut().map(Arc::make_mut).unwrap_or_default()
    }

    /// A bag of entries that are not empty, no two of a kind.
    fn from_entries(entries: impl IntoIterator<Item = Resource>) -> Resources {
        let entries: Arc<[Resource]> = entries.into_iter().collect();
        Resources((!entries.is_empty()).then_some(entries))
    }

    /// Whether both are one and the same memory, and so equal: cheaper than a comparison.
    pub fn is_same(&self, other: &Resources) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// Reads all of it and does nothing. Whoever will soon change several bags that no cache holds has them fetched side by
    /// side so; each change would wait for its own, since the processor does not look ahead beyond a counted reference.
    pub fn touch(&self) {
        let behind = |value: &Value| match value {
            Value::Scalar(_) => false,
            Value::Ranges(ranges) => ranges.iter().next().is_some(),
            Value::Set(set) => !set.is_empty(),
        };
        std::hint::black_box(self.iter().filter(|r| behind(&r.value)).count());
    }

    /// The entries; a shared resource comes once per copy.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.entries().iter()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Adds one entry, merging it with one of its kind. An empty one (or a negative scalar) is dropped.
    pub fn push(&mut self, resource: Resource) {
        if resource.is_empty() {
            return;
        }
        if let Some(new) = self.merge(resource) {
            *self = Resources::from_entries(self.iter().cloned().chain([new]));
        }
    }

    /// Adds an entry to one of its kind. Gives it back if there is none.
    fn merge(&mut self, resource: Resource) -> Option<Resource> {
        let at = match resource.is_indivisible() {
            true => None,
            false => self.iter().position(|r| r.same_kind(&resource)),
        };
        match at.and_then(|at| self.entries_mut().get_mut(at)) {
            Some(mine) => {
                merge(&mut mine.value, &resource.value);
                None
            }
            None => Some(resource),
        }
    }

    /// Takes away what there is of `resource`; an amount larger than there is leaves nothing of it.
    fn take(&mut self, resource: &Resource) {
        let indivisible = resource.is_indivisible();
        let found = self.iter().position(|r| {
            if indivisible {
                r == resource
            } else {
                r.same_kind(resource)
            }
        });
        let Some(at) = found else { return };
        if !indivisible && let Some(mine) = self.entries_mut().get_mut(at) {
            cut(&mut mine.value, &resource.value);
            if !mine.is_empty() {
                return;
            }
        }
        let entries = self.entries();
        let (before, behind) = (entries.iter().take(at), entries.iter().skip(at + 1));
        *self = Resources::from_entries(before.chain(behind).cloned());
    }

    /// Whether all of `other` is in here, entry by entry (a reserved amount does not cover an unreserved one).
    pub fn contains(&self, other: &Resources) -> bool {
        self.is_same(other)
            || other.iter().all(|wanted| {
                if wanted.is_indivisible() {
                    let copies = |bag: &Resources| bag.iter().filter(|r| *r == wanted).count();
                    copies(self) >= copies(other)
                } else {
                    self.iter()
                        .any(|r| r.same_kind(wanted) && covers(&r.value, &wanted.value))
                }
            })
    }

    /// The rest after taking `other` away, `None` if it is not all in here.
    pub fn checked_sub(&self, other: &Resources) -> Option<Resources> {
        self.contains(other).then(|| self - other)
    }

    /// The sum of all scalars of this name, reserved or not.
    pub fn scalar(&self, name: &str) -> Scalar {
        self.iter()
            .filter(|r| &*r.name == name)
            .map(|r| match &r.value {
                Value::Scalar(s) => *s,
                Value::Ranges(_) | Value::Set(_) => Scalar::ZERO,
            })
            .sum()
    }

    /// All ranges of this name together, reserved or not.
    pub fn ranges(&self, name: &str) -> Ranges {
        self.iter()
            .filter(|r| &*r.name == name)
            .filter_map(|r| match &r.value {
                Value::Ranges(ranges) => Some(ranges),
                Value::Scalar(_) | Value::Set(_) => None,
            })
            .fold(Ranges::default(), |all, r| all.union(r))
    }

    /// All sets of this name together, reserved or not.
    pub fn set(&self, name: &str) -> BTreeSet<Arc<str>> {
        self.iter()
            .filter(|r| &*r.name == name)
            .filter_map(|r| match &r.value {
                Value::Set(set) => Some(&**set),
                Value::Scalar(_) | Value::Ranges(_) => None,
            })
            .flatten()
            .cloned()
            .collect()
    }

    /// The entries for which `keep` holds.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&Resource) -> bool) -> Resources {
        if self.iter().all(&mut keep) {
            return self.clone();
        }
        Resources::from_entries(self.iter().filter(|r| keep(r)).cloned())
    }

    /// The same, allocated to `role`.
    #[must_use]
    pub fn allocated_to(&self, role: &Role) -> Resources {
        self.with_allocation(Some(role))
    }

    /// The same without any allocation: what belongs to an agent's total.
    #[must_use]
    pub fn unallocated(&self) -> Resources {
        self.with_allocation(None)
    }

    fn with_allocation(&self, role: Option<&Role>) -> Resources {
        let mut allocations = self.iter().map(|r| r.allocation.as_ref());
        let Some(first) = allocations.next() else {
            return Resources::new();
        };
        let uniform = allocations.all(|a| a == first);
        if uniform && first == role {
            return self.clone();
        }
        let changed = self.iter().map(|r| Resource {
            allocation: role.cloned(),
            ..r.clone()
        });
        // Entries of one allocation stay different from each other; those of several may have become alike.
        if uniform {
            Resources::from_entries(changed)
        } else {
            changed.collect()
        }
    }

    /// The roles entries are allocated to.
    pub fn allocations(&self) -> BTreeSet<Role> {
        self.iter().filter_map(|r| r.allocation.clone()).collect()
    }

    /// What may be offered to `role`: unreserved, or reserved to it or to a role above it.
    #[must_use]
    pub fn allocatable_to(&self, role: &Role) -> Resources {
        self.filter(|r| r.is_allocatable_to(role))
    }

    /// What is not reserved for anyone.
    #[must_use]
    pub fn unreserved(&self) -> Resources {
        self.filter(|r| r.traits.reservations.is_empty())
    }

    /// What is reserved, for whomever.
    #[must_use]
    pub fn reserved(&self) -> Resources {
        self.filter(|r| !r.traits.reservations.is_empty())
    }

    /// What may be taken back at any time.
    #[must_use]
    pub fn revocable(&self) -> Resources {
        self.filter(|r| r.traits.revocable)
    }

    /// What is guaranteed.
    #[must_use]
    pub fn nonrevocable(&self) -> Resources {
        self.filter(|r| !r.traits.revocable)
    }

    /// The amounts per name, as numbers.
    pub fn quantities(&self) -> Quantities {
        self.iter().map(|r| (r.name.clone(), r.quantity())).collect()
    }

    /// Whether at least these amounts are here, whatever they are reserved for.
    pub fn contains_quantities(&self, wanted: &Quantities) -> bool {
        wanted.iter().all(|(name, amount)| {
            let have: Scalar = self
                .iter()
                .filter(|r| r.name == *name)
                .map(Resource::quantity)
                .sum();
            have >= amount
        })
    }

    /// Whether a number or an element of some ranges or set is in both, reserved or not.
    pub fn overlaps(&self, other: &Resources) -> bool {
        self.iter().any(|a| {
            other
                .iter()
                .filter(|b| a.name == b.name)
                .any(|b| match (&a.value, &b.value) {
                    (Value::Ranges(a), Value::Ranges(b)) => a.intersects(b),
                    (Value::Set(a), Value::Set(b)) => !a.is_disjoint(b),
                    _ => false,
                })
        })
    }

    /// Picks the amounts of `wanted` (its reservations do not matter) for `role`: from what is reserved to it
    /// first, then from unreserved, then from the rest. `None` if there is not enough.
    pub fn find(&self, wanted: &Resources, role: &Role) -> Option<Resources> {
        let rank = |r: &Resource| match r.reservation_role() {
            Some(reserved) if reserved == role => 0,
            None => 1,
            Some(_) => 2,
        };
        let mut candidates: Vec<&Resource> = self.iter().collect();
        candidates.sort_by_key(|r| rank(r));
        let mut found = Resources::new();
        for want in wanted.iter() {
            let mut rest = want.value.clone();
            for have in candidates.iter().filter(|r| r.name == want.name) {
                let Some(part) = common(&have.value, &rest) else {
                    continue;
                };
                if have.is_indivisible() && part != have.value {
                    continue;
                }
                cut(&mut rest, &part);
                found.push(Resource {
                    value: part,
                    ..(*have).clone()
                });
            }
            if !Resource::new(want.name.clone(), rest).is_empty() {
                return None;
            }
        }
        Some(found)
    }
}

fn merge(mine: &mut Value, other: &Value) {
    match (mine, other) {
        (Value::Scalar(a), Value::Scalar(b)) => *a += *b,
        (Value::Ranges(a), Value::Ranges(b)) => *a = a.union(b),
        (Value::Set(a), Value::Set(b)) => Arc::make_mut(a).extend(b.iter().cloned()),
        _ => {} // `same_kind` compares the types
    }
}

fn cut(mine: &mut Value, other: &Value) {
    match (mine, other) {
        (Value::Scalar(a), Value::Scalar(b)) => *a -= *b,
        (Value::Ranges(a), Value::Ranges(b)) => *a = a.difference(b),
        (Value::Set(a), Value::Set(b)) => Arc::make_mut(a).retain(|item| !b.contains(item)),
        _ => {}
    }
}

fn covers(mine: &Value, other: &Value) -> bool {
    match (mine, other) {
        (Value::Scalar(a), Value::Scalar(b)) => a >= b,
        (Value::Ranges(a), Value::Ranges(b)) => a.contains(b),
        (Value::Set(a), Value::Set(b)) => a.is_superset(b),
        _ => false,
    }
}

/// What is in both, `None` if nothing or if the types differ.
fn common(a: &Value, b: &Value) -> Option<Value> {
    let both = match (a, b) {
        (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(*a.min(b)),
        (Value::Ranges(a), Value::Ranges(b)) => Value::Ranges(a.difference(&a.difference(b))),
        (Value::Set(a), Value::Set(b)) => Value::Set(Arc::new(a.intersection(b).cloned().collect())),
        _ => return None,
    };
    let empty = match &both {
        Value::Scalar(s) => *s <= Scalar::ZERO,
        Value::Ranges(r) => r.is_empty(),
        Value::Set(s) => s.is_empty(),
    };
    (!empty).then_some(both)
}

impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.len() == other.len() && self.contains(other) && other.contains(self))
    }
}

impl Eq for Resources {}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        self.extend(other.iter().cloned());
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        *self += &other;
    }
}

impl SubAssign<&Resources> for Resources {
    /// An amount larger than there is leaves nothing; see [`Resources::checked_sub`] where that must not pass.
    fn sub_assign(&mut self, other: &Resources) {
        if self.is_same(other) {
            self.0 = None;
            return;
        }
        for resource in other.iter() {
            self.take(resource);
        }
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        *self -= &other;
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $assign:tt, $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Resources;
            fn $method(self, other: $right) -> Resources {
                #[allow(clippy::redundant_clone)]
                let mut out: Resources = self.clone();
                out $assign other;
                out
            }
        }
    };
}

binary!(Add, add, +=, &Resources, &Resources);
binary!(Add, add, +=, Resources, &Resources);
binary!(Add, add, +=, Resources, Resources);
binary!(Sub, sub, -=, &Resources, &Resources);
binary!(Sub, sub, -=, Resources, &Resources);
binary!(Sub, sub, -=, Resources, Resources);

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(iter: I) -> Resources {
        let mut out = Resources::new();
        out.extend(iter);
        out
    }
}

impl Extend<Resource> for Resources {
    fn extend<I: IntoIterator<Item = Resource>>(&mut self, iter: I) {
        // All the new ones at once: a bag is one piece of memory.
        let mut new = Entries::new();
        for resource in iter.into_iter().filter(|r| !r.is_empty()) {
            let Some(resource) = self.merge(resource) else {
                continue;
            };
            let place = new
                .iter_mut()
                .find(|r| !resource.is_indivisible() && r.same_kind(&resource));
            match place {
                Some(mine) => merge(&mut mine.value, &resource.value),
                None => new.push(resource),
            }
        }
        if !new.is_empty() {
            *self = Resources::from_entries(self.iter().cloned().chain(new));
        }
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
