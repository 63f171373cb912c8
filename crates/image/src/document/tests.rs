use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn blob(media: &str) -> String {
    format!(r#"{{"mediaType":"application/vnd.oci.image.{media}","digest":"sha256:{HEX}","size":7}}"#)
}

fn a_manifest(layers: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, blob("config.v1+json"), layers.join(","))
}

#[test]
fn a_manifest_is_read() {
    let text = a_manifest(&[blob("layer.v1.tar"), blob("layer.v1.tar+gzip")]);
    let manifest = manifest(text.as_bytes()).unwrap();
    assert_eq!(manifest.config.size, 7);
    assert_eq!(
        manifest.layers.iter().map(|layer| layer.media).collect::<Vec<_>>(),
        [Media::Tar, Media::TarGzip]
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    let check = |text: &str, expected: &str| {
        let error = manifest(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check(
        &a_manifest(&[blob("layer.v1.tar+zstd")]),
        "media type `application/vnd.oci.image.layer.v1.tar+zstd`",
    );
    check(&a_manifest(&[blob("layer.nondistributable.v1.tar")]), "is not known");
    check(&a_manifest(&[blob("config.v1+json")]), "is not known");
    check(&a_manifest(&[]).replace(":2", ":1"), "schema version `1`");
    check(&a_manifest(&[]).replace("config.v1+json", "manifest.v1+json"), "is not known");
    check(&a_manifest(&[]).replace(HEX, "x"), "64 lower-case hex digits");
    check(&a_manifest(&[]).replace("sha256", "sha512"), "does not begin with `sha256:`");
    check(&a_manifest(&[]).replace(":7", ":-7"), "not a document of this kind");
    check(&a_manifest(&[]).replace(":7", ":7,\"size\":8"), "the key `size` is written twice");
    check(r#"{"schemaVersion":2,"x":{"a":1,"a":2}}"#, "the key `a` is written twice");
    check(&a_manifest(&vec![blob("layer.v1.tar"); 257]), "257 layers");
    check(&"[".repeat(100_000), "not a document of this kind");
    check(&format!("{} x", a_manifest(&[])), "not a document of this kind");
    check(&" ".repeat(crate::LARGEST + 1), "more than");
    assert!(layout(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
    assert!(layout(br#"{"imageLayoutVersion":"2.0.0"}"#).is_err());
}

#[test]
fn a_config_speaks_of_every_layer() {
    let text = |diffs: &str| {
        format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=b","PATH=/x:/y"]}},"rootfs":{{"type":"layers","diff_ids":[{diffs}]}}}}"#
        )
    };
    let one = format!("\"sha256:{HEX}\"");
    let read = config(text(&one).as_bytes(), 1).unwrap();
    assert_eq!((read.search.as_deref(), read.diffs.len()), (Some("/x:/y"), 1));
    assert_eq!(config(text(&one).as_bytes(), 2), Err(DocumentError::Layers { diffs: 1, layers: 2 }));
    assert!(config(text("\"x\"").as_bytes(), 1).is_err());
}

#[test]
fn an_index_leaves_out_what_is_for_others() {
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
        blob("manifest.v1+json"),
        blob("index.v1+json"),
        blob("signature")
    );
    assert_eq!(index(text.as_bytes()).unwrap().len(), 2);
}
