//! NanoClaw: `network_policy.egress` with `ip_block` and `ports`, and `allowed_domains`.

use super::k8s::{RawPort, target};
use super::write::{Draft, Entry};
use crate::error::Problem;
use crate::raw::{self, At, keyed};

keyed! {
    RawFile {
        network_policy: RawNetwork,
        allowed_domains: Vec<At<String>>,
    }
}

keyed! {
    RawNetwork {
        egress: Vec<At<RawEgress>>,
        allowed_domains: Vec<At<String>>,
    }
}

keyed! {
    RawEgress {
        ip_block: At<String>,
        ports: Vec<At<RawPort>>,
        allowed_domains: Vec<At<String>>,
    }
}

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(raw) = raw::read::<RawFile>(text)? else { return Ok(None) };
    if raw.network_policy.is_none() && raw.allowed_domains.is_none() {
        return Ok(None);
    }
    let mut draft = Draft::default();
    draft.lose_extra(&raw.extra, &[]);
    draft.domains(&raw.allowed_domains.unwrap_or_default(), None);
    let network = raw.network_policy.unwrap_or_default();
    draft.lose_extra(&network.extra, &[]);
    draft.domains(&network.allowed_domains.unwrap_or_default(), None);
    network.egress.unwrap_or_default().into_iter().for_each(|egress| draft.nanoclaw(egress));
    Ok(Some(draft))
}

impl Draft {
    fn nanoclaw(&mut self, egress: At<RawEgress>) {
        let At { value: egress, place } = egress;
        self.lose_extra(&egress.extra, &[]);
        let domains = egress.allowed_domains.unwrap_or_default();
        let given = egress.ports.filter(|ports| !ports.is_empty());
        let ports = match (&given, &egress.ip_block) {
            (None, None) => Vec::new(),
            _ => self.k8s_ports(given.as_deref(), place.line),
        };
        if let Some(block) = &egress.ip_block {
            for (protocol, ports) in &ports {
                self.entries.push(Entry::new(block.place.line, target(&block.value, ports), Some(protocol)));
            }
        }
        if egress.ip_block.is_none() && domains.is_empty() {
            self.lose(place.line, "an egress rule without `ip_block` or `allowed_domains` is left out");
        }
        self.domains(&domains, given.is_some().then_some(&ports));
    }

    /// Names, on the ports beside them or else on 443.
    fn domains(&mut self, domains: &[At<String>], ports: Option<&Vec<(&'static str, String)>>) {
        for At { value: domain, place } in domains {
            let line = place.line;
            match ports {
                Some(ports) => {
                    for (protocol, ports) in ports {
                        // Without a protocol of its own, 443 asks for TLS: the source could check no name at all.
                        let protocol = Some(*protocol).filter(|protocol| *protocol != "TCP");
                        self.entries.push(Entry::new(line, format!("{domain}:{ports}"), protocol));
                    }
                }
                None if domain.contains(':') => self.entries.push(Entry::new(line, domain.clone(), None)),
                None => {
                    self.lose(
                        line,
                        format!("`{}` names no port: 443 with TLS is written", domain.escape_debug()),
                    );
                    self.entries.push(Entry::new(line, format!("{domain}:443"), None));
                }
            }
        }
    }
}
