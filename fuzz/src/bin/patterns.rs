//! Host patterns, destinations, paths and request patterns: no panic, one spelling each, and an algebra that agrees with
//! itself.
#![no_main]

use claw_model::destination::Destination;
use claw_model::host::{HostName, HostPattern};
use claw_model::http::{CanonicalPath, RequestPattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(name) = HostName::parse(one) {
        assert_eq!(HostName::parse(name.as_str()), Ok(name));
    }
    if let (Ok(first), Ok(second)) = (HostPattern::parse(one), HostPattern::parse(other)) {
        assert_eq!(first.overlaps(&second), second.overlaps(&first));
        assert!(!first.covers(&second) || first.overlaps(&second));
    }
    if let Ok(destination) = Destination::parse(one) {
        assert_eq!(Destination::parse(&destination.to_string()), Ok(destination));
    }
    if let Ok(pattern) = RequestPattern::parse(one) {
        assert_eq!(RequestPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
        if let Ok(second) = RequestPattern::parse(other) {
            assert_eq!(pattern.overlaps(&second), second.overlaps(&pattern));
            assert!(!pattern.covers(&second) || pattern.overlaps(&second));
        }
        if let Ok(path) = CanonicalPath::parse(other) {
            // the path itself as a pattern is met by whatever matches it
            let exact = RequestPattern::parse(&format!("GET {}", path.as_str()));
            if let (true, Ok(exact)) = (pattern.matches("GET", path), exact) {
                assert!(pattern.overlaps(&exact), "{pattern} {exact}");
            }
        }
    }
    if let Ok(path) = CanonicalPath::parse(one) {
        // no decoding of a canonical path, once or twice, makes a dot segment
        let mut decoded = path.as_str().to_owned();
        for _ in 0..2 {
            decoded = decoded.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
            decoded = decoded.replace("%5c", "\\").replace("%5C", "\\").replace("%25", "%");
            let dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
            assert!(!decoded.split(['/', '\\']).any(dots), "{one}");
        }
    }
});
