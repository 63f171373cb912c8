//! `cilium.io/v2` CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy. `*` matches within one label there, and only
//! `**.` at the beginning any number of them.

use super::ports::{Peer, PortSets};
use super::tree::{self, Node};
use super::write::{Draft, Entry};
use crate::error::Problem;
use crate::rule::RuleList;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::yaml(text)? else { return Ok(None) };
    let known = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"];
    if !root.text("kind")?.is_some_and(|kind| known.contains(&kind)) {
        return Ok(None);
    }
    let mut draft = Draft::default();
    draft.only(&root, &["apiVersion", "kind", "metadata", "spec", "specs", "status"]);
    let specs: Vec<&Node> = root.map("spec")?.into_iter().chain(root.list("specs")?).collect();
    if specs.is_empty() {
        return Ok(None);
    }
    for spec in specs {
        draft.only(
            spec,
            &[
                "description",
                "endpointSelector",
                "nodeSelector",
                "enableDefaultDeny",
                "egress",
                "egressDeny",
                "ingress",
                "ingressDeny",
            ],
        );
        draft.subject(spec, &["endpointSelector", "nodeSelector"]);
        for rule in spec.list("egress")? {
            draft.cilium(rule)?;
        }
        for rule in spec.list("egressDeny")? {
            draft.cilium_deny(rule)?;
        }
    }
    Ok(Some(draft))
}

/// One `toPorts`: ports, and what is checked on them.
struct Checked<'a> {
    ports: PortSets,
    requests: Vec<String>,
    names: Vec<&'a str>,
    /// Why it cannot be said.
    beyond: Option<String>,
}

impl Draft {
    fn cilium(&mut self, rule: &Node) -> Result<(), Problem> {
        let all = self.cilium_ports(rule, true)?;
        let mut peers = self.cilium_peers(rule, true)?;
        let named = rule.get("toFQDNs").is_some();
        let elsewhere =
            rule.entries("egress")?.iter().any(|(key, _)| key.starts_with("to") && key != "toPorts");
        if !elsewhere && rule.get("toPorts").is_some() {
            peers.extend(Peer::everything(rule.line()));
        }
        for checked in &all {
            let from = self.entries.len();
            self.open(&peers, &checked.ports, None);
            for entry in self.entries.iter_mut().skip(from) {
                finish(entry, checked);
            }
        }
        if named {
            for item in rule.list("toFQDNs")? {
                self.cilium_name(item, &all)?;
            }
        }
        Ok(())
    }

    fn cilium_deny(&mut self, rule: &Node) -> Result<(), Problem> {
        let mut peers = self.cilium_peers(rule, false)?;
        if peers.is_empty() && !rule.entries("egressDeny")?.is_empty() {
            peers.extend(Peer::everything(rule.line()));
        }
        for checked in self.cilium_ports(rule, false)? {
            for step in self.steps(false, &peers, &checked.ports, Some("imported: denied by the source")) {
                let entry = Entry::new(step.line, step.destination, step.protocol);
                self.entries.push(Entry { list: RuleList::Deny, purpose: step.purpose, ..entry });
            }
        }
        Ok(())
    }

    fn cilium_peers(&mut self, rule: &Node, accept: bool) -> Result<Vec<Peer>, Problem> {
        let mut peers = Vec::new();
        for (key, node) in rule.entries("egress")? {
            match key.as_str() {
                "toPorts" | "toFQDNs" => {}
                "toCIDR" => {
                    for item in node.items(key)? {
                        peers.push(Peer::new(item.line(), item.word(key)?));
                    }
                }
                "toCIDRSet" => {
                    for item in node.items(key)? {
                        self.only(item, &["cidr", "except", "cidrGroupRef", "cidrGroupSelector"]);
                        let Some(cidr) = item.text("cidr")? else {
                            peers.extend(self.selector(item, "a group of networks", accept));
                            continue;
                        };
                        let mut peer = Peer::new(item.line(), cidr);
                        for hole in item.list("except")? {
                            peer.except.push(hole.word("except")?.to_owned());
                        }
                        peers.push(peer);
                    }
                }
                "toEntities" => {
                    for item in node.items(key)? {
                        match item.word(key)? {
                            "world" | "all" => peers.extend(Peer::everything(item.line())),
                            name => {
                                let name = name.escape_debug().to_string();
                                peers.extend(self.selector(item, &name, accept));
                            }
                        }
                    }
                }
                "icmps" => self.lose(node.line(), "ICMP is not carried by claw: left out"),
                _ if key.starts_with("to") => peers.extend(self.selector(node, key, accept)),
                _ => self.lose(node.line(), format!("`{}` is not carried over", key.escape_debug())),
            }
        }
        Ok(peers)
    }

