//! Does an offer hold one more instance of an app, and if not, what is the first thing that is missing?

use crate::app::{AppSpec, Demand, HostPort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An offer, as far as the matcher looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: Arc<str>,
    /// Whose resources.
    pub agent: Arc<str>,
    /// The agent's host name.
    pub host: Arc<str>,
    /// What is in it, by the role it is reserved for; `*` is unreserved. Reserved ones come first.
    pub pools: Vec<Pool>,
}

/// Resources of one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The role they are reserved for, or `*`.
    pub role: Arc<str>,
    /// Scalars.
    pub there: Demand,
    /// Free ports, as ranges with both ends, ascending.
    pub ports: Vec<(u16, u16)>,
}

/// What one instance takes out of an offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Per pool, in the order of the offer's: the scalars and ports taken.
    pub parts: Vec<(Arc<str>, Demand, Vec<u16>)>,
    /// Host ports, in the order of the app's definition.
    pub ports: Vec<u16>,
}

/// Why an offer does not do, in the order in which it is looked at. The names are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// Nothing in it is for a role the app may use.
    UnfulfilledRole,
    /// Its attributes do not fit.
    UnfulfilledConstraint,
    /// Too few cores.
    InsufficientCpus,
    /// Too little memory.
    InsufficientMemory,
    /// Too little disk.
    InsufficientDisk,
    /// Too few GPUs.
    InsufficientGpus,
    /// Too few ports, or not those asked for.
    InsufficientPorts,
}

impl Reject {
    /// All, in the order in which they are looked at.
    pub const ALL: [Reject; 7] = [
        Reject::UnfulfilledRole,
        Reject::UnfulfilledConstraint,
        Reject::InsufficientCpus,
        Reject::InsufficientMemory,
        Reject::InsufficientDisk,
        Reject::InsufficientGpus,
        Reject::InsufficientPorts,
    ];

    /// As the wire names it.
    pub fn name(self) -> &'static str {
        match self {
            Reject::UnfulfilledRole => "UnfulfilledRole",
            Reject::UnfulfilledConstraint => "UnfulfilledConstraint",
            Reject::InsufficientCpus => "InsufficientCpus",
            Reject::InsufficientMemory => "InsufficientMemory",
            Reject::InsufficientDisk => "InsufficientDisk",
            Reject::InsufficientGpus => "InsufficientGpus",
            Reject::InsufficientPorts => "InsufficientPorts",
        }
    }
}

/// Resources have three decimals; sums of them as doubles do not always.
const SLACK: f64 = 1e-6;

/// Takes one instance out of an offer. `draw` picks among free ports (a number below its argument).
///
/// # Errors
/// The first thing that is missing; the offer is unchanged then.
pub fn take(spec: &AppSpec, offer: &mut Offer, draw: impl FnMut(u64) -> u64) -> Result<Taken, Reject> {
    let usable = |pool: &Pool| spec.accepted_roles.is_empty() || spec.accepted_roles.contains(&pool.role);
    if !offer.pools.iter().any(usable) {
        return Err(Reject::UnfulfilledRole);
    }
    let kinds: [(Kind, Reject); 4] = [
        (
            Kind {
                get: |d| d.cpus,
                set: |d| &mut d.cpus,
            },
            Reject::InsufficientCpus,
        ),
        (
            Kind {
                get: |d| d.mem,
                set: |d| &mut d.mem,
            },
            Reject::InsufficientMemory,
        ),
        (
            Kind {
                get: |d| d.disk,
                set: |d| &mut d.disk,
            },
            Reject::InsufficientDisk,
        ),
        (
            Kind {
                get: |d| d.gpus,
                set: |d| &mut d.gpus,
            },
            Reject::InsufficientGpus,
        ),
    ];
    for (kind, reject) in &kinds {
        let there: f64 = offer
            .pools
            .iter()
            .filter(|pool| usable(pool))
            .map(|pool| (kind.get)(&pool.there))
            .sum();
        if (kind.get)(&spec.demand) > there + SLACK {
            return Err(*reject);
        }
    }
    let ports = choose(spec, offer.pools.iter().filter(|pool| usable(pool)), draw)
        .ok_or(Reject::InsufficientPorts)?;
    let mut taken = Taken {
        parts: Vec::new(),
        ports,
    };
    let mut left = spec.demand;
    for pool in offer.pools.iter_mut().filter(|pool| usable(pool)) {
        let mut part = Demand::default();
        for (kind, _) in &kinds {
            let amount = (kind.get)(&left).min((kind.get)(&pool.there)).max(0.0);
            *(kind.set)(&mut part) = amount;
            *(kind.set)(&mut pool.there) -= amount;
            *(kind.set)(&mut left) -= amount;
        }
        let ports: Vec<u16> = taken
            .ports
            .iter()
            .copied()
            .filter(|port| remove(&mut pool.ports, *port))
            .collect();
        if part != Demand::default() || !ports.is_empty() {
            taken.parts.push((Arc::clone(&pool.role), part, ports));
        }
    }
    Ok(taken)
}

