//! A keyring: who may approve, how many of them must, until when, and what they approved and took back.
//!
//! It is a TUF repository kept as files, small enough to be made by hand: each change is a draft with the next version, which
//! the holders of keys sign one after the other. With enough signatures it is published, and never changes again. Whoever
//! reads it needs the first root, and nothing of this file. All that is signed in it names it, so that it counts in no other.

use std::collections::{BTreeMap, BTreeSet};

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::key::{Algorithm, PublicKey};
use crate::pack::{About, REVOCATIONS};
use crate::revocation::{Entry, Revocations};
use crate::sign::PrivateKey;
use crate::tuf::{KEYRING, Known, MARK};

pub use self::envelope::Signed;
pub use self::error::KeyringError;

mod envelope;
mod error;
mod published;
#[cfg(test)]
mod tests;

/// The files of a keyring, by their path below its directory, and what is done to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring {
    files: BTreeMap<String, Vec<u8>>,
}

/// Somebody who holds a key.
#[derive(Debug, Clone)]
pub struct Holder {
    /// What the holder is called.
    pub name: String,
    /// The public key.
    pub key: PublicKey,
    /// From when it counts.
    pub from: Option<Timestamp>,
    /// Until when it counts.
    pub until: Option<Timestamp>,
}

/// When something is signed, and how long that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Now.
    pub now: Timestamp,
    /// Until.
    pub until: Timestamp,
}

/// What one signature did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Role and version of each draft that was signed.
    pub signed: Vec<(String, u64)>,
    /// Role and version of what was published.
    pub published: Vec<(String, u64)>,
    /// Drafts that wait: role, signatures that are there, and how many are needed.
    pub waiting: Vec<(String, usize, usize)>,
}

/// A draft, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Which role.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// Who has signed, by key id.
    pub signed: Vec<String>,
    /// How many must.
    pub need: usize,
}

impl Keyring {
    /// A keyring of these holders, as drafts that `threshold` of them must sign.
    pub fn new(holders: &[Holder], threshold: usize, term: Term) -> Result<Keyring, KeyringError> {
        let mut keyring = Keyring::default();
        let mut root = json!({
            "_type": "root", "spec_version": SPEC, "version": 1, "consistent_snapshot": true,
            "keys": {}, "roles": {},
        });
        put(&mut root, &[MARK], json!(mark()?));
        for role in ROLES {
            let need = if SINGLE.contains(&role) { 1 } else { threshold };
            put(&mut root, &["roles", role], json!({"keyids": [], "threshold": need}));
        }
        for holder in holders {
            enter(&mut root, holder)?;
        }
        keyring.draft("root", root, term)?;
        let targets = json!({"_type": "targets", "spec_version": SPEC, "version": 1, "targets": {}});
        keyring.approvals(targets, &Revocations::new(term.until), term)?;
        Ok(keyring)
    }

    /// From the files of a directory.
    pub fn of(files: BTreeMap<String, Vec<u8>>) -> Result<Keyring, KeyringError> {
        let keyring = Keyring { files };
        if !keyring.has_root() && keyring.drafted("root")?.is_none() {
            return Err(KeyringError::None);
        }
        Ok(keyring)
    }

    /// What this keyring is known by, in whatever it signs: the digest of its first root, as it is signed. None if it was made before
    /// keyrings had a mark.
    pub fn name(&self) -> Result<Option<Digest>, KeyringError> {
        let path = "metadata/1.root.json";
        let first = match self.files.get(path) {
            Some(bytes) => Signed::read(path, bytes)?,
            None => match self.drafted("root")? {
                Some(draft) => draft,
                None => return Ok(None),
            },
        };
        let marked = version(first.body()) == 1 && first.body().get(MARK).is_some();
        Ok(if marked { Some(Digest::of(&first.bytes()?)) } else { None })
    }

    /// The files, by path. What was published stands in `metadata/` and `targets/`, and can be served as it is.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// What a repository of it serves now: every root, and the rest that the timestamp leads to. Whoever reads it judges it.
    pub fn served(&self) -> crate::tuf::Files {
        let timestamp = "timestamp.json".to_owned();
        let snapshot = self.led(&timestamp, "snapshot");
        let targets = snapshot.as_ref().and_then(|from| self.led(from, "targets"));
        let rest: Vec<String> = [Some(timestamp), snapshot, targets].into_iter().flatten().collect();
        let mut files = crate::tuf::Files::new();
        for (path, bytes) in &self.files {
            let Some(name) = path.strip_prefix("metadata/") else { continue };
            if name.ends_with(".root.json") || rest.iter().any(|one| one == name) {
                // names in a map stand once
                let _ = files.add(name, bytes.clone());
            }
        }
        files
    }

