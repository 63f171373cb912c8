//! The list of packages that a built program carries in itself (`cargo auditable`), read back and compared with what cargo's
//! resolver says.
//!
//! The list is wider: it is made from `cargo metadata`, which unites the features of all members and counts macros as linked. So
//! all that is linked must be in it, and what it names besides must be in Cargo.lock.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::graph::{Graph, Id, lock};
use super::{Options, Outcome, clean};

/// What is listed as linked.
pub(crate) fn read(program: &[u8]) -> Outcome<BTreeSet<Id>> {
    let listed = claw_verify::embedded::read(program)?;
    Ok(listed.into_iter().map(|one| Id { name: one.name, version: one.version }).collect())
}

/// What is linked and not listed, and what is listed and nowhere in Cargo.lock.
pub(crate) fn compare(listed: &BTreeSet<Id>, graph: &Graph, locked: &BTreeSet<Id>) -> Vec<String> {
    let linked: BTreeSet<&Id> = graph.linked().map(|(id, _)| id).collect();
    let only = |id: &Id, what: &str| format!("{} {} {what}", id.name, id.version);
    let missing = linked.iter().filter(|id| !listed.contains(**id));
    let strange = listed.iter().filter(|id| !locked.contains(*id));
    missing
        .map(|id| only(id, "is linked and not listed inside"))
        .chain(strange.map(|id| only(id, "is listed inside and not in Cargo.lock")))
        .collect()
}

/// The packages of the lock file.
pub(crate) fn locked(root: &Path) -> Outcome<BTreeSet<Id>> {
    let packages = lock(root)?.packages.into_iter();
    Ok(packages.map(|one| Id { name: one.name, version: one.version }).collect())
}

/// `cargo xtask embedded --binary FILE [--package P]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let options = Options::of(words, &["binary", "package"])?;
    let listed = read(&fs::read(Path::new(options.need("binary")?))?)?;
    let root = clean::root()?;
    let graph = Graph::read(&root, options.or("package", "claw-cli"))?;
    let differences = compare(&listed, &graph, &locked(&root)?);
    if !differences.is_empty() {
        return Err(
            format!("the list inside and cargo's resolver differ:\n  {}", differences.join("\n  ")).into()
        );
    }
    for Id { name, version } in &listed {
        println!("{name} {version}");
    }
    println!(
        "{} packages are listed inside; all {} that are linked are among them",
        listed.len(),
        graph.linked().count()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::chain::told;

    /// A program into which a list was put by binutils, packed by Python.
    fn carrying(name: &str, list: &str) -> Vec<u8> {
        let directory = clean::root().unwrap().join("target/tmp").join(name);
        fs::create_dir_all(&directory).unwrap();
        let (packed, program) = (directory.join("list"), directory.join("program"));
        let script = "import sys, zlib; open(sys.argv[2], 'wb').write(zlib.compress(sys.argv[1].encode()))";
        told(Command::new("/usr/bin/python3").args(["-c", script, list]).arg(&packed)).unwrap();
        let section = format!(".dep-v0={}", packed.display());
        told(Command::new("objcopy").args(["--add-section", &section, "/usr/bin/true"]).arg(&program))
            .unwrap();
        fs::read(program).unwrap()
    }

    fn list(graph: &Graph, more: &[(&str, &str)]) -> String {
        let one = |name: &str, version: &str, kind: &str| serde_json::json!({"name": name, "version": version, "source": "crates.io", "kind": kind});
        let linked = |linked: bool| if linked { "runtime" } else { "build" };
        let mut all: Vec<serde_json::Value> = graph
            .packages
            .iter()
            .map(|(id, package)| one(&id.name, &id.version, linked(package.linked)))
            .collect();
        all.extend(more.iter().map(|(name, version)| one(name, version, "runtime")));
        serde_json::json!({"packages": all}).to_string()
    }

    #[test]
    fn the_list_inside_a_program_is_read_back() {
        let graph = Graph::read(&clean::root().unwrap(), "claw-cli").unwrap();
        let listed = read(&carrying("embedded-same", &list(&graph, &[]))).unwrap();
        assert_eq!(listed.len(), graph.linked().count());
        let locked = locked(&clean::root().unwrap()).unwrap();
        assert_eq!(compare(&listed, &graph, &locked), Vec::<String>::new());
        let fewer = listed.iter().filter(|id| id.name != "tokio").cloned().collect();
        let told = compare(&fewer, &graph, &locked);
        assert!(
            told.len() == 1
                && told.iter().all(|line| line.starts_with("tokio ") && line.contains("not listed")),
            "{told:?}"
        );
        let listed = read(&carrying("embedded-more", &list(&graph, &[("left-pad", "1.0.0")]))).unwrap();
        assert_eq!(
            compare(&listed, &graph, &locked),
            ["left-pad 1.0.0 is listed inside and not in Cargo.lock"]
        );
    }

    #[test]
    fn a_program_without_a_list_or_with_another_thing_is_told() {
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(told(&fs::read("/usr/bin/true").unwrap()).contains("carries no list"));
        assert!(told(b"#!/bin/sh").contains("carries no list"));
        assert!(told(&carrying("embedded-other", "{\"packages\": 7}")).contains("form"));
        let script = "import sys, zlib; open(sys.argv[1], 'wb').write(zlib.compress(b'[' * (8 << 20)))";
        let packed = clean::root().unwrap().join("target/tmp/embedded-bomb");
        super::super::told(Command::new("/usr/bin/python3").args(["-c", script]).arg(&packed)).unwrap();
        let program = packed.with_extension("program");
        let section = format!(".dep-v0={}", packed.display());
        super::super::told(
            Command::new("objcopy").args(["--add-section", &section, "/usr/bin/true"]).arg(&program),
        )
        .unwrap();
        assert!(told(&fs::read(program).unwrap()).contains("more than"));
    }
}
