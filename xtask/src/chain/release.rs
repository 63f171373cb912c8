//! `cargo xtask release`: from a commit to a directory that anybody can check without us.
//!
//! The program, its bills of materials, its provenance, the compiler's record, a signed manifest of all of these, and the
//! evidence that the manifest stands in the log of releases. docs/verify-claw.md has the command for each check.

use std::fs;
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_verify::Keys;
use claw_verify::envelope::{Envelope, IN_TOTO};
use claw_verify::release::log::Entry;
use claw_verify::release::{File, MANIFEST, Manifest};
use claw_verify::sign::PrivateKey;
use serde_json::{Value, json};

use super::clean::{How, Place, Source, cargo_home, root};
use super::graph::Graph;
use super::log::Log;
use super::provenance::{Told, statement};
use super::sbom::Bill;
use super::toolchain::Pinned;
use super::{Options, Outcome, TARGET, bytes, embedded};

/// What was built, and all that is told of it.
pub(crate) struct Built<'a> {
    pub(crate) told: Told<'a>,
    pub(crate) program: Vec<u8>,
    pub(crate) release: u64,
}

/// `cargo xtask release --key FILE --release N --log FILE --out DIR --builder URI --repository URI`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let known =
        ["key", "release", "log", "out", "builder", "repository", "package", "program", "profile", "in"];
    let options = Options::of(words, &known)?;
    let release: u64 = options.need("release")?.parse()?;
    let key = PrivateKey::from_pem(&fs::read_to_string(options.need("key")?)?)?;
    let (log, out) = (Path::new(options.need("log")?), Path::new(options.need("out")?));
    let (builder, repository) = (options.need("builder")?, options.need("repository")?);
    if out.exists() {
        return Err(format!("{} exists: a release is not written over another", out.display()).into());
    }
    // order: a log that is refused is told before a long build
    let open = Log::open(log, &key)?;
    let root = root()?;
    let source = Source::here(&root, options.or("package", "claw-cli"), options.or("program", "claw"))?;
    let changed = source.changed()?;
    if !changed.is_empty() {
        return Err(format!(
            "files differ from the commit:\n  {}\nhint: git stash, or commit",
            changed.join("\n  ")
        )
        .into());
    }
    let pinned = Pinned::read(&root)?;
    if !pinned.differences.is_empty() {
        return Err(
            format!("the toolchain is not the recorded one:\n  {}", pinned.differences.join("\n  ")).into()
        );
    }
    let graph = Graph::read(&root, &source.package)?;
    let profile = options.or("profile", "release");
    let program = build(&source, &pinned, profile, options.value("in"))?;
    let differences = embedded::compare(&embedded::read(&program)?, &graph, &embedded::locked(&root)?);
    if !differences.is_empty() {
        return Err(
            format!("the list inside and cargo's resolver differ:\n  {}", differences.join("\n  ")).into()
        );
    }
    let told =
        Told { source: &source, graph: &graph, toolchain: &pinned.found, profile, builder, repository };
    let built = Built { told, program, release };
    let files = assemble(&built, open, &key)?;
    write(out, &files)?;
    println!(
        "release {release} of {} {}: {} files in {}",
        source.program,
        graph.root.version,
        files.len(),
        out.display()
    );
    println!("signed by {}", key.id());
    Ok(())
}

