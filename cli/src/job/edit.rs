//! `job edit`: the definition as served in an editor; saved only if nobody else changed it meanwhile.

use super::args::EditArgs;
use super::change::replace;
use super::{find, say, stored};
use crate::args::Global;
use crate::definition::{self, Kind, Source};
use crate::editor::Scratch;
use crate::failure::{Failure, exit};

/// Edits a job.
pub(super) async fn run(global: &Global, args: &EditArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let Some(before) = stored(&cron, &args.name).await? else {
        return Err(super::no_such(&cron, &args.name).await);
    };
    let mut file = Scratch::new("job", &before)?;
    let Some(text) = file.edited().await? else {
        return say(global, &args.name, "unchanged");
    };
    let source = Source {
        name: file.path().display().to_string(),
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
