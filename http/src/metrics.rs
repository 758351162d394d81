//! The two renderings of a set of metrics: Mesos's JSON snapshot and the Prometheus text format.

use std::fmt::Write;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One metric with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Mesos's name, such as `slave/tasks_running`.
    pub name: String,
    /// Counter or gauge.
    pub kind: Kind,
    /// Never NaN or infinite: such a value is left out.
    pub value: f64,
}

impl Sample {
    /// A counter.
    pub fn counter(name: impl Into<String>, value: f64) -> Sample {
        Sample {
            name: name.into(),
            kind: Kind::Counter,
            value,
        }
    }

    /// A gauge.
    pub fn gauge(name: impl Into<String>, value: f64) -> Sample {
        Sample {
            name: name.into(),
            kind: Kind::Gauge,
            value,
        }
    }
}

/// Sorts by name and drops what JSON cannot say.
pub fn sorted(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.retain(|s| s.value.is_finite());
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    samples
}

/// `/metrics/snapshot`: one object, keys sorted, doubles always with a point.
pub fn snapshot_json(samples: &[Sample]) -> Vec<u8> {
    let mut out = String::from("{");
    for (i, sample) in samples.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        // Names are ours: letters, digits, '/', '_', '.', '-'; ids in them were checked at the edge.
        let name = serde_json::Value::from(sample.name.as_str());
        let _ = write!(out, "{name}:");
        double(&mut out, sample.value);
    }
    out.push('}');
    out.into_bytes()
}

/// Writes a double as Mesos does: the shortest form that reads back the same, always with a point.
pub fn double(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value}");
    if !out[start..].contains('.') {
        out.push_str(".0");
    }
}

/// The Prometheus text format (version 0.0.4). `slave/tasks_failed` becomes `meseta_slave_tasks_failed_total`.
pub fn prometheus(samples: &[Sample]) -> String {
    let mut out = String::new();
    for sample in samples {
        let mut name = String::from("meseta_");
        name.extend(
            sample
                .name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }),
        );
        let kind = match sample.kind {
            Kind::Counter => {
                name.push_str("_total");
                "counter"
            }
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {}", sample.value);
    }
    out
}

/// The media type of [`prometheus`].
pub const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn snapshots_are_sorted_and_doubles_have_a_point() {
        let samples = sorted(vec![
            Sample::gauge("slave/registered", 1.0),
            Sample::gauge("slave/disk_percent", 0.0000632663632517329),
            Sample::gauge("broken", f64::NAN),
        ]);
        assert_eq!(
            String::from_utf8(snapshot_json(&samples)).unwrap(),
            r#"{"slave/disk_percent":0.0000632663632517329,"slave/registered":1.0}"#
        );
    }

    #[test]
    fn prometheus_names_say_what_they_are() {
        let text = prometheus(&[Sample::counter("slave/tasks_failed", 2.0)]);
        assert_eq!(
            text,
            "# TYPE meseta_slave_tasks_failed_total counter\nmeseta_slave_tasks_failed_total 2\n"
        );
    }
}
