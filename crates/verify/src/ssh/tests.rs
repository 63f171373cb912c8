//! Signatures that OpenSSH made, of the examples of RustCrypto's ssh-key; the message is `testing`, the namespace `example`.

use super::*;
use crate::Class;

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/data/verify/sshsig/", $name))
    };
}

const ED25519: &str = data!("sshsig_ed25519");

fn allowed(key: &str, options: &str) -> Allowed {
    Allowed::read(&format!("user@example.com {options} {key}")).unwrap()
}

fn judge(
    signature: &str,
    message: &[u8],
    allowed: &Allowed,
    principal: &str,
    namespace: &str,
) -> Result<Verified<String>, Error> {
    let asked = Asked { allowed, principal: Some(principal), namespace };
    let clock = Clock::at("2026-01-01T00:00:00Z".parse().unwrap());
    verify(signature, &Artifact::of(message), &asked, &clock)
}

#[test]
fn signatures_by_every_kind_of_key_that_is_accepted_verify() {
    let cases = [
        (ED25519, data!("id_ed25519.pub")),
        (data!("sshsig_ecdsa_p256"), data!("id_ecdsa_p256.pub")),
        (data!("sshsig_ecdsa_p384"), data!("id_ecdsa_p384.pub")),
        (data!("sshsig_rsa_3072"), data!("id_rsa_3072.pub")),
        (data!("sshsig_sk_ed25519"), data!("id_sk_ed25519_2.pub")),
    ];
    for (signature, key) in cases {
        let listed = allowed(key, "namespaces=\"example\"");
        let verified = judge(signature, b"testing", &listed, "user@example.com", "example");
        let verified = verified.unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(verified.proven(), [Proof::Signature]);
        let error = judge(signature, b"Testing", &listed, "user@example.com", "example").unwrap_err();
        assert_eq!(error.class(), Class::Signature, "{error}");
    }
}

#[test]
fn dsa_is_refused() {
    let listed = allowed(data!("id_ed25519.pub"), "");
    let error =
        judge(data!("sshsig_dsa_1024"), b"testing", &listed, "user@example.com", "example").unwrap_err();
    assert_eq!(error.class(), Class::Signature, "{error}");
}

#[test]
fn who_is_not_listed_for_this_is_a_stranger() {
    let class = |allowed: &Allowed, principal: &str, namespace: &str| {
        judge(ED25519, b"testing", allowed, principal, namespace).unwrap_err().class()
    };
    let key = data!("id_ed25519.pub");
    assert_eq!(class(&allowed(data!("id_ecdsa_p256.pub"), ""), "user@example.com", "example"), Class::Signer);
    assert_eq!(class(&allowed(key, ""), "another@example.com", "example"), Class::Signer);
    assert_eq!(class(&allowed(key, "namespaces=\"git\""), "user@example.com", "example"), Class::Signer);
    assert_eq!(
        class(&allowed(key, "valid-before=\"20250101Z\""), "user@example.com", "example"),
        Class::Signer
    );
    assert_eq!(
        class(&allowed(key, "valid-after=\"20270101Z\""), "user@example.com", "example"),
        Class::Signer
    );
    // A signature for something else is none.
    assert_eq!(class(&allowed(key, ""), "user@example.com", "git"), Class::Signature);
}

#[test]
fn an_entry_says_until_when() {
    let listed = allowed(data!("id_ed25519.pub"), "valid-before=\"20300101Z\"");
    let verified = judge(ED25519, b"testing", &listed, "user@example.com", "example").unwrap();
    assert_eq!(verified.until(), Some("2030-01-01T00:00:00Z".parse().unwrap()));
}
