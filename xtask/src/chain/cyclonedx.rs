//! CycloneDX 1.6 (ECMA-424): the bill of materials as one JSON document, the same bytes for the same build.

use serde::Serialize;
use serde_json::Value;

use super::graph::{Id, Package};
use super::sbom::{Bill, STANDARD_LIBRARY};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    lifecycles: Vec<Lifecycle>,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Serialize, Default)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Licence {
    expression: String,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    depends_on: Vec<String>,
}

/// The document.
pub(crate) fn document(bill: &Bill<'_>) -> serde_json::Result<Value> {
    let mut components: Vec<Component> = bill
        .graph
        .packages
        .iter()
        .filter(|(id, _)| **id != bill.graph.root)
        .map(|(id, package)| component(id, package))
        .collect();
    components.push(Component {
        kind: "library",
        reference: Some(STANDARD_LIBRARY.to_owned()),
        name: STANDARD_LIBRARY.to_owned(),
        version: Some(bill.compiler.to_owned()),
        scope: Some("required"),
        licenses: vec![Licence { expression: "MIT OR Apache-2.0".to_owned() }],
        properties: vec![linked("static")],
        ..Component::default()
    });
    components.extend(bill.linked.iter().map(|(name, version, licence)| Component {
        kind: "library",
        reference: Some(format!("c:{name}")),
        name: (*name).to_owned(),
        version: Some(version.clone()),
        scope: Some("required"),
        licenses: vec![Licence { expression: (*licence).to_owned() }],
        properties: vec![linked("static")],
        ..Component::default()
    }));
    components.extend(bill.shared.iter().map(|name| Component {
        kind: "library",
        reference: Some(format!("shared:{name}")),
        name: name.clone(),
        scope: Some("required"),
        properties: vec![linked("when it starts, from the machine it runs on")],
        ..Component::default()
    }));
    let document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", bill.uuid()),
        version: 1,
        metadata: Metadata {
            timestamp: bill.time.to_owned(),
            lifecycles: vec![Lifecycle { phase: "build" }],
            tools: Tools {
                components: vec![Component {
                    kind: "application",
                    name: "xtask sbom".to_owned(),
                    version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                    ..Component::default()
                }],
            },
            component: Component {
                kind: "application",
                reference: Some(reference(&bill.graph.root)),
                name: bill.program.to_owned(),
                version: Some(bill.graph.root.version.clone()),
                licenses: bill.root_licence().map(|expression| Licence { expression }).into_iter().collect(),
                hashes: bill
                    .binary
                    .iter()
                    .map(|digest| Hash { alg: "SHA-256", content: digest.clone() })
                    .collect(),
                properties: vec![
                    Property { name: "claw:commit", value: bill.commit.to_owned() },
                    Property { name: "claw:target", value: super::TARGET.to_owned() },
                ],
                ..Component::default()
            },
        },
        components,
        dependencies: dependencies(bill),
    };
    serde_json::to_value(document)
}

fn component(id: &Id, package: &Package) -> Component {
    Component {
        kind: "library",
        reference: Some(reference(id)),
        name: id.name.clone(),
        version: Some(id.version.clone()),
        description: package.description.clone(),
        // ECMA-424: what is excluded is not in the product; it helped to build it
        scope: Some(if package.linked { "required" } else { "excluded" }),
        hashes: package.checksum.iter().map(|sum| Hash { alg: "SHA-256", content: sum.clone() }).collect(),
        licenses: package.licence.iter().map(|text| Licence { expression: text.clone() }).collect(),
        // our own crates are in no registry
        purl: package.checksum.as_ref().map(|_| id.purl()),
        references: package
            .repository
            .iter()
            .map(|url| Reference { kind: "vcs", url: url.clone() })
            .collect(),
        properties: Vec::new(),
    }
}

fn dependencies(bill: &Bill<'_>) -> Vec<Dependency> {
    let graph = bill.graph;
    let mut all: Vec<Dependency> = graph
        .packages
        .iter()
        .map(|(id, package)| Dependency {
            of: reference(id),
            depends_on: package.needs.iter().map(reference).collect(),
        })
        .collect();
    if let Some(root) = all.iter_mut().find(|dependency| dependency.of == reference(&graph.root)) {
        root.depends_on.push(STANDARD_LIBRARY.to_owned());
        root.depends_on.extend(bill.linked.iter().map(|(name, ..)| format!("c:{name}")));
        root.depends_on.extend(bill.shared.iter().map(|name| format!("shared:{name}")));
    }
    all
}

fn reference(id: &Id) -> String {
    id.purl()
}

fn linked(how: &str) -> Property {
    Property { name: "claw:linked", value: how.to_owned() }
}