    /// The file of a role that another one names.
    fn led(&self, from: &str, role: &str) -> Option<String> {
        let path = format!("metadata/{from}");
        let from = Signed::read(&path, self.files.get(&path)?).ok()?;
        let named = from.body().pointer(&format!("/meta/{role}.json")).map(version)?;
        Some(format!("{named}.{role}.json"))
    }

    /// One more holder, or another time or name for one who is there.
    pub fn add(&mut self, holder: &Holder, term: Term) -> Result<(), KeyringError> {
        let id = id(&holder.key);
        if self.revocations()?.compromised().contains(&id) {
            return Err(KeyringError::Compromised { key: id });
        }
        let mut root = self.next("root")?;
        enter(&mut root, holder)?;
        self.draft("root", root, term)
    }

    /// How many holders must sign a change, and an approval.
    pub fn threshold(&mut self, threshold: usize, term: Term) -> Result<(), KeyringError> {
        let mut root = self.next("root")?;
        for role in ROLES.iter().filter(|role| !SINGLE.contains(role)) {
            put(&mut root, &["roles", role, "threshold"], json!(threshold));
        }
        self.draft("root", root, term)
    }

    /// The same root for longer.
    pub fn renew(&mut self, term: Term) -> Result<(), KeyringError> {
        let root = self.next("root")?;
        self.draft("root", root, term)?;
        let targets = self.next("targets")?;
        let list = self.revocations()?;
        self.approvals(targets, &list, term)
    }

    /// A holder whose key counts no more.
    pub fn remove(&mut self, key: &str, term: Term) -> Result<(), KeyringError> {
        let mut root = self.next("root")?;
        if root.pointer(&format!("/keys/{key}")).is_none() {
            return Err(KeyringError::NoKey { key: key.to_owned() });
        }
        if let Some(keys) = root.get_mut("keys").and_then(Value::as_object_mut) {
            keys.remove(key);
        }
        for role in ROLES {
            if let Some(ids) =
                root.pointer_mut(&format!("/roles/{role}/keyids")).and_then(Value::as_array_mut)
            {
                ids.retain(|id| id.as_str() != Some(key));
            }
        }
        self.draft("root", root, term)
    }

    /// Approves a target: exactly these bytes by this name.
    pub fn approve(
        &mut self,
        name: &str,
        size: u64,
        digest: &Digest,
        mut about: About,
        term: Term,
    ) -> Result<(), KeyringError> {
        let mut targets = self.next("targets")?;
        let version = version(&targets);
        let before = targets.pointer("/targets").and_then(|all| all.get(name)).cloned();
        let same = before.filter(|before| before.pointer("/hashes/sha256") == Some(&json!(digest.hex())));
        let since = same.and_then(|before| before.pointer("/custom/claw/since").and_then(Value::as_u64));
        about.since = Some(since.unwrap_or(version));
        let about = serde_json::to_value(about).unwrap_or_default();
        let target = json!({"length": size, "hashes": {"sha256": digest.hex()}, "custom": {"claw": about}});
        put(&mut targets, &["targets", name], target);
        let names = targets.get("targets").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        if let Some(above) = crate::pack::clash(names.map(String::as_str)) {
            return Err(KeyringError::Clash { name: name.to_owned(), above });
        }
        self.approvals_with_list(targets, term)
    }

    /// Takes an approval back for the future. What was packed before keeps it until it expires, or is revoked.
    pub fn withdraw(&mut self, name: &str, term: Term) -> Result<(), KeyringError> {
        let mut targets = self.next("targets")?;
        let listed = targets.get_mut("targets").and_then(Value::as_object_mut);
        if listed.and_then(|listed| listed.remove(name)).is_none() {
            return Err(KeyringError::NoTarget { name: name.to_owned() });
        }
        self.approvals_with_list(targets, term)
    }

