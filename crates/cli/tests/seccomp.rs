//! Seccomp profiles on top of Claw's own filter: every call gets what the profile says, the agent itself is started under
//! any of them, and what is ended is told.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{Lab, Outcome, User, copy_program, each, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Makes each call named by number (and up to three arguments, `NUMBER:A:B:C`) in a child of its own, and prints what
/// came of it: `ok`, an errno, or the signal that ended the child.
const CALLER: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words) {
    for (int at = 1; at < count; at++) {
        long part[7] = {0}; int n = 0;
        for (char *rest = words[at]; rest && n < 7; n++) {
            part[n] = strtol(rest, &rest, 0);
            rest = *rest == ':' ? rest + 1 : 0;
        }
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            long result = syscall(part[0], part[1], part[2], part[3], part[4], part[5], part[6]);
            _exit(result == -1 ? errno : 0);
        }
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) printf("%ld signal %d\n", part[0], WTERMSIG(status));
        else if (WEXITSTATUS(status)) printf("%ld errno %d\n", part[0], WEXITSTATUS(status));
        else printf("%ld ok\n", part[0]);
    }
    return 0;
}
"#;

/// A program without a C library: says that it lives, then executes another one.
const BARE: &str = r#"
static long call(long n, long a, long b, long c) {
    long r; __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r;
}
void _start(void) {
    char *words[] = {"/bin/echo", "executed", 0};
    call(1, 1, (long)"alive\n", 6);
    call(59, (long)"/bin/echo", (long)words, 0);
    call(1, 1, (long)"survived\n", 9);
    call(231, 0, 0, 0);
    __builtin_trap();
}
"#;

fn under(lab: &Lab, profile: &str) {
    lab.policy(&[], &format!("filesystem: {{write: [.]}}\nprocess: {{seccomp: {profile}}}\n"));
}

fn ask(lab: &Lab, calls: &[&str]) -> Outcome {
    lab.compile("caller", CALLER);
    lab.claw().command(&[&["./caller"], calls].concat())
}

