//! `--config FILE`: the flags of a role as TOML, one `name = value` per flag.
//!
//! The file is the weakest source: arguments win over the environment, the environment wins over the file. A name that
//! is no flag of the role is an error, since a setting that is silently ignored is worse than none.

use meseta_types::flag::{Entry, nearest};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use toml_edit::{DocumentMut, Item, Value};

/// What `--help` says of it.
pub(super) const CONFIG_HELP: &str = "  --config=path
      A TOML file of flags (name = value); arguments and the environment win over it.
";

/// The flag's name.
const FLAG: &str = "config";
/// Far more than all flags of a role take.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The flags of a file, by name.
#[derive(Debug, Default)]
pub(super) struct FlagFile(BTreeMap<String, String>);

impl FlagFile {
    /// Takes `--config` out of the arguments and reads its file.
    ///
    /// # Errors
    /// The text says what is wrong, with the file's name.
    pub(super) fn take(args: &mut Vec<String>, table: &[Entry]) -> Result<FlagFile, String> {
        let Some(path) = take_flag(args)? else {
            return Ok(FlagFile::default());
        };
        let wrong = |why: String| format!("flag '--{FLAG}': {path}: {why}");
        let file = File::open(&path).map_err(|e| wrong(e.to_string()))?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|e| wrong(e.to_string()))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(wrong(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        read(&text, table).map(FlagFile).map_err(wrong)
    }

    /// The value of an ancestor's variable, such as `MESOS_NAME`: asked for last, after everything the environment may
    /// have.
    pub(super) fn value(&self, variable: &str) -> Option<String> {
        let mut ancestors = ["MESOS_", "MARATHON_", "CHRONOS_"].iter();
        let name = ancestors
            .find_map(|ancestor| variable.strip_prefix(ancestor))?
            .to_ascii_lowercase();
        self.0.get(&name).cloned()
    }
}

fn take_flag(args: &mut Vec<String>) -> Result<Option<String>, String> {
    let with_value = format!("--{FLAG}=");
    let is_it = |word: &String| *word == format!("--{FLAG}") || word.starts_with(&with_value);
    let Some(at) = args.iter().position(is_it) else {
        return Ok(None);
    };
    let word = args.remove(at);
    let path = match word.strip_prefix(&with_value) {
        Some(path) => path.to_owned(),
        None if at < args.len() => args.remove(at),
        None => return Err(format!("flag '--{FLAG}' needs a value: --{FLAG}=FILE")),
    };
    if args.iter().any(is_it) {
        return Err(format!("flag '--{FLAG}' is given twice"));
    }
    Ok(Some(path))
}

fn read(text: &str, table: &[Entry]) -> Result<BTreeMap<String, String>, String> {
    let file: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    let mut flags = BTreeMap::new();
    for (key, item) in file.iter() {
        let name = key.replace('-', "_");
        if !table.iter().any(|entry| entry.name == name) {
            let meant = nearest(&name, table.iter().map(|entry| entry.name));
            let hint = meant
                .first()
                .map_or(String::new(), |meant| format!("; did you mean '{meant}'?"));
            return Err(format!("'{key}' is no flag{hint}"));
        }
        let value = match item {
            Item::Value(Value::String(text)) => text.value().clone(),
            Item::Value(Value::Integer(number)) => number.value().to_string(),
            Item::Value(Value::Float(number)) => number.value().to_string(),
            Item::Value(Value::Boolean(switch)) => switch.value().to_string(),
            _ => return Err(format!("'{key}' must be a text, a number or a boolean")),
        };
        flags.insert(name, value);
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_types::flag::{Asked, Sources};
    use std::io::Write;

    meseta_types::flags! {
        /// Flags of an example.
        struct Flags for "example" {
            /// Where it listens.
            pub port: u16 = "5050";
            /// For people.
            pub cluster: Option<String>;
            /// A switch.
            pub quiet: bool = "false";
        }
        foreign { }
    }

    fn flags(args: &[&str], file: &str, env: &[(&str, &str)]) -> Result<Flags, String> {
        let mut path = tempfile::NamedTempFile::new().unwrap();
        path.write_all(file.as_bytes()).unwrap();
        let mut args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        args.push(format!("--config={}", path.path().display()));
        let file = FlagFile::take(&mut args, Flags::TABLE)?;
        let from_env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let sources = Sources {
            env: &|name| from_env(name).or_else(|| file.value(name)),
            read: &|_| Err("no files here".to_owned()),
        };
        match Flags::parse(args, &sources) {
            Ok(Asked::Run(flags, _)) => Ok(flags),
            Ok(_) => Err("no flags".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn arguments_win_over_the_environment_and_that_over_the_file() {
        let file = "port = 1\ncluster = \"from-file\"\nquiet = true\n";
        let all = flags(&[], file, &[]).unwrap();
        assert_eq!(
            (all.port, all.cluster.as_deref(), all.quiet),
            (1, Some("from-file"), true)
        );
        assert_eq!(flags(&[], file, &[("MESOS_PORT", "2")]).unwrap().port, 2);
        assert_eq!(
            flags(&[], file, &[("MESETA_PORT", "3"), ("MESOS_PORT", "2")])
                .unwrap()
                .port,
            3
        );
        assert_eq!(
            flags(&["--port=4"], file, &[("MESETA_PORT", "3")]).unwrap().port,
            4
        );
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        for (file, part) in [
            ("prot = 1", "'prot' is no flag; did you mean 'port'?"),
            ("port = [1]", "'port' must be a text"),
            ("port = \"x\"", "port"),
            ("port = ", "1"),
        ] {
            let error = flags(&[], file, &[]).unwrap_err();
            assert!(error.contains(part), "{file}: {error}");
        }
        let mut twice = vec!["--config=a".to_owned(), "--config".to_owned(), "b".to_owned()];
        assert!(
            FlagFile::take(&mut twice, Flags::TABLE)
                .unwrap_err()
                .contains("twice")
        );
        let mut none = vec!["--config".to_owned()];
        assert!(
            FlagFile::take(&mut none, Flags::TABLE)
                .unwrap_err()
                .contains("needs a value")
        );
        let mut missing = vec!["--config=/nonexistent/x.toml".to_owned()];
        let error = FlagFile::take(&mut missing, Flags::TABLE).unwrap_err();
        assert!(error.contains("/nonexistent/x.toml"), "{error}");
    }
}
