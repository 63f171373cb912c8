//! What Claw itself needs: every file it opens, every socket it makes, every address it connects or binds, by phase.
//!
//! The lists are those that the code works from. A test traces a whole run, and what no statement here covers fails it.

use claw_enforce::{CALMED, PROBES, SETTING, WRITES};
use claw_plan::{CONFIGURATION, SYSTEM};
use claw_sys::probe;
use serde::{Deserialize, Serialize};

use crate::{BUNDLES, JAVA, ima};

/// One thing that Claw needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// When.
    pub phase: Phase,
    /// What is done.
    pub act: Act,
    /// To what. Words in capitals stand for what a run was given; a last `/*` for everything below.
    pub what: String,
    /// Why.
    pub why: String,
}

/// When something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// By whoever starts it, before the sandbox stands.
    Start,
    /// By init, in the namespaces of the sandbox.
    Inside,
    /// By the canary, in the agent's confinement: each of these must be refused.
    Trial,
    /// While the agent runs.
    Run,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// A file or directory is opened for reading.
    Read,
    /// A file is opened for writing.
    Write,
    /// A socket is made.
    Socket,
    /// An address is connected, or sent to.
    Connect,
    /// An address is bound.
    Bind,
    /// A directory or link is made.
    Make,
    /// A file or directory is taken away.
    Remove,
    /// Changes are waited for.
    Watch,
}

impl Phase {
    /// The word as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Start => "start",
            Phase::Inside => "inside",
            Phase::Trial => "trial",
            Phase::Run => "run",
        }
    }
}

impl Act {
    /// The word as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Act::Read => "read",
            Act::Write => "write",
            Act::Socket => "socket",
            Act::Connect => "connect",
            Act::Bind => "bind",
            Act::Make => "make",
            Act::Remove => "remove",
            Act::Watch => "watch",
        }
    }
}

/// Everything that Claw needs for a run, sorted.
pub fn needs() -> Vec<Need> {
    let mut list = List(Vec::new());
    start(&mut list);
    inside(&mut list);
    trial(&mut list);
    run(&mut list);
    list.0.sort();
    list.0.dedup();
    list.0
}

/// What another version needs that this list does not have, and the other way round. Reasons do not count.
pub fn changes<'a>(old: &'a [Need], new: &'a [Need]) -> (Vec<&'a Need>, Vec<&'a Need>) {
    let same = |a: &Need, b: &Need| (a.phase, a.act, &a.what) == (b.phase, b.act, &b.what);
    let missing = |all: &'a [Need], from: &[Need]| {
        all.iter().filter(|need| !from.iter().any(|other| same(need, other))).collect()
    };
    (missing(new, old), missing(old, new))
}

/// Whether a path or address is meant by a statement.
pub fn covers(what: &str, path: &str) -> bool {
    match what.strip_suffix("/*") {
        Some(above) => {
            path == above
                || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/') || above.is_empty())
        }
        None => what == path,
    }
}

struct List(Vec<Need>);

impl List {
    fn add(&mut self, phase: Phase, act: Act, what: impl Into<String>, why: &str) {
        self.0.push(Need { phase, act, what: what.into(), why: why.to_owned() });
    }
}

fn start(list: &mut List) {
    use Phase::Start;
    for path in ["/etc/ld.so.cache", "/lib/*", "/lib64/*", "/usr/lib/*"] {
        list.add(Start, Act::Read, path, "the program's own libraries");
    }
    for (what, why) in [
        ("POLICY", "the policy"),
        (
            "POLICY-FILES",
            "what the policy names beside it: profiles, lists of digests, certificates, ceilings, images",
        ),
        ("TRUST", "which policies were accepted: $XDG_CONFIG_HOME/claw"),
        ("STATE/*", "changes that wait for a decision: $XDG_STATE_HOME/claw"),
        ("LISTED", "executables that the policy lists: copied, compared"),
        ("REVIEWED/*", "trees under review, compared with what the agent left"),
        ("/proc/self/*", "its own mounts, maps, identity and descriptors"),
        ("/proc/*", "processes of the sandbox; confinement of its own"),
        ("/proc", "the same"),
        ("/sys/fs/cgroup/*", "control groups, where the policy limits"),
    ] {
        list.add(Start, Act::Read, what, why);
    }
    for path in BUNDLES {
        list.add(Start, Act::Read, *path, "certificates that this host trusts");
    }
    // where the library looks for the system's certificates beside the bundles
    for path in ["/etc/ssl/certs/*", "/etc/pki/*", "/usr/lib/ssl/*"] {
        list.add(Start, Act::Read, path, "certificates that this host trusts");
    }
    for path in JAVA {
        list.add(Start, Act::Read, *path, "certificates that Java programs trust");
    }
    for path in [ima::LIST, ima::EVM, ima::LSM] {
        list.add(Start, Act::Read, path, "whether the kernel measures what is executed");
    }
    list.add(Start, Act::Write, "LEDGER", "the ledger: made new, appended to");
    list.add(Start, Act::Write, "/sys/fs/cgroup/*", "control groups, where the policy limits");
    list.add(Start, Act::Make, "/sys/fs/cgroup/*", "control groups, where the policy limits");
    list.add(Start, Act::Remove, "/sys/fs/cgroup/*", "the same groups, when the run has ended");
    list.add(Start, Act::Write, "STATE/*", "with `review`: who holds the layers, and of what they are");
    list.add(Start, Act::Make, "STATE/*", "directories of ledgers; with `review`, of the layers");
    list.add(Start, Act::Make, "LEDGER-DIRECTORY", "where the ledger's directory is not there yet");
    list.add(Start, Act::Remove, "STATE/*", "layers in which the agent left nothing");
    list.add(Start, Act::Watch, "POLICY-DIRECTORY", "whether the policy, or a ceiling, changes");
    list.add(Start, Act::Watch, "LISTED", "whether an executable that is listed changes");
    for what in ["UNIX", "NETLINK ROUTE"] {
        list.add(Start, Act::Socket, what, "channels to init and the reader; interfaces of the host");
    }
    list.add(
        Start,
        Act::Bind,
        "@claw/USER/RUN",
        "questions of `claw top` and `claw phase`, from this user only",
    );
}

