//! Policies that must be signed: what was changed, is too old, too new or by others does not hold, at the start and while
//! the agent runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its files is a test that fails")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use claw_testkit::{Lab, Outcome, Running, Server, User, each, echo, once};
use claw_verify::key::Algorithm;
use claw_verify::sign::PrivateKey;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Makes a key, and gives the path of its private half.
fn key(lab: &Lab, name: &str) -> (String, PrivateKey) {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let path = lab.write(&format!("{name}.pem"), &key.to_secret_pem().unwrap());
    (path.to_string_lossy().into_owned(), key)
}

/// Pins keys, so many of them needed.
fn keyring(lab: &Lab, name: &str, need: usize, keys: &[&PrivateKey]) -> String {
    let entry = |key: &&PrivateKey| {
        format!("[[key]]\nname = \"k\"\npublic = \"\"\"\n{}\"\"\"\n", key.public().to_pem())
    };
    let keys: String = keys.iter().map(entry).collect();
    let path = lab.write(name, &format!("version = 1\nthreshold = {need}\n{keys}"));
    path.to_string_lossy().into_owned()
}

fn policy(lab: &Lab, servers: &[(&str, &Server)]) {
    let rules: Vec<String> = servers.iter().map(|(name, server)| server.rule(name)).collect();
    lab.policy(&rules, "filesystem: {write: [.]}\n");
}

fn path(lab: &Lab) -> String {
    lab.path("policy.yaml").to_string_lossy().into_owned()
}

fn sign(lab: &Lab, key: &str, more: &[&str]) -> Outcome {
    let path = path(lab);
    let mut words = vec!["policy", "sign", &path, "--key", key];
    words.extend(more);
    lab.cli(&words).ends(0)
}

fn signature(lab: &Lab) -> PathBuf {
    lab.path("policy.yaml.sig.json")
}

fn run(lab: &Lab, ring: &str) -> Outcome {
    lab.claw().option(&["--require-signed", ring]).sh("echo ran")
}

/// Nothing was run, and this is why.
fn refused(run: Outcome, why: &str) {
    let run = run.ends(2).warns(why);
    assert!(!run.stdout.contains("ran"), "{run:#?}");
    assert!(run.records.is_empty(), "{run:#?}");
}

#[test]
fn a_signed_policy_holds_and_the_ledger_says_on_whose_word() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[("one.test", &server)]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        refused(run(lab, &ring), "is not signed: there is no");
        sign(lab, &one, &["--version", "7", "--expires", "2100-01-01T00:00:00Z"]);
        let code = format!(
            "connection = socket.create_connection(('one.test', {})); connection.sendall(b'x'); print(connection.recv(1))",
            server.port()
        );
        let file = lab.program_file(&code);
        let run = lab.claw().option(&["--require-signed", &ring]).command(&["python3", &file]);
        let run = run.ends(0).says("b'x'");
        let start = &run.of_kind("start")[0]["signed"];
        assert_eq!(start["name"], "lab");
        assert_eq!(start["version"], 7);
        assert_eq!(start["expires"], "2100-01-01T00:00:00Z");
        assert_eq!(start["keys"], serde_json::json!([key.id().to_string()]));
        let ledger = run.ledger.unwrap().to_string_lossy().into_owned();
        lab.cli(&["ledger", "show", &ledger]).ends(0).says("signed lab version 7 until 2100-01-01T00:00:00Z");
    });
}

#[test]
fn a_policy_or_signature_that_was_changed_runs_nothing() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &[]);
        run(lab, &ring).ends(0).says("ran");
        let text = fs::read_to_string(lab.path("policy.yaml")).unwrap();
        lab.write("policy.yaml", &format!("{text}# more\n"));
        refused(run(lab, &ring), "it is not about this artefact");
        lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring]).ends(1);
        lab.write("policy.yaml", &text);
        let good = fs::read_to_string(signature(lab)).unwrap();
        let at = good.find("\"sig\":\"").unwrap() + 10;
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut bad = good.clone();
        bad.replace_range(at..=at, other);
        fs::write(signature(lab), &bad).unwrap();
        refused(run(lab, &ring), "0 of the 1 pinned keys signed this, 1 are needed");
        fs::write(signature(lab), good.replacen('{', "{\"payload\":\"\",", 1)).unwrap();
        refused(run(lab, &ring), "writes the key `payload` twice");
        fs::write(signature(lab), "").unwrap();
        refused(run(lab, &ring), "does not hold");
        fs::write(signature(lab), &good).unwrap();
        run(lab, &ring).ends(0).says("ran");
    });
}

