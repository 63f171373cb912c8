//! `claw doctor --self` states what Claw itself opens, makes, connects and binds: a trace of a whole run must hold nothing else.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use claw_run::needs::{Act, Need, covers, needs};
use claw_testkit::{Lab, User, echo, echo_datagrams, http, names, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A file, a socket or an address, as a trace tells it.
type Seen = (Act, String);

/// Runs an agent that uses names, TCP and UDP.
fn network(lab: &Lab, [web, plain, datagrams]: [u16; 3]) -> BTreeSet<Seen> {
    let rules = [
        format!("destination: a.test:{web}, protocol: TCP/HTTP, private: allow, http: [GET /]"),
        format!("destination: 10.77.0.1:{plain}, protocol: TCP"),
        format!("destination: b.test:{datagrams}, protocol: UDP, private: allow"),
    ];
    lab.policy(&rules, "");
    let program = lab.program_file(&format!(
        "import socket, urllib.request
print(urllib.request.urlopen('http://a.test:{web}/', timeout=5).status)
s = socket.create_connection(('10.77.0.1', {plain}), 5); s.sendall(b'x'); s.recv(1)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5)
u.sendto(b'x', (socket.gethostbyname('b.test'), {datagrams})); u.recv(1)
"
    ));
    traced(lab, &["python3", &program])
}

/// Runs an agent whose files are reviewed and listed, and, where control groups can be made, limited.
fn files(lab: &Lab) -> BTreeSet<Seen> {
    let limits = if lab.user() == User::Root { ", limits: {pids: 100}" } else { "" };
    lab.policy(
        &[],
        &format!(
            "filesystem: {{review: [.]}}\nprocess: {{exec: {{listed: {{file: ../list.sha256}}}}{limits}}}\n"
        ),
    );
    let list = lab.bare(
        "cd / && sha256sum $(ldd /bin/sh | grep -o '/[^ ]*' | xargs readlink -f) $(readlink -f /bin/sh)",
    );
    lab.write("list.sha256", &list.ends(0).stdout);
    traced(lab, &["/bin/sh", "-c", "echo 200 > left; echo 200"])
}

/// Runs claw under strace; returns what Claw itself did.
fn traced(lab: &Lab, agent: &[&str]) -> BTreeSet<Seen> {
    let (trace, ledger, policy) =
        (lab.path("ledgers/trace"), lab.path("ledgers/needs.jsonl"), lab.path("policy.yaml"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let calls = "trace=open,openat,openat2,open_tree,creat,socket,connect,bind,sendto,sendmsg,sendmmsg,execve,\
                 mkdir,mkdirat,symlink,symlinkat,mknod,mknodat,unlink,unlinkat,rmdir,rename,renameat,renameat2,\
                 inotify_add_watch";
    let (trace_name, policy, ledger, claw) =
        (text(&trace), text(&policy), text(&ledger), text(lab.program()));
    // as root, and around the change of the user: of a process that hides its memory others see no path
    let tracer =
        ["strace", "-f", "-y", "-qq", "-s", "300", "-e", calls, "-e", "signal=none", "-o", &trace_name];
    let mut words = vec![claw.as_str(), "run", "--policy", &policy, "--ledger", &ledger, "--"];
    words.extend(agent);
    let _ = fs::remove_file(lab.path("ledgers/needs.jsonl"));
    let run = lab.plain().within(120).inside(&tracer).command(&words).ends(0);
    assert!(run.stdout.contains("200"), "{run:#?}");
    read(&fs::read_to_string(trace).unwrap(), &lab.path("work"), &claw)
}

/// What processes of Claw did; what the agent does after it was executed is not theirs.
fn read(trace: &str, directory: &Path, claw: &str) -> BTreeSet<Seen> {
    let first = trace.split_whitespace().next().unwrap();
    let mut agent: BTreeSet<&str> = BTreeSet::new();
    let mut seen = BTreeSet::new();
    // sockets of datagrams by inode; where two processes' lines meet, the call and its answer stand apart
    let (mut datagrams, mut begun) = (BTreeSet::new(), BTreeMap::new());
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if agent.contains(pid) {
            continue;
        }
        // what changed the user before is not claw
        if call.starts_with(&format!("execve(\"{claw}\"")) {
            seen.clear();
        }
        let executed = call.starts_with("execve(") || call.starts_with("<... execve resumed>");
        if executed && call.ends_with("= 0") && pid != first {
            agent.insert(pid);
        }
        if call.starts_with("socket(") {
            begun.insert(pid, call.contains("SOCK_DGRAM"));
        }
        let answered = call.starts_with("socket(") || call.starts_with("<... socket resumed>");
        if let (true, Some(true), Some((_, answer))) = (answered, begun.get(pid), call.rsplit_once(" = "))
            && let Some(inode) = between(answer, "socket:[", "]")
        {
            datagrams.insert(inode.to_owned());
        }
        let Some((name, arguments)) = call.split_once('(') else { continue };
        seen.extend(match name {
            "open" | "openat" | "openat2" | "open_tree" | "creat" => opened(arguments, directory),
            "mkdir" | "mkdirat" | "mknod" | "mknodat" => named(arguments, directory, Act::Make),
            "symlink" | "symlinkat" => {
                arguments.split_once("\", ").and_then(|(_, link)| named(link, directory, Act::Make))
            }
            "unlink" | "unlinkat" | "rmdir" => named(arguments, directory, Act::Remove),
            "inotify_add_watch" => {
                arguments.split_once(", ").and_then(|(_, what)| named(what, directory, Act::Watch))
            }
            // nothing is renamed by a run
            "rename" | "renameat" | "renameat2" => Some((Act::Write, format!("RENAMED {arguments}"))),
            "socket" => Some((Act::Socket, socket(arguments))),
            "bind" => address(arguments).map(|address| {
                let datagram =
                    between(arguments, "socket:[", "]").is_some_and(|inode| datagrams.contains(inode));
                (Act::Bind, if datagram { format!("{address}/udp") } else { address })
            }),
            "connect" | "sendto" | "sendmsg" | "sendmmsg" => {
                address(arguments).map(|address| (Act::Connect, address))
            }
            _ => None,
        });
    }
    seen
}

fn quoted(text: &str) -> Option<&str> {
    text.split_once('"')?.1.split_once('"').map(|(inner, _)| inner)
}

fn opened(arguments: &str, directory: &Path) -> Option<Seen> {
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| arguments.contains(flag));
    named(arguments, directory, if writes { Act::Write } else { Act::Read })
}

