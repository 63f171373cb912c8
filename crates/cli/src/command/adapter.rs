//! `claw adapter`.

use std::path::{Path, PathBuf};

use claw_adapter::{Kind, Manifest};
use claw_run::Host;
use claw_run::adapters::{self, AdapterError, Installed, Package, State};
use serde_json::{Value, json};

use crate::arguments::{Adapter, AdapterCommand, AdapterKind};
use crate::command::believed::keys;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Runs an `adapter` command.
pub(crate) fn run(arguments: &Adapter) -> u8 {
    let result = match &arguments.command {
        AdapterCommand::New { id, kind, directory, json } => new(id, *kind, directory.as_deref(), *json),
        AdapterCommand::Sign { directory, key, out, json } => sign(directory, key, out.as_deref(), *json),
        AdapterCommand::Verify { package, keyring, json } => verify(package, keyring, *json),
        AdapterCommand::Install { package, keyring, json } => install(package, keyring, *json),
        AdapterCommand::List { json } => list(*json),
    };
    result.unwrap_or_else(|code| code)
}

fn new(id: &str, kind: AdapterKind, directory: Option<&Path>, json: bool) -> Result<u8, u8> {
    let kind = match kind {
        AdapterKind::Wasm => Kind::Wasm,
        AdapterKind::Process => Kind::Process,
        AdapterKind::Remote => Kind::Remote,
    };
    let place = directory.unwrap_or(Path::new(id));
    let files = adapters::new(place, id, kind).map_err(|error| unusable(&error))?;
    if json {
        print::json(&json!({ "id": id, "directory": place, "files": files }));
    } else {
        let shown = print::plain(&place.display().to_string());
        print::line(&format!("{shown}: {}", files.join(", ")));
        print::line(&format!("next: fill it in, then `claw adapter sign {shown} --key KEY --out PACKAGE`"));
    }
    Ok(DONE)
}

fn sign(directory: &Path, keys: &[PathBuf], out: Option<&Path>, json: bool) -> Result<u8, u8> {
    if adapters::is_packed(directory) {
        if out.is_some() {
            eprintln!(
                "claw: `{}` is a package: it is signed where it is",
                print::plain(&directory.display().to_string())
            );
            eprintln!("hint: leave --out out");
            return Err(UNUSABLE);
        }
        let (manifest, digest, signatures) =
            adapters::add(directory, keys).map_err(|error| unusable(&error))?;
        if json {
            print::json(&json!({
                "package": directory,
                "id": manifest.id,
                "version": manifest.version,
                "release": manifest.release,
                "digest": digest.to_string(),
                "signatures": signatures,
                "manifest": manifest,
            }));
        } else {
            let (id, version, release) = (&manifest.id, &manifest.version, manifest.release);
            print::line(&format!("{id} {version} release {release}: {digest}, {signatures} signatures"));
            contents(&manifest);
        }
        return Ok(DONE);
    }
    let Some(out) = out else {
        eprintln!("claw: `{}` is no package yet", print::plain(&directory.display().to_string()));
        eprintln!("hint: say with --out where the package is to be");
        return Err(UNUSABLE);
    };
    let (manifest, digest) = adapters::pack(directory, out, keys).map_err(|error| unusable(&error))?;
    if json {
        print::json(&json!({
            "package": out,
            "digest": digest.to_string(),
            "signatures": keys.len(),
            "manifest": manifest,
        }));
    } else {
        let (id, version, release) = (&manifest.id, &manifest.version, manifest.release);
        print::line(&format!("{id} {version} release {release}: {digest}"));
        contents(&manifest);
    }
    Ok(DONE)
}

