use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn list(entries: Vec<Entry>) -> Revocations {
    Revocations { version: 3, expires: at(1000), entries }
}

fn claim() -> Claim<'static> {
    Claim { name: "tool", release: Some(5), digest: Digest::of(b"tool"), need: 1 }
}

fn key(positions: &[Position]) -> Witness {
    Witness { key: Some("k".into()), positions: positions.to_vec(), ..Witness::default() }
}

fn check(entry: Entry, witness: &Witness, left: usize) {
    let expect = match left {
        1 => Ok(()),
        left => Err(Revoked::Signers { name: "tool".into(), left, need: 1, why: entry.why().into() }),
    };
    assert_eq!(list(vec![entry]).judge(&claim(), std::slice::from_ref(witness)), expect);
}

#[test]
fn a_compromised_key_vouches_for_nothing_but_what_was_found_good() {
    let entry = |except: &[Digest]| Entry::Compromised {
        key: "k".into(),
        except: except.iter().copied().collect(),
        why: "stolen".into(),
    };
    check(entry(&[]), &key(&[Position::Log(1), Position::Approval(1)]), 0);
    check(entry(&[Digest::of(b"other")]), &key(&[]), 0);
    check(entry(&[Digest::of(b"tool")]), &key(&[]), 1);
    check(entry(&[]), &Witness { key: Some("another".into()), ..Witness::default() }, 1);
}

#[test]
fn a_retired_key_keeps_its_word_before_the_cutoff_and_not_at_it_or_after() {
    let entry = |before| Entry::Retired { key: "k".into(), before, why: "left".into() };
    check(entry(Position::Log(10)), &key(&[Position::Log(9)]), 1);
    check(entry(Position::Log(10)), &key(&[Position::Log(10)]), 0);
    check(entry(Position::Log(10)), &key(&[Position::Log(11)]), 0);
    check(entry(Position::Approval(2)), &key(&[Position::Log(11), Position::Approval(1)]), 1);
}

#[test]
fn a_position_in_another_order_or_none_does_not_count() {
    let entry = |before| Entry::Retired { key: "k".into(), before, why: "left".into() };
    check(entry(Position::Log(10)), &key(&[]), 0);
    check(entry(Position::Log(10)), &key(&[Position::Approval(1)]), 0);
}

#[test]
fn an_identity_is_taken_back_for_a_time_that_a_third_party_tells() {
    let entry = Entry::Identity {
        identity: "ci".into(),
        issuer: "forge".into(),
        from: at(10),
        until: at(20),
        why: "runner".into(),
    };
    let by = |time: Option<i64>| Witness {
        identity: Some(("ci".into(), "forge".into())),
        time: time.map(at),
        ..Witness::default()
    };
    check(entry.clone(), &by(Some(9)), 1);
    check(entry.clone(), &by(Some(10)), 0);
    check(entry.clone(), &by(Some(20)), 0);
    check(entry.clone(), &by(Some(21)), 1);
    check(entry, &by(None), 0);
}

#[test]
fn an_artefact_and_releases_are_taken_back_whoever_signed() {
    let many = [key(&[]), key(&[])];
    let artefact = Entry::Artefact { digest: Digest::of(b"tool"), why: "bug".into() };
    let refused = list(vec![artefact]).judge(&claim(), &many);
    let expect = Revoked::Artefact { name: "tool".into(), digest: Digest::of(b"tool"), why: "bug".into() };
    assert_eq!(refused, Err(expect));
    let releases = Entry::Releases { name: "tool".into(), from: 4, until: 5, why: "bug".into() };
    let list = list(vec![releases]);
    let expect = Revoked::Release { name: "tool".into(), from: 4, until: 5, why: "bug".into() };
    assert_eq!(list.judge(&claim(), &many), Err(expect.clone()));
    assert_eq!(list.judge(&Claim { release: Some(6), ..claim() }, &many), Ok(()));
    assert_eq!(list.judge(&Claim { release: None, ..claim() }, &many), Err(expect));
    assert_eq!(list.judge(&Claim { name: "other", ..claim() }, &many), Ok(()));
}

#[test]
fn an_older_or_expired_list_is_refused_and_both_versions_are_named() {
    let bytes = list(vec![]).to_bytes();
    assert_eq!(Revocations::read(&bytes, at(1000), 3), Ok(list(vec![])));
    let refused = Revocations::read(&bytes, at(1000), 4);
    assert_eq!(refused, Err(RevocationError::Rollback { trusted: 4, new: 3 }));
    let refused = Revocations::read(&bytes, at(1001), 3);
    assert_eq!(refused, Err(RevocationError::Expired { expires: at(1000) }));
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    let text = br#"{"version":1,"expires":"2030-01-01T00:00:00Z","entries":[],"extra":1}"#;
    assert!(matches!(Revocations::read(text, at(0), 0), Err(RevocationError::Json(_))));
    let text = br#"{"version":1,"expires":"2030-01-01T00:00:00Z","entries":[{"kind":"artefact","digest":"sha256:00","why":""}]}"#;
    assert!(matches!(Revocations::read(text, at(0), 0), Err(RevocationError::Json(_))));
}