#[test]
fn strangers_too_few_and_other_names_do_not_count() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let ((one, first), (two, second), (stranger, _)) =
            (key(lab, "one"), key(lab, "two"), key(lab, "three"));
        let ring = keyring(lab, "keys.toml", 2, &[&first, &second]);
        sign(lab, &one, &["--key", &stranger]);
        refused(run(lab, &ring), "1 of the 2 pinned keys signed this, 2 are needed");
        sign(lab, &two, &["--add"]);
        run(lab, &ring).ends(0).says("ran");
        let other = lab.claw().option(&["--require-signed", &ring, "--signed-as", "another"]).sh("echo ran");
        refused(other, "is signed as `lab`, not as `another`");
        let told = lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring, "--json"]).ends(0);
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!((&told["verified"], &told["version"]), (&true.into(), &1.into()));
        assert_eq!(told["keys"].as_array().unwrap().len(), 2, "{told}");
    });
}

#[test]
fn a_signature_before_its_time_or_past_it_runs_nothing() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--not-before", "2020-01-01T00:00:00Z", "--expires", "2020-02-01T00:00:00Z"]);
        refused(run(lab, &ring), "it was valid until 2020-02-01T00:00:00Z");
        sign(lab, &one, &["--not-before", "2100-01-01T00:00:00Z"]);
        refused(run(lab, &ring), "it is valid from 2100-01-01T00:00:00Z");
        let told = lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring, "--json"]).ends(1);
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!((&told["verified"], &told["code"]), (&false.into(), &"not-yet-valid".into()));
    });
}

#[test]
fn an_older_version_runs_nothing_and_both_numbers_are_named() {
    each(CLAW, |lab| {
        policy(lab, &[]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--version", "3"]);
        run(lab, &ring).ends(0).says("ran");
        let (old, old_signature) =
            (fs::read(lab.path("policy.yaml")).unwrap(), fs::read(signature(lab)).unwrap());
        let text = String::from_utf8(old.clone()).unwrap();
        lab.write("policy.yaml", &format!("{text}# newer\n"));
        sign(lab, &one, &["--version", "12"]);
        run(lab, &ring).ends(0).says("ran");
        fs::write(lab.path("policy.yaml"), old).unwrap();
        fs::write(signature(lab), old_signature).unwrap();
        let older = "`lab` version 3 is older than version 12, which was seen on this machine";
        refused(run(lab, &ring), older);
        lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring]).ends(1).warns(older);
        lab.write("policy.yaml", &format!("{text}# another\n"));
        sign(lab, &one, &["--version", "12"]);
        refused(run(lab, &ring), "version 12 was seen with another content");
    });
}

#[test]
fn what_a_policy_names_is_what_was_signed_with_it() {
    once(CLAW, User::Root, |lab| {
        lab.directory("org");
        lab.write("org/base.yaml", "version: 1\nnetwork_policy: {workload: []}\n");
        lab.write("seccomp.json", r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
        let seccomp = lab.path("seccomp.json").to_string_lossy().into_owned();
        lab.write(
            "policy.yaml",
            &format!("version: 1\nagent: lab\nceiling: org/base.yaml\nprocess: {{seccomp: '{seccomp}'}}\n"),
        );
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &[]).says("with ceiling org/base.yaml sha256:").says("with seccomp ");
        run(lab, &ring).ends(0).says("ran");
        let verify = || lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring]);
        verify().ends(0);
        for (file, good, bad) in [
            (
                "org/base.yaml",
                "version: 1\nnetwork_policy: {workload: []}\n",
                "version: 1\nnetwork_policy: {workload: []}\n# wider\n",
            ),
            (
                "seccomp.json",
                r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#,
                r#"{"defaultAction":  "SCMP_ACT_ALLOW"}"#,
            ),
        ] {
            lab.write(file, bad);
            refused(run(lab, &ring), "was signed with it");
            verify().ends(1).warns("was signed with it");
            let path = path(lab);
            lab.cli(&["policy", "sign", &path, "--key", &one, "--add"])
                .ends(2)
                .warns("changed since it was signed");
            lab.write(file, good);
            run(lab, &ring).ends(0).says("ran");
        }
    });
}

