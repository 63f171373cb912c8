//! The ledger is whole, in order, and written before what it tells takes effect.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use claw_testkit::{Lab, Outcome, each, sink};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A run with some records in its ledger, and the ledger's text.
fn written(lab: &Lab) -> (String, String) {
    let run = lab.run("dig +short one.test two.test three.test").ends(0);
    assert!(run.records.len() >= 6, "{run:#?}");
    let path = run.ledger.unwrap();
    (path.display().to_string(), fs::read_to_string(&path).unwrap())
}

fn verify(lab: &Lab, path: &str) -> Outcome {
    lab.cli(&["ledger", "verify", path])
}

#[test]
fn one_changed_byte_is_found_and_its_record_named() {
    each(CLAW, |lab| {
        let (path, text) = written(lab);
        verify(lab, &path).ends(0);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate().take(lines.len() - 1) {
            let place = line.rfind(|character: char| character.is_ascii_lowercase()).unwrap();
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let other = if line.get(place..=place) == Some("x") { "y" } else { "x" };
            changed[number].replace_range(place..=place, other);
            fs::write(&path, changed.join("\n") + "\n").unwrap();
            let run = verify(lab, &path).ends(1);
            let said = format!("{}{}", run.stdout, run.stderr);
            // the record itself if it cannot be read any more, else the next, whose hash does not fit
            let (own, next) = ((number + 1).to_string(), (number + 2).to_string());
            assert!(said.contains(&own) || said.contains(&next), "{said}");
        }
    });
}

#[test]
fn a_missing_a_doubled_and_a_swapped_record_are_found() {
    each(CLAW, |lab| {
        let (path, text) = written(lab);
        let lines: Vec<&str> = text.lines().collect();
        let mut missing = lines.clone();
        missing.remove(2);
        let mut doubled = lines.clone();
        doubled.insert(2, lines[2]);
        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        let beheaded = lines[1..].to_vec();
        for broken in [missing, doubled, swapped, beheaded] {
            fs::write(&path, broken.join("\n") + "\n").unwrap();
            verify(lab, &path).ends(1);
        }
    });
}

#[test]
fn a_torn_last_line_is_a_warning() {
    each(CLAW, |lab| {
        let (path, text) = written(lab);
        fs::write(&path, text.get(..text.len() - 20).unwrap()).unwrap();
        let run = verify(lab, &path).ends(0);
        let said = format!("{}{}", run.stdout, run.stderr).to_lowercase();
        assert!(said.contains("torn") || said.contains("incomplete") || said.contains("warning"), "{said}");
    });
}

#[test]
fn a_cut_ledger_does_not_have_the_head_that_was_printed() {
    each(CLAW, |lab| {
        let run = lab.run("true").ends(0);
        let head = run.stderr.lines().find_map(|line| line.strip_prefix("claw: head ")).unwrap().to_owned();
        let path = run.ledger.unwrap().display().to_string();
        lab.cli(&["ledger", "verify", &path, "--head", &head]).ends(0);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
        lab.cli(&["ledger", "verify", &path]).ends(0);
        lab.cli(&["ledger", "verify", &path, "--head", &head]).ends(1);
        lab.cli(&["ledger", "verify", &path, "--head", "nonsense"]).ends(2);
    });
}

#[test]
fn an_existing_file_is_never_overwritten() {
    each(CLAW, |lab| {
        lab.directory("work/out");
        lab.policy(&[], "filesystem:\n  write: [./out]\n");
        let file = lab.write("kept.jsonl", "kept\n");
        let link = lab.path("link.jsonl");
        std::os::unix::fs::symlink(lab.path("elsewhere.jsonl"), &link).unwrap();
        for path in [&file, &link] {
            let words = [CLAW, "run", "--ledger", path.to_str().unwrap(), "--", "touch", "out/ran"];
            let run = lab.plain().command(&words);
            assert!([2, 125].contains(&run.code), "{run:#?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept\n");
        assert!(!lab.path("elsewhere.jsonl").exists() && !lab.path("work/out/ran").exists());
    });
}

#[test]
fn a_ledger_that_cannot_be_made_runs_nothing() {
    each(CLAW, |lab| {
        for path in ["/proc/ledger.jsonl", "/dev/full", "/"] {
            let run = lab.plain().command(&[CLAW, "run", "--ledger", path, "--", "echo", "ran"]);
            assert!([2, 125].contains(&run.code) && run.stdout.is_empty(), "{path}: {run:#?}");
        }
    });
}

#[test]
fn a_ledger_that_is_full_permits_nothing() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let code = format!(
            "for number in range(60):
    try:
        talk(('api.lab.test', {}), family=socket.AF_INET)
    except OSError as error:
        print('refused', errno.errorcode.get(error.errno or 0, error))",
            server.port()
        );
        let file = lab.program_file(&code);
        // 512-byte blocks in dash: 8 KiB holds the first records only
        let run = lab
            .claw()
            .inside(&["sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
            .command(&["python3", &file]);
        let allowed = run.of_kind("connect").iter().filter(|record| record["decision"] == "allow").count();
        assert!(run.stdout.contains("refused"), "{run:#?}");
        // the agent ran: its own code, and the ledger's end is said to be missing
        assert_eq!(run.code, 0, "{run:#?}");
        assert!(run.stderr.contains("cannot write the ledger"), "{run:#?}");
        assert!(!run.stderr.contains("claw: head"), "{run:#?}");
        assert!(
            server.arrivals() > 0 && server.arrivals() <= allowed,
            "{} of {allowed}: {run:#?}",
            server.arrivals()
        );
    });
}

