//! The file tree inside: a small root in memory, and on it only what the plan lists.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_plan::Step;
use claw_sys::mount::{self, Attributes, Last, Reach};
use claw_sys::{process, terminal};

use crate::veil::Veil;
use crate::walls::{self, Wall};
use crate::words::{Failure, Step as _};

/// What comes out of making the tree.
pub(crate) struct Made {
    /// The `/proc` of the sandbox, for the supervisor.
    pub(crate) processes: OwnedFd,
    /// Standard input anew, if it is a file of the host: through a mount on which nothing about it can be changed.
    pub(crate) input: Option<OwnedFd>,
}

/// Makes the tree and moves into it. [`leave`] lets the host's go.
/// With `listed` only the files of [`Step::Listed`] can be executed or mapped as code: every mount but theirs is `noexec`
/// (mount_setattr(2)), which execve(2) and mmap(2) honour on the very file that they use.
/// `veil` is asked for at the end, where user 0 is inside.
pub(crate) fn make(
    steps: &[Step],
    listed: bool,
    veil: impl FnOnce() -> Result<Veil, Failure>,
) -> Result<Made, Failure> {
    mount::make_private().step(|| "make mounts private".to_owned())?;
    // order: name every source first; the new root will cover one directory of the host
    let mut tree = Tree::start(steps, listed)?;
    for step in steps {
        tree.apply(step)?;
    }
    if process::identity().0 == 0 {
        tree.veil(veil()?).step(|| "cover what of `/proc` is for user 0 alone".to_owned())?;
    }
    // order: descriptors are looked up in the host's /proc
    let input = input(listed).step(|| "show standard input".to_owned())?;
    Ok(Made { processes: tree.finish()?, input })
}

/// A file that is only read can still be given another mode, other times and attributes through its descriptor.
fn input(listed: bool) -> io::Result<Option<OwnedFd>> {
    let Ok(about) = Path::new("/proc/self/fd/0").metadata() else { return Ok(None) };
    if !about.is_file() || !process::is_read_only(0) {
        return Ok(None);
    }
    if about.nlink() == 0 {
        return match listed {
            true => Err(io::Error::other(
                "it is a deleted file, which could be mapped as code: put a pipe between",
            )),
            // nobody finds it by a name: what happens to it stays here
            false => Ok(None),
        };
    }
    let at = File::from(process::copy(0)?).stream_position()?;
    let quiet = QUIET.and(Attributes::READ_ONLY).and(Attributes::NO_EXEC);
    // order: by its name, since the descriptor's own mount is of another namespace; and confirmed to be the same file
    let place = mount::place(&std::fs::read_link("/proc/self/fd/0")?)?;
    let there = Path::new(&link_to(&place)).metadata()?;
    if (there.dev(), there.ino()) != (about.dev(), about.ino()) {
        return Err(io::Error::other("it is not the file of that name any more: put a pipe between"));
    }
    let shown = mount::clone_tree(Path::new(&link_to(&place)))?;
    mount::restrict(shown.as_fd(), quiet, Reach::One)?;
    let mut file = match File::open(link_to(&shown)) {
        Ok(file) => file,
        // somebody else opened it for this user, who may neither read nor change it otherwise
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && !listed
                && about.uid() != process::identity().0 =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(at))?;
    Ok(Some(file.into()))
}

/// The last step: nothing of the host can be found any more.
pub(crate) fn leave() -> Result<(), Failure> {
    mount::leave().step(|| "let the host's tree go".to_owned())
}

struct Tree {
    root: OwnedFd,
    directory: OwnedFd,
    sources: HashMap<PathBuf, OwnedFd>,
    empty: OwnedFd,
    processes: Option<OwnedFd>,
    mounts: Vec<PathBuf>,
    texts: u32,
    /// What every mount has that holds files.
    quiet: Attributes,
    /// Bytes of single files that were copied.
    copied: usize,
    /// Where copies of listed files are.
    copies: Option<OwnedFd>,
    /// The first mask that was laid over a file.
    mask: Option<OwnedFd>,
}

