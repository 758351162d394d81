#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Change, Expect};
use bytes::Bytes;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(text: &str, value: &'static str) -> Commit {
    Commit {
        changes: vec![Change::put(key(text), value)],
    }
}

fn values(store: &Embedded, prefix: &str) -> Vec<(String, Bytes)> {
    store
        .list(prefix)
        .unwrap()
        .into_iter()
        .map(|e| (e.key.as_str().to_owned(), e.value))
        .collect()
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("registry")
}

#[test]
fn what_was_answered_done_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    {
        let store = Embedded::open(file(&folder)).unwrap();
        let first = store.submit(put("agents/a", "1"));
        let second = store.submit(put("agents/b", "2"));
        let third = store.submit(Commit {
            changes: vec![Change::delete(key("agents/a"))],
        });
        assert_eq!(first.wait(), Outcome::Done(Revision(1)));
        assert_eq!(second.wait(), Outcome::Done(Revision(2)));
        assert_eq!(third.wait(), Outcome::Done(Revision(3)));
    }
    let store = Embedded::open(file(&folder)).unwrap();
    assert_eq!(
        values(&store, "agents/"),
        [("agents/b".to_owned(), Bytes::from_static(b"2"))]
    );
    assert_eq!(store.submit(put("x", "3")).wait(), Outcome::Done(Revision(4)));
}

#[test]
fn a_prefix_lists_only_its_own_keys_in_order() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(file(&folder)).unwrap();
    for name in ["b/2", "a/1", "b/1", "c/1"] {
        store.submit(put(name, "x")).wait();
    }
    let listed: Vec<String> = values(&store, "b/").into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed, ["b/1", "b/2"]);
}

#[test]
fn one_refused_commit_does_not_touch_its_neighbours() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(file(&folder)).unwrap();
    let mut stale = put("a", "stale");
    stale.changes.push(Change {
        key: key("b"),
        expect: Expect::At(Revision(9)),
        value: None,
    });
    let answers = [
        store.submit(put("a", "1")),
        store.submit(stale),
        store.submit(put("c", "3")),
    ];
    let [first, second, third] = answers.map(Pending::wait);
    assert_eq!(first, Outcome::Done(Revision(1)));
    assert_eq!(second, Outcome::Refused(Refused::Conflict { key: key("b") }));
    assert_eq!(third, Outcome::Done(Revision(2)));
    assert_eq!(values(&store, "a"), [("a".to_owned(), Bytes::from_static(b"1"))]);
}

#[test]
fn a_compare_and_swap_succeeds_once() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(file(&folder)).unwrap();
    let swap = || Commit {
        changes: vec![Change {
            key: key("k"),
            expect: Expect::Absent,
            value: Some(Bytes::from_static(b"x")),
        }],
    };
    assert_eq!(store.submit(swap()).wait(), Outcome::Done(Revision(1)));
    assert!(matches!(
        store.submit(swap()).wait(),
        Outcome::Refused(Refused::Conflict { .. })
    ));
}

#[test]
fn an_oversized_value_is_refused_with_its_key_and_size() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(file(&folder)).unwrap();
    let commit = Commit {
        changes: vec![Change::put(key("big"), vec![0; 600 * 1024])],
    };
    assert_eq!(
        store.submit(commit).wait(),
        Outcome::Refused(Refused::ValueTooLarge {
            key: key("big"),
            bytes: 600 * 1024
        })
    );
}

#[test]
fn a_full_disk_refuses_and_what_comes_after_it_works_again() {
    let folder = TempDir::new().unwrap();
    let switches = Arc::new(backend::Switches::default());
    let store = Embedded::open_on(file(&folder), Arc::clone(&switches)).unwrap();
    assert_eq!(store.submit(put("a", "1")).wait(), Outcome::Done(Revision(1)));
    switches.full.store(true, Ordering::Relaxed);
    assert_eq!(
        store.submit(put("b", "2")).wait(),
        Outcome::Refused(Refused::NoSpace)
    );
    // The store was opened anew, on a disk that has room.
    assert_eq!(store.submit(put("c", "3")).wait(), Outcome::Done(Revision(2)));
    let keys: Vec<String> = values(&store, "").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "c"]);
}

#[test]
fn a_failed_sync_is_unknown_and_so_is_everything_after_it() {
    let folder = TempDir::new().unwrap();
    let switches = Arc::new(backend::Switches::default());
    let store = Embedded::open_on(file(&folder), Arc::clone(&switches)).unwrap();
    switches.sync_fails.store(true, Ordering::Relaxed);
    assert!(matches!(store.submit(put("a", "1")).wait(), Outcome::Unknown(_)));
    switches.sync_fails.store(false, Ordering::Relaxed);
    assert!(matches!(store.submit(put("b", "2")).wait(), Outcome::Unknown(_)));
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let folder = TempDir::new().unwrap();
    let _store = Embedded::open(file(&folder)).unwrap();
    assert!(matches!(
        Embedded::open(file(&folder)),
        Err(OpenError::InUse { .. })
    ));
}

#[test]
fn foreign_empty_and_cut_files_are_named_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Embedded::open(&path), Err(OpenError::Damaged { .. })));
    std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
    let error = Embedded::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("registry"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 100_000]);

    std::fs::remove_file(&path).unwrap();
    drop(Embedded::open(&path).unwrap());
    let whole = std::fs::metadata(&path).unwrap().len();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(whole / 2)
        .unwrap();
    assert!(Embedded::open(&path).is_err());
}

#[test]
fn a_redb_file_of_another_program_is_foreign() {
    let folder = TempDir::new().unwrap();
    drop(redb::Database::create(file(&folder)).unwrap());
    assert!(matches!(
        Embedded::open(file(&folder)),
        Err(OpenError::Foreign { .. })
    ));
}

#[test]
fn a_value_damaged_on_disk_is_noticed_when_it_is_read() {
    let folder = TempDir::new().unwrap();
    let needle = b"a-value-that-can-be-found";
    {
        let store = Embedded::open(file(&folder)).unwrap();
        store.submit(put("k", "a-value-that-can-be-found")).wait();
    }
    let bytes = std::fs::read(file(&folder)).unwrap();
    let disk = File::options().write(true).open(file(&folder)).unwrap();
    let places = bytes
        .windows(needle.len())
        .enumerate()
        .filter(|(_, window)| window == needle);
    for (at, _) in places {
        disk.write_all_at(b"A", at as u64).unwrap();
    }
    let store = Embedded::open(file(&folder)).unwrap();
    let error = store.list("").unwrap_err();
    assert!(
        matches!(&error, ReadError::Damaged { key, .. } if key == "k"),
        "{error}"
    );
}

#[test]
fn commits_of_many_threads_are_grouped_and_all_answered() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(Embedded::open(file(&folder)).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for n in 0..50 {
                    let outcome = store.submit(put(&format!("t{thread}/{n}"), "v")).wait();
                    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(store.list("t").unwrap().len(), 400);
}
