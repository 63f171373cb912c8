//! What the gate found: which commit, why, who could mend it, and the command to do so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// Whether it refuses.
    pub level: Level,
    /// The commit, tag or ref.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The first line of its message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Who is named as its author.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Whose key signed it, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The paths it is about; at most twenty are named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Why, in a sentence.
    pub why: String,
    /// Who could mend it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Whether a finding refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The answer is no.
    Error,
    /// Told, and no reason to refuse.
    Note,
}

/// Stable names of what can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No signature.
    Unsigned,
    /// A signature that does not hold.
    BadSignature,
    /// A key that no allowed signer has.
    UnknownKey,
    /// An allowed key, outside the commits that it counts for.
    OutOfRange,
    /// A key that was revoked.
    Revoked,
    /// A key that has ended.
    Expired,
    /// A key without the role for this.
    Role,
    /// A key that may not touch these paths.
    Path,
    /// The allowed signers were changed without the signatures that takes.
    PolicyUnauthorised,
    /// The allowed signers cannot be read.
    PolicyInvalid,
    /// The allowed signers were deleted.
    PolicyRemoved,
    /// The allowed signers were changed as their last version allows.
    PolicyChanged,
    /// An object that can be read in two ways.
    Malformed,
    /// An object whose content has another id.
    IdMismatch,
    /// One half of a SHA-1 collision.
    Collision,
    /// A merge changes what no side changed.
    MergeContent,
    /// A merge joins histories that have nothing in common.
    Unrelated,
    /// A merge decides between its sides.
    MergeResolution,
    /// An annotated tag without a signature.
    TagUnsigned,
    /// A tag that is no object and cannot be signed.
    TagLightweight,
    /// A tag whose own name is another.
    TagName,
    /// A tag of something that is no commit.
    TagTarget,
    /// A ref that shows git another history.
    ReplaceRef,
    /// A file that shows git another history.
    Graft,
    /// What was recorded, or pushed before, is no longer part of the history.
    Rewritten,
    /// Nothing was recorded before: nothing could be missed.
    Unrecorded,
    /// A guarded ref is to be deleted.
    Deleted,
    /// The signer is not the author.
    SignerNotAuthor,
    /// Accepted by name although it should not count.
    Adopted,
}

impl Code {
    /// Its name.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Finding {
    /// A finding that refuses.
    pub fn error(code: Code, why: impl Into<String>) -> Finding {
        Finding {
            code,
            level: Level::Error,
            commit: None,
            subject: String::new(),
            author: String::new(),
            signer: None,
            paths: Vec::new(),
            why: why.into(),
            who: Vec::new(),
            fix: None,
        }
    }

    /// A finding that is only told.
    pub fn note(code: Code, why: impl Into<String>) -> Finding {
        Finding { level: Level::Note, ..Finding::error(code, why) }
    }

    pub(crate) fn on(mut self, commit: impl fmt::Display) -> Finding {
        self.commit = Some(commit.to_string());
        self
    }

    pub(crate) fn paths(mut self, paths: &[Vec<u8>]) -> Finding {
        self.paths =
            paths.iter().take(MOST_PATHS).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        self
    }

    pub(crate) fn who(mut self, who: impl IntoIterator<Item = String>) -> Finding {
        self.who = who.into_iter().collect();
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into());
        self
    }

    pub(crate) fn signer(mut self, signer: impl Into<String>) -> Finding {
        self.signer = Some(signer.into());
        self
    }
}

/// What was judged, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing refuses.
    pub clean: bool,
    /// What was judged.
    pub ranges: Vec<Judged>,
    /// What was found: what refuses first, then in the history's order.
    pub findings: Vec<Finding>,
    /// Names of tags that hold, of those that were to be looked at.
    #[serde(skip)]
    pub vouched: BTreeSet<String>,
}

/// One range that was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// As it was asked for.
    pub range: String,
    /// Its last commit.
    pub tip: String,
    /// What was taken as judged before.
    pub base: Vec<String>,
    /// Up to where nothing was judged, because it was said so.
    pub since: Vec<String>,
    /// How many commits lie before that.
    pub unjudged: usize,
    /// How many commits were judged.
    pub commits: usize,
    /// How many each person signed, of those that count.
    pub signed: BTreeMap<String, usize>,
    /// The version of the allowed signers at the end.
    pub version: u64,
    /// Its digest.
    pub allowed: String,
    /// The commit that made it, or none if it is the one given from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
}

impl Report {
    pub(crate) fn finish(mut self) -> Report {
        self.findings.sort_by_key(|finding| finding.level);
        self.clean = self.findings.iter().all(|finding| finding.level == Level::Note);
        self
    }
}

const MOST_PATHS: usize = 20;
