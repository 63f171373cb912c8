//! `claw top` and `claw ledger tail`, as someone beside a run sees them.

use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{Lab, Outcome, Running, Server, User, each, echo, once};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Holds a flow, having sent and received 5,000 bytes, and asks for what no rule names, until the file `stop` is there.
fn holding<'a>(lab: &'a Lab, server: &Server) -> Running<'a> {
    lab.policy(&[server.rule("held.test")], "filesystem: {write: [.]}\n");
    let code = format!(
        "connection = socket.create_connection(('held.test', {}))
connection.sendall(b'x' * 5000)
left = 5000
while left: left -= len(connection.recv(left))
try: socket.create_connection(('8.8.8.8', 9)).close()
except OSError: pass
open('up', 'w').close()
while not os.path.exists('stop'): time.sleep(0.02)",
        server.port()
    );
    let file = lab.program_file(&code);
    let running = lab.claw().option(&["--name", "held"]).start(&["python3", &file]);
    let begun = Instant::now();
    while !lab.path("work/up").exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the agent never came up");
        thread::sleep(Duration::from_millis(5));
    }
    running
}

fn stop(lab: &Lab, running: Running<'_>) -> Outcome {
    lab.write("work/stop", "");
    running.end()
}

#[test]
fn a_flow_that_is_open_is_seen_with_its_plane_and_bytes() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        let running = holding(lab, &server);
        let screen = lab.cli(&["top", "--once", "--interval", "0.2"]).ends(0);
        let list = lab.cli(&["top", "--json"]).ends(0);
        stop(lab, running).ends(0);

        let held = format!("held.test:{}", server.port());
        let line = screen.stdout.lines().find(|line| line.contains(&held)).unwrap_or_default();
        assert!(line.contains("python3") && line.matches("4.8 KiB").count() == 2, "{screen:#?}");
        let screen =
            screen.says("1 run   1 flow ").says("flows of held").says(" tool  1 flow  ↑ 0 B/s  ↓ 0 B/s");
        // and the rule that would allow what was denied
        let rule = "- {destination: 8.8.8.8:9, plane: workload, purpose: why no name can be used}";
        let screen = screen.says("8.8.8.8:9 ").says("raw-address").says(rule);
        assert!(screen.stdout.lines().all(|line| line.chars().count() <= 120), "{screen:#?}");
        assert!(!screen.stdout.contains('\u{1b}'), "{screen:#?}");

        let list: Value = serde_json::from_str(&list.stdout).unwrap();
        let [run] = list.as_array().unwrap().as_slice() else { panic!("{list:#}") };
        assert_eq!((&run["run"], &run["agent"]), (&"held".into(), &"lab".into()), "{list:#}");
        let [flow] = run["gate"]["flows"].as_array().unwrap().as_slice() else { panic!("{list:#}") };
        assert_eq!(flow["destination"], "held.test", "{list:#}");
        assert_eq!(flow["plane"], "tool", "{list:#}");
        assert_eq!((&flow["bytes_out"], &flow["bytes_in"]), (&5_000.into(), &5_000.into()), "{list:#}");
        assert_eq!(run["gate"]["summary"]["denied"][0]["suggestion"], rule, "{list:#}");
    });
}

#[test]
fn where_no_run_goes_on_it_says_how_to_begin_one() {
    each(CLAW, |lab| {
        lab.cli(&["top", "--once"]).ends(0).says("no run goes on").says("claw run -- COMMAND");
        lab.cli(&["top", "--json"]).ends(0).prints("[]");
        lab.cli(&["top", "--once", "--run", "held"]).ends(2).warns("no run is called `held`");
    });
}

#[test]
fn a_screen_needs_a_terminal_and_an_interval_that_is_one() {
    once(CLAW, User::Ordinary, |lab| {
        lab.cli(&["top"]).ends(2).warns("standard output is not a terminal").warns("hint: `claw top --once`");
        for interval in ["0.1", "0", "-1", "nan", "inf", "soon", "1e300"] {
            lab.cli(&["top", "--once", &format!("--interval={interval}")]).ends(2);
        }
    });
}

