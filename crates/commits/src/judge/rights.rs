//! Whether a commit's key may do what the commit does: signature, place, paths, and what a merge brings by itself.

use super::{Judge, sealed, stands, written};
use crate::finding::{Code, Finding, Level};
use crate::lineage::{PLACE, SIGNATURES};
use crate::object::Commit;
use crate::signature::Seal;
use crate::signers::{Authors, Key, Merges, Role, Signer, Signers};
use crate::source::ReadError;
use crate::tree::{Own, OwnKind};

impl Judge<'_> {
    /// Judges signature, place and paths.
    pub(super) fn signed(
        &self,
        number: u32,
        commit: &Commit,
        own: &mut Vec<Finding>,
    ) -> Result<Option<String>, ReadError> {
        let seal = match sealed(commit) {
            None => {
                own.push(Finding::error(Code::Unsigned, "the commit has no signature"));
                return Ok(None);
            }
            Some(Err(error)) => {
                own.push(Finding::error(Code::BadSignature, error.to_string()));
                return Ok(None);
            }
            Some(Ok(seal)) => seal,
        };
        let sides = self.graph.parents(number).len();
        if sides > MOST_PARENTS {
            let why = format!("the merge has {sides} parents, and at most {MOST_PARENTS} are judged");
            own.push(Finding::error(Code::Malformed, why));
            return Ok(None);
        }
        let (mut name, mut changes) = (None, None);
        let mut strict = (Merges::Report, Authors::Report);
        for version in self.lineage.before(self.graph, number) {
            let Some(version) = self.lineage.get(version) else { continue };
            let signer = match stands(&version.signers, &seal, &self.request.means) {
                Ok(signer) => signer,
                Err(why) => {
                    own.push(why.finding());
                    return Ok(None);
                }
            };
            if version.signers.merges == Merges::Refuse {
                strict.0 = Merges::Refuse;
            }
            if version.signers.authors == Authors::Refuse {
                strict.1 = Authors::Refuse;
            }
            let allowed = self.allowed(signer, number, &mut changes)?;
            name = Some((signer.name.clone(), signer.principals.clone()));
            if let Some(finding) = allowed {
                own.push(finding.signer(signer.name.as_str()));
                return Ok(None);
            }
        }
        let Some((name, principals)) = name else { return Ok(None) };
        for version in &self.newest {
            if let Some(finding) = self.newest(*version, &seal, number, &mut changes)? {
                own.push(finding.signer(name.as_str()));
                return Ok(None);
            }
        }
        self.stricter(number, &mut strict);
        if sides > 1 {
            self.unrelated(number, &name, own);
            self.merge(number, &name, strict.0, &mut changes, own)?;
        }
        if !principals.contains(&commit.author.email) {
            let why = format!("signed by {name}, written by {}", written(&commit.author));
            let level = if strict.1 == Authors::Refuse { Level::Error } else { Level::Note };
            let finding = Finding { level, ..Finding::error(Code::SignerNotAuthor, why) };
            own.push(finding.signer(name.as_str()));
        }
        Ok(Some(name))
    }

    /// Whether an entry allows a commit at its place.
    fn allowed(
        &self,
        signer: &Signer,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        if let Err(misplaced) = self.position.holds(signer, number) {
            return Ok(Some(misplaced.finding(&signer.name)));
        }
        self.rights(signer, number, changes)
    }

    fn rights(
        &self,
        signer: &Signer,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        let deciding = signer.roles.contains(&Role::Policy);
        if !signer.roles.contains(&Role::Commit) {
            let touched = self.touched(number, changes)?;
            let only_policy = !touched.is_empty() && touched.iter().all(|own| is_policy(&own.path));
            if !(deciding && only_policy) {
                let why = format!("the key of {} may not sign commits", signer.name);
                return Ok(Some(Finding::error(Code::Role, why)));
            }
        }
        if signer.may_touch_everything() {
            return Ok(None);
        }
        // the file of signers itself is held by its threshold, whoever commits it
        let outside: Vec<Vec<u8>> = self
            .touched(number, changes)?
            .iter()
            .filter(|own| !(signer.may_touch(&own.path) || deciding && is_policy(&own.path)))
            .map(|own| own.path.clone())
            .collect();
        if outside.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<String> = signer.paths.iter().map(ToString::to_string).collect();
        let why = format!("the key of {} may touch {} only", signer.name, patterns.join(", "));
        Ok(Some(Finding::error(Code::Path, why).paths(&outside)))
    }

    /// What the newest versions say of a key that an older one allowed.
    fn newest(
        &self,
        version: usize,
        seal: &Seal,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        let Some(found) = self.lineage.get(version) else { return Ok(None) };
        let signers = &found.signers;
        let Some(id) = self.key_of(seal) else { return Ok(None) };
        // order: what came before a change of the key's entry keeps what it was allowed then, what follows it is judged by what follows it
        let mut settled = false;
        for (by, entry) in self.lineage.changes_of(version, &id) {
            if self.position.is_before(number, by) {
                settled = true;
                continue;
            }
            if self.position.is_after(number, by) {
                continue;
            }
            let finding = match entry {
                Some(entry) => self.rights(entry, number, changes)?,
                None => Some(taken_out()),
            };
            if finding.is_some() {
                return Ok(finding);
            }
        }
        let Some(signer) = signers.by_id(&id) else {
            if settled || !self.lineage.ever_knew(version, &id) {
                return Ok(None);
            }
            return Ok(Some(taken_out()));
        };
        if let Err(why) = stands(signers, seal, &self.request.means) {
            return Ok(Some(why.finding()));
        }
        if let Err(misplaced) = self.position.holds(signer, number) {
            return Ok(Some(misplaced.finding(&signer.name)));
        }
        if settled { Ok(None) } else { self.rights(signer, number, changes) }
    }

    /// What the newest versions refuse: it holds for all that does not come before it was set.
    fn stricter(&self, number: u32, strict: &mut (Merges, Authors)) {
        let holds = |version: usize, refuses: &dyn Fn(&Signers) -> bool| {
            self.lineage.get(version).is_some_and(|found| refuses(&found.signers))
                && !self
                    .lineage
                    .changes_to(version, refuses)
                    .into_iter()
                    .any(|by| self.position.is_before(number, by))
        };
        for version in &self.newest {
            if holds(*version, &|signers| signers.merges == Merges::Refuse) {
                strict.0 = Merges::Refuse;
            }
            if holds(*version, &|signers| signers.authors == Authors::Refuse) {
                strict.1 = Authors::Refuse;
            }
        }
    }

    /// What the key that made a signature is known by.
    fn key_of(&self, seal: &Seal) -> Option<String> {
        let made = |signer: &&Signer| match (&signer.key, seal) {
            (Key::Ssh(key), Seal::Ssh(other)) => key == other,
            (Key::OpenPgp(certificate), Seal::OpenPgp(pgp)) => {
                certificate.judge(pgp, self.request.means.now).is_some()
            }
            (Key::X509 { identity, issuer }, Seal::X509(x509)) => {
                x509.verify(&self.request.means.sigstore, identity, issuer).is_ok()
            }
            _ => false,
        };
        let mut keys = self.lineage.versions.iter().flat_map(|version| &version.signers.keys);
        keys.find(made).map(|signer| signer.key.id())
    }

    /// Refuses a merge of histories that have no commit in common, unless where each begins is known or accepted. Where nothing is common,
    /// nothing was deleted: all that the other history ever held would come back, by nobody's hand.
    fn unrelated(&self, number: u32, name: &str, own: &mut Vec<Finding>) {
        // most histories have one beginning
        if self.strange.is_empty() {
            return;
        }
        let sides = self.graph.independent(self.graph.parents(number));
        let apart =
            sides.iter().enumerate().skip(1).any(|(place, side)| {
                self.graph.bases(sides.get(..place).unwrap_or_default(), *side).is_empty()
            });
        if !apart {
            return;
        }
        let (mut roots, mut accepted) = (Vec::new(), Vec::new());
        for root in self.graph.roots(sides).into_iter().filter(|root| self.strange.contains(root)) {
            let id = self.graph.id(root);
            match self.adopted(&id) {
                None => roots.push(id.to_string()),
                Some(reason) => accepted.push(format!("{id} ({reason})")),
            }
        }
        // what was accepted once is told ever after
        if !accepted.is_empty() {
            let why = format!(
                "the merge joins a history that has no commit in common with this one; the allowed signers adopted its beginning: {}",
                accepted.join(", ")
            );
            own.push(Finding::note(Code::Adopted, why).signer(name));
        }
        if let Some(first) = roots.first() {
            let why = format!(
                "the merge joins a history that has no commit in common with this one, and begins at {}",
                roots.join(", ")
            );
            let fix = format!(
                "if that history is to be part of this one: [[adopt]] with commit = \"{first}\" and a reason in {PLACE}, or --since {first}"
            );
            own.push(Finding::error(Code::Unrelated, why).fix(fix).signer(name));
        }
    }

    /// Tells what a merge changes beside its sides.
    fn merge(
        &self,
        number: u32,
        name: &str,
        merges: Merges,
        changes: &mut Option<Vec<Own>>,
        own: &mut Vec<Finding>,
    ) -> Result<(), ReadError> {
        let of = |changes: &[Own], kind| -> Vec<Vec<u8>> {
            changes.iter().filter(|own| own.why == kind).map(|own| own.path.clone()).collect()
        };
        let changes = self.touched(number, changes)?;
        let (slipped, resolved) = (of(changes, OwnKind::Slipped), of(changes, OwnKind::Resolved));
        if !slipped.is_empty() {
            let level = if merges == Merges::Refuse { Level::Error } else { Level::Note };
            let why =
                format!("the merge changes {} that no side of it changed like this", paths(slipped.len()));
            let finding = Finding { level, ..Finding::error(Code::MergeContent, why) };
            own.push(finding.paths(&slipped).signer(name));
        }
        if !resolved.is_empty() {
            let why = format!("the merge decides {} that several sides changed", paths(resolved.len()));
            own.push(Finding::note(Code::MergeResolution, why).paths(&resolved).signer(name));
        }
        Ok(())
    }

    /// The paths that a commit answers for, read once.
    fn touched<'b>(&self, number: u32, changes: &'b mut Option<Vec<Own>>) -> Result<&'b [Own], ReadError> {
        if changes.is_none() {
            let all = self.graph.parents(number);
            // order: a parent that another parent has is no side, and would make an older commit the base
            let parents = self.graph.independent(all);
            let tree = |number: &u32| self.graph.tree(*number);
            let bases: Vec<Vec<_>> = parents
                .iter()
                .enumerate()
                .skip(1)
                .map(|(place, side)| {
                    let before = parents.get(..place).unwrap_or_default();
                    self.graph.bases(before, *side).iter().map(tree).collect()
                })
                .collect();
            let parents: Vec<_> = parents.iter().map(tree).collect();
            let kind = if all.len() > 1 { OwnKind::Slipped } else { OwnKind::Changed };
            *changes = Some(self.trees.own(&self.graph.tree(number), &parents, &bases, kind)?);
        }
        Ok(changes.as_deref().unwrap_or_default())
    }
}

fn taken_out() -> Finding {
    let why = "the key is no longer among the allowed signers, and the commit is not from before that change";
    Finding::error(Code::OutOfRange, why)
}

fn is_policy(path: &[u8]) -> bool {
    path == PLACE.as_bytes() || path == SIGNATURES.as_bytes()
}

fn paths(count: usize) -> String {
    if count == 1 { "a path".to_owned() } else { format!("{count} paths") }
}

/// No merge has more parents.
const MOST_PARENTS: usize = 64;