impl Tree {
    fn start(steps: &[Step], listed: bool) -> Result<Tree, Failure> {
        let quiet = if listed { QUIET.and(Attributes::NO_EXEC) } else { QUIET };
        let mut sources = HashMap::new();
        for step in steps {
            let needed: &[&PathBuf] = match step {
                Step::Show { source, .. }
                | Step::File { source, .. }
                | Step::Writable { source, .. }
                | Step::Root { source }
                | Step::Listed { target: source, .. } => &[source],
                Step::Review { source, upper, work, .. } => &[source, upper, work],
                _ => &[],
            };
            for source in needed {
                let place = mount::place_exactly(source).step(|| format!("open `{}`", source.display()))?;
                sources.insert((*source).clone(), place);
            }
        }
        for device in DEVICES {
            let path = Path::new("/dev").join(device);
            let place = mount::place(&path).step(|| format!("open `{}`", path.display()))?;
            sources.insert(path, place);
        }
        let memory = mount::create(c"tmpfs", &[("mode", "0755"), ("size", "16m")], quiet)
            .step(|| "make the root directory".to_owned())?;
        let image = steps.iter().find_map(|step| match step {
            Step::Root { source } => sources.get(source),
            _ => None,
        });
        let mut directory = attach_somewhere(&memory)?;
        let mut root = memory;
        // an overlay wants a second layer; the directory below the mount of /proc is empty and stays for the run
        let mut empty = "proc";
        let mut layers = None;
        if let Some(image) = image {
            root = over(image, &directory, quiet)?;
            let below = std::mem::replace(&mut directory, attach_somewhere(&root)?);
            (empty, layers) = ("empty", Some(below));
        }
        for name in ["proc", "dev", "tmp"] {
            match mount::make_directory(directory.as_fd(), Path::new(name), 0o755) {
                Err(error) if image.is_some() && error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.step(|| format!("make `/{name}`"))?,
            }
        }
        let empty =
            mount::resolve(layers.as_ref().unwrap_or(&directory).as_fd(), Path::new(empty), Last::Stay)
                .step(|| "open the empty layer".to_owned())?;
        let mounts = mount::points().step(|| "list the host's mounts".to_owned())?;
        Ok(Tree {
            root,
            directory,
            sources,
            empty,
            processes: None,
            mounts,
            texts: 0,
            quiet,
            copied: 0,
            copies: None,
            mask: None,
        })
    }

