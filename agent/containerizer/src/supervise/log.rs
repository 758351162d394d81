//! The supervisor's log: which processes were started and how they ended, so that a successor knows.
//!
//! Appended by newborn processes themselves before they execute their program (so that no container runs that is not in
//! it) and by the supervisor before it reaps (so that no exit status is lost). Not synced to disk: it has to survive the
//! death of processes, not of the host, whose restart ends all containers anyway. Each record is length, CRC-32C,
//! payload; damaged stretches (a writer killed in its write) are skipped.

use crate::codec::{Coded, Malformed, Reader, coded_enum};
use crate::plan::Cgroup;
use crate::wire::{Class, WireExit};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// First bytes of the file; the last two digits are the version of its format.
const HEADER: &[u8; 16] = b"meseta-super-01\n";

/// Largest record read back; ours are far smaller.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The log is written anew when it has grown by this much since then.
const GROWTH_BYTES_MAX: u64 = 4 << 20;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// Which boot of the host the following belongs to.
    Host { boot_id: String },
    /// A process is about to execute its program. `pid` and `born_ns` (since boot) come last: see [`patch_birth`].
    Started {
        key: String,
        class: Class,
        sandbox: String,
        cgroups: Vec<Cgroup>,
        pid: i32,
        born_ns: u64,
    },
    /// A process ended; `key` is empty when its launcher had not yet told whose it is.
    Exited { key: String, pid: i32, exit: WireExit },
    /// Nothing needs to be known of it any more.
    Forgot { key: String },
}
coded_enum!(Record {
    1 => Host { boot_id },
    2 => Started { key, class, sandbox, cgroups, pid, born_ns },
    3 => Exited { key, pid, exit },
    4 => Forgot { key },
});

/// What the log says of one process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logged {
    pub(crate) class: Class,
    pub(crate) sandbox: String,
    pub(crate) cgroups: Vec<Cgroup>,
    pub(crate) pid: i32,
    pub(crate) born_ns: u64,
    pub(crate) exit: Option<WireExit>,
}

/// What the log says altogether.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    pub(crate) boot_id: String,
    pub(crate) processes: BTreeMap<String, Logged>,
    /// Bytes that were no records.
    pub(crate) damaged_bytes: usize,
}

/// A record with its frame.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let mut out = vec![0; 8];
    record.encode(&mut out);
    seal(&mut out);
    out
}

fn seal(framed: &mut [u8]) {
    if let Some((head, payload)) = framed.split_at_mut_checked(8) {
        let (length, crc) = head.split_at_mut(4);
        length.copy_from_slice(&(payload.len() as u32).to_le_bytes());
        crc.copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    }
}

/// Fills pid and time of birth into an encoded [`Record::Started`]. Runs in the newborn process: allocates nothing.
pub(crate) fn patch_birth(framed: &mut [u8], pid: i32, born_ns: u64) {
    let end = framed.len();
    if let Some(tail) = framed.get_mut(end - 12..) {
        tail[..4].copy_from_slice(&pid.to_le_bytes());
        tail[4..].copy_from_slice(&born_ns.to_le_bytes());
    }
    seal(framed);
}

fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if length == 0 || length > RECORD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    if crc32c::crc32c(payload) != crc {
        return None;
    }
    let record: Result<Record, Malformed> = Reader::whole(payload);
    Some((record.ok()?, 8 + length))
}

/// Reads a whole log. Damaged bytes are counted and skipped to the next whole record.
pub(crate) fn replay(bytes: &[u8]) -> History {
    let mut history = History::default();
    let mut rest = match bytes.strip_prefix(HEADER) {
        Some(rest) => rest,
        None => {
            history.damaged_bytes = bytes.len();
            return history;
        }
    };
    while !rest.is_empty() {
        match decode(rest) {
            Some((record, length)) => {
                history.apply(record);
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                history.damaged_bytes += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    history
}

impl History {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Host { boot_id } => self.boot_id = boot_id,
            Record::Started {
                key,
                class,
                sandbox,
                cgroups,
                pid,
                born_ns,
            } => {
                let logged = Logged {
                    class,
                    sandbox,
                    cgroups,
                    pid,
                    born_ns,
                    exit: None,
                };
                self.processes.insert(key, logged);
            }
            Record::Exited { key, pid, exit } => {
                let logged = if key.is_empty() {
                    // Pids are reused, but only one process at a time has one.
                    self.processes
                        .values_mut()
                        .find(|l| l.pid == pid && l.exit.is_none())
                } else {
                    self.processes.get_mut(&key)
                };
                if let Some(logged) = logged {
                    logged.exit = Some(exit);
                }
            }
            Record::Forgot { key } => {
                self.processes.remove(&key);
            }
        }
    }

    fn records(&self) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        out.extend(encode(&Record::Host {
            boot_id: self.boot_id.clone(),
        }));
        for (key, logged) in &self.processes {
            out.extend(encode(&Record::Started {
                key: key.clone(),
                class: logged.class.clone(),
                sandbox: logged.sandbox.clone(),
                cgroups: logged.cgroups.clone(),
                pid: logged.pid,
                born_ns: logged.born_ns,
            }));
            if let Some(exit) = &logged.exit {
                out.extend(encode(&Record::Exited {
                    key: key.clone(),
                    pid: logged.pid,
                    exit: exit.clone(),
                }));
            }
        }
        out
    }
}

