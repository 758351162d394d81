//! What goes wrong, and when: a fresh mix per seed.

use crate::client::SERVICE;
use crate::marks::Mark;
use crate::world::{AGENTS, Event, SCRIPTED, World};
use meseta_agent_core::Input;
use meseta_types::random::Random;
use std::time::Duration;

/// The ways things go wrong.
const KINDS: usize = 15;

/// The faults of one seed.
pub(crate) struct Faults {
    random: Random,
    /// Weight of each kind; many are zero in any one seed.
    weights: [u64; KINDS],
    pause: Duration,
    pub(crate) over: bool,
}

impl Faults {
    pub(crate) fn new(mut random: Random, calm: bool) -> Faults {
        let weights = std::array::from_fn(|_| match random.below(3) {
            0 => 0,
            _ => 1 + random.below(8),
        });
        Faults {
            pause: match calm {
                true => Duration::from_millis(1500 + random.below(15_000)),
                false => Duration::from_millis(300 + random.below(5000)),
            },
            random,
            weights,
            over: false,
        }
    }

    fn pick(&mut self) -> usize {
        let sum: u64 = self.weights.iter().sum();
        let mut lot = self.random.below(sum);
        for (kind, weight) in self.weights.iter().enumerate() {
            if lot < *weight {
                return kind;
            }
            lot -= weight;
        }
        KINDS
    }

    fn short(&mut self) -> Duration {
        Duration::from_millis(50) + self.random.duration_below(Duration::from_secs(3))
    }

    /// Mostly short, at times longer than every timeout.
    fn any(&mut self) -> Duration {
        if self.random.below(5) == 0 {
            self.random.duration_below(Duration::from_secs(20))
        } else {
            self.short()
        }
    }
}

impl World {
    pub(crate) fn fault(&mut self) {
        if self.faults.over {
            return;
        }
        let i = self.faults.random.below(AGENTS as u64) as usize;
        let all = self.frameworks.len() + self.clients.len();
        let f = self.faults.random.below(all as u64) as usize;
        let client = f.checked_sub(SCRIPTED);
        match self.faults.pick() {
            0 => {
                let down = self.faults.short();
                self.master_crash(down);
            }
            1 | 2 => {
                let down = self.faults.any();
                self.agent_crash(i, down);
            }
            3 => {
                let some_survive = self.faults.random.below(2) == 0;
                self.supervisor_dies(i, some_survive);
            }
            4 => {
                let down = self.faults.any();
                self.reboot(i, down);
            }
            kind @ (5 | 6) => match client {
                Some(c) => self.break_stream(c, kind == 6),
                None => self.break_link(i, kind == 6),
            },
            7 | 8 => {
                let until = self.now + self.faults.any();
                let direction = self.faults.random.below(3);
                if direction != 1 {
                    self.net.stall(i, true, until);
                }
                if direction != 0 {
                    self.net.stall(i, false, until);
                }
            }
            9 => {
                let down = self.faults.any();
                match client {
                    Some(c) => self.client_crash(c, down),
                    None => self.framework_crash(f, down),
                }
            }
            10 => {
                let lot = self.faults.random.below(4);
                self.spoil_writes(client, lot as u32);
            }
            11 => {
                let hours = self.faults.random.below(5) as i64 - 2;
                let off = hours * 3_600_000_000_000;
                if let Some(c) = client {
                    self.clients[c].wall_off = off;
                } else if i == 0 {
                    self.master.wall_off = off;
                } else {
                    self.agents[i].wall_off = off;
                }
            }
            12 => self.executor_dies(i),
            13 if client.is_none() => self.operator_ends_framework(f),
            14 => {
                let unregister = self.faults.random.below(2) == 0;
                self.agent_stops(i, unregister);
            }
            _ => {}
        }
        let pause = self.faults.random.duration_below(self.faults.pause * 2);
        self.at(pause, Event::Fault);
    }

    /// The next writes of the master or a client are refused, or the next one's outcome is unknown.
    fn spoil_writes(&mut self, client: Option<usize>, lot: u32) {
        let (refuse, unknown) = match client {
            None => (&mut self.master.refuse, &mut self.master.unknown),
            Some(SERVICE) => self.service.store.fates(),
            Some(_) => self.cron.store.fates(),
        };
        if lot == 0 {
            *unknown = 1;
        } else {
            *refuse = 1 + lot;
        }
    }

    /// An operator tears a framework down.
    fn operator_ends_framework(&mut self, f: usize) {
        let lot = self.faults.random.below(4);
        if let Some(framework_id) = self.frameworks[f].id.clone().filter(|_| lot == 0) {
            self.see(Mark::Teardown);
            self.operator_teardown(framework_id);
        }
    }

    /// An agent is told to end its tasks and itself.
    fn agent_stops(&mut self, i: usize, unregister: bool) {
        if self.agents[i].core.is_some() {
            self.see(if unregister { Mark::Unregister } else { Mark::Drain });
            let id = self.agents[i].id();
            self.oracle.agent_stops(id);
            let life = self.agents[i].life;
            self.agent_input(i, life, Input::Stop { unregister });
        }
    }

    /// An agent's connection breaks in the middle; with `half`, one end does not learn of it by itself.
    fn break_link(&mut self, i: usize, half: bool) {
        let Some(id) = self.agents[i].conn else {
            return;
        };
        self.conns[id].broken = true;
        let (spare_agent, spare_master) = if half {
            let agent = self.faults.random.below(2) == 0;
            (agent, !agent)
        } else {
            (false, false)
        };
        if !spare_agent {
            let after = self.net.notice();
            self.at(after, Event::AgentSeesEnd(id));
        }
        if !spare_master {
            let after = self.net.notice();
            self.at(after, Event::MasterSeesEnd(id));
        }
    }
}
