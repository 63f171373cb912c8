//! `claw host audit` as it is called: exit codes, forms of report, accepted findings.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_testkit::{Lab, Outcome, User, each, once};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A tree with one finding of each severity but high, and one pass.
fn tree(lab: &Lab) -> String {
    let write = |path: &str, text: &str| {
        let path = lab.path("tree").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n");
    write("proc/sys/kernel/kptr_restrict", "0\n");
    write("proc/sys/kernel/sysrq", "1\n");
    write("proc/sys/kernel/randomize_va_space", "2\n");
    lab.path("tree").display().to_string()
}

fn audit(lab: &Lab, more: &[&str]) -> Outcome {
    let tree = tree(lab);
    lab.cli(&[&["host", "audit", "--root", &tree], more].concat())
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome:#?}"))
}

fn one<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["outcomes"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()
}

#[test]
fn findings_count_from_the_threshold_on() {
    once(CLAW, User::Root, |lab| {
        assert_eq!(audit(lab, &[]).code, 1);
        assert_eq!(audit(lab, &["--threshold", "critical"]).code, 1);
        fs::write(lab.path("tree/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        let quiet = lab.path("tree").display().to_string();
        let run =
            |threshold: &str| lab.cli(&["host", "audit", "--root", &quiet, "--threshold", threshold]).code;
        assert_eq!(run("high"), 0);
        assert_eq!(run("medium"), 1);
        assert_eq!(lab.cli(&["host", "audit", "--root", "/nowhere/at/all"]).code, 2);
        assert_eq!(lab.cli(&["host", "audit", "--root", "/etc/passwd"]).code, 2);
        assert_eq!(run("dire"), 2);
        let two = audit(lab, &["--json", "--sarif", "-"]);
        assert_eq!((two.code, two.stdout.as_str()), (2, ""));
        assert_eq!(json(&audit(lab, &["--sarif", "-"]))["version"], "2.1.0");
    });
}

#[test]
fn the_table_names_what_was_seen_and_how_to_mend_it() {
    once(CLAW, User::Root, |lab| {
        let outcome = audit(lab, &[]);
        for words in [
            "critical  root-alone",
            "toor",
            "mend:  usermod --uid 1999 NAME",
            "unknown   landlock",
            "only files are read with --root",
            "pass: address-randomisation",
            "note: a tree of files was read",
            "1 critical, 0 high",
        ] {
            assert!(outcome.stdout.contains(words), "{words} is missing: {}", outcome.stdout);
        }
    });
}

#[test]
fn a_score_is_the_weight_of_what_passed() {
    once(CLAW, User::Root, |lab| {
        let report = json(&audit(lab, &["--json"]));
        let scores = report["scores"].as_array().unwrap();
        let score = |area: &str| scores.iter().find(|one| one["area"] == area).unwrap().clone();
        // low 1 and medium 3 failed, nothing passed
        assert_eq!(score("privilege")["score"], 0);
        // high 7 passed: address-randomisation
        assert_eq!(score("kernel")["score"], 100);
        assert_eq!(score("network")["score"], Value::Null);
    });
}

#[test]
fn an_accepted_finding_counts_again_after_its_day() {
    once(CLAW, User::Root, |lab| {
        let later = later();
        let later = later.as_str();
        let entry = |day: &str, more: &str| {
            format!(
                "version: 1\naccepted:\n  - check: root-alone\n    reason: rescue account\n    expires: {day}\n{more}"
            )
        };
        let run = |text: &str| {
            let file = lab.write("accepted.yaml", &text.replace("DAY", later)).display().to_string();
            audit(lab, &["--json", "--baseline", &file])
        };
        let held = run(&entry(later, ""));
        assert_eq!(held.code, 0, "{}", held.stderr);
        assert_eq!(one(&json(&held), "root-alone")["accepted"]["reason"], "rescue account");
        let over = run(&entry("2020-01-01", ""));
        assert_eq!(over.code, 1);
        assert!(
            over.stderr.contains("line 3: `root-alone` was accepted until 2020-01-01; it counts again"),
            "{over:#?}"
        );
        let other = run(&entry(later, "    seen: somebody else\n"));
        assert_eq!(other.code, 1);
        assert!(other.stderr.contains("something else"), "{other:#?}");
        let same = run(&entry(later, "    seen: toor\n"));
        assert_eq!(same.code, 0, "{}", same.stderr);
        let endless = run(&entry("9999-12-31", ""));
        assert_eq!(endless.code, 1);
        assert!(endless.stderr.contains("more than two years from now: it counts"), "{endless:#?}");
        let stale = run("version: 1\naccepted:\n  - {check: tpm, reason: none here, expires: DAY}\n");
        assert!(stale.stderr.contains("`tpm` is no finding now"), "{stale:#?}");
    });
}

/// A day to which a finding can be accepted.
fn later() -> String {
    let day = Command::new("date").args(["-u", "-d", "700 days", "+%F"]).output().unwrap();
    String::from_utf8(day.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_baseline_that_is_no_file_does_not_keep_it_waiting() {
    once(CLAW, User::Root, |lab| {
        let fifo = lab.path("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.display().to_string(), "/dev/zero".to_owned()] {
            let outcome = audit(lab, &["--baseline", &path]);
            assert_eq!(outcome.code, 2, "{outcome:#?}");
            assert!(outcome.stderr.contains("it is not a regular file"), "{outcome:#?}");
        }
        let large = lab.path("large");
        fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
        let outcome = audit(lab, &["--baseline", &large.display().to_string()]);
        assert!(outcome.stderr.contains("larger than 1 MiB"), "{outcome:#?}");
    });
}

/// The report of a tree in a mount namespace, after a script in it.
fn mounted(lab: &Lab, script: &str) -> Value {
    let tree = tree(lab);
    let script =
        format!("set -e; cd {tree}; {script}; {CLAW} host audit --root {tree} --json || test $? = 1");
    json(&lab.plain().command(&["unshare", "-m", "sh", "-c", &script]))
}

#[test]
fn a_program_on_another_file_system_is_found() {
    once(CLAW, User::Root, |lab| {
        let script = "mkdir -p srv/m; mount -t tmpfs none srv/m; cp /bin/true srv/m/sh; chmod 4777 srv/m/sh";
        let report = mounted(lab, script);
        assert_eq!(one(&report, "set-user-id")["seen"], "/srv/m/sh");
        assert_eq!(one(&report, "set-user-id-writable")["status"], "fail");
    });
}

#[test]
fn what_is_no_file_is_not_walked() {
    once(CLAW, User::Root, |lab| {
        // the first mount would answer a walk with thousands of entries
        let report = mounted(lab, "mkdir -p srv/m; mount -t sysfs none srv/m");
        let one = one(&report, "set-user-id");
        assert_eq!(one["status"], "pass", "{one}");
        let seen = one["seen"].as_str().unwrap();
        assert!(seen.split(' ').next().unwrap().parse::<u32>().unwrap() < 100, "{seen}");
    });
}

#[test]
fn no_name_forges_a_line_of_the_table() {
    once(CLAW, User::Root, |lab| {
        tree(lab);
        let name = "srv/x\n  pass: root-alone, everything\u{202e}";
        let place = lab.path("tree").join(name);
        fs::create_dir_all(&place).unwrap();
        fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        for form in [&[][..], &["--json"], &["--sarif", "-"], &["--oscal", "-"]] {
            let outcome = audit(lab, form);
            assert!(!outcome.stdout.contains('\u{202e}'), "{form:?}: {}", outcome.stdout);
            assert!(!outcome.stdout.contains("\n  pass: root-alone"), "{form:?}: {}", outcome.stdout);
            assert!(outcome.stdout.contains("u{202e}"), "{form:?}: {}", outcome.stdout);
        }
        let table = audit(lab, &[]).stdout;
        assert!(table.contains("chmod o-w -- $'"), "{table}");
    });
}

#[test]
fn a_baseline_that_is_not_understood_is_refused_with_its_line() {
    once(CLAW, User::Root, |lab| {
        let check = |text: &str, words: &[&str]| {
            let file = lab.write("accepted.yaml", &text.replace("DAY", &later())).display().to_string();
            let outcome = audit(lab, &["--baseline", &file]);
            assert_eq!(outcome.code, 2, "{text}");
            assert!(outcome.stdout.is_empty(), "{text}");
            for word in words {
                assert!(outcome.stderr.contains(word), "{word} is missing: {}", outcome.stderr);
            }
        };
        let entry = "  - {check: tpm, reason: r, expires: DAY}\n";
        check(&format!("accepted:\n{entry}"), &["`version` is missing"]);
        check(&format!("version: 2\naccepted:\n{entry}"), &["version 2 is not known"]);
        check(
            &format!("version: 1\nacepted:\n{entry}"),
            &["acepted", "did you mean `accepted`", "accepted.yaml:"],
        );
        check(
            "version: 1\naccepted:\n  - {check: tmp, reason: r, expires: DAY}\n",
            &["no check is called `tmp`", "accepted.yaml:3"],
        );
        check("version: 1\naccepted:\n  - {check: tpm, expires: DAY}\n", &["`reason` is missing"]);
        check(
            "version: 1\naccepted:\n  - {check: tpm, reason: \" \", expires: DAY}\n",
            &["`reason` is empty"],
        );
        check("version: 1\naccepted:\n  - {check: tpm, reason: r}\n", &["`expires` is missing"]);
        check("version: 1\naccepted:\n  - {check: tpm, reason: r, expires: soon}\n", &["`soon` is no day"]);
        check("version: 1\naccepted:\n  - {check: tpm, reason: r, expires: DAY, why: x}\n", &["why"]);
        check("version: 1\nversion: 1\n", &["version"]);
    });
}

#[test]
fn without_root_what_only_root_reads_is_unknown() {
    each(CLAW, |lab| {
        let report = json(&lab.cli(&["host", "audit", "--json"]));
        let status = |id: &str| one(&report, id)["status"].as_str().unwrap().to_owned();
        let reader = lab.user() == User::Root;
        for id in ["empty-passwords", "weak-hashes", "input-dropped", "output-dropped"] {
            assert_eq!(status(id) == "unknown", !reader, "{id}: {}", one(&report, id));
        }
        assert_eq!(
            report["notes"]
                .as_array()
                .unwrap()
                .iter()
                .any(|note| note.as_str().unwrap().contains("only root")),
            !reader
        );
        // a kernel without the key is not one where it is off
        if !Path::new("/proc/sys/kernel/yama/ptrace_scope").exists() {
            assert_eq!(status("ptrace-scope"), "unknown");
        }
    });
}

#[test]
fn nothing_is_changed_and_nothing_is_run() {
    once(CLAW, User::Root, |lab| {
        let trace = lab.path("trace").display().to_string();
        let traced = [
            "strace",
            "-f",
            "-o",
            &trace,
            "-e",
            "trace=execve,connect,sendto,bind,openat,openat2,mkdirat,unlinkat",
        ];
        let outcome = lab.plain().command(&[&traced[..], &[CLAW, "host", "audit", "--json"]].concat());
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        let text = fs::read_to_string(lab.path("trace")).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("execve(")).count(), 1, "a program was run");
        let bad = |line: &&str| {
            (line.contains("connect(")
                || line.contains("O_WRONLY")
                || line.contains("O_RDWR")
                || line.contains("O_CREAT")
                || line.contains("mkdirat(")
                || line.contains("unlinkat("))
                || (line.contains("sendto(") && !line.contains("AF_NETLINK"))
        };
        let found: Vec<&str> = text.lines().filter(bad).collect();
        assert!(found.is_empty(), "{found:#?}");
    });
}

/// The official schema of SARIF 2.1.0 from npm, and NIST's model of OSCAL from PyPI.
#[test]
fn reports_hold_to_their_standards() {
    // here, since the lab has no way to a registry
    tools();
    once(CLAW, User::Root, |lab| {
        let (sarif, oscal) = (lab.path("host.sarif"), lab.path("host.oscal.json"));
        let baseline = lab.write(
            "accepted.yaml",
            &"version: 1\naccepted:\n  - {check: root-alone, reason: rescue, expires: DAY}\n"
                .replace("DAY", &later()),
        );
        let words = [
            "--sarif",
            &sarif.display().to_string(),
            "--oscal",
            &oscal.display().to_string(),
            "--baseline",
            &baseline.display().to_string(),
        ]
        .map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(audit(lab, &words).code, 0);
        let tools = tools();
        let program = lab.write("check.py", VALIDATE).display().to_string();
        let run = |sarif: &Path, oscal: &Path| {
            Command::new(tools.join("venv/bin/python"))
                .arg(&program)
                .arg(tools.join("package/lib/schemas/sarif-2.1.0-rtm.5.json"))
                .args([sarif, oscal])
                .output()
                .unwrap()
        };
        let good = run(&sarif, &oscal);
        assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
        // the judges do refuse
        let broken = |path: &Path, from: &str, to: &str| {
            let text = fs::read_to_string(path).unwrap().replacen(from, to, 1);
            let place = lab.path("broken.json");
            fs::write(&place, text).unwrap();
            place
        };
        assert!(
            !run(&broken(&sarif, "\"kind\": \"open\"", "\"kind\": \"perhaps\""), &oscal).status.success()
        );
        assert!(!run(&sarif, &broken(&oscal, "\"satisfied\"", "\"content\"")).status.success());
        let value: Value = serde_json::from_str(&fs::read_to_string(&sarif).unwrap()).unwrap();
        let results = value["runs"][0]["results"].as_array().unwrap();
        let root = results.iter().find(|one| one["ruleId"] == "root-alone").unwrap();
        assert_eq!((root["kind"].as_str(), root["level"].as_str()), (Some("fail"), Some("error")));
        assert_eq!(root["suppressions"][0]["status"], "accepted");
        for one in results {
            let rule =
                &value["runs"][0]["tool"]["driver"]["rules"][one["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], one["ruleId"]);
        }
    });
}

/// Installs the judges once, where cargo keeps what tests make.
fn tools() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standards");
    if place.join("done").exists() {
        return place;
    }
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    let script = "python3 -m venv venv && venv/bin/pip -q install jsonschema==4.26.0 compliance-trestle==5.2.0 \
                  && npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 && tar xzf microsoft-jest-sarif-*.tgz && touch done";
    let made = Command::new("sh").args(["-c", script]).current_dir(&place).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    place
}

const VALIDATE: &str = "
import json, sys
import jsonschema
from trestle.oscal.assessment_results import Model
schema, sarif, oscal = (json.load(open(path)) for path in sys.argv[1:])
jsonschema.validators.validator_for(schema)(schema).validate(sarif)
Model(**oscal)
";
