//! Where settings come from: flag, environment, context, `[defaults]` of the file, built in; the first that has one wins.
//!
//! The file is `~/.config/meseta/config.toml` (`MESETA_CONFIG` names another one). A context is one cluster's addresses.
//! No file of the working directory is read: a checkout must not choose which cluster a command changes. The running
//! `meseta up` of this user is the context `up` without being written down, so that it can be neither stale nor lost.

pub(crate) mod commands;
mod file;

use crate::args::{Colour, Global, Progress};
use crate::failure::{Failure, exit};
use crate::output::{Format, Times};
use crate::text::{nearest, parse_duration};
use crate::up;
use clap::ValueEnum;
use clap::parser::ValueSource;
use file::{CONTEXT_KEYS, DEFAULT_KEYS, File};
use std::collections::BTreeMap;
use std::fmt;

/// The context that is there without being written down.
pub(crate) const UP: &str = "up";

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    Context(String),
    Defaults,
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "{name}"),
            Origin::Context(name) => write!(f, "context {name}"),
            Origin::Defaults => f.write_str("[defaults]"),
            Origin::BuiltIn => f.write_str("built in"),
        }
    }
}

/// What the file adds to the flags of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The context that counts, if one does.
    pub(crate) context: Option<String>,
    /// Whether questions before something is lost ask for its name.
    pub(crate) is_protected: bool,
    /// How many contexts there are.
    pub(crate) contexts: usize,
    /// Who gave each value.
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

impl Chosen {
    /// What is said before something is changed, where more than one cluster could have been meant.
    pub(crate) fn banner(&self, at: &str) -> Option<String> {
        let name = self.context.as_ref().filter(|_| self.contexts > 1)?;
        Some(format!("context {name} ({at})"))
    }
}

/// Completes the flags of a command from the file.
///
/// # Errors
/// The file cannot be read or understood, or the context is not in it (exit code 2).
pub(crate) fn complete(
    global: &mut Global,
    source: impl Fn(&str) -> Option<ValueSource>,
) -> Result<(), Failure> {
    let file = File::read()?;
    choose(global, &file, source, up::running_master)
}

fn choose(
    global: &mut Global,
    file: &File,
    source: impl Fn(&str) -> Option<ValueSource>,
    running_up: impl FnOnce() -> Option<String>,
) -> Result<(), Failure> {
    // `protect` is a property of a context and no flag.
    let asked = |key: &str| if key == "protect" { None } else { source(key) };
    let given = |key: &str| match asked(key) {
        Some(ValueSource::CommandLine) => Some(Origin::Flag),
        Some(ValueSource::EnvVariable) => Some(Origin::Environment(format!(
            "MESETA_{}",
            key.to_ascii_uppercase()
        ))),
        _ => None,
    };
    let mut chosen = Chosen {
        contexts: file.contexts().count() + usize::from(file.context(UP).is_none()),
        ..Chosen::default()
    };
    // An address on the command line means another cluster than the current context.
    let by_name = global.context.clone();
    let by_address = given("master").is_some() && by_name.is_none();
    let name = by_name.clone().or_else(|| file.current().map(str::to_owned));
    let name = name.filter(|_| !by_address);
    let context = match &name {
        Some(name) if name == UP && file.context(UP).is_none() => {
            if global.master.is_none() {
                match running_up() {
                    Some(master) => {
                        global.master = Some(master);
                        chosen.origins.insert("master", Origin::Context(UP.to_owned()));
                    }
                    None if by_name.is_some() => {
                        let failure = Failure::new(
                            "no-context",
                            exit::USAGE,
                            "no `meseta up` of yours runs in its usual folder",
                        );
                        return Err(failure.fix("meseta up"));
                    }
                    None => {}
                }
            }
            None
        }
        Some(name) => Some(file.context(name).ok_or_else(|| unknown(name, file))?),
        None => None,
    };
    chosen.context = name.clone();
    chosen.is_protected = context.is_some_and(|context| context.switch("protect") == Some(true));
    for key in CONTEXT_KEYS.iter().chain(DEFAULT_KEYS).copied() {
        if let Some(origin) = given(key) {
            chosen.origins.insert(key, origin);
            continue;
        }
        let in_context = context.and_then(|context| context.text(key));
        let in_context = in_context.map(|text| (text, Origin::Context(name.clone().unwrap_or_default())));
        let in_defaults = file.default(key).map(|text| (text, Origin::Defaults));
        match in_context.or(in_defaults) {
            Some((text, origin)) => {
                set(global, key, &text).map_err(|why| file.wrong(&format!("{key}: {why}")))?;
                chosen.origins.insert(key, origin);
            }
            None => {
                chosen.origins.entry(key).or_insert(Origin::BuiltIn);
            }
        }
    }
    global.chosen = chosen;
    Ok(())
}

fn unknown(name: &str, file: &File) -> Failure {
    let names: Vec<&str> = file.contexts().chain([UP]).collect();
    let failure = Failure::new("no-context", exit::USAGE, format!("there is no context '{name}'"));
    match nearest(name, names.iter().copied()) {
        Some(meant) => failure.fix(format!("did you mean {meant}? · meseta context list")),
        None => failure.fix(format!(
            "meseta context add {name} HOST:PORT · meseta context list"
        )),
    }
}

