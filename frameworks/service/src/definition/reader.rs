//! Reads typed fields out of a JSON object the way Marathon does: `null` is absent, unknown fields are ignored, and each
//! field of the wrong type is a problem with a code under its path.

use super::problems::Problems;
use meseta_types::Scalar;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Largest amount of one resource: that of the master.
const AMOUNT_MAX: f64 = Scalar::MAX_AMOUNT.0 as f64 / 1000.0;

/// A JSON object and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
    problems: &'a Problems,
}

impl<'a> Object<'a> {
    /// The object itself, or a problem under its path.
    pub(crate) fn new(value: &'a Value, path: &'a str, problems: &'a Problems) -> Option<Object<'a>> {
        let Value::Object(map) = value else {
            problems.shape(path, "error.expected.jsobject");
            return None;
        };
        Some(Object { map, path, problems })
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether any field is there that is not one of these.
    pub(crate) fn has_others(&self, names: &[&str]) -> bool {
        self.map
            .iter()
            .any(|(name, value)| !value.is_null() && !names.contains(&name.as_str()))
    }

    /// Where problems are noted.
    pub(crate) fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Its own path.
    pub(crate) fn path(&self) -> &'a str {
        self.path
    }

    /// How many entries a map has, whatever they are.
    pub(crate) fn entries(&self, name: &str) -> Option<usize> {
        self.read(name, "error.expected.jsobject", |value| {
            value.as_object().map(Map::len)
        })
    }

    /// The path of a field.
    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Notes a problem of a field.
    pub(crate) fn problem(&self, name: &str, error: &str) {
        self.problems.shape(self.path_of(name), error);
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The value, or a problem if the field is not there at all.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Option<T> {
        if !self.has(name) {
            self.problem(name, "error.path.missing");
        }
        value
    }

    fn read<T>(&self, name: &str, expected: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.get(name)?;
        let got = read(value);
        if got.is_none() {
            self.problem(name, expected);
        }
        got
    }

    pub(crate) fn string(&self, name: &str) -> Option<String> {
        self.get(name)
            .and_then(|value| self.text(value, || self.path_of(name)))
    }

    /// A text. Programs and their variables cannot hold a NUL character.
    pub(crate) fn text(&self, value: &Value, path: impl Fn() -> String) -> Option<String> {
        let Value::String(text) = value else {
            self.problems.shape(path(), "error.expected.jsstring");
            return None;
        };
        if text.contains('\0') {
            self.problems.rule(path(), "must not contain a NUL character");
        }
        Some(text.clone())
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.read(name, "error.expected.jsboolean", Value::as_bool)
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.read(name, "error.expected.jsnumber", Value::as_f64)
    }

    /// A whole number of any size that fits; a range is a rule, not a shape.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        let Value::Number(number) = value else {
            self.problem(name, "error.expected.jsnumber");
            return None;
        };
        let whole = number.as_i64().or_else(|| {
            let double = number.as_f64()?;
            (double.fract() == 0.0 && double.abs() < 9e15).then_some(double as i64)
        });
        if whole.is_none() {
            self.problem(name, "error.expected.int");
        }
        whole
    }

    /// A whole number from 0 up, as far as Marathon's go.
    pub(crate) fn count(&self, name: &str) -> Option<u32> {
        let number = self.integer(name)?;
        if number < 0 {
            self.rule(name, &format!("got {number}, expected 0 or more"));
        }
        if number > i64::from(i32::MAX) {
            self.rule(name, &format!("got {number}, expected {} or less", i32::MAX));
        }
        u32::try_from(number.clamp(0, i64::from(i32::MAX))).ok()
    }

