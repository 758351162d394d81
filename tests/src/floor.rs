//! The physical floor of launching processes on this machine: `par` of the folder `floors` beside the checkout.

use crate::binary::{root, shared};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Launcher counts `par` tries.
const LAUNCHERS: usize = 5;

/// As the floors' own manifest has it, for `par` alone.
const MANIFEST: &str = r#"[package]
name = "par"
version = "0.1.0"
edition = "2021"
[dependencies]
libc = "0.2"
[profile.release]
opt-level = 3
lto = "thin"
codegen-units = 4
debug = false
[workspace]
"#;

/// The built program and the small root folder it runs `true` from.
#[derive(Debug)]
pub struct Floor {
    program: PathBuf,
    root: tempfile::TempDir,
}

impl Floor {
    /// Builds it, once per checkout.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn build() -> Result<Floor, String> {
        let source = shared()
            .map(|s| s.join("floors/src/bin/par.rs"))
            .filter(|f| f.is_file());
        let source = source.ok_or("no floors beside the checkout (MESETA_SHARED names another place)")?;
        let project = root().join("target/floors");
        let made = make_project(&project, &source);
        made.map_err(|error| format!("{}: {error}", project.display()))?;
        let status = Command::new("cargo")
            .args(["build", "--release", "--quiet", "--target-dir", "target"])
            .current_dir(&project)
            .status();
        if !matches!(&status, Ok(s) if s.success()) {
            return Err(format!("{} does not build: {status:?}", source.display()));
        }
        let small = small_root().map_err(|error| format!("the root of `par`: {error}"))?;
        Ok(Floor {
            program: project.join("target/release/par"),
            root: small,
        })
    }

    /// Processes per second, exec only, the best of all launcher counts.
    ///
    /// # Panics
    /// When the program does not run.
    pub fn exec_only(&self) -> f64 {
        let spawned = Command::new(&self.program)
            .arg(self.root.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        let rates: Vec<f64> = lines
            .into_iter()
            .flatten()
            .map_while(Result::ok)
            .take_while(|line| line.starts_with("exec only"))
            .take(LAUNCHERS)
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let at = words.iter().position(|w| *w == "/s")?;
                words.get(at.checked_sub(1)?)?.parse().ok()
            })
            .collect();
        // The rest of its measurements are of other kinds of launch.
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("floorpar-{}", child.id())));
        let best = rates.iter().copied().fold(0.0, f64::max);
        assert!(best > 0.0, "`par` printed no rate");
        best
    }
}

/// A project of its own for the one program: the folder of the floors is not ours to write to, and the other floors
/// need what this one does not.
fn make_project(project: &Path, source: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(project.join("src"))?;
    std::fs::copy(source, project.join("src/main.rs"))?;
    std::fs::write(project.join("Cargo.toml"), MANIFEST)
}

fn small_root() -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::TempDir::new()?;
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin)?;
    std::fs::create_dir(folder.path().join("proc"))?;
    // As the floors' own script does, where there is a static busybox; else the system's `true`.
    let busybox = Path::new("/bin/busybox");
    if busybox.is_file() {
        std::fs::copy(busybox, bin.join("busybox"))?;
        symlink("busybox", bin.join("true"))?;
    } else {
        std::fs::copy("/bin/true", bin.join("true"))?;
    }
    Ok(folder)
}
