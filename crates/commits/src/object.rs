//! Commits and tags as git writes them, read strictly: what is signed, and the signature.
//!
//! A signature covers the object's bytes without its signature headers. The split here is git's own (`parse_signed_commit`), but what
//! could be read in two ways is refused: a header twice, a NUL, a second signature, parents after the author.

use gix_hash::{Kind, ObjectId};
use thiserror::Error;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, in order.
    pub parents: Vec<ObjectId>,
    /// Who is named as its author.
    pub author: Person,
    /// Who is named as its committer.
    pub committer: Person,
    /// The first line of its message.
    pub subject: String,
    /// The signature, without the spaces that fold it into the header.
    pub signature: Option<Vec<u8>>,
    /// What the signature covers.
    pub payload: Vec<u8>,
}

/// An annotated tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it names.
    pub target: ObjectId,
    /// The kind of what it names: `commit`, `tag`, `tree`, `blob`.
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Who is named as its maker, if anybody.
    pub tagger: Option<Person>,
    /// The signature at its end.
    pub signature: Option<Vec<u8>>,
    /// What the signature covers.
    pub payload: Vec<u8>,
}

/// A name and an address that somebody wrote down. Nothing vouches for them but a signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The address, without its brackets.
    pub email: String,
}

/// Why an object is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The object has a NUL, behind which some readers see nothing.
    #[error("a NUL hides what follows it from some readers")]
    Nul,
    /// A header that must be there is missing, or not where it belongs.
    #[error("the header `{0}` is missing, or not where it belongs")]
    Missing(&'static str),
    /// A header that may be there once is there twice.
    #[error("the header `{0}` is there twice")]
    Twice(&'static str),
    /// A header's value is none.
    #[error("the header `{0}` cannot be read")]
    Value(&'static str),
    /// A header whose name begins like that of a signature.
    #[error("a header looks like a signature and is none")]
    LikeSignature,
    /// There is no empty line between headers and message.
    #[error("no empty line ends the headers")]
    NoEnd,
}

impl Commit {
    /// Reads a commit of a repository with this kind of object ids.
    pub fn parse(data: &[u8], hash: Kind) -> Result<Commit, Malformed> {
        let (headers, message) = split(data)?;
        let mut lines = Headers { rest: headers };
        let tree = id(&lines.next_named("tree")?, hash, "tree")?;
        let mut parents = Vec::new();
        let mut next = lines.next();
        while let Some(parent) = next.as_ref().and_then(|header| header.of("parent")) {
            parents.push(id(parent, hash, "parent")?);
            next = lines.next();
        }
        let author =
            next.as_ref().and_then(|header| header.of("author")).ok_or(Malformed::Missing("author"))?;
        let author = Person::parse(author);
        let committer = Person::parse(&lines.next_named("committer")?);
        let (mut signature, mut other) = (None, false);
        let (own, foreign) = signature_headers(hash);
        while let Some(header) = lines.next() {
            let again = match header.name {
                b"tree" => Some("tree"),
                b"author" => Some("author"),
                b"committer" => Some("committer"),
                b"parent" => return Err(Malformed::Missing("parent")),
                name if name == own.as_bytes() => signature.replace(header.value).map(|_| own),
                name if name == foreign.as_bytes()
                    && !MARKS.iter().any(|mark| header.value.starts_with(mark.as_bytes())) =>
                {
                    return Err(Malformed::LikeSignature);
                }
                name if name == foreign.as_bytes() => std::mem::replace(&mut other, true).then_some(foreign),
                name if name.starts_with(b"gpgsig") => return Err(Malformed::LikeSignature),
                _ => None,
            };
            if let Some(name) = again {
                return Err(Malformed::Twice(name));
            }
        }
        let subject = message.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
        let subject = String::from_utf8_lossy(subject).chars().take(LONGEST_SUBJECT).collect();
        let payload = if signature.is_some() { without_signatures(data, headers.len()) } else { Vec::new() };
        Ok(Commit { tree, parents, author, committer, subject, signature, payload })
    }
}

impl Tag {
    /// Reads an annotated tag of a repository with this kind of object ids.
    pub fn parse(data: &[u8], hash: Kind) -> Result<Tag, Malformed> {
        let (headers, message) = split(data)?;
        let mut lines = Headers { rest: headers };
        let target = id(&lines.next_named("object")?, hash, "object")?;
        let text = |bytes: Vec<u8>, name| String::from_utf8(bytes).map_err(|_| Malformed::Value(name));
        let kind = text(lines.next_named("type")?, "type")?;
        let name = text(lines.next_named("tag")?, "tag")?;
        let mut tagger = None;
        while let Some(header) = lines.next() {
            let again = match header.name {
                b"object" => Some("object"),
                b"type" => Some("type"),
                b"tag" => Some("tag"),
                b"tagger" => tagger.replace(Person::parse(&header.value)).map(|_| "tagger"),
                name if name.starts_with(b"gpgsig") && !is_signature_header(name) => {
                    return Err(Malformed::LikeSignature);
                }
                _ => None,
            };
            if let Some(name) = again {
                return Err(Malformed::Twice(name));
            }
        }
        let payload = without_signatures(data, headers.len());
        let start = signature_start(message).map(|start| message.len().saturating_sub(start));
        let (payload, signature) =
            match start.map(|length| payload.split_at(payload.len().saturating_sub(length))) {
                Some((payload, signature)) => (payload.to_vec(), Some(signature.to_vec())),
                None => (payload, None),
            };
        Ok(Tag { target, kind, name, tagger, signature, payload })
    }
}

impl Person {
    fn parse(value: &[u8]) -> Person {
        let text = String::from_utf8_lossy(value);
        let Some((before, _)) = text.rsplit_once('>') else {
            return Person { name: text.trim().to_owned(), email: String::new() };
        };
        match before.split_once('<') {
            Some((name, email)) => Person { name: name.trim().to_owned(), email: email.to_owned() },
            None => Person { name: before.trim().to_owned(), email: String::new() },
        }
    }
}

/// Tree and parents alone, also of a commit that is malformed further down.
pub(crate) fn links(data: &[u8], hash: Kind) -> Result<(ObjectId, Vec<ObjectId>), Malformed> {
    let mut lines = Headers { rest: data };
    let tree = id(&lines.next_named("tree")?, hash, "tree")?;
    let mut parents = Vec::new();
    while let Some(header) = lines.next() {
        match header.of("parent") {
            Some(parent) => parents.push(id(parent, hash, "parent")?),
            None => break,
        }
    }
    Ok((tree, parents))
}

/// A header with its value unfolded.
struct Header<'a> {
    name: &'a [u8],
    value: Vec<u8>,
}

impl Header<'_> {
    fn of(&self, name: &str) -> Option<&[u8]> {
        (self.name == name.as_bytes()).then_some(self.value.as_slice())
    }
}

