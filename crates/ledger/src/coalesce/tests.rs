//! Floods, and that every event offered is written or counted.

use proptest::prelude::*;

use super::*;
use crate::chain::tests::{denial, every, lookup, observed};

fn repeat(of: Option<u64>, count: u64, reason: Option<&str>) -> Event {
    Event::Repeat { of, count, reason: reason.map(Into::into), bytes_out: None, bytes_in: None }
}

fn total(events: &[Event]) -> u64 {
    events.iter().map(|event| if let Event::Repeat { count, .. } = event { *count } else { panic!() }).sum()
}

#[test]
fn the_same_denial_is_written_once_and_counted_each_second() {
    let mut coalescer = Coalescer::new(0);
    let event = denial("evil.test", "no-rule");
    assert_eq!(coalescer.offer(0, 7, &event), Offer::Write);
    for now in 1..=500 {
        let mut other = event.clone();
        if let Event::Connect { process: Some(process), .. } = &mut other {
            process.pid += u32::try_from(now).unwrap();
        }
        assert_eq!(coalescer.offer(now, 8, &other), Offer::Count(Some(7)));
    }
    assert_eq!(coalescer.due(999), []);
    assert_eq!(coalescer.due(1000), [repeat(Some(7), 500, Some("no-rule"))]);
    assert_eq!(coalescer.offer(1001, 9, &event), Offer::Count(Some(7)));
    assert_eq!(coalescer.due(1500), []);
    assert_eq!(coalescer.drain(), [repeat(Some(7), 1, Some("no-rule"))]);
    assert_eq!(coalescer.drain(), []);
}

#[test]
fn what_differs_is_written_and_what_is_allowed_is_never_held_back() {
    let mut coalescer = Coalescer::new(0);
    for event in every() {
        assert_eq!(coalescer.offer(0, 1, &event), Offer::Write, "{event:?}");
    }
    for event in every() {
        let counted = matches!(&event, Event::Dns { .. } | Event::Request { .. } | Event::Syscall { .. })
            || matches!(&event, Event::Connect { decision: Decision::Deny, .. });
        let expect = if counted { Offer::Count(Some(1)) } else { Offer::Write };
        assert_eq!(coalescer.offer(0, 1, &event), expect, "{event:?}");
    }
    assert_eq!(coalescer.offer(0, 2, &denial("evil.test", "deny-rule")), Offer::Write);
    assert_eq!(coalescer.offer(0, 3, &lookup("api.test", Decision::Deny)), Offer::Write);
}

#[test]
fn a_flood_of_different_denials_is_bounded_on_disk_and_in_memory() {
    let mut coalescer = Coalescer::new(0);
    let (mut written, mut repeats) = (0, Vec::new());
    for n in 0..100_000u64 {
        let now = n / 10; // 10 seconds
        let offer = coalescer.offer(now, n, &denial(&format!("h{n}.test"), "no-rule"));
        written += u64::from(offer == Offer::Write);
        repeats.extend(coalescer.due(now));
        assert!(coalescer.slots.len() <= MAX_KEYS && coalescer.order.len() == coalescer.slots.len());
    }
    repeats.extend(coalescer.drain());
    assert!((BURST..=BURST + 10 * PER_SECOND).contains(&written), "{written}");
    assert_eq!(written + total(&repeats), 100_000);
    assert!(
        repeats.len() <= 11 && repeats.iter().all(|event| matches!(event, Event::Repeat { of: None, .. }))
    );
    // A name the policy allows is written all the same.
    assert_eq!(coalescer.offer(10_000, 1, &lookup("api.test", Decision::Allow)), Offer::Write);
}

#[test]
fn many_names_repeated_for_long_are_bounded_too() {
    let mut coalescer = Coalescer::new(0);
    let mut lines = 0;
    for second in 0..10u64 {
        for n in 0..2_000 {
            let offer = coalescer.offer(second * 1000, n, &denial(&format!("h{n}.test"), "no-rule"));
            lines += usize::from(offer == Offer::Write);
        }
        lines += coalescer.due(second * 1000).len();
    }
    assert!(lines <= 2_000 + 10 * MAX_REPEATS, "{lines}");
}