/// What an adapter says of itself, each thing on one line.
fn contents(manifest: &Manifest) {
    print::line(&print::row(&format!("for: {}", manifest.summary)));
    for tool in &manifest.tools {
        print::line(&print::row(&format!("tool {} {}", tool.name, tool.definition)));
    }
    for entry in &manifest.egress {
        let text = format!("egress {} on plane {}: {}", entry.destination, entry.plane, entry.purpose);
        print::line(&print::row(&text));
    }
    for secret in &manifest.secrets {
        let text = format!("secret {} into {} of {}", secret.name, secret.header, secret.audience);
        print::line(&print::row(&text));
    }
}

fn verify(package: &Path, keyring: &Path, json: bool) -> Result<u8, u8> {
    let keys = keys(keyring, &host()?)?;
    match adapters::verify(package, &keys) {
        Ok(read) => {
            let Package { digest, manifest, .. } = &read;
            if json {
                print::json(&json!({
                    "package": package,
                    "verified": true,
                    "digest": digest.to_string(),
                    "keys": read.keys(),
                    "manifest": manifest,
                }));
                return Ok(DONE);
            }
            let (id, version, release) = (&manifest.id, &manifest.version, manifest.release);
            print::line(&format!("{id} {version} release {release}: {digest}"));
            read.keys().iter().for_each(|key| print::line(&format!("signed by {key}")));
            contents(manifest);
            Ok(DONE)
        }
        Err(error) => refused(&error, package, json),
    }
}

fn install(package: &Path, keyring: &Path, json: bool) -> Result<u8, u8> {
    let host = host()?;
    let keys = keys(keyring, &host)?;
    match adapters::install(package, &keys, &claw_run::resolved(&host.state)) {
        Ok(installed) => {
            if json {
                print::json(&installed);
            } else {
                let Installed { id, version, release, digest, .. } = &installed;
                print::line(&format!("installed {id} {version} release {release}: {digest}"));
            }
            Ok(DONE)
        }
        Err(error) => refused(&error, package, json),
    }
}

fn list(json: bool) -> Result<u8, u8> {
    let all = adapters::list(&claw_run::resolved(&host()?.state)).map_err(|error| unusable(&error))?;
    let whole = all.iter().all(|(_, state)| *state == State::Present);
    if json {
        let with = |(installed, state): &(Installed, State)| {
            let mut value = serde_json::to_value(installed).unwrap_or_default();
            if let Some(map) = value.as_object_mut() {
                map.insert("state".to_owned(), serde_json::to_value(state).unwrap_or(Value::Null));
            }
            value
        };
        print::json(&all.iter().map(with).collect::<Vec<_>>());
        return Ok(if whole { DONE } else { NO });
    }
    if all.is_empty() {
        print::line("no adapter is installed");
        return Ok(DONE);
    }
    print::line(&format!(
        "{:<24} {:<12} {:>7}  {:<7}  {}",
        "ADAPTER", "VERSION", "RELEASE", "STATE", "TOOLS"
    ));
    for (installed, state) in &all {
        let tools: Vec<&str> = installed.tools.iter().map(|pinned| pinned.tool.as_str()).collect();
        let state = match state {
            State::Present => "present",
            State::Missing => "missing",
            State::Changed => "changed",
        };
        let Installed { id, version, release, .. } = installed;
        let line = format!("{id:<24} {version:<12} {release:>7}  {state:<7}  {}", tools.join(" "));
        print::line(&print::row(&line));
    }
    Ok(if whole { DONE } else { NO })
}

fn host() -> Result<Host, u8> {
    environment::host().map_err(|error| {
        print::error(&error, Some("the working directory must exist"));
        UNUSABLE
    })
}

/// The answer is no, or there is none.
fn refused(error: &AdapterError, package: &Path, json: bool) -> Result<u8, u8> {
    if !error.is_answer() {
        return Err(unusable(error));
    }
    if json {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        print::json(&json!({ "package": package, "verified": false, "code": error.code(), "why": why }));
    } else {
        print::error(error, error.hint());
    }
    Ok(NO)
}

fn unusable(error: &AdapterError) -> u8 {
    print::error(error, error.hint());
    UNUSABLE
}
