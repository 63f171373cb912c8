//! `claw bundle`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::Path;

use claw_verify::pack::{self, Contents, Limits, PackError, Sink, Verdict};
use claw_verify::tuf::{Files, Trusted};
use claw_verify::{Clock, Verified};
use serde_json::json;

use self::files::{Sources, repository};
use crate::arguments::{Bundle as Arguments, BundleCommand, BundleTrust, Named};
use crate::command::seen::Memory;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

pub(super) mod files;
mod stage;

/// Runs a `bundle` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        BundleCommand::Pack { keyring, out, root, now, json, files } => {
            let clock = Clock::at(now.unwrap_or_else(jiff::Timestamp::now));
            make(keyring, root.as_deref(), out, files, clock, *json)
        }
        BundleCommand::Verify { pack, trust, json } => {
            judge(pack, trust, *json, &mut pack::Nothing, &mut |_, _| Ok(()))
        }
        BundleCommand::Unpack { pack, out, trust, json } => unpack(pack, out, trust, *json),
    };
    result.unwrap_or_else(|code| code)
}

/// Shows an error and yields the code for unusable input.
pub(super) fn failed(error: &dyn std::error::Error, hint: Option<&str>) -> u8 {
    print::error(error, hint);
    UNUSABLE
}

fn make(
    keyring: &Path,
    root: Option<&Path>,
    out: &Path,
    named: &[Named],
    clock: Clock,
    json: bool,
) -> Result<u8, u8> {
    let pinned = root.map_or_else(|| keyring.join("metadata/1.root.json"), Path::to_owned);
    let pinned = files::small(&pinned)?;
    let refused = |error: PackError| failed(&error, error.hint());
    let tuf = |error| refused(PackError::Tuf(error));
    let mut trusted = Trusted::refresh(&pinned, &newest(keyring)?, &clock, None).map_err(tuf)?;
    let mut artefacts = Vec::new();
    for one in named {
        let item = pack::Item::of(&mut trusted, &one.name).map_err(refused)?;
        if item.about.kind.is_artefact() {
            artefacts.push(one.name.clone());
        }
    }
    let items = pack::Item::all(&mut trusted, &artefacts).map_err(refused)?;
    let sources = Sources::find(keyring, named, &items)?;
    let document = |digest: &_| sources.document(digest);
    let parts = pack::parts(&items, &trusted.used(), &document).map_err(refused)?;
    let size = pack::archive_size(&parts);
    write(&parts, out, &sources)?;
    let until = trusted.until();
    if json {
        let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        print::json(&json!({"pack": out, "bytes": size, "until": until, "carries": names}));
    } else {
        print::line(&format!("packed {} into {}, {size} bytes", artefacts.join(", "), out.display()));
        print::line(&format!("until {until}"));
    }
    Ok(DONE)
}

/// All roots, and the newest of the rest: what a repository would serve.
fn newest(keyring: &Path) -> Result<Files, u8> {
    repository(&keyring.join("metadata"))
}

fn write(parts: &[pack::Part], out: &Path, sources: &Sources) -> Result<(), u8> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let fresh = parent.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        if out.exists() {
            return Err(PackError::Io(io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let file = File::create_new(&fresh).map_err(PackError::Io)?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        pack::write(parts, &mut writer, &mut |digest| sources.open(digest))?;
        let file = writer.into_inner().map_err(|error| PackError::Io(error.into_error()))?;
        let named = file.sync_all().and_then(|()| fs::hard_link(&fresh, out));
        named.map_err(PackError::Io)
    })();
    let _ = fs::remove_file(&fresh);
    written.map_err(|error| failed(&error, error.hint().or(Some("the pack must not exist yet"))))
}

fn unpack(pack: &Path, out: &Path, trust: &BundleTrust, json: bool) -> Result<u8, u8> {
    let mut stage = stage::Stage::beside(out).map_err(|error| failed(&error, None))?;
    let place = stage.place().to_owned();
    let mut put = |verdict: &Verdict, _: &Contents| stage::named(&place, verdict);
    let code = judge(pack, trust, json, &mut stage, &mut put)?;
    if code == DONE {
        stage.appear().map_err(|error| failed(&error, None))?;
    }
    Ok(code)
}

