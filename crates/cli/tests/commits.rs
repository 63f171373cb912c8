//! The commit gate on real histories: made by git, ssh-keygen and gpg, and judged beside `git verify-commit`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use claw_testkit::{Git, History, SshSigner, copy_program};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const PLACE: &str = ".claw/allowed-signers.toml";

/// What the gate said.
struct Said {
    code: i32,
    report: Value,
    text: String,
}

fn gate(git: &Git, arguments: &[&str]) -> Said {
    let output = git.command(CLAW).args(["gate", "commits", "--json"]).args(arguments).output().unwrap();
    said(&output)
}

fn said(output: &Output) -> Said {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Said { code: output.status.code().unwrap_or(-1), report, text }
}

impl Said {
    /// Code and commit of everything that refuses.
    fn errors(&self) -> Vec<(String, String)> {
        self.level("error")
    }

    fn level(&self, level: &str) -> Vec<(String, String)> {
        let text = |finding: &Value, key: &str| {
            finding.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let findings = self.report.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
        let kept = findings.iter().filter(|finding| text(finding, "level") == level);
        let mut found: Vec<_> =
            kept.map(|finding| (text(finding, "code"), text(finding, "commit"))).collect();
        found.sort();
        found
    }

    fn clean(&self) {
        assert!(self.code == 0 && self.errors().is_empty(), "{} {}", self.report, self.text);
    }

    fn refuses(&self, expect: &[(&str, &str)]) {
        let mut expect: Vec<_> =
            expect.iter().map(|(code, commit)| ((*code).to_owned(), (*commit).to_owned())).collect();
        expect.sort();
        assert_eq!((self.code, self.errors()), (1, expect), "{} {}", self.report, self.text);
    }

    fn unusable(&self, what: &str) {
        assert!(self.code == 2 && self.text.contains(what), "{} {}", self.code, self.text);
    }
}

/// A file of allowed signers.
fn signers(version: u64, threshold: u64, entries: &[String]) -> String {
    format!("version = {version}\nthreshold = {threshold}\n\n{}", entries.join("\n"))
}

fn entry(name: &str, key: &str, more: &str) -> String {
    format!("[[signer]]\nname = \"{name}\"\nprincipals = [\"{name}@example.com\"]\nssh = \"{key}\"\n{more}\n")
}

/// A repository in which ada commits, and a file outside that allows her everything.
fn adas() -> (Git, String) {
    let mut git = Git::new();
    git.become_("ada");
    let all = "roles = [\"commit\", \"policy\", \"tag\"]";
    let file = git.beside("allowed.toml", &signers(1, 1, &[entry("ada", &git.key("ada"), all)]));
    (git, file.to_string_lossy().into_owned())
}

/// What git itself says of HEAD, with the same keys.
fn git_accepts(git: &Git, what: &str) -> bool {
    let lines: String = ["ada", "bob", "eve"]
        .iter()
        .filter(|name| git.path(name).exists())
        .map(|name| format!("{name}@example.com {}\n", git.key(name)))
        .collect();
    let file = git.beside("git-signers", &lines);
    let setting = format!("gpg.ssh.allowedSignersFile={}", file.display());
    git.attempt(&["-c", &setting, "verify-commit", what]).status.success()
}

#[test]
fn one_unsigned_commit_of_five_thousand_behind_a_merge_is_named() {
    let git = Git::new();
    let (ada, bob) = (SshSigner::new("ada", 1), SshSigner::new("bob", 2));
    let mut history = History::default();
    let (mut tip, mut hidden, mut count) = (String::new(), String::new(), 0);
    while count < 5000 {
        let blob = history.blob(format!("{count}").as_bytes());
        let tree = history.tree(&[("100644", "file", &blob)]);
        let parents: Vec<&str> = if tip.is_empty() { vec![] } else { vec![&tip] };
        let signer = if count % 2 == 0 { &ada } else { &bob };
        let name = if count % 2 == 0 { "ada" } else { "bob" };
        if count % 100 != 50 {
            tip = history.commit(&tree, &parents, name, &format!("commit {count}"), Some(signer));
            count += 1;
            continue;
        }
        // a side branch of two commits, merged; one of them is not signed
        let side = history.commit(&tree, &parents, name, &format!("side {count}"), Some(signer));
        let unsigned = count == 2350;
        let second = history.commit(&tree, &[&side], "bob", "a small mend", (!unsigned).then_some(&bob));
        if unsigned {
            hidden.clone_from(&second);
        }
        tip = history.commit(&tree, &[&tip, &second], "ada", &format!("merge {count}"), Some(&ada));
        count += 3;
    }
    history.write(git.repo(), "main", &tip);
    let text = signers(
        1,
        1,
        &[entry("ada", &ada.line(), "roles = [\"commit\", \"policy\"]"), entry("bob", &bob.line(), "")],
    );
    let allowed = git.beside("allowed.toml", &text).to_string_lossy().into_owned();
    let setting_file = git
        .beside("git-signers", &format!("ada@example.com {}\nbob@example.com {}\n", ada.line(), bob.line()));
    let setting = format!("gpg.ssh.allowedSignersFile={}", setting_file.display());
    // the attack: whoever looks at the tip, or follows first parents, sees nothing
    assert!(git.attempt(&["-c", &setting, "verify-commit", &tip]).status.success());
    assert!(!git.run(&["rev-list", "--first-parent", "main"]).contains(&hidden));
    assert!(git.run(&["rev-list", "main"]).contains(&hidden));
    let all: usize = git.run(&["rev-list", "--count", "main"]).parse().unwrap();
    assert!(all >= 5000);

    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.refuses(&[("unsigned", &hidden)]);
    assert_eq!(said.report["ranges"][0]["commits"], all);
    let finding = &said.report["findings"][0];
    assert_eq!(finding["who"][0], "bob");
    assert!(finding["fix"].as_str().unwrap().starts_with("git rebase --rebase-merges"), "{finding}");
    // what people see names it too
    let output = git.command(CLAW).args(["gate", "commits", "main", "--allowed", &allowed]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && text.contains(&hidden) && text.contains("UNSIGNED"), "{text}");
    // outside of the range it is not judged
    let after = format!("{}..main", git.run(&["rev-parse", "main~10"]));
    gate(&git, &[&after, "--allowed", &allowed]).clean();
}

#[test]
fn the_gate_and_git_agree_on_every_kind_of_ssh_key() {
    let (mut git, _) = adas();
    let mut entries = vec![entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]")];
    git.commit("a", "1");
    for kind in ["rsa", "ecdsa"] {
        let line = git.key_of(kind, kind);
        git.become_(kind);
        git.commit("a", kind);
        entries.push(entry(kind, &line, ""));
        assert!(git.run(&["cat-file", "commit", "HEAD"]).contains("SSH SIGNATURE"));
    }
    let allowed = git.beside("kinds.toml", &signers(1, 1, &entries));
    gate(&git, &["main", "--allowed", &allowed.to_string_lossy()]).clean();
}

#[test]
fn a_changed_byte_or_another_key_is_refused() {
    let (mut git, allowed) = adas();
    git.commit("a", "1");
    let signed = git.run(&["cat-file", "commit", "HEAD"]);
    let forged = git.beside("forged", &(signed.replace("change a", "change b") + "\n"));
    let forged = git.run(&["hash-object", "-w", "-t", "commit", &forged.to_string_lossy()]);
    assert!(!git_accepts(&git, &forged));
    gate(&git, &[&forged, "--allowed", &allowed]).refuses(&[("bad-signature", &forged)]);
    git.become_("eve");
    let foreign = git.commit("a", "2");
    assert!(git_accepts(&git, &foreign));
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("unknown-key", &foreign)]);
}

#[test]
fn a_retired_key_gains_nothing_by_a_date_or_an_old_branch() {
    let (mut git, _) = adas();
    let first = git.commit("a", "1");
    git.become_("bob");
    let last = git.commit("a", "2");
    git.become_("ada");
    git.commit("a", "3");
    let until = format!("until = \"{last}\"");
    let text = signers(
        1,
        1,
        &[
            entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
            entry("bob", &git.key("bob"), &until),
        ],
    );
    let allowed = git.beside("retired.toml", &text).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &allowed]).clean();

    // the attack: bob's key was stolen; a date before its end satisfies git
    git.become_("bob");
    git.run(&["checkout", "-q", "-b", "old", &first]);
    let backdated = git.commit_with("a", "evil", &["-S", "--date", "2020-01-01T00:00:00Z"]);
    let lines = format!("bob@example.com valid-before=\"20240101\" {}\n", git.key("bob"));
    let file = git.beside("dated", &lines);
    let setting = format!("gpg.ssh.allowedSignersFile={}", file.display());
    assert!(git.attempt(&["-c", &setting, "verify-commit", &backdated]).status.success());
    gate(&git, &["main..old", "--allowed", &allowed]).refuses(&[("out-of-range", &backdated)]);
    // merged by somebody honest, it is still named
    git.become_("ada");
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "-S", "-s", "ours", "-m", "merge", "old"]);
    assert!(git_accepts(&git, "HEAD"));
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("out-of-range", &backdated)]);
}

