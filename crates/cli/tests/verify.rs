//! `claw verify`: exit codes, what is said, and that it needs nothing open.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use claw_testkit::{User, copy_program, once};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const WORKFLOW: &str =
    "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/verify").join(name)
}

fn verify(arguments: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(CLAW).arg("verify").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The arguments that hold: a package of npm with its provenance.
fn npm() -> Vec<String> {
    let path = |name: &str| data(name).display().to_string();
    let bundle = path("sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json");
    let words = [
        &path("sigstore-go/sigstore-2.0.0.tgz"),
        "--bundle",
        &bundle,
        "--identity",
        WORKFLOW,
        "--issuer",
        ISSUER,
    ];
    words.map(str::to_owned).to_vec()
}

fn with(mut arguments: Vec<String>, change: &[(usize, &str)], more: &[&str]) -> (i32, String, String) {
    for (place, text) in change {
        *arguments.get_mut(*place).unwrap() = (*text).to_owned();
    }
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    verify(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_real_npm_provenance_is_accepted_and_says_what_it_does_not_prove() {
    let (code, out, err) = with(npm(), &[], &[]);
    assert_eq!(code, 0, "{err}");
    for said in [
        "verified  sha256:",
        WORKFLOW,
        "proven  the signature stands in a transparency log",
        "not     what it was built from",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let (code, out, _) = with(npm(), &[], &["--json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["verified"]), (0, &true.into()));
    assert_eq!(answer["signatures"][0]["signers"][0]["identity"], WORKFLOW);
    assert_eq!(answer["signatures"][0]["claims"]["source"], "https://github.com/sigstore/sigstore-js");
}

#[test]
fn a_no_is_1_and_names_the_check() {
    let refused = |change: &[(usize, &str)], more: &[&str], expect: &str| {
        let (code, out, err) = with(npm(), change, &[more, &["--json"]].concat());
        assert_eq!(code, 1, "{out}{err}");
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&answer["verified"], answer["class"].as_str()), (&false.into(), Some(expect)), "{out}");
    };
    let other = data("ORIGIN.md").display().to_string();
    refused(&[(0, &other)], &[], "artifact");
    refused(
        &[(4, "https://github.com/sigstore/other/.github/workflows/release.yml@refs/heads/main")],
        &[],
        "identity",
    );
    refused(&[(6, "https://accounts.google.com")], &[], "identity");
    refused(&[], &["--threshold", "2"], "signer");
    let unknown = data("sigstore-rust/bundle_invalid_version.txt.sigstore").display().to_string();
    refused(&[(2, &unknown)], &[], "input");
}

#[test]
fn what_the_caller_brings_must_be_usable() {
    let unusable = |change: &[(usize, &str)], more: &[&str], expect: &str| {
        let (code, _, err) = with(npm(), change, more);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expect), "{expect}: {err}");
    };
    unusable(&[(4, "**")], &[], "anybody");
    unusable(&[(4, "https://github.com/**")], &[], "anybody");
    unusable(&[(2, "/nonexistent")], &[], "cannot read");
    let other = data("ORIGIN.md").display().to_string();
    unusable(&[], &["--trust-root", &other], "trust root");
    unusable(&[], &["--policy", &other], "policy");
    unusable(&[], &["--threshold", "0"], "accept anything");
    // Nobody named, or not whole: never anybody.
    let path = data("sigstore-go/sigstore-2.0.0.tgz").display().to_string();
    let bundle = data("sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json").display().to_string();
    let (code, _, err) = verify(&[&path, "--bundle", &bundle]);
    assert!(code == 2 && err.contains("nobody is named"), "{err}");
    assert_eq!(verify(&[&path, "--bundle", &bundle, "--identity", WORKFLOW]).0, 2);
    assert_eq!(verify(&[&path, "--bundle", &bundle, "--issuer", ISSUER]).0, 2);
}

#[test]
fn a_policy_is_judged_by_the_certificate() {
    let directory = std::env::temp_dir().join(format!("claw-verify-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let policy = directory.join("policy.yaml");
    let judge = |text: &str| {
        fs::write(&policy, text).unwrap();
        with(npm(), &[], &["--policy", &policy.display().to_string()])
    };
    let builder = "builders: [{id: 'https://github.com/sigstore/sigstore-js/.github/workflows/*@refs/heads/main', level: 2}]";
    let (code, out, err) = judge(&format!("version: 1\n{builder}\nlevel: 2"));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("SLSA build level 2"), "{out}");
    let (code, _, err) = judge(&format!("version: 1\n{builder}\nlevel: 3"));
    assert!(code == 1 && err.contains("build level"), "{err}");
    let (code, _, err) = judge("version: 1\nsource: https://github.com/sigstore/other");
    assert!(code == 1 && err.contains("the source is"), "{err}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn k_signatures_are_k_different_signers() {
    let directory = std::env::temp_dir().join(format!("claw-threshold-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("artefact");
    fs::write(&file, "artefact").unwrap();
    let mut keys = Vec::new();
    for name in ["a", "b"] {
        let key = claw_verify::sign::PrivateKey::generate(claw_verify::key::Algorithm::Ed25519).unwrap();
        fs::write(directory.join(format!("{name}.pub")), key.public().to_pem()).unwrap();
        keys.push(key);
    }
    let digest = claw_model::digest::Digest::of(b"artefact");
    let statement =
        claw_verify::statement::Statement::about("artefact", digest, "https://example.com/p", ().into());
    let statement = statement.write().unwrap();
    let sign = |key| {
        claw_verify::envelope::Envelope::sign(claw_verify::envelope::IN_TOTO, statement.as_bytes(), key)
            .unwrap()
            .write()
    };
    for (name, key) in [("a", &keys[0]), ("b", &keys[1]), ("a2", &keys[0])] {
        fs::write(directory.join(format!("{name}.json")), sign(key)).unwrap();
    }
    let path = |name: &str| directory.join(name).display().to_string();
    let ask = |bundles: [&str; 2], pinned: &[&str]| {
        let mut words = vec![path("artefact"), "--threshold".into(), "2".into()];
        bundles.iter().for_each(|name| words.extend(["--bundle".into(), path(name)]));
        pinned.iter().for_each(|name| words.extend(["--key".into(), path(name)]));
        verify(&words.iter().map(String::as_str).collect::<Vec<_>>()).0
    };
    assert_eq!(ask(["a.json", "b.json"], &["a.pub", "b.pub"]), 0);
    assert_eq!(ask(["a.json", "a2.json"], &["a.pub", "b.pub"]), 1);
    assert_eq!(ask(["a.json", "b.json"], &["a.pub", "a.pub"]), 1);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ssh_signatures_of_the_tool_itself_are_judged_as_it_does() {
    let directory = std::env::temp_dir().join(format!("claw-ssh-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = |name: &str| directory.join(name).display().to_string();
    fs::write(path("file"), "text").unwrap();
    let tool = |words: &[&str]| {
        Command::new("ssh-keygen").args(words).output().map(|output| output.status.success())
    };
    let Ok(made) = tool(&["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]) else { return };
    assert!(made && tool(&["-q", "-Y", "sign", "-f", &path("key"), "-n", "file", &path("file")]).unwrap());
    let public = fs::read_to_string(path("key.pub")).unwrap();
    fs::write(path("signers"), format!("you@example.com namespaces=\"file\" {public}")).unwrap();
    let ask = |file: &str, principal: &str, namespace: &str| {
        let words = [
            &path(file),
            "--bundle",
            &path("file.sig"),
            "--allowed-signers",
            &path("signers"),
            "--principal",
            principal,
            "--namespace",
            namespace,
        ];
        verify(&words)
    };
    let (code, out, err) = ask("file", "you@example.com", "file");
    assert!(code == 0 && out.contains("not     when it was signed"), "{out}{err}");
    assert_eq!(ask("file", "other@example.com", "file").0, 1);
    assert_eq!(ask("file", "you@example.com", "git").0, 1);
    assert_eq!(ask("key.pub", "you@example.com", "file").0, 1);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_layout_is_verified_with_every_blob_it_names() {
    layout("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");
}

#[test]
fn a_layout_of_dockers_types_is_verified_with_every_blob_it_names() {
    layout(
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    );
}

/// A signed list of one manifest of one layer, and the layer changed, and missing.
#[expect(clippy::indexing_slicing, reason = "objects that were made a line above")]
fn layout(one: &str, list: &str) {
    use claw_model::digest::Digest;
    let directory = std::env::temp_dir().join(format!("claw-layout-{}-{}", one.len(), std::process::id()));
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let key = claw_verify::sign::PrivateKey::generate(claw_verify::key::Algorithm::P256).unwrap();
    fs::write(directory.join("key.pub"), key.public().to_pem()).unwrap();
    let blob = |media: &str, bytes: &[u8]| {
        fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
        serde_json::json!({"mediaType": media, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
    };
    let config = blob("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = blob("application/vnd.oci.image.layer.v1.tar", b"layer");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    let inner = blob(one, manifest.as_bytes());
    let manifest =
        serde_json::json!({"schemaVersion": 2, "mediaType": list, "manifests": [inner]}).to_string();
    let mut image = blob(list, manifest.as_bytes());
    image["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let digest = Digest::of(manifest.as_bytes());
    let payload = serde_json::json!({"critical": {
        "identity": {"docker-reference": ""}, "image": {"docker-manifest-digest": digest.to_string()},
        "type": "cosign container image signature",
    }, "optional": {}});
    let payload = payload.to_string();
    let mut signed = blob("application/vnd.dev.cosign.simplesigning.v1+json", payload.as_bytes());
    let signature = key.sign(payload.as_bytes()).unwrap();
    signed["annotations"] =
        serde_json::json!({"dev.cosignproject.cosign/signature": data_encoding::BASE64.encode(&signature)});
    let beside = serde_json::json!({"schemaVersion": 2, "layers": [signed]}).to_string();
    let mut beside = blob("application/vnd.oci.image.manifest.v1+json", beside.as_bytes());
    let tag = format!("sha256-{}.sig", digest.hex());
    beside["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": tag});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [image, beside]}).to_string();
    fs::write(directory.join("index.json"), index).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let (layout, pinned) = (directory.display().to_string(), directory.join("key.pub").display().to_string());
    let (code, out, err) = verify(&[&layout, "--key", &pinned, "--tag", "v1"]);
    assert!(code == 0 && out.contains(&digest.to_string()), "{out}{err}");
    let hex = Digest::of(b"layer").hex();
    fs::write(blobs.join(&hex), "Layer").unwrap();
    let (code, _, err) = verify(&[&layout, "--key", &pinned]);
    assert!(code == 1 && err.contains(&hex), "{err}");
    fs::remove_file(blobs.join(&hex)).unwrap();
    assert_eq!(verify(&[&layout, "--key", &pinned]).0, 1);
    fs::remove_dir_all(directory).unwrap();
}

/// Peak memory does not follow the artefact's size.
#[test]
fn a_large_artefact_is_streamed() {
    let directory = std::env::temp_dir().join(format!("claw-large-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("sparse");
    fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    let (path, bundle) =
        (file.display().to_string(), data("sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json"));
    // 400 MiB of address space would not hold it.
    let script = "ulimit -v 400000; exec \"$0\" verify \"$1\" --bundle \"$2\" --identity \"$3\" --issuer \"$4\" --json";
    let output = Command::new("sh")
        .args(["-c", script, CLAW, &path])
        .arg(bundle)
        .args([WORKFLOW, ISSUER])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), answer["class"].as_str()), (Some(1), Some("artifact")), "{output:?}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn it_works_where_nothing_is_open() {
    once(CLAW, User::Root, |lab| {
        let copy = |from: &Path, to: &str| {
            let path = lab.path("work").join(to);
            copy_program(from, &path);
            lab.own(&path, 0o755);
        };
        copy(Path::new(CLAW), "claw");
        copy(&data("sigstore-go/sigstore-2.0.0.tgz"), "package.tgz");
        copy(&data("sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json"), "bundle.json");
        let command = format!(
            "./claw verify package.tgz --bundle bundle.json --identity '{WORKFLOW}' --issuer {ISSUER}"
        );
        let run = lab.run(&command).ends(0).says("verified  sha256:");
        assert!(!run.records.iter().any(|record| format!("{record:?}").contains("\"connect\"")), "{run:#?}");
    });
}

/// A directory with an artefact and a key's bare signature of it; the key.
fn bare(name: &str) -> (PathBuf, claw_verify::sign::PrivateKey) {
    let directory = std::env::temp_dir().join(format!("claw-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let key = claw_verify::sign::PrivateKey::generate(claw_verify::key::Algorithm::Ed25519).unwrap();
    fs::write(directory.join("app"), "app").unwrap();
    fs::write(directory.join("key.pub"), key.public().to_pem()).unwrap();
    let signature = data_encoding::BASE64.encode(&key.sign(b"app").unwrap());
    fs::write(directory.join("app.sig"), signature).unwrap();
    (directory, key)
}

#[test]
fn what_would_be_ignored_is_refused() {
    let (directory, _) = bare("ignored");
    let path = |name: &str| directory.join(name).display().to_string();
    let (app, signature, key) = (path("app"), path("app.sig"), path("key.pub"));
    let base = [app.as_str(), "--bundle", &signature, "--key", &key];
    assert_eq!(verify(&base).0, 0);
    let digest = format!("sha256:{}", "0".repeat(64));
    for more in [["--tag", "v1"], ["--digest", &digest], ["--principal", "a"], ["--namespace", "file"]] {
        let (code, out, err) = verify(&[&base[..], &more[..]].concat());
        assert!(code == 2 && out.is_empty(), "{more:?}: {out}{err}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_digest_that_is_also_a_file_is_neither() {
    let (directory, key) = bare("ambiguous");
    let digest = claw_model::digest::Digest::of(b"app").to_string();
    let statement = claw_verify::statement::Statement::about(
        "app",
        claw_model::digest::Digest::of(b"app"),
        "https://example.com/p",
        ().into(),
    );
    let statement = statement.write().unwrap();
    let envelope =
        claw_verify::envelope::Envelope::sign(claw_verify::envelope::IN_TOTO, statement.as_bytes(), &key);
    fs::write(directory.join("app.json"), envelope.unwrap().write()).unwrap();
    let ask = |artifact: &str| {
        let words = ["verify", artifact, "--bundle", "app.json", "--key", "key.pub"];
        let output = Command::new(CLAW).args(words).current_dir(&directory).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(ask(&digest).0, Some(0));
    fs::write(directory.join(&digest), "other").unwrap();
    let (code, err) = ask(&digest);
    assert!(code == Some(2) && err.contains("a file of that name"), "{err}");
    assert_eq!(ask(&format!("./{digest}")).0, Some(1));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_pipe_in_a_layout_is_not_waited_for() {
    let directory = std::env::temp_dir().join(format!("claw-pipe-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (code, key) = (r#"{"imageLayoutVersion":"1.0.0"}"#, data("ORIGIN.md").display().to_string());
    let (other, _) = bare("pipe-key");
    let pinned = other.join("key.pub").display().to_string();
    for pipe in ["oci-layout", "index.json"] {
        for (name, text) in [("oci-layout", code), ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#)] {
            let _ = fs::remove_file(directory.join(name));
            fs::write(directory.join(name), text).unwrap();
        }
        let place = directory.join(pipe);
        fs::remove_file(&place).unwrap();
        assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
        let words = ["20", CLAW, "verify", &directory.display().to_string(), "--key", &pinned];
        let output = Command::new("timeout").args(words).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && err.contains("no regular file"), "{pipe}: {err}");
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(&key, &place).unwrap();
        let (code, _, err) = verify(&[&directory.display().to_string(), "--key", &pinned]);
        assert!(code == 2 && err.contains("cannot read"), "{pipe}: {err}");
    }
    fs::remove_dir_all(directory).unwrap();
    fs::remove_dir_all(other).unwrap();
}

#[test]
fn a_name_in_a_statement_forges_no_line_and_a_failed_summary_is_told() {
    let (directory, key) = bare("forged");
    let path = |name: &str| directory.join(name).display().to_string();
    let digest = claw_model::digest::Digest::of(b"app");
    let ask = |kind: &str, predicate: serde_json::Value| {
        let statement = claw_verify::statement::Statement::about("app", digest, kind, predicate);
        let statement = statement.write().unwrap();
        let sealed =
            claw_verify::envelope::Envelope::sign(claw_verify::envelope::IN_TOTO, statement.as_bytes(), &key);
        fs::write(path("app.json"), sealed.unwrap().write()).unwrap();
        let (code, out, err) =
            verify(&[&path("app"), "--bundle", &path("app.json"), "--key", &path("key.pub")]);
        assert_eq!(code, 0, "{err}");
        out
    };
    let forged = ask("x\n  proven  everything\u{202e}", ().into());
    assert!(!forged.lines().any(|line| line == "  proven  everything"), "{forged}");
    assert!(!forged.contains('\u{202e}'), "{forged}");
    let summary = serde_json::json!({"verificationResult": "FAILED\n  proven  everything"});
    let out = ask("https://slsa.dev/verification_summary/v1", summary);
    assert!(out.contains("  result  FAILED"), "{out}");
    assert!(!out.lines().any(|line| line == "  proven  everything"), "{out}");
    // A name that does not hold, and of a file that is somebody's choice.
    let evil = path("evil\nverified  sha256:00");
    fs::write(&evil, "AAAA").unwrap();
    let words = [&path("app"), "--bundle", &path("app.json"), "--bundle", &evil, "--key", &path("key.pub")];
    let words = [&words[..], &["--threshold", "1"]].concat();
    let (code, out, _) = verify(&words);
    assert!(code == 0 && !out.lines().any(|line| line == "verified  sha256:00"), "{out}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn two_keys_of_one_person_are_one_signer() {
    let directory = std::env::temp_dir().join(format!("claw-person-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = |name: &str| directory.join(name).display().to_string();
    fs::write(path("file"), "text").unwrap();
    let tool = |words: &[&str]| {
        Command::new("ssh-keygen").args(words).output().map(|output| output.status.success())
    };
    let mut keys = Vec::new();
    for name in ["a", "b"] {
        let Ok(made) = tool(&["-q", "-t", "ed25519", "-N", "", "-f", &path(name)]) else { return };
        assert!(made && tool(&["-q", "-Y", "sign", "-f", &path(name), "-n", "file", &path("file")]).unwrap());
        fs::rename(path("file.sig"), path(&format!("{name}.sig"))).unwrap();
        keys.push(fs::read_to_string(path(&format!("{name}.pub"))).unwrap());
    }
    let ask = |first: &str, second: &str| {
        fs::write(path("signers"), format!("{first} {}{second} {}", keys[0], keys[1])).unwrap();
        let words = [
            &path("file"),
            "--bundle",
            &path("a.sig"),
            "--bundle",
            &path("b.sig"),
            "--allowed-signers",
            &path("signers"),
            "--threshold",
            "2",
        ];
        verify(&words).0
    };
    assert_eq!(ask("ann@example.com", "bo@example.com"), 0);
    assert_eq!(ask("ann@example.com", "ann@example.com"), 1);
    assert_eq!(ask("ann@example.com,ann@home", "bo@example.com,ann@home"), 1);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_help_says_that_two_keys_mean_either() {
    let (code, out, _) = verify(&["--help"]);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == 0 && out.contains("by any of them") && out.contains("--threshold"), "{out}");
}