    /// What was taken back so far, with the draft's changes.
    pub fn revocations(&self) -> Result<Revocations, KeyringError> {
        let list = match self.files.get(DRAFTED_LIST) {
            // an expired list is the one that is about to be renewed
            Some(bytes) => Revocations::read(bytes, Timestamp::MIN, 0).map_err(KeyringError::Revocations)?,
            None => self.published_list()?.ok_or(KeyringError::NoRevocations)?,
        };
        Ok(list)
    }

    /// What the draft takes back that is not taken back yet, and what it takes back no longer.
    pub fn revocations_changed(&self) -> Result<(Vec<Entry>, Vec<Entry>), KeyringError> {
        let before = match self.approved()? {
            Some(approved) if approved.stand => self.list_of(&approved.signed)?.1.entries,
            _ => Vec::new(),
        };
        let after = self.revocations()?.entries;
        let without = |these: &[Entry], those: &[Entry]| {
            these.iter().filter(|one| !those.contains(one)).cloned().collect()
        };
        Ok((without(&after, &before), without(&before, &after)))
    }

    /// Replaces the list of what was taken back with one more entry on it.
    pub fn revoke(&mut self, entry: Entry, term: Term) -> Result<(), KeyringError> {
        let mut list = self.revocations()?;
        list.entries.push(entry);
        let targets = self.next("targets")?;
        self.approvals(targets, &list, term)
    }

    /// The drafts, and how far each is.
    pub fn drafts(&self) -> Result<Vec<Draft>, KeyringError> {
        let mut drafts = Vec::new();
        for role in ["root", "targets"] {
            let Some(draft) = self.drafted(role)? else { continue };
            let (signed, need) = self.progress(role, &draft)?;
            drafts.push(Draft { role: role.to_owned(), version: version(draft.body()), signed, need });
        }
        Ok(drafts)
    }

    /// What a role says that was published last, if it is signed by whom the newest root asks: only that was told before.
    pub fn published(&self, role: &str) -> Result<Option<Value>, KeyringError> {
        let newest = match role {
            "root" => self.root()?.map(|(_, root)| root),
            _ => self.approved()?.filter(|approved| approved.stand).map(|approved| approved.signed),
        };
        Ok(newest.map(|signed| signed.body().clone()))
    }

    /// What was published last: its version, and the digest of what was signed.
    fn newest(&self, role: &str) -> Result<Option<(u64, Digest)>, KeyringError> {
        let newest = match role {
            "root" => self.root()?,
            _ => self.approved()?.map(|approved| (approved.version, approved.signed)),
        };
        newest.map(|(version, signed)| Ok((version, Digest::of(&signed.bytes()?)))).transpose()
    }

    /// What the draft of a role says.
    pub fn drafted_body(&self, role: &str) -> Result<Option<Value>, KeyringError> {
        Ok(self.drafted(role)?.map(|signed| signed.body().clone()))
    }

    /// Signs every draft that asks for this key, and publishes what has enough signatures. Then, and when nothing waits,
    /// snapshot and timestamp are made new, fresh until `fresh`.
    pub fn sign(
        &mut self,
        key: &PrivateKey,
        now: Timestamp,
        fresh: Timestamp,
    ) -> Result<Progress, KeyringError> {
        self.check(None)?;
        let id = id(key.public());
        let mut progress = Progress::default();
        for role in ["root", "targets"] {
            let Some(mut draft) = self.drafted(role)? else { continue };
            if self.asks(role, &draft)?.contains(&id) {
                draft.sign(&id, key)?;
                progress.signed.push((role.to_owned(), version(draft.body())));
                self.files.insert(format!("draft/{role}.json"), draft.to_bytes());
            }
            let (signed, need) = self.progress(role, &draft)?;
            match signed.len() >= need {
                true if role == "root" || self.has_root() => self.publish(role, &draft, &mut progress)?,
                _ => progress.waiting.push((role.to_owned(), signed.len(), need)),
            }
        }
        match self.freshen(key, &id, Term { now, until: fresh }, &mut progress) {
            // what was signed brings the change that is asked for
            Err(KeyringError::Spent { .. }) if !progress.signed.is_empty() => {}
            done => done?,
        }
        match progress.signed.is_empty() && progress.published.is_empty() {
            true => Err(KeyringError::NotAsked { key: id }),
            false => Ok(progress),
        }
    }

