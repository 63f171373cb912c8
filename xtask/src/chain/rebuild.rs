//! `cargo xtask rebuild [--rustc FILE]`: the same commit by another compiler that somebody else built and installed. Without a
//! name it is the one that stands first, which is the Rust project's own where rustup installed it.
//!
//! Another version writes other bytes, so nothing is compared byte by byte, and the program is linked with the C library of this
//! machine: a second compiler comes without the source of its standard library. What is held: the sources are not bound to
//! one build of the compiler, the program starts, and what is linked is the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_model::digest::Digest;

use super::clean::{How, Place, Source, cargo_home, root};
use super::graph::Graph;
use super::toolchain::{Record, Toolchain};
use super::{Options, Outcome, bytes, embedded, told};

/// `cargo xtask rebuild [--rustc FILE] [--profile P] [--in DIR] [--package P] [--program P]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let options = Options::of(words, &["rustc", "profile", "in", "package", "program"])?;
    let root = root()?;
    let record = Record::read(&root)?;
    let installed = Toolchain::read(&root)?;
    let other = match options.value("rustc") {
        Some(rustc) => installed.other(Path::new(rustc))?,
        None => installed,
    };
    let second = other.verbose.lines().next().unwrap_or_default();
    if second == record.rustc {
        return Err(format!("`{second}` is what releases are built with: it is no second compiler").into());
    }
    let source = Source::here(&root, options.or("package", "claw-cli"), options.or("program", "claw"))?;
    let graph = Graph::read(&root, &source.package)?;
    let below = options.value("in").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = fs::canonicalize(below)?.join(format!("claw-rebuild-{}", std::process::id()));
    let profile = options.or("profile", "release");
    let how = How { toolchain: &other, archives: None, profile, listed: true, mapped: true };
    let answer = Place::plain(directory.clone()).build(&source, &how).and_then(|path| {
        let said = told(Command::new(&path).arg("--version"))?;
        Ok((fs::read(&path)?, said))
    });
    fs::remove_dir_all(&directory)?;
    let (program, said) = answer?;
    let mut wrong = embedded::compare(&embedded::read(&program)?, &graph, &embedded::locked(&root)?);
    wrong.extend(bytes::leaks(&program, &[&directory, &source.root, &cargo_home()?, &other.sysroot]));
    if !wrong.is_empty() {
        return Err(format!("the program of the second compiler differs:\n  {}", wrong.join("\n  ")).into());
    }
    println!("{} of {}, {} profile", source.program, source.commit, how.profile);
    println!("first   {}", record.rustc);
    println!("second  {second}");
    println!(
        "it says `{}`, {} bytes, {}; all {} packages that are linked are listed inside",
        said.trim(),
        program.len(),
        Digest::of(&program),
        graph.linked().count()
    );
    Ok(())
}
