//! The house: which crate may know which. Read from `cargo metadata`, so it cannot drift.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Level of each crate; one may depend only on lower levels, or on its own level where listed in `BESIDE`.
const LEVELS: &[(&str, u8)] = &[
    ("claw-model", 0),
    ("claw-policy", 1),
    ("claw-wire", 1),
    ("claw-ledger", 1),
    ("claw-image", 1),
    ("claw-adapter", 1),
    ("claw-plan", 1),
    ("claw-footprint", 1),
    ("claw-host", 1),
    ("claw-verify", 1),
    ("claw-sys", 2),
    ("claw-enforce", 3),
    ("claw-gate", 3),
    ("claw-run", 3),
    ("claw-commits", 3),
    ("claw-cli", 4),
    ("claw-testkit", 5),
    ("xtask", 5),
];

/// Crates of one level that may know each other, in one direction.
const BESIDE: &[(&str, &str)] = &[
    ("claw-plan", "claw-policy"),
    ("claw-adapter", "claw-policy"),
    ("claw-adapter", "claw-verify"),
    ("claw-footprint", "claw-policy"),
    ("claw-footprint", "claw-ledger"),
    ("claw-host", "claw-policy"),
    ("claw-gate", "claw-enforce"),
    ("claw-run", "claw-enforce"),
    ("claw-run", "claw-gate"),
    ("xtask", "claw-testkit"),
];

/// Crates that decide and do not act: none of these may be linked into them.
const PURE: &[&str] = &[
    "claw-model",
    "claw-policy",
    "claw-wire",
    "claw-ledger",
    "claw-image",
    "claw-adapter",
    "claw-plan",
    "claw-footprint",
    "claw-host",
    "claw-verify",
];
const ACTING: &[&str] =
    &["tokio", "libc", "rustix", "nix", "hickory-resolver", "landlock", "socket2", "claw-sys"];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let normal = |package: &cargo_metadata::Package| {
        let kept = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        kept.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

#[test]
fn every_crate_has_a_level() {
    for name in dependencies().keys() {
        assert!(level(name).is_some(), "{name} has no level: say where it stands in the house");
    }
}

#[test]
fn dependencies_point_down() {
    for (name, dependencies) in dependencies() {
        for dependency in dependencies {
            let (Some(own), Some(other)) = (level(&name), level(&dependency)) else { continue };
            let beside = BESIDE.contains(&(name.as_str(), dependency.as_str()));
            assert!(
                other < own || (other == own && beside),
                "{name} (level {own}) knows {dependency} (level {other})"
            );
        }
    }
}

#[test]
fn crates_that_decide_do_not_act() {
    for (name, dependencies) in dependencies() {
        if !PURE.contains(&name.as_str()) {
            continue;
        }
        for dependency in dependencies {
            assert!(!ACTING.contains(&dependency.as_str()), "{name} decides, and may not link {dependency}");
        }
    }
}

#[test]
fn only_sys_may_be_unsafe() {
    let root = MetadataCommand::new().no_deps().exec().unwrap().workspace_root;
    let mut files = vec![root.join("crates").into_std_path_buf(), root.join("xtask").into_std_path_buf()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let in_sys = path.components().any(|part| part.as_os_str() == "sys");
        let own = path.ends_with("levels.rs");
        if in_sys || own || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe_code"] {
            assert!(!text.contains(word), "{} holds `{word}`", path.display());
        }
    }
}
