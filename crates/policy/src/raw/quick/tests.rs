use proptest::prelude::*;

use super::super::RawPolicy;
use super::super::read::general;
use super::*;

/// Whatever is read here is what the general reader reads.
fn check(text: &str) -> Result<bool, String> {
    let Some(quick) = read::<RawPolicy>(text) else { return Ok(false) };
    match general::<RawPolicy>(text) {
        Ok(Some(general)) if format!("{general:?}") == format!("{quick:?}") => Ok(true),
        Ok(general) => Err(format!("{text}\n{quick:?}\n{general:?}")),
        Err(problem) => Err(format!("{text}\n{quick:?}\n{problem:?}")),
    }
}

const WHOLE: &str = "\
# a policy that says much
version: 1
agent: 'it''s an agent'
owner: \"tëam@corp.example\"
network_policy:
  bootstrap: []
  workload:
    - destination: api.example.com:443
      plane: tool # spoken
      purpose: >
        folded
        text
      expires: 2030-01-01
      addresses: [10.0.0.1, \"2001:db8::1\"]
      limits: {bytes_out: 1000, connections: 5, rate: 50/s}
    -   {destination: '*.example.net:80,443', plane: update, purpose: plain
         words over lines, protocol: TCP}
  deny:
  - destination: 10.0.0.0/8:*
    plane: '*'
    purpose: |-
      kept

      lines
filesystem:
  read: [/usr]
  protect: standard
process:
  seccomp: nano
  exec: {listed: {digests: ['sha256:00 /bin/sh'], changed: end}}
  env:
    pass: [PATH]
    set: {HF_HOME: /tmp/hf}
";

#[test]
fn ordinary_policies_are_read_here() {
    assert_eq!(check(WHOLE), Ok(true));
    for text in [
        "version: 1\n",
        "{version: 1, network_policy: {workload: []}}",
        "version: 1\r\nagent: a\r\n",
        "never:\n- destination: a.test:1\n",
        "agent:\n",
        "agent: null\nowner: ~\n",
        "never:\nnetwork_policy:\n  deny:\n",
        "? version\n: 1\n",
    ] {
        assert_eq!(check(text), Ok(true), "{text}");
    }
}

#[test]
fn what_is_unusual_or_wrong_is_left() {
    for text in [
        "",
        "~",
        "---\nversion: 1\n",
        "version: 1\n---\nversion: 1\n",
        "version: 1\nversion: 1\n",
        "agent: &a x\nowner: *a\n",
        "agent: !!str x\n",
        "version: 01\n",
        "version: 0x1\n",
        "version: +1\n",
        "version: '1'\n",
        "process: {limits: {cpu: 1.5}}\n",
        "'version': 1\n",
        "<<: {version: 1}\n",
        "nobody_knows: 1\n",
        "[[[[[[[[[[[[[[[",
        "{version: 1",
        "version: 1\n} x",
        "\u{feff}version: 1\n",
    ] {
        assert_eq!(check(text), Ok(false), "{text}");
    }
}

fn any_change() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "",
        " ",
        "  ",
        "\n",
        "- ",
        ": ",
        "? ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "!x ",
        "!!int ",
        "|",
        ">",
        "~",
        "null",
        "true",
        "1",
        "01",
        "1.5",
        "0x1f",
        "---",
        "...",
        "<<: ",
        "%YAML 1.2\n",
        "ä",
        "\u{85}",
        "\u{2028}",
        "version: 1\n",
        "agent: x",
        "@",
        "`",
        "\r",
        "=",
        ".inf",
    ]);
    prop::collection::vec((0..WHOLE.len(), 0usize..30, part), 1..4).prop_map(|changes| {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, cut, part) in changes {
            let at = at.min(text.len());
            let end = (at + if cut > 15 { 0 } else { cut }).min(text.len());
            text.splice(at..end, part.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn it_never_reads_anything_else_than_the_general_reader(text in any_change()) {
        prop_assert_eq!(check(&text).err(), None);
    }

    #[test]
    fn nor_of_whole_policies(text in crate::samples::any_policy()) {
        prop_assert_eq!(check(&text), Ok(true));
    }

    #[test]
    fn nor_of_anything_short(text in "[a-c0-9 \\n:{}\\[\\],#'\"&*!|>?%~.-]{0,40}") {
        prop_assert_eq!(check(&format!("agent: {text}")).err(), None);
        prop_assert_eq!(check(&text).err(), None);
    }
}
