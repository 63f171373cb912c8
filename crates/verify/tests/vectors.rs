//! Bundles that others made, each judged as it must be: accepted, or refused by the check that its flaw belongs to.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads its data and stops at the first surprise"
)]

use std::path::{Path, PathBuf};

use claw_verify::artifact::Artifact;
use claw_verify::identity::{Identity, Name};
use claw_verify::sigstore::{Attested, Bundle, Root, Trust, Who};
use claw_verify::statement::Known;
use claw_verify::{Clock, Error, Keys, Proof, PublicKey, Verified};

/// The artefact: a file beside the bundle, or what the bundle says of itself where only that was published.
enum Of {
    File(&'static str),
    Said,
}

/// Who must have signed.
enum By {
    Identity(&'static str, &'static str),
    Key(&'static str),
}

struct Case {
    bundle: &'static str,
    root: Option<&'static str>,
    of: Of,
    by: By,
    /// `accepted`, or class and code.
    expect: &'static str,
}

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const LOGIN: &str = "https://github.com/login/oauth";
const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const CONDA: &str =
    "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main";
const STAGING: &str =
    "https://github.com/sigstore/root-signing-staging/.github/workflows/custom-test.yml@refs/heads/main";
const WHEEL: &str =
    "https://github.com/trailofbits/rfc8785.py/.github/workflows/release.yml@refs/tags/v0.1.2";
const NPM: &str = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";

const fn case(
    bundle: &'static str,
    root: Option<&'static str>,
    of: Of,
    by: By,
    expect: &'static str,
) -> Case {
    Case { bundle, root, of, by, expect }
}

const CASES: &[Case] = &[
    case(
        "sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json",
        None,
        Of::File("sigstore-go/sigstore-2.0.0.tgz"),
        By::Identity(NPM, GITHUB),
        "accepted",
    ),
    case(
        "sigstore-go/dsse.sigstore.json",
        None,
        Of::Said,
        By::Identity("brian@dehamer.com", LOGIN),
        "accepted",
    ),
    case(
        "sigstore-go/dsse-2sigs.sigstore.json",
        None,
        Of::Said,
        By::Identity("brian@dehamer.com", LOGIN),
        "input malformed",
    ),
    case(
        "sigstore-go/othername.sigstore.json",
        Some("sigstore-go/root-scaffolding.json"),
        Of::Said,
        By::Identity("foo!oidc.local", "http://oidc.local:8080"),
        "identity identity",
    ),
    case(
        "sigstore-go/public-key-validity.sigstore.json",
        Some("sigstore-go/root-public-key-validity.json"),
        Of::Said,
        By::Key("sigstore-go/public-key-validity.pem"),
        "accepted",
    ),
    case(
        "sigstore-rust/conda-attestation.sigstore.json",
        None,
        Of::File("sigstore-rust/signed-package-2.1.0-hb0f4dca_0.conda"),
        By::Identity(CONDA, GITHUB),
        "accepted",
    ),
    case(
        "sigstore-rust/conda-attestation-rekor2.sigstore.json",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::Said,
        By::Identity("jku@goto.fi", LOGIN),
        "accepted",
    ),
    case(
        "sigstore-rust/cosign-v3-blob.sigstore.json",
        None,
        Of::File("sigstore-rust/cosign-v3-blob.txt"),
        By::Identity("w.vollprecht@gmail.com", LOGIN),
        "accepted",
    ),
    case(
        "sigstore-rust/managed-key.sigstore.json",
        None,
        Of::File("sigstore-rust/managed-key.txt"),
        By::Key("sigstore-rust/managed-key.pub"),
        "accepted",
    ),
    case(
        "sigstore-rust/managed-key.sigstore.json",
        None,
        Of::File("sigstore-rust/managed-key.txt"),
        By::Key("sigstore-go/public-key-validity.pem"),
        "signature signature",
    ),
    case(
        "sigstore-rust/staging_bundle.sigstore.json",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::Said,
        By::Identity(STAGING, GITHUB),
        "accepted",
    ),
    case(
        "sigstore-rust/staging-rekor-v2.txt.sigstore.json",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::File("sigstore-rust/staging-rekor-v2.txt"),
        By::Identity("jku@goto.fi", LOGIN),
        "accepted",
    ),
    case(
        "sigstore-rust/a.dsse.staging-rekor-v2.txt.sigstore.json",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::Said,
        By::Identity(BEACON, GITHUB),
        "accepted",
    ),
    case("sigstore-rust/happy-path.json", None, Of::Said, By::Identity(BEACON, GITHUB), "accepted"),
    case(
        "sigstore-rust/bundle_v3.json",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::Said,
        By::Identity("william@yossarian.net", LOGIN),
        "accepted",
    ),
    case(
        "sigstore-rust/bundle_v3_jdx_communique.json",
        None,
        Of::Said,
        By::Identity("nobody@example.com", GITHUB),
        "identity identity",
    ),
    case(
        "sigstore-rust/valid_bundle.json",
        Some("sigstore-rust/valid_trusted_root.json"),
        Of::Said,
        By::Identity(BEACON, GITHUB),
        "accepted",
    ),
    case(
        "sigstore-rust/github_sha384_bundle.json",
        Some("sigstore-rust/github_trusted_root.json"),
        Of::Said,
        By::Identity("nobody@example.com", GITHUB),
        "identity identity",
    ),
    case(
        "sigstore-rust/github-private-attestation.sigstore.json",
        Some("sigstore-rust/github_trusted_root.json"),
        Of::Said,
        By::Identity("nobody@example.com", GITHUB),
        "identity identity",
    ),
    case(
        "sigstore-rust/bundle_v3_github.whl.sigstore",
        None,
        Of::Said,
        By::Identity(WHEEL, GITHUB),
        "accepted",
    ),
    case(
        "sigstore-rust/invalid-ct-key.sigstore.json",
        Some("sigstore-rust/invalid-ct-key.root.json"),
        Of::Said,
        By::Identity(BEACON, GITHUB),
        "certificate certificate-log",
    ),
    case(
        "sigstore-rust/bundle_cve_2022_36056.txt.sigstore",
        Some("sigstore-rust/staging_trusted_root.json"),
        Of::Said,
        By::Identity("william@yossarian.net", LOGIN),
        "log log-entry",
    ),
    case(
        "sigstore-rust/bundle_invalid_version.txt.sigstore",
        None,
        Of::Said,
        By::Identity("nobody@example.com", GITHUB),
        "input malformed",
    ),
    case(
        "sigstore-rust/bundle_no_cert_v1.txt.sigstore",
        None,
        Of::Said,
        By::Identity("nobody@example.com", GITHUB),
        "input malformed",
    ),
    case(
        "sigstore-rust/bundle_no_checkpoint.txt.sigstore",
        None,
        Of::Said,
        By::Identity("william@yossarian.net", LOGIN),
        "log log-checkpoint",
    ),
    case(
        "sigstore-rust/bundle_no_log_entry.txt.sigstore",
        None,
        Of::Said,
        By::Identity("alex.cameron@trailofbits.com", "https://accounts.google.com"),
        "log log-promise",
    ),
    case(
        "sigstore-rust/bundle_v3_no_signed_time.txt.sigstore.json",
        None,
        Of::Said,
        By::Identity("william@yossarian.net", LOGIN),
        "time time-none",
    ),
];

#[test]
fn every_bundle_is_judged_as_it_must_be() {
    let mut wrong = Vec::new();
    for case in CASES {
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
    for case in CASES.iter().filter(|case| case.expect == "accepted") {
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
        let case = CASES.iter().find(|case| case.bundle.contains(name)).unwrap();
        let verified = judge(case, Clock::at(now())).unwrap();
        let is = |proof: &Proof| !matches!(proof, Proof::Time(_));
        verified.proven().iter().filter(|proof| is(proof)).map(Proof::code).collect::<Vec<_>>()
    };
    let whole = ["signature", "certificate", "certificate-log", "identity", "log"];
    assert_eq!(proven("cosign-v3-blob"), whole);
    assert_eq!(proven("2.0.0-provenance"), [whole.as_slice(), &["subject"]].concat());
    assert_eq!(proven("managed-key"), ["signature", "log"]);
    assert_eq!(proven("public-key-validity"), ["signature"]);
}

/// Whatever single byte of the base64 and numbers in a bundle is changed, it is not accepted with other contents.
#[test]
fn a_changed_bundle_proves_nothing_else() {
    let case = CASES.iter().find(|case| case.bundle.contains("cosign-v3-blob")).unwrap();
    let bytes = std::fs::read(data(case.bundle)).unwrap();
    let trust = Trust::new(&Root::public_good().unwrap(), Clock::at(now())).unwrap();
    let artifact = Artifact::of(&std::fs::read(data("sigstore-rust/cosign-v3-blob.txt")).unwrap());
    let By::Identity(identity, issuer) = case.by else { unreachable!() };
    let asked = [Identity { identity: Name::Exact(identity.into()), issuer: Name::Exact(issuer.into()) }];
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
    let bytes = std::fs::read(data(case.bundle)).unwrap();
    let root =
        case.root.map_or_else(Root::public_good, |name| Root::read(&std::fs::read(data(name)).unwrap()))?;
    let trust = Trust::new(&root, clock)?;
    let artifact = match case.of {
        Of::File(name) => Artifact::of(&std::fs::read(data(name)).unwrap()),
        Of::Said => Artifact::known(said(&bytes)),
    };
    let bundle = Bundle::read(&bytes)?;
    match case.by {
        By::Identity(identity, issuer) => {
            let identity = Name::Exact(identity.to_owned());
            let asked = [Identity { identity, issuer: Name::Exact(issuer.to_owned()) }];
            bundle.verify(&artifact, Who::Identities(&asked), &trust)
        }
        By::Key(name) => {
            let key = PublicKey::from_pem(&std::fs::read_to_string(data(name)).unwrap())?;
            bundle.verify(&artifact, Who::Keys(&Keys::one(key)), &trust)
        }
    }
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
