//! Files that bring the firewall back after a start of the machine. They are written, and never enabled.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_host::zones::Zones;

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`")]
pub struct PersistError {
    /// The file.
    pub path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the zones file, the rules as nft(8) reads them, and a unit that applies the zones before the network is up.
pub fn persist(
    zones: &Zones,
    text: &str,
    directory: &Path,
    program: &Path,
) -> Result<Vec<PathBuf>, PersistError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| PersistError { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(fail(directory))?;
    let directory = fs::canonicalize(directory).map_err(fail(directory))?;
    let file = directory.join("claw-firewall.yaml");
    let unit = unit(program, &file).map_err(fail(&file))?;
    let rules = zones.ruleset(&[]).text();
    let files = [
        (file, text),
        (directory.join("claw-firewall.nft"), rules.as_str()),
        (directory.join("claw-firewall.service"), unit.as_str()),
    ];
    for (path, content) in &files {
        replace(path, content).map_err(fail(path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// systemd.service(5). Nothing is confirmed at a start of the machine: the rules were, before they were made permanent.
fn unit(program: &Path, zones: &Path) -> io::Result<String> {
    let (program, zones) = (word(program)?, word(zones)?);
    Ok(format!(
        "[Unit]
Description=Host firewall of claw
Documentation=man:claw-host-firewall(1)
DefaultDependencies=no
Before=network-pre.target shutdown.target
Wants=network-pre.target
After=local-fs.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} host firewall --zones {zones} --apply --confirm-within 0 --no-keep
ExecReload={program} host firewall --zones {zones} --apply --confirm-within 0
CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
RestrictAddressFamilies=AF_NETLINK AF_UNIX
MemoryDenyWriteExecute=yes

[Install]
WantedBy=sysinit.target
"
    ))
}

/// A path that needs no quoting in a unit.
fn word(path: &Path) -> io::Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '@');
    path.to_str()
        .filter(|text| text.starts_with('/') && text.chars().all(plain))
        .ok_or_else(|| io::Error::other("its path holds characters that a unit file does not take plainly"))
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
