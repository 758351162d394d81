//! The last inputs of a core, to be written out when one of its invariants breaks or an operator asks.
//!
//! A shell keeps a copy of each input it gives its core; the bodies in it are shared, not copied. What is written out
//! holds no body: they are what environments, secrets and data travel in, and what the cores carry without reading, so
//! that the rest is enough to step through it again.

use crate::{Mono, Now, Wall};
use std::collections::VecDeque;
use std::fmt::{self, Debug, Display, Write};
use std::sync::Arc;

/// What the last inputs of one core may hold.
pub const LAST_INPUTS_BYTES: usize = 8 << 20;

/// About what an input takes beside its bodies.
const INPUT_BYTES: usize = 256;

#[derive(Debug)]
struct Entry<I> {
    now: Now,
    input: I,
    bytes: usize,
}

/// The last inputs, bounded in bytes: the oldest go first. The very last one is kept whatever its size.
#[derive(Debug)]
pub struct LastInputs<I> {
    entries: VecDeque<Arc<Entry<I>>>,
    bytes: usize,
    bytes_max: usize,
}

impl<I> Default for LastInputs<I> {
    fn default() -> Self {
        LastInputs::new(LAST_INPUTS_BYTES)
    }
}

impl<I> LastInputs<I> {
    /// None yet, and never more than `bytes_max` bytes of them.
    pub fn new(bytes_max: usize) -> LastInputs<I> {
        LastInputs {
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds an input whose bodies hold about `bytes`.
    pub fn push(&mut self, now: Now, input: I, bytes: usize) {
        let bytes = bytes.saturating_add(INPUT_BYTES);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push_back(Arc::new(Entry { now, input, bytes }));
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            let oldest = self.entries.pop_front();
            self.bytes = self.bytes.saturating_sub(oldest.map_or(0, |entry| entry.bytes));
        }
    }

    /// Those of now, for somebody with time to print them.
    pub fn snapshot(&self) -> InputLog<I> {
        InputLog(self.entries.iter().cloned().collect())
    }
}

/// Inputs to be printed, oldest first: a line each, with the clocks' readings and without any body.
#[derive(Debug)]
pub struct InputLog<I>(Vec<Arc<Entry<I>>>);

impl<I: Debug> Display for InputLog<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.0 {
            let (
                Now {
                    mono: Mono(mono),
                    wall: Wall(wall),
                },
                input,
            ) = (entry.now, &entry.input);
            write!(f, "mono={mono:?} wall={wall} ")?;
            let mut bodiless = Bodiless::new(f);
            write!(bodiless, "{input:?}")?;
            bodiless.flush()?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// Passes debug text on with each byte string, `b"..."`, replaced by its length.
struct Bodiless<'a, W> {
    to: &'a mut W,
    within: Within,
}

#[derive(Clone, Copy)]
enum Within {
    /// Outside of quotes; whether a name or number goes on.
    Plain { word: bool },
    /// After a `b` that may begin a byte string.
    B,
    /// In a text.
    Text { escaped: bool },
    /// In a byte string, after so many bytes of it.
    Body { escape: Escape, bytes: usize },
}

#[derive(Clone, Copy)]
enum Escape {
    None,
    Begun,
    /// Digits of `\x..` that are still to come.
    Hex(u8),
}

impl<'a, W: Write> Bodiless<'a, W> {
    fn new(to: &'a mut W) -> Bodiless<'a, W> {
        Bodiless {
            to,
            within: Within::Plain { word: false },
        }
    }

    /// Writes what was held back at the end.
    fn flush(&mut self) -> fmt::Result {
        match self.within {
            Within::B => self.to.write_char('b'),
            _ => Ok(()),
        }
    }

    fn plain(&mut self, c: char) -> fmt::Result {
        self.within = match c {
            '"' => Within::Text { escaped: false },
            c => Within::Plain {
                word: c.is_alphanumeric() || c == '_',
            },
        };
        self.to.write_char(c)
    }

    fn put(&mut self, c: char) -> fmt::Result {
        match self.within {
            Within::Plain { word: false } if c == 'b' => {
                self.within = Within::B;
                Ok(())
            }
            Within::Plain { .. } => self.plain(c),
            Within::B if c == '"' => {
                self.within = Within::Body {
                    escape: Escape::None,
                    bytes: 0,
                };
                Ok(())
            }
            Within::B => {
                self.to.write_char('b')?;
                self.plain(c)
            }
            Within::Text { escaped } => {
                self.within = match (escaped, c) {
                    (false, '"') => Within::Plain { word: false },
                    (escaped, c) => Within::Text {
                        escaped: !escaped && c == '\\',
                    },
                };
                self.to.write_char(c)
            }
            Within::Body { escape, bytes } => self.body(escape, bytes, c),
        }
    }

    fn body(&mut self, escape: Escape, bytes: usize, c: char) -> fmt::Result {
        let (escape, bytes) = match (escape, c) {
            (Escape::None, '"') => {
                self.within = Within::Plain { word: false };
                return write!(self.to, "<{bytes} bytes>");
            }
            (Escape::None, '\\') => (Escape::Begun, bytes),
            (Escape::Begun, 'x') => (Escape::Hex(2), bytes),
            (Escape::Hex(2), _) => (Escape::Hex(1), bytes),
            (Escape::None | Escape::Begun | Escape::Hex(_), _) => (Escape::None, bytes + 1),
        };
        self.within = Within::Body { escape, bytes };
        Ok(())
    }
}

impl<W: Write> Write for Bodiless<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.put(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Names are read by their debug form only.
    #[derive(Debug)]
    #[allow(dead_code)]
    enum Input {
        Tick,
        Said { by: &'static str, wire: Bytes },
    }

    #[test]
    fn bodies_are_not_shown_whatever_is_in_them_and_around_them() {
        let mut last = LastInputs::default();
        let wire = Bytes::from_static(b"secret \"quoted\" \\ \x00\xff\n");
        let by = "b\"no body\" \\\"";
        let shown = format!("by: {by:?}, wire: <{} bytes>", wire.len());
        last.push(Now::default(), Input::Said { by, wire }, 0);
        last.push(Now::default(), Input::Tick, 0);
        let text = last.snapshot().to_string();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(&shown), "{text}");
        assert!(text.ends_with("Tick\n"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() {
        let mut last = LastInputs::new(1000);
        for number in 0..10 {
            last.push(Now::default(), number, 200);
        }
        assert_eq!(last.entries.iter().map(|e| e.input).collect::<Vec<_>>(), [8, 9]);
        last.push(Now::default(), 10, 5000);
        assert_eq!(last.entries.iter().map(|e| e.input).collect::<Vec<_>>(), [10]);
        last.push(Now::default(), 11, 0);
        assert_eq!(last.entries.iter().map(|e| e.input).collect::<Vec<_>>(), [11]);
        assert!(last.bytes <= 1000);
    }
}
