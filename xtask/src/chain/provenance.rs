//! Who built what from which sources with which compiler: an in-toto statement with SLSA provenance, version 1.

use claw_model::digest::Digest;
use claw_verify::statement::Statement;
use serde_json::{Value, json};

use super::clean::Source;
use super::graph::Graph;
use super::toolchain::Record;
use super::{Outcome, TARGET};

/// <https://slsa.dev/spec/v1.0/provenance>
pub(crate) const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// How it is built: this file's command, described in docs/verify-claw.md.
const BUILD_TYPE: &str = "https://claw.invalid/build/xtask-release/v1";

/// What a build says of itself.
pub(crate) struct Told<'a> {
    pub(crate) source: &'a Source,
    pub(crate) graph: &'a Graph,
    pub(crate) toolchain: &'a Record,
    pub(crate) profile: &'a str,
    /// Who builds, by a name that the verifier pins.
    pub(crate) builder: &'a str,
    /// Where the sources are to be had.
    pub(crate) repository: &'a str,
}

/// The statement about a program.
pub(crate) fn statement(told: &Told<'_>, program: Digest) -> Outcome<Statement> {
    let Told { source, graph, toolchain, profile, builder, repository } = told;
    let mut materials = vec![json!({
        "uri": format!("git+{repository}@{}", source.commit),
        "digest": {"gitCommit": source.commit},
    })];
    for (id, package) in &graph.packages {
        if let Some(sum) = &package.checksum {
            materials.push(json!({"uri": id.purl(), "digest": {"sha256": sum}}));
        }
    }
    for (name, digest) in &toolchain.archives {
        let annotations =
            json!({"part": "compiler, source of its standard library, C library", "called": toolchain.rustc});
        materials.push(json!({"name": name, "digest": {"sha256": digest.hex()}, "annotations": annotations}));
    }
    for (name, digest) in &toolchain.toolchain {
        let annotations = json!({"part": "cargo", "called": toolchain.cargo});
        materials.push(json!({"name": name, "digest": {"sha256": digest.hex()}, "annotations": annotations}));
    }
    for (name, digest) in &toolchain.system {
        let annotations = json!({"part": "C compiler, linker, C library of what helps to build"});
        materials.push(json!({"name": name, "digest": {"sha256": digest.hex()}, "annotations": annotations}));
    }
    let predicate: Value = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "repository": repository,
                "package": source.package,
                "program": source.program,
                "profile": profile,
                "target": TARGET,
            },
            "internalParameters": {
                "rustc": toolchain.rustc,
                "cargo": toolchain.cargo,
                "cargo-auditable": toolchain.auditable,
                "cc": toolchain.cc,
                "ld": toolchain.ld,
                "SOURCE_DATE_EPOCH": source.epoch,
            },
            "resolvedDependencies": materials,
        },
        "runDetails": {
            "builder": {"id": builder, "version": {"xtask": env!("CARGO_PKG_VERSION")}},
            "metadata": {"invocationId": format!("{}:{}", source.commit, program.hex())},
        },
    });
    Ok(Statement::about(&source.program, program, PREDICATE, predicate))
}