    fn apply(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Show { source, target } => {
                let place = self.source(source).and_then(OwnedFd::try_clone);
                let place = place.step(|| format!("open `{}`", source.display()))?;
                self.show(source, target, &place, 0)
            }
            Step::File { source, target } => {
                let place = self.source(source).and_then(OwnedFd::try_clone);
                let place = place.step(|| format!("open `{}`", source.display()))?;
                self.file(&place, target).step(|| format!("show `{}`", target.display()))
            }
            Step::Writable { source, target } => {
                let shape = if source.is_dir() { Shape::Directory } else { Shape::File };
                let tree = self.bind(source, self.quiet)?;
                self.mount(&tree, target, shape)
            }
            Step::Review { source, target, upper, work } => self.review(source, target, upper, work),
            // it was made first
            Step::Root { .. } => Ok(()),
            Step::Private { target, .. } if !walls::stands(Wall::Private) && target.is_dir() => {
                let open = mount::place(target).and_then(|place| bind(&place, self.quiet));
                self.mount(&open.step(|| format!("show `{}`", target.display()))?, target, Shape::Directory)
            }
            Step::Private { target, mode } => {
                let mode = format!("{mode:o}");
                let private = mount::create(c"tmpfs", &[("mode", &mode)], self.quiet)
                    .step(|| format!("make a private `{}`", target.display()))?;
                self.mount(&private, target, Shape::Directory)
            }
            Step::Link { target, text } => self.apply_link(target, text),
            Step::Text { target, content } => {
                self.text(target, content.as_bytes(), 0).step(|| format!("write `{}`", target.display()))
            }
            Step::Bytes { target, content } => {
                let bytes =
                    digits(content).step(|| format!("read what `{}` is to hold", target.display()))?;
                self.text(target, &bytes, 0).step(|| format!("write `{}`", target.display()))
            }
            Step::Devices => self.devices().step(|| "make `/dev`".to_owned()),
            Step::Processes => self.processes().step(|| "mount `/proc`".to_owned()).map_err(|failure| {
                failure.hint(
                    "inside a container, /proc must not be masked: run with an unmasked /proc or on the host",
                )
            }),
            Step::Listed { target, digest } => self.listed(target, digest),
            Step::Mask { target } => self.mask(target).step(|| format!("mask `{}`", target.display())),
        }
    }

    /// Seals the root and moves in.
    fn finish(self) -> Result<OwnedFd, Failure> {
        if let Some(copies) = &self.copies {
            mount::restrict(copies.as_fd(), Attributes::READ_ONLY, Reach::One)
                .step(|| "make the listed executables read-only".to_owned())?;
        }
        mount::restrict(self.root.as_fd(), Attributes::READ_ONLY, Reach::One)
            .step(|| "make the root read-only".to_owned())?;
        mount::pivot(self.directory.as_fd()).step(|| "move into the new root".to_owned())?;
        self.processes.ok_or_else(|| Failure::new("finish the tree", "the plan mounts no /proc"))
    }

    /// A directory as an overlay; one with mounts below it, which a user namespace may not look under, entry by entry
    /// down to those mounts. They are shown by steps of their own.
    fn show(&self, source: &Path, target: &Path, place: &OwnedFd, depth: u32) -> Result<(), Failure> {
        let step = || format!("show `{}`", source.display());
        let held = Path::new(&link_to(place)).metadata().step(step)?;
        if held.is_file() {
            let file = bind(place, self.quiet.and(Attributes::READ_ONLY)).step(step)?;
            return self.mount(&file, target, Shape::File);
        }
        if !held.is_dir() {
            return Ok(());
        }
        if !self.mounts.iter().any(|mount| mount != source && mount.starts_with(source)) {
            if !walls::stands(Wall::Tree) {
                let open = bind(place, self.quiet).step(step)?;
                return self.mount(&open, target, Shape::Directory);
            }
            let shown = self.overlay(place).step(step).map_err(|failure| {
                failure.hint("host directories are shown through overlayfs, which needs Linux 5.11 in a user namespace and a file system that it can stack on")
            })?;
            return self.mount(&shown, target, Shape::Directory);
        }
        if depth > 32 {
            return Err(Failure::new(step(), "mounts lie too deep below it"));
        }
        self.place(target, Shape::Directory).step(step)?;
        for entry in std::fs::read_dir(link_to(place)).step(step)?.take(MOST_ENTRIES) {
            let entry = entry.step(step)?;
            let (below, onto) = (source.join(entry.file_name()), target.join(entry.file_name()));
            if entry.file_type().step(step)?.is_symlink() {
                let text = std::fs::read_link(entry.path()).step(step)?;
                self.apply_link(&onto, &text)?;
            } else if !self.mounts.contains(&below)
                && let Ok(place) = mount::place(&entry.path())
            {
                self.show(&below, &onto, &place, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    /// A directory of the host below one that takes what is written (overlayfs, the form for user namespaces: `userxattr`,
    /// Linux 5.11). Whole directories of the host are not renamed but copied, so that every change stands under its own name.
    fn review(&self, source: &Path, target: &Path, upper: &Path, work: &Path) -> Result<(), Failure> {
        let step = || format!("lay an overlay over `{}`", source.display());
        let hint = format!(
            "overlayfs in a user namespace needs Linux 5.11, a file system below that it can stack on, and one for `{}` with user extended attributes that is no overlay itself: put XDG_STATE_HOME on ext4, xfs, btrfs or tmpfs (Linux 6.6)",
            upper.display()
        );
        let of = |path: &Path| self.source(path).map(link_to).step(step);
        let (lower, upper, work) = (of(source)?, of(upper)?, of(work)?);
        let options = [
            ("lowerdir", lower.as_str()),
            ("upperdir", &upper),
            ("workdir", &work),
            ("userxattr", ""),
            ("redirect_dir", "nofollow"),
            ("metacopy", "off"),
            ("index", "off"),
        ];
        let tree = mount::create(c"overlay", &options, self.quiet);
        let tree = tree.step(step).map_err(|failure| failure.hint(&hint))?;
        // where it cannot prepare writes, the kernel mounts it read-only and says nothing
        if mount::is_read_only(tree.as_fd()).step(step)? {
            return Err(Failure::new(step(), "the kernel made it read-only").hint(&hint));
        }
        self.mount(&tree, target, Shape::Directory)
    }

    /// A single file. A small one is copied: on the host's own inode the agent could hold a lock. A large one, one that
    /// only others may read, or one for which there is no room, is bound.
    fn file(&mut self, source: &OwnedFd, target: &Path) -> io::Result<()> {
        let small = |file: &File| file.metadata().is_ok_and(|about| about.is_file() && about.len() <= SMALL);
        if let Ok(file) = File::open(link_to(source))
            && small(&file)
            && self.copied < MOST_COPIED
            && self.copy(file, target).is_ok()
        {
            return Ok(());
        }
        self.cover(source, target)
    }

    /// Shows a file in the place of the target.
    fn cover(&self, source: &OwnedFd, target: &Path) -> io::Result<()> {
        let shown = bind(source, self.quiet.and(Attributes::READ_ONLY))?;
        let place = self.place(target, Shape::File)?;
        mount::attach(shown.as_fd(), place.as_fd(), Path::new(""))
    }

    /// A copy with the same permissions to read and execute: on the private root where the target is there and nothing stands
    /// yet, and shown in its place elsewhere.
    fn copy(&mut self, file: File, target: &Path) -> io::Result<()> {
        let about = file.metadata()?;
        let mode = about.permissions().mode() & 0o555;
        self.copied = self.copied.saturating_add(usize::try_from(about.len()).unwrap_or(usize::MAX));
        let mut content = file.take(SMALL);
        let mut filled = |copy: OwnedFd| io::copy(&mut content, &mut File::from(copy)).map(drop);
        let (parent, name) = self.parent(target)?;
        let device = |place: &OwnedFd| Path::new(&link_to(place)).metadata().map(|about| about.dev());
        if device(&parent)? == device(&self.directory)?
            && let Ok(copy) = mount::make_file(parent.as_fd(), &name, mode)
        {
            return filled(copy);
        }
        self.texts = self.texts.saturating_add(1);
        let name = format!(".text{}", self.texts);
        let copy = mount::make_file(self.directory.as_fd(), Path::new(&name), mode)?;
        filled(copy)?;
        let copy = mount::resolve(self.directory.as_fd(), Path::new(&name), Last::Stay)?;
        self.cover(&copy, target)
    }

    /// A copy of what the list means, made and then summed up: what is executed is what was compared, whatever becomes of
    /// the file outside.
    fn listed(&mut self, target: &Path, digest: &Digest) -> Result<(), Failure> {
        let step = || format!("copy the listed executable `{}`", target.display());
        let source = self.source(target).step(step)?;
        let mut source = File::open(link_to(source)).step(step)?;
        if self.copies.is_none() {
            let copies = mount::create(c"tmpfs", &[("mode", "0755")], QUIET).step(step)?;
            let place = self.place(Path::new(COPIES), Shape::Directory).step(step)?;
            mount::attach(copies.as_fd(), place.as_fd(), Path::new("")).step(step)?;
            self.copies = Some(copies);
        }
        let copies =
            mount::resolve(self.directory.as_fd(), Path::new(COPIES.trim_start_matches('/')), Last::Stay);
        let copies = copies.step(step)?;
        self.texts = self.texts.saturating_add(1);
        let name = format!("{}", self.texts);
        let copy = mount::make_file(copies.as_fd(), Path::new(&name), 0o555).step(step)?;
        io::copy(&mut source, &mut File::from(copy)).step(step)?;
        let copy = mount::resolve(copies.as_fd(), Path::new(&name), Last::Stay).step(step)?;
        let found = Digest::of_reader(&mut File::open(link_to(&copy)).step(step)?).step(step)?;
        if found != *digest {
            return Err(Failure::new(step(), format!("it has the digest {found}, not {digest}")));
        }
        let copy = bind(&copy, QUIET.and(Attributes::READ_ONLY)).step(step)?;
        self.mount(&copy, target, Shape::File)
    }

    fn apply_link(&self, target: &Path, text: &Path) -> Result<(), Failure> {
        let (parent, name) = self.parent(target).step(|| format!("link `{}`", target.display()))?;
        match mount::make_link(parent.as_fd(), Path::new(&name), text) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.step(|| format!("link `{}`", target.display())),
        }
    }

    /// A read-only view in which sockets and pipes are not the host's: an overlay's special files are its own.
    fn overlay(&self, source: &OwnedFd) -> io::Result<OwnedFd> {
        let layers = format!("{}:{}", link_to(source), link_to(&self.empty));
        mount::create(c"overlay", &[("lowerdir", &layers)], self.quiet.and(Attributes::READ_ONLY))
    }

    fn bind(&self, source: &Path, attributes: Attributes) -> Result<OwnedFd, Failure> {
        self.source(source)
            .and_then(|place| bind(place, attributes))
            .step(|| format!("bind `{}`", source.display()))
    }

    fn mount(&self, mount: &OwnedFd, target: &Path, shape: Shape) -> Result<(), Failure> {
        let place = self.place(target, shape).step(|| format!("make `{}`", target.display()))?;
        mount::attach(mount.as_fd(), place.as_fd(), Path::new(""))
            .step(|| format!("mount `{}`", target.display()))
    }

    /// The target as a place inside, made if it is not there.
    fn place(&self, target: &Path, shape: Shape) -> io::Result<OwnedFd> {
        let (parent, name) = self.parent(target)?;
        let name = Path::new(&name);
        match mount::resolve(parent.as_fd(), name, Last::Stay) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match shape {
                Shape::Directory => mount::make_directory(parent.as_fd(), name, 0o755)?,
                Shape::File => drop(mount::make_file(parent.as_fd(), name, 0o444)?),
            },
            other => return other,
        }
        mount::resolve(parent.as_fd(), name, Last::Stay)
    }

    /// The directory that holds the target, made if it is not there, and the target's last name.
    fn parent(&self, target: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let name = target.file_name().ok_or_else(|| io::Error::other("path without a name"))?;
        let above = target.parent().unwrap_or(Path::new("/"));
        let mut so_far = PathBuf::new();
        let mut place = self.directory.try_clone()?;
        for part in above.components() {
            let std::path::Component::Normal(part) = part else { continue };
            so_far.push(part);
            place = match mount::resolve(self.directory.as_fd(), &so_far, Last::Follow) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    mount::make_directory(place.as_fd(), Path::new(part), 0o755)?;
                    mount::resolve(self.directory.as_fd(), &so_far, Last::Follow)?
                }
                other => other?,
            };
        }
        Ok((place, name.into()))
    }

    /// A file with that content: written where the root is ours, laid over where a host directory is shown. A link that
    /// stands there is followed, inside.
    fn text(&mut self, target: &Path, content: &[u8], depth: u32) -> io::Result<()> {
        let (parent, name) = self.parent(target)?;
        match mount::make_file(parent.as_fd(), &name, 0o644) {
            Ok(file) => return std::fs::File::from(file).write_all(content),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EROFS | libc::EEXIST)) => {}
            Err(error) => return Err(error),
        }
        let there = match mount::resolve(parent.as_fd(), &name, Last::Stay) {
            // a host directory is shown that has no such file: nothing to lay over, and nothing the host says instead
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if let Ok(link) = read_link_at(&parent, &name) {
            if depth > 8 {
                return Err(io::Error::other("too many links"));
            }
            let above = target.parent().unwrap_or(Path::new("/"));
            return self.text(&clean(&above.join(link)), content, depth.saturating_add(1));
        }
        self.texts = self.texts.saturating_add(1);
        let private = format!(".text{}", self.texts);
        let file = mount::make_file(self.directory.as_fd(), Path::new(&private), 0o444)?;
        std::fs::File::from(file).write_all(content)?;
        let file = mount::resolve(self.directory.as_fd(), Path::new(&private), Last::Stay)?;
        let file = mount::clone_tree(Path::new(&link_to(&file)))?;
        mount::restrict(file.as_fd(), self.quiet.and(Attributes::READ_ONLY), Reach::One)?;
        mount::attach(file.as_fd(), there.as_fd(), Path::new(""))
    }

    fn devices(&mut self) -> io::Result<()> {
        let place = self.place(Path::new("/dev"), Shape::Directory)?;
        let devices = mount::create(c"tmpfs", &[("mode", "0755"), ("size", "64k")], Attributes::NO_SETUID)?;
        mount::attach(devices.as_fd(), place.as_fd(), Path::new(""))?;
        for name in DEVICES {
            drop(mount::make_file(devices.as_fd(), Path::new(name), 0o444)?);
            let device = mount::clone_tree(Path::new(&link_to(self.source(&Path::new("/dev").join(name))?)))?;
            mount::attach(device.as_fd(), devices.as_fd(), Path::new(name))?;
        }
        // the terminal by name, so that ttyname(3) finds it although this /dev/pts is another
        let terminal = [0, 1, 2].into_iter().find(|number| terminal::is_terminal_number(*number));
        let name = terminal.and_then(|number| std::fs::read_link(format!("/proc/self/fd/{number}")).ok());
        if let Some(device) = name.and_then(|name| mount::clone_tree(&name).ok()) {
            drop(mount::make_file(devices.as_fd(), Path::new("console"), 0o444)?);
            mount::attach(device.as_fd(), devices.as_fd(), Path::new("console"))?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            mount::make_link(devices.as_fd(), Path::new(name), Path::new(target))?;
        }
        for name in ["pts", "shm"] {
            mount::make_directory(devices.as_fd(), Path::new(name), 0o755)?;
        }
        let sealed = Attributes::READ_ONLY.and(Attributes::NO_SETUID).and(Attributes::NO_EXEC);
        mount::restrict(devices.as_fd(), sealed, Reach::Below)?;
        let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
        let terminals = mount::create(c"devpts", &options, Attributes::NO_SETUID.and(Attributes::NO_EXEC))?;
        mount::attach(terminals.as_fd(), devices.as_fd(), Path::new("pts"))
    }

    /// Read-only as a whole: kernel settings stay out of reach even for an agent that root started.
    fn processes(&mut self) -> io::Result<()> {
        let sealed = if walls::stands(Wall::Processes) { Attributes::READ_ONLY } else { Attributes::NONE };
        let attributes = QUIET.and(Attributes::NO_EXEC).and(sealed);
        let processes = mount::create(c"proc", &[], attributes)?;
        let place = self.place(Path::new("/proc"), Shape::Directory)?;
        mount::attach(processes.as_fd(), place.as_fd(), Path::new(""))?;
        self.processes = Some(processes);
        Ok(())
    }

    /// Covers what is for user 0 alone.
    fn veil(&mut self, veil: Veil) -> io::Result<()> {
        let Some(processes) = self.processes.take() else { return Ok(()) };
        for path in veil.settle(Path::new(&link_to(&processes)))? {
            match mount::resolve(processes.as_fd(), &path, Last::Stay) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                place => self.mask_place(&place?)?,
            }
        }
        self.processes = Some(processes);
        Ok(())
    }

    fn mask(&mut self, target: &Path) -> io::Result<()> {
        let place = match mount::resolve(
            self.directory.as_fd(),
            target.strip_prefix("/").unwrap_or(target),
            Last::Stay,
        ) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        self.mask_place(&place)
    }

    fn mask_place(&mut self, place: &OwnedFd) -> io::Result<()> {
        if !Path::new(&link_to(place)).is_dir() {
            return self.mask_file(place);
        }
        let attributes = QUIET.and(Attributes::READ_ONLY).and(Attributes::NO_EXEC);
        let nothing = mount::create(c"tmpfs", &[("mode", "0000"), ("size", "4k")], attributes)?;
        mount::attach(nothing.as_fd(), place.as_fd(), Path::new(""))
    }

    /// Lays an empty file that nobody may read over a file.
    fn mask_file(&mut self, place: &OwnedFd) -> io::Result<()> {
        let mask = match &self.mask {
            // it stands somewhere already, with its attributes
            Some(mask) => mount::clone_tree(Path::new(&link_to(mask)))?,
            None => {
                self.texts = self.texts.saturating_add(1);
                let private = format!(".text{}", self.texts);
                drop(mount::make_file(self.directory.as_fd(), Path::new(&private), 0)?);
                let file = mount::resolve(self.directory.as_fd(), Path::new(&private), Last::Stay)?;
                let mask = mount::clone_tree(Path::new(&link_to(&file)))?;
                mount::restrict(
                    mask.as_fd(),
                    QUIET.and(Attributes::READ_ONLY).and(Attributes::NO_EXEC),
                    Reach::One,
                )?;
                mask
            }
        };
        mount::attach(mask.as_fd(), place.as_fd(), Path::new(""))?;
        self.mask.get_or_insert(mask);
        Ok(())
    }

    fn source(&self, path: &Path) -> io::Result<&OwnedFd> {
        self.sources.get(path).ok_or_else(|| io::Error::other("source was not opened"))
    }
}

