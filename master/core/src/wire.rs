//! The one thing the core does to encoded messages: leaving top-level fields out.
//!
//! A stored status keeps no `data`, a reconciliation answer only check and container status. Both are cuts along the
//! outermost fields, so no message needs to be decoded (protobuf encoding, "message structure").

use bytes::{Bytes, BytesMut};

/// Fields of `mesos.v1.TaskStatus` that are carried as bytes.
pub(crate) mod task_status {
    pub(crate) const DATA: u32 = 3;
    pub(crate) const CONTAINER_STATUS: u32 = 13;
    pub(crate) const CHECK_STATUS: u32 = 15;
}

/// The message without the top-level fields `keep` refuses. Bytes that are no message come back empty.
pub(crate) fn retain(message: &Bytes, keep: impl Fn(u32) -> bool) -> Bytes {
    let mut kept: Vec<std::ops::Range<usize>> = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let Some((field, end)) = field_at(message, at) else {
            return Bytes::new();
        };
        if keep(field) {
            match kept.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => kept.push(at..end),
            }
        }
        at = end;
    }
    match kept.as_slice() {
        [] => Bytes::new(),
        [one] => message.slice(one.clone()),
        many => {
            let mut joined = BytesMut::new();
            for range in many {
                joined.extend_from_slice(&message[range.clone()]);
            }
            joined.freeze()
        }
    }
}

/// The number of the field that starts at `at`, and where the next one starts.
fn field_at(message: &[u8], at: usize) -> Option<(u32, usize)> {
    let (tag, at) = varint(message, at)?;
    let field = u32::try_from(tag >> 3).ok()?;
    let end = match tag & 7 {
        0 => varint(message, at)?.1,
        1 => at.checked_add(8)?,
        2 => {
            let (length, at) = varint(message, at)?;
            at.checked_add(usize::try_from(length).ok()?)?
        }
        5 => at.checked_add(4)?,
        _ => return None,
    };
    (end <= message.len()).then_some((field, end))
}

fn varint(message: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *message.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_left_out_whole_and_nonsense_is_left_out_entirely() {
        // field 3: "ab"; field 13: "c"; field 5: varint 300; field 3: "d"
        let message = Bytes::from_static(&[
            0x1a, 2, b'a', b'b', 0x6a, 1, b'c', 0x28, 0xac, 0x02, 0x1a, 1, b'd',
        ]);
        let kept = retain(&message, |field| field != task_status::DATA);
        assert_eq!(kept, Bytes::from_static(&[0x6a, 1, b'c', 0x28, 0xac, 0x02]));
        let only = retain(&message, |field| field == task_status::DATA);
        assert_eq!(only, Bytes::from_static(&[0x1a, 2, b'a', b'b', 0x1a, 1, b'd']));
        assert_eq!(retain(&message, |_| true), message);
        assert_eq!(retain(&message.slice(..3), |_| true), Bytes::new());
        assert_eq!(retain(&Bytes::from_static(&[0xff; 12]), |_| true), Bytes::new());
    }
}