/// Reads, judges, and remembers. `put` runs after the judgement, and what it cannot do is an error.
fn judge(
    pack: &Path,
    trust: &BundleTrust,
    json: bool,
    sink: &mut dyn Sink,
    put: &mut dyn FnMut(&Verdict, &Contents) -> io::Result<()>,
) -> Result<u8, u8> {
    let host = environment::host().map_err(|error| failed(&error, None))?;
    let pinned = trust.root.clone().unwrap_or_else(|| host.config.join("root.json"));
    let pinned = files::small(&pinned)?;
    claw_verify::tuf::pin(&pinned)
        .map_err(|error| failed(&error, Some("pin a root: metadata/1.root.json of a keyring")))?;
    let mut memory = Memory::open(&host.state).map_err(|error| failed(&error, None))?;
    let clock = memory.clock(trust.now, Some(&pinned)).map_err(|floor| {
        let error = PackError::Floor { now: trust.now.unwrap_or_default(), floor };
        failed(&error, error.hint())
    })?;
    let file = files::Watched::open(pack);
    let file = file.map_err(|source| failed(&files::FileError::of(pack, source), None))?;
    let limits = Limits { bytes: trust.most, ..Limits::default() };
    let mut source = BufReader::with_capacity(1 << 18, file);
    let assigned = director(trust)?;
    let mut director = None;
    let answer = pack::read(&mut source, &limits, sink).and_then(|contents| {
        memory.seen.learn(&pinned, &pack::metadata(&contents)?, &clock);
        if let Some((root, files)) = &assigned {
            memory.seen.learn(root, files, &clock);
            director = Some(Trusted::refresh(root, files, &clock, memory.seen.known(root))?);
        }
        let verdict = pack::verify(&contents, &pinned, &clock, &memory.seen, director.as_mut())?;
        Ok((contents, verdict))
    });
    // what was signed is remembered where the rest is refused, too
    memory.keep().map_err(|error| failed(&error, None))?;
    let (contents, verdict) = match answer {
        Err(PackError::Io(error)) => return Err(failed(&PackError::Io(error), None)),
        Err(error) => return Ok(no(pack, &error, json)),
        Ok(answer) => answer,
    };
    // on the disk before it takes effect: what comes later is never older than this
    verdict.remember(&mut memory.seen);
    if let Some(director) = &director {
        memory.seen.remember(director, 0);
    }
    memory.keep().map_err(|error| failed(&error, None))?;
    put(&verdict, &contents).map_err(|error| failed(&PackError::Io(error), None))?;
    let by = match memory.seen.floor(Some(&pinned)) == Some(verdict.clock.now()) {
        true => memory.seen.word(&pinned),
        false => &[],
    };
    yes(pack, &verdict, by, json);
    Ok(DONE)
}

/// The root that is pinned for the director, and what it serves.
fn director(trust: &BundleTrust) -> Result<Option<(Vec<u8>, Files)>, u8> {
    let (Some(directory), Some(root)) = (&trust.director, &trust.director_root) else { return Ok(None) };
    Ok(Some((files::small(root)?, newest(directory)?)))
}

fn no(pack: &Path, error: &PackError, json: bool) -> u8 {
    if json {
        let mut causes = vec![error.to_string()];
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let (code, why) = (error.code(), causes.join(": "));
        print::json(&json!({"pack": pack, "verdict": "no", "code": code, "why": why, "hint": error.hint()}));
    } else {
        print::line(&format!("no: {} [{}]", print::plain(&pack.display().to_string()), error.code()));
        print::error(error, error.hint());
    }
    NO
}

fn yes(pack: &Path, verdict: &Verdict, by: &[String], json: bool) {
    let value = verdict.pack.value();
    let until = verdict.pack.until();
    let clock = if verdict.clock.is_held() { "floor" } else { "own" };
    if json {
        let artefacts: Vec<_> = value.artefacts.iter().map(artefact).collect();
        let holders: Vec<_> = value
            .holders
            .iter()
            .map(|holder| json!({"role": holder.role, "key": holder.key, "name": holder.name}))
            .collect();
        print::json(&json!({
            "pack": pack, "verdict": "yes", "until": until, "now": verdict.clock.now(), "clock": clock, "clock_by": by,
            "root": value.root, "revocations": value.revocations.version,
            "holders": holders, "artefacts": artefacts,
        }));
        return;
    }
    print::line(&format!("yes: {}", print::plain(&pack.display().to_string())));
    print::line(&format!("until {}", until.map(|until| until.to_string()).unwrap_or_default()));
    print::line(&format!("on the word of {}", print::row(&word(&verdict.pack))));
    if verdict.clock.is_held() {
        let (said, now) = (verdict.clock.said(), verdict.clock.now());
        let by = match by {
            [] => String::new(),
            by => format!(", on the word of {}", print::row(&by.join(", "))),
        };
        print::line(&format!("clock=floor: it says {said}, and {now} is verified to have passed{by}"));
    }
    for artefact in &value.artefacts {
        print::line(&format!("{} {} {} bytes", print::row(&artefact.name), artefact.digest, artefact.size));
        for one in &artefact.attachments {
            print::line(&format!("  {} {} {} bytes", print::row(&one.name), one.digest, one.size));
            for signer in &one.signers {
                print::line(&print::row(&format!("    signed by {signer}")));
            }
        }
    }
}

/// The holders whose signatures of the approvals counted.
fn word(pack: &Verified<pack::Pack>) -> String {
    let approvals = pack.value().holders.iter().filter(|holder| holder.role == "targets");
    let names: Vec<String> = approvals
        .map(|holder| match &holder.name {
            Some(name) => format!("{name} {}", holder.key),
            None => holder.key.clone(),
        })
        .collect();
    format!("{} (root version {})", names.join(", "), pack.value().root)
}

fn artefact(artefact: &pack::Artefact) -> serde_json::Value {
    let attachments: Vec<_> = artefact
        .attachments
        .iter()
        .map(|one| {
            let signers: Vec<String> = one.signers.iter().map(ToString::to_string).collect();
            json!({"name": one.name, "about": one.about, "digest": one.digest, "bytes": one.size, "signers": signers})
        })
        .collect();
    json!({
        "name": artefact.name, "about": artefact.about, "digest": artefact.digest, "bytes": artefact.size,
        "attachments": attachments,
    })
}
