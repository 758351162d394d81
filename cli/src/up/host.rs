//! What this machine has, and who is in the way.

use super::plan::{Machine, Plan, Role};
use super::processes;
use crate::failure::{Failure, exit};
use meseta_containerizer::isolate::detect_isolation;
use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

const GIB: u64 = 1024;

/// A port of a cluster that was just killed may stay taken until the kernel has cleaned up behind it.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// What is there to share: Mesos's rules for an agent that is told nothing.
pub(super) fn measure(dir: &Path, program: &Path) -> Machine {
    let is_root = Uid::effective().is_root();
    let host = detect_isolation(Path::new("/sys/fs/cgroup"), "meseta-up");
    let strongest = host.strongest();
    let (isolation, isolation_note) = match (is_root, strongest.contains("cgroups/")) {
        (false, _) => (
            "posix/cpu,posix/mem".to_owned(),
            Some("no root: no memory or cpu limits; `sudo meseta up` has them".to_owned()),
        ),
        (true, false) => (
            strongest,
            Some("no usable cgroups: no memory or cpu limits".to_owned()),
        ),
        (true, true) => (strongest, None),
    };
    Machine {
        cpus: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
        mem: shared_memory(total_memory().unwrap_or(GIB)),
        disk: shared_disk(total_disk(dir).unwrap_or(10 * GIB)),
        isolation,
        isolation_note,
        is_root,
        // A colon would end it in the list of folders.
        program_folder: program
            .parent()
            .and_then(Path::to_str)
            .filter(|folder| !folder.contains(':'))
            .map(str::to_owned),
    }
}

/// 1 GiB is kept where there are 2, else half. MiB.
fn shared_memory(total: u64) -> u64 {
    if total >= 2 * GIB { total - GIB } else { total / 2 }
}

/// 5 GiB are kept where there are 10, else half. MiB.
fn shared_disk(total: u64) -> u64 {
    if total >= 10 * GIB {
        total - 5 * GIB
    } else {
        total / 2
    }
}

fn total_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

fn total_disk(dir: &Path) -> Option<u64> {
    let fs = statvfs(dir).ok()?;
    let bytes = fs.blocks().checked_mul(fs.fragment_size())?;
    Some(bytes / 1024 / 1024)
}

/// Refuses with a name and a way out when a port of one of these roles is taken.
pub(super) async fn ports_are_free(plan: &Plan, roles: &[Role]) -> Result<(), Failure> {
    for role in roles {
        let address = SocketAddr::new(plan.ip(), plan.port(role));
        let patience = tokio::time::Instant::now() + PORT_PATIENCE;
        while let Err(error) = TcpListener::bind(address) {
            if error.kind() != ErrorKind::AddrInUse || tokio::time::Instant::now() >= patience {
                return Err(cannot_listen(address, &error, &role.name(plan.agents)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error, role: &str) -> Failure {
    let failure = |what: String| Failure::new("port-taken", exit::TRY_AGAIN, what);
    match error.kind() {
        ErrorKind::AddrInUse => {
            let by = holder(address.port()).map_or(String::new(), |who| format!(" by {who}"));
            failure(format!("port {} for the {role} is in use{by}", address.port()))
                .fix("stop that, or run beside it: meseta up --port-offset 100 --dir DIR")
        }
        ErrorKind::AddrNotAvailable => {
            failure(format!("{} is no address of this machine", address.ip())).fix("meseta up --ip 0.0.0.0")
        }
        _ => failure(format!("cannot listen on {address} for the {role}: {error}"))
            .fix("give other ports: meseta up --port-offset 100"),
    }
}

/// The process that listens on a port, as far as we may see it.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(table, port))?;
    let socket = format!("socket:[{inode}]");
    let pid = processes::all().find(|pid| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        fds.into_iter()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == socket.as_str()))
    })?;
    let words = processes::arguments(pid);
    let name = words
        .first()
        .map(|w| w.rsplit('/').next().unwrap_or(w).to_owned())
        .unwrap_or_default();
    let role = words
        .get(1)
        .filter(|w| !w.starts_with('-'))
        .cloned()
        .unwrap_or_default();
    Some(crate::text::harmless(
        format!("process {pid} ({name} {role})")
            .replace(" )", ")")
            .as_str(),
    ))
}

fn listening_inode(table: &str, port: u16) -> Option<u64> {
    /// The kernel's number of the state LISTEN.
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let here = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == LISTEN;
        here.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// Whether an address can be reached from elsewhere.
pub(super) fn is_local_only(ip: IpAddr) -> bool {
    ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_keeps_what_an_agent_would_leave_it() {
        assert_eq!((shared_memory(16_384), shared_memory(1_000)), (15_360, 500));
        assert_eq!((shared_disk(102_400), shared_disk(4_096)), (97_280, 2_048));
    }

    #[test]
    fn the_holder_of_a_port_is_named() -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let who = holder(listener.local_addr()?.port()).unwrap_or_default();
        assert!(
            who.starts_with(&format!("process {} (", std::process::id())),
            "{who}"
        );
        Ok(())
    }
}
