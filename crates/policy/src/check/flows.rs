//! Findings about rules that open: alone, and among the others.

use claw_model::assurance::Assurance;
use claw_model::destination::Target;
use claw_model::host::HostPattern;
use claw_model::phase::Phase;
use claw_model::plane::Plane;
use claw_model::protocol::{Protocol, Transport};

use super::{Finding, Severity, catalogue};
use crate::leads::faces;
use crate::load::agree;
use crate::policy::Inner;
use crate::rule::{Rule, RuleList};

/// What can be said of one rule alone.
pub(super) fn findings(rule: &Rule, findings: &mut Vec<Finding>) {
    let say = |code, severity, why: String, mend: &str| Finding {
        code,
        line: rule.line,
        why,
        mend: mend.into(),
        severity,
    };
    let ports = &rule.destination.ports;
    if ports.is_any() {
        let why = format!("`{}` opens every port", rule.destination);
        findings.push(say("any-port", Severity::Warning, why, "name the ports that are needed"));
    }
    let clear = rule.protocol() == Protocol::TcpHttp
        || (rule.protocol() == Protocol::Tcp && ports.contains(80) && !ports.is_any());
    if clear {
        let why =
            format!("`{}` is plaintext HTTP: anyone on the way can read and change it", rule.destination);
        findings.push(say(
            "plaintext-http",
            Severity::Warning,
            why,
            "use HTTPS on port 443 where the host offers it",
        ));
    }
    if rule.list == RuleList::Workload {
        if rule.owner.is_none() {
            let why = "nobody answers for this rule".into();
            findings.push(say(
                "missing-owner",
                Severity::Note,
                why,
                "add `owner` to the rule or to the policy",
            ));
        }
        if rule.expires.is_none() {
            let why = "the rule holds for ever".into();
            findings.push(say("missing-expiry", Severity::Note, why, "add `expires: YYYY-MM-DD`"));
        }
    }
    let time = rule.protocol() == Protocol::UdpNtp || (rule.carries(Transport::Udp) && ports.contains(123));
    if time && rule.plane() != Plane::Time {
        let why = format!("network time on plane `{}`", rule.plane());
        findings.push(say("plane-mismatch", Severity::Warning, why, "write `plane: time`"));
    }
    if let Target::Name(pattern) = &rule.destination.target {
        named(rule, pattern, findings);
    }
}

/// What the name of a rule tells.
fn named(rule: &Rule, pattern: &HostPattern, findings: &mut Vec<Finding>) {
    let say = |code, severity, why: String, mend: &str| Finding {
        code,
        line: rule.line,
        why,
        mend: mend.into(),
        severity,
    };
    if let HostPattern::Below(suffix) = pattern
        && public_suffix(suffix.as_str())
    {
        let why = format!("`{suffix}` is a public suffix: anyone can have a name below it");
        findings.push(say(
            "broad-wildcard",
            Severity::Warning,
            why,
            "name the hosts, or a suffix of one owner",
        ));
    }
    if rule.assurance() < Assurance::Http
        && let Some(cdn) = catalogue::meets(pattern, catalogue::SHARED_CDN)
    {
        let why = format!(
            "names below `{}` share servers: another customer's site can be reached through it",
            bare(cdn)
        );
        findings.push(say(
            "fronting-possible",
            Severity::Warning,
            why,
            "name the requests with `http:`, or use a host that is not on a shared CDN",
        ));
    }
    // a rule that names requests says itself what they are for
    if rule.http.is_none()
        && rule.plane() != Plane::Inference
        && let Some(host) = catalogue::meets(pattern, catalogue::MODEL_HOSTS)
    {
        let why = format!("`{}` is a model provider, on plane `{}`", bare(host), rule.plane());
        findings.push(say("plane-mismatch", Severity::Warning, why, "write `plane: inference`"));
    }
    if let Some(host) = catalogue::meets(pattern, catalogue::TELEMETRY) {
        let why = format!("`{}` collects telemetry", bare(host));
        findings.push(say(
            "telemetry-host",
            Severity::Warning,
            why,
            "remove the rule: frameworks work without it",
        ));
    }
    // whose packages they are, no list of names can say: a name of one's own is known by how it is opened
    if rule.plane() == Plane::Update && rule.http.is_none() && !own(rule, pattern) {
        let why =
            format!("`{pattern}` is a public name: if it is a public registry, anyone can publish there");
        findings.push(say(
            "public-registry",
            Severity::Warning,
            why,
            "use an internal mirror of locked packages, or name the requests with `http:`",
        ));
    }
}

