//! Input that cannot be used runs nothing and says where it is wrong; trust is given to content, by a person.

use claw_testkit::{Lab, each, sink};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Runs with this policy; nothing may run, and the message names the line.
fn unusable(lab: &Lab, policy: &str, line: Option<usize>) {
    lab.write("policy.yaml", policy);
    let run = lab.run("echo ran").ends(2);
    assert!(run.stdout.is_empty() && run.ledger.as_ref().is_some_and(|path| !path.exists()), "{run:#?}");
    if let Some(line) = line {
        assert!(run.stderr.contains(&format!(":{line}")), "line {line} is not named in {}", run.stderr);
    }
}

fn rule(destination: &str) -> String {
    format!(
        "version: 1\nnetwork_policy:\n  workload:\n    - destination: {destination}\n      plane: tool\n      purpose: test\n"
    )
}

#[test]
fn an_unusable_policy_is_refused_with_its_line() {
    each(CLAW, |lab| {
        unusable(lab, "version: 1\nnetwork_polcy: {}\n", Some(2));
        unusable(lab, "version: 1\nagent: [1]\n", Some(2));
        unusable(lab, "version: 2\n", Some(1));
        unusable(lab, "version: 1\nnetwork_policy:\n\tworkload: []\n", Some(3));
        unusable(lab, "version: 1\n---\nversion: 1\n", Some(2));
        unusable(lab, "version: 1\nagent: a\nagent: b\n", Some(3));
        unusable(lab, &rule("\"a\\0b.test:443\""), Some(4));
        unusable(lab, &rule("10.0.0.1/24:443"), Some(4));
        unusable(lab, &rule("a.test:70000"), Some(4));
        unusable(lab, &rule("a.test"), Some(4));
        unusable(lab, &rule("0.0.0.0/0:443"), Some(4));
        unusable(lab, &rule("\"[::/0]:443\""), Some(4));
        unusable(lab, &rule("\"*:443\""), Some(4));
        unusable(lab, &rule("0x7f.1:443"), Some(4));
        unusable(lab, &rule("127.1:443"), Some(4));
        unusable(lab, "just text", Some(1));
        unusable(lab, "version: 1\nfilesystem: {raed: [/usr]}\n", Some(2));
    });
}

#[test]
fn two_halves_of_the_world_are_the_world() {
    each(CLAW, |lab| {
        let text = rule("0.0.0.0/1:443")
            + "    - destination: 128.0.0.0/1:443\n      plane: tool\n      purpose: test\n";
        unusable(lab, &text, None);
    });
}

#[test]
fn enormous_policies_are_refused_quickly() {
    each(CLAW, |lab| {
        for text in [
            "[".repeat(10_000_000),
            format!(
                "a: &a [x, x]\n{}",
                (0..40).map(|n| format!("b{n}: &b{n} [*a, *a]\n")).collect::<String>()
            ),
            "- ".repeat(200_000),
        ] {
            let begun = std::time::Instant::now();
            unusable(lab, &text, None);
            assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        }
    });
}

#[test]
fn what_is_not_text_or_not_there_is_refused() {
    each(CLAW, |lab| {
        std::fs::write(lab.path("policy.yaml"), [0xff, 0xfe, b'v', 0]).unwrap();
        assert!(lab.run("echo ran").ends(2).stdout.is_empty());
        std::fs::remove_file(lab.path("policy.yaml")).unwrap();
        lab.run("echo ran").ends(2).warns("policy.yaml");
        lab.plain().command(&[CLAW, "run"]).ends(2);
        lab.plain().command(&[CLAW, "run", "--no-such-option", "--", "true"]).ends(2);
        lab.plain().command(&[CLAW, "run", "--phase", "nonsense", "--", "true"]).ends(2);
    });
}

#[test]
fn a_repository_cannot_grant_itself_egress() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap();
        lab.write("work/agent_runtime.yaml", &text);
        let code =
            format!("attempt(lambda: talk(('api.lab.test', {}), family=socket.AF_INET))", server.port());
        let file = lab.program_file(&code);
        let run = || lab.plain().command(&[CLAW, "run", "--", "python3", &file]);
        run().ends(1).warns("not accepted").warns("claw policy trust");
        assert_eq!(server.arrivals(), 0);
        lab.cli(&["policy", "trust"]).ends(0);
        run().ends(0);
        assert_eq!(server.arrivals(), 1);
        lab.write("work/agent_runtime.yaml", &format!("{text}# changed\n"));
        run().ends(1).warns("not accepted");
        assert_eq!(server.arrivals(), 1);
        lab.write("work/agent_runtime.yaml", &text);
        run().ends(0);
    });
}

#[test]
fn without_a_policy_nothing_leaves() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let file = lab.program_file(&format!("attempt(lambda: talk(('8.8.8.8', {})))", server.port()));
        lab.plain().command(&["python3", &file]).ends(0);
        lab.plain().command(&[CLAW, "run", "--", "python3", &file]).ends(1).says("ECONNREFUSED");
        assert_eq!(server.arrivals(), 1);
    });
}

#[test]
fn without_user_namespaces_nothing_runs_and_the_hint_says_why() {
    each(CLAW, |lab| {
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let around = ["unshare", "-Ur", "sh", "-c", script, "sh"];
        lab.plain().command(&[&around[..], &["echo", "here"]].concat()).ends(0).prints("here");
        let run = lab.plain().command(&[&around[..], &[CLAW, "run", "--", "echo", "ran"]].concat());
        let run = run.ends(125).warns("hint:").warns("max_user_namespaces");
        assert!(run.stdout.is_empty());
    });
}

#[test]
fn a_dry_run_prints_the_plan_and_runs_nothing() {
    each(CLAW, |lab| {
        lab.directory("work/out");
        lab.policy(&["destination: \"api.lab.test:443\"".to_owned()], "filesystem:\n  write: [./out]\n");
        let run = lab
            .claw()
            .option(&["--dry-run"])
            .command(&["touch", "out/ran"])
            .ends(0)
            .says("touch out/ran")
            .says("lo only");
        assert!(!lab.path("work/out/ran").exists() && !run.ledger.unwrap().exists());
        let run = lab.claw().option(&["--dry-run", "--json"]).command(&["touch", "out/ran"]).ends(0);
        assert!(run.stdout.starts_with('{'), "{run:#?}");
    });
}