fn ended(run: &Outcome) -> Vec<String> {
    let text = |record: &serde_json::Value| {
        format!("{} {} {}", record["name"], record["action"], record["rule"]).replace('"', "")
    };
    run.of_kind("syscall").into_iter().map(text).collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn nano_ends_what_executes_and_says_which_call() {
    each(CLAW, |lab| {
        under(lab, "nano");
        let run = lab.run("echo first; ls /; echo status $?; exec ls /");
        let run = run.says("first").says("status 137").ends(137);
        assert!(!run.stdout.contains("usr"), "{run:#?}");
        let run = run
            .warns("it called execve(2), and nano:5 says SCMP_ACT_KILL_PROCESS")
            .warns("execve(2)  seccomp  ");
        assert_eq!(ended(&run)[0], "execve SCMP_ACT_KILL_PROCESS nano:5", "{run:#?}");
        assert!(run.of_kind("syscall")[0]["process"]["pid"].as_u64().unwrap() < 100, "{run:#?}");
        assert!(run.of_kind("applied")[0]["seccomp"].as_str().unwrap().ends_with("nano"), "{run:#?}");
    });
}

/// Whoever holds the listener answers for the calls: it must not be the agent.
#[test]
fn the_agent_does_not_hold_what_answers_for_it() {
    each(CLAW, |lab| {
        under(lab, "nano");
        let code = "import os; print([n for n in range(3, 1024) if os.path.lexists(f'/proc/self/fd/{n}')])";
        lab.claw().command(&["/usr/bin/python3", "-c", code]).ends(0).prints("[]");
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_call_that_nano_lists_ends_its_process() {
    once(CLAW, User::Ordinary, |lab| {
        under(lab, "nano");
        let names = [
            "execve",
            "execveat",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "pidfd_getfd",
            "process_madvise",
            "kcmp",
            "memfd_create",
            "memfd_secret",
            "bpf",
            "delete_module",
            "finit_module",
            "init_module",
            "io_uring_enter",
            "io_uring_register",
            "io_uring_setup",
            "kexec_file_load",
            "kexec_load",
            "keyctl",
            "add_key",
            "request_key",
            "perf_event_open",
            "userfaultfd",
            "setns",
        ];
        let numbers: Vec<String> = names.iter().map(|name| number(name).to_string()).collect();
        let mut calls: Vec<&str> = numbers.iter().map(String::as_str).collect();
        // anonymous and executable; writable and executable; made executable; shared and executable
        calls.extend(["9:0:4096:5:0x22", "9:0:4096:7:0x22", "10:0:4096:4", "329:0:4096:4", "30:0:0:0x8000"]);
        // memory that is not executable, a library's, a question
        let harmless = ["9:0:4096:3:0x22", "39", "10:0:0:1"];
        let run = ask(lab, &[&calls[..], &harmless].concat()).ends(0);
        let lines: Vec<&str> = run.stdout.lines().collect();
        for (call, line) in calls.iter().zip(&lines) {
            assert!(line.ends_with(" signal 9"), "{call}: {line}\n{run:#?}");
        }
        for (call, line) in harmless.iter().zip(lines.iter().skip(calls.len())) {
            assert!(!line.contains("signal"), "{call}: {line}");
        }
        let told = ended(&run);
        for name in names {
            assert!(told.iter().any(|line| line.starts_with(&format!("{name} "))), "{name}: {told:#?}");
        }
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_action_is_what_the_kernel_does() {
    each(CLAW, |lab| {
        lab.write(
            "profile.json",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77},
                {"names": ["getpgrp"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["gettid"], "action": "SCMP_ACT_TRAP"},
                {"names": ["getuid"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["geteuid"], "action": "SCMP_ACT_KILL_THREAD"},
                {"names": ["getgid"], "action": "SCMP_ACT_LOG"},
                {"names": ["getegid"], "action": "SCMP_ACT_NOTIFY"},
                {"names": ["sched_yield"], "action": "SCMP_ACT_TRACE"},
                {"names": ["close"], "action": "SCMP_ACT_KILL_PROCESS",
                 "args": [{"index": 0, "value": 4294967399, "op": "SCMP_CMP_EQ"}]},
                {"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS",
                 "args": [{"index": 1, "value": 448, "valueTwo": 64, "op": "SCMP_CMP_MASKED_EQ"}]}
            ]}"#,
        );
        under(lab, "../profile.json");
        let run = ask(
            lab,
            &[
                "110",
                "111",
                "186",
                "102",
                "107",
                "104",
                "108",
                "24",
                "3:4294967399",
                "3:103",
                "83:0:0x40",
                "83:0:0x80",
            ],
        );
        let run = run.ends(0).prints(
            "110 errno 77\n111 errno 1\n186 signal 31\n102 signal 9\n107 signal 31\n104 ok\n108 errno 1\n\
             24 errno 38\n3 signal 31\n3 errno 9\n83 signal 9\n83 errno 14",
        );
        let run_told = ended(&run);
        assert_eq!(
            run_told,
            [
                "getuid SCMP_ACT_KILL_PROCESS ../profile.json:5",
                "getegid SCMP_ACT_NOTIFY ../profile.json:8",
                "mkdir SCMP_ACT_KILL_PROCESS ../profile.json:12"
            ],
            "{run:#?}"
        );
    });
}

/// What init tells the supervisor of must not depend on descriptors: an agent can see to it that no more are sent.
#[test]
#[cfg(target_arch = "x86_64")]
fn what_ends_a_process_ends_it_though_no_descriptor_can_be_sent() {
    each(CLAW, |lab| {
        lab.write(
            "profile.json",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["getegid"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        );
        under(lab, "../profile.json");
        let file = lab.program_file(
            "kept = flood()
def ended(act):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        act(); print('went on:', errno.errorcode[ctypes.get_errno()], flush=True); os._exit(0)
    return os.waitpid(child, 0)[1]
def thread():
    one = threading.Thread(target=lambda: libc.ptrace(0, 0, 0, 0)); one.start(); one.join()
print([ended(lambda: libc.ptrace(0, 0, 0, 0)) for _ in range(3)], ended(thread))
print('told', libc.getegid())",
        );
        let run = lab.claw().inside(&["prlimit", "--nofile=600:"]).command(&["python3", &file]).ends(0);
        let run = run.prints("[9, 9, 9] 9\ntold -1");
        let mut told = ended(&run);
        told.sort_unstable();
        told.dedup();
        assert_eq!(
            told,
            ["getegid SCMP_ACT_NOTIFY ../profile.json:3", "ptrace SCMP_ACT_KILL_PROCESS ../profile.json:2"],
            "{run:#?}"
        );
        assert_eq!(run.stderr.matches("it called ptrace(2)").count(), 4, "{run:#?}");
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_ends_a_process_ends_it_though_init_has_no_descriptor_left() {
    each(CLAW, |lab| {
        lab.write(
            "profile.json",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#,
        );
        under(lab, "../profile.json");
        let file = lab.program_file(
            "open('up', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
child = os.fork()
if child == 0: libc.ptrace(0, 0, 0, 0); os._exit(0)
print(os.waitpid(child, 0)[1])",
        );
        let running = lab.claw().start(&["python3", &file]);
        let begun = Instant::now();
        while !lab.path("work/up").exists() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        let (pid, name) = (running.pid(), "claw-init");
        let init = lab.bare(&format!("pgrep --parent {pid} --exact {name}")).ends(0);
        lab.bare(&format!("prlimit --pid {} --nofile=5:", init.stdout.trim())).ends(0);
        lab.write("work/go", "");
        let run = running.end().ends(0).prints("9");
        assert_eq!(ended(&run), ["ptrace SCMP_ACT_KILL_PROCESS ../profile.json:2"], "{run:#?}");
    });
}

/// The start of the agent is Claw's; what the profile says of execution holds from its first instruction on.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_agent_starts_under_a_profile_that_forbids_execution() {
    each(CLAW, |lab| {
        lab.write("work/bare.c", BARE);
        lab.bare("gcc -static -nostdlib -fno-stack-protector -o bare bare.c").ends(0);
        // the fragment that everybody copies
        lab.write(
            "fragment.json",
            r#"{
"defaultAction": "SCMP_ACT_ERRNO",
"architectures": ["SCMP_ARCH_X86_64"],
"syscalls": [
{
"names": ["read", "write", "clock_nanosleep", "epoll_wait"],
"action": "SCMP_ACT_ALLOW"
},
{
"names": ["ptrace", "process_vm_writev", "memfd_create", "execve", "execveat", "init_module", "finit_module"],
"action": "SCMP_ACT_KILL_PROCESS"
}
]
}"#,
        );
        under(lab, "../fragment.json");
        let run = lab.claw().command(&["./bare"]).ends(137).prints("alive");
        assert_eq!(ended(&run), ["execve SCMP_ACT_KILL_PROCESS ../fragment.json:9"], "{run:#?}");
        // a program of the C library lives not long: nothing is left to it but these four calls
        lab.claw().command(&["/bin/true"]).ends(139);

        lab.write("errno.json", r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [{"names": ["write", "exit_group"], "action": "SCMP_ACT_ALLOW"}]}"#);
        under(lab, "../errno.json");
        let run = lab.claw().command(&["./bare"]).ends(0).prints("alive\nsurvived");
        assert_eq!(ended(&run), ["execve SCMP_ACT_ERRNO(13) ../errno.json"], "{run:#?}");
    });
}

#[test]
fn the_profile_that_container_engines_ship_runs_programs() {
    each(CLAW, |lab| {
        let text = std::fs::read_to_string("/usr/share/containers/seccomp.json")
            .expect("Debian's golang-github-containers-common");
        lab.write("engine.json", &text);
        under(lab, "../engine.json");
        let run = lab.run(
            "python3 -c 'import threading, subprocess; t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join(); print(subprocess.check_output([\"echo\", \"child\"]))'
            node -e 'console.log(\"node\", [1,2,3].map(x => x * 2).join())'; curl --version | head -c 4; unshare -U true; echo $?",
        );
        let run = run.ends(0).says("thread").says("child").says("node 2,4,6").says("curl").says("1");
        assert!(run.stderr.contains("stays closed"), "the foreign ABIs it lists are told: {run:#?}");
    });
}

#[test]
fn a_program_is_looked_up_as_without_a_profile() {
    each(CLAW, |lab| {
        lab.write("profile.json", r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execveat"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#);
        under(lab, "../profile.json");
        lab.claw().command(&["no-such-program"]).ends(127).warns("command not found");
        lab.write("work/plain", "text");
        lab.claw().command(&["./plain"]).ends(126);
        lab.claw().command(&["/usr"]).ends(126);
        let script = lab.path("work/script");
        copy_program(lab.write("script", "echo from a script $1"), &script);
        lab.own(&script, 0o755);
        lab.claw().command(&["./script", "one"]).ends(0).prints("from a script one");
        lab.claw().command(&["sh", "-c", "echo $0", "name"]).ends(0).prints("name");
    });
}

#[test]
fn a_profile_that_is_wrong_runs_nothing() {
    each(CLAW, |lab| {
        for (text, why) in [
            ("{\"defaultAction\": \"SCMP_ACT_ALOW\"}", "did you mean `SCMP_ACT_ALLOW`?"),
            (
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"architectures\": [\"SCMP_ARCH_S390X\"]}",
                "profile.json:2",
            ),
            (
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"raed\"], \"action\": \"SCMP_ACT_ALLOW\"}]}",
                "did you mean `read`?",
            ),
            (
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}, {\"names\": [\"read\"], \"action\": \"SCMP_ACT_TRAP\"}]}",
                "`read` gets SCMP_ACT_TRAP here",
            ),
            ("{\"defaultAction\":", "profile.json"),
        ] {
            lab.write("profile.json", text);
            under(lab, "../profile.json");
            let run = lab.run("echo ran").ends(2).warns(why);
            assert!(!run.stdout.contains("ran"), "{run:#?}");
            lab.cli(&["policy", "check", "../policy.yaml"]).ends(2).warns(why);
        }
        under(lab, "../missing.json");
        lab.run("echo ran").ends(2).warns("cannot read the seccomp profile `../missing.json`");
        under(lab, "nanoo");
        lab.run("echo ran").ends(2).warns("did you mean `nano`?");
    });
}

#[test]
fn a_profile_that_the_agent_could_write_runs_nothing() {
    each(CLAW, |lab| {
        lab.write("work/profile.json", "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}");
        under(lab, "./profile.json");
        let run = lab.run("echo ran").ends(2).warns("lies where the agent may write");
        assert!(!run.stdout.contains("ran"), "{run:#?}");
    });
}

/// The number of a call on this machine, from the C library's headers.
fn number(name: &str) -> i64 {
    let header = std::fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").unwrap();
    let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define __NR_{name} ")));
    line.and_then(|number| number.trim().parse().ok()).unwrap()
}