    fn freshen(
        &mut self,
        key: &PrivateKey,
        id: &str,
        term: Term,
        progress: &mut Progress,
    ) -> Result<(), KeyringError> {
        let (Some((_, root)), Some(approved)) = (self.root()?, self.approved()?) else { return Ok(()) };
        let taken = self.revocations()?.compromised();
        if taken.contains(id) || !SINGLE.iter().all(|role| ids(root.body(), role).contains(id)) {
            return Ok(());
        }
        let meta = |version: u64, bytes: &[u8]| json!({"version": version, "length": bytes.len(), "hashes": {"sha256": Digest::of(bytes).hex()}});
        let targets = meta(approved.version, &approved.signed.to_bytes());
        let body = json!({
            "_type": "snapshot", "spec_version": SPEC, "version": self.after("snapshot", term.now)?,
            "meta": {"targets.json": targets},
        });
        let mut snapshot = Signed::new(self.named(dated(body, term))?);
        snapshot.sign(id, key)?;
        let version_now = version(snapshot.body());
        let body = json!({
            "_type": "timestamp", "spec_version": SPEC,
            "version": self.after("timestamp", term.now)?,
            "meta": {"snapshot.json": meta(version_now, &snapshot.to_bytes())},
        });
        let mut timestamp = Signed::new(self.named(dated(body, term))?);
        timestamp.sign(id, key)?;
        progress.published.push(("snapshot".to_owned(), version_now));
        progress.published.push(("timestamp".to_owned(), version(timestamp.body())));
        self.files.insert(format!("metadata/{version_now}.snapshot.json"), snapshot.to_bytes());
        self.files.insert("metadata/timestamp.json".to_owned(), timestamp.to_bytes());
        Ok(())
    }

    fn publish(&mut self, role: &str, draft: &Signed, progress: &mut Progress) -> Result<(), KeyringError> {
        let version = version(draft.body());
        self.files.insert(format!("metadata/{version}.{role}.json"), draft.to_bytes());
        self.files.remove(&format!("draft/{role}.json"));
        if role == "targets"
            && let Some(list) = self.files.remove(DRAFTED_LIST)
        {
            self.files.insert(format!("targets/{}.{REVOCATIONS}", Digest::of(&list).hex()), list);
        }
        progress.published.push((role.to_owned(), version));
        Ok(())
    }

    /// Who has signed a draft, and how many must: a root by the one before and by itself.
    fn progress(&self, role: &str, draft: &Signed) -> Result<(Vec<String>, usize), KeyringError> {
        let before = self.root()?.map(|(_, root)| root);
        let mut roots: Vec<&Value> = before.iter().map(Signed::body).collect();
        match role {
            "root" => roots.push(draft.body()),
            _ if roots.is_empty() => return Ok((draft.signers(), self.first_need()?)),
            _ => {}
        }
        let mut missing = 0;
        let mut signed = BTreeSet::new();
        // order: what was taken back counts too: else a key signs the draft that forgets that it was
        let mut taken = self.revocations()?.compromised();
        taken.extend(self.published_list()?.into_iter().flat_map(|list| list.compromised()));
        for root in roots {
            let mut valid = draft.valid(root, role)?;
            // as everybody counts who reads it. A root before still asks whom it named, or nobody could put them out
            if role != "root" || root == draft.body() {
                valid.retain(|id| !taken.contains(id));
            }
            missing = missing.max(need(root, role).saturating_sub(valid.len()));
            signed.extend(valid);
        }
        let have = signed.len();
        Ok((signed.into_iter().collect(), have.saturating_add(missing)))
    }

    fn first_need(&self) -> Result<usize, KeyringError> {
        Ok(self.drafted("root")?.map(|root| need(root.body(), "targets")).unwrap_or(1))
    }

    /// Whom a draft asks.
    fn asks(&self, role: &str, draft: &Signed) -> Result<BTreeSet<String>, KeyringError> {
        let mut asked = BTreeSet::new();
        if let Some((_, root)) = self.root()? {
            asked.extend(ids(root.body(), role));
        }
        match role {
            "root" => asked.extend(ids(draft.body(), role)),
            _ => asked.extend(self.drafted("root")?.map(|root| ids(root.body(), role)).unwrap_or_default()),
        }
        Ok(asked)
    }

