//! The log file that `meseta up` gives a role: bounded, also while the role runs and when `up` is gone.
//!
//! `up` opens the file as the role's standard output and error, so that nothing stands between a role and its log. The
//! role puts a full file aside by itself (one older one is kept) and goes on in a new one. What a panic or a library
//! writes to standard error directly lands in the same file, since the new one takes over both streams.

use nix::sys::stat::fstat;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names the file behind standard error to a role.
pub(crate) const LOG_FILE_VARIABLE: &str = "MESETA_LOG_FILE";

/// A log file is put aside when it has grown to this; together with the older one some days of a busy role.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Opens a log to be appended to, after putting a full one aside.
///
/// # Errors
/// It or its folder cannot be made.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::metadata(path).is_ok_and(|m| m.len() >= LOG_BYTES_MAX) {
        put_aside(path)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn put_aside(path: &Path) -> io::Result<()> {
    fs::rename(path, path.with_extension("log.1"))
}

/// Standard error as a file of bounded size.
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    bytes: u64,
    most: u64,
    /// Puts the new file in the place of the old one, besides here.
    replace: fn(&File) -> io::Result<()>,
}

impl Rotating {
    /// For a role that was given such a file. `None` when its standard error is something else.
    pub(super) fn of_stderr(path: Option<PathBuf>) -> Option<Rotating> {
        let path = path.filter(|path| path.is_absolute())?;
        let named = fs::metadata(&path).ok()?;
        let behind = fstat(io::stderr()).ok()?;
        // A variable that was merely inherited means nothing.
        if (named.dev(), named.ino()) != (behind.st_dev, behind.st_ino) || !named.is_file() {
            return None;
        }
        let file = OpenOptions::new().append(true).open(&path).ok()?;
        Some(Rotating {
            path,
            file,
            bytes: named.len(),
            most: LOG_BYTES_MAX,
            replace: both_streams,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        put_aside(&self.path)?;
        let fresh = OpenOptions::new().create(true).append(true).open(&self.path)?;
        (self.replace)(&fresh)?;
        self.file = fresh;
        self.bytes = 0;
        Ok(())
    }
}

fn both_streams(file: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes >= self.most {
            // A full disk or a folder that is gone: better a log that is too long than none.
            let _ = self.rotate();
        }
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_the_next_line_begins_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.log");
        let mut log = Rotating {
            file: open_log(&path).unwrap(),
            path: path.clone(),
            bytes: 0,
            most: 10,
            replace: |_| Ok(()),
        };
        for line in ["one\n", "two two two\n", "three\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text("master.log.1"), "one\ntwo two two\n");
        assert_eq!(text("master.log"), "three\n");
        for n in 0..100 {
            writeln!(log, "line {n}").unwrap();
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "one older one is kept"
        );
        assert!(text("master.log").len() + text("master.log.1").len() < 60);
    }

    #[test]
    fn a_folder_that_is_gone_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.log");
        let mut log = Rotating {
            file: open_log(&path).unwrap(),
            path,
            bytes: 0,
            most: 1,
            replace: |_| Ok(()),
        };
        log.write_all(b"one\n").unwrap();
        drop(folder);
        log.write_all(b"two\n").unwrap();
    }

    #[test]
    fn only_the_very_file_behind_standard_error_is_taken() {
        let other = tempfile::NamedTempFile::new().unwrap();
        assert!(Rotating::of_stderr(Some(other.path().to_owned())).is_none());
        assert!(Rotating::of_stderr(Some("relative.log".into())).is_none());
        assert!(Rotating::of_stderr(None).is_none());
    }
}
