//! Whether a living answer agrees with the recorded one.

use super::bind::Binder;
use super::http::Response;
use serde_json::Value;
use std::collections::BTreeSet;

type Map = serde_json::Map<String, Value>;

/// One way in which an answer differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The recording, or the recorded stream and its event.
    pub file: String,
    /// Where: `status`, `header NAME`, or the path in the body with `[]` for list elements.
    pub at: String,
    /// What.
    pub what: String,
}

/// Numbers nobody can foresee: only their kind is compared.
const FREE_NUMBERS: [&str; 25] = [
    "avg_load_1min",
    "avg_load_5min",
    "avg_load_15min",
    "timestamp",
    "nanoseconds",
    "start_time",
    "elected_time",
    "build_time",
    "registered_time",
    "reregistered_time",
    "unregistered_time",
    "executor_pid",
    "mtime",
    "size",
    "nlink",
    "offset",
    "ip",
    "pid",
    "uptime_secs",
    "load_1min",
    "load_5min",
    "load_15min",
    "cpus_total",
    "mem_total_bytes",
    "mem_free_bytes",
];

/// Texts nobody can foresee: only that they are texts.
const FREE_TEXTS: [&str; 8] = [
    "build_date",
    "build_user",
    "git_sha",
    "git_branch",
    "git_tag",
    "mode",
    "uid",
    "gid",
];

/// Base64 of update uuids: bound like names.
const BOUND_TEXTS: [&str; 2] = ["uuid", "status_update_uuid"];

/// Objects of figures and settings: ours may have fewer, spelled alike, and other values.
const FEWER_ALLOWED: [&str; 3] = ["statistics", "resource_statistics", "flags"];

/// Flags of Mesos which the recorded processes were started without, so that no recording shows them.
const UNSET_FLAGS: [&str; 2] = ["offer_timeout", "resources"];

