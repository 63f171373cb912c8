//! What is linked into a program, and what only helps to build it: read from cargo's own resolver for one package and one
//! platform, with the features that this build has.
//!
//! `cargo metadata` unites the features of all members and of tests; `cargo tree` resolves as `cargo build` does. Names come
//! from the second, licences and places from the first, checksums from Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};
use serde::Deserialize;

use super::{Outcome, TARGET, told};

/// A package at a version. Cargo.lock holds each such pair once, for everything is from one registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// One package of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Of the archive in the registry; our own crates have none.
    pub(crate) checksum: Option<String>,
    /// As an SPDX expression, if the package names one.
    pub(crate) licence: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) repository: Option<String>,
    /// Linked into the program; else it runs while the program is built.
    pub(crate) linked: bool,
    /// What it needs itself.
    pub(crate) needs: BTreeSet<Id>,
}

/// A program and all it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) root: Id,
    pub(crate) packages: BTreeMap<Id, Package>,
}

/// Cargo.lock, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Lock {
    #[serde(rename = "package")]
    pub(crate) packages: Vec<Locked>,
}

/// A package of Cargo.lock.
#[derive(Debug, Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) source: Option<String>,
    pub(crate) checksum: Option<String>,
}

/// The only registry that anything is from.
pub(crate) const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

impl Graph {
    /// What `package` of the workspace at `root` is made of.
    pub(crate) fn read(root: &Path, package: &str) -> Outcome<Graph> {
        let linked = edges(&tree(root, package, "normal,no-proc-macro")?)?;
        let all = edges(&tree(root, package, "normal,build")?)?;
        let metadata = metadata(root)?;
        let lock = lock(root)?;
        let root = all.first.clone().ok_or("cargo tree says nothing")?;
        let mut packages = BTreeMap::new();
        for (id, needs) in all.needs {
            let known = metadata
                .packages
                .iter()
                .find(|known| known.name.as_str() == id.name && known.version.to_string() == id.version)
                .ok_or_else(|| format!("cargo metadata does not know {} {}", id.name, id.version))?;
            let locked = lock
                .packages
                .iter()
                .find(|locked| locked.name == id.name && locked.version == id.version)
                .ok_or_else(|| format!("Cargo.lock does not know {} {}", id.name, id.version))?;
            if locked.source.as_ref().is_some_and(|source| source != REGISTRY) {
                return Err(format!("{} {} is not from the one registry", id.name, id.version).into());
            }
            let package = Package {
                checksum: locked.checksum.clone(),
                licence: known.license.as_deref().map(expression),
                description: known
                    .description
                    .as_ref()
                    .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
                repository: known.repository.clone(),
                linked: linked.needs.contains_key(&id),
                needs,
            };
            packages.insert(id, package);
        }
        Ok(Graph { root, packages })
    }

    /// What is linked, the program itself included.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (&Id, &Package)> {
        self.packages.iter().filter(|(_, package)| package.linked)
    }
}

impl Id {
    /// The package's address: <https://github.com/package-url/purl-spec>.
    pub(crate) fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }
}

/// What the workspace's packages say of themselves, for the one platform.
pub(crate) fn metadata(root: &Path) -> Outcome<Metadata> {
    let options = ["--locked", "--filter-platform", TARGET].map(str::to_owned).to_vec();
    Ok(MetadataCommand::new().current_dir(root).other_options(options).exec()?)
}

/// The lock file.
pub(crate) fn lock(root: &Path) -> Outcome<Lock> {
    Ok(toml::from_str(&std::fs::read_to_string(root.join("Cargo.lock"))?)?)
}

/// Older packages write `MIT/Apache-2.0` and mean a choice.
pub(crate) fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

fn tree(root: &Path, package: &str, kinds: &str) -> Outcome<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    told(
        Command::new(cargo)
            .current_dir(root)
            .args(["tree", "--locked", "--charset", "ascii", "--prefix", "depth", "--format", " {p}"])
            .args(["--package", package, "--edges", kinds, "--target", TARGET]),
    )
}

#[derive(Default)]
struct Edges {
    first: Option<Id>,
    needs: BTreeMap<Id, BTreeSet<Id>>,
}

/// `cargo tree` with depths: a line's parent is the last line before it that is one step higher.
fn edges(text: &str) -> Outcome<Edges> {
    let mut edges = Edges::default();
    let mut above: Vec<Id> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let wrong = || format!("cargo tree: `{line}`");
        let (depth, package) = line.split_once(' ').ok_or_else(wrong)?;
        let depth: usize = depth.parse().map_err(|_| wrong())?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            return Err(wrong().into());
        };
        let id = Id { name: name.to_owned(), version: version.to_owned() };
        edges.needs.entry(id.clone()).or_default();
        if depth > above.len() {
            return Err(wrong().into());
        }
        above.truncate(depth);
        match above.last() {
            Some(parent) => {
                edges.needs.entry(parent.clone()).or_default().insert(id.clone());
            }
            None => edges.first = edges.first.or_else(|| Some(id.clone())),
        }
        above.push(id);
    }
    Ok(edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        Id { name: name.to_owned(), version: "1.0.0".to_owned() }
    }

    #[test]
    fn a_line_belongs_to_the_one_above_it() {
        let text = "0 a v1.0.0 (/somewhere)\n1 b v1.0.0\n2 d v1.0.0\n1 c v1.0.0\n2 b v1.0.0 (*)\n2 e v1.0.0 (proc-macro)\n";
        let edges = edges(text).unwrap();
        assert_eq!(edges.first, Some(id("a")));
        let needs: Vec<(Id, Vec<Id>)> =
            edges.needs.into_iter().map(|(id, needs)| (id, needs.into_iter().collect())).collect();
        assert_eq!(
            needs,
            [
                (id("a"), vec![id("b"), id("c")]),
                (id("b"), vec![id("d")]),
                (id("c"), vec![id("b"), id("e")]),
                (id("d"), vec![]),
                (id("e"), vec![]),
            ]
        );
    }

    #[test]
    fn what_cargo_did_not_say_is_refused() {
        for wrong in ["a v1.0.0\n", "0 a\n", "0 a 1.0.0\n", "0 a v1.0.0\n2 b v1.0.0\n"] {
            assert!(edges(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_old_licence_is_a_choice() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
    }

    #[test]
    fn what_is_linked_is_told_from_what_builds() {
        let graph = Graph::read(&super::super::clean::root().unwrap(), "claw-cli").unwrap();
        let linked = |name: &str| {
            graph.packages.iter().find(|(id, _)| id.name == name).map(|(_, package)| package.linked)
        };
        assert_eq!(
            (linked("claw-gate"), linked("tokio"), linked("ring")),
            (Some(true), Some(true), Some(true))
        );
        assert_eq!(
            (linked("cc"), linked("serde_derive"), linked("proptest")),
            (Some(false), Some(false), None)
        );
        for (id, package) in &graph.packages {
            let own = id.name.starts_with("claw-");
            assert_eq!(package.checksum.is_none(), own, "{}", id.name);
            assert!(package.licence.is_some(), "{} names no licence", id.name);
            assert!(package.needs.iter().all(|needed| graph.packages.contains_key(needed)));
        }
    }
}
