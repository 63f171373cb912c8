//! Executables by digest: what is not listed is neither executed nor mapped as code, by whatever way.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{Lab, User, each, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Programs, their loader and their libraries, as `sha256sum` lists them.
fn listed(programs: &[&str]) -> String {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    let modules = std::fs::read_dir("/usr/lib/python3.11/lib-dynload").into_iter().flatten().flatten();
    let modules: Vec<String> = modules.map(|module| module.path().display().to_string()).collect();
    let python = programs.iter().any(|program| program.contains("python"));
    let modules = modules.iter().map(String::as_str).filter(|_| python);
    for program in programs.iter().copied().chain(modules) {
        files.insert(Path::new(program).canonicalize().unwrap());
        let output = Command::new("ldd").arg(program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
        files.extend(paths.map(|path| Path::new(path).canonicalize().unwrap()));
    }
    let output = Command::new("sha256sum").args(&files).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the agent has made a file.
fn wait_for(lab: &Lab, name: &str) {
    let begun = Instant::now();
    while !lab.path(&format!("work/{name}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the agent never made `{name}`");
        thread::sleep(Duration::from_millis(5));
    }
}

fn under(lab: &Lab, list: &str) {
    lab.write("list.sha256", list);
    lab.policy(&[], "filesystem: {write: [.]}\nprocess: {exec: {listed: {file: ../list.sha256}}}\n");
}

#[test]
fn only_listed_files_are_executed() {
    each(CLAW, |lab| {
        under(lab, &listed(&["/bin/sh", "/usr/bin/id"]));
        let run = lab
            .run("id -u; /usr/bin/env true; echo env $?; ls; echo ls $?; cp /usr/bin/id . 2>&1; echo cp $?");
        let run = run.ends(0).says(&lab.user().number().to_string());
        let run = run.says("env 126").says("ls 126").says("cp 126");
        assert!(
            run.of_kind("applied")[0]["seccomp"].as_str().unwrap().contains("executables listed"),
            "{run:#?}"
        );
        // the agent itself is no exception
        let run = lab.claw().command(&["/usr/bin/env", "true"]).ends(126);
        run.warns("`process.exec` may not list it");
    });
}

/// Every way to run an unlisted file: each would print `EVIL`.
#[test]
fn no_way_around_the_list() {
    each(CLAW, |lab| {
        let python = "/usr/bin/python3";
        lab.compile("evil", "#include <unistd.h>\nint main() { write(1, \"EVIL\\n\", 5); return 0; }");
        lab.write(
            "work/lib.c",
            "#include <unistd.h>\n__attribute__((constructor)) void f() { write(1, \"EVIL\\n\", 5); }",
        );
        lab.bare(
            "gcc -shared -fPIC -o lib.so lib.c && echo '#!/bin/sh\necho EVIL' > script && chmod +x script",
        )
        .ends(0);
        under(lab, &listed(&["/bin/sh", python]));
        let code = r#"
import ctypes, errno, mmap, os, shutil, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def run(*words, **more):
    more.setdefault("executable", None)
    print(subprocess.run(words, capture_output=True, text=True, **more))
def memory():
    number = libc.syscall(319, b"x", 0)
    if number < 0: raise OSError(ctypes.get_errno(), "memfd_create")
    os.write(number, open("evil", "rb").read()); run("x", executable=f"/proc/self/fd/{number}", pass_fds=[number])
def descriptor(path):
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        words = (ctypes.c_char_p * 2)(b"x", None)
        libc.syscall(322, number, b"", words, None, 0x1000)
        os._exit(ctypes.get_errno())
    code = os.waitpid(child, 0)[1]
    if code: raise OSError(os.waitstatus_to_exitcode(code), "execveat")
def copied(place):
    path = os.path.join(place, "copy"); shutil.copy("evil", path); os.chmod(path, 0o755); run(path)
def mapped(path):
    with open(path, "rb") as file:
        mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    print("EVIL mapped")
def protected(path):
    with open(path, "rb") as file:
        one = mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        at = ctypes.addressof(ctypes.c_char.from_buffer(one))
        if libc.mprotect(ctypes.c_void_p(at), 4096, 5): raise OSError(ctypes.get_errno(), "mprotect")
    print("EVIL protected")
def shared():
    number = libc.shmget(0, 4096, 0o1777)
    libc.shmat.restype = ctypes.c_void_p
    if libc.shmat(number, None, 0o100000) in (None, 2**64 - 1): raise OSError(ctypes.get_errno(), "shmat")
    print("EVIL shared")
def temporary():
    number = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o755)
    os.write(number, open("evil", "rb").read())
    reopened = os.open(f"/proc/self/fd/{number}", os.O_RDONLY); os.close(number)
    run("x", executable=f"/proc/self/fd/{reopened}", pass_fds=[reopened])
def over():
    shutil.copy("evil", "/usr/bin/env")
def replaced():
    os.rename("evil", "../list.sha256"); print("EVIL renamed")
loader = os.path.realpath("/lib64/ld-linux-x86-64.so.2")
ways = {
    "path": lambda: run("./evil"), "script": lambda: run("./script"), "loader": lambda: print(subprocess.run([loader, "./evil"], capture_output=True)),
    "preload": lambda: print(subprocess.run(["sh", "-c", "true"], env={"LD_PRELOAD": "./lib.so"}, capture_output=True)),
    "library": lambda: ctypes.CDLL("./lib.so"), "memory": memory, "descriptor": lambda: descriptor("evil"),
    "self": lambda: run("x", executable="/proc/self/cwd/evil"), "tmp": lambda: copied("/tmp"), "shm": lambda: copied("/dev/shm"),
    "home": lambda: copied(os.path.expanduser("~")), "here": lambda: copied("."), "mapped": lambda: mapped("evil"),
    "protected": lambda: protected("evil"), "shared": shared, "temporary": temporary, "over": over, "replaced": replaced,
    "unlisted": lambda: run("/usr/bin/env", "true"), "init": lambda: run("x", executable="/proc/1/exe"),
    "link": lambda: (os.link("evil", "linked"), run("./linked")), "symlink": lambda: (os.symlink("evil", "s"), run("./s")),
}
for name, way in ways.items():
    try: way(); print(name, "WENT")
    except (OSError, subprocess.SubprocessError) as error: print(name, "held", errno.errorcode.get(error.errno or 0, error) if isinstance(error, OSError) else error)
"#;
        let run = lab.python(code).ends(0);
        assert!(!run.stdout.contains("EVIL"), "{}", run.stdout);
        // a loader or a shell that is listed starts, and finds that it may not
        let went: Vec<&str> = run.stdout.lines().filter_map(|line| line.strip_suffix(" WENT")).collect();
        assert_eq!(went, ["loader", "preload"], "{}", run.stdout);
        // where files may be executed at all, each of them would have run
        let bare = lab.bare("./evil; ./script; LD_PRELOAD=./lib.so /bin/true").ends(0);
        assert_eq!(bare.stdout.matches("EVIL").count(), 3, "{bare:#?}");
    });
}

#[test]
fn what_is_executed_is_what_was_compared() {
    each(CLAW, |lab| {
        lab.compile("tool", "#include <stdio.h>\nint main() { puts(\"good\"); return 0; }");
        let tool = lab.path("work/tool");
        let own = listed(&["/bin/sh", tool.to_str().unwrap()]);
        under(lab, &own);
        // replaced and written over outside, while it runs; and not at all inside
        let file = "echo > up; while [ ! -e go ]; do :; done; ./tool; echo x > tool; echo write $?";
        let running = lab.claw().start(&["sh", "-c", file]);
        wait_for(lab, "up");
        let bytes = std::fs::read(&tool).unwrap();
        std::fs::write(&tool, String::from_utf8_lossy(&bytes).replace("good", "evil")).unwrap();
        lab.write("work/go", "");
        let run = running.end().says("good").says("write 2").warns("was changed outside");
        assert!(!run.stdout.contains("evil"), "{run:#?}");
        let record = run.of_kind("integrity")[0];
        assert_eq!(record["path"], tool.display().to_string(), "{record}");
        assert!(own.contains(record["expected"].as_str().unwrap().trim_start_matches("sha256:")), "{record}");
        std::fs::remove_file(lab.path("work/go")).unwrap();
        // from the next run on it is not what is listed
        lab.run("echo ran").ends(2).warns("list.sha256:").warns("not the one that is listed");
    });
}

#[test]
fn a_change_ends_the_run_if_the_policy_says_so() {
    each(CLAW, |lab| {
        lab.compile("tool", "int main() { return 0; }");
        let tool = lab.path("work/tool");
        lab.write("list.sha256", &listed(&["/bin/sh", "/bin/sleep", tool.to_str().unwrap()]));
        lab.directory("work/out");
        lab.policy(
            &[],
            "filesystem: {write: [./out]}\nprocess: {exec: {listed: {file: ../list.sha256, changed: end}}}\n",
        );
        let running = lab.claw().start(&["sh", "-c", "echo > out/up; sleep 20; echo late"]);
        wait_for(lab, "out/up");
        // the same content is no change, nor is another name for it
        std::fs::write(&tool, std::fs::read(&tool).unwrap()).unwrap();
        thread::sleep(Duration::from_millis(200));
        std::fs::remove_file(&tool).unwrap();
        let run = running.end().ends(137).warns("the run ends");
        assert!(!run.stdout.contains("late"), "{run:#?}");
        let records = run.of_kind("integrity");
        assert_eq!(records.len(), 1, "{run:#?}");
        assert!(records[0]["found"].is_null(), "{run:#?}");
    });
}

#[test]
fn a_digest_without_a_path_is_looked_for() {
    once(CLAW, User::Ordinary, |lab| {
        lab.compile("tool", "#include <stdio.h>\nint main() { puts(\"found\"); return 0; }");
        let list = listed(&["/bin/sh", lab.path("work/tool").to_str().unwrap()]);
        let digests: Vec<String> =
            list.lines().map(|line| format!("'sha256:{}'", line.split(' ').next().unwrap())).collect();
        lab.policy(
            &[],
            &format!("filesystem: {{read: [/usr/lib64, /usr/lib/x86_64-linux-gnu, /usr/bin, /bin, /lib, /lib64, .]}}\nprocess: {{exec: {{listed: {{digests: [{}]}}}}}}\n", digests.join(", ")),
        );
        lab.run("./tool; /usr/bin/id; echo $?").ends(0).says("found").says("126");
    });
}

#[test]
fn a_slip_in_the_list_runs_nothing() {
    each(CLAW, |lab| {
        let good = listed(&["/bin/sh"]);
        let first = good.lines().next().unwrap();
        for (list, why) in [
            (good.replacen(first, first.get(1..).unwrap(), 1), "list.sha256:1"),
            (good.replace("  /", "  /nowhere/"), "No such file"),
            (format!("{good}{}  /etc/hostname\n", "0".repeat(64)), "not the one that is listed"),
            (format!("{good}{}\n", "0".repeat(64)), "no file that is visible inside has this digest"),
            ("# nothing\n".to_owned(), "not even the agent could be started"),
        ] {
            under(lab, &list);
            let run = lab.run("echo ran").ends(2).warns(why);
            assert!(!run.stdout.contains("ran"), "{run:#?}");
        }
        for (exec, why) in [
            ("listed", "without a list would execute nothing"),
            ("anyy", "did you mean `any`?"),
            ("{listed: {digests: [sha256:12]}}", "64 lower-case hex digits"),
            ("{listed: {}}", "the list of what may be executed is empty"),
            ("{listed: {digest: []}}", "did you mean `digests`?"),
            ("{listed: {file: ./missing}}", "cannot read the list of executables `./missing`"),
        ] {
            lab.policy(&[], &format!("process: {{exec: {exec}}}\n"));
            lab.run("echo ran").ends(2).warns(why);
        }
    });
}

#[test]
fn a_file_as_standard_input_is_no_code() {
    each(CLAW, |lab| {
        under(lab, &listed(&["/bin/sh", "/usr/bin/python3"]));
        lab.compile("evil", "int main() { return 0; }");
        lab.write(
            "work/try.py",
            "import mmap, os
for name, way in {
    'map': lambda: mmap.mmap(0, 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    'mode': lambda: os.fchmod(0, 0o777), 'times': lambda: os.utime(0, (1, 1)), 'attribute': lambda: os.setxattr(0, 'user.x', b'1'),
    'run': lambda: os.execve(0, ['x'], {}),
}.items():
    try: way(); print(name, 'WENT')
    except OSError as error: print(name, error.errno)
print(len(os.read(0, 100)))",
        );
        let claw = lab.program().display().to_string();
        let run = |options: &str| {
            lab.bare(&format!("{claw} run {options} -- python3 try.py < evil; stat -c %a-%Y evil")).ends(0)
        };
        let before = lab.bare("stat -c %a-%Y evil");
        for options in ["--policy ../policy.yaml", ""] {
            let run = run(options);
            assert!(!run.stdout.contains("WENT"), "{run:#?}");
            assert!(run.stdout.contains("map 1\n") && run.stdout.contains("mode 30\n"), "{run:#?}");
            assert!(run.stdout.ends_with(&format!("100\n{}", before.stdout)), "{run:#?}");
        }
        lab.bare(&format!("{claw} run --policy ../policy.yaml -- sh -c true 1<>evil")).ends(125);
    });
}
