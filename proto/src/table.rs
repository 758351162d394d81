//! Descriptor tables: what each message's fields are called, how they are encoded, and what Mesos prints when they
//! are unset. Read by `json`, `binary` and `transcode`; written by `build.rs`.

use std::fmt::Debug;

/// One message type.
pub(crate) struct Message {
    /// Full protobuf name.
    pub(crate) name: &'static str,
    /// In the order of declaration, which is the order of printing. At most 64.
    pub(crate) fields: &'static [Field],
    /// Field number to index into `fields`; 255 where there is none.
    pub(crate) slots: &'static [u8],
    /// Whether a required field can be missing here or below.
    pub(crate) requires: bool,
    /// About the bytes which the decoded struct takes.
    pub(crate) weight: usize,
}

/// One field of a message.
pub(crate) struct Field {
    /// The name as a JSON key: quoted, with its colon.
    pub(crate) key: &'static str,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) label: Label,
    /// Index of the message, map entry or enum type.
    pub(crate) sub: u16,
    /// Fields of the same non-zero group exclude each other (a oneof).
    pub(crate) group: u8,
    /// Printed when unset.
    pub(crate) default: Option<&'static str>,
}

/// How a field is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Bool,
    String,
    Bytes,
    Enum,
    Message,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Optional,
    Required,
    Repeated,
}

/// One enum type: names and numbers in the order of declaration.
pub(crate) struct Enum {
    pub(crate) values: &'static [(&'static str, i32)],
}

impl Message {
    /// The index of a field by its number.
    pub(crate) fn slot(&self, number: u32) -> Option<usize> {
        let slot = *self.slots.get(usize::try_from(number).ok()?)?;
        (slot != 255).then_some(usize::from(slot))
    }

    /// The index of a field by its name; `hint` is tried first, since senders mostly keep the order.
    pub(crate) fn slot_named(&self, name: &[u8], hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|f| f.name().as_bytes() == name) {
            return Some(hint);
        }
        self.fields.iter().position(|f| f.name().as_bytes() == name)
    }
}

impl Field {
    pub(crate) fn name(&self) -> &'static str {
        &self.key[1..self.key.len() - 2]
    }

    pub(crate) fn is_repeated(&self) -> bool {
        self.label == Label::Repeated
    }

    /// The type of an embedded message or map entry.
    pub(crate) fn message(&self) -> &'static Message {
        &MESSAGES[usize::from(self.sub)]
    }

    /// The type of an enum field.
    pub(crate) fn enumeration(&self) -> &'static Enum {
        &ENUMS[usize::from(self.sub)]
    }
}

impl Enum {
    pub(crate) fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(_, n)| *n == number)
            .map(|(name, _)| *name)
    }

    pub(crate) fn number_of(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, number)| *number)
    }
}

/// A generated message type with its table: what [`crate::json`], [`crate::binary`] and [`crate::transcode`] work on.
pub trait Described: prost::Message + Default + Debug + private::Tabled {}

pub(crate) mod private {
    /// Keeps the tables out of the public interface.
    pub trait Tabled {
        /// Index into the tables.
        const INDEX: usize;
    }
}

/// The table of a message type.
pub(crate) fn of<M: Described>() -> &'static Message {
    &MESSAGES[M::INDEX]
}

macro_rules! described {
    ($message:ty, $index:literal) => {
        impl private::Tabled for $message {
            const INDEX: usize = $index;
        }
        impl Described for $message {}
    };
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_to_its_field_and_back() {
        for m in &MESSAGES {
            for (slot, field) in m.fields.iter().enumerate() {
                assert_eq!(m.slot(field.number), Some(slot), "{}.{}", m.name, field.name());
                assert_eq!(m.slot_named(field.name().as_bytes(), 0), Some(slot));
            }
            assert_eq!(m.slot(0), None);
            assert_eq!(m.slot(u32::MAX), None);
        }
    }

    #[test]
    fn types_and_tables_belong_together() {
        assert_eq!(of::<crate::mesos::v1::TaskInfo>().name, "mesos.v1.TaskInfo");
        assert_eq!(
            of::<crate::mesos::v1::offer::operation::Launch>().name,
            "mesos.v1.Offer.Operation.Launch"
        );
    }
}
