//! A change of the allowed signers: who must agree, and who did.

use std::collections::{BTreeMap, BTreeSet};

use gix_hash::ObjectId;

use super::{LineageError, PLACE, PURPOSE, SIGNATURES, Walk};
use crate::finding::{Code, Finding};
use crate::judge::{Position, sealed, stands};
use crate::object::Commit;
use crate::signature::{Broken, Seal, blocks};
use crate::signers::{Role, Signer, Signers};
use crate::source::{ReadError, What};

impl Walk<'_> {
    /// A change of the file: a new version if the ones before it allow it.
    pub(super) fn change(
        &mut self,
        number: u32,
        tops: &[usize],
        blob: ObjectId,
    ) -> Result<usize, LineageError> {
        let text = self.source.read(&blob, What::Blob)?;
        let read = std::str::from_utf8(&text).ok();
        let signers = match read.map(Signers::parse) {
            Some(Ok(signers)) => signers,
            other => {
                let why = match other {
                    Some(Err(error)) => format!("`{PLACE}` cannot be read: {error}"),
                    _ => format!("`{PLACE}` is no text"),
                };
                let deciding = self.deciding(tops);
                let finding = self.on(number, Finding::error(Code::PolicyInvalid, why)).who(deciding);
                self.found.findings.push(finding);
                return Ok(self.stay(number, tops));
            }
        };
        let signatures = match self.trees.find(&self.graph.tree(number), SIGNATURES)? {
            Some(blob) => self.source.read(&blob, What::Blob)?,
            None => Vec::new(),
        };
        let signatures = String::from_utf8_lossy(&signatures).into_owned();
        let next = tops.iter().filter_map(|top| self.found.get(*top)).map(|top| top.signers.version).max();
        let next = next.unwrap_or(0).saturating_add(1);
        let (mut missing, mut keys, mut threshold) = (Vec::new(), BTreeMap::new(), 0);
        if signers.version != next {
            missing.push(format!("its `version` is {}, and must be {next}", signers.version));
        }
        for top in tops {
            let Some(top) = self.found.get(*top) else { continue };
            if !signers.previous.contains(&top.signers.digest) {
                missing.push(format!("its `previous` does not name \"{}\"", top.signers.digest));
            }
            let mut agreed = self.agreed(number, &top.signers, &text, &signatures)?;
            threshold = threshold.max(top.signers.threshold);
            let people: BTreeSet<String> = agreed.values().cloned().collect();
            keys.append(&mut agreed);
            if people.len() < top.signers.threshold {
                let names: Vec<&str> = people.iter().map(String::as_str).collect();
                let others: Vec<&str> =
                    top.signers.deciding().into_iter().filter(|name| !people.contains(*name)).collect();
                missing.push(format!(
                    "{} of {} people agreed ({}); {} could",
                    people.len(),
                    top.signers.threshold,
                    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") },
                    others.join(", ")
                ));
            }
        }
        if missing.is_empty() {
            let why = format!("the allowed signers are version {} from here", signers.version);
            let finding = self.on(number, Finding::note(Code::PolicyChanged, why));
            self.found.findings.push(finding);
            let version = self.add(number, tops, signers);
            if let Some(version) = self.found.versions.get_mut(version) {
                version.agreed = keys;
                version.threshold = threshold;
            }
            return Ok(version);
        }
        let why = format!("the allowed signers were changed without leave: {}", missing.join("; "));
        let fix = format!(
            "ssh-keygen -Y sign -n {PURPOSE} -f KEY {PLACE} && cat {PLACE}.sig >> {SIGNATURES}, then amend the commit"
        );
        let deciding = self.deciding(tops);
        let finding = self.on(number, Finding::error(Code::PolicyUnauthorised, why)).who(deciding).fix(fix);
        self.found.findings.push(finding);
        Ok(self.stay(number, tops))
    }

    fn stay(&mut self, number: u32, tops: &[usize]) -> usize {
        match tops {
            [only] => *only,
            _ => self.join(number, tops),
        }
    }

    /// The keys of a version's people that agree to a text, by signing the commit or the text itself.
    fn agreed(
        &self,
        number: u32,
        by: &Signers,
        text: &[u8],
        signatures: &str,
    ) -> Result<BTreeMap<String, String>, ReadError> {
        let position = Position::new(self.graph);
        let counts =
            |signer: &Signer| signer.roles.contains(&Role::Policy) && position.holds(signer, number).is_ok();
        let mut agreed = BTreeMap::new();
        let mut take = |seal: Result<Seal, Broken>| {
            let signer = seal.ok().and_then(|seal| stands(by, &seal, self.means).ok().cloned());
            if let Some(signer) = signer.filter(|signer| counts(signer)) {
                agreed.insert(signer.key.id(), signer.name);
            }
        };
        let data = self.source.read(&self.graph.id(number), What::Commit)?;
        let commit = Commit::parse(&data, self.source.hash()).ok();
        if let Some(seal) = commit.as_ref().and_then(sealed) {
            take(seal);
        }
        for block in blocks(signatures).into_iter().take(MOST_SIGNATURES) {
            take(Seal::read(block.as_bytes(), text, PURPOSE));
        }
        Ok(agreed)
    }

    fn deciding(&self, tops: &[usize]) -> Vec<String> {
        let tops = tops.iter().filter_map(|top| self.found.get(*top));
        let names: BTreeSet<String> =
            tops.flat_map(|top| top.signers.deciding()).map(str::to_owned).collect();
        names.into_iter().collect()
    }

    pub(super) fn parent(&self, number: u32) -> String {
        let parent = self.graph.parents(number).first();
        parent.map(|parent| self.graph.id(*parent).to_string()).unwrap_or_default()
    }

    pub(super) fn on(&self, number: u32, finding: Finding) -> Finding {
        let id = self.graph.id(number);
        let mut finding = finding.on(id).paths(&[PLACE.as_bytes().to_vec()]);
        let data = self.source.read(&id, What::Commit).ok();
        if let Some(commit) = data.and_then(|data| Commit::parse(&data, self.source.hash()).ok()) {
            finding.subject = commit.subject;
            finding.author = format!("{} <{}>", commit.author.name, commit.author.email);
        }
        finding
    }
}

const MOST_SIGNATURES: usize = 64;
