//! Recomputes every sum and cross-reference.

use super::{AgentNo, Allocator, Broken, slot};
use crate::amounts::{Amounts, Delta};
use crate::tree::NodeNo;
use std::collections::{BTreeMap, BTreeSet};

impl Allocator {
    /// Compares everything that is kept with what it is made of. Costs the whole cluster: for tests and on demand.
    pub fn check(&self) -> Result<(), Broken> {
        self.find_contradiction().map_err(Broken)
    }

    fn find_contradiction(&self) -> Result<(), String> {
        let mut names = self.names.clone();
        let mut delta = Delta::new();
        let mut totals = Amounts::default();
        let mut sums: BTreeMap<NodeNo, Amounts> = BTreeMap::new();
        let mut timers = BTreeSet::new();
        let mut held_on: BTreeMap<NodeNo, BTreeSet<AgentNo>> = BTreeMap::new();
        for (no, client) in (0..).zip(&self.clients) {
            if client.is_some() {
                sums.insert(NodeNo(no), Amounts::default());
            }
        }
        for (no, agent) in (0..).map(AgentNo).zip(&self.agents) {
            let Some(agent) = agent else { continue };
            agent
                .check(&self.config.min_allocatable)
                .map_err(|e| format!("{no:?}: {e}"))?;
            names.distinct_scalars(agent.total(), &mut delta);
            totals.add(&delta);
            for (client, held) in agent.holdings() {
                names.distinct_scalars(held, &mut delta);
                let sum = sums.get_mut(&client);
                sum.ok_or_else(|| format!("{no:?}: held by nobody"))?.add(&delta);
                held_on.entry(client).or_default().insert(no);
            }
            for (client, refusals) in agent.refusing_clients() {
                let timer = refusals.timer().filter(|at| *at <= refusals.due());
                let timer = timer.ok_or_else(|| format!("{no:?}: a refusal that is looked at too late"))?;
                timers.insert((timer, no, client));
            }
            if agent.dirty != self.dirty.contains(&no) {
                return Err(format!("{no:?}: dirty {}", agent.dirty));
            }
        }
        if totals != self.totals {
            return Err(format!("totals {:?}, agents have {totals:?}", self.totals));
        }
        if timers != self.timers {
            return Err("timers differ from the refusals on agents".to_owned());
        }
        for (no, client) in (0..).map(NodeNo).zip(&self.clients) {
            let Some(client) = client else { continue };
            let agents = held_on.remove(&no).unwrap_or_default();
            if agents != client.agents {
                return Err(format!(
                    "{no:?}: holds on {:?}, agents say {agents:?}",
                    client.agents
                ));
            }
            let refused = timers.iter().filter(|(_, _, c)| *c == no).map(|(_, a, _)| *a);
            if refused.collect::<BTreeSet<_>>() != client.refused_on {
                return Err(format!("{no:?}: refusals on other agents than it says"));
            }
            let known = slot(&self.frameworks, client.framework.0).and_then(|f| f.clients.get(&client.role));
            if known != Some(&no) {
                return Err(format!("{no:?}: its framework does not know it"));
            }
        }
        self.tree.check(&sums, &self.totals)
    }
}
