//! nf_tables as `nft -j list ruleset` prints it: the one chain on the hook `output` whose policy is to drop.
//!
//! What a rule that accepts asks beyond destination, port and transport leaves it out; what a rule that drops asks
//! beyond them is taken as no condition, so that more is dropped.

use super::k8s::target;
use super::ordered::Step;
use super::tree::{self, Node, Value};
use super::write::Draft;
use crate::error::Problem;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::json(text)? else { return Ok(None) };
    if root.get("nftables").is_none() {
        return Ok(None);
    }
    let mut draft = Draft::default();
    let (mut chains, mut rules, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for item in root.list("nftables")? {
        for (key, node) in item.entries("nftables")? {
            match key.as_str() {
                "chain" if node.text("hook")? == Some("output") => chains.push(node),
                "rule" => rules.push(node),
                "set" => sets.push(node),
                _ => {}
            }
        }
    }
    let [chain] = chains.as_slice() else {
        let line = chains.get(1).map_or(root.line(), |chain| chain.line());
        draft.lose(line, "not exactly one chain on the hook `output`: nothing is carried over");
        return Ok(Some(draft));
    };
    if chain.text("policy")? != Some("drop") {
        draft.lose(
            chain.line(),
            "the chain accepts what no rule names: nothing is carried over, since that opens the world",
        );
        return Ok(Some(draft));
    }
    let place = |node: &Node| -> Result<_, Problem> {
        let chain = node.text("chain")?.or(node.text("name")?);
        Ok((
            node.text("family")?.map(str::to_owned),
            node.text("table")?.map(str::to_owned),
            chain.map(str::to_owned),
        ))
    };
    let own = place(chain)?;
    // a set belongs to its table: another table may have one of the same name
    sets.retain(|set: &&Node| {
        place(set).is_ok_and(|at| (at.0.as_ref(), at.1.as_ref()) == (own.0.as_ref(), own.1.as_ref()))
    });
    let mut steps = Vec::new();
    for rule in rules {
        if place(rule)? != own {
            continue;
        }
        match draft.nft(rule, &sets)? {
            Verdict::Steps(more) => steps.extend(more),
            Verdict::Nothing => {}
            Verdict::Unknown(what) => {
                draft.lose(
                    rule.line(),
                    format!("`{}` is not followed: all rules after it are left out", what.escape_debug()),
                );
                break;
            }
        }
    }
    draft.ordered(steps);
    Ok(Some(draft))
}

/// What a rule does.
enum Verdict {
    Steps(Vec<Step>),
    Nothing,
    Unknown(String),
}

/// What the expressions of a rule say so far.
#[derive(Default)]
struct Seen {
    networks: Option<Vec<String>>,
    v4: Option<bool>,
    ports: Option<String>,
    transport: Option<&'static str>,
    replies: bool,
    /// Only packets that belong to no flow.
    strays: bool,
    /// What cannot be said.
    beyond: Option<String>,
}

impl Draft {
    fn nft(&mut self, rule: &Node, sets: &[&Node]) -> Result<Verdict, Problem> {
        let mut seen = Seen::default();
        let purpose = rule.text("comment")?;
        for statement in rule.list("expr")? {
            for (key, node) in statement.entries("expr")? {
                match key.as_str() {
                    "match" => seen.add(node, sets)?,
                    "counter" | "log" | "comment" => {}
                    "accept" => return Ok(self.nft_steps(rule, seen, true, purpose)),
                    "drop" | "reject" => return Ok(self.nft_steps(rule, seen, false, purpose)),
                    "return" => return Ok(self.nft_steps(rule, seen, false, purpose)),
                    other => return Ok(Verdict::Unknown(other.to_owned())),
                }
            }
        }
        Ok(Verdict::Nothing)
    }

    fn nft_steps(&mut self, rule: &Node, seen: Seen, accept: bool, purpose: Option<&str>) -> Verdict {
        let line = rule.line();
        if (seen.replies && accept) || seen.strays {
            // replies belong to flows that were permitted when they began; what belongs to no flow opens none
            return Verdict::Nothing;
        }
        if let Some(beyond) = &seen.beyond {
            let beyond = beyond.escape_debug();
            if accept {
                self.lose(line, format!("a rule that asks for {beyond} cannot be said: left out"));
                return Verdict::Nothing;
            }
            self.lose(
                line,
                format!(
                    "a rule drops what {beyond} asks for: it is taken to drop whatever it names otherwise"
                ),
            );
        }
        let networks = seen.networks.unwrap_or_else(|| match seen.v4 {
            Some(true) => vec!["0.0.0.0/0".to_owned()],
            Some(false) => vec!["::/0".to_owned()],
            None => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        });
        let ports = seen.ports.unwrap_or_else(|| "*".to_owned());
        let transports: &[Option<&'static str>] = match (seen.transport, accept) {
            (Some(transport), _) => &[Some(transport)],
            (None, true) => &[Some("TCP"), Some("UDP")],
            (None, false) => &[None],
        };
        let mut steps = Vec::new();
        for network in &networks {
            for protocol in transports {
                steps.push(Step {
                    line,
                    accept,
                    destination: target(network, &ports),
                    protocol: *protocol,
                    purpose: purpose.map(str::to_owned),
                });
            }
        }
        Verdict::Steps(steps)
    }
}

