use claw_ledger::record::{Decision, Event};
use claw_model::shown::is_hidden;

use super::*;
use crate::compare::compare;
use crate::diff::diff;
use crate::fold::tests::{connect, footprint, observed, request, start};

/// Everything an agent can choose, and what it might try with it.
pub(crate) fn hostile() -> Footprint {
    let text = "x<script>alert(1)</script>\u{202e}\u{1b}[2J\u{1b}]0;t\u{7}\n| `a` \u{200b}&quot;\"'";
    let mut events = vec![start(Some("sink")), connect(text, 443, Decision::Sink)];
    let mut asked = request(text, &format!("GET /{text}"), Some(2));
    if let Event::Request { user_agent, query, method, .. } = &mut asked {
        *user_agent = Some(text.into());
        *query = vec![text.into()];
        *method = text.into();
    }
    events.push(asked);
    let mut refused = connect("a.test", 443, Decision::Deny);
    if let Event::Connect { process: Some(process), reason, .. } = &mut refused {
        process.exe = format!("/bin/{text}");
        process.package = Some(text.into());
        *reason = Some(text.into());
    }
    events.push(refused);
    footprint(&events)
}

#[test]
fn a_report_tells_what_was_reached_for_by_plane() {
    let shown = text(&footprint(&observed()));
    let expect = "python3 agent.py (sink): 14 records of run.jsonl, 2026-09-21 14:13 UTC for 13.0 s\n
INFERENCE  (model providers)
  api.anthropic.com:443                    TCP/http+tls required      answered by claw  1x  100 B out, 0 B in  python3 agent.py
      POST /v1/messages  1x  agent/1.0
";
    assert!(shown.starts_with(expect), "{shown}");
    for part in [
        "cannot be told apart: TLS was not ended",
        "TELEMETRY  (tells what is done)",
        "api.anthropic.com:443: 600 B out, 600 B in of heads and answers are not told apart by plane",
        "CREWAI_DISABLE_TELEMETRY=true  (tried: works; telemetry.crewai.com)",
        "DO_NOT_TRACK=1  (tried: does NOT work; telemetry.crewai.com)",
        "nobody.test (only looked up)",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn hostile_text_is_escaped_in_every_form() {
    let hostile = hostile();
    let texts = [
        text(&hostile),
        markdown(&hostile),
        hostile.json(),
        crate::html::page(&hostile),
        comparison(&compare(("a", &hostile), ("\u{1b}b", &hostile))),
        markdown_comparison(&compare(("a", &hostile), ("\u{1b}b", &hostile))),
        crate::html::comparison(&compare(("a", &hostile), ("\u{1b}b<script>", &hostile))),
        changes(&diff(&Footprint::default(), &hostile, None)),
    ];
    for text in texts {
        assert!(!text.chars().any(|character| character != '\n' && is_hidden(character)), "{text}");
    }
    let page = crate::html::page(&hostile);
    assert_eq!(page.matches("<script").count(), 1, "only its own");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!markdown(&hostile).contains("<script"));
}

#[test]
fn sizes_are_for_people() {
    let check = |count: u64, expect: &str| assert_eq!(bytes(count), expect);
    check(0, "0 B");
    check(999, "999 B");
    check(1_000, "1.0 KB");
    check(48_556, "48 KB");
    check(653_153, "653 KB");
    check(1_500_000, "1.5 MB");
    check(u64::MAX, "18 EB");
}

#[test]
fn an_agent_without_a_name_is_called_by_its_program() {
    let check = |command: &str, expect: Option<&str>| {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        assert_eq!(super::program(&words), expect, "{command}");
    };
    check("codex exec hi", Some("codex"));
    check("env KEY=x node_modules/.bin/codex exec", Some("codex"));
    check("env KEY=x env/bin/python agent.py", Some("agent.py"));
    check("python3.12 /w/agent.py --key x", Some("agent.py"));
    check("python3 -m agent", Some("python3"));
    check("node m.mjs", Some("m.mjs"));
    check("dir/", None);
    assert_eq!(super::program(&[]), None);
}
