//! `cargo xtask rebuild --rustc FILE`: the same commit by another compiler that somebody else built and installed.
//!
//! Another version writes other bytes, so nothing is compared byte by byte. What is held: the sources are not bound to one
//! build of the compiler, the program starts, and what is linked is the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_model::digest::Digest;

use super::clean::{How, Place, Source, cargo_home, root};
use super::graph::Graph;
use super::toolchain::Toolchain;
use super::{Options, Outcome, bytes, embedded, told};

/// `cargo xtask rebuild --rustc FILE [--profile P] [--in DIR] [--package P] [--program P]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let options = Options::of(words, &["rustc", "profile", "in", "package", "program"])?;
    let root = root()?;
    let own = Toolchain::read(&root)?;
    let other = own.other(Path::new(options.need("rustc")?), &root)?;
    if other.verbose == own.verbose {
        return Err("this compiler says the same of itself as the first: it is no second one".into());
    }
    let source = Source::here(&root, options.or("package", "claw-cli"), options.or("program", "claw"))?;
    let graph = Graph::read(&root, &source.package)?;
    let below = options.value("in").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = fs::canonicalize(below)?.join(format!("claw-rebuild-{}", std::process::id()));
    let how =
        How { toolchain: &other, profile: options.or("profile", "release"), listed: true, mapped: true };
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
    println!("first   {}", own.verbose.lines().next().unwrap_or_default());
    println!("second  {}", other.verbose.lines().next().unwrap_or_default());
    println!(
        "it says `{}`, {} bytes, {}; all {} packages that are linked are listed inside",
        said.trim(),
        program.len(),
        Digest::of(&program),
        graph.linked().count()
    );
    Ok(())
}
