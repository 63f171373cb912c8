//! What was proven, on whose word, and what was not.

use claw_verify::provenance;
use claw_verify::sigstore::Attested;
use claw_verify::{Proof, Signer, Verified};
use serde_json::{Value, json};

use super::{Answer, Failure};
use crate::print;

/// For people.
pub(super) fn text(answer: &Answer) {
    // Each is one line: names, claims and values are others' to choose.
    let line = |text: &str| print::line(&print::row(text));
    line(&format!("verified  {}", answer.artifact));
    for one in &answer.verified {
        for signer in one.signers() {
            line(&format!("signed by {signer}"));
        }
        if let Some(statement) = &one.value().statement {
            line(&format!("says      {}", statement.predicate_type));
        }
        if let Some(result) = provenance::result(one.value()) {
            line(&format!("  result  {result}"));
        }
        for proof in one.proven() {
            line(&format!("  proven  {proof}"));
        }
        for absent in absent(one, answer.asked) {
            line(&format!("  not     {absent}"));
        }
        if let Some(until) = one.until() {
            line(&format!("  until   {until}"));
        }
    }
    for refused in &answer.refused {
        line(&format!("not counted: {refused}"));
    }
}

/// For programs.
pub(super) fn json(answer: &Answer) {
    let signatures: Vec<Value> = answer.verified.iter().map(|verified| one(verified, answer.asked)).collect();
    print::json(&json!({
        "verified": true,
        "artifact": answer.artifact,
        "signers": answer.signers,
        "trust_root": answer.root.map(|digest| digest.to_string()),
        "now": answer.clock.now().to_string(),
        "clock": if answer.clock.is_held() { "floor" } else { "clock" },
        "signatures": signatures,
        "not_counted": answer.refused,
    }));
}

/// A no, for programs.
pub(super) fn refused(failure: &Failure) {
    let (class, code) = match failure {
        Failure::Refused { source, .. } | Failure::Unusable { source, .. } => {
            (source.class().as_str(), source.code())
        }
        Failure::Read { .. } => ("input", "unreadable"),
        Failure::Usage(_) => ("usage", "usage"),
    };
    let why = std::error::Error::source(failure).map(ToString::to_string);
    let why = why.unwrap_or_else(|| failure.to_string());
    print::json(&json!({"verified": false, "class": class, "code": code, "why": why}));
}

fn one(one: &Verified<Attested>, asked: bool) -> Value {
    let proven: Vec<Value> =
        one.proven().iter().map(|proof| json!({"code": proof.code(), "text": proof.to_string()})).collect();
    json!({
        "signers": one.signers().iter().map(signer).collect::<Vec<_>>(),
        "statement": one.value().statement.as_ref().map(|statement| &statement.predicate_type),
        "result": provenance::result(one.value()),
        "proven": proven,
        "not_proven": absent(one, asked),
        "claims": one.value().claims,
        "times": one.value().times.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "from": one.from().map(|time| time.to_string()),
        "until": one.until().map(|time| time.to_string()),
    })
}

fn signer(signer: &Signer) -> Value {
    match signer {
        Signer::Key(id) => json!({"key": id.to_string()}),
        Signer::Identity { identity, issuer } => json!({"identity": identity, "issuer": issuer}),
        Signer::Ssh { principal, fingerprint } => json!({"principal": principal, "ssh_key": fingerprint}),
        Signer::Minisign(id) => json!({"minisign_key": id}),
    }
}

/// What somebody could think was proven, and was not.
fn absent(one: &Verified<Attested>, asked: bool) -> Vec<&'static str> {
    let has = |wanted: fn(&Proof) -> bool| one.proven().iter().any(wanted);
    let mut list = Vec::new();
    if !has(|proof| matches!(proof, Proof::Log)) {
        list.push("that it stands in a transparency log: whoever can sign can do so unseen");
    }
    if !has(|proof| matches!(proof, Proof::Time(_))) {
        list.push("when it was signed: whoever has the key now can have signed it now");
    }
    if !has(|proof| matches!(proof, Proof::Identity)) {
        list.push("who holds the key, beyond that it is the key you named");
    }
    if !has(|proof| matches!(proof, Proof::Builder(_) | Proof::Source(_))) {
        list.push(match asked {
            false => "what it was built from, and by whom: no policy asked",
            true => "what it was built from, and by whom: this signature shows neither",
        });
    }
    list
}
