//! Scalars by dense number of their name: what shares are computed from.

use meseta_types::resource::{Name, Resources, Value};
use meseta_types::{Resource, Scalar};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that count in shares; those of agents beyond this many do not. Real clusters have a handful.
const NAMES_MAX: usize = 256;

/// The dense number of a resource's name.
pub(crate) type NameNo = usize;

/// Numbers for the names of scalars, given out once and never taken back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    known: Vec<Name>,
    excluded: BTreeSet<Arc<str>>,
}

impl Names {
    pub(crate) fn new(excluded: BTreeSet<Arc<str>>) -> Names {
        Names {
            known: Vec::new(),
            excluded,
        }
    }

    fn number(&mut self, name: &Name) -> Option<NameNo> {
        let found = self.known.iter().position(|k| k == name);
        if found.is_some() {
            return found;
        }
        if self.excluded.contains(name.as_str()) || self.known.len() >= NAMES_MAX {
            return None;
        }
        self.known.push(name.clone());
        Some(self.known.len() - 1)
    }

    /// The scalars of `resources` that count, in thousandths, into `out`. A name may come more than once.
    pub(crate) fn scalars<'a>(&mut self, resources: impl IntoIterator<Item = &'a Resource>, out: &mut Delta) {
        out.clear();
        for r in resources {
            if let Value::Scalar(amount) = &r.value
                && let Some(no) = self.number(&r.name)
            {
                out.push((no, amount.milli()));
            }
        }
    }

    /// As [`Names::scalars`], a shared resource once however many copies there are.
    pub(crate) fn distinct_scalars(&mut self, resources: &Resources, out: &mut Delta) {
        let all: Vec<&Resource> = resources.iter().collect();
        let distinct = all
            .iter()
            .enumerate()
            .filter(|(i, r)| !r.traits.shared || !all.iter().take(*i).any(|earlier| earlier == *r))
            .map(|(_, r)| *r);
        self.scalars(distinct, out);
    }
}

/// A change: thousandths by name.
pub(crate) type Delta = Vec<(NameNo, i64)>;

/// Sums in thousandths, by number of the name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Amounts(Vec<i64>);

impl Amounts {
    pub(crate) fn add(&mut self, delta: &[(NameNo, i64)]) {
        for (no, milli) in delta {
            if self.0.len() <= *no {
                self.0.resize(*no + 1, 0);
            }
            if let Some(sum) = self.0.get_mut(*no) {
                *sum = sum.saturating_add(*milli);
            }
        }
    }

    pub(crate) fn subtract(&mut self, delta: &[(NameNo, i64)]) {
        for (no, milli) in delta {
            if let Some(sum) = self.0.get_mut(*no) {
                *sum = sum.saturating_sub(*milli);
            }
        }
    }

    /// The largest part of a total that this is: all in doubles and in this order of operations, as Mesos computes
    /// it, because equal shares must compare equal.
    pub(crate) fn dominant_share(&self, totals: &Amounts) -> f64 {
        let parts = self.0.iter().zip(&totals.0).filter(|(_, total)| **total > 0);
        parts
            .map(|(mine, total)| Scalar(*mine).to_f64() / Scalar(*total).to_f64())
            .fold(0.0, f64::max)
    }
}

impl PartialEq for Amounts {
    /// A missing number is a zero.
    fn eq(&self, other: &Self) -> bool {
        let at = |a: &Amounts, i: usize| a.0.get(i).copied().unwrap_or(0);
        (0..self.0.len().max(other.0.len())).all(|i| at(self, i) == at(other, i))
    }
}
