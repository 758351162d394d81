//! The few primitives of the binary form in which agent, supervisor, launchers and the supervisor's log speak.
//!
//! Little endian, lengths as 32 bits, nothing self-describing: every user states a version of its own. Reading never
//! panics and never allocates more than what was received.

use std::fmt;

/// What was received is not what was sent: cut off, or not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Something with a binary form.
pub(crate) trait Coded: Sized {
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Reads values off a received message.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left)", self.rest.len())
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed("it goes on where it should end"))
        }
    }

    /// Decodes a whole message.
    pub(crate) fn whole<T: Coded>(message: &'a [u8]) -> Result<T, Malformed> {
        let mut reader = Reader::new(message);
        let value = T::decode(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

macro_rules! coded_number {
    ($($number:ty),*) => {$(
        impl Coded for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(<$number>::from_le_bytes(from.array()?))
            }
        }
    )*};
}
coded_number!(u8, u16, u32, u64, i32, i64);

impl Coded for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::decode(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a truth value is neither")),
        }
    }
}

impl Coded for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = u32::decode(from)? as usize;
        let bytes = from.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

pub(crate) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // Messages are bounded far below 4 GiB where they are framed.
    (bytes.len() as u32).encode(out);
    out.extend_from_slice(bytes);
}

impl<T: Coded> Coded for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        for item in self {
            item.encode(out);
        }
    }
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = u32::decode(from)? as usize;
        // Every item takes at least one byte, so that a lie about the length cannot reserve memory.
        let mut items = Vec::with_capacity(length.min(from.rest.len()));
        for _ in 0..length {
            items.push(T::decode(from)?);
        }
        Ok(items)
    }
}

impl<T: Coded> Coded for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match bool::decode(from)? {
            true => Some(T::decode(from)?),
            false => None,
        })
    }
}

impl<A: Coded, B: Coded> Coded for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::decode(from)?, B::decode(from)?))
    }
}

/// Gives a struct its binary form: its fields in order.
macro_rules! coded_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Coded for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::codec::Coded::encode(&self.$field, out);)*
            }
            fn decode(from: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::Malformed> {
                Ok($name { $($field: $crate::codec::Coded::decode(from)?),* })
            }
        }
    };
}

/// Gives an enum its binary form: a byte for the variant, then its fields in order. Numbers are never reused.
macro_rules! coded_enum {
    ($name:ident { $($tag:literal => $variant:ident $({ $($field:ident),* $(,)? })? ),* $(,)? }) => {
        impl $crate::codec::Coded for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant $({ $($field),* })? => {
                        out.push($tag);
                        $($($crate::codec::Coded::encode($field, out);)*)?
                    })*
                }
            }
            fn decode(from: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::Malformed> {
                Ok(match <u8 as $crate::codec::Coded>::decode(from)? {
                    $($tag => $name::$variant $({ $($field: $crate::codec::Coded::decode(from)?),* })?,)*
                    _ => return Err($crate::codec::Malformed(concat!("unknown variant of ", stringify!($name)))),
                })
            }
        }
    };
}

pub(crate) use {coded_enum, coded_struct};

/// Largest frame. A launch carries a command line and an environment, which the kernel bounds to about 2 MiB.
pub(crate) const FRAME_BYTES_MAX: usize = 4 << 20;

/// Appends one frame: its length, then the value.
pub(crate) fn frame<T: Coded>(value: &T, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    value.encode(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Cuts a received byte stream into frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    start: usize,
}

impl Frames {
    /// Takes received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > FRAME_BYTES_MAX {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, decoded.
    pub(crate) fn next<T: Coded>(&mut self) -> Result<Option<T>, Malformed> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some((head, rest)) = rest.split_at_checked(4) else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Malformed("a frame is too long"));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let value = Reader::whole(body)?;
        self.start += 4 + length;
        Ok(Some(value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Sample {
        Nothing,
        Much {
            text: String,
            pairs: Vec<(u32, Option<bool>)>,
            number: i64,
        },
    }
    coded_enum!(Sample { 1 => Nothing, 2 => Much { text, pairs, number } });

    fn sample() -> impl Strategy<Value = Sample> {
        prop_oneof![
            Just(Sample::Nothing),
            (
                ".*",
                proptest::collection::vec((any::<u32>(), any::<Option<bool>>()), 0..9),
                any::<i64>()
            )
                .prop_map(|(text, pairs, number)| Sample::Much { text, pairs, number }),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            values in proptest::collection::vec(sample(), 0..20), cut in 1usize..50,
        ) {
            let mut bytes = Vec::new();
            for value in &values {
                frame(value, &mut bytes);
            }
            let mut frames = Frames::default();
            let mut out = Vec::new();
            for part in bytes.chunks(cut) {
                frames.push(part);
                while let Some(value) = frames.next::<Sample>().unwrap() {
                    out.push(value);
                }
            }
            prop_assert_eq!(out, values);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::whole::<Sample>(&bytes);
            let mut frames = Frames::default();
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next::<Sample>() {}
        }
    }

    #[test]
    fn a_frame_longer_than_the_bound_is_refused_before_it_arrives() {
        let mut frames = Frames::default();
        frames.push(&u32::MAX.to_le_bytes());
        assert!(frames.next::<Sample>().is_err());
    }
}