#[test]
fn a_revoked_key_counts_for_nothing_or_for_what_came_before() {
    let (mut git, _) = adas();
    git.commit("a", "1");
    git.become_("bob");
    let good = git.commit("a", "2");
    let bad = git.commit("a", "3");
    let with = |more: &str| {
        signers(
            1,
            1,
            &[
                entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
                entry("bob", &git.key("bob"), more),
            ],
        )
    };
    let hard = git.beside("hard.toml", &with("revoked = \"stolen\"")).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &hard]).refuses(&[("revoked", &good), ("revoked", &bad)]);
    let soft = format!("revoked = \"stolen\"\nuntil = \"{good}\"");
    let soft = git.beside("soft.toml", &with(&soft)).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &soft]).refuses(&[("revoked", &bad)]);
}

#[test]
fn replaced_and_grafted_histories_are_judged_as_they_are_and_told() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    let base = git.head();
    let hidden = git.commit_with("a", "evil", &["--no-gpg-sign"]);
    let tip = git.commit("a", "3");
    // the attack: git no longer sees the commit at all
    git.run(&["replace", "--graft", &tip, &base]);
    assert!(!git.run(&["rev-list", "main"]).contains(&hidden));
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("replace-ref", &tip), ("unsigned", &hidden)]);
    git.run(&["replace", "-d", &tip]);
    fs::create_dir_all(git.repo().join(".git/info")).unwrap();
    fs::write(git.repo().join(".git/info/grafts"), format!("{tip} {base}\n")).unwrap();
    assert!(!git.run(&["rev-list", "main"]).contains(&hidden));
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("graft", &tip), ("unsigned", &hidden)]);
}

#[test]
fn what_is_cut_off_or_elsewhere_cannot_be_judged() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    git.commit("a", "2");
    let source = format!("file://{}", git.repo().display());
    let shallow = git.path("shallow");
    git.run(&["clone", "-q", "--depth", "1", &source, &shallow.to_string_lossy()]);
    let said = gate(&git, &["HEAD", "--allowed", &allowed, "--repo", &shallow.to_string_lossy()]);
    said.unusable("shallow clone");
    assert!(said.text.contains("git fetch --unshallow"), "{}", said.text);
    let partial = git.path("partial");
    git.run(&["config", "uploadpack.allowFilter", "true"]);
    git.run(&["clone", "-q", "--filter=blob:none", &source, &partial.to_string_lossy()]);
    gate(&git, &["HEAD", "--allowed", &allowed, "--repo", &partial.to_string_lossy()])
        .unusable("partial clone");
    // an object that is not there
    let parent = git.run(&["rev-parse", "HEAD~1"]);
    let (a, b) = parent.split_at(2);
    fs::remove_file(git.repo().join(format!(".git/objects/{a}/{b}"))).unwrap();
    gate(&git, &["main", "--allowed", &allowed])
        .unusable(&format!("object {parent} is not in the repository"));
}

#[test]
fn an_object_under_a_wrong_name_is_refused() {
    let (git, allowed) = adas();
    let first = git.commit("a", "1");
    let second = git.commit_with("a", "2", &["--no-gpg-sign"]);
    let file = |id: &str| {
        let (directory, name) = id.split_at(2);
        git.repo().join(format!(".git/objects/{directory}/{name}"))
    };
    // the attack: the signed commit lies under the name of the unsigned one
    fs::remove_file(file(&second)).unwrap();
    fs::copy(file(&first), file(&second)).unwrap();
    gate(&git, &[&second, "--allowed", &allowed]).refuses(&[("id-mismatch", &second)]);
}

#[test]
fn a_rewritten_history_is_refused() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    let published = git.commit("a", "2");
    let head = git.path("head.json").to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).clean();
    assert!(fs::read_to_string(&head).unwrap().contains(&published));
    git.commit("a", "3");
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).clean();
    let recorded = git.head();
    git.run(&["reset", "-q", "--hard", "HEAD~2"]);
    git.commit("a", "other");
    let said = gate(&git, &["main", "--allowed", &allowed, "--head", &head]);
    said.refuses(&[("rewritten", &recorded)]);
    assert!(fs::read_to_string(&head).unwrap().contains(&recorded), "a refusal records nothing");
}

#[test]
fn a_baseline_is_told_and_does_not_move_silently() {
    let (git, allowed) = adas();
    git.commit_with("a", "1", &["--no-gpg-sign"]);
    let old = git.commit_with("a", "2", &["--no-gpg-sign"]);
    git.commit("a", "3");
    let head = git.path("head.json").to_string_lossy().into_owned();
    let said = gate(&git, &["main", "--allowed", &allowed, "--since", &old, "--head", &head]);
    said.clean();
    assert_eq!(said.report["ranges"][0]["since"][0], old.as_str());
    assert_eq!(
        (said.report["ranges"][0]["unjudged"].as_u64(), said.report["ranges"][0]["commits"].as_u64()),
        (Some(2), Some(1))
    );
    let text =
        git.command(CLAW).args(["gate", "commits", "main", "--allowed", &allowed, "--since", &old]).output();
    assert!(String::from_utf8_lossy(&text.unwrap().stdout).contains(&format!("2 commits up to {old}")));
    let tip = git.head();
    gate(&git, &["main", "--allowed", &allowed, "--since", &tip, "--head", &head])
        .unusable("was judged since");
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).unusable("was judged since");
}

#[test]
fn a_key_touches_its_paths_only() {
    let (mut git, _) = adas();
    let text = signers(
        1,
        1,
        &[
            entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
            entry("bob", &git.key("bob"), "paths = [\"docs/**\"]"),
        ],
    );
    let allowed = git.beside("paths.toml", &text).to_string_lossy().into_owned();
    git.commit("src/a", "1");
    git.become_("bob");
    git.commit("docs/a", "1");
    gate(&git, &["main", "--allowed", &allowed]).clean();
    let outside = git.commit("src/a", "2");
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.refuses(&[("path", &outside)]);
    assert_eq!(said.report["findings"][0]["paths"][0], "src/a");
}

#[test]
fn what_a_merge_brings_by_itself_is_named() {
    let (mut git, allowed) = adas();
    git.commit("a", "1");
    git.commit("b", "1");
    git.run(&["checkout", "-q", "-b", "side"]);
    git.commit("b", "2");
    git.run(&["checkout", "-q", "main"]);
    git.commit("a", "2");
    git.run(&["merge", "-q", "-S", "-m", "honest", "side"]);
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.clean();
    assert!(said.level("note").is_empty(), "an honest merge brings nothing: {}", said.report);

    // the attack: the merge carries a file that no side has, and undoes what a side did
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    git.run(&["merge", "-q", "--no-commit", "side"]);
    fs::write(git.repo().join("door"), "open").unwrap();
    fs::write(git.repo().join("b"), "1").unwrap();
    let evil = git.commit("c", "new");
    assert!(git.run(&["log", "--oneline", "-1", "--format=%P"]).contains(' '));
    assert!(git_accepts(&git, &evil));
    let said = gate(&git, &["main", "--allowed", &allowed]);
    assert_eq!(said.level("note"), [("merge-content".to_owned(), evil.clone())], "{}", said.report);
    assert_eq!(said.report["findings"][0]["paths"], serde_json::json!(["b", "c", "door"]));
    // where the file of signers says so, it is refused
    let strict = fs::read_to_string(&allowed)
        .unwrap()
        .replace("threshold = 1\n", "threshold = 1\nmerges = \"refuse\"\n");
    let strict = git.beside("strict.toml", &strict).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &strict]).refuses(&[("merge-content", &evil)]);
    // and a signer with few paths answers for what the merge brings
    git.become_("bob");
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    git.run(&["merge", "-q", "--no-commit", "side"]);
    let evil = git.commit("door", "open");
    let few = [
        entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
        entry("bob", &git.key("bob"), "paths = [\"docs/**\"]"),
    ];
    let few = git.beside("few.toml", &signers(1, 1, &few)).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &few]).refuses(&[("path", &evil)]);
}

#[test]
fn an_octopus_hides_nothing_behind_any_arm() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    let mut hidden = String::new();
    for arm in ["one", "two", "three"] {
        git.run(&["checkout", "-q", "-b", arm, "main"]);
        let flag = if arm == "three" { "--no-gpg-sign" } else { "-S" };
        hidden = git.commit_with(arm, "1", &[flag]);
    }
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "-S", "-m", "octopus", "one", "two", "three"]);
    assert!(git_accepts(&git, "HEAD"));
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.refuses(&[("unsigned", &hidden)]);
    assert!(said.level("note").is_empty(), "{}", said.report);
}

