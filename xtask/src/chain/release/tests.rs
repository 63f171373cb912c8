//! A whole release of a small program, judged by tools that others wrote. The first run asks PyPI, npm and Debian for them.

use std::process::{Command, Stdio};
use std::sync::Mutex;

use claw_verify::artifact::Artifact;
use claw_verify::key::Algorithm;
use claw_verify::sigstore::{Bundle, Root, Trust, Who};
use claw_verify::{Clock, PublicKey};
use serde_json::Value;

use super::*;
use crate::chain::toolchain::Record;

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chain").join(name)
}

/// Where packages and releases are kept.
fn kept(name: &str) -> PathBuf {
    let directory = root().unwrap().join("target/tmp");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `check.py` answers.
fn asked(words: &[&str]) -> String {
    static MADE: Mutex<()> = Mutex::new(());
    let venv = kept("chain-venv");
    {
        let _one = MADE.lock().unwrap();
        let whole = venv.join("whole");
        if !whole.exists() {
            done(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv));
            let mut pip = Command::new(venv.join("bin/pip"));
            done(pip.args(["install", "--quiet", "--requirement"]).arg(own("requirements.txt")));
            fs::write(whole, "").unwrap();
        }
    }
    let output = Command::new(venv.join("bin/python")).arg(own("check.py")).args(words).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("accepted") || text.starts_with("refused"), "{text}");
    text.trim().to_owned()
}

/// What Sigstore's verifier for Node answers.
fn node(bundle: &Path, key: &Path) -> String {
    static MADE: Mutex<()> = Mutex::new(());
    let _one = MADE.lock().unwrap();
    let modules = kept("chain-node");
    if !modules.join("node_modules/@sigstore/verify").exists() {
        fs::create_dir_all(&modules).unwrap();
        let install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
        let packages = ["@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0"];
        done(Command::new("npm").args(install).args(packages).current_dir(&modules));
    }
    fs::copy(own("bundle.mjs"), modules.join("bundle.mjs")).unwrap();
    let output = Command::new("node").arg(modules.join("bundle.mjs")).arg(bundle).arg(key).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("accepted") || text.starts_with("refused"), "{text}");
    text.trim().to_owned()
}

/// Cosign of Debian 13, from Debian's public archive. Nothing is installed, and its servers cannot be asked.
fn cosign(words: &[&str], directory: &Path) -> std::process::Output {
    static MADE: Mutex<()> = Mutex::new(());
    let place = kept("chain-cosign");
    {
        let _one = MADE.lock().unwrap();
        if !place.join("usr/bin/cosign").exists() {
            done(Command::new("sh").arg(own("cosign.sh")).arg(&place));
        }
    }
    let mut command = Command::new(place.join("usr/bin/cosign"));
    command.args(words).current_dir(directory).stdin(Stdio::null());
    // nobody listens there: who asks a server fails
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.env("COSIGN_PASSWORD", "").env("HOME", directory).output().unwrap()
}

/// What openssl answers of a DSSE envelope: the check that anybody can do by hand.
fn openssl(envelope: &Path, key: &Path, algorithm: Algorithm) -> bool {
    let value: Value = serde_json::from_slice(&fs::read(envelope).unwrap()).unwrap();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap();
    let directory = envelope.parent().unwrap();
    let decode = |text: &str, name: &str| {
        let path = directory.join(name);
        fs::write(directory.join("base64"), text).unwrap();
        done(
            Command::new("openssl")
                .args(["base64", "-d", "-A", "-in"])
                .arg(directory.join("base64"))
                .arg("-out")
                .arg(&path),
        );
        path
    };
    let signature = decode(text("/signatures/0/sig"), "signature");
    let payload = fs::read(decode(text("/payload"), "payload")).unwrap();
    let kind = text("/payloadType");
    let mut pae = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    pae.extend(payload);
    let signed = directory.join("pae");
    fs::write(&signed, pae).unwrap();
    let mut command = Command::new("openssl");
    match algorithm {
        Algorithm::Ed25519 => command
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(key)
            .arg("-sigfile")
            .arg(signature)
            .arg("-in")
            .arg(signed),
        _ => {
            command.args(["dgst", "-sha256", "-verify"]).arg(key).arg("-signature").arg(signature).arg(signed)
        }
    };
    command.output().unwrap().status.success()
}