#[test]
fn keys_that_the_agent_could_write_are_no_keys() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "work/keys.toml", 1, &[&key]);
        sign(lab, &one, &[]);
        refused(run(lab, &ring), "lies where the agent may write");
        // nor may it lead to other keys
        let elsewhere = keyring(lab, "keys.toml", 1, &[&key]);
        let link = lab.path("work/link.toml");
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        refused(run(lab, &link.to_string_lossy()), "lies where the agent may write");
        run(lab, &elsewhere).ends(0).says("ran");
    });
}

#[test]
fn without_a_policy_there_is_nothing_that_could_be_signed() {
    once(CLAW, User::Root, |lab| {
        let (_, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        lab.cli(&["run", "--require-signed", &ring, "--", "true"])
            .ends(2)
            .warns("no policy that could be signed");
        policy(lab, &[]);
        lab.write("broken.toml", "threshold = 1\n");
        let broken = lab.path("broken.toml").to_string_lossy().into_owned();
        refused(run(lab, &broken), "missing field `version`");
        lab.cli(&["policy", "verify", &path(lab), "--keyring", &broken]).ends(2);
    });
}

/// Waits until the agent has made a file in its writable directory, or the test is stopped.
fn wait_for(lab: &Lab, name: &str) {
    let begun = Instant::now();
    while !lab.path(&format!("work/{name}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the agent never came to `{name}`");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Tries a host until it answers, or the file `stop` is there; tells by a file that it did.
fn trying<'a>(lab: &'a Lab, ring: &str, name: &str, server: &Server) -> Running<'a> {
    let code = format!(
        "open('up', 'w').close()
while not os.path.exists('stop'):
    try:
        connection = socket.create_connection(('{name}', {})); connection.sendall(b'x'); connection.recv(1)
        open('reached', 'w').close(); print('reached'); break
    except OSError: time.sleep(0.05)
",
        server.port()
    );
    let file = lab.program_file(&code);
    let running = lab.claw().option(&["--require-signed", ring]).start(&["python3", &file]);
    wait_for(lab, "up");
    running
}

#[test]
fn while_the_agent_runs_a_new_policy_must_be_signed_too() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--version", "5"]);
        let running = trying(lab, &ring, "late.test", &server);
        let old = fs::read(signature(lab)).unwrap();
        // the old signature is of another policy
        policy(lab, &[("late.test", &server)]);
        thread::sleep(Duration::from_millis(200));
        // none at all
        fs::remove_file(signature(lab)).unwrap();
        running.signal(1);
        thread::sleep(Duration::from_millis(200));
        // signed as an older version
        sign(lab, &one, &["--version", "4"]);
        running.signal(1);
        thread::sleep(Duration::from_millis(200));
        // signed as another policy
        sign(lab, &one, &["--version", "6", "--name", "another"]);
        running.signal(1);
        thread::sleep(Duration::from_millis(200));
        assert!(!lab.path("work/reached").exists(), "an unsigned policy held");
        let _ = old;
        sign(lab, &one, &["--version", "6"]);
        wait_for(lab, "reached");
        let run = running.end().ends(0).says("reached");
        let run = run
            .warns("the new policy is refused, the old one holds: the signature of")
            .warns("is not signed: there is no")
            .warns("version 4 is older than version 5")
            .warns("is signed as `another`, not as `lab`")
            .warns("policy changed");
        let held: Vec<_> =
            run.of_kind("policy").into_iter().filter(|record| !record["to"].is_null()).collect();
        assert_eq!(held.len(), 1, "{run:#?}");
        assert_eq!((&held[0]["signed"]["version"], &held[0]["signed"]["name"]), (&6.into(), &"lab".into()));
        // what held while the agent ran was seen
        sign(lab, &one, &["--version", "5"]);
        refused(self::run(lab, &ring), "version 5 is older than version 6");
    });
}

/// Seconds from now, as a time.
fn after(seconds: u64) -> String {
    let then = SystemTime::now() + Duration::from_secs(seconds);
    jiff::Timestamp::try_from(then).unwrap().to_string()
}

