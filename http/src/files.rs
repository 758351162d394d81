//! The virtual file tree behind `/files/*`, LIST_FILES and READ_FILE.
//!
//! Real folders and files are attached under virtual paths; nothing outside what is attached can be reached. A path
//! is resolved by whole components, its real path must lie under the root's real path, and after opening the file
//! the kernel is asked where it really is, so a symlink changed meanwhile gains nothing. All file work runs on
//! blocking threads. Roots change rarely, so a plain lock guards them.

use crate::reply::Refusal;
use crate::{Body, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::AsyncReadExt;

/// One read gives at most this much: 16 pages, as Mesos answers; clients ask again until nothing comes.
pub const READ_MAX_BYTES: u64 = 16 * 4096;

/// A folder with more entries than this is not listed: the answer would be tens of megabytes.
pub const LIST_MAX_ENTRIES: usize = 100_000;

/// Why a file cannot be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum FileError {
    /// No such virtual or real path: 404.
    NotFound,
    /// The request makes no sense: 400 with this text.
    Bad(String),
    /// The world's fault: 500 with this text.
    Failed(String),
}

impl FileError {
    /// The answer: a 404 of the read calls has an empty body.
    pub fn response(self) -> Response {
        match self {
            FileError::NotFound => Refusal::new(StatusCode::NOT_FOUND, "").into(),
            FileError::Bad(text) => Refusal::bad_request(text).into(),
            FileError::Failed(text) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text).into(),
        }
    }
}

/// What is known of one entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its virtual path.
    pub path: String,
    /// Hard links.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Last change, nanoseconds since the epoch.
    pub mtime_nanos: i64,
    /// Type and permission bits of `stat`.
    pub mode: u32,
    /// Name of the owner, or its number.
    pub uid: String,
    /// Name of the group, or its number.
    pub gid: String,
}

/// The attached roots. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    roots: Arc<RwLock<BTreeMap<String, PathBuf>>>,
}

struct Resolved {
    /// The root's real path.
    root: PathBuf,
    /// The wanted real path, below `root`.
    real: PathBuf,
}

