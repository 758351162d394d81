//! Where things lie below the work directory, and the few file operations on them.
//!
//! The paths of sandboxes and of the `latest` links are Mesos's (`src/slave/paths.cpp`): people, log shippers and
//! tools know them. What the agent must remember is not in `meta/` files but in one log (`meta/agent.log`); only the
//! link `meta/slaves/latest` is kept, because operators remove it to give an agent a new id.

use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// The paths below one work directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    work_dir: PathBuf,
}

impl Layout {
    /// `work_dir` must be absolute.
    pub(crate) fn new(work_dir: PathBuf) -> Layout {
        Layout { work_dir }
    }

    /// The work directory.
    pub(crate) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// The agent's memory.
    pub(crate) fn log(&self) -> PathBuf {
        self.work_dir.join("meta/agent.log")
    }

    /// The lock that keeps a second agent out of the work directory is the log's own; this is its folder.
    pub(crate) fn meta(&self) -> PathBuf {
        self.work_dir.join("meta")
    }

    /// The last inputs of the core, once one of its invariants broke.
    pub(crate) fn last_inputs(&self) -> PathBuf {
        self.work_dir.join("meta/last-inputs.txt")
    }

    fn slaves(&self) -> PathBuf {
        self.work_dir.join("slaves")
    }

    /// Everything of one agent id.
    pub(crate) fn agent(&self, agent: &AgentId) -> PathBuf {
        self.slaves().join(agent.as_str())
    }

    /// The folder of an executor's runs.
    pub(crate) fn runs(&self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) -> PathBuf {
        let mut path = self.agent(agent);
        path.push("frameworks");
        path.push(framework.as_str());
        path.push("executors");
        path.push(executor.as_str());
        path.push("runs");
        path
    }

    /// The sandbox of one run.
    pub(crate) fn sandbox(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) -> PathBuf {
        self.runs(agent, framework, executor).join(container.as_str())
    }

    /// Makes the folders the agent itself needs.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for path in [self.work_dir.clone(), self.slaves(), self.meta().join("slaves")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&path)
                .map_err(|e| io::Error::new(e.kind(), format!("cannot make '{}': {e}", path.display())))?;
        }
        Ok(())
    }

    /// The agent id `meta/slaves/latest` names. `None`: no such link, the agent shall be a new one.
    pub(crate) fn latest_agent(&self) -> Option<AgentId> {
        let target = fs::read_link(self.meta().join("slaves/latest")).ok()?;
        AgentId::new(target.file_name()?.to_str()?).ok()
    }

    /// Whether somebody took `meta/slaves/latest` away: it is made before the agent's folder, so a folder without it was
    /// not left by a crash.
    pub(crate) fn latest_was_removed(&self, agent: &AgentId) -> bool {
        self.latest_agent().is_none() && self.meta().join("slaves").join(agent.as_str()).exists()
    }

    /// Points `meta/slaves/latest` at this agent; nothing to do if it does so already.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn set_latest_agent(&self, agent: &AgentId) -> io::Result<()> {
        let folder = self.meta().join("slaves").join(agent.as_str());
        if self.latest_agent().as_ref() != Some(agent) {
            relink(&folder, &self.meta().join("slaves/latest"))?;
        }
        fs::create_dir_all(&folder)
    }

    /// Ids that have a folder below `slaves`.
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        let mut ids: Vec<AgentId> = fs::read_dir(self.slaves())
            .into_iter()
            .flatten()
            .filter_map(|entry| AgentId::new(entry.ok()?.file_name().to_str()?).ok())
            .collect();
        ids.sort();
        ids
    }
}

/// Points `runs/latest` at a run.
///
/// # Errors
/// The system's.
pub(crate) fn set_latest_run(sandbox: &Path) -> io::Result<()> {
    let runs = sandbox.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // By its name alone, which fits into the link's own inode: a whole path would take a block of the disk.
    let run = sandbox.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    relink(Path::new(run), &runs.join("latest"))
}

/// Makes `link` lead to `target`, replacing what was there in one step.
fn relink(target: &Path, link: &Path) -> io::Result<()> {
    match symlink(target, link) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let mut name = link.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    symlink(target, &fresh)?;
    fs::rename(&fresh, link)
}

/// Deletes a run's sandbox, its `latest` link if it leads there, and the folders above as far as they are empty and
/// below `stop`. Links are never followed. A path that is not there counts as deleted.
pub(crate) fn remove_run(sandbox: &Path, stop: &Path) -> bool {
    if !remove_tree(sandbox) {
        return false;
    }
    if let Some(runs) = sandbox.parent() {
        let latest = runs.join("latest");
        if fs::read_link(&latest).is_ok_and(|target| runs.join(target) == sandbox) {
            let _ = fs::remove_file(latest);
        }
        for folder in runs.ancestors() {
            // Not empty, or somebody else's: it stays.
            if folder == stop || !folder.starts_with(stop) || fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    true
}

/// Deletes a folder for good. Returns whether it is gone.
pub(crate) fn remove_tree(path: &Path) -> bool {
    match fs::remove_dir_all(path) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot delete a sandbox");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sandbox(layout: &Layout, run: &str) -> PathBuf {
        layout.sandbox(
            &AgentId::new("a-S0").unwrap(),
            &FrameworkId::new("f").unwrap(),
            &ExecutorId::new("e").unwrap(),
            &ContainerId::new(run).unwrap(),
        )
    }

    #[test]
    fn sandboxes_lie_where_mesos_puts_them() {
        let layout = Layout::new("/w".into());
        assert_eq!(
            sandbox(&layout, "c"),
            Path::new("/w/slaves/a-S0/frameworks/f/executors/e/runs/c")
        );
    }

    #[test]
    fn the_last_run_of_a_framework_takes_its_empty_folders_along() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().into());
        layout.prepare().unwrap();
        let (one, two) = (sandbox(&layout, "1"), sandbox(&layout, "2"));
        let stop = layout.agent(&AgentId::new("a-S0").unwrap());
        for run in [&one, &two] {
            fs::create_dir_all(run).unwrap();
            set_latest_run(run).unwrap();
        }
        let latest = one.with_file_name("latest");
        assert_eq!(
            fs::read_link(&latest).unwrap().as_os_str(),
            two.file_name().unwrap()
        );
        assert!(remove_run(&one, &stop));
        assert!(two.exists() && latest.exists());
        assert!(remove_run(&two, &stop));
        assert!(!stop.join("frameworks").exists() && stop.exists());
        assert!(
            remove_run(&two, &stop),
            "a path that is not there counts as deleted"
        );
    }

    #[test]
    fn deleting_never_follows_links() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().into());
        let run = sandbox(&layout, "1");
        fs::create_dir_all(&run).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), b"").unwrap();
        symlink(&outside, run.join("link")).unwrap();
        assert!(remove_run(&run, dir.path()));
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn removing_the_link_makes_a_new_agent() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().into());
        layout.prepare().unwrap();
        assert_eq!(layout.latest_agent(), None);
        let id = AgentId::new("a-S0").unwrap();
        layout.set_latest_agent(&id).unwrap();
        layout.set_latest_agent(&id).unwrap();
        assert_eq!(layout.latest_agent(), Some(id.clone()));
        fs::remove_file(dir.path().join("meta/slaves/latest")).unwrap();
        assert_eq!(layout.latest_agent(), None);
        assert!(layout.latest_was_removed(&id));
    }

    #[test]
    fn an_agent_that_died_before_it_made_the_link_is_still_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().into());
        layout.prepare().unwrap();
        assert!(!layout.latest_was_removed(&AgentId::new("a-S0").unwrap()));
    }
}
