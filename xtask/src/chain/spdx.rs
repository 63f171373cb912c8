//! SPDX 2.3 (ISO/IEC 5962): the same bill of materials for those who read this form.

use serde::Serialize;
use serde_json::Value;

use super::graph::{Id, Package};
use super::sbom::{Bill, STANDARD_LIBRARY};

const UNKNOWN: &str = "NOASSERTION";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: Creation,
    packages: Vec<Entry>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct Creation {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    download_location: String,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Reference>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The document.
pub(crate) fn document(bill: &Bill<'_>) -> serde_json::Result<Value> {
    let root = reference(&bill.graph.root);
    let mut packages: Vec<Entry> =
        bill.graph.packages.iter().map(|(id, package)| entry(bill, id, package)).collect();
    let std = Some(bill.compiler.to_owned());
    packages.push(besides(STANDARD_LIBRARY, std, "MIT OR Apache-2.0"));
    packages.extend(
        bill.linked.iter().map(|(name, version, licence)| besides(name, Some(version.clone()), licence)),
    );
    packages.extend(bill.shared.iter().map(|name| besides(name, None, UNKNOWN)));
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        name: format!("{} {}", bill.program, bill.graph.root.version),
        document_namespace: format!("urn:uuid:{}", bill.uuid()),
        creation_info: Creation {
            created: bill.time.to_owned(),
            creators: vec![format!("Tool: xtask-sbom-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        relationships: relationships(bill, root),
    };
    serde_json::to_value(document)
}

fn entry(bill: &Bill<'_>, id: &Id, package: &Package) -> Entry {
    let root = *id == bill.graph.root;
    let sum = if root { bill.binary.clone() } else { package.checksum.clone() };
    let location = format!("https://crates.io/api/v1/crates/{}/{}/download", id.name, id.version);
    Entry {
        id: reference(id),
        name: if root { bill.program.to_owned() } else { id.name.clone() },
        version_info: Some(id.version.clone()),
        download_location: package.checksum.as_ref().map_or_else(|| UNKNOWN.to_owned(), |_| location),
        files_analyzed: false,
        license_concluded: UNKNOWN,
        license_declared: package.licence.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        copyright_text: UNKNOWN,
        summary: package.description.clone(),
        primary_package_purpose: if root { "APPLICATION" } else { "LIBRARY" },
        checksums: sum
            .into_iter()
            .map(|checksum_value| Checksum { algorithm: "SHA256", checksum_value })
            .collect(),
        external_refs: package
            .checksum
            .iter()
            .map(|_| Reference {
                reference_category: "PACKAGE-MANAGER",
                reference_type: "purl",
                reference_locator: id.purl(),
            })
            .collect(),
    }
}

/// What is no crate.
fn besides(name: &str, version_info: Option<String>, licence: &str) -> Entry {
    Entry {
        id: plain(name),
        name: name.to_owned(),
        version_info,
        download_location: UNKNOWN.to_owned(),
        files_analyzed: false,
        license_concluded: UNKNOWN,
        license_declared: licence.to_owned(),
        copyright_text: UNKNOWN,
        summary: None,
        primary_package_purpose: "LIBRARY",
        checksums: Vec::new(),
        external_refs: Vec::new(),
    }
}

fn relationships(bill: &Bill<'_>, root: String) -> Vec<Relationship> {
    let relate = |from: &str, kind: &'static str, to: String| Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to,
    };
    let mut all = vec![relate("SPDXRef-DOCUMENT", "DESCRIBES", root.clone())];
    for (id, package) in &bill.graph.packages {
        for needed in &package.needs {
            let linked = bill.graph.packages.get(needed).is_some_and(|needed| needed.linked);
            if package.linked && !linked {
                all.push(relate(&reference(needed), "BUILD_DEPENDENCY_OF", reference(id)));
            } else {
                all.push(relate(&reference(id), "DEPENDS_ON", reference(needed)));
            }
        }
    }
    all.push(relate(&root, "STATIC_LINK", plain(STANDARD_LIBRARY)));
    all.extend(bill.linked.iter().map(|(name, ..)| relate(&root, "STATIC_LINK", plain(name))));
    all.extend(bill.shared.iter().map(|name| relate(&root, "DYNAMIC_LINK", plain(name))));
    all
}

fn reference(id: &Id) -> String {
    plain(&format!("{}-{}", id.name, id.version))
}

/// SPDX 2.3, 3.2.3: letters, digits, dots and hyphens.
fn plain(text: &str) -> String {
    let word: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("SPDXRef-{word}")
}
