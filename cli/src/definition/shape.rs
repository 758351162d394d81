//! What a field may hold, and the check of a JSON value against it.
//!
//! The servers drop fields they do not know, as Marathon and Chronos did; a misspelt one is then without effect and
//! nobody is told. Here a near miss is a mistake, and any other unknown field is said once.

use super::places::segment;
use crate::text::{nearest, shorten};
use serde_json::Value;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    Text,
    Bool,
    /// A whole number of at least this.
    Whole(i64),
    /// A number within these bounds.
    Number(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// An object with values of this shape under free names.
    Map(&'static Shape),
    Object(&'static [Field]),
    /// One or the other.
    Either(&'static Shape, &'static Shape),
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The modern form, of a field that is an old one.
    pub(super) modern: Option<&'static str>,
    /// Set by the server; without meaning in a file.
    pub(super) read_only: bool,
}

pub(super) const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        modern: None,
        read_only: false,
    }
}

impl Field {
    pub(super) const fn old(mut self, modern: &'static str) -> Field {
        self.modern = Some(modern);
        self
    }

    pub(super) const fn read_only(mut self) -> Field {
        self.read_only = true;
        self
    }
}

/// Something to tell about a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It may not be so.
    Wrong { pointer: String, text: String },
    /// No field of this name; one of a similar name is.
    NearMiss { pointer: String, nearest: &'static str },
    /// No field of this name.
    Unknown { pointer: String },
    /// An old form.
    Old { pointer: String, modern: &'static str },
}

/// How strictly values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As Marathon: types must fit.
    Strict,
    /// As Chronos: numbers may be texts and the other way round, `"true"` is a bool.
    Lenient,
}

/// Checks `value`, which is an object with these fields.
pub(super) fn check(value: &Value, fields: &'static [Field], reading: Reading) -> Vec<Finding> {
    let mut check = Check {
        reading,
        found: Vec::new(),
    };
    check.shape(value, &Shape::Object(fields), "");
    check.found
}

struct Check {
    reading: Reading,
    found: Vec<Finding>,
}

impl Check {
    fn shape(&mut self, value: &Value, shape: &Shape, pointer: &str) {
        // A null for an optional field is an absent field.
        if value.is_null() && !pointer.is_empty() {
            return;
        }
        match (shape, value) {
            (Shape::Object(fields), Value::Object(members)) => {
                for (name, value) in members {
                    self.member(name, value, fields, &format!("{pointer}/{}", segment(name)));
                }
            }
            (Shape::Map(inner), Value::Object(members)) => {
                for (name, value) in members {
                    self.shape(value, inner, &format!("{pointer}/{}", segment(name)));
                }
            }
            (Shape::List(inner), Value::Array(elements)) => {
                for (index, value) in elements.iter().enumerate() {
                    self.shape(value, inner, &format!("{pointer}/{index}"));
                }
            }
            (Shape::Either(one, _), _) if self.fits_kind(value, one) => self.shape(value, one, pointer),
            (Shape::Either(_, other), _) if self.fits_kind(value, other) => self.shape(value, other, pointer),
            _ if self.fits(value, shape) => {}
            _ => self.found.push(Finding::Wrong {
                pointer: pointer.to_owned(),
                text: format!("{}, expected {}", shown(value, shape), wanted(shape)),
            }),
        }
    }

    fn member(&mut self, name: &str, value: &Value, fields: &'static [Field], pointer: &str) {
        let pointer = pointer.to_owned();
        if let Some(field) = fields.iter().find(|f| f.name == name) {
            if let Some(modern) = field.modern.filter(|_| !value.is_null()) {
                self.found.push(Finding::Old {
                    pointer: pointer.clone(),
                    modern,
                });
            }
            return self.shape(value, &field.shape, &pointer);
        }
        let known = fields.iter().filter(|f| !f.read_only).map(|f| f.name);
        self.found.push(match nearest(name, known) {
            Some(nearest) => Finding::NearMiss { pointer, nearest },
            None => Finding::Unknown { pointer },
        });
    }

    /// Whether a value is of the kind a shape is about, whatever is inside it.
    fn fits_kind(&self, value: &Value, shape: &Shape) -> bool {
        match shape {
            Shape::Object(_) | Shape::Map(_) => value.is_object(),
            Shape::List(_) => value.is_array(),
            Shape::Either(one, other) => self.fits_kind(value, one) || self.fits_kind(value, other),
            _ => self.fits(value, shape),
        }
    }

    fn fits(&self, value: &Value, shape: &Shape) -> bool {
        let lenient = self.reading == Reading::Lenient;
        match shape {
            Shape::Any => true,
            Shape::Text => value.is_string() || (lenient && value.is_number()),
            Shape::Bool => value.is_boolean() || (lenient && is_bool_text(value)),
            Shape::Whole(least) => {
                let number = self.number(value);
                number.is_some_and(|n| n.fract() == 0.0 && n >= *least as f64)
            }
            Shape::Number(least, most) => self.number(value).is_some_and(|n| n >= *least && n <= *most),
            Shape::OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
            Shape::List(_) | Shape::Map(_) | Shape::Object(_) | Shape::Either(..) => false,
        }
    }

    fn number(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if self.reading == Reading::Lenient => text.trim().parse().ok(),
            _ => None,
        }
    }
}

