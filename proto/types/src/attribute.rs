//! An agent's attributes: names with values that frameworks choose agents by.

use crate::resource::{Ranges, Scalar, Value, parse_value};
use std::fmt;
use std::sync::Arc;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A number.
    Scalar(Scalar),
    /// Numbered things.
    Ranges(Ranges),
    /// Anything else.
    Text(Arc<str>),
}

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// May occur several times in a list.
    pub name: Arc<str>,
    /// Its value.
    pub value: AttributeValue,
}

/// Why a text is no list of attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum AttributeError {
    #[error("Invalid attribute key:value pair '{0}'")]
    Pair(String),
    #[error("Failed to parse attribute '{name}' value '{value}': {reason}")]
    Value {
        name: String,
        value: String,
        reason: String,
    },
}

/// Attributes in the order given; equality ignores the order.
#[derive(Clone, Debug, Default)]
pub struct Attributes(Arc<[Attribute]>);

impl Attributes {
    /// Takes the list as it is.
    pub fn new(list: impl IntoIterator<Item = Attribute>) -> Attributes {
        Attributes(list.into_iter().collect())
    }

    /// Parses `name:value;name:value` (or one pair a line); only the first `:` of a pair separates.
    pub fn parse(text: &str) -> Result<Attributes, AttributeError> {
        let pairs = text.split([';', '\n']).filter(|p| !p.trim().is_empty());
        pairs.map(parse_pair).collect::<Result<_, _>>()
    }

    /// The attributes in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }

    /// The first attribute of this name.
    pub fn first(&self, name: &str) -> Option<&AttributeValue> {
        self.iter().find(|a| &*a.name == name).map(|a| &a.value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_pair(pair: &str) -> Result<Attribute, AttributeError> {
    let bad_pair = || AttributeError::Pair(pair.trim().to_owned());
    let (name, value) = pair.split_once(':').ok_or_else(bad_pair)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(bad_pair());
    }
    let refuse = |reason: String| AttributeError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        reason,
    };
    let value = match parse_value(value).map_err(|e| refuse(e.to_string()))? {
        Some(Value::Scalar(s)) => AttributeValue::Scalar(s),
        Some(Value::Ranges(r)) => AttributeValue::Ranges(r),
        Some(Value::Set(_)) => return Err(refuse("sets are not allowed".to_owned())),
        None => AttributeValue::Text(Arc::from(value)),
    };
    Ok(Attribute {
        name: Arc::from(name),
        value,
    })
}

impl FromIterator<Attribute> for Attributes {
    fn from_iter<I: IntoIterator<Item = Attribute>>(iter: I) -> Attributes {
        Attributes::new(iter)
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        let count = |list: &Attributes, a: &Attribute| list.iter().filter(|b| *b == a).count();
        self.0.len() == other.0.len() && self.iter().all(|a| count(self, a) == count(other, a))
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Scalar(s) => s.fmt(f),
            AttributeValue::Ranges(r) => r.fmt(f),
            AttributeValue::Text(t) => f.write_str(t),
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, a) in self.iter().enumerate() {
            let semicolon = if i == 0 { "" } else { ";" };
            write!(f, "{semicolon}{}:{}", a.name, a.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pair_is_split_at_its_first_colon_and_names_may_repeat() {
        let list = Attributes::parse("rack:r1;url:http://x:80/\nlevel:2.5;rack:r2;p:[1-3]").unwrap();
        assert_eq!(
            list.to_string(),
            "rack:r1;url:http://x:80/;level:2.5;rack:r2;p:[1-3]"
        );
        assert_eq!(list.first("rack"), Some(&AttributeValue::Text(Arc::from("r1"))));
        assert_eq!(list.first("level"), Some(&AttributeValue::Scalar(Scalar(2500))));
    }

    #[test]
    fn sets_and_pairs_without_a_value_are_refused() {
        assert!(Attributes::parse("a:{x,y}").is_err());
        assert!(Attributes::parse("a").is_err());
        assert!(Attributes::parse("a:").is_err());
        assert!(Attributes::parse(":b").is_err());
    }

    #[test]
    fn the_order_of_attributes_has_no_meaning() {
        let parse = |t| Attributes::parse(t).unwrap();
        assert_eq!(parse("a:1;b:2;a:3"), parse("a:3;a:1;b:2"));
        assert_ne!(parse("a:1;a:1;b:2"), parse("a:1;b:2;b:2"));
    }
}
