//! From a policy and the host's facts to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use claw_model::phase::Phase;
use claw_policy::seccomp::CallProfile;
use claw_policy::{Exec, Policy, Seccomp, Travel};

use crate::network::Network;
use crate::tree::{CONFIGURATION, CREDENTIALS, Listing, SYSTEM, Step};
use crate::{Access, Facts, Grant, Identity, Limits, Node, Plan, packages};

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The phase it starts in.
    pub phase: Phase,
    /// Program and arguments.
    pub command: &'a [String],
    /// Whom programs inside believe, if the gate ends TLS.
    pub trust: Option<&'a Trust>,
    /// The seccomp profile that the policy names, if it is another than `standard`.
    pub calls: Option<&'a CallProfile>,
    /// The files that may be executed, if the policy lists them.
    pub executables: Option<&'a [Listing]>,
    /// Whether datagrams to every port are for the gate to take.
    pub catch_all: bool,
    /// Answers to datagrams may come back from every port.
    pub answers: bool,
    /// Hooks of Python and Node say which package opens a connection.
    pub packages: bool,
}

/// Certificates for the trust stores inside.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The certificate of the run's own authority, as PEM.
    pub authority: String,
    /// The host's bundle of certificates, as PEM.
    pub system: String,
    /// Where programs on this host look for such a bundle.
    pub places: Vec<PathBuf>,
    /// The same as a Java key store, in hexadecimal digits.
    pub java: String,
    /// Where Java on this host looks for it.
    pub java_places: Vec<PathBuf>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// More datagram ports than sockets can be held for.
    #[error("the UDP rules name {count} ports, more than the 1,024 that can be held open; name fewer ports")]
    UdpPorts {
        /// How many.
        count: usize,
    },
    /// Every candidate pool overlaps a rule.
    #[error(
        "no {family} range is left for virtual addresses: the policy's networks overlap all candidates; name smaller networks"
    )]
    NoPool {
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// A writable path that is not there.
    #[error("`filesystem.{key}` names `{path}`, which does not exist; create it or remove the line")]
    NoSuchPath {
        /// `write` or `review`.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A writable path that leads elsewhere.
    #[error("`filesystem.{key}` names `{path}`, which leads through a symbolic link; write `{real}`")]
    Elsewhere {
        /// `write` or `review`.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// A writable path that cannot be given.
    #[error("`filesystem.{key}` names `{path}`, which {why}")]
    NotWritable {
        /// `write` or `review`.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A reviewed path that cannot be laid under an overlay.
    #[error("`filesystem.review` names `{path}`, which {why}")]
    NotReviewed {
        /// The path.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A path that cannot be shown.
    #[error(
        "`filesystem.read` names `{path}`, which cannot be shown as it is; list the directories that the agent needs"
    )]
    NotShown {
        /// The path.
        path: PathBuf,
    },
    /// The facts are incomplete.
    #[error("the host's facts do not say who starts the agent")]
    NoIdentity,
    /// There is nothing to run.
    #[error("no command was given")]
    NoCommand,
}

/// The paths whose nodes the planner needs to know.
pub fn wanted(policy: &Policy, facts: &Facts) -> Vec<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = BTreeSet::from([facts.directory.clone()]);
    if let Some(files) = policy.filesystem() {
        let listed = files.read.iter().flatten().chain(&files.write).chain(&files.review);
        paths.extend(listed.map(|path| absolute(&facts.directory, path)));
    }
    if policy.filesystem().is_none_or(|files| files.read.is_none() && files.root.is_none()) {
        paths.extend(SYSTEM.iter().chain(CONFIGURATION).map(PathBuf::from));
    }
    // what is to be masked only matters below something that is shown
    let masked = CREDENTIALS.iter().map(PathBuf::from).chain(facts.state.iter().cloned());
    let visible: Vec<PathBuf> =
        masked.filter(|path| paths.iter().any(|above| path.starts_with(above))).collect();
    paths.extend(visible);
    paths.into_iter().collect()
}

/// Makes the plan.
pub fn build(inputs: Inputs<'_>, facts: &Facts) -> Result<Plan, BuildError> {
    let identity = facts.identity.ok_or(BuildError::NoIdentity)?;
    if inputs.command.is_empty() {
        return Err(BuildError::NoCommand);
    }
    let network = Network::of(inputs.policy, inputs.phase)?;
    let Inputs { catch_all, answers, packages, .. } = inputs;
    let network = Network { catch_all, answers, packages, ..network };
    let mut notes = Vec::new();
    let view = View::of(inputs.policy, facts, &mut notes)?;
    let tree = view.steps(inputs, facts, &network, identity);
    let landlock = grants(&tree, &view);
    notes.extend(inputs.calls.iter().flat_map(|calls| &calls.notes).cloned());
    let broker = inputs.policy.rules().iter().any(|rule| rule.travel() == Travel::Brokered);
    let limits = inputs.policy.process().limits;
    let mut environment = environment(inputs.policy, facts, &view.home, inputs.trust);
    if packages {
        packages::variables(&mut environment, &network);
    }
    let environment = environment.into_iter().collect();
    Ok(Plan {
        identity,
        namespaces: ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"].map(str::to_owned).to_vec(),
        host_name: "claw".to_owned(),
        network,
        tree,
        landlock,
        seccomp: inputs.calls.map_or("standard", |calls| calls.name.as_str()).to_owned(),
        calls: inputs.calls.cloned(),
        listed: inputs.executables.is_some(),
        broker,
        limits: Limits { memory: limits.memory, pids: limits.pids, cpu: limits.cpu },
        directory: view.directory.clone(),
        environment,
        command: inputs.command.to_vec(),
        notes,
    })
}

/// The paths of the host that are visible inside.
pub fn shown(policy: &Policy, facts: &Facts) -> Result<Vec<PathBuf>, BuildError> {
    let View { read, write, review, .. } = View::of(policy, facts, &mut Vec::new())?;
    Ok(read.into_iter().chain(write).chain(review).collect())
}

/// Which paths are seen, before they are put in order.
struct View {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    review: Vec<PathBuf>,
    home: PathBuf,
    directory: PathBuf,
}

impl View {
    fn of(policy: &Policy, facts: &Facts, notes: &mut Vec<String>) -> Result<View, BuildError> {
        let files = policy.filesystem();
        let listed = |path: &PathBuf| absolute(&facts.directory, path);
        let write: Vec<PathBuf> =
            files.map(|files| files.write.iter().map(listed).collect()).unwrap_or_default();
        let review: Vec<PathBuf> =
            files.map(|files| files.review.iter().map(listed).collect()).unwrap_or_default();
        let both = write.iter().map(|path| ("write", path)).chain(review.iter().map(|path| ("review", path)));
        for (key, path) in both {
            // what is compared with paths must be where it really is
            if let Some(real) = facts.resolved.get(path) {
                return Err(BuildError::Elsewhere { key, path: path.clone(), real: real.clone() });
            }
            writable(facts, key, path)?;
        }
        for path in &review {
            reviewed(facts, path)?;
        }
        let home = home(&facts.home);
        let mut read: Vec<PathBuf> = match files.and_then(|files| files.read.as_ref()) {
            Some(read) => read.iter().map(listed).flat_map(|path| really(facts, path)).collect(),
            None if facts.root.is_some() => {
                let mut read = Vec::new();
                working(facts, &home, notes, &mut read);
                read
            }
            None => {
                // a link into a system directory leads to what is shown anyway
                let system = |path: &PathBuf| SYSTEM.iter().any(|root| path.starts_with(root));
                let read = default_read(facts, &home, notes);
                let real =
                    read.iter().filter_map(|path| facts.resolved.get(path)).filter(|path| !system(path));
                let real: Vec<PathBuf> = real.cloned().collect();
                read.into_iter().chain(real).collect()
            }
        };
        if let Some(path) =
            read.iter().find(|path| ["/", "/proc", "/dev"].iter().any(|root| *path == Path::new(root)))
        {
            return Err(BuildError::NotShown { path: path.clone() });
        }
        for path in &read {
            if files.is_some_and(|files| files.read.is_some()) && *facts.node(path) == Node::Absent {
                notes.push(format!("`filesystem.read` names `{}`, which does not exist", path.display()));
            }
        }
        read.retain(|path| matches!(facts.node(path), Node::Directory | Node::File | Node::Link(_)));
        let seen = read.iter().chain(&write).chain(&review).any(|path| facts.directory.starts_with(path));
        let directory = if seen { facts.directory.clone() } else { home.clone() };
        if !seen {
            notes.push(format!(
                "the working directory `{}` is not visible inside: the agent starts in its private home `{}`",
                facts.directory.display(),
                home.display()
            ));
        }
        Ok(View { read, write, review, home, directory })
    }

    /// Everything in the order in which it must be mounted: what lies above comes first.
    fn steps(&self, inputs: Inputs<'_>, facts: &Facts, network: &Network, identity: Identity) -> Vec<Step> {
        let mut steps = vec![
            Step::Devices,
            Step::Processes,
            Step::Private { target: "/tmp".into(), mode: 0o1777 },
            Step::Private { target: "/dev/shm".into(), mode: 0o1777 },
            Step::Private { target: self.home.clone(), mode: 0o700 },
        ];
        if let Some(root) = &facts.root {
            steps.push(Step::Root { source: root.tree.clone() });
        }
        for path in &self.read {
            show(facts, path, &mut steps);
        }
        let mut pinned = named(inputs.policy, &facts.directory);
        pinned.extend(facts.policy.iter().cloned());
        for path in &self.write {
            let (source, target) = (path.clone(), path.clone());
            // the policy itself is never writable, not even where it is listed
            let pin = pinned.contains(path);
            steps.push(if pin { Step::File { source, target } } else { Step::Writable { source, target } });
        }
        for (number, path) in self.review.iter().enumerate() {
            let layer = facts.changes.join(number.to_string());
            let (upper, work) = (layer.join("upper"), layer.join("work"));
            steps.push(Step::Review { source: path.clone(), target: path.clone(), upper, work });
        }
        steps.extend(self.pins(inputs.policy, facts));
        let users = facts.root.as_ref().is_some_and(|root| root.users);
        steps.extend(generated(network, (!users).then_some(identity), &steps));
        steps.extend(inputs.trust.into_iter().flat_map(trusted));
        steps.extend(inputs.packages.then(packages::steps).into_iter().flatten());
        let listed = inputs.executables.into_iter().flatten();
        steps.extend(listed.map(|file| Step::Listed { target: file.path.clone(), digest: file.digest }));
        let visible = |path: &Path| {
            self.read.iter().chain(&self.write).chain(&self.review).any(|above| path.starts_with(above))
        };
        let masked = CREDENTIALS.iter().map(PathBuf::from).chain(facts.state.iter().cloned());
        steps.extend(
            masked
                .filter(|path| visible(path) && matches!(facts.node(path), Node::Directory | Node::File))
                .map(|target| Step::Mask { target }),
        );
        steps.sort_by_key(|step| (step.target().components().count(), matches!(step, Step::Mask { .. })));
        dedup(steps)
    }

    /// The policy file, and the files that it names, are never writable inside: they are laid over themselves
    /// read-only, and so are the directories above them over themselves, since a directory that is a mount point cannot be
    /// renamed away. In a reviewed tree a directory of the host cannot be renamed anyway (overlayfs without redirections).
    fn pins(&self, policy: &Policy, facts: &Facts) -> Vec<Step> {
        let files = facts.policy.iter().cloned().chain(named(policy, &facts.directory));
        let mut steps = Vec::new();
        for file in files {
            let listed = self.write.iter().chain(&self.review);
            let Some(above) =
                listed.filter(|path| file.starts_with(path)).max_by_key(|path| path.components().count())
            else {
                continue;
            };
            if self.review.contains(above) {
                steps.push(Step::File { source: file.clone(), target: file });
                continue;
            }
            let directories = file.ancestors().skip(1);
            let directories =
                directories.take_while(|directory| *directory != above && directory.starts_with(above));
            steps.extend(directories.map(|directory| Step::Writable {
                source: directory.to_owned(),
                target: directory.to_owned(),
            }));
            steps.push(Step::File { source: file.clone(), target: file });
        }
        steps
    }
}

/// The files that a policy names: certificates, ceilings, a seccomp profile, a list of digests.
pub fn named(policy: &Policy, directory: &Path) -> Vec<PathBuf> {
    let profile = match &policy.process().seccomp {
        Seccomp::File(path) => Some(path.as_path()),
        Seccomp::Standard | Seccomp::Nano => None,
    };
    let list = match &policy.process().exec {
        Exec::Listed(listed) => listed.file.as_deref(),
        Exec::Any => None,
    };
    let mut files = certificates(policy, directory);
    files.extend(policy.ceilings().into_iter().map(|path| absolute(directory, path)));
    files.extend(profile.into_iter().chain(list).map(|path| absolute(directory, path)));
    files.sort();
    files.dedup();
    files
}

/// The files of certificates that it names.
pub fn certificates(policy: &Policy, directory: &Path) -> Vec<PathBuf> {
    let rules = policy.rules().iter().filter_map(|rule| rule.upstream_ca());
    policy.upstream_ca().into_iter().chain(rules).map(|path| absolute(directory, path)).collect()
}

/// A listed path is shown where it really is, and a link to there is shown as well.
fn really(facts: &Facts, path: PathBuf) -> Vec<PathBuf> {
    match (facts.resolved.get(&path), facts.node(&path)) {
        (None, _) => vec![path],
        (Some(real), Node::Link(_)) => vec![path, real.clone()],
        (Some(real), _) => vec![real.clone()],
    }
}

/// The default view: system directories, the parts of `/etc` that programs need, and the working directory.
fn default_read(facts: &Facts, home: &Path, notes: &mut Vec<String>) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().chain(CONFIGURATION).map(PathBuf::from).collect();
    working(facts, home, notes, &mut read);
    read
}

