//! What sets an entry of a bag apart from a plain amount. Most entries have nothing of it, so it lies apart from them.

use super::{DiskInfo, Reservation};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// What few resources have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// The stack of reservations, current one last; empty: unreserved.
    pub reservations: Vec<Reservation>,
    /// For disks that are more than space in the work directory.
    pub disk: Option<Arc<DiskInfo>>,
    /// Oversubscribed: may be taken back at any time.
    pub revocable: bool,
    /// May be used by several tasks at once. A bag holds one entry per copy.
    pub shared: bool,
    /// The resource provider it comes from, if not the agent itself.
    pub provider_id: Option<Arc<str>>,
}

static PLAIN: LazyLock<Particulars> = LazyLock::new(Particulars::default);

/// The [`Particulars`] of a resource, in one pointer that is null for a plain amount. Reads like them.
#[derive(Clone, Debug, Default)]
pub struct Traits(Option<Arc<Particulars>>);

impl Traits {
    /// Whether there is nothing: unreserved space or amount of the agent itself, for one task at a time.
    pub fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    /// Changes them.
    pub fn change(&mut self, change: impl FnOnce(&mut Particulars)) {
        let mut changed = Particulars::clone(self);
        change(&mut changed);
        *self = changed.into();
    }
}

impl Deref for Traits {
    type Target = Particulars;
    fn deref(&self) -> &Particulars {
        self.0.as_deref().unwrap_or(&PLAIN)
    }
}

impl From<Particulars> for Traits {
    fn from(particulars: Particulars) -> Traits {
        Traits((particulars != *PLAIN).then(|| Arc::new(particulars)))
    }
}

impl PartialEq for Traits {
    fn eq(&self, other: &Traits) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Eq for Traits {}