/// A path of a call, from the root.
fn named(arguments: &str, directory: &Path, act: Act) -> Option<Seen> {
    let path = quoted(arguments)?;
    let base = arguments.split_once('<').and_then(|(before, rest)| {
        (!before.contains('"')).then(|| rest.split_once('>').map(|(base, _)| PathBuf::from(base)))?
    });
    let whole = base.unwrap_or_else(|| directory.to_owned()).join(path);
    Some((act, whole.to_string_lossy().into_owned()))
}

/// A socket in the words of the statements.
fn socket(arguments: &str) -> String {
    let has = |word: &str| arguments.contains(word);
    let family = arguments.split(',').next().unwrap_or_default();
    match family {
        "AF_UNIX" => "UNIX".to_owned(),
        "AF_NETLINK" => {
            let protocol = arguments.split("NETLINK_").last().unwrap_or_default();
            format!(
                "NETLINK {}",
                protocol.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect::<String>()
            )
        }
        "AF_INET" | "AF_INET6"
            if has("IPPROTO_IP)") || has("IPPROTO_IP ") || has("IPPROTO_TCP") || has("IPPROTO_UDP)") =>
        {
            let version = if family == "AF_INET" { "IPv4" } else { "IPv6" };
            format!("{version} {}", if has("SOCK_STREAM") { "TCP" } else { "UDP" })
        }
        // the canary's: each is refused
        _ => format!("TRIAL {arguments}"),
    }
}

fn address(arguments: &str) -> Option<String> {
    if let Some(rest) = arguments.split_once("sun_path=@").map(|(_, rest)| rest) {
        return quoted(rest).map(|name| format!("@{name}"));
    }
    let port: u16 = between(arguments, "_port=htons(", ")")?.parse().ok()?;
    let four = between(arguments, "inet_addr(\"", "\"");
    let six = between(arguments, "inet_pton(AF_INET6, \"", "\"");
    let ip: IpAddr = four.or(six)?.parse().ok()?;
    Some(SocketAddr::new(ip, port).to_string())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

/// What a run was given, for the words in capitals.
fn meanings(lab: &Lab, ports: [u16; 3]) -> BTreeMap<&'static str, Vec<String>> {
    let path = |name: &str| lab.path(name).to_string_lossy().into_owned();
    BTreeMap::from([
        ("POLICY", vec![path("policy.yaml")]),
        ("TRUST", vec![path("config/claw/*"), path("config/claw")]),
        ("STATE/*", vec![path("state/claw/*")]),
        ("LEDGER", vec![path("ledgers/needs.jsonl")]),
        ("LEDGER-DIRECTORY", vec![path("ledgers")]),
        ("SHOWN/*", vec![path("work/*")]),
        ("REVIEWED/*", vec![path("work/*")]),
        ("POLICY-DIRECTORY", vec![path("").trim_end_matches('/').to_owned()]),
        ("POLICY-FILES", vec![path("list.sha256")]),
        ("LISTED", ["/usr/lib/*", "/lib/*", "/lib64/*", "/usr/bin/*", "/bin/*"].map(str::to_owned).to_vec()),
        ("RESOLVER:53", vec!["10.77.0.1:53".to_owned()]),
        ("PERMITTED", ports.map(|port| format!("10.77.0.1:{port}")).to_vec()),
        ("ANY:53", ["0.0.0.0:53", "[::]:53", "0.0.0.0:53/udp", "[::]:53/udp"].map(str::to_owned).to_vec()),
        ("ANY:POLICY-UDP", vec![format!("0.0.0.0:{}/udp", ports[2]), format!("[::]:{}/udp", ports[2])]),
    ])
}

