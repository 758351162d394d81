//! Ports for clusters that run side by side: an offset to the default ports, held by a lock file.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

/// A port offset nobody else uses while this lives.
#[derive(Debug)]
pub struct Offset {
    offset: u16,
    _locks: Vec<File>,
}

/// Distance between two offsets: room for a master and some agents.
const STEP: u16 = 20;

/// Offsets tried. The ports lie below the ephemeral range of Linux (32768), so that no client socket sits on them.
const TRIES: u16 = 1_000;

/// Where the default ports of master and agents begin.
const BASE: u16 = 5050;

/// The default port of the service framework.
const SERVICE: u16 = 8080;

/// The default port of the cron framework.
const CRON: u16 = 4400;

impl Offset {
    /// Finds one.
    ///
    /// # Panics
    /// When none of a thousand is free.
    pub fn take() -> Offset {
        let folder = std::env::temp_dir().join("meseta-test-ports");
        let made = std::fs::create_dir_all(&folder);
        assert!(made.is_ok(), "the folder of port locks cannot be made: {made:?}");
        let start = u16::try_from(std::process::id() % u32::from(TRIES)).unwrap_or(0);
        (0..TRIES)
            .map(|n| 1_000 + ((start + n) % TRIES) * STEP)
            .find_map(|offset| {
                // One lock a port: the ports of one offset may be those of another role at another offset.
                let locks: Option<Vec<File>> = ports(offset)
                    .map(|port| {
                        let lock = File::create(folder.join(format!("port-{port}"))).ok()?;
                        lock.try_lock().ok()?;
                        Some(lock)
                    })
                    .collect();
                let free = ports(offset).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
                locks.filter(|_| free).map(|locks| Offset {
                    offset,
                    _locks: locks,
                })
            })
            .unwrap_or_else(|| panic!("no free ports among {TRIES} offsets"))
    }

    /// The offset itself.
    pub fn get(&self) -> u16 {
        self.offset
    }

    /// The master's port.
    pub fn master(&self) -> u16 {
        BASE + self.offset
    }

    /// The service framework's port.
    pub fn service(&self) -> u16 {
        SERVICE + self.offset
    }

    /// The cron framework's port.
    pub fn cron(&self) -> u16 {
        CRON + self.offset
    }

    /// The port of the n-th agent, from 0.
    pub fn agent(&self, n: u16) -> u16 {
        BASE + 1 + n + self.offset
    }
}

fn ports(offset: u16) -> impl Iterator<Item = u16> {
    let all = (0..STEP).map(|n| BASE + n).chain([SERVICE, CRON]);
    all.map(move |port| port + offset)
}
