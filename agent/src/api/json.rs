//! Writes the hand-made answers: objects with a fixed order of keys, straight into the body.

use meseta_proto::Described;
use meseta_proto::json::{write, write_f64, write_str};

/// An object being written. [`Object::end`] closes it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// Writes a key; its value comes next.
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_str(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        write_str(self.key(name), value);
    }

    /// A double, always with a point.
    pub(super) fn double(&mut self, name: &str, value: f64) {
        write_f64(self.key(name), value);
    }

    /// A whole number or a boolean.
    pub(super) fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.key(name).extend_from_slice(value.to_string().as_bytes());
    }

    /// A Mesos message.
    pub(super) fn message<M: Described>(&mut self, name: &str, message: &M) {
        write(message, self.key(name));
    }

    /// A list, `[]` when there is nothing in it.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        item: impl FnMut(T, &mut Vec<u8>),
    ) {
        list(self.key(name), items, item);
    }

    /// An object inside.
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let mut inner = Object::new(self.key(name));
        fill(&mut inner);
        inner.end();
    }

    /// Closes the object.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// A list on its own.
pub(super) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (i, one) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(one, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_keep_their_order_and_empty_lists_are_printed() {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.text("z", "a\"b");
        object.double("one", 1.0);
        object.plain("yes", true);
        object.list("none", [0; 0], |_, _| {});
        object.object("inner", |inner| inner.plain("n", 7));
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"z":"a\"b","one":1.0,"yes":true,"none":[],"inner":{"n":7}}"#
        );
    }
}