fn stated(all: &[Need], meanings: &BTreeMap<&'static str, Vec<String>>, (act, what): &Seen) -> bool {
    all.iter().filter(|need| need.act == *act).any(|need| match need.what.as_str() {
        "SANDBOX:1" => what.ends_with(":1") && !what.starts_with("0.0.0.0") && !what.starts_with("[::]"),
        "ANY:PORT/udp" => {
            what.ends_with("/udp") && (what.starts_with("0.0.0.0:") || what.starts_with("[::]:"))
        }
        "@claw/USER/RUN" => what.starts_with("@claw/"),
        named => match meanings.get(named) {
            Some(meant) => meant.iter().any(|meant| covers(meant, what)),
            None => covers(named, what),
        },
    }) || (*act == Act::Socket && what.starts_with("TRIAL ") && what.contains("= -1 "))
}

fn check(lab: &Lab) {
    let _names = names(Lab::PRIVATE);
    let (web, plain, datagrams) = (http(Lab::PRIVATE), echo(Lab::PRIVATE), echo_datagrams(Lab::PRIVATE));
    let ports = [web.port(), plain.port(), datagrams.port()];
    let mut seen = network(lab, ports);
    let files = files(lab);
    for (act, what) in [
        (Act::Write, lab.path("state/claw")),
        (Act::Make, lab.path("state/claw")),
        (Act::Watch, PathBuf::from("/usr")),
        (Act::Make, PathBuf::from("/mnt")),
    ] {
        assert!(
            files.iter().any(|one| one.0 == act && Path::new(&one.1).starts_with(&what)),
            "{act:?} {what:?} {files:#?}"
        );
    }
    seen.extend(files);
    let (all, mut meanings) = (needs(), meanings(lab, ports));
    // the sandbox's own addresses are those that the transparent listener is bound to
    let own: Vec<&str> = seen
        .iter()
        .filter(|(act, _)| *act == Act::Bind)
        .filter_map(|(_, at)| at.strip_suffix(":1"))
        .collect();
    let answers = |(act, at): &&Seen| {
        *act == Act::Connect && at.rsplit_once(':').is_some_and(|(address, _)| own.contains(&address))
    };
    meanings.insert("SANDBOX:PORT", seen.iter().filter(answers).map(|(_, at)| at.clone()).collect());
    let open: Vec<&Seen> = seen.iter().filter(|one| !stated(&all, &meanings, one)).collect();
    assert!(open.is_empty(), "not stated: {open:#?}");
    // the trace did see what matters, and a list that leaves a statement out is found
    let web = format!("10.77.0.1:{}", ports[0]);
    for what in ["10.77.0.1:53", &web, "192.0.2.77:9"] {
        let one: Seen = (Act::Connect, what.to_owned());
        assert!(seen.contains(&one), "{what} in {seen:#?}");
        assert!(!stated(&[], &meanings, &one));
    }
    let fewer: Vec<Need> = all.iter().filter(|need| need.what != "RESOLVER:53").cloned().collect();
    assert!(!stated(&fewer, &meanings, &(Act::Connect, "10.77.0.1:53".to_owned())));
}

#[test]
fn a_run_of_root_s_does_nothing_that_is_not_stated() {
    once(CLAW, User::Root, check);
}

#[test]
fn a_run_of_an_ordinary_user_s_does_nothing_that_is_not_stated() {
    once(CLAW, User::Ordinary, check);
}

#[test]
fn an_update_that_needs_something_new_says_so() {
    once(CLAW, User::Ordinary, |lab| {
        let now = lab.cli(&["doctor", "--self", "--json"]).ends(0).stdout;
        let old = lab.write("old.json", &now);
        let old = old.to_string_lossy().into_owned();
        lab.cli(&["doctor", "--self", "--against", &old]).ends(0).says("nothing new is needed");
        let mut statement: serde_json::Value = serde_json::from_str(&now).unwrap();
        statement["needs"].as_array_mut().unwrap().retain(|need| need["what"] != "RESOLVER:53");
        lab.write("old.json", &statement.to_string());
        lab.cli(&["doctor", "--self", "--against", &old]).ends(1).says("new   run").says("RESOLVER:53");
        lab.write("old.json", "{\"version\": \"0\", \"needs\": [], \"more\": 1}");
        lab.cli(&["doctor", "--self", "--against", &old]).ends(2).warns("unknown field `more`");
        lab.cli(&["doctor", "--self"])
            .ends(0)
            .says("nothing leaves but questions to the host's name servers");
    });
}
