//! Looks for files with unusual rights in bounded places: so deep, and so many entries.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use claw_host::Wanted;
use claw_host::facts::{Kind, Node, Walk};
use claw_sys::file;

use super::root::{Root, node};

/// Walks every place that is wanted; links are not followed, and other file systems below are.
pub(super) fn walk(root: &Root, wanted: &Wanted) -> Walk {
    let mut walk = Walk {
        places: wanted.walk.iter().map(|(place, _)| *place).collect::<Vec<_>>().join(" "),
        ..Walk::default()
    };
    for (place, depth) in wanted.walk {
        // a link such as /bin → usr/bin: what is behind it has a place of its own
        if matches!(root.link(Path::new(place)), claw_host::Read::Known(_)) {
            continue;
        }
        match root.directory(Path::new(place)) {
            Ok(directory) => below(&mut walk, wanted.entries, &directory.path(), place, *depth),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => walk.missed.push(format!("{place}: {error}")),
        }
    }
    walk
}

fn below(walk: &mut Walk, most: usize, real: &Path, shown: &str, depth: usize) {
    let entries = match fs::read_dir(real) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(_) => {
            walk.missed.push(format!("{shown}: only root may read it"));
            return;
        }
    };
    for entry in entries.flatten() {
        if walk.entries >= most {
            let bound = format!("the walk ended at its bound of {most} files");
            if !walk.missed.contains(&bound) {
                walk.missed.push(bound);
            }
            return;
        }
        walk.entries = walk.entries.saturating_add(1);
        // not followed: a link is what it is
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_symlink() {
            continue;
        }
        let path = format!("{shown}/{}", entry.file_name().to_string_lossy());
        judge(walk, &entry.path(), &path, &node(&metadata));
        if metadata.is_dir() && depth > 1 && metadata.ino() != 1 {
            below(walk, most, &entry.path(), &path, depth.saturating_sub(1));
        }
    }
}

fn judge(walk: &mut Walk, real: &Path, path: &str, node: &Node) {
    let system = ["/etc/", "/usr/", "/opt/", "/bin/", "/sbin/"].iter().any(|place| path.starts_with(place));
    match node.kind {
        Kind::Directory if node.open() && node.mode & 0o1000 == 0 => {
            walk.open_directories.push(path.to_owned())
        }
        Kind::File => {
            if node.mode & 0o4000 != 0 {
                walk.setuid.push((path.to_owned(), node.clone()));
            }
            if node.mode & 0o2000 != 0 && node.mode & 0o010 != 0 {
                walk.setgid.push((path.to_owned(), node.clone()));
            }
            if node.open() && system {
                walk.open_files.push(path.to_owned());
            }
            if node.mode & 0o111 != 0 && file::has_capabilities(real).unwrap_or(false) {
                walk.capable.push(path.to_owned());
            }
        }
        _ => {}
    }
}
