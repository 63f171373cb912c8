//! Who may do what.

use crate::accounts::{accounts, groups};
use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{nodes, none, none_of};
use crate::facts::{Facts, Hash, Home, Homes, Kind, Node};
use crate::read::Read;

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "root-alone",
        area: Area::Accounts,
        severity: Severity::Critical,
        title: "only root is user 0",
        reads: "/etc/passwd",
        meaning: "a second name for root is a way in that nobody watches",
        mend: "usermod --uid 1999 NAME # or: userdel NAME",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| match facts.text("/etc/passwd") {
            Read::Known(text) => {
                let all = accounts(text);
                let bad: Vec<String> = all
                    .iter()
                    .filter(|account| account.user == 0 && account.name != "root")
                    .map(|account| account.name.to_owned())
                    .collect();
                none(&bad, format!("{} accounts", all.len()))
            }
            Read::Absent => Verdict::Unknown("there is no /etc/passwd".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "empty-passwords",
        area: Area::Accounts,
        severity: Severity::Critical,
        title: "every account asks for a password, or lets nobody in",
        reads: "/etc/passwd, /etc/shadow",
        meaning: "any program on the host becomes that user with su",
        mend: "passwd --lock NAME # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark; shadow(5)",
        judge: empty_passwords,
    },
    Check {
        id: "weak-hashes",
        area: Area::Accounts,
        severity: Severity::High,
        title: "stored passwords are hard to guess",
        reads: "the kind of each hash in /etc/shadow",
        meaning: "who copies the file has the passwords the same day",
        mend: "passwd --expire NAME # for each that is named, with ENCRYPT_METHOD YESCRYPT in /etc/login.defs",
        reference: "crypt(5)",
        judge: |facts| shadow(facts, Hash::Weak),
    },
    Check {
        id: "account-files",
        area: Area::Accounts,
        severity: Severity::Critical,
        title: "the lists of accounts are root's",
        reads: "rights of /etc/passwd, /etc/group, /etc/shadow, /etc/gshadow, /etc/sudoers, /etc/sudoers.d, /etc/pam.d",
        meaning: "whoever may write them makes themselves root; whoever reads the hashes guesses them elsewhere",
        mend: "chown root:root /etc/passwd /etc/group /etc/sudoers && chmod 644 /etc/passwd /etc/group && chmod 640 /etc/shadow /etc/gshadow && chmod 440 /etc/sudoers",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            let files = ["/etc/passwd", "/etc/group", "/etc/sudoers"];
            let secret = ["/etc/shadow", "/etc/gshadow"];
            let all: Vec<(&str, &Read<Node>)> = files
                .iter()
                .chain(&secret)
                .filter_map(|path| Some((*path, facts.nodes.get(*path)?)))
                .chain(facts.nodes_below("/etc/sudoers.d"))
                .chain(facts.nodes_below("/etc/pam.d"))
                .collect();
            let open = nodes(all.iter().copied(), Node::foreign, "there are none");
            let read = all.iter().copied().filter(|(path, _)| secret.contains(path));
            match nodes(read, |node| node.mode & 0o004 != 0, "there are none") {
                verdict @ Verdict::Fail { .. } => verdict,
                _ => open,
            }
        },
    },
    Check {
        id: "sudo-without-password",
        area: Area::Accounts,
        severity: Severity::High,
        title: "sudo asks who it is",
        reads: "/etc/sudoers, /etc/sudoers.d/*",
        meaning: "any program of that user, an agent's tools outside a sandbox among them, is root",
        mend: "visudo # take NOPASSWD and !authenticate out of the lines that are named",
        reference: "sudoers(5); CIS Debian Linux 12 Benchmark",
        judge: sudo,
    },
    Check {
        id: "groups-like-root",
        area: Area::Accounts,
        severity: Severity::High,
        title: "nobody is in a group that is as good as root",
        reads: "/etc/group, /etc/passwd: docker, podman, lxd, incus, libvirt, disk, kmem, shadow",
        meaning: "a program of a member reads every disk, or starts a container that is root",
        mend: "gpasswd --delete NAME GROUP # for each that is named",
        reference: "Debian Wiki: SystemGroups; Docker: Post-installation steps",
        judge: root_groups,
    },
    Check {
        id: "homes-writable",
        area: Area::Accounts,
        severity: Severity::High,
        title: "nobody writes into another's home",
        reads: "rights and owner of each home",
        meaning: "a key, a shell's start file, or an agent's settings are planted there",
        mend: "chown NAME: HOME && chmod go-w HOME # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            homes(
                facts,
                |home| vec![(&home.path, &home.node)],
                |home, node| node.mode & 0o022 != 0 || (node.user != home.user && node.user != 0),
            )
        },
    },
    Check {
        id: "homes-readable",
        area: Area::Accounts,
        severity: Severity::Low,
        title: "nobody looks into another's home",
        reads: "rights of each home",
        meaning: "tokens and histories of people are read by every program, agents with visible paths among them",
        mend: "chmod o= HOME # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| homes(facts, |home| vec![(&home.path, &home.node)], |_, node| node.mode & 0o007 != 0),
    },
    Check {
        id: "authorized-keys",
        area: Area::Accounts,
        severity: Severity::Critical,
        title: "only its owner decides which keys open an account",
        reads: ".ssh, .ssh/authorized_keys, .ssh/authorized_keys2 in each home",
        meaning: "whoever may write there logs in as the owner, outside every sandbox",
        mend: "chown -R NAME: HOME/.ssh && chmod -R go-w HOME/.ssh # for each that is named",
        reference: "sshd(8), FILES",
        judge: |facts| {
            homes(
                facts,
                |home| home.keys.iter().map(|(path, node)| (path, node)).collect(),
                |home, node| node.mode & 0o022 != 0 || (node.user != home.user && node.user != 0),
            )
        },
    },
    Check {
        id: "credentials-readable",
        area: Area::Accounts,
        severity: Severity::High,
        title: "only its owner reads a credential",
        reads: "private keys and tokens of clouds, registries, forges and model providers in each home: rights only, never content",
        meaning: "a path that a policy makes visible, or any program of another user, gives the credential away",
        mend: "chmod go= FILE # for each that is named",
        reference: "docs/host-audit.md; docs/sandbox.md",
        judge: |facts| {
            homes(
                facts,
                |home| home.credentials.iter().map(|(path, node)| (path, node)).collect(),
                |_, node| node.kind == Kind::File && node.mode & 0o077 != 0,
            )
        },
    },
    Check {
        id: "host-keys",
        area: Area::Accounts,
        severity: Severity::Critical,
        title: "only root reads the host's own keys",
        reads: "/etc/ssh/ssh_host_*_key",
        meaning: "whoever reads one plays this host to everybody who logs in",
        mend: "chown root:root /etc/ssh/ssh_host_*_key && chmod 600 /etc/ssh/ssh_host_*_key",
        reference: "CIS Debian Linux 12 Benchmark; sshd(8)",
        judge: |facts| {
            let keys = facts.nodes_below("/etc/ssh").filter(|(path, node)| {
                (path.starts_with("/etc/ssh/ssh_host_") && path.ends_with("_key")) || node.unknown().is_some()
            });
            // Fedora gives the group ssh_keys to read them
            nodes(
                keys,
                |node| {
                    node.user != 0 || node.mode & 0o027 != 0 || (node.mode & 0o040 != 0 && node.group == 0)
                },
                "there are none",
            )
        },
    },
    Check {
        id: "trusting-files",
        area: Area::Accounts,
        severity: Severity::High,
        title: "no file lets other hosts in by their name",
        reads: "/etc/hosts.equiv, .rhosts and .shosts in each home",
        meaning: "a name in DNS is a password",
        mend: "rm -f FILE # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark; hosts.equiv(5)",
        judge: |facts| {
            let (mut found, mut missed) = (Vec::new(), Vec::new());
            if matches!(facts.node("/etc/hosts.equiv"), Read::Known(_)) {
                found.push("/etc/hosts.equiv".to_owned());
            }
            match &facts.homes {
                Read::Known(all) => {
                    missed.extend(left_out(all));
                    for (path, node) in all.all.iter().flat_map(|home| &home.trusting) {
                        match node {
                            Read::Known(_) => found.push(path.clone()),
                            Read::Unknown(why) => missed.push(format!("{path}: {why}")),
                            Read::Absent => {}
                        }
                    }
                }
                Read::Absent => missed.push("there is no /etc/passwd".to_owned()),
                Read::Unknown(why) => missed.push(why.clone()),
            }
            none_of(&found, &missed, "there is none")
        },
    },
    Check {
        id: "default-rights",
        area: Area::Accounts,
        severity: Severity::Low,
        title: "new files are not everybody's to read",
        reads: "UMASK in /etc/login.defs",
        meaning: "what people and agents write is readable by every other user from its first moment",
        mend: "sed -i 's/^UMASK.*/UMASK 027/' /etc/login.defs",
        reference: "CIS Debian Linux 12 Benchmark; login.defs(5)",
        judge: |facts| match setting(facts, "UMASK") {
            Ok(Some(text)) => match u32::from_str_radix(text, 8) {
                Ok(mask) if mask & 0o007 == 0o007 => Verdict::Pass(format!("UMASK {text}")),
                Ok(_) => Verdict::fail(format!("UMASK {text}")),
                Err(_) => Verdict::Unknown(format!("UMASK {text} is no number")),
            },
            Ok(None) => Verdict::fail("UMASK is not set: 022 holds"),
            Err(verdict) => verdict,
        },
    },
    Check {
        id: "password-hashing",
        area: Area::Accounts,
        severity: Severity::Low,
        title: "new passwords are stored by a slow method",
        reads: "ENCRYPT_METHOD in /etc/login.defs",
        meaning: "who copies the file guesses faster",
        mend: "sed -i 's/^ENCRYPT_METHOD.*/ENCRYPT_METHOD YESCRYPT/' /etc/login.defs",
        reference: "CIS Debian Linux 12 Benchmark; login.defs(5)",
        judge: |facts| match setting(facts, "ENCRYPT_METHOD") {
            Ok(Some(method @ ("YESCRYPT" | "SHA512" | "BCRYPT"))) => {
                Verdict::Pass(format!("ENCRYPT_METHOD {method}"))
            }
            Ok(Some(method)) => Verdict::fail(format!("ENCRYPT_METHOD {method}")),
            Ok(None) => Verdict::fail("ENCRYPT_METHOD is not set: DES may be used"),
            Err(verdict) => verdict,
        },
    },
];

