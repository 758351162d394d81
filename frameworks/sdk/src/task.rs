//! Describing a task, and cutting its resources out of an offer.
//!
//! Small builders over the protobuf messages; whatever they do not name is reached with [`Task::raw`].

use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::value;
use std::time::Duration;

/// What a task needs. Scalars are in Mesos's units: cpus, and mem and disk in MiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Cores.
    pub cpus: f64,
    /// Memory in MiB.
    pub mem: f64,
    /// Sandbox space in MiB.
    pub disk: f64,
    /// How many ports.
    pub ports: usize,
}

/// What an offer lacks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name}: {wanted} needed, {offered} offered")]
pub struct Shortage {
    /// The resource.
    pub name: &'static str,
    /// How much is needed.
    pub wanted: f64,
    /// How much there is.
    pub offered: f64,
}

/// Scalars are compared in thousandths, as Mesos adds them.
fn milli(x: f64) -> i64 {
    (x * 1000.0).round() as i64
}

impl Needs {
    /// Cuts what is needed out of offered resources (of one offer, or of several of one agent and role). Reserved
    /// resources come first; volumes, revocable and shared resources and reservations with labels are left alone:
    /// they belong to somebody.
    pub fn cut_from(&self, offered: &[v1::Resource]) -> Result<Vec<v1::Resource>, Shortage> {
        let mut usable: Vec<&v1::Resource> = offered.iter().filter(|r| is_plain(r)).collect();
        usable.sort_by_key(|r| r.reservations.is_empty());
        let mut cut = Vec::new();
        for (name, wanted) in [("cpus", self.cpus), ("mem", self.mem), ("disk", self.disk)] {
            cut_scalar(&usable, name, wanted, &mut cut)?;
        }
        cut_ports(&usable, self.ports, &mut cut)?;
        Ok(cut)
    }
}

fn is_plain(r: &v1::Resource) -> bool {
    let somebodys = r.reservations.iter().any(|x| x.labels.is_some());
    r.disk.is_none() && r.revocable.is_none() && r.shared.is_none() && !somebodys
}

fn cut_scalar(
    usable: &[&v1::Resource],
    name: &'static str,
    wanted: f64,
    cut: &mut Vec<v1::Resource>,
) -> Result<(), Shortage> {
    let mut left = milli(wanted);
    for resource in usable.iter().filter(|r| r.name == name) {
        let here = resource.scalar.as_ref().map_or(0, |s| milli(s.value));
        let take = left.min(here);
        if take > 0 {
            left -= take;
            cut.push(v1::Resource {
                scalar: Some(value::Scalar {
                    value: take as f64 / 1000.0,
                }),
                ..(*resource).clone()
            });
        }
    }
    if left > 0 {
        return Err(Shortage {
            name,
            wanted,
            offered: wanted - left as f64 / 1000.0,
        });
    }
    Ok(())
}

fn cut_ports(usable: &[&v1::Resource], wanted: usize, cut: &mut Vec<v1::Resource>) -> Result<(), Shortage> {
    let mut left = wanted as u64;
    for resource in usable.iter().filter(|r| r.name == "ports") {
        let mut taken = Vec::new();
        for range in resource.ranges.iter().flat_map(|r| &r.range) {
            let here = (range.end + 1).saturating_sub(range.begin).min(left);
            if here > 0 {
                left -= here;
                taken.push(value::Range {
                    begin: range.begin,
                    end: range.begin + here - 1,
                });
            }
        }
        if !taken.is_empty() {
            cut.push(v1::Resource {
                ranges: Some(value::Ranges { range: taken }),
                ..(*resource).clone()
            });
        }
    }
    if left > 0 {
        return Err(Shortage {
            name: "ports",
            wanted: wanted as f64,
            offered: (wanted as u64 - left) as f64,
        });
    }
    Ok(())
}

/// A task that runs a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Task(v1::TaskInfo);

impl Task {
    /// A line for `/bin/sh -c`. `id` must be new: ids are never reused.
    pub fn shell(id: impl Into<String>, line: impl Into<String>) -> Task {
        Task::with(
            id.into(),
            v1::CommandInfo {
                shell: Some(true),
                value: Some(line.into()),
                ..Default::default()
            },
        )
    }

    /// A program and its arguments, without a shell.
    pub fn argv(id: impl Into<String>, argv: impl IntoIterator<Item = impl Into<String>>) -> Task {
        let arguments: Vec<String> = argv.into_iter().map(Into::into).collect();
        Task::with(
            id.into(),
            v1::CommandInfo {
                shell: Some(false),
                value: arguments.first().cloned(),
                arguments,
                ..Default::default()
            },
        )
    }

