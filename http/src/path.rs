//! How a request path finds its endpoint, and how a query is read.
//!
//! A path is `/<process>/<endpoint>`; without a known process the default one is meant. Inside a process the longest
//! endpoint that is a prefix by whole components wins, so `/api/v1/anything` reaches `/api/v1`.

use crate::reply::Refusal;

/// A path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The process it names, or the default one.
    pub process: String,
    /// What follows, with its leading slash; `/` when nothing follows.
    pub rest: String,
}

/// Takes a request path apart. `None`: no such thing (404).
pub fn target(path: &str, default: &str, processes: &[&str]) -> Option<Target> {
    let inner = path.strip_prefix('/')?;
    if inner.starts_with('/') || inner.split('/').any(|part| part == "..") {
        return None;
    }
    let (first, tail) = match inner.find('/') {
        Some(at) => (&inner[..at], &inner[at..]),
        None => (inner, ""),
    };
    let first = percent_decode(first, false)?;
    let (process, rest) = if processes.contains(&first.as_str()) {
        (
            first,
            if tail.is_empty() {
                "/".to_owned()
            } else {
                tail.to_owned()
            },
        )
    } else {
        (default.to_owned(), format!("/{first}{tail}"))
    };
    Some(Target { process, rest })
}

/// The longest of `endpoints` that is `rest` or a prefix of it by whole components.
pub fn longest<'a>(rest: &str, endpoints: &[&'a str]) -> Option<&'a str> {
    endpoints
        .iter()
        .filter(|endpoint| {
            rest.strip_prefix(**endpoint)
                .is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
        })
        .max_by_key(|endpoint| endpoint.len())
        .copied()
}

/// Decodes percent codes; `plus` also turns `+` into a blank (queries and forms). `None` for a bad code or text that
/// is not UTF-8.
pub fn percent_decode(text: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push((high * 16 + low) as u8);
            }
            b'+' if plus => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// The parameters of a query or a form, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`.
    ///
    /// # Errors
    /// 400 for a bad percent code. (Mesos closes the connection without an answer.)
    pub fn parse(text: Option<&str>) -> Result<Query, Refusal> {
        let mut pairs = Vec::new();
        for part in text.unwrap_or("").split(['&', ';']).filter(|p| !p.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match (percent_decode(key, true), percent_decode(value, true)) {
                (Some(key), Some(value)) => pairs.push((key, value)),
                _ => {
                    return Err(Refusal::bad_request(format!(
                        "Unable to decode query string: Malformed % escape in '{part}'"
                    )));
                }
            }
        }
        Ok(Query(pairs))
    }

    /// The last value of a parameter: later ones win.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const AGENT: &[&str] = &["slave(1)", "files", "metrics"];

    fn agent(path: &str) -> Option<(String, String)> {
        target(path, "slave(1)", AGENT).map(|t| (t.process, t.rest))
    }

    #[test]
    fn a_path_without_a_process_is_the_default_process() {
        let whole = Some(("slave(1)".to_owned(), "/api/v1".to_owned()));
        assert_eq!(agent("/api/v1"), whole);
        assert_eq!(agent("/slave(1)/api/v1"), whole);
        assert_eq!(agent("/slave%281%29/api/v1"), whole);
        assert_eq!(agent("/metrics"), Some(("metrics".to_owned(), "/".to_owned())));
    }

    #[test]
    fn odd_paths_are_not_found() {
        for path in ["//version", "/files/../version", "/version%ZZ", "version", "/%"] {
            assert_eq!(agent(path), None, "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_by_components_wins() {
        let endpoints = ["/api/v1", "/api/v1/executor", "/state"];
        assert_eq!(
            longest("/api/v1/executor/x", &endpoints),
            Some("/api/v1/executor")
        );
        assert_eq!(longest("/api/v1/executors", &endpoints), Some("/api/v1"));
        assert_eq!(longest("/state.json", &endpoints), None);
    }

    #[test]
    fn queries_are_decoded_and_later_values_win() {
        let query = Query::parse(Some("path=%2Fa+b&x&path=/c")).unwrap();
        assert_eq!(query.get("path"), Some("/c"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), None);
        assert_eq!(query.all("path").collect::<Vec<_>>(), ["/a b", "/c"]);
        assert!(Query::parse(Some("a=%ZZ")).is_err());
    }
}
