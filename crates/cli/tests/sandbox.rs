//! What the agent sees and may change of the host: what is listed, and nothing else.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use claw_testkit::{Lab, User, each, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

#[test]
fn a_shown_directory_lists_its_entries() {
    each(CLAW, |lab| {
        lab.write("work/one", "");
        lab.write("work/two", "");
        lab.run("ls; ls -a /usr").ends(0).says("one\ntwo\n").says("bin\n").says("lib\n").says("..\n");
        lab.python("import os; assert {'one', 'two'} <= set(os.listdir('.')), os.listdir('.')").ends(0);
    });
}

#[test]
fn only_what_is_listed_is_there() {
    each(CLAW, |lab| {
        lab.write("beside", "secret");
        let beside = lab.path("beside");
        let run = lab.run("ls / | tr '\\n' ' '; pwd; id -u").ends(0);
        for absent in ["boot", "media", "mnt", "opt", "run", "srv", "sys", "var"] {
            let words: Vec<&str> = run.stdout.split_whitespace().collect();
            assert!(!words.contains(&absent), "/{absent} is there: {run:#?}");
        }
        run.says(&lab.path("work").display().to_string()).says(&format!("\n{}\n", lab.user().number()));
        lab.run(&format!("cat {}", beside.display())).ends(1);
        lab.run("ls -A ~; find /home -mindepth 2 -not -path \"$HOME/*\" -not -path \"$HOME\" 2>/dev/null")
            .ends(0)
            .prints("");
        for absent in
            ["/sys/kernel", "/run", "/var/log", "/root/.profile", "/etc/shadow", "/etc/hostname", "/srv"]
        {
            assert!(Path::new(absent).exists(), "{absent} is not on this host to be hidden");
            assert_ne!(lab.run(&format!("test -e {absent} && cat {absent}/* {absent}")).code, 0, "{absent}");
        }
    });
}

#[test]
fn credentials_stay_masked_under_a_listed_directory() {
    each(CLAW, |lab| {
        lab.policy(&[], "filesystem:\n  read: [/usr, /bin, /lib, /lib64, /etc]\n");
        // the lab's own mounts below /etc are another test's matter
        let around = ["unshare", "-m", "sh", "-c", "umount /etc/hosts /etc/resolv.conf; exec \"$@\"", "sh"];
        let script = "cat /etc/hostname; cat /etc/shadow /etc/gshadow /etc/shadow-; ls /etc/ssl/private";
        let run = lab.claw().inside(&around).sh(script);
        assert_ne!(run.code, 0);
        assert!(!run.stdout.contains("root:"), "{run:#?}");
        assert!(!run.stdout.trim().is_empty(), "/etc itself must be readable: {run:#?}");
    });
}

#[test]
fn a_directory_with_mounts_below_it_is_shown() {
    each(CLAW, |lab| {
        lab.policy(&[], "filesystem:\n  read: [/usr, /bin, /lib, /lib64, /etc]\n");
        lab.run("cat /etc/hostname && ! cat /etc/shadow").ends(0);
    });
}

#[test]
fn nothing_is_written_but_where_the_policy_says() {
    each(CLAW, |lab| {
        lab.write("work/mine", "kept");
        let attacks = [
            "echo x > mine",
            "echo x > new",
            "rm mine",
            "mv mine other",
            "mkdir directory",
            "chmod 600 mine",
            "touch mine",
            "ln mine link",
            "touch /usr/evil",
            "touch /etc/evil",
            "touch /evil",
            "mkdir /evil",
        ];
        for attack in attacks {
            let run = lab.run(attack);
            assert_ne!(run.code, 0, "`{attack}` was done: {run:#?}");
        }
        assert_eq!(std::fs::read_to_string(lab.path("work/mine")).unwrap(), "kept");
        lab.directory("work/out");
        lab.policy(&[], "filesystem:\n  write: [./out]\n");
        lab.run("echo written > out/file && mkdir out/below && ! touch new").ends(0);
        assert_eq!(std::fs::read_to_string(lab.path("work/out/file")).unwrap(), "written\n");
        assert_eq!(std::fs::metadata(lab.path("work/out/file")).unwrap().uid(), lab.user().number());
    });
}

#[test]
fn temporary_places_and_home_are_private() {
    each(CLAW, |lab| {
        lab.write("home/.netrc", "secret");
        let mark = format!("claw-mark-{}", std::process::id());
        let script = format!(
            "set -e; cat ~/.netrc 2>/dev/null && exit 9; for d in /tmp /dev/shm ~; do echo x > $d/{mark}; cat $d/{mark}; done; ls -A /dev/shm | wc -l"
        );
        lab.run(&script).ends(0).prints("x\nx\nx\n1");
        for place in [Path::new("/tmp"), Path::new("/dev/shm"), &lab.path("home")] {
            assert!(!place.join(&mark).exists(), "{}", place.display());
        }
        lab.run(&format!("ls /tmp/{mark}")).ends(2);
    });
}

