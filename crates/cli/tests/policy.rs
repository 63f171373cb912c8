//! Policies compared, put together, and held to a ceiling, as a person or a pipeline does it.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its files is a test that fails")]

use std::path::PathBuf;
use std::process::Command;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A directory of one test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("claw-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn rules(&self, name: &str, rules: &[&str]) {
        let lines: String = rules.iter().map(|rule| format!("    - {{{rule}, purpose: x}}\n")).collect();
        self.write(name, &format!("version: 1\nnetwork_policy:\n  workload:\n{lines}"));
    }

    /// Runs `claw policy …` here; the code, and what it printed.
    fn claw(&self, arguments: &[&str]) -> (i32, String, String) {
        let run = Command::new(CLAW).arg("policy").args(arguments).current_dir(&self.0).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (run.status.code().unwrap(), text(&run.stdout), text(&run.stderr))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const A: &str = "destination: 'a.example.com:443', plane: tool";
const WILD: &str = "destination: '*.example.com:443', plane: tool";

#[test]
fn diff_tells_what_is_new_and_its_code_says_so() {
    let place = Place::new("diff");
    place.rules("old.yaml", &[A]);
    place.rules("new.yaml", &[A, WILD]);
    let (code, told, _) = place.claw(&["diff", "old.yaml", "new.yaml"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "+ new: *.example.com:443 (workload, TCP)\n    but not a.example.com:443\n    for example any-other.example.com:443, plane tool\n    old: deny (no-rule)\n    new: allow by new.yaml:5 (plane tool, assurance sni, \"x\")\n1 newly reachable, 0 no longer reachable, 0 on other terms\n"
    );
    let (code, told, _) = place.claw(&["diff", "new.yaml", "old.yaml"]);
    assert_eq!(code, 0, "only less can be reached");
    assert!(told.starts_with("- gone: *.example.com:443"), "{told}");
    assert_eq!(place.claw(&["diff", "new.yaml", "old.yaml", "--fail-on", "changed"]).0, 1);
    let (code, told, _) = place.claw(&["diff", "new.yaml", "new.yaml"]);
    assert_eq!((code, told.as_str()), (0, "no difference in what can be reached\n"));
    assert_eq!(place.claw(&["diff", "old.yaml", "new.yaml", "--phase", "bootstrap"]).0, 0);
    assert_eq!(place.claw(&["diff", "old.yaml", "gone.yaml"]).0, 2);
    place.write("broken.yaml", "version: 2\n");
    assert_eq!(place.claw(&["diff", "old.yaml", "broken.yaml"]).0, 2);
}

#[test]
fn a_witness_is_what_why_answers_differently() {
    let place = Place::new("witness");
    place.rules("old.yaml", &["destination: 'h.example.com:443', plane: tool, http: ['GET /v1/*']"]);
    place.rules("new.yaml", &["destination: 'h.example.com:443', plane: tool, http: ['GET /v1/**']"]);
    let (code, told, _) = place.claw(&["diff", "old.yaml", "new.yaml", "--json"]);
    assert_eq!(code, 1);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["opens"], true);
    let witness = &told["new"][0]["witness"];
    let text = |key: &str| witness[key].as_str().unwrap().to_owned();
    let destination = format!("{}:{}", text("host"), witness["port"]);
    let why = |file: &str| {
        place.claw(&["why", file, &destination, "--method", &text("method"), "--path", &text("path")]).0
    };
    assert_eq!((why("old.yaml"), why("new.yaml")), (1, 0), "{witness}");
    assert_eq!(told["new"][0]["new"]["rule"], "new.yaml:4");
    assert_eq!(told["new"][0]["old"]["rule"], "old.yaml:4");
}

#[test]
fn weaker_terms_are_told_and_counted_if_asked() {
    let place = Place::new("terms");
    place.rules("old.yaml", &[A]);
    place.rules("new.yaml", &["destination: 'a.example.com:443', plane: control, protocol: TCP"]);
    place.rules("inward.yaml", &["destination: 'a.example.com:443', plane: tool, private: allow"]);
    let (code, told, _) = place.claw(&["diff", "old.yaml", "new.yaml"]);
    assert_eq!(code, 0);
    assert!(
        told.contains("plane: tool -> control\n") && told.contains("assurance: sni -> name (weaker)"),
        "{told}"
    );
    assert_eq!(place.claw(&["diff", "old.yaml", "new.yaml", "--fail-on", "widened"]).0, 1);
    assert_eq!(
        place.claw(&["diff", "old.yaml", "inward.yaml"]).0,
        1,
        "private addresses behind a name are new"
    );
}

#[test]
fn what_is_deployed_is_compared_through_its_format() {
    let place = Place::new("format");
    place.rules("policy.yaml", &["destination: '10.0.100.0/24:443', plane: workload, protocol: TCP"]);
    let deployed = |block: &str| {
        format!(
            "spec:\n  egress:\n    - to: [{{ipBlock: {{cidr: {block}}}}}]\n      ports: [{{port: 443, protocol: TCP}}]\n"
        )
    };
    place.write("same.yaml", &deployed("10.0.100.0/24"));
    place.write("wider.yaml", &deployed("10.0.0.0/16"));
    let (code, told, _) = place.claw(&["diff", "policy.yaml", "same.yaml", "--format", "k8s"]);
    assert_eq!(code, 0, "{told}");
    let (code, told, _) = place.claw(&["diff", "policy.yaml", "wider.yaml", "--format", "k8s"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("+ new: 10.0.0.0/16:443") && told.contains("but not 10.0.100.0/24:443"), "{told}");
}

#[test]
fn a_ceiling_is_read_from_beside_the_policy_and_holds() {
    let place = Place::new("ceiling");
    place.rules("org/base.yaml", &[WILD]);
    let under = |rule: &str| {
        place.write(
            "team/policy.yaml",
            &format!("version: 1\nceiling: ../org/base.yaml\nnetwork_policy:\n  workload:\n    - {{{rule}, purpose: x}}\n"),
        );
        place.claw(&["check", "team/policy.yaml", "--fail-on", "error"])
    };
    assert_eq!(under(A).0, 0);
    let (code, _, told) = under("destination: 'a.example.org:443', plane: tool");
    assert_eq!(code, 2);
    for part in [
        "beyond the ceiling `../org/base.yaml`",
        "a.example.org:443, phase workload",
        "policy.yaml:5",
        "no-rule",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    std::fs::remove_file(place.0.join("org/base.yaml")).unwrap();
    let (code, _, told) = under(A);
    assert_eq!(code, 2);
    assert!(told.contains("cannot read the ceiling"), "{told}");
}

#[test]
fn merge_writes_one_policy_and_overwrites_nothing() {
    let place = Place::new("merge");
    place.rules("a.yaml", &[A]);
    place.rules("b.yaml", &[A, "destination: 'b.example.com:443', plane: tool"]);
    place.rules("c.yaml", &["destination: 'a.example.com:443', plane: control"]);
    let (code, _, told) = place.claw(&["merge", "a.yaml", "b.yaml", "--out", "m.yaml"]);
    assert_eq!(code, 0, "{told}");
    let text = std::fs::read_to_string(place.0.join("m.yaml")).unwrap();
    assert!(text.contains("# a.yaml:4, b.yaml:4\n") && text.contains("# b.yaml:5\n"), "{text}");
    assert_eq!(place.claw(&["diff", "b.yaml", "m.yaml", "--fail-on", "changed"]).0, 0);
    assert_eq!(place.claw(&["merge", "a.yaml", "b.yaml", "--out", "m.yaml"]).0, 2);
    let (code, out, told) = place.claw(&["merge", "a.yaml", "c.yaml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        told.contains(
            "a.yaml:4 and c.yaml:4: conflict: they say different things about the same flow (plane)"
        ),
        "{told}"
    );
    place.write("d.yaml", "network_policy: {deny: [{destination: 'a.example.com:*'}]}\n");
    let (code, _, told) = place.claw(&["merge", "a.yaml", "d.yaml"]);
    assert_eq!(code, 0);
    assert!(told.contains("a.yaml:4: note: `a.example.com:443` is closed by d.yaml:1"), "{told}");
}

#[test]
fn unused_rules_are_those_that_no_record_was_allowed_by() {
    let place = Place::new("unused");
    place.rules("p.yaml", &[A, "destination: 'b.example.com:443', plane: tool"]);
    let (_, told, _) = place.claw(&["check", "p.yaml", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let ledger = |digest: &str| {
        let mut lines = String::new();
        for event in [
            format!(r#""kind":"start","run":"r","agent":"a","command":[],"policy_digest":"{digest}","claw_version":"0","kernel":"6""#),
            r#""kind":"connect","destination":"a.example.com","port":443,"protocol":"TCP/TLS","phase":"workload","decision":"allow","rule":"p.yaml:4""#.to_owned(),
            r#""kind":"connect","destination":"b.example.com","port":443,"protocol":"TCP/TLS","phase":"workload","decision":"deny","rule":"p.yaml:5""#.to_owned(),
        ] {
            let seq = lines.lines().count() + 1;
            let zero = "0".repeat(64);
            lines += &format!("{{\"seq\":{seq},\"time\":\"2026-01-02T03:04:05.000000006Z\",\"prev\":\"sha256:{zero}\",{event}}}\n");
        }
        place.write("run.jsonl", &lines);
        place.claw(&["check", "p.yaml", "--ledger", "run.jsonl", "--json", "--fail-on", "note"])
    };
    let (code, found, _) = ledger(told["digest"].as_str().unwrap());
    assert_eq!(code, 1);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let unused: Vec<u64> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "unused")
        .map(|finding| finding["line"].as_u64().unwrap())
        .collect();
    assert_eq!(unused, [5]);
    let (code, _, told) = ledger(&format!("sha256:{}", "0".repeat(64)));
    assert_eq!(code, 2);
    assert!(told.contains("never held in it"), "{told}");
}