#[test]
fn killing_claw_loses_no_permit_that_took_effect() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let file = lab.program_file(&format!(
            "while True: talk(('api.lab.test', {}), family=socket.AF_INET)",
            server.port()
        ));
        for moment in 0..10_u64 {
            let before = server.arrivals();
            let running = lab.claw().start(&["python3", &file]);
            assert!(server.until(|server| server.arrivals() > before), "the agent never got to run");
            sleep(Duration::from_millis(moment * 7));
            running.signal(9);
            let run = running.end().ends(128 + 9);
            sleep(Duration::from_millis(20));
            let allowed =
                run.of_kind("connect").iter().filter(|record| record["decision"] == "allow").count();
            let arrived = server.arrivals() - before;
            assert!(arrived <= allowed, "{arrived} arrived, {allowed} are written down");
        }
    });
}

#[test]
fn the_ledger_names_who_asked_and_the_rule_that_answered() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let run =
            lab.python(&format!("talk(('api.lab.test', {}), family=socket.AF_INET)", server.port())).ends(0);
        let connects = run.of_kind("connect");
        let rule = connects[0]["rule"].as_str().unwrap();
        assert!(rule.ends_with("policy.yaml:5"), "{rule}");
        assert_eq!(connects[0]["plane"], "tool");
        assert!(connects[0]["process"]["exe"].as_str().unwrap().contains("python3"), "{run:#?}");
        let close = run.of_kind("close");
        assert_eq!((&close[0]["bytes_out"], &close[0]["bytes_in"]), (&6.into(), &4.into()), "{run:#?}");
        assert!(run.of_kind("applied")[0]["missing"].as_array().unwrap().is_empty());
    });
}

#[test]
fn a_process_that_only_was_there_is_not_named_for_a_socket_that_is_gone() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let gone = format!(
            "#include <arpa/inet.h>
            #include <netdb.h>
            #include <sys/socket.h>
            #include <unistd.h>
            int main(void) {{
                struct addrinfo *found, hints = {{.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}};
                struct linger now = {{1, 0}};
                if (getaddrinfo(\"api.lab.test\", \"{}\", &hints, &found)) return 1;
                int one = socket(AF_INET, SOCK_STREAM, 0);
                connect(one, found->ai_addr, found->ai_addrlen);
                setsockopt(one, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                _exit(0);
            }}",
            server.port()
        );
        lab.compile("gone", &gone);
        // Python opens nothing itself, and is all that is left when the program has ended
        let run =
            lab.python("for _ in range(40): subprocess.run(['./gone']).check_returncode(); time.sleep(0.02)");
        let run = run.ends(0);
        let connects = run.of_kind("connect");
        assert!(connects.len() >= 8, "{run:#?}");
        let named: Vec<_> = connects.iter().filter_map(|record| record["process"]["exe"].as_str()).collect();
        assert!(named.iter().all(|exe| exe.ends_with("/gone")), "{named:?}");
    });
}

#[test]
fn a_flood_of_denials_is_counted_rather_than_written_out() {
    each(CLAW, |lab| {
        let code = "for number in range(2000):
    try: socket.getaddrinfo('n%d.evil.test' % number, 80)
    except OSError: pass
memory = open('/proc/self/status').read()
print('flooded')";
        let file = lab.program_file(code);
        let running = lab.claw().within(60).start(&["python3", &file]);
        let status = format!("/proc/{}/status", running.pid());
        let mut peak = 0;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(50) {
            let Ok(text) = fs::read_to_string(&status) else { break };
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap().max(peak);
            sleep(Duration::from_millis(20));
        }
        let run = running.end().ends(0).prints("flooded");
        assert!(peak < 64 * 1024, "claw grew to {peak} kB");
        let size = fs::metadata(run.ledger.as_ref().unwrap()).unwrap().len();
        assert!(size < 1024 * 1024, "the ledger has {size} bytes");
        let counted: u64 = run.of_kind("repeat").iter().map(|record| record["count"].as_u64().unwrap()).sum();
        let written = u64::try_from(run.of_kind("dns").len()).unwrap();
        assert!(counted + written >= 2000, "{counted} counted and {written} written of 2000 denials");
    });
}

#[test]
fn a_thousand_connections_at_once_all_carry() {
    each(CLAW, |lab| {
        let server = claw_testkit::echo(Lab::PRIVATE);
        lab.policy(&[server.rule("echo.lab.test")], "");
        let code = format!(
            "import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
address = socket.getaddrinfo('echo.lab.test', {}, socket.AF_INET)[0][4]
connections = [socket.create_connection(address, 10) for _ in range(1000)]
for number, connection in enumerate(connections): connection.sendall(b'%04d' % number)
for number, connection in enumerate(connections): assert connection.recv(4) == b'%04d' % number
print('all')",
            server.port()
        );
        lab.python(&code).ends(0).prints("all");
        assert_eq!(server.arrivals(), 1000);
    });
}
