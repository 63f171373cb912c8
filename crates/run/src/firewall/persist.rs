//! Files that bring the firewall back after a start of the machine. They are written, and never enabled.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use claw_host::zones::Zones;

/// Why the files are not written.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// A file could not be written.
    #[error("cannot write `{path}`")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Root would run, or believe, what somebody else may replace.
    #[error(
        "`{path}` may be changed by others than root, and root would run what stands there at each start"
    )]
    Open {
        /// The path, or a directory above what was meant.
        path: PathBuf,
    },
}

impl PersistError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PersistError::Unwritten { .. } => None,
            PersistError::Open { .. } => Some(
                "install claw as root, in a directory that only root writes, as /usr/local/bin; and name such a directory, as /etc/claw",
            ),
        }
    }
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
        move |source| PersistError::Unwritten { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(fail(directory))?;
    let directory = fs::canonicalize(directory).map_err(fail(directory))?;
    let program = &fs::canonicalize(program).map_err(fail(program))?;
    only_root_s(program)?;
    only_root_s(&directory)?;
    let file = directory.join("claw-firewall.yaml");
    let unit = unit(program, &file).map_err(fail(&file))?;
    let rules = zones.ruleset(&[]).text();
    let files = [
        (file, text),
        (directory.join("claw-firewall.nft"), rules.as_str()),
        (directory.join("claw-firewall.service"), unit.as_str()),
    ];
    for (path, content) in &files {
        claw_sys::whole::replace(path, content.as_bytes(), 0o644).map_err(fail(path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Nobody but root may change this, nor put something else in its place, anywhere above.
fn only_root_s(path: &Path) -> Result<(), PersistError> {
    for (height, one) in path.ancestors().enumerate() {
        let found = fs::symlink_metadata(one)
            .map_err(|source| PersistError::Unwritten { path: one.to_owned(), source })?;
        // in a directory with the sticky bit nobody replaces what is another's
        let sticky = height > 0 && found.is_dir() && found.mode() & 0o1000 != 0;
        if found.uid() != 0 || (found.mode() & 0o022 != 0 && !sticky) {
            return Err(PersistError::Open { path: one.to_owned() });
        }
    }
    Ok(())
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
RuntimeDirectory=claw-firewall
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
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
