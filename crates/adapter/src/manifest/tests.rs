//! What a manifest may say, and what is told of one that may not.

use std::collections::BTreeMap;

use claw_verify::statement::Statement;
use proptest::prelude::*;

use super::*;
use crate::skeleton;

/// Files by path.
struct Held(BTreeMap<String, Vec<u8>>);

impl Sources for Held {
    fn document(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
    fn artifact(&self, path: &str) -> Option<(Digest, u64)> {
        self.0.get(path).map(|bytes| (Digest::of(bytes), bytes.len() as u64))
    }
}

/// A skeleton that was filled in.
fn filled(kind: Kind) -> (String, Held) {
    let mut files = BTreeMap::new();
    for (path, text) in skeleton("github", kind) {
        files.insert(path, text.replace(crate::FILL_IN, "Said").into_bytes());
    }
    files.insert("github.wasm".to_owned(), b"\0asm".to_vec());
    files.insert("github".to_owned(), b"#!".to_vec());
    let text = String::from_utf8(files[SOURCE].clone()).unwrap();
    let pin = format!("tls_pin = [\"{}\"]", Digest::of(b"key"));
    (text.replace("tls_pin = []", &pin), Held(files))
}

fn read(from: &str, to: &str) -> Result<Manifest, ManifestError> {
    let (text, files) = filled(Kind::Wasm);
    assert!(text.contains(from), "{from} is not in {text}");
    manifest(&text.replacen(from, to, 1), &files)
}

fn why(from: &str, to: &str) -> String {
    read(from, to).unwrap_err().to_string()
}

#[test]
fn a_skeleton_is_refused_until_it_is_filled_in() {
    for kind in [Kind::Wasm, Kind::Process, Kind::Remote] {
        let (text, files) = filled(kind);
        let read = manifest(&text, &files).unwrap();
        assert_eq!((read.id.as_str(), read.kind, read.release), ("github", kind, 1));
        let raw = &skeleton("github", kind)[0].1;
        assert!(manifest(raw, &files).unwrap_err().to_string().contains("is not filled in"), "{kind:?}");
    }
}

#[test]
fn a_manifest_has_one_spelling_and_is_read_back_from_it() {
    let (text, files) = filled(Kind::Wasm);
    let read = manifest(&text, &files).unwrap();
    let spelled = canonical(&read).unwrap();
    assert_eq!(serde_json::from_slice::<Manifest>(&spelled).unwrap(), read);
    // comments, order and white space of the text are not in it
    let other = text
        .replace("# rises with each release", "# says nothing")
        .replace("release = 1 ", "release   =   1 ");
    assert_ne!(other, text);
    assert_eq!(canonical(&manifest(&other, &files).unwrap()).unwrap(), spelled);
}

#[test]
fn a_definition_is_everything_that_a_model_reads_the_name_too() {
    let base = read("approval = \"ask\"", "approval = \"ask\"").unwrap().tools[0].definition;
    let changed = |from: &str, to: &str| read(from, to).unwrap().tools[0].definition;
    assert_ne!(changed("name = \"echo\"", "name = \"echo2\""), base);
    assert_ne!(changed("description = \"Said", "description = \"Said,"), base);
    assert_ne!(changed("approval =", "title = \"Echo\"\napproval ="), base);
    assert_ne!(changed("approval =", "annotations = {readOnlyHint = true}\napproval ="), base);
    assert_ne!(changed("output_schema = \"schemas/echo.out.json\"", ""), base);
    assert_eq!(changed("approval = \"ask\"", "approval = \"never\""), base, "what a model does not read");
    let stated = format!("definition = \"{base}\"\napproval =");
    assert!(read("approval =", &stated).is_ok());
    let wrong = format!("definition = \"{}\"\napproval =", Digest::of(b"other"));
    assert!(why("approval =", &wrong).contains("the definition of `echo` is sha256:"));
}

#[test]
fn what_a_policy_would_not_load_no_adapter_may_ask_for() {
    let destination = "destination = \"api.example.com:443\"";
    let egress = |to: &str| {
        let error = read(
            "[[egress]]\nname = \"api\"\ndestination = \"api.example.com:443\"\nplane = \"tool\"\npurpose = \"Said: why it reaches this\"\nhttp = [\"POST /mcp\"]",
            to,
        );
        error.unwrap_err().to_string()
    };
    let (text, _) = filled(Kind::Wasm);
    let line = 1 + text.lines().position(|line| line == "[[egress]]").unwrap();
    let entry = |rest: &str| format!("[[egress]]\nname = \"api\"\n{rest}");
    for open in ["0.0.0.0/0:443", "[::]/0:443", "*:443", "*:*", "0.0.0.0/1:443"] {
        let told = egress(&entry(&format!("destination = \"{open}\"\nplane = \"tool\"\npurpose = \"x\"")));
        assert!(told.starts_with(&format!("adapter.toml:{line}: egress `api`: ")), "{open}: {told}");
    }
    assert!(why(destination, "destination = \"api.example.com\"").contains("egress `api`"));
    assert!(why("plane = \"tool\"", "plane = \"tools\"").contains("egress `api`: "));
    assert!(why("plane = \"tool\"\n", "").contains("missing field `plane`"));
    assert!(why("purpose = \"Said: why it reaches this\"\n", "").contains("missing field `purpose`"));
    assert!(
        why("purpose = \"Said: why it reaches this\"", "purpose = \" \"")
            .contains("`purpose` is not filled in")
    );
    assert!(why("POST /mcp", "POST mcp").contains("egress `api`"));
    let two = "[[egress]]\nname = \"other\"\ndestination = \"0.0.0.0/0:*\"\nplane = \"tool\"\npurpose = \"x\"\n[[egress]]\n";
    assert!(why("[[egress]]\n", two).contains("egress `other`"));
}

#[test]
fn unknown_words_are_told_with_line_and_nearest() {
    let told = why("summary =", "sumary = \"x\"\nsummary =");
    assert!(told.starts_with("adapter.toml:7: unknown field `sumary`"), "{told}");
    assert!(told.ends_with("did you mean `summary`?"), "{told}");
    assert!(why("kind = \"wasm\"", "kind = \"wasn\"").contains("did you mean `wasm`?"));
    assert!(why("[\"network\"]", "[\"netwerk\"]").contains("did you mean `network`?"));
    assert!(why("release = 1 ", "release = 1\nrelease = 1 ").contains("duplicate key"));
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (from, to, told) in [
        ("claw.adapter/1", "claw.adapter/2", "the schema `claw.adapter/1` is known"),
        ("id = \"github\"", "id = \"../github\"", "an id is"),
        ("release = 1 ", "release = 0 ", "a release is from 1"),
        ("release = 1 ", "release = 9007199254740992 ", "a release is from 1"),
        ("version = \"0.1.0\"", "version = \"0 1\"", "a version is"),
        ("path = \"github.wasm\"", "path = \"../github.wasm\"", "is no path below"),
        ("path = \"github.wasm\"", "path = \"/github.wasm\"", "is no path below"),
        ("path = \"github.wasm\"", "path = \"a//github.wasm\"", "is no path below"),
        ("path = \"github.wasm\"", "path = \"adapter.toml\"", "is no path below"),
        ("path = \"github.wasm\"", "path = \"other.wasm\"", "`other.wasm` is not a file of this adapter"),
        (
            "path = \"github.wasm\"",
            "arguments = [\"x\"]\npath = \"github.wasm\"",
            "only a process has arguments",
        ),
        ("schemas/echo.in.json", "schemas/../x.json", "is no path below"),
        ("egress = [\"api\"]", "egress = [\"apo\"]", "`apo` is no entry of `egress`"),
        ("egress = [\"api\"]", "egress = []", "disagree about `network`"),
        ("secrets = []", "secrets = [\"token\"]", "`token` is no `secret`"),
        ("rate = \"10/min\"", "rate = \"10/day\"", "a rate is"),
        ("max_result_bytes = 65536", "max_result_bytes = 0", "max_result_bytes is from 1"),
        ("kind = \"wasm\"", "kind = \"remote\"", "a remote adapter has `remote`"),
    ] {
        let found = why(from, to);
        assert!(found.contains(told), "{to}: {found}");
    }
    let secret = "[[secret]]\nname = \"token\"\naudience = \"apo\"\nheader = \"authorization\"\n[[egress]]\n";
    assert!(why("[[egress]]\n", secret).contains("its audience `apo` is no entry of `egress`"));
    let tools = "[[tool]]\nname = \"echo\"\ndescription = \"x\"\ninput_schema = \"schemas/echo.in.json\"\neffects = []\napproval = \"ask\"\nmax_result_bytes = 1\n[[egress]]\n";
    assert!(why("[[egress]]\n", tools).contains("tool `echo` stands twice"));
}

#[test]
fn a_schema_lets_through_only_what_it_names_and_needs_nothing_else() {
    let check = |schema: &str, told: &str| {
        let (text, mut files) = filled(Kind::Wasm);
        files.0.insert("schemas/echo.in.json".to_owned(), schema.as_bytes().to_vec());
        let error = manifest(&text, &files).unwrap_err().to_string();
        assert!(error.starts_with("`schemas/echo.in.json`: ") && error.contains(told), "{error}");
    };
    check("{", "is not one");
    check("[]", "no schema of an object");
    check(r#"{"type": "object"}"#, "lets through what it does not name");
    check(r#"{"type": "object", "additionalProperties": true}"#, "lets through what it does not name");
    check(
        r#"{"type": "object", "type": "object", "additionalProperties": false}"#,
        "writes the key `type` twice",
    );
    check(
        r#"{"type": "object", "additionalProperties": false, "properties": {"a": {"$ref": "https://example.com/a"}}}"#,
        "it refers to `https://example.com/a`",
    );
    check(r#"{"type": "object", "additionalProperties": false, "$schema": "x"}"#, "its `$schema` is not");
    let deep = format!(
        "{{\"type\": \"object\", \"additionalProperties\": false, \"x\": {}1{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    check(&deep, "nests deeper");
}

#[test]
fn what_is_shown_is_what_is_read() {
    for (from, to) in [
        ("Said: what it is for", "one\\nsigned by sha256:00"),
        ("Said: what it is for", "a\\u202Eb"),
        ("Said: why it reaches this", "one\\negress evil"),
        ("Said: what a model is told", "a\\U000E0041b"),
        ("Said: what a model is told", "a\\u200Bb"),
        ("name = \"echo\"", "name = \"echo\"\ntitle = \"a\\u202Eb\""),
        ("name = \"echo\"", "name = \"echo\"\ntitle = \"a\\nb\""),
    ] {
        let told = why(from, to);
        assert!(told.contains("which is not shown as it is"), "{to}: {told}");
    }
    assert!(read("Said: what a model is told", "one line\\nand another").is_ok());
}

#[test]
fn a_schema_says_the_same_to_every_reader() {
    let with = |more: &str| {
        let (text, mut files) = filled(Kind::Wasm);
        let path = "schemas/echo.in.json";
        let schema = String::from_utf8(files.0[path].clone()).unwrap();
        let schema = schema.replacen("\"type\": \"object\"", &format!("\"type\": \"object\", {more}"), 1);
        files.0.insert(path.to_owned(), schema.into_bytes());
        manifest(&text, &files).map_err(|error| error.to_string())
    };
    for number in ["9007199254740993", "-9007199254740993", "18446744073709551615", "1e20"] {
        let told = with(&format!("\"maxProperties\": {number}")).unwrap_err();
        assert!(told.contains("is not the same to every reader"), "{number}: {told}");
    }
    with("\"maxProperties\": 9007199254740991").unwrap();
    let told = with("\"description\": \"a\u{e0041}\"").unwrap_err();
    assert!(told.contains("U+E0041"), "{told}");
}

#[test]
fn what_anybody_can_have_a_name_below_no_adapter_may_ask_for() {
    for destination in ["*.com:443", "*.co.uk:443"] {
        let told = why("destination = \"api.example.com:443\"", &format!("destination = \"{destination}\""));
        assert!(told.contains("public suffix"), "{destination}: {told}");
    }
    assert!(read("destination = \"api.example.com:443\"", "destination = \"*.example.com:443\"").is_ok());
}

#[test]
fn a_bill_and_a_provenance_are_what_they_say() {
    let check = |field: &str, content: String| {
        let (text, mut files) = filled(Kind::Wasm);
        files.0.insert("it.json".to_owned(), content.into_bytes());
        manifest(
            &text.replacen("\n\n[artifact]", &format!("\n{field} = \"it.json\"\n\n[artifact]"), 1),
            &files,
        )
    };
    assert!(check("sbom", r#"{"bomFormat": "CycloneDX"}"#.to_owned()).unwrap().sbom.is_some());
    assert!(check("sbom", r#"{"spdxVersion": "SPDX-2.3"}"#.to_owned()).is_ok());
    assert!(check("sbom", "{}".to_owned()).unwrap_err().to_string().contains("neither CycloneDX nor SPDX"));
    let about = |content: &[u8]| {
        Statement::about("a", Digest::of(content), "https://slsa.dev/provenance/v1", Value::Null)
            .write()
            .unwrap()
    };
    assert!(check("provenance", about(b"\0asm")).unwrap().provenance.is_some());
    assert!(
        check("provenance", about(b"other")).unwrap_err().to_string().contains("not about this artefact")
    );
}

#[test]
fn deep_and_large_texts_end() {
    let (_, files) = filled(Kind::Wasm);
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(manifest(&deep, &files).is_err());
    assert_eq!(manifest(&" ".repeat(crate::LARGEST + 1), &files), Err(ManifestError::Large));
}

proptest! {
    #[test]
    fn random_text_never_panics(text in ".{0,200}", at in 0usize..1500) {
        let (good, files) = filled(Kind::Process);
        let _ = manifest(&text, &files);
        let cut = good.char_indices().map(|(at, _)| at).nth(at).unwrap_or(good.len());
        let (head, tail) = good.split_at(cut);
        let _ = manifest(&format!("{head}{text}{tail}"), &files);
    }
}
