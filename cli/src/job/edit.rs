//! `job edit`: the definition as served in an editor; saved only if nobody else changed it meanwhile.

use super::args::EditArgs;
use super::change::replace;
use super::{find, stored};
use crate::args::Global;
use crate::definition::{self, Kind, Source};
use crate::failure::{Failure, exit};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Edits a job.
pub(super) async fn run(global: &Global, args: &EditArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let Some(before) = stored(&cron, &args.name).await? else {
        return Err(super::no_such(&cron, &args.name).await);
    };
    let file = Scratch::new(&before).map_err(|e| cannot("write a scratch file", &e))?;
    edit(&file.path).await?;
    let text = fs::read_to_string(&file.path).map_err(|e| cannot("read the scratch file", &e))?;
    let source = Source {
        name: file.path.display().to_string(),
        text,
    };
    let wanted = match definition::single(&source, Kind::Job) {
        Ok(wanted) => wanted,
        Err(failure) => {
            // What was typed must not be lost.
            let kept = file.keep();
            return Err(failure.detail(format!("your text is in {}, nothing was changed", kept.display())));
        }
    };
    if wanted.id != args.name {
        let kept = file.keep();
        let what = format!("the name was changed from {} to {}", args.name, wanted.id);
        return Err(Failure::new("other-job", exit::REFUSED, what)
            .detail("a job keeps its name; nothing was changed")
            .fix(format!("meseta job create {}", kept.display())));
    }
    if stored(&cron, &args.name).await?.as_ref() != Some(&before) {
        let kept = file.keep();
        let what = format!("{} was changed by somebody else meanwhile", args.name);
        return Err(Failure::new("changed-meanwhile", exit::REFUSED, what)
            .detail(format!("your text is in {}", kept.display()))
            .fix(format!(
                "look at it: meseta job show {name} · then: meseta job update {name} {}",
                kept.display(),
                name = args.name
            )));
    }
    replace(global, &cron, &before, &wanted, args.changing.dry_run).await
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::new("no-file", exit::FAILED, format!("cannot {what}: {error}"))
}

/// Runs the user's editor on a file, as a shell would: the variable may hold arguments.
async fn edit(path: &Path) -> Result<(), Failure> {
    let chosen = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.trim().is_empty());
    let editor = chosen.unwrap_or_else(|| "vi".to_owned());
    let script = format!("{editor} \"$1\"");
    let ended = tokio::process::Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(path)
        .status()
        .await;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(
            "no-editor",
            exit::FAILED,
            format!("the editor '{editor}' ended with {status}; nothing was changed"),
        )
        .fix("choose another one: EDITOR=nano meseta job edit NAME")),
        Err(error) => Err(cannot("start the editor", &error)),
    }
}

/// A file that goes with this value.
struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    fn new(job: &Value) -> io::Result<Scratch> {
        let name = format!("meseta-job-{}-{}.json", std::process::id(), uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        // Definitions may hold secrets.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(format!("{job:#}\n").as_bytes())?;
        Ok(Scratch { path, kept: false })
    }

    fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
