//! Adapter packages, as a person makes, signs, verifies and installs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its files is a test that fails")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use claw_verify::key::Algorithm;
use claw_verify::sign::PrivateKey;
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A directory of one test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("claw-adapter-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// Runs `claw adapter …` here; the code, and what it printed.
    fn claw(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(CLAW);
        command.arg("adapter").args(arguments).current_dir(&self.0);
        command.env("XDG_STATE_HOME", self.0.join("state"));
        let run = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (run.status.code().unwrap(), text(&run.stdout), text(&run.stderr))
    }

    fn key(&self, name: &str) -> PrivateKey {
        let key = PrivateKey::generate(Algorithm::P256).unwrap();
        self.write(name, &key.to_secret_pem().unwrap());
        key
    }

    fn keyring(&self, need: usize, keys: &[&PrivateKey]) {
        let entry = |key: &&PrivateKey| {
            format!("[[key]]\nname = \"k\"\npublic = \"\"\"\n{}\"\"\"\n", key.public().to_pem())
        };
        let keys: String = keys.iter().map(entry).collect();
        self.write("keys.toml", &format!("version = 1\nthreshold = {need}\n{keys}"));
    }

    /// Fills the skeleton in, as this release.
    fn fill(&self, release: u64) {
        let text = self.read("github/adapter.toml").replace("FILL IN", "Said");
        let (head, rest) = text.split_once("release = ").unwrap();
        let (_, rest) = rest.split_once(' ').unwrap();
        self.write("github/adapter.toml", &format!("{head}release = {release} {rest}"));
        self.write("github/github.wasm", "\0asm");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn from_a_skeleton_to_an_installed_adapter() {
    let place = Place::new("whole");
    let (one, two) = (place.key("one.pem"), place.key("two.pem"));
    place.keyring(2, &[&one, &two]);
    let (code, told, _) = place.claw(&["new", "github"]);
    assert_eq!((code, told.contains("github: adapter.toml, schemas/echo.in.json")), (0, true), "{told}");
    assert_eq!(place.claw(&["new", "github"]).0, 2, "nothing is overwritten");
    // not filled in yet
    let sign = ["sign", "github", "--key", "one.pem", "--out", "package"];
    let (code, _, told) = place.claw(&sign);
    assert_eq!((code, told.contains("adapter.toml:7: its `summary` is not filled in")), (2, true), "{told}");
    place.fill(3);
    let (code, told, error) = place.claw(&sign);
    assert_eq!((code, told.starts_with("github 0.1.0 release 3: sha256:")), (0, true), "{told}{error}");
    // one of two
    let (code, _, told) = place.claw(&["verify", "package", "--keyring", "keys.toml"]);
    assert_eq!(
        (code, told.contains("1 of the 2 pinned keys signed this, 2 are needed")),
        (1, true),
        "{told}"
    );
    let (code, told, _) = place.claw(&["sign", "package", "--key", "two.pem"]);
    assert!(code == 0 && told.starts_with("github 0.1.0 release 3: sha256:"), "{told}");
    // what is signed is told
    assert!(told.contains(", 2 signatures\n") && told.contains("egress api.example.com:443"), "{told}");
    let (code, told, _) = place.claw(&["verify", "package", "--keyring", "keys.toml", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["verified"], &told["manifest"]["release"]), (0, &Value::Bool(true), &3.into()));
    let (code, told, _) = place.claw(&["install", "package", "--keyring", "keys.toml"]);
    assert_eq!((code, told.starts_with("installed github 0.1.0 release 3: sha256:")), (0, true), "{told}");
    let (code, told, _) = place.claw(&["list"]);
    assert_eq!(code, 0);
    assert!(
        told.lines()
            .nth(1)
            .unwrap()
            .starts_with("github                   0.1.0              3  present  echo"),
        "{told}"
    );
    let (_, told, _) = place.claw(&["list", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told[0]["id"], &told[0]["state"]), (&"github".into(), &"present".into()));
    assert!(told[0]["tools"][0]["definition"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn an_older_release_and_a_changed_package_are_not_installed() {
    let place = Place::new("older");
    let key = place.key("one.pem");
    place.keyring(1, &[&key]);
    place.claw(&["new", "github"]);
    for release in [2, 9] {
        place.fill(release);
        let out = format!("package-{release}");
        let (code, _, told) = place.claw(&["sign", "github", "--key", "one.pem", "--out", &out]);
        assert_eq!(code, 0, "{told}");
    }
    let install = |package: &str| place.claw(&["install", package, "--keyring", "keys.toml"]);
    assert_eq!(install("package-9").0, 0);
    let (code, _, told) = install("package-2");
    assert_eq!((code, told.contains("version 2 is older than version 9")), (1, true), "{told}");
    let (code, told, _) = place.claw(&["install", "package-2", "--keyring", "keys.toml", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["code"]), (1, &"rollback".into()));
    let index = place.read("package-9/index.json");
    place.write("package-9/index.json", &index.replacen("manifests", "manifestz", 1));
    let (code, _, told) = install("package-9");
    assert_eq!((code, told.contains("`index.json`")), (1, true), "{told}");
    let (_, told, _) = place.claw(&["list"]);
    assert!(told.contains("      9  present"), "{told}");
    fs::remove_dir_all(place.0.join("state/claw/adapters/sha256")).unwrap();
    let (code, told, _) = place.claw(&["list"]);
    assert_eq!((code, told.contains("missing")), (1, true), "{told}");
}

#[test]
fn a_world_open_entry_is_refused_where_it_stands() {
    let place = Place::new("open");
    place.key("one.pem");
    place.claw(&["new", "github"]);
    place.fill(1);
    let text = place.read("github/adapter.toml").replace("api.example.com:443", "0.0.0.0/0:443");
    place.write("github/adapter.toml", &text);
    let (code, _, told) = place.claw(&["sign", "github", "--key", "one.pem", "--out", "package"]);
    assert_eq!(
        (code, told.contains("egress `api`: `0.0.0.0/0:443` opens the network to the world")),
        (2, true),
        "{told}"
    );
    assert!(!place.0.join("package").exists());
}

#[test]
fn what_cannot_be_used_is_told_apart_from_no() {
    let place = Place::new("codes");
    let key = place.key("one.pem");
    place.keyring(1, &[&key]);
    assert_eq!(place.claw(&["verify", "nowhere", "--keyring", "keys.toml"]).0, 2);
    assert_eq!(place.claw(&["verify", "nowhere", "--keyring", "nokeys.toml"]).0, 2);
    assert_eq!(place.claw(&["sign", "nowhere", "--key", "one.pem"]).0, 2);
    assert_eq!(place.claw(&["new", "../up"]).0, 2);
    let (code, told, _) = place.claw(&["list"]);
    assert_eq!((code, told.as_str()), (0, "no adapter is installed\n"));
    for command in ["new", "sign", "verify", "install", "list"] {
        let (code, told, _) = place.claw(&[command, "--help"]);
        assert_eq!((code, told.contains("Example")), (0, true), "{command}: {told}");
    }
}

/// The file below a directory that has this content.
fn file_of(directory: &std::path::Path, content: &[u8]) -> PathBuf {
    let (mut open, mut found) = (vec![directory.to_owned()], None);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if fs::read(&path).unwrap() == content {
                found = Some(path);
            }
        }
    }
    found.unwrap()
}

#[test]
fn what_was_changed_in_the_store_is_told_and_the_record_is_a_floor_too() {
    let place = Place::new("store");
    let key = place.key("one.pem");
    place.keyring(1, &[&key]);
    place.claw(&["new", "github"]);
    for release in [2, 9] {
        place.fill(release);
        let out = format!("package-{release}");
        assert_eq!(place.claw(&["sign", "github", "--key", "one.pem", "--out", &out]).0, 0);
    }
    let install = |package: &str| place.claw(&["install", package, "--keyring", "keys.toml"]);
    assert_eq!(install("package-9").0, 0);
    let state = |expect: (i32, &str)| {
        let (code, told, _) = place.claw(&["list"]);
        assert!(code == expect.0 && told.contains(expect.1), "{expect:?}: {code} {told}");
    };
    state((0, "present"));
    let blob = file_of(&place.0.join("state/claw/adapters"), b"\0asm");
    fs::write(&blob, b"\0bad").unwrap();
    state((1, "changed"));
    fs::remove_file(&blob).unwrap();
    state((1, "changed"));
    assert_eq!(install("package-9").0, 0);
    state((0, "present"));
    // the list of releases is gone
    let releases = place.0.join("state/claw/adapters/releases");
    fs::remove_dir_all(releases).unwrap();
    let (code, _, told) = install("package-2");
    assert!(code == 1 && told.contains("version 2 is older than version 9"), "{told}");
}

#[test]
fn a_package_whose_contents_are_not_what_was_signed_gets_no_further_signature() {
    let place = Place::new("contents");
    let key = place.key("one.pem");
    place.keyring(1, &[&key]);
    place.claw(&["new", "github"]);
    place.fill(2);
    assert_eq!(place.claw(&["sign", "github", "--key", "one.pem", "--out", "package"]).0, 0);
    let blob = file_of(&place.0.join("package"), b"\0asm");
    fs::write(blob, b"\0bad").unwrap();
    let before = place.read("package/index.json");
    let (code, _, told) = place.claw(&["sign", "package", "--key", "one.pem"]);
    assert!(code == 2 && told.contains("its content has the digest"), "{code} {told}");
    assert_eq!(place.read("package/index.json"), before);
}
