//! From arguments and environment to one text per flag. Types come after, in `value.rs`.

use super::{Asked, Entry, FlagError, FlagValue, Foreign, Kind, Program, Sources, help};
use std::collections::BTreeMap;

/// The texts given for the flags of one table.
#[derive(Debug)]
pub struct Raw {
    texts: BTreeMap<&'static str, String>,
    table: &'static [Entry],
}

/// What a name on the command line means.
enum Named {
    Entry(&'static Entry),
    Foreign(&'static Foreign),
}

struct Names {
    table: &'static [Entry],
    foreign: &'static [Foreign],
}

impl Names {
    fn find(&self, name: &str) -> Option<Named> {
        let entry = self
            .table
            .iter()
            .find(|e| e.name == name || e.aliases.contains(&name));
        match entry {
            Some(entry) => Some(Named::Entry(entry)),
            None => self.foreign.iter().find(|f| f.name == name).map(Named::Foreign),
        }
    }

    fn unknown(&self, name: &str) -> FlagError {
        let known = self.table.iter().map(|e| e.name);
        FlagError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, known),
        }
    }
}

impl Raw {
    /// Collects what is said about the flags of `table`; the command line wins over the environment.
    pub fn collect(
        program: &Program,
        args: impl IntoIterator<Item = String>,
        sources: &Sources<'_>,
    ) -> Result<Asked<Raw>, FlagError> {
        let Program { table, foreign, .. } = *program;
        let names = Names { table, foreign };
        let help = || Asked::Help(help(program.name, program.ancestor, table));
        let mut raw = Raw {
            texts: BTreeMap::new(),
            table,
        };
        let mut warnings = Vec::new();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            if arg == "-h" {
                return Ok(help());
            }
            let Some(body) = arg.strip_prefix("--") else {
                return Err(FlagError::NotAFlag(arg));
            };
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let name = name.replace('-', "_");
            match name.as_str() {
                "help" => return Ok(help()),
                "version" => return Ok(Asked::Version),
                _ => {}
            }
            let (found, negated) = match names.find(&name) {
                Some(found) => (found, false),
                None => match name.strip_prefix("no_").and_then(|n| names.find(n)) {
                    Some(found) => (found, true),
                    None => return Err(names.unknown(&name)),
                },
            };
            let is_switch = match &found {
                Named::Entry(entry) => entry.kind == Kind::Switch,
                Named::Foreign(f) => f.only.is_none_or(|only| only == "true" || only == "false"),
            };
            let value = match (negated, value) {
                (true, Some(_)) => return Err(FlagError::NotASwitch(name)),
                (true, None) if !is_switch => {
                    return Err(FlagError::NotASwitch(name.trim_start_matches("no_").to_owned()));
                }
                (true, None) => "false".to_owned(),
                (false, Some(value)) => value,
                (false, None) if is_switch => "true".to_owned(),
                (false, None) => match args.next_if(|next| !next.starts_with("--")) {
                    Some(value) => value,
                    None => return Err(FlagError::NoValue(name)),
                },
            };
            match found {
                Named::Entry(entry) => {
                    if raw.texts.insert(entry.name, value).is_some() {
                        return Err(FlagError::Twice(entry.name));
                    }
                }
                Named::Foreign(foreign) => warnings.extend(accept_foreign(foreign, value)?),
            }
        }
        raw.add_environment(program.ancestor, sources);
        for foreign in foreign {
            if let Some(value) = from_environment(foreign.name, program.ancestor, sources) {
                warnings.extend(accept_foreign(foreign, value)?);
            }
        }
        Ok(Asked::Run(raw, warnings))
    }

    fn add_environment(&mut self, ancestor: &str, sources: &Sources<'_>) {
        for entry in self.table {
            if self.texts.contains_key(entry.name) {
                continue;
            }
            let mut names = std::iter::once(&entry.name).chain(entry.aliases);
            if let Some(value) = names.find_map(|name| from_environment(name, ancestor, sources)) {
                self.texts.insert(entry.name, value);
            }
        }
    }

    /// The value of one flag: as given, else its default, else unset.
    pub fn value<T: FlagValue>(&self, name: &'static str, sources: &Sources<'_>) -> Result<T, FlagError> {
        let default = self.table.iter().find(|e| e.name == name).and_then(|e| e.default);
        let text = match (self.texts.get(name), default) {
            (Some(text), _) => text.as_str(),
            (None, Some(default)) => default,
            (None, None) => return T::absent().ok_or(FlagError::Missing(name)),
        };
        let parse = |text: &str| {
            T::parse(text).map_err(|why| FlagError::Invalid {
                name,
                value: text.to_owned(),
                why,
            })
        };
        match text.strip_prefix("file://") {
            Some(path) if T::KIND != Kind::Path => {
                let content = (sources.read)(path).map_err(|why| FlagError::File {
                    name,
                    path: path.to_owned(),
                    why,
                })?;
                parse(content.trim())
            }
            _ => parse(text),
        }
    }
}

fn from_environment(name: &str, ancestor: &str, sources: &Sources<'_>) -> Option<String> {
    let name = name.to_ascii_uppercase();
    (sources.env)(&format!("MESETA_{name}")).or_else(|| (sources.env)(&format!("{ancestor}_{name}")))
}

fn accept_foreign(foreign: &'static Foreign, value: String) -> Result<Option<String>, FlagError> {
    match foreign.only {
        None => Ok(Some(format!(
            "flag '--{}' has no effect: {}",
            foreign.name, foreign.why
        ))),
        Some(only) if only == value => Ok(None),
        Some("") => Err(FlagError::Absent {
            name: foreign.name,
            why: foreign.why,
        }),
        Some(only) => Err(FlagError::NotAvailable {
            name: foreign.name,
            value,
            only,
            why: foreign.why,
        }),
    }
}