/// The working directory, unless it holds more than work.
fn working(facts: &Facts, home: &Path, notes: &mut Vec<String>, read: &mut Vec<PathBuf>) {
    let directory = &facts.directory;
    if home.starts_with(directory) || facts.home.starts_with(directory) || directory == Path::new("/") {
        notes.push(format!(
            "the working directory `{}` holds the home directory, so it is not shown; list what the agent needs under `filesystem.read`",
            directory.display()
        ));
    } else if ["/proc", "/sys", "/dev", "/run", "/boot", "/etc"]
        .iter()
        .any(|root| directory.starts_with(root))
    {
        notes.push(format!(
            "the working directory `{}` belongs to the system and is not shown",
            directory.display()
        ));
    } else {
        read.push(directory.clone());
    }
}

/// Shows one path, with what is mounted below it; a link is shown as a link.
fn show(facts: &Facts, path: &Path, steps: &mut Vec<Step>) {
    match facts.node(path) {
        Node::Directory => {
            steps.push(Step::Show { source: path.to_owned(), target: path.to_owned() });
            let below = facts.mounts.iter().filter(|mount| mount.starts_with(path) && *mount != path);
            steps.extend(below.map(|mount| Step::Show { source: mount.clone(), target: mount.clone() }));
        }
        Node::File => steps.push(Step::File { source: path.to_owned(), target: path.to_owned() }),
        // what it leads to is listed by itself, or is not shown
        Node::Link(text) => steps.push(Step::Link { target: path.to_owned(), text: text.clone() }),
        Node::Special | Node::Absent => {}
    }
}

