//! Resources as people write them and as messages show them.

use super::{
    DiskInfo, DiskKind, Range, Ranges, Reservation, ReservationKind, Resource, ResourceError, Resources,
    Scalar, Value,
};
use crate::id::{Role, RoleError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Why a text is no list of resources (or attributes).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum ParseError {
    #[error("Bad value for resources, missing or extra ':' in {0}")]
    Colon(String),
    #[error("Bad value for resources, mismatched parentheses in {0}")]
    Parentheses(String),
    #[error("Failed to parse resource {name} value {value} error {error}")]
    Value {
        name: String,
        value: String,
        error: ValueError,
    },
    #[error("Bad type for resource {name} value {value} type {kind}")]
    Kind {
        name: String,
        value: String,
        kind: &'static str,
    },
    #[error("Failed to parse quantity {name} value {value}: only scalars are allowed")]
    NotScalar { name: String, value: String },
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Invalid(#[from] ResourceError),
    #[error("Resources with the same name ('{0}') but different types are not allowed")]
    MixedTypes(String),
    #[error("{0} cannot be specified at the command line")]
    NotOnCommandLine(&'static str),
}

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum ValueError {
    #[error("Expecting non-empty string")]
    Empty,
    #[error("Mismatched brackets")]
    Brackets,
    #[error("Unexpected '{0}' found")]
    Unexpected(char),
    #[error("Expecting one or more \"ranges\"")]
    Ranges,
    #[error("Expecting non-negative integers in '{0}'")]
    Integer(String),
    #[error("'{0}' is not a normal number")]
    NotNormal(String),
    #[error("Negative values not supported: '{0}'")]
    Negative(String),
    #[error("{0}")]
    Amount(ResourceError),
}

/// Parses one value: `[1-2, 5-6]` ranges, `{a, b}` a set, a number; `None` if it is plain text. Spaces do not count.
pub fn parse_value(text: &str) -> Result<Option<Value>, ValueError> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    if text.is_empty() {
        return Err(ValueError::Empty);
    }
    if !balanced(&text) {
        return Err(ValueError::Brackets);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(ValueError::Ranges)?;
        return parse_ranges(inner).map(|r| Some(Value::Ranges(r)));
    }
    if let Some(inner) = text.strip_prefix('{') {
        let inner = inner.strip_suffix('}').ok_or(ValueError::Brackets)?;
        // In another order of the items they might not match any more.
        if let Some(c) = inner.chars().find(|c| matches!(c, '[' | ']' | '{' | '}')) {
            return Err(ValueError::Unexpected(c));
        }
        let items: BTreeSet<Arc<str>> = inner
            .split([',', '\n'])
            .filter(|item| !item.is_empty())
            .map(Arc::from)
            .collect();
        return Ok(Some(Value::Set(Arc::new(items))));
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '[' | '{')) {
        return Err(ValueError::Unexpected(c));
    }
    parse_number(&text).map(|n| n.map(Value::Scalar))
}

fn balanced(text: &str) -> bool {
    [('{', '}'), ('[', ']'), ('(', ')')].iter().all(|(open, close)| {
        let mut depth = 0usize;
        for c in text.chars() {
            if c == *open {
                depth += 1;
            } else if c == *close {
                let Some(less) = depth.checked_sub(1) else {
                    return false;
                };
                depth = less;
            }
        }
        depth == 0
    })
}

fn parse_ranges(inner: &str) -> Result<Ranges, ValueError> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| ValueError::Integer(text.to_owned()))
    };
    inner
        .split([',', '\n'])
        .filter(|range| !range.is_empty())
        .map(|range| {
            let (begin, end) = range.split_once('-').ok_or(ValueError::Ranges)?;
            let (begin, end) = (number(begin)?, number(end)?);
            if begin > end {
                return Err(ValueError::Amount(ResourceError::Inverted));
            }
            Ok(Range { begin, end })
        })
        .collect()
}

fn parse_number(text: &str) -> Result<Option<Scalar>, ValueError> {
    let Ok(number) = text.parse::<f64>() else {
        return Ok(None);
    };
    if !number.is_normal() && number != 0.0 {
        return Err(ValueError::NotNormal(text.to_owned()));
    }
    if number < 0.0 {
        return Err(ValueError::Negative(text.to_owned()));
    }
    Scalar::amount(number).map(Some).map_err(ValueError::Amount)
}

impl Resources {
    /// Parses `name(role):value;name:value`, for example `cpus:4;mem:8192;ports:[31000-32000]`; entries without a
    /// role get `default_role`. The result has passed [`Resources::validate_command_line`].
    pub fn parse(text: &str, default_role: &Role) -> Result<Resources, ParseError> {
        // Empty amounts count for the types and vanish from the result.
        let mut all = Vec::new();
        for token in text.split([';', '\n']).filter(|t| !t.trim().is_empty()) {
            all.push(parse_entry(token, default_role)?);
        }
        validate_types(all.iter())?;
        let resources: Resources = all.into_iter().collect();
        resources.validate_command_line()?;
        Ok(resources)
    }