fn inside(list: &mut List) {
    use Phase::Inside;
    for path in SYSTEM.iter().chain(CONFIGURATION) {
        list.add(
            Inside,
            Act::Read,
            format!("{path}/*"),
            "shown inside, read-only, where the policy does not say otherwise",
        );
    }
    list.add(Inside, Act::Read, "SHOWN/*", "paths of the policy, and the working directory");
    list.add(Inside, Act::Read, "/mnt/*", "the new tree, while it is built; nothing of the host's own");
    for path in ["/", "/tmp", "/dev/*", "/root", "/home/*"] {
        list.add(Inside, Act::Read, path, "places that get private trees of their own");
    }
    list.add(Inside, Act::Read, "/proc/*", "its own tree of processes");
    for path in ["/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"] {
        list.add(Inside, Act::Write, path, "its own user namespace");
    }
    for path in CALMED {
        list.add(Inside, Act::Write, path, "switched off in the sandbox's own network");
    }
    list.add(Inside, Act::Write, "/mnt/*", "files written for the sandbox");
    list.add(Inside, Act::Make, "/mnt/*", "directories and links of the new tree");
    list.add(Inside, Act::Remove, "/mnt/*", "names of files that stay without one");
    for what in ["NETLINK ROUTE", "NETLINK NETFILTER", "NETLINK SOCK_DIAG"] {
        list.add(
            Inside,
            Act::Socket,
            what,
            "the sandbox's own network: its loopback, rules, refusals, who asks",
        );
    }
    for what in ["IPv4 TCP", "IPv6 TCP", "IPv4 UDP", "IPv6 UDP"] {
        list.add(Inside, Act::Socket, what, "listeners and DNS, in the sandbox's own network");
    }
    for what in ["SANDBOX:1", "ANY:53", "ANY:POLICY-UDP"] {
        list.add(Inside, Act::Bind, what, "reachable from inside the sandbox only");
    }
}

fn trial(list: &mut List) {
    use Phase::Trial;
    for (name, ..) in probe::SOCKETS {
        list.add(Trial, Act::Socket, *name, "tried, and refused");
    }
    list.add(Trial, Act::Socket, "NETLINK NETFILTER", "tried, and refused");
    for (address, port, _) in PROBES {
        list.add(
            Trial,
            Act::Connect,
            std::net::SocketAddr::new(address, port).to_string(),
            "tried, and refused",
        );
    }
    for path in WRITES.into_iter().chain([SETTING]) {
        list.add(Trial, Act::Write, path, "tried, and refused");
    }
}

fn run(list: &mut List) {
    use Phase::Run;
    for path in ["/etc/resolv.conf", "/etc/hosts"] {
        list.add(Run, Act::Read, path, "the host's name servers and names");
    }
    list.add(Run, Act::Read, "POLICY", "by the reader, when the file changes");
    list.add(Run, Act::Read, "/proc/*", "which process of the sandbox asks");
    for what in ["IPv4 TCP", "IPv6 TCP", "IPv4 UDP", "IPv6 UDP"] {
        list.add(Run, Act::Socket, what, "name servers, and what the policy permits");
    }
    list.add(
        Run,
        Act::Bind,
        "ANY:PORT/udp",
        "a port that nobody can guess, for one question to a name server",
    );
    list.add(Run, Act::Connect, "SANDBOX:PORT", "answers to the agent, in its own network");
    list.add(
        Run,
        Act::Connect,
        "RESOLVER:53",
        "names that the policy permits, asked of the host's own name servers",
    );
    list.add(Run, Act::Connect, "PERMITTED", "what the policy names, after it was judged and written down");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_covers_what_it_names_and_what_is_below_where_it_says_so() {
        assert!(covers("/usr/*", "/usr") && covers("/usr/*", "/usr/lib/x"));
        assert!(!covers("/usr/*", "/usrx") && !covers("/usr", "/usr/lib"));
    }

    #[test]
    fn what_is_new_is_told_apart_from_what_is_gone() {
        let all = needs();
        let (first, rest) = all.split_first().unwrap();
        assert_eq!(changes(rest, &all), (vec![first], vec![]));
        assert_eq!(changes(&all, rest), (vec![], vec![first]));
        let reworded: Vec<Need> =
            all.iter().map(|need| Need { why: "else".into(), ..need.clone() }).collect();
        assert_eq!(changes(&all, &reworded), (vec![], vec![]));
    }
}
