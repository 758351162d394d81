//! The fetcher: brings a container's files into its sandbox before it starts.
//!
//! Which question lives here: what a URI means and what becomes of it on disk. A fetch is a process of its own
//! (`meseta fetch`), started by the supervisor like a container: as the task's user, in its sandbox, its log in the
//! sandbox's `stderr`. So it can write nothing the task could not, is killed like a container, and neither a slow server
//! nor a hostile archive touches the agent. The agent's side (`command`, `failure`) only names what to fetch and
//! reads back why it failed.

use crate::event::{Exit, ExitCause};
use crate::spec::{LaunchSpec, Uri};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

mod download;
mod extract;
mod uri;

use self::uri::Place;

/// Carries the order to the fetch process, with a number for each part: environments are readable by the same user only,
/// command lines by everybody.
const ORDER: &str = "MESETA_FETCH";

/// First words of the line that says why a fetch failed; the agent looks for it.
const FAILED: &str = "Failed to fetch ";

/// Bytes of the sandbox's `stderr` searched for that line.
const LOG_TAIL_BYTES: u64 = 8 << 10;

/// Longest cause taken into a task's status.
const CAUSE_CHARS_MAX: usize = 1024;

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    uris: Vec<Uri>,
    stall_timeout_ms: u64,
}

/// Variables of the agent that a fetch gets. Its process belongs to the task's user, who can read its environment: the
/// agent's other variables, which may hold secrets, stay with the agent (Mesos gives all but its own).
const PASSED_ON: [&str; 14] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The kernel takes no string of more than 128 KiB into an environment; the order is cut into as many as needed.
const ORDER_PART_CHARS: usize = 16 << 10;

/// How to run the fetch for a container: the command line and the environment.
pub(crate) fn command(
    spec: &LaunchSpec,
    helper: &[String],
    stall_timeout: Duration,
) -> (Vec<String>, Vec<String>) {
    let mut command = helper.to_vec();
    command.push("fetch".to_owned());
    let order = Order {
        uris: spec.uris.clone(),
        stall_timeout_ms: u64::try_from(stall_timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let mut environment: Vec<String> = PASSED_ON
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)))
        .collect();
    // Strings, booleans and a number always become JSON.
    let order = serde_json::to_string(&order).unwrap_or_default();
    let order: Vec<char> = order.chars().collect();
    for (number, part) in order.chunks(ORDER_PART_CHARS).enumerate() {
        let part: String = part.iter().collect();
        environment.push(format!("{ORDER}_{number}={part}"));
    }
    (command, environment)
}

/// The order as the parts in the environment give it.
fn ordered() -> Result<Order, String> {
    let parts = (0..).map_while(|number| std::env::var(format!("{ORDER}_{number}")).ok());
    serde_json::from_str(&parts.collect::<String>()).map_err(|e| e.to_string())
}

/// Mesos's words for a failed fetch, and the cause, which Mesos leaves in the sandbox.
pub(crate) async fn failure(spec: &LaunchSpec, exit: &Exit) -> String {
    let how = match &exit.cause {
        ExitCause::Status(status) => match (status & 0x7f, status >> 8) {
            (0, code) => format!("exited with status {code}"),
            (signal, _) => format!("terminated with signal {signal}"),
        },
        ExitCause::Unseen(why) => why.to_string(),
    };
    let log = spec.sandbox.join("stderr");
    let cause = tokio::task::spawn_blocking(move || last_cause(&log)).await;
    let mut text = format!("Failed to fetch all URIs for container '{}': {how}", spec.id);
    if let Ok(Some(cause)) = cause {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

/// The last line of the log that says why.
fn last_cause(log: &Path) -> Option<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    use std::os::unix::fs::OpenOptionsExt as _;
    // What was unpacked may have put a link or a FIFO in its place.
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(log)
        .ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let length = metadata.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))
        .ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().find(|line| line.starts_with(FAILED))?;
    Some(line.chars().take(CAUSE_CHARS_MAX).collect())
}

/// Fetches what the environment orders into the working directory. The exit code is 0, or 1 when anything could not be
/// fetched; what was done and what failed is on stderr.
pub fn main(_arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let bound = rustix::process::Rlimit {
        current: Some(extract::BYTES_MAX),
        maximum: Some(extract::BYTES_MAX),
    };
    // For each file, also those that the host's tools write. Fails only where a lower limit holds already.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Fsize, bound);
    let order = match ordered() {
        Ok(order) => order,
        Err(error) => {
            eprintln!("fetch: no order in {ORDER}: {error}");
            return ExitCode::from(2);
        }
    };
    let stall_timeout = Duration::from_millis(order.stall_timeout_ms);
    for uri in &order.uris {
        eprintln!("Fetching URI '{}'", uri.value.trim_start());
        match fetch(uri, stall_timeout, Path::new(".")) {
            Ok(path) => eprintln!("Fetched '{}' to '{}'", uri.value.trim_start(), path.display()),
            Err(error) => {
                eprintln!("{FAILED}'{}': {error}", uri.value.trim_start());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Why a file could not be fetched; the text goes into the task's status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The URI itself is wrong.
    #[error("{0}")]
    Uri(String),
    /// The source cannot be read.
    #[error("{0}")]
    Source(String),
    /// It cannot be written into the sandbox.
    #[error("Failed to write '{path}': {source}")]
    Write { path: String, source: std::io::Error },
    /// It cannot be unpacked.
    #[error("Failed to extract '{archive}': {why}")]
    Extract { archive: String, why: String },
}

/// Fetches one file into `sandbox`; returns where it is.
fn fetch(uri: &Uri, stall_timeout: Duration, sandbox: &Path) -> Result<PathBuf, FetchError> {
    let place = Place::of(uri)?;
    let path = sandbox.join(&place.file);
    let write = |source| FetchError::Write {
        path: place.file.clone(),
        source,
    };
    make_parents(sandbox, Path::new(&place.file)).map_err(write)?;
    match &place.source {
        uri::Source::File(from) => {
            let mut source =
                open_plain(from).map_err(|e| FetchError::Source(format!("Failed to read '{from}': {e}")))?;
            let mut target = create(&path).map_err(write)?;
            std::io::copy(&mut source, &mut target).map_err(write)?;
        }
        uri::Source::Http(url) => {
            let target = create(&path).map_err(write)?;
            download::download(url, target, stall_timeout)?;
        }
    }
    if uri.executable {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).map_err(write)?;
    } else if uri.extract {
        match extract::kind(&place.file) {
            Some(kind) => extract::extract(kind, &path, sandbox)?,
            None => eprintln!("Not extracted, because '{}' is no known archive", place.file),
        }
    }
    Ok(path)
}

fn open_plain(path: &str) -> std::io::Result<std::fs::File> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
    }
    Ok(file)
}

/// Creates or replaces a file; never writes through a link that was unpacked before.
fn create(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Makes the folders above `file` (relative, without `..`), none of which may be a link out of the sandbox.
fn make_parents(sandbox: &Path, file: &Path) -> std::io::Result<()> {
    let mut folder = sandbox.to_owned();
    for part in file.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match std::fs::symlink_metadata(&folder) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(std::io::Error::from(std::io::ErrorKind::NotADirectory)),
            Err(_) => std::fs::create_dir(&folder)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
