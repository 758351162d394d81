//! Sets of numbers as sorted, coalesced, inclusive ranges.

use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Numbers from `begin` to `end`, both included; `begin <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first.
    pub begin: u64,
    /// The last.
    pub end: u64,
}

/// A set of numbers. Sorted, without overlaps, adjacent ranges joined; one pointer, cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Option<Arc<List>>);

/// Mostly one range.
type List = SmallVec<[Range; 1]>;

impl Ranges {
    fn from_list(list: List) -> Ranges {
        Ranges((!list.is_empty()).then(|| Arc::new(list)))
    }

    fn list(&self) -> &[Range] {
        self.0.as_deref().map_or(&[], SmallVec::as_slice)
    }

    /// From ranges in any order; overlaps and neighbours join, inverted ones (`begin > end`) are left out.
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Ranges {
        let mut list: Vec<Range> = ranges.into_iter().filter(|r| r.begin <= r.end).collect();
        list.sort_unstable();
        let mut out = List::new();
        for range in list {
            match out.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => out.push(range),
            }
        }
        Ranges::from_list(out)
    }

    /// One range; empty if `begin > end`.
    pub fn one(begin: u64, end: u64) -> Ranges {
        Ranges::new([Range { begin, end }])
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.list().iter().copied()
    }

    /// Every number, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().flat_map(|r| r.begin..=r.end)
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many numbers there are (saturating).
    pub fn count(&self) -> u64 {
        self.iter()
            .fold(0u64, |n, r| n.saturating_add((r.end - r.begin).saturating_add(1)))
    }

    /// Both together.
    #[must_use]
    pub fn union(&self, other: &Ranges) -> Ranges {
        Ranges::new(self.iter().chain(other.iter()))
    }

    /// What is in here and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Ranges) -> Ranges {
        let mut out = List::new();
        let mut cuts = other.list().iter().peekable();
        for range in self.iter() {
            // The part of `range` not yet decided; `None` once its last number is cut away.
            let mut begin = Some(range.begin);
            while let Some(first) = begin {
                match cuts.peek() {
                    Some(cut) if cut.end < first => {
                        cuts.next();
                    }
                    Some(cut) if cut.begin <= range.end => {
                        if cut.begin > first {
                            out.push(Range {
                                begin: first,
                                end: cut.begin - 1,
                            });
                        }
                        begin = cut.end.checked_add(1).filter(|next| *next <= range.end);
                    }
                    _ => {
                        out.push(Range {
                            begin: first,
                            end: range.end,
                        });
                        begin = None;
                    }
                }
            }
        }
        Ranges::from_list(out)
    }

    /// Whether every number of `other` is in here.
    pub fn contains(&self, other: &Ranges) -> bool {
        let mut mine = self.list().iter().peekable();
        other.iter().all(|wanted| {
            while mine.next_if(|r| r.end < wanted.begin).is_some() {}
            mine.peek()
                .is_some_and(|r| r.begin <= wanted.begin && wanted.end <= r.end)
        })
    }

    /// Whether some number is in both.
    pub fn intersects(&self, other: &Ranges) -> bool {
        let (mut a, mut b) = (self.list().iter().peekable(), other.list().iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            if x.end < y.begin {
                a.next();
            } else if y.end < x.begin {
                b.next();
            } else {
                return true;
            }
        }
        false
    }
}

impl FromIterator<Range> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range>>(iter: I) -> Ranges {
        Ranges::new(iter)
    }
}

impl fmt::Display for Ranges {
    /// For example `[1-10, 20-20]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, r) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}-{}", r.begin, r.end)?;
        }
        f.write_str("]")
    }
}
