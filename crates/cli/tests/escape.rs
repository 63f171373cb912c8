//! The escape suite (`tests/escape`): nothing leaks, every probe succeeds where it is weaker, and every wall carries weight.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/escape/run");

/// Runs the suite; returns how each probe ended and why.
fn suite(arguments: &[&str], without: &str) -> BTreeMap<String, (String, String)> {
    let output = Command::new(SUITE)
        .args(arguments)
        .arg("--json")
        .env("CLAW_TEST_WITHOUT", without)
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .expect("python3");
    let text = String::from_utf8(output.stdout).unwrap();
    let result: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let word = |probe: &Value, name: &str| probe[name].as_str().unwrap().to_owned();
    let probes = result["probes"].as_array().unwrap().iter();
    probes
        .map(|probe| {
            let name = format!("{}/{}", word(probe, "group"), word(probe, "probe"));
            (name, (word(probe, "end"), word(probe, "why")))
        })
        .collect()
}

fn runner() -> String {
    format!("{CLAW} run --policy {{policy}} --")
}

/// `absent` tells which probes may find nothing to attack.
fn nothing_leaks(more: &[&str], absent: fn(&str) -> bool) {
    let runner = runner();
    let probes = suite(&[&["--runner", runner.as_str()], more].concat(), "");
    let good = |name: &str, end: &str| match end {
        "held" | "works" => true,
        "not here" => absent(name),
        _ => false,
    };
    let bad: Vec<_> = probes.iter().filter(|(name, (end, _))| !good(name, end)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let held = probes.values().filter(|(end, _)| end == "held").count();
    assert!(held >= 600, "only {held} probes were held");
}

#[test]
fn nothing_leaks_to_root() {
    // what is written at once is not reviewed
    nothing_leaks(&[], |name| name.starts_with("review/"));
}

/// Where changes are reviewed, and everything is applied that may be.
#[test]
fn nothing_leaks_through_a_review() {
    // the runner is one word for the suite, which puts the policy into it
    // the name is new on this machine, whatever earlier runs left in control groups
    let script = format!(
        "name=probe-$(date +%s%N); {CLAW} run --policy \"$0\" --name $name --quiet -- \"$@\"; code=$?; \
         {CLAW} changes apply $name --flagged --overwrite > \"$HOME/applied\" 2>&1; [ $? -le 1 ] || code=3; \
         {CLAW} changes discard $name > \"$HOME/applied\" 2>&1; exit $code"
    );
    let runner = format!("sh -c '{script}' {{policy}}");
    for user in [&[][..], &["--user", "2002"]] {
        let words =
            [&["--runner", runner.as_str(), "--review", "--only", "review/,files/,policy/"], user].concat();
        let probes = suite(&words, "");
        // an overlay has no device of its own to be found
        let held = |name: &str, end: &str| end == "held" || name == "files/block-device";
        let bad: Vec<_> = probes.iter().filter(|(name, (end, _))| !held(name, end)).collect();
        assert!(bad.is_empty(), "{user:?}: {bad:#?}");
        assert!(probes.keys().filter(|name| name.starts_with("review/")).count() >= 13, "{probes:#?}");
    }
}

#[test]
fn nothing_leaks_to_an_ordinary_user() {
    // limits are held by a control group, which an ordinary user may not have
    nothing_leaks(&["--user", "2002"], |name| {
        ["exhaustion/", "review/"].iter().any(|group| name.starts_with(group))
    });
}

/// A probe that cannot fail proves nothing.
#[test]
fn every_probe_gets_out_where_it_is_weaker() {
    let probes = suite(&["--weaker"], "");
    let held: Vec<_> =
        probes.iter().filter(|(_, (end, _))| !["leak", "works"].contains(&end.as_str())).collect();
    assert!(held.is_empty(), "{held:#?}");
}

/// With one wall left out, something gets out that is held otherwise. Only debug builds can leave one out.
#[test]
#[cfg(debug_assertions)]
fn every_wall_carries_weight() {
    let walls = [
        ("seccomp", "kernel/io-uring"),
        ("landlock", "supervisor/signal-to-init"),
        ("capabilities", "descriptors/own-address"),
        ("descriptors", "descriptors/inherited-file"),
        ("ipc", "descriptors/shared-memory-of-the-host"),
        ("proc", "kernel/core-pattern"),
        ("tree", "supervisor/own-executable-for-writing"),
        ("private", "files/new-temporary-file"),
        ("limits", "exhaustion/processes"),
        ("environment", "supervisor/environment-of-the-runtime"),
        ("session", "kernel/line-discipline"),
        ("addresses", "names/answer-mapped-loopback"),
        ("handshake", "tls/nul-in-the-name"),
        // the second wall holds when the first falls: each alone is enough, and none is not
        ("hidden,landlock", "supervisor/environment-of-the-first-process"),
        ("tree,landlock", "files/program-of-the-system"),
    ];
    let all: Vec<&str> = walls.iter().map(|(_, probe)| *probe).collect();
    let runner = runner();
    let whole = suite(&["--runner", &runner, "--only", &all.join(",")], "");
    assert_eq!(whole.len(), walls.len(), "{whole:#?}");
    assert!(whole.values().all(|(end, _)| end == "held"), "{whole:#?}");
    for (wall, probe) in walls {
        let probes = suite(&["--runner", &runner, "--only", probe], wall);
        assert_eq!(probes[probe].0, "leak", "without {wall}: {probes:#?}");
    }
    for wall in ["hidden", "landlock"] {
        let probe = "supervisor/environment-of-the-first-process";
        assert_eq!(suite(&["--runner", &runner, "--only", probe], wall)[probe].0, "held", "without {wall}");
    }
}

/// Where nothing gets out when one of these is gone, another holds: the namespace has no way out even without rules, and without
/// `no_new_privs` the kernel takes neither Landlock nor a filter from a process without capabilities.
#[test]
#[cfg(debug_assertions)]
fn what_only_backs_another_wall_lets_nothing_out_alone() {
    let runner = runner();
    let probes = suite(&["--runner", &runner, "--only", "names/,protocols/"], "network");
    let bad: Vec<_> = probes.iter().filter(|(_, (end, _))| end != "held").collect();
    assert!(bad.is_empty() && probes.len() > 100, "{bad:#?} of {}", probes.len());
    let run = Command::new(CLAW)
        .args(["run", "--", "true"])
        .env("CLAW_TEST_WITHOUT", "no-new-privs")
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(125), "{told}");
    assert!(told.contains("cannot restrict files with Landlock"), "{told}");
}

/// The switch is not in it at all.
#[test]
#[cfg(not(debug_assertions))]
fn a_release_build_leaves_no_wall_out() {
    let program = std::fs::read(CLAW).unwrap();
    assert!(!program.windows(17).any(|window| window == b"CLAW_TEST_WITHOUT"));
    let runner = runner();
    let probe = "kernel/io-uring";
    assert_eq!(suite(&["--runner", &runner, "--only", probe], "seccomp")[probe].0, "held");
}
