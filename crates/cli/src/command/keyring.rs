//! `claw keyring`.

use std::collections::BTreeMap;
use std::path::Path;

use claw_verify::keyring::{self, Holder, Keyring, KeyringError, Term};
use claw_verify::pack::{About, By, Kind};
use claw_verify::pins::Pins;
use claw_verify::revocation::{Entry, Position};
use claw_verify::sign::PrivateKey;
use claw_verify::tuf::{Seen, Trusted};
use claw_verify::{Clock, PublicKey};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use self::directory::Directory;
use crate::arguments::{
    ApprovedKind, KeyKind, Keyring as Arguments, KeyringCommand, Named, Revoked, TermArguments,
};
use crate::command::bundle::{failed, files};
use crate::command::seen::Memory;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

mod directory;

/// The files of a keyring, to be believed from a pinned root.
pub(super) fn read(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, u8> {
    Directory::open(directory)?.read()
}

/// Runs a `keyring` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        KeyringCommand::Key { file, algorithm } => key(file, *algorithm),
        KeyringCommand::New { directory, holders, threshold, term } => {
            new(directory, holders, *threshold, *term)
        }
        KeyringCommand::Add { directory, holders, threshold, from, until, term } => {
            change(directory, *term, &mut |keyring, term| {
                for one in holders {
                    let holder = Holder { from: *from, until: *until, ..holder(one)? };
                    keyring.add(&holder, term).map_err(refused)?;
                }
                threshold.map_or(Ok(()), |count| keyring.threshold(count, term).map_err(refused))
            })
        }
        KeyringCommand::Approve { directory, file, kind, of, release, media, identity, issuer, by, term } => {
            let key = by.as_deref().map(public).transpose();
            key.and_then(|key| {
                let named = identity.clone().zip(issuer.clone());
                let named = named.map(|(identity, issuer)| By::Identity { identity, issuer });
                let by = named.or(key.map(|key| By::Key(key.to_pem())));
                let (kind, of, media) = (known(*kind), of.clone(), media.clone());
                approve(directory, file, About { kind, of, media, release: *release, since: None, by }, *term)
            })
        }
        KeyringCommand::Withdraw { directory, name, term } => {
            change(directory, *term, &mut |keyring, term| keyring.withdraw(name, term).map_err(refused))
        }
        KeyringCommand::Revoke { directory, what, why, term } => revoke(directory, what, why, *term),
        KeyringCommand::Renew { directory, term } => {
            change(directory, *term, &mut |keyring, term| keyring.renew(term).map_err(refused))
        }
        KeyringCommand::Sign { directory, key, fresh, now, json } => {
            sign(directory, key, *fresh, *now, *json)
        }
        KeyringCommand::Verify { directory, root, now, json } => {
            verify(directory, root.as_deref(), *now, *json)
        }
    };
    result.unwrap_or_else(|code| code)
}

fn key(file: &Path, kind: KeyKind) -> Result<u8, u8> {
    let algorithm = match kind {
        KeyKind::Ed25519 => claw_verify::key::Algorithm::Ed25519,
        KeyKind::P256 => claw_verify::key::Algorithm::P256,
    };
    let unusable = |error: claw_verify::Error| failed(&error, None);
    let key = PrivateKey::generate(algorithm).map_err(unusable)?;
    let public = file.with_added_extension("pub");
    directory::create(file, key.to_secret_pem().map_err(unusable)?.as_bytes(), 0o600)?;
    directory::create(&public, key.public().to_pem().as_bytes(), 0o644)?;
    print::line(&format!(
        "{}: key {}",
        print::plain(&public.display().to_string()),
        keyring::id(key.public())
    ));
    Ok(DONE)
}

fn new(directory: &Path, holders: &[Named], threshold: usize, term: TermArguments) -> Result<u8, u8> {
    let holders = holders.iter().map(holder).collect::<Result<Vec<_>, u8>>()?;
    let keyring = Keyring::new(&holders, threshold, time(term)).map_err(refused)?;
    let place = Directory::create(directory)?;
    place.keep(&BTreeMap::new(), keyring.files())?;
    drafts(directory, &keyring)
}

/// Changes a keyring's drafts.
fn change(
    directory: &Path,
    term: TermArguments,
    what: &mut dyn FnMut(&mut Keyring, Term) -> Result<(), u8>,
) -> Result<u8, u8> {
    let place = Directory::open(directory)?;
    let files = place.read()?;
    let mut keyring = Keyring::of(files.clone()).map_err(refused)?;
    whole(&keyring)?;
    what(&mut keyring, time(term))?;
    place.keep(&files, keyring.files())?;
    drafts(directory, &keyring)
}