fn empty_passwords(facts: &Facts) -> Verdict {
    if let Read::Known(text) = facts.text("/etc/passwd") {
        let open: Vec<String> = accounts(text)
            .iter()
            .filter(|account| account.password.is_empty())
            .map(|account| format!("{} in /etc/passwd", account.name))
            .collect();
        if !open.is_empty() {
            return none(&open, "");
        }
    }
    shadow(facts, Hash::Empty)
}

fn shadow(facts: &Facts, bad: Hash) -> Verdict {
    match &facts.shadow {
        Read::Known(all) => {
            let found: Vec<String> = all
                .iter()
                .filter(|account| account.hash == bad)
                .map(|account| account.name.clone())
                .collect();
            none(&found, format!("{} accounts", all.len()))
        }
        Read::Absent => Verdict::Unknown("there is no /etc/shadow".to_owned()),
        Read::Unknown(why) => Verdict::Unknown(format!("/etc/shadow: {why}")),
    }
}

fn sudo(facts: &Facts) -> Verdict {
    let main = facts.text("/etc/sudoers");
    if main == Read::Absent {
        return Verdict::Inapplicable("sudo is not installed".to_owned());
    }
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    // sudoers(5): names with a dot or a tilde at the end are left out
    let included = facts.texts_below("/etc/sudoers.d").filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or_default();
        !name.contains('.') && !name.ends_with('~')
    });
    let main = facts.texts.get("/etc/sudoers").map(|text| ("/etc/sudoers", text));
    for (path, text) in main.into_iter().chain(included) {
        match text {
            Read::Known(text) => {
                seen = seen.saturating_add(1);
                for (number, line) in text.lines().enumerate() {
                    let line = line.trim();
                    if !line.starts_with('#')
                        && (line.contains("NOPASSWD:") || line.contains("!authenticate"))
                    {
                        found.push(format!("{path}:{}", number.saturating_add(1)));
                    }
                    let elsewhere =
                        ["@include ", "#include "].iter().find_map(|word| line.strip_prefix(word));
                    let place =
                        ["@includedir ", "#includedir "].iter().find_map(|word| line.strip_prefix(word));
                    if let Some(other) = elsewhere.or(place.filter(|place| place.trim() != "/etc/sudoers.d"))
                    {
                        missed.push(format!("{} is included and not read", other.trim()));
                    }
                }
            }
            Read::Unknown(why) => missed.push(format!("{path}: {why}")),
            Read::Absent => {}
        }
    }
    if let Some(why) = facts.unlisted("/etc/sudoers.d") {
        missed.push(format!("/etc/sudoers.d: {why}"));
    }
    none_of(&found, &missed, format!("{seen} files"))
}