/// The headers that are left.
struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    fn next(&mut self) -> Option<Header<'a>> {
        let line = take_line(&mut self.rest)?;
        let (name, value) = match line.iter().position(|byte| *byte == b' ') {
            Some(at) => line.split_at(at),
            None => (line, &[][..]),
        };
        let mut value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        while self.rest.first() == Some(&b' ') {
            let more = take_line(&mut self.rest)?;
            value.push(b'\n');
            value.extend_from_slice(more.strip_prefix(b" ").unwrap_or(more));
        }
        Some(Header { name, value })
    }

    fn next_named(&mut self, name: &'static str) -> Result<Vec<u8>, Malformed> {
        let header = self.next().filter(|header| header.name == name.as_bytes());
        header.map(|header| header.value).ok_or(Malformed::Missing(name))
    }
}

/// Headers with their last newline, and the message.
fn split(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if data.contains(&0) {
        return Err(Malformed::Nul);
    }
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    match end {
        Some(end) => Ok((
            data.get(..end.saturating_add(1)).unwrap_or_default(),
            data.get(end.saturating_add(2)..).unwrap_or_default(),
        )),
        None if data.ends_with(b"\n") => Ok((data, &[])),
        None => Err(Malformed::NoEnd),
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.strip_prefix(b"\n").unwrap_or(after);
    Some(line)
}

/// The object without its signature headers.
fn without_signatures(data: &[u8], headers: usize) -> Vec<u8> {
    let (mut head, tail) = data.split_at(headers.min(data.len()));
    let mut kept = Vec::with_capacity(data.len());
    let mut dropped = false;
    while let Some(line) = take_line(&mut head) {
        let folded = line.first() == Some(&b' ');
        if !folded {
            let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            dropped = is_signature_header(name);
        }
        if !dropped {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    kept.extend_from_slice(tail);
    kept
}

fn is_signature_header(name: &[u8]) -> bool {
    name == b"gpgsig" || name == b"gpgsig-sha256"
}

fn signature_headers(hash: Kind) -> (&'static str, &'static str) {
    match hash {
        Kind::Sha256 => ("gpgsig-sha256", "gpgsig"),
        _ => ("gpgsig", "gpgsig-sha256"),
    }
}

/// Where the last signature of a tag's message begins, as git finds it.
fn signature_start(message: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0_usize, None);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if MARKS.iter().any(|mark| line.starts_with(mark.as_bytes())) {
            found = Some(at);
        }
        at = at.saturating_add(line.len());
    }
    found
}

fn id(value: &[u8], hash: Kind, name: &'static str) -> Result<ObjectId, Malformed> {
    let lower = value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = ObjectId::from_hex(value).map_err(|_| Malformed::Value(name))?;
    if id.kind() == hash && lower { Ok(id) } else { Err(Malformed::Value(name)) }
}

/// What a signature begins with, by its kind.
pub(crate) const MARKS: [&str; 4] = [
    "-----BEGIN SSH SIGNATURE-----",
    "-----BEGIN PGP SIGNATURE-----",
    "-----BEGIN PGP MESSAGE-----",
    "-----BEGIN SIGNED MESSAGE-----",
];

const LONGEST_SUBJECT: usize = 200;

#[cfg(test)]
mod tests;
