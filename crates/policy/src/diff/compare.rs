//! Comparing one atom after the other, and putting what two rules decide together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use claw_model::destination::Target;
use claw_model::host::HostPattern;
use claw_model::http::{CanonicalPath, RequestPattern, classes};
use claw_model::phase::Phase;
use claw_model::plane::Plane;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use super::meaning::{Of, Shift, shifts};
use super::show::{Side, Witness};
use super::{DiffError, Kind, Scope};
use crate::atoms::Atom;
use crate::decide::{Refusal, Request, closed, ends, permitted, requested};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::rule::Rule;

/// What is put together to one difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    pub(super) phase: Phase,
    pub(super) transport: Transport,
    pub(super) target: Target,
    /// From when on, if not from now on.
    pub(super) from: Option<Timestamp>,
    old: Half,
    new: Half,
}

impl Key {
    /// Whether narrower targets may be taken out of it.
    pub(super) fn is_wide(&self) -> bool {
        match &self.target {
            Target::Name(pattern) => matches!(pattern, HostPattern::Below(_)),
            Target::Net(net) => net.host().is_none(),
        }
    }
}

/// What is known of one difference.
pub(super) struct Group {
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) requests: Vec<String>,
    pub(super) witness: Witness,
    pub(super) old: Side,
    pub(super) new: Side,
    pub(super) shifts: Vec<Shift>,
}

/// The differences found so far.
pub(super) struct Found<'p> {
    old: &'p Policy,
    new: &'p Policy,
    now: Timestamp,
    places: HashMap<Key, usize>,
    groups: Vec<(Key, Group)>,
    /// What is said of the atom that is compared, at whatever time.
    said: HashSet<Said>,
    failed: Option<DiffError>,
}

/// One side of a difference: the rule, and why it refuses.
type Half = (Option<u32>, Option<Reason>);

/// What tells one difference of an atom from another, whenever it begins.
type Said = (Kind, Scope, Half, Half, Option<(String, String)>);

/// What a policy says: the rule that allows, or why not.
type Verdict<'a> = Result<&'a Arc<Rule>, Refusal<'a>>;

/// One moment of one atom.
struct Moment<'a, 'b> {
    atom: &'b Atom<'a>,
    request: Request<'b>,
    from: Option<Timestamp>,
}

