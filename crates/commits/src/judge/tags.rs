//! Tags: what names a tip is judged too.

use std::collections::BTreeSet;

use super::stand::PURPOSE_GIT;
use super::{Judge, JudgeError, Named, Range, forgery, stands, written};
use crate::finding::{Code, Finding, Report};
use crate::object::Tag;
use crate::signature::Seal;
use crate::signers::Role;
use crate::source::{ReadError, What};

impl Judge<'_> {
    /// Which of the repository's tags in this range's history hold.
    pub(super) fn vouched(&self, range: &Range, report: &mut Report) -> Result<(), JudgeError> {
        let within = self.graph.ancestors(self.graph.find(&range.tip));
        for (named, commit) in &self.request.tags {
            let Some(number) = self.graph.find(commit).filter(|number| within.contains(*number)) else {
                continue;
            };
            let mut said = Report::default();
            self.tag(named, number, &mut said)?;
            if said.findings.is_empty() {
                report.vouched.insert(named.name.clone());
            }
        }
        Ok(())
    }

    /// Judges the tag that named a tip, and the tags that it names.
    pub(super) fn tag(&self, named: &Named, tip: u32, report: &mut Report) -> Result<(), JudgeError> {
        let (mut id, mut name) = (named.id, Some(named.name.clone()));
        for depth in 0..DEEPEST_TAG {
            let what = self.source.what(&id)?;
            if what == What::Commit {
                if depth == 0 {
                    let why = format!("`{}` is a lightweight tag: nothing vouches for it", named.name);
                    let fix = format!("git tag -s -f {} {id}", shell(&named.name));
                    report.findings.push(Finding::error(Code::TagLightweight, why).on(id).fix(fix));
                }
                return Ok(());
            }
            if what != What::Tag {
                let why = format!("the tag `{}` names a {}, not a commit", named.name, what.name());
                report.findings.push(Finding::error(Code::TagTarget, why).on(id));
                return Ok(());
            }
            let data = match self.source.read(&id, What::Tag) {
                Ok(data) => data,
                Err(error @ (ReadError::Id { .. } | ReadError::Collision(_))) => {
                    report.findings.push(forgery(&error));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let tag = match Tag::parse(&data, self.source.hash()) {
                Ok(tag) => tag,
                Err(error) => {
                    report.findings.push(Finding::error(Code::Malformed, error.to_string()).on(id));
                    return Ok(());
                }
            };
            if name.take().is_some_and(|name| name != tag.name) {
                let why = format!("the tag object behind `{}` is a tag named `{}`", named.name, tag.name);
                report.findings.push(Finding::error(Code::TagName, why).on(id));
            }
            if let Some(finding) = self.tag_signed(&tag, tip) {
                let tagger = tag.tagger.as_ref().map(written).unwrap_or_default();
                let fix = format!("git tag -s -f {} {}", shell(&tag.name), tag.target);
                report
                    .findings
                    .push(Finding { author: tagger.clone(), ..finding }.on(id).who([tagger]).fix(fix));
            }
            id = tag.target;
        }
        let why = format!("the tag `{}` names tags that name tags, too many times", named.name);
        report.findings.push(Finding::error(Code::TagTarget, why).on(named.id));
        Ok(())
    }

    fn tag_signed(&self, tag: &Tag, tip: u32) -> Option<Finding> {
        let Some(signature) = &tag.signature else {
            return Some(Finding::error(
                Code::TagUnsigned,
                format!("the tag `{}` has no signature", tag.name),
            ));
        };
        let seal = match Seal::read(signature, &tag.payload, PURPOSE_GIT) {
            Ok(seal) => seal,
            Err(error) => return Some(Finding::error(Code::BadSignature, error.to_string())),
        };
        let mut versions: BTreeSet<usize> = self.newest.iter().copied().collect();
        versions.insert(self.lineage.after(tip));
        for version in versions.into_iter().filter_map(|version| self.lineage.get(version)) {
            let signer = match stands(&version.signers, &seal, &self.request.means) {
                Ok(signer) => signer,
                Err(why) => return Some(why.finding()),
            };
            if !signer.roles.contains(&Role::Tag) {
                let why = format!("the key of {} may not sign tags", signer.name);
                return Some(Finding::error(Code::Role, why).signer(signer.name.as_str()));
            }
            if let Err(misplaced) = self.position.holds(signer, tip) {
                return Some(misplaced.finding(&signer.name));
            }
        }
        None
    }
}

/// A name as a shell reads it.
fn shell(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+'));
    if plain && !name.starts_with('-') {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

const DEEPEST_TAG: usize = 8;
