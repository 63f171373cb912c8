//! What each format looks like: each document is read by types with the fields that its own project documents, and no
//! others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{policy, written};
use crate::export::LossKind;
use crate::import::Format;

const RULES: &[&str] = &[
    "destination: 10.0.0.0/24:443, plane: control, purpose: controller",
    "destination: '[2001:db8::/32]:8000-8010', plane: tool, purpose: six, protocol: UDP",
    "destination: api.example.com:443, plane: inference, purpose: chat, expires: 2027-03-01",
    "destination: '*.example.net:443', plane: tool, purpose: 'all of it: \"yes\"'",
    "destination: git.example.com:443, plane: tool, purpose: read, http: ['GET /v1/*', 'POST /v1/x/**']",
    "destination: any.example.com:*, plane: tool, purpose: any, protocol: TCP",
];
const DENY: &[&str] = &["destination: 10.0.0.0/25:443", "destination: bad.example.net:*"];

fn document<T: DeserializeOwned>(format: Format) -> T {
    let text = written(&policy(RULES, DENY), format).text;
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The lines of the policy of which something is left out.
fn left_out(format: Format) -> Vec<u32> {
    let losses = written(&policy(RULES, DENY), format).losses;
    losses.iter().filter(|loss| loss.kind == LossKind::LeftOut).map(|loss| loss.line).collect()
}

/// The types that Kubernetes generates from its OpenAPI document.
#[test]
fn k8s_is_what_the_openapi_types_read() {
    let text = written(&policy(RULES, DENY), Format::K8s).text;
    let read: k8s_openapi::api::networking::v1::NetworkPolicy = serde_saphyr::from_str(&text).unwrap();
    let spec = read.spec.unwrap();
    assert_eq!(spec.policy_types.as_deref(), Some(&["Egress".to_owned()][..]));
    let egress = spec.egress.unwrap();
    let cidrs: Vec<String> = egress
        .iter()
        .flat_map(|rule| rule.to.iter().flatten())
        .map(|peer| peer.ip_block.as_ref().unwrap().cidr.clone())
        .collect();
    assert_eq!(cidrs, ["10.0.0.128/25", "2001:db8::/32"]);
    let port = &egress[1].ports.as_ref().unwrap()[0];
    assert_eq!((port.protocol.as_deref(), port.end_port), (Some("UDP"), Some(8010)));
    assert_eq!(left_out(Format::K8s), [6, 7, 8, 9]);
    // what the types read is all there is
    let again = serde_json::to_value(k8s_openapi::api::networking::v1::NetworkPolicy {
        spec: Some(k8s_openapi::api::networking::v1::NetworkPolicySpec { egress: Some(egress), ..spec }),
        metadata: read.metadata,
    });
    let whole: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(again.unwrap(), whole);
}

#[test]
fn a_policy_that_opens_nothing_still_denies_in_every_format() {
    let text = |format| written("version: 1\n", format).text;
    assert!(text(Format::K8s).contains("egress: []") && text(Format::K8s).contains("- Egress"));
    assert!(text(Format::Cnp).contains("action: Deny"));
    assert!(text(Format::Cilium).contains("egress: true") && text(Format::Cilium).contains("- {}"));
    assert!(text(Format::Calico).contains("- action: Deny"));
    assert!(
        text(Format::AwsSg).contains("\"egress\": []") && text(Format::AwsNacl).contains("\"egress\": []")
    );
    assert!(text(Format::Nft).contains("policy drop"));
    assert!(
        text(Format::Srt).contains("\"allowedDomains\": []")
            && text(Format::Srt).contains("\"strictAllowlist\": true")
    );
    assert!(text(Format::Codex).contains("enabled = false"));
    assert!(text(Format::Nono).contains("\"block\": true"));
    assert!(text(Format::Openshell).contains("network_policies: {}"));
    assert!(text(Format::Sandlock).contains("allow = [\n]"));
    assert!(text(Format::Compose).contains("internal: true"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(non_snake_case, dead_code, reason = "the source's own spelling")]
struct Document<S> {
    apiVersion: String,
    kind: String,
    metadata: BTreeMap<String, String>,
    spec: S,
}

/// `apis/v1alpha2/clusternetworkpolicy_types.go` in kubernetes-sigs/network-policy-api, with its bounds.
#[test]
fn cnp_has_the_fields_and_bounds_of_its_types() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read only to be known")]
    struct Spec {
        tier: String,
        priority: u16,
        subject: serde_json::Value,
        egress: Vec<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        name: String,
        action: String,
        to: Vec<Peer>,
        #[serde(default)]
        protocols: Vec<BTreeMap<String, BTreeMap<String, serde_json::Value>>>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Peer {
        #[serde(default)]
        networks: Vec<String>,
        #[serde(default)]
        domain_names: Vec<String>,
    }
    let read: Document<Spec> = document(Format::Cnp);
    assert_eq!(
        (read.apiVersion.as_str(), read.kind.as_str()),
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy")
    );
    let rules = read.spec.egress;
    assert!(rules.len() <= 25 && rules.iter().all(|rule| rule.to.len() <= 25 && rule.name.len() <= 100));
    assert!(
        rules
            .iter()
            .flat_map(|rule| &rule.to)
            .all(|peer| peer.networks.is_empty() != peer.domain_names.is_empty())
    );
    assert!(
        rules.iter().take(rules.len() - 1).all(|rule| rule.action == "Accept" && !rule.protocols.is_empty())
    );
    assert_eq!(rules.last().unwrap().action, "Deny");
    assert_eq!(left_out(Format::Cnp), [7, 8]);
}

/// Cilium's documentation of `toFQDNs`, `toCIDRSet` and `toPorts`.
#[test]
fn cilium_has_the_fields_of_its_documentation() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read only to be known")]
    struct Spec {
        endpoint_selector: serde_json::Value,
        enable_default_deny: BTreeMap<String, bool>,
        egress: Vec<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(non_snake_case, reason = "the source's own spelling")]
    struct Rule {
        #[serde(default)]
        toFQDNs: Vec<BTreeMap<String, String>>,
        #[serde(default)]
        toCIDRSet: Vec<BTreeMap<String, String>>,
        toPorts: Vec<Ports>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Ports {
        ports: Vec<Port>,
        #[serde(default)]
        server_names: Vec<String>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read only to be known")]
    struct Port {
        port: String,
        end_port: Option<u16>,
        protocol: String,
    }
    let read: Document<Spec> = document(Format::Cilium);
    assert_eq!(read.spec.enable_default_deny.get("egress"), Some(&true));
    let rules = read.spec.egress;
    assert!(rules.iter().all(|rule| rule.toFQDNs.is_empty() != rule.toCIDRSet.is_empty()));
    assert!(rules.iter().flat_map(|rule| &rule.toPorts).all(|ports| ports.ports.len() <= 40));
    let named: Vec<&String> =
        rules.iter().flat_map(|rule| &rule.toPorts).flat_map(|ports| &ports.server_names).collect();
    assert_eq!(named, ["api.example.com"]);
    // a wildcard with an exception is left out, and so are requests
    assert_eq!(left_out(Format::Cilium), [7, 8]);
    let whole = written(&policy(&RULES[3..4], &[]), Format::Cilium).text;
    assert!(whole.contains("matchPattern: \"**.example.net\""), "{whole}");
}

/// Calico's reference of GlobalNetworkPolicy.
#[test]
fn calico_has_the_fields_of_its_reference() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read only to be known")]
    struct Spec {
        selector: String,
        order: u16,
        types: Vec<String>,
        egress: Vec<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read only to be known")]
    struct Rule {
        action: String,
        protocol: Option<String>,
        destination: Option<Entity>,
        metadata: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read only to be known")]
    struct Entity {
        #[serde(default)]
        nets: Vec<String>,
        #[serde(default)]
        domains: Vec<String>,
        ports: Vec<serde_json::Value>,
    }
    let read: Document<Spec> = document(Format::Calico);
    assert_eq!(read.spec.egress.last().unwrap().action, "Deny");
    assert_eq!(left_out(Format::Calico), [7, 8]);
}

/// The schema of `sandbox-config.ts` in anthropic-experimental/sandbox-runtime; `*.x` with an exception is held.
#[test]
fn srt_denies_what_a_wildcard_does_not_open() {
    let value: serde_json::Value =
        serde_json::from_str(&written(&policy(RULES, DENY), Format::Srt).text).unwrap();
    let network = &value["network"];
    assert_eq!(
        network["allowedDomains"],
        serde_json::json!(["api.example.com:443", "*.example.net:443", "any.example.com"])
    );
    assert_eq!(network["deniedDomains"], serde_json::json!(["bad.example.net"]));
    assert_eq!(left_out(Format::Srt), [4, 5, 8]);
}

/// `docs/how-it-works/policies/schema.mdx` in NVIDIA/OpenShell: requests are enforced, never only audited.
#[test]
fn openshell_enforces_requests_for_every_program() {
    let value: serde_json::Value = document(Format::Openshell);
    let git = &value["network_policies"]["line_000008"];
    assert_eq!(git["binaries"], serde_json::json!([{"path": "/**"}]));
    let endpoint = &git["endpoints"][0];
    assert_eq!((&endpoint["protocol"], &endpoint["enforcement"]), (&"rest".into(), &"enforce".into()));
    let rules = serde_json::json!([
        {"allow": {"method": "GET", "path": "/v1/?*"}}, {"allow": {"method": "POST", "path": "/v1/x/**"}},
    ]);
    assert_eq!(endpoint["rules"], rules);
    assert_eq!(left_out(Format::Openshell), [5, 7, 9]);
}

#[test]
fn formats_without_ports_hold_only_what_is_open_on_every_port() {
    let codex = written(&policy(RULES, DENY), Format::Codex).text;
    assert!(
        codex.contains("\"any.example.com\" = \"allow\"") && !codex.contains("api.example.com\" ="),
        "{codex}"
    );
    assert!(codex.contains("\"bad.example.net\" = \"deny\""), "{codex}");
    let nono = written(&policy(RULES, DENY), Format::Nono).text;
    assert!(nono.contains("\"any.example.com\"\n") && nono.contains("// line 6: "), "{nono}");
}

#[test]
fn a_narrower_rule_that_cannot_be_said_is_not_opened_by_a_wider_one() {
    let rules = [
        "destination: '*.example.com:443', plane: tool, purpose: x",
        "destination: api.example.com:443, plane: tool, purpose: x, http: ['GET /v1']",
    ];
    for format in [Format::Cilium, Format::Cnp, Format::Calico, Format::Nanoclaw, Format::Allowlist] {
        let exported = written(&policy(&rules, &[]), format);
        assert!(!exported.text.contains("*.example.com\n") && exported.permits_less(), "{}", exported.text);
    }
    let srt = written(&policy(&rules, &[]), Format::Srt).text;
    assert!(srt.contains("\"deniedDomains\": [\n      \"api.example.com:443\"\n"), "{srt}");
}

#[test]
fn metadata_services_are_cut_out_of_wider_networks() {
    let text =
        written(&policy(&["destination: 169.0.0.0/8:80, plane: tool, purpose: x"], &[]), Format::AwsSg).text;
    assert!(text.contains("169.255.0.0/16") && !text.contains("169.254."), "{text}");
}

#[test]
fn words_of_a_policy_cannot_leave_the_comments_and_strings_of_any_format() {
    let rule = r#"destination: 10.0.0.1:*, plane: tool, protocol: TCP, purpose: "x\n\"; drop } ${evil} # \u2028 */ \\""#;
    let source = policy(&[rule, "destination: a.example.com:*, plane: tool, protocol: TCP, purpose: y"], &[]);
    for format in Format::all().filter(|format| format.is_written() && *format != Format::Nft) {
        let text = written(&source, format).text;
        assert!(
            crate::import::import(&text, "x", format).is_ok() || format == Format::Compose,
            "{format}\n{text}"
        );
        // Terraform would put a value there
        assert!(!text.contains("${evil}") || !matches!(format, Format::AwsSg | Format::AwsNacl), "{text}");
    }
    assert!(written(&source, Format::Nft).text.contains("comment \"x__; drop } ${evil} # _ */ _\""));
}
