//! Bundles that others made, each judged as it must be: accepted, or refused by the check that its flaw belongs to.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its data and stops at the first surprise"
)]

use std::path::{Path, PathBuf};

use claw_verify::artifact::Artifact;
use claw_verify::identity::{Identity, Name};
use claw_verify::sigstore::{Attested, Bundle, Root, Trust, Who};
use claw_verify::statement::Known;
use claw_verify::{Clock, Error, Keys, Proof, PublicKey, Verified};
use serde::Deserialize;

/// A line of `cases.json`, which the other clients are asked as well (`cargo xtask agree`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    bundle: String,
    root: Option<String>,
    /// A file; else what the bundle says of itself, where only that was published.
    artifact: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    key: Option<String>,
    /// `accepted`, or class and code.
    expect: String,
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(data("cases.json")).unwrap()).unwrap()
}

#[test]
fn every_bundle_is_judged_as_it_must_be() {
    let mut wrong = Vec::new();
    for case in &cases() {
        let found = match judge(case, Clock::at(now())) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => format!("{} {}", error.class().as_str(), error.code()),
        };
        if found != case.expect {
            let why = judge(case, Clock::at(now())).err().map(|error| error.to_string());
            wrong.push(format!("{}: {found}, not {}: {why:?}", case.bundle, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_accepted_before_it_was_signed_and_a_clock_below_the_floor_does_not_count() {
    let early = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut seen = 0;
    for case in cases().iter().filter(|case| case.expect == "accepted") {
        let verified = judge(case, Clock::at(now())).unwrap();
        let Some(&first) = verified.value().times.first() else { continue };
        seen += 1;
        let refused = judge(case, Clock::at(early)).unwrap_err().class();
        assert!(
            ["log", "time", "certificate", "trust"].contains(&refused.as_str()),
            "{}: {refused:?}",
            case.bundle
        );
        let just_before = Clock::at(first - jiff::SignedDuration::from_secs(1));
        assert!(judge(case, just_before).is_err(), "{}", case.bundle);
        assert_eq!(judge(case, Clock::new(early, now())).unwrap().proven(), verified.proven());
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn what_is_claimed_to_be_proven_is_what_the_bundle_holds() {
    let proven = |name: &str| {
        let cases = cases();
        let case = cases.iter().find(|case| case.bundle.contains(name)).unwrap();
        let verified = judge(case, Clock::at(now())).unwrap();
        let is = |proof: &Proof| !matches!(proof, Proof::Time(_));
        verified.proven().iter().filter(|proof| is(proof)).map(Proof::code).collect::<Vec<_>>()
    };
    let whole = ["signature", "certificate", "certificate-log", "identity", "log"];
    assert_eq!(proven("cosign-v3-blob"), whole);
    assert_eq!(proven("2.0.0-provenance"), [whole.as_slice(), &["subject"]].concat());
    let promised = ["signature", "certificate", "certificate-log", "identity", "log-promise", "subject"];
    assert_eq!(proven("sigstore-go/dsse.sigstore.json"), promised);
    assert_eq!(proven("managed-key"), ["signature", "log"]);
    assert_eq!(proven("public-key-validity"), ["signature"]);
}

/// Whatever single byte of the base64 and numbers in a bundle is changed, it is not accepted with other contents.
#[test]
fn a_changed_bundle_proves_nothing_else() {
    let cases = cases();
    let case = cases.iter().find(|case| case.bundle.contains("cosign-v3-blob")).unwrap();
    let bytes = std::fs::read(data(&case.bundle)).unwrap();
    let trust = Trust::new(&Root::public_good().unwrap(), Clock::at(now())).unwrap();
    let artifact = Artifact::of(&std::fs::read(data("sigstore-rust/cosign-v3-blob.txt")).unwrap());
    let asked = asked(case);
    let judge = |bytes: &[u8]| Bundle::read(bytes)?.verify(&artifact, Who::Identities(&asked), &trust);
    let whole = judge(&bytes).unwrap();
    let mut refused = 0;
    for place in (0..bytes.len()).step_by(7) {
        let mut other = bytes.clone();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        match judge(&other) {
            Err(_) => refused += 1,
            // Fields that nobody signed and that decide nothing, such as a log's name for an entry.
            Ok(verified) => assert_eq!(verified, whole),
        }
    }
    assert!(refused * 10 > bytes.len() / 7 * 9, "{refused}");
    let twice = String::from_utf8(bytes).unwrap().replacen('{', r#"{"mediaType": "x","#, 1);
    assert_eq!(judge(twice.as_bytes()).unwrap_err().code(), "key-twice");
}

fn judge(case: &Case, clock: Clock) -> Result<Verified<Attested>, Error> {
    let bytes = std::fs::read(data(&case.bundle)).unwrap();
    let root = case.root.as_ref().map(|name| Root::read(&std::fs::read(data(name)).unwrap()));
    let trust = Trust::new(&root.unwrap_or_else(Root::public_good)?, clock)?;
    let artifact = match &case.artifact {
        Some(name) => Artifact::of(&std::fs::read(data(name)).unwrap()),
        None => Artifact::known(said(&bytes)),
    };
    let bundle = Bundle::read(&bytes)?;
    let Some(key) = &case.key else {
        return bundle.verify(&artifact, Who::Identities(&asked(case)), &trust);
    };
    let key = PublicKey::from_pem(&std::fs::read_to_string(data(key)).unwrap())?;
    bundle.verify(&artifact, Who::Keys(&Keys::one(key)), &trust)
}

fn asked(case: &Case) -> [Identity; 1] {
    let name = |name: &Option<String>| Name::Exact(name.clone().unwrap());
    [Identity { identity: name(&case.identity), issuer: name(&case.issuer) }]
}

/// What a bundle says its artefact's digest is.
fn said(bundle: &[u8]) -> Known {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let bytes = |value: &serde_json::Value| data_encoding::BASE64.decode(text(value).as_bytes()).unwrap();
    if let Some(envelope) = bundle.get("dsseEnvelope") {
        let statement: serde_json::Value = serde_json::from_slice(&bytes(&envelope["payload"])).unwrap();
        let digests = statement["subject"][0]["digest"].as_object().unwrap();
        let read = |(algorithm, hex): (&String, _)| Known::read(&format!("{algorithm}:{}", text(hex)));
        return digests.iter().find_map(read).unwrap_or_default();
    }
    let digest = &bundle["messageSignature"]["messageDigest"];
    let algorithm = text(&digest["algorithm"]).to_ascii_lowercase().replace("sha2_", "sha");
    Known::read(&format!("{algorithm}:{}", data_encoding::HEXLOWER.encode(&bytes(&digest["digest"]))))
        .unwrap()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/verify").join(name)
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
