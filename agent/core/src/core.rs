//! The agent's core: its state and the dispatch of inputs.

use crate::config::Config;
use crate::io::*;
use meseta_types::link::AgentSpec;
use meseta_types::{Mono, Now};
use std::sync::Arc;

/// The effects of a step, in order.
pub type Effects = Vec<Effect>;

/// The agent's core.
pub struct AgentCore {
    config: Config,
    agent: Arc<AgentSpec>,
}

impl AgentCore {
    /// A core that waits for [`Input::Recover`]. `agent` is the agent as configured; its id is ignored.
    pub fn new(config: Config, agent: AgentSpec) -> AgentCore {
        AgentCore {
            config,
            agent: Arc::new(agent),
        }
    }

    /// One input, all its consequences, in order.
    pub fn step(&mut self, _now: Now, _input: Input, _out: &mut Effects) {}

    /// When it wants [`Input::Tick`] next, and what for.
    pub fn deadline(&self) -> Option<(Mono, TimerKind)> {
        None
    }

    /// The records a new log must hold so that the old one may be dropped (compaction). In the order of the log.
    pub fn snapshot(&self) -> Vec<Record> {
        Vec::new()
    }

    /// A snapshot for readers.
    pub fn view(&self) -> Arc<View> {
        Arc::new(View {
            agent: self.agent.clone(),
            phase: AgentPhase::Recovering,
            master: None,
            registered: false,
            frameworks: Vec::new(),
            completed_frameworks: Vec::new(),
            used: Default::default(),
            counters: Counters::default(),
            max_sandbox_age: self.config.gc_delay,
            gc_pending: 0,
        })
    }

    /// Recomputes every sum and cross-reference.
    pub fn check(&self) -> Result<(), Broken> {
        Ok(())
    }
}