/// Writes a value of the file into the flags.
fn set(global: &mut Global, key: &str, text: &str) -> Result<(), String> {
    match key {
        "master" => global.master = Some(text.to_owned()),
        "service_url" => global.service_url = Some(text.to_owned()),
        "cron_url" => global.cron_url = Some(text.to_owned()),
        "output" => global.output = Some(word::<Format>(text)?),
        "timeout" => global.timeout = Some(parse_duration(text)?),
        "progress" => global.progress = word::<Progress>(text)?,
        "color" => global.color = word::<Colour>(text)?,
        "time" => global.time = word::<Times>(text)?,
        "no_input" => {
            global.no_input = text
                .parse()
                .map_err(|_| format!("'{text}' is none of true, false"))?;
        }
        // Not a flag: read where the context is chosen.
        _ => {}
    }
    Ok(())
}

fn word<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let allowed = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value);
        let allowed: Vec<String> = allowed.map(|value| value.get_name().to_owned()).collect();
        format!("'{text}' is none of {}", allowed.join(", "))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::Cli;
    use clap::{CommandFactory, FromArgMatches};

    const FILE: &str = "
current = \"prod\"
[defaults]
output = \"json\"
timeout = \"2m\"
[contexts.prod]
master = \"m1:5050\"
service_url = \"http://s:8080\"
protect = true
[contexts.test]
master = \"t:5050\"
";

    fn chosen(args: &[&str], file: &str) -> Result<Global, Failure> {
        let words = std::iter::once(&"meseta").chain(args);
        let matches = Cli::command().try_get_matches_from(words).unwrap();
        let mut global = Cli::from_arg_matches(&matches).unwrap().global;
        let file = File::parse(file, "config.toml".into())?;
        choose(
            &mut global,
            &file,
            |id| matches.value_source(id),
            || Some("up:5050".to_owned()),
        )?;
        Ok(global)
    }

    #[test]
    fn flags_win_over_the_context_and_that_over_defaults() {
        let plain = chosen(&["node"], FILE).unwrap();
        assert_eq!(plain.master.as_deref(), Some("m1:5050"));
        assert_eq!(plain.format(), Format::Json);
        assert!(plain.chosen.is_protected);
        assert_eq!(
            plain.chosen.origins.get("master"),
            Some(&Origin::Context("prod".to_owned()))
        );
        assert_eq!(plain.chosen.origins.get("timeout"), Some(&Origin::Defaults));
        assert_eq!(plain.chosen.origins.get("color"), Some(&Origin::BuiltIn));
        let flags = chosen(&["node", "-o", "name", "--timeout", "1s"], FILE).unwrap();
        assert_eq!(flags.format(), Format::Name);
        assert_eq!(flags.chosen.origins.get("output"), Some(&Origin::Flag));
    }

    #[test]
    fn an_address_on_the_command_line_leaves_the_context_out() {
        let other = chosen(&["node", "-m", "x:1"], FILE).unwrap();
        assert_eq!(other.master.as_deref(), Some("x:1"));
        assert_eq!(other.service_url, None, "that is another cluster's");
        assert_eq!(other.chosen.context, None);
        assert!(!other.chosen.is_protected);
        let both = chosen(&["node", "-m", "x:1", "--context", "prod"], FILE).unwrap();
        assert_eq!(
            (both.master.as_deref(), both.service_url.as_deref()),
            (Some("x:1"), Some("http://s:8080"))
        );
    }

    #[test]
    fn contexts_are_chosen_by_name() {
        let test = chosen(&["--context", "test", "node"], FILE).unwrap();
        assert_eq!(test.master.as_deref(), Some("t:5050"));
        assert_eq!(
            test.chosen.banner("t:5050").as_deref(),
            Some("context test (t:5050)")
        );
        let up = chosen(&["--context", "up", "node"], FILE).unwrap();
        assert_eq!(up.master.as_deref(), Some("up:5050"));
        let unknown = chosen(&["--context", "prdo", "node"], FILE).unwrap_err();
        assert_eq!((unknown.code, unknown.exit), ("no-context", exit::USAGE));
        assert!(unknown.fix.unwrap().contains("prod"));
        assert_eq!(chosen(&["node"], "").unwrap().chosen.context, None);
    }

    #[test]
    fn values_that_cannot_be_are_named_with_what_is_allowed() {
        for (file, part) in [
            ("[defaults]\noutput = \"xml\"", "table, wide, json"),
            ("[defaults]\ntimeout = \"5\"", "90s"),
            ("[defaults]\noutptu = \"json\"", "did you mean 'output'"),
            ("[contexts.a]\nservice = \"x\"", "service_url"),
            ("currant = \"a\"", "current"),
            ("current = 1", "text"),
            ("current = \"nowhere\"", "no context 'nowhere'"),
            ("[contexts.\"a b\"]\nmaster = \"x\"", "letters"),
            ("x", "config.toml"),
        ] {
            let failure = chosen(&["node"], file).unwrap_err();
            assert_eq!(failure.exit, exit::USAGE, "{file}");
            assert!(
                failure.render(false).contains(part),
                "{file}: {}",
                failure.render(false)
            );
        }
    }
}
