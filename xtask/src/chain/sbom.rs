//! `cargo xtask sbom`: the bill of materials of a build, in both common forms. The same build gives the same bytes.

use std::fs;
use std::path::Path;

use claw_model::digest::Digest;

use super::archives::version;
use super::bytes::shared;
use super::clean::{Source, root};
use super::graph::Graph;
use super::toolchain::Record;
use super::{Options, Outcome, cyclonedx, spdx};

/// How the standard library is called; it is linked, and is no package of cargo's.
pub(crate) const STANDARD_LIBRARY: &str = "rust-std";

/// What both documents tell.
pub(crate) struct Bill<'a> {
    pub(crate) graph: &'a Graph,
    /// What the program is called.
    pub(crate) program: &'a str,
    /// Its SHA-256 as hex, if it was built already.
    pub(crate) binary: Option<String>,
    /// Libraries that it loads when it starts.
    pub(crate) shared: Vec<String>,
    /// Libraries in C that are linked into it: name, version, licence.
    pub(crate) linked: Vec<(&'static str, String, &'static str)>,
    pub(crate) commit: &'a str,
    /// Of the commit, RFC 3339: a build has no other time.
    pub(crate) time: &'a str,
    pub(crate) compiler: &'a str,
}

impl<'a> Bill<'a> {
    /// The bill for a program; with its bytes, where it was built.
    pub(crate) fn of(
        graph: &'a Graph,
        source: &'a Source,
        toolchain: &'a Record,
        built: Option<&[u8]>,
    ) -> Outcome<Bill<'a>> {
        let shared = built.map(shared).transpose()?.unwrap_or_default();
        let version = |package: &str| version(&toolchain.archives, package).unwrap_or_default();
        let linked = match shared.is_empty() {
            true => vec![
                ("musl", version("musl-dev"), "MIT"),
                ("libunwind", version(unwinder(toolchain)), "Apache-2.0 WITH LLVM-exception"),
                (
                    "libgcc",
                    toolchain.cc.rsplit(' ').next().unwrap_or_default().to_owned(),
                    "GPL-3.0-or-later WITH GCC-exception-3.1",
                ),
            ],
            false => Vec::new(),
        };
        Ok(Bill {
            graph,
            program: &source.program,
            binary: built.map(|bytes| Digest::of(bytes).hex()),
            shared,
            linked,
            commit: &source.commit,
            time: &source.time,
            compiler: toolchain.release()?,
        })
    }

    /// Both documents, by file name.
    pub(crate) fn documents(&self) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for (form, document) in [("cdx", cyclonedx::document(self)?), ("spdx", spdx::document(self)?)] {
            let mut text = serde_json::to_vec_pretty(&document)?;
            text.push(b'\n');
            files.push((format!("{}.{form}.json", self.program), text));
        }
        Ok(files)
    }

    /// RFC 9562, version 8: a name that follows from what was built, so that a repeated build repeats it.
    pub(crate) fn uuid(&self) -> String {
        let text = format!("{} {} {:?} {}", self.program, self.commit, self.binary, self.compiler);
        let hex = Digest::of(text.as_bytes()).hex();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
    }

    /// The program's own licence.
    pub(crate) fn root_licence(&self) -> Option<String> {
        self.graph.packages.get(&self.graph.root).and_then(|package| package.licence.clone())
    }
}

/// The archive of the unwinder has the compiler's version in its name.
fn unwinder(toolchain: &Record) -> &str {
    let name = toolchain.archives.keys().find(|name| name.starts_with("libunwind-"));
    name.and_then(|name| name.split('_').next()).unwrap_or_default()
}

/// `cargo xtask sbom [--out DIR] [--package P] [--binary FILE]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let options = Options::of(words, &["out", "package", "program", "binary"])?;
    let root = root()?;
    let source = Source::here(&root, options.or("package", "claw-cli"), options.or("program", "claw"))?;
    let graph = Graph::read(&root, &source.package)?;
    let toolchain = Record::read(&root)?;
    let built = options.value("binary").map(fs::read).transpose()?;
    let bill = Bill::of(&graph, &source, &toolchain, built.as_deref())?;
    let out = Path::new(options.or("out", "target/sbom"));
    fs::create_dir_all(out)?;
    for (name, text) in bill.documents()? {
        fs::write(out.join(&name), text)?;
        println!("{}", out.join(name).display());
    }
    println!(
        "{} crates are linked, {} more help to build",
        graph.linked().count(),
        graph.packages.len() - graph.linked().count()
    );
    Ok(())
}
