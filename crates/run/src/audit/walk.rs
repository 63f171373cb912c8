//! Looks for files with unusual rights in the whole tree: the system's own places and all others in turns, each from what lies
//! least deep.
//!
//! Links are not followed. Other file systems below are walked too, but for those that are no files (`proc` and its like) and
//! those that another program or machine answers for. Whatever could not be looked at is told, and so is the bound.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, DirEntry};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use claw_host::facts::{Kind, Node, Walk};
use claw_host::mounts::mounts;
use claw_host::{Read, Wanted};
use claw_sys::file;

use super::root::{Root, node};

/// Walks the tree, from the places that are wanted first.
pub(super) fn walk(root: &Root, wanted: &Wanted) -> Walk {
    let mut walker = Walker {
        root,
        places: wanted.walk,
        most: wanted.entries,
        begun: Instant::now(),
        home: 0,
        queue: VecDeque::new(),
        first: VecDeque::new(),
        others: true,
        seen: HashSet::new(),
        remote: remote(root),
        found: Walk { places: "the whole tree".to_owned(), ..Walk::default() },
    };
    walker.all();
    walker.found
}

struct Walker<'a> {
    root: &'a Root,
    places: &'a [&'a str],
    most: usize,
    begun: Instant,
    /// The file system of `/`, which is walked whatever it is.
    home: u64,
    /// Directories that are still to be read, and the file system that they were found on.
    queue: VecDeque<(PathBuf, u64)>,
    /// The same of the system's own places, which have a turn of their own: what others put elsewhere does not push them out.
    first: VecDeque<(PathBuf, u64)>,
    /// Whose turn was the last.
    others: bool,
    /// Device and inode of directories that were read: a bind mount shows no new files.
    seen: HashSet<(u64, u64)>,
    /// Mounts that could keep this program waiting if they were only looked at.
    remote: BTreeMap<PathBuf, String>,
    found: Walk,
}

impl Walker<'_> {
    fn all(&mut self) {
        match self.root.directory(Path::new("/")).and_then(|directory| directory.metadata()) {
            Ok(metadata) => self.home = metadata.dev(),
            Err(error) => return self.miss(Path::new("/"), &error),
        }
        // a link such as /bin → usr/bin: what is behind it has a place of its own
        let real = |place: &&&str| !matches!(self.root.link(Path::new(place)), Read::Known(_));
        for place in self.places.iter().filter(real) {
            self.later(PathBuf::from(place), self.home);
        }
        self.later(PathBuf::from("/"), self.home);
        while let Some((path, parent)) = self.next() {
            if let Some(kind) = self.remote.get(&path) {
                self.told(&path, format!("{}: {kind}, not looked at", path.display()));
                continue;
            }
            match self.directory(&path, parent) {
                Ok(true) => {}
                Ok(false) => {
                    let bound = match self.found.entries >= self.most {
                        true => format!("its bound of {} files", self.most),
                        false => format!(
                            "its bound of {} ms, after {} files",
                            self.root.walk.as_millis(),
                            self.found.entries
                        ),
                    };
                    let left = self.queue.len().saturating_add(self.first.len()).saturating_add(1);
                    let bound = format!(
                        "the walk ended at {bound}, with {left} directories left, {} first",
                        path.display()
                    );
                    // first: it says most
                    if is_system(&path) || !self.first.is_empty() {
                        self.found.missed_of_system.insert(0, bound.clone());
                    }
                    self.found.missed.insert(0, bound);
                    return;
                }
                // it went away meanwhile, or never was there
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.miss(&path, &error),
            }
        }
    }

    fn miss(&mut self, path: &Path, error: &io::Error) {
        let why = match error.kind() {
            io::ErrorKind::PermissionDenied => "only root may read it".to_owned(),
            _ => error.to_string(),
        };
        self.told(path, format!("{}: {why}", path.display()));
    }

    fn told(&mut self, path: &Path, what: String) {
        if is_system(path) {
            self.found.missed_of_system.push(what.clone());
        }
        self.found.missed.push(what);
    }

    /// One of the system's, then one of the others: neither waits for the other's end.
    fn next(&mut self) -> Option<(PathBuf, u64)> {
        self.others = !self.others;
        let (now, then) = match self.others {
            true => (&mut self.queue, &mut self.first),
            false => (&mut self.first, &mut self.queue),
        };
        now.pop_front().or_else(|| then.pop_front())
    }

    fn later(&mut self, path: PathBuf, device: u64) {
        match is_system(&path) {
            true => self.first.push_back((path, device)),
            false => self.queue.push_back((path, device)),
        }
    }

    fn late(&self) -> bool {
        self.begun.elapsed() >= self.root.walk
    }

    /// Reads one directory; `false` at the bound.
    fn directory(&mut self, path: &Path, parent: u64) -> io::Result<bool> {
        let directory = self.root.directory(path)?;
        let metadata = directory.metadata()?;
        let device = metadata.dev();
        if device != parent {
            match system(file::system(directory.as_fd())?) {
                System::Local => {}
                System::NoFiles => return Ok(true),
                System::Remote(kind) => {
                    self.told(path, format!("{}: {kind}, not looked at", path.display()));
                    return Ok(true);
                }
            }
        }
        if !self.seen.insert((device, metadata.ino())) {
            return Ok(true);
        }
        // empty directories take their time too
        if self.late() {
            return Ok(false);
        }
        for entry in fs::read_dir(directory.path())? {
            let entry = entry?;
            let late = self.found.entries.is_multiple_of(EVERY) && self.late();
            if late || self.found.entries >= self.most {
                return Ok(false);
            }
            self.found.entries = self.found.entries.saturating_add(1);
            let below = path.join(entry.file_name());
            match self.entry(&entry, &below, device) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.miss(&below, &error),
                Ok(()) => {}
            }
        }
        Ok(true)
    }

    fn entry(&mut self, entry: &DirEntry, path: &Path, device: u64) -> io::Result<()> {
        let kind = entry.file_type()?;
        if kind.is_dir() && self.remote.contains_key(path) {
            // told when its turn comes
            self.later(path.to_owned(), device);
        } else if kind.is_dir() || kind.is_file() {
            // not followed: a link is what it is
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                self.later(path.to_owned(), device);
            }
            judge(&mut self.found, &entry.path(), path, &node(&metadata))?;
        }
        Ok(())
    }
}

