//! The log of a server: to standard error unless `--quiet`, and to a file when `--log_dir` is given.
//!
//! Levels are Mesos's: `--logging_level` sets the least severe that is kept; SET_LOGGING_LEVEL raises verbosity for a
//! while (1 and above: debugging, 3 and above: everything).

mod queue;
mod rotate;

use meseta_http::logging::LogLevel;
use queue::Queue;
use rotate::Rotating;
pub(crate) use rotate::{LOG_FILE_VARIABLE, open_log};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// A log that is on.
pub(super) struct Log {
    /// The switch for the API.
    pub(super) level: LogLevel,
    /// The file, if there is one.
    pub(super) file: Option<PathBuf>,
    /// What may still have to be written.
    pub(super) unwritten: Unwritten,
}

/// The queues behind a log.
#[derive(Clone)]
pub(super) struct Unwritten(Vec<Queue>);

impl Unwritten {
    /// Waits a moment for the last lines.
    pub(super) fn flush(&self) {
        self.0.iter().for_each(Queue::flush);
    }
}

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("flag '--logging_level': '{0}' is none of INFO, WARNING, ERROR")]
    Level(String),
    #[error("flag '--log_dir': cannot write {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("no thread for the log: {0}")]
    Thread(io::Error),
}

/// Switches the process's log on.
pub(super) fn init(role: &str, level: &str, dir: Option<&Path>, quiet: bool) -> Result<Log, LogError> {
    let least = match level.to_ascii_uppercase().as_str() {
        "INFO" => LevelFilter::INFO,
        "WARNING" => LevelFilter::WARN,
        "ERROR" => LevelFilter::ERROR,
        _ => return Err(LogError::Level(level.to_owned())),
    };
    let file = match dir {
        None => None,
        Some(dir) => {
            let path = dir.join(format!("meseta-{role}.log"));
            let opened = open(dir, &path).map_err(|source| LogError::File {
                path: path.clone(),
                source,
            })?;
            Some((path, opened))
        }
    };
    let (filter, handle) = reload::Layer::new(least);
    let path = file.as_ref().map(|(path, _)| path.clone());
    let file_queue = file.map(|(_, file)| Queue::start(file)).transpose();
    let file_queue = file_queue.map_err(LogError::Thread)?;
    let stderr_queue = (!quiet).then(to_stderr).transpose();
    let stderr_queue = stderr_queue.map_err(LogError::Thread)?;
    let unwritten = file_queue.iter().chain(&stderr_queue).cloned().collect();
    let to_file = file_queue.map(|queue| fmt::layer().with_ansi(false).with_writer(queue));
    let to_stderr = stderr_queue.map(|queue| {
        let colour = std::io::IsTerminal::is_terminal(&io::stderr());
        fmt::layer().with_ansi(colour).with_writer(queue)
    });
    // A second log in one process would be a defect, not a reason to stop a server.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(to_stderr)
        .with(to_file)
        .try_init();
    let level = LogLevel::new(0, move |raised| {
        let filter = match raised {
            0 => least,
            1 | 2 => LevelFilter::from_level(Level::DEBUG).max(least),
            _ => LevelFilter::TRACE,
        };
        // Only fails when the subscriber is gone.
        let _ = handle.reload(filter);
    });
    Ok(Log {
        level,
        file: path,
        unwritten: Unwritten(unwritten),
    })
}

/// Standard error, or the bounded file that `meseta up` put behind it.
fn to_stderr() -> io::Result<Queue> {
    match Rotating::of_stderr(std::env::var_os(LOG_FILE_VARIABLE).map(PathBuf::from)) {
        Some(file) => Queue::start(file),
        None => Queue::start(io::stderr()),
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(dir)?;
    OpenOptions::new().create(true).append(true).open(path)
}