#[test]
fn a_tag_is_signed_or_named() {
    let (mut git, allowed) = adas();
    let commit = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "one", "v1"]);
    gate(&git, &["v1", "--allowed", &allowed]).clean();
    git.run(&["tag", "light"]);
    gate(&git, &["light", "--allowed", &allowed]).refuses(&[("tag-lightweight", &commit)]);
    git.run(&["tag", "-a", "--no-sign", "-m", "x", "bare"]);
    let bare = git.run(&["rev-parse", "bare"]);
    gate(&git, &["bare", "--allowed", &allowed]).refuses(&[("tag-unsigned", &bare)]);
    // a signed tag of another name
    let signed = git.run(&["rev-parse", "v1"]);
    git.run(&["update-ref", "refs/tags/v2", &signed]);
    gate(&git, &["v2", "--allowed", &allowed]).refuses(&[("tag-name", &signed)]);
    git.become_("eve");
    git.run(&["tag", "-s", "-m", "x", "foreign"]);
    let foreign = git.run(&["rev-parse", "foreign"]);
    gate(&git, &["foreign", "--allowed", &allowed]).refuses(&[("unknown-key", &foreign)]);
}

#[test]
fn a_signer_who_is_not_the_author_is_told() {
    let (git, allowed) = adas();
    let commit = git.commit_with("a", "1", &["-S", "--author", "Eve <eve@example.com>"]);
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.clean();
    assert_eq!(said.level("note"), [("signer-not-author".to_owned(), commit.clone())]);
    let strict = fs::read_to_string(&allowed)
        .unwrap()
        .replace("threshold = 1\n", "threshold = 1\nauthors = \"refuse\"\n");
    let strict = git.beside("strict.toml", &strict).to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &strict]).refuses(&[("signer-not-author", &commit)]);
}

#[test]
fn names_with_two_readings_are_refused() {
    let (git, allowed) = adas();
    let commit = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "x", "twice"]);
    git.run(&["branch", "twice"]);
    let with = |range: &str| gate(&git, &[range, "--allowed", &allowed]);
    with("twice").unusable("is both refs/tags/twice and refs/heads/twice");
    with("a...b").unusable("is no range here");
    with(commit.split_at(12).0).unusable("part of an id");
    with("absent").unusable("nothing is called `absent`");
    with("HEAD~5").unusable("goes back further");
    gate(&git, &["main"]).unusable("nothing says who may sign");
    gate(&git, &["main", "--allowed", "/absent"]).unusable("cannot read");
    let wrong =
        git.beside("wrong.toml", "version = 1\nthreshold = 1\nsinger = []\n").to_string_lossy().into_owned();
    let said = gate(&git, &["main", "--allowed", &wrong]);
    said.unusable("wrong.toml:3");
    assert!(said.text.contains("did you mean `signer`?"), "{}", said.text);
}

/// Writes a version of the file of signers, has it agreed to by others, and commits it.
fn change(git: &Git, text: &str, agreed: &[&str]) -> String {
    fs::create_dir_all(git.repo().join(".claw")).unwrap();
    fs::write(git.repo().join(PLACE), text).unwrap();
    let signatures: String =
        agreed.iter().map(|name| git.sign_file(name, "claw-allowed-signers", PLACE)).collect();
    git.commit_with(".claw/allowed-signers.sig", &signatures, &["-S"])
}

fn digest(text: &str) -> String {
    let path = std::env::temp_dir().join(format!("claw-digest-{}", std::process::id()));
    fs::write(&path, text).unwrap();
    let sum = Command::new("sha256sum").arg(&path).output().unwrap();
    format!("sha256:{}", String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap())
}

fn next(version: u64, threshold: u64, before: &str, entries: &[String]) -> String {
    let text = signers(version, threshold, entries);
    text.replace("threshold", &format!("previous = [\"{}\"]\nthreshold", digest(before)))
}

#[test]
fn the_file_of_signers_changes_only_as_its_last_version_allows() {
    let (mut git, _) = adas();
    let both = "roles = [\"commit\", \"policy\"]";
    let (ada, bob, eve) = (
        entry("ada", &git.key("ada"), both),
        entry("bob", &git.key("bob"), both),
        entry("eve", &git.key("eve"), both),
    );
    let one = signers(1, 2, &[ada.clone(), bob.clone()]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    let start = git.commit("a", "1");
    // the first version is committed as it was given: that is no change
    git.commit(PLACE, &one);
    gate(&git, &["main", "--allowed", &allowed]).clean();

    // the attack: ada alone lets eve in, and eve commits
    let two = next(2, 2, &one, &[ada.clone(), bob.clone(), eve.clone()]);
    let alone = change(&git, &two, &["ada"]);
    git.become_("eve");
    let after = git.commit("a", "evil");
    assert!(git_accepts(&git, "HEAD"));
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.refuses(&[("policy-unauthorised", &alone), ("unknown-key", &after)]);
    let why = said.report["findings"].to_string();
    assert!(why.contains("1 of 2 people agreed (ada); bob could"), "{why}");
    assert!(why.contains("ssh-keygen -Y sign -n claw-allowed-signers"), "{why}");

    // with bob's word it holds from there on
    git.become_("ada");
    git.run(&["reset", "-q", "--hard", "HEAD~2"]);
    let agreed = change(&git, &two, &["bob"]);
    git.become_("eve");
    git.commit("a", "welcome");
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.clean();
    assert_eq!(said.report["ranges"][0]["version"], 2);
    assert_eq!(said.report["ranges"][0]["allowed_by"], agreed.as_str());

    // an older version, its signatures and all, does not come back
    git.become_("ada");
    let back = change(&git, &one, &["ada", "bob"]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-unauthorised", &back)]);
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    // nor does it come back by a merge that takes it from an old side
    git.run(&["checkout", "-q", "-b", "old", &start]);
    git.commit("side", "1");
    git.commit(PLACE, &one);
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "--no-commit", "-s", "ours", "old"]);
    fs::remove_file(git.repo().join(".claw/allowed-signers.sig")).unwrap();
    let merge = git.commit(PLACE, &one);
    assert!(git.run(&["log", "-1", "--format=%P"]).contains(' '));
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-unauthorised", &merge)]);
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    // it is not deleted, and not made unreadable
    git.run(&["rm", "-q", PLACE]);
    let gone = git.commit("a", "gone");
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-removed", &gone)]);
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    let broken = change(&git, "version = 3\nthreshhold = 1\n", &["ada", "bob"]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-invalid", &broken)]);
}

#[test]
fn a_key_that_is_taken_out_counts_for_what_came_before_and_for_nothing_beside() {
    let (mut git, _) = adas();
    let (ada, bob) = (
        entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
        entry("bob", &git.key("bob"), ""),
    );
    let one = signers(1, 1, &[ada.clone(), bob.clone()]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    git.commit(PLACE, &one);
    git.become_("bob");
    let before = git.commit("a", "bob was here");
    git.become_("ada");
    let two = next(2, 1, &one, std::slice::from_ref(&ada));
    change(&git, &two, &[]);
    gate(&git, &["main", "--allowed", &allowed]).clean();

    // the attack: bob's key signs beside the change, from where the file still lists it
    git.become_("bob");
    git.run(&["checkout", "-q", "-b", "old", &before]);
    let beside = git.commit("a", "evil");
    gate(&git, &["main..old", "--allowed", &allowed]).refuses(&[("out-of-range", &beside)]);
    // without a file from outside, the base's own version speaks
    gate(&git, &["main..old"]).refuses(&[("unknown-key", &beside)]);
    git.become_("ada");
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "-S", "-s", "ours", "-m", "merge", "old"]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("out-of-range", &beside)]);
    // rotation: a new key counts from the change on
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    let three = next(3, 1, &two, &[ada.clone(), entry("bob", &git.key("bob-new"), "")]);
    change(&git, &three, &[]);
    git.become_("bob-new");
    git.commit_with("a", "bob again", &["-S", "--author", "bob <bob@example.com>"]);
    gate(&git, &["main", "--allowed", &allowed]).clean();
}

#[test]
fn a_forgotten_signature_is_adopted_by_name_and_told() {
    let (git, _) = adas();
    let ada = entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]");
    let one = signers(1, 1, std::slice::from_ref(&ada));
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    git.commit(PLACE, &one);
    let forgotten = git.commit_with("a", "1", &["--no-gpg-sign"]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("unsigned", &forgotten)]);
    let adopt = format!("[[adopt]]\ncommit = \"{forgotten}\"\nreason = \"forgotten, reviewed by ada\"\n");
    change(&git, &next(2, 1, &one, &[ada, adopt]), &[]);
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.clean();
    let notes = said.level("note");
    assert!(notes.contains(&("adopted".to_owned(), forgotten)), "{notes:?}");
    assert!(said.report["findings"].to_string().contains("forgotten, reviewed by ada"));
}

