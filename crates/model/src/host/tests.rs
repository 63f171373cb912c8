use proptest::prelude::*;

use super::*;

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

#[test]
fn a_name_is_lower_case_a_labels_without_the_last_dot() {
    let check = |text: &str, expect: &str| assert_eq!(name(text).as_str(), expect);
    check("API.Example.COM.", "api.example.com");
    check("_acme.example.com", "_acme.example.com");
    check("bücher.example", "xn--bcher-kva.example");
    check("ＥＸＡＭＰＬＥ。com", "example.com");
    check("r3---sn-a.googlevideo.com", "r3---sn-a.googlevideo.com");
    check("xn--bcher-kva.example", "xn--bcher-kva.example");
    check("localhost", "localhost");
}

#[test]
fn what_any_program_reads_as_an_address_is_never_a_name() {
    for text in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "1.2.3.4.",
        "a.0x",
        "0x",
        "1.2.3.0XFF",
        "example.123",
        "１２７.0.0.1",
        "①②⑦.1",
    ] {
        let numeric = matches!(HostName::parse(text), Err(HostError::Numeric { .. }));
        assert!(numeric, "{text}: {:?}", HostName::parse(text));
    }
}

#[test]
fn what_could_smuggle_another_host_is_refused() {
    for text in [
        "a\0.com",
        "a b.com",
        "user@a.com",
        "a#b",
        "a\\b",
        "a/b",
        "a%2e",
        "a:1",
        "a\u{a0}b",
        "a\nb",
        "a／b",
        "a..b",
        ".a",
        "-a.com",
        "a-.com",
        "",
        ".",
        "a*.com",
        "xn--a",
        "a\u{200b}b.com\u{0}",
        "＃.com",
    ] {
        assert!(HostName::parse(text).is_err(), "{text:?} became {:?}", HostName::parse(text));
    }
    assert!(HostName::parse(&"a".repeat(64)).is_err());
    assert!(HostName::parse(&"a.".repeat(127)).is_ok());
    assert!(HostName::parse(&"a.".repeat(128)).is_err());
}

#[test]
fn errors_name_the_text_and_the_character() {
    let check =
        |text: &str, expect: &str| assert_eq!(HostPattern::parse(text).unwrap_err().to_string(), expect);
    check(
        "api\0.example.com",
        "`api\\0.example.com` holds '\\0': a host name has letters, digits, `-`, `_` and dots",
    );
    check("*", "`*` names every host: name the hosts, or a suffix as `*.example.com`");
    check("a.*.com", "`a.*.com` has a `*` that is not the whole first label: write `*.example.com`");
    check("127.1", "`127.1` is read as an address by some programs, so it cannot be a name");
}

#[test]
fn a_wildcard_never_matches_its_suffix() {
    let wild = HostPattern::parse("*.example.com").unwrap();
    assert!(wild.matches(&name("a.example.com")));
    assert!(wild.matches(&name("a.b.example.com")));
    assert!(!wild.matches(&name("example.com")));
    assert!(!wild.matches(&name("badexample.com")));
}

fn host() -> impl Strategy<Value = HostName> {
    prop::collection::vec(prop_oneof!["a", "b", "xa"], 1..5).prop_map(|labels| name(&labels.join(".")))
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    (host(), any::<bool>()).prop_map(|(host, exact)| match exact {
        true => HostPattern::Exact(host),
        false => HostPattern::Below(host),
    })
}

/// A host of the pattern, and one deeper: if two patterns share a host, one of these is shared.
fn witnesses(pattern: &HostPattern) -> Vec<HostName> {
    match pattern {
        HostPattern::Exact(host) => vec![host.clone()],
        HostPattern::Below(suffix) => vec![name(&format!("w.{suffix}")), name(&format!("w.w.{suffix}"))],
    }
}

proptest! {
    #[test]
    fn overlap_is_a_common_host(a in pattern(), b in pattern()) {
        let common = witnesses(&a).iter().chain(&witnesses(&b)).any(|host| a.matches(host) && b.matches(host));
        prop_assert_eq!(a.overlaps(&b), common);
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
    }

    #[test]
    fn a_covered_pattern_matches_a_subset(a in pattern(), b in pattern(), host in host()) {
        prop_assert_eq!(a.covers(&b), witnesses(&b).iter().all(|host| a.matches(host)));
        prop_assert!(!a.covers(&b) || !b.matches(&host) || a.matches(&host));
    }

    #[test]
    fn a_name_prints_what_it_parses(text in "\\PC{0,24}|[a-z0-9.-]{1,20}") {
        if let Ok(host) = HostName::parse(&text) {
            prop_assert_eq!(HostName::parse(host.as_str()), Ok(host.clone()));
            let parents = host.parents().count();
            prop_assert_eq!(parents + 1, host.as_str().split('.').count());
        }
    }

    #[test]
    fn a_pattern_prints_what_it_parses(pattern in pattern()) {
        prop_assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern));
    }
}

#[test]
fn a_child_is_a_name_or_nothing() {
    let child =
        |name: &str, label: &str| HostName::parse(name).unwrap().child(label).map(|name| name.to_string());
    assert_eq!(child("example.com", "a").as_deref(), Some("a.example.com"));
    for label in ["", "A", "a.b", "-a", "xn--a", "*"] {
        assert_eq!(child("example.com", label), None, "{label}");
    }
    let long = [&"a".repeat(62), &"b".repeat(62), &"c".repeat(62), "dd.example.com"]
        .map(|part: &str| part.to_owned())
        .join(".");
    assert_eq!(long.len(), 203);
    assert_eq!(child(&long, &"x".repeat(50)), None);
    assert!(child(&long, &"x".repeat(49)).is_some());
}