/// Two releases of a small program; the directory of the second.
fn made(name: &str, algorithm: Algorithm) -> PathBuf {
    let directory = kept(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let root = root().unwrap();
    let source = Source::here(&root, "claw-cli", "claw").unwrap();
    let graph = Graph::read(&root, "claw-cli").unwrap();
    let record = Record::read(&root).unwrap();
    let key = PrivateKey::generate(algorithm).unwrap();
    let out = directory.join("2");
    for release in [1, 2] {
        let told = Told {
            source: &source,
            graph: &graph,
            toolchain: &record,
            profile: "release",
            builder: "https://example.com/builder",
            repository: "https://example.com/claw",
        };
        let built = Built { told, program: fs::read("/usr/bin/true").unwrap(), release };
        let log = Log::open(&directory.join("releases.jsonl"), &key).unwrap();
        let files = assemble(&built, log, &key).unwrap();
        write(&directory.join(release.to_string()), &files).unwrap();
    }
    out
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

/// The document with something else at one place.
fn changed(file: &Path, change: &dyn Fn(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    let name = file.file_name().unwrap().to_str().unwrap();
    let to = file.with_file_name(format!("changed.{name}"));
    fs::write(&to, serde_json::to_vec(&value).unwrap()).unwrap();
    to.display().to_string()
}

#[test]
fn others_accept_both_bills_of_materials_and_refuse_a_wrong_one() {
    let out = made("release-bills", Algorithm::P256);
    let cyclonedx = out.join("claw.cdx.json");
    assert_eq!(asked(&["cyclonedx", &path(&out, "claw.cdx.json")]), "accepted");
    let wrong: [&dyn Fn(&mut Value); 5] = [
        &|value| value["components"][0]["type"] = "thing".into(),
        &|value| value["components"][0]["colour"] = "red".into(),
        &|value| value["serialNumber"] = "urn:uuid:1".into(),
        &|value| value["metadata"]["timestamp"] = "yesterday".into(),
        &|value| value["components"][0]["bom-ref"] = value["components"][1]["bom-ref"].clone(),
    ];
    // the last one is no matter of the schema but of the text: references are unique in one document
    for change in wrong.iter().take(4) {
        assert!(asked(&["cyclonedx", &changed(&cyclonedx, change)]).starts_with("refused"));
    }
    let spdx = out.join("claw.spdx.json");
    assert_eq!(asked(&["spdx", &path(&out, "claw.spdx.json")]), "accepted");
    let wrong: [&dyn Fn(&mut Value); 3] = [
        &|value| value["relationships"][3]["relatedSpdxElement"] = "SPDXRef-nobody".into(),
        &|value| value["packages"][0]["licenseDeclared"] = "MIT AND Nothing".into(),
        &|value| value["packages"][0]["SPDXID"] = value["packages"][1]["SPDXID"].clone(),
    ];
    for change in wrong {
        assert!(asked(&["spdx", &changed(&spdx, change)]).starts_with("refused"));
    }
    let value: Value = serde_json::from_slice(&fs::read(&cyclonedx).unwrap()).unwrap();
    let references: Vec<&str> =
        value["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    let distinct: std::collections::BTreeSet<&&str> = references.iter().collect();
    assert_eq!(references.len(), distinct.len());
    assert!(references.contains(&"shared:libc.so.6") && references.contains(&"rust-std"), "{references:?}");
}

#[test]
fn a_static_program_is_told_with_the_c_libraries_inside() {
    let root = root().unwrap();
    let source = Source::here(&root, "claw-cli", "claw").unwrap();
    let (graph, record) = (Graph::read(&root, "claw-cli").unwrap(), Record::read(&root).unwrap());
    // Debian's busybox-static
    let program = fs::read("/bin/busybox").unwrap();
    let out = kept("release-static");
    fs::create_dir_all(&out).unwrap();
    for (name, text) in Bill::of(&graph, &source, &record, Some(&program)).unwrap().documents().unwrap() {
        fs::write(out.join(&name), &text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for needle in ["musl", "Apache-2.0 WITH LLVM-exception", "libgcc", "1.2.3-1"] {
            assert!(text.contains(needle), "{name} {needle}");
        }
        assert!(!text.contains("libc.so.6"), "{name}");
    }
    assert_eq!(asked(&["cyclonedx", &path(&out, "claw.cdx.json")]), "accepted");
    assert_eq!(asked(&["spdx", &path(&out, "claw.spdx.json")]), "accepted");
}

#[test]
fn others_verify_what_we_signed_and_refuse_what_was_changed() {
    for (name, algorithm) in [("release-p256", Algorithm::P256), ("release-ed25519", Algorithm::Ed25519)] {
        let out = made(name, algorithm);
        let key = out.join("claw.pub");
        let stranger = out.join("stranger.pub");
        fs::write(&stranger, PrivateKey::generate(algorithm).unwrap().public().to_pem()).unwrap();
        for (file, kind) in [("claw.manifest.json", MANIFEST), ("claw.provenance.json", IN_TOTO)] {
            assert_eq!(
                asked(&["dsse", &path(&out, file), &path(&out, "claw.pub"), kind]),
                "accepted",
                "{name} {file}"
            );
            assert!(openssl(&out.join(file), &key, algorithm), "{name} {file}");
            assert!(
                asked(&["dsse", &path(&out, file), &path(&out, "stranger.pub"), kind]).starts_with("refused")
            );
            assert!(!openssl(&out.join(file), &stranger, algorithm));
            let other = changed(&out.join(file), &|value| value["payload"] = "e30=".into());
            assert!(asked(&["dsse", &other, &path(&out, "claw.pub"), kind]).starts_with("refused"));
            assert!(!openssl(Path::new(&other), &key, algorithm));
        }
        let bundle = out.join("claw.sigstore.json");
        assert_eq!(node(&bundle, &key), "accepted");
        assert!(node(&bundle, &stranger).starts_with("refused"));
        let other = changed(&bundle, &|value| value["dsseEnvelope"]["payload"] = "e30=".into());
        assert!(node(Path::new(&other), &key).starts_with("refused"));
    }
}

#[test]
fn cosign_verifies_what_we_signed_and_we_verify_what_it_signed() {
    let out = made("release-cosign", Algorithm::P256);
    // neither a log nor an authority: a key is all there is
    let nobody = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
    fs::write(out.join("nobody.json"), nobody).unwrap();
    let stranger = PrivateKey::generate(Algorithm::P256).unwrap();
    fs::write(out.join("stranger.pub"), stranger.public().to_pem()).unwrap();
    let holds = |what: &[&str], key: &str, bundle: &str, artifact: &str| {
        let how = ["--new-bundle-format", "--private-infrastructure", "--trusted-root", "nobody.json"];
        let words = [what, &how, &["--key", key, "--bundle", bundle, artifact]].concat();
        let output = cosign(&words, &out);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(output.status.success(), text.contains("Verified OK"), "{text}");
        assert!(!text.contains("dial"), "{text}");
        output.status.success()
    };
    let attested = ["verify-blob-attestation", "--type", "slsaprovenance1"];
    fs::write(out.join("other"), "other").unwrap();
    assert!(holds(&attested, "claw.pub", "claw.sigstore.json", "claw"));
    assert!(!holds(&attested, "stranger.pub", "claw.sigstore.json", "claw"));
    assert!(!holds(&attested, "claw.pub", "claw.sigstore.json", "other"));
    changed(&out.join("claw.sigstore.json"), &|value| value["dsseEnvelope"]["payload"] = "e30=".into());
    assert!(!holds(&attested, "claw.pub", "changed.claw.sigstore.json", "claw"));
    let release = fs::read(out.join("claw")).unwrap();
    assert_eq!(judged(&out, "claw.sigstore.json", "claw.pub", &release), Ok(()));
    // and the other way: the same program, signed by cosign
    let done = |words: &[&str]| {
        let output = cosign(words, &out);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    done(&["generate-key-pair"]);
    let how = ["--key", "cosign.key", "--tlog-upload=false", "--new-bundle-format", "--yes", "--bundle"];
    done(&[&["sign-blob"][..], &how, &["signed.json", "claw"]].concat());
    fs::write(out.join("predicate"), "{}").unwrap();
    let of = ["--type", "custom", "--predicate", "predicate"];
    done(&[&["attest-blob"][..], &of, &how, &["attested.json", "claw"]].concat());
    for bundle in ["signed.json", "attested.json"] {
        let what = if bundle == "signed.json" {
            &["verify-blob"][..]
        } else {
            &["verify-blob-attestation", "--type", "custom"]
        };
        assert!(holds(what, "cosign.pub", bundle, "claw"));
        assert!(!holds(what, "claw.pub", bundle, "claw"));
        assert_eq!(judged(&out, bundle, "cosign.pub", &release), Ok(()), "{bundle}");
        assert!(judged(&out, bundle, "claw.pub", &release).is_err(), "{bundle}");
        assert!(judged(&out, bundle, "cosign.pub", b"other").is_err(), "{bundle}");
    }
}

/// What `claw verify` asks of a bundle that was made with a key.
fn judged(directory: &Path, bundle: &str, key: &str, artifact: &[u8]) -> Result<(), String> {
    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    let key = PublicKey::from_pem(&String::from_utf8(read(key)).unwrap()).unwrap();
    let keys = Keys::new(vec![key], 1).unwrap();
    let trust = Trust::new(&Root::public_good().unwrap(), Clock::at("2026-12-01T00:00:00Z".parse().unwrap()))
        .unwrap();
    let bundle = Bundle::read(&read(bundle)).map_err(|error| error.to_string())?;
    let answer = bundle.verify(&Artifact::of(artifact), Who::Keys(&keys), &trust);
    answer.map(drop).map_err(|error| error.to_string())
}

#[test]
fn others_find_the_release_in_the_log() {
    let out = made("release-log", Algorithm::Ed25519);
    let (log, manifest) = (path(&out, "claw.log.json"), path(&out, "claw.manifest.json"));
    assert_eq!(asked(&["log", &log, &manifest]), "accepted");
    let first = path(&kept("release-log").join("1"), "claw.manifest.json");
    assert_eq!(asked(&["log", &log, &first]), "refused: another manifest");
    let other =
        changed(Path::new(&log), &|value| value["inclusion"][0] = Digest::of(b"other").to_string().into());
    assert_eq!(asked(&["log", &other, &manifest]), "refused: another root");
}

#[test]
fn the_provenance_names_commit_dependencies_and_compiler() {
    let out = made("release-provenance", Algorithm::P256);
    let envelope = Envelope::read(&fs::read(out.join("claw.provenance.json")).unwrap()).unwrap();
    let statement = claw_verify::statement::Statement::read(envelope.unverified().1).unwrap();
    let predicate = statement.predicate;
    let subject = statement.subject.first().unwrap();
    assert_eq!(subject.digest.get("sha256"), Some(&Digest::of(&fs::read("/usr/bin/true").unwrap()).hex()));
    let materials = predicate["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let has = |needle: &str| materials.iter().any(|one| one.to_string().contains(needle));
    for needle in
        ["gitCommit", "pkg:cargo/tokio@", "rustc-web_", "rust-web-src_", "musl-dev_", "bin/cargo", "collect2"]
    {
        assert!(has(needle), "{needle}");
    }
    assert!(materials.iter().all(|one| !one["digest"].as_object().unwrap().is_empty()));
    assert!(
        predicate["buildDefinition"]["internalParameters"]["rustc"].as_str().unwrap().starts_with("rustc 1.")
    );
}

#[test]
fn a_release_is_the_same_bytes_but_for_the_signatures() {
    let (one, other) = (made("release-one", Algorithm::Ed25519), made("release-other", Algorithm::Ed25519));
    for file in ["claw", "claw.cdx.json", "claw.spdx.json", "claw.toolchain.toml"] {
        assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(other.join(file)).unwrap(), "{file}");
    }
}
