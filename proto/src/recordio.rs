//! RecordIO, the framing of Mesos's streams: the length in decimal digits, a newline, then that many bytes.
//!
//! Writers put one whole record into one buffer, since known clients take each HTTP chunk for one record. The decoder
//! takes bytes in any pieces and is bounded: in the length line, in the record, and by handing records out one by one.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use tokio_util::codec;

/// The largest record a decoder takes unless told otherwise. A state snapshot of a large cluster is one record of the
/// operator's stream; scheduler events are far smaller.
pub const MAX_RECORD: usize = 1 << 30;

/// Digits of the longest length line: those of a 64-bit number.
const MAX_DIGITS: usize = 20;

/// One record in one buffer.
pub fn encode(record: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(record.len() + MAX_DIGITS + 1);
    crate::json::write::write_u64(&mut out, record.len() as u64);
    out.push(b'\n');
    out.extend_from_slice(record);
    out.into()
}

/// Why bytes are no records. A decoder that has failed stays failed: nothing after the error can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The length line is no number; Mesos's text.
    #[error("Failed to decode length '{0}': not a number")]
    Length(String),
    /// Longer than the decoder takes.
    #[error("record of {length} bytes is larger than the {limit} allowed")]
    TooLarge {
        /// As announced.
        length: u64,
        /// Of this decoder, in bytes.
        limit: usize,
    },
    /// The stream ended within a record.
    #[error("the stream ended within a record")]
    Truncated,
    /// The stream failed below.
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for RecordError {
    fn from(error: std::io::Error) -> Self {
        RecordError::Io(error.to_string())
    }
}

/// An incremental decoder: push bytes as they come, take records until there is none.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    framing: Framing,
}

/// The framing without a buffer of its own, as a [`codec::Decoder`] for `FramedRead`.
#[derive(Debug, Clone)]
pub struct Framing {
    limit: usize,
    /// The length of the record whose length line has been read.
    expected: Option<usize>,
    failed: Option<RecordError>,
}

impl Default for Framing {
    fn default() -> Self {
        Framing::new(MAX_RECORD)
    }
}

impl Framing {
    /// Takes records of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Framing {
            limit,
            expected: None,
            failed: None,
        }
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, RecordError> {
        let length = match self.expected {
            Some(length) => length,
            None => match self.length(buffer)? {
                Some(length) => *self.expected.insert(length),
                None => return Ok(None),
            },
        };
        if buffer.len() < length {
            return Ok(None);
        }
        self.expected = None;
        Ok(Some(buffer.split_to(length).freeze()))
    }

    fn length(&self, buffer: &mut BytesMut) -> Result<Option<usize>, RecordError> {
        let head = &buffer[..buffer.len().min(MAX_DIGITS + 1)];
        let Some(end) = head.iter().position(|b| *b == b'\n') else {
            let hopeless = head.len() > MAX_DIGITS || head.iter().any(|b| !b.is_ascii_digit());
            return if hopeless {
                Err(not_a_number(head))
            } else {
                Ok(None)
            };
        };
        let line = &head[..end];
        let digits = line.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(line).unwrap_or_default();
        let length = text
            .parse::<u64>()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| not_a_number(line))?;
        let fits = usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.limit);
        let length = fits.ok_or(RecordError::TooLarge {
            length,
            limit: self.limit,
        })?;
        buffer.advance(end + 1);
        Ok(Some(length))
    }
}

fn not_a_number(line: &[u8]) -> RecordError {
    RecordError::Length(String::from_utf8_lossy(line).into_owned())
}

impl codec::Decoder for Framing {
    type Item = Bytes;
    type Error = RecordError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, RecordError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.next(buffer)
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, RecordError> {
        match self.decode(buffer)? {
            Some(record) => Ok(Some(record)),
            None if buffer.is_empty() && self.expected.is_none() => Ok(None),
            None => Err(RecordError::Truncated),
        }
    }
}

impl codec::Encoder<Bytes> for Framing {
    type Error = RecordError;