#[test]
fn sarif_names_every_commit() {
    let (git, allowed) = adas();
    let hidden = git.commit_with("a", "1", &["--no-gpg-sign"]);
    let path = git.path("out.sarif");
    // the attack: a link where it is to be written
    fs::write(git.path("victim"), "precious").unwrap();
    std::os::unix::fs::symlink(git.path("victim"), &path).unwrap();
    let judge = ["main", "--allowed", &allowed, "--sarif", &path.to_string_lossy()];
    gate(&git, &judge).unusable("the SARIF file was not written");
    assert_eq!(fs::read_to_string(git.path("victim")).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    assert_eq!(gate(&git, &judge).code, 1);
    let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(document["version"], "2.1.0");
    let result = &document["runs"][0]["results"][0];
    assert_eq!((result["ruleId"].as_str(), result["level"].as_str()), (Some("unsigned"), Some("error")));
    assert_eq!(document["runs"][0]["tool"]["driver"]["rules"][0]["id"], "unsigned");
    assert!(result["message"]["text"].as_str().unwrap().contains(&hidden));
}

/// Feeds a hook by hand.
fn hook(git: &Git, name: &str, input: &str, arguments: &[&str]) -> Said {
    let mut command = git.command(CLAW);
    command.args(["gate", "commits", "--json", "--hook", name]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // what is not read any more breaks the pipe
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).ok();
    said(&child.wait_with_output().unwrap())
}

/// Puts a hook of `docs/` where git runs it.
fn ready(name: &str, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commit-gate").join(name);
    copy_program(from, to);
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// git with claw in its path, and the allowed signers where the hooks look for them.
fn push(git: &Git, allowed: &str, arguments: &[&str]) -> (bool, String) {
    let claw = Path::new(CLAW).parent().unwrap().display().to_string();
    let path = format!("{claw}:{}", std::env::var("PATH").unwrap());
    let mut command = git.command("git");
    command.env("PATH", path).env("CLAW_ALLOWED", allowed).args(["push", "-q", "origin"]).args(arguments);
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// A server behind the hook, as `origin`.
fn guarded(git: &Git) -> Git {
    let server = git.path("server.git");
    git.run(&["init", "-q", "--bare", "-b", "main", &server.to_string_lossy()]);
    ready("pre-receive", &server.join("hooks/pre-receive"));
    git.run(&["remote", "add", "origin", &server.to_string_lossy()]);
    git.at(&server)
}

#[test]
fn a_server_takes_nothing_that_the_gate_refuses() {
    let (git, allowed) = adas();
    let bare = guarded(&git);
    let push = |arguments: &[&str]| push(&git, &allowed, arguments);
    let first = git.commit("a", "1");
    assert!(push(&["main"]).0);
    assert_eq!(bare.run(&["rev-parse", "main"]), first);
    // the objects of a push lie in quarantine until the hook has judged them
    let hidden = git.commit_with("a", "2", &["--no-gpg-sign"]);
    git.commit("a", "3");
    let (taken, text) = push(&["main"]);
    assert!(!taken && text.contains(&hidden) && text.contains("UNSIGNED"), "{text}");
    assert_eq!(bare.run(&["rev-parse", "main"]), first);
    // a new branch is judged from the main branch on
    let (taken, text) = push(&["main:refs/heads/other"]);
    assert!(!taken && text.contains(&hidden), "{text}");
    // a forced push of what was rewritten is refused
    git.run(&["reset", "-q", "--hard", &first]);
    let second = git.commit("a", "2");
    assert!(push(&["main"]).0);
    git.run(&["reset", "-q", "--hard", &first]);
    git.commit("a", "other");
    let (taken, text) = push(&["-f", "main"]);
    assert!(!taken && text.contains("REWRITTEN") && text.contains(&second), "{text}");
    // a ref that shows another history to all who fetch it
    let (taken, text) = push(&[&format!("{first}:refs/replace/{second}")]);
    assert!(!taken && text.contains("REPLACE-REF"), "{text}");
    // neither tag without a signature, nor the end of the main branch
    git.run(&["tag", "light", &first]);
    assert!(!push(&["light"]).0);
    git.run(&["tag", "-s", "-m", "x", "v1", &first]);
    assert!(push(&["v1"]).0);
    bare.run(&["config", "receive.denyDeleteCurrent", "ignore"]);
    let (taken, text) = push(&[":main"]);
    assert!(!taken && text.contains("DELETED"), "{text}");
}

#[test]
fn a_client_sends_nothing_that_the_gate_refuses() {
    let (git, allowed) = adas();
    let server = git.path("server.git");
    git.run(&["init", "-q", "--bare", "-b", "main", &server.to_string_lossy()]);
    git.run(&["remote", "add", "origin", &server.to_string_lossy()]);
    ready("pre-push", &git.repo().join(".git/hooks/pre-push"));
    git.commit("a", "1");
    let (sent, text) = push(&git, &allowed, &["main"]);
    assert!(sent, "{text}");
    let hidden = git.commit_with("a", "2", &["--no-gpg-sign"]);
    let (sent, text) = push(&git, &allowed, &["main"]);
    assert!(!sent && text.contains(&hidden), "{text}");
    hook(&git, "pre-push", "nonsense\n", &["--allowed", &allowed])
        .unusable("the hook's input cannot be read");
    hook(&git, "pre-push", "", &["--allowed", &allowed]).clean();
}

/// A key of gpg; its fingerprint.
fn gpg_key(git: &Git, name: &str, expires: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let home = git.path("gnupg");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let user = format!("{name} <{name}@example.com>");
    // order: the key is older than what it signs, as real ones are
    gpg(
        git,
        &["--faked-system-time", "20230101T000000", "--quick-gen-key", &user, "ed25519", "cert", expires],
    );
    let listed = gpg(git, &["--with-colons", "--list-keys", name]);
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
    let fingerprint = fingerprint.trim_end_matches(':').to_owned();
    gpg(
        git,
        &[
            "--faked-system-time",
            "20230101T000000",
            "--quick-add-key",
            &fingerprint,
            "ed25519",
            "sign",
            expires,
        ],
    );
    fingerprint
}

fn gpg(git: &Git, arguments: &[&str]) -> String {
    let mut command = git.command("gpg");
    command.args(["--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn openpgp(git: &Git, name: &str, more: &str) -> String {
    let certificate = gpg(git, &["--armor", "--export", name]);
    format!(
        "[[signer]]\nname = \"{name}\"\nprincipals = [\"{name}@example.com\"]\nopenpgp = \"\"\"\n{certificate}\"\"\"\n{more}\n"
    )
}

/// Commits with a key of gpg.
fn gpg_commit(git: &Git, text: &str, key: &str) -> String {
    let (format, key) = ("gpg.format=openpgp", format!("--gpg-sign={key}"));
    fs::write(git.repo().join("a"), text).unwrap();
    git.run(&["add", "-A"]);
    git.run(&["-c", format, "commit", "-q", "-m", "by gpg", &key]);
    assert!(git.run(&["cat-file", "commit", "HEAD"]).contains("PGP SIGNATURE"));
    git.head()
}

#[test]
fn openpgp_signatures_count_as_gpg_says() {
    let (git, _) = adas();
    let (gil, eve) = (gpg_key(&git, "gil", "never"), gpg_key(&git, "eve-gpg", "never"));
    let file = signers(
        1,
        1,
        &[entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"), openpgp(&git, "gil", "")],
    );
    let allowed = git.beside("gpg.toml", &file).to_string_lossy().into_owned();
    git.commit("a", "1");
    let good = gpg_commit(&git, "2", &gil);
    assert!(git.attempt(&["verify-commit", &good]).status.success());
    gate(&git, &["main", "--allowed", &allowed]).clean();
    // by a key that gpg knows and the file does not
    let foreign = gpg_commit(&git, "3", &eve);
    assert!(git.attempt(&["verify-commit", &foreign]).status.success());
    // and changed after it was signed
    let text = git.run(&["cat-file", "commit", &good]).replace("by gpg", "by GPG") + "\n";
    let forged = git.beside("forged", &text);
    let forged = git.run(&["hash-object", "-w", "-t", "commit", &forged.to_string_lossy()]);
    assert!(!git.attempt(&["verify-commit", &forged]).status.success());
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("unknown-key", &foreign)]);
    gate(&git, &[&forged, "--allowed", &allowed]).refuses(&[("bad-signature", &forged)]);
    // with SHA-1, which gpg still makes if it is told to
    let conf = git.path("gnupg/gpg.conf");
    fs::write(&conf, "digest-algo SHA1\nweak-digest MD5\n").unwrap();
    git.run(&["reset", "-q", "--hard", &good]);
    let weak = gpg_commit(&git, "4", &gil);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("bad-signature", &weak)]);
}

#[test]
fn an_openpgp_key_that_ended_or_was_revoked_counts_only_where_the_file_says_so() {
    let (git, _) = adas();
    // it ended in 2024, and signed in 2023
    let gil = gpg_key(&git, "gil", "1y");
    fs::write(git.path("gnupg/gpg.conf"), "faked-system-time 20230601T000000\n").unwrap();
    let first = git.commit("a", "1");
    let signed = gpg_commit(&git, "2", &gil);
    fs::remove_file(git.path("gnupg/gpg.conf")).unwrap();
    let with = |more: &str| {
        let ada = entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]");
        let file = signers(1, 1, &[ada, openpgp(&git, "gil", more)]);
        git.beside("gpg.toml", &file).to_string_lossy().into_owned()
    };
    gate(&git, &["main", "--allowed", &with("")]).refuses(&[("expired", &signed)]);
    gate(&git, &["main", "--allowed", &with(&format!("until = \"{signed}\""))]).clean();
    gate(&git, &["main", "--allowed", &with(&format!("until = \"{first}\""))])
        .refuses(&[("out-of-range", &signed)]);
    // revoked by its owner: gpg writes the revocation when it makes the key, without a reason
    let file = git.path(&format!("gnupg/openpgp-revocs.d/{gil}.rev"));
    let text = fs::read_to_string(file).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let revocation = git.beside("revocation", &text);
    gpg(&git, &["--import", &revocation.to_string_lossy()]);
    gate(&git, &["main", "--allowed", &with(&format!("until = \"{signed}\""))])
        .refuses(&[("revoked", &signed)]);
}

#[test]
fn a_file_under_a_wrong_name_is_found_where_contents_are_read() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    git.commit("b", "2");
    let (a, b) = (git.run(&["rev-parse", "HEAD:a"]), git.run(&["rev-parse", "HEAD:b"]));
    let file = |id: &str| {
        let (directory, name) = id.split_at(2);
        git.repo().join(format!(".git/objects/{directory}/{name}"))
    };
    fs::remove_file(file(&b)).unwrap();
    fs::copy(file(&a), file(&b)).unwrap();
    gate(&git, &["main", "--allowed", &allowed]).clean();
    let tip = git.head();
    let said = gate(&git, &["main", "--allowed", &allowed, "--contents"]);
    said.refuses(&[("id-mismatch", &tip)]);
    assert!(said.report["findings"][0]["why"].as_str().unwrap().contains(&b));
}

