//! Connections: in order while they live, and every way they can end.
//!
//! An agent's link and a scheduler's event stream are single ordered connections: they delay, stall and break, and each
//! end learns of the break at its own time, or never. A scheduler's calls are requests of their own: they may be lost,
//! arrive twice or overtake each other.

use meseta_agent_core::LinkId as AgentLink;
use meseta_master_core::io::Subscribe;
use meseta_types::Mono;
use meseta_types::random::Random;
use std::time::Duration;

/// Number of an agent's connection; the master's core knows it by this number.
pub(crate) type ConnId = usize;
/// Number of a scheduler's event stream, likewise.
pub(crate) type StreamId = usize;

/// An agent's connection to the master.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) agent: usize,
    pub(crate) agent_life: u32,
    pub(crate) agent_link: AgentLink,
    pub(crate) master_life: u32,
    /// Whether the agent's end is open.
    pub(crate) agent_end: bool,
    /// Whether the master's end is open.
    pub(crate) master_end: bool,
    /// Broken in the middle: nothing passes any more.
    pub(crate) broken: bool,
    /// When the last message in each direction arrives: later ones not before it.
    last_to_master: Mono,
    last_to_agent: Mono,
}

impl Conn {
    pub(crate) fn new(agent: usize, agent_life: u32, agent_link: AgentLink, master_life: u32) -> Conn {
        Conn {
            agent,
            agent_life,
            agent_link,
            master_life,
            agent_end: true,
            master_end: false,
            broken: false,
            last_to_master: Mono::default(),
            last_to_agent: Mono::default(),
        }
    }

    pub(crate) fn arrival_at_master(&mut self, at: Mono) -> Mono {
        self.last_to_master = self.last_to_master.max(at);
        self.last_to_master
    }

    pub(crate) fn arrival_at_agent(&mut self, at: Mono) -> Mono {
        self.last_to_agent = self.last_to_agent.max(at);
        self.last_to_agent
    }
}

/// A scheduler's event stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) framework: usize,
    pub(crate) framework_life: u32,
    pub(crate) master_life: u32,
    pub(crate) framework_end: bool,
    pub(crate) master_end: bool,
    pub(crate) last: Mono,
    /// Broken in the middle: nothing passes any more.
    pub(crate) broken: bool,
    /// What a client subscribed as; scripted frameworks are asked when it arrives.
    pub(crate) subscribe: Option<Subscribe>,
}

/// How the network behaves in one seed.
#[derive(Debug)]
pub(crate) struct Net {
    random: Random,
    /// Ordinary delays are below this.
    delay_max: Duration,
    /// Of 1000 scheduler calls, so many are lost, and so many arrive twice.
    pub(crate) calls_lost: u64,
    pub(crate) calls_doubled: u64,
    /// Per agent: until when messages to the master, to the agent, stall.
    stalled: Vec<[Mono; 2]>,
    pub(crate) healed: bool,
}

impl Net {
    pub(crate) fn new(mut random: Random, agents: usize) -> Net {
        let delay_max = Duration::from_millis(1 + random.below(60));
        Net {
            delay_max,
            calls_lost: random.below(40),
            calls_doubled: random.below(40),
            random,
            stalled: vec![[Mono::default(); 2]; agents],
            healed: false,
        }
    }

    /// How long a message takes: mostly little, at times much longer.
    pub(crate) fn delay(&mut self) -> Duration {
        let usual = Duration::from_micros(50) + self.random.duration_below(self.delay_max);
        if !self.healed && self.random.below(200) == 0 {
            usual * 10
        } else {
            usual
        }
    }

    /// How long until an end of a broken connection learns of it.
    pub(crate) fn notice(&mut self) -> Duration {
        self.random.duration_below(Duration::from_millis(1500))
    }

    pub(crate) fn lost(&mut self) -> bool {
        !self.healed && self.random.below(1000) < self.calls_lost
    }

    pub(crate) fn doubled(&mut self) -> bool {
        !self.healed && self.random.below(1000) < self.calls_doubled
    }

    pub(crate) fn stall(&mut self, agent: usize, to_master: bool, until: Mono) {
        if let Some(stalled) = self.stalled.get_mut(agent) {
            stalled[usize::from(!to_master)] = until;
        }
    }

    pub(crate) fn when_at_master(&mut self, agent: usize, now: Mono) -> Mono {
        let at = now + self.delay();
        self.stalled.get(agent).map_or(at, |s| s[0].max(at))
    }

    pub(crate) fn when_at_agent(&mut self, agent: usize, now: Mono) -> Mono {
        let at = now + self.delay();
        self.stalled.get(agent).map_or(at, |s| s[1].max(at))
    }

    pub(crate) fn heal(&mut self) {
        self.healed = true;
        for stalled in &mut self.stalled {
            *stalled = [Mono::default(); 2];
        }
    }
}