    fn encode(&mut self, record: Bytes, out: &mut BytesMut) -> Result<(), RecordError> {
        out.put(encode(&record));
        Ok(())
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(MAX_RECORD)
    }
}

impl Decoder {
    /// Takes records of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            framing: Framing::new(limit),
        }
    }

    /// Adds bytes as they came. Take all records before pushing more: the buffer then never holds more than one record,
    /// its length line and one push.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.framing.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole record; `None` until more bytes are pushed.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        codec::Decoder::decode(&mut self.framing, &mut self.buffer)
    }

    /// Whether the stream may end here: no record has begun.
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.framing.expected.is_none() && self.framing.failed.is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Pushes in the given pieces and takes everything.
    fn decode(decoder: &mut Decoder, bytes: &[u8], cuts: &[usize]) -> Result<Vec<Bytes>, RecordError> {
        let mut records = Vec::new();
        let mut rest = bytes;
        for cut in cuts.iter().map(|c| c % 17 + 1).chain(std::iter::once(usize::MAX)) {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            decoder.push(head);
            rest = tail;
            while let Some(record) = decoder.next_record()? {
                records.push(record);
            }
        }
        Ok(records)
    }

    #[test]
    fn a_record_is_its_length_a_newline_and_its_bytes() {
        assert_eq!(
            &encode(b"{\"type\":\"HEARTBEAT\"}")[..],
            b"20\n{\"type\":\"HEARTBEAT\"}"
        );
        assert_eq!(&encode(b"")[..], b"0\n");
    }

    #[test]
    fn a_length_that_is_no_number_fails_for_good() {
        for bad in [
            "x\n",
            "-1\n",
            "1x\n",
            "\n",
            "+3\nabc",
            " 3\nabc",
            "99999999999999999999999",
            "1 \n",
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bad.as_bytes());
            let error = decoder.next_record().unwrap_err();
            assert!(matches!(error, RecordError::Length(_)), "{bad:?}: {error}");
            decoder.push(b"1\na");
            assert_eq!(decoder.next_record(), Err(error));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::new(10);
        decoder.push(b"11\n");
        assert_eq!(
            decoder.next_record(),
            Err(RecordError::TooLarge {
                length: 11,
                limit: 10
            })
        );
        let mut decoder = Decoder::new(10);
        decoder.push(b"18446744073709551615\n");
        assert!(matches!(decoder.next_record(), Err(RecordError::TooLarge { .. })));
    }

    #[test]
    fn an_end_within_a_record_is_no_end() {
        use codec::Decoder as _;
        for (bytes, whole) in [
            ("", true),
            ("1\na", true),
            ("3", false),
            ("3\n", false),
            ("3\nab", false),
        ] {
            let mut framing = Framing::default();
            let mut buffer = BytesMut::from(bytes);
            let mut end = framing.decode_eof(&mut buffer);
            while let Ok(Some(_)) = end {
                end = framing.decode_eof(&mut buffer);
            }
            assert_eq!(end.is_ok(), whole, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn records_survive_any_chunking(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in proptest::collection::vec(any::<usize>(), 0..60),
        ) {
            let stream: Vec<u8> = records.iter().flat_map(|r| encode(r)).collect();
            let mut decoder = Decoder::new(40);
            let decoded = decode(&mut decoder, &stream, &cuts).unwrap();
            prop_assert_eq!(decoded, records);
            prop_assert!(decoder.is_at_boundary());
        }

        #[test]
        fn garbage_never_panics_nor_grows(bytes: Vec<u8>, cuts: Vec<usize>) {
            let mut decoder = Decoder::new(64);
            let whole = decode(&mut decoder, &bytes, &cuts);
            let mut again = Decoder::new(64);
            again.push(&bytes);
            let mut other = Vec::new();
            let error = loop {
                match again.next_record() {
                    Ok(Some(record)) => other.push(record),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            prop_assert_eq!(whole.is_err(), error.is_some());
            if let Ok(whole) = whole {
                prop_assert_eq!(whole, other);
            }
        }
    }
}
