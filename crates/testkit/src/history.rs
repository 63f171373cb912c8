//! Long histories with real SSH signatures, made in this process and given to git as one pack.
//!
//! Signatures are put together here by PROTOCOL.sshsig, with another provider of cryptography than the one that verifies them.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use data_encoding::{BASE64, HEXLOWER};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA512, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// An Ed25519 key in this process.
#[derive(Debug)]
pub struct SshSigner {
    key: Ed25519KeyPair,
    name: String,
}

/// Objects that will be one pack.
#[derive(Debug, Default)]
pub struct History {
    known: HashSet<String>,
    entries: Vec<u8>,
    count: u32,
}

impl SshSigner {
    /// A key from a seed, and whose it is.
    pub fn new(name: &str, seed: u8) -> SshSigner {
        SshSigner { key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), name: name.to_owned() }
    }

    /// The public line.
    pub fn line(&self) -> String {
        format!("ssh-ed25519 {} {}", BASE64.encode(&self.blob()), self.name)
    }

    /// An armoured signature.
    pub fn sign(&self, purpose: &str, data: &[u8]) -> String {
        let mut signed = b"SSHSIG".to_vec();
        for part in [purpose.as_bytes(), b"", b"sha512", digest(&SHA512, data).as_ref()] {
            string(&mut signed, part);
        }
        let mut signature = Vec::new();
        string(&mut signature, b"ssh-ed25519");
        string(&mut signature, self.key.sign(&signed).as_ref());
        let mut whole = b"SSHSIG\0\0\0\x01".to_vec();
        for part in [self.blob().as_slice(), purpose.as_bytes(), b"", b"sha512", &signature] {
            string(&mut whole, part);
        }
        let text = BASE64.encode(&whole);
        let lines: Vec<&str> =
            text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        string(&mut blob, b"ssh-ed25519");
        string(&mut blob, self.key.public_key().as_ref());
        blob
    }
}

impl History {
    /// A file's content; its id.
    pub fn blob(&mut self, data: &[u8]) -> String {
        self.add("blob", 3, data)
    }

    /// A tree of files and directories (`mode`, name, id), sorted by name; its id.
    pub fn tree(&mut self, entries: &[(&str, &str, &str)]) -> String {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            data.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            data.extend_from_slice(&HEXLOWER.decode(id.as_bytes()).unwrap());
        }
        self.add("tree", 2, &data)
    }

    /// A commit, signed if there is somebody who signs; its id.
    pub fn commit(
        &mut self,
        tree: &str,
        parents: &[&str],
        author: &str,
        message: &str,
        signer: Option<&SshSigner>,
    ) -> String {
        let mut head = format!("tree {tree}\n");
        for parent in parents {
            head.push_str(&format!("parent {parent}\n"));
        }
        let person = format!("{author} <{author}@example.com> 1700000000 +0000");
        head.push_str(&format!("author {person}\ncommitter {person}\n"));
        let plain = format!("{head}\n{message}\n");
        let signed =
            signer.map(|signer| signer.sign("git", plain.as_bytes()).trim_end().replace('\n', "\n "));
        let data = match signed {
            Some(signature) => format!("{head}gpgsig {signature}\n\n{message}\n"),
            None => plain,
        };
        self.add("commit", 1, data.as_bytes())
    }

    /// Gives everything to a repository, with a branch at this commit.
    pub fn write(self, repo: &Path, branch: &str, tip: &str) {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&self.count.to_be_bytes());
        pack.extend_from_slice(&self.entries);
        let trailer = digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack);
        pack.extend_from_slice(trailer.as_ref());
        let mut index = Command::new("git")
            .current_dir(repo)
            .args(["index-pack", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        index.stdin.take().unwrap().write_all(&pack).unwrap();
        assert!(index.wait().unwrap().success(), "git does not take the pack");
        let reference = format!("refs/heads/{branch}");
        let done =
            Command::new("git").current_dir(repo).args(["update-ref", &reference, tip]).status().unwrap();
        assert!(done.success());
    }

    fn add(&mut self, kind: &str, number: u8, data: &[u8]) -> String {
        let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(format!("{kind} {}\0", data.len()).as_bytes());
        hash.update(data);
        let id = HEXLOWER.encode(hash.finish().as_ref());
        if !self.known.insert(id.clone()) {
            return id;
        }
        self.count += 1;
        let mut size = data.len();
        let mut byte = (number << 4) | u8::try_from(size & 15).unwrap();
        size >>= 4;
        while size > 0 {
            self.entries.push(byte | 0x80);
            byte = u8::try_from(size & 0x7f).unwrap();
            size >>= 7;
        }
        self.entries.push(byte);
        let mut encoder = ZlibEncoder::new(&mut self.entries, Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap();
        id
    }
}

fn string(into: &mut Vec<u8>, part: &[u8]) {
    into.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
    into.extend_from_slice(part);
}