#[test]
fn ids_of_sha_256_and_linked_work_trees_are_read() {
    let (git, allowed) = adas();
    let wide = git.path("wide");
    git.run(&["init", "-q", "-b", "main", "--object-format=sha256", &wide.to_string_lossy()]);
    let mut wide = git.at(&wide);
    wide.become_("ada");
    let commit = wide.commit("a", "1");
    assert!(commit.len() == 64 && wide.run(&["cat-file", "commit", "HEAD"]).contains("gpgsig-sha256"));
    gate(&wide, &["main", "--allowed", &allowed]).clean();
    let bad = wide.commit_with("a", "2", &["--no-gpg-sign"]);
    gate(&wide, &["main", "--allowed", &allowed]).refuses(&[("unsigned", &bad)]);

    git.commit("a", "1");
    let linked = git.path("linked");
    git.run(&["worktree", "add", "-q", "-b", "side", &linked.to_string_lossy()]);
    let linked = git.at(&linked);
    let bad = linked.commit_with("a", "2", &["--no-gpg-sign"]);
    gate(&linked, &["main..HEAD", "--allowed", &allowed]).refuses(&[("unsigned", &bad)]);
    // packed objects and refs read the same
    git.run(&["gc", "-q"]);
    gate(&linked, &["main..HEAD", "--allowed", &allowed]).refuses(&[("unsigned", &bad)]);
}

#[test]
fn two_keys_of_one_person_are_one_person() {
    let (git, _) = adas();
    let both = "roles = [\"commit\", \"policy\"]";
    let second = entry("ada", &git.key("ada-second"), both);
    let entries = [entry("ada", &git.key("ada"), both), second, entry("bob", &git.key("bob"), both)];
    let one = signers(1, 2, &entries);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    git.commit(PLACE, &one);
    let two = next(2, 1, &one, &entries);
    let alone = change(&git, &two, &["ada", "ada-second"]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-unauthorised", &alone)]);
}

#[test]
fn where_two_sides_change_the_file_the_merge_follows_both_or_neither() {
    let (git, _) = adas();
    let ada = entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]");
    let (bob, eve) = (entry("bob", &git.key("bob"), ""), entry("eve", &git.key("eve"), ""));
    let one = signers(1, 1, &[ada.clone(), bob.clone(), eve.clone()]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    git.commit(PLACE, &one);
    // one side takes bob out, the other eve
    git.run(&["checkout", "-q", "-b", "side"]);
    let right = next(2, 1, &one, &[ada.clone(), bob.clone()]);
    change(&git, &right, &[]);
    git.run(&["checkout", "-q", "main"]);
    let left = next(2, 1, &one, &[ada.clone(), eve]);
    change(&git, &left, &[]);
    let merge = |text: &str| {
        git.attempt(&["merge", "-q", "--no-commit", "side"]);
        git.commit(PLACE, text)
    };
    // the attack: the merge keeps one side, so that the other's removal is undone
    let kept = merge(&left);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("policy-unauthorised", &kept)]);
    git.run(&["reset", "-q", "--hard", "HEAD~1"]);
    let both = signers(3, 1, &[ada]).replace(
        "threshold",
        &format!("previous = [\"{}\", \"{}\"]\nthreshold", digest(&left), digest(&right)),
    );
    merge(&both);
    let said = gate(&git, &["main", "--allowed", &allowed]);
    said.clean();
    assert_eq!(said.report["ranges"][0]["version"], 3);
}

