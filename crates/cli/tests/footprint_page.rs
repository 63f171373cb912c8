//! `claw footprint`: a report only of what is whole, and a page that nothing in it can take over.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use claw_ledger::chain::Chain;
use claw_ledger::record::{Decision, Event, Process};
use claw_model::digest::Digest;
use jiff::Timestamp;

/// A directory of its own, removed at the end.
struct Room(PathBuf);

impl Room {
    fn new() -> Room {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("claw-footprint-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Room(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn claw(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claw"));
    command.arg("footprint").args(arguments).env("HOME", "/nonexistent").output().unwrap()
}

/// Exit code, standard output, standard error.
fn told(arguments: &[&str]) -> (i32, String, String) {
    let output = claw(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn start(version: &str) -> Event {
    Event::Start {
        run: "test".into(),
        agent: "agent".into(),
        command: vec!["agent.py".into()],
        policy_digest: "sha256:00".into(),
        claw_version: version.into(),
        kernel: "6.8".into(),
        mode: Some("sink".into()),
        signed: None,
    }
}

fn connect(host: &str, port: u16) -> Event {
    Event::Connect {
        destination: host.into(),
        port,
        protocol: "TCP".into(),
        phase: "workload".into(),
        plane: None,
        decision: Decision::Sink,
        rule: None,
        reason: None,
        sentence: None,
        assurance: None,
        process: Some(Process {
            pid: 2,
            exe: "/usr/bin/python3".into(),
            package: Some("agent.py".into()),
            via: Some("openai".into()),
        }),
    }
}

fn request(host: &str, method: &str, path: &str) -> Event {
    Event::Request {
        destination: host.into(),
        port: 443,
        method: method.into(),
        path: path.into(),
        phase: Some("workload".into()),
        plane: None,
        decision: Decision::Sink,
        rule: None,
        reason: None,
        sentence: None,
        connection: None,
        user_agent: Some(path.into()),
        credential: None,
        status: Some(503),
        bytes_out: Some(10),
        query: vec![path.into()],
        host: None,
        process: None,
    }
}

fn ledger(events: &[Event]) -> String {
    let (mut chain, mut text) = (Chain::new(), Vec::new());
    for (second, event) in (0..).zip(events) {
        chain.append(Timestamp::from_second(1_790_000_000 + second).unwrap(), event, &mut text);
    }
    String::from_utf8(text).unwrap()
}

fn usual() -> Vec<Event> {
    vec![
        start(env!("CARGO_PKG_VERSION")),
        connect("api.anthropic.com", 443),
        request("api.anthropic.com", "POST", "/v1/messages"),
        request("api.anthropic.com", "POST", "/api/event_logging/v2/batch"),
        connect("telemetry.crewai.com", 4319),
        connect("b.test", 443),
        connect("a.test", 443),
        connect("a.test", 443),
        Event::Exit { code: 0 },
    ]
}

#[test]
fn a_broken_ledger_gives_no_report_and_says_why() {
    let room = Room::new();
    let text = ledger(&usual());
    let lines: Vec<&str> = text.lines().collect();
    let check = |name: &str, text: &str, expect: (i32, &str)| {
        let file = room.write(name, text.as_bytes());
        for arguments in [vec!["report", &file], vec!["suggest", &file], vec!["diff", &file, &file]] {
            let (code, out, err) = told(&arguments);
            assert_eq!(code, expect.0, "{name} {arguments:?}: {out}{err}");
            assert!(out.is_empty() && err.contains(expect.1), "{name} {arguments:?}: {out}{err}");
        }
    };
    check("changed", &text.replace("b.test", "c.test"), (1, "record 6"));
    check("cut-in-the-middle", &[&lines[..3], &lines[5..]].concat().join("\n"), (1, "records were removed"));
    check("beheaded", &(lines[1..].join("\n") + "\n"), (1, "its beginning is missing"));
    check("empty", "", (2, "there is no record in it"));
    check("no-ledger", "hello\nworld\n", (2, "this is no ledger of Claw"));
    let other = ledger(&[start("9.9.9"), connect("a.test", 443)])
        .replace("\"kind\":\"connect\"", "\"kind\":\"teleport\"");
    check("of-another-version", &other, (1, "it was written by claw 9.9.9"));
    let (code, _, err) = told(&["report", &room.at("absent")]);
    assert!(code == 2 && err.contains("cannot read"), "{err}");
}

#[test]
fn an_unverified_report_says_so_on_its_face_in_every_form() {
    let room = Room::new();
    let file = room.write("changed", ledger(&usual()).replace("b.test", "c.test").as_bytes());
    let page = room.at("page.html");
    for form in [vec![], vec!["--json"], vec!["--markdown"], vec!["--html", &page]] {
        let (code, out, _) = told(&[vec!["report", &file, "--unverified"], form.clone()].concat());
        let out = if form.contains(&"--html") { fs::read_to_string(&page).unwrap() } else { out };
        assert_eq!(code, 0);
        assert!(out.contains("NOT VERIFIED"), "{out}");
        assert!(out.contains("a.test"), "what follows the break is read too: {out}");
    }
    let (_, suggested, _) = told(&["suggest", &file, "--unverified"]);
    assert!(suggested.contains("NOT VERIFIED"), "{suggested}");
}

#[test]
fn a_torn_last_line_is_a_warning() {
    let room = Room::new();
    let text = ledger(&usual());
    let file = room.write("torn", &text.as_bytes()[..text.len() - 20]);
    let (code, out, err) = told(&["report", &file]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("was not written to its end"), "{err}");
    assert!(out.contains("UNFINISHED") && out.contains("a.test:443"), "{out}");
}

#[test]
fn what_is_suggested_is_a_policy_that_holds_the_same_run() {
    let room = Room::new();
    let file = room.write("run.jsonl", ledger(&usual()).as_bytes());
    let (code, yaml, _) = told(&["suggest", &file]);
    assert_eq!(code, 0);
    let policy = room.write("agent_runtime.yaml", yaml.as_bytes());
    let checked = Command::new(env!("CARGO_BIN_EXE_claw"))
        .args(["policy", "check", "--fail-on", "error", &policy])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{yaml}");
    let (code, out, _) = told(&["diff", &file, &file, "--against", &policy]);
    assert!(code == 0 && out.contains("permits all but telemetry"), "{out}");
    let (code, out, _) = told(&["report", &file, "--policy", &policy, "--json"]);
    assert!(code == 0 && out.contains("\"today\""), "{out}");
    let footprint = room.write("old.json", out.as_bytes());
    let (code, out, err) = told(&["diff", &footprint, &file]);
    assert_eq!((code, out.trim()), (0, "nothing changed"), "{err}");
}

#[test]
fn an_update_that_reaches_further_exits_with_1_and_names_the_rules_to_add() {
    let room = Room::new();
    let old = room.write("old.jsonl", ledger(&usual()).as_bytes());
    let mut events = usual();
    events.insert(1, connect("new.test", 443));
    let new = room.write("new.jsonl", ledger(&events).as_bytes());
    let (_, yaml, _) = told(&["suggest", &old]);
    let policy = room.write("agent_runtime.yaml", yaml.as_bytes());
    let (code, out, _) = told(&["diff", &old, &new, "--against", &policy]);
    assert_eq!(code, 1, "{out}");
    for part in ["new host: new.test:443", "does not fit any more", "- destination: \"new.test:443\""] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(told(&["diff", &old, &new, "--json"]).0, 1);
    let (code, out, _) = told(&["compare", &old, &new]);
    assert!(code == 0 && out.contains("new.test:443"), "{out}");
}

#[test]
fn a_catalogue_can_be_given_and_a_wrong_one_is_refused() {
    let room = Room::new();
    let file = room.write("run.jsonl", ledger(&usual()).as_bytes());
    let catalog = room.0.join("catalog");
    fs::create_dir(&catalog).unwrap();
    let entry = "version: 1\nframeworks:\n  - name: ours\n    source: measured\n    date: 2026-11\n    entries:\n      - {host: a.test, plane: tool, class: required, what: our tool}\n";
    fs::write(catalog.join("ours.yaml"), entry).unwrap();
    let given = catalog.display().to_string();
    let (code, out, _) = told(&["report", &file, "--catalog", &given]);
    assert!(code == 0 && out.contains("known of ours: our tool"), "{out}");
    fs::write(catalog.join("ours.yaml"), entry.replace("plane: tool", "plain: tool")).unwrap();
    let (code, _, err) = told(&["report", &file, "--catalog", &given]);
    assert!(code == 2 && err.contains("ours.yaml:7") && err.contains("did you mean `plane`?"), "{err}");
}

/// What a browser makes of a page.
fn dom(page: &Path) -> String {
    let room = Room::new();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", room.at("profile")))
        .args(["--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(dom.contains("data-ready=\"yes\""), "the page's own script ran: {dom}");
    dom
}

/// The page of these events.
fn page(room: &Room, events: &[Event]) -> String {
    let file = room.write("run.jsonl", ledger(events).as_bytes());
    let made = room.at("page.html");
    assert_eq!(told(&["report", &file, "--html", &made]).0, 0);
    fs::read_to_string(made).unwrap()
}

/// The page with one more script, which its policy then names.
fn with_script(page: &str, script: &str) -> String {
    let digest = data_encoding::BASE64.encode(Digest::of(script.as_bytes()).as_bytes());
    page.replace("script-src ", &format!("script-src 'sha256-{digest}' "))
        .replace("</body>", &format!("<script>{script}</script></body>"))
}

#[test]
fn the_table_sorts_and_filters_in_a_browser() {
    let room = Room::new();
    let page = page(&room, &usual());
    let check = |name: &str, act: &str, expect: &str| {
        let script = format!(
            "{{const rows=()=>[...document.querySelectorAll('#flows tbody tr')].filter((row)=>!row.hidden).map((row)=>row.cells[0].dataset.key);\
             const head=(name)=>[...document.querySelectorAll('#flows th button')].find((one)=>one.textContent===name);\
             const filter=document.getElementById('filter');{act};document.title=rows().join(' ')}}"
        );
        let file = room.write(name, with_script(&page, &script).as_bytes());
        let dom = dom(Path::new(&file));
        assert!(dom.contains(&format!("<title>{expect}</title>")), "{name}: {dom}");
    };
    let by_name =
        "a.test:443 api.anthropic.com:443 api.anthropic.com:443 b.test:443 telemetry.crewai.com:4319";
    // connections of an observed run whose requests name no connection stay a flow of their own
    let everything =
        |list: &str| list.replacen("api.anthropic.com:443", "api.anthropic.com:443 api.anthropic.com:443", 1);
    check("sort.html", "head('Destination').click()", &everything(by_name));
    check("filter.html", "filter.value='b.test';filter.dispatchEvent(new Event('input'))", "b.test:443");
    check(
        "count.html",
        "head('Count').click();filter.value='.test';filter.dispatchEvent(new Event('input'))",
        "a.test:443 b.test:443",
    );
    check(
        "lane.html",
        "document.querySelector('[data-lane=telemetry]').click();head('Destination').click()",
        "api.anthropic.com:443 telemetry.crewai.com:4319",
    );
}

#[test]
fn hostile_text_is_inert_in_a_browser_and_the_page_asks_nobody() {
    let room = Room::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("http://{}/", listener.local_addr().unwrap());
    let hostile = format!(
        "x</td></script><script>document.title='taken'</script><img src={own} onerror=\"document.title='taken'\">\u{202e}\u{1b}[2J"
    );
    let plain = page(&room, &usual());
    for part in [" src=", " href=", "url(", "@import", "<img", "<link", "<iframe", " style=", " onerror=\""] {
        assert!(!plain.contains(part), "{part}");
    }
    let mut events = usual();
    events.insert(1, connect(&hostile, 443));
    events.insert(2, request(&hostile, &hostile, &hostile));
    let page = page(&room, &events);
    let made = room.at("page.html");
    let dom_made = dom(Path::new(&made));
    assert!(!dom_made.contains("<title>taken") && !dom_made.contains("<img"), "{dom_made}");
    // and were it not escaped, the page's policy would stop it
    let raw = page.replace("<main>", &format!("<main>{}", hostile.replace("</td></script>", "")));
    assert!(raw.contains("<img src="));
    let file = room.write("raw.html", raw.as_bytes());
    let dom_raw = dom(Path::new(&file));
    assert!(dom_raw.contains("<img src=") && !dom_raw.contains("<title>taken"), "{dom_raw}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "the page asked somebody");
}

#[test]
fn a_thousand_hosts_are_one_page_below_two_mebibytes() {
    let room = Room::new();
    let mut events = vec![start(env!("CARGO_PKG_VERSION"))];
    for number in 0..1_000 {
        let host = format!("host-{number}.example");
        events.push(connect(&host, 443));
        events.push(request(&host, "GET", &format!("/path/{number}")));
    }
    let page = page(&room, &events);
    assert!(page.len() < 2 << 20, "{}", page.len());
    let script = "{const filter=document.getElementById('filter');filter.value='host-77.';filter.dispatchEvent(new Event('input'));document.title=document.getElementById('shown').textContent}";
    let file = room.write("many.html", with_script(&page, script).as_bytes());
    let dom = dom(Path::new(&file));
    assert!(dom.contains("<title>2 of 2000</title>"), "{}", dom.lines().next().unwrap_or_default());
}
