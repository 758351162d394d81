//! What a task of the simulated world does: written by frameworks into `TaskSpec::wire`, read by hosts.

use bytes::Bytes;
use std::time::Duration;

/// A task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// How long its container takes to start.
    pub(crate) launch: Duration,
    /// How long it runs by itself; `None`: until it is killed.
    pub(crate) run: Option<Duration>,
    /// Its exit status.
    pub(crate) exit: u8,
    /// How long it takes to obey SIGTERM; `None`: it ignores it.
    pub(crate) obey: Option<Duration>,
    /// Whether its container cannot be started.
    pub(crate) unlaunchable: bool,
    /// How often of 256 a health probe passes.
    pub(crate) health: u8,
}

const NEVER: u32 = u32::MAX;

impl Script {
    /// Length of an encoded script.
    pub(crate) const BYTES: usize = 15;

    pub(crate) fn encode(self) -> Bytes {
        let mut out = Vec::with_capacity(Script::BYTES);
        for time in [Some(self.launch), self.run, self.obey] {
            let millis = time.map_or(NEVER, |t| u32::try_from(t.as_millis()).unwrap_or(NEVER - 1));
            out.extend_from_slice(&millis.to_le_bytes());
        }
        out.extend_from_slice(&[self.exit, u8::from(self.unlaunchable), self.health]);
        out.into()
    }

    pub(crate) fn decode(wire: &[u8]) -> Option<Script> {
        let number = |at: usize| Some(u32::from_le_bytes(wire.get(at..at + 4)?.try_into().ok()?));
        let time = |millis: u32| (millis != NEVER).then(|| Duration::from_millis(millis.into()));
        Some(Script {
            launch: Duration::from_millis(number(0)?.into()),
            run: time(number(4)?),
            obey: time(number(8)?),
            exit: *wire.get(12)?,
            unlaunchable: *wire.get(13)? != 0,
            health: *wire.get(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_survive_the_journey() {
        let script = Script {
            launch: Duration::from_millis(7),
            run: None,
            exit: 3,
            obey: Some(Duration::from_secs(9)),
            unlaunchable: true,
            health: 255,
        };
        assert_eq!(Script::decode(&script.encode()), Some(script));
        assert_eq!(Script::decode(b"short"), None);
    }
}