struct Kind {
    get: fn(&Demand) -> f64,
    set: fn(&mut Demand) -> &mut f64,
}

/// Fixed ports as asked for; the others from a random place on, so that a port just given up is not at once another's.
fn choose<'a>(
    spec: &AppSpec,
    pools: impl Iterator<Item = &'a Pool>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<Vec<u16>> {
    let mut free: Vec<(u16, u16)> = pools.flat_map(|pool| pool.ports.iter().copied()).collect();
    free.sort_unstable();
    for port in &spec.ports {
        if let HostPort::Fixed(port) = port {
            remove(&mut free, *port).then_some(())?;
        }
    }
    let mut chosen = Vec::with_capacity(spec.ports.len());
    for port in &spec.ports {
        let port = match port {
            HostPort::Fixed(port) => *port,
            HostPort::Any => {
                let count: u64 = free.iter().map(|(from, to)| u64::from(to - from) + 1).sum();
                let port = (count > 0).then(|| nth(&free, draw(count)))??;
                remove(&mut free, port);
                port
            }
        };
        chosen.push(port);
    }
    Some(chosen)
}

fn nth(ranges: &[(u16, u16)], mut n: u64) -> Option<u16> {
    for (from, to) in ranges {
        let length = u64::from(to - from) + 1;
        if n < length {
            return Some(from + n as u16);
        }
        n -= length;
    }
    None
}

/// Takes a port out of the ranges; whether it was there.
fn remove(ranges: &mut Vec<(u16, u16)>, port: u16) -> bool {
    let Some(at) = ranges.iter().position(|(from, to)| (*from..=*to).contains(&port)) else {
        return false;
    };
    let (from, to) = ranges.remove(at);
    if port < to {
        ranges.insert(at, (port + 1, to));
    }
    if from < port {
        ranges.insert(at, (from, port - 1));
    }
    true
}

/// What became of the offers an app was tried with: the answer to "why is it waiting?".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tried {
    /// Offers looked at since instances wait.
    pub processed: u64,
    /// Of those, how many did not do.
    pub unused: u64,
    /// How many did not do, by reason.
    pub rejects: BTreeMap<Reject, u64>,
    /// When the last one did not.
    pub last_unused: Option<meseta_types::Wall>,
    /// When the last one did.
    pub last_used: Option<meseta_types::Wall>,
    /// The last ones that did not do, newest first, with their reason.
    pub last_offers: Vec<(Offer, Reject, meseta_types::Wall)>,
}

/// Offers kept per app for whoever asks why.
const LAST_OFFERS_MAX: usize = 5;

