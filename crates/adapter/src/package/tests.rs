//! Each document has one spelling.

use super::*;

fn blob(content: &[u8]) -> Blob {
    Blob { digest: Digest::of(content), size: u64::try_from(content.len()).unwrap() }
}

fn all() -> [Vec<u8>; 3] {
    let layer = |role, path: &str| Layer { role, path: path.to_owned(), blob: blob(path.as_bytes()) };
    let files = [
        layer(Role::Source, "adapter.toml"),
        layer(Role::Artifact(Kind::Wasm), "a.wasm"),
        layer(Role::Document, "in.json"),
    ];
    [
        index(&Layout { manifest: blob(b"1"), signature: blob(b"2") }).unwrap(),
        packed(blob(b"3"), &files).unwrap(),
        signature_manifest(&Signature { envelope: blob(b"4"), subject: blob(b"1") }).unwrap(),
    ]
}

fn reads(which: usize, bytes: &[u8]) -> Result<(), PackageError> {
    match which {
        0 => layout(bytes).map(drop),
        1 => unpacked(bytes).map(drop),
        _ => signature(bytes).map(drop),
    }
}

#[test]
fn a_document_is_read_back_as_it_was_written() {
    for (which, bytes) in all().iter().enumerate() {
        assert_eq!(reads(which, bytes), Ok(()), "{which}");
    }
    assert_eq!(layout(&all()[0]), Ok(Layout { manifest: blob(b"1"), signature: blob(b"2") }));
    assert_eq!(unpacked(&all()[1]).unwrap().1[1].path, "a.wasm");
}

#[test]
fn another_spelling_and_everything_more_is_refused() {
    for (which, bytes) in all().iter().enumerate() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let spaced = text.replacen(':', ": ", 1);
        assert_eq!(reads(which, spaced.as_bytes()), Err(PackageError::Spelling), "{which}");
        let more = text.replacen('{', "{\"more\":1,", 1);
        assert!(
            matches!(reads(which, more.as_bytes()), Err(PackageError::Read(Error::Json { .. }))),
            "{which}"
        );
        let twice = text.replacen("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2", 1);
        assert!(
            matches!(reads(which, twice.as_bytes()), Err(PackageError::Read(Error::Twice { .. }))),
            "{which}"
        );
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let deep = text.replacen("\"schemaVersion\":2", &format!("\"schemaVersion\":{deep}"), 1);
        assert!(
            matches!(reads(which, deep.as_bytes()), Err(PackageError::Read(Error::Deep { .. }))),
            "{which}"
        );
        let upper = text.replacen("sha256:", "SHA256:", 1);
        assert!(reads(which, upper.as_bytes()).is_err(), "{which}");
    }
}

#[test]
fn one_changed_byte_of_a_document_is_another_document_or_none() {
    for (which, bytes) in all().iter().enumerate() {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            // a digest or a size may be another digest or size, which then is not there; nothing else may change
            let same = match which {
                0 => layout(&changed).map(|read| index(&read).unwrap()),
                1 => unpacked(&changed).map(|(config, layers)| packed(config, &layers).unwrap()),
                _ => signature(&changed).map(|read| signature_manifest(&read).unwrap()),
            };
            assert!(same.is_err() || same.unwrap() == changed, "{which} at {at}");
        }
    }
}
