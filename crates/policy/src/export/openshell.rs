//! OpenShell: endpoints by name and network, ports one by one, requests as `rest` rules that are enforced.

use claw_model::destination::Target;
use claw_model::host::HostPattern;
use claw_model::port::Ports;
use serde_json::{Map, Value, json};

use super::agents::{HOLDS, files, listed};
use super::clusters::cidr;
use super::flow::{Asked, Holds};
use super::text::{comments, head, yaml};
use crate::loss::Loss;

/// The policy: one entry for each rule, for every program.
pub(super) fn policy(asked: &Asked<'_>) -> (String, Vec<Loss>) {
    let target = |target: &Target| match target {
        Target::Name(HostPattern::Below(suffix)) if !suffix.as_str().contains('.') => {
            Some("a wildcard there has at least three labels")
        }
        _ => None,
    };
    let ports = |ports: &Ports| match ports.is_any() {
        true => Some("every port cannot be said, only a list of ports"),
        false => listed(ports),
    };
    let mut flows = asked.flows(&Holds { target, ports, requests: true, ..HOLDS });
    let mut policies = Map::new();
    let mut lost = Vec::new();
    for flow in &flows.flows {
        let requests =
            match flow.rule.http().map(|all| all.iter().map(|one| request(&one.to_string())).collect()) {
                None => Vec::new(),
                Some(Some(requests)) => requests,
                Some(None) => {
                    let what = format!(
                        "`{}` is left out: its requests hold signs that are patterns there",
                        flow.rule.destination()
                    );
                    lost.push(Loss::left_out(flow.rule.line(), what));
                    continue;
                }
            };
        let mut endpoints = Vec::new();
        for part in &flow.parts {
            let ports: Vec<u16> = part.ports.iter().collect();
            let mut endpoint = match &part.target {
                Target::Name(HostPattern::Exact(host)) => json!({"host": host.as_str(), "ports": ports}),
                Target::Name(HostPattern::Below(suffix)) => {
                    json!({"host": format!("**.{suffix}"), "ports": ports})
                }
                Target::Net(net) => json!({"allowed_ips": [cidr(net)], "ports": ports}),
            };
            if let (false, Some(map)) = (requests.is_empty(), endpoint.as_object_mut()) {
                map.insert("protocol".to_owned(), json!("rest"));
                map.insert("enforcement".to_owned(), json!("enforce"));
                map.insert("rules".to_owned(), Value::Array(requests.clone()));
            }
            endpoints.push(endpoint);
        }
        let policy = json!({"endpoints": endpoints, "binaries": [{"path": "/**"}]});
        policies.insert(format!("line_{:06}", flow.rule.line()), policy);
    }
    flows.losses.extend(lost);
    let (read, write) = files(asked);
    let absolute =
        |paths: Vec<String>| paths.into_iter().filter(|path| path.starts_with('/')).collect::<Vec<_>>();
    let document = json!({
        "version": 1,
        "filesystem_policy": {"include_workdir": false, "read_only": absolute(read), "read_write": absolute(write)},
        "landlock": {"compatibility": "hard_requirement"},
        "network_policies": policies,
    });
    let more = ["`binaries` names every program: claw decides by destination"];
    (format!("{}{}", comments("#", &head(asked, &flows, &more)), yaml(&document)), flows.losses)
}

/// One request as a rule there. A segment of ours is never empty: `?*`; the rest is `**`.
fn request(pattern: &str) -> Option<Value> {
    let (method, path) = pattern.split_once(' ')?;
    let rest = path.strip_prefix('/')?;
    let mut parts = Vec::new();
    for part in rest.split('/') {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        parts.push(match part {
            "*" => "?*",
            "**" => "**",
            part if part.chars().all(plain) => part,
            _ => return None,
        });
    }
    Some(json!({"allow": {"method": method, "path": format!("/{}", parts.join("/"))}}))
}
