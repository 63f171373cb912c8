use super::*;
use crate::policy::Policy;

mod agents;
mod clouds;
mod clusters;
mod hostile;

/// Imports, proves that our own parser takes the result, and gives the rules and losses.
fn check(text: &str, format: Format, rules: &[&str], losses: &[&str]) {
    let imported = import(text, "source.yaml", format).unwrap();
    let policy = Policy::parse(&imported.yaml, "out.yaml")
        .unwrap_or_else(|error| panic!("{error:?}\n{}", imported.yaml));
    let found: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| {
            let (list, plane) = (rule.list().as_str(), rule.plane());
            format!("{list} {plane} {} {} | {}", rule.destination(), rule.protocol(), rule.purpose())
        })
        .collect();
    assert_eq!(found, rules, "{}", imported.yaml);
    let told: Vec<_> = imported.losses.iter().map(|loss| format!("{}: {}", loss.line, loss.what)).collect();
    assert_eq!(told, losses);
}

#[test]
fn the_bare_kubernetes_list_is_imported() {
    let text = r#"egress:
- to:
  - ipBlock:
      cidr: "10.0.100.0/24" # Internal Claw Controller CIDR
  ports:
  - protocol: TCP
    port: 443
- to:
  - ipBlock:
      cidr: "192.168.1.50/32"
  ports:
  - protocol: TCP
    port: 8080
"#;
    check(
        text,
        Format::K8s,
        &[
            "workload workload 10.0.100.0/24:443 TCP | imported: fill in",
            "workload workload 192.168.1.50:8080 TCP | imported: fill in",
        ],
        &[],
    );
    let yaml = import(text, "source.yaml", Format::K8s).unwrap().yaml;
    assert!(yaml.contains("192.168.1.50/32:8080"), "the network's spelling is kept: {yaml}");
}

#[test]
fn a_whole_networkpolicy_tells_every_loss() {
    let text = r#"apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: x}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 10.0.0.0/16, except: [10.0.5.0/24]}
    - namespaceSelector: {}
    - ipBlock: {cidr: "2001:db8::/32"}
    ports:
    - {protocol: TCP, port: 8000, endPort: 8010}
    - {protocol: UDP, port: 53}
    - {protocol: SCTP, port: 1}
    - {port: https}
"#;
    check(
        text,
        Format::K8s,
        &[
            "workload workload 10.0.0.0/16:8000-8010 TCP | imported: fill in",
            "workload workload 10.0.0.0/16:53 UDP | imported: fill in",
            "workload workload [2001:db8::/32]:8000-8010 TCP | imported: fill in",
            "workload workload [2001:db8::/32]:53 UDP | imported: fill in",
            "deny workload 10.0.5.0/24:8000-8010 TCP | imported: an exception of the source",
            "deny workload 10.0.5.0/24:53 UDP | imported: an exception of the source",
        ],
        &[
            "5: `podSelector`: the policy applies to the agent it is given to",
            "9: `except` 10.0.5.0/24 became a deny rule: it closes this for every other rule too",
            "10: `namespaceSelector` needs a cluster to know its addresses: left out",
            "15: protocol `SCTP` is not carried by claw: left out",
            "16: a named port needs a cluster to know its number: left out",
        ],
    );
}

#[test]
fn a_world_open_source_opens_nothing() {
    let text = "network_policy:\n  egress:\n  - ip_block: 0.0.0.0/0\n    ports:\n    - protocol: TCP\n      port: 80\n    - protocol: TCP\n      port: 443\n";
    let why = "`0.0.0.0/0:80,443` is commented out: `0.0.0.0/0:80,443` opens the network to the world";
    check(text, Format::Nanoclaw, &[], &[&format!("3: {why}")]);
    let yaml = import(text, "source.yaml", Format::Nanoclaw).unwrap().yaml;
    assert!(yaml.contains("    # - destination: 0.0.0.0/0:80,443\n"), "{yaml}");
    assert!(yaml.contains("# refused: `0.0.0.0/0:80,443` opens the network to the world"), "{yaml}");
    check(
        "egress:\n- ports: [{port: 443}]\n",
        Format::K8s,
        &[],
        &["2: `0.0.0.0/0:443` is commented out: `0.0.0.0/0:443` opens the network to the world"],
    );
    check(
        "egress:\n- {}\n",
        Format::K8s,
        &[],
        &[
            "2: `0.0.0.0/0:*` is commented out: `0.0.0.0/0:*` opens the network to the world",
            "2: no `ports`: every TCP port is written; UDP and SCTP are left out",
        ],
    );
    let halves = "egress:\n- to: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]\n  ports: [{port: 443}]\n";
    assert_eq!(import(halves, "x", Format::K8s).unwrap().losses.len(), 2);
}

