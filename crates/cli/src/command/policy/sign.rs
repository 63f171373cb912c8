//! `claw policy sign` and `claw policy verify`.

use claw_run::signed::{self, SignError, Signing, Terms};
use claw_run::{Demand, Held, Seen, SignedError, rises};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::parse;
use crate::arguments::{PolicySign, PolicyVerify};
use crate::command::believed::{Believed, believed, meant, named};
use crate::command::run::read;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Signs a policy.
pub(super) fn sign(arguments: &PolicySign) -> Result<u8, u8> {
    let file = &arguments.file;
    let text = read(file)?;
    let policy = parse(&text, file)?;
    let directory = environment::host().map(|host| host.directory).unwrap_or_default();
    let place = claw_run::resolved(&directory.join(file));
    let terms = match arguments.add {
        true => Terms::Add,
        false => terms(arguments)?,
    };
    let what = Signing { file: &place, text: &text, policy: &policy, directory: &directory };
    let failed = |error: SignError| {
        print::error(&error, Some(error.hint()));
        UNUSABLE
    };
    let prepared = signed::prepare(&what, terms).map_err(failed)?;
    let release = prepared.release().clone();
    meant(release.keyring, arguments.keyring.as_deref())?;
    let (name, version, expires) = (&release.name, release.version, release.expires);
    if !arguments.json {
        print::line(&format!("signing `{name}` version {version}, until {expires}"));
        if let Some(keyring) = release.keyring {
            print::line(&format!("for the keyring {keyring}, and no other"));
        }
    }
    let signatures = prepared.sign(&arguments.key).map_err(failed)?;
    let place = signed::signature_of(&place);
    if arguments.json {
        print::json(&json!({
            "file": file,
            "signature": place,
            "signatures": signatures,
            "name": release.name,
            "version": release.version,
            "keyring": release.keyring.map(|keyring| keyring.to_string()),
            "not_before": release.not_before.to_string(),
            "expires": release.expires.to_string(),
            "files": release.files,
        }));
        return Ok(DONE);
    }
    let place = print::plain(&place.display().to_string());
    print::line(&format!("{place}: `{name}` version {version}, until {expires}, {signatures} signatures"));
    for named in &release.files {
        print::line(&format!("with {} {} {}", named.role.as_str(), print::plain(&named.path), named.digest));
    }
    Ok(DONE)
}

fn terms(arguments: &PolicySign) -> Result<Terms, u8> {
    let not_before = arguments.not_before.unwrap_or_else(Timestamp::now);
    let length = SignedDuration::from_hours(i64::from(arguments.days).saturating_mul(24));
    let expires = match arguments.expires {
        Some(expires) => expires,
        None => not_before.checked_add(length).map_err(|error| {
            print::error(&error, Some("give fewer --days"));
            UNUSABLE
        })?,
    };
    let (name, version) = (arguments.name.clone(), arguments.version);
    let keyring = arguments.keyring.as_deref().map(named).transpose()?;
    Ok(Terms::New { name, version, keyring, not_before, expires })
}

/// Tells whether the signature of a policy holds.
pub(super) fn verify(arguments: &PolicyVerify) -> Result<u8, u8> {
    let PolicyVerify { file, json, .. } = arguments;
    let text = read(file)?;
    match judged(&text, arguments)? {
        Ok((held, seen)) => {
            let release = held.release();
            if *json {
                print::json(&json!({
                    "file": file,
                    "verified": true,
                    "name": release.name,
                    "version": release.version,
                    "keyring": release.keyring.map(|keyring| keyring.to_string()),
                    "digest": held.policy().to_string(),
                    "not_before": release.not_before.to_string(),
                    "expires": release.expires.to_string(),
                    "keys": held.keys(),
                    "files": release.files,
                    "seen": seen,
                }));
                return Ok(DONE);
            }
            let (name, version, expires) = (&release.name, release.version, release.expires);
            print::line(&format!("`{name}` version {version}, until {expires}, {}", held.policy()));
            for key in held.keys() {
                print::line(&format!("signed by {key}"));
            }
            for named in &release.files {
                let path = print::plain(&named.path);
                print::line(&format!("with {} {path} {}", named.role.as_str(), named.digest));
            }
            Ok(DONE)
        }
        Err(error) if error.is_answer() => {
            if *json {
                let why = said(&error);
                print::json(&json!({ "file": file, "verified": false, "code": error.code(), "why": why }));
            } else {
                print::error(&error, Some(error.hint()));
            }
            Ok(NO)
        }
        Err(error) => {
            print::error(&error, Some(error.hint()));
            Err(UNUSABLE)
        }
    }
}

/// The verdict, and the highest version that was seen. An error on the left is one that was told already.
fn judged(text: &str, arguments: &PolicyVerify) -> Result<Result<(Held, Option<u64>), SignedError>, u8> {
    let PolicyVerify { file, keyring, name, .. } = arguments;
    let host = environment::host().map_err(|error| {
        print::error(&error, Some("the working directory must exist"));
        UNUSABLE
    })?;
    let shown = file.display().to_string();
    let place = claw_run::resolved(&host.directory.join(file));
    let Believed { pins, clock } = believed(keyring, &host)?;
    let demand = Demand { keyring: keyring.clone(), pins, floor: clock.now(), name: name.clone() };
    let held = || demand.judge((&shown, &place), text.as_bytes(), signed::signature(&place)?.as_deref());
    let held = match held() {
        Ok(held) => held,
        Err(error) => return Ok(Err(error)),
    };
    let policy = parse(text, file)?;
    let seen = || {
        signed::confirm(&held, &policy, &shown, &host.directory)?;
        let name = &held.release().name;
        let seen = Seen::look(&claw_run::resolved(&host.state), name)?;
        rises(name, held.version(), seen)?;
        Ok(seen.map(|seen| seen.number))
    };
    Ok(seen().map(|seen| (held.clone(), seen)))
}

/// An error with its causes.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
