//! Reviewed trees: what the agent writes is kept aside; `claw changes` shows, applies and discards it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use claw_testkit::{Lab, Outcome, User, each, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const REVIEW: &str = "filesystem: {review: [.]}\n";

/// One run under a name, which must end well.
fn agent(lab: &Lab, name: &str, script: &str) -> Outcome {
    lab.claw().option(&["--name", name]).sh(script).ends(0)
}

fn changes(lab: &Lab, words: &[&str]) -> Outcome {
    lab.cli(&[&["changes"], words].concat())
}

/// The changes of the run `one`, which must be told with this code.
fn listed(lab: &Lab, code: i32) -> serde_json::Value {
    serde_json::from_str(&changes(lab, &["one", "--json"]).ends(code).stdout).unwrap()
}

fn flagged(list: &serde_json::Value, path: &str) -> bool {
    let change = list["changes"].as_array().unwrap().iter().find(|change| change["path"] == path);
    assert!(change.is_some(), "{path} in {list:#}");
    change.is_some_and(|change| change["flagged"].is_string())
}

/// Every path of the working directory with its kind, mode, and content or target.
fn tree(lab: &Lab) -> Vec<String> {
    fn walk(at: &Path, root: &Path, out: &mut Vec<String>) {
        let about = fs::symlink_metadata(at).unwrap();
        let content = if about.is_file() {
            String::from_utf8_lossy(&fs::read(at).unwrap()).into_owned()
        } else if about.is_symlink() {
            format!("-> {}", fs::read_link(at).unwrap().display())
        } else {
            String::new()
        };
        out.push(format!("{} {:o} {content}", at.strip_prefix(root).unwrap().display(), about.mode()));
        if about.is_dir() {
            let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            names.iter().for_each(|path| walk(path, root, out));
        }
    }
    let mut out = Vec::new();
    walk(&lab.path("work"), &lab.path("work"), &mut out);
    out
}

fn prepare(lab: &Lab) {
    lab.directory("work/src");
    lab.directory("work/old");
    lab.write("work/keep", "kept\n");
    lab.write("work/edit", "one\ntwo\nthree\n");
    lab.write("work/gone", "gone\n");
    lab.write("work/src/main", "main\n");
    lab.write("work/old/a", "a\n");
    lab.write("work/old/b", "b\n");
    lab.policy(&[], REVIEW);
    // what the lab itself writes belongs to the time before the run
    std::thread::sleep(Duration::from_millis(20));
}

const EDIT: &str = "set -e; sed -i s/two/TWO/ edit; rm gone; rm -r old; mkdir old; echo c > old/c; echo new > new; \
     mkdir -p d/e; echo deep > d/e/f; chmod 755 src/main; ln -s keep link; rm keep; mkdir keep; cat edit old/c d/e/f";

#[test]
fn the_host_stays_as_it_is_until_somebody_applies() {
    each(CLAW, |lab| {
        prepare(lab);
        let before = tree(lab);
        agent(lab, "one", EDIT).prints("one\nTWO\nthree\nc\ndeep").warns("claw changes one");
        assert_eq!(tree(lab), before);
        let list = changes(lab, &["one"]).ends(0);
        let lines: Vec<&str> = list.stdout.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "A d/",
                "A d/e/",
                "A d/e/f",
                "M edit",
                "D gone",
                "T keep/",
                "A link",
                "A new",
                "A old/c",
                "D old/a",
                "D old/b",
                "P src/main",
                "12 changes in one: 0 flagged, 0 refused"
            ],
            "{list:#?}"
        );
        changes(lab, &["one", "--diff"]).ends(0).says("--- a/edit\n+++ b/edit\n").says("-two\n+TWO\n");
        // the next run begins with what the host has
        agent(lab, "two", "cat keep edit && test -e gone").prints("kept\none\ntwo\nthree");
        changes(lab, &["apply", "one"]).ends(0).says("12 applied, 0 refused");
        assert_eq!(fs::read_to_string(lab.path("work/edit")).unwrap(), "one\nTWO\nthree\n");
        assert!(!lab.path("work/gone").exists() && !lab.path("work/old/a").exists());
        assert_eq!(fs::read_to_string(lab.path("work/old/c")).unwrap(), "c\n");
        assert_eq!(fs::read_to_string(lab.path("work/d/e/f")).unwrap(), "deep\n");
        assert_eq!(fs::read_link(lab.path("work/link")).unwrap(), Path::new("keep"));
        assert!(lab.path("work/keep").is_dir());
        assert_eq!(fs::metadata(lab.path("work/src/main")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::metadata(lab.path("work/new")).unwrap().uid(), lab.user().number());
        // what the host has already is no change
        changes(lab, &["one"]).ends(0).prints("0 changes in one: 0 flagged, 0 refused");
        changes(lab, &["discard", "one"]).ends(0);
        assert!(!lab.path("state/claw/changes/one").exists());
        changes(lab, &["one"]).ends(2).warns("no changes are kept");
    });
}

