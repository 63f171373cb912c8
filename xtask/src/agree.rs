//! `cargo xtask agree PYTHON MODULES`: asks sigstore-python and @sigstore/verify about every bundle of `tests/data/verify` and
//! compares with what ours must say. Each disagreement is listed with who is right; one that is not known fails.
//!
//! PYTHON is an interpreter that has `sigstore` (4.5.1), MODULES a directory where npm put `@sigstore/verify` (3.1.1),
//! `@sigstore/bundle` and `@sigstore/protobuf-specs`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Case {
    bundle: String,
    expect: String,
}

/// Client, bundle, and who is right.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "sigstore-python",
        "sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json",
        "ours: the log's promise signs the time of an `intoto` entry as it does of others; sigstore-python does not read that kind",
    ),
    (
        "sigstore-python",
        "sigstore-go/dsse.sigstore.json",
        "ours: version 0.1 asks for the promise, not for a proof; ours says that only the promise was proven",
    ),
    (
        "@sigstore/verify",
        "sigstore-rust/conda-attestation-rekor2.sigstore.json",
        "ours, and sigstore-python: Rekor 2 logs the digest of what a DSSE envelope signs",
    ),
    (
        "@sigstore/verify",
        "sigstore-rust/a.dsse.staging-rekor-v2.txt.sigstore.json",
        "ours, and sigstore-python: Rekor 2 logs the digest of what a DSSE envelope signs",
    ),
];

/// Asks both.
pub(crate) fn run(python: &str, modules: &str) -> Outcome<()> {
    let data = fs::canonicalize("tests/data/verify")?;
    let root = data.join("sigstore-rust/public-good.json");
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(data.join("cases.json"))?)?;
    let peers = fs::canonicalize("xtask/peers")?;
    let ask = |program: &str, script: &str, directory: &Path| -> Outcome<Vec<String>> {
        let mut command = Command::new(program);
        let output = command.arg(peers.join(script)).args([&data, &root]).current_dir(directory).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let mut unknown = 0;
    for (client, answers) in [
        ("sigstore-python", ask(python, "verify.py", Path::new("."))?),
        ("@sigstore/verify", ask("node", "verify.mjs", Path::new(modules))?),
    ] {
        let (mut same, mut unasked) = (0, 0);
        if answers.len() != cases.len() {
            return Err(format!("{client} answered {} of {} cases", answers.len(), cases.len()).into());
        }
        for (case, answer) in cases.iter().zip(&answers) {
            if answer.starts_with("not judged") {
                unasked += 1;
                continue;
            }
            if (answer == "accepted") == (case.expect == "accepted") {
                same += 1;
                continue;
            }
            let known = KNOWN.iter().find(|(other, bundle, _)| *other == client && *bundle == case.bundle);
            let right = known.map_or("NOT KNOWN", |(_, _, right)| *right);
            println!("{client} on {}: {answer}; ours: {}. Right: {right}", case.bundle, case.expect);
            unknown += usize::from(known.is_none());
        }
        println!("{client}: the same on {same} of {}, {unasked} not judged by it", cases.len());
    }
    if unknown > 0 { Err(format!("{unknown} disagreements that are not known").into()) } else { Ok(()) }
}
