//! How runs begin and end: codes and signals pass through, and nothing outlives claw.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use claw_testkit::{Lab, each, sink};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Processes of the host, by number, whose command line holds the mark.
fn marked(mark: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
    })
    .collect()
}

fn soon(holds: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        if holds() {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn codes_pass_through() {
    each(CLAW, |lab| {
        lab.write("work/plain", "not a program");
        lab.claw().command(&["true"]).ends(0);
        lab.claw().command(&["sh", "-c", "exit 7"]).ends(7);
        lab.claw().command(&["sh", "-c", "exit 255"]).ends(255);
        lab.claw().command(&["no-such-program"]).ends(127).warns("no-such-program");
        lab.claw().command(&["./no-such-program"]).ends(127);
        lab.claw().command(&["./plain"]).ends(126).warns("plain");
        lab.claw().command(&["/usr"]).ends(126);
        lab.claw().command(&["sh", "-c", "kill -TERM $$"]).ends(128 + 15);
        lab.claw().command(&["sh", "-c", "kill -SEGV $$"]).ends(128 + 11);
        lab.claw().command(&["sh", "-c", "kill -KILL $$"]).ends(128 + 9);
    });
}

#[test]
fn the_exit_is_written_down() {
    each(CLAW, |lab| {
        let run = lab.run("exit 9").ends(9);
        let kinds: Vec<&str> = run.records.iter().filter_map(|record| record.get("kind")?.as_str()).collect();
        assert_eq!(kinds, ["start", "applied", "exit"]);
        assert_eq!(run.of_kind("exit")[0]["code"], 9);
    });
}

#[test]
fn input_and_output_pass_through() {
    each(CLAW, |lab| {
        let run = lab.claw().input(b"one\ntwo\n").sh("cat; echo problem >&2").ends(0).warns("problem\n");
        assert_eq!(run.stdout, "one\ntwo\n");
        let bytes = vec![b'x'; 3_000_000];
        lab.claw().input(&bytes).sh("wc -c").ends(0).prints("3000000");
        lab.claw()
            .option(&["--quiet"])
            .sh("head -c 2000000 /dev/zero | tr '\\0' y | tail -c 5")
            .ends(0)
            .prints("yyyyy");
    });
}

#[test]
fn signals_reach_the_agent() {
    each(CLAW, |lab| {
        let ready = |lab: &Lab| soon(|| lab.path("work/out/ready").exists());
        for (script, code) in [
            ("touch out/ready; exec sleep 50", 128 + 15),
            ("trap 'echo trapped; exit 5' TERM; touch out/ready; while :; do sleep 0.05; done", 5),
        ] {
            lab.directory("work/out");
            lab.policy(&[], "filesystem:\n  write: [./out]\n");
            let running = lab.claw().start(&["sh", "-c", script]);
            assert!(ready(lab), "the agent did not start");
            running.signal(15);
            let run = running.end().ends(code);
            assert!(code != 5 || run.stdout == "trapped\n", "{run:#?}");
            fs::remove_file(lab.path("work/out/ready")).unwrap();
        }
    });
}

#[test]
fn orphans_are_reaped_while_the_agent_runs() {
    each(CLAW, |lab| {
        lab.run("(sleep 0.05 &) ; (sh -c 'sleep 0.1 & exit' &); sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l").ends(0).prints("0");
    });
}

#[test]
fn what_the_agent_leaves_behind_ends_with_it() {
    each(CLAW, |lab| {
        let mark = format!("50.{}{}", std::process::id(), lab.user().number());
        let run =
            lab.run(&format!("setsid sleep {mark} & nohup sleep {mark} >/dev/null 2>&1 & sleep 0.1; exit 3"));
        assert!(run.took < Duration::from_secs(10), "{run:#?}");
        run.ends(3);
        assert!(soon(|| marked(&mark).is_empty()), "still there: {:?}", marked(&mark));
    });
}

#[test]
fn killing_claw_at_any_moment_leaves_nothing() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        for moment in 0..30_u64 {
            let mark = format!("claw-mark-{}-{}-{moment}", std::process::id(), lab.user().number());
            let script = format!(
                ": {mark}; for n in 1 2 3; do (while :; do bash -c ': {mark}; exec 5<>/dev/tcp/api.lab.test/{}; echo x >&5'; done) & done; wait",
                server.port()
            );
            let running = lab.claw().start(&["sh", "-c", &script]);
            // half of the moments while it is built, half while it runs
            sleep(Duration::from_millis(if moment < 15 { moment * 4 } else { moment * 10 }));
            running.signal(9);
            running.end().ends(128 + 9);
            assert!(soon(|| marked(&mark).is_empty()), "moment {moment}: {:?}", marked(&mark));
            let before = server.arrivals();
            sleep(Duration::from_millis(20));
            assert_eq!(server.arrivals(), before, "moment {moment}: something still arrives");
        }
        assert!(server.arrivals() > 0, "the agent never got to run");
    });
}

#[test]
fn killing_the_init_of_the_sandbox_ends_the_run() {
    each(CLAW, |lab| {
        let mark = format!("51.{}{}", std::process::id(), lab.user().number());
        let running = lab.claw().start(&["sleep", &mark]);
        // the agent is the marked process that is not claw itself; its parent is the init
        let agent = || {
            marked(&mark).into_iter().find(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
            })
        };
        assert!(soon(|| agent().is_some()), "the agent did not start");
        let status = fs::read_to_string(format!("/proc/{}/status", agent().unwrap())).unwrap();
        let init = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
        assert_ne!(init, running.pid().to_string());
        assert!(std::process::Command::new("kill").args(["-9", &init]).status().unwrap().success());
        running.end().ends(128 + 9);
        assert!(soon(|| marked(&mark).is_empty()), "still there: {:?}", marked(&mark));
    });
}

