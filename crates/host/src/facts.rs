//! What was read of a host, as plain data.

use std::collections::BTreeMap;

use crate::read::Read;

/// Everything that checks look at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The content of small files, by their path.
    pub texts: BTreeMap<String, Read<String>>,
}

impl Facts {
    /// The content of a file.
    pub fn text(&self, path: &str) -> Read<&str> {
        match self.texts.get(path) {
            Some(Read::Known(text)) => Read::Known(text.as_str()),
            Some(Read::Absent) => Read::Absent,
            Some(Read::Unknown(why)) => Read::Unknown(why.clone()),
            None => Read::Unknown("it was not read".to_owned()),
        }
    }

    /// The one line of a file.
    pub fn line(&self, path: &str) -> Read<&str> {
        self.text(path).map(str::trim)
    }
}
