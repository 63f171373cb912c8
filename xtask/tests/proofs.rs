//! What documents and tables say of tests and numbers is so.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use claw_host::threat::PROOFS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Whether a file holds a test of this name: between its `#[test]` and its name stands no other function.
fn has_test(path: &str, name: &str) -> bool {
    let text = read(path);
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else { return false };
    before.rsplit_once("#[test]").is_some_and(|(_, between)| !between.contains("fn "))
}

/// Links of Markdown: text and target.
fn links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("](").collect::<Vec<_>>();
    let pairs = parts.iter().zip(parts.iter().skip(1));
    pairs
        .filter_map(|(before, after)| {
            let name = before.rsplit_once('[')?.1;
            Some((name, after.split_once(')')?.0))
        })
        .collect()
}

#[test]
fn every_named_proof_is_a_test() {
    for proof in PROOFS {
        assert!(has_test(proof.path, proof.name), "{} holds no test {}", proof.path, proof.name);
    }
    assert!(!has_test("xtask/tests/proofs.rs", "read"), "a function that is no test counts as one");
}

#[test]
fn every_control_of_the_threat_model_is_linked_to_its_test() {
    let text = read("docs/threat-model.md");
    let mut tests = 0;
    for (name, target) in links(&text) {
        let Some(path) = target.strip_prefix("../").filter(|path| path.ends_with(".rs")) else { continue };
        assert!(has_test(path, name.trim_matches('`')), "{path} holds no test {name}");
        tests += 1;
    }
    assert!(tests > 50, "only {tests} tests are linked");
    let (_, table) = text.split_once("## Threats and controls").unwrap();
    let (table, _) = table.split_once("## What all of it assumes").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Boundary"));
    for row in rows {
        assert!(row.contains(".rs)"), "no test: {row}");
    }
}

#[test]
fn the_ceilings_are_those_of_the_code() {
    let text = read("docs/limits.md");
    let mut compared = 0;
    for line in text.lines().filter(|line| line.starts_with("| ") && line.contains(".rs)")) {
        let (name, target) = *links(line).last().unwrap();
        let value = line.split('|').nth(2).unwrap().trim().trim_matches('`');
        let source = read(target.trim_start_matches("../"));
        let stated = source.lines().filter_map(|line| line.split_once(&format!("const {name}: ")));
        let held =
            stated.filter_map(|(_, rest)| rest.split_once(" = ")?.1.strip_suffix(';')).collect::<Vec<_>>();
        assert_eq!(held, [value], "{name} in {target}");
        compared += 1;
    }
    assert!(compared > 40, "only {compared} were compared");
}

/// Whether a constant's name says that it bounds something.
fn is_bound(name: &str) -> bool {
    let words = ["MOST", "LARGEST", "LONGEST", "DEEPEST", "MAX", "PATIENCE", "SILENCE", "MANY"];
    name.split('_').any(|word| words.contains(&word)) && !name.starts_with("IFLA")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_bound_of_the_code_is_in_the_list() {
    let page = read("docs/limits.md");
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap().flatten() {
        if !entry.path().ends_with("testkit") {
            sources(&entry.path().join("src"), &mut files);
        }
    }
    let (mut missing, mut seen) = (Vec::new(), 0);
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for line in fs::read_to_string(&file).unwrap().lines() {
            let Some((_, rest)) = line.split_once("const ") else { continue };
            let Some((name, rest)) = rest.split_once(": ") else { continue };
            if !is_bound(name) || !rest.contains(" = ") {
                continue;
            }
            seen += 1;
            if !page.contains(&format!("[{name}](../{path})")) {
                missing.push(format!("| … | `…` | | [{name}](../{path}) |"));
            }
        }
    }
    assert!(seen > 150, "only {seen} bounds were found");
    assert!(missing.is_empty(), "docs/limits.md does not name these:\n{}", missing.join("\n"));
}

#[test]
fn pages_lead_to_pages_that_are_there() {
    for page in [
        "docs/firewall.md",
        "docs/limits.md",
        "docs/threat-model.md",
        "docs/doctor.md",
        "docs/verify-claw.md",
        "supply-chain/README.md",
        "docs/README.md",
        "docs/tasks/draw-a-threat-model.md",
    ] {
        let directory = root().join(page).parent().unwrap().to_owned();
        for (name, target) in links(&read(page)) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(directory.join(file).exists(), "{page}: [{name}]({target}) leads nowhere");
        }
    }
}
