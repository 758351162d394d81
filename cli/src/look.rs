//! Colour and symbols: whether a stream takes them, and what they mean.
//!
//! Green is as wanted, yellow on its way or waiting, red needs somebody, dim is old or detail, bold is a name. Colour never
//! carries meaning alone. Symbols need a locale of UTF-8; elsewhere words and plain characters stand for them.

use crate::args::{Colour, Global};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As wanted.
    Good,
    /// On its way, or waiting.
    Waiting,
    /// Needs somebody.
    Bad,
    /// Old, or a detail.
    Dim,
    /// A name.
    Name,
}

/// What one stream takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) colour: bool,
    pub(crate) symbols: bool,
}

impl Look {
    /// For a stream that is a terminal or not.
    pub(crate) fn of(global: &Global, is_terminal: bool) -> Look {
        let choice = if global.no_color {
            Colour::Never
        } else {
            global.color
        };
        decide(choice, is_terminal, |name| std::env::var(name).ok())
    }

    /// `✓` or `ok`.
    pub(crate) fn good(self) -> String {
        self.paint(Tone::Good, if self.symbols { "✓" } else { "ok" })
    }

    /// `•` or `*`.
    pub(crate) fn waiting(self) -> String {
        self.paint(Tone::Waiting, if self.symbols { "•" } else { "*" })
    }

    /// The text in its tone's colour, where there are colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Waiting => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Name => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn decide(choice: Colour, is_terminal: bool, env: impl Fn(&str) -> Option<String>) -> Look {
    let set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    let dumb = env("TERM").is_some_and(|value| value == "dumb");
    let colour = match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set("NO_COLOR") || dumb => false,
        Colour::Auto => is_terminal || set("FORCE_COLOR"),
    };
    // The first of them that is set decides, as for every program.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(&env);
    let utf8 = locale
        .into_iter()
        .find(|value| !value.is_empty())
        .is_some_and(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"));
    Look {
        colour,
        symbols: utf8 && is_terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(choice: Colour, is_terminal: bool, env: &[(&str, &str)]) -> Look {
        decide(choice, is_terminal, |name| {
            env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        assert!(look(Colour::Auto, true, &[]).colour);
        assert!(!look(Colour::Auto, false, &[]).colour);
        assert!(!look(Colour::Auto, true, &[("NO_COLOR", "1")]).colour);
        assert!(
            look(Colour::Auto, true, &[("NO_COLOR", "")]).colour,
            "empty is as if unset"
        );
        assert!(!look(Colour::Auto, true, &[("TERM", "dumb")]).colour);
        assert!(look(Colour::Auto, false, &[("FORCE_COLOR", "1")]).colour);
        assert!(look(Colour::Always, false, &[("NO_COLOR", "1")]).colour);
        assert!(!look(Colour::Never, true, &[]).colour);
    }

    #[test]
    fn symbols_need_a_locale_that_has_them() {
        let with = |env: &[(&str, &str)]| look(Colour::Never, true, env).symbols;
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[]));
        assert!(!look(Colour::Always, false, &[("LANG", "C.UTF-8")]).symbols);
    }

    #[test]
    fn nothing_is_painted_without_colour() {
        let plain = Look::default();
        assert_eq!((plain.good().as_str(), plain.waiting().as_str()), ("ok", "*"));
        assert_eq!(plain.paint(Tone::Bad, "late"), "late");
        let rich = Look {
            colour: true,
            symbols: true,
        };
        assert_eq!(rich.good(), "\u{1b}[32m✓\u{1b}[0m");
    }
}
