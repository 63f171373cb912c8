//! Policies in other tools' formats, through the command: losses with their lines, exit codes, and nf_tables loaded into
//! a kernel, read back, and tried with packets.

use claw_testkit::{Lab, User, once, sink};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

const POLICY: &str = "version: 1
network_policy:
  workload:
    - {destination: 10.77.0.1:4001, plane: tool, purpose: the tool's server}
    - {destination: \"10.0.0.0/8:80,8000-8010\", plane: control, purpose: controller}
    - {destination: \"[fd77::1]:4002\", plane: tool, purpose: six}
    - {destination: \"8.8.8.8:53\", plane: tool, purpose: names, protocol: UDP}
  deny:
    - {destination: 10.9.0.0/16:*}
";

#[test]
fn an_exported_ruleset_is_loaded_read_back_as_the_same_policy_and_holds() {
    once(CLAW, User::Root, |lab| {
        lab.write("work/agent.yaml", POLICY);
        let open = sink(Lab::PRIVATE, 4001);
        let closed = sink(Lab::PRIVATE, 4009);
        let six = sink(Lab::PRIVATE6, 4002);
        let try_all = "for to in '10.77.0.1 4001' '10.77.0.1 4009' 'fd77::1 4002' '8.8.8.8 4001'; do \
             printf x | nc -w 1 -N $to; done; true";
        // before: everything of the lab is reachable
        lab.bare(try_all).ends(0);
        assert!(open.until(|server| server.arrivals() == 1) && closed.until(|server| server.arrivals() == 1));

        let ruleset = lab.cli(&["policy", "export", "--format", "nft", "agent.yaml"]).ends(0).stdout;
        lab.write("work/rules.nft", &ruleset);
        lab.bare("nft -f rules.nft && nft -f rules.nft").ends(0);
        lab.bare(try_all).ends(0);
        assert!(open.until(|server| server.arrivals() == 2), "a permitted port is reached");
        assert!(six.until(|server| server.arrivals() == 2), "over IPv6 too");
        assert_eq!(closed.arrivals(), 1, "another port is not");

        let listed = lab.bare("nft -j list ruleset").ends(0).stdout;
        lab.write("work/listed.json", &listed);
        let back = lab.cli(&["policy", "import", "--format", "nft", "listed.json"]).ends(0).stdout;
        lab.write("work/back.yaml", &back);
        for (destination, code) in [
            ("10.77.0.1:4001", 0),
            ("10.77.0.1:4009", 1),
            ("10.77.0.1:8005", 0),
            ("10.8.0.1:80", 0),
            ("10.9.0.1:80", 1),
            ("[fd77::1]:4002", 0),
            ("[fd77::2]:4002", 1),
            ("8.8.8.8:53/udp", 0),
            ("8.8.8.8:53", 1),
            ("10.8.0.1:443", 1),
        ] {
            for file in ["agent.yaml", "back.yaml"] {
                lab.cli(&["policy", "why", file, destination]).ends(code);
            }
        }
        // written again, loaded and read back: the same policy
        let again = lab.cli(&["policy", "export", "--format", "nft", "back.yaml"]).ends(0).stdout;
        lab.write("work/again.nft", &again);
        let listed = lab.bare("nft -f again.nft && nft -j list ruleset").ends(0).stdout;
        lab.write("work/listed.json", &listed);
        let twice = lab.cli(&["policy", "import", "--format", "nft", "listed.json"]).ends(0).stdout;
        let rules = |text: &str| {
            let rules = text.lines().filter(|line| line.contains("destination:"));
            let mut rules: Vec<String> = rules.map(str::to_owned).collect();
            rules.sort();
            rules
        };
        assert!(rules(&back).len() > 4, "{back}");
        assert_eq!(rules(&twice), rules(&back));
    });
}

#[test]
fn words_that_nf_tables_reads_as_its_own_stay_words() {
    once(CLAW, User::Root, |lab| {
        let rule = r#"    - {destination: 10.0.0.1:1, plane: tool, purpose: "a\"; accept\n} # $x é \\"}"#;
        lab.write("work/agent.yaml", &format!("version: 1\nnetwork_policy:\n  workload:\n{rule}\n"));
        let ruleset = lab.cli(&["policy", "export", "--format", "nft", "agent.yaml"]).ends(0).stdout;
        lab.write("work/rules.nft", &ruleset);
        let listed = lab.bare("nft -f rules.nft && nft list ruleset").ends(0).stdout;
        assert_eq!(listed.matches(" accept").count(), 3, "two rules, and the word in a comment: {listed}");
    });
}

#[test]
fn an_export_tells_what_it_leaves_out_and_strict_writes_nothing() {
    once(CLAW, User::Root, |lab| {
        let rules = "    - {destination: 10.0.0.0/24:443, plane: tool, purpose: x}\n    - {destination: a.example.com:443, plane: tool, purpose: x}\n";
        lab.write("work/agent.yaml", &format!("version: 1\nnetwork_policy:\n  workload:\n{rules}"));
        let run = lab.cli(&["policy", "export", "--format", "k8s", "agent.yaml"]).ends(1);
        let run = run.warns("agent.yaml:5: warning: `a.example.com:443` is left out: names cannot be said");
        assert!(run.stdout.contains("10.0.0.0/24") && run.stdout.contains("# line 5: "), "{run:#?}");
        let strict = lab.cli(&["policy", "export", "--format", "k8s", "--strict", "agent.yaml"]).ends(1);
        assert!(strict.stdout.is_empty() && strict.stderr.contains("agent.yaml:5: error: "), "{strict:#?}");
        // words alone are told, and are no "no"
        lab.cli(&["policy", "export", "--format", "allowlist", "agent.yaml"])
            .ends(0)
            .warns("not held: plane `tool`");
        let json = lab.cli(&["policy", "export", "--format", "k8s", "--json", "agent.yaml"]).ends(1).stdout;
        assert!(json.contains("\"kind\": \"left-out\""), "{json}");
        lab.cli(&["policy", "export", "--format", "seccomp", "agent.yaml"]).ends(2);
    });
}

#[test]
fn an_import_tells_what_it_leaves_out_and_strict_writes_nothing() {
    once(CLAW, User::Root, |lab| {
        lab.write(
            "work/srt.json",
            "{\"network\": {\"allowedDomains\": [\"a.example.com:443\"], \"deniedDomains\": []}}",
        );
        let yaml = lab.cli(&["policy", "import", "--format", "srt", "srt.json"]).ends(0).stdout;
        lab.write("work/agent.yaml", &yaml);
        lab.cli(&["policy", "why", "agent.yaml", "a.example.com:443"]).ends(0);
        lab.write(
            "work/srt.json",
            "{\"network\": {\"allowedDomains\": [\"a.example.com:443\"]},\n\"other\": 1}",
        );
        lab.cli(&["policy", "import", "--format", "srt", "srt.json"])
            .ends(1)
            .warns("srt.json:2: warning: `other`");
        let strict = lab.cli(&["policy", "import", "--format", "srt", "--strict", "srt.json"]).ends(1);
        assert!(strict.stdout.is_empty(), "{strict:#?}");
        lab.cli(&["policy", "import", "--format", "srt", "agent.yaml"]).ends(2);
    });
}
