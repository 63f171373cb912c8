//! Every way to change a ledger, and what is said about it.

use proptest::prelude::*;

use super::*;
use crate::chain::Chain;
use crate::chain::tests::{at, denial, every, ledger};
use crate::record::Event;

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The first broken line and what is wrong with it, in words.
fn broken(bytes: &[u8]) -> Option<(u64, String)> {
    verify(bytes).broken.map(|broken| {
        assert_eq!(broken.seq, broken.line);
        (broken.line, broken.flaw.to_string())
    })
}

fn replaced(bytes: &[u8], line: usize, from: &str, to: &str) -> Vec<u8> {
    let mut lines = lines(bytes);
    let text = String::from_utf8(lines[line - 1].clone()).unwrap();
    assert!(text.contains(from));
    lines[line - 1] = text.replacen(from, to, 1).into_bytes();
    lines.concat()
}

#[test]
fn a_whole_ledger_is_sound_and_can_go_on() {
    let (mut bytes, mut chain) = ledger(&every());
    let verdict = verify(&bytes);
    assert!(verdict.is_sound() && verdict.warnings.is_empty());
    assert_eq!((verdict.records, verdict.head), (16, chain.head()));
    assert_eq!(verdict.bytes, bytes.len() as u64);
    assert_eq!(verdict.expects(&chain.head()), Ok(()));
    let mut resumed = Chain::resume(&verdict).unwrap();
    assert_eq!(resumed, chain);
    assert_eq!(resumed.append(at(99), &Event::Exit { code: 0 }, &mut bytes), 17);
    chain.append(at(99), &Event::Exit { code: 0 }, &mut Vec::new());
    assert_eq!(verify(&bytes).head, chain.head());
}

#[test]
fn the_changed_record_is_named_not_the_one_after_it() {
    let (bytes, _) = ledger(&every());
    let (line, flaw) = broken(&replaced(&bytes, 4, "evil.test", "good.test")).unwrap();
    assert_eq!(line, 4);
    assert!(flaw.starts_with("it was changed, or the `prev` after it was: it hashes to sha256:"), "{flaw}");
    let (line, flaw) = broken(&replaced(&bytes, 5, "\"prev\":\"sha256:", "\"prev\":\"sha256:0")).unwrap();
    assert_eq!(line, 5);
    assert!(flaw.starts_with("not a record: "), "{flaw}");
    let other = Digest::of(b"other").to_string();
    let own = verify(&lines(&bytes)[..4].concat()).head.to_string();
    let (line, flaw) = broken(&replaced(&bytes, 5, &own, &other)).unwrap();
    assert_eq!((line, flaw), (5, format!("its `prev` is {other}, but the record before it hashes to {own}")));
    let nothing = Digest::of(b"").to_string();
    let (line, flaw) = broken(&replaced(&bytes, 1, &nothing, &other)).unwrap();
    assert_eq!(
        (line, flaw),
        (1, format!("its `prev` is {other}, but the record before it hashes to {nothing}"))
    );
    // The one before the last: nothing vouches for the last, so the flaw names both.
    assert_eq!(broken(&replaced(&bytes, 15, "code\":-9", "code\":0")).unwrap().0, 15);
}

#[test]
fn removed_moved_and_foreign_lines_are_named() {
    let (bytes, _) = ledger(&every());
    let whole = lines(&bytes);
    let seq = |found: u64| format!("its number is {found}: records were removed, added or moved here");
    let mut gone = whole.clone();
    gone.remove(3);
    assert_eq!(broken(&gone.concat()), Some((4, seq(5))));
    let mut moved = whole.clone();
    moved.swap(2, 3);
    assert_eq!(broken(&moved.concat()), Some((3, seq(4))));
    let mut doubled = whole.clone();
    doubled.insert(1, whole[0].clone());
    assert_eq!(broken(&doubled.concat()), Some((2, seq(1))));
    let kind = replaced(&bytes, 6, "\"kind\":\"request\"", "\"kind\":\"re quest\"");
    assert_eq!(broken(&kind), Some((6, "unknown kind `\"re quest\"`".to_owned())));
    let time = replaced(&bytes, 6, "Z\"", "+00:00\"");
    let flaw = "`2026-01-02T03:04:10.000000006+00:00` is not a time in UTC with nanoseconds";
    assert_eq!(broken(&time), Some((6, flaw.to_owned())));
    assert_eq!(broken(&[&bytes[..], b"{\n"].concat()).unwrap().0, 17);
    assert_eq!(broken(&[&bytes[..], b"\n"].concat()).unwrap().0, 17);
}

#[test]
fn an_empty_ledger_is_not_a_ledger() {
    assert_eq!(broken(b""), Some((1, "no records".to_owned())));
    assert_eq!(broken(b"{\"seq\":1"), Some((1, "no records".to_owned())));
    assert!(Chain::resume(&verify(b"")).is_none());
}

#[test]
fn a_torn_last_line_is_a_warning_and_not_counted() {
    let (bytes, chain) = ledger(&every());
    let last = lines(&bytes)[15].len();
    for cut in 1..last {
        let verdict = verify(&bytes[..bytes.len() - cut]);
        assert!(verdict.is_sound());
        let torn = Warning::Torn { line: 16, bytes: (last - cut) as u64 };
        assert_eq!((verdict.records, verdict.warnings.as_slice()), (15, &[torn][..]));
        assert_eq!(verdict.bytes, (bytes.len() - last) as u64);
        let mismatch = HeadMismatch { records: 15, head: verdict.head, expected: chain.head() };
        assert_eq!(verdict.expects(&chain.head()), Err(mismatch));
    }
    let mut verifier = Verifier::new();
    verifier.line(b"{\"seq\"");
    verifier.line(b":1}\n");
    assert!(matches!(verifier.finish().broken, Some(Broken { line: 1, flaw: Flaw::Cut, .. })));
}

#[test]
fn a_clock_that_goes_back_is_a_warning() {
    let (mut chain, mut out) = (Chain::new(), Vec::new());
    for second in [5, 3, 4, 4] {
        chain.append(at(second), &denial("evil.test", "no-rule"), &mut out);
    }
    let verdict = verify(&out);
    assert!(verdict.is_sound());
    assert_eq!(verdict.warnings, [Warning::Clock { line: 2 }]);
}

#[test]
fn every_changed_byte_is_seen() {
    let (bytes, chain) = ledger(&every());
    for at in 0..bytes.len() {
        for bit in [0x01, 0x04, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let verdict = verify(&changed);
            assert!(!verdict.is_sound() || verdict.expects(&chain.head()).is_err(), "{at} {bit}");
        }
    }
}

proptest! {
    #[test]
    fn no_removal_reordering_or_doubling_goes_unseen(picks in proptest::collection::vec(0usize..16, 0..17)) {
        let (bytes, chain) = ledger(&every());
        let whole = lines(&bytes);
        let mixed: Vec<u8> = picks.iter().flat_map(|&pick| whole[pick].clone()).collect();
        let verdict = verify(&mixed);
        let same = picks == (0..15).collect::<Vec<_>>();
        prop_assert_eq!(verdict.is_sound() && verdict.expects(&chain.head()).is_ok(), same);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        verify(&bytes);
    }
}
