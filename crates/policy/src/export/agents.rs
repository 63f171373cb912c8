//! Settings of other sandboxes for agents: Anthropic's sandbox runtime, Codex, nono, sandlock.

use claw_model::destination::{Destination, Target};
use claw_model::host::HostPattern;
use claw_model::port::Ports;
use serde_json::json;

use super::clusters::name;
use super::flow::{Asked, Flows, Holds};
use super::text::{comments, head, quoted, quoted_list};
use crate::loss::Loss;

type Written = (String, Vec<Loss>);

/// Names, single addresses, ports one by one, denials by name.
pub(super) fn srt(asked: &Asked<'_>) -> Written {
    let target = |target: &Target| match target {
        Target::Net(net) if net.host().is_none() => Some("only single addresses can be said, no networks"),
        Target::Name(pattern) if !pattern.name().as_str().contains('.') => {
            Some("a name there has at least two labels")
        }
        _ => None,
    };
    let flows = asked.flows(&Holds {
        target,
        ports: listed,
        denies: |denied| listed(&denied.ports).is_none(),
        ..HOLDS
    });
    let allowed: Vec<String> = flows.flows.iter().flat_map(|flow| &flow.parts).flat_map(entries).collect();
    let denied: Vec<String> = flows.denied.iter().flat_map(entries).collect();
    let (read, write) = files(asked);
    let document = json!({
        "network": {"allowedDomains": allowed, "deniedDomains": denied, "strictAllowlist": true},
        "filesystem": {
            "denyRead": ["/"],
            "allowRead": read.iter().chain(&write).collect::<Vec<_>>(),
            "allowWrite": write,
            "denyWrite": [],
        },
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    (text, flows.losses)
}

/// Names and single addresses on every port.
pub(super) fn codex(asked: &Asked<'_>) -> Written {
    let flows = every_port(asked, |denied| denied.ports.is_any());
    let mut text = comments("#", &head(asked, &flows, &["a domain stands for every port there"]));
    let (read, write) = files(asked);
    text.push_str("default_permissions = \"claw\"\n\n[features]\nnetwork_proxy = true\n\n");
    text.push_str("[permissions.claw.filesystem]\n\":minimal\" = \"read\"\n");
    let absolute = |path: &&String| path.starts_with('/') && path.as_str() != "/";
    for path in read.iter().filter(|path| !write.contains(path)).filter(absolute) {
        text.push_str(&format!("{} = \"read\"\n", quoted(path)));
    }
    for path in write.iter().filter(absolute) {
        text.push_str(&format!("{} = \"write\"\n", quoted(path)));
    }
    let open = !flows.flows.is_empty();
    text.push_str(&format!("\n[permissions.claw.network]\nenabled = {open}\nmode = \"full\"\n"));
    text.push_str("\n[permissions.claw.network.domains]\n");
    let denied: std::collections::BTreeSet<String> =
        flows.denied.iter().map(|denied| denied.target.to_string()).collect();
    let mut allowed = std::collections::BTreeSet::new();
    for part in flows.flows.iter().flat_map(|flow| &flow.parts) {
        let host = bare(&part.target);
        if !denied.contains(&host) && allowed.insert(host.clone()) {
            text.push_str(&format!("{} = \"allow\"\n", quoted(&host)));
        }
    }
    for host in denied {
        text.push_str(&format!("{} = \"deny\"\n", quoted(&host)));
    }
    (text, flows.losses)
}

/// Names and single addresses on every port; a profile that names none blocks.
pub(super) fn nono(asked: &Asked<'_>) -> Written {
    let flows = every_port(asked, |_| false);
    let hosts: Vec<String> =
        flows.flows.iter().flat_map(|flow| &flow.parts).map(|part| bare(&part.target)).collect();
    let network = match hosts.is_empty() {
        true => json!({"block": true}),
        false => json!({"allow_domain": hosts}),
    };
    let document = json!({"meta": {"name": name(asked)}, "network": network});
    let mut text = comments("//", &head(asked, &flows, &["a domain stands for every port there"]));
    text.push_str(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    (text, flows.losses)
}

/// Exact names, networks, lists of ports.
pub(super) fn sandlock(asked: &Asked<'_>) -> Written {
    let target = |target: &Target| match target {
        Target::Name(HostPattern::Below(_)) => Some("names are literal there: list each host"),
        _ => None,
    };
    let flows = asked.flows(&Holds { target, ports: listed, udp: true, ..HOLDS });
    let mut allow = Vec::new();
    for flow in &flows.flows {
        for part in &flow.parts {
            let ports = match part.ports.is_any() {
                true => "*".to_owned(),
                false => part.ports.iter().map(|port| port.to_string()).collect::<Vec<_>>().join(","),
            };
            allow.push(format!("{}://{}:{ports}", flow.transport().to_ascii_lowercase(), part.target));
        }
    }
    let (read, write) = files(asked);
    let mut text = comments("#", &head(asked, &flows, &["names are resolved once, when the sandbox starts"]));
    text.push_str(&format!("[filesystem]\nread = [{}]\n", quoted_list(&read)));
    text.push_str(&format!("write = [{}]\n\n", quoted_list(&write)));
    let lines: String = allow.iter().map(|line| format!("  {},\n", quoted(line))).collect();
    text.push_str(&format!("[network]\nallow = [\n{lines}]\n"));
    (text, flows.losses)
}

/// What they can say, where they say no more.
pub(super) const HOLDS: Holds = Holds {
    target: |_| None,
    ports: |_| None,
    udp: false,
    requests: false,
    denies: |_| false,
    purpose: false,
    sni: |_| false,
};

/// The trees that may be read, and those that may be written.
pub(super) fn files(asked: &Asked<'_>) -> (Vec<String>, Vec<String>) {
    let shown = |paths: &[std::path::PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
    let files = asked.policy.filesystem();
    let read = files.and_then(|files| files.read.as_deref()).map(shown);
    let system = || ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl"].map(str::to_owned).into();
    (read.unwrap_or_else(system), files.map(|files| shown(&files.write)).unwrap_or_default())
}

/// Ports that can be listed one by one.
pub(super) fn listed(ports: &Ports) -> Option<&'static str> {
    (!ports.is_any() && ports.count() > MOST_PORTS)
        .then_some("ports are listed one by one there, and these are too many")
}

const MOST_PORTS: u32 = 64;

fn every_port(asked: &Asked<'_>, denies: fn(&Destination) -> bool) -> Flows {
    let target = |target: &Target| match target {
        Target::Net(net) if net.host().is_none() => Some("only single addresses can be said, no networks"),
        _ => None,
    };
    let ports = |ports: &Ports| {
        (!ports.is_any()).then_some("ports cannot be said there: a host is open on every port")
    };
    asked.flows(&Holds { target, ports, denies, ..HOLDS })
}

/// A host as it is written without ports.
fn bare(target: &Target) -> String {
    target.to_string().trim_matches(['[', ']']).to_owned()
}

fn entries(part: &Destination) -> Vec<String> {
    if part.ports.is_any() {
        return vec![part.target.to_string()];
    }
    part.ports.iter().map(|port| format!("{}:{port}", part.target)).collect()
}
