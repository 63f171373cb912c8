//! The log of releases: a file to which a line is appended for each, its head signed beside it.
//!
//! Proofs are made by ct-merkle and verified by claw, which uses sigstore-merkle: two programs that know nothing of each other.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_verify::Keys;
use claw_verify::envelope::Envelope;
use claw_verify::release::log::{Before, Entry, Evidence, HEAD, Head};
use claw_verify::sign::PrivateKey;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use super::Outcome;

/// A log on disk.
pub(crate) struct Log {
    path: PathBuf,
    lines: Vec<String>,
    /// The head that is signed, if there are lines.
    before: Option<Head>,
}

impl Log {
    /// Reads a log, and judges it by its signed head: nothing may be missing, changed or added.
    pub(crate) fn open(path: &Path, key: &PrivateKey) -> Outcome<Log> {
        let head = head_path(path);
        if !path.exists() && !head.exists() {
            return Ok(Log { path: path.to_owned(), lines: Vec::new(), before: None });
        }
        let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let text = String::from_utf8(read(path)?)?;
        if !text.ends_with('\n') {
            return Err(format!("{}: the last line is torn", path.display()).into());
        }
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let signed = Head::verify(&read(&head)?, &Keys::one(key.public().clone()))?;
        let found = head_of(&lines)?;
        if found != *signed.value() {
            let told = format!(
                "{} has {} lines, root {}; the signed head says {}, {}",
                path.display(),
                found.size,
                found.root,
                signed.value().size,
                signed.value().root
            );
            return Err(told.into());
        }
        Ok(Log { path: path.to_owned(), lines, before: Some(found) })
    }

    /// Appends a release, whose number must be higher than all before, and gives what ships with it.
    pub(crate) fn append(mut self, entry: &Entry, key: &PrivateKey) -> Outcome<Evidence> {
        if let Some(last) = self.lines.last() {
            let last: Entry = serde_json::from_str(last)?;
            if entry.release <= last.release {
                return Err(format!(
                    "release {} is not above {}, the last in the log",
                    entry.release, last.release
                )
                .into());
            }
        }
        let line = serde_json::to_string(entry)?;
        self.lines.push(line.clone());
        let tree = tree(&self.lines);
        let index = self.lines.len() - 1;
        let head = head_of(&self.lines)?;
        let before = match self.before {
            Some(head) => {
                let proof = tree.prove_consistency(1);
                Some(Before { head, consistency: digests(proof.as_bytes())? })
            }
            None => None,
        };
        let signed = Envelope::sign(HEAD, &serde_json::to_vec(&head)?, key)?.write();
        // order: the line, then the head; between them the log is refused, and nothing is lost
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()?;
        let beside = self.path.with_extension("new");
        fs::write(&beside, &signed)?;
        fs::rename(beside, head_path(&self.path))?;
        Ok(Evidence {
            entry: line,
            index: u64::try_from(index)?,
            inclusion: digests(tree.prove_inclusion(index).as_bytes())?,
            before,
            head: serde_json::from_str(&signed)?,
        })
    }
}

fn head_path(log: &Path) -> PathBuf {
    log.with_extension("head.json")
}

fn tree(lines: &[String]) -> MemoryBackedTree<Sha256, String> {
    let mut tree = MemoryBackedTree::new();
    lines.iter().for_each(|line| tree.push(line.clone()));
    tree
}

fn head_of(lines: &[String]) -> Outcome<Head> {
    let root: [u8; 32] = tree(lines).root().as_bytes().as_slice().try_into()?;
    Ok(Head { size: u64::try_from(lines.len())?, root: Digest(root) })
}

fn digests(bytes: &[u8]) -> Outcome<Vec<Digest>> {
    bytes.chunks(32).map(|part| Ok(Digest(part.try_into()?))).collect()
}

#[cfg(test)]
mod tests {
    use claw_verify::key::Algorithm;
    use claw_verify::release::{MANIFEST, Manifest};

    use super::*;

    fn place(name: &str) -> PathBuf {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp").join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory.join("releases.jsonl")
    }

    fn manifest(release: u64) -> Manifest {
        Manifest {
            schema: 1,
            name: "claw".to_owned(),
            version: "0.1.0".to_owned(),
            release,
            target: super::super::TARGET.to_owned(),
            commit: "0".repeat(40),
            files: Vec::new(),
        }
    }

    fn release(path: &Path, number: u64, key: &PrivateKey) -> Outcome<Evidence> {
        let manifest = manifest(number);
        let entry = Entry {
            release: number,
            version: manifest.version.clone(),
            commit: manifest.commit.clone(),
            manifest: Digest::of(&manifest.write()?),
        };
        Log::open(path, key)?.append(&entry, key)
    }

    fn prove(evidence: &Evidence, number: u64, key: &PrivateKey) -> Result<(), &'static str> {
        let keys = Keys::one(key.public().clone());
        let envelope = Envelope::sign(MANIFEST, &manifest(number).write().unwrap(), key).unwrap().write();
        let verified = Manifest::verify(envelope.as_bytes(), &keys).unwrap();
        let text = serde_json::to_vec(evidence).unwrap();
        Evidence::read(&text).unwrap().prove(verified, &keys).map(drop).map_err(|error| error.code())
    }

    #[test]
    fn each_release_is_proven_in_the_log_and_continues_the_one_before() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let path = place("log-each");
        for number in 1..=20 {
            let evidence = release(&path, number, &key).unwrap();
            assert_eq!(prove(&evidence, number, &key), Ok(()));
            assert_eq!(evidence.before.is_some(), number > 1);
            assert_eq!(prove(&evidence, number + 1, &key), Err("other-entry"));
            if number > 2 {
                let mut other = evidence.clone();
                *other.inclusion.first_mut().unwrap() = Digest::of(b"another");
                assert_eq!(prove(&other, number, &key), Err("inclusion"));
                let mut other = evidence.clone();
                other.before.as_mut().unwrap().head.root = Digest::of(b"another");
                assert_eq!(prove(&other, number, &key), Err("consistency"));
            }
            let stranger = PrivateKey::generate(Algorithm::Ed25519).unwrap();
            assert_eq!(prove(&evidence, number, &stranger), Err("threshold"));
        }
    }

    #[test]
    fn a_log_that_was_changed_is_not_appended_to() {
        let key = PrivateKey::generate(Algorithm::P256).unwrap();
        let path = place("log-changed");
        for number in 1..=3 {
            release(&path, number, &key).unwrap();
        }
        let whole = fs::read_to_string(&path).unwrap();
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            release(&path, 9, &key).map(drop).map_err(|error| error.to_string())
        };
        let shorter: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
        assert!(told(&shorter).unwrap_err().contains("has 2 lines"));
        assert!(
            told(&whole.replace("\"release\":2", "\"release\":1"))
                .unwrap_err()
                .contains("the signed head says 3")
        );
        assert!(told(&format!("{whole}{}", whole.lines().next().unwrap())).unwrap_err().contains("torn"));
        fs::write(&path, &whole).unwrap();
        assert!(release(&path, 3, &key).unwrap_err().to_string().contains("is not above 3"));
        release(&path, 4, &key).unwrap();
    }
}
