//! This client of The Update Framework behind the command line that the conformance suite of the framework drives
//! (`theupdateframework/tuf-conformance`, `CLIENT-CLI.md`): [how to run it](../../../docs/keyring.md#the-conformance-suite).
//!
//! What is asked of the client here is what `claw keyring verify` and `claw bundle verify` ask: files in, the memory of what
//! was seen before, a clock. The part that Claw does not have is here: a mirror, which fetches over plain http whatever file
//! the client says it misses. `METADATA_DIR` shows what the memory holds, after success and after refusal.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a mirror for a suite of tests: it reads files, the clock and a loopback socket"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use claw_model::digest::Digest;
use claw_verify::Clock;
use claw_verify::tuf::{self, Files, Seen, Target, Trusted, TufError};
use serde_json::Value;

type Answer<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref::<TufError>().map_or("mirror", TufError::code);
            eprintln!("no [{code}]: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Answer<()> {
    let mut options = BTreeMap::new();
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if let Some(name) = word.strip_prefix("--") {
            options.insert(name, rest.next().ok_or("an option without a value")?.as_str());
        } else {
            words.push(word.as_str());
        }
    }
    let option = |name: &str| options.get(name).copied().ok_or(format!("--{name} is missing"));
    let directory = PathBuf::from(option("metadata-dir")?);
    if let ["init", root] = words[..] {
        let root = fs::read(root)?;
        fs::create_dir_all(directory.join(STATE).join("files"))?;
        fs::write(directory.join(STATE).join("pinned"), &root)?;
        return Ok(fs::write(directory.join("root.json"), &root)?);
    }
    let mut mirror = Mirror::open(&directory, option("metadata-url")?)?;
    match words[..] {
        ["refresh"] => mirror.follow(None).map(drop),
        ["download"] => {
            let name = option("target-name")?;
            let (target, prefixed) = mirror.follow(Some(name))?.ok_or("no target")?;
            download(name, &target, prefixed, option("target-base-url")?, Path::new(option("target-dir")?))
        }
        _ => Err("one of: init, refresh, download".into()),
    }
}

/// Files that were fetched, and the memory of the client.
struct Mirror {
    directory: PathBuf,
    url: String,
    pinned: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
    seen: Seen,
}

impl Mirror {
    /// The pinned root is looked at before anything is asked of anybody.
    fn open(directory: &Path, url: &str) -> Answer<Mirror> {
        let state = directory.join(STATE);
        let pinned = fs::read(state.join("pinned"))?;
        tuf::pin(&pinned)?;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(state.join("files"))? {
            let entry = entry?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
        }
        let seen = match fs::read(state.join("seen")) {
            Ok(bytes) => Seen::parse(&bytes)?,
            Err(_) => Seen::new(),
        };
        Ok(Mirror { directory: directory.to_owned(), url: url.to_owned(), pinned, files, seen })
    }

    /// Follows the repository, fetching what the client misses. What it then holds is kept, whatever the answer was.
    fn follow(&mut self, target: Option<&str>) -> Answer<Option<(Target, bool)>> {
        let clock = Clock::at(jiff::Timestamp::now());
        let mut root = version(&self.pinned).unwrap_or_default();
        while root < u64::MAX {
            let name = format!("{}.root.json", root + 1);
            if !self.files.contains_key(&name) && !self.fetch(&name)? {
                break;
            }
            root += 1;
        }
        let kept = self.files.remove("timestamp.json");
        self.fetch("timestamp.json")?;
        let mut asked = BTreeSet::new();
        let answer = loop {
            let files = self.files()?;
            match (judge(&self.pinned, &files, &clock, &mut self.seen, target), &kept) {
                (Err(TufError::Missing { name }), _)
                    if asked.insert(name.clone()) && self.fetch(&name)? => {}
                // an equal version is no news (5.4.3): the client says that it differs, and the mirror has the one it trusted
                (Err(TufError::Changed { role, .. }), Some(kept))
                    if role == "timestamp" && asked.insert(role.clone()) =>
                {
                    self.files.insert("timestamp.json".to_owned(), kept.clone());
                }
                (answer, _) => break answer,
            }
        };
        self.keep()?;
        Ok(answer?)
    }

