//! The protobuf wire format, byte by byte: a bounded reader of one message's fields and the few writers needed where
//! bytes are composed without message structs.

use crate::MAX_DEPTH;

/// Not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One field as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    /// A deprecated group: skipped, since no message of ours has one.
    Group,
}

/// Reads one message's fields, not those of messages within.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Fields { rest: bytes }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and value.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let value = self.value(number, wire_type, 0)?;
        Ok(Some((number, value)))
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = key >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        Ok((number, (key & 7) as u8))
    }

    fn value(&mut self, number: u32, wire_type: u8, depth: usize) -> Result<Value<'a>, Malformed> {
        match wire_type {
            0 => Ok(Value::Varint(self.varint()?)),
            1 => Ok(Value::Fixed64(u64::from_le_bytes(self.array()?))),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Ok(Value::Bytes(self.take(len)?))
            }
            3 => self.group(number, depth + 1),
            5 => Ok(Value::Fixed32(u32::from_le_bytes(self.array()?))),
            _ => Err(Malformed),
        }
    }

    fn group(&mut self, number: u32, depth: usize) -> Result<Value<'a>, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        loop {
            match self.tag()? {
                (end, 4) if end == number => return Ok(Value::Group),
                (inner, wire_type) => self.value(inner, wire_type, depth)?,
            };
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One varint from the front.
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && *byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

/// Wire types as they stand in tags.
pub(crate) const VARINT: u32 = 0;
pub(crate) const FIXED64: u32 = 1;
pub(crate) const BYTES: u32 = 2;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// A field of bytes, text or an encoded message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
/// Writes what `fill` appends as one length-delimited value.
pub(crate) fn put_nested<E>(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.push(0);
    fill(out)?;
    close_nested(out, start);
    Ok(())
}

/// Puts the length of `out[start + 1..]` before it, where one byte was left for it at `start`.
pub(crate) fn close_nested(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start - 1;
    let extra = (varint_len(len as u64)) - 1;
    if extra > 0 {
        let end = out.len();
        out.resize(end + extra, 0);
        out.copy_within(start + 1..end, start + 1 + extra);
    }
    let mut rest = len as u64;
    for byte in &mut out[start..=start + extra] {
        *byte = (rest as u8 & 0x7f) | 0x80;
        rest >>= 7;
    }
    out[start + extra] &= 0x7f;
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_is_put_before_what_was_written_after_it() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut out = vec![7];
            put_tag(&mut out, 1, BYTES);
            put_nested::<()>(&mut out, |out| {
                out.resize(out.len() + len, 0xaa);
                Ok(())
            })
            .unwrap();
            let mut fields = Fields::new(&out[1..]);
            let Some((1, Value::Bytes(bytes))) = fields.next().unwrap() else {
                panic!("no bytes")
            };
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|b| *b == 0xaa));
            assert_eq!(fields.next(), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn varints_survive(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            let mut fields = Fields::new(&out);
            prop_assert_eq!(fields.varint(), Ok(value));
            prop_assert!(fields.rest().is_empty());
        }

        #[test]
        fn garbage_ends(bytes: Vec<u8>) {
            let mut fields = Fields::new(&bytes);
            while let Ok(Some(_)) = fields.next() {}
        }
    }
}
