//! Who could mend a finding, and the command to do so.

use super::{Judge, written};
use crate::finding::{Code, Finding, Level};
use crate::lineage::PLACE;
use crate::object::Commit;

impl Judge<'_> {
    /// Adds who and how.
    pub(super) fn mend(&self, finding: &mut Finding, number: u32, commit: &Commit) {
        if finding.level == Level::Note || !finding.who.is_empty() {
            return;
        }
        let newest = self.newest.iter().filter_map(|version| self.lineage.get(*version));
        let signers: Vec<_> = newest.map(|version| &version.signers).collect();
        let known = |email: &str| {
            let keys = signers.iter().flat_map(|signers| &signers.keys);
            let mut keys = keys.filter(|key| key.principals.iter().any(|principal| principal == email));
            keys.next().map(|key| key.name.clone())
        };
        let deciding = || signers.iter().flat_map(|signers| signers.deciding()).map(str::to_owned);
        let author = known(&commit.author.email).or_else(|| known(&commit.committer.email));
        finding.who = match finding.code {
            Code::Unsigned | Code::BadSignature | Code::SignerNotAuthor => {
                vec![author.unwrap_or_else(|| written(&commit.author))]
            }
            _ => deciding().collect(),
        };
        finding.who.sort();
        finding.who.dedup();
        if finding.fix.is_none() {
            finding.fix = Some(self.command(finding.code, number));
        }
    }

    fn command(&self, code: Code, number: u32) -> String {
        let id = self.graph.id(number);
        let resign = match self.graph.parents(number) {
            [] => "git rebase --root --rebase-merges --exec 'git commit --amend --no-edit -S'".to_owned(),
            [parent, ..] => format!(
                "git rebase --rebase-merges --exec 'git commit --amend --no-edit -S' {}",
                self.graph.id(*parent)
            ),
        };
        match code {
            Code::IdMismatch | Code::Collision | Code::Malformed => "git fsck --full".to_owned(),
            Code::MergeContent => format!("git show --remerge-diff {id}"),
            Code::Unsigned | Code::BadSignature => format!(
                "{resign}; if it is published: add [[adopt]] with commit = \"{id}\" and a reason to {PLACE}"
            ),
            _ => format!(
                "somebody who may signs it again: {resign}; or add [[adopt]] with commit = \"{id}\" and a reason to {PLACE}"
            ),
        }
    }
}
