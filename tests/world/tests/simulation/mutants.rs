//! Mutants: deliberate defects of the cores, kept as patches, each built into a copy of the tree and hunted there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the hunt prints before the finding.
pub(super) const FOUND: &str = "mutant found: ";
/// What a copy of the tree leaves out: what is built, what is fetched, what git keeps.
const LEFT_OUT: [&str; 5] = ["target", ".git", ".venv", "golden", "node_modules"];

/// A patch.
pub(super) struct Mutant {
    pub(super) name: String,
    patch: PathBuf,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every patch of a folder, by name.
pub(super) fn all(folder: &str) -> Vec<Mutant> {
    let folder = root().join(folder);
    let mut mutants: Vec<Mutant> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "patch"))
        .map(|patch| Mutant {
            name: patch.file_stem().unwrap().to_string_lossy().into_owned(),
            patch,
        })
        .collect();
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(
        mutants.len() >= 2,
        "{} has {} patches",
        folder.display(),
        mutants.len()
    );
    mutants
}

/// A copy of the tree that mutants are applied to, one after the other: what a mutant leaves alone is built once.
pub(super) struct Ground {
    work: PathBuf,
    tree: PathBuf,
    /// The test file that hunts.
    test: &'static str,
}

impl Ground {
    pub(super) fn prepare(test: &'static str) -> Result<Ground, String> {
        let work = root().join("target/mutants");
        let tree = work.join("tree");
        let _ = std::fs::remove_dir_all(&tree);
        copy(&root(), &tree).map_err(|e| format!("the tree cannot be copied: {e}"))?;
        Ok(Ground { work, tree, test })
    }

    /// Builds the mutant's world and lets it look for the defect: the finding, or why there is none.
    pub(super) fn hunt(&self, mutant: &Mutant) -> Result<String, String> {
        self.apply(mutant, &[])?;
        let found = self.run();
        self.apply(mutant, &["--reverse"])?;
        found
    }

    fn apply(&self, mutant: &Mutant, how: &[&str]) -> Result<(), String> {
        let applied = Command::new("git")
            .arg("apply")
            .args(how)
            .arg(&mutant.patch)
            // The copy lies below the checkout, whose repository must not be found.
            .env("GIT_CEILING_DIRECTORIES", &self.work)
            .current_dir(&self.tree)
            .output();
        let applied = applied.map_err(|e| format!("git cannot be run: {e}"))?;
        if applied.status.success() {
            return Ok(());
        }
        Err(format!(
            "does not apply: {}",
            String::from_utf8_lossy(&applied.stderr)
        ))
    }

    fn run(&self) -> Result<String, String> {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--release", "--offline", "--quiet"])
            .args(["--package", "meseta-world", "--test", self.test])
            .args(["--", "--ignored", "--nocapture", "hunt"])
            .env("CARGO_TARGET_DIR", self.work.join("target"))
            .env_remove("MESETA_BAR_OUT")
            .current_dir(&self.tree)
            .output();
        let output = output.map_err(|e| format!("cargo cannot be run: {e}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = said
            .lines()
            .find_map(|line| Some(line.split_once(FOUND)?.1.to_owned()));
        found.filter(|_| output.status.success()).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            let mut last: Vec<&str> = errors.lines().rev().take(5).collect();
            last.reverse();
            format!("not found: {}", last.join(" | "))
        })
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left| name == *left) {
            continue;
        }
        let kind = entry.file_type()?;
        let target = to.join(&name);
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