#[test]
fn the_policy_is_never_writable_though_its_directory_is() {
    each(CLAW, |lab| {
        lab.directory("work/sub");
        let text = "version: 1\nfilesystem:\n  write: [.]\n";
        let file = lab.write("work/sub/agent.yaml", text);
        lab.write("policy.yaml", text);
        let attacks = [
            "echo x >> sub/agent.yaml",
            "rm -f sub/agent.yaml",
            "mv sub/agent.yaml sub/old",
            "mv sub gone && mkdir sub && echo x > sub/agent.yaml",
            "cp /etc/passwd sub/x && mv -f sub/x sub/agent.yaml",
            "ln -f sub/agent.yaml link && echo x > link",
            "truncate -s 0 sub/agent.yaml",
            "chmod 777 sub/agent.yaml",
        ];
        for attack in attacks {
            let claw = lab.plain();
            let program = CLAW;
            let run = claw.command(&[program, "run", "--policy", "sub/agent.yaml", "--", "sh", "-c", attack]);
            assert_ne!(run.code, 125, "{run:#?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "`{attack}` changed it: {run:#?}");
        }
        let run =
            lab.plain().command(&[CLAW, "run", "--policy", "sub/agent.yaml", "--", "touch", "sub/other"]);
        assert_eq!((run.code, lab.path("work/sub/other").exists()), (0, true), "{run:#?}");
    });
}

#[test]
fn the_agent_has_no_privileges() {
    each(CLAW, |lab| {
        let script =
            "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t ' ' '";
        let zero = "0000000000000000";
        let expected = format!(
            "CapInh: {zero}\nCapPrm: {zero}\nCapEff: {zero}\nCapBnd: {zero}\nCapAmb: {zero}\nNoNewPrivs: 1\nSeccomp: 2"
        );
        lab.run(script).ends(0).prints(&expected);
    });
}

/// A program that takes core files over a pipe gets them whatever the limit is, but for a limit of one byte.
#[test]
fn no_process_of_a_run_leaves_a_core() {
    each(CLAW, |lab| {
        let script = "grep core /proc/self/limits | tr -s ' '";
        lab.run(script).ends(0).prints("Max core file size 1 1 bytes");
        // who may not have a byte of it can only forbid files
        let none = lab.claw().inside(&["prlimit", "--core=0:0"]).sh(script).ends(0);
        none.prints("Max core file size 0 0 bytes");
        let raise = "import resource
attempt(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))";
        assert_ne!(lab.python(raise).code, 0);
    });
}

#[test]
fn the_environment_is_short_and_what_the_policy_says() {
    each(CLAW, |lab| {
        let claw = || {
            lab.claw()
                .variable("AWS_SECRET_ACCESS_KEY", "leak")
                .variable("PASSED", "yes")
                .variable("TERM", "dumb")
        };
        let run = claw().sh("env; tr '\\0' '\\n' < /proc/1/environ").says("TERM=dumb").says("PATH=");
        assert!(!run.stdout.contains("leak") && !run.stdout.contains("PASSED"), "{run:#?}");
        lab.policy(&[], "process:\n  env: {pass: [PASSED], set: {GIVEN: \"1 2\"}}\n");
        let run = claw().sh("env").ends(0).says("PASSED=yes\n").says("GIVEN=1 2\n");
        assert!(!run.stdout.contains("leak"), "{run:#?}");
    });
}

#[test]
fn loopback_is_the_only_interface() {
    each(CLAW, |lab| {
        lab.run("ip -o link | wc -l; ip -o link").ends(0).says("1\n").says("lo");
        lab.run("cat /proc/net/dev | tail -n +3 | cut -d: -f1").ends(0).prints("lo");
    });
}

#[test]
fn proc_shows_only_the_sandbox_and_changes_nothing() {
    each(CLAW, |lab| {
        lab.run("echo 1 > /proc/sys/kernel/printk || echo 1 > /proc/sys/net/ipv4/ip_forward").ends(2);
        lab.run("echo h > /proc/sysrq-trigger").ends(2);
        let run = lab.run("ls /proc | grep -c '^[0-9]'").ends(0);
        assert!(run.stdout.trim().parse::<u32>().unwrap() <= 5, "{run:#?}");
        for look in [
            "cat /proc/1/environ",
            "cat /proc/1/maps",
            "cat /proc/1/auxv",
            "ls /proc/1/cwd/",
            "ls /proc/1/root/",
            "readlink /proc/1/fd/0",
            "readlink /proc/1/exe",
        ] {
            let run = lab.run(look);
            assert_ne!(run.code, 0, "`{look}` worked: {run:#?}");
        }
        let mem = "attempt(lambda: open('/proc/1/mem', 'rb'))";
        lab.python(mem).ends(1);
        let kill = format!("attempt(lambda: os.kill({}, 0))", std::process::id());
        lab.python(&kill).ends(1).says("ESRCH");
    });
}

/// User 0 inside is user 0 outside: what the kernel shows only to that user is of the whole machine.
#[test]
fn proc_shows_root_no_more_than_anybody() {
    each(CLAW, |lab| {
        let code = r#"
BELOW = ["/proc/sys/kernel", "/proc/sys/kernel/usermodehelper", "/proc/sys/vm", "/proc/sys/fs"]
def look(directory, depth):
    for entry in os.scandir(directory):
        if entry.is_symlink() or entry.name.isdigit():
            continue
        if entry.is_dir():
            try:
                os.listdir(entry.path)
            except PermissionError:
                continue
            if not entry.stat().st_mode & 0o001 or not entry.stat().st_mode & 0o004:
                print("directory", entry.path)
            if depth:
                look(entry.path, depth - 1)
        elif not entry.stat().st_mode & 0o004:
            try:
                open(entry.path).close()
                print("file", entry.path)
            except PermissionError:
                pass
look("/proc", 1)
for directory in BELOW:
    look(directory, 0)
print("looked")
"#;
        lab.python(code).ends(0).prints("looked");
        for look in ["ls /proc/tty/driver", "cat /proc/sys/kernel/usermodehelper/bset"] {
            assert_ne!(lab.run(look).code, 0, "{look}");
        }
        // what anybody may read is still there
        lab.run(
            "cat /proc/tty/drivers /proc/sys/kernel/pid_max /proc/sys/vm/overcommit_memory && ls /proc/irq",
        )
        .ends(0);
    });
}

#[test]
fn only_harmless_devices_are_there() {
    each(CLAW, |lab| {
        let script = "head -c 4 /dev/urandom | wc -c; echo x > /dev/null; head -c 1 /dev/zero | wc -c; ls /dev | tr '\\n' ' '";
        let run = lab.run(script).ends(0).says("4\n1\n");
        for device in ["vda", "kmsg", "mem", "fuse", "kvm", "loop0", "net"] {
            assert!(!run.stdout.split_whitespace().any(|word| word == device), "{device} in {run:#?}");
        }
        assert_ne!(lab.run("mknod /tmp/null c 1 3").code, 0);
        assert_ne!(lab.run("mknod /tmp/disk b 254 0").code, 0);
    });
}

#[test]
fn limits_hold_for_root() {
    once(CLAW, User::Root, |lab| {
        lab.policy(&[], "process:\n  limits: {memory: 128MiB, pids: 20}\n");
        lab.python("data = b'x' * (32 << 20); print(len(data))").ends(0).prints("33554432");
        let run = lab.python("data = b'x' * (600 << 20); print('HELD')");
        assert!(run.code != 0 && !run.stdout.contains("HELD"), "{run:#?}");
        let forks = "children = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(2); os._exit(0)
        children += 1
except OSError as error:
    print(errno.errorcode[error.errno], children < 20)";
        lab.python(forks).ends(0).says("EAGAIN True");
    });
}

/// Memory that is swapped out is beside the limit of version 1 (cgroup-v1/memory.rst), and has a file of its own in version 2.
#[test]
fn swap_is_no_way_around_a_memory_limit() {
    once(CLAW, User::Root, |lab| {
        lab.policy(&[], "process:\n  limits: {memory: 64MiB}\n");
        let run = lab.run("true").ends(0);
        let applied = run.records.iter().find(|record| record["kind"] == "applied").unwrap().to_string();
        let first = ["memory.memsw.limit_in_bytes", "67108864", "memory.swappiness", "\"0\""];
        let second = ["memory.swap.max", "\"0\""];
        let held = |words: &[&str]| words.iter().all(|word| applied.contains(word));
        assert!(held(&first) || held(&second), "{applied}");
    });
}

#[test]
fn the_groups_of_a_run_are_removed_however_it_ends() {
    once(CLAW, User::Root, |lab| {
        lab.policy(&[], "process:\n  limits: {memory: 128MiB, pids: 20}\n");
        let name = |what: &str| format!("{what}-{}", std::process::id());
        let groups = |name: &str| -> Vec<PathBuf> {
            let below =
                ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"];
            below.iter().map(|below| Path::new(below).join(name)).filter(|group| group.exists()).collect()
        };
        let gone = |name: &str| {
            (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                groups(name).is_empty()
            })
        };
        let ended = name("ended");
        lab.claw().option(&["--name", &ended]).sh("true").ends(0);
        assert!(gone(&ended), "{:?}", groups(&ended));
        let killed = name("killed");
        let running = lab.claw().option(&["--name", &killed]).start(&["sh", "-c", "echo > up; sleep 60"]);
        while groups(&killed).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        running.signal(9);
        running.end();
        assert!(gone(&killed), "{:?}", groups(&killed));
    });
}

#[test]
fn limits_that_cannot_be_held_run_nothing() {
    once(CLAW, User::Ordinary, |lab| {
        lab.directory("work/out");
        lab.policy(&[], "filesystem:\n  write: [./out]\nprocess:\n  limits: {memory: 128MiB, pids: 20}\n");
        lab.run("touch out/ran").ends(125).warns("hint:");
        assert!(!lab.path("work/out/ran").exists());
    });
}

#[test]
fn a_hidden_working_directory_becomes_the_home() {
    each(CLAW, |lab: &Lab| {
        lab.policy(&[], "filesystem:\n  read: [/usr, /bin, /lib, /lib64]\n");
        lab.run("[ \"$PWD\" = \"$HOME\" ] && ls -A | wc -l").ends(0).prints("0").warns("note");
    });
}
