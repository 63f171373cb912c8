//! Load: from text to a policy, or to everything that is wrong with it.
//!
//! Order: read the YAML, check each rule alone, then the rules together (conflicts, world-open unions, UDP ports), then the
//! whole (`never`, the ceiling). The second step runs only on rules that are right alone, so that one slip is told once.

use std::sync::Arc;

use claw_model::digest::Digest;

use crate::ceiling::Chain;
use crate::error::{Place, PolicyError, Problem};
use crate::index::Index;
use crate::policy::{Inner, Policy, Process, Profile};
use crate::raw::{At, Keyed, RawNetwork, RawPolicy, RawRule, read};
use crate::rule::{Rule, RuleList};

mod rules;
mod together;
mod top;
mod whole;

pub(crate) use together::agree;

/// The problems so far, and what a rule needs to know of its file.
pub(crate) struct Loader<'a> {
    pub(crate) text: &'a str,
    pub(crate) file: Arc<str>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) rules: Vec<Arc<Rule>>,
    /// Where each rule's destination stands, by the rule's id.
    pub(crate) places: Vec<Place>,
    /// Where the ceiling is named.
    pub(crate) ceiling_place: Place,
}

/// Reads and checks a policy.
pub(crate) fn load(text: &str, name: &str, chain: Option<&Chain<'_>>) -> Result<Policy, PolicyError> {
    let refuse = |problems| PolicyError::new(name, text, problems);
    let raw = read::<RawPolicy>(text).map_err(|problem| refuse(vec![problem]))?.unwrap_or_default();
    let mut loader = Loader {
        text,
        file: name.into(),
        owner: None,
        problems: Vec::new(),
        rules: Vec::new(),
        places: Vec::new(),
        ceiling_place: Place::default(),
    };
    let named = raw.ceiling.clone();
    let mut inner = loader.policy(raw);
    let ceiling = named.and_then(|named| loader.ceiling(&named, chain));
    let above = ceiling.as_ref().map(|(ceiling, _)| ceiling.clone());
    inner.ceiling = ceiling;
    let policy = Policy(Arc::new(inner));
    if loader.problems.is_empty() {
        loader.promises(&policy);
    }
    if let (Some(above), true) = (above, loader.problems.is_empty()) {
        loader.below(&policy, &above);
    }
    match loader.problems.is_empty() {
        true => Ok(policy),
        false => Err(refuse(loader.problems)),
    }
}

/// The policy of an empty file.
pub(crate) fn empty(name: &str) -> Policy {
    Policy(Arc::new(Inner {
        digest: Digest::of(b""),
        name: name.into(),
        agent: None,
        owner: None,
        profile: Profile::Open,
        rules: Vec::new(),
        filesystem: None,
        write_lines: Vec::new(),
        process: Process::default(),
        upstream_ca: None,
        ceiling: None,
        findings: Vec::new(),
        bootstrap: Index::default(),
        workload: Index::default(),
        closed: Index::default(),
        expiries: Vec::new(),
    }))
}

impl Loader<'_> {
    fn policy(&mut self, raw: RawPolicy) -> Inner {
        self.version(raw.version.as_ref());
        self.profile(raw.profile.as_ref());
        self.refuse_extra(&raw.extra, RawPolicy::KEYS, TOP_LATER, "a policy");
        self.owner = raw.owner.as_ref().and_then(|owner| self.filled(owner, "owner")).map(Arc::from);
        let agent = raw.agent.as_ref().and_then(|agent| self.filled(agent, "agent")).map(String::from);
        self.network(raw.network_policy.unwrap_or_default());
        self.list(raw.never.unwrap_or_default(), RuleList::Never);
        let root = raw.filesystem.as_ref().and_then(|files| files.root.as_ref()).map(|root| root.place);
        let (filesystem, write_lines) = raw.filesystem.map(|raw| self.filesystem(raw)).unzip();
        let process = raw.process.map(|raw| self.process(raw)).unwrap_or_default();
        self.whole(root, &process);
        let upstream_ca = raw.upstream_ca.as_ref().map(|path| self.path(path));
        let joined = self.together();
        let mut inner = Inner {
            digest: Digest::of(self.text.as_bytes()),
            name: self.file.clone(),
            agent,
            owner: self.owner.clone(),
            profile: Profile::Open,
            rules: std::mem::take(&mut self.rules),
            filesystem,
            write_lines: write_lines.unwrap_or_default(),
            process,
            upstream_ca,
            ceiling: None,
            findings: Vec::new(),
            bootstrap: joined.bootstrap,
            workload: joined.workload,
            closed: joined.closed,
            expiries: Vec::new(),
        };
        inner.expiries =
            inner.rules.iter().filter_map(|rule| rule.expires.map(|expiry| expiry.end)).collect();
        inner.expiries.sort_unstable();
        inner.expiries.dedup();
        if self.problems.is_empty() {
            inner.findings = crate::check::timeless(&inner, &joined.duplicates);
        }
        inner
    }

    fn network(&mut self, raw: RawNetwork) {
        self.refuse_extra(&raw.extra, RawNetwork::KEYS, &[], "`network_policy`");
        self.list(raw.bootstrap.unwrap_or_default(), RuleList::Bootstrap);
        self.list(raw.workload.unwrap_or_default(), RuleList::Workload);
        self.list(raw.deny.unwrap_or_default(), RuleList::Deny);
    }

    fn list(&mut self, raws: Vec<At<RawRule>>, list: RuleList) {
        for raw in raws {
            self.rule(raw, list);
        }
    }
}

/// Keys of the whole file that a later version enforces.
const TOP_LATER: &[&str] = &["inference", "tools"];

#[cfg(test)]
mod tests;
