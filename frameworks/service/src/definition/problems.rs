//! What is wrong with a definition: each problem under the path of the field it is about.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// A definition that is refused. Both kinds are 422 with the same shape; the message tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which kind.
    pub kind: Kind,
    /// What is wrong, by path.
    pub details: Vec<Detail>,
}

/// Why a definition is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A field has the wrong type or is missing: the errors are codes.
    Shape,
    /// The fields are readable and break a rule: the errors are texts.
    Rule,
}

impl Kind {
    /// As Marathon says it.
    pub fn message(self) -> &'static str {
        match self {
            Kind::Shape => "Invalid JSON",
            Kind::Rule => "Object is not valid",
        }
    }
}

/// The problems of one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Detail {
    /// `/` for the whole object, `/field/sub`, list indices in parentheses: `/fetch(0)/uri`.
    pub path: String,
    /// At least one.
    pub errors: Vec<String>,
}

impl Invalid {
    /// One broken rule.
    pub fn rule(path: impl Into<String>, error: impl Into<String>) -> Invalid {
        Invalid {
            kind: Kind::Rule,
            details: vec![Detail {
                path: path.into(),
                errors: vec![error.into()],
            }],
        }
    }

    /// The same problems below a prefix such as `(3)`, for lists of definitions.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Invalid {
        for detail in &mut self.details {
            detail.path = if detail.path == "/" {
                format!("/{prefix}")
            } else {
                format!("/{prefix}{}", detail.path)
            };
        }
        self
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.message())?;
        for detail in &self.details {
            write!(f, "; {}: {}", detail.path, detail.errors.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Collects problems while a definition is read and checked, so that a user sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    shapes: RefCell<BTreeMap<String, Vec<String>>>,
    rules: RefCell<BTreeMap<String, Vec<String>>>,
}

/// Problems that are told; a body can have one per byte, and nobody reads more.
const TOLD_MAX: usize = 100;

impl Problems {
    /// A field of the wrong type, or missing: a code.
    pub(crate) fn shape(&self, path: impl Into<String>, code: &str) {
        note(&self.shapes, path.into(), code.to_owned());
    }

    /// A broken rule: a text.
    pub(crate) fn rule(&self, path: impl Into<String>, text: impl Into<String>) {
        note(&self.rules, path.into(), text.into());
    }

    /// A broken rule unless `fits`.
    pub(crate) fn require(&self, fits: bool, path: &str, text: &str) {
        if !fits {
            self.rule(path, text);
        }
    }

    /// Whether fields could not be read: then there is nothing to check rules on.
    pub(crate) fn has_shapes(&self) -> bool {
        !self.shapes.borrow().is_empty()
    }

    /// `value`, unless there were problems. Those of shape hide the others.
    pub(crate) fn into_result<T>(self, value: T) -> Result<T, Invalid> {
        let (shapes, rules) = (self.shapes.into_inner(), self.rules.into_inner());
        let (kind, all) = match (shapes.is_empty(), rules.is_empty()) {
            (true, true) => return Ok(value),
            (false, _) => (Kind::Shape, shapes),
            (true, false) => (Kind::Rule, rules),
        };
        let details = all.into_iter().map(|(path, errors)| Detail { path, errors });
        Err(Invalid {
            kind,
            details: details.collect(),
        })
    }
}

fn note(all: &RefCell<BTreeMap<String, Vec<String>>>, path: String, error: String) {
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let mut all = all.borrow_mut();
    if all.len() < TOLD_MAX || all.contains_key(&path) {
        let errors = all.entry(path).or_default();
        if errors.len() < TOLD_MAX && !errors.contains(&error) {
            errors.push(error);
        }
    }
}