/// Deletions and hidden directories in every form in which kernels write them down.
#[test]
fn deletions_are_read_in_every_form() {
    each(CLAW, |lab| {
        for name in ["user", "trusted"] {
            lab.directory(&format!("work/{name}"));
            lab.write(&format!("work/{name}/below"), "host\n");
            lab.write(&format!("work/{name}-gone"), "host\n");
        }
        lab.write("work/device", "host\n");
        lab.policy(&[], REVIEW);
        std::thread::sleep(Duration::from_millis(20));
        agent(lab, "one", "rm device; echo x > x");
        let upper = lab.path("state/claw/changes/one/0/upper");
        assert_eq!(fs::symlink_metadata(upper.join("device")).unwrap().rdev(), 0);
        let code = r#"
import os, sys
os.chdir(sys.argv[1])
for name in ["user", "trusted"]:
    os.mkdir(name, 0o755); os.setxattr(name, f"{name}.overlay.opaque", b"y"); open(name + "/new", "w").write("x")
    open(name + "-gone", "w").close(); os.setxattr(name + "-gone", f"{name}.overlay.whiteout", b"")
"#;
        let mut command = std::process::Command::new("/usr/bin/python3");
        assert!(command.args(["-c", code]).arg(&upper).status().unwrap().success());
        let number = lab.user().number();
        let owner = format!("{number}:{number}");
        assert!(
            std::process::Command::new("chown").args(["-R", &owner]).arg(&upper).status().unwrap().success()
        );
        let list = changes(lab, &["one"]);
        for line in ["D device", "D user-gone", "A user/new", "D user/below"] {
            assert!(list.stdout.contains(line), "no {line} in {list:#?}");
        }
        // attributes that only root can make are only root's to read
        if lab.user() == User::Root {
            for line in ["D trusted-gone", "A trusted/new", "D trusted/below"] {
                assert!(list.stdout.contains(line), "no {line} in {list:#?}");
            }
        }
    });
}

#[test]
fn discarding_leaves_nothing_of_it() {
    each(CLAW, |lab| {
        prepare(lab);
        let before = tree(lab);
        agent(lab, "one", &format!("{EDIT}; mkdir -p m/n; echo x > m/n/o; chmod 0 m/n; chmod 0 m"));
        changes(lab, &["discard"]).ends(0);
        assert_eq!(tree(lab), before);
        changes(lab, &[]).ends(0).prints("no run left changes");
        assert_eq!(fs::read_dir(lab.path("state/claw/changes")).unwrap().count(), 0);
    });
}

#[test]
fn what_somebody_changed_meanwhile_is_not_overwritten() {
    each(CLAW, |lab| {
        prepare(lab);
        agent(lab, "one", "echo agent > edit; rm gone; rm -r old; echo agent > both; echo agent > new");
        for name in ["work/edit", "work/gone", "work/old/b", "work/both"] {
            lab.write(name, "somebody\n");
        }
        let list = changes(lab, &["one"]).ends(1);
        for name in ["M both", "M edit", "D gone", "D old/"] {
            let line = list.stdout.split_once(&format!("{name}  ")).unwrap().1.lines().nth(1).unwrap();
            assert!(line.contains("changed since the run began"), "{name}: {list:#?}");
        }
        changes(lab, &["apply", "one"]).ends(1).says("applied A new\n").says("1 applied, 4 refused");
        for name in ["work/edit", "work/gone", "work/old/b", "work/both"] {
            assert_eq!(fs::read_to_string(lab.path(name)).unwrap(), "somebody\n", "{name}");
        }
        assert_eq!(fs::read_to_string(lab.path("work/old/a")).unwrap(), "a\n");
        changes(lab, &["apply", "one", "edit", "--overwrite"]).ends(0).says("1 applied, 0 refused");
        assert_eq!(fs::read_to_string(lab.path("work/edit")).unwrap(), "agent\n");
        assert!(lab.path("work/gone").exists());
    });
}

