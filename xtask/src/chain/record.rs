//! `cargo xtask record`: who looked at which dependency, and how deeply. `supply-chain/dependencies.toml` has one entry for each
//! package of Cargo.lock, with the checksum that the word is about; another checksum is another package that nobody looked at.
//!
//! What is not known is not claimed: a new entry says `pinned`, which is that nobody of Claw read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use serde::{Deserialize, Serialize};

use super::graph::{Graph, Id, expression, lock};
use super::{Outcome, clean};

/// Where the record lies.
const FILE: &str = "supply-chain/dependencies.toml";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    package: Vec<Entry>,
}

/// One package at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    version: String,
    checksum: String,
    licence: String,
    role: Role,
    /// Its code runs on the machine that builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Runs>,
    depth: Depth,
    /// Who looked; nobody, where it is only pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// What was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

/// What it is for, in the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    /// In the program.
    Linked,
    /// Helps to build it.
    Builds,
    /// Tests, developer tasks, other platforms.
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Runs {
    BuildScript,
    Macro,
}

/// How deeply somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Depth {
    /// Not read. The checksum is pinned, and the licence is the package's own word.
    Pinned,
    /// What Claw calls of it was read.
    Called,
    /// All of it was read.
    Whole,
}

/// Writes the record anew: what was said of a checksum stays, what is gone goes, what is new is only pinned.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let root = clean::root()?;
    match words {
        [] => {}
        ["check"] => return check(&root),
        _ => return Err("usage: cargo xtask record [check]".into()),
    }
    let path = root.join(FILE);
    let before = if path.exists() { read(&root)? } else { Record::default() };
    let said: BTreeMap<&str, &Entry> =
        before.package.iter().map(|entry| (entry.checksum.as_str(), entry)).collect();
    let metadata =
        MetadataCommand::new().current_dir(&root).other_options(vec!["--locked".to_owned()]).exec()?;
    let graph = Graph::read(&root, "claw-cli")?;
    let mut after = Record::default();
    let mut new = 0;
    for locked in lock(&root)?.packages {
        let Some(checksum) = locked.checksum else { continue };
        let id = Id { name: locked.name, version: locked.version };
        let mut entry = fresh(&id, checksum, &metadata, &graph);
        match said.get(entry.checksum.as_str()) {
            Some(said) => {
                (entry.depth, entry.by, entry.what) = (said.depth, said.by.clone(), said.what.clone());
            }
            None => new += 1,
        }
        after.package.push(entry);
    }
    let head = "# Every package that Cargo.lock names: what it is for, and who looked at it how deeply. See README.md here.\n# Written by `cargo xtask record`; what people say (depth, by, what) is kept as long as the checksum is the same.\n\n";
    fs::create_dir_all(root.join("supply-chain"))?;
    fs::write(&path, format!("{head}{}", toml::to_string(&after)?))?;
    println!("{FILE}: {} packages, {new} of them new and only pinned", after.package.len());
    Ok(())
}

/// `cargo xtask record check`.
fn check(root: &Path) -> Outcome<()> {
    let wrong = wrong(&read(root)?, &locked(root)?, &Graph::read(root, "claw-cli")?);
    if wrong.is_empty() {
        println!("{FILE} names what Cargo.lock names");
        return Ok(());
    }
    Err(format!("{FILE} is not true any more:\n  {}\nhint: cargo xtask record", wrong.join("\n  ")).into())
}

fn locked(root: &Path) -> Outcome<BTreeMap<Id, String>> {
    let packages = lock(root)?.packages.into_iter();
    let sum = |one: super::graph::Locked| Some((Id { name: one.name, version: one.version }, one.checksum?));
    Ok(packages.filter_map(sum).collect())
}

fn read(root: &Path) -> Outcome<Record> {
    let text = fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?)
}