/// The files of `/etc` that must not be the host's: names resolve through the gate and nowhere else.
fn generated(network: &Network, identity: Option<Identity>, steps: &[Step]) -> Vec<Step> {
    let mut texts = vec![
        ("/etc/resolv.conf", format!("nameserver {}\noptions timeout:5 attempts:2\n", network.own4)),
        ("/etc/hosts", "127.0.0.1 localhost claw\n::1 localhost claw\n".to_owned()),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n".to_owned(),
        ),
        ("/etc/host.conf", "multi on\n".to_owned()),
    ];
    let shown = |path: &str| steps.iter().any(|step| step.target() == Path::new(path));
    if let Some(Identity { user, group }) = identity
        && !shown("/etc/passwd")
        && !shown("/etc")
    {
        texts.push(("/etc/passwd", format!("agent:x:{user}:{group}::/:/bin/sh\n")));
        texts.push(("/etc/group", format!("agent:x:{group}:\n")));
    }
    texts.into_iter().map(|(target, content)| Step::Text { target: target.into(), content }).collect()
}

/// The trust stores inside: the run's authority beside what the host trusts, in place of the host's bundles and in files
/// of their own for programs that are told by a variable.
fn trusted(trust: &Trust) -> Vec<Step> {
    let bundle = format!("{}\n{}", trust.system.trim_end(), trust.authority);
    let text =
        |target: &Path, content: &str| Step::Text { target: target.to_owned(), content: content.to_owned() };
    let own = [text(Path::new(AUTHORITY), &trust.authority), text(Path::new(BUNDLE), &bundle)];
    let java = trust.java_places.iter();
    let java = java.map(|target| Step::Bytes { target: target.clone(), content: trust.java.clone() });
    own.into_iter().chain(trust.places.iter().map(|place| text(place, &bundle))).chain(java).collect()
}

