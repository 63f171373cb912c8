//! Findings about writable paths: what is written there may later run outside of the sandbox.

use std::path::Path;

use super::{Finding, Severity, plain};
use crate::later;

/// The finding about one writable path, if it holds something that runs.
pub(super) fn write_path(path: &Path, line: u32) -> Option<Finding> {
    let clean = plain(path);
    let text = clean.to_string_lossy();
    let under = |tree: &&&str| {
        clean.starts_with(tree) || (clean.is_absolute() && Path::new(tree).starts_with(&clean))
    };
    let what = if let Some(tree) = SEARCHED.iter().find(under) {
        format!("`{text}` meets `{tree}`, from which programs and libraries are run")
    } else if let Some(name) = later::within(&clean) {
        format!("`{text}` holds `{name}`, which runs code later and outside of the sandbox")
    } else if is_home(&clean) {
        format!("`{text}` is a home: its dotfiles run code at the next login")
    } else {
        return None;
    };
    Some(Finding {
        code: "write-path",
        line,
        why: what,
        mend:
            "let the agent write to a directory of its own, such as `./workspace`, or name it under `review`"
                .into(),
        severity: Severity::Warning,
    })
}

fn is_home(path: &Path) -> bool {
    path == Path::new("/root") || (path.starts_with("/home") && path.components().count() <= 3)
}

/// On the search path of programs or of the loader, or read by init.
const SEARCHED: &[&str] = &[
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/opt/bin",
    "/etc",
];