#[test]
fn people_who_were_taken_out_agree_to_nothing_beside_that_change() {
    let (mut git, _) = adas();
    let both = "roles = [\"commit\", \"policy\"]";
    let (ada, bob, cy) = (
        entry("ada", &git.key("ada"), both),
        entry("bob", &git.key("bob"), both),
        entry("cy", &git.key("cy"), ""),
    );
    let one = signers(1, 1, &[ada.clone(), bob.clone(), cy.clone()]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    let start = git.commit(PLACE, &one);
    change(&git, &next(2, 1, &one, &[ada.clone(), cy.clone()]), &[]);
    // the attack: beside it, cy lets eve in with the key that bob lost
    git.become_("cy");
    git.run(&["checkout", "-q", "-b", "old", &start]);
    let eve = entry("eve", &git.key("eve"), "");
    let let_in = change(&git, &next(2, 1, &one, &[ada, bob, cy, eve]), &["bob"]);
    git.become_("eve");
    git.commit("a", "evil");
    gate(&git, &["old", "--allowed", &allowed]).clean();
    gate(&git, &["main..old", "--allowed", &allowed]).refuses(&[("policy-unauthorised", &let_in)]);
    gate(&git, &["old", "--trusted", "main", "--allowed", &allowed])
        .refuses(&[("policy-unauthorised", &let_in)]);
}

#[test]
fn a_hook_whose_input_is_cut_off_or_empty_takes_nothing() {
    let (git, allowed) = adas();
    let good = git.commit("a", "1");
    let bad = git.commit_with("a", "2", &["--no-gpg-sign"]);
    let line = |new: &str, name: &str| format!("{} {new} refs/heads/{name}\n", "0".repeat(40));
    // the attack: refs that are fine, until the bad one is behind what is read
    let many = line(&good, &"x".repeat(150)).repeat((64 << 20) / 230);
    let long = format!("{many}{}", line(&good, &"x".repeat(150)).repeat(60_000)) + &line(&bad, "bad");
    assert!(long.len() > 64 << 20);
    hook(&git, "pre-receive", &long, &["--allowed", &allowed]).unusable("hook's input");
    hook(&git, "pre-receive", line(&good, "x").trim_end(), &["--allowed", &allowed]).unusable("hook's input");
    hook(&git, "pre-receive", "", &["--allowed", &allowed]).unusable("hook's input");
}

/// Commits this tree with these parents.
fn merge_of(git: &Git, tree: &str, parents: &[&str]) -> String {
    let mut arguments = vec!["commit-tree", "-S", "-m", "merge", tree];
    for parent in parents {
        arguments.extend(["-p", parent]);
    }
    git.run(&arguments)
}

#[test]
fn a_merge_of_many_parents_changes_nothing_that_its_signer_may_not() {
    let (mut git, _) = adas();
    let text = signers(
        1,
        1,
        &[
            entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
            entry("bob", &git.key("bob"), "paths = [\"docs/**\"]"),
        ],
    );
    let allowed = git.beside("paths.toml", &text).to_string_lossy().into_owned();
    let hole = git.commit("src/a", "hole");
    let old = git.run(&["rev-parse", "HEAD^{tree}"]);
    let mended = git.commit("src/a", "mended");
    git.become_("bob");
    git.run(&["checkout", "-q", "-b", "side", &hole]);
    let side = git.commit("docs/a", "1");
    git.run(&["checkout", "-q", "--orphan", "root"]);
    git.run(&["rm", "-rfq", "."]);
    let root = git.commit("docs/b", "1");
    let refused = |parents: &[&str]| {
        let merge = merge_of(&git, &old, parents);
        gate(&git, &[&merge, "--allowed", &allowed]).refuses(&[("path", &merge)]);
    };
    // the attack: one base common to all is older than what was mended
    refused(&[&mended, &side, &root]);
    refused(&[&mended, &hole, &root]);
    refused(&[&mended, &hole]);
    refused(&[&hole, &mended]);
    refused(&[&root, &hole, &side, &mended]);
    refused(&[&side, &root, &mended]);
    // what the sides give together is nobody's own
    let tree = git.run(&["rev-parse", &format!("{mended}^{{tree}}")]);
    let merge = merge_of(&git, &tree, &[&mended, &hole]);
    gate(&git, &[&merge, "--allowed", &allowed]).clean();
    // more parents than are judged
    git.become_("ada");
    let sides: Vec<String> = (0..65)
        .map(|n| git.run(&["commit-tree", "-S", "-m", &n.to_string(), &tree, "-p", &mended]))
        .collect();
    let sides: Vec<&str> = sides.iter().map(String::as_str).collect();
    let merge = merge_of(&git, &tree, &sides);
    gate(&git, &[&merge, "--allowed", &allowed]).refuses(&[("malformed", &merge)]);
}

#[test]
fn a_raised_threshold_holds_for_branches_from_before() {
    let (git, _) = adas();
    let both = "roles = [\"commit\", \"policy\"]";
    let people = [entry("ada", &git.key("ada"), both), entry("bob", &git.key("bob"), both)];
    let one = signers(1, 1, &people);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    let start = git.commit(PLACE, &one);
    change(&git, &next(2, 2, &one, &people), &["bob"]);
    git.run(&["checkout", "-q", "-b", "feature", &start]);
    let forgotten = git.commit_with("a", "evil", &["--no-gpg-sign"]);
    // the attack: ada alone, where one was enough, lets eve in and adopts
    let adopt = format!("[[adopt]]\ncommit = \"{forgotten}\"\nreason = \"trust me\"\n");
    let more = [people[0].clone(), people[1].clone(), entry("eve", &git.key("eve"), ""), adopt];
    let alone = change(&git, &next(2, 1, &one, &more), &[]);
    gate(&git, &["main..feature", "--allowed", &allowed])
        .refuses(&[("policy-unauthorised", &alone), ("unsigned", &forgotten)]);
}

#[test]
fn stricter_settings_and_narrowed_keys_hold_for_branches_from_before() {
    let (mut git, _) = adas();
    let ada = entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]");
    let key = git.key("bob");
    let bob = |more: &str| entry("bob", &key, more);
    let one = signers(1, 1, &[ada.clone(), bob("")]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    let start = git.commit(PLACE, &one);
    let before = git.commit_with("a", "0", &["-S", "--author", "Eve <eve@example.com>"]);
    let strict = |text: &str| text.replacen("threshold", "authors = \"refuse\"\nthreshold", 1);
    let two = strict(&next(2, 1, &one, &[ada.clone(), bob("paths = [\"docs/**\"]")]));
    change(&git, &two, &[]);
    // what came before it stays as it was
    gate(&git, &["main", "--allowed", &allowed]).clean();
    git.run(&["checkout", "-q", "-b", "authors", &start]);
    let other = git.commit_with("a", "1", &["-S", "--author", "Eve <eve@example.com>"]);
    assert_ne!(before, other);
    gate(&git, &["main..authors", "--allowed", &allowed]).refuses(&[("signer-not-author", &other)]);
    // the attack: bob's entry is narrowed; he signs beside it, it is merged, and the entry changes once more
    git.become_("bob");
    git.run(&["checkout", "-q", "-b", "narrowed", &start]);
    let outside = git.commit("src/a", "evil");
    git.become_("ada");
    git.run(&["checkout", "-q", "main"]);
    git.run(&["merge", "-q", "-S", "-m", "merge", "narrowed"]);
    let three = strict(&next(3, 1, &two, &[ada, bob("paths = [\"docs/**\", \"more/**\"]")]));
    change(&git, &three, &[]);
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("path", &outside)]);
}

#[test]
fn a_person_who_was_taken_out_leaves_nobody_behind_on_a_side_branch() {
    let (mut git, _) = adas();
    let both = "roles = [\"commit\", \"policy\"]";
    let (ada, bob, eve) = (
        entry("ada", &git.key("ada"), both),
        entry("bob", &git.key("bob"), both),
        entry("eve", &git.key("eve"), both),
    );
    let one = signers(1, 1, &[ada.clone(), bob.clone()]);
    let allowed = git.beside("one.toml", &one).to_string_lossy().into_owned();
    let start = git.commit(PLACE, &one);
    git.become_("bob");
    git.run(&["checkout", "-q", "-b", "side", &start]);
    let let_in = change(&git, &next(2, 1, &one, &[ada.clone(), bob, eve]), &[]);
    git.become_("ada");
    git.run(&["checkout", "-q", "main"]);
    change(&git, &next(2, 1, &one, &[ada]), &[]);
    // the attack: what bob did lies on the server; eve goes on from there
    git.become_("eve");
    git.run(&["checkout", "-q", "side"]);
    let after = git.commit("a", "evil");
    git.run(&["checkout", "-q", "main"]);
    let input = format!("{let_in} {after} refs/heads/side\n");
    let said = hook(&git, "pre-receive", &input, &["--allowed", &allowed]);
    assert!(said.errors().contains(&("policy-unauthorised".to_owned(), let_in)), "{}", said.report);
}

