//! A real provenance of a package on npm, and what a policy makes of it.

use super::*;
use crate::artifact::Artifact;
use crate::envelope::{Envelope, IN_TOTO};
use crate::identity::{Identity, Name};
use crate::key::Algorithm;
use crate::sign::PrivateKey;
use crate::sigstore::{Bundle, Root, Trust, Who};
use crate::statement::Statement;
use crate::{Class, Keys};
use claw_model::digest::Digest;

const BUNDLE: &[u8] =
    include_bytes!("../../../../tests/data/verify/sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json");
const PACKAGE: &[u8] = include_bytes!("../../../../tests/data/verify/sigstore-go/sigstore-2.0.0.tgz");
const WORKFLOW: &str =
    "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";

fn clock() -> Clock {
    Clock::at("2026-01-01T00:00:00Z".parse().unwrap())
}

fn npm() -> Verified<Attested> {
    let trust = Trust::new(&Root::public_good().unwrap(), clock()).unwrap();
    let issuer = Name::Exact("https://token.actions.githubusercontent.com".into());
    let asked = [Identity { identity: Name::Exact(WORKFLOW.into()), issuer }];
    Bundle::read(BUNDLE).unwrap().verify(&Artifact::of(PACKAGE), Who::Identities(&asked), &trust).unwrap()
}

fn ask(found: Verified<Attested>, policy: &str) -> Result<Vec<Proof>, Error> {
    let mut found = [found];
    judge(&mut found, &Policy::read(policy)?, &clock())?;
    Ok(found[0].proven().to_vec())
}

