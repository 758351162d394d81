//! Resources and attributes. Inside there is only the form with a stack of reservations; the wire has three.

use crate::mesos::v1;
use meseta_types::Role;
use meseta_types::attribute::{Attribute, AttributeValue, Attributes};
use meseta_types::resource::{
    DiskInfo, DiskKind, DiskSource, DiskVolume, Labels, Particulars, Persistence, Range, Ranges, Reservation,
    ReservationKind, Resource, ResourceError, Resources, Scalar, Value, name,
};
use prost::Message as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use v1::resource::reservation_info::Type as ReservationType;
use v1::resource::{AllocationInfo, ReservationInfo, RevocableInfo, SharedInfo, disk_info};
use v1::value::Type;

/// Which of the wire's forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `role` and `reservation`: for peers without RESERVATION_REFINEMENT. Refined reservations have no such form.
    Pre,
    /// `reservations` only: for peers with RESERVATION_REFINEMENT, agents, executors and stored tasks.
    Post,
    /// Both, where there is at most one reservation: for operators.
    Endpoint,
}

/// Resources from the wire, in any of its forms, each checked in Mesos's order.
pub fn from_proto(list: &[v1::Resource]) -> Result<Resources, ResourceError> {
    let mut resources = Resources::new();
    for resource in list {
        let read = one(resource)
            .and_then(|r| r.validate().map(|()| r))
            .map_err(|error| ResourceError::In {
                resource: text(resource),
                error: Box::new(error),
            })?;
        resources.push(read);
    }
    resources.validate_gpus()?;
    Ok(resources)
}

/// A resource of the wire as an error shows it.
fn text(resource: &v1::Resource) -> String {
    let value = match (&resource.scalar, &resource.ranges, &resource.set) {
        (Some(scalar), _, _) => scalar.value.to_string(),
        (_, Some(ranges), _) => {
            let list: Vec<_> = ranges
                .range
                .iter()
                .take(8)
                .map(|r| format!("{}-{}", r.begin, r.end))
                .collect();
            format!("[{}]", list.join(", "))
        }
        (_, _, Some(set)) => format!("{{{}}}", set.item.join(", ")),
        _ => String::new(),
    };
    format!("{}:{value}", resource.name)
}

fn one(resource: &v1::Resource) -> Result<Resource, ResourceError> {
    if resource.name.is_empty() {
        return Err(ResourceError::EmptyName);
    }
    let mut read = Resource::new(name(&resource.name), value(resource)?);
    let allocation = resource.allocation_info.as_ref().and_then(|a| a.role.as_ref());
    read.allocation = allocation.map(Role::new).transpose()?;
    read.traits = Particulars {
        reservations: reservations(resource)?,
        disk: resource.disk.as_ref().map(disk).transpose()?.map(Arc::new),
        revocable: resource.revocable.is_some(),
        shared: resource.shared.is_some(),
        provider_id: resource.provider_id.as_ref().map(|id| id.value.as_str().into()),
    }
    .into();
    Ok(read)
}

fn value(resource: &v1::Resource) -> Result<Value, ResourceError> {
    let kind = Type::try_from(resource.r#type).map_err(|_| ResourceError::Type)?;
    match (kind, &resource.scalar, &resource.ranges, &resource.set) {
        (Type::Scalar, Some(scalar), None, None) => Ok(Value::Scalar(Scalar::amount(scalar.value)?)),
        (Type::Scalar, ..) => Err(ResourceError::Scalar),
        (Type::Ranges, None, Some(list), None) => Ok(Value::Ranges(ranges(list)?)),
        (Type::Ranges, ..) => Err(ResourceError::Ranges),
        (Type::Set, None, None, Some(list)) => {
            let set: BTreeSet<Arc<str>> = list.item.iter().map(|i| Arc::from(i.as_str())).collect();
            if set.len() == list.item.len() {
                Ok(Value::Set(set.into()))
            } else {
                Err(ResourceError::Duplicated)
            }
        }
        (Type::Set, ..) => Err(ResourceError::Set),
        (Type::Text, ..) => Err(ResourceError::UnsupportedType),
    }
}

fn ranges(list: &v1::value::Ranges) -> Result<Ranges, ResourceError> {
    let mut sorted: Vec<Range> = list
        .range
        .iter()
        .map(|r| Range {
            begin: r.begin,
            end: r.end,
        })
        .collect();
    if sorted.iter().any(|r| r.begin > r.end) {
        return Err(ResourceError::Inverted);
    }
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[1].begin <= pair[0].end) {
        return Err(ResourceError::Overlapping);
    }
    Ok(Ranges::new(sorted))
}