#[test]
fn a_key_for_the_file_of_signers_signs_no_empty_commit_and_another_name_ends_no_main_branch() {
    let (mut git, _) = adas();
    let text = signers(
        1,
        1,
        &[
            entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"),
            entry("bob", &git.key("bob"), "roles = [\"policy\"]"),
        ],
    );
    let allowed = git.beside("roles.toml", &text).to_string_lossy().into_owned();
    let good = git.commit("a", "1");
    git.run(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    let input = format!("{good} {} refs/heads/alias\n", "0".repeat(40));
    hook(&git, "pre-receive", &input, &["--allowed", &allowed]).refuses(&[("deleted", "")]);
    let head =
        git.beside("head.json", "{\"format\":1,\"head\":\"x\",\"since\":[],\"version\":1,\"allowed\":\"\"}");
    gate(&git, &["main", "--allowed", &allowed, "--head", &head.to_string_lossy()])
        .unusable("no id of a commit");
    git.become_("bob");
    git.run(&["commit", "-q", "-S", "--allow-empty", "-m", "empty"]);
    let empty = git.head();
    gate(&git, &["main", "--allowed", &allowed]).refuses(&[("role", &empty)]);
}

#[test]
fn a_tag_is_judged_as_a_tag_whatever_names_it_and_nothing_judged_is_no_answer() {
    let (git, allowed) = adas();
    let commit = git.commit("a", "1");
    git.run(&["tag", "-a", "--no-sign", "-m", "x", "bare"]);
    let bare = git.run(&["rev-parse", "bare"]);
    gate(&git, &[&bare, "--allowed", &allowed]).refuses(&[("tag-unsigned", &bare)]);
    gate(&git, &["tags/bare", "--allowed", &allowed]).refuses(&[("tag-unsigned", &bare)]);
    let input = format!("{} {bare} refs/other/x\n", "0".repeat(40));
    hook(&git, "pre-receive", &input, &["--allowed", &allowed]).refuses(&[("tag-unsigned", &bare)]);
    gate(&git, &["heads/main", "--allowed", &allowed]).clean();
    git.run(&["update-ref", "refs/remotes/origin/main", &commit]);
    gate(&git, &["remotes/origin/main", "--allowed", &allowed]).clean();
    gate(&git, &["main..main", "--allowed", &allowed]).unusable("nothing was judged");
}

#[test]
fn nothing_stands_beside_a_signature() {
    let (git, _) = adas();
    let gil = gpg_key(&git, "gil", "never");
    let file = signers(
        1,
        1,
        &[entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]"), openpgp(&git, "gil", "")],
    );
    let allowed = git.beside("gpg.toml", &file).to_string_lossy().into_owned();
    let good = gpg_commit(&git, "1", &gil);
    gate(&git, &[&good, "--allowed", &allowed]).clean();
    let text = git.run(&["cat-file", "commit", &good]) + "\n";
    let made = |text: &str| {
        let file = git.beside("made", text);
        git.run(&["hash-object", "-w", "-t", "commit", "--literally", &file.to_string_lossy()])
    };
    let end = "-----END PGP SIGNATURE-----\n";
    let after = made(&text.replace(end, &format!("{end} approved by ada\n")));
    gate(&git, &[&after, "--allowed", &allowed]).refuses(&[("bad-signature", &after)]);
    let other = made(&text.replacen("gpgsig ", "gpgsig-sha256 junk\ngpgsig ", 1));
    gate(&git, &[&other, "--allowed", &allowed]).refuses(&[("malformed", &other)]);
}

#[test]
fn a_merge_brings_back_nothing_of_a_history_with_a_beginning_of_its_own() {
    let (mut git, _) = adas();
    let ada = entry("ada", &git.key("ada"), "roles = [\"commit\", \"policy\"]");
    let bob = entry("bob", &git.key("bob"), "paths = [\"docs/**\"]");
    let text = signers(1, 1, &[ada.clone(), bob.clone()]);
    let allowed = git.beside("paths.toml", &text).to_string_lossy().into_owned();
    git.commit("src/hole", "open");
    git.run(&["rm", "-q", "src/hole"]);
    let mended = git.commit("a", "mended");
    // an old history that ada signed, where the hole is still open
    git.run(&["checkout", "-q", "--orphan", "old"]);
    git.run(&["rm", "-rfq", "."]);
    // another text: within a second it would be the same commit
    let root = git.commit("src/hole", "open still");
    git.run(&["checkout", "-q", "main"]);
    // the attack: bob, who may not touch it, merges it. Nothing is common, so nothing was deleted
    git.become_("bob");
    git.run(&["merge", "-q", "-S", "--allow-unrelated-histories", "-m", "merge", "old"]);
    let merge = git.head();
    assert!(git.repo().join("src/hole").exists());
    for range in ["main", &format!("{mended}..main")] {
        gate(&git, &[range, "--allowed", &allowed]).refuses(&[("unrelated", &merge)]);
    }
    // the other way round, and behind a merge of its own
    let tree = git.run(&["rev-parse", "HEAD^{tree}"]);
    let turned = merge_of(&git, &tree, &[&root, &mended]);
    gate(&git, &[&format!("{mended}..{turned}"), "--allowed", &allowed]).refuses(&[("unrelated", &turned)]);
    let said = gate(&git, &[&turned, "--allowed", &allowed]);
    said.refuses(&[("unrelated", &turned)]);
    let outer = merge_of(&git, &tree, &[&mended, &turned]);
    gate(&git, &[&format!("{mended}..{outer}"), "--allowed", &allowed]).refuses(&[("unrelated", &turned)]);
    // where its beginning is accepted, by name or as a baseline, it is a merge like others
    let adopt = format!("[[adopt]]\ncommit = \"{root}\"\nreason = \"the old repository\"\n");
    let adopted = git.beside("adopted.toml", &signers(1, 1, &[ada, bob, adopt]));
    let said = gate(&git, &[&format!("{mended}..main"), "--allowed", &adopted.to_string_lossy()]);
    said.clean();
    // and told
    assert!(said.level("note").contains(&("adopted".to_owned(), merge)), "{}", said.report);
    gate(&git, &[&format!("{mended}..main"), "--allowed", &allowed, "--since", &root]).clean();
    // a branch with a beginning of its own is none, and goes on from nothing
    gate(&git, &["old", "--allowed", &allowed]).clean();
    let tip = git.run(&["rev-parse", "old"]);
    gate(&git, &["main~1..old", "--allowed", &allowed]).refuses(&[("unrelated", &tip)]);
}

#[test]
fn a_side_branch_is_judged_from_the_main_branch_on_whatever_was_pushed_of_it_before() {
    let (git, allowed) = adas();
    let server = git.path("server.git");
    git.run(&["init", "-q", "--bare", "-b", "main", &server.to_string_lossy()]);
    git.run(&["remote", "add", "origin", &server.to_string_lossy()]);
    git.commit("a", "1");
    git.run(&["push", "-q", "origin", "main"]);
    git.run(&["remote", "set-head", "origin", "main"]);
    // the attack: one push past the hook, and from then on its end is where judging would begin
    git.run(&["checkout", "-q", "-b", "side"]);
    let hidden = git.commit_with("a", "2", &["--no-gpg-sign"]);
    git.run(&["push", "-q", "origin", "side"]);
    ready("pre-push", &git.repo().join(".git/hooks/pre-push"));
    git.commit("a", "3");
    let (sent, text) = push(&git, &allowed, &["side"]);
    assert!(!sent && text.contains(&hidden) && text.contains("UNSIGNED"), "{text}");
    // what the server has and is not here is not overwritten
    let elsewhere = "1".repeat(40);
    let input = format!("refs/heads/side {} refs/heads/side {elsewhere}\n", git.head());
    let said = hook(&git, "pre-push", &input, &["--allowed", &allowed, "--trusted", "main"]);
    said.refuses(&[("rewritten", &elsewhere), ("unsigned", &hidden)]);
}

#[test]
fn a_tag_is_not_deleted_moved_or_pushed_anew_for_something_else() {
    let (git, allowed) = adas();
    let bare = guarded(&git);
    let push = |arguments: &[&str]| push(&git, &allowed, arguments);
    let first = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "one", "v1"]);
    assert!(push(&["main", "v1"]).0);
    let second = git.commit("a", "2");
    assert!(push(&["main"]).0);
    // the attack: it ends, and comes again with another commit behind it
    let (taken, text) = push(&[":v1"]);
    assert!(!taken && text.contains("DELETED") && text.contains("`v1`"), "{text}");
    git.run(&["tag", "-s", "-f", "-m", "one", "v1", &second]);
    let (taken, text) = push(&["-f", "v1"]);
    assert!(!taken && text.contains("REWRITTEN") && text.contains(&first), "{text}");
    // where it was deleted by hand, only a record knows
    let input = |old: &str, new: &str, name: &str| format!("{old} {new} {name}\n");
    let (zero, third) = ("0".repeat(40), git.commit("a", "3"));
    let bring = |what: &str| bare.run(&["fetch", "-q", "--no-tags", &git.repo().to_string_lossy(), what]);
    bring("refs/heads/main:refs/kept/third");
    let head = git.path("head.json").to_string_lossy().into_owned();
    let receive = |line: &str| hook(&bare, "pre-receive", line, &["--allowed", &allowed, "--head", &head]);
    receive(&input(&second, &third, "refs/heads/main")).clean();
    let recorded: Value = serde_json::from_str(&fs::read_to_string(&head).unwrap()).unwrap();
    assert_eq!((recorded["head"].as_str(), recorded["tags"]["v1"].as_str()), (Some(&*second), Some(&*first)));
    let signed = bare.run(&["rev-parse", "v1"]);
    bare.run(&["update-ref", "-d", "refs/tags/v1"]);
    receive(&input(&second, &third, "refs/heads/main")).refuses(&[("deleted", &first)]);
    let anew = git.run(&["rev-parse", "v1"]);
    bring("refs/tags/v1:refs/kept/tag");
    receive(&input(&zero, &anew, "refs/tags/v1")).refuses(&[("rewritten", &first)]);
    // what it was may come back
    receive(&input(&zero, &signed, "refs/tags/v1")).clean();
    bare.run(&["update-ref", "refs/tags/v1", &signed]);
    // a record of a main branch that somebody set back by hand
    bare.run(&["update-ref", "refs/heads/main", &first]);
    receive(&input(&zero, &first, "refs/heads/new")).refuses(&[("rewritten", &second)]);
    hook(&git, "pre-push", "", &["--allowed", &allowed, "--head", &head]).unusable("--head is for a range");
}

#[test]
fn recorded_tags_and_a_recorded_head_that_are_gone_are_named() {
    let (git, allowed) = adas();
    let first = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "one", "v1"]);
    git.run(&["tag", "-s", "-m", "two", "v2"]);
    let second = git.commit("a", "2");
    let head = git.path("head.json").to_string_lossy().into_owned();
    let said = gate(&git, &["main", "--allowed", &allowed, "--head", &head]);
    said.clean();
    assert_eq!(said.level("note"), [("unrecorded".to_owned(), String::new())]);
    assert!(gate(&git, &["main", "--allowed", &allowed, "--head", &head]).level("note").is_empty());
    git.run(&["tag", "-d", "v1"]);
    git.run(&["tag", "-s", "-f", "-m", "two", "v2", &second]);
    gate(&git, &["main", "--allowed", &allowed, "--head", &head])
        .refuses(&[("deleted", &first), ("rewritten", &first)]);
    // the attack: a forced push, and a new clone, in which what was recorded never was
    git.run(&["tag", "-d", "v2"]);
    git.run(&["reset", "-q", "--hard", &first]);
    git.commit("a", "other");
    let clone = git.path("clone");
    let source = format!("file://{}", git.repo().display());
    git.run(&["clone", "-q", &source, &clone.to_string_lossy()]);
    let said = gate(&git.at(&clone), &["main", "--allowed", &allowed, "--head", &head]);
    said.refuses(&[("deleted", &first), ("deleted", &first), ("rewritten", &second)]);
}