#[test]
fn the_ledger_has_a_keeper_that_can_do_nothing_else() {
    each(CLAW, |lab| {
        let running = lab.claw().start(&["sleep", "50"]);
        let parent = format!("PPid:\t{}\n", running.pid());
        let keeper = || {
            fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
                let status = fs::read_to_string(entry.path().join("status")).ok()?;
                (status.starts_with("Name:\tclaw-keeper\n") && status.contains(&parent))
                    .then(|| (entry.path(), status))
            })
        };
        // the name comes before the filter
        let confined = || keeper().is_some_and(|(_, status)| status.contains("Seccomp:\t2\n"));
        assert!(soon(confined), "{:?}", keeper());
        let (path, status) = keeper().unwrap();
        for line in ["CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "NoNewPrivs:\t1\n"] {
            assert!(status.contains(line), "{line}: {status}");
        }
        // neither what claw was called with nor its environment can be read from it
        assert!(fs::read(path.join("cmdline")).unwrap().iter().all(|byte| *byte == 0));
        // its channel and the ledger
        if lab.user().number() == 0 {
            let mut open: Vec<String> = fs::read_dir(path.join("fd"))
                .unwrap()
                .flatten()
                .map(|entry| fs::read_link(entry.path()).unwrap().display().to_string())
                .collect();
            open.sort();
            assert_eq!(open.len(), 2, "{open:?}");
            assert!(open[0].ends_with(".jsonl") && open[1].starts_with("socket:"), "{open:?}");
        }
        // it outlives neither the run nor a claw that was killed, and no key on the terminal ends it before
        assert!(
            std::process::Command::new("kill")
                .args(["-INT", path.file_name().unwrap().to_str().unwrap()])
                .status()
                .unwrap()
                .success()
        );
        sleep(Duration::from_millis(50));
        assert!(path.exists());
        running.signal(9);
        running.end().ends(128 + 9);
        assert!(soon(|| !path.exists() || keeper().is_none()), "{:?}", keeper());
    });
}

/// Who has the disk hold the ledger after the last record, seen from outside.
#[test]
fn the_disk_holds_the_ledger_whoever_waits_for_it() {
    each(CLAW, |lab| {
        let (ledger, trace) = (lab.path("l.jsonl"), lab.path("trace"));
        let synced = || {
            let text = fs::read_to_string(&trace).unwrap();
            // the ledger is the first file that claw keeps open. What is written cannot be seen: its memory is hidden
            let (_, after) = text.rsplit_once(" write(3, ").expect("a record");
            after.lines().any(|line| line.contains("fdatasync") && line.trim_end().ends_with("= 0"))
        };
        let keeper = || {
            let holds = |process: &std::path::Path| {
                fs::read_to_string(process.join("comm")).is_ok_and(|name| name == "claw-keeper\n")
                    && fs::read_dir(process.join("fd")).is_ok_and(|all| {
                        all.flatten().any(|one| fs::read_link(one.path()).is_ok_and(|to| to == ledger))
                    })
            };
            fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).find(|process| holds(process))
        };
        let first = ["unshare", "-r", "-pf", "--mount-proc"];
        for (before, seconds, killed) in [(&[][..], "0", false), (&[], "1", true), (&first, "0", false)] {
            let _ = fs::remove_file(&ledger);
            let (ledger, trace) = (ledger.display().to_string(), trace.display().to_string());
            let mut words = vec!["strace", "-f", "-s", "400", "-o", &trace, "-e", "trace=write,fdatasync"];
            words.extend(before);
            words.extend([CLAW, "run", "--quiet", "--ledger", &ledger, "--", "sleep", seconds]);
            let running = lab.plain().start(&words);
            if killed {
                assert!(soon(|| keeper().is_some()), "no keeper holds the ledger");
                let pid = keeper().unwrap().file_name().unwrap().to_string_lossy().into_owned();
                assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            }
            running.end().ends(0);
            // what outlives claw ends a moment later
            assert!(soon(synced), "{words:?}: {}", fs::read_to_string(&trace).unwrap());
        }
    });
}

#[test]
fn a_terminal_works() {
    each(CLAW, |lab| {
        let policy = lab.path("policy.yaml");
        let claw = |name: &str, words: &str| {
            format!(
                "{CLAW} run --quiet --policy {} --ledger {} -- {words}",
                policy.display(),
                lab.path(name).display()
            )
        };
        let script = |line: &str| ["script", "-qefc", line, "/dev/null"].map(str::to_owned);
        let tty =
            script(&claw("tty.jsonl", "sh -c 'test -t 0 && test -t 1 && stty size && echo x > /dev/tty'"));
        lab.plain().command(&tty.each_ref().map(String::as_str)).ends(0);
        let line = claw("key.jsonl", "sh -c 'echo ready; exec sleep 20'");
        let driver = format!(
            "import pty, os, time, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', {line:?}])
seen = b''
while b'ready' not in seen: seen += os.read(master, 1000)
time.sleep(0.2); os.write(master, b'\\x03')
status = os.waitpid(pid, 0)[1]
print(os.waitstatus_to_exitcode(status))"
        );
        let run = lab.plain().command(&["python3", "-c", &driver]).ends(0);
        assert!(["130", "-2"].contains(&run.stdout.trim()), "{run:#?}");
    });
}

#[test]
fn the_terminal_has_a_name() {
    each(CLAW, |lab| {
        let line = format!("{CLAW} run --quiet -- tty");
        let run = lab.plain().command(&["script", "-qefc", &line, "/dev/null"]).ends(0);
        assert!(run.stdout.contains("/dev/"), "{run:#?}");
    });
}
