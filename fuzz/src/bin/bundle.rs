//! A Sigstore bundle, and the documents around it. No panic, and nothing is verified that was not signed.
#![no_main]

use std::sync::LazyLock;

use claw_verify::artifact::Artifact;
use claw_verify::identity::{Identity, Name};
use claw_verify::provenance::Policy;
use claw_verify::sigstore::{Bundle, Root, Trust, Who};
use claw_verify::ssh::{self, Allowed, Asked};
use claw_verify::{Clock, Keys, PublicKey, minisign, oci};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
const NOBODY: &str = "nobody@example.com";

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let clock = Clock::at("2027-01-01T00:00:00Z".parse().unwrap());
    Trust::new(&Root::public_good().unwrap(), clock).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let artifact = Artifact::of(b"artefact");
    if let Ok(bundle) = Bundle::read(bytes) {
        let issuer = Name::Exact("https://accounts.google.com".into());
        let asked = [Identity { identity: Name::Exact(NOBODY.into()), issuer }];
        assert!(bundle.verify(&artifact, Who::Identities(&asked), &TRUST).is_err());
        let keys = Keys::one(PublicKey::from_pem(KEY).unwrap());
        assert!(bundle.verify(&artifact, Who::Keys(&keys), &TRUST).is_err());
    }
    let _ = Root::read(bytes).and_then(|root| Trust::new(&root, *TRUST.clock()));
    let none = |_: &_, _| Err(std::io::ErrorKind::NotFound.into());
    assert!(oci::Image::find(bytes, &oci::Choice::Only, &none).is_err());
    let _ = oci::named(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (PublicKey::from_pem(text), Policy::read(text), minisign::Key::read(text));
    if let Ok(allowed) = Allowed::read(text) {
        let asked = Asked { allowed: &allowed, principal: None, namespace: "file" };
        assert!(ssh::verify(text, &artifact, &asked, TRUST.clock()).is_err());
    }
});