const POLICY: &str = r#"
version: 1
builders:
  - id: https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/*
    level: 2
    runner: github-hosted
source: https://github.com/sigstore/sigstore-js
ref: refs/heads/main
commit: f0b49a04e5a62250e0f60fb128004a73110fe311
trigger: push
build_type: https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1
parameters:
  workflow.path: .github/workflows/release.yml
level: 2
require: [log, time, certificate, provenance]
"#;

#[test]
fn a_real_npm_provenance_is_what_the_policy_asks_for() {
    let proven = ask(npm(), POLICY).unwrap();
    assert!(proven.contains(&Proof::Level(2)), "{proven:?}");
    assert!(proven.contains(&Proof::Source("https://github.com/sigstore/sigstore-js".into())), "{proven:?}");
    assert!(proven.contains(&Proof::Builder(WORKFLOW.into())), "{proven:?}");
}

#[test]
fn what_differs_is_named() {
    let check = |from: &str, to: &str, expect: &str| {
        assert!(POLICY.contains(from), "{from}");
        match ask(npm(), &POLICY.replace(from, to)).unwrap_err() {
            Error::Provenance { what, .. } => assert_eq!(what, expect),
            error => panic!("{error}"),
        }
    };
    check("release.yml@refs", "other.yml@refs", "the builder");
    check("runner: github-hosted", "runner: self-hosted", "the runner");
    check(
        "source: https://github.com/sigstore/sigstore-js",
        "source: https://github.com/sigstore/other",
        "the source",
    );
    check("ref: refs/heads/main", "ref: refs/tags/**", "the reference");
    check("commit: f0", "commit: f1", "the commit");
    check("trigger: push", "trigger: workflow_dispatch", "the trigger");
    check("workflow/v1", "workflow/v2", "the build type");
    check("path: .github/workflows/release.yml", "path: other", "a parameter");
    check("\nlevel: 2", "\nlevel: 3", "the build level");
    check("provenance]", "provenance, summary]", "what is required");
}

#[test]
fn a_policy_that_is_not_understood_whole_is_unusable() {
    let unusable = |text: &str| assert_eq!(Policy::read(text).unwrap_err().class(), Class::Trust, "{text}");
    unusable("version: 1");
    unusable("version: 2\nsource: https://h/o/r");
    unusable("version: 1\nsuorce: https://h/o/r");
    unusable("version: 1\nsource: https://h/o/r\nsource: https://h/o/r");
    unusable("version: 1\nsource: https://h/**");
    unusable("version: 1\nlevel: 2");
    unusable("version: 1\nbuild_type: x");
    unusable("version: 1\nbuilders: [{id: 'https://h/o/r', level: 4}]");
    unusable("version: 1\nbuilders: [{id: 'https://h/o/r', lvl: 3}]");
    unusable("");
    Policy::read(r#"{"version": 1, "source": "https://h/o/r"}"#).unwrap();
}

/// A statement that a pinned key signed, as if it came with a bundle of that key.
fn by_key(predicate_type: &str, predicate: serde_json::Value) -> Verified<Attested> {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let statement = Statement::about("a", Digest::of(b"a"), predicate_type, predicate).write().unwrap();
    let envelope = Envelope::sign(IN_TOTO, statement.as_bytes(), &key).unwrap();
    crate::sigstore::envelope(&envelope, &Artifact::of(b"a"), &Keys::one(key.public().clone())).unwrap()
}

fn v1(builder: &str) -> serde_json::Value {
    serde_json::json!({
        "buildDefinition": {
            "buildType": "t", "externalParameters": {},
            "resolvedDependencies": [{"uri": "git+https://h/o/r@refs/tags/v1", "digest": {"gitCommit": "00"}}],
        },
        "runDetails": {"builder": {"id": builder}},
    })
}

#[test]
fn a_predicate_is_not_believed_about_itself_unless_the_policy_says_so() {
    let policy = "version: 1\nbuilders: [{id: 'https://b/o', level: 3}]\nsource: https://h/o/r\nlevel: 3";
    let error = ask(by_key("https://slsa.dev/provenance/v1", v1("https://b/o")), policy).unwrap_err();
    assert!(matches!(error, Error::Provenance { what: "the word for the build", .. }), "{error}");
    let believed = format!("{policy}\nword: key");
    let proven = ask(by_key("https://slsa.dev/provenance/v1", v1("https://b/o")), &believed).unwrap();
    assert!(proven.contains(&Proof::Level(3)), "{proven:?}");
    assert!(ask(by_key("https://slsa.dev/provenance/v1", v1("https://c/o")), &believed).is_err());
    // Another kind of statement shows no level.
    assert!(ask(by_key("https://example.com/p", serde_json::json!({})), &believed).is_err());
}

#[test]
fn a_summary_counts_if_it_passed_by_whom_and_of_what_was_asked() {
    let summary = |verifier: &str, resource: &str, result: &str, level: &str, year: &str| {
        let predicate = serde_json::json!({
            "verifier": {"id": verifier}, "timeVerified": format!("{year}-01-01T00:00:00Z"), "resourceUri": resource,
            "policy": {"uri": "x"}, "verificationResult": result, "verifiedLevels": [level],
        });
        let found = by_key("https://slsa.dev/verification_summary/v1", predicate);
        let Signer::Key(id) = found.signers()[0].clone() else { panic!("a key signed") };
        ask(found, &format!("{}\nlevel: 2\nrequire: [summary]", by(&id.to_string())))
    };
    let proven = summary("https://v", "pkg:a", "PASSED", "SLSA_BUILD_LEVEL_3", "2025").unwrap();
    assert!(proven.contains(&Proof::Level(3)), "{proven:?}");
    assert!(summary("https://w", "pkg:a", "PASSED", "SLSA_BUILD_LEVEL_3", "2025").is_err());
    assert!(summary("https://v", "pkg:b", "PASSED", "SLSA_BUILD_LEVEL_3", "2025").is_err());
    assert!(summary("https://v", "pkg:a", "FAILED", "SLSA_BUILD_LEVEL_3", "2025").is_err());
    assert!(summary("https://v", "pkg:a", "PASSED", "SLSA_BUILD_LEVEL_1", "2025").is_err());
    assert!(summary("https://v", "pkg:a", "PASSED", "SLSA_BUILD_LEVEL_3", "2030").is_err());
    // A summary that the policy does not speak of is not accepted for a provenance.
    let predicate = serde_json::json!({"verifier": {"id": "https://v"}, "resourceUri": "pkg:a", "verificationResult": "PASSED"});
    let error = ask(
        by_key("https://slsa.dev/verification_summary/v1", predicate),
        "version: 1\nrequire: [provenance]",
    );
    assert!(error.is_err());
}

#[test]
fn a_commit_that_is_not_the_certificates_is_refused() {
    let npm = npm();
    let mut attested = npm.value().clone();
    attested.claims.commit = Some("00".into());
    let forged = Verified::new(attested, npm.signers().to_vec(), npm.proven().to_vec());
    let error = ask(forged, "version: 1\nsource: https://github.com/sigstore/sigstore-js").unwrap_err();
    assert!(matches!(error, Error::Provenance { what: "the commit in the predicate", .. }), "{error}");
}

/// A summary that a key signed, and the key's id.
fn summary(levels: &[&str], result: &str) -> (Verified<Attested>, String) {
    let predicate = serde_json::json!({
        "verifier": {"id": "https://v"}, "timeVerified": "2025-01-01T00:00:00Z", "resourceUri": "pkg:a",
        "policy": {"uri": "x"}, "verificationResult": result, "verifiedLevels": levels,
    });
    let found = by_key("https://slsa.dev/verification_summary/v1", predicate);
    let Signer::Key(id) = found.signers()[0].clone() else { panic!("a key signed") };
    (found, id.to_string())
}

fn by(id: &str) -> String {
    format!("version: 1\nword: key\nsummary: {{key: '{id}', verifier: 'https://v', resource: 'pkg:a'}}")
}

#[test]
fn a_summary_counts_by_the_signer_that_the_policy_names_and_by_nobody_else() {
    let (found, id) = summary(&["SLSA_BUILD_LEVEL_3"], "PASSED");
    ask(found.clone(), &format!("{}\nlevel: 3", by(&id))).unwrap();
    let other = by_key("p", serde_json::json!({})).signers()[0].clone();
    let Signer::Key(other) = other else { panic!("a key signed") };
    for policy in [
        by(&other.to_string()),
        "version: 1\nsummary: {identity: 'a@v', issuer: 'https://i', verifier: 'https://v', resource: 'pkg:a'}"
            .to_owned(),
    ] {
        let error = ask(found.clone(), &policy).unwrap_err();
        assert!(matches!(error, Error::Provenance { what: "the summary's signer", .. }), "{error}");
    }
    // Whose word it is must be said, and that a key's word counts.
    for policy in [
        "version: 1\nsummary: {verifier: 'https://v', resource: 'pkg:a'}",
        &by(&id).replace("word: key\n", ""),
        &by("x"),
        "version: 1\nsummary: {identity: 'a@v', verifier: 'https://v', resource: 'pkg:a'}",
    ] {
        assert_eq!(Policy::read(policy).unwrap_err().class(), Class::Trust, "{policy}");
    }
}

#[test]
fn a_summary_is_no_word_for_source_commit_builder_or_parameters() {
    let (found, id) = summary(&["SLSA_BUILD_LEVEL_3"], "PASSED");
    let builder = "builders: [{id: 'https://b/o', level: 3}]";
    for (asked, what) in [
        ("source: https://h/o/r".to_owned(), "the source"),
        ("ref: refs/tags/*".to_owned(), "the reference"),
        ("commit: '00'".to_owned(), "the commit"),
        ("trigger: push".to_owned(), "the trigger"),
        (builder.to_owned(), "the builder"),
        (format!("{builder}\nbuild_type: t"), "the builder"),
        (format!("{builder}\nparameters: {{a: b}}"), "the builder"),
    ] {
        match ask(found.clone(), &format!("{}\nlevel: 3\n{asked}", by(&id))).unwrap_err() {
            Error::Provenance { what: found, .. } => assert_eq!(found, what),
            error => panic!("{error}"),
        }
    }
    // With a provenance beside it, each is what it is: the level is the summary's, the rest the provenance's.
    let policy = format!("{}\nlevel: 3\nsource: https://h/o/r", by(&id));
    let mut both = [found, by_key("https://slsa.dev/provenance/v1", v1("https://b/o"))];
    judge(&mut both, &Policy::read(&policy).unwrap(), &clock()).unwrap();
    assert!(both[0].proven().contains(&Proof::Level(3)), "{:?}", both[0].proven());
    assert!(!both[0].proven().contains(&Proof::Source("https://h/o/r".into())), "{:?}", both[0].proven());
    assert!(both[1].proven().contains(&Proof::Source("https://h/o/r".into())), "{:?}", both[1].proven());
    assert!(!both[1].proven().contains(&Proof::Level(3)), "{:?}", both[1].proven());
}

#[test]
fn what_is_asked_and_stands_in_no_statement_is_refused() {
    let npm = npm();
    let builder = format!("version: 1\nbuilders: [{{id: '{WORKFLOW}', level: 3}}]\n");
    let as_other = |predicate_type: Option<&str>| {
        let mut attested = npm.value().clone();
        attested.statement = predicate_type.map(|kind| {
            let statement = Statement::about("a", Digest::of(b"a"), kind, serde_json::json!({}));
            Statement::read(statement.write().unwrap().as_bytes()).unwrap()
        });
        Verified::new(attested, npm.signers().to_vec(), npm.proven().to_vec())
    };
    let source = "version: 1\nsource: https://github.com/sigstore/sigstore-js";
    for (kind, policy, expect) in [
        (None, format!("{builder}build_type: x"), "the build type"),
        (None, format!("{builder}parameters: {{workflow.path: never}}"), "a parameter"),
        (None, format!("{builder}level: 1"), "the build level"),
        (Some("https://example.com/scan"), builder.clone(), "the builder"),
        (Some("https://example.com/scan"), source.to_owned(), "the source"),
    ] {
        match ask(as_other(kind), &policy).unwrap_err() {
            Error::Provenance { what, .. } => assert_eq!(what, expect, "{policy}"),
            error => panic!("{error}"),
        }
    }
    // What the certificate itself says needs no statement.
    ask(as_other(None), source).unwrap();
    // A summary that is trusted, and is not there.
    let error = ask(as_other(None), &by(&Digest::of(b"k").to_string())).unwrap_err();
    assert!(matches!(error, Error::Provenance { what: "the summary", .. }), "{error}");
}

#[test]
fn a_level_is_one_of_the_four_that_there_are() {
    for level in ["SLSA_BUILD_LEVEL_255", "SLSA_BUILD_LEVEL_+3", "SLSA_BUILD_LEVEL_03", "SLSA_BUILD_LEVEL_4"]
    {
        let (found, id) = summary(&[level], "PASSED");
        assert!(ask(found, &format!("{}\nlevel: 1", by(&id))).is_err(), "{level}");
    }
    assert_eq!(result(summary(&[], "FAILED").0.value()), Some("FAILED"));
}