fn fresh(id: &Id, checksum: String, metadata: &Metadata, graph: &Graph) -> Entry {
    let known = metadata
        .packages
        .iter()
        .find(|known| known.name.as_str() == id.name && known.version.to_string() == id.version);
    let has = |kind: &TargetKind| {
        known.is_some_and(|known| known.targets.iter().any(|target| target.kind.contains(kind)))
    };
    let runs = [(TargetKind::CustomBuild, Runs::BuildScript), (TargetKind::ProcMacro, Runs::Macro)];
    Entry {
        name: id.name.clone(),
        version: id.version.clone(),
        checksum,
        licence: known
            .and_then(|known| known.license.as_deref())
            .map_or_else(|| "unknown".to_owned(), expression),
        role: role(id, graph),
        runs: runs.into_iter().filter(|(kind, _)| has(kind)).map(|(_, runs)| runs).collect(),
        depth: Depth::Pinned,
        by: None,
        what: None,
    }
}

fn role(id: &Id, graph: &Graph) -> Role {
    match graph.packages.get(id) {
        Some(package) if package.linked => Role::Linked,
        Some(_) => Role::Builds,
        None => Role::Elsewhere,
    }
}

/// What is wrong with the record, for this lock file and this graph.
fn wrong(record: &Record, locked: &BTreeMap<Id, String>, graph: &Graph) -> Vec<String> {
    let mut all = Vec::new();
    let mut seen = BTreeMap::new();
    for entry in &record.package {
        let id = Id { name: entry.name.clone(), version: entry.version.clone() };
        let mut tell = |what: &str| all.push(format!("{} {}: {what}", id.name, id.version));
        match locked.get(&id) {
            None => tell("is recorded and not in Cargo.lock"),
            Some(checksum) if *checksum != entry.checksum => tell("has another checksum in Cargo.lock"),
            Some(_) => {}
        }
        if entry.role != role(&id, graph) {
            tell("is for something else than recorded");
        }
        if (entry.depth == Depth::Pinned) != entry.by.is_none() || entry.by.is_none() != entry.what.is_none()
        {
            tell("says that somebody looked and not who and at what, or the other way round");
        }
        if seen.insert(id.clone(), ()).is_some() {
            tell("is recorded twice");
        }
    }
    let missing = locked.keys().filter(|id| !seen.contains_key(*id));
    all.extend(missing.map(|id| format!("{} {}: is in Cargo.lock and not recorded", id.name, id.version)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> (Record, BTreeMap<Id, String>, Graph) {
        let root = clean::root().unwrap();
        (read(&root).unwrap(), locked(&root).unwrap(), Graph::read(&root, "claw-cli").unwrap())
    }

    #[test]
    fn every_dependency_is_recorded_with_its_checksum() {
        let (record, locked, graph) = all();
        let wrong = wrong(&record, &locked, &graph);
        assert!(wrong.is_empty(), "run `cargo xtask record`:\n{}", wrong.join("\n"));
    }

    #[test]
    fn a_false_word_in_the_record_is_found() {
        let check = |change: &dyn Fn(&mut Record), told: &str| {
            let (mut record, locked, graph) = all();
            change(&mut record);
            let wrong = wrong(&record, &locked, &graph);
            assert!(wrong.iter().any(|line| line.contains(told)), "{told}: {wrong:?}");
        };
        let first =
            |record: &mut Record, change: &dyn Fn(&mut Entry)| change(record.package.first_mut().unwrap());
        check(&|record| drop(record.package.pop()), "not recorded");
        check(&|record| record.package.push(record.package.first().unwrap().clone()), "twice");
        check(&|record| first(record, &|entry| entry.version = "99.0.0".to_owned()), "not in Cargo.lock");
        check(&|record| first(record, &|entry| entry.checksum = "0".repeat(64)), "another checksum");
        check(&|record| first(record, &|entry| entry.depth = Depth::Whole), "not who");
        check(&|record| first(record, &|entry| entry.by = Some("somebody".to_owned())), "not who");
        check(
            &|record| {
                first(record, &|entry| {
                    entry.role = if entry.role == Role::Linked { Role::Builds } else { Role::Linked }
                })
            },
            "something else",
        );
    }
}