/// The log's file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes we appended since it was written anew; newborns' records are not counted, they are as many.
    grown_bytes: u64,
}

/// Opens a log for appending.
pub(crate) fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).mode(0o600).open(path)
}

impl Log {
    /// Reads what is there.
    pub(crate) fn read(path: &Path) -> io::Result<History> {
        match fs::read(path) {
            Ok(bytes) => Ok(replay(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the log anew with nothing but `history`. Nobody else may be appending.
    pub(crate) fn rewrite(path: &Path, history: &History) -> io::Result<Log> {
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&history.records())?;
        fs::rename(&fresh, path)?;
        Ok(Log {
            path: path.to_owned(),
            file: open_for_append(path)?,
            grown_bytes: 0,
        })
    }

    /// Appends one record.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let bytes = encode(record);
        self.grown_bytes += bytes.len() as u64;
        self.file.write_all(&bytes)
    }

    /// Whether it should be written anew.
    pub(crate) fn is_long(&self) -> bool {
        self.grown_bytes > GROWTH_BYTES_MAX
    }

    /// Drops what was forgotten. Nobody else may be appending.
    pub(crate) fn compact(&mut self) -> io::Result<()> {
        let history = Log::read(&self.path)?;
        *self = Log::rewrite(&self.path, &history)?;
        Ok(())
    }

    /// Tries compaction again only after as much growth as before: after a failure.
    pub(crate) fn later(&mut self) {
        self.grown_bytes = 0;
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn started(key: &str, pid: i32) -> Record {
        Record::Started {
            key: key.into(),
            class: Class::Task,
            sandbox: "/w".into(),
            cgroups: Vec::new(),
            pid,
            born_ns: 5,
        }
    }

    fn exited(key: &str, pid: i32, status: i32) -> Record {
        let exit = WireExit {
            status: Some(status),
            unseen: String::new(),
            memory: None,
        };
        Record::Exited {
            key: key.into(),
            pid,
            exit,
        }
    }

    fn file(records: &[Record]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        records.iter().for_each(|r| bytes.extend(encode(r)));
        bytes
    }

    fn status(history: &History, key: &str) -> Option<i32> {
        history.processes.get(key)?.exit.as_ref()?.status
    }

    #[test]
    fn an_exit_finds_its_process_by_key_or_by_pid() {
        let history = replay(&file(&[
            started("a", 7),
            exited("", 7, 1),
            started("b", 7),
            exited("b", 7, 2),
            started("c", 9),
            started("d", 7),
            Record::Forgot { key: "c".into() },
        ]));
        assert_eq!(status(&history, "a"), Some(1));
        assert_eq!(status(&history, "b"), Some(2));
        assert_eq!(status(&history, "d"), None);
        assert!(!history.processes.contains_key("c"));
        assert_eq!(history.damaged_bytes, 0);
    }

    #[test]
    fn a_torn_record_costs_only_itself_wherever_it_is() {
        let whole = file(&[started("a", 7), started("b", 8)]);
        for cut in HEADER.len()..whole.len() {
            let mut torn = whole[..cut].to_vec();
            torn.extend(encode(&exited("", 7, 3)));
            torn.extend(encode(&started("z", 1)));
            let history = replay(&torn);
            assert!(history.processes.contains_key("z"), "cut at {cut}");
            if history.processes.contains_key("a") {
                assert_eq!(status(&history, "a"), Some(3), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_loses_one_record_and_no_more() {
        let whole = file(&[started("a", 7), started("b", 8)]);
        for at in HEADER.len()..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            let history = replay(&flipped);
            assert_eq!(history.processes.len(), 1, "at {at}");
            assert!(history.damaged_bytes > 0);
        }
    }

    #[test]
    fn a_foreign_file_is_damage_from_its_first_byte() {
        assert_eq!(replay(b"something else").damaged_bytes, 14);
        assert_eq!(replay(b"").damaged_bytes, 0);
    }

    #[test]
    fn a_newborn_fills_in_its_pid_and_time() {
        let mut framed = encode(&started("a", 0));
        patch_birth(&mut framed, 77, 123);
        let (record, length) = decode(&framed).unwrap();
        assert_eq!(length, framed.len());
        assert!(matches!(
            record,
            Record::Started {
                pid: 77,
                born_ns: 123,
                ..
            }
        ));
    }

    #[test]
    fn compaction_keeps_what_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::rewrite(&path, &History::default()).unwrap();
        for record in [
            started("a", 1),
            started("b", 2),
            exited("b", 2, 9),
            Record::Forgot { key: "a".into() },
        ] {
            log.append(&record).unwrap();
        }
        let before = Log::read(&path).unwrap();
        log.compact().unwrap();
        log.append(&started("c", 3)).unwrap();
        let after = Log::read(&path).unwrap();
        assert_eq!(after.processes.len(), 2);
        assert_eq!(after.processes.get("b"), before.processes.get("b"));
        assert_eq!(status(&after, "b"), Some(9));
    }
}
