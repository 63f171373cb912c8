//! An adapter's manifest and the documents of its package: no panic; what is read has one spelling, and asks for nothing that
//! a policy would refuse to load.
#![no_main]

use claw_adapter::{Manifest, Sources, canonical, index, layout, manifest, packed, signature, signature_manifest, unpacked};
use claw_model::digest::Digest;
use libfuzzer_sys::fuzz_target;

/// Every file is there: schemas that are good, and an artefact.
struct All;

impl Sources for All {
    fn document(&self, path: &str) -> Option<Vec<u8>> {
        Some(match path {
            "sbom.json" => br#"{"bomFormat":"CycloneDX"}"#.to_vec(),
            _ => br#"{"type":"object","additionalProperties":false}"#.to_vec(),
        })
    }
    fn artifact(&self, _: &str) -> Option<(Digest, u64)> {
        Some((Digest::of(b"artifact"), 8))
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = layout(bytes) {
        assert_eq!(index(&read).unwrap(), bytes);
    }
    if let Ok((config, layers)) = unpacked(bytes) {
        assert_eq!(packed(config, &layers).unwrap(), bytes);
    }
    if let Ok(read) = signature(bytes) {
        assert_eq!(signature_manifest(&read).unwrap(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = manifest(text, &All) else { return };
    let spelled = canonical(&read).unwrap();
    let again: Manifest = serde_json::from_slice(&spelled).unwrap();
    assert_eq!(canonical(&again).unwrap(), spelled);
    assert!(read.egress.iter().all(|entry| !entry.destination.contains("/0:") && !entry.purpose.trim().is_empty()));
});
