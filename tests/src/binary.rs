//! Where the `meseta` binary is: what `tests/run` built, or built now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary of the profile this test was built in. Built on first use, so that it is never stale; `MESETA_BIN`
/// names one instead.
///
/// # Panics
/// When it cannot be built.
pub fn meseta() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MESETA_BIN") {
        Some(named) => PathBuf::from(named),
        None => build(),
    })
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "meseta"])
        .current_dir(root());
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    if profile == "release" {
        cargo.arg("--release");
    }
    let status = cargo.status();
    assert!(
        matches!(&status, Ok(status) if status.success()),
        "the binary cannot be built: {status:?}"
    );
    target().join(profile).join("meseta")
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The folder of targets, floors and traces beside the checkout: `MESETA_SHARED`, else `../shared`.
pub fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("MESETA_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared"));
    folder.is_dir().then_some(folder)
}
