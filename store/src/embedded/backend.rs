//! How redb reaches the disk: plain positioned reads and writes, with two things of our own. While a new file is
//! being made, syncs are counted and left out, since the file gets its name only after one real sync at the end;
//! and tests can make the disk fail.

use redb::StorageBackend;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file as redb's storage.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    switches: Arc<Switches>,
}

/// What can be changed while redb owns the [`Disk`].
#[derive(Debug, Default)]
pub(super) struct Switches {
    /// The file has no name yet: syncs wait for the one at the end.
    pub(super) nameless: AtomicBool,
    /// Tests: writes and growth fail as on a full disk.
    pub(super) full: AtomicBool,
    /// Tests: syncs fail.
    pub(super) sync_fails: AtomicBool,
}

impl Disk {
    pub(super) fn new(file: File, switches: Arc<Switches>) -> Disk {
        Disk { file, switches }
    }

    fn room(&self) -> io::Result<()> {
        match self.switches.full.load(Ordering::Relaxed) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.switches.nameless.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.switches.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("injected: fsync failed"));
        }
        // Also for want of room: after a failed sync nobody knows what is on disk, so it must not pass for a full disk.
        self.file
            .sync_data()
            .map_err(|error| io::Error::other(format!("sync failed: {error}")))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write_all_at(data, offset)
    }
}
