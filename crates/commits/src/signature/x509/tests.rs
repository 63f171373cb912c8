use gix_hash::Kind;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};

use super::*;
use crate::object::Commit;
use crate::signature::Seal;

const OFFLINE: &[u8] = include_bytes!("../../../tests/data/gitsign/offline.commit");
const ONLINE: &[u8] = include_bytes!("../../../tests/data/gitsign/online.commit");
const WHO: (&str, &str) = ("billy@chainguard.dev", "https://accounts.google.com");

fn verifier() -> Verifier {
    Verifier::new(&TrustedRoot::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap()).unwrap()
}

fn read(data: &[u8]) -> Result<X509, Broken> {
    let commit = Commit::parse(data, Kind::Sha1).unwrap();
    match Seal::read(commit.signature.as_ref().unwrap(), &commit.payload, "git")? {
        Seal::X509(seal) => Ok(*seal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_of_gitsign_with_its_log_entry_is_verified_offline() {
    let seal = read(OFFLINE).unwrap();
    assert_eq!(seal.verify(&verifier(), WHO.0, WHO.1), Ok(()));
    for (identity, issuer) in [("eve@chainguard.dev", WHO.1), (WHO.0, "https://example.com")] {
        assert!(matches!(seal.verify(&verifier(), identity, issuer), Err(Broken::Sigstore(_))));
    }
}

#[test]
fn a_commit_of_gitsign_without_a_log_entry_has_no_time() {
    assert_eq!(read(ONLINE).unwrap_err(), Broken::NoTime);
}

#[test]
fn a_changed_commit_of_gitsign_is_refused() {
    let text = String::from_utf8(OFFLINE.to_vec()).unwrap();
    let changed = text.replace("Billy Lynch <billy", "Billy Lunch <billy");
    assert_eq!(read(changed.as_bytes()).unwrap_err(), Broken::Mismatch);
}

#[test]
fn an_entry_that_was_changed_is_refused() {
    let mut seal = read(OFFLINE).unwrap();
    // another time in the entry: the log's promise is not for it
    let text = seal.bundle.to_json().unwrap();
    let time = text.split("\"integratedTime\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let later = (time.parse::<u64>().unwrap() + 1).to_string();
    seal.bundle = Bundle::from_json(&text.replace(&time, &later)).unwrap();
    assert!(matches!(seal.verify(&verifier(), WHO.0, WHO.1), Err(Broken::Sigstore(_))));
}