impl<'p> Found<'p> {
    pub(super) fn new(old: &'p Policy, new: &'p Policy, now: Timestamp) -> Found<'p> {
        Found {
            old,
            new,
            now,
            places: HashMap::new(),
            groups: Vec::new(),
            said: HashSet::new(),
            failed: None,
        }
    }

    pub(super) fn finish(self) -> Result<Vec<(Key, Group)>, DiffError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.groups),
        }
    }

    /// Compares one atom now, and whenever a rule that decides it ends.
    pub(super) fn atom(&mut self, atom: &Atom<'_>) {
        let mut from = None;
        self.said.clear();
        while self.failed.is_none() {
            let request = atom.request(from.unwrap_or(self.now));
            let (old, new) = (self.old, self.new);
            let (before, after) = (permitted(old, &request), permitted(new, &request));
            self.moment(&Moment { atom, request, from }, before, after);
            let ends = |verdict: Verdict<'_>| verdict.ok().and_then(|rule| rule.expires);
            if atom.alone && (before.is_err() || after.is_err() || ends(before) == ends(after)) {
                return;
            }
            let next = next(old, &request, before).into_iter().chain(next(new, &request, after)).min();
            if next.is_none() {
                return;
            }
            from = next;
        }
    }

    fn moment(&mut self, moment: &Moment<'_, '_>, before: Verdict<'_>, after: Verdict<'_>) {
        let (old, new) = (self.old, self.new);
        match (before, after) {
            (Err(_), Err(_)) => {}
            (before @ Err(_), Ok(rule)) => self.one_sided(moment, Kind::New, new, rule, before),
            (Ok(rule), after @ Err(_)) => self.one_sided(moment, Kind::Gone, old, rule, after),
            (Ok(one), Ok(other)) if one.http.is_none() && other.http.is_none() => {
                self.both(moment, Scope::Flow, one, other, None);
            }
            (Ok(one), Ok(other)) => self.requests(moment, one, other),
        }
    }

    /// A flow that one of them allows and the other does not at all.
    fn one_sided(
        &mut self,
        moment: &Moment<'_, '_>,
        kind: Kind,
        policy: &Policy,
        rule: &Arc<Rule>,
        other: Verdict<'_>,
    ) {
        let put = |found: &mut Self,
                   rule: &Arc<Rule>,
                   request: Option<(&str, &str)>,
                   named: Option<&RequestPattern>| {
            let (old, new) = if kind == Kind::New { (other, Ok(rule)) } else { (Ok(rule), other) };
            found.put(moment, kind, Scope::Flow, (old, new), request, named);
        };
        if rule.http.is_none() {
            return put(self, rule, None, None);
        }
        let mut any = false;
        for (method, path) in self.examples(moment, &[(policy, rule)]) {
            let Ok(canonical) = CanonicalPath::parse(&path) else { continue };
            let by = requested(policy, &moment.request, rule, &method, canonical);
            if let Some((pattern, rule)) = by {
                any = true;
                put(self, rule, Some((method.as_str(), path.as_str())), Some(pattern));
            }
        }
        // a connection on which no request is permitted is a connection
        if !any {
            put(self, rule, None, None);
        }
    }

    /// A flow that both allow, where the gate reads requests for one of them at least.
    fn requests(&mut self, moment: &Moment<'_, '_>, one: &Arc<Rule>, other: &Arc<Rule>) {
        let (old, new) = (self.old, self.new);
        if alike(old, one, new, other, &moment.request) {
            return;
        }
        for (method, path) in self.examples(moment, &[(old, one), (new, other)]) {
            let Ok(canonical) = CanonicalPath::parse(&path) else { continue };
            let by = |policy, rule| asked(policy, &moment.request, rule, &method, canonical);
            let request = Some((method.as_str(), path.as_str()));
            match (by(old, one), by(new, other)) {
                (Err(_), Err(_)) => {}
                (before @ Err(_), Ok((rule, pattern))) => {
                    let sides = (before.map(|(rule, _)| rule), Ok(rule));
                    self.put(moment, Kind::New, Scope::Requests, sides, request, pattern);
                }
                (Ok((rule, pattern)), after @ Err(_)) => {
                    let sides = (Ok(rule), after.map(|(rule, _)| rule));
                    self.put(moment, Kind::Gone, Scope::Requests, sides, request, pattern);
                }
                (Ok((one, _)), Ok((other, pattern))) => {
                    let request = request.map(|request| (request, pattern));
                    self.both(moment, Scope::Requests, one, other, request);
                }
            }
        }
    }

    /// What both allow: on which terms.
    fn both(
        &mut self,
        moment: &Moment<'_, '_>,
        scope: Scope,
        one: &Arc<Rule>,
        other: &Arc<Rule>,
        request: Option<((&str, &str), Option<&RequestPattern>)>,
    ) {
        let shifts = shifts(Of { policy: self.old, rule: one }, Of { policy: self.new, rule: other });
        if shifts.is_empty() {
            return;
        }
        let (request, named) = request.unzip();
        let place = self.put(moment, Kind::Changed, scope, (Ok(one), Ok(other)), request, named.flatten());
        if let Some((_, group)) = place.and_then(|place| self.groups.get_mut(place)) {
            group.shifts = shifts;
        }
    }

    fn put(
        &mut self,
        moment: &Moment<'_, '_>,
        kind: Kind,
        scope: Scope,
        (old, new): (Verdict<'_>, Verdict<'_>),
        request: Option<(&str, &str)>,
        named: Option<&RequestPattern>,
    ) -> Option<usize> {
        let Moment { atom, from, .. } = moment;
        let side = |verdict: &Verdict<'_>| match verdict {
            Ok(rule) => (Some(rule.id), None),
            Err((reason, rule)) => (rule.map(|rule| rule.id), Some(*reason)),
        };
        // what is told for an earlier time is not told again for a later one
        let owned = request.map(|(method, path)| (method.to_owned(), path.to_owned()));
        if !self.said.insert((kind, scope, side(&old), side(&new), owned)) {
            return None;
        }
        let key = Key {
            kind,
            scope,
            phase: atom.phase,
            transport: atom.transport,
            target: atom.target.clone(),
            from: *from,
            old: side(&old),
            new: side(&new),
        };
        let place = *self.places.entry(key).or_insert_with_key(|key| {
            let plane = new.or(old).map_or(Plane::Workload, |rule| rule.plane());
            let told = |verdict: Verdict<'_>| match verdict {
                Ok(rule) => Side::allow(rule),
                Err(refusal) => Side::deny(refusal),
            };
            self.groups.push((
                key.clone(),
                Group {
                    ports: Vec::new(),
                    requests: Vec::new(),
                    witness: Witness::of(atom, plane, request),
                    old: told(old),
                    new: told(new),
                    shifts: Vec::new(),
                },
            ));
            self.groups.len() - 1
        });
        if let Some((_, group)) = self.groups.get_mut(place) {
            let range = (atom.first, atom.last);
            if group.ports.last() != Some(&range) {
                group.ports.push(range);
            }
            let named = named.map(ToString::to_string);
            let told = named.filter(|named| !group.requests.contains(named));
            group.requests.extend(told);
        }
        Some(place)
    }

    /// An example of each class of requests that these rules, and those beside them, tell apart.
    fn examples(
        &mut self,
        moment: &Moment<'_, '_>,
        rules: &[(&Policy, &Arc<Rule>)],
    ) -> Vec<(String, String)> {
        let mut patterns: Vec<&RequestPattern> = Vec::new();
        for (policy, rule) in rules.iter().filter(|(_, rule)| rule.http.is_some()) {
            patterns
                .extend(policy.alike(moment.request.phase, rule).flat_map(|rule| rule.http.iter().flatten()));
        }
        patterns.sort_unstable();
        patterns.dedup();
        classes(&patterns, MOST).unwrap_or_else(|| {
            let rules: Vec<String> = rules.iter().map(|(_, rule)| rule.location()).collect();
            self.failed = Some(DiffError::Requests { rules: rules.join(" and "), most: MOST });
            Vec::new()
        })
    }
}

