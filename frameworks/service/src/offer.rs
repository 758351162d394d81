//! Offers as the matcher sees them, and the resources of a launch cut out of them.

use meseta_sdk::proto as v1;
use meseta_service_core::app::Demand;
use meseta_service_core::matcher::{Offer, Pool, Taken};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The role of resources that are not reserved.
const UNRESERVED: &str = "*";

/// The scalars and the ports of a role.
type Summed = (Demand, Vec<(u16, u16)>);

/// What is in an offer, by role; reserved resources first. Volumes, revocable and shared resources, and reservations
/// with labels belong to somebody and are left alone.
pub(crate) fn seen(offer: &v1::Offer) -> Offer {
    let mut pools: BTreeMap<&str, Summed> = BTreeMap::new();
    for resource in offer.resources.iter().filter(|resource| is_plain(resource)) {
        let (there, ports) = pools.entry(role(resource)).or_default();
        let amount = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
        match resource.name.as_str() {
            "cpus" => there.cpus += amount,
            "mem" => there.mem += amount,
            "disk" => there.disk += amount,
            "gpus" => there.gpus += amount,
            "ports" => ports.extend(ranges(resource)),
            _ => {}
        }
    }
    let mut pools: Vec<Pool> = pools
        .into_iter()
        .map(|(role, (there, mut ports))| {
            ports.sort_unstable();
            Pool {
                role: Arc::from(role),
                there,
                ports,
            }
        })
        .collect();
    pools.sort_by_key(|pool| &*pool.role == UNRESERVED);
    Offer {
        id: offer.id.value.as_str().into(),
        agent: offer.agent_id.value.as_str().into(),
        host: offer.hostname.as_str().into(),
        pools,
    }
}

fn is_plain(resource: &v1::Resource) -> bool {
    let somebodys = resource.reservations.iter().any(|r| r.labels.is_some());
    resource.disk.is_none() && resource.revocable.is_none() && resource.shared.is_none() && !somebodys
}

fn role(resource: &v1::Resource) -> &str {
    resource
        .reservations
        .last()
        .and_then(|reservation| reservation.role.as_deref())
        .unwrap_or(UNRESERVED)
}

fn ranges(resource: &v1::Resource) -> impl Iterator<Item = (u16, u16)> {
    let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
    ranges.filter_map(|range| {
        let begin = u16::try_from(range.begin).ok()?;
        let end = u16::try_from(range.end.min(u64::from(u16::MAX))).ok()?;
        (begin <= end).then_some((begin, end))
    })
}

/// What is left of an offer while its launches are built.
pub(crate) struct Left(Vec<v1::Resource>);

/// The offer is not what the matcher saw.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the offer has not enough {0} left")]
pub(crate) struct Missing(String);

/// Scalars are counted in thousandths, as Mesos adds them.
fn milli(amount: f64) -> i64 {
    (amount * 1000.0).round() as i64
}

impl Left {
    /// The whole offer.
    pub(crate) fn of(offer: &v1::Offer) -> Left {
        Left(offer.resources.iter().filter(|r| is_plain(r)).cloned().collect())
    }

    /// Cuts what a launch takes.
    ///
    /// # Errors
    /// What is missing; the offer cannot be used for this launch then.
    pub(crate) fn cut(&mut self, taken: &Taken) -> Result<Vec<v1::Resource>, Missing> {
        let mut cut = Vec::new();
        for (pool, part, ports) in &taken.parts {
            let scalars = [
                ("cpus", part.cpus),
                ("mem", part.mem),
                ("disk", part.disk),
                ("gpus", part.gpus),
            ];
            for (name, amount) in scalars {
                self.cut_scalar(pool, name, milli(amount), &mut cut)?;
            }
            self.cut_ports(pool, ports, &mut cut)?;
        }
        Ok(cut)
    }

    fn cut_scalar(
        &mut self,
        pool: &str,
        name: &str,
        mut wanted: i64,
        cut: &mut Vec<v1::Resource>,
    ) -> Result<(), Missing> {
        for resource in self.0.iter_mut().filter(|r| r.name == name && role(r) == pool) {
            let here = resource.scalar.as_ref().map_or(0, |scalar| milli(scalar.value));
            let take = wanted.min(here);
            if take > 0 {
                let scalar = |amount: i64| {
                    Some(v1::value::Scalar {
                        value: amount as f64 / 1000.0,
                    })
                };
                wanted -= take;
                resource.scalar = scalar(here - take);
                cut.push(v1::Resource {
                    scalar: scalar(take),
                    ..resource.clone()
                });
            }
        }
        if wanted > 0 {
            Err(Missing(name.to_owned()))
        } else {
            Ok(())
        }
    }

