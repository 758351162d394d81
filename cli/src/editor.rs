//! A definition in the user's editor, for `app edit` and `job edit`.

use crate::failure::{Failure, exit};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file in the folder of temporary ones; it goes with this value unless it is kept.
pub(crate) struct Scratch {
    path: PathBuf,
    text: String,
    kept: bool,
}

impl Scratch {
    /// Writes an object for people to edit. Only this user can read it: definitions may hold what is not for everybody.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn new(kind: &str, object: &Value) -> Result<Scratch, Failure> {
        let name = format!("meseta-{kind}-{}.json", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        let text = format!("{object:#}\n");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| cannot(&path, &error))?;
        Ok(Scratch {
            path,
            text,
            kept: false,
        })
    }

    /// Runs `$VISUAL` or `$EDITOR`, as a shell would: the variable may hold arguments. The text that is there afterwards;
    /// `None` when it is the same.
    ///
    /// # Errors
    /// The editor cannot be started or fails; nothing is kept then.
    pub(crate) async fn edited(&self) -> Result<Option<String>, Failure> {
        let chosen = ["VISUAL", "EDITOR"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.trim().is_empty());
        let editor = chosen.unwrap_or_else(|| "vi".to_owned());
        let ended = tokio::process::Command::new("sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(&self.path)
            .status()
            .await;
        let why = match ended {
            Ok(status) if status.success() => {
                let text = fs::read_to_string(&self.path).map_err(|error| cannot(&self.path, &error))?;
                return Ok((text != self.text).then_some(text));
            }
            Ok(status) => format!("ended with {status}"),
            Err(error) => format!("cannot be started: {error}"),
        };
        let what = format!("the editor '{editor}' {why}; nothing was changed");
        Err(Failure::new("no-editor", exit::FAILED, what).fix("choose another one: EDITOR=nano"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was typed must not be lost.
    pub(crate) fn keep(&mut self) -> &Path {
        self.kept = true;
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::new("no-file", exit::FAILED, format!("{}: {error}", path.display()))
}
