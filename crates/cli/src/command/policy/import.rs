//! `claw policy import`.

use std::io::Read;
use std::path::Path;

use claw_policy::import::{Format, Imported, Loss, import};

use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

/// What another format says, as a policy of ours.
pub(super) fn imported(format: Format, file: &Path) -> Result<Imported, u8> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| {
            print::error(&error, None);
            UNUSABLE
        })?;
        text
    } else {
        read(file)?
    };
    import(&text, &file.display().to_string(), format).map_err(|error| {
        print::diagnostic(&error);
        UNUSABLE
    })
}

/// Turns another tool's policy into ours.
pub(super) fn run(format: Format, strict: bool, json: bool, file: &Path) -> Result<u8, u8> {
    let imported = imported(format, file)?;
    let fails = !imported.losses.is_empty();
    if json {
        let policy = (!(strict && fails)).then_some(&imported.yaml);
        print::json(&serde_json::json!({"policy": policy, "losses": imported.losses}));
        return Ok(if fails { NO } else { DONE });
    }
    losses(&imported.losses, strict, file);
    if !(strict && fails) {
        print::line(imported.yaml.trim_end());
    }
    Ok(if fails { NO } else { DONE })
}

/// Says each loss with its line on standard error.
pub(super) fn losses(losses: &[Loss], strict: bool, file: &Path) {
    let name = print::row(&file.display().to_string());
    let severity = if strict { "error" } else { "warning" };
    for loss in losses {
        print::say(&format!("{name}:{}: {severity}: {}", loss.line, print::plain(&loss.what)));
    }
}