impl Files {
    /// Makes `real` reachable as `name`.
    pub fn attach(&self, name: impl Into<String>, real: impl Into<PathBuf>) {
        let name = trim(&name.into()).to_owned();
        self.roots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, real.into());
    }

    /// Takes `name` away.
    pub fn detach(&self, name: &str) {
        self.roots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(trim(name));
    }

    /// Takes `name` away if it stands for `real`.
    pub fn detach_if(&self, name: &str, real: &Path) {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        if roots.get(trim(name)).is_some_and(|root| root == real) {
            roots.remove(trim(name));
        }
    }

    /// All virtual paths and what they stand for.
    pub fn attached(&self) -> BTreeMap<String, PathBuf> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The root with the longest name that is `path` or a prefix of it by components, and what follows.
    fn root_of(&self, path: &str) -> Option<(PathBuf, String)> {
        let path = trim(path);
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        let mut end = path.len();
        loop {
            if let Some(real) = roots.get(&path[..end]) {
                let rest = path[end..].trim_start_matches('/');
                return Some((real.clone(), rest.to_owned()));
            }
            end = path[..end].rfind('/')?;
        }
    }

    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        let (root, rest) = self.root_of(path).ok_or(FileError::NotFound)?;
        let root = root.canonicalize().map_err(missing)?;
        let joined = if rest.is_empty() {
            root.clone()
        } else {
            root.join(rest)
        };
        let real = joined.canonicalize().map_err(missing)?;
        if !real.starts_with(&root) {
            return Err(FileError::Bad(format!("'{path}' is inaccessible.\n")));
        }
        Ok(Resolved { root, real })
    }

    /// What a folder holds, sorted by path; nothing for a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn browse(&self, path: &str) -> Result<Vec<FileInfo>, FileError> {
        let (files, path) = (self.clone(), path.to_owned());
        blocking(move || files.browse_now(&path)).await
    }

    fn browse_now(&self, path: &str) -> Result<Vec<FileInfo>, FileError> {
        let resolved = self.resolve(path)?;
        if !resolved.real.is_dir() {
            return Ok(Vec::new());
        }
        let failed = |e: io::Error| FileError::Failed(format!("Failed to list '{path}': {e}.\n"));
        let mut names = Names::default();
        let mut infos = Vec::new();
        for entry in std::fs::read_dir(&resolved.real).map_err(failed)? {
            if infos.len() >= LIST_MAX_ENTRIES {
                return Err(FileError::Failed(format!(
                    "'{path}' has more than {LIST_MAX_ENTRIES} entries.\n"
                )));
            }
            let entry = entry.map_err(failed)?;
            // A link is shown as what it leads to when that lies inside, else as itself. An entry that went away
            // between listing and looking is left out.
            let inside = entry
                .path()
                .canonicalize()
                .is_ok_and(|real| real.starts_with(&resolved.root));
            let metadata = if inside {
                std::fs::metadata(entry.path())
            } else {
                std::fs::symlink_metadata(entry.path())
            };
            let Ok(metadata) = metadata else { continue };
            let name = entry.file_name();
            let full = format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy());
            infos.push(names.info(full, &metadata));
        }
        infos.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(infos)
    }

    /// Bytes from `offset`, at most `length` and [`READ_MAX_BYTES`], and the size of the file. Without an offset
    /// nothing is read.
    ///
    /// # Errors
    /// [`FileError`]; a folder is [`FileError::Bad`].
    pub async fn read(
        &self,
        path: &str,
        offset: Option<u64>,
        length: Option<u64>,
    ) -> Result<(Bytes, u64), FileError> {
        let (files, path) = (self.clone(), path.to_owned());
        blocking(move || {
            let (mut file, size) = files.open_now(&path, "read")?;
            let failed = |e: io::Error| FileError::Failed(format!("Failed to read '{path}': {e}.\n"));
            let Some(offset) = offset.filter(|offset| *offset < size) else {
                return Ok((Bytes::new(), size));
            };
            file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            let wanted = length.unwrap_or(READ_MAX_BYTES).min(READ_MAX_BYTES);
            let mut data = Vec::new();
            file.take(wanted).read_to_end(&mut data).map_err(failed)?;
            Ok((Bytes::from(data), size))
        })
        .await
    }

    fn open_now(&self, path: &str, verb: &str) -> Result<(File, u64), FileError> {
        let resolved = self.resolve(path)?;
        let failed = |e: io::Error| FileError::Failed(format!("Failed to open file at '{path}': {e}.\n"));
        // Not blocking: a FIFO somebody left in a sandbox must not hold a thread.
        let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(&resolved.real)
            .map_err(failed)?;
        let really = std::fs::read_link(Path::new("/proc/self/fd").join(file.as_raw_fd().to_string()))
            .map_err(failed)?;
        if !really.starts_with(&resolved.root) {
            return Err(FileError::Bad(format!("'{path}' is inaccessible.\n")));
        }
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(FileError::Bad(format!("Cannot {verb} a directory.\n")));
        }
        if !metadata.is_file() {
            return Err(FileError::Bad(format!("'{path}' is not a regular file.\n")));
        }
        Ok((file, metadata.len()))
    }

    /// The whole file as it is now, as an attachment.
    pub async fn download(&self, path: &str) -> Response {
        let (files, wanted) = (self.clone(), path.to_owned());
        match blocking(move || files.open_now(&wanted, "download")).await {
            Ok((file, size)) => attachment(path, file, size),
            Err(FileError::NotFound) => crate::reply::not_found(),
            Err(error) => error.response(),
        }
    }
}

fn attachment(path: &str, file: File, size: u64) -> Response {
    // A log grows while it is sent: only what was there at the start belongs to this answer.
    let reader = tokio::fs::File::from_std(file).take(size);
    let stream = tokio_util::io::ReaderStream::with_capacity(reader, 64 << 10);
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    let name = path.rsplit('/').next().unwrap_or("file");
    let disposition = HeaderValue::from_bytes(format!("attachment; filename={name}").as_bytes())
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_DISPOSITION, disposition);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime(name)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    response
}

/// The media type by the name's suffix.
fn mime(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
        "css" => "text/css",
        "gif" => "image/gif",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "js" => "application/javascript",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "txt" => "text/plain",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Names of users and groups, looked up once per listing.
#[derive(Default)]
struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn info(&mut self, path: String, metadata: &Metadata) -> FileInfo {
        let uid = self.users.entry(metadata.uid()).or_insert_with(|| {
            nix::unistd::User::from_uid(metadata.uid().into())
                .ok()
                .flatten()
                .map_or_else(|| metadata.uid().to_string(), |user| user.name)
        });
        let gid = self.groups.entry(metadata.gid()).or_insert_with(|| {
            nix::unistd::Group::from_gid(metadata.gid().into())
                .ok()
                .flatten()
                .map_or_else(|| metadata.gid().to_string(), |group| group.name)
        });
        FileInfo {
            path,
            nlink: metadata.nlink(),
            size: metadata.size(),
            mtime_nanos: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            mode: metadata.mode(),
            uid: uid.clone(),
            gid: gid.clone(),
        }
    }
}

fn trim(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn missing(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            FileError::NotFound
        }
        _ => FileError::Failed(format!("Failed to resolve the path: {error}.\n")),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(FileError::Failed(format!("{e}.\n"))))
}

/// `ls -l` form of the mode, as the old endpoints print it.
pub fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if mode >> shift & bit != 0 { letter } else { '-' });
        }
    }
    text
}

mod legacy;
pub use legacy::endpoint;

#[cfg(test)]
mod tests;
