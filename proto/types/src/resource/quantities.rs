//! Amounts per name, whatever they are reserved for.

use super::{Name, ParseError, Scalar, Value, parse_value};
use std::collections::BTreeMap;
use std::fmt;

/// Names with amounts, sorted, without zeros; an absent name is zero. Ranges and sets count their elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(BTreeMap<Name, Scalar>);

impl Quantities {
    /// Parses `name:number;name:number`, for example `cpus:0.01;mem:32`.
    pub fn parse(text: &str) -> Result<Quantities, ParseError> {
        text.split(';')
            .filter(|token| !token.trim().is_empty())
            .map(|token| {
                let (name, value) = token
                    .split_once(':')
                    .ok_or_else(|| ParseError::Colon(token.to_owned()))?;
                match parse_value(value) {
                    Ok(Some(Value::Scalar(amount))) => Ok((super::name(name.trim()), amount)),
                    _ => Err(ParseError::NotScalar {
                        name: name.trim().to_owned(),
                        value: value.trim().to_owned(),
                    }),
                }
            })
            .collect()
    }

    /// The amount of a name.
    pub fn get(&self, name: &str) -> Scalar {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Scalar)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Name, Scalar)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Name, Scalar)>>(iter: I) -> Quantities {
        let mut out = BTreeMap::new();
        for (name, amount) in iter {
            *out.entry(name).or_insert(Scalar::ZERO) += amount;
        }
        out.retain(|_, amount| *amount > Scalar::ZERO);
        Quantities(out)
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, amount)) in self.iter().enumerate() {
            let semicolon = if i == 0 { "" } else { "; " };
            write!(f, "{semicolon}{name}:{amount}")?;
        }
        Ok(())
    }
}
