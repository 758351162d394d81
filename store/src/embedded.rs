//! The default store: one redb file, one writer thread, one fsync for all commits that wait.
//!
//! redb gives atomic, ordered transactions in pure Rust; what it does not give is added here: every value is checked
//! when it is read ([`envelope`]), the file says whose it is and in which format ([`format`]), a new file appears
//! whole or not at all, and a full disk is told apart from a write nobody can vouch for ([`writer`]).

mod backend;
mod envelope;
mod format;
mod writer;

use crate::{Commit, Entry, Key, Outcome, Pending, ReadError, Refused, Revision, Store};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Key → envelope of revision and value.
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");

/// Pages redb may keep in memory. A registry of 10,000 agents has some 20 MB, is read once at start and then only
/// written, so a small cache is enough and keeps an idle master small.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// Commits that may wait for the writer. Above it the caller hears [`Refused::Busy`]: at some 4,000 fsyncs a second
/// this is a second of work even without grouping.
const QUEUE_COMMITS_MAX: usize = 4096;

/// Why a store file could not be opened. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file cannot be read or made.
    #[error("cannot open the store {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds it.
    #[error("the store {path} is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{path} is not a store of Meseta ({why}); move it away or name another folder")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Written by a later release.
    #[error(
        "the store {path} has format {found}, this program knows formats up to {known}; use the release that wrote it"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// Cut short or overwritten.
    #[error("the store {path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
}

/// A store in one file. Dropping it writes what was submitted, then closes the file.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    /// Replaced by the writer when it has to open the file anew after a full disk.
    database: writer::Shared,
    queue: Option<mpsc::SyncSender<writer::Request>>,
    writer: Option<JoinHandle<()>>,
    /// Held as long as the store is open, so that no second process writes.
    _lock: File,
}

impl Embedded {
    /// Opens the store file at `path`, or makes a new one. The folder must exist. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Embedded, OpenError> {
        Embedded::open_on(path.as_ref().to_owned(), Arc::default())
    }

    fn open_on(path: PathBuf, switches: Arc<backend::Switches>) -> Result<Embedded, OpenError> {
        let lock = take_lock(&path)?;
        if !path.try_exists().map_err(|source| OpenError::Io {
            path: path.clone(),
            source,
        })? {
            format::create(&path)?;
        }
        let (database, revision) = format::open_on(&path, switches)?;
        let database: writer::Shared = Arc::new(Mutex::new(Some(Arc::new(database))));
        let (queue, requests) = mpsc::sync_channel(QUEUE_COMMITS_MAX);
        let writer = writer::Writer::new(path.clone(), Arc::clone(&database), revision);
        let writer = std::thread::Builder::new()
            .name("meseta-store".to_owned())
            .spawn(move || writer.run(&requests))
            .map_err(|source| OpenError::Io {
                path: path.clone(),
                source,
            })?;
        Ok(Embedded {
            path,
            database,
            queue: Some(queue),
            writer: Some(writer),
            _lock: lock,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn database(&self) -> Result<Arc<Database>, ReadError> {
        let shared = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        shared
            .clone()
            .ok_or_else(|| ReadError::Io("the store is closed after a failure of the disk".to_owned()))
    }
}

/// A lock file beside the store, since the store file itself is replaced when it is made.
fn take_lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(name)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

impl Store for Embedded {
    fn submit(&self, commit: Commit) -> Pending {
        if let Some(refused) = commit.too_large() {
            return Pending::ready(Outcome::Refused(refused));
        }
        let Some(queue) = &self.queue else {
            return Pending::ready(Outcome::Unknown(Arc::from("the store is closed")));
        };
        let (answer, pending) = Pending::channel();
        match queue.try_send(writer::Request { commit, answer }) {
            Ok(()) => pending,
            Err(mpsc::TrySendError::Full(_)) => Pending::ready(Outcome::Refused(Refused::Busy)),
            Err(mpsc::TrySendError::Disconnected(_)) => {
                Pending::ready(Outcome::Unknown(Arc::from("the store's writer ended")))
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        let io = |e: redb::Error| ReadError::Io(e.to_string());
        let read = self.database()?.begin_read().map_err(|e| io(e.into()))?;
        let table = read.open_table(ENTRIES).map_err(|e| io(e.into()))?;
        let mut found = Vec::new();
        for item in table.range(prefix..).map_err(|e| io(e.into()))? {
            let (key, value) = item.map_err(|e| io(e.into()))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push(entry(key.value(), value.value())?);
        }
        Ok(found)
    }
}

fn entry(key: &str, bytes: &[u8]) -> Result<Entry, ReadError> {
    let damaged = |why| ReadError::Damaged {
        key: key.to_owned(),
        why,
    };
    let (revision, value) = envelope::open(key, bytes).map_err(damaged)?;
    let key = Key::new(key).map_err(|_| damaged("the key itself is not one of ours"))?;
    Ok(Entry {
        key,
        revision: Revision(revision),
        value,
    })
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was already answered as `Unknown` to everyone who waited.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
