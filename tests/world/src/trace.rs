//! The trace of a run: printed for people, or digested to compare two runs.

use crate::Options;
use meseta_types::Mono;
use std::fmt::Debug;

/// Where events are told.
pub(crate) struct Trace {
    print: bool,
    digest: bool,
    hash: u64,
}

impl Trace {
    pub(crate) fn new(options: &Options) -> Trace {
        Trace {
            print: options.print,
            digest: options.digest,
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn say(&mut self, now: Mono, who: &str, what: &impl Debug) {
        if !self.print && !self.digest {
            return;
        }
        let text = format!("{:>12.6} {who} {what:?}", now.0 as f64 / 1e9);
        if self.print {
            eprintln!("{text}");
        }
        // FNV-1a: any stable hash would do.
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