#[test]
fn paths_choose_what_is_applied() {
    each(CLAW, |lab| {
        prepare(lab);
        agent(lab, "one", EDIT);
        changes(lab, &["apply", "one", "nowhere"]).ends(2).warns("is no change");
        changes(lab, &["apply", "one", "d/e/f", "./new"]).ends(0).says("2 applied");
        assert_eq!(fs::read_to_string(lab.path("work/d/e/f")).unwrap(), "deep\n");
        assert_eq!(fs::read_to_string(lab.path("work/edit")).unwrap(), "one\ntwo\nthree\n");
        // a part of a directory that was replaced, and then the rest of it
        changes(lab, &["apply", "one", "old/c"]).ends(0);
        changes(lab, &["one"]).ends(0).says("D old/a").says("D old/b");
        changes(lab, &["apply", "one", "old"]).ends(0).says("2 applied");
        assert_eq!(fs::read_dir(lab.path("work/old")).unwrap().count(), 1);
    });
}

#[test]
fn what_runs_later_is_flagged_and_applied_only_by_its_name() {
    each(CLAW, |lab| {
        prepare(lab);
        let script = "set -e; mkdir -p x/hooks .vscode a/b; echo 'evil' > x/hooks/pre-commit; mkdir -p x/objects x/refs; \
             echo ref > x/HEAD; mv x .git; echo {} > .vscode/tasks.json; echo e > .envrc; echo 'gitdir: /evil' > a/b/.git; \
             mkdir -p bare/objects bare/refs; echo ref > bare/HEAD; echo c > bare/config; ln -s /etc/cron.d out; echo ok > plain";
        agent(lab, "one", script);
        let list = listed(lab, 1);
        let flagged = |path: &str| flagged(&list, path);
        for path in
            [".git/hooks/pre-commit", ".vscode/tasks.json", ".envrc", "a/b/.git", "bare/config", "out"]
        {
            assert!(flagged(path), "{path}");
        }
        for path in ["plain", ".git", ".git/HEAD", "a/b"] {
            assert!(!flagged(path), "{path}");
        }
        changes(lab, &["apply", "one"])
            .ends(1)
            .says("applied A plain\n")
            .says("name flagged paths one by one");
        for path in
            [".git/hooks/pre-commit", ".envrc", ".vscode/tasks.json", "a/b/.git", "bare/config", "out"]
        {
            assert!(fs::symlink_metadata(lab.path("work").join(path)).is_err(), "{path}");
        }
        // a directory above is not the name
        changes(lab, &["apply", "one", ".vscode"]).ends(1);
        changes(lab, &["apply", "one", ".vscode/tasks.json"]).ends(0);
        assert!(lab.path("work/.vscode/tasks.json").exists() && !lab.path("work/.envrc").exists());
        changes(lab, &["apply", "one", "--flagged"]).ends(0);
        assert!(lab.path("work/.git/hooks/pre-commit").exists() && lab.path("work/.envrc").exists());
    });
}

