//! Policies of Kubernetes clusters: NetworkPolicy, ClusterNetworkPolicy, Cilium's, Calico's.

use claw_model::destination::Target;
use claw_model::host::HostPattern;
use claw_model::net::Net;
use claw_model::port::Ports;
use serde_json::{Value, json};

use super::flow::{Asked, Flow, Flows, Holds};
use super::text::{comments, head, short, yaml};
use crate::loss::Loss;

type Written = (String, Vec<Loss>);

/// `networking.k8s.io/v1`: networks and ports.
pub(super) fn k8s(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&Holds { target: networks_only, ..HOLDS });
    let mut egress = Vec::new();
    for flow in &flows.flows {
        for (ports, nets) in flow.networks() {
            let to: Vec<Value> = nets.iter().map(|net| json!({"ipBlock": {"cidr": cidr(net)}})).collect();
            let ports: Vec<Value> = spans(ports)
                .map(|span| match span {
                    Span::Every => json!({"protocol": flow.transport()}),
                    Span::One(port) => json!({"protocol": flow.transport(), "port": port}),
                    Span::Many(first, last) => {
                        json!({"protocol": flow.transport(), "port": first, "endPort": last})
                    }
                })
                .collect();
            egress.push(json!({"to": to, "ports": ports}));
        }
    }
    let document = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name(asked)},
        "spec": {"podSelector": {"matchLabels": {"app": name(asked)}}, "policyTypes": ["Egress"], "egress": egress},
    });
    finish(asked, flows, &document, &["choose the pods in `podSelector`"])
}

/// `policy.networking.k8s.io/v1alpha2`: networks, names and wildcards, 25 rules, the last of which denies all else.
pub(super) fn cnp(asked: &Asked<'_>) -> Written {
    let target = |target: &Target| match target {
        Target::Name(pattern) if !pattern.name().as_str().contains('.') => {
            Some("a name there has at least two labels")
        }
        _ => None,
    };
    let mut flows = asked.flows(&Holds { target, purpose: true, ..HOLDS });
    let mut egress = Vec::new();
    let mut lost = Vec::new();
    for flow in &flows.flows {
        let mut rules = Vec::new();
        for (peer, ports) in peers(flow) {
            let protocols: Vec<Value> = spans(ports)
                .map(|span| {
                    let key = flow.transport().to_ascii_lowercase();
                    match span {
                        Span::Every => {
                            json!({key: {"destinationPort": {"range": {"start": 1, "end": 65535}}}})
                        }
                        Span::One(port) => json!({key: {"destinationPort": {"number": port}}}),
                        Span::Many(first, last) => {
                            json!({key: {"destinationPort": {"range": {"start": first, "end": last}}}})
                        }
                    }
                })
                .collect();
            let to: Vec<Value> = match &peer {
                Peers::Networks(nets) => {
                    let lists = nets.chunks(MOST);
                    lists.map(|nets| json!({"networks": nets.iter().map(cidr).collect::<Vec<_>>()})).collect()
                }
                Peers::Host(host) => vec![json!({"domainNames": [host.to_string()]})],
            };
            for (to, protocols) in to.chunks(MOST).flat_map(|to| protocols.chunks(MOST).map(move |p| (to, p)))
            {
                rules.push(json!({
                    "name": short(flow.rule.purpose(), 100), "action": "Accept", "to": to, "protocols": protocols,
                }));
            }
        }
        // one place is kept for the rule that denies all else
        if egress.len() + rules.len() < MOST {
            egress.extend(rules);
        } else {
            let what = format!("`{}` is left out: one policy holds {MOST} rules", flow.rule.destination());
            lost.push(Loss::left_out(flow.rule.line(), what));
        }
    }
    flows.losses.extend(lost);
    egress.push(json!({
        "name": "deny all else", "action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}],
    }));
    let document = json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name(asked)},
        "spec": {
            "tier": "Admin",
            "priority": 100,
            "subject": {"pods": {
                "namespaceSelector": {},
                "podSelector": {"matchLabels": {"app": name(asked)}},
            }},
            "egress": egress,
        },
    });
    let more = "choose the pods in `subject`; nothing else is open, the cluster's DNS neither; `domainNames` is experimental";
    finish(asked, flows, &document, &[more])
}

