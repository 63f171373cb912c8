//! `claw doctor --self-verify`: only the bytes that were signed, by the key that was pinned, and no older release.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_model::digest::Digest;
use claw_testkit::copy_program;
use claw_verify::envelope::Envelope;
use claw_verify::key::Algorithm;
use claw_verify::release::{File, MANIFEST, Manifest};
use claw_verify::sign::PrivateKey;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

struct Place {
    directory: PathBuf,
    key: PrivateKey,
}

/// The code, and all that was printed.
type Answer = (i32, String);

impl Place {
    fn new(name: &str) -> Place {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let key = PrivateKey::generate(Algorithm::P256).unwrap();
        fs::write(directory.join("key.pub"), key.public().to_pem()).unwrap();
        Place { directory, key }
    }

    /// Signs a manifest of the program.
    fn release(&self, number: u64, change: impl Fn(&mut Manifest)) {
        let bytes = fs::read(CLAW).unwrap();
        let file = File {
            name: "claw".to_owned(),
            size: u64::try_from(bytes.len()).unwrap(),
            digest: Digest::of(&bytes),
        };
        let mut manifest = Manifest {
            schema: 1,
            name: "claw".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            release: number,
            target: "x86_64-unknown-linux-gnu".to_owned(),
            commit: "0".repeat(40),
            files: vec![file],
        };
        change(&mut manifest);
        let signed = Envelope::sign(MANIFEST, &manifest.write().unwrap(), &self.key).unwrap();
        fs::write(self.directory.join("manifest.json"), signed.write()).unwrap();
    }

    fn ask(&self, program: &str, more: &[&str]) -> Answer {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env("XDG_STATE_HOME", self.directory.join("state"));
        command
            .args(["doctor", "--self-verify", "--manifest", "manifest.json", "--key", "key.pub"])
            .args(more);
        let output = command.output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), text)
    }
}

#[track_caller]
fn told(answer: &Answer, code: i32, text: &str) {
    assert!(answer.0 == code && answer.1.contains(text), "{code} `{text}`: {answer:?}");
}

#[test]
fn the_signed_program_is_verified_and_says_what_that_proves() {
    let place = Place::new("own-signed");
    place.release(7, |_| {});
    let answer = place.ask(CLAW, &[]);
    told(&answer, 0, "release   7 of commit");
    told(&answer, 0, &format!("signed by key {}", place.key.id()));
    told(&answer, 0, "it does not  prove");
    let (code, text) = place.ask(CLAW, &["--json"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &value["verified"], &value["release"]["release"]), (0, &true.into(), &7.into()));
}

#[test]
fn one_byte_more_is_another_program() {
    let place = Place::new("own-byte");
    place.release(7, |_| {});
    let other = place.directory.join("claw");
    copy_program(CLAW, &other);
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    told(&place.ask(other.to_str().unwrap(), &[]), 0, "release   7");
    let longer = place.directory.join("longer");
    fs::copy(CLAW, &longer).unwrap();
    fs::OpenOptions::new().append(true).open(&longer).unwrap().write_all(b"\0").unwrap();
    fs::remove_file(&other).unwrap();
    copy_program(&longer, &other);
    told(&place.ask(other.to_str().unwrap(), &[]), 1, "this program is not the released one");
}

#[test]
fn another_key_and_a_changed_manifest_are_refused() {
    let place = Place::new("own-key");
    place.release(7, |_| {});
    let stranger = PrivateKey::generate(Algorithm::P256).unwrap();
    fs::write(place.directory.join("stranger.pub"), stranger.public().to_pem()).unwrap();
    told(&place.ask(CLAW, &["--key", "stranger.pub"]), 1, "1 of the 2 pinned keys signed this, 2 are needed");
    let path = place.directory.join("manifest.json");
    let mut envelope: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    envelope["payload"] = "e30=".into();
    fs::write(&path, envelope.to_string()).unwrap();
    told(&place.ask(CLAW, &[]), 1, "0 of the 1 pinned keys signed this");
    fs::write(&path, "{").unwrap();
    told(&place.ask(CLAW, &[]), 2, "manifest.json");
}

#[test]
fn an_older_release_than_was_seen_is_refused() {
    let place = Place::new("own-older");
    place.release(7, |_| {});
    told(&place.ask(CLAW, &["--at-least", "8"]), 1, "the number of the release is 7, not 8 or higher");
    told(&place.ask(CLAW, &[]), 0, "release   7");
    place.release(6, |_| {});
    told(&place.ask(CLAW, &[]), 1, "the number of the release is 6, not 7 or higher");
    place.release(8, |_| {});
    told(&place.ask(CLAW, &[]), 0, "release   8");
    assert_eq!(fs::read_to_string(place.directory.join("state/claw/release")).unwrap(), "8\n");
    fs::write(place.directory.join("state/claw/release"), "many\n").unwrap();
    told(&place.ask(CLAW, &[]), 2, "does not hold the number of a release");
}

#[test]
fn another_version_is_refused() {
    let place = Place::new("own-version");
    place.release(7, |manifest| manifest.version = "9.0.0".to_owned());
    told(&place.ask(CLAW, &[]), 1, "release 7 is version 9.0.0");
}

#[test]
fn evidence_of_another_log_is_refused() {
    let place = Place::new("own-log");
    place.release(7, |_| {});
    told(&place.ask(CLAW, &["--log", "missing.json"]), 2, "missing.json");
    fs::write(
        place.directory.join("log.json"),
        r#"{"entry":"{\"release\":6,\"version\":\"0.1.0\",\"commit\":\"0\",\"manifest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}","index":0,"inclusion":[],"before":null,"head":{}}"#,
    )
    .unwrap();
    told(&place.ask(CLAW, &["--log", "log.json"]), 1, "its line is of release 6");
}

#[test]
fn without_a_manifest_nothing_is_verified() {
    let output = Command::new(CLAW).args(["doctor", "--self-verify"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains(&Digest::of(&fs::read(CLAW).unwrap()).to_string()) && text.contains("on nobody's word"),
        "{text}"
    );
}