/// Every way to bring a protected name about; none may reach the host.
#[test]
fn what_the_policy_protects_never_reaches_the_host() {
    each(CLAW, |lab| {
        lab.directory("work/.git");
        lab.directory("work/.git/hooks");
        lab.write("work/.git/config", "[core]\n");
        lab.write("work/.envrc", "host\n");
        lab.write("work/deploy.sh", "host\n");
        lab.write("work/plain", "plain\n");
        lab.policy(&[], "filesystem: {review: [.], protect: [standard, deploy.sh]}\n");
        std::thread::sleep(Duration::from_millis(20));
        let before = tree(lab);
        let code = r#"
import ctypes, os, shutil
libc = ctypes.CDLL(None, use_errno=True)
def put(path, text="EVIL\n"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True); open(path, "w").write(text)
def exchange(one, other):
    if libc.renameat2(-100, one.encode(), -100, other.encode(), 2): raise OSError(ctypes.get_errno(), "exchange")
put(".git/hooks/pre-commit"); put(".git/config"); put(".envrc"); put("deploy.sh"); put("x/deploy.sh")
put("a/b/c/.git/hooks/x")
put("later/hooks/x"); os.mkdir("n"); os.rename("later", "n/.git")
put("one/hooks/y"); os.makedirs("two/.git"); exchange("one", "two/.git")
put("source"); os.link("source", "m/.npmrc") if os.path.isdir("m") else (os.mkdir("m"), os.link("source", "m/.npmrc"))
os.symlink("source", "m/.bashrc"); os.symlink("n", "m/.git")
put("m/.GIT/hooks/z"); put("k/Makefile"); put(".Claude/settings.json")
put("bare/config"); put("bare/HEAD"); os.makedirs("bare/objects"); os.makedirs("bare/refs")
os.symlink(".git/hooks", "way"); put("way/through")
exchange("plain", ".envrc")
"#;
        let file = lab.program_file(code);
        lab.claw().option(&["--name", "one"]).command(&["python3", &file]).ends(0);
        let before: Vec<String> = before.into_iter().filter(|line| !line.starts_with("program")).collect();
        let run = changes(lab, &["apply", "one", "--flagged", "--overwrite"]).ends(1);
        let evil = |line: &&String| {
            let name = line.split(' ').next().unwrap().to_lowercase();
            let held = [".envrc", ".npmrc", ".bashrc", "makefile", ".claude", "deploy.sh", "hooks", "config"];
            held.iter().any(|part| name.split('/').any(|own| own == *part))
        };
        let after = tree(lab);
        let (was, now): (Vec<_>, Vec<_>) =
            (before.iter().filter(evil).collect(), after.iter().filter(evil).collect());
        // two plain directories that the agent exchanged with protected ones may be there, empty of what is protected
        let now: Vec<_> = now.into_iter().filter(|line| !line.starts_with("one")).collect();
        assert_eq!(was, now, "{run:#?}");
        assert!(fs::symlink_metadata(lab.path("work/m/.git")).is_err(), "{run:#?}");
        // naming it changes nothing
        changes(lab, &["apply", "one", ".envrc", "--flagged", "--overwrite"])
            .ends(1)
            .says("the policy protects");
        assert_eq!(fs::read_to_string(lab.path("work/.envrc")).unwrap(), "host\n");
    });
}

#[test]
fn protection_without_review_is_refused_with_its_line() {
    once(CLAW, User::Ordinary, |lab| {
        for policy in ["filesystem: {write: [.], protect: standard}\n", "filesystem: {protect: standard}\n"] {
            lab.policy(&[], policy);
            lab.run("touch ran").ends(2).warns("`protect`").warns("policy.yaml:3");
        }
        assert!(!lab.path("work/ran").exists());
    });
}

/// Neither can what the host has under such a name be taken away, together with what is around it.
#[test]
fn what_the_policy_protects_is_not_taken_away() {
    each(CLAW, |lab| {
        for name in ["one", "two", "three"] {
            for directory in ["", "/deep", "/deep/.git", "/deep/.git/hooks"] {
                lab.directory(&format!("work/{name}{directory}"));
            }
            lab.write(&format!("work/{name}/deep/.git/hooks/guard"), "host\n");
        }
        lab.policy(&[], "filesystem: {review: [.], protect: standard}\n");
        std::thread::sleep(Duration::from_millis(20));
        let before = tree(lab);
        agent(lab, "one", "rm -r one two three; echo x > two; mkdir three");
        let run = changes(lab, &["apply", "one", "--flagged", "--overwrite"]).ends(1);
        assert_eq!(tree(lab), before, "{run:#?}");
        run.says("refused D one/: `one/deep/.git/hooks").says("refused T two: `two/deep/.git/hooks");
    });
}