/// Whether a name is one of the site itself: by addresses that the rule names or lets be private, or below a suffix that
/// the public DNS does not have (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`).
fn own(rule: &Rule, pattern: &HostPattern) -> bool {
    let name = pattern.name().as_str();
    let top = name.rsplit('.').next().unwrap_or(name);
    let not_public = !name.contains('.') || NOT_PUBLIC.contains(&top) || name.ends_with(".home.arpa");
    not_public || rule.private_allowed() || rule.addresses().is_some()
}

const NOT_PUBLIC: &[&str] = &["internal", "local", "localhost", "test", "invalid"];

/// What can be said of a rule beside the others. Of very many rules for one target only the first are compared,
/// so that lint stays as fast as load.
pub(super) fn among(policy: &Inner, rule: &Rule, findings: &mut Vec<Finding>) {
    let target = &rule.destination.target;
    let say = |code, severity, why: String, mend: &str| Finding {
        code,
        line: rule.line,
        why,
        mend: mend.into(),
        severity,
    };
    let (own, other_phase) = match rule.list.phase() {
        Some(Phase::Bootstrap) => (&policy.bootstrap, &policy.workload),
        _ => (&policy.workload, &policy.bootstrap),
    };
    let wider = |other: &&std::sync::Arc<Rule>| {
        other.destination != rule.destination
            && agree(other, rule)
            && other.expires.is_none_or(|until| rule.expires.is_some_and(|own| own <= until))
            && other.destination.covers(&rule.destination)
    };
    // the next that would decide some of it must be the one that would decide all of it
    let next = own.at_or_above(target).take(COMPARED).find(|other| {
        other.id != rule.id
            && other.carries(rule.protocol().transport())
            && other.destination.ports.overlaps(&rule.destination.ports)
    });
    if let Some(other) = next.filter(wider) {
        let why = format!("the wider rule on line {} already permits all of it", other.line);
        findings.push(say("redundant", Severity::Note, why, "remove this rule, or the wider one"));
    }
    let leaks = |other: &&std::sync::Arc<Rule>| {
        other.carries(rule.protocol().transport()) && other.destination.overlaps(&rule.destination)
    };
    if let Some(other) = other_phase.at_or_above(target).take(COMPARED).find(leaks) {
        let (boot, work) = if rule.list == RuleList::Bootstrap { (rule, &**other) } else { (&**other, rule) };
        let why = format!("the bootstrap endpoint of line {} is open to the workload too", boot.line);
        let found = Finding {
            code: "phase-leak",
            line: work.line,
            why,
            mend: "close it in `workload`, unless the agent itself needs it".into(),
            severity: Severity::Warning,
        };
        if !findings.contains(&found) {
            findings.push(found);
        }
    }
}

/// The spelled addresses that a deny rule closes: the gate does not dial them.
pub(super) fn closed(policy: &Inner, rule: &Rule, findings: &mut Vec<Finding>) {
    let ports = &rule.destination.ports;
    let closes = |closer: &&std::sync::Arc<Rule>| {
        closer.list == RuleList::Deny
            && closer.carries(rule.protocol().transport())
            && closer.plane.is_none_or(|plane| plane == rule.plane())
            && closer.destination.ports.overlaps(ports)
    };
    for address in rule.addresses().unwrap_or_default() {
        let buckets = faces(*address).flat_map(|face| policy.closed.addresses(face.to_canonical(), 0));
        let Some(closer) = buckets.flat_map(|bucket| &bucket.rules).find(closes) else { continue };
        let when = if closer.destination.ports.covers(ports) { "" } else { " on the ports that both name" };
        findings.push(Finding {
            code: "denied-address",
            line: rule.line,
            why: format!("{address} is not dialled{when}: the deny rule on line {} closes it", closer.line),
            mend: "remove the address, or narrow the deny rule".into(),
            severity: Severity::Warning,
        });
    }
}

fn public_suffix(name: &str) -> bool {
    !name.contains('.') || psl::suffix_str(name) == Some(name)
}

fn bare(entry: &str) -> &str {
    entry.strip_prefix('.').unwrap_or(entry)
}

const COMPARED: usize = 64;
