//! Writes an answer that is a tree of lists, as JSON or protobuf, item by item.
//!
//! The state of a cluster is made of a few nested messages around long lists. Writing the lists item by item keeps
//! memory at one item for JSON; protobuf needs the length of a message before its content, so there the encoded form
//! (never the structs) is collected.

use meseta_proto::prost::encoding::encode_varint;
use meseta_proto::{Described, json, transcode};
use std::io::{self, Write};

/// Changes an item's JSON after it was written; gets the encoded item.
pub(super) type Patch = fn(&[u8], &mut Vec<u8>);

/// Where an answer goes.
pub(super) trait Sink {
    /// A member that is a message follows, up to [`Sink::close`].
    fn open(&mut self, name: &str, number: u32) -> io::Result<()>;
    /// The message opened last ends.
    fn close(&mut self) -> io::Result<()>;
    /// A member that is a list of encoded messages of type `M`; an empty one is shown.
    fn list<M: Described>(
        &mut self,
        name: &str,
        number: u32,
        items: impl Iterator<Item = Vec<u8>>,
        patch: Option<Patch>,
    ) -> io::Result<()>;
}

/// JSON, written as it comes.
pub(super) struct Json<'a> {
    out: &'a mut dyn Write,
    /// Whether the innermost message has a member already.
    begun: bool,
    item: Vec<u8>,
}

impl<'a> Json<'a> {
    /// Begins with `{"type":"<type>"`.
    pub(super) fn new(out: &'a mut dyn Write, r#type: &str) -> io::Result<Json<'a>> {
        write!(out, "{{\"type\":\"{type}\"")?;
        Ok(Json {
            out,
            begun: true,
            item: Vec::new(),
        })
    }

    /// Ends the whole answer.
    pub(super) fn finish(self) -> io::Result<()> {
        self.out.write_all(b"}")
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        let comma = if self.begun { "," } else { "" };
        self.begun = true;
        write!(self.out, "{comma}\"{name}\":")
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, value: f64) -> io::Result<()> {
        self.name(name)?;
        self.item.clear();
        json::write_f64(&mut self.item, value);
        self.out.write_all(&self.item)
    }
}

impl Sink for Json<'_> {
    fn open(&mut self, name: &str, _number: u32) -> io::Result<()> {
        self.name(name)?;
        self.begun = false;
        self.out.write_all(b"{")
    }

    fn close(&mut self) -> io::Result<()> {
        self.begun = true;
        self.out.write_all(b"}")
    }

    fn list<M: Described>(
        &mut self,
        name: &str,
        _number: u32,
        items: impl Iterator<Item = Vec<u8>>,
        patch: Option<Patch>,
    ) -> io::Result<()> {
        self.name(name)?;
        self.out.write_all(b"[")?;
        for (index, item) in items.enumerate() {
            self.item.clear();
            if index > 0 {
                self.item.push(b',');
            }
            let start = self.item.len();
            transcode::to_json::<M>(&item, &mut self.item).map_err(io::Error::other)?;
            if let Some(patch) = patch {
                let mut written = self.item.split_off(start);
                patch(&item, &mut written);
                self.item.append(&mut written);
            }
            self.out.write_all(&self.item)?;
        }
        self.out.write_all(b"]")
    }
}

/// Protobuf.
#[derive(Debug, Default)]
pub(super) struct Protobuf {
    /// The encoded content of each open message, the outermost first, with the number of the field it is.
    open: Vec<(u32, Vec<u8>)>,
    out: Vec<u8>,
}

impl Protobuf {
    /// Begins with field 1, the type.
    pub(super) fn new(r#type: i32) -> Protobuf {
        let mut out = Vec::new();
        encode_varint(1 << 3, &mut out);
        encode_varint(u64::from(r#type.unsigned_abs()), &mut out);
        Protobuf {
            open: Vec::new(),
            out,
        }
    }

    /// The whole answer.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn inner(&mut self) -> &mut Vec<u8> {
        match self.open.last_mut() {
            Some((_, content)) => content,
            None => &mut self.out,
        }
    }

    /// A double.
    pub(super) fn number(&mut self, number: u32, value: f64) {
        let out = self.inner();
        encode_varint(u64::from(number) << 3 | 1, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn embed(out: &mut Vec<u8>, number: u32, length: usize) {
    encode_varint(u64::from(number) << 3 | 2, out);
    encode_varint(length as u64, out);
}

impl Sink for Protobuf {
    fn open(&mut self, _name: &str, number: u32) -> io::Result<()> {
        self.open.push((number, Vec::new()));
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some((number, content)) = self.open.pop() {
            let out = self.inner();
            embed(out, number, content.len());
            out.extend_from_slice(&content);
        }
        Ok(())
    }

    fn list<M: Described>(
        &mut self,
        _name: &str,
        number: u32,
        items: impl Iterator<Item = Vec<u8>>,
        _patch: Option<Patch>,
    ) -> io::Result<()> {
        let out = self.inner();
        for item in items {
            embed(out, number, item.len());
            out.extend_from_slice(&item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_proto::mesos::v1::Flag;
    use meseta_proto::mesos::v1::master::{Response, response};
    use meseta_proto::prost::Message;

    fn write(sink: &mut impl Sink, flags: &[Flag]) {
        sink.open("get_flags", 3).unwrap();
        let items = flags.iter().map(Message::encode_to_vec);
        sink.list::<Flag>("flags", 1, items, None).unwrap();
        sink.close().unwrap();
    }

    #[test]
    fn both_forms_are_those_of_the_whole_message() {
        let flags = vec![Flag {
            name: "port".to_owned(),
            value: Some("5050".to_owned()),
        }];
        let whole = Response {
            r#type: Some(response::Type::GetFlags.into()),
            get_flags: Some(response::GetFlags { flags: flags.clone() }),
            ..Default::default()
        };
        let mut out = Vec::new();
        let mut sink = Json::new(&mut out, "GET_FLAGS").unwrap();
        write(&mut sink, &flags);
        sink.finish().unwrap();
        assert_eq!(out, json::to_vec(&whole));
        let mut sink = Protobuf::new(response::Type::GetFlags.into());
        write(&mut sink, &flags);
        assert_eq!(sink.finish(), whole.encode_to_vec());
    }
}
