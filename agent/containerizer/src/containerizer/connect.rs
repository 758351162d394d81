//! Finding a supervisor, starting one, and hearing what it has.

use super::{Config, StartError};
use crate::codec::{Frames, frame};
use crate::event::Found;
use crate::supervise::READY;
use crate::wire::{Ask, Known, MAGIC, Tell, VERSION};
use meseta_types::ContainerId;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A conversation with a supervisor, after its greeting.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stream: UnixStream,
    pub(crate) frames: Frames,
    /// The supervisor's process.
    pub(crate) pid: u32,
}

/// What a supervisor said it has.
pub(crate) type Inventory = Vec<(String, Known)>;

/// The first connection: makes the folder, and has a supervisor of another program replaced.
pub(crate) async fn first(config: &Config) -> Result<(Session, Vec<Found>), StartError> {
    let unusable = |source| StartError::RuntimeDir {
        path: config.runtime_dir.clone(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.runtime_dir)
        .map_err(unusable)?;
    let (mut session, mut inventory, version) = open(config).await.map_err(failed)?;
    if version != VERSION || !runs_helper(session.pid, config) {
        ask_to_reexec(&mut session, config).await.map_err(failed)?;
        let (again, found, version) = open(config).await.map_err(failed)?;
        if version != VERSION {
            return Err(StartError::Supervisor(format!(
                "process {} speaks version {version} of its protocol instead of {VERSION}",
                again.pid
            )));
        }
        (session, inventory) = (again, found);
    }
    let found = inventory.iter().filter_map(found).collect();
    Ok((session, found))
}

fn failed(error: io::Error) -> StartError {
    StartError::Supervisor(error.to_string())
}

/// A further connection, to the same supervisor or a new one.
pub(crate) async fn again(config: &Config) -> io::Result<(Session, Inventory)> {
    let (session, inventory, version) = open(config).await?;
    if version != VERSION {
        return Err(io::Error::other(format!(
            "it speaks version {version} of its protocol instead of {VERSION}"
        )));
    }
    Ok((session, inventory))
}

/// As the shell is told of it.
pub(crate) fn found((key, known): &(String, Known)) -> Option<Found> {
    let (pid, exit) = match known.clone() {
        Known::Launching => return None, // it is told when it runs
        Known::Running { pid } => (pid, None),
        Known::Ended { pid, exit } => (pid, Some(exit.into())),
    };
    let id = ContainerId::new(key).ok()?;
    Some(Found { id, pid, exit })
}

/// Whether a supervisor runs the very file that we would start.
fn runs_helper(pid: u32, config: &Config) -> bool {
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let running = fs::metadata(format!("/proc/{pid}/exe"));
    let configured = config.helper.first().map(fs::metadata);
    match (running, configured) {
        (Ok(running), Some(Ok(configured))) => same(running, configured),
        // When we cannot tell, it stays as it is.
        _ => true,
    }
}

async fn ask_to_reexec(session: &mut Session, config: &Config) -> io::Result<()> {
    let helper = config
        .helper
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let mut out = Vec::new();
    frame(&Ask::Reexec { helper }, &mut out);
    session.stream.write_all(&out).await?;
    // It closes our connection by executing.
    let mut rest = [0; 4096];
    let closed = async {
        while session.stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    match tokio::time::timeout(config.supervisor_start_timeout, closed).await {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("it does not make room for another build")),
    }
}

async fn open(config: &Config) -> io::Result<(Session, Inventory, u32)> {
    let limit = config.supervisor_start_timeout;
    let whole = async {
        match reach(config).await {
            // It ended in the moment we came, as an idle one does: there is another one now, or none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => reach(config).await,
            reached => reached,
        }
    };
    match tokio::time::timeout(limit, whole).await {
        Ok(opened) => opened,
        Err(_) => Err(io::Error::other(format!("no answer within {limit:?}"))),
    }
}

async fn reach(config: &Config) -> io::Result<(Session, Inventory, u32)> {
    let stream = match connect(&config.runtime_dir).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => {
            start(config).await?;
            connect(&config.runtime_dir).await?
        }
        Err(error) => return Err(error),
    };
    greet(stream, config).await
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let folder = File::open(folder)?;
    UnixStream::connect(crate::wire::socket_in(&folder)).await
}

/// Starts a supervisor and waits until it listens. It waits itself until nothing of a former one is left.
async fn start(config: &Config) -> io::Result<()> {
    let (program, first) = config
        .helper
        .split_first()
        .ok_or_else(|| io::Error::other("no helper program is configured"))?;
    let log_path = config.runtime_dir.join("supervisor.log");
    if fs::metadata(&log_path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(&log_path, log_path.with_extension("log.old"))?;
    }
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log_path)?;
    let folder = fs::canonicalize(&config.runtime_dir)?;
    let child = tokio::process::Command::new(program)
        .args(first)
        .arg("supervise")
        .arg("--runtime-dir")
        .arg(folder)
        .args(["--launchers", &config.launchers().to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut starting = Starting(Some(child));
    let status = match &mut starting.0 {
        None => return Ok(()),
        Some(child) => {
            let mut said = Vec::new();
            if let Some(out) = child.stdout.take() {
                out.take(READY.len() as u64).read_to_end(&mut said).await?;
            }
            if said == READY.as_bytes() {
                starting.let_go();
                return Ok(());
            }
            child.wait().await?
        }
    };
    Err(io::Error::other(format!(
        "the supervisor ended ({status}); see '{}'",
        log_path.display()
    )))
}

/// Bytes of stderr kept from one start of a supervisor to the next.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// A supervisor that is not ready. One that nobody waits for any more, because it took too long, must not stay.
struct Starting(Option<tokio::process::Child>);

impl Starting {
    /// It is ready and outlives us; while we live, we reap it when it dies.
    fn let_go(&mut self) {
        if let Some(mut child) = self.0.take() {
            tokio::spawn(async move { child.wait().await });
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Fails only when it is dead already.
            let _ = child.start_kill();
        }
    }
}

async fn greet(mut stream: UnixStream, config: &Config) -> io::Result<(Session, Inventory, u32)> {
    let mut out = Vec::new();
    frame(
        &Ask::Hello {
            magic: MAGIC,
            version: VERSION,
            cgroup_roots: config.isolation.roots(),
        },
        &mut out,
    );
    stream.write_all(&out).await?;
    let mut session = Session {
        stream,
        frames: Frames::default(),
        pid: 0,
    };
    let mut spoken = 0;
    let mut inventory = Inventory::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some(tell) = session.frames.next::<Tell>().map_err(io::Error::other)? {
            match tell {
                Tell::Welcome { version, pid, .. } => (spoken, session.pid) = (version, pid),
                Tell::Found { key, state } => inventory.push((key, state)),
                Tell::Ready => return Ok((session, inventory, spoken)),
                _ => return Err(io::Error::other("it does not greet")),
            }
        }
        let length = session.stream.read(&mut buffer).await?;
        if length == 0 {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(kind, "it closed the connection"));
        }
        session.frames.push(buffer.get(..length).unwrap_or_default());
    }
}
