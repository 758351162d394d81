//! What the layout promises, held by tests: which crate may know which, which are pure, how files begin and how long
//! they may be, and words that have no place here.
#![allow(clippy::unwrap_used)]

use meseta_tests::binary::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crate → crates of ours it may depend on, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("meseta-types", &[]),
    ("meseta-proto", &["meseta-types"]),
    ("meseta-http", &["meseta-types", "meseta-proto"]),
    ("meseta-store", &["meseta-types"]),
    ("meseta-allocator", &["meseta-types"]),
    ("meseta-master-core", &["meseta-types", "meseta-allocator"]),
    ("meseta-agent-core", &["meseta-types"]),
    ("meseta-containerizer", &["meseta-types"]),
    (
        "meseta-master",
        &[
            "meseta-types",
            "meseta-proto",
            "meseta-http",
            "meseta-store",
            "meseta-master-core",
        ],
    ),
    (
        "meseta-agent",
        &[
            "meseta-types",
            "meseta-proto",
            "meseta-http",
            "meseta-store",
            "meseta-agent-core",
            "meseta-containerizer",
        ],
    ),
    ("meseta-sdk", &["meseta-types", "meseta-proto"]),
    ("meseta-service-core", &["meseta-types"]),
    ("meseta-cron-core", &["meseta-types"]),
    (
        "meseta-service",
        &[
            "meseta-types",
            "meseta-http",
            "meseta-store",
            "meseta-sdk",
            "meseta-service-core",
        ],
    ),
    (
        "meseta-cron",
        &[
            "meseta-types",
            "meseta-http",
            "meseta-store",
            "meseta-sdk",
            "meseta-cron-core",
        ],
    ),
    ("meseta-examples", &["meseta-sdk"]),
    (
        "meseta",
        &[
            "meseta-types",
            "meseta-proto",
            "meseta-http",
            "meseta-store",
            "meseta-master",
            "meseta-agent",
            "meseta-containerizer",
            "meseta-cron",
            "meseta-sdk",
            "meseta-service",
            "meseta-service-core",
            "meseta-cron-core",
        ],
    ),
    (
        "meseta-world",
        &[
            "meseta-types",
            "meseta-allocator",
            "meseta-master-core",
            "meseta-agent-core",
            "meseta-store",
            "meseta-proto",
            "meseta-sdk",
            "meseta-service-core",
            "meseta-cron-core",
        ],
    ),
];

/// The crates that decide and never touch the world.
const PURE: &[(&str, &str)] = &[
    ("meseta-types", "proto/types"),
    ("meseta-allocator", "master/allocator"),
    ("meseta-master-core", "master/core"),
    ("meseta-agent-core", "agent/core"),
    ("meseta-service-core", "frameworks/service/core"),
    ("meseta-cron-core", "frameworks/cron/core"),
];

/// What a pure crate may depend on besides our pure crates: calendars and expressions are computed, not asked for.
const PURE_MAY_USE: &[&str] = &[
    "arcstr",
    "bytes",
    "thiserror",
    "smallvec",
    "jiff",
    "croner",
    "regex-lite",
];

/// Longest source file, in lines.
const LINES_MAX: usize = 900;

fn metadata() -> serde_json::Value {
    let out = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Crate → names of its ordinary dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let ordinary = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].is_null());
            let names = ordinary.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (name, dependencies) in dependencies() {
        let ours = dependencies
            .iter()
            .filter(|d| *d == "meseta" || d.starts_with("meseta-"));
        if name == "meseta-tests" {
            continue;
        }
        let allowed = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no row in ARROWS"));
        for other in ours {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_touches_the_world() {
    let all = dependencies();
    for (name, _) in PURE {
        for dependency in &all[*name] {
            let pure = PURE.iter().any(|(pure, _)| *pure == dependency.as_str())
                || PURE_MAY_USE.contains(&dependency.as_str());
            assert!(pure, "{name} is pure and must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_crates_have_the_lints_that_keep_them_pure() {
    for (_, folder) in PURE {
        let clippy = root().join(folder).join("clippy.toml");
        let text = std::fs::read_to_string(&clippy).unwrap_or_else(|e| panic!("{}: {e}", clippy.display()));
        for banned in [
            "std::time::Instant",
            "std::time::SystemTime",
            "std::thread::spawn",
        ] {
            assert!(
                text.contains(banned),
                "{} does not ban {banned}",
                clippy.display()
            );
        }
    }
}

#[test]
fn unsafe_code_is_only_allowed_in_the_containerizer() {
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let inside = file.starts_with(root().join("agent/containerizer"));
        let allows = text
            .lines()
            .any(|line| line.contains("allow(unsafe_code)") && !line.contains("lines()"));
        assert!(inside || !allows, "{} allows unsafe code", file.display());
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_test = file.ends_with("tests.rs");
        let says = text.lines().take(5).any(|line| line.starts_with("//!"));
        assert!(says || is_test, "{} has no head (//!)", file.display());
    }
}

#[test]
fn no_source_file_is_too_long_to_hold_in_the_head() {
    let long: Vec<String> = rust_files()
        .into_iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_crate_of_the_workspace_is_in_the_map_of_the_architecture() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in dependencies().keys() {
        assert!(
            text.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not name {name}"
        );
    }
}

#[test]
fn links_between_our_pages_lead_somewhere() {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(|page| root().join(page))
        .to_vec();
    walk(&root().join("docs"), ".md", &mut pages);
    assert!(pages.len() > 5, "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        let folder = page.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") {
                assert!(
                    folder.join(path).exists(),
                    "{} links to {link}, which does not exist",
                    page.display()
                );
            }
        }
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), ".rs", &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "golden" {
                walk(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}
