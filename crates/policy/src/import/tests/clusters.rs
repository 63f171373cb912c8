//! Policies of clusters, in the shape that each project's documentation gives.

use super::check;
use crate::import::Format;

/// The shape of `apis/v1alpha2/clusternetworkpolicy_types.go` in kubernetes-sigs/network-policy-api.
#[test]
fn a_clusternetworkpolicy_is_read_in_its_order() {
    let text = r#"apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: agents}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  egress:
  - name: never the office
    action: Deny
    to: [{networks: [10.9.0.0/16]}]
  - name: controller
    action: Accept
    to: [{networks: [10.0.0.0/8]}]
    protocols: [{tcp: {destinationPort: {number: 443}}}, {tcp: {destinationPort: {range: {start: 8000, end: 8010}}}}]
  - name: docs
    action: Accept
    to: [{domainNames: ["*.kubernetes.io", kubernetes.io]}]
    protocols: [{tcp: {destinationPort: {number: 443}}}]
  - {action: Accept, to: [{pods: {podSelector: {}}}], protocols: [{udp: {destinationPort: {number: 53}}}]}
  - name: nothing else
    action: Deny
    to: [{networks: [0.0.0.0/0, "::/0"]}]
"#;
    check(
        text,
        Format::Cnp,
        &[
            "workload workload 10.0.0.0/8:443,8000-8010 TCP | controller",
            "workload workload *.kubernetes.io:443 TCP | docs",
            "workload workload kubernetes.io:443 TCP | docs",
            "deny workload 10.9.0.0/16:* TCP | never the office",
            "deny workload [::/0]:* TCP | nothing else",
        ],
        &[
            "7: `subject`: the policy applies to the agent it is given to",
            "20: `pods` needs a cluster to know its addresses: left out",
        ],
    );
}

/// The shape of `apis/v1alpha1/adminnetworkpolicy_types.go` there.
#[test]
fn the_older_adminnetworkpolicy_is_read_too_and_pass_is_denied() {
    let text = r#"apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: agents}
spec:
  priority: 5
  subject: {namespaces: {}}
  egress:
  - {name: first, action: Allow, to: [{networks: [10.0.0.0/30]}], ports: [{portNumber: {protocol: TCP, port: 443}}]}
  - {name: pass, action: Pass, to: [{networks: [10.0.0.2/31]}], ports: [{portRange: {protocol: TCP, start: 80, end: 90}}]}
  - {name: later, action: Allow, to: [{networks: [10.0.0.0/30]}], ports: [{portRange: {protocol: TCP, start: 80, end: 81}}]}
"#;
    check(
        text,
        Format::Cnp,
        &[
            "workload workload 10.0.0.0/30:443 TCP | first",
            "workload workload 10.0.0.0/30:80-81 TCP | later",
            "deny workload 10.0.0.2/31:80-90 TCP | pass",
        ],
        &[
            "6: `subject`: the policy applies to the agent it is given to",
            "9: `Pass` leaves the answer to policies that are not here: denied instead",
        ],
    );
}

#[test]
fn a_denial_that_comes_too_late_does_not_close_what_was_accepted_before_it() {
    let text = r#"kind: ClusterNetworkPolicy
spec:
  egress:
  - {name: one, action: Accept, to: [{networks: [10.0.0.0/31]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
  - {name: no, action: Deny, to: [{networks: [10.0.0.0/16]}]}
  - {name: two, action: Accept, to: [{networks: [10.0.0.0/15]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
  - {name: gone, action: Accept, to: [{networks: [10.0.5.0/24]}], protocols: [{tcp: {}}]}
"#;
    check(
        text,
        Format::Cnp,
        &["workload workload 10.0.0.0/31:443 TCP | one", "workload workload 10.1.0.0/16:443 TCP | two"],
        &["7: `10.0.5.0/24:*` is denied by an earlier rule: left out"],
    );
}

/// The shape of Cilium's documentation of DNS based and CIDR based policies.
#[test]
fn cilium_wildcards_keep_their_meaning_not_their_spelling() {
    let text = r#"apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: agent}
spec:
  endpointSelector: {matchLabels: {app: agent}}
  egress:
  - toEndpoints: [{matchLabels: {k8s-app: kube-dns}}]
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
  - toFQDNs: [{matchName: api.example.com}, {matchPattern: "*.one.example.com"}, {matchPattern: "**.all.example.com"}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toFQDNs: [{matchName: tls.example.com}]
    toPorts: [{ports: [{port: "443", protocol: TCP}], serverNames: [tls.example.com]}]
  - toFQDNs: [{matchName: web.example.com}]
    toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET, path: /v1/.*}]}}]
  - toCIDRSet: [{cidr: 10.0.0.0/30, except: [10.0.0.0/31]}]
    toPorts: [{ports: [{port: "8000", endPort: 8010, protocol: TCP}]}]
  - toEntities: [world]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  egressDeny:
  - toCIDR: [10.0.0.3/32]
"#;
    check(
        text,
        Format::Cilium,
        &[
            "workload workload api.example.com:443 TCP | imported: fill in",
            "workload workload *.all.example.com:443 TCP | imported: fill in",
            "workload workload tls.example.com:443 TCP/TLS | imported: fill in",
            "workload workload web.example.com:80 TCP/HTTP | imported: fill in",
            "workload workload 10.0.0.2/31:8000-8010 TCP | imported: fill in",
            "deny workload 10.0.0.3:* TCP | imported: denied by the source",
        ],
        &[
            "5: `endpointSelector`: the policy applies to the agent it is given to",
            "7: `toEndpoints` needs a cluster to know its addresses: left out",
            "9: `*.one.example.com:443` is commented out: `*` is within one label there, and one or more labels here: name the hosts",
            "17: `0.0.0.0/0:443` is commented out: `0.0.0.0/0:443` opens the network to the world",
            "17: `[::/0]:443` is commented out: `[::/0]:443` opens the network to the world",
        ],
    );
}

/// The shape of Calico's reference of network policies, with the domains of its enterprise edition.
#[test]
fn calico_rules_are_read_in_their_order() {
    let text = r#"apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: agent}
spec:
  selector: app == 'agent'
  order: 100
  types: [Egress]
  egress:
  - {action: Log}
  - {action: Deny, destination: {nets: [10.0.5.0/24]}}
  - {action: Allow, protocol: TCP, destination: {nets: [10.0.0.0/16], notNets: [10.0.128.0/17], ports: [443, "8000:8010"]}}
  - {action: Allow, protocol: TCP, destination: {domains: ["*.example.com"], ports: [443]}, metadata: {annotations: {purpose: api}}}
  - {action: Allow, protocol: TCP, destination: {nets: [10.1.0.0/16], notPorts: [22]}}
  - {action: Deny}
"#;
    check(
        text,
        Format::Calico,
        &[
            "workload workload 10.0.0.0/17:443,8000-8010 TCP | imported: fill in",
            "workload workload *.example.com:443 TCP | api",
            "deny workload 10.0.5.0/24:* TCP | imported: denied by the source",
            "deny workload [::/0]:* TCP | imported: denied by the source",
        ],
        &[
            "5: `selector`: the policy applies to the agent it is given to",
            "9: `Log` is not carried over: every decision is in the ledger",
            "13: `notPorts` narrows the rule and cannot be said: left out",
        ],
    );
}
