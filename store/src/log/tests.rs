#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Outcome, Pending};
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tempfile::TempDir;

const SCHEMA: u32 = 3;

fn records(texts: &[&'static str]) -> Vec<Bytes> {
    texts
        .iter()
        .map(|text| Bytes::from_static(text.as_bytes()))
        .collect()
}

fn written(folder: &TempDir, batches: &[&[&'static str]]) -> PathBuf {
    let path = folder.path().join("log");
    let Opened { log, .. } = open(&path, SCHEMA).unwrap();
    for batch in batches {
        assert!(matches!(log.append(records(batch)).wait(), Outcome::Done(_)));
    }
    path
}

fn end_of(path: &std::path::Path) -> usize {
    let content = std::fs::read(path).unwrap();
    content.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn what_was_answered_done_is_read_back_in_order() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, &[&["a", "b"], &["c"]]);
    let opened = open(&path, SCHEMA).unwrap();
    assert_eq!((opened.records, opened.torn), (records(&["a", "b", "c"]), None));
}

#[test]
fn a_torn_last_batch_is_dropped_whole_and_reported_and_the_log_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, &[&["a"], &["b", "c"]]);
    let end = end_of(&path);
    for cut in 1..=12 {
        let copy = folder.path().join(format!("cut{cut}"));
        std::fs::copy(&path, &copy).unwrap();
        File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .set_len((end - cut) as u64)
            .unwrap();
        let Opened {
            log,
            records: found,
            torn,
        } = open(&copy, SCHEMA).unwrap();
        assert_eq!(found, records(&["a"]), "cut {cut}");
        assert!(matches!(torn, Some(Torn { .. })), "cut {cut}");
        assert!(matches!(log.append(records(&["d"])).wait(), Outcome::Done(_)));
        drop(log);
        assert_eq!(
            open(&copy, SCHEMA).unwrap().records,
            records(&["a", "d"]),
            "cut {cut}"
        );
    }
}

#[test]
fn damage_in_the_middle_is_an_error_with_its_place() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, &[&["first"], &["second"]]);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(b"X", 30)
        .unwrap();
    assert!(matches!(
        open(&path, SCHEMA),
        Err(OpenError::Damaged { at: 16, .. })
    ));
}

#[test]
fn foreign_short_and_newer_files_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    for content in [&b""[..], b"short", b"something quite different"] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(open(&path, SCHEMA), Err(OpenError::Foreign { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    drop(open(&path, SCHEMA + 1).unwrap());
    assert!(matches!(open(&path, SCHEMA), Err(OpenError::Foreign { .. })));
}

#[test]
fn a_second_opener_is_told_that_the_log_is_in_use_even_after_a_rewrite() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let opened = open(&path, SCHEMA).unwrap();
    assert!(matches!(open(&path, SCHEMA), Err(OpenError::InUse { .. })));
    opened.log.rewrite(records(&["x"])).wait();
    assert!(matches!(open(&path, SCHEMA), Err(OpenError::InUse { .. })));
}

#[test]
fn a_rewrite_replaces_what_came_before_and_keeps_what_comes_after() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let Opened { log, .. } = open(&path, SCHEMA).unwrap();
    let answers = [
        log.append(records(&["old1", "old2"])),
        log.rewrite(records(&["kept"])),
        log.append(records(&["new"])),
    ];
    for answer in answers {
        assert!(matches!(answer.wait(), Outcome::Done(_)));
    }
    drop(log);
    assert_eq!(open(&path, SCHEMA).unwrap().records, records(&["kept", "new"]));
}

#[test]
fn a_record_that_is_too_long_is_refused_and_its_neighbours_are_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let Opened { log, .. } = open(&path, SCHEMA).unwrap();
    let long = Bytes::from(vec![0; crate::log::RECORD_BYTES_MAX + 1]);
    let answers = [
        log.append(records(&["a"])),
        log.append(vec![long]),
        log.append(records(&["b"])),
    ];
    let [first, second, third] = answers.map(Pending::wait);
    assert!(matches!(first, Outcome::Done(_)));
    assert!(matches!(second, Outcome::Refused(_)));
    assert!(matches!(third, Outcome::Done(_)));
    drop(log);
    assert_eq!(open(&path, SCHEMA).unwrap().records, records(&["a", "b"]));
}
