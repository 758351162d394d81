//! The file of contexts and defaults: read, checked, and changed without losing comments.

use crate::failure::{Failure, exit};
use crate::text::nearest;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// Far more than any list of clusters takes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a context may say.
pub(super) const CONTEXT_KEYS: &[&str] = &["master", "service_url", "cron_url", "protect"];
/// What `[defaults]` may say.
pub(super) const DEFAULT_KEYS: &[&str] = &["output", "timeout", "progress", "color", "time", "no_input"];

/// The file; an absent one is empty.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    document: DocumentMut,
}

/// One context of it.
#[derive(Clone, Copy)]
pub(super) struct Context<'a>(&'a dyn TableLike);

impl Context<'_> {
    /// A value as text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        text_of(self.0.get(key)?)
    }

    pub(super) fn switch(&self, key: &str) -> Option<bool> {
        self.0.get(key)?.as_bool()
    }
}

fn text_of(item: &Item) -> Option<String> {
    match item.as_value()? {
        Value::String(text) => Some(text.value().clone()),
        Value::Boolean(switch) => Some(switch.value().to_string()),
        _ => None,
    }
}

impl File {
    /// Reads and checks it.
    pub(super) fn read() -> Result<File, Failure> {
        let Some(path) = place() else {
            // Without a home directory there is nothing to read, and nothing can be written.
            return File::parse("", PathBuf::new());
        };
        let mut text = String::new();
        match fs::File::open(&path) {
            Ok(file) => {
                let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
                read.map_err(|e| unusable(&path, &e.to_string()))?;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => return Err(unusable(&path, &e.to_string())),
        }
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(unusable(&path, &format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        File::parse(&text, path)
    }

    /// Checks its text.
    pub(super) fn parse(text: &str, path: PathBuf) -> Result<File, Failure> {
        let document = text
            .parse()
            .map_err(|e: toml_edit::TomlError| unusable(&path, e.to_string().trim_end()))?;
        let file = File { path, document };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), Failure> {
        let known = ["current", "defaults", "contexts"];
        keys(self.document.as_table(), &known).map_err(|why| self.wrong(&why))?;
        if self
            .document
            .get("current")
            .is_some_and(|item| item.as_str().is_none())
        {
            return Err(self.wrong("current: must be a text"));
        }
        for name in ["defaults", "contexts"] {
            let item = self.document.get(name);
            if item.is_some_and(|item| item.as_table_like().is_none()) {
                return Err(self.wrong(&format!("{name}: must be a table")));
            }
        }
        if let Some(defaults) = self.table("defaults") {
            keys(defaults, DEFAULT_KEYS).map_err(|why| self.wrong(&format!("[defaults]: {why}")))?;
        }
        for (name, item) in self.table("contexts").iter().flat_map(|table| table.iter()) {
            let at = |why: &str| self.wrong(&format!("[contexts.{name}]: {why}"));
            is_name(name).map_err(|why| at(&why))?;
            let context = item.as_table_like().ok_or_else(|| at("must be a table"))?;
            keys(context, CONTEXT_KEYS).map_err(|why| at(&why))?;
            let is_switch = |item: &Item| item.as_bool().is_some();
            if context.get("protect").is_some_and(|item| !is_switch(item)) {
                return Err(at("protect: must be true or false"));
            }
        }
        Ok(())
    }

    fn table(&self, name: &str) -> Option<&dyn TableLike> {
        self.document.get(name)?.as_table_like()
    }

    /// An error about the file.
    pub(super) fn wrong(&self, why: &str) -> Failure {
        unusable(&self.path, why)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn current(&self) -> Option<&str> {
        self.document.get("current")?.as_str()
    }

    pub(super) fn default(&self, key: &str) -> Option<String> {
        text_of(self.table("defaults")?.get(key)?)
    }

    /// The names of the contexts, as they stand there.
    pub(super) fn contexts(&self) -> impl Iterator<Item = &str> {
        let table = self.table("contexts").into_iter();
        table.flat_map(|table| table.iter().map(|(name, _)| name))
    }

    pub(super) fn context(&self, name: &str) -> Option<Context<'_>> {
        self.table("contexts")?.get(name)?.as_table_like().map(Context)
    }

    /// Makes a context, or replaces its values.
    pub(super) fn put(&mut self, name: &str, values: &[(&str, Value)]) -> Result<(), Failure> {
        is_name(name).map_err(|why| Failure::new("bad-name", exit::USAGE, format!("'{name}': {why}")))?;
        let contexts = self.document.entry("contexts").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let Some(contexts) = contexts.as_table_like_mut() else {
            return Ok(());
        };
        let mut context = Table::new();
        for (key, value) in values {
            context.insert(key, Item::Value(value.clone()));
        }
        contexts.insert(name, Item::Table(context));
        Ok(())
    }

    /// Makes a context the current one.
    pub(super) fn set_current(&mut self, name: &str) {
        match self.document.get_mut("current") {
            // In its place, with the comment above it.
            Some(current) => *current = toml_edit::value(name),
            None => {
                self.document.insert("current", toml_edit::value(name));
            }
        }
    }

    /// Removes a context; true when it was the current one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if let Some(contexts) = self
            .document
            .get_mut("contexts")
            .and_then(Item::as_table_like_mut)
        {
            contexts.remove(name);
        }
        let was_current = self.current() == Some(name);
        if was_current {
            self.document.remove("current");
        }
        was_current
    }

    /// Writes it back, whole or not at all.
    pub(super) fn write(&self) -> Result<(), Failure> {
        if self.path.as_os_str().is_empty() {
            return Err(Failure::new(
                "no-config",
                exit::USAGE,
                "there is no home directory to keep contexts in",
            )
            .fix("MESETA_CONFIG=FILE meseta context ..."));
        }
        let fault = |e: io::Error| {
            let what = format!("cannot write {}: {e}", self.path.display());
            Failure::new("no-config", exit::FAILED, what).fix("MESETA_CONFIG=FILE names another place")
        };
        if let Some(folder) = self.path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(fault)?;
        }
        let beside = self.path.with_extension("toml.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(fault)?;
        file.write_all(self.document.to_string().as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&beside, &self.path))
            .map_err(fault)
    }
}

/// Where the file is: as told, else below the user's configuration.
fn place() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("MESETA_CONFIG") {
        return Some(path.into());
    }
    if let Some(folder) = set("XDG_CONFIG_HOME") {
        return Some(Path::new(&folder).join("meseta/config.toml"));
    }
    Some(Path::new(&set("HOME")?).join(".config/meseta/config.toml"))
}