fn root_groups(facts: &Facts) -> Verdict {
    const LIKE_ROOT: &[&str] =
        &["docker", "podman", "lxd", "incus", "incus-admin", "libvirt", "disk", "kmem", "shadow"];
    let text = match facts.text("/etc/group") {
        Read::Known(text) => text,
        Read::Absent => return Verdict::Unknown("there is no /etc/group".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why),
    };
    let people = facts.text("/etc/passwd").known().map(|text| accounts(text)).unwrap_or_default();
    let mut found = Vec::new();
    for group in groups(text).iter().filter(|group| LIKE_ROOT.contains(&group.name)) {
        let own = people.iter().filter(|account| account.group == group.number).map(|account| account.name);
        for member in group.members.iter().copied().chain(own).filter(|member| *member != "root") {
            found.push(format!("{member} in {}", group.name));
        }
    }
    none(&found, "nobody is in one")
}

fn homes<'a>(
    facts: &'a Facts,
    wanted: impl Fn(&'a Home) -> Vec<(&'a String, &'a Read<Node>)>,
    bad: impl Fn(&Home, &Node) -> bool,
) -> Verdict {
    let all = match &facts.homes {
        Read::Known(all) => all,
        Read::Absent => return Verdict::Unknown("there is no /etc/passwd".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why.clone()),
    };
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    missed.extend(left_out(all));
    for home in &all.all {
        for (path, node) in wanted(home) {
            match node {
                Read::Known(node) if bad(home, node) => found.push(format!("{path} ({})", node.show())),
                Read::Known(_) => seen = seen.saturating_add(1),
                Read::Unknown(why) => missed.push(format!("{path}: {why}")),
                Read::Absent => {}
            }
        }
    }
    if found.is_empty() && missed.is_empty() && seen == 0 {
        return Verdict::Inapplicable("there is none".to_owned());
    }
    none_of(&found, &missed, format!("{seen} looked at"))
}

/// Homes that were not looked at are told.
fn left_out(homes: &Homes) -> Option<String> {
    (homes.left > 0).then(|| format!("{} more homes, not looked at", homes.left))
}

fn setting<'a>(facts: &'a Facts, name: &str) -> Result<Option<&'a str>, Verdict> {
    match facts.text("/etc/login.defs") {
        Read::Known(text) => Ok(text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next()).flatten()
        })),
        Read::Absent => Err(Verdict::Inapplicable("there is no /etc/login.defs".to_owned())),
        Read::Unknown(why) => Err(Verdict::Unknown(why)),
    }
}