/// Every file of a release, by name.
pub(crate) fn assemble(built: &Built<'_>, log: Log, key: &PrivateKey) -> Outcome<Vec<(String, Vec<u8>)>> {
    let Built { told, program, release } = built;
    let name = &told.source.program;
    let mut files = vec![(name.clone(), program.clone())];
    files.extend(Bill::of(told.graph, told.source, told.toolchain, Some(program))?.documents()?);
    let text = statement(told, Digest::of(program))?.write()?;
    let envelope = Envelope::sign(IN_TOTO, text.as_bytes(), key)?.write();
    files.push((format!("{name}.sigstore.json"), bundle(&envelope, key)?));
    files.push((format!("{name}.provenance.json"), envelope.into_bytes()));
    files.push((format!("{name}.toolchain.toml"), toml::to_string(told.toolchain)?.into_bytes()));
    let manifest = Manifest {
        schema: 1,
        name: name.clone(),
        version: told.graph.root.version.clone(),
        release: *release,
        target: TARGET.to_owned(),
        commit: told.source.commit.clone(),
        files: files.iter().map(|(name, bytes)| file(name, bytes)).collect::<Outcome<_>>()?,
    };
    let text = manifest.write()?;
    let entry = Entry {
        release: *release,
        version: manifest.version.clone(),
        commit: manifest.commit.clone(),
        manifest: Digest::of(&text),
    };
    let signed = Envelope::sign(MANIFEST, &text, key)?.write().into_bytes();
    let evidence = log.append(&entry, key)?;
    // what is given away was verified the way its receivers will
    let keys = Keys::one(key.public().clone());
    let size = u64::try_from(program.len())?;
    let verified = Manifest::verify(&signed, &keys)?.prove_file(name, Digest::of(program), size, *release)?;
    evidence.prove(verified, &keys)?;
    files.push((format!("{name}.manifest.json"), signed));
    files.push((format!("{name}.log.json"), serde_json::to_vec_pretty(&evidence)?));
    files.push((format!("{name}.pub"), key.public().to_pem().into_bytes()));
    Ok(files)
}

/// A Sigstore bundle, version 0.3, by a key: no certificate, no public log.
fn bundle(envelope: &str, key: &PrivateKey) -> Outcome<Vec<u8>> {
    let mut envelope: Value = serde_json::from_str(envelope)?;
    // cosign passes over a signature that names its key otherwise than cosign does. The hint names it
    for signature in envelope.pointer_mut("/signatures").and_then(Value::as_array_mut).into_iter().flatten() {
        signature.as_object_mut().map(|signature| signature.remove("keyid"));
    }
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": key.id().to_string()}},
        "dsseEnvelope": envelope.take(),
    });
    Ok(serde_json::to_vec(&bundle)?)
}

fn build(source: &Source, pinned: &Pinned, profile: &str, below: Option<&str>) -> Outcome<Vec<u8>> {
    let below = below.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = fs::canonicalize(below)?.join(format!("claw-release-{}", std::process::id()));
    let place = Place::plain(directory.clone());
    let Pinned { archives, toolchain, .. } = pinned;
    let built = place
        .build(source, &How { toolchain, archives: Some(archives), profile, listed: true, mapped: true });
    let program = built.and_then(|path| Ok(fs::read(path)?));
    fs::remove_dir_all(&directory)?;
    let program = program?;
    let needed = bytes::needed(&program)?;
    if !needed.is_empty() {
        return Err(format!("the program is not static: it needs {}", needed.join(", ")).into());
    }
    let found = bytes::leaks(&program, &[&directory, &source.root, &cargo_home()?, &toolchain.sysroot]);
    if !found.is_empty() {
        return Err(format!("the program says where it was built:\n{}", found.join("\n")).into());
    }
    Ok(program)
}

fn file(name: &str, bytes: &[u8]) -> Outcome<File> {
    Ok(File { name: name.to_owned(), size: u64::try_from(bytes.len())?, digest: Digest::of(bytes) })
}

/// Whole, or not at all.
fn write(out: &Path, files: &[(String, Vec<u8>)]) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt;
    let beside = out.with_extension("part");
    fs::create_dir_all(&beside)?;
    for (name, bytes) in files {
        fs::write(beside.join(name), bytes)?;
    }
    if let Some((program, _)) = files.first() {
        fs::set_permissions(beside.join(program), fs::Permissions::from_mode(0o755))?;
    }
    Ok(fs::rename(beside, out)?)
}

#[cfg(test)]
mod tests;
