//! Ways out that a hostile reading found: each worked once.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A directory of this test's own, below the target directory.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path.canonicalize().unwrap()
}

fn claw(directory: &Path) -> Command {
    let mut command = Command::new(CLAW);
    command.current_dir(directory).env("HOME", directory.join("home")).env_remove("XDG_CONFIG_HOME");
    command.env("XDG_STATE_HOME", directory.join("state")).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_socket_as_a_standard_stream_runs_nothing() {
    let directory = scratch("socket");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inherited: OwnedFd = TcpStream::connect(listener.local_addr().unwrap()).unwrap().into();
    let output = claw(&directory).args(["run", "--", "echo", "ran"]).stdin(inherited).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    assert!(text(&output).contains("standard input is a socket"), "{}", text(&output));
    assert!(!text(&output).contains("ran"), "{}", text(&output));
}

/// A service that listens under a name can hand a directory of the host to whoever reads from it.
#[test]
fn a_service_with_a_name_as_a_standard_stream_runs_nothing() {
    let directory = scratch("named");
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let connected = || UnixStream::connect(&path).unwrap();
    let run = |streams: fn(&mut Command, OwnedFd), stream: UnixStream| {
        let mut command = claw(&directory);
        command.args(["run", "--", "sh", "-c", "echo ran; echo ran >&2"]);
        streams(&mut command, stream.into());
        command.output().unwrap()
    };
    let as_input = |command: &mut Command, stream| {
        command.stdin(Stdio::from(stream));
    };
    let as_output = |command: &mut Command, stream| {
        command.stdout(Stdio::from(stream));
    };
    let (input, output) = (run(as_input, connected()), run(as_output, connected()));
    for (output, name) in [(input, "input"), (output, "output")] {
        assert_eq!(output.status.code(), Some(125), "{}", text(&output));
        let wanted = format!("standard {name} is a socket that leads to a service with a name");
        assert!(text(&output).contains(&wanted) && text(&output).contains("hint:"), "{}", text(&output));
        assert!(!text(&output).contains("ran"), "{}", text(&output));
    }
    // something lies there already, for who reads from it
    let early = connected();
    let mut there = listener.incoming().nth(2).unwrap().unwrap();
    there.write_all(b"x").unwrap();
    early.shutdown(Shutdown::Read).unwrap();
    let output = run(as_output, early);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
}

/// As systemd connects a service's output to its journal: nothing comes back from there.
#[test]
fn a_service_that_only_takes_can_be_the_output() {
    let directory = scratch("journal");
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let journal = UnixStream::connect(&path).unwrap();
    let mut there = listener.accept().unwrap().0;
    journal.shutdown(Shutdown::Read).unwrap();
    let mut command = claw(&directory);
    command.args(["run", "--", "sh", "-c", "echo ran; echo too >&2"]);
    command.stdout(OwnedFd::from(journal.try_clone().unwrap())).stderr(OwnedFd::from(journal));
    assert_eq!(command.status().unwrap().code(), Some(0));
    drop(command);
    let mut said = String::new();
    there.read_to_string(&mut said).unwrap();
    assert!(said.contains("ran\ntoo\n"), "{said}");
}

/// One end of a pair, as many programs give it to what they start.
#[test]
fn one_end_of_a_pair_can_be_a_standard_stream() {
    let directory = scratch("pair");
    let (own, theirs) = UnixStream::pair().unwrap();
    own.shutdown(Shutdown::Write).unwrap();
    let mut command = claw(&directory);
    command.args(["run", "--", "cat"]).stdin(OwnedFd::from(theirs));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_directory_as_a_standard_stream_runs_nothing() {
    let directory = scratch("directory");
    let output =
        claw(&directory).args(["run", "--", "echo", "ran"]).stdin(File::open("/").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    assert!(text(&output).contains("standard input is a directory"), "{}", text(&output));
}

#[test]
fn a_home_behind_a_link_is_not_shown() {
    let directory = scratch("home");
    let home = directory.join("var/home/u");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/id"), "SECRETKEY").unwrap();
    symlink("var/home", directory.join("home")).unwrap();
    let output = claw(&home)
        .env("HOME", directory.join("home/u"))
        .args(["run", "--", "cat", ".ssh/id"])
        .output()
        .unwrap();
    assert!(!text(&output).contains("SECRETKEY"), "{}", text(&output));
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn a_writable_path_through_a_link_is_refused() {
    let directory = scratch("link");
    fs::create_dir_all(directory.join("real/sub")).unwrap();
    symlink("real", directory.join("link")).unwrap();
    let policy = directory.join("real/sub/agent_runtime.yaml");
    let listed = directory.join("link/sub");
    fs::write(&policy, format!("version: 1\nfilesystem: {{write: [\"{}\"]}}\n", listed.display())).unwrap();
    let output =
        claw(&directory).args(["run", "--policy"]).arg(&policy).args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("leads through a symbolic link"), "{}", text(&output));
}

#[test]
fn claws_own_state_is_never_writable_whatever_its_name() {
    let directory = scratch("state");
    fs::create_dir_all(directory.join("real/work")).unwrap();
    symlink("real", directory.join("alias")).unwrap();
    let policy = directory.join("policy.yaml");
    fs::write(&policy, "version: 1\nfilesystem: {write: [\".\"]}\n").unwrap();
    let output = claw(&directory.join("real/work"))
        .env("XDG_STATE_HOME", directory.join("alias/work/state"))
        .args(["run", "--policy"])
        .arg(&policy)
        .args(["--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("Claw's own state"), "{}", text(&output));
}

#[test]
fn init_cannot_be_limited_or_slowed_down() {
    let directory = scratch("init");
    let script = r"
import os, resource
def attempt(name, call):
    try:
        call()
        print('DONE', name)
    except PermissionError:
        print('refused', name)
attempt('limit', lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (1, 1)))
attempt('affinity', lambda: os.sched_setaffinity(1, {0}))
attempt('scheduler', lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
attempt('group', lambda: os.setpriority(os.PRIO_PGRP, 0, 19))
";
    let output = claw(&directory).args(["run", "--", "/usr/bin/python3", "-c", script]).output().unwrap();
    let said = text(&output);
    for name in ["limit", "affinity", "scheduler", "nice", "group"] {
        assert!(said.contains(&format!("refused {name}")), "{name}: {said}");
    }
}
