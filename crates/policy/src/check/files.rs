//! Findings about writable paths: what is written there may later run outside of the sandbox.

use std::path::Path;

use super::{Finding, Severity, plain};

/// The finding about one writable path, if it holds something that runs.
pub(super) fn write_path(path: &Path, line: u32) -> Option<Finding> {
    let clean = plain(path);
    let text = clean.to_string_lossy();
    let under = |tree: &&&str| {
        clean.starts_with(tree) || (clean.is_absolute() && Path::new(tree).starts_with(&clean))
    };
    let what = if let Some(tree) = SEARCHED.iter().find(under) {
        format!("`{text}` meets `{tree}`, from which programs and libraries are run")
    } else if let Some(name) = RUNS.iter().find(|name| holds(&clean, name)) {
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
        mend: "let the agent write to a directory of its own, such as `./workspace`".into(),
        severity: Severity::Warning,
    })
}

/// Whether the name, of one or more parts, stands anywhere in the path.
fn holds(path: &Path, name: &str) -> bool {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str()).collect();
    let name: Vec<_> = Path::new(name).components().map(|part| part.as_os_str()).collect();
    parts.windows(name.len()).any(|window| window == name)
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

/// Files and directories whose contents run without being asked for by name.
const RUNS: &[&str] = &[
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".login",
    ".cshrc",
    ".ssh",
    ".git",
    ".gitconfig",
    ".local/bin",
    ".local/lib",
    ".cargo/bin",
    ".cargo/config.toml",
    ".config/autostart",
    ".config/systemd",
    ".config/fish",
    ".config/git",
    ".npmrc",
    ".vimrc",
    ".emacs",
    ".vscode",
    ".idea",
    ".envrc",
    ".direnv",
    ".claude",
    ".codex",
    ".cursor",
    ".husky",
    "node_modules/.bin",
];
