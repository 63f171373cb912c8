//! Documents of an image layout: JSON in which every key stands once, of bounded size.

use claw_model::json::{Bounds, Flaw, value};
use serde::de::DeserializeOwned;

use crate::{DocumentError, LARGEST};

/// Reads one document.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    if bytes.len() > LARGEST {
        return Err(DocumentError::Large);
    }
    let value = value(bytes, BOUNDS).map_err(|flaw| match flaw {
        Flaw::Twice(key) => DocumentError::Twice(key),
        other => DocumentError::Json(other.to_string()),
    })?;
    serde_json::from_value(value).map_err(|error| DocumentError::Json(error.to_string()))
}

/// Its size bounds its values; the parser goes no deeper than this.
const BOUNDS: Bounds = Bounds { values: LARGEST, depth: 128 };
