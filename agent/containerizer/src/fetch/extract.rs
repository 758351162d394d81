//! Unpacking: tar in its compressed forms, zip, and single gzipped files.
//!
//! Nothing is written outside of the sandbox: members with absolute names or `..`, and links that would lead out, fail
//! the whole fetch. Sizes and numbers of members are bounded, because a small archive can unpack to anything; of a zip
//! archive, which the host's `unzip` unpacks, only the size of each file is.

use super::FetchError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::process::{Command, Stdio};

/// Bytes one archive may unpack to.
pub(super) const BYTES_MAX: u64 = 64 << 30;

/// Members one archive may have.
const MEMBERS_MAX: usize = 1 << 20;

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tar,
    TarGz,
    /// Decompressed by the host's `bzip2` or `xz`.
    TarBy(&'static str),
    Gz,
    /// Unpacked by the host's `unzip`.
    Zip,
}

/// The suffixes Mesos extracts.
const SUFFIXES: [(&str, Kind); 9] = [
    (".tar", Kind::Tar),
    (".tgz", Kind::TarGz),
    (".tar.gz", Kind::TarGz),
    (".tbz2", Kind::TarBy("bzip2")),
    (".tar.bz2", Kind::TarBy("bzip2")),
    (".txz", Kind::TarBy("xz")),
    (".tar.xz", Kind::TarBy("xz")),
    (".gz", Kind::Gz),
    (".zip", Kind::Zip),
];

/// What to do with a file of this name; `None`: nothing.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    SUFFIXES
        .iter()
        .find(|(suffix, _)| name.len() > suffix.len() && name.ends_with(suffix))
        .map(|(_, kind)| *kind)
}

/// Unpacks `archive` into `sandbox`; the archive stays beside its content.
pub(crate) fn extract(kind: Kind, archive: &Path, sandbox: &Path) -> Result<(), FetchError> {
    let outcome = match kind {
        Kind::Tar => File::open(archive)
            .map_err(|e| e.to_string())
            .and_then(|file| untar(file, sandbox)),
        Kind::TarGz => File::open(archive)
            .map_err(|e| e.to_string())
            .and_then(|file| untar(MultiGzDecoder::new(file), sandbox)),
        Kind::TarBy(program) => untar_by(program, archive, sandbox),
        Kind::Gz => gunzip(archive),
        Kind::Zip => unzip(archive, sandbox),
    };
    outcome.map_err(|why| FetchError::Extract {
        archive: archive
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        why,
    })
}

fn untar(reader: impl Read, sandbox: &Path) -> Result<(), String> {
    let text = |e: io::Error| e.to_string();
    let mut archive = tar::Archive::new(Bounded {
        inner: reader,
        left: BYTES_MAX,
    });
    // Folders last: one that is not writable could not be filled otherwise.
    let mut folders = Vec::new();
    for (number, member) in archive.entries().map_err(text)?.enumerate() {
        let mut member = member.map_err(text)?;
        if number >= MEMBERS_MAX {
            return Err(format!("it has more than {MEMBERS_MAX} members"));
        }
        let path = member.path().map_err(text)?.into_owned();
        let outside = path
            .components()
            .any(|part| matches!(part, Component::ParentDir | Component::RootDir));
        if outside {
            return Err(format!("member '{}' lies outside of the sandbox", path.display()));
        }
        if member.header().entry_type().is_dir() {
            folders.push(member);
        } else if !member.unpack_in(sandbox).map_err(text)? {
            return Err(format!("member '{}' lies outside of the sandbox", path.display()));
        }
    }
    for mut folder in folders {
        folder.unpack_in(sandbox).map_err(text)?;
    }
    Ok(())
}

fn untar_by(program: &str, archive: &Path, sandbox: &Path) -> Result<(), String> {
    let mut child = Command::new(program)
        .arg("-dc")
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run '{program}': {e}"))?;
    let unpacked = match child.stdout.take() {
        Some(out) => untar(out, sandbox),
        None => Err("no output".to_owned()),
    };
    let status = child.wait().map_err(|e| e.to_string())?;
    // When unpacking stopped early, the decompressor only failed to write.
    unpacked?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("'{program}' failed: {status}")),
    }
}

fn gunzip(archive: &Path) -> Result<(), String> {
    let source = File::open(archive).map_err(|e| e.to_string())?;
    let mut target = super::create(&archive.with_extension("")).map_err(|e| e.to_string())?;
    let mut bounded = Bounded {
        inner: MultiGzDecoder::new(source),
        left: BYTES_MAX,
    };
    io::copy(&mut bounded, &mut target).map_err(|e| e.to_string())?;
    Ok(())
}

/// The host's `unzip` refuses names that lead out of its folder.
fn unzip(archive: &Path, sandbox: &Path) -> Result<(), String> {
    let out = Command::new("unzip")
        .args(["-o", "-q"])
        .arg(archive)
        .arg("-d")
        .arg(sandbox)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run 'unzip': {e}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
    }
}

/// Fails, instead of ending, when more comes than allowed.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(length as u64)
            .ok_or_else(|| io::Error::other(format!("it unpacks to more than {BYTES_MAX} bytes")))?;
        Ok(length)
    }
}
