//! What a valid resource is. The texts are Mesos's own (`Resources::validate`).

use super::{DiskKind, ReservationKind, Resource, Resources, Scalar, Value};
use crate::id::RoleError;

/// Why a resource is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum ResourceError {
    #[error("Empty resource name")]
    EmptyName,
    #[error("Invalid resource type")]
    Type,
    #[error("Unsupported resource type")]
    UnsupportedType,
    #[error("Invalid scalar resource")]
    Scalar,
    #[error("Invalid scalar resource: value <= 0")]
    NotPositive,
    #[error("Invalid scalar resource: value > {}", Scalar::MAX_AMOUNT)]
    TooLarge,
    #[error("Invalid ranges resource")]
    Ranges,
    #[error("Invalid ranges resource: begin > end")]
    Inverted,
    #[error("Invalid ranges resource: overlapping ranges")]
    Overlapping,
    #[error("Invalid set resource")]
    Set,
    #[error("Invalid set resource: duplicated elements")]
    Duplicated,
    #[error("The 'gpus' resource must be an unsigned integer")]
    FractionalGpus,
    #[error("DiskInfo should not be set for {0} resource")]
    DiskOn(String),
    #[error("{what} should not be set for {kind} disk source")]
    DiskSource { what: &'static str, kind: &'static str },
    #[error("Unsupported 'DiskInfo.Source.Type' in '{0}'")]
    DiskSourceType(String),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("'Resource.ReservationInfo.{0}' must not be set for the 'Resource.reservation' field")]
    OldReservationField(&'static str),
    #[error("Invalid reservation: role \"*\" cannot be dynamically reserved")]
    StarDynamicallyReserved,
    #[error("Invalid reservation: role \"*\" cannot be reserved")]
    StarReserved,
    #[error("Invalid reservation: 'Resource.ReservationInfo.{0}' field must be set.")]
    ReservationFieldMissing(&'static str),
    #[error("Unsupported 'Resource.ReservationInfo.Type'")]
    ReservationType,
    #[error("Invalid refined reservation: A refined reservation cannot be STATIC")]
    RefinedStatic,
    #[error("Invalid refined reservation: role '{role}' is not a refinement of '{of}'")]
    NotRefined { role: String, of: String },
    #[error("Invalid resource format: {0}")]
    Format(String),
    #[error("Resource {0} cannot be shared")]
    CannotBeShared(String),
    #[error("Only persistent volumes can be shared")]
    SharedWithoutPersistence,
    /// A refusal that names the offending entry of a list.
    #[error("Resource '{resource}' is invalid: {error}")]
    In {
        resource: String,
        error: Box<ResourceError>,
    },
}

impl Scalar {
    /// A resource's amount from the wire's double: zero is fine, anything else must be positive after rounding.
    pub fn amount(value: f64) -> Result<Scalar, ResourceError> {
        let scalar = Scalar::from_f64(value);
        if value != 0.0 && (scalar <= Scalar::ZERO || value.is_nan()) {
            Err(ResourceError::NotPositive)
        } else if scalar > Scalar::MAX_AMOUNT {
            Err(ResourceError::TooLarge)
        } else {
            Ok(scalar)
        }
    }
}

impl Resource {
    /// Checks everything that the types do not: name, amount, disk, reservations, sharing, in Mesos's order.
    ///
    /// What only the wire form can get wrong (overlapping ranges, both reservation formats at once) is checked where
    /// it is read.
    pub fn validate(&self) -> Result<(), ResourceError> {
        if self.name.is_empty() {
            return Err(ResourceError::EmptyName);
        }
        if let Value::Scalar(amount) = &self.value {
            if *amount < Scalar::ZERO {
                return Err(ResourceError::NotPositive);
            }
            if *amount > Scalar::MAX_AMOUNT {
                return Err(ResourceError::TooLarge);
            }
        }
        self.validate_disk()?;
        self.validate_reservations()?;
        if self.traits.shared {
            if &*self.name != "disk" {
                return Err(ResourceError::CannotBeShared(self.name.to_string()));
            }
            if !self.is_persistent_volume() {
                return Err(ResourceError::SharedWithoutPersistence);
            }
        }
        Ok(())
    }

    fn validate_disk(&self) -> Result<(), ResourceError> {
        let Some(disk) = &self.traits.disk else {
            return Ok(());
        };
        if &*self.name != "disk" {
            return Err(ResourceError::DiskOn(self.name.to_string()));
        }
        match &disk.source {
            Some(source) if source.root.is_some() => match source.kind {
                DiskKind::Path | DiskKind::Mount => Ok(()),
                DiskKind::Block | DiskKind::Raw => Err(ResourceError::DiskSource {
                    what: "Path",
                    kind: source.kind.name(),
                }),
            },
            _ => Ok(()),
        }
    }

    fn validate_reservations(&self) -> Result<(), ResourceError> {
        if self.traits.reservations.iter().any(|r| r.role.is_star()) {
            return Err(ResourceError::StarReserved);
        }
        for pair in self.traits.reservations.windows(2) {
            let [above, below] = pair else { continue };
            if below.kind == ReservationKind::Static {
                return Err(ResourceError::RefinedStatic);
            }
            if !below.role.is_strict_subrole_of(&above.role) {
                return Err(ResourceError::NotRefined {
                    role: below.role.to_string(),
                    of: above.role.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl Resources {
    /// Whether every amount of gpus is whole.
    pub fn validate_gpus(&self) -> Result<(), ResourceError> {
        if self.scalar("gpus").is_whole() {
            Ok(())
        } else {
            Err(ResourceError::FractionalGpus)
        }
    }
}