fn approve(directory: &Path, file: &Named, about: About, term: TermArguments) -> Result<u8, u8> {
    if about.kind.is_attached() != about.of.is_some() {
        print::say("claw: what belongs to an artefact is approved with --of NAME, and an artefact without");
        return Err(UNUSABLE);
    }
    if about.kind.is_signed() != about.by.is_some() {
        print::say(
            "claw: say who made a bundle (--identity and --issuer, or --by FILE) or an envelope (--by FILE)",
        );
        return Err(UNUSABLE);
    }
    let wrong = |error: files::FileError| failed(&error, None);
    let layout = about.kind == Kind::Artefact && file.path.is_dir();
    let (digest, size, about) = match layout {
        true => {
            let (digest, size, media) = files::manifest(&file.path).map_err(wrong)?;
            (digest, size, About { kind: Kind::Manifest, media: Some(media), ..about })
        }
        false => {
            let (digest, size) = files::sum(&file.path).map_err(wrong)?;
            (digest, size, about)
        }
    };
    let special = about.kind == Kind::TrustRoot;
    if special && file.name != claw_verify::pack::TRUST_ROOT {
        print::say(&format!("claw: a trust root is called {}", claw_verify::pack::TRUST_ROOT));
        return Err(UNUSABLE);
    }
    if special {
        // every pack carries it: it is kept here
        let bytes = files::small(&file.path)?;
        let kept = directory.join("targets");
        std::fs::create_dir_all(&kept).map_err(|error| wrong(files::FileError::of(&kept, error)))?;
        let kept = kept.join(format!("{}.{}", digest.hex(), file.name));
        claw_sys::whole::replace(&kept, &bytes, 0o644)
            .map_err(|error| wrong(files::FileError::of(&kept, error)))?;
    }
    change(directory, term, &mut |keyring, term| {
        keyring.approve(&file.name, size, &digest, about.clone(), term).map_err(refused)
    })
}

