//! AWS in Terraform's JSON: a security group, or a network ACL.

use serde_json::{Value, json};

use super::clusters::{Span, cidr, name, networks_only, spans};
use super::flow::{Asked, Holds};
use super::text::{head, short};
use crate::loss::Loss;

type Written = (String, Vec<Loss>);

/// A security group: it only opens, so what closes is cut out.
pub(super) fn group(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&Holds { purpose: true, ..HOLDS });
    let mut egress = Vec::new();
    for flow in &flows.flows {
        let description = description(flow.rule.purpose());
        for (ports, nets) in flow.networks() {
            for (first, last) in spans(ports).map(edges) {
                for v4 in [true, false] {
                    let blocks: Vec<String> = nets.iter().filter(|net| net.is_v4() == v4).map(cidr).collect();
                    if blocks.is_empty() {
                        continue;
                    }
                    let (four, six) = if v4 { (blocks, Vec::new()) } else { (Vec::new(), blocks) };
                    egress.push(json!({
                        "protocol": flow.transport().to_ascii_lowercase(),
                        "from_port": first, "to_port": last,
                        "cidr_blocks": four, "ipv6_cidr_blocks": six,
                        "description": description,
                        "prefix_list_ids": [], "security_groups": [], "self": false,
                    }));
                }
            }
        }
    }
    let more = ["AWS takes 60 rules for a group unless a quota was raised"];
    let resource = json!({
        "aws_security_group": {resource_name(asked): {
            "name": name(asked), "vpc_id": "${var.vpc_id}", "egress": egress,
        }},
    });
    let comments = head(asked, &flows, &more);
    (document(&comments, &["vpc_id"], &resource), flows.losses)
}

/// A network ACL: in order of its numbers, and all else is denied.
pub(super) fn list(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&HOLDS);
    let mut egress = Vec::new();
    for flow in &flows.flows {
        for (ports, nets) in flow.networks() {
            for (first, last) in spans(ports).map(edges) {
                for net in &nets {
                    let (four, six) = match net.is_v4() {
                        true => (json!(cidr(net)), Value::Null),
                        false => (Value::Null, json!(cidr(net))),
                    };
                    egress.push(json!({
                        "rule_no": egress.len().saturating_add(1).saturating_mul(10),
                        "action": "allow",
                        "protocol": flow.transport().to_ascii_lowercase(),
                        "from_port": first, "to_port": last,
                        "cidr_block": four, "ipv6_cidr_block": six,
                        "icmp_code": Value::Null, "icmp_type": Value::Null,
                    }));
                }
            }
        }
    }
    let more = [
        "AWS takes 20 rules for a list unless a quota was raised",
        "a list keeps no state: replies need ingress rules, which are not written here",
    ];
    let resource = json!({
        "aws_network_acl": {resource_name(asked): {
            "vpc_id": "${var.vpc_id}", "subnet_ids": "${var.subnet_ids}", "egress": egress,
        }},
    });
    let comments = head(asked, &flows, &more);
    (document(&comments, &["vpc_id", "subnet_ids"], &resource), flows.losses)
}

/// What both can say.
const HOLDS: Holds = Holds {
    target: networks_only,
    ports: |_| None,
    udp: true,
    requests: false,
    denies: |_| false,
    purpose: false,
    sni: |_| false,
};

/// Terraform's JSON, with its own way to write comments.
fn document(comments: &[String], variables: &[&str], resource: &Value) -> String {
    let plain = |line: &String| line.replace("${", "$ {").replace("%{", "% {");
    let comments: Vec<String> = comments.iter().map(plain).collect();
    let variable = |name: &&str| {
        let kind = if *name == "subnet_ids" { "list(string)" } else { "string" };
        ((*name).to_owned(), json!({"type": kind}))
    };
    let variables: serde_json::Map<String, Value> = variables.iter().map(variable).collect();
    let document = json!({"//": comments, "variable": variables, "resource": resource});
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn edges(span: Span) -> (u16, u16) {
    match span {
        Span::Every => (0, 65535),
        Span::One(port) => (port, port),
        Span::Many(first, last) => (first, last),
    }
}

/// What AWS takes as a description: 255 of these characters.
fn description(purpose: &str) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    let text: String = purpose.chars().map(|c| if taken(c) { c } else { '_' }).collect();
    short(&text.replace("${", "$(").replace("%{", "%("), 255)
}

fn resource_name(asked: &Asked<'_>) -> String {
    format!("claw_{}", name(asked).replace('-', "_"))
}
