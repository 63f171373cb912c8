//! One file to carry: made here by people with keys, judged on machines that share nothing with them but a root.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_testkit::{User, copy_program, once};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const MADE: &str = "2026-12-01T00:00:00Z";
const LATER: &str = "2026-12-02T00:00:00Z";

/// A directory of one test.
struct Place(PathBuf);

impl Place {
    /// With the keys of ann, bo and cy, and a keyring of theirs in which two must sign.
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("claw-bundle-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let place = Place(path);
        for holder in ["ann", "bo", "cy"] {
            place.yes(&["keyring", "key", &format!("{holder}.key")]);
        }
        place.yes(&[
            "keyring",
            "new",
            "release",
            "--holder",
            "ann=ann.key.pub",
            "--holder",
            "bo=bo.key.pub",
            "--holder",
            "cy=cy.key.pub",
            "--threshold",
            "2",
            "--now",
            MADE,
        ]);
        place
    }

    /// The usual: a tool with its SBOM.
    fn with_tool(name: &str) -> Place {
        let place = Place::new(name);
        place.write("tool", "#!/bin/sh\necho tool\n");
        place.write("tool.cdx.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
        place.approve(&["tool=tool"]);
        place.approve(&["tool.cdx.json=tool.cdx.json", "--as", "sbom", "--of", "tool"]);
        place.sign(&["ann", "bo"], MADE);
        place.pack("tool.tpack", MADE);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn claw(&self, machine: &str, words: &[&str]) -> (i32, String, String) {
        run(Command::new(CLAW).args(words), &self.0, machine)
    }

    /// What must succeed, where the keys are.
    fn yes(&self, words: &[&str]) -> String {
        let (code, out, err) = self.claw("here", words);
        assert_eq!(code, 0, "{words:?}\n{out}{err}");
        out
    }

    fn approve(&self, words: &[&str]) {
        self.yes(&[&["keyring", "approve", "release", "--now", MADE], words].concat());
    }

    fn sign(&self, holders: &[&str], now: &str) {
        for holder in holders {
            self.yes(&["keyring", "sign", "release", "--key", &format!("{holder}.key"), "--now", now]);
        }
    }

    fn pack(&self, out: &str, now: &str) {
        let files = ["tool=tool", "tool.cdx.json=tool.cdx.json"];
        self.yes(
            &[&["bundle", "pack", "--keyring", "release", "--out", out, "--now", now], &files[..]].concat(),
        );
    }

    fn root(&self, version: u64) -> String {
        self.path(&format!("release/metadata/{version}.root.json")).display().to_string()
    }

    /// What a machine says of a pack: code, and the answer.
    fn judged(&self, machine: &str, pack: &str, more: &[&str]) -> (i32, Value) {
        let root = self.root(1);
        let usual = ["bundle", "verify", pack, "--root", &root, "--json"];
        let now: &[&str] = if more.contains(&"--now") { &[] } else { &["--now", MADE] };
        let (code, out, err) = self.claw(machine, &[&usual, now, more].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code} {out}{err}")))
    }

    fn left(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command for a user of a machine: with a home of its own.
fn run(command: &mut Command, directory: &Path, machine: &str) -> (i32, String, String) {
    let home = directory.join("machines").join(machine);
    fs::create_dir_all(&home).unwrap();
    let command = command.current_dir(directory).env("HOME", &home);
    let run = command.env_remove("XDG_STATE_HOME").env_remove("XDG_CONFIG_HOME").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (run.status.code().unwrap(), text(&run.stdout), text(&run.stderr))
}

#[test]
fn a_pack_is_judged_without_a_network_and_tells_until_when_and_on_whose_word() {
    let place = Place::with_tool("carry");
    let root = place.root(1);
    let words = [CLAW, "bundle", "verify", "tool.tpack", "--root", &root, "--now", LATER];
    let (code, out, err) = run(Command::new("unshare").arg("-n").args(words), &place.0, "far");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("yes: tool.tpack\nuntil 2026-12-31T00:00:00Z\n"), "{out}");
    assert!(out.contains("on the word of ") && out.contains("ann") && out.contains("bo"), "{out}");
    assert!(!out.contains("cy"), "{out}");
}

#[test]
fn it_is_judged_in_a_sandbox_with_nothing_open() {
    once(CLAW, User::Root, |lab| {
        let place = Place::with_tool("inside");
        for file in ["tool.tpack", "release/metadata/1.root.json"] {
            let to = lab.path("work").join(Path::new(file).file_name().unwrap());
            fs::copy(place.path(file), to).unwrap();
        }
        copy_program(CLAW, lab.path("work").join("claw"));
        let run = "XDG_STATE_HOME=/tmp/state ./claw bundle unpack tool.tpack --root 1.root.json --now 2026-12-02T00:00:00Z --out /tmp/out && sh /tmp/out/artefacts/tool";
        let outcome = lab.run(run).ends(0);
        assert!(outcome.stdout.starts_with("yes: tool.tpack\n"), "{}", outcome.stdout);
        assert!(outcome.stdout.ends_with("\ntool\n"), "{}", outcome.stdout);
    });
}

#[test]
fn what_is_unpacked_is_what_was_approved_or_nothing() {
    let place = Place::with_tool("unpack");
    let root = place.root(1);
    let unpack = |pack: &str, out: &str| {
        let words = ["bundle", "unpack", pack, "--root", &root, "--now", MADE, "--out", out];
        place.claw("far", &words).0
    };
    assert_eq!(unpack("tool.tpack", "out"), 0);
    assert_eq!(fs::read(place.path("out/artefacts/tool")).unwrap(), fs::read(place.path("tool")).unwrap());
    assert!(place.path("out/artefacts/tool.cdx.json").is_file());
    assert!(place.path("out/oci-layout").is_file());
    // what is there is never written over
    assert_eq!(unpack("tool.tpack", "out"), 2);
    let before = place.left();
    let good = fs::read(place.path("tool.tpack")).unwrap();
    for at in [0, 600, good.len() / 2, good.len() - 1100, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(place.path("tool.tpack"), bad).unwrap();
        assert_eq!(unpack("tool.tpack", "other"), 1, "byte {at}");
        assert_eq!(place.left(), before, "byte {at}");
    }
}

#[test]
fn an_older_pack_is_refused_and_both_numbers_are_named() {
    let place = Place::with_tool("rollback");
    assert_eq!(place.judged("far", "tool.tpack", &[]).0, 0);
    place.write("tool", "#!/bin/sh\necho second\n");
    place.approve(&["tool=tool"]);
    place.sign(&["bo", "cy"], LATER);
    place.pack("second.tpack", LATER);
    assert_eq!(place.judged("far", "second.tpack", &["--now", LATER]).0, 0);
    let (code, answer) = place.judged("far", "tool.tpack", &["--now", LATER]);
    assert_eq!((code, answer["code"].as_str()), (1, Some("rollback")));
    let why = answer["why"].as_str().unwrap();
    // versions of the timestamp are seconds: when it was made, and one more for the second signature of that second
    assert!(why.contains("version 1796083200") && why.contains("version 1796169601"), "{why}");
    // a machine that saw neither cannot know; one that loses its memory is told to mend it
    assert_eq!(place.judged("new", "tool.tpack", &["--now", LATER]).0, 0);
    let memory = place.path("machines/far/.local/state/claw/seen.json");
    assert_eq!(fs::metadata(&memory).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&memory, "{").unwrap();
    let root = place.root(1);
    let (code, _, err) = place.claw("far", &["bundle", "verify", "second.tpack", "--root", &root]);
    assert_eq!(code, 2);
    assert!(err.contains("seen.json"), "{err}");
}

/// Files of a keyring came with nothing below the timestamp. They are refused, and what they hold that was signed is on the
/// disk: whole, before the answer, and for whoever judges next.
#[test]
fn what_was_signed_is_remembered_though_the_rest_is_refused() {
    let place = Place::with_tool("learn");
    assert_eq!(place.judged("far", "tool.tpack", &[]).0, 0);
    place.write("tool", "#!/bin/sh\necho second\n");
    place.approve(&["tool=tool"]);
    place.sign(&["bo", "cy"], LATER);
    assert_eq!(place.judged("far", "tool.tpack", &["--now", LATER]).0, 0);
    let metadata = place.path("release/metadata");
    let names = fs::read_dir(&metadata).unwrap().map(|entry| entry.unwrap().path());
    let newest = names.filter(|path| path.to_string_lossy().ends_with(".snapshot.json")).max().unwrap();
    fs::remove_file(newest).unwrap();
    let root = place.root(1);
    let calls = "fsync,fdatasync,rename,renameat,renameat2,write";
    let verify = [CLAW, "keyring", "verify", "release", "--root", &root, "--now", LATER, "--json"];
    let strace = ["-f", "-y", "-qq", "-o", "trace", "-e", "signal=none", "-e", calls];
    let (code, out, err) = run(Command::new("strace").args(strace).args(verify), &place.0, "far");
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("missing"), "{out}{err}");
    let trace = fs::read_to_string(place.path("trace")).unwrap();
    let at = |what: &dyn Fn(&str) -> bool| {
        trace.lines().position(what).unwrap_or_else(|| panic!("not in order:\n{trace}"))
    };
    let order = [
        at(&|line| line.contains("write(") && line.contains("/.seen.json.")),
        at(&|line| line.contains("sync(") && line.contains("/.seen.json.")),
        at(&|line| line.contains("rename") && line.contains("seen.json\"")),
        at(&|line| line.contains("sync(") && line.contains("/claw>")),
        at(&|line| line.contains("write(1<")),
    ];
    assert!(order.is_sorted(), "{trace}");
    let (code, answer) = place.judged("far", "tool.tpack", &["--now", LATER]);
    assert_eq!((code, answer["code"].as_str()), (1, Some("rollback")), "{answer}");
    // nobody else knows of it
    assert_eq!(place.judged("new", "tool.tpack", &["--now", LATER]).0, 0);
}

#[test]
fn a_pack_expires_and_no_time_before_the_floor_is_taken() {
    let place = Place::with_tool("expiry");
    let (code, answer) = place.judged("far", "tool.tpack", &["--now", "2035-01-01T00:00:00Z"]);
    assert_eq!((code, answer["code"].as_str()), (1, Some("expired")));
    let root = place.root(1);
    let verify = ["bundle", "verify", "tool.tpack", "--root", &root, "--now", "1970-01-01T00:00:00Z"];
    let (code, _, err) = place.claw("far", &verify);
    assert_eq!(code, 2);
    assert!(err.contains("1970-01-01T00:00:00Z is before 2026-"), "{err}");
}

#[test]
fn a_machine_whose_clock_stands_at_1970_judges_and_one_at_2035_says_that_it_expired() {
    let place = Place::with_tool("clocks");
    let root = place.root(1);
    let at = |date: &str| {
        let words = [date, CLAW, "bundle", "verify", "tool.tpack", "--root", &root];
        run(Command::new("faketime").args(words), &place.0, date)
    };
    let (code, out, err) = at("1970-01-02 00:00:00");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("clock=floor: it says 1970-01-02T"), "{out}");
    let (code, out, err) = at("2035-01-01 00:00:00");
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.starts_with("no: tool.tpack [expired]"), "{out}");
}

