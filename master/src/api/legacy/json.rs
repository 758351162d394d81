//! Writes JSON objects member by member, straight to where they go: no tree in between.

use meseta_proto::json::{write_f64, write_str};
use std::io::{self, Write};

/// An object being written.
pub(super) struct Object<'a> {
    out: &'a mut dyn Write,
    begun: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut dyn Write) -> io::Result<Object<'a>> {
        out.write_all(b"{")?;
        Ok(Object { out, begun: false })
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(b"}")
    }

    /// An object from begin to end.
    pub(super) fn whole(
        out: &mut dyn Write,
        members: impl FnOnce(&mut Object<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut object = Object::begin(out)?;
        members(&mut object)?;
        object.end()
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        let mut text = Vec::with_capacity(name.len() + 4);
        if self.begun {
            text.push(b',');
        }
        self.begun = true;
        write_str(&mut text, name);
        text.push(b':');
        self.out.write_all(&text)
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.name(name)?;
        write_text(self.out, value)
    }

    pub(super) fn texts<T: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        self.list(name, values.into_iter(), |value, out| {
            write_text(out, value.as_ref())
        })
    }

    pub(super) fn number(&mut self, name: &str, value: f64) -> io::Result<()> {
        self.name(name)?;
        let mut text = Vec::with_capacity(24);
        write_f64(&mut text, value);
        self.out.write_all(&text)
    }

    pub(super) fn integer(&mut self, name: &str, value: u64) -> io::Result<()> {
        self.name(name)?;
        write!(self.out, "{value}")
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) -> io::Result<()> {
        self.name(name)?;
        write!(self.out, "{value}")
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &[u8]) -> io::Result<()> {
        self.name(name)?;
        self.out.write_all(json)
    }

    pub(super) fn object(
        &mut self,
        name: &str,
        members: impl FnOnce(&mut Object<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.name(name)?;
        Object::whole(self.out, members)
    }

    pub(super) fn empty_list(&mut self, name: &str) -> io::Result<()> {
        self.raw(name, b"[]")
    }

    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(T, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.name(name)?;
        self.out.write_all(b"[")?;
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            write(item, self.out)?;
        }
        self.out.write_all(b"]")
    }
}

fn write_text(out: &mut dyn Write, value: &str) -> io::Result<()> {
    let mut text = Vec::with_capacity(value.len() + 2);
    write_str(&mut text, value);
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_are_separated_and_doubles_have_a_point() {
        let mut out = Vec::new();
        Object::whole(&mut out, |object| {
            object.text("a", "x\"y")?;
            object.number("b", 1.0)?;
            object.integer("c", 2)?;
            object.object("d", |_| Ok(()))?;
            object.texts("e", ["f", "g"])?;
            object.flag("h", true)
        })
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"x\"y","b":1.0,"c":2,"d":{},"e":["f","g"],"h":true}"#
        );
    }
}
