//! `projectcalico.org/v3` NetworkPolicy and GlobalNetworkPolicy. In domains `*` is one or more labels, as ours.

use super::ordered::Step;
use super::ports::{Peer, PortSets};
use super::tree::{self, Node};
use super::write::Draft;
use crate::error::Problem;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::yaml(text)? else { return Ok(None) };
    let ours = root.text("apiVersion")?.is_some_and(|version| version.contains("projectcalico.org/"));
    let known = ["NetworkPolicy", "GlobalNetworkPolicy"];
    if !ours || !root.text("kind")?.is_some_and(|kind| known.contains(&kind)) {
        return Ok(None);
    }
    let Some(spec) = root.map("spec")? else { return Ok(None) };
    let mut draft = Draft::default();
    draft.only(&root, &["apiVersion", "kind", "metadata", "spec"]);
    draft.only(
        spec,
        &[
            "tier",
            "order",
            "selector",
            "types",
            "egress",
            "ingress",
            "namespaceSelector",
            "serviceAccountSelector",
        ],
    );
    draft.subject(spec, &["selector", "namespaceSelector", "serviceAccountSelector"]);
    let mut steps = Vec::new();
    for rule in spec.list("egress")? {
        steps.extend(draft.calico(rule)?);
    }
    draft.ordered(steps);
    Ok(Some(draft))
}

impl Draft {
    fn calico(&mut self, rule: &Node) -> Result<Vec<Step>, Problem> {
        let accept = match rule.text("action")? {
            Some("Allow") => true,
            Some("Deny") => false,
            Some("Log") => {
                self.lose(rule.line(), "`Log` is not carried over: every decision is in the ledger");
                return Ok(Vec::new());
            }
            Some("Pass") => {
                self.lose(
                    rule.line(),
                    "`Pass` leaves the answer to policies that are not here: denied instead",
                );
                false
            }
            _ => return Err(rule.wrong("action", "`Allow`, `Deny`, `Log` or `Pass`")),
        };
        if let (true, Some(limit)) = (accept, limits(rule)?) {
            self.lose(
                rule.line(),
                format!("`{}` narrows the rule and cannot be said: left out", limit.escape_debug()),
            );
            return Ok(Vec::new());
        }
        let purpose = purpose(rule)?;
        let empty = Node { value: tree::Value::Map(Vec::new()), place: rule.place };
        let to = rule.map("destination")?.unwrap_or(&empty);
        let Some(ports) = self.calico_ports(rule, to, accept)? else { return Ok(Vec::new()) };
        let mut peers = Vec::new();
        for (key, node) in to.entries("destination")? {
            match key.as_str() {
                "nets" | "domains" => {
                    for item in node.items(key)? {
                        peers.push(Peer::new(item.line(), item.word(key)?));
                    }
                }
                "ports" | "notPorts" | "notNets" => {}
                _ => peers.extend(self.selector(node, key, accept)),
            }
        }
        let only_ports = to
            .entries("destination")?
            .iter()
            .all(|(key, _)| matches!(key.as_str(), "ports" | "notPorts" | "notNets"));
        if only_ports {
            peers.extend(Peer::everything(rule.line()));
        }
        // what is kept out of a denial is denied too: an exception of it may be one of a later rule
        for hole in to.list("notNets")?.iter().filter(|_| accept) {
            let hole = hole.word("notNets")?;
            let v6 = hole.contains(':');
            for peer in
                peers.iter_mut().filter(|peer| peer.text.contains('/') && peer.text.contains(':') == v6)
            {
                peer.except.push(hole.to_owned());
            }
        }
        Ok(self.steps(accept, &peers, &ports, purpose))
    }

    fn calico_ports(&mut self, rule: &Node, to: &Node, accept: bool) -> Result<Option<PortSets>, Problem> {
        let protocol = match rule.text("protocol")? {
            None => None,
            Some(name) => match self.transport(rule, name, accept) {
                Some(transport) => Some(transport),
                None => return Ok(None),
            },
        };
        let mut sets = PortSets::default();
        let listed = to.list("ports")?;
        for item in listed {
            let text = item.word("ports")?;
            let (first, last) = text.split_once(':').unwrap_or((text, text));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(first) || !digits(last) {
                self.named_port(item, accept, &mut sets);
            } else {
                sets.add(protocol, if first == last { first.to_owned() } else { format!("{first}-{last}") });
            }
        }
        Ok(Some(match (listed.is_empty(), protocol) {
            (false, _) => sets,
            (true, Some(protocol)) => PortSets(vec![(Some(protocol), "*".to_owned())]),
            (true, None) => self.every_port(rule, accept),
        }))
    }
}

/// The key of a rule that makes it narrower than what we can say.
fn limits(rule: &Node) -> Result<Option<&str>, Problem> {
    let own = ["action", "protocol", "destination", "metadata", "ipVersion"];
    let other = rule.entries("egress")?.iter().map(|(key, _)| key.as_str()).find(|key| !own.contains(key));
    let to = rule.map("destination")?;
    let has = |key: &str| to.is_some_and(|to| to.get(key).is_some());
    let excluded = has("notPorts").then_some("notPorts");
    Ok(other.or(excluded).or((has("domains") && has("notNets")).then_some("notNets")))
}

fn purpose(rule: &Node) -> Result<Option<&str>, Problem> {
    let annotations = match rule.map("metadata")? {
        Some(metadata) => metadata.map("annotations")?,
        None => None,
    };
    annotations.map_or(Ok(None), |annotations| annotations.text("purpose"))
}