#[test]
fn nanoclaw_domains_are_written_on_443_and_said_so() {
    check(
        "network_policy:\n  allowed_domains: [api.example.com, '*.example.net', 'a.example.org:8443']\n  mode: strict\n",
        Format::Nanoclaw,
        &[
            "workload workload api.example.com:443 TCP/TLS | imported: fill in",
            "workload workload *.example.net:443 TCP/TLS | imported: fill in",
            "workload workload a.example.org:8443 TCP/TLS | imported: fill in",
        ],
        &[
            "2: `api.example.com` names no port: 443 with TLS is written",
            "2: `*.example.net` names no port: 443 with TLS is written",
            "3: `mode` is not carried over",
        ],
    );
}

#[test]
fn the_annotated_list_keeps_words_and_guesses_only_plain_planes() {
    let text = r#"# Minimal Network Allowlist (Egress)
- destination: api.trusted-attestation.service.example.com:443
  purpose: "Submit attestation evidence, retrieve attestation token"
  protocol: TCP/HTTPS
  required: Always
- destination: global.acccache.azure.com:80
  purpose: "Intel SGX Provisioning Certificate Caching (Azure PCS example)"
  protocol: TCP/HTTP
  required: For SGX DCAP-based attestation
- destination: crl.microsoft.com:80
  purpose: "CRL retrieval for Microsoft Root CA certificates"
  protocol: TCP/HTTP
- destination: time.example.internal:123
  purpose: "Network Time Protocol synchronization"
  protocol: UDP/NTP
- destination: internal-package-registry.corp.example.com:443
  purpose: "Secured runtime component updates"
  protocol: TCP/HTTPS
  required: Periodically, governed by policy
"#;
    check(
        text,
        Format::Allowlist,
        &[
            "bootstrap attestation api.trusted-attestation.service.example.com:443 TCP/HTTPS | Submit attestation evidence, retrieve attestation token",
            "bootstrap revocation crl.microsoft.com:80 TCP/HTTP | CRL retrieval for Microsoft Root CA certificates",
            "bootstrap time time.example.internal:123 UDP/NTP | Network Time Protocol synchronization",
            "workload workload global.acccache.azure.com:80 TCP/HTTP | Intel SGX Provisioning Certificate Caching (Azure PCS example)",
            "workload update internal-package-registry.corp.example.com:443 TCP/HTTPS | Secured runtime component updates",
        ],
        &[],
    );
}

#[test]
fn text_of_the_source_cannot_become_yaml_of_ours() {
    let text = "- destination: \"a.example.com:443\"\n  purpose: \"x\\n    - destination: evil.example.com:443 # \\\" \\\\ ü \\u0007\"\n";
    let imported = import(text, "a\nversion: 2", Format::Allowlist).unwrap();
    let policy = Policy::parse(&imported.yaml, "out.yaml").unwrap();
    assert_eq!(policy.rules().len(), 1);
    assert_eq!(policy.rules()[0].purpose(), "x\n    - destination: evil.example.com:443 # \" \\ ü \u{7}");
}

#[test]
fn conflicting_items_stand_once_and_the_rest_is_told() {
    check(
        "- {destination: 'a.example.com:443', purpose: x, protocol: TCP}\n- {destination: 'a.example.com:443', purpose: y, protocol: TCP/TLS}\n",
        Format::Allowlist,
        &["workload workload a.example.com:443 TCP/TLS | y"],
        &[
            "1: `a.example.com:443` is commented out: lines 5 and 9 say different things about the same flow (protocol)",
        ],
    );
}

#[test]
fn a_source_of_another_shape_is_refused_with_its_line() {
    let error = import("- ipBlock: {cidr: [1]}\n", "x.yaml", Format::Allowlist).unwrap();
    assert_eq!(error.losses.len(), 2);
    let error = import("version: 1\n", "x.yaml", Format::K8s).unwrap_err();
    assert_eq!(error.to_string(), "`x.yaml` holds no k8s policy");
    let error = import("egress: 5\n", "x.yaml", Format::K8s).unwrap_err();
    assert!(error.to_string().starts_with("x.yaml:1: "), "{error}");
}

#[test]
fn hundreds_of_networks_that_are_the_world_together_do_not_open_it() {
    let item = |n: u8| format!("- {{destination: '{n}.0.0.0/8:443', purpose: x}}\n");
    let text: String = (1..=223).map(item).collect();
    let imported = import(&text, "x.yaml", Format::Allowlist).unwrap();
    assert_eq!(imported.losses.len(), 1);
    assert_eq!(Policy::parse(&imported.yaml, "out.yaml").unwrap().rules().len(), 222);
}

#[test]
fn the_rule_that_contradicts_is_the_one_commented_out_whatever_list_it_is_in() {
    check(
        "- {destination: 'w.example.com:443', purpose: x}\n- {destination: 't.example.com:123', purpose: NTP, protocol: UDP/NTP}\n- {destination: 't.example.com:123', purpose: NTP, protocol: UDP}\n",
        Format::Allowlist,
        &["bootstrap time t.example.com:123 UDP | NTP", "workload workload w.example.com:443 TCP/TLS | x"],
        &[
            "2: `t.example.com:123` is commented out: lines 5 and 9 say different things about the same flow (protocol)",
        ],
    );
}
