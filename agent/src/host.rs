//! What the agent's host is: name, address, processors, memory, disk, boot.
//!
//! Called at start. The rules of resource detection are Mesos's (`src/slave/containerizer/containerizer.cpp`,
//! `Containerizer::resources`); the arithmetic is pure, the readings come from `/proc` and system calls.

use meseta_types::resource::{Ranges, Resource, Resources, Scalar, Value};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

/// What was measured; `None` where the host did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Online processors.
    pub cpus: Option<u64>,
    /// Bytes of memory.
    pub mem_bytes: Option<u64>,
    /// Bytes of the file system that holds the work directory.
    pub disk_bytes: Option<u64>,
}

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// Reads the host. Blocks on system calls.
pub(crate) fn measure(work_dir: &Path) -> Measured {
    Measured {
        cpus: cpus(),
        mem_bytes: meminfo("MemTotal"),
        disk_bytes: nix::sys::statvfs::statvfs(work_dir)
            .ok()
            .map(|s| s.blocks().saturating_mul(s.fragment_size())),
    }
}

/// Online processors.
pub(crate) fn cpus() -> Option<u64> {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
    online.ok().flatten().and_then(|n| u64::try_from(n).ok())
}

/// A value of `/proc/meminfo` in bytes.
pub(crate) fn meminfo(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib * 1024)
}

/// Used fraction (0 to 1) of the file system that holds `path`, as for an ordinary user.
pub(crate) fn disk_used_fraction(path: &Path) -> Option<f64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    let used = stat.blocks().saturating_sub(stat.blocks_free());
    let usable = used.saturating_add(stat.blocks_available());
    (usable > 0).then(|| used as f64 / usable as f64)
}

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> std::io::Result<Arc<str>> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().into())
}

/// Completes what the operator gave: a resource is detected only when its name does not appear in `named`.
pub(crate) fn complete(given: &Resources, named: &[String], measured: Measured) -> Resources {
    let mut all = given.clone();
    let absent = |name: &str| !named.iter().any(|n| n == name);
    if absent("cpus") {
        all.push(Resource::scalar(
            "cpus",
            Scalar::whole(measured.cpus.unwrap_or(1)),
        ));
    }
    if absent("mem") {
        let mem = measured
            .mem_bytes
            .map_or(GB, |total| if total >= 2 * GB { total - GB } else { total / 2 });
        all.push(Resource::scalar("mem", Scalar::whole(mem / MB)));
    }
    if absent("disk") {
        let disk = measured.disk_bytes.map_or(10 * GB, |total| {
            if total >= 10 * GB {
                total - 5 * GB
            } else {
                total / 2
            }
        });
        all.push(Resource::scalar("disk", Scalar::whole(disk / MB)));
    }
    if absent("ports") {
        all.push(Resource::new(
            "ports".into(),
            Value::Ranges(Ranges::one(31000, 32000)),
        ));
    }
    all
}

/// Names that appear in a `--resources` text, with an amount of zero too.
pub(crate) fn names_in(text: &str) -> Vec<String> {
    text.split([';', '\n'])
        .filter_map(|entry| entry.split_once(':'))
        .map(|(key, _)| key.split('(').next().unwrap_or(key).trim().to_owned())
        .collect()
}

/// The address told to others: the host name's first IPv4 address, else its first, else loopback. Blocks on the
/// resolver.
pub(crate) fn address() -> IpAddr {
    let found: Vec<IpAddr> = own_name()
        .and_then(|name| {
            (name.as_str(), 0)
                .to_socket_addrs()
                .ok()
                .map(Iterator::collect::<Vec<_>>)
        })
        .unwrap_or_default()
        .into_iter()
        .map(|socket| socket.ip())
        .collect();
    found
        .iter()
        .find(|ip| ip.is_ipv4())
        .or(found.first())
        .copied()
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The name of an address: from the hosts file, else the host's own name when it resolves to the address. `None`:
/// the address has to do. Blocks on the resolver.
pub(crate) fn name_of(ip: IpAddr) -> Option<String> {
    std::fs::read_to_string("/etc/hosts")
        .ok()
        .and_then(|hosts| name_in_hosts(&hosts, ip))
        .or_else(|| {
            let name = own_name()?;
            let mut addresses = (name.as_str(), 0).to_socket_addrs().ok()?;
            addresses.any(|socket| socket.ip() == ip).then_some(name)
        })
}

fn own_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

fn name_in_hosts(hosts: &str, ip: IpAddr) -> Option<String> {
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""))
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            (address == ip).then(|| words.next().map(str::to_owned))?
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_types::Role;

    fn with(text: &str, measured: Measured) -> String {
        let given = Resources::parse(text, &Role::star()).unwrap();
        complete(&given, &names_in(text), measured).to_string()
    }

    #[test]
    fn detection_leaves_room_for_the_host() {
        let large = Measured {
            cpus: Some(8),
            mem_bytes: Some(16 * GB),
            disk_bytes: Some(100 * GB),
        };
        let text = with("", large);
        for part in ["cpus", "8", "mem", "15360", "disk", "97280", "[31000-32000]"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let small = Measured {
            cpus: Some(1),
            mem_bytes: Some(GB),
            disk_bytes: Some(8 * GB),
        };
        let text = with("", small);
        assert!(text.contains("512") && text.contains("4096"), "{text}");
    }

    #[test]
    fn a_resource_given_as_zero_is_not_detected() {
        let text = with("cpus:0;mem:10;disk:1;ports:[1-2]", Measured::default());
        assert!(!text.contains("cpus"), "{text}");
        assert!(text.contains("mem") && text.contains("[1-2]"), "{text}");
    }

    #[test]
    fn a_role_does_not_hide_the_name() {
        assert_eq!(
            names_in("cpus(dev):4; mem:1\nports(*):[1-2]"),
            ["cpus", "mem", "ports"]
        );
    }

    #[test]
    fn the_hosts_file_names_an_address() {
        let hosts = "# 10.0.0.1 no\n127.0.0.1\tlocalhost loop # c\n10.0.0.1 a.example a\n";
        assert_eq!(
            name_in_hosts(hosts, "10.0.0.1".parse().unwrap()),
            Some("a.example".to_owned())
        );
        assert_eq!(name_in_hosts(hosts, "10.0.0.2".parse().unwrap()), None);
    }
}
