//! Layouts in memory, signed with keys made here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::envelope::IN_TOTO;
use crate::key::Algorithm;
use crate::sign::PrivateKey;
use crate::sigstore::Root;
use crate::statement::Statement;
use crate::{Class, Clock, Keys, Proof};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Default, Clone)]
struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    index: Vec<Value>,
}

impl Layout {
    fn blob(&mut self, media: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, bytes.to_vec());
        json!({"mediaType": media, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn manifest(&mut self, tag: Option<&str>, manifest: &Value) -> Value {
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes());
        if let Some(tag) = tag {
            descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        }
        self.index.push(descriptor.clone());
        descriptor
    }

    fn find(&self, choice: &Choice) -> Result<Image, Error> {
        let index = json!({"schemaVersion": 2, "manifests": self.index}).to_string();
        let blobs = |digest: &Digest, _| {
            self.blobs.get(digest).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
        };
        Image::find(index.as_bytes(), choice, &blobs)
    }

    fn verify(&self, choice: &Choice, key: &PrivateKey) -> Result<Vec<Verified<Attested>>, Error> {
        let trust = Trust::new(&Root::public_good()?, Clock::at("2026-01-01T00:00:00Z".parse().unwrap()))?;
        self.find(choice)?.verify(Who::Keys(&Keys::one(key.public().clone())), &trust)
    }
}

fn image() -> (Layout, Digest) {
    let mut layout = Layout::default();
    let config = layout.blob("application/vnd.oci.image.config.v1+json", b"{}");
    let image = layout.manifest(Some("v1"), &json!({"schemaVersion": 2, "config": config, "layers": []}));
    let digest = image["digest"].as_str().unwrap().parse().unwrap();
    (layout, digest)
}

fn bundle(of: Digest, key: &PrivateKey) -> Vec<u8> {
    let statement =
        Statement::about("", of, "https://sigstore.dev/cosign/sign/v1", json!({})).write().unwrap();
    let signature = key.sign(&sigstore_types::pae(IN_TOTO, statement.as_bytes())).unwrap();
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": base64(statement.as_bytes()), "payloadType": IN_TOTO, "signatures": [{"sig": base64(&signature)}],
        },
    })
    .to_string()
    .into_bytes()
}

fn refer(layout: &mut Layout, to: Digest, bundle: &[u8], tag: Option<&str>) {
    let layer = layout.blob("application/vnd.dev.sigstore.bundle.v0.3+json", bundle);
    let subject = json!({"mediaType": MANIFEST, "digest": to.to_string(), "size": 1});
    let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    layout
        .manifest(tag, &json!({"schemaVersion": 2, "config": config, "layers": [layer], "subject": subject}));
}