/// What kind of file system a directory is the root of.
enum System {
    /// Its files are this machine's.
    Local,
    /// The kernel's own tables, shown as files.
    NoFiles,
    /// Another machine, or a program of somebody's, answers for it.
    Remote(&'static str),
}

/// By the numbers of statfs(2) and include/uapi/linux/magic.h.
fn system(number: u64) -> System {
    const NO_FILES: &[u64] = &[
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x1cd1,      // devpts
        0x7363_6673, // securityfs
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0xcafe_4a11, // bpf
        0x6165_676c, // pstore
        0xde5e_81e4, // efivarfs
        0x6265_6570, // configfs
        0xf97c_ff8c, // selinuxfs
        0x1980_0202, // mqueue
        0x6e73_6673, // nsfs
        0x4249_4e4d, // binfmt_misc
        0x6759_6969, // rpc_pipefs
        0x6573_5543, // fusectl
    ];
    const REMOTE: &[(u64, &str)] = &[
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x517b, "SMB"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x0102_1997, "9P"),
        (0x6573_5546, "FUSE"),
        (0x0187, "autofs"),
    ];
    match REMOTE.iter().find(|(one, _)| *one == number) {
        Some((_, name)) => System::Remote(name),
        None if NO_FILES.contains(&number) => System::NoFiles,
        None => System::Local,
    }
}

