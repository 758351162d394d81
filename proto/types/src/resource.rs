//! Resources: what agents have, offers carry and tasks use.
//!
//! Meaning and error texts are those of Mesos (`src/common/resources.cpp`, `values.cpp`): scalars are fixed point
//! with three decimals, ranges are kept coalesced, entries merge only when everything but their amount is equal.
//! The form inside is always the one with a stack of reservations; `meseta-proto` knows the older wire forms.
//! The cores and the allocator compute with these; nothing here knows protobuf or JSON.

mod bag;
mod quantities;
mod ranges;
mod scalar;
mod text;
mod traits;
mod validate;

#[cfg(test)]
mod tests;

pub use bag::Resources;
pub use quantities::Quantities;
pub use ranges::{Range, Ranges};
pub use scalar::Scalar;
pub use text::{ParseError, parse_value};
pub use traits::{Particulars, Traits};
pub use validate::ResourceError;

use crate::id::Role;
use arcstr::{ArcStr, literal};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A resource's name: one pointer, cheap to clone.
pub type Name = ArcStr;

/// The amount of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A quantity, for example cpus or megabytes.
    Scalar(Scalar),
    /// Numbered things, for example ports.
    Ranges(Ranges),
    /// Named things.
    Set(Arc<BTreeSet<Arc<str>>>),
}

/// Keys with optional values, in the order given.
pub type Labels = Vec<(Arc<str>, Option<Arc<str>>)>;

/// How a reservation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservationKind {
    /// By the agent's `--resources`; cannot be undone.
    Static,
    /// By a framework or an operator, at run time.
    Dynamic,
}

/// One level of a reservation stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation {
    /// Static or dynamic.
    pub kind: ReservationKind,
    /// For whom; never `*`.
    pub role: Role,
    /// Who made it.
    pub principal: Option<Arc<str>>,
    /// Free-form; reservations with different labels are different.
    pub labels: Labels,
}

/// Where a disk resource comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskKind {
    /// A directory; may be divided.
    Path,
    /// A mounted file system; exclusive.
    Mount,
    /// A raw block device; exclusive.
    Block,
    /// A storage pool, or with an id an unformatted device.
    Raw,
}

/// The source of a disk resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskSource {
    /// What it is.
    pub kind: DiskKind,
    /// `path.root` or `mount.root`.
    pub root: Option<Arc<str>>,
    /// The storage vendor.
    pub vendor: Option<Arc<str>>,
    /// The vendor's id of it.
    pub id: Option<Arc<str>>,
    /// The vendor's description.
    pub metadata: Labels,
    /// The storage profile.
    pub profile: Option<Arc<str>>,
}

/// A persistent volume's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Persistence {
    /// Chosen by the framework, unique per role and agent.
    pub id: Arc<str>,
    /// Who made it.
    pub principal: Option<Arc<str>>,
}

/// Where a volume appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskVolume {
    /// The path inside.
    pub container_path: Arc<str>,
    /// The path outside; must be unset for persistent volumes.
    pub host_path: Option<Arc<str>>,
    /// Whether it may be written.
    pub writable: bool,
    /// Encoded `mesos.v1.Volume`.
    pub wire: Bytes,
}

/// What a disk resource is besides its size.
///
/// Equality looks at the source and the persistence id only, as in Mesos: where a volume is mounted is no
/// part of what it is.
#[derive(Clone, Debug, Default)]
pub struct DiskInfo {
    /// Set for persistent volumes.
    pub persistence: Option<Persistence>,
    /// Where it is to appear.
    pub volume: Option<DiskVolume>,
    /// Unset for the agent's work directory.
    pub source: Option<DiskSource>,
}

impl PartialEq for DiskInfo {
    fn eq(&self, other: &Self) -> bool {
        let id = |d: &DiskInfo| d.persistence.as_ref().map(|p| p.id.clone());
        self.source == other.source && id(self) == id(other)
    }
}

impl Eq for DiskInfo {}

/// One entry of a bag: an amount and everything that tells it from other amounts of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// For example `cpus`; see [`name`] for cheap well-known ones.
    pub name: Name,
    /// How much.
    pub value: Value,
    /// The role it is offered or allocated to.
    pub allocation: Option<Role>,
    /// What sets it apart from a plain amount.
    pub traits: Traits,
}

// Bags are read for every offer and every task, mostly from memory that no cache holds: those of an ordinary agent are
// three lines of it.
const _: () = assert!(std::mem::size_of::<Resource>() <= 40);

impl Resource {
    /// An unreserved, unallocated amount.
    pub fn new(name: Name, value: Value) -> Resource {
        Resource {
            name,
            value,
            allocation: None,
            traits: Traits::default(),
        }
    }

    /// The same, set apart from a plain amount.
    #[must_use]
    pub fn with(mut self, particulars: Particulars) -> Resource {
        self.traits = particulars.into();
        self
    }

    /// An unreserved, unallocated scalar.
    pub fn scalar(resource_name: &str, amount: Scalar) -> Resource {
        Resource::new(name(resource_name), Value::Scalar(amount))
    }

    /// The role the current reservation is for, `None` if unreserved.
    pub fn reservation_role(&self) -> Option<&Role> {
        self.traits.reservations.last().map(|r| &r.role)
    }

    /// Whether it may be offered to `role`: unreserved, or reserved to it or to a role above it.
    pub fn is_allocatable_to(&self, role: &Role) -> bool {
        self.reservation_role()
            .is_none_or(|reserved| role.is_within(reserved))
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.traits.disk.as_ref().is_some_and(|d| d.persistence.is_some())
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar(s) => *s <= Scalar::ZERO,
            Value::Ranges(r) => r.is_empty(),
            Value::Set(s) => s.is_empty(),
        }
    }

    /// The amount as a number: the scalar, the count of numbers in ranges, the size of a set.
    pub fn quantity(&self) -> Scalar {
        match &self.value {
            Value::Scalar(s) => *s,
            Value::Ranges(r) => Scalar::whole(r.count()),
            Value::Set(s) => Scalar::whole(s.len() as u64),
        }
    }

    /// Whether two entries differ in their amount at most.
    pub fn same_kind(&self, other: &Resource) -> bool {
        self.name == other.name
            && std::mem::discriminant(&self.value) == std::mem::discriminant(&other.value)
            && self.allocation == other.allocation
            && self.traits == other.traits
    }

    /// Whether it can only be had whole: shared resources, persistent volumes, exclusive disks.
    pub fn is_indivisible(&self) -> bool {
        if self.traits.is_plain() {
            return false;
        }
        if self.traits.shared {
            return true;
        }
        let Some(disk) = &self.traits.disk else {
            return false;
        };
        disk.persistence.is_some()
            || disk.source.as_ref().is_some_and(|s| match s.kind {
                DiskKind::Path => false,
                DiskKind::Mount | DiskKind::Block => true,
                DiskKind::Raw => s.id.is_some(),
            })
    }
}

/// A resource's name; the well-known ones are no allocation.
pub fn name(text: &str) -> Name {
    match text {
        "cpus" => literal!("cpus"),
        "mem" => literal!("mem"),
        "disk" => literal!("disk"),
        "gpus" => literal!("gpus"),
        "ports" => literal!("ports"),
        other => Name::from(other),
    }
}
