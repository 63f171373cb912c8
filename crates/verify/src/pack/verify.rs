//! Judges what was read: from the root that is pinned here, never from anything in the archive.

use std::collections::BTreeMap;

use crate::pack::format::{BLOBS, INDEX, SUM, TARGETS, TUF};
use crate::pack::layout::named;
use crate::pack::signed::Measure;
use crate::pack::{About, Contents, Flaw, Item, Kind, PackError, parts};
use crate::revocation::{Claim, Position, Revocations, Witness};
use crate::tuf::{Files, Seen, Trusted, TufError, uptane};
use crate::{Clock, KeyId, Proof, Signer, Verified};
use claw_model::digest::Digest;

/// A pack that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// What it carries.
    pub artefacts: Vec<Artefact>,
    /// On whose word.
    pub holders: Vec<Holder>,
    /// What was taken back.
    pub revocations: Revocations,
    /// Whom Sigstore's bundles are measured by, if it says so.
    pub trust_root: Option<Vec<u8>>,
    /// The root that is trusted now.
    pub root: u64,
}

/// An artefact that was approved, and not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Its name.
    pub name: String,
    /// What the approval says of it.
    pub about: About,
    /// What it contains.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What belongs to it.
    pub attachments: Vec<Attachment>,
}

/// Something that belongs to an artefact, and was approved with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// What the approval says of it.
    pub about: About,
    /// What it contains.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Who made it, if it is a bundle or an envelope: that was verified.
    pub signers: Vec<Signer>,
}

/// A holder of a key whose signature counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// For which role.
    pub role: String,
    /// The key's id.
    pub key: String,
    /// The name that the keyring gives.
    pub name: Option<String>,
}

/// What was verified, and what there is to remember of it.
#[derive(Debug)]
pub struct Verdict {
    /// The pack.
    pub pack: Verified<Pack>,
    /// The metadata.
    pub trusted: Trusted,
    /// The clock by which it was judged.
    pub clock: Clock,
}

impl Verdict {
    /// Remembers all that must not be followed by less.
    pub fn remember(&self, seen: &mut Seen) {
        seen.remember(&self.trusted, self.pack.value().revocations.version);
    }
}

/// Judges a pack that was read. With a `director`, only what both name alike is accepted.
pub fn verify(
    contents: &Contents,
    pinned: &[u8],
    clock: &Clock,
    seen: &Seen,
    director: Option<&mut Trusted>,
) -> Result<Verdict, PackError> {
    let files = metadata(contents)?;
    let known = seen.known(pinned);
    let (mut trusted, clock) = fresh(pinned, &files, clock, known)?;
    let now = clock.now();
    let least = known.map(|known| known.revocations()).unwrap_or_default();
    let list = special(contents, &mut trusted, REVOCATIONS, Kind::Revocations)?
        .ok_or_else(|| Flaw::Missing { name: format!("{TARGETS}{REVOCATIONS}") })?;
    let revocations = Revocations::read(&list, now, least)?;
    let root = special(contents, &mut trusted, TRUST_ROOT, Kind::TrustRoot)?;
    let index = contents.documents.get(INDEX).ok_or_else(|| Flaw::Missing { name: INDEX.to_owned() })?;
    let items = Item::all(&mut trusted, &named(index)?)?;
    let mut artefacts = artefacts(&items);
    trusted.without(&revocations.compromised())?;
    exactly(contents, &items, &files)?;
    if let Some(name) = trusted.unused().into_iter().next() {
        return Err(Flaw::Unapproved { name: format!("{TUF}{name}") }.into());
    }
    let measure = Measure { contents, root: root.as_deref(), clock, revocations: &revocations };
    for artefact in &mut artefacts {
        revoked(&trusted, artefact, &revocations)?;
        let mut attachments = std::mem::take(&mut artefact.attachments);
        for one in &mut attachments {
            one.signers = measure.signers(artefact, one)?;
        }
        artefact.attachments = attachments;
    }
    if let Some(director) = director {
        for artefact in &artefacts {
            uptane::both(&mut trusted, director, &artefact.name)?;
        }
    }
    let until = trusted.until().min(revocations.expires);
    let holders = holders(&trusted);
    let pack = Pack { artefacts, holders, revocations, trust_root: root, root: trusted.versions().root };
    let threshold =
        Proof::Threshold { need: trusted.threshold("targets"), have: trusted.signers("targets").len() };
    let proven = vec![Proof::Signature, threshold, Proof::Subject];
    let pack = Verified::new(pack, signers(&trusted), proven).within(None, Some(until));
    Ok(Verdict { pack, trusted, clock })
}

/// The newest metadata at a time that cannot be before its own signatures.
fn fresh(
    pinned: &[u8],
    files: &Files,
    clock: &Clock,
    known: Option<&crate::tuf::Known>,
) -> Result<(Trusted, Clock), PackError> {
    let trusted = Trusted::refresh(pinned, files, clock, known)?;
    match trusted.issued() {
        Some((issued, _)) if clock.now() < issued => {
            let clock = clock.raised(issued);
            Ok((Trusted::refresh(pinned, files, &clock, known)?, clock))
        }
        _ => Ok((trusted, *clock)),
    }
}

