//! The file of a log: its header, how it is read at start, how it is replaced.

use super::BATCH_BYTES_MAX;
use super::frame::{self, Found};
use super::writer::{self, Log};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// First bytes of the file: whose it is, format version, and the caller's own schema number.
const MAGIC: &[u8; 8] = b"MESETALG";
const FORMAT: u32 = 1;
pub(super) const HEADER_BYTES: usize = 16;

/// Why a log could not be opened. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file cannot be read or made.
    #[error("cannot open the log {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds it.
    #[error("the log {path} is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else, or written by a later release.
    #[error("{path} is not a log this program can read: {why}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A batch in the middle does not fit its checksum, although others follow.
    #[error(
        "the log {path} is damaged at byte {at}: a batch there does not fit its checksum, but others follow"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
    },
}

/// A batch that was being written when the process or the machine stopped. It was never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it begins.
    pub at: u64,
}

/// An open log and what it holds.
#[derive(Debug)]
pub struct Opened {
    /// For appending.
    pub log: Log,
    /// All records, oldest first.
    pub records: Vec<Bytes>,
    /// Whether the last batch was torn and has been dropped.
    pub torn: Option<Torn>,
}

/// Opens the log at `path` or makes a new one; `schema` is the version of the caller's records. Blocks on the disk.
///
/// # Errors
/// [`OpenError`]; the file is not changed then.
pub fn open(path: impl AsRef<Path>, schema: u32) -> Result<Opened, OpenError> {
    let path = path.as_ref().to_owned();
    let fail = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            replace(&path, schema, &[]).map_err(fail)?;
            File::options().read(true).write(true).open(&path).map_err(fail)?
        }
        Err(e) => return Err(fail(e)),
    };
    lock(&file, &path)?;
    let mut content = Vec::new();
    (&file).read_to_end(&mut content).map_err(fail)?;
    check_header(&path, &content, schema)?;
    let content = Bytes::from(content);
    let Scanned { records, end, torn } = scan(&path, &content)?;
    if torn.is_some() {
        // What was torn must not come back to life behind the next batch.
        file.set_len(end as u64).map_err(fail)?;
    }
    let log = writer::start(path.clone(), schema, file, end as u64).map_err(fail)?;
    Ok(Opened { log, records, torn })
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn check_header(path: &Path, content: &[u8], schema: u32) -> Result<(), OpenError> {
    let foreign = |why: String| OpenError::Foreign {
        path: path.to_owned(),
        why,
    };
    let Some(header) = content.get(..HEADER_BYTES) else {
        return Err(foreign("it is shorter than a header".to_owned()));
    };
    if &header[..8] != MAGIC {
        return Err(foreign("it does not begin as a log of Meseta".to_owned()));
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(8) > FORMAT {
        return Err(foreign(format!("it has format {}, known is {FORMAT}", number(8))));
    }
    if number(12) > schema {
        return Err(foreign(format!(
            "its records have version {}, known is {schema}",
            number(12)
        )));
    }
    Ok(())
}

#[derive(Debug)]
struct Scanned {
    records: Vec<Bytes>,
    end: usize,
    torn: Option<Torn>,
}

fn scan(path: &Path, content: &Bytes) -> Result<Scanned, OpenError> {
    let mut at = HEADER_BYTES;
    let mut records = Vec::new();
    loop {
        match frame::decode(content, at) {
            Found::Batch { records: more, next } => {
                records.extend(more);
                at = next;
            }
            Found::End => {
                return Ok(Scanned {
                    records,
                    end: at,
                    torn: None,
                });
            }
            Found::Bad if batch_follows(content, at) => {
                return Err(OpenError::Damaged {
                    path: path.to_owned(),
                    at: at as u64,
                });
            }
            Found::Bad => {
                return Ok(Scanned {
                    records,
                    end: at,
                    torn: Some(Torn { at: at as u64 }),
                });
            }
        }
    }
}

/// Whether a whole batch stands right behind the bad one, going by the bad one's length. A torn batch is the last
/// thing ever written, so behind it there is nothing.
fn batch_follows(content: &Bytes, at: usize) -> bool {
    let Some(length) = content.get(at..at + 4) else {
        return false;
    };
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let behind = at.saturating_add(frame::HEADER_BYTES).saturating_add(length);
    behind < content.len() && matches!(frame::decode(content, behind), Found::Batch { .. })
}

/// Cuts records into batches, each as full as one may be.
fn batches(records: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|record| {
            bytes += 4 + record.len();
            bytes <= BATCH_BYTES_MAX
        });
        let (batch, left) = rest.split_at(fitting.count().max(1).min(rest.len()));
        rest = left;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Writes a whole log under another name, syncs it, and gives it its name. Returns the open file and its end.
pub(super) fn replace(path: &Path, schema: u32, records: &[Bytes]) -> io::Result<(File, u64)> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unnamed = Path::new(&name);
    let mut content = Vec::with_capacity(HEADER_BYTES);
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&FORMAT.to_le_bytes());
    content.extend_from_slice(&schema.to_le_bytes());
    // The file gets its name whole, so that its batches need not be one.
    for batch in batches(records) {
        frame::encode(batch, &mut content).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    }
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(unnamed)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(unnamed, path)?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok((file, content.len() as u64))
}

/// Writes at a place and makes it durable. `Ok(false)`: there is no room, and the file is as before.
pub(super) fn append(file: &File, at: u64, bytes: &[u8], allocated: &mut u64) -> io::Result<bool> {
    if let Err(e) =
        allocate(file, at + bytes.len() as u64, allocated).and_then(|()| file.write_all_at(bytes, at))
    {
        if matches!(
            e.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            file.set_len(at)?;
            *allocated = at;
            return Ok(false);
        }
        return Err(e);
    }
    file.sync_data()?;
    Ok(true)
}

/// Grows the file ahead of the writes. A file that only grows by its writes pays for it in the journal each time.
const GROW_BYTES: u64 = 1024 * 1024;

fn allocate(file: &File, needed: u64, allocated: &mut u64) -> io::Result<()> {
    if needed > *allocated {
        let target = needed.next_multiple_of(GROW_BYTES);
        file.set_len(target)?;
        *allocated = target;
    }
    Ok(())
}