/// Mounts of other machines and programs, by place: even stat(2) of one that is gone would wait. A tree has no mounts to read.
fn remote(root: &Root) -> BTreeMap<PathBuf, String> {
    const KINDS: &[&str] =
        &["nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "coda", "9p", "virtiofs", "fuse", "autofs"];
    if !root.is_live() {
        return BTreeMap::new();
    }
    let text = root.text(Path::new("/proc/thread-self/mountinfo"));
    let mut places = BTreeMap::new();
    for mount in mounts(text.known().map_or("", String::as_str)) {
        let place = PathBuf::from(&mount.place);
        // a later mount hides an earlier one; `/` is walked whatever it is
        if place != Path::new("/") && (KINDS.contains(&mount.kind) || mount.kind.starts_with("fuse.")) {
            places.insert(place, mount.kind.to_owned());
        } else {
            places.remove(&place);
        }
    }
    places
}

fn judge(walk: &mut Walk, real: &Path, path: &Path, node: &Node) -> io::Result<()> {
    let shown = || path.to_string_lossy().into_owned();
    match node.kind {
        Kind::Directory if node.open() && node.mode & 0o1000 == 0 => walk.open_directories.push(shown()),
        Kind::File => {
            if node.mode & 0o4000 != 0 {
                walk.setuid.push((shown(), node.clone()));
            }
            if node.mode & 0o2000 != 0 && node.mode & 0o010 != 0 {
                walk.setgid.push((shown(), node.clone()));
            }
            if node.open() && is_system(path) {
                walk.open_files.push(shown());
            }
            if node.mode & 0o111 != 0
                && let Some(set) = file::capabilities(real)?
            {
                walk.capable.push((shown(), set));
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|place| path.starts_with(place))
}

/// Where files are the system's.
const SYSTEM: &[&str] =
    &["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/usr"];

/// How often the time is asked for, in entries.
const EVERY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use claw_host::WANTED;
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("claw-walk-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).unwrap();
    }

    #[test]
    fn nothing_lies_too_deep_or_beside_the_way() {
        let tree = scratch("deep");
        let deep = format!("/usr/share{}/x", "/d".repeat(100));
        let places =
            ["/x", "/boot/x", "/mnt/a/x", "/run/x", "/usr/games/x", "/var/spool/a/x", "/var/www/x", &deep];
        for place in places {
            program(&tree.join(place.trim_start_matches('/')));
        }
        let found = walk(&Root::tree(&tree).unwrap(), &WANTED);
        let mut paths: Vec<&str> = found.setuid.iter().map(|(path, _)| path.as_str()).collect();
        paths.sort_unstable();
        let mut expect = places.to_vec();
        expect.sort_unstable();
        assert_eq!(paths, expect);
        assert_eq!(found.missed, Vec::<String>::new());
        fs::remove_dir_all(tree).unwrap();
    }

    #[test]
    fn a_bound_that_is_reached_is_told() {
        let tree = scratch("bound");
        for number in 0..50 {
            program(&tree.join(format!("srv/{number}/x")));
        }
        let found = walk(&Root::tree(&tree).unwrap(), &Wanted { entries: 60, ..WANTED });
        assert_eq!(found.entries, 60);
        for number in 0..10 {
            program(&tree.join(format!("usr/share/{number}/x")));
        }
        let found = walk(&Root::tree(&tree).unwrap(), &Wanted { entries: 110, ..WANTED });
        let own = found.setuid.iter().filter(|(path, _)| path.starts_with("/usr")).count();
        assert_eq!(
            (own, found.missed_of_system.len(), found.missed.len()),
            (10, 0, 1),
            "the system was pushed out"
        );
        let found = walk(&Root::tree(&tree).unwrap(), &Wanted { entries: 62, ..WANTED });
        assert_eq!(found.missed_of_system.len(), 1);
        let late = walk(&Root::tree(&tree).unwrap().walking(Duration::ZERO), &WANTED);
        assert_eq!((late.entries, late.setuid.len()), (0, 0));
        assert!(late.missed[0].starts_with("the walk ended at its bound of 0 ms"), "{:?}", late.missed);
        assert!(
            found.missed[0].starts_with("the walk ended at its bound of 62 files, with"),
            "{:?}",
            found.missed
        );
        fs::remove_dir_all(tree).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_told() {
        let tree = scratch("long");
        // deeper than a path may be long
        let name = "d".repeat(250);
        let mut place = tree.clone();
        for _ in 0..15 {
            place.push(&name);
        }
        fs::create_dir_all(&place).unwrap();
        let made = std::process::Command::new("mkdir")
            .args(["-p", &format!("{name}/{name}")])
            .current_dir(&place)
            .status();
        assert!(made.unwrap().success());
        let found = walk(&Root::tree(&tree).unwrap(), &WANTED);
        assert!(
            found.missed.iter().any(|why| why.ends_with("File name too long (os error 36)")),
            "{:?}",
            found.missed
        );
        assert!(std::process::Command::new("rm").arg("-rf").arg(&tree).status().unwrap().success());
    }

    #[test]
    fn tables_of_the_kernel_are_no_files_and_other_machines_are_named() {
        let open = |path: &str| file::system(File::open(path).unwrap().as_fd()).unwrap();
        assert!(matches!(system(open("/proc")), System::NoFiles));
        assert!(matches!(system(open("/sys")), System::NoFiles));
        assert!(matches!(system(open("/dev/shm")), System::Local));
        assert!(matches!(system(0x6969), System::Remote("NFS")));
        assert!(matches!(system(0x6573_5546), System::Remote("FUSE")));
    }
}
