//! What became of runs: the last entries of each job, kept in memory and in the store.

use crate::record::EndedRecord;
use jiff::Timestamp;
use meseta_cron_core::job::JobName;
use meseta_store::{Change, Key};
use std::collections::{BTreeMap, VecDeque};

/// The entries of all jobs.
#[derive(Debug)]
pub(crate) struct History {
    limit: usize,
    next: u64,
    of: BTreeMap<JobName, VecDeque<(Key, EndedRecord)>>,
}

impl History {
    /// With what the store holds, in the order of its keys.
    pub(crate) fn new(limit: usize, stored: Vec<(Key, EndedRecord)>) -> History {
        let mut history = History { limit: limit.max(1), next: 0, of: BTreeMap::new() };
        for (key, entry) in stored {
            history.of.entry(JobName::recorded(&entry.job)).or_default().push_back((key, entry));
        }
        history
    }

    /// Adds an entry; returns what has to be written.
    pub(crate) fn add(&mut self, entry: EndedRecord) -> Vec<Change> {
        let name = JobName::recorded(&entry.job);
        self.next += 1;
        // Times of one job do not repeat within a nanosecond and a counter; keys of one job sort by time.
        let text = format!("ended/{name}/{:020}-{:08}", entry.ended.as_nanosecond().max(0), self.next % 100_000_000);
        let Ok(key) = Key::new(text) else { return Vec::new() };
        let mut changes = vec![Change::put(key.clone(), entry.encode())];
        let entries = self.of.entry(name).or_default();
        entries.push_back((key, entry));
        while entries.len() > self.limit {
            changes.extend(entries.pop_front().map(|(key, _)| Change::delete(key)));
        }
        changes
    }

    /// Forgets a job; returns what has to be written.
    pub(crate) fn forget(&mut self, name: &JobName) -> Vec<Change> {
        let entries = self.of.remove(name).unwrap_or_default();
        entries.into_iter().map(|(key, _)| Change::delete(key)).collect()
    }

    /// The entries of a job, newest first.
    pub(crate) fn of(&self, name: &JobName) -> impl Iterator<Item = &EndedRecord> {
        self.of.get(name).into_iter().flatten().rev().map(|(_, entry)| entry)
    }

    /// How long the job's kept successful runs took, from their due time, in milliseconds, ascending.
    pub(crate) fn durations(&self, name: &JobName) -> Vec<i64> {
        let done = self.of(name).filter(|entry| entry.result == "success");
        let mut all: Vec<i64> = done.map(|entry| millis(entry.due, entry.ended)).collect();
        all.sort_unstable();
        all
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_millisecond() - from.as_millisecond()).max(0)
}

/// The value below which so much (0 to 1) of the ascending values lie; 0 for none.
pub(crate) fn quantile(ascending: &[i64], part: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return 0.0 };
    let position = part * last as f64;
    let (below, above) = (ascending[position.floor() as usize], ascending[position.ceil() as usize]);
    below as f64 + (above - below) as f64 * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(job: &str, second: i64) -> EndedRecord {
        let at = Timestamp::from_second(second).unwrap_or_default();
        EndedRecord {
            format: 1,
            job: job.to_owned(),
            id: "ct:0:0:a:".to_owned(),
            due: Timestamp::UNIX_EPOCH,
            attempt: 0,
            cause: "slot".to_owned(),
            agent: None,
            host: None,
            started: None,
            ended: at,
            result: "success".to_owned(),
            message: String::new(),
            slots: 0,
        }
    }

    #[test]
    fn the_oldest_entries_go_and_others_jobs_stay() {
        let mut history = History::new(2, Vec::new());
        history.add(entry("b", 1));
        let counts: Vec<usize> = (1..=4).map(|n| history.add(entry("a", n)).len()).collect();
        assert_eq!(counts, [1, 1, 2, 2]);
        let kept: Vec<i64> = history.of(&JobName::recorded("a")).map(|e| e.ended.as_second()).collect();
        assert_eq!(kept, [4, 3]);
        assert_eq!(history.forget(&JobName::recorded("a")).len(), 2);
        assert_eq!(history.of(&JobName::recorded("b")).count(), 1);
    }

    #[test]
    fn quantiles_lie_between_values_and_nothing_has_zero() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[10], 0.99), 10.0);
        assert_eq!(quantile(&[0, 10, 20, 30], 0.5), 15.0);
    }
}
