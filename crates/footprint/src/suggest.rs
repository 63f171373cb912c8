//! The smallest policy that permits what a footprint shows, ready to save once its purposes are filled in.
//!
//! Exact: one rule for each destination, port and plane, each request by its method and path. Telemetry is left out and
//! told. What no rule can or should open stands as a comment with the reason. The result is read back by the policy's own
//! parser before it is handed out, and what that refuses becomes a comment too.

use std::collections::BTreeMap;
use std::net::IpAddr;

use claw_model::host::HostName;
use claw_model::http::{CanonicalPath, RequestPattern};
use claw_model::net::{metadata_name, never_range};
use claw_model::phase::Phase;
use claw_model::plane::Plane;

use crate::catalog::Class;
use crate::footprint::{Flow, Footprint, Request};
use crate::shape;

mod no_rule;
mod write;

pub(crate) use no_rule::NoRule;
pub(crate) use write::shown;

pub use write::Suggestion;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Telemetry too.
    pub telemetry: Telemetry,
    /// How exact paths are.
    pub paths: Paths,
    /// How much of the file.
    pub form: Form,
}

/// What becomes of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Telemetry {
    /// Told in comments.
    #[default]
    LeaveOut,
    /// Permitted.
    Permit,
}

/// How exact paths are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paths {
    /// As they were seen.
    #[default]
    Exact,
    /// Parts that look like the name of one thing are `*`.
    Generalise,
}

/// How much of the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// A whole policy.
    #[default]
    Policy,
    /// Only the rules, to be added to one.
    Patch,
}

/// One rule to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) phase: Phase,
    pub(crate) destination: String,
    pub(crate) plane: Option<Plane>,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) http: Vec<String>,
    pub(crate) purpose: String,
    pub(crate) comments: Vec<String>,
    /// Why it cannot stand, once that is known.
    pub(crate) refused: Option<String>,
}

/// Something that is in no rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The policy that permits what this footprint shows and nothing else.
pub fn suggest(footprint: &Footprint, wanted: Wanted) -> Suggestion {
    let mut drafts = Vec::new();
    let mut left_out = Vec::new();
    let mut targets: BTreeMap<(Phase, String, &str), Vec<&Flow>> = BTreeMap::new();
    for flow in &footprint.flows {
        for phase in phases(&flow.phases) {
            targets.entry((phase, flow.target(), &flow.transport)).or_default().push(flow);
        }
    }
    for ((phase, _, _), flows) in &targets {
        let mut target = Target { footprint, wanted, phase: *phase, flows, left_out: &mut left_out };
        drafts.extend(target.rules());
    }
    left_out.sort();
    left_out.dedup();
    write::write(footprint, wanted, drafts, left_out)
}

/// Whether a flow is wanted in the policy at all.
pub fn is_wanted(flow: &Flow, wanted: Wanted) -> bool {
    flow.class != Class::Telemetry || wanted.telemetry == Telemetry::Permit
}

/// The flows of one destination, port and transport, in one phase.
struct Target<'a> {
    footprint: &'a Footprint,
    wanted: Wanted,
    phase: Phase,
    flows: &'a [&'a Flow],
    left_out: &'a mut Vec<LeftOut>,
}

