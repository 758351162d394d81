//! Jobs in the files that `apply` and `diff` get, and the question whose name a name is.

use super::client::{Apps, id_of};
use crate::args::{Changing, Global};
use crate::definition::Definition;
use crate::failure::{Failure, exit};
use crate::job::{self, Outcome};
use crate::output::{self, Format};
use crate::services::{Kind, Service};
use serde_json::json;

/// Creates or replaces a job; with `--dry-run` says what that would change.
pub(super) async fn apply(
    global: &Global,
    definition: &Definition,
    changing: Changing,
) -> Result<u8, Failure> {
    if changing.dry_run {
        return diff(global, definition).await.map(|_| 0);
    }
    let cron = Service::find(global, Kind::Cron).await?;
    let outcome = job::submit(&cron, definition).await?;
    let text = match global.format() {
        Format::Json | Format::Jsonl => {
            let fields: &[String] = match &outcome {
                Outcome::Changed(fields) => fields,
                Outcome::Created | Outcome::Unchanged => &[],
            };
            let object = json!({
                "kind": "applied", "schema": 1, "type": "job", "id": definition.id, "change": word(&outcome),
                "fields": fields,
            });
            format!("{object}\n")
        }
        Format::Name => format!("{}\n", definition.id),
        _ => line(&definition.id, &outcome),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "created",
        Outcome::Changed(_) => "changed",
        Outcome::Unchanged => "unchanged",
    }
}

fn line(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Changed(fields) => format!("changed job {name} ({})\n", fields.join(", ")),
        _ => format!("{} job {name}\n", word(outcome)),
    }
}

/// Prints what differs; whether something does.
pub(super) async fn diff(global: &Global, definition: &Definition) -> Result<bool, Failure> {
    let cron = Service::find(global, Kind::Cron).await?;
    let differences = job::differences(&cron, definition).await?;
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", differences.object),
        Format::Name if differences.any => format!("{}\n", definition.id),
        Format::Name => String::new(),
        _ => differences.text,
    };
    // Whoever does not read on does not change what differs.
    let _ = output::print(&text);
    Ok(differences.any)
}

/// `why NAME`: of an app or a job, whichever has this name; `app/NAME` and `job/NAME` say which.
pub(super) async fn why(global: &Global, name: &str) -> Result<u8, Failure> {
    if let Some(name) = name.strip_prefix("job/") {
        return job::why(global, name).await;
    }
    if name.starts_with("app/") || name.starts_with('/') {
        return super::why::run(global, name).await;
    }
    // A name that is no app id can only be a job's.
    let Ok(id) = id_of(name) else {
        return job::why(global, name).await;
    };
    let is_app = async { Ok::<_, Failure>(Apps::find(global).await?.get(&id).await?.is_some()) };
    let is_job = async {
        let cron = Service::find(global, Kind::Cron).await?;
        job::is_there(&cron, name).await
    };
    let (is_app, is_job) = futures_util::join!(is_app, is_job);
    match (is_app, is_job) {
        (Ok(true), Ok(true)) => {
            let what = format!("'{name}' is an app and a job");
            Err(Failure::new("ambiguous", exit::REFUSED, what).detail(format!("app/{name} job/{name}")))
        }
        (Ok(true), _) => super::why::run(global, name).await,
        (_, Ok(true)) => job::why(global, name).await,
        (Ok(false), Ok(false)) => {
            let what = format!("there is no app and no job '{name}'");
            Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta app list · meseta job list"))
        }
        // Neither is known, and one could not be asked.
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_lines() {
        assert_eq!(line("clock", &Outcome::Created), "created job clock\n");
        assert_eq!(line("clock", &Outcome::Unchanged), "unchanged job clock\n");
        let changed = Outcome::Changed(vec!["command".to_owned(), "mem".to_owned()]);
        assert_eq!(line("clock", &changed), "changed job clock (command, mem)\n");
    }
}