fn revoke(directory: &Path, what: &Revoked, why: &str, term: TermArguments) -> Result<u8, u8> {
    let entry = entry(what, why.to_owned()).ok_or_else(|| {
        print::say("claw: name one thing to take back, and for a key --compromised or --retired-before");
        UNUSABLE
    })?;
    change(directory, term, &mut |keyring, term| {
        if let Some(key) = &what.key {
            match keyring.remove(bare(key), term) {
                // a key that signs bundles need not be a holder's
                Ok(()) | Err(KeyringError::NoKey { .. }) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        keyring.revoke(entry.clone(), term).map_err(refused)
    })
}

fn entry(what: &Revoked, why: String) -> Option<Entry> {
    if let Some(digest) = what.artefact {
        return Some(Entry::Artefact { digest, why });
    }
    if let Some(key) = &what.key {
        let key = bare(key).to_owned();
        let position = |number| if what.log { Position::Log(number) } else { Position::Approval(number) };
        return match (what.compromised, what.retired_before) {
            (true, _) => Some(Entry::Compromised { key, except: what.except.iter().copied().collect(), why }),
            (false, Some(number)) => Some(Entry::Retired { key, before: position(number), why }),
            (false, None) => None,
        };
    }
    if let Some(releases) = &what.releases {
        let (name, range) = releases.split_once('=')?;
        let (from, until) = range.split_once('-')?;
        let (from, until) = (from.parse().ok()?, until.parse().ok()?);
        return Some(Entry::Releases { name: name.to_owned(), from, until, why });
    }
    let (identity, issuer) = (what.identity.clone()?, what.issuer.clone()?);
    Some(Entry::Identity { identity, issuer, from: what.from?, until: what.until?, why })
}

/// Key ids are written with and without their algorithm.
fn bare(key: &str) -> &str {
    key.strip_prefix("sha256:").unwrap_or(key)
}

fn sign(directory: &Path, key: &Path, fresh: u16, now: Option<Timestamp>, json: bool) -> Result<u8, u8> {
    let text = String::from_utf8_lossy(&files::small(key)?).into_owned();
    let key = PrivateKey::from_pem(&text).map_err(|error| failed(&error, None))?;
    let place = Directory::open(directory)?;
    let files = place.read()?;
    let mut keyring = Keyring::of(files.clone()).map_err(refused)?;
    let mut memory = whole(&keyring)?;
    if !json {
        tell(&keyring)?;
    }
    let now = now.unwrap_or_else(Timestamp::now);
    let fresh = after(now, fresh);
    let progress = keyring.sign(&key, now, fresh).map_err(refused)?;
    place.keep(&files, keyring.files())?;
    if let Some(first) = keyring.files().get(FIRST) {
        memory.learn(first, &keyring.served(), &Clock::at(now)).map_err(|error| failed(&error, None))?;
    }
    let pair = |(role, version): &(String, u64)| json!({"role": role, "version": version});
    if json {
        let waiting: Vec<Value> = progress
            .waiting
            .iter()
            .map(|(role, have, need)| json!({"role": role, "have": have, "need": need}))
            .collect();
        print::json(&json!({
            "signed": progress.signed.iter().map(pair).collect::<Vec<_>>(),
            "published": progress.published.iter().map(pair).collect::<Vec<_>>(),
            "waiting": waiting,
        }));
        return Ok(DONE);
    }
    for (role, version) in &progress.signed {
        print::line(&format!("signed {role} version {version}"));
    }
    for (role, version) in &progress.published {
        print::line(&format!("published {role} version {version}"));
    }
    for (role, have, need) in &progress.waiting {
        print::line(&format!("{role} waits: {have} of {need} signatures"));
    }
    Ok(DONE)
}

/// Refuses a keyring that holders did not sign as it is, or that is less than what this machine saw of it before.
fn whole(keyring: &Keyring) -> Result<Memory, u8> {
    let host = environment::host().map_err(|error| failed(&error, None))?;
    let memory = Memory::open(&host.state).map_err(|error| failed(&error, None))?;
    let known = keyring.files().get(FIRST).and_then(|first| memory.seen.known(first));
    keyring.check(known).map_err(refused)?;
    crate::command::believed::from_pinned(keyring)?;
    Ok(memory)
}

/// What the drafts say, before anybody signs them: lines that differ from what is published.
fn tell(keyring: &Keyring) -> Result<(), u8> {
    if let Some(name) = keyring.name().map_err(refused)? {
        print::line(&format!("keyring {name}"));
    }
    for draft in keyring.drafts().map_err(refused)? {
        let before = keyring.published(&draft.role).map_err(refused)?.unwrap_or(Value::Null);
        let after = keyring.drafted_body(&draft.role).map_err(refused)?.unwrap_or(Value::Null);
        print::line(&format!("draft of {} version {}:", draft.role, draft.version));
        if before.is_null() && draft.version > 1 {
            print::line("  all of it: too few of those who count now have signed what was there before");
        }
        let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
        flat("", &before, &mut old);
        flat("", &after, &mut new);
        for (path, value) in &old {
            if new.get(path) != Some(value) {
                print::line(&print::row(&format!("  - {path} {value}")));
            }
        }
        for (path, value) in &new {
            if old.get(path) != Some(value) {
                print::line(&print::row(&format!("  + {path} {value}")));
            }
        }
    }
    let (more, less) = keyring.revocations_changed().map_err(refused)?;
    for (word, entries) in [("takes back", more), ("no longer takes back", less)] {
        for entry in entries {
            let entry = serde_json::to_string(&entry).unwrap_or_default();
            print::line(&print::row(&format!("  {word} {entry}")));
        }
    }
    Ok(())
}

fn flat(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flat(&format!("{path}/{name}"), value, out))
        }
        Value::Null => {}
        other => drop(out.insert(path.to_owned(), other.to_string())),
    }
}

fn verify(directory: &Path, root: Option<&Path>, now: Option<Timestamp>, json: bool) -> Result<u8, u8> {
    let place = Directory::open(directory)?;
    let keyring = Keyring::of(place.read()?).map_err(refused)?;
    let served = keyring.served();
    let host = environment::host().map_err(|error| failed(&error, None))?;
    let mut memory = Memory::open(&host.state).map_err(|error| failed(&error, None))?;
    let pinned = match root {
        Some(root) => files::small(root)?,
        None => served.read("1.root.json").map(<[u8]>::to_vec).unwrap_or_default(),
    };
    let drafts = keyring.drafts().map_err(refused)?;
    if pinned.is_empty() {
        waiting(&drafts);
        print::line("no: no root is published yet");
        return Ok(NO);
    }
    let clock = match root {
        // its own root proves nothing: nothing is remembered, and the clock is believed
        None => Clock::at(now.unwrap_or_else(Timestamp::now)),
        Some(_) => memory.clock(now, Some(&pinned)).map_err(|floor| {
            let now = now.unwrap_or_default();
            failed(&claw_verify::pack::PackError::Floor { now, floor }, None)
        })?,
    };
    if root.is_some() {
        memory.learn(&pinned, &served, &clock).map_err(|error| failed(&error, None))?;
    }
    let none = Seen::new();
    let seen = if root.is_some() { &memory.seen } else { &none };
    if let Err(error) = Trusted::refresh(&pinned, &served, &clock, seen.known(&pinned)) {
        return Ok(no(&error, error.code(), error.hint(), json));
    }
    // and without what the keyring itself took back, as every node judges
    let (trusted, revocations) = match Pins::of_keyring(&pinned, &keyring, &clock, seen.known(&pinned)) {
        Ok((_, trusted, revocations)) => (trusted, revocations),
        Err(error) => return Ok(no(&error, error.code(), None, json)),
    };
    if root.is_some() {
        memory.seen.remember(&trusted, revocations);
        memory.keep().map_err(|error| failed(&error, None))?;
    }
    shown(&trusted, &drafts, root.is_some(), json);
    Ok(DONE)
}