    fn files(&self) -> Answer<Files> {
        let mut files = Files::new();
        for (name, bytes) in &self.files {
            files.add(name, bytes.clone())?;
        }
        Ok(files)
    }

    fn fetch(&mut self, name: &str) -> Answer<bool> {
        let Some(bytes) = get(&self.url, name)? else { return Ok(false) };
        self.files.insert(name.to_owned(), bytes);
        Ok(true)
    }

    /// Keeps the memory, and of the files those that it holds: in [`STATE`] as they are called, and here by their role.
    fn keep(&self) -> Answer<()> {
        let state = self.directory.join(STATE);
        let memory = self.seen.to_bytes();
        fs::write(state.join("seen"), &memory)?;
        let memory: Value = serde_json::from_slice(&memory)?;
        let known = memory.pointer("/repositories/0/contents");
        for (name, bytes) in &self.files {
            let role = name.trim_end_matches(".json");
            let role = role
                .split_once('.')
                .filter(|(number, _)| number.parse::<u64>().is_ok())
                .map_or(role, |(_, role)| role);
            let contents = known.and_then(Value::as_object).into_iter().flatten();
            let held =
                contents.filter(|(name, _)| encoded(name) == role).find_map(|(_, held)| held[0].as_u64());
            let version = version(bytes);
            if version.is_none() || version > held || (role != "root" && version != held) {
                continue;
            }
            // without a version in its name it is another file tomorrow
            if name.len() > role.len() + ".json".len() || role == "timestamp" {
                fs::write(state.join("files").join(name), bytes)?;
            }
            if version == held {
                fs::write(self.directory.join(format!("{role}.json")), bytes)?;
            }
        }
        Ok(())
    }
}

/// One judgement over the files that are there, remembered as the commands do it.
fn judge(
    pinned: &[u8],
    files: &Files,
    clock: &Clock,
    seen: &mut Seen,
    target: Option<&str>,
) -> Result<Option<(Target, bool)>, TufError> {
    seen.learn(pinned, files, clock);
    let mut trusted = Trusted::refresh(pinned, files, clock, seen.known(pinned))?;
    seen.remember(&trusted, 0);
    let Some(name) = target else { return Ok(None) };
    let found = trusted.target(name);
    seen.remember(&trusted, 0);
    found.map(|target| Some((target, trusted.root().consistent_snapshot)))
}

/// Fetches what was approved, unless it is there: by its digest, its length and nothing else.
fn download(name: &str, target: &Target, prefixed: bool, url: &str, into: &Path) -> Answer<()> {
    let digest = target.sha256().ok_or("it has no SHA-256")?;
    let is = |bytes: &[u8]| bytes.len() as u64 == target.length && Digest::of(bytes) == digest;
    let path = into.join(encoded(name));
    if fs::read(&path).is_ok_and(|bytes| is(&bytes)) {
        return Ok(());
    }
    let (parent, file) = name.rsplit_once('/').map_or(("", name), |(parent, file)| (parent, file));
    let slash = if parent.is_empty() { "" } else { "/" };
    let prefix = if prefixed { format!("{}.", digest.hex()) } else { String::new() };
    let bytes = get(url, &format!("{parent}{slash}{prefix}{file}"))?.ok_or("the target is not there")?;
    match is(&bytes) {
        true => Ok(fs::write(path, bytes)?),
        false => Err("the target is not what was approved".into()),
    }
}

fn version(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(bytes).ok()?.pointer("/signed/version")?.as_u64()
}

fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A file over plain http, without a proxy, a redirect or a second try; `None` if it is not there.
fn get(base: &str, name: &str) -> Answer<Option<Vec<u8>>> {
    let rest = base.strip_prefix("http://").ok_or("not http")?;
    let (host, path) = rest.split_once('/').ok_or("no path")?;
    let mut stream = TcpStream::connect(host)?;
    let slash = if path.is_empty() || path.ends_with('/') { "" } else { "/" };
    write!(stream, "GET /{path}{slash}{name} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no head")?;
    let ok = answer.split(|byte| *byte == b' ').nth(1) == Some(b"200");
    Ok(ok.then(|| answer.split_off(head + 4)))
}

/// What this program keeps beside what the suite looks at.
const STATE: &str = "state";
/// Bytes of an answer.
const MOST: u64 = 16 << 20;
