//! Every value is wrapped, because redb does not check values when it reads them.
//!
//! `MV`, format version (1), a zero byte, revision (8 bytes, little endian), CRC-32C over key, revision and value
//! (4 bytes), value. The key is part of the sum, so that a value found under another key is noticed.

use bytes::Bytes;

const MAGIC: [u8; 2] = *b"MV";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;

/// Wraps a value.
pub(super) fn seal(key: &str, revision: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + value.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&revision.to_le_bytes());
    out.extend_from_slice(&sum(key, revision, value).to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// Unwraps a value and checks it.
pub(super) fn open(key: &str, bytes: &[u8]) -> Result<(u64, Bytes), &'static str> {
    let Some((header, value)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err("it is too short");
    };
    if header[..2] != MAGIC {
        return Err("it does not begin as a value of ours");
    }
    if header[2] != VERSION {
        return Err("it was written by a later release");
    }
    let revision = u64::from_le_bytes(array(&header[4..12]));
    let expected = u32::from_le_bytes(array(&header[12..16]));
    if sum(key, revision, value) != expected {
        return Err("its checksum does not fit");
    }
    Ok((revision, Bytes::copy_from_slice(value)))
}

fn sum(key: &str, revision: u64, value: &[u8]) -> u32 {
    let sum = crc32c::crc32c(key.as_bytes());
    let sum = crc32c::crc32c_append(sum, &revision.to_le_bytes());
    crc32c::crc32c_append(sum, value)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_a_foreign_key_are_noticed() {
        let sealed = seal("agents/a", 7, b"value");
        assert_eq!(
            open("agents/a", &sealed).unwrap(),
            (7, Bytes::from_static(b"value"))
        );
        assert!(open("agents/b", &sealed).is_err());
        for bit in (0..sealed.len() * 8).filter(|bit| bit / 8 != 3) {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open("agents/a", &damaged).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open("agents/a", &sealed[..length]).is_err(), "length {length}");
        }
    }
}