fn unusable(path: &Path, why: &str) -> Failure {
    let mut lines = why.lines();
    let what = format!("{}: {}", path.display(), lines.next().unwrap_or_default());
    let failure = Failure::new("bad-config", exit::USAGE, what);
    lines
        .fold(failure, Failure::detail)
        .fix("change it there, or name another file: MESETA_CONFIG=FILE")
}

fn keys(table: &dyn TableLike, known: &[&str]) -> Result<(), String> {
    for (key, _) in table.iter() {
        if known.contains(&key) {
            continue;
        }
        return Err(match nearest(key, known.iter().copied()) {
            Some(meant) => format!("'{key}' is not known here; did you mean '{meant}'?"),
            None => format!("'{key}' is not known here; there are {}", known.join(", ")),
        });
    }
    Ok(())
}

/// Names are typed and printed: no blanks, nothing a shell would take for its own.
fn is_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        Ok(())
    } else {
        Err("names have 1 to 64 letters, digits, '-', '_' and '.'".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_keep_comments_and_what_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.toml");
        let text = "# mine\ncurrent = \"a\"\n\n[contexts.a] # the first\nmaster = \"a:5050\"\n";
        let mut file = File::parse(text, path.clone()).unwrap();
        file.put("b", &[("master", "b:5050".into()), ("protect", true.into())])
            .unwrap();
        file.set_current("b");
        file.write().unwrap();
        let written = fs::read_to_string(&path).unwrap();
        assert!(
            written.contains("# mine") && written.contains("# the first"),
            "{written}"
        );
        let mut again = File::parse(&written, path.clone()).unwrap();
        assert_eq!(again.current(), Some("b"));
        assert_eq!(again.contexts().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            again.context("b").unwrap().text("master").as_deref(),
            Some("b:5050")
        );
        assert_eq!(again.context("b").unwrap().switch("protect"), Some(true));
        assert!(again.remove("b") && !again.remove("a"));
        assert_eq!(again.contexts().count(), 0);
        assert!(again.put("a b", &[]).is_err());
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let failure = File::parse("current = \n", "c.toml".into()).unwrap_err();
        let text = failure.render(false);
        assert!(text.contains("c.toml") && text.contains("line 1"), "{text}");
    }
}
