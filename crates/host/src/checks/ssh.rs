//! Who gets in by SSH, and what they may carry through it.

use crate::check::{Area, Check, Severity, Verdict};
use crate::facts::Facts;
use crate::read::Read;
use crate::sshd::{Config, Held, Setting};

const READS: &str =
    "/etc/ssh/sshd_config with every Include and Match; sshd's own value where no file sets one";

/// A line that sets a keyword for everybody, before any other file can.
macro_rules! mend {
    ($line:literal) => {
        concat!(
            "sed -i '1i ",
            $line,
            "' /etc/ssh/sshd_config && sshd -t && systemctl reload ssh # and take it out of the Match blocks named"
        )
    };
}

/// The checks of this part.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "ssh-root-password",
        area: Area::Management,
        severity: Severity::High,
        title: "root does not log in with a password",
        reads: READS,
        meaning: "whoever reaches this port, an agent by a permitted network among them, may guess the one password that undoes everything",
        mend: mend!("PermitRootLogin no"),
        reference: "sshd_config(5), PermitRootLogin; CIS Debian Linux 12 Benchmark",
        judge: |facts| judge(facts, &["permitrootlogin"], "prohibit-password", |value| value != "yes"),
    },
    Check {
        id: "ssh-root-login",
        area: Area::Management,
        severity: Severity::Medium,
        title: "root does not log in at all",
        reads: READS,
        meaning: "what was done to the agents' host has no name beside it",
        mend: mend!("PermitRootLogin no"),
        reference: "sshd_config(5), PermitRootLogin; CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            let good = |value: &str| matches!(value, "no" | "forced-commands-only");
            judge(facts, &["permitrootlogin"], "prohibit-password", good)
        },
    },
    Check {
        id: "ssh-passwords",
        area: Area::Management,
        severity: Severity::High,
        title: "nobody logs in with a password",
        reads: READS,
        meaning: "a password that an agent has read, or that is guessed, opens the host from every network that reaches it",
        mend: mend!("PasswordAuthentication no"),
        reference: "sshd_config(5), PasswordAuthentication",
        judge: |facts| judge(facts, &["passwordauthentication"], "yes", |value| value == "no"),
    },
    Check {
        id: "ssh-questions",
        area: Area::Management,
        severity: Severity::Medium,
        title: "nobody logs in by answering questions",
        reads: READS,
        meaning: "with PAM behind it this is a password under another name",
        mend: mend!("KbdInteractiveAuthentication no"),
        reference: "sshd_config(5), KbdInteractiveAuthentication",
        judge: |facts| {
            let names = ["kbdinteractiveauthentication", "challengeresponseauthentication"];
            judge(facts, &names, "yes", |value| value == "no")
        },
    },
    Check {
        id: "ssh-empty-passwords",
        area: Area::Management,
        severity: Severity::Critical,
        title: "no account opens without a password",
        reads: READS,
        meaning: "anybody who reaches the port is in",
        mend: mend!("PermitEmptyPasswords no"),
        reference: "sshd_config(5), PermitEmptyPasswords; CIS Debian Linux 12 Benchmark",
        judge: |facts| judge(facts, &["permitemptypasswords"], "no", |value| value == "no"),
    },
    Check {
        id: "ssh-host-based",
        area: Area::Management,
        severity: Severity::High,
        title: "no other host vouches for its users",
        reads: READS,
        meaning: "who took one host of the fleet is in on all of them",
        mend: mend!("HostbasedAuthentication no"),
        reference: "sshd_config(5), HostbasedAuthentication",
        judge: |facts| judge(facts, &["hostbasedauthentication"], "no", |value| value == "no"),
    },
    Check {
        id: "ssh-tcp-forwarding",
        area: Area::Management,
        severity: Severity::Medium,
        title: "sessions carry no other connections",
        reads: READS,
        meaning: "a session is a bridge between the networks of management and of workloads, past the host's firewall",
        mend: mend!("AllowTcpForwarding no"),
        reference: "sshd_config(5), AllowTcpForwarding, DisableForwarding",
        judge: |facts| forwarding(facts, "allowtcpforwarding", "yes"),
    },
    Check {
        id: "ssh-agent-forwarding",
        area: Area::Management,
        severity: Severity::Medium,
        title: "nobody brings their key agent along",
        reads: READS,
        meaning: "root of this host, or an agent that became the same user, signs with keys of people who are logged in",
        mend: mend!("AllowAgentForwarding no"),
        reference: "sshd_config(5), AllowAgentForwarding",
        judge: |facts| forwarding(facts, "allowagentforwarding", "yes"),
    },
    Check {
        id: "ssh-x11-forwarding",
        area: Area::Management,
        severity: Severity::Low,
        title: "no windows are carried",
        reads: READS,
        meaning: "a program on this host reads keys and screen of the person who logged in",
        mend: mend!("X11Forwarding no"),
        reference: "sshd_config(5), X11Forwarding",
        judge: |facts| forwarding(facts, "x11forwarding", "no"),
    },
    Check {
        id: "ssh-tunnels",
        area: Area::Management,
        severity: Severity::Medium,
        title: "no session is a network device",
        reads: READS,
        meaning: "a session joins two networks below every rule about connections",
        mend: mend!("PermitTunnel no"),
        reference: "sshd_config(5), PermitTunnel",
        judge: |facts| judge(facts, &["permittunnel"], "no", |value| value == "no"),
    },
    Check {
        id: "ssh-gateway-ports",
        area: Area::Management,
        severity: Severity::Medium,
        title: "forwarded ports listen on loopback only",
        reads: READS,
        meaning: "a session opens a port of this host to every network, workloads' included",
        mend: mend!("GatewayPorts no"),
        reference: "sshd_config(5), GatewayPorts",
        judge: |facts| judge(facts, &["gatewayports"], "no", |value| value == "no"),
    },
    Check {
        id: "ssh-user-environment",
        area: Area::Management,
        severity: Severity::Medium,
        title: "users do not set the environment of their session",
        reads: READS,
        meaning: "who may write a file in a home loads code into the next session of its owner",
        mend: mend!("PermitUserEnvironment no"),
        reference: "sshd_config(5), PermitUserEnvironment",
        judge: |facts| judge(facts, &["permituserenvironment"], "no", |value| value == "no"),
    },
    Check {
        id: "ssh-strict-modes",
        area: Area::Management,
        severity: Severity::High,
        title: "keys that others can write are not believed",
        reads: READS,
        meaning: "an agent that may write into a home adds a key and logs in outside its sandbox",
        mend: mend!("StrictModes yes"),
        reference: "sshd_config(5), StrictModes",
        judge: |facts| judge(facts, &["strictmodes"], "yes", |value| value == "yes"),
    },
    Check {
        id: "ssh-tries",
        area: Area::Management,
        severity: Severity::Low,
        title: "a connection has four tries at most",
        reads: READS,
        meaning: "guessing is faster",
        mend: mend!("MaxAuthTries 4"),
        reference: "sshd_config(5), MaxAuthTries; CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            judge(facts, &["maxauthtries"], "6", |value| value.parse().is_ok_and(|tries: u32| tries <= 4))
        },
    },
    Check {
        id: "ssh-log",
        area: Area::Management,
        severity: Severity::Low,
        title: "log-ins are written down",
        reads: READS,
        meaning: "nobody can say later who was on the host while an agent ran",
        mend: mend!("LogLevel VERBOSE"),
        reference: "sshd_config(5), LogLevel",
        judge: |facts| {
            judge(facts, &["loglevel"], "info", |value| !matches!(value, "quiet" | "fatal" | "error"))
        },
    },
];