#[test]
fn what_was_signed_permits_nothing_past_its_time_until_it_is_signed_anew() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[("short.test", &server)]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--version", "1", "--expires", &after(4)]);
        let code = format!(
            "import os, socket, time
def reach():
    try:
        connection = socket.create_connection(('short.test', {}), 2); connection.settimeout(2); connection.sendall(b'x')
        return connection if connection.recv(1) == b'x' else None
    except OSError: return None
first = reach(); assert first, 'before'
while reach(): time.sleep(.1)
try: assert first.recv(1) == b'', 'left open'
except ConnectionError: pass
open('refused', 'w')
while not reach(): time.sleep(.1)
print('again')
",
            server.port()
        );
        let program = lab.program_file(&code);
        let running = lab.claw().option(&["--require-signed", &ring]).start(&["python3", &program]);
        wait_for(lab, "refused");
        sign(lab, &one, &["--version", "2"]);
        running.signal(1);
        let run = running.end().ends(0).says("again");
        let run = run.warns("nothing is permitted any more: what was signed held until");
        assert_eq!(run.of_kind("policy").len(), 2, "{run:#?}");
    });
}

#[test]
fn a_policy_that_is_signed_anew_in_time_goes_on() {
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[("long.test", &server)]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--version", "1", "--expires", &after(4)]);
        let code = format!(
            "open('begun', 'w'); time.sleep(6)
connection = socket.create_connection(('long.test', {}), 2); connection.sendall(b'x'); print(connection.recv(1))",
            server.port()
        );
        let program = lab.program_file(&format!("import socket, time\n{code}"));
        let running = lab.claw().option(&["--require-signed", &ring]).start(&["python3", &program]);
        wait_for(lab, "begun");
        sign(lab, &one, &["--version", "2"]);
        running.signal(1);
        let run = running.end().ends(0).says("b'x'");
        assert!(!run.stderr.contains("nothing is permitted"), "{run:#?}");
    });
}

#[test]
fn a_signature_that_comes_before_its_policy_is_no_reason_to_complain() {
    once(CLAW, User::Root, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[("late.test", &server)]);
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        sign(lab, &one, &["--version", "2"]);
        let (next, next_signature) =
            (fs::read_to_string(lab.path("policy.yaml")).unwrap(), fs::read(signature(lab)).unwrap());
        policy(lab, &[]);
        sign(lab, &one, &["--version", "1"]);
        let running = trying(lab, &ring, "late.test", &server);
        fs::write(signature(lab), next_signature).unwrap();
        thread::sleep(Duration::from_millis(300));
        lab.write("policy.yaml", &next);
        wait_for(lab, "reached");
        let run = running.end().ends(0);
        assert!(!run.stderr.contains("refused, the old one holds"), "{run:#?}");
    });
}

#[test]
fn the_holders_of_a_keyring_sign_policies() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let path_of = |name: &str| lab.path(name).to_string_lossy().into_owned();
        let (ann, bo, ring) = (path_of("ann.key"), path_of("bo.key"), path_of("ring"));
        for key in [&ann, &bo] {
            lab.cli(&["keyring", "key", key]).ends(0);
        }
        let holder = |name: &str, key: &str| format!("--holder={name}={key}.pub");
        let (one, other) = (holder("ann", &ann), holder("bo", &bo));
        lab.cli(&["keyring", "new", &ring, &one, &other, "--threshold", "2"]).ends(0);
        for key in [&ann, &bo] {
            lab.cli(&["keyring", "sign", &ring, "--key", key]).ends(0);
        }
        let root = format!("{ring}/metadata/1.root.json");
        sign(lab, &ann, &["--keyring", &ring]);
        refused(run(lab, &root), "1 of the 2 pinned keys signed this, 2 are needed");
        sign(lab, &bo, &["--add"]);
        run(lab, &root).ends(0).says("ran");
        let text = fs::read_to_string(&root).unwrap();
        fs::write(&root, text.replacen("ann", "eve", 1)).unwrap();
        refused(run(lab, &root), "cannot use the keys in");
    });
}

