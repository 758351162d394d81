//! Tests that need something of the machine: absent it, they fail in CI and say so elsewhere.

/// Returns whether the test can run. Without what it needs: in CI (`CI=true`) the test fails, elsewhere it prints
/// `SKIPPED: why` and the caller returns.
///
/// # Panics
/// In CI, when the thing is absent.
pub fn unless(there: bool, why: &str) -> bool {
    if !there {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI lacks what this test needs: {why}"
        );
        println!("SKIPPED: {why}");
    }
    there
}

/// Whether this process may do what root may.
pub fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether the cgroup v1 controllers of the isolation are mounted and this process may use them.
pub fn cgroups_v1() -> bool {
    root()
        && ["cpu", "memory", "pids"]
            .iter()
            .all(|c| std::path::Path::new("/sys/fs/cgroup").join(c).is_dir())
}
