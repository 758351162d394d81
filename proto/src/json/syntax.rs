//! Whether a text is JSON, before anything is made of it.
//!
//! One pass without allocation. The grammar and the texts of its errors are those which Mesos's parser (picojson) shows
//! its callers: the line and the rest of that line from where reading stopped. Beyond it we bound the nesting and ask
//! for UTF-8.

use crate::MAX_DEPTH;

/// How much of a line an error repeats; picojson repeats all of it, which for a hostile body is a large answer.
const MAX_SHOWN: usize = 256;

/// The text, if it is one JSON value and nothing else.
pub(super) fn check(bytes: &[u8]) -> Result<&str, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|e| format!("invalid UTF-8 at byte {}", e.valid_up_to()))?;
    let mut scan = Scan {
        bytes,
        at: 0,
        too_deep: false,
    };
    if scan.value(0).is_none() {
        return Err(scan.error());
    }
    // picojson stops after the value and stout after blanks: what is left is shown as it stands.
    let rest = &text[scan.at..];
    if rest
        .trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
        .is_empty()
    {
        return Ok(text);
    }
    let shown: String = rest.chars().take(MAX_SHOWN).collect();
    Err(format!(
        "Parsed JSON included non-whitespace trailing characters: {shown}"
    ))
}

/// `None` means that the text ends being JSON at `at`.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    too_deep: bool,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The given byte, after blanks.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            self.too_deep = true;
            return None;
        }
        self.blanks();
        match self.peek()? {
            b'n' => self.word(b"null"),
            b'f' => self.word(b"false"),
            b't' => self.word(b"true"),
            b'"' => {
                self.at += 1;
                self.string()
            }
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'0'..=b'9' | b'-' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter()
            .try_for_each(|byte| (self.peek() == Some(*byte)).then(|| self.at += 1))
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.expect(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            if self.expect(b',').is_none() {
                return self.expect(b']');
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.expect(b'}').is_some() {
            return Some(());
        }
        loop {
            self.expect(b'"')?;
            self.string()?;
            self.expect(b':')?;
            self.value(depth + 1)?;
            if self.expect(b',').is_none() {
                return self.expect(b'}');
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' | b'.')) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).ok()?;
        text.parse::<f64>().ok().map(|_| ())
    }

    /// After the opening quote, up to and with the closing one.
    fn string(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.quad()? {
                0xdc00..=0xdfff => None,
                0xd800..=0xdbff => {
                    self.word(b"\\u")?;
                    matches!(self.quad()?, 0xdc00..=0xdfff).then_some(())
                }
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn quad(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + char::from(self.peek()?).to_digit(16)?;
            self.at += 1;
        }
        Some(code)
    }

    fn error(&self) -> String {
        if self.too_deep {
            return format!("nested deeper than {MAX_DEPTH} levels");
        }
        // The parser counts a line once it has read a byte of it.
        let read = self.at.min(self.bytes.len().saturating_sub(1));
        let line = 1 + self.bytes[..read].iter().filter(|b| **b == b'\n').count();
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let rest: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(|b| *b != b'\n')
            .filter(|b| *b >= b' ')
            .take(MAX_SHOWN)
            .collect();
        format!(
            "syntax error at line {line} near: {}",
            String::from_utf8_lossy(&rest)
        )
    }
}