#[test]
fn a_key_that_a_keyring_took_back_signs_no_policy() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let path_of = |name: &str| lab.path(name).to_string_lossy().into_owned();
        let (ann, bo, ring) = (path_of("ann.key"), path_of("bo.key"), path_of("ring"));
        for key in [&ann, &bo] {
            lab.cli(&["keyring", "key", key]).ends(0);
        }
        let (one, other) = (format!("--holder=ann={ann}.pub"), format!("--holder=bo={bo}.pub"));
        lab.cli(&["keyring", "new", &ring, &one, &other]).ends(0);
        lab.cli(&["keyring", "sign", &ring, "--key", &ann]).ends(0);
        sign(lab, &bo, &["--keyring", &ring]);
        refused(run(lab, &ring), "no root is pinned");
        lab.directory("config/claw");
        let root = lab.path("config/claw/root.json");
        fs::copy(format!("{ring}/metadata/1.root.json"), &root).unwrap();
        run(lab, &ring).ends(0).says("ran");
        lab.cli(&["policy", "verify", &path(lab), "--keyring", &ring]).ends(0);
        // bo's key is stolen
        let before = path_of("before");
        assert!(std::process::Command::new("cp").args(["-a", &ring, &before]).status().unwrap().success());
        let pem = fs::read_to_string(format!("{bo}.pub")).unwrap();
        let id = claw_verify::PublicKey::from_pem(&pem).unwrap().id().0.hex();
        let taken = ["keyring", "revoke", &ring, "--key", &id, "--compromised", "--why", "stolen"];
        lab.cli(&taken).ends(0);
        lab.cli(&["keyring", "sign", &ring, "--key", &ann]).ends(0);
        refused(run(lab, &ring), "0 of the 1 pinned keys signed this, 1 are needed");
        // nor does it help to bring the keyring back as it was
        refused(run(lab, &before), "cannot use the keys in");
        sign(lab, &ann, &["--keyring", &ring]);
        run(lab, &ring).ends(0).says("ran");
    });
}

#[test]
fn a_policy_that_is_signed_for_one_keyring_runs_under_no_other_with_the_same_key() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let (staging, ann) = pinned(lab, "staging");
        let production = lab.path("production").to_string_lossy().into_owned();
        lab.cli(&["keyring", "new", &production, &format!("--holder=ann={ann}.pub")]).ends(0);
        lab.cli(&["keyring", "sign", &production, "--key", &ann]).ends(0);
        let root = format!("{production}/metadata/1.root.json");
        sign(lab, &ann, &["--keyring", &staging]);
        run(lab, &staging).ends(0).says("ran");
        // the attack: the same key holds both, so the signature is right
        refused(run(lab, &root), "it was signed for the keyring sha256:");
        refused(run(lab, &format!("{ann}.pub")), "the keys are those of no keyring");
        let told = lab.cli(&["policy", "verify", &path(lab), "--keyring", &root, "--json"]).ends(1);
        let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(told["code"], "other-keyring");
        // nor does a signature for none count there
        sign(lab, &ann, &[]);
        refused(run(lab, &staging), "it was signed for no keyring");
        run(lab, &format!("{ann}.pub")).ends(0).says("ran");
        sign(lab, &ann, &["--keyring", &root]);
        run(lab, &root).ends(0).says("ran");
        // and a keyring's first root under another's name is another keyring
        lab.cli(&["keyring", "verify", &production, "--root", &format!("{staging}/metadata/1.root.json")])
            .ends(1);
    });
}

/// Whoever carries a keyring can put another one's first root into it: then a policy for one would count in the other.
#[test]
fn a_policy_is_signed_for_the_pinned_keyring_whatever_the_directory_says() {
    once(CLAW, User::Root, |lab| {
        policy(lab, &[]);
        let production = lab.path("production").to_string_lossy().into_owned();
        let (staging, ann) = pinned(lab, "staging");
        lab.cli(&["keyring", "new", &production, &format!("--holder=ann={ann}.pub")]).ends(0);
        lab.cli(&["keyring", "sign", &production, "--key", &ann]).ends(0);
        let (file, root) = (path(lab), format!("{production}/metadata/1.root.json"));
        let trying = |more: &[&str]| {
            let words: &[&str] = &["policy", "sign", &file, "--key", &ann];
            lab.cli(&[words, more].concat())
        };
        // the name stands there before anything is signed
        let run = trying(&["--keyring", &staging, "--key", "none"]).ends(2).says("for the keyring sha256:");
        assert!(!signature(lab).exists(), "{run:#?}");
        // the attack: the directory is the other keyring's
        let (own, aside) = (lab.path("staging"), lab.path("aside"));
        fs::rename(&own, &aside).unwrap();
        assert!(Command::new("cp").args(["-a", &production, &staging]).status().unwrap().success());
        trying(&["--keyring", &staging]).ends(2).warns("the pinned root is of the keyring sha256:");
        fs::remove_dir_all(&own).unwrap();
        fs::rename(&aside, &own).unwrap();
        // or nothing but its first root, signed by nobody
        let first = own.join("metadata/1.root.json");
        let text = fs::read_to_string(&first).unwrap();
        fs::write(&first, text.replacen("\"ann\"", "\"eve\"", 1)).unwrap();
        trying(&["--keyring", &staging]).ends(2).warns("`metadata/1.root.json` is signed by 0 who may");
        fs::write(&first, text).unwrap();
        assert!(!signature(lab).exists());
        // who names a root means it
        trying(&["--keyring", &root]).ends(0);
        // and whoever adds to a signature that came from elsewhere
        trying(&["--add"]).ends(2).warns("the pinned root is of the keyring sha256:");
        trying(&["--add", "--keyring", &staging]).ends(2).warns("--keyring is the keyring sha256:");
        trying(&["--add", "--keyring", &root]).ends(0);
        trying(&["--keyring", &staging]).ends(0);
        trying(&["--add"]).ends(0);
    });
}