impl Tried {
    /// Remembers an attempt.
    pub fn note(&mut self, offer: &Offer, result: Result<(), Reject>, now: meseta_types::Wall) {
        self.processed += 1;
        match result {
            Ok(()) => self.last_used = Some(now),
            Err(reject) => {
                self.unused += 1;
                *self.rejects.entry(reject).or_insert(0) += 1;
                self.last_unused = Some(now);
                self.last_offers
                    .retain(|(other, _, _)| other.agent != offer.agent);
                self.last_offers.insert(0, (offer.clone(), reject, now));
                self.last_offers.truncate(LAST_OFFERS_MAX);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::{AppId, Backoff, KillSelection, UnreachableStrategy, UpgradeStrategy, Version};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn spec(demand: Demand, ports: Vec<HostPort>) -> AppSpec {
        AppSpec {
            id: AppId::recorded("/a"),
            version: Version(1),
            config_version: Version(1),
            instances: 1,
            demand,
            ports,
            accepted_roles: BTreeSet::new(),
            has_health_checks: false,
            has_readiness_checks: false,
            upgrade: UpgradeStrategy {
                minimum_health: 1.0,
                maximum_over: 1.0,
            },
            backoff: Backoff {
                first: Duration::from_secs(1),
                factor: 1.15,
                max: Duration::from_secs(300),
            },
            kill_selection: KillSelection::YoungestFirst,
            unreachable: UnreachableStrategy::Disabled,
            dependencies: BTreeSet::new(),
            wire: bytes::Bytes::from_static(b"{}"),
        }
    }

    fn pool(role: &str, cpus: f64, ports: &[(u16, u16)]) -> Pool {
        Pool {
            role: role.into(),
            there: Demand {
                cpus,
                mem: 1000.0,
                disk: 0.0,
                gpus: 0.0,
            },
            ports: ports.to_vec(),
        }
    }

    fn offer(pools: Vec<Pool>) -> Offer {
        Offer {
            id: "o".into(),
            agent: "a".into(),
            host: "h".into(),
            pools,
        }
    }

    const SMALL: Demand = Demand {
        cpus: 1.5,
        mem: 10.0,
        disk: 0.0,
        gpus: 0.0,
    };

    #[test]
    fn reserved_resources_are_used_first_and_the_rest_is_unreserved() {
        let mut offer = offer(vec![pool("web", 1.0, &[]), pool("*", 4.0, &[(31000, 31002)])]);
        let taken = take(&spec(SMALL, vec![HostPort::Any]), &mut offer, |_| 1).unwrap();
        assert_eq!(taken.ports, [31001]);
        assert_eq!(taken.parts[0].1.cpus, 1.0);
        assert_eq!(
            taken.parts[1],
            (
                "*".into(),
                Demand {
                    cpus: 0.5,
                    ..Demand::default()
                },
                vec![31001]
            )
        );
        assert_eq!(offer.pools[1].ports, [(31000, 31000), (31002, 31002)]);
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named_and_nothing_is_taken() {
        let whole = offer(vec![pool("*", 2.0, &[(31000, 31000)])]);
        let cases = [
            (
                spec(
                    Demand {
                        cpus: 3.0,
                        mem: 9999.0,
                        ..SMALL
                    },
                    vec![],
                ),
                Reject::InsufficientCpus,
            ),
            (
                spec(Demand { mem: 9999.0, ..SMALL }, vec![]),
                Reject::InsufficientMemory,
            ),
            (
                spec(Demand { disk: 1.0, ..SMALL }, vec![]),
                Reject::InsufficientDisk,
            ),
            (
                spec(Demand { gpus: 1.0, ..SMALL }, vec![]),
                Reject::InsufficientGpus,
            ),
            (spec(SMALL, vec![HostPort::Any; 2]), Reject::InsufficientPorts),
            (spec(SMALL, vec![HostPort::Fixed(80)]), Reject::InsufficientPorts),
            (
                AppSpec {
                    accepted_roles: BTreeSet::from(["web".into()]),
                    ..spec(SMALL, vec![])
                },
                Reject::UnfulfilledRole,
            ),
        ];
        for (spec, reject) in cases {
            let mut offer = whole.clone();
            assert_eq!(take(&spec, &mut offer, |_| 0), Err(reject));
            assert_eq!(offer, whole);
        }
    }

    #[test]
    fn a_fixed_port_is_not_given_away_as_any() {
        let mut offer = offer(vec![pool("*", 4.0, &[(8000, 8001)])]);
        let spec = spec(SMALL, vec![HostPort::Any, HostPort::Fixed(8000)]);
        assert_eq!(take(&spec, &mut offer, |_| 0).unwrap().ports, [8001, 8000]);
    }

    proptest! {
        /// Instances are taken until none fits: nothing is handed out twice and nothing more than there was.
        #[test]
        fn nothing_is_handed_out_twice(
            cpus in 1.0f64..20.0, each in 0.1f64..3.0, from in 1000u16..2000, length in 0u16..20, ports in 0usize..4,
            seed in any::<u64>(),
        ) {
            let mut random = meseta_types::random::Random::new(seed);
            let mut offer = offer(vec![pool("r", cpus / 3.0, &[(from, from + length)]), pool("*", cpus, &[(9000, 9004)])]);
            let spec = spec(Demand { cpus: each, mem: 1.0, ..Demand::default() }, vec![HostPort::Any; ports]);
            let mut used = BTreeSet::new();
            let mut sum = 0.0;
            while let Ok(taken) = take(&spec, &mut offer, |n| random.below(n)) {
                for port in &taken.ports {
                    prop_assert!(used.insert(*port), "{port} twice");
                }
                sum += taken.parts.iter().map(|(_, part, _)| part.cpus).sum::<f64>();
                let listed: usize = taken.parts.iter().map(|(_, _, ports)| ports.len()).sum();
                prop_assert_eq!(listed, ports);
            }
            prop_assert!(sum <= cpus * 4.0 / 3.0 + 1e-3);
        }
    }
}