impl Target<'_> {
    fn rules(&mut self) -> Vec<Draft> {
        let flows = self.flows;
        let [any, ..] = flows else { return Vec::new() };
        let destination = match destination(any) {
            Ok(destination) => destination,
            Err(why) => {
                self.leave(any.target(), why.to_string());
                return Vec::new();
            }
        };
        let wanted: Vec<&Flow> = flows.iter().copied().filter(|flow| self.takes(flow)).collect();
        let address = any.destination.parse::<IpAddr>().is_ok();
        let words = || flows.iter().flat_map(|flow| &flow.application).map(String::as_str);
        let foreign = words().any(|word| !matches!(word, "tls" | "http" | "h2" | "http2"));
        let carried = flows.iter().any(|flow| !flow.requests.is_empty());
        if carried && !address && !foreign && any.transport == "TCP" {
            return self.requests(&destination, &wanted);
        }
        let Some(first) = wanted.first() else { return Vec::new() };
        let mut draft = self.draft(&destination, &wanted);
        draft.protocol = self.protocol(first, &destination);
        if carried {
            draft.comments.push("not only HTTP is spoken here: requests cannot be named".to_owned());
        }
        if address {
            draft.comments.push(
                "WARNING: by address. No name is bound to it, and whoever has it tomorrow is reached; use a name if there is one"
                    .to_owned(),
            );
        }
        for flow in &wanted {
            if flow.class == Class::Mixed {
                draft.comments.push(
                    "WARNING: this host serves several planes. Its requests were not seen, so all of them are let through"
                        .to_owned(),
                );
                draft.comments.extend(flow.candidates.iter().take(6).map(|text| format!("  {text}")));
            }
        }
        vec![draft]
    }

    /// Rules that name requests, one for each plane.
    fn requests(&mut self, destination: &str, wanted: &[&Flow]) -> Vec<Draft> {
        let mut by_plane: BTreeMap<Option<Plane>, Vec<&Flow>> = BTreeMap::new();
        for flow in wanted.iter().filter(|flow| !flow.requests.is_empty()) {
            by_plane.entry(flow.plane.parse().ok()).or_default().push(flow);
        }
        let mut drafts = Vec::new();
        let mut named: Vec<RequestPattern> = Vec::new();
        for flows in by_plane.values() {
            let mut http = Vec::new();
            for request in flows.iter().flat_map(|flow| &flow.requests) {
                if !phases(&request.phases).contains(&self.phase) {
                    continue;
                }
                let what = format!("{} {} on {}", request.method, request.path, destination);
                if let Some(why) = closed(&request.reasons, request.count > request.denied) {
                    self.leave(what, why.to_string());
                    continue;
                }
                match self.pattern(request, wanted, &named) {
                    Ok(pattern) => {
                        if !http.contains(&pattern) {
                            http.push(pattern);
                        }
                    }
                    Err(why) => self.leave(what, why.to_string()),
                }
            }
            if http.is_empty() {
                continue;
            }
            named.extend(http.iter().cloned());
            let mut draft = self.draft(destination, flows);
            draft.http = http.iter().map(ToString::to_string).collect();
            draft.protocol = match (self.plain(), destination.ends_with(":80")) {
                (true, false) => Some("TCP/HTTP"),
                (false, true) => Some("TCP/HTTPS"),
                _ => None,
            };
            drafts.push(draft);
        }
        drafts
    }

    /// A request as it stands in a rule: its shape, if that was asked for and permits nothing that is left out.
    fn pattern(
        &self,
        request: &Request,
        wanted: &[&Flow],
        named: &[RequestPattern],
    ) -> Result<RequestPattern, NoRule> {
        let exact = pattern(&request.method, &request.path)?;
        if self.wanted.paths == Paths::Exact {
            return Ok(exact);
        }
        let text = format!("{} {}", request.method, shape::of(&request.path));
        let Ok(wide) = RequestPattern::parse(&text) else { return Ok(exact) };
        let out = self.flows.iter().filter(|flow| !wanted.iter().any(|other| std::ptr::eq(*other, **flow)));
        let other_plane = |flow: &&&Flow| !flow.requests.iter().any(|own| std::ptr::eq(own, request));
        let others = wanted.iter().filter(other_plane);
        let meets = |other: &Request| {
            CanonicalPath::parse(&other.path).is_ok_and(|path| wide.matches(&other.method, path))
        };
        let taken = out.chain(others).flat_map(|flow| &flow.requests).any(meets) || named.contains(&wide);
        Ok(if taken { exact } else { wide })
    }

    fn draft(&self, destination: &str, flows: &[&Flow]) -> Draft {
        let plane = flows.iter().find_map(|flow| flow.plane.parse().ok());
        let mut comments = Vec::new();
        for flow in flows {
            comments.push(write::evidence(self.footprint, flow));
            comments.extend(remark(flow));
        }
        let known = flows.iter().flat_map(|flow| &flow.known).next();
        let purpose = match known {
            Some(known) => format!("FILL IN: {}", known.what),
            None => "FILL IN: why it is needed".to_owned(),
        };
        let (phase, destination) = (self.phase, destination.to_owned());
        Draft {
            phase,
            destination,
            plane,
            protocol: None,
            http: Vec::new(),
            purpose,
            comments,
            refused: None,
        }
    }

    fn protocol(&self, flow: &Flow, destination: &str) -> Option<&'static str> {
        if flow.transport == "UDP" {
            return Some(if destination.ends_with(":123") { "UDP/NTP" } else { "UDP" });
        }
        let tls_port = matches!(flow.port, Some(443 | 8443));
        let words = || self.flows.iter().flat_map(|flow| &flow.application).map(String::as_str);
        let tls = words().any(|word| word == "tls");
        let other = words().any(|word| word != "tls");
        let address = flow.destination.parse::<IpAddr>().is_ok();
        match (tls && !other && !address, tls_port) {
            (true, true) => None,
            (true, false) => Some("TCP/TLS"),
            (false, true) if other || address => Some("TCP"),
            _ => None,
        }
    }

    /// Whether HTTP is spoken in the clear: as it was seen, else by the port.
    fn plain(&self) -> bool {
        let words = || self.flows.iter().flat_map(|flow| &flow.application);
        let observed = self.footprint.runs.iter().any(|run| run.mode != "run");
        let port = self.flows.iter().any(|flow| flow.port == Some(80));
        !words().any(|word| word == "tls") && (port || (observed && words().any(|word| word == "http")))
    }

    fn takes(&mut self, flow: &Flow) -> bool {
        if !is_wanted(flow, self.wanted) {
            let off = flow.switches.iter().find(|switch| switch.verified != crate::catalog::Verified::Fails);
            let off = off.map(|switch| format!("; {} turns it off", switch.text)).unwrap_or_default();
            self.leave(flow.target(), format!("telemetry{off}"));
            return false;
        }
        if let Some(why) = closed(&flow.reasons, flow.allowed > 0 || flow.sunk > 0) {
            self.leave(flow.target(), why.to_string());
            return false;
        }
        true
    }

    fn leave(&mut self, what: String, why: String) {
        self.left_out.push(LeftOut { what, why });
    }
}

