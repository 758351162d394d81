//! `app edit`: the definition as the server has it, in an editor; what was changed is applied.

use super::change::{Planned, carry_out, check_version, difference, to_version};
use super::client::{Apps, Ask, id_of};
use super::diff;
use super::list::count;
use crate::args::{Changing, Global};
use crate::cluster::string;
use crate::definition::{self, Kind};
use crate::failure::{Failure, exit};
use http::Method;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `app edit ID`.
pub(super) async fn run(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let version = string(&current.value, &["version"]).to_owned();
    let shown = definition::submittable(Kind::App, current.value.clone());
    let text = format!("{shown:#}\n");
    let path = scratch(id.as_str(), &text)?;
    edit(&path)?;
    let edited = std::fs::read_to_string(&path).map_err(|e| fault(&path, &e))?;
    if edited == text {
        let _ = std::fs::remove_file(&path);
        eprintln!("{id} is not changed");
        return Ok(0);
    }
    let kept = |failure: Failure| failure.fix(format!("your text is in {}: meseta apply it", path.display()));
    let found = definition::read(std::slice::from_ref(&path)).map_err(kept)?;
    let [told] = found.as_slice() else {
        return Err(kept(Failure::new(
            "invalid-file",
            exit::REFUSED,
            "the text must describe one app",
        )));
    };
    if told.id != id.as_str() {
        let what = format!("an app cannot be renamed: {id} became {}", told.id);
        return Err(kept(Failure::new("renamed", exit::REFUSED, what)));
    }
    // Somebody may have been faster.
    let now = apps.app(&id).await?;
    check_version(&id, &now.value, Some(&version)).map_err(kept)?;
    let difference = difference(&apps, &id, Some(&now), &told.value, true, Some(told))
        .await
        .map_err(kept)?;
    if difference.is_none() {
        let _ = std::fs::remove_file(&path);
        eprintln!("{id} is not changed");
        return Ok(0);
    }
    let running = count(&now.value, "tasksRunning");
    let shown = diff::text(&difference, running, None, None);
    if changing.dry_run {
        let _ = std::fs::remove_file(&path);
        return Ok(crate::output::print(&shown).err().unwrap_or(0));
    }
    if !global.quiet {
        eprint!("{shown}");
    }
    let planned = Planned {
        ask: Ask {
            method: Method::PUT,
            path: format!("/v2/apps{id}?partialUpdate=false"),
            body: Some(told.value.clone()),
            force: changing.force,
            app: Some(&id),
            word: "edit",
        },
        told: Some(told),
        id: id.to_string(),
        said: format!("changed ({})", difference.names()),
        targets: to_version,
        apps: vec![id.clone()],
    };
    let ended = carry_out(global, changing, &apps, &planned).await;
    if ended
        .as_ref()
        .err()
        .is_none_or(|failure| failure.exit != exit::REFUSED)
    {
        let _ = std::fs::remove_file(&path);
        return ended;
    }
    ended.map_err(kept)
}

/// A file that only this user can read: definitions may hold what is not for everybody.
fn scratch(id: &str, text: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let name = format!(
        "meseta-{}-{}.json",
        id.trim_matches('/').replace('/', "_"),
        uuid::Uuid::new_v4()
    );
    let path = std::env::temp_dir().join(name);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| fault(&path, &e))?;
    Ok(path)
}

fn fault(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new("no-file", exit::USAGE, format!("{}: {error}", path.display()))
}

/// Runs `$VISUAL` or `$EDITOR`, which may have arguments. Nothing else of this program goes on meanwhile.
fn edit(path: &Path) -> Result<(), Failure> {
    let told = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let editor = told.unwrap_or_else(|| "vi".to_owned());
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(path)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let what = format!("the editor '{editor}' ended with {status}; nothing was changed");
            Err(Failure::new("no-editor", exit::FAILED, what).fix("EDITOR=PROGRAM meseta app edit ..."))
        }
        Err(e) => {
            let what = format!("the editor '{editor}' cannot be started: {e}");
            Err(Failure::new("no-editor", exit::USAGE, what).fix("EDITOR=PROGRAM meseta app edit ..."))
        }
    }
}