    /// Checks what an agent's `--resources` must not have, in whichever form they came: volumes, revocable
    /// resources, dynamic reservations, one name with several types.
    pub fn validate_command_line(&self) -> Result<(), ParseError> {
        for resource in self.iter() {
            resource.validate()?;
            if resource.is_persistent_volume() {
                return Err(ParseError::NotOnCommandLine("Persistent volumes"));
            }
            if resource.traits.revocable {
                return Err(ParseError::NotOnCommandLine("Revocable resources"));
            }
            if resource
                .traits
                .reservations
                .iter()
                .any(|r| r.kind == ReservationKind::Dynamic)
            {
                return Err(ParseError::NotOnCommandLine("Dynamic reservations"));
            }
        }
        self.validate_gpus()?;
        validate_types(self.iter())
    }
}

fn validate_types<'a>(entries: impl Iterator<Item = &'a Resource>) -> Result<(), ParseError> {
    let mut types = BTreeMap::new();
    for r in entries {
        let kind = std::mem::discriminant(&r.value);
        if *types.entry(&*r.name).or_insert(kind) != kind {
            return Err(ParseError::MixedTypes(r.name.to_string()));
        }
    }
    Ok(())
}

fn parse_entry(token: &str, default_role: &Role) -> Result<Resource, ParseError> {
    let colon = || ParseError::Colon(token.to_owned());
    let (key, value) = token.split_once(':').ok_or_else(colon)?;
    if value.contains(':') || value.trim().is_empty() || key.trim().is_empty() {
        return Err(colon());
    }
    let (name, role) = match key.split_once('(') {
        None if key.contains(')') => return Err(ParseError::Parentheses(token.to_owned())),
        None => (key.trim(), default_role.clone()),
        Some((name, rest)) => {
            let role = rest
                .trim_end()
                .strip_suffix(')')
                .filter(|role| !role.contains(['(', ')']) && !name.contains(')'))
                .ok_or_else(|| ParseError::Parentheses(token.to_owned()))?;
            (name.trim(), Role::new(role.trim())?)
        }
    };
    let bad_value = |error| ParseError::Value {
        name: name.to_owned(),
        value: value.trim().to_owned(),
        error,
    };
    let parsed = parse_value(value).map_err(bad_value)?;
    let parsed = parsed.ok_or_else(|| ParseError::Kind {
        name: name.to_owned(),
        value: value.trim().to_owned(),
        kind: "TEXT",
    })?;
    let mut resource = Resource::new(super::name(name), parsed);
    if !role.is_star() {
        let reservation = Reservation {
            kind: ReservationKind::Static,
            role,
            principal: None,
            labels: Vec::new(),
        };
        resource
            .traits
            .change(|traits| traits.reservations.push(reservation));
    }
    resource.validate()?;
    Ok(resource)
}

impl DiskKind {
    /// The wire name, for example `MOUNT`.
    pub fn name(self) -> &'static str {
        match self {
            DiskKind::Path => "PATH",
            DiskKind::Mount => "MOUNT",
            DiskKind::Block => "BLOCK",
            DiskKind::Raw => "RAW",
        }
    }
}

impl ReservationKind {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            ReservationKind::Static => "STATIC",
            ReservationKind::Dynamic => "DYNAMIC",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(s) => s.fmt(f),
            Value::Ranges(r) => r.fmt(f),
            Value::Set(set) => {
                f.write_str("{")?;
                for (i, item) in set.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn fmt_disk(disk: &DiskInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[")?;
    if let Some(source) = &disk.source {
        f.write_str(source.kind.name())?;
        if let Some(id) = &source.id {
            write!(f, "({id})")?;
        }
        if let Some(root) = &source.root {
            write!(f, ":{root}")?;
        }
    }
    if let Some(persistence) = &disk.persistence {
        let comma = if disk.source.is_some() { "," } else { "" };
        write!(f, "{comma}{}", persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        write!(f, ":{}", volume.container_path)?;
    }
    f.write_str("]")
}

impl fmt::Display for Resource {
    /// As Mesos's messages show it, for example `cpus(allocated: dev):2` or
    /// `mem(reservations: [(STATIC,dev)]):128`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(role) = &self.allocation {
            write!(f, "(allocated: {role})")?;
        }
        if !self.traits.reservations.is_empty() {
            f.write_str("(reservations: [")?;
            for (i, r) in self.traits.reservations.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                write!(f, "{comma}({},{}", r.kind.name(), r.role)?;
                if let Some(principal) = &r.principal {
                    write!(f, ",{principal}")?;
                }
                f.write_str(")")?;
            }
            f.write_str("])")?;
        }
        if let Some(disk) = &self.traits.disk {
            fmt_disk(disk, f)?;
        }
        if self.traits.revocable {
            f.write_str("{REV}")?;
        }
        if self.traits.shared {
            f.write_str("<SHARED>")?;
        }
        write!(f, ":{}", self.value)
    }
}

impl fmt::Display for Resources {
    /// The entries separated by `; `. Unreserved, unallocated ones read back with [`Resources::parse`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, resource) in self.iter().enumerate() {
            write!(f, "{}{resource}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
