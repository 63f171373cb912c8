//! Lists of destinations: NanoClaw's, the annotated list; and the compose file, which has none.

use claw_model::destination::Target;
use serde_json::{Value, json};

use super::clusters::{Span, cidr, name, spans};
use super::flow::{Asked, Holds};
use super::text::{comments, head, yaml};
use crate::loss::Loss;

type Written = (String, Vec<Loss>);

/// `network_policy.egress` with `ip_block`, `ports` and `allowed_domains`.
pub(super) fn nanoclaw(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&HOLDS);
    let mut egress = Vec::new();
    for flow in &flows.flows {
        for part in &flow.parts {
            let ports: Vec<Value> = spans(&part.ports)
                .map(|span| match span {
                    Span::Every => json!({"protocol": flow.transport()}),
                    Span::One(port) => json!({"protocol": flow.transport(), "port": port}),
                    Span::Many(first, last) => {
                        json!({"protocol": flow.transport(), "port": first, "endPort": last})
                    }
                })
                .collect();
            egress.push(match &part.target {
                Target::Net(net) => json!({"ip_block": cidr(net), "ports": ports}),
                Target::Name(host) => json!({"allowed_domains": [host.to_string()], "ports": ports}),
            });
        }
    }
    let document = json!({"network_policy": {"egress": egress}});
    let more = ["`allowed_domains` is checked by the runtime itself, not by the kernel"];
    (format!("{}{}", comments("#", &head(asked, &flows, &more)), yaml(&document)), flows.losses)
}

/// `destination`, `purpose`, `protocol`, `required`.
pub(super) fn allowlist(asked: &Asked<'_>) -> Written {
    let flows = asked.flows(&Holds { purpose: true, sni: |_| true, ..HOLDS });
    let mut items = Vec::new();
    for flow in &flows.flows {
        for part in &flow.parts {
            let mut item = json!({
                "destination": part.to_string(),
                "purpose": flow.rule.purpose(),
                "protocol": flow.rule.protocol().as_str(),
            });
            if let (Some(required), Some(map)) = (flow.rule.required(), item.as_object_mut()) {
                map.insert("required".to_owned(), json!(required));
            }
            items.push(item);
        }
    }
    let list = if items.is_empty() { "egress: []\n".to_owned() } else { yaml(&Value::Array(items)) };
    (format!("{}{list}", comments("#", &head(asked, &flows, &[]))), flows.losses)
}

/// A compose file knows networks only: an internal one, from which nothing leaves.
pub(super) fn compose(asked: &Asked<'_>) -> Written {
    let target =
        |_: &Target| Some("a compose file cannot say destinations: nothing leaves an internal network");
    let flows = asked.flows(&Holds { target, ..HOLDS });
    let document = json!({
        "services": {name(asked): {
            "image": "IMAGE", "networks": ["claw"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
        }},
        "networks": {"claw": {"internal": true}},
    });
    let more =
        ["put the agent's image in place of IMAGE; what it needs must be a service on the same network"];
    (format!("{}{}", comments("#", &head(asked, &flows, &more)), yaml(&document)), flows.losses)
}

/// What the lists can say.
const HOLDS: Holds = Holds {
    target: |_| None,
    ports: |_| None,
    udp: true,
    requests: false,
    denies: |_| false,
    purpose: false,
    sni: |_| false,
};