    fn draft(&mut self, role: &str, body: Value, term: Term) -> Result<(), KeyringError> {
        if role == "root" {
            possible(&body)?;
        }
        let path = format!("draft/{role}.json");
        let body = dated(body, term);
        if (role, version(&body)) != ("root", 1) {
            self.files.insert(path, Signed::new(self.named(body)?).to_bytes());
            return Ok(());
        }
        self.files.insert(path, Signed::new(body).to_bytes());
        // another first root is another keyring: what it approves is named anew
        if let Some(targets) = self.drafted("targets")? {
            let named = Signed::new(self.named(targets.body().clone())?);
            self.files.insert("draft/targets.json".to_owned(), named.to_bytes());
        }
        Ok(())
    }

    /// The same, with the name of this keyring in place of a first root's mark.
    fn named(&self, mut body: Value) -> Result<Value, KeyringError> {
        let name = self.name()?;
        if let (Some(name), Some(members)) = (name, body.as_object_mut()) {
            members.remove(MARK);
            members.insert(KEYRING.to_owned(), json!(name.to_string()));
        }
        Ok(body)
    }

    /// Refuses what was published and not enough holders signed, what is not all that was seen here before, and drafts that are not
    /// the next: who signs them would approve in another keyring, or what was not told.
    pub fn check(&self, known: Option<&Known>) -> Result<(), KeyringError> {
        for role in ["root", "targets"] {
            let newest = self.newest(role)?;
            let version_now = newest.map(|(version, _)| version).unwrap_or_default();
            if let Some((seen, content)) = known.map(|known| known.newest(role)) {
                if version_now < seen {
                    return Err(KeyringError::Older { role, seen, version: version_now });
                }
                if content.is_some_and(|content| seen == version_now && newest != Some((seen, content))) {
                    return Err(KeyringError::Forked { role, version: seen });
                }
            }
            let Some(draft) = self.drafted(role)? else { continue };
            let first = role == "root" && newest.is_none();
            if !published::is_of(role, &draft) || !first && !self.is_named(&draft)? {
                return Err(KeyringError::Elsewhere { role });
            }
            let (version, next) = (version(draft.body()), after(role, version_now)?);
            if version != next {
                return Err(KeyringError::Stale { role, version, next });
            }
            if role == "targets" {
                let bytes = self.files.get(DRAFTED_LIST).ok_or(KeyringError::NoRevocations)?;
                let list = self.revocations()?.version;
                let next = self.next_list()?;
                if published::listed(draft.body()) != Some(&Digest::of(bytes).hex()) || list != next {
                    return Err(KeyringError::List { next });
                }
            }
        }
        Ok(())
    }

    fn approvals_with_list(&mut self, targets: Value, term: Term) -> Result<(), KeyringError> {
        let list = self.revocations()?;
        self.approvals(targets, &list, term)
    }

    /// Approvals always name the list of what was taken back, as it is now.
    fn approvals(&mut self, mut targets: Value, list: &Revocations, term: Term) -> Result<(), KeyringError> {
        // always: who offers approvals from before offers an older list with them
        let list = Revocations { expires: term.until, version: self.next_list()?, ..list.clone() };
        let bytes = list.to_bytes();
        let custom = json!({"claw": {"kind": "revocations"}});
        let target =
            json!({"length": bytes.len(), "hashes": {"sha256": Digest::of(&bytes).hex()}, "custom": custom});
        put(&mut targets, &["targets", REVOCATIONS], target);
        self.files.insert(DRAFTED_LIST.to_owned(), bytes);
        self.draft("targets", targets, term)
    }

    fn published_list(&self) -> Result<Option<Revocations>, KeyringError> {
        let Some(approved) = self.approved()? else { return Ok(None) };
        Ok(Some(self.list_of(&approved.signed)?.1))
    }

    /// The version of the list of what was taken back that comes next.
    fn next_list(&self) -> Result<u64, KeyringError> {
        after("revocations", self.published_list()?.map(|list| list.version).unwrap_or_default())
    }

    /// The draft of a role, or what was published last with the next version.
    fn next(&self, role: &'static str) -> Result<Value, KeyringError> {
        if let Some(draft) = self.drafted(role)? {
            return Ok(draft.body().clone());
        }
        let newest = match role {
            "root" => self.root()?,
            _ => self.approved()?.map(|approved| (approved.version, approved.signed)),
        };
        let Some((version, published)) = newest else { return Err(KeyringError::None) };
        let mut body = published.body().clone();
        put(&mut body, &["version"], json!(after(role, version)?));
        Ok(body)
    }

