//! What verifying one bundle costs, beside the bare signatures that it contains, in the same run:
//! `cargo run --release -p claw-verify --example bundles`.
//!
//! Each bundle here holds, by public-good's keys: the artefact's or statement's signature (P-256), the certificate's by its
//! authority (P-384), a promise of a log of certificates (P-256), a log's head (P-256) and its promise (P-256).

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement reads the clock and stops at a surprise"
)]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use claw_verify::Clock;
use claw_verify::artifact::Artifact;
use claw_verify::identity::{Identity, Name};
use claw_verify::sigstore::{Bundle, Root, Trust, Who};
use claw_verify::statement::Known;

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/verify/", $name))
    };
}

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const NPM: &str = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";
const WHEEL: &str =
    "https://github.com/trailofbits/rfc8785.py/.github/workflows/release.yml@refs/tags/v0.1.2";

fn main() {
    let trust = Trust::new(&Root::public_good().unwrap(), Clock::at(jiff::Timestamp::now())).unwrap();
    let package = Artifact::of(data!("sigstore-go/sigstore-2.0.0.tgz"));
    let npm = data!("sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json").as_slice();
    let wheel = data!("sigstore-rust/bundle_v3_github.whl.sigstore").as_slice();
    let known = Artifact::known(subject(wheel));
    let mut lines = Vec::new();
    for (name, bytes, artifact, who) in
        [("npm provenance", npm, &package, NPM), ("wheel", wheel, &known, WHEEL)]
    {
        let asked = [Identity { identity: Name::Exact(who.into()), issuer: Name::Exact(GITHUB.into()) }];
        let whole = || {
            let bundle = Bundle::read(black_box(bytes)).unwrap();
            black_box(bundle.verify(artifact, Who::Identities(&asked), &trust).unwrap());
        };
        let bare = bare();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(time(&whole));
            theirs.push(time(&bare));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        lines.push(format!(
            "  {{\"bundle\": \"{name}\", \"verify_us\": {ours:.0}, \"bare_us\": {theirs:.0}, \"ratio\": {:.2}, \"per_second\": {:.0}}}",
            ours / theirs,
            1e6 / ours
        ));
    }
    println!("[\n{}\n]", lines.join(",\n"));
}

/// Four signatures by P-256 and one by P-384, of messages as long as those in a bundle.
fn bare() -> impl Fn() {
    let (random, message) = (SystemRandom::new(), vec![7; 1500]);
    let make = |algorithm| EcdsaKeyPair::generate(algorithm).unwrap();
    let (small, large) = (make(&ECDSA_P256_SHA256_ASN1_SIGNING), make(&ECDSA_P384_SHA384_ASN1_SIGNING));
    let sign =
        |pair: &EcdsaKeyPair| (pair.public_key().as_ref().to_vec(), pair.sign(&random, &message).unwrap());
    let ((small, by_small), (large, by_large)) = (sign(&small), sign(&large));
    move || {
        for _ in 0..4 {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &small);
            key.verify(black_box(&message), by_small.as_ref()).unwrap();
        }
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, &large);
        key.verify(black_box(&message), by_large.as_ref()).unwrap();
    }
}

/// The digest that the bundle is of: only that was published here.
fn subject(bundle: &[u8]) -> Known {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    let digest = bundle.pointer("/messageSignature/messageDigest/digest").unwrap().as_str().unwrap();
    let digest = data_encoding::BASE64.decode(digest.as_bytes()).unwrap();
    Known::read(&format!("sha256:{}", data_encoding::HEXLOWER.encode(&digest))).unwrap()
}

/// Microseconds for one.
fn time(what: &impl Fn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..EACH {
        what();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(EACH)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

const ROUNDS: usize = 41;
const EACH: u32 = 20;
