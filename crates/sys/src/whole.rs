//! Files that are replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces a file of which only the caller knows, whole: whoever reads it, and whatever is left after a crash, has the old one
/// or the new one. Where a link stood, the file stands in its place: what it led to is left alone, and so is whatever stands in
/// the way beside it.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let (mut file, fresh) = beside(parent, &name, mode)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written?;
    File::open(parent)?.sync_all()
}

/// The same for a file that somebody names: what is no file stays. `/dev/stdout` is a link, and must remain one.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            Err(io::Error::other("a link, or another thing that is no file, stands there"))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => replace(path, bytes, mode),
    }
}

/// A new file: one that is there, or a link, is never opened.
fn beside(parent: &Path, name: &str, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut number = 0u32;
    loop {
        let fresh = parent.join(format!(".{name}.{}.{number}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MOST => number += 1,
            made => return made.map(|file| (file, fresh)),
        }
    }
}

/// Names that may be taken.
const MOST: u32 = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_link_leads_it_elsewhere() {
        let place = std::env::temp_dir().join(format!("claw-whole-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        let (victim, file) = (place.join("victim"), place.join("file"));
        fs::write(&victim, "precious").unwrap();
        // the attack: links where the file is to be, and where it is written first
        symlink(&victim, &file).unwrap();
        symlink(&victim, place.join(format!(".file.{}.0", std::process::id()))).unwrap();
        assert!(replace_file(&file, b"old", 0o600).is_err());
        assert!(file.is_symlink());
        replace(&file, b"old", 0o600).unwrap();
        replace_file(&file, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let made = file.symlink_metadata().unwrap();
        assert!(made.is_file() && made.permissions().mode() & 0o777 == 0o600);
        // and nothing is left beside it
        assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
        fs::remove_dir_all(&place).unwrap();
    }
}