    fn drafted(&self, role: &str) -> Result<Option<Signed>, KeyringError> {
        let path = format!("draft/{role}.json");
        self.files.get(&path).map(|bytes| Signed::read(&path, bytes)).transpose()
    }
}

/// The version after this one.
fn after(role: &'static str, version: u64) -> Result<u64, KeyringError> {
    version.checked_add(1).ok_or(KeyringError::Last { role })
}

/// The id by which a key stands in a keyring: the digest of the key itself.
pub fn id(key: &PublicKey) -> String {
    key.id().0.hex()
}

/// What makes a first root unlike any other, by whoever and whenever it is made.
fn mark() -> Result<String, KeyringError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyringError::NoMark)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// Enters a holder into a root.
fn enter(root: &mut Value, holder: &Holder) -> Result<(), KeyringError> {
    if !crate::tuf::is_name(&holder.name) {
        return Err(KeyringError::Name { name: holder.name.clone() });
    }
    let spki = holder.key.spki();
    let (kind, scheme, public) = match holder.key.algorithm() {
        // the key itself is the last 32 bytes (RFC 8410, section 4)
        Algorithm::Ed25519 => {
            let raw = spki.get(spki.len().saturating_sub(32)..).unwrap_or_default();
            ("ed25519", "ed25519", data_encoding::HEXLOWER.encode(raw))
        }
        Algorithm::P256 => ("ecdsa", "ecdsa-sha2-nistp256", holder.key.to_pem()),
        Algorithm::P384 => ("ecdsa", "ecdsa-sha2-nistp384", holder.key.to_pem()),
        Algorithm::Rsa => ("rsa", "rsassa-pss-sha256", holder.key.to_pem()),
    };
    let mut key = json!({"keytype": kind, "scheme": scheme, "keyval": {"public": public}});
    put(&mut key, &[crate::tuf::NAME], json!(holder.name));
    for (field, time) in [(crate::tuf::FROM, holder.from), (crate::tuf::UNTIL, holder.until)] {
        if let Some(time) = time {
            put(&mut key, &[field], json!(seconds(time)));
        }
    }
    let id = id(&holder.key);
    put(root, &["keys", &id], key);
    for role in ROLES {
        let ids = root.pointer_mut(&format!("/roles/{role}/keyids")).and_then(Value::as_array_mut);
        let Some(ids) = ids else { return Err(KeyringError::NoRole { role }) };
        if !ids.iter().any(|other| other.as_str() == Some(&id)) {
            ids.push(json!(id));
        }
    }
    Ok(())
}

/// Refuses thresholds that nobody can meet.
fn possible(root: &Value) -> Result<(), KeyringError> {
    for role in ROLES {
        let (need, have) = (need(root, role), ids(root, role).len());
        if need == 0 || need > have {
            return Err(KeyringError::Impossible { need, have });
        }
    }
    Ok(())
}

fn dated(mut body: Value, term: Term) -> Value {
    put(&mut body, &["expires"], json!(seconds(term.until)));
    put(&mut body, &[crate::tuf::ISSUED], json!(seconds(term.now)));
    body
}

/// Times in metadata have whole seconds.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn version(body: &Value) -> u64 {
    body.get("version").and_then(Value::as_u64).unwrap_or_default()
}

fn need(root: &Value, role: &str) -> usize {
    let need = root.pointer(&format!("/roles/{role}/threshold")).and_then(Value::as_u64);
    need.and_then(|need| usize::try_from(need).ok()).unwrap_or(usize::MAX)
}

fn ids(root: &Value, role: &str) -> BTreeSet<String> {
    let ids = root.pointer(&format!("/roles/{role}/keyids")).and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Sets a member at the end of a path of members.
fn put(value: &mut Value, path: &[&str], new: Value) {
    let [name, rest @ ..] = path else {
        *value = new;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Some(members) = value.as_object_mut() {
        put(members.entry((*name).to_owned()).or_insert(Value::Null), rest, new);
    }
}

/// Where the list lies that a draft of the approvals names.
const DRAFTED_LIST: &str = "draft/revocations.json";
const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
/// What they sign follows from what others signed; one is enough.
const SINGLE: [&str; 2] = ["snapshot", "timestamp"];
/// The version of TUF.
const SPEC: &str = "1.0.31";