fn no(error: &dyn std::error::Error, code: &str, hint: Option<&str>, json: bool) -> u8 {
    if json {
        print::json(&json!({"verdict": "no", "code": code, "why": error.to_string(), "hint": hint}));
    } else {
        print::line(&format!("no [{code}]"));
        print::error(error, hint);
    }
    NO
}

fn shown(trusted: &Trusted, drafts: &[keyring::Draft], pinned: bool, json: bool) {
    let root = trusted.root();
    let ids = root.role("root").map(|role| role.keyids.clone()).unwrap_or_default();
    let name = |id: &String| {
        let key = root.keys.get(id).and_then(|key| key.extra.get("x-claw-name"));
        key.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let until = trusted.until();
    if json {
        let holders: Vec<Value> = ids.iter().map(|id| json!({"key": id, "name": name(id)})).collect();
        let drafts: Vec<Value> = drafts
            .iter()
            .map(|draft| json!({"role": draft.role, "version": draft.version, "signed": draft.signed, "need": draft.need}))
            .collect();
        print::json(&json!({
            "verdict": "yes", "until": until, "pinned": pinned, "root": root.version,
            "keyring": trusted.keyring().map(|keyring| keyring.to_string()),
            "threshold": trusted.threshold("root"), "holders": holders, "approved": trusted.listed(),
            "drafts": drafts,
        }));
        return;
    }
    print::line(&format!("yes: root version {}, until {until}", root.version));
    print::line(&match trusted.keyring() {
        Some(keyring) => format!("keyring {keyring}"),
        None => "no name: what its holders approve in another such repository would count here".to_owned(),
    });
    if !pinned {
        print::line("begun at its own first root: pin that one elsewhere, and name it with --root");
    }
    print::line(&format!("{} of {} holders must sign:", trusted.threshold("root"), ids.len()));
    for id in &ids {
        print::line(&print::row(&format!("  {} {id}", name(id))));
    }
    for approved in trusted.listed() {
        print::line(&print::row(&format!("approved {approved}")));
    }
    waiting(drafts);
}

fn waiting(drafts: &[keyring::Draft]) {
    for draft in drafts {
        let (have, need) = (draft.signed.len(), draft.need);
        print::line(&format!(
            "draft of {} version {}: {have} of {need} signatures",
            draft.role, draft.version
        ));
    }
}

fn drafts(directory: &Path, keyring: &Keyring) -> Result<u8, u8> {
    waiting(&keyring.drafts().map_err(refused)?);
    print::line(&print::plain(&format!("next: claw keyring sign {} --key FILE", directory.display())));
    Ok(DONE)
}

fn holder(named: &Named) -> Result<Holder, u8> {
    Ok(Holder { name: named.name.clone(), key: public(&named.path)?, from: None, until: None })
}

fn public(path: &Path) -> Result<PublicKey, u8> {
    let text = String::from_utf8_lossy(&files::small(path)?).into_owned();
    let hint = "a public key in PEM, as `claw keyring key` makes it";
    PublicKey::from_pem(&text).map_err(|error| failed(&error, Some(hint)))
}

fn known(kind: ApprovedKind) -> Kind {
    match kind {
        ApprovedKind::Artefact => Kind::Artefact,
        ApprovedKind::Bundle => Kind::Bundle,
        ApprovedKind::Envelope => Kind::Envelope,
        ApprovedKind::Provenance => Kind::Provenance,
        ApprovedKind::Sbom => Kind::Sbom,
        ApprovedKind::Other => Kind::Other,
        ApprovedKind::TrustRoot => Kind::TrustRoot,
    }
}

fn time(term: TermArguments) -> Term {
    let now = term.now.unwrap_or_else(Timestamp::now);
    Term { now, until: after(now, term.days) }
}

fn after(now: Timestamp, days: u16) -> Timestamp {
    now.checked_add((i64::from(days).saturating_mul(24)).hours()).unwrap_or(Timestamp::MAX)
}

fn refused(error: KeyringError) -> u8 {
    failed(&error, error.hint())
}

/// The root that a keyring begins with.
const FIRST: &str = "metadata/1.root.json";
