//! Batches as bytes: length (4, little endian), CRC-32C of length and payload (4), payload; the payload is
//! records, each with its length (4) before it. A length of zero is the unwritten rest of the file.

use super::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};
use bytes::Bytes;

pub(super) const HEADER_BYTES: usize = 8;

/// What stands at a place of the file.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A batch, and where the next one begins.
    Batch { records: Vec<Bytes>, next: usize },
    /// Nothing was ever written from here on.
    End,
    /// Something that is no batch.
    Bad,
}

/// Appends one batch to `out`. `None` if a record or the batch is too long.
pub(super) fn encode(records: &[Bytes], out: &mut Vec<u8>) -> Option<()> {
    let payload = records.iter().try_fold(0usize, |sum, record| {
        (record.len() <= RECORD_BYTES_MAX).then_some(sum + 4 + record.len())
    })?;
    if payload > BATCH_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(payload).ok()?;
    let start = out.len();
    out.reserve(HEADER_BYTES + payload);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for record in records {
        out.extend_from_slice(&u32::try_from(record.len()).ok()?.to_le_bytes());
        out.extend_from_slice(record);
    }
    let sum = sum(length, &out[start + HEADER_BYTES..]);
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    Some(())
}

/// Reads what stands at `at`.
pub(super) fn decode(file: &Bytes, at: usize) -> Found {
    let Some(rest) = file.get(at..) else {
        return Found::End;
    };
    if rest.iter().take(HEADER_BYTES).all(|byte| *byte == 0) {
        return Found::End;
    }
    let (Some(length), Some(expected)) = (number(rest, 0), number(rest, 4)) else {
        return Found::Bad;
    };
    let bytes = length as usize;
    let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + bytes) else {
        return Found::Bad;
    };
    if bytes == 0 || bytes > BATCH_BYTES_MAX || sum(length, payload) != expected {
        return Found::Bad;
    }
    match split(file.slice(at + HEADER_BYTES..at + HEADER_BYTES + bytes)) {
        Some(records) => Found::Batch {
            records,
            next: at + HEADER_BYTES + bytes,
        },
        None => Found::Bad,
    }
}

fn split(mut payload: Bytes) -> Option<Vec<Bytes>> {
    let mut records = Vec::new();
    while !payload.is_empty() {
        let length = number(&payload, 0)? as usize;
        let end = length.checked_add(4).filter(|end| *end <= payload.len())?;
        records.push(payload.slice(4..end));
        payload = payload.slice(end..);
    }
    Some(records)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let mut out = [0; 4];
    out.copy_from_slice(bytes.get(at..at + 4)?);
    Some(u32::from_le_bytes(out))
}

fn sum(length: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), payload)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_was(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10)) {
            let records: Vec<Bytes> = records.into_iter().map(Bytes::from).collect();
            let mut out = Vec::new();
            encode(&records, &mut out).unwrap();
            let next = out.len();
            prop_assert_eq!(decode(&Bytes::from(out), 0), Found::Batch { records, next });
        }

        #[test]
        fn garbage_is_never_read_beyond_its_end(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..220) {
            decode(&Bytes::from(bytes), at);
        }
    }
}
