//! Expressions of LIKE and UNLIKE: they match the whole text.

use std::fmt;

/// A compiled expression.
#[derive(Clone)]
pub struct Pattern {
    whole: regex_lite::Regex,
    written: String,
}

/// Longest expression: a host name pattern is short, and matching costs what it is long.
const LENGTH_MAX: usize = 512;

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no regular expression: {why}")]
pub struct PatternError {
    text: String,
    why: String,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Texts that are none, or too long.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let error = |why: String| PatternError {
            text: text.chars().take(80).collect(),
            why,
        };
        if text.len() > LENGTH_MAX {
            return Err(error(format!("it has more than {LENGTH_MAX} characters")));
        }
        let whole = regex_lite::Regex::new(&format!("^(?:{text})$")).map_err(|e| error(e.to_string()))?;
        Ok(Pattern {
            whole,
            written: text.to_owned(),
        })
    }

    /// Whether it matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.written)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.written == other.written
    }
}
