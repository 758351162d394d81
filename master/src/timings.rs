//! How long things take: the last durations of one kind, for Mesos's timer metrics.

use meseta_http::metrics::Sample;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Durations kept. Percentiles are of these, where Mesos has those of the last hour or day.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
struct Kept {
    last: VecDeque<Duration>,
    count: u64,
}

/// Durations of one kind. Written once per event by one task, read by whoever asks for metrics.
#[derive(Debug, Default)]
pub(crate) struct Timings(Mutex<Kept>);

impl Timings {
    /// One more.
    pub(crate) fn add(&self, took: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.last.len() == KEPT {
            kept.last.pop_front();
        }
        kept.last.push_back(took);
        kept.count += 1;
    }

    /// The metric and its statistics in milliseconds, under Mesos's names; nothing before the first.
    pub(crate) fn samples(&self, name: &str) -> Vec<Sample> {
        let (last, mut sorted, count) = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let sorted: Vec<Duration> = kept.last.iter().copied().collect();
            (kept.last.back().copied(), sorted, kept.count)
        };
        let Some(last) = last else {
            return Vec::new();
        };
        sorted.sort_unstable();
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let mut samples = vec![
            Sample::gauge(name, millis(last)),
            Sample::gauge(format!("{name}/count"), count as f64),
        ];
        for (suffix, quantile) in [
            ("min", 0.0),
            ("p50", 0.5),
            ("p90", 0.9),
            ("p95", 0.95),
            ("p99", 0.99),
            ("p999", 0.999),
            ("p9999", 0.9999),
            ("max", 1.0),
        ] {
            let at = (quantile * (sorted.len() - 1) as f64).round() as usize;
            if let Some(duration) = sorted.get(at) {
                samples.push(Sample::gauge(format!("{name}/{suffix}"), millis(*duration)));
            }
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_of_the_last_durations() {
        let timings = Timings::default();
        assert_eq!(timings.samples("x"), []);
        for millis in 0..2000 {
            timings.add(Duration::from_millis(millis));
        }
        let samples = timings.samples("x");
        let value = |name: &str| samples.iter().find(|s| s.name == name).map(|s| s.value);
        assert_eq!((value("x"), value("x/count")), (Some(1999.0), Some(2000.0)));
        assert_eq!((value("x/min"), value("x/max")), (Some(976.0), Some(1999.0)));
        assert_eq!(value("x/p50"), Some(1488.0));
    }
}