/// The phases; what was observed without one belongs to the workload.
pub(crate) fn phases(words: &[String]) -> Vec<Phase> {
    let phases: Vec<Phase> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if phases.is_empty() { vec![Phase::Workload] } else { phases }
}

/// `HOST:PORT` as a rule may say it, or why none may.
pub(crate) fn destination(flow: &Flow) -> Result<String, NoRule> {
    let port = flow.port.ok_or(NoRule::NoPort)?;
    if port == 0 {
        return Err(NoRule::PortZero);
    }
    if let Ok(ip) = flow.destination.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        if let Some((kind, _)) = never_range(ip) {
            return Err(NoRule::Special { kind });
        }
        return Ok(match ip {
            IpAddr::V4(ip) => format!("{ip}:{port}"),
            IpAddr::V6(ip) => format!("[{ip}]:{port}"),
        });
    }
    let name = HostName::parse(&flow.destination)?;
    if metadata_name(&name) {
        return Err(NoRule::Metadata);
    }
    Ok(format!("{name}:{port}"))
}

/// The request as a rule may name it: exactly this one.
fn pattern(method: &str, path: &str) -> Result<RequestPattern, NoRule> {
    if method.contains('*') || path.contains('*') {
        return Err(NoRule::Star);
    }
    let canonical = CanonicalPath::parse(path)?;
    let pattern = RequestPattern::parse(&format!("{method} {path}"))?;
    match pattern.matches(method, canonical) {
        true => Ok(pattern),
        false => Err(NoRule::Unnameable),
    }
}

/// Why a rule would not help, for what was never let through.
fn closed(reasons: &BTreeMap<String, u64>, through: bool) -> Option<NoRule> {
    if through || reasons.is_empty() {
        return None;
    }
    let opens = |reason: &str| {
        matches!(
            reason,
            "no-rule"
                | "raw-address"
                | "phase"
                | "expired"
                | "method"
                | "path"
                | "no-address"
                | "not-yet"
                | "other"
        )
    };
    if reasons.keys().any(|reason| opens(reason)) {
        return None;
    }
    let reasons: Vec<&str> = reasons.keys().map(String::as_str).collect();
    Some(NoRule::Refused { reasons: reasons.join(", ") })
}

fn remark(flow: &Flow) -> Option<String> {
    let text = match flow.class {
        Class::Telemetry => "telemetry: nothing fails without it",
        Class::Optional => "optional: it works without",
        Class::UpdateCheck => "asks for something newer: it works without",
        Class::Asset => "fetches files: better kept beside the agent",
        Class::Registry => "packages: better from a mirror of locked versions",
        Class::Unknown => "not in the catalogue: find out what it is",
        Class::Required | Class::Mixed | Class::MetadataProbe => return None,
    };
    let off = flow.switches.iter().find(|switch| switch.verified != crate::catalog::Verified::Fails);
    let off = off.map(|switch| format!("; {} turns it off", switch.text)).unwrap_or_default();
    Some(format!("{text}{off}"))
}

#[cfg(test)]
mod tests;