fn is_bool_text(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|t| t.eq_ignore_ascii_case("true") || t.eq_ignore_ascii_case("false"))
}

/// A value in an error: itself, and its type where that is what is wrong.
fn shown(value: &Value, shape: &Shape) -> String {
    /// Longer texts lose their middle: the place tells the rest.
    const SHOWN_CHARS: usize = 40;
    let number = is_about_numbers(shape);
    match value {
        Value::Null => "null".to_owned(),
        Value::Number(n) if number => n.to_string(),
        Value::Number(n) => format!("{n} is a number"),
        Value::Bool(b) => format!("{b} is a truth value"),
        Value::String(text) if matches!(shape, Shape::OneOf(_)) => {
            format!("{:?}", shorten(text, SHOWN_CHARS))
        }
        Value::String(text) => format!("{:?} is text", shorten(text, SHOWN_CHARS)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn is_about_numbers(shape: &Shape) -> bool {
    match shape {
        Shape::Number(..) | Shape::Whole(_) => true,
        Shape::Either(one, other) => is_about_numbers(one) || is_about_numbers(other),
        _ => false,
    }
}

fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Bool => "true or false".to_owned(),
        Shape::Whole(least) if *least == i64::MIN => "a whole number".to_owned(),
        Shape::Whole(least) => format!("a whole number from {least}"),
        Shape::Number(least, most) if most.is_infinite() => format!("a number from {least}"),
        Shape::Number(least, most) => format!("{least:.1} to {most:.1}"),
        Shape::OneOf(texts) => texts.join(" or "),
        Shape::List(inner) => format!("a list ({} each)", wanted(inner)),
        Shape::Map(inner) => format!("an object with {} in each member", wanted(inner)),
        Shape::Object(fields) => {
            let names: Vec<&str> = fields.iter().take(3).map(|f| f.name).collect();
            format!("an object with members such as {}", names.join(", "))
        }
        Shape::Either(one, other) => format!("{} or {}", wanted(one), wanted(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const INNER: &[Field] = &[field("depth", Shape::Whole(1))];
    const FIELDS: &[Field] = &[
        field("name", Shape::Text),
        field("count", Shape::Whole(0)),
        field("part", Shape::Number(0.0, 1.0)),
        field("mode", Shape::OneOf(&["RO", "RW"])),
        field("env", Shape::Map(&Shape::Text)),
        field("inner", Shape::Object(INNER)),
        field("list", Shape::List(&Shape::Object(INNER))),
        field(
            "either",
            Shape::Either(&Shape::OneOf(&["disabled"]), &Shape::Object(INNER)),
        ),
        field("uris", Shape::List(&Shape::Text)).old("fetch"),
        field("tasks", Shape::Any).read_only(),
    ];

    fn wrong(value: &Value, reading: Reading) -> Vec<String> {
        let found = check(value, FIELDS, reading);
        let text = |finding| match finding {
            Finding::Wrong { pointer, text } => format!("{pointer} {text}"),
            other => format!("{other:?}"),
        };
        found.into_iter().map(text).collect()
    }

    #[test]
    fn values_must_fit_and_the_text_says_what_would() {
        let value = json!({
            "name": 5, "count": "three", "part": 1.5, "mode": "ro", "env": {"A": 1, "B": "b"},
            "inner": {"depth": 0}, "list": [{"depth": 1}, {"depth": 1.5}, 7], "either": "off",
        });
        assert_eq!(
            wrong(&value, Reading::Strict),
            [
                "/count \"three\" is text, expected a whole number from 0",
                "/either \"off\" is text, expected disabled or an object with members such as depth",
                "/env/A 1 is a number, expected text",
                "/inner/depth 0, expected a whole number from 1",
                "/list/1/depth 1.5, expected a whole number from 1",
                "/list/2 7 is a number, expected an object with members such as depth",
                "/mode \"ro\", expected RO or RW",
                "/name 5 is a number, expected text",
                "/part 1.5, expected 0.0 to 1.0",
            ]
        );
    }

    #[test]
    fn nulls_are_absent_and_right_values_pass() {
        let value =
            json!({"name": null, "uris": null, "count": 0, "part": 1, "either": "disabled", "inner": {}});
        assert_eq!(wrong(&value, Reading::Strict), [""; 0]);
        assert_eq!(wrong(&json!({"either": {"depth": 2}}), Reading::Strict), [""; 0]);
    }

    #[test]
    fn lenient_reading_takes_numbers_in_texts() {
        let value = json!({"name": 5, "count": "3", "part": "0.5"});
        assert_eq!(wrong(&value, Reading::Lenient), [""; 0]);
        assert_eq!(wrong(&json!({"count": "x"}), Reading::Lenient).len(), 1);
    }

    #[test]
    fn unknown_names_are_told_apart_from_near_misses() {
        let found = check(
            &json!({"Name": "x", "cuont": 1, "nonsense": 1, "uris": []}),
            FIELDS,
            Reading::Strict,
        );
        assert_eq!(
            found,
            [
                Finding::NearMiss {
                    pointer: "/Name".into(),
                    nearest: "name"
                },
                Finding::NearMiss {
                    pointer: "/cuont".into(),
                    nearest: "count"
                },
                Finding::Unknown {
                    pointer: "/nonsense".into()
                },
                Finding::Old {
                    pointer: "/uris".into(),
                    modern: "fetch"
                },
            ]
        );
    }
}
