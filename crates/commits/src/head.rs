//! The recorded head: how far a history was judged, kept beside it. What was recorded must stay part of the history.

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// The version of the allowed signers that held there.
    pub version: u64,
    /// The digest of that version.
    pub allowed: String,
}

/// Why a recorded head cannot be used.
#[derive(Debug, Error)]
pub enum HeadError {
    /// It is none.
    #[error("the recorded head cannot be read")]
    Unreadable(#[from] serde_json::Error),
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
        if head.format == FORMAT { Ok(head) } else { Err(HeadError::Format(head.format)) }
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
}

/// The format of this version.
pub const FORMAT: u32 = 1;
