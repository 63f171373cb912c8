//! The environment is read here and nowhere else.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use claw_commits::repo::Surroundings;
use claw_run::Host;

/// Where things are for this user (XDG Base Directory Specification).
pub(crate) fn host() -> std::io::Result<Host> {
    let directory = env::current_dir()?;
    let text = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home =
        text("HOME").filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/nonexistent"));
    let base = |name: &str, below: &str| {
        text(name).filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(below)).join("claw")
    };
    let environment: BTreeMap<String, String> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Host {
        state: base("XDG_STATE_HOME", ".local/state"),
        config: base("XDG_CONFIG_HOME", ".config"),
        directory,
        home,
        environment,
    })
}

/// Whether colour is unwanted (no-color.org).
pub(crate) fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The connection that a remote shell came in by, as sshd tells it (ssh(1)).
pub(crate) fn ssh_connection() -> Option<String> {
    env::var("SSH_CONNECTION").ok()
}

/// Where git says that its repository is, in a hook: objects that are not taken yet lie in quarantine.
pub(crate) fn git() -> Surroundings {
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let alternates = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
    Surroundings {
        git_dir: path("GIT_DIR"),
        objects: path("GIT_OBJECT_DIRECTORY"),
        alternates: env::split_paths(&alternates).filter(|path| !path.as_os_str().is_empty()).collect(),
        worktree: path("GIT_WORK_TREE"),
        namespace: env::var_os("GIT_NAMESPACE").filter(|value| !value.is_empty()),
    }
}