fn simple(layout: &mut Layout, of: Digest, names: Digest, key: &PrivateKey) {
    let payload = json!({"critical": {
        "identity": {"docker-reference": "r"}, "image": {"docker-manifest-digest": names.to_string()},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = payload.to_string();
    let mut layer = layout.blob(simple::MEDIA, payload.as_bytes());
    let signature = data_encoding::BASE64.encode(&key.sign(payload.as_bytes()).unwrap());
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    let tag = format!("sha256-{}.sig", of.hex());
    layout.manifest(Some(&tag), &json!({"schemaVersion": 2, "layers": [layer]}));
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::P256).unwrap()
}

#[test]
fn a_referrer_signs_the_manifest_that_it_names_and_signs() {
    let (mut layout, digest) = image();
    let key = key();
    refer(&mut layout, digest, &bundle(digest, &key), None);
    for choice in [Choice::Only, Choice::Tag("v1".into()), Choice::Digest(digest)] {
        let verified = layout.verify(&choice, &key).unwrap();
        assert_eq!(verified[0].value().artifact, digest.to_string());
        assert_eq!(verified[0].proven(), [Proof::Signature, Proof::Subject]);
    }
    assert_eq!(layout.verify(&Choice::Only, &self::key()).unwrap_err().class(), Class::Signature);
}

#[test]
fn a_bundle_of_another_manifest_is_none_of_this_one() {
    let (mut layout, digest) = image();
    let key = key();
    // It refers to this one and signs another.
    refer(&mut layout, digest, &bundle(Digest::of(b"x"), &key), None);
    assert_eq!(layout.verify(&Choice::Only, &key).unwrap_err().class(), Class::Artifact);
    // It refers to another one.
    let (mut layout, digest) = image();
    refer(&mut layout, Digest::of(b"x"), &bundle(digest, &key), None);
    assert_eq!(layout.verify(&Choice::Only, &key).unwrap_err().class(), Class::Signer);
}

#[test]
fn the_older_scheme_signs_what_its_payload_names() {
    let (mut layout, digest) = image();
    let key = key();
    simple(&mut layout, digest, digest, &key);
    assert_eq!(layout.verify(&Choice::Only, &key).unwrap()[0].value().artifact, digest.to_string());
    assert_eq!(layout.verify(&Choice::Only, &self::key()).unwrap_err().class(), Class::Signature);
    // The tag says this one, the payload another.
    let (mut layout, digest) = image();
    simple(&mut layout, digest, Digest::of(b"x"), &key);
    assert_eq!(layout.verify(&Choice::Only, &key).unwrap_err().class(), Class::Artifact);
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let (mut layout, digest) = image();
    let key = key();
    refer(&mut layout, digest, &bundle(digest, &key), None);
    simple(&mut layout, digest, digest, &key);
    for changed in layout.blobs.keys().copied().collect::<Vec<_>>() {
        if layout.blobs[&changed] == b"{}" {
            continue; // the config: compared by whoever has the files, by what `named` lists
        }
        let mut other = layout.clone();
        *other.blobs.get_mut(&changed).unwrap().last_mut().unwrap() ^= 1;
        assert_eq!(other.verify(&Choice::Digest(digest), &key).unwrap_err().class(), Class::Artifact);
    }
}

#[test]
fn what_is_not_one_manifest_must_be_chosen() {
    let (mut layout, _) = image();
    let class = |layout: &Layout, choice| layout.find(&choice).unwrap_err().class();
    layout.manifest(Some("v1"), &json!({"schemaVersion": 2, "layers": [], "other": 1}));
    assert_eq!(class(&layout, Choice::Only), Class::Trust);
    assert_eq!(class(&layout, Choice::Tag("v1".into())), Class::Trust);
    assert_eq!(class(&layout, Choice::Tag("v2".into())), Class::Trust);
    assert_eq!(class(&layout, Choice::Digest(Digest::of(b""))), Class::Trust);
    layout.manifest(None, &json!({"schemaVersion": 1}));
    assert_eq!(class(&layout, Choice::Only), Class::Input);
}

#[test]
fn what_dockers_types_name_is_compared_and_what_is_not_known_is_refused() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    let mut layout = Layout::default();
    let inner = layout.blob(DOCKER, b"{}");
    let of = |media: &str, inner: &Value| {
        named(json!({"schemaVersion": 2, "mediaType": media, "manifests": [inner]}).to_string().as_bytes())
    };
    assert!(of(LIST, &inner).unwrap()[0].names());
    let unknown = layout.blob("application/vnd.example.manifest+json", b"{}");
    assert_eq!(of(LIST, &unknown).unwrap_err().class(), Class::Unsupported);
    assert_eq!(of("application/vnd.example.index+json", &inner).unwrap_err().class(), Class::Unsupported);
    // The same of the one that was chosen.
    let mut other = layout.blob("application/vnd.example+json", br#"{"schemaVersion":2}"#);
    other["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    layout.index.push(other);
    assert_eq!(layout.find(&Choice::Tag("v1".into())).unwrap_err().class(), Class::Unsupported);
}

#[test]
fn the_only_manifest_is_none_of_two_whatever_one_calls_itself() {
    let (mut layout, digest) = image();
    let config = layout.blob("application/vnd.oci.image.config.v1+json", b"{}");
    let evil = json!({"schemaVersion": 2, "config": config, "layers": [], "evil": 1});
    let signed = layout.clone();
    layout.manifest(Some(&format!("sha256-{}", "a".repeat(64))), &evil);
    assert_eq!(layout.find(&Choice::Only).unwrap_err().class(), Class::Trust);
    let mut layout = signed;
    let mut evil = evil;
    evil["subject"] = json!({"mediaType": MANIFEST, "digest": digest.to_string(), "size": 1});
    layout.manifest(Some("latest"), &evil);
    assert_eq!(layout.find(&Choice::Only).unwrap_err().class(), Class::Trust);
    assert_eq!(layout.find(&Choice::Digest(digest)).unwrap().digest(), digest);
}

#[test]
fn what_stands_twice_is_read_once_and_all_of_it_is_bounded() {
    let (mut layout, digest) = image();
    let key = key();
    simple(&mut layout, digest, digest, &key);
    let tag = format!("sha256-{}.sig", digest.hex());
    let manifest: Value = {
        let of: Digest = layout.index[1]["digest"].as_str().unwrap().parse().unwrap();
        serde_json::from_slice(&layout.blobs[&of]).unwrap()
    };
    let layer = &manifest["layers"][0];
    // The same signature, in one manifest and in two.
    layout.manifest(Some(&tag), &json!({"schemaVersion": 2, "layers": vec![layer; 200]}));
    layout.manifest(Some(&tag), &json!({"schemaVersion": 2, "layers": vec![layer; 200], "x": 1}));
    assert_eq!(layout.find(&Choice::Digest(digest)).unwrap().signatures(), 1);
    // More than are looked at.
    let many: Vec<Value> = (0..=MOST)
        .map(|number| {
            let mut layer = layer.clone();
            layer["annotations"]["n"] = number.to_string().into();
            layer
        })
        .collect();
    let mut large = layout.clone();
    large.manifest(Some(&tag), &json!({"schemaVersion": 2, "layers": many}));
    assert_eq!(large.find(&Choice::Digest(digest)).unwrap_err().class(), Class::Input);
    // A payload that is none.
    let mut large = layout.clone();
    let payload = layer["annotations"].clone();
    let mut layer = large.blob(simple::MEDIA, &vec![b' '; LARGEST_PAYLOAD + 1]);
    layer["annotations"] = payload;
    large.manifest(Some(&tag), &json!({"schemaVersion": 2, "layers": [layer]}));
    assert_eq!(large.find(&Choice::Digest(digest)).unwrap_err().class(), Class::Input);
    // So many bytes in all.
    for number in 0..=ALL / LARGEST {
        let mut text = json!({"schemaVersion": 2, "n": number}).to_string();
        text.push_str(&" ".repeat(LARGEST - text.len()));
        let descriptor = layout.blob(MANIFEST, text.as_bytes());
        layout.index.push(descriptor);
    }
    let error = layout.find(&Choice::Digest(digest)).unwrap_err();
    assert!(error.to_string().contains("together"), "{error}");
}
