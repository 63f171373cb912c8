//! AWS in Terraform's JSON: `.tf.json` as it is written, and `terraform show -json` as it is planned or applied.
//!
//! Security groups only open. Network ACLs are lists in order of their numbers, where the first match decides.

use super::ordered::Step;
use super::ports::{Peer, PortSets};
use super::tree::{self, Node, Value};
use super::write::Draft;
use crate::error::Problem;

/// One resource: its type and its attributes.
type Resource<'a> = (&'a str, &'a Node);

pub(super) fn groups(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::json(text)? else { return Ok(None) };
    let mut draft = Draft::default();
    let mut found = false;
    for (kind, node) in resources(&root)? {
        match kind {
            "aws_security_group" | "aws_default_security_group" => {
                draft.inbound(node);
                for rule in node.some("egress") {
                    draft.group(rule, &[("cidr_blocks", true), ("ipv6_cidr_blocks", true)])?;
                }
            }
            "aws_security_group_rule" if node.text("type")? == Some("egress") => {
                draft.group(node, &[("cidr_blocks", true), ("ipv6_cidr_blocks", true)])?;
            }
            "aws_vpc_security_group_egress_rule" => {
                draft.group(node, &[("cidr_ipv4", false), ("cidr_ipv6", false)])?;
            }
            _ => continue,
        }
        found = true;
    }
    Ok(found.then_some(draft))
}

pub(super) fn lists(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::json(text)? else { return Ok(None) };
    let mut draft = Draft::default();
    let mut found = false;
    let mut steps: Vec<(u32, Vec<Step>)> = Vec::new();
    let mut acl = None;
    for (kind, node) in resources(&root)? {
        match kind {
            "aws_network_acl" | "aws_default_network_acl" => {
                if acl.replace(()).is_some() {
                    draft.lose(node.line(), "more than one network ACL: which of them holds is not known");
                    return Ok(Some(Draft { entries: Vec::new(), ..draft }));
                }
                draft.inbound(node);
                for rule in node.some("egress") {
                    steps.push(draft.acl(rule, "rule_no", "action")?);
                }
            }
            "aws_network_acl_rule" if node.flag("egress")? == Some(true) => {
                steps.push(draft.acl(node, "rule_number", "rule_action")?);
            }
            _ => continue,
        }
        found = true;
    }
    steps.sort_by_key(|(number, _)| *number);
    draft.ordered(steps.into_iter().flat_map(|(_, steps)| steps).collect());
    Ok(found.then_some(draft))
}

/// Every resource of either shape.
fn resources(root: &Node) -> Result<Vec<Resource<'_>>, Problem> {
    let mut found = Vec::new();
    if let Some(kinds) = root.map("resource")? {
        for (kind, named) in kinds.entries("resource")? {
            for (_, node) in named.entries(kind)?.iter().filter(|(name, _)| name != "//") {
                let one = std::slice::from_ref(node);
                let all = if let Value::List(items) = &node.value { items.as_slice() } else { one };
                found.extend(all.iter().map(|node| (kind.as_str(), node)));
            }
        }
    }
    let state = root.map("planned_values")?.or(root.map("values")?);
    let mut modules: Vec<&Node> = state.and_then(|state| state.get("root_module")).into_iter().collect();
    while let Some(module) = modules.pop() {
        for resource in module.list("resources")? {
            if let (Some(kind), Some(values)) = (resource.text("type")?, resource.map("values")?) {
                found.push((kind, values));
            }
        }
        modules.extend(module.list("child_modules")?);
    }
    Ok(found)
}

impl Draft {
    fn inbound(&mut self, node: &Node) {
        if let Some(ingress) = node.some("ingress").first() {
            self.lose(ingress.line(), "`ingress` is not carried over: nothing reaches an agent from outside");
        }
    }