/// Compares and collects.
#[derive(Debug)]
pub struct Comparison<'a> {
    binder: &'a mut Binder,
    file: String,
    found: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    /// For one recording.
    pub fn new(file: &str, binder: &'a mut Binder) -> Comparison<'a> {
        Comparison {
            binder,
            file: file.to_owned(),
            found: Vec::new(),
        }
    }

    /// What differs.
    pub fn finish(self) -> Vec<Difference> {
        self.found
    }

    fn differs(&mut self, at: &str, what: String) {
        self.found.push(Difference {
            file: self.file.clone(),
            at: at.to_owned(),
            what,
        });
    }

    /// Status line, the headers a client leans on, and how the body is framed.
    pub fn head(&mut self, recorded: &Response, living: &Response) {
        let status = |r: &Response| format!("{} {}", r.status, r.reason);
        if status(recorded) != status(living) {
            let body: String = living.text().chars().take(300).collect();
            self.differs(
                "status",
                format!("{} instead of {}: {body}", status(living), status(recorded)),
            );
            return;
        }
        for name in [
            "content-type",
            "allow",
            "www-authenticate",
            "content-encoding",
            "content-disposition",
        ] {
            let (a, b) = (recorded.header(name), living.header(name));
            if a != b {
                self.differs(&format!("header {name}"), format!("{b:?} instead of {a:?}"));
            }
        }
        for name in ["location", "mesos-stream-id"] {
            let outcome = match (recorded.header(name), living.header(name)) {
                (Some(a), Some(b)) => self.binder.text(a, b),
                (None, None) => Ok(()),
                (a, b) => Err(format!("{b:?} instead of {a:?}")),
            };
            if let Err(what) = outcome {
                self.differs(&format!("header {name}"), what);
            }
        }
        if recorded.version != living.version {
            self.differs(
                "version",
                format!("{} instead of {}", living.version, recorded.version),
            );
        }
        if recorded.continued != living.continued {
            self.differs("100 Continue", format!("{}", living.continued));
        }
        if recorded.chunked != living.chunked {
            self.differs("header transfer-encoding", format!("chunked: {}", living.chunked));
        }
        if living.header("date").is_none() {
            self.differs("header date", "absent".to_owned());
        }
    }

    /// Two bodies that are kept: JSON by its shape and values, anything else as text.
    pub fn body(&mut self, recorded: &[u8], living: &[u8]) {
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        match (json(recorded), json(living)) {
            (Some(a), Some(b)) => self.json(&a, &b),
            (Some(_), None) => {
                let shown: String = String::from_utf8_lossy(living).chars().take(200).collect();
                self.differs("body", format!("no JSON: {shown}"));
            }
            (None, _) => self.text(
                "body",
                &String::from_utf8_lossy(recorded),
                &String::from_utf8_lossy(living),
            ),
        }
    }

    /// A text with names in it.
    pub fn text(&mut self, at: &str, recorded: &str, living: &str) {
        if let Err(what) = self.binder.text(recorded, living) {
            self.differs(at, what);
        }
    }

    /// Two JSON values.
    pub fn json(&mut self, recorded: &Value, living: &Value) {
        self.value(recorded, living, "");
    }

    /// Names in two lists of names (flags, metrics): ours must all be known there.
    pub fn spelled_alike(&mut self, recorded: &BTreeSet<String>, living: &BTreeSet<String>) {
        let plain = |names: &BTreeSet<String>| names.iter().map(|n| super::bind::without_names(n)).collect();
        let (recorded, living): (BTreeSet<String>, BTreeSet<String>) = (plain(recorded), plain(living));
        let strange: Vec<&String> = living.difference(&recorded).collect();
        for name in strange
            .into_iter()
            .filter(|name| !UNSET_FLAGS.contains(&name.as_str()))
        {
            self.differs(&format!("name {name}"), "not a name of Mesos".to_owned());
        }
        if living.is_empty() && !recorded.is_empty() {
            self.differs("names", "none at all".to_owned());
        }
    }

    fn value(&mut self, recorded: &Value, living: &Value, at: &str) {
        let key = at.rsplit(['.', ']']).next().unwrap_or_default();
        match (recorded, living) {
            (Value::Object(a), Value::Object(b)) if key == "flags" => {
                let names = |o: &serde_json::Map<String, Value>| o.keys().cloned().collect();
                self.spelled_alike(&names(a), &names(b));
            }
            (Value::Object(a), Value::Object(b)) => self.object(a, b, at, FEWER_ALLOWED.contains(&key)),
            (Value::Array(a), Value::Array(b)) => self.list(a, b, at),
            (Value::Number(a), Value::Number(b)) => {
                let same_kind = a.is_f64() == b.is_f64();
                let free = FREE_NUMBERS.contains(&key) || at.contains("statistics.");
                if !same_kind || a != b && !free && !self.same_port(a, b) {
                    self.differs(at, format!("{b} instead of {a}"));
                }
            }
            (Value::String(_), Value::String(_)) if FREE_TEXTS.contains(&key) => {}
            (Value::String(a), Value::String(b)) if BOUND_TEXTS.contains(&key) => {
                if let Err(what) = self.binder.name(a, b) {
                    self.differs(at, what);
                }
            }
            (Value::String(a), Value::String(b)) => self.text(at, a, b),
            (a, b) if a == b => {}
            (a, b) => self.differs(at, format!("{} instead of {}", short(b), short(a))),
        }
    }

    fn object(&mut self, a: &Map, b: &Map, at: &str, fewer_allowed: bool) {
        let mut seen = BTreeSet::new();
        for (name, value) in a {
            let inner = format!("{at}.{name}");
            match self.same_key(name, b, &seen) {
                Some(living) => {
                    seen.insert(living.clone());
                    self.value(value, &b[&living], &inner);
                }
                None if fewer_allowed => {}
                None => self.differs(&inner, "missing".to_owned()),
            }
        }
        for name in b.keys().filter(|name| !seen.contains(*name)) {
            self.differs(
                &format!("{at}.{name}"),
                format!("not in Mesos: {}", short(&b[name])),
            );
        }
    }

    /// The living key that stands for a recorded one: the same, or one that differs in bound names only.
    fn same_key(&mut self, recorded: &str, living: &Map, seen: &BTreeSet<String>) -> Option<String> {
        if living.contains_key(recorded) {
            return Some(recorded.to_owned());
        }
        for key in living
            .keys()
            .filter(|key| key.contains('/') && !seen.contains(*key))
        {
            let mut binder = self.binder.clone();
            if binder.text(recorded, key).is_ok() {
                *self.binder = binder;
                return Some(key.clone());
            }
        }
        None
    }

    fn same_port(&self, recorded: &serde_json::Number, living: &serde_json::Number) -> bool {
        self.binder.replaced(&format!(":{living}")) == format!(":{recorded}")
    }

    /// Lists in any order: each recorded element takes the living one that agrees best.
    fn list(&mut self, recorded: &[Value], living: &[Value], at: &str) {
        if recorded.len() != living.len() {
            self.differs(
                at,
                format!("{} elements instead of {}", living.len(), recorded.len()),
            );
        }
        let inner = format!("{at}[]");
        let mut free: Vec<&Value> = living.iter().collect();
        let mut left = Vec::new();
        for a in recorded {
            match free.iter().position(|b| self.trial(a, b, &inner, true).is_some()) {
                Some(i) => {
                    free.remove(i);
                }
                None => left.push(a),
            }
        }
        for a in left {
            let Some(i) = (0..free.len()).min_by_key(|i| self.distance(a, free[*i], &inner)) else {
                break;
            };
            let b = free.remove(i);
            self.trial(a, b, &inner, false);
        }
    }

    fn distance(&self, recorded: &Value, living: &Value, at: &str) -> usize {
        let mut binder = self.binder.clone();
        let mut trial = Comparison::new(&self.file, &mut binder);
        trial.value(recorded, living, at);
        trial.finish().len()
    }

    /// Compares two elements; with `perfect` only an agreement without any difference counts and is kept.
    fn trial(&mut self, recorded: &Value, living: &Value, at: &str, perfect: bool) -> Option<()> {
        let mut binder = self.binder.clone();
        let mut trial = Comparison::new(&self.file, &mut binder);
        trial.value(recorded, living, at);
        let found = trial.finish();
        if perfect && !found.is_empty() {
            return None;
        }
        *self.binder = binder;
        self.found.extend(found);
        Some(())
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

/// The names in an answer of flags or metrics, wherever they stand: `[{"name":..}]` or the keys of an object.
pub fn names(body: &Value) -> BTreeSet<String> {
    let list = ["/get_flags/flags", "/get_metrics/metrics"]
        .iter()
        .find_map(|p| body.pointer(p)?.as_array());
    if let Some(list) = list {
        return list
            .iter()
            .filter_map(|f| f["name"].as_str().map(str::to_owned))
            .collect();
    }
    let object = body.get("flags").unwrap_or(body);
    object
        .as_object()
        .map(|o| o.keys().cloned().collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(a: Value, b: Value) -> Vec<String> {
        let mut binder = Binder::default();
        binder.place(":6050", ":25050");
        let mut comparison = Comparison::new("f", &mut binder);
        comparison.json(&a, &b);
        comparison
            .finish()
            .into_iter()
            .map(|d| format!("{} {}", d.at, d.what))
            .collect()
    }

    #[test]
    fn keys_types_and_texts_must_agree() {
        assert_eq!(
            found(json!({"a": 1.0, "b": "x"}), json!({"a": 1.0, "b": "x"})),
            [""; 0]
        );
        assert_eq!(found(json!({"a": 1.0}), json!({"a": 1})), [".a 1 instead of 1.0"]);
        assert_eq!(
            found(json!({"a": {"b": 1}}), json!({"a": {"c": 1}})),
            [".a.b missing", ".a.c not in Mesos: 1"]
        );
        assert_eq!(
            found(json!({"a": "x"}), json!({"a": 1})),
            [".a 1 instead of \"x\""]
        );
    }

    #[test]
    fn times_are_free_but_stay_numbers_of_their_kind() {
        assert_eq!(
            found(json!({"timestamp": 1.5}), json!({"timestamp": 2.5})),
            [""; 0]
        );
        assert_eq!(
            found(json!({"timestamp": 1.5}), json!({"timestamp": 2})),
            [".timestamp 2 instead of 1.5"]
        );
        assert_eq!(found(json!({"port": 25050}), json!({"port": 6050})), [""; 0]);
        assert_eq!(
            found(json!({"port": 25050}), json!({"port": 7050})),
            [".port 7050 instead of 25050"]
        );
    }

    #[test]
    fn lists_may_come_in_another_order() {
        let a = json!([{"n": "a", "v": 1}, {"n": "b", "v": 2}]);
        assert_eq!(
            found(a.clone(), json!([{"n": "b", "v": 2}, {"n": "a", "v": 1}])),
            [""; 0]
        );
        assert_eq!(
            found(a.clone(), json!([{"n": "b", "v": 2}, {"n": "a", "v": 3}])),
            ["[].v 3 instead of 1"]
        );
        let fewer = found(a, json!([{"n": "b", "v": 2}]));
        assert!(
            matches!(&fewer[..], [one] if one.ends_with("1 elements instead of 2")),
            "{fewer:?}"
        );
    }

    #[test]
    fn figures_may_be_fewer() {
        assert_eq!(
            found(
                json!({"statistics": {"a": 1, "b": 2}}),
                json!({"statistics": {"b": 2}})
            ),
            [""; 0]
        );
    }

    #[test]
    fn names_of_flags_and_metrics_are_found() {
        let flags = json!({"type": "GET_FLAGS", "get_flags": {"flags": [{"name": "port", "value": "1"}]}});
        assert_eq!(names(&flags).into_iter().collect::<Vec<_>>(), ["port"]);
        assert_eq!(
            names(&json!({"a/b": 1.0})).into_iter().collect::<Vec<_>>(),
            ["a/b"]
        );
    }
}
