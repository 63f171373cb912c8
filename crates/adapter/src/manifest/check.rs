//! From what is written to what is meant: names, files, rules, definitions. What is wrong is told with its line.

use std::collections::BTreeSet;

use claw_model::digest::Digest;
use claw_model::shown::is_hidden;
use claw_verify::statement::{Digests, Statement};
use serde_json::Value;
use toml::Spanned;

use super::raw::{self, Raw, RawArtifact, RawEgress, RawSecret, RawTool, line};
use super::{
    Artifact, Effect, Egress, Kind, Manifest, ManifestError, Named, Remote, SCHEMA, SOURCE, Secret, Sources,
    Tool, definition,
};
use crate::{FILL_IN, LARGEST_ARTIFACT, egress, schema};

/// Reads and judges.
pub(super) fn read(text: &str, sources: &dyn Sources) -> Result<Manifest, ManifestError> {
    let raw = raw::read(text)?;
    let reader = Reader { text, sources };
    reader.manifest(raw)
}

struct Reader<'a> {
    text: &'a str,
    sources: &'a dyn Sources,
}

impl Reader<'_> {
    fn manifest(&self, raw: Raw) -> Result<Manifest, ManifestError> {
        if raw.schema.get_ref() != SCHEMA {
            return Err(self.wrong(&raw.schema, format!("the schema `{SCHEMA}` is known")));
        }
        if !claw_verify::policy::is_name(raw.id.get_ref()) {
            return Err(self.wrong(&raw.id, "an id is 1 to 80 of a-z, 0-9, `.`, `-`, `_`".to_owned()));
        }
        if !is_version(raw.version.get_ref()) {
            let why = "a version is 1 to 64 of a-z, A-Z, 0-9, `.`, `-`, `+`".to_owned();
            return Err(self.wrong(&raw.version, why));
        }
        if !(1..=HIGHEST).contains(raw.release.get_ref()) {
            return Err(self.wrong(&raw.release, format!("a release is from 1 to {HIGHEST}")));
        }
        self.said(&raw.summary, raw.summary.get_ref(), "summary")?;
        let kind = *raw.kind.get_ref();
        let artifact = raw.artifact.as_ref().map(|artifact| self.artifact(kind, artifact)).transpose()?;
        let remote = self.remote(&raw)?;
        match (kind, &artifact, &remote) {
            (Kind::Remote, None, Some(_)) | (Kind::Wasm | Kind::Process, Some(_), None) => {}
            (Kind::Remote, ..) => {
                return Err(
                    self.wrong(&raw.kind, "a remote adapter has `remote` and no `artifact`".to_owned())
                );
            }
            _ => return Err(self.wrong(&raw.kind, "it has an `artifact` and no `remote`".to_owned())),
        }
        let egress = self.egress(&raw.egress)?;
        let secrets = self.secrets(&raw.secret, &egress)?;
        if raw.tool.is_empty() {
            return Err(self.wrong(&raw.kind, "it has no `tool`, so it is for nothing".to_owned()));
        }
        let tools = raw.tool.iter().map(|tool| self.tool(tool, (&egress, &secrets)));
        let tools = tools.collect::<Result<Vec<_>, _>>()?;
        self.once("tool", raw.tool.iter().map(|tool| (tool, tool.get_ref().name.as_str())))?;
        let sbom = raw.sbom.as_ref().map(|path| self.sbom(path)).transpose()?;
        let provenance =
            raw.provenance.as_ref().map(|path| self.provenance(path, artifact.as_ref())).transpose()?;
        Ok(Manifest {
            schema: SCHEMA.to_owned(),
            id: raw.id.into_inner(),
            version: raw.version.into_inner(),
            release: raw.release.into_inner(),
            kind,
            summary: raw.summary.into_inner(),
            artifact,
            remote,
            tools,
            egress,
            secrets,
            sbom,
            provenance,
        })
    }

    fn artifact(&self, kind: Kind, raw: &Spanned<RawArtifact>) -> Result<Artifact, ManifestError> {
        let RawArtifact { path, digest, arguments } = raw.get_ref();
        let path = self.path(raw, path)?;
        let missing = || ManifestError::Missing { line: self.line(raw), path: path.clone() };
        let (found, size) = self.sources.artifact(&path).ok_or_else(missing)?;
        if size == 0 || size > LARGEST_ARTIFACT {
            return Err(self.wrong(raw, format!("`{path}` has {size} bytes, not 1 to {LARGEST_ARTIFACT}")));
        }
        self.stated(raw, digest.as_deref(), found, &path)?;
        if kind != Kind::Process && !arguments.is_empty() {
            return Err(self.wrong(raw, "only a process has arguments".to_owned()));
        }
        Ok(Artifact { path, digest: found, size, arguments: arguments.clone() })
    }

    fn remote(&self, raw: &Raw) -> Result<Option<Remote>, ManifestError> {
        let Some(remote) = &raw.remote else { return Ok(None) };
        let url = &remote.get_ref().url;
        let Some(authority) = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()) else {
            return Err(self.wrong(remote, "its `url` is `https://HOST[:PORT]/PATH`".to_owned()));
        };
        let target = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") };
        // where it is, it must be allowed to reach
        if !raw.egress.iter().any(|entry| entry.get_ref().destination == target) {
            return Err(self.wrong(remote, format!("no entry of `egress` has the destination `{target}`")));
        }
        let pins = remote.get_ref().tls_pin.iter().map(|pin| {
            pin.parse()
                .map_err(|error: claw_model::digest::DigestError| self.wrong(remote, error.to_string()))
        });
        let tls_pin = pins.collect::<Result<Vec<Digest>, _>>()?;
        if tls_pin.is_empty() {
            return Err(self.wrong(remote, "it pins no key; hint: tls_pin = [\"sha256:…\"]".to_owned()));
        }
        Ok(Some(Remote { url: url.clone(), tls_pin }))
    }

    fn egress(&self, raw: &[Spanned<RawEgress>]) -> Result<Vec<Egress>, ManifestError> {
        self.once("egress", raw.iter().map(|entry| (entry, entry.get_ref().name.as_str())))?;
        let mut entries = Vec::new();
        for written in raw {
            let RawEgress { name, destination, plane, purpose, protocol, http } = written.get_ref();
            self.said(written, purpose, "purpose")?;
            let wrong =
                |why: String| ManifestError::Egress { line: self.line(written), name: name.clone(), why };
            let plane =
                plane.parse().map_err(|error: claw_model::plane::PlaneError| wrong(error.to_string()))?;
            let (destination, purpose) = (destination.clone(), purpose.clone());
            let (name, protocol, http) = (name.clone(), protocol.clone(), http.clone());
            entries.push(Egress { name, destination, plane, purpose, protocol, http });
        }
        egress::judge(&entries).map_err(|(at, why)| ManifestError::Egress {
            line: raw.get(at).map_or(1, |entry| self.line(entry)),
            name: entries.get(at).map(|entry| entry.name.clone()).unwrap_or_default(),
            why,
        })?;
        Ok(entries)
    }

    fn secrets(&self, raw: &[Spanned<RawSecret>], egress: &[Egress]) -> Result<Vec<Secret>, ManifestError> {
        self.once("secret", raw.iter().map(|entry| (entry, entry.get_ref().name.as_str())))?;
        let one = |written: &Spanned<RawSecret>| {
            let RawSecret { name, audience, header, prefix } = written.get_ref();
            if !egress.iter().any(|entry| entry.name == *audience) {
                return Err(self.wrong(written, format!("its audience `{audience}` is no entry of `egress`")));
            }
            let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if header.is_empty() || header.len() > 64 || !header.bytes().all(token) {
                return Err(self.wrong(written, "a header is 1 to 64 of a-z, 0-9, `-`".to_owned()));
            }
            if prefix.len() > 64 || prefix.chars().any(|one| one.is_control() || !one.is_ascii()) {
                return Err(
                    self.wrong(written, "a prefix is at most 64 printable ASCII characters".to_owned())
                );
            }
            let (name, audience) = (name.clone(), audience.clone());
            Ok(Secret { name, audience, header: header.clone(), prefix: prefix.clone() })
        };
        raw.iter().map(one).collect()
    }

    fn tool(
        &self,
        written: &Spanned<RawTool>,
        (egress, secrets): (&[Egress], &[Secret]),
    ) -> Result<Tool, ManifestError> {
        let raw = written.get_ref();
        if !is_tool_name(&raw.name) {
            return Err(self.wrong(written, "a tool's name is 1 to 64 of a-z, A-Z, 0-9, `_`, `-`".to_owned()));
        }
        self.said(written, &raw.description, "description")?;
        raw.title.as_deref().map_or(Ok(()), |title| self.said(written, title, "title"))?;
        for name in &raw.egress {
            if !egress.iter().any(|entry| entry.name == *name) {
                return Err(self.wrong(written, format!("`{}` is no entry of `egress`", name.escape_debug())));
            }
        }
        for name in &raw.secrets {
            let Some(secret) = secrets.iter().find(|secret| secret.name == *name) else {
                return Err(self.wrong(written, format!("`{}` is no `secret`", name.escape_debug())));
            };
            if !raw.egress.contains(&secret.audience) {
                let why = format!(
                    "it uses the secret `{name}` and does not reach its audience `{}`",
                    secret.audience
                );
                return Err(self.wrong(written, why));
            }
        }
        for (needs, effect, word) in [
            (!raw.egress.is_empty(), Effect::Network, "network"),
            (!raw.secrets.is_empty(), Effect::UseSecret, "use_secret"),
        ] {
            if needs != raw.effects.contains(&effect) {
                let why = format!("its `effects` and what it names disagree about `{word}`");
                return Err(self.wrong(written, why));
            }
        }
        if raw.rate.as_deref().is_some_and(|rate| !is_rate(rate)) {
            return Err(self.wrong(written, "a rate is `N/s`, `N/min` or `N/h`".to_owned()));
        }
        if !(1..=LARGEST_RESULT).contains(&raw.max_result_bytes) {
            return Err(self.wrong(written, format!("max_result_bytes is from 1 to {LARGEST_RESULT}")));
        }
        for note in raw.annotations.values() {
            schema::said(note).map_err(|why| self.wrong(written, format!("its `annotations`: {why}")))?;
        }
        let (input_schema, input) = self.schema(written, &raw.input_schema)?;
        let output = raw.output_schema.as_ref().map(|path| self.schema(written, path)).transpose()?;
        let definition = definition(
            (&raw.name, raw.title.as_deref(), &raw.description),
            (&input, output.as_ref().map(|(_, schema)| schema)),
            &raw.annotations,
        )?;
        let what = format!("the definition of `{}`", raw.name);
        self.stated(written, raw.definition.as_deref(), definition, &what)?;
        let mut effects = raw.effects.clone();
        effects.sort();
        effects.dedup();
        Ok(Tool {
            name: raw.name.clone(),
            title: raw.title.clone(),
            description: raw.description.clone(),
            definition,
            input_schema,
            output_schema: output.map(|(named, _)| named),
            annotations: raw.annotations.clone(),
            effects,
            egress: raw.egress.clone(),
            secrets: raw.secrets.clone(),
            approval: raw.approval,
            rate: raw.rate.clone(),
            max_result_bytes: raw.max_result_bytes,
        })
    }

    fn schema(&self, written: &Spanned<RawTool>, path: &str) -> Result<(Named, Value), ManifestError> {
        let (named, bytes) = self.document(written, path)?;
        match schema::read(&bytes) {
            Ok(schema) => Ok((named, schema)),
            Err(error) => Err(ManifestError::File { path: named.path, why: error.to_string() }),
        }
    }

    fn sbom(&self, path: &Spanned<String>) -> Result<Named, ManifestError> {
        let (named, bytes) = self.document(path, path.get_ref())?;
        let wrong = |why: String| ManifestError::File { path: named.path.clone(), why };
        let value = claw_verify::json::value("SBOM", &bytes).map_err(|error| wrong(error.to_string()))?;
        let known = value.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX")
            || value.get("spdxVersion").is_some_and(Value::is_string);
        if known { Ok(named) } else { Err(wrong("it is neither CycloneDX nor SPDX in JSON".to_owned())) }
    }

    /// A statement about the artefact. Who says so is whoever signs the package.
    fn provenance(
        &self,
        path: &Spanned<String>,
        artifact: Option<&Artifact>,
    ) -> Result<Named, ManifestError> {
        let (named, bytes) = self.document(path, path.get_ref())?;
        let wrong = |why: String| ManifestError::File { path: named.path.clone(), why };
        let statement = Statement::read(&bytes).map_err(|error| wrong(error.to_string()))?;
        let Some(artifact) = artifact else {
            return Err(wrong("a remote adapter has no artefact that it could be about".to_owned()));
        };
        let of = Digests { sha256: artifact.digest, sha384: None, sha512: None };
        statement.subject(&of).map_err(|error| wrong(error.to_string()))?;
        Ok(named)
    }

    fn document<T>(&self, written: &Spanned<T>, path: &str) -> Result<(Named, Vec<u8>), ManifestError> {
        let path = self.path(written, path)?;
        let missing = || ManifestError::Missing { line: self.line(written), path: path.clone() };
        let bytes = self.sources.document(&path).ok_or_else(missing)?;
        Ok((Named { digest: Digest::of(&bytes), path }, bytes))
    }

    /// A path that stays in the adapter's directory, spelled in one way.
    fn path<T>(&self, written: &Spanned<T>, path: &str) -> Result<String, ManifestError> {
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
        };
        if path.len() > 200 || path == SOURCE || !path.split('/').all(plain) {
            let path = path.escape_debug();
            return Err(self.wrong(written, format!(
                "`{path}` is no path below the adapter's directory of letters, digits, `.`, `-`, `_`, `+`, `/`"
            )));
        }
        Ok(path.to_owned())
    }

    /// A digest that is written must be the one that is computed.
    fn stated<T>(
        &self,
        written: &Spanned<T>,
        stated: Option<&str>,
        found: Digest,
        what: &str,
    ) -> Result<(), ManifestError> {
        match stated {
            Some(stated) if stated != found.to_string() => {
                let stated = stated.escape_debug();
                Err(self.wrong(written, format!("{what} is {found}, not {stated}")))
            }
            _ => Ok(()),
        }
    }

    /// A text for people that somebody wrote.
    fn said<T>(&self, written: &Spanned<T>, text: &str, what: &str) -> Result<(), ManifestError> {
        let blank = text.trim().is_empty() || text.len() > LONGEST_TEXT;
        if blank || text.contains(FILL_IN) {
            return Err(self.wrong(written, format!("its `{what}` is not filled in")));
        }
        // what people read and what a model reads is the same: nothing hidden, and what is shown as one line is one
        let lines = what == "description";
        let bad = text.chars().find(|one| is_hidden(*one) && !(lines && *one == '\n'));
        match bad {
            Some(bad) => Err(self.wrong(
                written,
                format!(
                    "its `{what}` has the character U+{:04X}, which is not shown as it is",
                    u32::from(bad)
                ),
            )),
            None => Ok(()),
        }
    }

    fn once<'t, T: 't>(
        &self,
        what: &str,
        entries: impl Iterator<Item = (&'t Spanned<T>, &'t str)>,
    ) -> Result<(), ManifestError> {
        let mut seen = BTreeSet::new();
        for (written, name) in entries {
            if !is_tool_name(name) {
                let why = format!("a name of `{what}` is 1 to 64 of a-z, A-Z, 0-9, `_`, `-`");
                return Err(self.wrong(written, why));
            }
            if !seen.insert(name) {
                return Err(self.wrong(written, format!("{what} `{name}` stands twice")));
            }
        }
        Ok(())
    }

    fn line<T>(&self, written: &Spanned<T>) -> usize {
        line(self.text, written.span().start)
    }

    fn wrong<T>(&self, written: &Spanned<T>, why: String) -> ManifestError {
        ManifestError::Value { line: self.line(written), why }
    }
}

fn is_tool_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

fn is_version(version: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    !version.is_empty() && version.len() <= 64 && version.bytes().all(plain)
}

fn is_rate(rate: &str) -> bool {
    rate.split_once('/').is_some_and(|(count, unit)| {
        count.parse::<u32>().is_ok_and(|count| count > 0 && !rate.starts_with('+'))
            && ["s", "min", "h"].contains(&unit)
    })
}

/// The highest number that every reader of JSON reads alike.
const HIGHEST: u64 = (1 << 53) - 1;
const LARGEST_RESULT: u64 = 64 << 20;
const LONGEST_TEXT: usize = 16 << 10;