#[test]
fn another_users_run_is_not_seen_but_by_root() {
    once(CLAW, User::Root, |lab| {
        let server = echo(Lab::PRIVATE);
        let running = holding(lab, &server);
        let top = |arguments: &[&str]| {
            let program = lab.program().to_string_lossy().into_owned();
            let change = ["setpriv", "--reuid", "2002", "--regid", "2002", "--clear-groups", "--", &program];
            lab.plain().command(&[&change[..], arguments].concat())
        };
        let (screen, list) = (top(&["top", "--once"]).ends(0), top(&["top", "--json"]).ends(0));
        let tail = top(&["ledger", "tail", "held"]).ends(2);
        lab.cli(&["top", "--once", "--interval", "0.2"]).ends(0).says("held");
        stop(lab, running).ends(0);
        screen.says("no run goes on");
        list.prints("[]");
        tail.warns("no file and no run is called `held`");
    });
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PRIVATE);
        let running = holding(lab, &server);
        let program = lab.program().to_string_lossy().into_owned();
        let root = std::process::Command::new(program).args(["top", "--json"]).output().unwrap();
        stop(lab, running).ends(0);
        assert!(String::from_utf8_lossy(&root.stdout).contains("held.test"), "{root:?}");
    });
}

#[test]
fn a_run_is_followed_by_its_name_until_it_ends() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        let running = holding(lab, &server);
        let program = lab.program().to_string_lossy().into_owned();
        let follow = |more: &[&str]| {
            let words = [&[&*program, "ledger", "tail", "held"], more].concat();
            lab.plain().variable("COLUMNS", "150").start(&words)
        };
        let (table, lines, json) = (follow(&["--table"]), follow(&[]), follow(&["--json"]));
        thread::sleep(Duration::from_millis(300));
        let run = stop(lab, running).ends(0);
        let (table, lines, json) = (table.end().ends(0), lines.end().ends(0), json.end().ends(0));

        let file = run.ledger.clone().unwrap().to_string_lossy().into_owned();
        assert_eq!(lines.stdout, lab.cli(&["ledger", "show", &file]).stdout);
        assert_eq!(json.stdout, std::fs::read_to_string(&file).unwrap());

        let rows: Vec<&str> = table.stdout.lines().collect();
        assert_eq!(rows.len(), run.records.len() + 1, "{table:#?}");
        assert!(rows.iter().all(|row| row.chars().count() <= 150 && !row.contains('\u{1b}')), "{table:#?}");
        let heading: Vec<&str> = rows[0].split_whitespace().collect();
        assert_eq!(heading, ["TIME", "DECISION", "PLANE", "WHAT", "RULE", "REASON", "PROCESS"]);
        let at = |title: &str| rows[0].find(title).unwrap();
        let from = |row: &str, title: &str| row.chars().skip(at(title)).collect::<String>();
        let row =
            |text: &str| *rows.iter().find(|row| row.contains(text)).unwrap_or_else(|| panic!("{table:#?}"));
        let held = row(&format!("connect held.test:{} TCP", server.port()));
        assert!(
            from(held, "DECISION").starts_with("ALLOW ") && from(held, "PLANE").starts_with("tool "),
            "{held}"
        );
        assert!(held.contains("/policy.yaml:5 "), "the end of a long path is kept: {held}");
        let denied = row("connect 8.8.8.8:9 TCP");
        assert!(from(denied, "DECISION").starts_with("DENY "), "{denied}");
        assert!(from(denied, "REASON").starts_with("raw-address"), "{denied}");
        // its socket was gone before anyone could look; that of the other is there
        assert!(!denied.contains("python3"), "{denied}");
        assert!(from(held, "PROCESS").starts_with("python3"), "{held}");
        assert!(rows[rows.len() - 1].contains("exit code 0"), "{table:#?}");
        lab.cli(&["ledger", "tail", "held"]).ends(2).warns("no file and no run is called `held`");
    });
}
