//! A new adapter, to be filled in.

use crate::Kind;

/// What stands where a person has something to say. A manifest that still says it is refused.
pub const FILL_IN: &str = "FILL IN";

/// The files of a new adapter, by their paths.
pub fn skeleton(id: &str, kind: Kind) -> Vec<(String, String)> {
    let (word, place) = match kind {
        Kind::Wasm => ("wasm", format!("[artifact]\npath = \"{id}.wasm\"                # the component: put it here\n")),
        Kind::Process => {
            ("process", format!("[artifact]\npath = \"{id}\"                     # one executable: put it here\narguments = []\n"))
        }
        Kind::Remote => (
            "remote",
            "[remote]\nurl = \"https://api.example.com/mcp\"\ntls_pin = []                       # sha256: of the server's public key (SPKI)\n"
                .to_owned(),
        ),
    };
    let text = format!(
        r#"# An adapter: what it offers, what it may reach, what is put into its requests. `claw adapter sign` packs and signs it.
schema = "claw.adapter/1"
id = "{id}"
version = "0.1.0"
release = 1                          # rises with each release; an older one is refused where a newer one was
kind = "{word}"
summary = "{FILL_IN}: what it is for"
# sbom = "sbom.json"                 # CycloneDX or SPDX
# provenance = "provenance.json"     # an in-toto statement about the artefact

{place}
[[tool]]
name = "echo"
description = "{FILL_IN}: what a model is told"
input_schema = "schemas/echo.in.json"
output_schema = "schemas/echo.out.json"
effects = ["network"]                # network, use_secret, read, write, external_write, execute, spend
egress = ["api"]
secrets = []
approval = "ask"                     # ask, never
rate = "10/min"
max_result_bytes = 65536

[[egress]]
name = "api"
destination = "api.example.com:443"
plane = "tool"
purpose = "{FILL_IN}: why it reaches this"
http = ["POST /mcp"]

# [[secret]]
# name = "token"
# audience = "api"                   # an entry of egress: nowhere else is it sent
# header = "authorization"
# prefix = "Bearer "
"#
    );
    let schema = |name: &str| {
        format!(
            "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"type\": \"object\",\n  \"properties\": {{\"{name}\": {{\"type\": \"string\"}}}},\n  \"required\": [\"{name}\"],\n  \"additionalProperties\": false\n}}\n"
        )
    };
    vec![
        (crate::SOURCE.to_owned(), text),
        ("schemas/echo.in.json".to_owned(), schema("text")),
        ("schemas/echo.out.json".to_owned(), schema("text")),
    ]
}