/// The stack from either form, or from both if they agree.
fn reservations(resource: &v1::Resource) -> Result<Vec<Reservation>, ResourceError> {
    if resource.reservations.is_empty() {
        return old_form(resource);
    }
    let stack: Vec<Reservation> = resource
        .reservations
        .iter()
        .map(reservation)
        .collect::<Result<_, _>>()?;
    let format = |text: &str| Err(ResourceError::Format(text.to_owned()));
    match stack.as_slice() {
        [only] => {
            if resource
                .role
                .as_ref()
                .is_some_and(|role| role != only.role.as_str())
            {
                return format("'Resource.role' field with the last reservation's role differ");
            }
            match (&resource.reservation, only.kind) {
                (Some(_), ReservationKind::Static) => {
                    return format("'Resource.reservation' must not be set for a static reservation");
                }
                (Some(old), ReservationKind::Dynamic) if resource.role.is_none() || !same(old, only) => {
                    return format("'Resource.reservation' and 'Resource.reservations' fields differ");
                }
                (None, ReservationKind::Dynamic) if resource.role.is_some() => {
                    return format(
                        "'Resource.role' is set without 'Resource.reservation' for a dynamic reservation",
                    );
                }
                _ => {}
            }
        }
        _ if resource.role.is_some() || resource.reservation.is_some() => {
            return format(
                "'Resource.role' and 'Resource.reservation' must not be set with refined reservations",
            );
        }
        _ => {}
    }
    Ok(stack)
}

fn same(old: &ReservationInfo, new: &Reservation) -> bool {
    old.principal.as_deref() == new.principal.as_deref() && labels(old.labels.as_ref()) == new.labels
}

fn old_form(resource: &v1::Resource) -> Result<Vec<Reservation>, ResourceError> {
    let role = Role::new(resource.role.as_deref().unwrap_or("*"))?;
    let Some(info) = &resource.reservation else {
        if role.is_star() {
            return Ok(Vec::new());
        }
        let kind = ReservationKind::Static;
        return Ok(vec![Reservation {
            kind,
            role,
            principal: None,
            labels: Vec::new(),
        }]);
    };
    for (set, field) in [(info.r#type.is_some(), "type"), (info.role.is_some(), "role")] {
        if set {
            return Err(ResourceError::OldReservationField(field));
        }
    }
    if role.is_star() {
        return Err(ResourceError::StarDynamicallyReserved);
    }
    let principal = info.principal.as_deref().map(Arc::from);
    let kind = ReservationKind::Dynamic;
    Ok(vec![Reservation {
        kind,
        role,
        principal,
        labels: labels(info.labels.as_ref()),
    }])
}

fn reservation(info: &ReservationInfo) -> Result<Reservation, ResourceError> {
    let kind = match info.r#type.map(ReservationType::try_from) {
        None => return Err(ResourceError::ReservationFieldMissing("type")),
        Some(Ok(ReservationType::Static)) => ReservationKind::Static,
        Some(Ok(ReservationType::Dynamic)) => ReservationKind::Dynamic,
        Some(_) => return Err(ResourceError::ReservationType),
    };
    let role = info
        .role
        .as_ref()
        .ok_or(ResourceError::ReservationFieldMissing("role"))?;
    Ok(Reservation {
        kind,
        role: Role::new(role)?,
        principal: info.principal.as_deref().map(Arc::from),
        labels: labels(info.labels.as_ref()),
    })
}

fn labels(labels: Option<&v1::Labels>) -> Labels {
    let list = labels.map(|l| l.labels.as_slice()).unwrap_or_default();
    list.iter()
        .map(|l| (Arc::from(l.key.as_str()), l.value.as_deref().map(Arc::from)))
        .collect()
}

fn labels_to_proto(labels: &Labels) -> Option<v1::Labels> {
    let one = |(key, value): &(Arc<str>, Option<Arc<str>>)| v1::Label {
        key: key.to_string(),
        value: value.as_deref().map(str::to_owned),
    };
    (!labels.is_empty()).then(|| v1::Labels {
        labels: labels.iter().map(one).collect(),
    })
}

