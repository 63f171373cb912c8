//! Documents that people sign: lists of what was taken back, what was seen, keyrings, metadata. No panic; what is read is
//! written as it was.
#![no_main]

use std::collections::BTreeMap;

use claw_verify::Clock;
use claw_verify::keyring::Keyring;
use claw_verify::revocation::Revocations;
use claw_verify::tuf::{Files, Seen, Trusted};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = Revocations::read(bytes, Timestamp::MIN, 0) {
        assert_eq!(Revocations::read(&list.to_bytes(), Timestamp::MIN, 0), Ok(list));
    }
    if let Ok(seen) = Seen::parse(bytes) {
        assert_eq!(Seen::parse(&seen.to_bytes()).ok(), Some(seen));
    }
    let _ = Trusted::refresh(bytes, &Files::new(), &Clock::at(Timestamp::UNIX_EPOCH), None);
    let files = BTreeMap::from([
        ("draft/root.json".to_owned(), bytes.to_vec()),
        ("draft/targets.json".to_owned(), bytes.to_vec()),
        ("metadata/1.root.json".to_owned(), bytes.to_vec()),
    ]);
    if let Ok(keyring) = Keyring::of(files) {
        let _ = (keyring.drafts(), keyring.served(), keyring.revocations());
    }
});
