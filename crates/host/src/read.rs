//! What came of reading one thing.

/// A value, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// It was read.
    Known(T),
    /// It was looked for where it would be, and is not there.
    Absent,
    /// It could not be looked at, and this is why.
    Unknown(String),
}

impl<T> Read<T> {
    /// The value, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Read::Known(value) => Some(value),
            Read::Absent | Read::Unknown(_) => None,
        }
    }

    /// Why it could not be looked at.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Read::Unknown(why) => Some(why),
            Read::Known(_) | Read::Absent => None,
        }
    }

    /// The same with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        match self {
            Read::Known(value) => Read::Known(change(value)),
            Read::Absent => Read::Absent,
            Read::Unknown(why) => Read::Unknown(why),
        }
    }
}
