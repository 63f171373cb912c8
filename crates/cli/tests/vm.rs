//! Claw on Debian's kernel, in a virtual machine: what a kernel with AppArmor and IMA adds.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;
use std::time::Duration;

use claw_testkit::{Machine, Printed};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/apparmor");
/// A boot and its script take 10 to 30 s on an idle core.
const PATIENCE: Duration = Duration::from_secs(240);

/// One forbidden thing, chosen by a word; prints that it went, or why not.
const PROBE: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>
static int trace(void) {
    pid_t child = fork();
    if (!child) for (;;) pause();
    int got = ptrace(PTRACE_ATTACH, child, 0, 0), why = errno;
    kill(child, SIGKILL);
    errno = why;
    return got;
}
int main(int count, char **words) {
    int got = -1;
    errno = EINVAL;
    for (int number = 1; number < count; number++) {
        char *what = words[number];
        if (!strcmp(what, "mount")) got = mount("none", "/tmp", "tmpfs", 0, 0);
        if (!strcmp(what, "raw")) got = socket(AF_INET, SOCK_RAW, 1);
        if (!strcmp(what, "packet")) got = socket(AF_PACKET, SOCK_RAW, 0);
        if (!strcmp(what, "ptrace")) got = trace();
        if (!strcmp(what, "signal")) got = kill(1, SIGCHLD);
        if (!strcmp(what, "setting")) got = open("/proc/sys/kernel/core_pattern", O_WRONLY);
        if (!strcmp(what, "hostname")) got = sethostname("x", 1);
        printf("%s: %s\n", what, got < 0 ? strerror(errno) : "WENT");
    }
    return 0;
}
"#;

#[must_use]
fn machine() -> Machine {
    let machine = Machine::with(CLAW);
    machine.compile("/usr/bin/probe", PROBE);
    for name in ["claw", "claw-agent"] {
        machine.copy(&format!("{PROFILES}/{name}"), &format!("/etc/apparmor.d/{name}"));
    }
    machine
}

