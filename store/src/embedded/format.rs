//! Whose file it is, in which format, and how it comes into being: whole, or not at all.

use super::backend::{Disk, Switches};
use super::{CACHE_BYTES, ENTRIES, OpenError};
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Name → number: the format of the file and the revision of the last commit.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meseta");
pub(super) const FORMAT_KEY: &str = "format";
pub(super) const REVISION_KEY: &str = "revision";

/// The newest format this program reads and the one it writes.
const FORMAT: u64 = 1;

/// Makes a new store file: under another name, synced once, then renamed.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unnamed = Path::new(&name);
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(unnamed)
        .map_err(io)?;
    let synced = file.try_clone().map_err(io)?;
    let switches = Arc::new(Switches::default());
    switches.nameless.store(true, Ordering::Relaxed);
    fill(Disk::new(file, switches)).map_err(|e| io(io::Error::other(e.to_string())))?;
    synced.sync_all().map_err(io)?;
    std::fs::rename(unnamed, path).map_err(io)?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

fn fill(disk: Disk) -> Result<(), redb::Error> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(disk)?;
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(REVISION_KEY, 0)?;
        write.open_table(ENTRIES)?;
    }
    write.commit()?;
    Ok(())
}

/// Opens a store file and tells the revision of its last commit.
pub(super) fn open(path: &Path) -> Result<(Database, u64), OpenError> {
    open_on(path, Arc::default())
}

/// As [`open`], with the disk's switches in the caller's hand.
pub(super) fn open_on(path: &Path, switches: Arc<Switches>) -> Result<(Database, u64), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::options().read(true).write(true).open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        // redb would turn an empty file into a new store: what was in it is lost, so say so.
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            why: "the file is empty".to_owned(),
        });
    }
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(Disk::new(file, switches))
        .map_err(|error| unopened(path, error))?;
    let revision = identify(path, &database)?;
    Ok((database, revision))
}

fn unopened(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            OpenError::Foreign {
                path,
                why: source.to_string(),
            }
        }
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged {
                path,
                why: "the file is cut short".to_owned(),
            }
        }
        DatabaseError::Storage(StorageError::Io(source)) => OpenError::Io { path, source },
        other => OpenError::Damaged {
            path,
            why: other.to_string(),
        },
    }
}

fn identify(path: &Path, database: &Database) -> Result<u64, OpenError> {
    let foreign = |why: String| OpenError::Foreign {
        path: path.to_owned(),
        why,
    };
    let damaged = |e: redb::Error| OpenError::Damaged {
        path: path.to_owned(),
        why: e.to_string(),
    };
    let read = database.begin_read().map_err(|e| damaged(e.into()))?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Err(foreign("a redb file of another program".into()));
        }
        Err(e) => return Err(foreign(e.to_string())),
    };
    let number = |key| {
        meta.get(key)
            .map_err(|e| damaged(e.into()))
            .map(|found| found.map(|n| n.value()))
    };
    match number(FORMAT_KEY)? {
        Some(found) if found > FORMAT => Err(OpenError::TooNew {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Some(_) => number(REVISION_KEY)?.ok_or_else(|| foreign("it counts no revisions".into())),
        None => Err(foreign("it names no format".into())),
    }
}