    /// A port number.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        let number = self.integer(name)?;
        let port = u16::try_from(number);
        if port.is_err() {
            self.rule(name, &format!("got {number}, expected between 0 and 65535"));
        }
        port.ok()
    }

    /// An amount of a resource.
    pub(crate) fn amount(&self, name: &str) -> Option<f64> {
        let amount = self.number(name)?;
        if amount < 0.0 {
            self.rule(name, &format!("got {amount}, expected 0 or more"));
        }
        if amount > AMOUNT_MAX {
            self.rule(name, &format!("got {amount}, expected {AMOUNT_MAX} or less"));
        }
        Some(amount)
    }

    /// A part of a whole.
    pub(crate) fn part(&self, name: &str) -> Option<f64> {
        let part = self.number(name)?;
        if !(0.0..=1.0).contains(&part) {
            self.rule(name, &format!("got {part}, expected between 0.0 and 1.0"));
        }
        Some(part)
    }

    /// Notes a broken rule of a field.
    pub(crate) fn rule(&self, name: &str, text: &str) {
        self.problems.rule(self.path_of(name), text);
    }

    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.string(name)?;
        let found = choices.iter().find(|(choice, _)| *choice == word);
        if found.is_none() {
            self.problem(name, "error.unknown.enum.literal");
        }
        found.map(|(_, value)| *value)
    }

    pub(crate) fn strings(&self, name: &str) -> Option<Vec<String>> {
        let values = self.array(name)?;
        let texts = values.iter().enumerate();
        let texts = texts.filter_map(|(index, value)| self.text(value, || self.element(name, index)));
        Some(texts.collect())
    }

    /// A list of lists of strings.
    pub(crate) fn rows(&self, name: &str) -> Option<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        for (index, value) in self.array(name)?.iter().enumerate() {
            let path = self.element(name, index);
            let Value::Array(cells) = value else {
                self.problems.shape(path, "error.expected.jsarray");
                continue;
            };
            let texts = cells.iter().enumerate();
            let texts = texts.filter_map(|(at, cell)| self.text(cell, || format!("{path}({at})")));
            rows.push(texts.collect());
        }
        Some(rows)
    }

    /// A list of whole numbers.
    pub(crate) fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let values = self.array(name)?;
        let numbers = values.iter().enumerate().filter_map(|(index, value)| {
            let number = value.as_i64();
            if number.is_none() {
                self.problems
                    .shape(self.element(name, index), "error.expected.jsnumber");
            }
            number
        });
        Some(numbers.collect())
    }

    /// A map of strings. Values that are `null` are left out.
    pub(crate) fn texts(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.map_of(name, |value, path| self.text(value, || path.to_owned()))
    }

    /// A map; `read` gets each value that is not `null` and its path, and notes its own problems.
    pub(crate) fn map_of<T>(
        &self,
        name: &str,
        read: impl Fn(&'a Value, &str) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Value::Object(map) = self.get(name)? else {
            self.problem(name, "error.expected.jsobject");
            return None;
        };
        let entries = map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .filter_map(|(key, value)| {
                let path = format!("{}/{key}", self.path_of(name));
                if key.contains('\0') {
                    self.problems.rule(&*path, "must not contain a NUL character");
                }
                Some((key.clone(), read(value, &path)?))
            });
        Some(entries.collect())
    }

    /// An object below this one.
    pub(crate) fn object<T>(&self, name: &str, read: impl FnOnce(Object<'_>) -> Option<T>) -> Option<T> {
        let path = self.path_of(name);
        read(Object::new(self.get(name)?, &path, self.problems)?)
    }

    /// A list of objects.
    pub(crate) fn objects<T>(
        &self,
        name: &str,
        mut read: impl FnMut(Object<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for (index, value) in self.array(name)?.iter().enumerate() {
            let path = self.element(name, index);
            if let Some(object) = Object::new(value, &path, self.problems) {
                list.extend(read(object));
            }
        }
        Some(list)
    }

    /// A field that is either a word or an object.
    pub(crate) fn word_or_object<T>(
        &self,
        name: &str,
        word: impl FnOnce(&str) -> Option<T>,
        read: impl FnOnce(Object<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.get(name)? {
            Value::String(text) => {
                let got = word(text);
                if got.is_none() {
                    self.problem(name, "error.unknown.enum.literal");
                }
                got
            }
            _ => self.object(name, read),
        }
    }

    /// An amount of a resource, or the given word (as `None`).
    pub(crate) fn amount_or_word(&self, name: &str, word: &str) -> Option<Option<f64>> {
        match self.get(name)? {
            Value::String(text) if text == word => Some(None),
            Value::Number(_) => self.amount(name).map(Some),
            _ => {
                self.problem(name, "error.expected.jsnumber");
                None
            }
        }
    }

    fn array(&self, name: &str) -> Option<&'a Vec<Value>> {
        self.read(name, "error.expected.jsarray", Value::as_array)
    }

    fn element(&self, name: &str, index: usize) -> String {
        format!("{}({index})", self.path_of(name))
    }
}