/// An image's tree below a layer in memory, on which places for everything else are made before it is sealed.
fn over(image: &OwnedFd, memory: &OwnedFd, quiet: Attributes) -> Result<OwnedFd, Failure> {
    let step = || "lay the root over the image".to_owned();
    for name in ["upper", "work", "empty"] {
        mount::make_directory(memory.as_fd(), Path::new(name), 0o755).step(step)?;
    }
    let layer = |name: &str| mount::resolve(memory.as_fd(), Path::new(name), Last::Stay).step(step);
    let (upper, work) = (layer("upper")?, layer("work")?);
    let (lower, upper, work) = (link_to(image), link_to(&upper), link_to(&work));
    let options = [("lowerdir", lower.as_str()), ("upperdir", &upper), ("workdir", &work), ("userxattr", "")];
    let root = mount::create(c"overlay", &options, quiet).step(step).map_err(|failure| {
        failure.hint("an image as root needs overlayfs in a user namespace (Linux 5.11) on a file system that it can stack on")
    })?;
    match mount::is_read_only(root.as_fd()).step(step)? {
        true => Err(Failure::new(step(), "the kernel made it read-only")),
        false => Ok(root),
    }
}

/// A copy of what stands at the place, with what is mounted below it.
fn bind(place: &OwnedFd, attributes: Attributes) -> io::Result<OwnedFd> {
    let bound = mount::clone_tree(Path::new(&link_to(place)))?;
    mount::restrict(bound.as_fd(), attributes, Reach::Below)?;
    Ok(bound)
}

