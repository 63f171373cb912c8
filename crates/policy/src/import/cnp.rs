//! Kubernetes: `policy.networking.k8s.io` ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy and
//! BaselineAdminNetworkPolicy (v1alpha1). In both `*.` is one or more labels, as ours.

use super::ordered::Step;
use super::ports::{Peer, PortSets};
use super::tree::{self, Node};
use super::write::Draft;
use crate::error::Problem;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::yaml(text)? else { return Ok(None) };
    let known = ["ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"];
    if !root.text("kind")?.is_some_and(|kind| known.contains(&kind)) {
        return Ok(None);
    }
    let Some(spec) = root.map("spec")? else { return Ok(None) };
    let mut draft = Draft::default();
    draft.only(&root, &["apiVersion", "kind", "metadata", "spec", "status"]);
    draft.only(spec, &["tier", "priority", "subject", "egress", "ingress"]);
    draft.subject(spec, &["subject"]);
    let mut steps = Vec::new();
    for rule in spec.list("egress")? {
        steps.extend(draft.cnp(rule)?);
    }
    draft.ordered(steps);
    Ok(Some(draft))
}

impl Draft {
    /// Who a policy is about, and what comes in: neither is ours to say.
    pub(super) fn subject(&mut self, spec: &Node, keys: &[&str]) {
        for (key, node) in keys.iter().filter_map(|key| spec.get(key).map(|node| (key, node))) {
            self.lose(node.line(), format!("`{key}`: the policy applies to the agent it is given to"));
        }
        for node in ["ingress", "ingressDeny"].iter().filter_map(|key| spec.get(key)) {
            self.lose(node.line(), "`ingress` is not carried over: nothing reaches an agent from outside");
        }
    }

    /// A peer that only a cluster knows. Left out of what opens; what denies it denies every network.
    pub(super) fn selector(&mut self, node: &Node, name: &str, accept: bool) -> Vec<Peer> {
        let line = node.line();
        if accept {
            self.lose(line, format!("`{name}` needs a cluster to know its addresses: left out"));
            return Vec::new();
        }
        self.lose(
            line,
            format!("`{name}` needs a cluster to know its addresses: every network is denied instead"),
        );
        Peer::everything(line).into()
    }

    fn cnp(&mut self, rule: &Node) -> Result<Vec<Step>, Problem> {
        self.only(rule, &["name", "action", "to", "protocols", "ports"]);
        let accept = match rule.text("action")? {
            Some("Accept" | "Allow") => true,
            Some("Deny") => false,
            Some("Pass") => {
                self.lose(
                    rule.line(),
                    "`Pass` leaves the answer to policies that are not here: denied instead",
                );
                false
            }
            _ => return Err(rule.wrong("action", "`Accept`, `Allow`, `Deny` or `Pass`")),
        };
        let ports = self.cnp_ports(rule, accept)?;
        let mut peers = Vec::new();
        for peer in rule.list("to")? {
            for (key, node) in peer.entries("to")? {
                match key.as_str() {
                    "networks" | "domainNames" => {
                        for item in node.items(key)? {
                            peers.push(Peer::new(item.line(), item.word(key)?));
                        }
                    }
                    _ => peers.extend(self.selector(node, key, accept)),
                }
            }
        }
        Ok(self.steps(accept, &peers, &ports, rule.text("name")?))
    }

    fn cnp_ports(&mut self, rule: &Node, accept: bool) -> Result<PortSets, Problem> {
        let mut sets = PortSets::default();
        let listed = rule.list("protocols")?.iter().chain(rule.list("ports")?);
        let mut any = false;
        for item in listed {
            any = true;
            for (key, node) in item.entries("protocols")? {
                self.cnp_port(key, node, accept, &mut sets)?;
            }
        }
        Ok(if any { sets } else { self.every_port(rule, accept) })
    }

    /// What a rule without ports is about.
    pub(super) fn every_port(&mut self, rule: &Node, accept: bool) -> PortSets {
        if !accept {
            return PortSets::everything();
        }
        self.lose(rule.line(), "no ports: every TCP port is written; UDP and SCTP are left out");
        PortSets(vec![(Some("TCP"), "*".to_owned())])
    }

    fn cnp_port(&mut self, key: &str, node: &Node, accept: bool, sets: &mut PortSets) -> Result<(), Problem> {
        let (protocol, port) = match key {
            "tcp" | "udp" | "sctp" => (key.to_ascii_uppercase(), node.map("destinationPort")?),
            // AdminNetworkPolicy
            "portNumber" | "portRange" => (node.text("protocol")?.unwrap_or("TCP").to_owned(), Some(node)),
            _ => {
                self.named_port(node, accept, sets);
                return Ok(());
            }
        };
        let Some(transport) = self.transport(node, &protocol, accept) else { return Ok(()) };
        let numbers = match port {
            None => "*".to_owned(),
            Some(port) => {
                let range = port.map("range")?.unwrap_or(port);
                match (port.text("number")?.or(port.text("port")?), range.text("start")?, range.text("end")?)
                {
                    (Some(number), ..) => number.to_owned(),
                    (_, Some(start), Some(end)) => format!("{start}-{end}"),
                    _ => return Err(port.wrong(key, "a port or a range of ports")),
                }
            }
        };
        sets.add(Some(transport), numbers);
        Ok(())
    }

    /// A port that only a cluster knows the number of. What denies it denies every port.
    pub(super) fn named_port(&mut self, node: &Node, accept: bool, sets: &mut PortSets) {
        if accept {
            self.lose(node.line(), "a named port needs a cluster to know its number: left out");
        } else {
            self.lose(
                node.line(),
                "a named port needs a cluster to know its number: every port is denied instead",
            );
            sets.add(None, "*".to_owned());
        }
    }

    /// A transport that is carried at all. What is not carried needs no denial.
    pub(super) fn transport(&mut self, node: &Node, protocol: &str, accept: bool) -> Option<&'static str> {
        match protocol.to_ascii_uppercase().as_str() {
            "TCP" | "6" => Some("TCP"),
            "UDP" | "17" => Some("UDP"),
            _ => {
                if accept {
                    let what =
                        format!("protocol `{}` is not carried by claw: left out", protocol.escape_debug());
                    self.lose(node.line(), what);
                }
                None
            }
        }
    }
}
