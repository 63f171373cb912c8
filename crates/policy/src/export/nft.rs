//! nf_tables as text for `nft -f`: one table, one chain on the hook `output` that drops what no rule names.

use claw_model::net::Net;
use claw_model::port::Ports;

use super::clusters::networks_only;
use super::flow::{Asked, Holds};
use super::text::{comments, head, quoted, short};
use crate::loss::Loss;

/// The table of a policy. Loading it again replaces it.
pub(super) fn ruleset(asked: &Asked<'_>) -> (String, Vec<Loss>) {
    let flows = asked.flows(&Holds {
        target: networks_only,
        ports: |_| None,
        udp: true,
        requests: false,
        denies: |_| false,
        purpose: true,
        sni: |_| false,
    });
    let more = [
        "nothing else is open: no name server, no loopback; replies to what is open pass",
        "load it with `nft -f FILE` in the namespace of the agent",
    ];
    let mut text = comments("#", &head(asked, &flows, &more));
    text.push_str("table inet claw_export\ndelete table inet claw_export\n");
    text.push_str("table inet claw_export {\n  chain egress {\n");
    text.push_str("    type filter hook output priority filter; policy drop;\n");
    text.push_str("    ct state established accept\n");
    for flow in &flows.flows {
        let comment = quoted(&short(&plain(flow.rule.purpose()), 100));
        let transport = flow.transport().to_ascii_lowercase();
        for (ports, nets) in flow.networks() {
            for v4 in [true, false] {
                let nets: Vec<String> =
                    nets.iter().filter(|net| net.is_v4() == v4).map(Net::to_string).collect();
                if nets.is_empty() {
                    continue;
                }
                let family = if v4 { "ip" } else { "ip6" };
                text.push_str(&format!(
                    "    {family} daddr {} {transport} dport {} accept comment {comment}\n",
                    set(&nets),
                    numbers(ports),
                ));
            }
        }
    }
    text.push_str("  }\n}\n");
    (text, flows.losses)
}

fn numbers(ports: &Ports) -> String {
    let range = |&(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    set(&ports.ranges().iter().map(range).collect::<Vec<_>>())
}

fn set(items: &[String]) -> String {
    match items {
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}

/// A comment of nf_tables has no way to escape anything.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '"' | '\\') || c.is_control() || !c.is_ascii() { '_' } else { c })
        .collect()
}
