//! `claw threat-model`: what it writes is there, and says what this policy and these zones mean.

use std::fs;

use claw_testkit::{User, once};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const ZONES: &str =
    "version: 1\nzones:\n  management: {interfaces: [eth0]}\n  workload: {interfaces: [veth0]}\n";

#[test]
fn the_model_of_a_deployment_is_drawn_and_told() {
    once(CLAW, User::Ordinary, |lab| {
        let policy = lab.write(
            "p.yaml",
            "version: 1\nagent: <b>\nnetwork_policy:\n  workload:\n    - {destination: a.test:443, plane: control, purpose: x}\n",
        );
        let (policy, zones) = (policy.to_string_lossy().into_owned(), lab.write("zones.yaml", ZONES));
        let zones = zones.to_string_lossy().into_owned();
        let audit = lab.write(
            "audit.json",
            r#"{"outcomes":[{"id":"sshd-root","title":"no root","status":"fail","seen":"yes"}]}"#,
        );
        let audit = audit.to_string_lossy().into_owned();
        let (svg, mermaid) = (lab.path("work/a.svg"), lab.path("work/a.mmd"));
        let told = lab
            .cli(&["threat-model", &policy, "--zones", &zones, "--audit", &audit, "--json"])
            .ends(0)
            .stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        let threats = told["threats"].as_array().unwrap();
        assert!(threats.iter().any(|row| row["boundary"] == "controller"), "{threats:#?}");
        assert!(
            threats.iter().any(|row| row["control"].as_str().unwrap().contains("sshd-root")),
            "{threats:#?}"
        );
        lab.cli(&[
            "threat-model",
            &policy,
            "--svg",
            &svg.to_string_lossy(),
            "--mermaid",
            &mermaid.to_string_lossy(),
        ])
        .ends(0)
        .prints("");
        let drawn = fs::read_to_string(svg).unwrap();
        assert!(
            drawn.contains("&lt;b&gt;") && drawn.contains("CONTROLLER") && drawn.contains("a.test:443"),
            "{drawn}"
        );
        assert!(fs::read_to_string(mermaid).unwrap().starts_with("flowchart LR"));
        lab.cli(&["threat-model", &policy, "--markdown"])
            .ends(0)
            .says("## Assumptions")
            .says("no zones were given");
        lab.cli(&["threat-model", &policy, "--audit", &policy]).ends(2).warns("not JSON");
        lab.cli(&["threat-model", &zones]).ends(2).warns("`zones` is not a key of a policy");
    });
}