/// `cilium.io/v2`: networks, names, wildcards as `**.`, and the name in the TLS handshake of an exact host.
pub(super) fn cilium(asked: &Asked<'_>) -> Written {
    let target = |target: &Target| match target {
        Target::Name(pattern) if !pattern.name().as_str().contains('.') => {
            Some("a name there has at least two labels")
        }
        _ => None,
    };
    let sni =
        |rule: &crate::rule::Rule| matches!(rule.destination().target, Target::Name(HostPattern::Exact(_)));
    let flows = asked.flows(&Holds { target, sni, ..HOLDS });
    let mut egress = Vec::new();
    for flow in &flows.flows {
        for (peer, ports) in peers(flow) {
            let ports: Vec<Value> = spans(ports)
                .map(|span| match span {
                    Span::Every => json!({"port": "1", "endPort": 65535, "protocol": flow.transport()}),
                    Span::One(port) => json!({"port": port.to_string(), "protocol": flow.transport()}),
                    Span::Many(first, last) => {
                        json!({"port": first.to_string(), "endPort": last, "protocol": flow.transport()})
                    }
                })
                .collect();
            let named = match &peer {
                Peers::Host(HostPattern::Exact(host)) if flow.rule.protocol().is_tls() => {
                    Some(host.to_string())
                }
                _ => None,
            };
            let ports: Vec<Value> = ports
                .chunks(40)
                .map(|ports| match &named {
                    Some(host) => json!({"ports": ports, "serverNames": [host]}),
                    None => json!({"ports": ports}),
                })
                .collect();
            egress.push(match &peer {
                Peers::Networks(nets) => {
                    let set: Vec<Value> = nets.iter().map(|net| json!({"cidr": cidr(net)})).collect();
                    json!({"toCIDRSet": set, "toPorts": ports})
                }
                Peers::Host(HostPattern::Exact(host)) => {
                    json!({"toFQDNs": [{"matchName": host.as_str()}], "toPorts": ports})
                }
                Peers::Host(HostPattern::Below(suffix)) => {
                    json!({"toFQDNs": [{"matchPattern": format!("**.{suffix}")}], "toPorts": ports})
                }
            });
        }
    }
    if egress.is_empty() {
        egress.push(json!({}));
    }
    let document = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name(asked)},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": name(asked)}},
            "enableDefaultDeny": {"egress": true, "ingress": false},
            "egress": egress,
        },
    });
    let more = [
        "choose the pods in `endpointSelector`",
        "names need a rule for the cluster's DNS with `rules.dns`, which is not written here",
        "`**.` needs a Cilium that knows it; older ones match one label, which is less",
    ];
    finish(asked, flows, &document, &more)
}

/// `projectcalico.org/v3`: networks, and domains where the product has them.
pub(super) fn calico(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&Holds { purpose: true, ..HOLDS });
    let mut egress = Vec::new();
    for flow in &flows.flows {
        for (peer, ports) in peers(flow) {
            let ports: Vec<Value> = spans(ports)
                .map(|span| match span {
                    Span::Every => json!("1:65535"),
                    Span::One(port) => json!(port),
                    Span::Many(first, last) => json!(format!("{first}:{last}")),
                })
                .collect();
            let destination = match &peer {
                Peers::Networks(nets) => {
                    json!({"nets": nets.iter().map(cidr).collect::<Vec<_>>(), "ports": ports})
                }
                Peers::Host(host) => json!({"domains": [host.to_string()], "ports": ports}),
            };
            egress.push(json!({
                "action": "Allow",
                "protocol": flow.transport(),
                "destination": destination,
                "metadata": {"annotations": {"purpose": flow.rule.purpose()}},
            }));
        }
    }
    egress.push(json!({"action": "Deny"}));
    let document = json!({
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name(asked)},
        "spec": {
            "selector": format!("app == '{}'", name(asked)), "order": 100, "types": ["Egress"], "egress": egress,
        },
    });
    let more =
        "choose the workloads in `selector`; `domains` needs Calico Enterprise or Cloud, and access to DNS";
    finish(asked, flows, &document, &[more])
}

/// What these four can say, where they say no more.
const HOLDS: Holds = Holds {
    target: |_| None,
    ports: |_| None,
    udp: true,
    requests: false,
    denies: |_| false,
    purpose: false,
    sni: |_| false,
};

/// At most so many of anything in a ClusterNetworkPolicy.
const MOST: usize = 25;

fn finish(asked: &Asked<'_>, flows: Flows, document: &Value, more: &[&str]) -> Written {
    let head = comments("#", &head(asked, &flows, more));
    (format!("{head}{}", yaml(document)), flows.losses)
}

pub(super) fn networks_only(target: &Target) -> Option<&'static str> {
    matches!(target, Target::Name(_)).then_some("names cannot be said, only networks")
}

/// A network with its length, which one address has too.
pub(super) fn cidr(net: &Net) -> String {
    format!("{}/{}", net.address(), net.prefix())
}

/// The policy's name there: lower case, digits and hyphens.
pub(super) fn name(asked: &Asked<'_>) -> String {
    let agent = asked.policy.agent().unwrap_or("agent").to_ascii_lowercase();
    let plain: String =
        agent.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    match plain.trim_matches('-') {
        "" => "agent".to_owned(),
        plain => plain.to_owned(),
    }
}

/// A run of ports.
pub(super) enum Span {
    Every,
    One(u16),
    Many(u16, u16),
}

pub(super) fn spans(ports: &Ports) -> impl Iterator<Item = Span> + '_ {
    let every = ports.is_any();
    ports.ranges().iter().map(move |&(first, last)| match first == last {
        _ if every => Span::Every,
        true => Span::One(first),
        false => Span::Many(first, last),
    })
}

/// What a rule of a cluster points at.
enum Peers<'a> {
    Networks(Vec<Net>),
    Host(&'a HostPattern),
}

fn peers(flow: &Flow) -> Vec<(Peers<'_>, &Ports)> {
    let networks = flow.networks().into_iter().map(|(ports, nets)| (Peers::Networks(nets), ports));
    networks.chain(flow.hosts().map(|(host, ports)| (Peers::Host(host), ports))).collect()
}