/// Pipes, sockets, hard links, names that a terminal obeys, files that only look large, depth.
#[test]
fn a_hostile_tree_is_told_and_does_no_harm() {
    each(CLAW, |lab| {
        lab.write("outside", "outside\n");
        lab.write("work/first", "shared\n");
        fs::hard_link(lab.path("work/first"), lab.path("work/second")).unwrap();
        fs::hard_link(lab.path("outside"), lab.path("work/third")).unwrap();
        lab.policy(&[], REVIEW);
        std::thread::sleep(Duration::from_millis(20));
        let code = r#"
import os, socket
for number in range(200): os.mkfifo(f"pipe{number}")
s = socket.socket(socket.AF_UNIX); s.bind("socket")
open("first", "a").write("agent\n"); open("third", "w").write("agent\n")
open("linked", "w").write("x\n")
for number in range(200): os.link("linked", f"link{number}")
open("a\x1b[2J\u202eb", "w").write("\x1b]0;evil\x07 \u202etxt\n")
open(b"raw\xff\n", "w").write("x")
os.truncate(os.open("large", os.O_CREAT | os.O_RDWR), 1 << 34)
open("binary", "wb").write(bytes(range(256)))
here = os.getcwd()
for number in range(600):
    os.mkdir("d"); os.chdir("d")
open("bottom", "w").write("x")
os.chdir(here)
try: os.mknod("null", 0o20666, os.makedev(1, 3)); print("DEVICE")
except OSError: pass
try: os.mknod("white", 0o20000, 0); print("WHITEOUT")
except OSError: pass
try: os.setxattr("linked", "user.overlay.opaque", b"y")
except OSError: pass
"#;
        let file = lab.program_file(code);
        let run = lab.claw().option(&["--name", "one"]).within(120).command(&["python3", &file]).ends(0);
        assert_eq!(run.stdout, "", "{run:#?}");
        let list = changes(lab, &["one", "--diff"]).ends(1);
        assert!(!list.stdout.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{list:#?}");
        list.says("\\u{1b}[2J\\u{202e}b")
            .says("\\xff")
            .says("a named pipe is not applied")
            .says("a socket is not applied")
            .says("deeper than");
        let json = changes(lab, &["one", "--json"]).ends(1);
        assert!(
            json.stdout.chars().all(|c| c == '\n' || !c.is_control()) && !json.stdout.contains('\u{202e}')
        );
        let _: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let run = changes(lab, &["apply", "one"]).ends(1);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}']), "{run:#?}");
        for absent in ["pipe0", "socket", "null"] {
            assert!(fs::symlink_metadata(lab.path("work").join(absent)).is_err(), "{absent}");
        }
        // a hard link is a file of its own: other names keep what they had
        assert_eq!(fs::read_to_string(lab.path("work/first")).unwrap(), "shared\nagent\n");
        assert_eq!(fs::read_to_string(lab.path("work/second")).unwrap(), "shared\n");
        assert_eq!(fs::read_to_string(lab.path("outside")).unwrap(), "outside\n");
        assert_eq!(fs::metadata(lab.path("work/link7")).unwrap().nlink(), 1);
        let large = fs::metadata(lab.path("work/large")).unwrap();
        assert_eq!(large.len(), 1 << 34);
        assert!(large.blocks() < 1 << 12, "{}", large.blocks());
        assert_eq!(fs::read(lab.path("work/binary")).unwrap().len(), 256);
        changes(lab, &["discard", "one"]).ends(0);
        assert!(!lab.path("state/claw/changes/one").exists());
    });
}

/// The host's file system is full: what cannot be written must not have cost what was there.
#[test]
fn what_cannot_be_written_takes_nothing_away() {
    once(CLAW, User::Root, |lab| {
        let work = lab.path("work");
        // in the lab's own mounts
        let small = ["-t", "tmpfs", "-o", "size=128k,mode=755", "tmpfs"];
        assert!(Command::new("mount").args(small).arg(&work).status().unwrap().success());
        prepare(lab);
        let before = tree(lab);
        let script = "rm -r old; head -c 400000 /dev/urandom > old; rm edit; mkdir edit; head -c 400000 /dev/urandom > keep";
        agent(lab, "full", script);
        let run = changes(lab, &["apply", "full", "old"]).ends(1).says("No space left");
        assert_eq!(tree(lab), before, "{run:#?}");
        let run = changes(lab, &["apply", "full", "keep"]).ends(1).says("No space left");
        assert_eq!(tree(lab), before, "{run:#?}");
        changes(lab, &["apply", "full", "edit"]).ends(0);
        assert!(work.join("edit").is_dir());
    });
}

#[test]
fn what_an_agent_left_is_told_whatever_times_it_sets() {
    each(CLAW, |lab| {
        prepare(lab);
        let script = "n=$(stat -c %y .); echo x > edit; touch -d \"$n\" .";
        agent(lab, "times", script).warns("claw changes times");
    });
}

#[test]
fn links_lead_the_apply_nowhere() {
    each(CLAW, |lab| {
        lab.directory("outside");
        lab.write("outside/file", "outside\n");
        lab.directory("work/sub");
        lab.directory("work/other");
        lab.write("work/sub/file", "inside\n");
        lab.policy(&[], REVIEW);
        std::thread::sleep(Duration::from_millis(20));
        let outside = lab.path("outside").display().to_string();
        agent(
            lab,
            "one",
            "echo agent > sub/file; echo agent > other/new; mkdir -p fresh; echo agent > fresh/x",
        );
        // somebody on the host, or a second agent, puts links in the way
        fs::remove_dir_all(lab.path("work/sub")).unwrap();
        fs::remove_dir_all(lab.path("work/other")).unwrap();
        for name in ["sub", "other", "fresh"] {
            std::os::unix::fs::symlink(&outside, lab.path("work").join(name)).unwrap();
        }
        let run =
            changes(lab, &["apply", "one", "--flagged", "--overwrite", "sub/file", "other/new", "fresh/x"]);
        let run = run.ends(1).says("symbolic link");
        assert_eq!(fs::read_to_string(lab.path("outside/file")).unwrap(), "outside\n", "{run:#?}");
        assert_eq!(fs::read_dir(lab.path("outside")).unwrap().count(), 1, "{run:#?}");
        // the tree itself is another one
        fs::rename(lab.path("work"), lab.path("moved")).unwrap();
        lab.directory("work");
        changes(lab, &["apply", "one"]).ends(2).warns("not the directory that the run began with");
    });
}

#[test]
fn layers_are_out_of_reach_and_the_policy_stays_read_only() {
    each(CLAW, |lab| {
        let text = "version: 1\nfilesystem:\n  review: [.]\n";
        lab.directory("work/sub");
        let file = lab.write("work/sub/agent.yaml", text);
        let layers = lab.path("state/claw/changes");
        let attack = format!(
            "echo x > sub/agent.yaml; rm -f sub/agent.yaml; mv sub away; mv sub/agent.yaml y; ls {0}; echo x > {0}/one/0/upper/evil; cat sub/agent.yaml; echo z > z",
            layers.display()
        );
        let run = lab.plain().command(&[
            CLAW,
            "run",
            "--name",
            "one",
            "--policy",
            "sub/agent.yaml",
            "--",
            "sh",
            "-c",
            &attack,
        ]);
        assert!(run.code == 0 && run.stdout == text, "{run:#?}");
        assert_eq!(fs::read_to_string(file).unwrap(), text);
        assert!(!layers.join("one/0/upper/evil").exists() && layers.join("one/0/upper/z").exists());
        // the host's policy was never in the agent's hands
        let run =
            lab.plain().command(&[CLAW, "run", "--name", "two", "--policy", "sub/agent.yaml", "--", "true"]);
        assert_eq!(run.code, 0, "{run:#?}");
        assert_eq!(fs::metadata(&layers).unwrap().permissions().mode() & 0o777, 0o700);
    });
}

#[test]
fn a_run_that_goes_on_is_neither_applied_nor_discarded() {
    each(CLAW, |lab| {
        lab.policy(&[], REVIEW);
        let running = lab.claw().option(&["--name", "one"]).start(&["sh", "-c", "echo x > x; sleep 20"]);
        let made = lab.path("state/claw/changes/one/0/upper/x");
        let begun = std::time::Instant::now();
        while !made.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        changes(lab, &["one"]).ends(0).says("goes on").says("A x");
        changes(lab, &["apply", "one"]).ends(2).warns("goes on");
        changes(lab, &["discard", "one"]).ends(2).warns("goes on");
        running.signal(15);
        running.end();
        changes(lab, &["apply", "one"]).ends(0);
        assert!(lab.path("work/x").exists());
        lab.claw().option(&["--name", "one"]).sh("true").ends(2).warns("nobody applied or discarded");
    });
}

#[test]
fn a_run_that_changes_nothing_leaves_nothing() {
    each(CLAW, |lab| {
        lab.policy(&[], REVIEW);
        let run = agent(lab, "one", "ls");
        assert!(!run.stderr.contains("claw changes"), "{run:#?}");
        changes(lab, &[]).ends(0).prints("no run left changes");
        agent(lab, "two", "echo x > x");
        assert!(!lab.path("state/claw/changes/one").exists());
        changes(lab, &["--json"]).ends(0).says("\"path\": \"x\"");
    });
}

#[test]
fn where_no_overlay_can_be_made_nothing_runs() {
    each(CLAW, |lab| {
        lab.policy(&[], REVIEW);
        // the layers on an overlay: the kernel takes none as an upper layer
        let (state, layers) = (lab.path("state"), lab.path("layers"));
        let (state, layers) = (state.display(), layers.display());
        let number = lab.user().number();
        let script = format!(
            "mkdir -p {layers} && mount -t tmpfs t {layers} && mkdir {layers}/u {layers}/w && mount -t overlay o -o lowerdir={state},upperdir={layers}/u,workdir={layers}/w {state} && chown {number}:{number} {state} && exec \"$@\""
        );
        let around = ["unshare", "-m", "sh", "-c", &script, "sh"];
        let run = lab.claw().inside(&around).sh("touch ran").ends(125).warns("hint:");
        assert!(run.stderr.contains("overlay"), "{run:#?}");
        assert!(!lab.path("work/ran").exists());
        // something is mounted below
        lab.directory("work/below");
        let below = lab.path("work/below").display().to_string();
        let script = format!("mount -t tmpfs t {below} && exec \"$@\"");
        let around = ["unshare", "-m", "sh", "-c", &script, "sh"];
        lab.claw().inside(&around).sh("touch ran").ends(2).warns("holds the mount");
        lab.policy(&[], "filesystem: {review: [./file]}\n");
        lab.write("work/file", "x");
        lab.run("true").ends(2).warns("is no directory");
    });
}

/// What a path says is said by what stands above the tree too: up to the repository in which it lies.
#[test]
fn a_tree_that_begins_inside_of_a_protected_name_is_protected() {
    each(CLAW, |lab| {
        for name in [
            ".github",
            ".git",
            ".github/workflows",
            ".git/hooks",
            ".git/objects",
            ".git/refs",
            ".husky",
            ".vscode",
            "src",
        ] {
            lab.directory(&format!("work/{name}"));
        }
        lab.write("work/.git/HEAD", "ref: refs/heads/main\n");
        let trees = "[.github, .git/hooks, .husky, .vscode, src]";
        let script = "set -e; echo x > .github/workflows/ci.yml; echo x > .git/hooks/pre-commit; echo x > .husky/pre-push; \
             echo {} > .vscode/tasks.json; echo ok > src/plain";
        let at = |name: &str| lab.path("work").join(name).exists();
        let held =
            [".github/workflows/ci.yml", ".git/hooks/pre-commit", ".husky/pre-push", ".vscode/tasks.json"];
        lab.policy(&[], &format!("filesystem: {{review: {trees}}}\n"));
        agent(lab, "one", script);
        changes(lab, &["apply", "one"]).ends(1).says("name flagged paths one by one");
        assert!(at("src/plain") && held.iter().all(|name| !at(name)));
        changes(lab, &["discard", "one"]).ends(0);
        lab.policy(&[], &format!("filesystem: {{review: {trees}, protect: standard}}\n"));
        agent(lab, "two", script);
        changes(lab, &["apply", "two", "--flagged"]).ends(1).says("the policy protects it");
        assert!(held.iter().all(|name| !at(name)));
    });
}

/// What takes the place of a protected file ends it, whatever it is; and a repository among the data of another is one.
#[test]
fn a_repository_is_neither_replaced_nor_hidden_among_the_data_of_another() {
    each(CLAW, |lab| {
        lab.directory("work/tree");
        lab.write("work/tree/.git", "gitdir: /somewhere\n");
        lab.directory("work/.git");
        lab.directory("work/.git/objects");
        lab.directory("work/.git/refs");
        lab.write("work/.git/HEAD", "ref: refs/heads/main\n");
        lab.policy(&[], "filesystem: {review: [.], protect: standard}\n");
        std::thread::sleep(Duration::from_millis(20));
        let script = "set -e; rm tree/.git; mkdir -p tree/.git/objects tree/.git/refs; echo 'ref: refs/heads/evil' > tree/.git/HEAD; \
             for at in refs objects; do mkdir -p .git/$at/e/objects .git/$at/e/refs; echo 'ref: x' > .git/$at/e/HEAD; \
             printf '[core]\\nfsmonitor=evil\\n' > .git/$at/e/config; done; mkdir -p .git/refs/heads; echo 1 > .git/refs/heads/main";
        agent(lab, "one", script);
        changes(lab, &["apply", "one", "--flagged"])
            .ends(1)
            .says("refused T tree/.git/: the policy protects it")
            .says("refused A .git/refs/e/config: the policy protects it")
            .says("applied A .git/refs/heads/main");
        assert_eq!(fs::read_to_string(lab.path("work/tree/.git")).unwrap(), "gitdir: /somewhere\n");
        for name in ["refs/e/config", "objects/e/config", "refs/e/HEAD"] {
            assert!(!lab.path("work/.git").join(name).exists(), "{name}");
        }
    });
}

#[test]
fn a_link_that_leads_out_over_another_is_flagged() {
    each(CLAW, |lab| {
        lab.directory("work/a");
        lab.directory("work/lib");
        lab.write("work/keep", "kept\n");
        std::os::unix::fs::symlink("..", lab.path("work/host")).unwrap();
        lab.policy(&[], REVIEW);
        std::thread::sleep(Duration::from_millis(20));
        let script = "set -e; mkdir a/b; ln -s ../.. a/b/s; ln -s a/b/s/../outside x; ln -s a/b/s/keep in; ln -s host/new over; \
             ln -s over again; ln -s b/../../../out a/c; ln -s loop loop; \
             ln -s libx.so.1 lib/libx.so; ln -s libx.so.1.2 lib/libx.so.1; echo x > lib/libx.so.1.2; ln -s ../a/b/../../keep lib/k";
        agent(lab, "one", script);
        let list = listed(lab, 1);
        let flagged = |path: &str| flagged(&list, path);
        for path in ["x", "over", "again", "a/c", "loop"] {
            assert!(flagged(path), "{path}");
        }
        for path in ["a/b/s", "in", "lib/libx.so", "lib/libx.so.1", "lib/k"] {
            assert!(!flagged(path), "{path}");
        }
    });
}

/// An agent neither hides all that it did behind one name, nor makes looking at it endless.
#[test]
fn what_cannot_be_looked_at_is_told_by_name_and_the_rest_is_seen() {
    each(CLAW, |lab| {
        lab.policy(&[], REVIEW);
        std::thread::sleep(Duration::from_millis(20));
        let script = "set -e; echo x > file; chmod 0 file; for mode in 0 111 444; do mkdir d$mode; echo x > d$mode/f; \
             chmod $mode d$mode; done; echo good > good; for n in 0 1 2 3 4 5 6 7; do truncate -s 1G large$n; done";
        agent(lab, "one", script);
        let list = listed(lab, if lab.user() == User::Root { 0 } else { 1 });
        let large = list["changes"].as_array().unwrap().iter().filter(|change| {
            change["path"].as_str().unwrap().starts_with("large") && change["now"]["digest"].is_string()
        });
        assert!(large.count() <= 1, "{list:#}");
        let run = changes(lab, &["apply", "one"]);
        assert_eq!(fs::read_to_string(lab.path("work/good")).unwrap(), "good\n", "{run:#?}");
        // root reads them all
        if lab.user() == User::Ordinary {
            let mut run = run.ends(1).says("refused A file: its permissions hide what it holds");
            for name in ["d0", "d111", "d444"] {
                run = run.says(&format!("refused A {name}/: its permissions hide what lies below"));
            }
        }
    });
}
