//! The public conformance suite, where a directory with it is named by `CLAW_CONFORMANCE`: each of its bundles is accepted or
//! refused as its name says, and each refusal is of the class that the flaw belongs to.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads what it is told to")]

use std::path::Path;

use claw_verify::artifact::Artifact;
use claw_verify::identity::{Identity, Name};
use claw_verify::sigstore::{Bundle, Root, Trust, Who};
use claw_verify::statement::Known;
use claw_verify::{Clock, Error, Keys, PublicKey};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[test]
fn every_bundle_of_the_conformance_suite_is_judged_as_its_name_says() {
    let Some(directory) = std::env::var_os("CLAW_CONFORMANCE") else { return };
    let directory = Path::new(&directory);
    let mut cases: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    let (mut right, mut wrong) = (0, Vec::new());
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let result = judge(directory, case);
        let expect = !name.ends_with("_fail");
        match &result {
            Ok(()) => println!("{name}: accepted"),
            Err(error) => println!("{name}: {} {}: {error}", error.class().as_str(), error.code()),
        }
        if result.is_ok() == expect { right += 1 } else { wrong.push(name) }
    }
    println!("{right} of {}", cases.len());
    assert!(wrong.is_empty() && !cases.is_empty(), "{wrong:?}");
}

fn judge(suite: &Path, case: &Path) -> Result<(), Error> {
    let root = std::fs::read(case.join("trusted_root.json")).ok();
    let root = root.map_or_else(Root::public_good, |bytes| Root::read(&bytes))?;
    let trust = Trust::new(&root, Clock::at(jiff::Timestamp::now()))?;
    let bundle = Bundle::read(&std::fs::read(case.join("bundle.sigstore.json")).unwrap())?;
    let own = std::fs::read(case.join("artifact")).ok();
    let artifact = own.unwrap_or_else(|| std::fs::read(suite.join("a.txt")).unwrap());
    let key = std::fs::read_to_string(case.join("key.pub")).ok();
    let identity = [Identity { identity: Name::Exact(IDENTITY.into()), issuer: Name::Exact(ISSUER.into()) }];
    let keys = key.map(|text| PublicKey::from_pem(&text)).transpose()?.map(Keys::one);
    let who = keys.as_ref().map_or(Who::Identities(&identity), Who::Keys);
    let read = Artifact::of(&artifact);
    let whole = bundle.verify(&read, who, &trust).map(drop);
    // By its digest alone, the answer is the same.
    let known = Artifact::known(Known { sha384: None, sha512: None, ..*read.digests() });
    assert_eq!(bundle.verify(&known, who, &trust).is_ok(), whole.is_ok());
    whole
}
