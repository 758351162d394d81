//! Label selectors: `key`, `key==v`, `key!=v`, `key in (a,b)`, `key notin (a,b)`, joined by commas.
//!
//! A backslash takes the next character as it is. `!=` and `notin` need the label to be there.

use std::collections::BTreeMap;

/// A parsed selector: all its terms must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Terms of one selector: more than any query line of sense has, and few enough to try on every app.
const TERMS_MAX: usize = 64;

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What was expected, and where.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut scan = Scan {
            chars: text.chars().collect(),
            at: 0,
        };
        let mut terms = Vec::new();
        loop {
            terms.push(scan.term()?);
            scan.blanks();
            match scan.next() {
                None => return Ok(Selector(terms)),
                Some(',') if terms.len() < TERMS_MAX => {}
                Some(_) => return Err(scan.expected("a comma")),
            }
        }
    }

    /// Whether something with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| {
            labels.get(&term.key).is_some_and(|value| match &term.test {
                Test::Exists => true,
                Test::In(values) => values.contains(value),
                Test::NotIn(values) => !values.contains(value),
            })
        })
    }
}

struct Scan {
    chars: Vec<char>,
    at: usize,
}

impl Scan {
    fn expected(&self, what: &str) -> String {
        let text: String = self.chars.iter().collect();
        format!(
            "label selector '{text}': {what} expected near character {}",
            self.at
        )
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek();
        self.at += usize::from(char.is_some());
        char
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        let end = self.at + text.chars().count();
        let fits = self
            .chars
            .get(self.at..end)
            .is_some_and(|there| there.iter().copied().eq(text.chars()));
        if fits {
            self.at = end;
        }
        fits
    }

    /// A key or a value: everything but blanks and the characters of the grammar, unless escaped.
    fn word(&mut self, what: &str) -> Result<String, String> {
        self.blanks();
        let mut word = String::new();
        while let Some(char) = self.peek() {
            match char {
                '\\' => {
                    self.at += 1;
                    word.push(
                        self.next()
                            .ok_or_else(|| self.expected("a character after the backslash"))?,
                    );
                }
                '=' | '!' | ',' | '(' | ')' => break,
                char if char.is_whitespace() => break,
                char => {
                    self.at += 1;
                    word.push(char);
                }
            }
        }
        if word.is_empty() {
            return Err(self.expected(what));
        }
        Ok(word)
    }

    fn term(&mut self) -> Result<Term, String> {
        let key = self.word("a label")?;
        self.blanks();
        let test = match self.peek() {
            None | Some(',') => Test::Exists,
            _ if self.eat("==") => Test::In(vec![self.word("a value")?]),
            _ if self.eat("!=") => Test::NotIn(vec![self.word("a value")?]),
            _ if self.eat("in") => Test::In(self.set()?),
            _ if self.eat("notin") => Test::NotIn(self.set()?),
            _ => return Err(self.expected("one of ==, !=, in, notin")),
        };
        Ok(Term { key, test })
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        self.blanks();
        if !self.eat("(") {
            return Err(self.expected("'('"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.word("a value")?);
            self.blanks();
            match self.next() {
                Some(',') => {}
                Some(')') => return Ok(values),
                _ => return Err(self.expected("',' or ')'")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn terms_hold_or_not() {
        let web = [("tier", "web"), ("env", "prod"), ("a=b", "x y")];
        for (selector, expected) in [
            ("tier", true),
            ("nothing", false),
            ("tier==web", true),
            ("tier == web , env==prod", true),
            ("tier==db", false),
            ("tier!=db", true),
            ("nothing!=db", false),
            ("tier in (db, web)", true),
            ("tier notin (db)", true),
            ("nothing notin (db)", false),
            ("tier notin(web)", false),
            (r"a\=b==x\ y", true),
        ] {
            assert_eq!(matches(selector, &web), expected, "{selector}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "", ",", "a=", "a==", "a=b", "a in", "a in (", "a in (b", "a in ()", "a b", "a\\", "a,,b",
        ] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
        assert!(Selector::parse(&vec!["a"; 65].join(",")).is_err());
    }
}