    fn with(id: String, command: v1::CommandInfo) -> Task {
        Task(v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            command: Some(command),
            ..Default::default()
        })
    }

    /// A name for people; the id unless said otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Task {
        self.0.name = name.into();
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Task {
        let variable = v1::environment::Variable {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        };
        let command = self.0.command.get_or_insert_default();
        command
            .environment
            .get_or_insert_default()
            .variables
            .push(variable);
        self
    }

    /// A file fetched into the sandbox (archives are unpacked).
    pub fn uri(mut self, uri: impl Into<String>) -> Task {
        let uri = v1::command_info::Uri {
            value: uri.into(),
            ..Default::default()
        };
        self.0.command.get_or_insert_default().uris.push(uri);
        self
    }

    /// The Unix user it runs as; the framework's unless said otherwise.
    pub fn user(mut self, user: impl Into<String>) -> Task {
        self.0.command.get_or_insert_default().user = Some(user.into());
        self
    }

    /// The time between SIGTERM and SIGKILL when it is killed.
    pub fn kill_grace(mut self, grace: Duration) -> Task {
        self.0.kill_policy = Some(v1::KillPolicy {
            grace_period: Some(v1::DurationInfo {
                nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
            }),
        });
        self
    }

    /// Anything else of the message.
    pub fn raw(mut self, change: impl FnOnce(&mut v1::TaskInfo)) -> Task {
        change(&mut self.0);
        self
    }

    /// The message, for this agent and with these resources of its offer.
    pub fn build(mut self, agent: &v1::AgentId, resources: Vec<v1::Resource>) -> v1::TaskInfo {
        self.0.agent_id = agent.clone();
        self.0.resources = resources;
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scalar(name: &str, value: f64) -> v1::Resource {
        v1::Resource {
            name: name.into(),
            r#type: value::Type::Scalar as i32,
            scalar: Some(value::Scalar { value }),
            ..Default::default()
        }
    }

    fn ports(ranges: &[(u64, u64)]) -> v1::Resource {
        v1::Resource {
            name: "ports".into(),
            r#type: value::Type::Ranges as i32,
            ranges: Some(value::Ranges {
                range: ranges
                    .iter()
                    .map(|&(begin, end)| value::Range { begin, end })
                    .collect(),
            }),
            ..Default::default()
        }
    }

    fn reserved(mut r: v1::Resource, labels: bool) -> v1::Resource {
        r.reservations.push(v1::resource::ReservationInfo {
            role: Some("a".into()),
            labels: labels.then(v1::Labels::default),
            ..Default::default()
        });
        r
    }

    #[test]
    fn reserved_resources_are_used_first_and_the_rest_filled_up() {
        let offered = [scalar("cpus", 4.0), reserved(scalar("cpus", 1.0), false)];
        let needs = Needs {
            cpus: 1.5,
            ..Default::default()
        };
        let cut = needs.cut_from(&offered).unwrap();
        assert_eq!(cut[0].scalar.as_ref().unwrap().value, 1.0);
        assert!(!cut[0].reservations.is_empty());
        assert_eq!(cut[1].scalar.as_ref().unwrap().value, 0.5);
    }

    #[test]
    fn somebodys_reservations_are_left_alone() {
        let offered = [reserved(scalar("mem", 100.0), true), scalar("mem", 10.0)];
        let needs = Needs {
            mem: 20.0,
            ..Default::default()
        };
        let shortage = needs.cut_from(&offered).unwrap_err();
        assert_eq!(shortage.to_string(), "mem: 20 needed, 10 offered");
    }

    #[test]
    fn thousandths_do_not_get_lost_in_binary_fractions() {
        let offered = [scalar("cpus", 0.1), scalar("cpus", 0.2)];
        let needs = Needs {
            cpus: 0.3,
            ..Default::default()
        };
        assert_eq!(needs.cut_from(&offered).unwrap().len(), 2);
    }

    #[test]
    fn ports_are_taken_across_ranges() {
        let needs = |ports| Needs {
            ports,
            ..Default::default()
        };
        let offered = [ports(&[(31000, 31001), (31005, 31005)])];
        let cut = needs(3).cut_from(&offered).unwrap();
        assert_eq!(cut[0], offered[0]);
        assert_eq!(needs(4).cut_from(&offered).unwrap_err().name, "ports");
        assert_eq!(needs(0).cut_from(&[]).unwrap(), []);
    }
}
