//! AWS as Terraform writes it, and nf_tables as its own program prints it.

use super::check;
use crate::import::Format;

/// The shape of `aws_security_group` and `aws_vpc_security_group_egress_rule` in the provider's documentation, as
/// Terraform's JSON syntax has them.
#[test]
fn security_groups_are_read_from_terraform_json() {
    let text = r#"{
  "//": "a comment",
  "resource": {
    "aws_security_group": {"agent": {"egress": [{
      "protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["10.0.100.0/24", "0.0.0.0/0"],
      "ipv6_cidr_blocks": ["2001:db8::/32"], "description": "controller",
      "prefix_list_ids": [], "security_groups": [], "self": false}]}},
    "aws_vpc_security_group_egress_rule": {
      "db": {"ip_protocol": "tcp", "from_port": 5432, "to_port": 5433, "cidr_ipv4": "10.0.7.0/24"},
      "ref": {"ip_protocol": "tcp", "from_port": 1, "to_port": 1, "referenced_security_group_id": "sg-1"},
      "var": {"ip_protocol": "tcp", "from_port": 1, "to_port": 1, "cidr_ipv4": "${var.net}"}
    }
  }
}"#;
    check(
        text,
        Format::AwsSg,
        &[
            "workload workload 10.0.100.0/24:443 TCP | controller",
            "workload workload [2001:db8::/32]:443 TCP | controller",
            "workload workload 10.0.7.0/24:5432-5433 TCP | imported: fill in",
        ],
        &[
            "5: `0.0.0.0/0:443` is commented out: `0.0.0.0/0:443` opens the network to the world",
            "10: `referenced_security_group_id` names what only AWS knows the addresses of: left out",
            "11: `${var.net}` is known only to Terraform: left out",
        ],
    );
}

/// The shape of `terraform show -json`: values in modules.
#[test]
fn a_plan_is_read_as_well_as_what_was_written() {
    let text = r#"{"format_version": "1.2", "planned_values": {"root_module": {"child_modules": [{"resources": [
  {"address": "a.b", "type": "aws_security_group_rule", "name": "b",
   "values": {"type": "egress", "protocol": "udp", "from_port": 53, "to_port": 53, "cidr_blocks": ["10.0.0.2/32"]}},
  {"type": "aws_instance", "name": "x", "values": {}}]}]}}}"#;
    check(text, Format::AwsSg, &["workload workload 10.0.0.2:53 UDP | imported: fill in"], &[]);
}

/// The shape of `aws_network_acl` in the provider's documentation.
#[test]
fn network_acls_are_read_in_the_order_of_their_numbers() {
    let text = r#"{"resource": {"aws_network_acl": {"agent": {"egress": [
  {"rule_no": 300, "action": "allow", "protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_block": "10.0.0.0/31"},
  {"rule_no": 200, "action": "deny", "protocol": "-1", "from_port": 0, "to_port": 0, "cidr_block": "10.0.0.0/32"},
  {"rule_no": 100, "action": "allow", "protocol": "6", "from_port": 80, "to_port": 80, "cidr_block": "10.0.0.0/24"},
  {"rule_no": 900, "action": "deny", "protocol": "-1", "from_port": 0, "to_port": 0, "cidr_block": "0.0.0.0/0"}
]}}}}"#;
    check(
        text,
        Format::AwsNacl,
        &[
            "workload workload 10.0.0.0/24:80 TCP | imported: fill in",
            "workload workload 10.0.0.1:443 TCP | imported: fill in",
        ],
        &[],
    );
}

/// The shape that libnftables-json(5) gives.
#[test]
fn a_ruleset_is_read_from_its_json() {
    let chain = |policy: &str| {
        format!(
            r#"{{"chain": {{"family": "inet", "table": "t", "name": "out", "type": "filter", "hook": "output", "prio": 0, "policy": "{policy}"}}}}"#
        )
    };
    let rule = |expr: &str| {
        format!(r#"{{"rule": {{"family": "inet", "table": "t", "chain": "out", "expr": [{expr}]}}}}"#)
    };
    let to = |net: &str, port: &str, verdict: &str| {
        rule(&format!(
            r#"{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "daddr"}}}}, "right": {net}}}}},
               {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "right": {port}}}}}, {{"{verdict}": null}}"#
        ))
    };
    let state = |state: &str, verdict: &str| {
        rule(&format!(
            r#"{{"match": {{"op": "in", "left": {{"ct": {{"key": "state"}}}}, "right": "{state}"}}}}, {{"{verdict}": null}}"#
        ))
    };
    let mark =
        rule(r#"{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 1}}, {"accept": null}"#);
    let file = |chain: String, rules: &[String]| {
        format!("{{\"nftables\": [{{\"metainfo\": {{}}}},\n{chain},\n{}]}}", rules.join(",\n"))
    };
    let rules = [
        state("established", "accept"),
        state("invalid", "drop"),
        to(
            r#"{"prefix": {"addr": "10.0.0.0", "len": 24}}"#,
            r#"{"set": [80, {"range": [8000, 8010]}]}"#,
            "accept",
        ),
        to(r#"{"set": ["10.1.0.1", {"prefix": {"addr": "10.2.0.0", "len": 16}}]}"#, "443", "accept"),
        to(r#"{"range": ["10.3.0.0", "10.3.0.2"]}"#, "22", "accept"),
        mark,
        rule(r#"{"jump": {"target": "more"}}"#),
        to(r#""10.9.9.9""#, "443", "accept"),
    ];
    check(
        &file(chain("drop"), &rules),
        Format::Nft,
        &[
            "workload workload 10.0.0.0/24:80,8000-8010 TCP | imported: fill in",
            "workload workload 10.1.0.1:443 TCP | imported: fill in",
            "workload workload 10.2.0.0/16:443 TCP | imported: fill in",
            "workload workload 10.3.0.0/31:22 TCP | imported: fill in",
            "workload workload 10.3.0.2:22 TCP | imported: fill in",
        ],
        &[
            "11: a rule that asks for more than a destination cannot be said: left out",
            "12: `jump` is not followed: all rules after it are left out",
        ],
    );
    let open = "the chain accepts what no rule names: nothing is carried over, since that opens the world";
    check(&file(chain("accept"), &rules), Format::Nft, &[], &[&format!("2: {open}")]);
}