#[test]
fn the_shipped_profiles_parse() {
    for name in ["claw", "claw-agent"] {
        let output = Command::new("/sbin/apparmor_parser")
            .args(["-Q", "-K", "--skip-kernel-load"])
            .arg(format!("{PROFILES}/{name}"))
            .output()
            .unwrap_or_else(|error| panic!("apparmor_parser (Debian package apparmor): {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Each attack, and the walls that hold it: with these taken out the profile alone is left.
const ATTACKS: &[(&str, &str)] = &[
    ("mount", "seccomp,capabilities,landlock"),
    ("raw", "seccomp,capabilities"),
    ("packet", "seccomp,capabilities"),
    ("hostname", "seccomp,capabilities"),
    ("ptrace", "seccomp"),
    ("signal", "landlock"),
    ("setting", "proc,landlock"),
];

const APPARMOR: &str = r#"
say() { while IFS= read -r line; do echo "$1: $line"; done; }
printf 'version: 1\nnetwork_policy:\n  workload:\n    - {destination: "api.test:80", plane: tool, purpose: test}\n' > /tmp/p.yaml
sed 's/purpose: test/purpose: test, protocol: TCP, path: brokered/' /tmp/p.yaml > /tmp/brokered.yaml
printf 'version: 1\nfilesystem: {read: [/usr/bin, /bin]}\n' > /tmp/probe.yaml
printf 'process: {exec: {listed: {file: /tmp/list.sha256}}}\n' | cat /tmp/p.yaml - > /tmp/listed.yaml
/bin/busybox sha256sum /bin/busybox > /tmp/list.sha256
ip addr add 8.8.8.8/32 dev lo
echo '8.8.8.8 api.test' >> /etc/hosts
mkdir /www; echo served > /www/index.html; /bin/busybox httpd -p 8.8.8.8:80 -h /www
label='cat /proc/self/attr/apparmor/current'
fetch="/bin/busybox wget -q -O - http://api.test/"
run() { name=$1; shift; claw run --ledger /root/$name.jsonl --policy "$@" 2>&1 | say $name; echo "$name-record: $(grep -o '"apparmor":"[^"]*"' /root/$name.jsonl)"; }
claw doctor | say without
run without-profile /tmp/p.yaml -- sh -c "id -u; $label"
apparmor_parser -K -r /etc/apparmor.d/claw-agent 2>&1 | say load
run root /tmp/p.yaml -- sh -c "id -u; $label; $fetch"
cd /home/agent
su agent -c "HOME=/home/agent claw run --policy /tmp/p.yaml -- sh -c 'id -u; $label; $fetch' 2>&1" | say user
cd /root
for attack in $ATTACKS; do
  walls=${attack#*=}; what=${attack%=*}
  CLAW_TEST_WITHOUT=$walls claw run --policy /tmp/probe.yaml -- probe $what 2>&1 | say held
  CLAW_TEST_WITHOUT=$walls,apparmor claw run --policy /tmp/probe.yaml -- probe $what 2>&1 | say open
done
echo secret > /root/.local/state/claw/runs/other.jsonl
echo "state-outside: $(cat /root/.local/state/claw/runs/other.jsonl)"
sh -c 'printf "changeprofile claw-agent" > /proc/self/attr/apparmor/current; cat /root/.local/state/claw/runs/other.jsonl' 2>&1 | say state-inside
dmesg -c > /dev/null
apparmor_parser -K -r /etc/apparmor.d/claw 2>&1 | say load
claw doctor | say whole
for name in p brokered listed; do run claw-$name /tmp/$name.yaml -- sh -c "$label; $fetch"; done
cd /home/agent
su agent -c "HOME=/home/agent claw run --policy /tmp/p.yaml -- sh -c '$label; $fetch' 2>&1" | say claw-user
cd /root
dmesg | grep 'apparmor="DENIED"' | say refused
# a profile that may not be left for the agent's: nothing runs
printf 'abi <abi/3.0>,\nprofile claw /usr/bin/claw flags=(attach_disconnected) { file, capability, network, mount, umount, pivot_root, signal, ptrace, unix, }\n' > /tmp/closed
apparmor_parser -K -r /tmp/closed 2>&1 | say load
claw run --policy /tmp/p.yaml -- sh -c 'echo ran' 2>&1 | say closed
"#;

#[test]
fn the_agent_is_held_by_apparmor_where_the_kernel_has_it() {
    let machine = machine();
    let attacks: Vec<String> = ATTACKS.iter().map(|(what, walls)| format!("{what}={walls}")).collect();
    let printed = machine.boot("", &format!("ATTACKS='{}'{APPARMOR}", attacks.join(" ")), PATIENCE);
    let says = |name: &str, words: &str| assert!(printed.says(name, words), "{name}: {words}: {printed:#?}");
    // not loaded: it runs, and says so
    says(
        "without",
        "absent   apparmor         profile `claw-agent` is not loaded; claw itself is unconfined",
    );
    says("without", "claw can run agents here");
    says("without-profile", "unconfined");
    says("without-profile-record", "profile `claw-agent` is not loaded");
    // loaded
    for name in ["root", "user", "claw-p", "claw-brokered", "claw-listed", "claw-user"] {
        says(name, "claw-agent (enforce)");
        says(name, "served");
    }
    for name in ["root-record", "claw-p-record", "claw-listed-record"] {
        says(name, "\"apparmor\":\"claw-agent (enforce)\"");
    }
    says("user", "1000");
    #[cfg(debug_assertions)]
    for (what, walls) in ATTACKS {
        assert!(printed.says("open", &format!("{what}: WENT")), "without {walls}: {printed:#?}");
        assert!(!printed.says("held", &format!("{what}: WENT")), "without {walls}: {printed:#?}");
        assert!(printed.says("held", &format!("{what}: ")), "{what} was not tried: {printed:#?}");
    }
    assert_eq!(printed.value("state-outside"), "secret");
    assert_eq!(
        printed.value("state-inside"),
        "cat: can't open '/root/.local/state/claw/runs/other.jsonl': Permission denied"
    );
    // with a profile of its own too, Claw does all it must
    says(
        "whole",
        "ok       apparmor         the agent gets claw-agent (enforce); claw itself is claw (enforce)",
    );
    says("whole", "claw can run agents here");
    assert!(!printed.lines.iter().any(|line| line.starts_with("refused: ")), "{printed:#?}");
    says("closed", "cannot enter the AppArmor profile `claw-agent`");
    assert!(!printed.says("closed", "ran"), "{printed:#?}");
}

/// The same machine without what Claw cannot do without.
#[test]
fn a_kernel_without_landlock_or_ipv6_runs_nothing_and_says_why() {
    let script = "
        say() { while IFS= read -r line; do echo \"$1: $line\"; done; }
        claw doctor | say doctor
        claw run -- sh -c 'echo ran' 2>&1 | say run
        claw run -- true 2> /dev/null; echo \"code: $?\"
    ";
    for (parameters, doctor, why) in [
        (
            "lsm=lockdown,yama,apparmor",
            "MISSING  landlock         ABI 0",
            "this kernel offers Landlock ABI 0",
        ),
        ("ipv6.disable=1", "MISSING  ipv6             ", "cannot configure the loopback interface"),
    ] {
        let printed = machine().boot(parameters, script, PATIENCE);
        assert!(printed.says("doctor", doctor) && printed.says("run", why), "{printed:#?}");
        assert!(printed.says("doctor", "claw cannot run agents here"), "{printed:#?}");
        assert!(printed.says("run", "hint: ") && !printed.says("run", "ran"), "{printed:#?}");
        assert_eq!(printed.value("code"), "125");
    }
}

const IMA: &str = r#"
say() { while IFS= read -r line; do echo "$1: $line"; done; }
run() {
  name=$1; shift
  { claw run --ledger /root/$name.jsonl --policy "$@" | cat; } 2>&1 | say $name
  echo "$name: $(grep -o '"kind":"exit".*' /root/$name.jsonl)"
  grep -o '"integrity":"[^"]*"' /root/$name.jsonl | say $name-list
  grep '"kind":"integrity"' /root/$name.jsonl | say $name-record
}
cp /usr/bin/probe /opt/tool; cp /bin/busybox /opt/other; cp /usr/bin/probe /opt/third
/bin/busybox sha256sum /bin/busybox /opt/tool > /root/list.sha256
/bin/busybox sha256sum /bin/busybox /opt/other > /root/other.sha256
/bin/busybox sha256sum /bin/busybox /opt/third > /root/third.sha256
policy() { printf "version: 1\nfilesystem: {read: [/opt, /bin]}\nprocess: {exec: {listed: {file: /root/$1.sha256, changed: $2}}}\n"; }
policy list end > /root/list.yaml; policy other end > /root/other.yaml; policy third record > /root/third.yaml
claw doctor | say doctor
run sound /root/list.yaml -- sh -c '/opt/tool none; echo done'
printf 'version: 1\n' > /root/any.yaml
run any /root/any.yaml -- true
# changed and changed back, and executed in between: to Claw's own eyes it is what is listed
cp /opt/other /opt/kept; cp /usr/bin/probe /opt/other; /opt/other none > /dev/null; cp /opt/kept /opt/other
run returned /root/other.yaml -- sh -c 'echo ran'
# held open for writing while it is read: nothing about the file itself changes
held() {
  until grep -q '"integrity"' /root/$1.jsonl 2> /dev/null; do sleep 1; done
  # order: open for writing before it is read, and still open then
  sleep 1; exec 3>> $2; cat $2 > /dev/null; sleep 1
}
held violated /opt/tool &
run violated /root/list.yaml -- sh -c 'echo began; sleep 60; echo AWAKE'
held recorded /opt/third &
run recorded /root/third.yaml -- sh -c 'sleep 12; echo AWAKE'
cd /home/agent
su agent -c 'HOME=/home/agent claw doctor' | say private
# and a file that is another one by the kernel's list and by Claw's own: not even a plan
cp /bin/busybox /opt/tool
run replaced /root/list.yaml -- sh -c 'echo ran'
"#;

#[test]
fn what_the_kernel_measured_is_compared_with_the_list() {
    let parameters = "ima_policy=tcb ima_hash=sha256 ima_template=ima-ng";
    let printed = machine().boot(parameters, IMA, PATIENCE);
    let says = |name: &str, words: &str| assert!(printed.says(name, words), "{name}: {words}: {printed:#?}");
    let never =
        |name: &str, words: &str| assert!(!printed.says(name, words), "{name}: {words}: {printed:#?}");
    says("doctor", "ok       ima              ");
    says("doctor", "absent   evm              off (0)");
    // sound: the listed ones, Claw's own executable and its libraries
    says("sound", "done");
    says("sound", "\"code\":0");
    let list = printed.value("sound-list");
    let (known, all) = numbers(list);
    assert!(known == all && all >= 4, "{list}");
    says("sound-list", "evm: off (0)");
    never("sound-record", "integrity");
    says("any-list", "ima: not asked for, no executables are listed");
    // the last measurement before the start is of another content
    says("returned", "`/opt/other` was measured with another digest, says the kernel");
    says("returned", "\"code\":137");
    never("returned", "ran");
    let record = record(&printed, "returned-record");
    assert_eq!((record["path"].as_str(), record["source"].as_str()), (Some("/opt/other"), Some("ima")));
    assert!(record["found"] != record["expected"] && record["found"].is_string(), "{record}");
    // while it runs
    says("violated", "began");
    says("violated", "`/opt/tool` was open for writing while it was read, says the kernel");
    says("violated", "\"code\":137");
    never("violated", "AWAKE");
    let zeros = format!("sha256:{}", "0".repeat(64));
    assert_eq!(self::record(&printed, "violated-record")["found"], zeros);
    // by the default it is written down, and the run goes on
    says("recorded", "AWAKE");
    says("recorded", "\"code\":0");
    assert_eq!(self::record(&printed, "recorded-record")["found"], zeros);
    says("private", "absent   ima              in this kernel; its list is for root alone");
    says("replaced", "not the one that is listed");
    never("replaced", "ran");
}

/// `… N of M files …`
fn numbers(text: &str) -> (u32, u32) {
    let words: Vec<&str> = text.split([' ', '"', ':']).collect();
    let at = words.iter().position(|word| *word == "of").unwrap();
    let number = |at: usize| words.get(at).unwrap().parse().unwrap();
    (number(at.wrapping_sub(1)), number(at.wrapping_add(1)))
}

fn record(printed: &Printed, name: &str) -> serde_json::Value {
    serde_json::from_str(printed.value(name)).unwrap()
}
