//! Kubernetes: `networking.k8s.io/v1` NetworkPolicy, or its bare `egress` list.

use super::write::{Draft, Entry};
use crate::error::Problem;
use crate::raw::{self, At, Loose, keyed};
use crate::rule::RuleList;

keyed! {
    RawPolicy {
        kind: At<String>,
        spec: RawSpec,
        egress: Vec<At<RawRule>>,
    }
}

keyed! {
    #[expect(non_snake_case, reason = "the source's own spelling")]
    RawSpec {
        podSelector: At<Loose>,
        ingress: At<Loose>,
        egress: Vec<At<RawRule>>,
    }
}

keyed! {
    RawRule {
        to: Vec<At<RawPeer>>,
        ports: Vec<At<RawPort>>,
    }
}

keyed! {
    #[expect(non_snake_case, reason = "the source's own spelling")]
    RawPeer {
        ipBlock: RawBlock,
        podSelector: At<Loose>,
        namespaceSelector: At<Loose>,
    }
}

keyed! {
    RawBlock {
        cidr: At<String>,
        except: Vec<At<String>>,
    }
}

keyed! {
    #[expect(non_snake_case, reason = "the source's own spelling")]
    RawPort {
        protocol: At<String>,
        port: At<Loose>,
        endPort: At<u64>,
    }
}

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(raw) = read_policy(text)? else { return Ok(None) };
    let mut draft = Draft::default();
    draft.lose_extra(&raw.extra, &["apiVersion", "metadata"]);
    let mut rules = raw.egress;
    if let Some(spec) = raw.spec {
        draft.lose_extra(&spec.extra, &["policyTypes"]);
        if let Some(selector) = &spec.podSelector {
            draft.lose(selector.place.line, "`podSelector`: the policy applies to the agent it is given to");
        }
        if let Some(ingress) = &spec.ingress {
            draft.lose(
                ingress.place.line,
                "`ingress` is not carried over: nothing reaches an agent from outside",
            );
        }
        rules = rules.or(spec.egress);
    }
    let Some(rules) = rules else { return Ok(None) };
    rules.into_iter().for_each(|rule| draft.k8s(rule));
    Ok(Some(draft))
}

fn read_policy(text: &str) -> Result<Option<RawPolicy>, Problem> {
    // A file that is the list itself.
    if text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .is_some_and(|line| line.starts_with("- "))
    {
        let egress = raw::read::<Vec<At<RawRule>>>(text)?;
        return Ok(egress.map(|egress| RawPolicy { egress: Some(egress), ..RawPolicy::default() }));
    }
    raw::read::<RawPolicy>(text)
}

impl Draft {
    fn k8s(&mut self, rule: At<RawRule>) {
        let At { value: rule, place } = rule;
        self.lose_extra(&rule.extra, &[]);
        let ports = self.k8s_ports(rule.ports.as_deref(), place.line);
        let Some(peers) = rule.to.filter(|peers| !peers.is_empty()) else {
            // An absent `to` is every destination.
            for (protocol, ports) in &ports {
                self.entries.push(Entry::new(place.line, format!("0.0.0.0/0:{ports}"), Some(protocol)));
            }
            return;
        };
        peers.into_iter().for_each(|peer| self.peer(peer, &ports));
    }

    fn peer(&mut self, peer: At<RawPeer>, ports: &[(&'static str, String)]) {
        let At { value: peer, place } = peer;
        self.lose_extra(&peer.extra, &[]);
        for (selector, name) in
            [(&peer.podSelector, "podSelector"), (&peer.namespaceSelector, "namespaceSelector")]
        {
            if let Some(selector) = selector {
                self.lose(
                    selector.place.line,
                    format!("`{name}` needs a cluster to know its addresses: left out"),
                );
            }
        }
        let Some(block) = peer.ipBlock else { return };
        self.lose_extra(&block.extra, &[]);
        let Some(cidr) = block.cidr else {
            return self.lose(place.line, "an `ipBlock` without `cidr` is left out");
        };
        for (protocol, ports) in ports {
            self.entries.push(Entry::new(cidr.place.line, target(&cidr.value, ports), Some(protocol)));
        }
        for except in block.except.unwrap_or_default() {
            let line = except.place.line;
            self.lose(
                line,
                format!(
                    "`except` {} became a deny rule: it closes this for every other rule too",
                    except.value.escape_debug()
                ),
            );
            for (protocol, ports) in ports {
                let list = RuleList::Deny;
                let entry = Entry::new(line, target(&except.value, ports), Some(protocol));
                self.entries.push(Entry {
                    list,
                    purpose: Some("imported: an exception of the source".into()),
                    ..entry
                });
            }
        }
    }

    /// The ports by transport, joined as one set each.
    pub(super) fn k8s_ports(
        &mut self,
        ports: Option<&[At<RawPort>]>,
        line: u32,
    ) -> Vec<(&'static str, String)> {
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
            self.lose(line, "no `ports`: every TCP port is written; UDP and SCTP are left out");
            return vec![("TCP", "*".into())];
        };
        for At { value: port, place } in ports {
            self.lose_extra(&port.extra, &[]);
            let numbers = match (&port.port, &port.endPort) {
                (None, _) => Some("*".to_owned()),
                (Some(At { value: Loose::Word(word), .. }), _) if !digits(word) => None,
                (Some(At { value: Loose::Word(word), .. }), Some(end)) => {
                    Some(format!("{word}-{}", end.value))
                }
                (Some(At { value: Loose::Word(word), .. }), None) => Some(word.clone()),
                (Some(At { value: Loose::Other, .. }), _) => None,
            };
            let Some(numbers) = numbers else {
                self.lose(place.line, "a named port needs a cluster to know its number: left out");
                continue;
            };
            match port.protocol.as_ref().map_or("TCP", |protocol| protocol.value.as_str()) {
                "TCP" => tcp.push(numbers),
                "UDP" => udp.push(numbers),
                other => self.lose(
                    place.line,
                    format!("protocol `{}` is not carried by claw: left out", other.escape_debug()),
                ),
            }
        }
        // `*` within a list is the whole list.
        let joined = |ports: Vec<String>| {
            if ports.iter().any(|port| port == "*") { "*".into() } else { ports.join(",") }
        };
        let all = [("TCP", joined(tcp)), ("UDP", joined(udp))];
        all.into_iter().filter(|(_, ports)| !ports.is_empty()).collect()
    }
}

/// The network in its own spelling, in brackets where it is IPv6.
pub(super) fn target(cidr: &str, ports: &str) -> String {
    if cidr.contains(':') { format!("[{cidr}]:{ports}") } else { format!("{cidr}:{ports}") }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