#[test]
fn refs_that_git_reads_in_a_namespace_are_not_judged_as_others() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    let mut command = git.command(CLAW);
    command.env("GIT_NAMESPACE", "fork").args(["gate", "commits", "--json", "main", "--allowed", &allowed]);
    said(&command.output().unwrap()).unusable("in the namespace `fork`");
}

#[test]
fn a_record_that_somebody_committed_or_cut_is_none() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    let forged = git.path("forged");
    gate(&git, &["main", "--allowed", &allowed, "--head", &forged.to_string_lossy()]).clean();
    // the attack: whoever commits says what was judged before, in a file or behind a link
    std::os::unix::fs::symlink(&forged, git.repo().join("link")).unwrap();
    git.run(&["add", "link"]);
    git.commit("record/head", &fs::read_to_string(&forged).unwrap());
    git.run(&["worktree", "add", "-q", &git.path("linked").to_string_lossy()]);
    let (repo, linked) = (git.repo(), git.path("linked"));
    let inside = [repo.join("record/head"), repo.join("not-there-yet"), linked.join("record/head")]
        .map(|path| path.to_string_lossy().into_owned());
    let dot = git.repo().join(".git").to_string_lossy().into_owned();
    std::os::unix::fs::symlink(git.repo().join("record"), git.path("beside")).unwrap();
    let beside = git.path("beside/head").to_string_lossy().into_owned();
    for path in inside.iter().chain([&beside]) {
        let judge = ["main", "--allowed", &allowed, "--head", path];
        let within = "where files of the repository are checked out";
        gate(&git, &judge).unusable(within);
        // also where it is judged no more, and however the repository is named
        gate(&git, &[&["main~1"], &judge[1..]].concat()).unusable(within);
        gate(&git, &[&judge[..], &["--repo", &dot]].concat()).unusable(within);
        for (name, value) in [("GIT_DIR", ".git"), ("GIT_DIR", &dot)] {
            let mut command = git.command(CLAW);
            command.env(name, value).args(["gate", "commits", "--json"]).args(judge);
            said(&command.output().unwrap()).unusable(within);
        }
    }
    // a link elsewhere leads where somebody wants it to
    let link = git.path("link").to_string_lossy().into_owned();
    std::os::unix::fs::symlink(git.path("victim"), &link).unwrap();
    gate(&git, &["main", "--allowed", &allowed, "--head", &link]).unusable("is a link");
    // git's own directory is the runner's: no commit has a file there
    let own = git.repo().join(".git/own").to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &allowed, "--head", &own]).clean();
    let mut cut: Value = serde_json::from_str(&fs::read_to_string(&own).unwrap()).unwrap();
    cut.as_object_mut().unwrap().remove("tags");
    fs::write(&own, cut.to_string()).unwrap();
    gate(&git, &["main", "--allowed", &allowed, "--head", &own]).unusable("not its members");
}

#[test]
fn a_tag_that_nobody_vouches_for_is_not_recorded() {
    let (mut git, allowed) = adas();
    let first = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "one", "v1"]);
    // the attack: whoever brings a tag past the gate takes its name for ever
    git.run(&["tag", "light"]);
    git.run(&["tag", "-a", "--no-sign", "-m", "x", "bare"]);
    git.become_("eve");
    git.run(&["tag", "-s", "-m", "x", "foreign"]);
    git.become_("ada");
    let head = git.path("head.json").to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).clean();
    let recorded: Value = serde_json::from_str(&fs::read_to_string(&head).unwrap()).unwrap();
    assert_eq!(recorded["tags"], serde_json::json!({"v1": first}));
    // whoever may signs it anew, for another commit; from then on it stays
    let second = git.commit("a", "2");
    for name in ["light", "bare", "foreign"] {
        git.run(&["tag", "-s", "-f", "-m", "mine", name, &second]);
    }
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).clean();
    git.run(&["tag", "-s", "-f", "-m", "moved", "bare", &first]);
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).refuses(&[("rewritten", &second)]);
}

#[test]
fn of_two_runs_the_second_sees_what_the_first_recorded() {
    let (git, allowed) = adas();
    let first = git.commit("a", "1");
    let head = git.path("head.json").to_string_lossy().into_owned();
    gate(&git, &["main", "--allowed", &allowed, "--head", &head]).clean();
    let before = fs::read_to_string(&head).unwrap();
    // another run is at it: it has seen a second commit, which this history has not
    let lock = fs::File::create(git.path(".head.json.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = git.command(CLAW);
    command.args(["gate", "commits", "--json", "main", "--allowed", &allowed, "--head", &head]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains(" -> ") && line.contains(&format!(" {} ", child.id())))
    };
    while !waits() {
        std::thread::yield_now();
    }
    let other = "1".repeat(40);
    fs::write(&head, before.replace(&first, &other)).unwrap();
    drop(lock);
    said(&child.wait_with_output().unwrap()).refuses(&[("rewritten", &other)]);
}

#[test]
fn a_server_whose_main_branch_would_be_none_takes_nothing() {
    let (git, allowed) = adas();
    let bare = guarded(&git);
    bare.run(&["symbolic-ref", "HEAD", "refs/heads/master"]);
    git.commit("a", "1");
    // the attack: what stands for no branch is judged from no branch on, and every forced push is taken
    let (taken, text) = push(&git, &allowed, &["main"]);
    assert!(!taken && text.contains("HEAD stands for `refs/heads/master`"), "{text}");
    assert!(text.contains("git symbolic-ref HEAD refs/heads/main"), "{text}");
    bare.run(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    assert!(!push(&git, &allowed, &["main:refs/heads/side"]).0);
    assert!(push(&git, &allowed, &["main", "main:refs/heads/side"]).0);
}

#[test]
fn two_histories_with_nothing_in_common_are_no_range() {
    let (git, allowed) = adas();
    git.commit("a", "1");
    git.run(&["checkout", "-q", "--orphan", "other"]);
    let other = git.commit("b", "2");
    gate(&git, &["main..other", "--allowed", &allowed]).refuses(&[("unrelated", &other)]);
}

#[test]
fn a_merge_past_the_recorded_head_brings_in_no_beginning_that_was_not_judged() {
    let (git, allowed) = adas();
    let first = git.commit("a", "1");
    git.run(&["checkout", "-q", "--orphan", "old"]);
    git.run(&["rm", "-rfq", "."]);
    git.commit("src/hole", "open");
    git.run(&["checkout", "-q", "main"]);
    let server = git.path("server.git");
    git.run(&["clone", "-q", "--bare", &git.repo().to_string_lossy(), &server.to_string_lossy()]);
    let bare = git.at(&server);
    let head = git.path("head.json").to_string_lossy().into_owned();
    let receive = |line: &str| hook(&bare, "pre-receive", line, &["--allowed", &allowed, "--head", &head]);
    let zero = "0".repeat(40);
    let second = git.commit("a", "2");
    let bring = || bare.run(&["fetch", "-q", "--no-tags", &git.repo().to_string_lossy(), "main:refs/kept/x"]);
    bring();
    receive(&format!("{first} {second} refs/heads/main\n")).clean();
    // the attack: the merge gets into the main branch past the hook, and is its end from then on
    git.run(&["merge", "-q", "-S", "--allow-unrelated-histories", "-m", "merge", "old"]);
    let merge = git.head();
    bring();
    bare.run(&["update-ref", "refs/heads/main", &merge]);
    receive(&format!("{zero} {merge} refs/heads/new\n")).refuses(&[("unrelated", &merge)]);
}

#[test]
fn a_tag_by_another_name_is_a_tag() {
    let (git, allowed) = adas();
    let first = git.commit("a", "1");
    git.run(&["tag", "-s", "-m", "one", "v1"]);
    let second = git.commit("a", "2");
    let server = git.path("server.git");
    git.run(&["clone", "-q", "--bare", &git.repo().to_string_lossy(), &server.to_string_lossy()]);
    let bare = git.at(&server);
    bare.run(&["symbolic-ref", "refs/heads/released", "refs/tags/v1"]);
    let old = bare.run(&["rev-parse", "v1"]);
    // the attack: a branch that goes forward, and a tag behind it
    let line = format!("{old} {second} refs/heads/released\n");
    hook(&bare, "pre-receive", &line, &["--allowed", &allowed]).refuses(&[("rewritten", &first)]);
}
