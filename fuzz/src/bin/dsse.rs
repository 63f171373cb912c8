//! A DSSE envelope and the statement in it. No panic; what is read is written the same; no key that did not sign counts.
#![no_main]

use claw_verify::envelope::{Envelope, IN_TOTO};
use claw_verify::statement::Statement;
use claw_verify::{Keys, PublicKey, json};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

fuzz_target!(|bytes: &[u8]| {
    let _ = json::value("document", bytes);
    if let Ok(envelope) = Envelope::read(bytes) {
        assert_eq!(Envelope::read(envelope.write().as_bytes()).as_ref(), Ok(&envelope));
        let keys = Keys::one(PublicKey::from_pem(KEY).unwrap());
        assert!(envelope.verify(IN_TOTO, &keys).is_err());
        let _ = Statement::read(envelope.unverified().1);
    }
    if let Ok(statement) = Statement::read(bytes) {
        let text = statement.write().unwrap();
        assert_eq!(Statement::read(text.as_bytes()), Ok(statement));
    }
});