#[test]
fn memory_is_bounded_even_if_nobody_collects_the_repeats() {
    let mut coalescer = Coalescer::new(0);
    let names = 3 * MAX_KEYS as u64;
    for n in 0..2 * names {
        coalescer.offer(0, n, &lookup(&format!("h{}.test", n / 2), Decision::Allow));
    }
    assert_eq!((coalescer.evicted.len(), coalescer.overflow.len()), (MAX_KEYS, 1));
    assert_eq!(total(&coalescer.drain()), names);
}

/// The end of an observed connection.
fn end(sni: &str, bytes_out: u64) -> Event {
    Event::Close {
        destination: "api.test".into(),
        port: 443,
        bytes_out,
        bytes_in: 1,
        duration_ms: bytes_out,
        end: "end".into(),
        planes: Vec::new(),
        connection: Some(bytes_out),
        application: Some("tls".into()),
        sni: Some(sni.into()),
        alpn: None,
        requests: None,
    }
}

#[test]
fn ends_of_connections_that_carried_requests_are_not_counted_with_silent_ones() {
    let mut coalescer = Coalescer::new(0);
    let mut offer = |number: u64, carried: Option<u64>| {
        let mut event = end("a.test", number);
        if let Event::Close { requests, .. } = &mut event {
            *requests = carried;
        }
        coalescer.offer(0, number, &event)
    };
    assert_eq!(offer(1, Some(1)), Offer::Write);
    assert_eq!(offer(2, Some(0)), Offer::Write);
    assert_eq!(offer(3, Some(4)), Offer::Count(Some(1)));
    assert_eq!(offer(4, Some(0)), Offer::Count(Some(2)));
    assert_eq!(offer(5, None), Offer::Write);
}

#[test]
fn what_no_rule_allowed_is_held_like_denials_and_its_bytes_are_summed_up() {
    let mut coalescer = Coalescer::new(0);
    for event in observed().into_iter().filter(|event| event.kind() != "start" && event.kind() != "repeat") {
        assert_eq!(coalescer.offer(0, 1, &event), Offer::Write, "{event:?}");
        assert_eq!(coalescer.offer(0, 2, &event), Offer::Count(Some(1)), "{event:?}");
    }
    let mut allowed = observed()[1].clone();
    if let Event::Connect { decision, .. } = &mut allowed {
        *decision = Decision::Allow;
    }
    assert_eq!(coalescer.offer(0, 3, &allowed), Offer::Write);
    assert_eq!(coalescer.offer(0, 4, &allowed), Offer::Count(Some(3)));
    let mut coalescer = Coalescer::new(0);
    let written =
        |coalescer: &mut Coalescer, n: u64| coalescer.offer(0, n, &end("a.test", n)) == Offer::Write;
    assert!(written(&mut coalescer, 1) && !written(&mut coalescer, 2) && !written(&mut coalescer, 3));
    let sum = Event::Repeat {
        of: Some(1),
        count: 2,
        reason: Some("sink".into()),
        bytes_out: Some(5),
        bytes_in: Some(2),
    };
    assert_eq!(coalescer.drain(), [sum]);
    let flood = (0..50_000).filter(|n| coalescer.offer(0, *n, &end(&format!("h{n}"), 1)) == Offer::Write);
    assert!(flood.count() < 2_000);
    let lost = coalescer.drain();
    assert!(matches!(&lost[..], [Event::Repeat { of: None, bytes_out: Some(out), .. }] if *out > 48_000));
}

proptest! {
    #[test]
    fn every_event_offered_is_written_or_counted(
        events in proptest::collection::vec((0u64..700, 0u8..2, 0u64..5, 0u8..200), 0..20),
        scale in 1u64..400,
    ) {
        let mut coalescer = Coalescer::new(0);
        let (mut now, mut offered, mut written, mut counted) = (0, 0u64, 0u64, 0u64);
        for (step, kind, name, reason) in events {
            now += step;
            for n in 0..scale {
                let event = match kind {
                    0 => denial(&format!("{}.test", name * n), &format!("r{reason}")),
                    _ => lookup(&format!("{}.test", name * n), Decision::Allow),
                };
                offered += 1;
                written += u64::from(coalescer.offer(now, offered, &event) == Offer::Write);
            }
            counted += total(&coalescer.due(now));
        }
        counted += total(&coalescer.drain());
        prop_assert_eq!(written + counted, offered);
    }
}
