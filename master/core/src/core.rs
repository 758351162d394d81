//! The master's core: one input in, all its consequences out.

use crate::config::Config;
use crate::io::{Deadline, Effects, Input};
use crate::refusal::Broken;
use crate::registry::Recovered;
use crate::view::View;
use meseta_types::Now;
use std::sync::Arc;

/// The master.
#[derive(Debug)]
pub struct MasterCore {
    config: Config,
}

impl MasterCore {
    /// A master that leads from `now` on, with what the registry holds.
    pub fn new(config: Config, _recovered: Recovered, _now: Now) -> MasterCore {
        MasterCore { config }
    }

    /// Takes one input and says everything that follows from it, in order.
    pub fn step(&mut self, _now: Now, _input: Input, _out: &mut Effects) {}

    /// When it wants its next [`Input::Tick`], and what for.
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// Everything as it is now.
    pub fn view(&self) -> Arc<View> {
        Arc::new(View::default())
    }

    /// Recomputes every sum and cross-reference.
    pub fn check(&self) -> Result<(), Broken> {
        Ok(())
    }

    /// What it was told at its start.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