/// At most two of `known` that look like `word`, the nearest first.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let allowed = (word.chars().count() / 3).max(2);
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    found.sort();
    found.into_iter().take(2).map(|(_, name)| name).collect()
}

/// Edits (insert, delete, replace) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = corner + usize::from(ca != *cb);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::flag::FlagDuration;

    crate::flags! {
        /// For the tests below.
        struct Flags for "test" {
            /// A port.
            pub port: u16 = "5050";
            /// A switch.
            pub hostname_lookup: bool = "true";
            /// Must be given.
            pub work_dir: String;
            /// A duration with an old name.
            pub agent_reregister_timeout ("slave_reregister_timeout"): FlagDuration = "10mins";
            /// Unset by default.
            pub cluster: Option<String>;
        }
        foreign {
            "authenticate_agents" = "false": "agents do not authenticate yet";
            "webui_dir": "the page is part of the program";
        }
    }

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<(Flags, Vec<String>), String> {
        let sources = Sources {
            env: &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            read: &|path| {
                if path == "/there" {
                    Ok("prod\n".into())
                } else {
                    Err("gone".into())
                }
            },
        };
        match Flags::parse(args.iter().map(|a| (*a).to_owned()), &sources) {
            Ok(Asked::Run(flags, warnings)) => Ok((flags, warnings)),
            Ok(other) => Err(format!("{other:?}")),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn values_come_in_all_four_spellings() {
        let (flags, _) = parse(
            &[
                "--port=1",
                "--work_dir",
                "/w",
                "--no-hostname_lookup",
                "--slave-reregister-timeout=1hrs",
            ],
            &[],
        )
        .unwrap();
        assert_eq!(
            (flags.port, flags.work_dir.as_str(), flags.hostname_lookup),
            (1, "/w", false)
        );
        assert_eq!(flags.agent_reregister_timeout.0.as_secs(), 3600);
        let (flags, _) = parse(&["--hostname_lookup", "--work_dir=x"], &[]).unwrap();
        assert!(flags.hostname_lookup);
    }

    #[test]
    fn the_command_line_wins_over_our_environment_and_ours_over_mesos() {
        let env = [
            ("MESOS_PORT", "1"),
            ("MESETA_PORT", "2"),
            ("MESOS_WORK_DIR", "/m"),
            ("MESOS_OTHER", "x"),
        ];
        assert_eq!(parse(&["--port=3"], &env).unwrap().0.port, 3);
        let (flags, _) = parse(&[], &env).unwrap();
        assert_eq!((flags.port, flags.work_dir.as_str()), (2, "/m"));
    }

    #[test]
    fn errors_name_the_flag_and_what_is_allowed() {
        let err = |args: &[&str]| parse(args, &[]).map(|_| ()).unwrap_err();
        assert_eq!(
            err(&["--prot=1"]),
            "unknown flag '--prot'; did you mean '--port'?"
        );
        assert_eq!(err(&["--zzzzzzz"]), "unknown flag '--zzzzzzz'");
        assert_eq!(
            err(&["--port=70000", "--work_dir=x"]),
            "flag '--port': '70000' is no whole number from 0 to 65535"
        );
        assert_eq!(
            err(&["--no-port"]),
            "flag '--port' is no switch: '--no-port' has no meaning"
        );
        assert_eq!(err(&["--port"]), "flag '--port' needs a value: --port=VALUE");
        assert_eq!(err(&["--port=1", "--port=2"]), "flag '--port' is given twice");
        assert_eq!(
            err(&["x"]),
            "unexpected argument 'x': flags are written --name=value"
        );
        assert_eq!(err(&[]), "missing required flag '--work_dir'");
        assert_eq!(
            err(&["--authenticate_agents=true"]),
            "flag '--authenticate_agents=true' is not available (agents do not authenticate yet); allowed: 'false'"
        );
        assert_eq!(
            err(&["--work_dir=file:///x"]),
            "flag '--work_dir': cannot read '/x': gone"
        );
    }

    #[test]
    fn foreign_flags_are_taken_with_a_warning_when_they_are_harmless() {
        let (_, warnings) = parse(
            &["--work_dir=x", "--webui_dir=/y", "--no-authenticate_agents"],
            &[],
        )
        .unwrap();
        assert_eq!(
            warnings,
            ["flag '--webui_dir' has no effect: the page is part of the program"]
        );
    }

    #[test]
    fn shown_flags_are_sorted_and_leave_unset_ones_out() {
        let (flags, _) = parse(&["--work_dir=/w", "--cluster=file:///there"], &[]).unwrap();
        let shown: Vec<String> = flags
            .shown()
            .into_iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(
            shown,
            [
                "agent_reregister_timeout=10mins",
                "cluster=prod",
                "hostname_lookup=true",
                "port=5050",
                "work_dir=/w"
            ]
        );
        let (flags, _) = parse(&["--work_dir=/w"], &[]).unwrap();
        assert!(flags.shown().iter().all(|(name, _)| *name != "cluster"));
    }

    #[test]
    fn help_has_every_flag_with_its_default() {
        let text = match Flags::parse(["--help".to_owned()], &Sources::none()).unwrap() {
            Asked::Help(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(
            text.contains("  --port=NUMBER\n      A port.\n      [default: 5050]\n"),
            "{text}"
        );
        assert!(text.contains("  --[no-]hostname_lookup\n"), "{text}");
        assert!(
            text.contains("--agent_reregister_timeout=DURATION, --slave_reregister_timeout"),
            "{text}"
        );
    }
}
