//! This machine's package indexes, as pip, npm and cargo are configured here.

use std::fs;
use std::path::PathBuf;

use claw_footprint::indexes::Indexes;

use crate::environment;

/// What the configuration of this user and machine names. What cannot be read names nothing.
pub(super) fn of_this_machine() -> Indexes {
    let mut indexes = Indexes::default();
    let Ok(host) = environment::host() else { return indexes };
    for (name, value) in &host.environment {
        indexes.variable(name, value);
    }
    let variable = |name: &str| host.environment.get(name).map(PathBuf::from);
    let home = &host.home;
    let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let pip = [
        variable("PIP_CONFIG_FILE"),
        variable("VIRTUAL_ENV").map(|environment| environment.join("pip.conf")),
        Some(config.join("pip/pip.conf")),
        Some(home.join(".pip/pip.conf")),
        Some("/etc/pip.conf".into()),
        Some("/etc/xdg/pip/pip.conf".into()),
    ];
    let npm = [
        variable("NPM_CONFIG_USERCONFIG"),
        Some(host.directory.join(".npmrc")),
        Some(home.join(".npmrc")),
        Some("/etc/npmrc".into()),
        Some("/usr/etc/npmrc".into()),
        Some("/usr/local/etc/npmrc".into()),
    ];
    let cargo_home = variable("CARGO_HOME").unwrap_or_else(|| home.join(".cargo"));
    let cargo = [
        Some(host.directory.join(".cargo/config.toml")),
        Some(cargo_home.join("config.toml")),
        Some(cargo_home.join("config")),
    ];
    let texts = |files: Vec<Option<PathBuf>>| {
        files.into_iter().flatten().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>()
    };
    texts(pip.into()).iter().for_each(|text| indexes.pip_conf(text));
    texts(npm.into()).iter().for_each(|text| indexes.npmrc(text));
    texts(cargo.into()).iter().for_each(|text| indexes.cargo_config(text));
    indexes
}