/// Variables by which programs are told of a bundle: OpenSSL, Go, Rust and Deno read the first (and Deno its own);
/// Node adds to its own; requests, curl, git, pip, cargo and the AWS SDKs have theirs.
fn trust_variables() -> impl Iterator<Item = (String, String)> {
    let bundle = [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
        "CARGO_HTTP_CAINFO",
        "DENO_CERT",
        "AWS_CA_BUNDLE",
    ];
    let bundle = bundle.into_iter().map(|name| (name, BUNDLE));
    bundle
        .chain([("NODE_EXTRA_CA_CERTS", AUTHORITY)])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Where the run's authority is found inside.
const AUTHORITY: &str = "/run/claw/ca.pem";
/// Where all that is trusted is found inside.
const BUNDLE: &str = "/run/claw/ca-bundle.pem";

/// Landlock grants follow the tree: what is shown may be read, what is private or writable may be changed.
fn grants(tree: &[Step], view: &View) -> Vec<Grant> {
    let mut grants = vec![
        Grant { path: "/".into(), access: Access::Read },
        Grant { path: "/dev".into(), access: Access::Device },
        Grant { path: "/proc".into(), access: Access::Device },
    ];
    for step in tree {
        if let Step::Private { target, .. } | Step::Writable { target, .. } | Step::Review { target, .. } =
            step
        {
            grants.push(Grant { path: target.clone(), access: Access::Write });
        }
    }
    debug_assert!(view.directory.is_absolute());
    grants
}

/// The short list, then what the policy passes and sets.
fn environment(
    policy: &Policy,
    facts: &Facts,
    home: &Path,
    trust: Option<&Trust>,
) -> BTreeMap<String, String> {
    let wanted = &policy.process().env;
    let passes = |name: &str| {
        matches!(name, "PATH" | "LANG" | "TERM" | "TZ" | "COLORTERM" | "NO_COLOR")
            || name.starts_with("LC_")
            || wanted.pass.iter().any(|pass| match pass.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => pass == name,
            })
    };
    let mut environment: BTreeMap<String, String> = facts
        .environment
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(search) = facts.root.as_ref().and_then(|root| root.search.clone()) {
        environment.insert("PATH".to_owned(), search);
    }
    environment
        .entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin".to_owned());
    environment.insert("HOME".to_owned(), home.display().to_string());
    if trust.is_some() {
        environment.extend(trust_variables());
    }
    environment.extend(wanted.set.iter().map(|(name, value)| (name.clone(), value.clone())));
    environment
}