    fn cilium_name(&mut self, item: &Node, all: &[Checked<'_>]) -> Result<(), Problem> {
        self.only(item, &["matchName", "matchPattern"]);
        let line = item.line();
        let (name, refused) = match (item.text("matchName")?, item.text("matchPattern")?) {
            (Some(name), None) => (name.to_owned(), None),
            (None, Some(pattern)) => match pattern.strip_prefix("**.") {
                Some(suffix) => (format!("*.{suffix}"), None),
                None if pattern.contains('*') => (
                    pattern.to_owned(),
                    Some("`*` is within one label there, and one or more labels here: name the hosts"),
                ),
                None => (pattern.to_owned(), None),
            },
            _ => return Err(item.wrong("toFQDNs", "`matchName` or `matchPattern`")),
        };
        for checked in all {
            for (protocol, ports) in checked.ports.opening() {
                let mut entry = Entry::new(line, format!("{name}:{ports}"), Some(protocol));
                let asked = checked.names.as_slice();
                if protocol == "TCP" && checked.requests.is_empty() && asked == [name.as_str()] {
                    entry.protocol = Some("TCP/TLS".to_owned());
                } else {
                    finish(&mut entry, checked);
                }
                entry.refused = refused.map(str::to_owned).or(entry.refused);
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    fn cilium_ports<'a>(&mut self, rule: &'a Node, accept: bool) -> Result<Vec<Checked<'a>>, Problem> {
        let mut all = Vec::new();
        for item in rule.list("toPorts")? {
            self.only(item, &["ports", "rules", "serverNames"]);
            let mut ports = PortSets::default();
            for port in item.list("ports")? {
                self.cilium_port(port, accept, &mut ports)?;
            }
            if item.list("ports")?.is_empty() {
                ports = self.every_port(item, accept);
            }
            let mut checked = Checked { ports, requests: Vec::new(), names: Vec::new(), beyond: None };
            for name in item.list("serverNames")? {
                checked.names.push(name.word("serverNames")?);
            }
            for (key, rules) in item.map("rules")?.map_or(Ok(&[][..]), |rules| rules.entries("rules"))? {
                if key != "http" {
                    checked.beyond = Some(format!("`{}` rules are not read", key.escape_debug()));
                    continue;
                }
                for request in rules.items("http")? {
                    match simple(request)? {
                        Some(pattern) => checked.requests.push(pattern),
                        None => {
                            checked.beyond =
                                Some("its HTTP rules say more than a method and a plain path".to_owned());
                        }
                    }
                }
            }
            all.push(checked);
        }
        if all.is_empty() && rule.get("toPorts").is_none() && !rule.entries("egress")?.is_empty() {
            let ports = self.every_port(rule, accept);
            all.push(Checked { ports, requests: Vec::new(), names: Vec::new(), beyond: None });
        }
        Ok(all)
    }

    fn cilium_port(&mut self, port: &Node, accept: bool, sets: &mut PortSets) -> Result<(), Problem> {
        self.only(port, &["port", "protocol", "endPort"]);
        let number = port.text("port")?.unwrap_or("0");
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            self.named_port(port, accept, sets);
            return Ok(());
        }
        let numbers = match (number, port.text("endPort")?) {
            ("0", _) => "*".to_owned(),
            (first, Some(last)) => format!("{first}-{last}"),
            (first, None) => first.to_owned(),
        };
        match port.text("protocol")?.unwrap_or("ANY") {
            "ANY" => sets.add(None, numbers),
            name => {
                if let Some(transport) = self.transport(port, name, accept) {
                    sets.add(Some(transport), numbers);
                }
            }
        }
        Ok(())
    }
}

/// What is checked on the ports of an entry, or why that cannot be said.
fn finish(entry: &mut Entry, checked: &Checked<'_>) {
    if let Some(why) = &checked.beyond {
        entry.refused = Some(why.clone());
    } else if !checked.names.is_empty() {
        entry.refused = Some("`serverNames` asks for other names than the destination's".to_owned());
    } else if !checked.requests.is_empty() && entry.protocol.as_deref() == Some("TCP") {
        entry.protocol = None;
        entry.http.clone_from(&checked.requests);
    }
}

/// A request whose regular expressions are plain text, or end in `/.*`.
fn simple(request: &Node) -> Result<Option<String>, Problem> {
    let known = |(key, _): &(String, Node)| key == "method" || key == "path";
    if !request.entries("http")?.iter().all(known) {
        return Ok(None);
    }
    let (Some(method), Some(path)) = (request.text("method")?, request.text("path")?) else {
        return Ok(None);
    };
    let (stem, rest) = path.strip_suffix("/.*").map_or((path, ""), |stem| (stem, "/**"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let simple =
        stem.chars().all(plain) && method.bytes().all(|byte| byte.is_ascii_uppercase()) && !method.is_empty();
    Ok(simple.then(|| format!("{method} {stem}{rest}")))
}