#[derive(Clone, Copy)]
enum Shape {
    Directory,
    File,
}

/// A root must stand in the host's tree before it can be built upon. Which directory it covers does not matter: every
/// source is open already, and the covering ends with the pivot.
fn attach_somewhere(root: &OwnedFd) -> Result<OwnedFd, Failure> {
    for candidate in ["/mnt", "/tmp", "/media", "/opt", "/var", "/home", "/usr"] {
        let Ok(place) = mount::place(Path::new(candidate)) else { continue };
        if mount::attach(root.as_fd(), place.as_fd(), Path::new("")).is_ok() {
            return mount::place(Path::new(candidate)).step(|| format!("open `{candidate}`"));
        }
    }
    Err(Failure::new("attach the root directory", "no directory to attach it to")
        .hint("the kernel needs the mount API of Linux 5.2 and mount_setattr of 5.12"))
}

/// A path that leads to exactly this descriptor, whatever its name holds.
fn link_to(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

fn read_link_at(parent: &OwnedFd, name: &Path) -> io::Result<PathBuf> {
    std::fs::read_link(Path::new(&link_to(parent)).join(name))
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    clean
}

/// Where the copies of listed executables are. Nothing else lies there, so it may be seen.
const COPIES: &str = "/.listed";
const QUIET: Attributes = Attributes::NO_SETUID.and(Attributes::NO_DEVICES);
/// Single files up to this many bytes are copied.
const SMALL: u64 = 1 << 20;
/// All of them together; the private root has 16 MiB.
const MOST_COPIED: usize = 6 << 20;
/// A directory with mounts below it is shown entry by entry: not more than these.
const MOST_ENTRIES: usize = 4096;
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Bytes from hexadecimal digits.
fn digits(text: &str) -> io::Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| rest.is_empty()).ok_or_else(|| io::Error::other("not hexadecimal digits"))
}
