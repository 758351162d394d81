//! Fixed point numbers with three decimals.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// A quantity in thousandths. All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(pub i64);

impl Scalar {
    /// Nothing.
    pub const ZERO: Scalar = Scalar(0);

    /// The largest amount one resource may have: up to here a double tells each thousandth from the next, also after it was
    /// multiplied as Mesos does it, so that an amount comes back from the wire and from text as it was, and a thousand such
    /// amounts still add up without overflow.
    pub const MAX_AMOUNT: Scalar = Scalar((1 << 42) * 1000);

    /// From the wire's double: rounded half away from zero to three decimals; NaN is zero, the rest saturates.
    pub fn from_f64(value: f64) -> Scalar {
        Scalar((value * 1000.0).round() as i64)
    }

    /// A whole number of units.
    pub fn whole(units: u64) -> Scalar {
        Scalar(i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// As the wire's double, computed as Mesos does so that the bits are the same.
    pub fn to_f64(self) -> f64 {
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    /// Thousandths.
    pub fn milli(self) -> i64 {
        self.0
    }

    /// Whether there is no fraction.
    pub fn is_whole(self) -> bool {
        self.0 % 1000 == 0
    }
}

impl Add for Scalar {
    type Output = Scalar;
    fn add(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_add(other.0))
    }
}

impl Sub for Scalar {
    type Output = Scalar;
    fn sub(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Scalar) {
        *self = *self + other;
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Scalar) {
        *self = *self - other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Scalar>>(iter: I) -> Scalar {
        iter.fold(Scalar::ZERO, Add::add)
    }
}

impl fmt::Display for Scalar {
    /// Without trailing zeros, for example `1.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, abs) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}", abs / 1000)?;
        match abs % 1000 {
            0 => Ok(()),
            m if m % 100 == 0 => write!(f, ".{}", m / 100),
            m if m % 10 == 0 => write!(f, ".{:02}", m / 10),
            m => write!(f, ".{m:03}"),
        }
    }
}