/// A keyring of one holder, whose root is pinned.
fn pinned(lab: &Lab, name: &str) -> (String, String) {
    let path_of = |name: &str| lab.path(name).to_string_lossy().into_owned();
    let (ann, ring) = (path_of("ann.key"), path_of(name));
    lab.cli(&["keyring", "key", &ann]).ends(0);
    lab.cli(&["keyring", "new", &ring, &format!("--holder=ann={ann}.pub")]).ends(0);
    lab.cli(&["keyring", "sign", &ring, "--key", &ann]).ends(0);
    lab.directory("config/claw");
    fs::copy(format!("{ring}/metadata/1.root.json"), lab.path("config/claw/root.json")).unwrap();
    (ring, ann)
}

#[test]
fn a_keyring_whose_inside_the_agent_could_write_is_none() {
    once(CLAW, User::Root, |lab| {
        let (ring, ann) = pinned(lab, "work/kr");
        let exposed = ["work/kr/metadata", "work/kr/metadata/timestamp.json", "work/kr/targets"];
        for place in exposed {
            let place = lab.path(place);
            lab.policy(&[], &format!("filesystem: {{write: ['{}']}}\n", place.display()));
            sign(lab, &ann, &["--keyring", &ring]);
            refused(run(lab, &ring), "lies where the agent may write");
        }
    });
    once(CLAW, User::Root, |lab| {
        // a part of it, or a file, or what a link leads through, that lies in the workspace
        let (ring, ann) = pinned(lab, "kr");
        lab.policy(&[], "filesystem: {write: [ws]}\n");
        let ws = lab.directory("work/ws");
        sign(lab, &ann, &["--keyring", &ring]);
        run(lab, &ring).ends(0).says("ran");
        for part in ["metadata", "targets"] {
            let (inside, moved) = (lab.path("kr").join(part), ws.join("moved"));
            fs::rename(&inside, &moved).unwrap();
            std::os::unix::fs::symlink(&moved, &inside).unwrap();
            refused(run(lab, &ring), "lies where the agent may write");
            fs::remove_file(&inside).unwrap();
            let (aside, link) = (lab.path("aside"), ws.join("link"));
            fs::rename(&moved, &aside).unwrap();
            std::os::unix::fs::symlink(&aside, &link).unwrap();
            std::os::unix::fs::symlink(&link, &inside).unwrap();
            refused(run(lab, &ring), "lies where the agent may write");
            fs::remove_file(&inside).unwrap();
            fs::remove_file(&link).unwrap();
            fs::rename(&aside, &inside).unwrap();
        }
        run(lab, &ring).ends(0).says("ran");
        // nor may the pinned root lie there
        let root = lab.path("config/claw/root.json");
        fs::rename(&root, ws.join("root.json")).unwrap();
        std::os::unix::fs::symlink(ws.join("root.json"), &root).unwrap();
        refused(run(lab, &ring), "lies where the agent may write");
    });
}

#[test]
fn one_version_is_one_policy_with_one_ceiling() {
    once(CLAW, User::Root, |lab| {
        let (one, key) = key(lab, "one");
        let ring = keyring(lab, "keys.toml", 1, &[&key]);
        let ceiling = "version: 1\nnetwork_policy: {workload: []}\n";
        lab.write("ceiling.yaml", ceiling);
        lab.policy(&[], "ceiling: ceiling.yaml\n");
        sign(lab, &one, &["--version", "7"]);
        run(lab, &ring).ends(0).says("ran");
        lab.write("ceiling.yaml", &format!("# wider\n{ceiling}"));
        sign(lab, &one, &["--version", "7"]);
        refused(run(lab, &ring), "was seen with another content");
    });
}