    fn group(&mut self, rule: &Node, networks: &[(&str, bool)]) -> Result<(), Problem> {
        let protocol = rule.text("protocol")?.or(rule.text("ip_protocol")?).unwrap_or("-1");
        let Some(ports) = self.aws_ports(rule, protocol, true)? else { return Ok(()) };
        let mut peers = Vec::new();
        for (key, list) in networks {
            let nodes =
                if *list { rule.list(key)? } else { rule.get(key).map_or(&[][..], std::slice::from_ref) };
            for node in nodes {
                let text = node.word(key)?;
                if text.contains("${") {
                    self.lose(
                        node.line(),
                        format!("`{}` is known only to Terraform: left out", text.escape_debug()),
                    );
                } else {
                    peers.push(Peer::new(node.line(), text));
                }
            }
        }
        let references = [
            "security_groups",
            "self",
            "prefix_list_ids",
            "prefix_list_id",
            "referenced_security_group_id",
            "source_security_group_id",
        ];
        for (key, node) in references.iter().filter_map(|key| rule.get(key).map(|node| (key, node))) {
            let empty = match &node.value {
                Value::List(items) => items.is_empty(),
                Value::Flag(flag) => !flag,
                _ => false,
            };
            if !empty {
                self.lose(
                    node.line(),
                    format!("`{key}` names what only AWS knows the addresses of: left out"),
                );
            }
        }
        let purpose = rule.text("description")?.filter(|text| !text.trim().is_empty());
        self.open(&peers, &ports, purpose);
        Ok(())
    }

    fn acl(&mut self, rule: &Node, number: &str, action: &str) -> Result<(u32, Vec<Step>), Problem> {
        let order = rule.text(number)?.and_then(|text| text.parse().ok());
        let order: u32 = order.ok_or_else(|| rule.wrong(number, "a number"))?;
        let accept = match rule.text(action)?.map(str::to_ascii_lowercase).as_deref() {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Err(rule.wrong(action, "`allow` or `deny`")),
        };
        let Some(ports) = self.aws_ports(rule, rule.text("protocol")?.unwrap_or("-1"), accept)? else {
            return Ok((order, Vec::new()));
        };
        let mut peers = Vec::new();
        for key in ["cidr_block", "ipv6_cidr_block"] {
            let Some(node) = rule.get(key) else { continue };
            match node.word(key)? {
                "" => {}
                text if text.contains("${") && accept => {
                    self.lose(
                        node.line(),
                        format!("`{}` is known only to Terraform: left out", text.escape_debug()),
                    );
                }
                text if text.contains("${") => {
                    self.lose(
                        node.line(),
                        "a denial known only to Terraform: every network is denied instead",
                    );
                    peers.extend(Peer::everything(node.line()));
                }
                text => peers.push(Peer::new(node.line(), text)),
            }
        }
        Ok((order, self.steps(accept, &peers, &ports, None)))
    }

    fn aws_ports(&mut self, rule: &Node, protocol: &str, accept: bool) -> Result<Option<PortSets>, Problem> {
        if matches!(protocol, "-1" | "all") {
            return Ok(Some(self.every_port(rule, accept)));
        }
        let Some(transport) = self.transport(rule, protocol, accept) else { return Ok(None) };
        let port = |key| {
            let text = rule.text(key)?;
            text.map(|text| text.parse::<i64>().map_err(|_| rule.wrong(key, "a port"))).transpose()
        };
        let numbers = match (port("from_port")?, port("to_port")?) {
            (None | Some(-1 | 0), None | Some(-1 | 0)) | (Some(0), Some(65535)) => "*".to_owned(),
            (Some(first), Some(last)) if first == last => first.to_string(),
            // port 0 is never reached
            (Some(first), Some(last)) => format!("{}-{last}", first.max(1)),
            (Some(first), None) => first.to_string(),
            (None, Some(last)) => last.to_string(),
        };
        Ok(Some(PortSets(vec![(Some(transport), numbers)])))
    }
}