    fn cut_ports(&mut self, pool: &str, wanted: &[u16], cut: &mut Vec<v1::Resource>) -> Result<(), Missing> {
        let mut wanted: Vec<u64> = wanted.iter().map(|port| u64::from(*port)).collect();
        wanted.sort_unstable();
        for resource in self.0.iter_mut().filter(|r| r.name == "ports" && role(r) == pool) {
            let Some(ranges) = resource.ranges.as_mut() else {
                continue;
            };
            let mut taken: Vec<v1::value::Range> = Vec::new();
            wanted.retain(|port| {
                let found = remove(&mut ranges.range, *port);
                if found {
                    match taken.last_mut() {
                        Some(last) if last.end + 1 == *port => last.end = *port,
                        _ => taken.push(v1::value::Range {
                            begin: *port,
                            end: *port,
                        }),
                    }
                }
                !found
            });
            if !taken.is_empty() {
                cut.push(v1::Resource {
                    ranges: Some(v1::value::Ranges { range: taken }),
                    ..resource.clone()
                });
            }
        }
        match wanted.first() {
            Some(port) => Err(Missing(format!("ports ({port})"))),
            None => Ok(()),
        }
    }
}

/// Takes a port out of ranges; whether it was there.
fn remove(ranges: &mut Vec<v1::value::Range>, port: u64) -> bool {
    let Some(at) = ranges.iter().position(|r| (r.begin..=r.end).contains(&port)) else {
        return false;
    };
    let whole = ranges.remove(at);
    if port < whole.end {
        let after = v1::value::Range {
            begin: port + 1,
            end: whole.end,
        };
        ranges.insert(at, after);
    }
    if whole.begin < port {
        let before = v1::value::Range {
            begin: whole.begin,
            end: port - 1,
        };
        ranges.insert(at, before);
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scalar(name: &str, value: f64) -> v1::Resource {
        v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        }
    }

    fn ports(begin: u64, end: u64) -> v1::Resource {
        v1::Resource {
            name: "ports".into(),
            r#type: v1::value::Type::Ranges as i32,
            ranges: Some(v1::value::Ranges {
                range: vec![v1::value::Range { begin, end }],
            }),
            ..Default::default()
        }
    }

    fn reserved(mut resource: v1::Resource, labels: bool) -> v1::Resource {
        resource.reservations.push(v1::resource::ReservationInfo {
            role: Some("web".into()),
            labels: labels.then(v1::Labels::default),
            ..Default::default()
        });
        resource
    }

    fn offer(resources: Vec<v1::Resource>) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId { value: "o".into() },
            agent_id: v1::AgentId { value: "a".into() },
            hostname: "h".into(),
            resources,
            ..Default::default()
        }
    }

    #[test]
    fn reserved_resources_come_first_and_somebodys_are_left_alone() {
        let offer = offer(vec![
            scalar("cpus", 2.0),
            reserved(scalar("cpus", 1.0), false),
            reserved(scalar("cpus", 7.0), true),
            scalar("mem", 100.0),
            ports(31_000, 70_000),
        ]);
        let seen = seen(&offer);
        let pools: Vec<(&str, f64)> = seen.pools.iter().map(|p| (&*p.role, p.there.cpus)).collect();
        assert_eq!(pools, [("web", 1.0), ("*", 2.0)]);
        assert_eq!(seen.pools[1].ports, [(31_000, 65_535)]);
    }

    #[test]
    fn what_the_matcher_took_is_cut_out_of_the_pieces_of_the_offer() {
        let offer = offer(vec![
            scalar("cpus", 0.1),
            scalar("cpus", 0.2),
            reserved(scalar("cpus", 1.0), false),
            ports(31_000, 31_005),
        ]);
        let mut left = Left::of(&offer);
        let part = |cpus| Demand {
            cpus,
            ..Demand::default()
        };
        let taken = Taken {
            parts: vec![
                ("web".into(), part(1.0), vec![]),
                ("*".into(), part(0.3), vec![31_003, 31_001, 31_002]),
            ],
            ports: vec![31_003, 31_001, 31_002],
        };
        let cut = left.cut(&taken).unwrap();
        let cpus: Vec<f64> = cut
            .iter()
            .filter_map(|r| r.scalar.as_ref())
            .map(|s| s.value)
            .collect();
        assert_eq!(cpus, [1.0, 0.1, 0.2]);
        let range = &cut.last().unwrap().ranges.as_ref().unwrap().range;
        assert_eq!((range.len(), range[0].begin, range[0].end), (1, 31_001, 31_003));
        assert_eq!(left.cut(&taken), Err(Missing("cpus".into())));
        let again = Taken {
            parts: vec![("*".into(), part(0.0), vec![31_001])],
            ports: vec![31_001],
        };
        assert_eq!(left.cut(&again), Err(Missing("ports (31001)".into())));
    }
}