#[test]
fn a_root_that_is_none_is_unusable_input_and_no_answer() {
    let place = Place::with_tool("pin");
    let (code, out, err) =
        place.claw("far", &["bundle", "verify", "tool.tpack", "--root", "tool", "--now", MADE]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    let (code, _, err) = place.claw("far", &["bundle", "verify", "tool.tpack", "--now", MADE]);
    assert_eq!(code, 2);
    assert!(err.contains("claw/root.json"), "{err}");
}

#[test]
fn what_was_taken_back_is_refused_from_then_on() {
    let place = Place::with_tool("revoke");
    let digest = {
        let (_, answer) = place.judged("far", "tool.tpack", &[]);
        answer["artefacts"][0]["digest"].as_str().unwrap().to_owned()
    };
    place.yes(&["keyring", "revoke", "release", "--artefact", &digest, "--why", "a bug", "--now", LATER]);
    // who signs is told what is taken back
    let told = place.yes(&["keyring", "sign", "release", "--key", "ann.key", "--now", LATER]);
    assert!(told.contains("takes back") && told.contains("a bug"), "{told}");
    place.sign(&["cy"], LATER);
    place.pack("late.tpack", LATER);
    let (code, answer) = place.judged("far", "late.tpack", &["--now", LATER]);
    assert_eq!((code, answer["code"].as_str()), (1, Some("revoked")));
    assert!(answer["why"].as_str().unwrap().ends_with("a bug"), "{answer}");
}

#[test]
fn holders_come_and_go_and_an_old_root_still_leads_to_the_new() {
    let place = Place::with_tool("rotate");
    place.yes(&["keyring", "key", "dee.key"]);
    place.yes(&["keyring", "add", "release", "--holder", "dee=dee.key.pub", "--now", LATER]);
    place.sign(&["ann"], LATER);
    assert!(!Path::new(&place.root(2)).exists());
    place.sign(&["bo"], LATER);
    assert!(Path::new(&place.root(2)).exists());
    // ann leaves: her key is taken back, and what she approved is approved again by others
    let answer: Value =
        serde_json::from_str(&place.yes(&["keyring", "verify", "release", "--json", "--now", LATER]))
            .unwrap();
    let holders = answer["holders"].as_array().unwrap();
    let ann =
        holders.iter().find(|holder| holder["name"] == "ann").unwrap()["key"].as_str().unwrap().to_owned();
    place.yes(&[
        "keyring",
        "revoke",
        "release",
        "--key",
        &ann,
        "--compromised",
        "--why",
        "stolen",
        "--now",
        LATER,
    ]);
    place.sign(&["bo", "dee"], LATER);
    place.pack("late.tpack", LATER);
    let (code, answer) = place.judged("far", "late.tpack", &["--now", LATER]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(answer["root"], 3);
    let (code, _, err) =
        place.claw("here", &["keyring", "sign", "release", "--key", "ann.key", "--now", LATER]);
    assert_eq!(code, 2);
    assert!(err.contains("asks for the key"), "{err}");
}

#[test]
fn what_a_carrier_puts_into_a_keyring_is_signed_by_nobody_unseen() {
    let place = Place::with_tool("carrier");
    let metadata = |name: &str| place.path(&format!("release/metadata/{name}"));
    // the attack: approvals that nobody signed, with another tool, as what was published last
    let mut lies: Value = serde_json::from_slice(&fs::read(metadata("1.targets.json")).unwrap()).unwrap();
    lies["signed"]["version"] = 2.into();
    lies["signed"]["targets"]["tool"]["hashes"]["sha256"] = "ab".repeat(32).into();
    fs::write(metadata("2.targets.json"), lies.to_string()).unwrap();
    for words in [
        &["approve", "release", "other=tool"][..],
        &["revoke", "release", "--artefact", &format!("sha256:{}", "cd".repeat(32)), "--why", "bug"],
        &["renew", "release"],
        &["sign", "release", "--key", "ann.key"],
    ] {
        let (code, out, err) = place.claw("here", &[&["keyring"], words, &["--now", LATER]].concat());
        assert_eq!(code, 2, "{out}{err}");
        assert!(err.contains("`metadata/2.targets.json` is signed by 0 who may, and 2 must"), "{err}");
        assert!(err.contains("hint: somebody changed the directory"), "{err}");
    }
    fs::remove_file(metadata("2.targets.json")).unwrap();
    // the attack: a directory from before something was taken back
    let carried = place.path("carried");
    let copied = Command::new("cp").arg("-a").arg(place.path("release")).arg(&carried).status().unwrap();
    assert!(copied.success());
    let bad = format!("sha256:{}", "cd".repeat(32));
    place.yes(&["keyring", "revoke", "release", "--artefact", &bad, "--why", "a bug", "--now", LATER]);
    place.sign(&["ann", "bo"], LATER);
    let (code, out, err) =
        place.claw("here", &["keyring", "approve", "carried", "other=tool", "--now", LATER]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("targets version 2 was seen here before, and version 1 is the last"), "{err}");
    // a draft that takes back less says so, whoever made it
    let list: String = fs::read_dir(place.path("release/targets"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .find(|list| !list.contains("a bug"))
        .unwrap();
    place.yes(&["keyring", "renew", "release", "--now", LATER]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut draft: Value =
        serde_json::from_slice(&fs::read(place.path("release/draft/revocations.json")).unwrap()).unwrap();
    draft["entries"] = list["entries"].clone();
    let bytes = draft.to_string();
    fs::write(place.path("release/draft/revocations.json"), &bytes).unwrap();
    let sign = ["keyring", "sign", "release", "--key", "ann.key", "--now", LATER];
    let (code, out, err) = place.claw("here", &sign);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("is not the list that the drafted approvals name"), "{err}");
    let path = place.path("release/draft/targets.json");
    let mut targets: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let named = &mut targets["signed"]["targets"]["revocations.json"];
    named["length"] = bytes.len().into();
    named["hashes"]["sha256"] = claw_model::digest::Digest::of(bytes.as_bytes()).hex().into();
    fs::write(&path, targets.to_string()).unwrap();
    let (code, out, err) = place.claw("here", &sign);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("no longer takes back") && out.contains("a bug"), "{out}");
    assert!(out.starts_with("keyring sha256:"), "{out}");
}

#[test]
fn a_director_assigns_among_what_was_approved() {
    let place = Place::with_tool("director");
    place.yes(&["keyring", "new", "director", "--holder", "online=cy.key.pub", "--now", MADE]);
    let assign = |path: &str| {
        place.yes(&["keyring", "approve", "director", &format!("tool={path}"), "--now", MADE]);
        place.yes(&["keyring", "sign", "director", "--key", "cy.key", "--now", MADE]);
    };
    let root = place.path("director/metadata/1.root.json").display().to_string();
    let directed = ["--director", "director", "--director-root", root.as_str()];
    assign("tool");
    assert_eq!(place.judged("far", "tool.tpack", &directed).0, 0);
    place.write("evil", "evil");
    assign("evil");
    let (code, answer) = place.judged("far", "tool.tpack", &directed);
    assert_eq!((code, answer["code"].as_str()), (1, Some("disagree")));
    place.yes(&["keyring", "withdraw", "director", "tool", "--now", MADE]);
    place.yes(&["keyring", "sign", "director", "--key", "cy.key", "--now", MADE]);
    let (code, answer) = place.judged("far", "tool.tpack", &directed);
    assert_eq!((code, answer["code"].as_str()), (1, Some("not-approved")));
}

#[test]
fn only_what_is_approved_can_be_packed_and_with_all_that_belongs_to_it() {
    let place = Place::with_tool("only");
    let pack = |files: &[&str]| {
        let words =
            [&["bundle", "pack", "--keyring", "release", "--out", "x.tpack", "--now", MADE], files].concat();
        let (code, _, err) = place.claw("here", &words);
        assert!(!place.path("x.tpack").exists() || code == 0);
        (code, err)
    };
    let (code, err) = pack(&["tool=tool"]);
    assert_eq!(code, 2);
    assert!(err.contains("`tool.cdx.json` belongs into the pack"), "{err}");
    place.write("tool", "changed since");
    let (code, err) = pack(&["tool=tool", "tool.cdx.json=tool.cdx.json"]);
    assert_eq!(code, 2);
    assert!(err.contains("is approved as sha256:"), "{err}");
    let (code, err) = pack(&["other=tool"]);
    assert_eq!(code, 2);
    assert!(err.contains("no role lists a target `other`"), "{err}");
}

#[test]
fn a_private_key_is_its_owner_s_and_is_never_written_over() {
    let place = Place::new("keys");
    assert_eq!(fs::metadata(place.path("ann.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(place.path("ann.key")).unwrap();
    assert_eq!(place.claw("here", &["keyring", "key", "ann.key"]).0, 2);
    assert_eq!(fs::read(place.path("ann.key")).unwrap(), before);
}

#[test]
fn standard_tools_read_a_pack() {
    let place = Place::with_tool("skopeo");
    let policy = place.path("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let copy = Command::new("skopeo")
        .arg("--policy")
        .arg(&policy)
        .arg("--tmpdir")
        .arg(&place.0)
        .args(["copy", "oci-archive:tool.tpack:tool", "dir:copied"])
        .current_dir(&place.0)
        .output()
        .unwrap();
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
    let names = fs::read_dir(place.path("copied")).unwrap();
    let wanted = fs::read(place.path("tool")).unwrap();
    assert!(names.filter_map(|entry| fs::read(entry.unwrap().path()).ok()).any(|bytes| bytes == wanted));
}

#[test]
fn memory_does_not_grow_with_an_artefact() {
    let place = Place::new("large");
    let large = fs::File::create(place.path("large")).unwrap();
    large.set_len(200 << 20).unwrap();
    place.approve(&["large=large"]);
    place.sign(&["ann", "bo"], MADE);
    let root = place.root(1);
    let verify = format!("exec {CLAW} bundle verify large.tpack --root {root} --now {MADE}");
    for script in [
        format!("exec {CLAW} bundle pack --keyring release --out large.tpack --now {MADE} large=large"),
        verify,
    ] {
        // KiB of memory for data
        let script = format!("ulimit -d 50000; {script}");
        let (code, out, err) = run(Command::new("sh").args(["-c", &script]), &place.0, "far");
        assert_eq!(code, 0, "{out}{err}");
    }
}
