//! What one policy says and another format cannot.

/// Something the source said that the result does not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The line of the source.
    pub line: u32,
    /// Whether what is permitted differs, or only what is said about it.
    pub kind: LossKind,
    /// What was lost.
    pub what: String,
}

/// What a loss changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// A rule, or a part of one, is not in the result: less is permitted than the source does.
    LeftOut,
    /// The rule is there, and something that it says is not: its plane, its date, how well it is checked.
    NotHeld,
}

impl Loss {
    pub(crate) fn left_out(line: u32, what: impl Into<String>) -> Loss {
        Loss { line, kind: LossKind::LeftOut, what: what.into() }
    }

    pub(crate) fn not_held(line: u32, what: impl Into<String>) -> Loss {
        Loss { line, kind: LossKind::NotHeld, what: what.into() }
    }
}