/// A session carries nothing if `DisableForwarding` says so for everybody.
fn forwarding(facts: &Facts, keyword: &str, default: &str) -> Verdict {
    if let Some(config) = config(facts)
        && let Held { global: Some(setting), matched, open: None } = config.held(&["disableforwarding"])
        && setting.value == "yes"
        && matched.is_empty()
    {
        return absent(facts)
            .unwrap_or_else(|| Verdict::Pass(format!("DisableForwarding {}", setting.show())));
    }
    judge(facts, &[keyword], default, |value| value == "no")
}

fn judge(facts: &Facts, keywords: &[&str], default: &str, good: impl Fn(&str) -> bool) -> Verdict {
    if let Some(verdict) = absent(facts) {
        return verdict;
    }
    let Some(config) = config(facts) else {
        return Verdict::Unknown("/etc/ssh/sshd_config: it was not read".to_owned());
    };
    let Held { global, matched, open } = config.held(keywords);
    let mut bad: Vec<String> =
        global.iter().chain(&matched).filter(|setting| !good(&setting.value)).map(Setting::show).collect();
    let unset = global.is_none() && !good(default);
    if unset && open.is_none() {
        bad.insert(0, format!("{default}, as no file sets it"));
    }
    if !bad.is_empty() {
        return Verdict::fail(bad.join("; "));
    }
    if let Some(open) = open {
        return Verdict::Unknown(open);
    }
    if let Some(why) = elsewhere(facts) {
        return Verdict::Unknown(why);
    }
    Verdict::Pass(global.map_or_else(|| format!("{default}, as no file sets it"), |setting| setting.show()))
}

/// There is nothing to judge without a server.
fn absent(facts: &Facts) -> Option<Verdict> {
    let program = facts.node("/usr/sbin/sshd");
    let config = facts.text("/etc/ssh/sshd_config");
    match (program, config) {
        (Read::Absent, Read::Absent) => Some(Verdict::Inapplicable("no SSH server is installed".to_owned())),
        _ => None,
    }
}

/// A server that was started with settings of its own is not described by the files.
fn elsewhere(facts: &Facts) -> Option<String> {
    if facts.live
        && let Read::Unknown(why) = &facts.processes
    {
        return Some(format!("whether sshd was started with options of its own: {why}"));
    }
    let own = |word: &&String| word.starts_with("-f") || word.starts_with("-o");
    facts.processes.known()?.iter().filter(|process| process.name == "sshd").find_map(|process| {
        let word = process.arguments.iter().skip(1).find(own)?;
        Some(format!(
            "sshd (process {}) was started with {word}: the files do not tell what holds",
            process.pid
        ))
    })
}

fn config(facts: &Facts) -> Option<Config> {
    let files = |path: &str| facts.text(path);
    let matching = |pattern: &str| match facts.lists.get(&format!("glob:{pattern}")) {
        Some(Read::Known(paths)) => paths.clone(),
        // named so that the reader sees which file is missing
        Some(Read::Unknown(_)) | None => vec![pattern.to_owned()],
        Some(Read::Absent) => Vec::new(),
    };
    facts
        .texts
        .contains_key("/etc/ssh/sshd_config")
        .then(|| Config::read("/etc/ssh/sshd_config", &files, &matching))
}
