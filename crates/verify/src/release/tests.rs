use super::*;
use crate::key::Algorithm;
use crate::sign::PrivateKey;

fn manifest() -> Manifest {
    Manifest {
        schema: 1,
        name: "claw".to_owned(),
        version: "0.1.0".to_owned(),
        release: 7,
        target: "x86_64-unknown-linux-gnu".to_owned(),
        commit: "0".repeat(40),
        files: vec![File { name: "claw".to_owned(), size: 3, digest: Digest::of(b"abc") }],
    }
}

fn code(change: impl Fn(&mut Manifest)) -> Result<(), &'static str> {
    let mut manifest = manifest();
    change(&mut manifest);
    Manifest::read(&manifest.write().unwrap()).map(drop).map_err(|error| error.code())
}

#[test]
fn a_manifest_survives_its_text() {
    let text = manifest().write().unwrap();
    assert_eq!(Manifest::read(&text), Ok(manifest()));
}

#[test]
fn what_is_not_strictly_a_manifest_is_refused() {
    assert_eq!(code(|_| {}), Ok(()));
    assert_eq!(code(|manifest| manifest.schema = 2), Err("unsupported"));
    assert_eq!(
        code(|manifest| manifest.files.push(manifest.files.first().unwrap().clone())),
        Err("malformed")
    );
    for name in ["", "..", "../claw", "a/b", ".hidden", "a\0b"] {
        assert_eq!(
            code(|manifest| manifest.files.first_mut().unwrap().name = name.to_owned()),
            Err("malformed"),
            "{name}"
        );
    }
    let text = String::from_utf8(manifest().write().unwrap()).unwrap();
    let unknown = text.replacen("{\"schema\"", "{\"more\":1,\"schema\"", 1);
    assert_eq!(Manifest::read(unknown.as_bytes()).map_err(|error| error.code()), Err("malformed"));
    let twice = text.replacen("\"release\":7", "\"release\":7,\"release\":8", 1);
    assert_eq!(Manifest::read(twice.as_bytes()).map_err(|error| error.code()), Err("key-twice"));
}

#[test]
fn only_the_signed_bytes_of_a_release_that_is_not_older_are_proven() {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let keys = Keys::one(key.public().clone());
    let signed = Envelope::sign(MANIFEST, &manifest().write().unwrap(), &key).unwrap().write();
    let prove = |name: &str, bytes: &[u8], least: u64| {
        let verified = Manifest::verify(signed.as_bytes(), &keys).unwrap();
        let size = u64::try_from(bytes.len()).unwrap();
        let proven = verified.prove_file(name, Digest::of(bytes), size, least);
        proven.map(|verified| verified.proven().contains(&Proof::Subject)).map_err(|error| error.code())
    };
    assert_eq!(prove("claw", b"abc", 7), Ok(true));
    assert_eq!(prove("claw", b"abd", 0), Err("other-artifact"));
    assert_eq!(prove("other", b"abc", 0), Err("other-artifact"));
    assert_eq!(prove("claw", b"abc", 8), Err("provenance"));
    // signed as something else
    let other = Envelope::sign(log::HEAD, &manifest().write().unwrap(), &key).unwrap().write();
    assert_eq!(Manifest::verify(other.as_bytes(), &keys).map_err(|error| error.code()), Err("unsupported"));
}
