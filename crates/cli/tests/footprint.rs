//! `claw footprint`, from a real ledger to the policy that permits it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::PathBuf;

use claw_testkit::{Lab, Outcome, User, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// A ledger of requests to a model, to its telemetry on the same host, and to a place that nobody knows.
fn observed(lab: &Lab, more: &str) -> PathBuf {
    let script = format!(
        "curl -s -X POST https://api.anthropic.com/v1/messages; \
         curl -s -X POST https://api.anthropic.com/api/event_logging/v2/batch; \
         curl -s 'https://notes.example.net/items?key=secret'; {more} true"
    );
    lab.observe().sh(&script).ends(0).ledger.unwrap()
}

fn footprint(lab: &Lab, words: &[&str]) -> Outcome {
    lab.cli(&[&["footprint"], words].concat())
}

#[test]
fn a_real_ledger_is_reported_by_plane_and_becomes_a_policy_that_holds() {
    once(CLAW, User::Root, |lab| {
        let ledger = observed(lab, "");
        let path = ledger.to_string_lossy();
        let report = footprint(lab, &["report", &path]).ends(0);
        let report = report.says("INFERENCE").says("TELEMETRY").says("UNKNOWN").says("notes.example.net:443");
        assert!(report.stdout.contains("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"), "{report:#?}");
        let policy = footprint(lab, &["suggest", &path]).ends(0).stdout;
        assert!(policy.contains("POST /v1/messages") && policy.contains("GET /items"), "{policy}");
        let mut rules = policy.lines().filter(|line| !line.trim_start().starts_with('#'));
        assert!(!rules.any(|line| line.contains("event_logging")), "{policy}");
        let file = lab.write("suggested.yaml", &policy);
        let check = |host: &str, method: &str, request: &str| {
            let words =
                ["policy", "why", &file.to_string_lossy(), host, "--method", method, "--path", request];
            lab.cli(&words).code
        };
        assert_eq!(check("api.anthropic.com:443", "POST", "/v1/messages"), 0);
        assert_eq!(check("notes.example.net:443", "GET", "/items"), 0);
        assert_eq!(check("api.anthropic.com:443", "POST", "/api/event_logging/v2/batch"), 1);
        assert_eq!(check("notes.example.net:443", "GET", "/other"), 1);
        assert_eq!(check("notes.example.net:444", "GET", "/items"), 1);
    });
}

#[test]
fn what_is_new_is_named_and_ends_with_one() {
    once(CLAW, User::Root, |lab| {
        let old = observed(lab, "");
        let new = observed(lab, "curl -s https://new.example.net/;");
        let (old, new) = (old.to_string_lossy(), new.to_string_lossy());
        footprint(lab, &["diff", &old, &old]).ends(0);
        footprint(lab, &["diff", &old, &new]).ends(1).says("new.example.net");
        footprint(lab, &["diff", &new, &old]).ends(0).says("new.example.net");
        footprint(lab, &["compare", &old, &new]).ends(0).says("new.example.net");
        let kept = footprint(lab, &["report", "--json", &old]).ends(0).stdout;
        let kept = lab.write("kept.json", &kept);
        footprint(lab, &["diff", &kept.to_string_lossy(), &new]).ends(1).says("new.example.net");
        let policy = footprint(lab, &["suggest", &old]).ends(0).stdout;
        let policy = lab.write("policy.yaml", &policy);
        let against = ["diff", &old, &new, "--against", &policy.to_string_lossy()];
        footprint(lab, &against).ends(1).says("new.example.net:443");
    });
}

#[test]
fn a_ledger_that_is_not_whole_gives_no_wrong_report() {
    once(CLAW, User::Root, |lab| {
        let ledger = observed(lab, "");
        let text = fs::read_to_string(&ledger).unwrap();
        let ask = |name: &str, content: &str, more: &[&str]| {
            let file = lab.write(name, content);
            footprint(lab, &[&["report", &*file.to_string_lossy()], more].concat())
        };
        let changed = text.replace("/v1/messages", "/v1/massages");
        let run = ask("changed", &changed, &[]).ends(1);
        assert!(run.stdout.is_empty(), "{run:#?}");
        let run = ask("changed", &changed, &["--unverified"]);
        assert!(run.stdout.to_lowercase().contains("unverified"), "{run:#?}");
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let cut = [lines.get(..3).unwrap(), lines.get(4..).unwrap()].concat().concat();
        assert!(ask("cut", &cut, &[]).ends(1).stdout.is_empty());
        let torn = text.get(..text.len() - 20).unwrap();
        let run = ask("torn", torn, &[]).ends(0);
        assert!(!run.stderr.is_empty(), "{run:#?}");
        for (name, content) in [("empty", ""), ("foreign", "{\"a\":1}\n"), ("prose", "no ledger at all\n")] {
            let run = ask(name, content, &[]);
            assert!(run.code != 0 && run.stdout.is_empty() && !run.stderr.is_empty(), "{name}: {run:#?}");
        }
    });
}

#[test]
fn the_page_asks_nobody_for_anything_and_hostile_words_do_nothing() {
    once(CLAW, User::Root, |lab| {
        let hostile = "curl -s -A '</script><script>alert(1)</script>\u{202e}' \
                       'https://x.example.net/%3Cscript%3E\"><img/src=https://evil.test/>';";
        let ledger = observed(lab, hostile);
        let page = lab.path("page.html");
        footprint(lab, &["report", &ledger.to_string_lossy(), "--html", &page.to_string_lossy()]).ends(0);
        let page = fs::read_to_string(&page).unwrap();
        assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"), "{page}");
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        for away in ["src=\"http", "href=\"http", "url(http", "@import", "\u{202e}"] {
            assert!(!page.contains(away), "{away}");
        }
    });
}