impl Seen {
    fn add(&mut self, node: &Node, sets: &[&Node]) -> Result<(), Problem> {
        let (Some(left), Some(right)) = (node.get("left"), node.get("right")) else {
            self.beyond = Some("a match that is not read".to_owned());
            return Ok(());
        };
        let equal = matches!(node.text("op")?, Some("==" | "in"));
        let payload = left.map("payload").ok().flatten();
        let (protocol, name) = match payload {
            Some(of) => (of.text("protocol")?.unwrap_or(""), of.text("field")?.unwrap_or("")),
            None => ("", ""),
        };
        match (protocol, name) {
            ("ip" | "ip6", "daddr") if equal && self.networks.is_none() => {
                let mut networks = Vec::new();
                if values(right, sets, &mut |value| network(value, &mut networks)) {
                    self.networks = Some(networks);
                    return Ok(());
                }
            }
            ("tcp" | "udp", "dport") if equal && self.ports.is_none() => {
                let mut ports = Vec::new();
                if values(right, sets, &mut |value| port(value, &mut ports)) && !ports.is_empty() {
                    self.ports = Some(ports.join(","));
                    self.carried(protocol);
                    return Ok(());
                }
            }
            _ => {
                let meta = left.map("meta").ok().flatten();
                let key = meta.map_or(Ok(None), |meta| meta.text("key"))?;
                let word = right.word("right").unwrap_or("");
                match (key, word) {
                    (Some("l4proto" | "protocol"), "tcp" | "udp") if equal => {
                        self.carried(word);
                        return Ok(());
                    }
                    (Some("nfproto"), "ipv4" | "ipv6") if equal => {
                        self.v4 = Some(word == "ipv4");
                        return Ok(());
                    }
                    _ => {}
                }
                let ct = left.map("ct").ok().flatten();
                if ct.map_or(Ok(None), |ct| ct.text("key"))? == Some("state") {
                    let mut states = Vec::new();
                    let state = &mut |value: &Node| {
                        value.word("state").map(|state| states.push(state.to_owned())).is_ok()
                    };
                    let known = values(right, sets, state);
                    let replies = ["established", "related"];
                    if known && equal && states.iter().all(|state| replies.contains(&state.as_str())) {
                        self.replies = true;
                        return Ok(());
                    }
                    if known && equal && states.iter().all(|state| state == "invalid") {
                        self.strays = true;
                        return Ok(());
                    }
                }
            }
        }
        let what = [protocol, name].join(" ");
        self.beyond = Some(if what.trim().is_empty() { "more than a destination".to_owned() } else { what });
        Ok(())
    }

    fn carried(&mut self, protocol: &str) {
        let transport = if protocol == "udp" { "UDP" } else { "TCP" };
        if self.transport.is_some_and(|own| own != transport) {
            self.beyond = Some("two transports at once".to_owned());
        }
        self.transport = Some(transport);
    }
}

/// Each value of a set, or the one value; false if one cannot be read.
fn values(node: &Node, sets: &[&Node], each: &mut dyn FnMut(&Node) -> bool) -> bool {
    if let Value::List(items) = &node.value {
        return items.iter().all(each);
    }
    if let Some(inner) = node.get("set") {
        let items = inner.items("set").unwrap_or_default();
        return !items.is_empty()
            && items
                .iter()
                .all(|item| each(item.get("elem").and_then(|elem| elem.get("val")).unwrap_or(item)));
    }
    if let Ok(Some(name)) = node.word("right").map(|word| word.strip_prefix('@')) {
        let found = sets.iter().find(|set| set.text("name").ok().flatten() == Some(name));
        let items = found.and_then(|set| set.get("elem")).and_then(|elem| elem.items("elem").ok());
        return items.is_some_and(|items| items.iter().all(each));
    }
    each(node)
}

fn network(value: &Node, networks: &mut Vec<String>) -> bool {
    if let Some(prefix) = value.get("prefix") {
        let (Ok(Some(address)), Ok(Some(length))) = (prefix.text("addr"), prefix.text("len")) else {
            return false;
        };
        networks.push(format!("{address}/{length}"));
        return true;
    }
    if let Some(range) = value.get("range").and_then(|range| range.items("range").ok()) {
        let [first, last] = range else { return false };
        let parse =
            |node: &Node| node.word("range").ok().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        let (Some(first), Some(last)) = (parse(first), parse(last)) else { return false };
        return crate::space::range(first, last).map(|nets| networks.extend(nets)).is_some();
    }
    value.word("daddr").map(|text| networks.push(text.to_owned())).is_ok()
}

fn port(value: &Node, ports: &mut Vec<String>) -> bool {
    if let Some(range) = value.get("range").and_then(|range| range.items("range").ok()) {
        let [first, last] = range else { return false };
        let (Ok(first), Ok(last)) = (first.word("range"), last.word("range")) else { return false };
        ports.push(if (first, last) == ("1", "65535") { "*".to_owned() } else { format!("{first}-{last}") });
        return true;
    }
    value.word("dport").map(|text| ports.push(text.to_owned())).is_ok()
}
