//! The framework's id between runs: chosen here, stored before the first SUBSCRIBE.
//!
//! One small JSON file, replaced atomically (written beside, synced, renamed, folder synced). A file of another
//! framework or of a newer version is refused by name, never overwritten.

use crate::driver::Identity;
use meseta_types::FrameworkId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The version this build writes.
const FORMAT: u32 = 1;

/// More is no file of ours.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The most a framework's name contributes to its id: ids end at 255 characters, and a random part follows.
const NAME_IN_ID_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    framework_name: String,
    framework_id: String,
}

/// Why the id could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read the framework id in {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was written by something else, or is damaged.
    #[error("{path} is no framework id file: {why}; move it away to start as a new framework")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It belongs to a framework of another name.
    #[error("{path} holds the id of framework '{found}', not of '{wanted}': give another file")]
    OtherFramework {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
}

/// A new id: the framework's name and a random part, so that two installations never fight over one.
pub(crate) fn choose(name: &str) -> FrameworkId {
    let readable: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(NAME_IN_ID_MAX)
        .collect();
    FrameworkId::as_written(format!("{readable}-{}", uuid::Uuid::new_v4()))
}

/// A seed for the driver's jitter.
pub(crate) fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

/// The id in `path`, or a new one that is still to be stored.
pub(crate) async fn load(path: &Path, name: &str) -> Result<Identity, IdentityError> {
    let (path, name) = (path.to_owned(), name.to_owned());
    let read = tokio::task::spawn_blocking(move || read(&path, &name)).await;
    // The task only ends early if the runtime does.
    read.unwrap_or_else(|e| {
        Err(IdentityError::Read {
            path: PathBuf::new(),
            source: io::Error::other(e),
        })
    })
}

fn read(path: &Path, name: &str) -> Result<Identity, IdentityError> {
    let fault = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    let foreign = |why: String| IdentityError::Foreign {
        path: path.to_owned(),
        why,
    };
    let mut text = String::new();
    match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Identity::Chosen(choose(name))),
        Err(e) => return Err(fault(e)),
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|e| {
            if e.kind() == io::ErrorKind::InvalidData {
                foreign(e.to_string())
            } else {
                fault(e)
            }
        })?,
    };
    let stored: Stored = serde_json::from_str(&text).map_err(|e| foreign(e.to_string()))?;
    if stored.format > FORMAT {
        return Err(foreign(format!(
            "format {} is newer than {FORMAT}",
            stored.format
        )));
    }
    if stored.framework_name != name {
        return Err(IdentityError::OtherFramework {
            path: path.to_owned(),
            found: stored.framework_name,
            wanted: name.to_owned(),
        });
    }
    let id = FrameworkId::new(&stored.framework_id).map_err(|e| foreign(e.to_string()))?;
    Ok(Identity::Known(id))
}

/// Makes the id durable.
pub(crate) async fn store(path: &Path, name: &str, id: &FrameworkId) -> io::Result<()> {
    let stored = Stored {
        format: FORMAT,
        framework_name: name.to_owned(),
        framework_id: id.to_string(),
    };
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || write(&path, &stored))
        .await
        .map_err(io::Error::other)?
}

fn write(path: &Path, stored: &Stored) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(stored)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn an_id_is_found_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/id.json");
        let chosen = load(&path, "hello").await.unwrap();
        assert!(matches!(chosen, Identity::Chosen(_)));
        assert!(chosen.id().as_str().starts_with("hello-"));
        store(&path, "hello", chosen.id()).await.unwrap();
        assert_eq!(
            load(&path, "hello").await.unwrap(),
            Identity::Known(chosen.id().clone())
        );
    }

    #[tokio::test]
    async fn foreign_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id.json");
        store(&path, "other", &choose("other")).await.unwrap();
        let refused = load(&path, "hello").await.unwrap_err();
        assert!(
            matches!(refused, IdentityError::OtherFramework { .. }),
            "{refused}"
        );
        for text in [
            "",
            "{",
            "{\"format\":99,\"framework_name\":\"hello\",\"framework_id\":\"x\"}",
            "\u{0}",
        ] {
            fs::write(&path, text).unwrap();
            let refused = load(&path, "hello").await.unwrap_err();
            assert!(matches!(refused, IdentityError::Foreign { .. }), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn odd_names_still_make_valid_ids() {
        for name in ["a/b c", "", "..", &"x".repeat(500), "é\u{7}"] {
            let id = choose(name);
            assert_eq!(FrameworkId::new(id.as_str()).unwrap(), id);
        }
    }
}