/// The next time at which a verdict may change.
fn next(policy: &Policy, request: &Request<'_>, verdict: Verdict<'_>) -> Option<Timestamp> {
    match verdict {
        Ok(rule) if rule.http.is_none() => rule.expires.map(|expiry| expiry.end),
        // a rule of another plane may come to open it
        Ok(_) | Err((Reason::DenyRule | Reason::Never, _)) => ends(policy, request),
        Err(_) => None,
    }
}

type Asked<'a> = Result<(&'a Arc<Rule>, Option<&'a RequestPattern>), Refusal<'a>>;

/// What a rule that opens a flow, and those beside it, say of a request.
fn asked<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    rule: &'a Arc<Rule>,
    method: &str,
    path: CanonicalPath<'_>,
) -> Asked<'a> {
    if rule.http.is_none() {
        return Ok((rule, None));
    }
    match requested(policy, request, rule, method, path) {
        Some((pattern, rule)) => Ok((rule, Some(pattern))),
        None => Err((Reason::Path, Some(rule))),
    }
}

/// Whether the rules that split this destination by its requests are the same in both, so that nothing needs to be tried.
fn alike(old: &Policy, one: &Rule, new: &Policy, other: &Rule, request: &Request<'_>) -> bool {
    if one.http.is_none() || other.http.is_none() {
        return false;
    }
    let same = |(one, other): (&Arc<Rule>, &Arc<Rule>)| {
        let open = |policy, rule| closed(policy, request, Some(rule)).is_none();
        one.http == other.http
            && one.plane == other.plane
            && one.expires == other.expires
            && open(old, one) == open(new, other)
            && shifts(Of { policy: old, rule: one }, Of { policy: new, rule: other }).is_empty()
    };
    let (own, theirs) = (old.alike(request.phase, one), new.alike(request.phase, other));
    own.clone().count() == theirs.clone().count() && own.zip(theirs).all(same)
}

/// Examples that are tried for one destination.
const MOST: usize = 20_000;
