//! The recorded head: how far a history was judged, and which tags there were, kept beside it. What was recorded must stay part of the
//! history; a recorded tag must stay, and name what it named.

use std::collections::BTreeMap;

use gix_hash::ObjectId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::finding::{Code, Finding};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The format of this file.
    pub format: u32,
    /// The last commit that was judged and found clean.
    pub head: String,
    /// Commits up to which nothing was judged.
    pub since: Vec<String>,
    /// The version of the allowed signers that held at the end of what was judged then.
    pub version: u64,
    /// The digest of that version.
    pub allowed: String,
    /// What each tag named, by its name. Format 1 has none.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Why a recorded head cannot be used.
#[derive(Debug, Error)]
pub enum HeadError {
    /// It is none.
    #[error("the recorded head cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// A part of it is missing, or is from another format.
    #[error("the recorded head has format {0}, and not its members")]
    Members(u32),
    /// It was written by another version.
    #[error("the recorded head has format {0}, and this is {FORMAT}")]
    Format(u32),
    /// What it records is no commit's id.
    #[error("the recorded head names `{0}`, which is no id of a commit")]
    Id(String),
    /// Another baseline was recorded.
    #[error("the recorded head was judged since {recorded}, and this asks for since {asked}")]
    Since {
        /// What was recorded.
        recorded: String,
        /// What is asked for.
        asked: String,
    },
}

impl Head {
    /// Reads a recorded head.
    pub fn parse(text: &str) -> Result<Head, HeadError> {
        let head: Head = serde_json::from_str(text)?;
        if !(1..=FORMAT).contains(&head.format) {
            return Err(HeadError::Format(head.format));
        }
        // order: a record without its tags would let every tag move
        let members: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)?;
        match members.contains_key("tags") == (head.format > 1) {
            true => Ok(head),
            false => Err(HeadError::Members(head.format)),
        }
    }

    /// As it is written.
    pub fn text(&self) -> Result<String, HeadError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The baseline is part of what was promised: it does not move silently.
    pub fn since(&self, asked: &[String]) -> Result<(), HeadError> {
        let name = |ids: &[String]| if ids.is_empty() { "the beginning".to_owned() } else { ids.join(", ") };
        if self.since == asked {
            return Ok(());
        }
        Err(HeadError::Since { recorded: name(&self.since), asked: name(asked) })
    }

    /// The commit that was judged last.
    pub fn commit(&self) -> Result<ObjectId, HeadError> {
        ObjectId::from_hex(self.head.as_bytes()).map_err(|_| HeadError::Id(self.head.clone()))
    }

    /// Recorded tags that are gone, or name something else now.
    pub fn missed(&self, now: &BTreeMap<String, String>) -> Vec<Finding> {
        let missed = self.tags.iter().filter_map(|(name, was)| match now.get(name) {
            Some(is) if is == was => None,
            Some(is) => Some(moved(name, was, is)),
            None => {
                let why = format!("the tag `{name}` was recorded, named {was}, and is gone");
                let fix = format!("git fetch --tags, if it was not fetched; else git tag {name} {was}");
                Some(Finding::error(Code::Deleted, why).on(was).fix(fix))
            }
        });
        missed.collect()
    }
}

/// A tag that names something else than before.
pub(crate) fn moved(name: &str, was: &str, is: &str) -> Finding {
    let why = format!("the tag `{name}` named {was} before, and names {is}: a tag does not move");
    Finding::error(Code::Rewritten, why).on(was)
}

/// The format of this version.
pub const FORMAT: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_before_is_read_and_has_no_tags() {
        let text = r#"{"format":1,"head":"x","since":[],"version":1,"allowed":""}"#;
        let head = Head::parse(text).unwrap();
        assert!(head.tags.is_empty() && matches!(head.commit(), Err(HeadError::Id(_))));
        assert!(matches!(Head::parse(&text.replace('1', "3")), Err(HeadError::Format(3))));
        // the attack: tags that are forgotten
        assert!(matches!(Head::parse(&text.replace('1', "2")), Err(HeadError::Members(2))));
        let tags = text.replace("\"\"}", "\"\",\"tags\":{}}");
        assert!(matches!(Head::parse(&tags), Err(HeadError::Members(1))));
        assert!(Head::parse(&tags.replace('1', "2")).is_ok());
    }

    #[test]
    fn a_tag_that_is_gone_or_moved_is_named() {
        let tags = |all: &[(&str, &str)]| {
            all.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let recorded = tags(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let head = Head {
            format: FORMAT,
            head: String::new(),
            since: Vec::new(),
            version: 1,
            allowed: String::new(),
            tags: recorded,
        };
        let missed = head.missed(&tags(&[("a", "1"), ("b", "9"), ("new", "4")]));
        let missed: Vec<_> = missed.iter().map(|finding| (finding.code, finding.commit.as_deref())).collect();
        assert_eq!(missed, [(Code::Rewritten, Some("2")), (Code::Deleted, Some("3"))]);
    }
}