/// The metadata that a pack carries.
pub fn metadata(contents: &Contents) -> Result<Files, PackError> {
    let mut files = Files::new();
    for (path, bytes) in &contents.documents {
        if let Some(name) = path.strip_prefix(TUF).filter(|name| !name.contains('/')) {
            files.add(name, bytes.clone())?;
        }
    }
    Ok(files)
}

/// A target that is no artefact, if it is listed. Then it must be there.
fn special(
    contents: &Contents,
    trusted: &mut Trusted,
    name: &str,
    kind: Kind,
) -> Result<Option<Vec<u8>>, PackError> {
    let item = match Item::of(trusted, name) {
        Err(PackError::Tuf(TufError::NoTarget { .. })) => return Ok(None),
        other => other?,
    };
    if item.about.kind != kind {
        let why = "it is listed as something else".to_owned();
        return Err(PackError::About { name: name.to_owned(), why });
    }
    let path = format!("{TARGETS}{name}");
    let bytes = contents.documents.get(&path).ok_or_else(|| Flaw::Missing { name: path.clone() })?;
    match (bytes.len() as u64, Digest::of(bytes)) == (item.size, item.digest) {
        true => Ok(Some(bytes.clone())),
        false => Err(Flaw::Differs { name: path }.into()),
    }
}

/// The artefacts among what is carried, each with all that was approved to belong to it: nothing is left out on the way.
fn artefacts(items: &[Item]) -> Vec<Artefact> {
    let attached = |to: &str| {
        let belongs = items.iter().filter(|item| item.about.of.as_deref() == Some(to)).cloned();
        belongs
            .map(|Item { name, about, size, digest }| Attachment {
                name,
                about,
                digest,
                size,
                signers: Vec::new(),
            })
            .collect()
    };
    let artefacts = items.iter().filter(|item| item.about.kind.is_artefact()).cloned();
    artefacts
        .map(|Item { name, about, size, digest }| {
            let attachments = attached(&name);
            Artefact { name, about, digest, size, attachments }
        })
        .collect()
}

/// The archive is the one that follows from what was approved: entry by entry, byte by byte.
fn exactly(contents: &Contents, items: &[Item], files: &Files) -> Result<(), PackError> {
    let document = |digest: &Digest| contents.document(digest).map(<[u8]>::to_vec);
    let expected = parts(items, files, &document)?;
    let expected: BTreeMap<&str, (u64, Digest)> =
        expected.iter().map(|part| (part.name.as_str(), (part.size, part.content.digest()))).collect();
    for (name, is) in &contents.entries {
        match expected.get(name.as_str()) {
            None if name == SUM => {}
            None => return Err(Flaw::Unapproved { name: name.clone() }.into()),
            Some(should) if should != is => return Err(Flaw::Differs { name: name.clone() }.into()),
            Some(_) => {}
        }
    }
    match expected.keys().find(|name| !contents.entries.contains_key(**name)) {
        Some(name) => Err(Flaw::Missing { name: (*name).to_owned() }.into()),
        None => Ok(()),
    }
}

fn revoked(trusted: &Trusted, artefact: &Artefact, revocations: &Revocations) -> Result<(), PackError> {
    let role = trusted.role_of(&artefact.name).unwrap_or_default();
    let since = artefact.about.since.map(Position::Approval);
    let witness = |key: String| Witness {
        key: Some(key),
        positions: since.into_iter().collect(),
        ..Witness::default()
    };
    let witnesses: Vec<Witness> = trusted.signers(&role).into_keys().map(witness).collect();
    let (name, digest) = (artefact.name.as_str(), artefact.digest);
    let claim =
        Claim { name, release: artefact.about.release, digest, need: trusted.threshold(&role).max(1) };
    Ok(revocations.judge(&claim, &witnesses)?)
}

fn holders(trusted: &Trusted) -> Vec<Holder> {
    let mut holders = Vec::new();
    for role in trusted.counted() {
        let signers = trusted.signers(&role).into_iter();
        holders.extend(signers.map(|(key, name)| Holder { role: role.clone(), key, name }));
    }
    holders
}

fn signers(trusted: &Trusted) -> Vec<Signer> {
    let ids = trusted.signers("targets").into_keys();
    ids.filter_map(|id| format!("sha256:{id}").parse().ok()).map(|id| Signer::Key(KeyId(id))).collect()
}

impl Artefact {
    /// The name of the entry with its bytes.
    pub fn entry(&self) -> String {
        format!("{BLOBS}{}", self.digest.hex())
    }
}

impl Attachment {
    /// The name of the entry with its bytes.
    pub fn entry(&self) -> String {
        format!("{BLOBS}{}", self.digest.hex())
    }
}

/// The target that lists what was taken back.
pub const REVOCATIONS: &str = "revocations.json";
/// The target that is Sigstore's trust root.
pub const TRUST_ROOT: &str = "trusted_root.json";