fn writable(facts: &Facts, key: &'static str, path: &Path) -> Result<(), BuildError> {
    let refuse = |why| Err(BuildError::NotWritable { key, path: path.to_owned(), why });
    if ["/proc", "/sys", "/dev"].iter().any(|root| path.starts_with(root)) || path == Path::new("/") {
        return refuse("belongs to the system and is never writable inside");
    }
    if facts.state.iter().any(|state| path.starts_with(state) || state.starts_with(path)) {
        return refuse("holds Claw's own state; give the agent a narrower directory");
    }
    if facts.ledger.as_ref().is_some_and(|ledger| ledger.starts_with(path)) {
        return refuse(
            "holds the ledger: an agent must not be able to change it; put the ledger elsewhere with --ledger",
        );
    }
    match facts.node(path) {
        Node::Directory | Node::File => Ok(()),
        Node::Absent => Err(BuildError::NoSuchPath { key, path: path.to_owned() }),
        Node::Link(_) => refuse("is a symbolic link; name what it points to"),
        Node::Special => refuse("is a socket, a pipe or a device"),
    }
}

/// An overlay is made of one directory of one file system.
fn reviewed(facts: &Facts, path: &Path) -> Result<(), BuildError> {
    let refuse = |why| Err(BuildError::NotReviewed { path: path.to_owned(), why });
    if *facts.node(path) != Node::Directory {
        return refuse("is no directory; name the one it is in".to_owned());
    }
    match facts.mounts.iter().find(|mount| mount.starts_with(path) && *mount != path) {
        Some(mount) => refuse(format!(
            "holds the mount `{}`: an overlay shows one file system; name narrower directories",
            mount.display()
        )),
        None => Ok(()),
    }
}

/// The same path as on the host where that is a proper directory below the root, so that tools that ask the user
/// database agree.
fn home(host: &Path) -> PathBuf {
    let forbidden = ["/usr", "/bin", "/etc", "/proc", "/sys", "/dev", "/lib", "/tmp", "/nonexistent"];
    let proper =
        host.is_absolute() && host != Path::new("/") && !forbidden.iter().any(|root| host.starts_with(root));
    if proper { host.to_owned() } else { "/home/agent".into() }
}

/// `path` as seen from `directory`, without `.` and `..`.
fn absolute(directory: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in directory.join(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// The same step twice is one step; a writable path hides a read-only view of the same place.
fn dedup(steps: Vec<Step>) -> Vec<Step> {
    let mut kept: Vec<Step> = Vec::new();
    for step in steps {
        let same = |other: &Step| other.target() == step.target();
        match (&step, kept.iter().position(same)) {
            (_, None) => kept.push(step),
            (
                Step::Writable { .. }
                | Step::Review { .. }
                | Step::Mask { .. }
                | Step::Text { .. }
                | Step::Bytes { .. }
                | Step::Listed { .. },
                Some(at),
            ) => {
                if let Some(place) = kept.get_mut(at) {
                    *place = step;
                }
            }
            (_, Some(_)) => {}
        }
    }
    kept
}
