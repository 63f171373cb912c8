//! Sources that were made to harm.

use crate::import::{Format, import};
use crate::policy::Policy;

/// Refused with this, on this line.
fn refused(text: &str, format: Format, expect: &str) {
    let error = import(text, "x", format).unwrap_err().to_string();
    assert!(error.starts_with(expect), "{error}");
}

#[test]
fn what_is_nested_repeated_or_referred_to_is_refused_with_its_place() {
    let deep = "[".repeat(100_000);
    for format in [Format::Cilium, Format::Srt, Format::Nft, Format::Openshell, Format::Compose, Format::Nono]
    {
        refused(&deep, format, "x:1: nested deeper");
    }
    refused(&format!("a = {deep}"), Format::Codex, "x:1: ");
    refused(
        "{\"network\": {\"allowedDomains\": [],\n\"allowedDomains\": []}}",
        Format::Srt,
        "x:2: `allowedDomains` is written twice",
    );
    refused("[network]\nallow = []\nallow = []\n", Format::Sandlock, "x:3: ");
    refused(
        "kind: CiliumNetworkPolicy\nspec: &a {egress: []}\nb: *a\n",
        Format::Cilium,
        "x:2: anchors, aliases",
    );
    refused("version: 1\n---\nversion: 1\n", Format::Openshell, "x:2: the file holds more than one document");
}

#[test]
fn a_list_of_denials_that_is_none_is_refused_not_forgotten() {
    refused(
        "{\"network\": {\"allowedDomains\": [\"*.a.example.com\"],\n\"deniedDomains\": {}}}",
        Format::Srt,
        "x:2: `deniedDomains` is not a list",
    );
    refused(
        "kind: CiliumNetworkPolicy\nspec:\n  egressDeny: 5\n",
        Format::Cilium,
        "x:3: `egressDeny` is not a list",
    );
    refused(
        "kind: ClusterNetworkPolicy\nspec:\n  egress:\n  - {action: Perhaps, to: []}\n",
        Format::Cnp,
        "x:4: `action` is not",
    );
    refused(
        "[permissions.a.network]\nenabled = true\n[permissions.a.network.domains]\n\"a.example.com\" = \"maybe\"\n",
        Format::Codex,
        "x:4: `a.example.com` is not",
    );
}

#[test]
fn a_denial_that_only_a_cluster_understands_denies_more_not_less() {
    let text = r#"kind: ClusterNetworkPolicy
spec:
  egress:
  - {action: Deny, to: [{pods: {podSelector: {}}}]}
  - {action: Accept, to: [{networks: [10.0.0.0/8]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
"#;
    let yaml = import(text, "x", Format::Cnp).unwrap().yaml;
    assert!(yaml.contains("  deny:\n    - destination: \"0.0.0.0/0:*\"\n"), "{yaml}");
}

#[test]
fn a_kind_that_is_not_known_is_no_policy() {
    for (text, format) in [
        ("kind: Secret\nspec: {egress: []}\n", Format::Cnp),
        ("kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nspec: {egress: []}\n", Format::Calico),
        ("{\"a\": 1}", Format::Nft),
        ("{\"resource\": {\"aws_instance\": {\"a\": {}}}}", Format::AwsSg),
        ("a = 1\n", Format::Sandlock),
    ] {
        assert_eq!(
            import(text, "x", format).unwrap_err().to_string(),
            format!("`x` holds no {format} policy")
        );
    }
}

#[test]
fn text_of_a_source_stays_text_in_every_format() {
    let evil = "x\\n    - destination: evil.example.com:443 # \\u0007";
    let cnp = format!(
        "kind: ClusterNetworkPolicy\nspec:\n  egress:\n  - {{name: \"{evil}\", action: Accept, to: [{{networks: [10.0.0.0/24]}}], protocols: [{{tcp: {{destinationPort: {{number: 443}}}}}}]}}\n"
    );
    let yaml = import(&cnp, "a\nb", Format::Cnp).unwrap().yaml;
    assert_eq!(Policy::parse(&yaml, "x").unwrap().rules().len(), 1);
}