fn disk(info: &v1::resource::DiskInfo) -> Result<DiskInfo, ResourceError> {
    Ok(DiskInfo {
        persistence: info.persistence.as_ref().map(|p| Persistence {
            id: Arc::from(p.id.as_str()),
            principal: p.principal.as_deref().map(Arc::from),
        }),
        volume: info.volume.as_ref().map(|v| DiskVolume {
            container_path: Arc::from(v.container_path.as_str()),
            host_path: v.host_path.as_deref().map(Arc::from),
            writable: v.mode() == v1::volume::Mode::Rw,
            wire: v.encode_to_vec().into(),
        }),
        source: info.source.as_ref().map(disk_source).transpose()?,
    })
}

fn disk_source(source: &disk_info::Source) -> Result<DiskSource, ResourceError> {
    use disk_info::source::Type;
    let kind = match source.r#type() {
        Type::Path => DiskKind::Path,
        Type::Mount => DiskKind::Mount,
        Type::Block => DiskKind::Block,
        Type::Raw => DiskKind::Raw,
        Type::Unknown => return Err(ResourceError::DiskSourceType("UNKNOWN".to_owned())),
    };
    let raw = matches!(kind, DiskKind::Block | DiskKind::Raw);
    for (set, what) in [(source.mount.is_some(), "Mount"), (source.path.is_some(), "Path")] {
        if raw && set {
            return Err(ResourceError::DiskSource {
                what,
                kind: kind.name(),
            });
        }
    }
    let root = match kind {
        DiskKind::Path => source.path.as_ref().and_then(|p| p.root.as_deref()),
        _ => source.mount.as_ref().and_then(|m| m.root.as_deref()),
    };
    Ok(DiskSource {
        kind,
        root: root.map(Arc::from),
        vendor: source.vendor.as_deref().map(Arc::from),
        id: source.id.as_deref().map(Arc::from),
        metadata: labels(source.metadata.as_ref()),
        profile: source.profile.as_deref().map(Arc::from),
    })
}

/// Resources for the wire. Refined reservations, which [`Format::Pre`] cannot express, are left out of it: the peers
/// that read it are not offered such resources.
pub fn to_proto(resources: &Resources, format: Format) -> Vec<v1::Resource> {
    let fits = |r: &&Resource| format != Format::Pre || r.traits.reservations.len() < 2;
    resources
        .iter()
        .filter(fits)
        .map(|r| one_to_proto(r, format))
        .collect()
}

/// One resource for the wire.
pub fn one_to_proto(r: &Resource, format: Format) -> v1::Resource {
    let mut out = v1::Resource {
        name: r.name.to_string(),
        allocation_info: r.allocation.as_ref().map(|role| AllocationInfo {
            role: Some(role.to_string()),
        }),
        disk: r.traits.disk.as_ref().map(|d| disk_to_proto(d)),
        revocable: r.traits.revocable.then_some(RevocableInfo {}),
        shared: r.traits.shared.then_some(SharedInfo {}),
        provider_id: r.traits.provider_id.as_ref().map(|id| v1::ResourceProviderId {
            value: id.to_string(),
        }),
        ..Default::default()
    };
    match &r.value {
        Value::Scalar(scalar) => {
            out.set_type(Type::Scalar);
            out.scalar = Some(v1::value::Scalar {
                value: scalar.to_f64(),
            });
        }
        Value::Ranges(ranges) => {
            out.set_type(Type::Ranges);
            out.ranges = Some(ranges_to_proto(ranges));
        }
        Value::Set(set) => {
            out.set_type(Type::Set);
            out.set = Some(v1::value::Set {
                item: set.iter().map(|i| i.to_string()).collect(),
            });
        }
    }
    put_reservations(&mut out, &r.traits.reservations, format);
    out
}

fn put_reservations(out: &mut v1::Resource, stack: &[Reservation], format: Format) {
    if format != Format::Pre {
        out.reservations = stack.iter().map(reservation_to_proto).collect();
    }
    if format != Format::Post {
        match stack {
            [] => out.role = Some("*".to_owned()),
            [only] => {
                out.role = Some(only.role.to_string());
                out.reservation = (only.kind == ReservationKind::Dynamic).then(|| ReservationInfo {
                    principal: only.principal.as_deref().map(str::to_owned),
                    labels: labels_to_proto(&only.labels),
                    ..Default::default()
                });
            }
            _ => {}
        }
    }
}

