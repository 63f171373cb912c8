//! `claw policy export`.

use std::path::Path;

use claw_model::phase::Phase;
use claw_policy::export::export;
use claw_policy::import::Format;
use jiff::Timestamp;

use super::{import, parse};
use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Writes a policy in another tool's format.
pub(super) fn run(format: Format, phase: Phase, strict: bool, json: bool, file: &Path) -> Result<u8, u8> {
    let policy = parse(&read(file)?, file)?;
    let exported = export(&policy, format, phase, Timestamp::now()).map_err(|error| {
        print::error(&error, None);
        UNUSABLE
    })?;
    let refused = strict && !exported.losses.is_empty();
    let code = if refused || exported.permits_less() { NO } else { DONE };
    if json {
        let text = (!refused).then_some(&exported.text);
        print::json(&serde_json::json!({"format": format.as_str(), "text": text, "losses": exported.losses}));
        return Ok(code);
    }
    import::losses(&exported.losses, strict, file);
    if !refused {
        print::line(exported.text.trim_end());
    }
    Ok(code)
}