fn reservation_to_proto(r: &Reservation) -> ReservationInfo {
    let kind = match r.kind {
        ReservationKind::Static => ReservationType::Static,
        ReservationKind::Dynamic => ReservationType::Dynamic,
    };
    ReservationInfo {
        principal: r.principal.as_deref().map(str::to_owned),
        labels: labels_to_proto(&r.labels),
        role: Some(r.role.to_string()),
        r#type: Some(kind.into()),
    }
}

fn ranges_to_proto(ranges: &Ranges) -> v1::value::Ranges {
    let range = ranges
        .iter()
        .map(|r| v1::value::Range {
            begin: r.begin,
            end: r.end,
        })
        .collect();
    v1::value::Ranges { range }
}

fn disk_to_proto(d: &DiskInfo) -> v1::resource::DiskInfo {
    v1::resource::DiskInfo {
        persistence: d.persistence.as_ref().map(|p| disk_info::Persistence {
            id: p.id.to_string(),
            principal: p.principal.as_deref().map(str::to_owned),
        }),
        volume: d.volume.as_ref().map(volume_to_proto),
        source: d.source.as_ref().map(disk_source_to_proto),
    }
}

fn volume_to_proto(volume: &DiskVolume) -> v1::Volume {
    // What only the wire knows first, the typed fields over it.
    let mut out = v1::Volume::decode(volume.wire.clone()).unwrap_or_default();
    out.container_path = volume.container_path.to_string();
    out.host_path = volume.host_path.as_deref().map(str::to_owned);
    out.set_mode(if volume.writable {
        v1::volume::Mode::Rw
    } else {
        v1::volume::Mode::Ro
    });
    out
}

fn disk_source_to_proto(s: &DiskSource) -> disk_info::Source {
    use disk_info::source::{Mount, Path, Type};
    let kind = match s.kind {
        DiskKind::Path => Type::Path,
        DiskKind::Mount => Type::Mount,
        DiskKind::Block => Type::Block,
        DiskKind::Raw => Type::Raw,
    };
    let text = |t: &Option<Arc<str>>| t.as_deref().map(str::to_owned);
    disk_info::Source {
        r#type: kind.into(),
        path: (kind == Type::Path && s.root.is_some()).then(|| Path { root: text(&s.root) }),
        mount: (kind == Type::Mount && s.root.is_some()).then(|| Mount { root: text(&s.root) }),
        id: text(&s.id),
        metadata: labels_to_proto(&s.metadata),
        profile: text(&s.profile),
        vendor: text(&s.vendor),
    }
}

/// Attributes from the wire; those of a kind that no agent of ours has (sets) are refused.
pub fn attributes(list: &[v1::Attribute]) -> Result<Attributes, super::Invalid> {
    list.iter().map(attribute).collect()
}

fn attribute(a: &v1::Attribute) -> Result<Attribute, super::Invalid> {
    let missing = || super::Invalid::new(format!("Attribute '{}' has no value of its type", a.name));
    let value = match a.r#type() {
        Type::Scalar => {
            AttributeValue::Scalar(Scalar::from_f64(a.scalar.as_ref().ok_or_else(missing)?.value))
        }
        Type::Ranges => {
            let list = a.ranges.as_ref().ok_or_else(missing)?;
            AttributeValue::Ranges(ranges(list).map_err(super::Invalid::new)?)
        }
        Type::Text => AttributeValue::Text(Arc::from(a.text.as_ref().ok_or_else(missing)?.value.as_str())),
        Type::Set => {
            return Err(super::Invalid::new(format!(
                "Attribute '{}' must not be a set",
                a.name
            )));
        }
    };
    Ok(Attribute {
        name: Arc::from(a.name.as_str()),
        value,
    })
}

/// Attributes for the wire.
pub fn attributes_to_proto(attributes: &Attributes) -> Vec<v1::Attribute> {
    let one = |a: &Attribute| {
        let mut out = v1::Attribute {
            name: a.name.to_string(),
            ..Default::default()
        };
        match &a.value {
            AttributeValue::Scalar(s) => {
                out.set_type(Type::Scalar);
                out.scalar = Some(v1::value::Scalar { value: s.to_f64() });
            }
            AttributeValue::Ranges(r) => {
                out.set_type(Type::Ranges);
                out.ranges = Some(ranges_to_proto(r));
            }
            AttributeValue::Text(t) => {
                out.set_type(Type::Text);
                out.text = Some(v1::value::Text { value: t.to_string() });
            }
        }
        out
    };
    attributes.iter().map(one).collect()
}
