//! What is read while the agent runs, and by whom: a reader reads the policy again, with what it names; the supervisor takes
//! it in. Both halves of what they say to each other stand here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use claw_gate::Material;
use claw_plan::Plan;
use claw_policy::CeilingFile;

use crate::exposed;
use crate::reader::{Reader, Words};
use crate::signed;
use crate::source::{self, Source, Stamp, Unusable};
use crate::supervisor::told;

/// A policy's text, with what it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) text: String,
    /// Its signature, if one is demanded and there.
    pub(crate) signature: Option<Vec<u8>>,
    /// The ceilings that were read with it.
    pub(crate) ceilings: Vec<Ceiling>,
    /// A file that it names and that the agent may write.
    pub(crate) exposed: Option<String>,
    pub(crate) material: Material,
}

/// A ceiling as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ceiling {
    /// As it is written.
    named: PathBuf,
    /// The file that names it.
    by: PathBuf,
    file: CeilingFile,
}

/// What the reader of a policy knows of its run.
pub(crate) struct Reread<'a> {
    pub(crate) source: &'a Source,
    pub(crate) plan: &'a Plan,
    pub(crate) directory: &'a Path,
    /// The agent may write where the file is.
    pub(crate) exposed: bool,
    /// The ceilings that were read last.
    pub(crate) ceilings: Vec<PathBuf>,
}

/// Which state the policy's file and its ceilings are in; `None` if one is not there.
pub(crate) async fn stamp(reader: &mut Reader) -> io::Result<Stamp> {
    Ok(reader.ask(&[STAMP]).await?.into_iter().next())
}

/// The policy as it is now, and which state its files were in just before.
pub(crate) async fn content(reader: &mut Reader) -> io::Result<(Stamp, Result<Content, Unusable>)> {
    received(reader.ask(&[CONTENT]).await?)
}

fn received(words: Words) -> io::Result<(Stamp, Result<Content, Unusable>)> {
    let mut words = words.into_iter();
    let mut next = || words.next().unwrap_or_default();
    let (stamp, verdict) = (next(), next());
    let stamp = (!stamp.is_empty()).then_some(stamp);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(io::Error::other);
    let content = match verdict.as_slice() {
        USABLE => {
            let (own, signature, exposed) = (text(next())?, next(), text(next())?);
            let signature = (!signature.is_empty()).then_some(signature);
            let count: usize = text(next())?.parse().map_err(io::Error::other)?;
            let mut ceilings = Vec::new();
            for _ in 0..count {
                let (named, by) = (text(next())?.into(), text(next())?.into());
                let (path, real, text) = (text(next())?.into(), text(next())?.into(), text(next())?);
                ceilings.push(Ceiling { named, by, file: CeilingFile { path, real, text } });
            }
            let count: usize = text(next())?.parse().map_err(io::Error::other)?;
            let mut files = BTreeMap::new();
            for _ in 0..count {
                files.insert(text(next())?.into(), next());
            }
            let material = Material { files, system: words.collect() };
            let exposed = (!exposed.is_empty()).then_some(exposed);
            Ok(Content { text: own, signature, ceilings, exposed, material })
        }
        UNREAD => Err(Unusable::Unread(text(next())?)),
        _ => Err(Unusable::Bad(text(next())?)),
    };
    Ok((stamp, content))
}

impl Reread<'_> {
    /// The reader's half.
    pub(crate) fn answer(&mut self, question: &[Vec<u8>]) -> Words {
        match question.first().map(Vec::as_slice) {
            Some(CONTENT) => {
                let own = self.own();
                let (read, ceilings) = self.read();
                // a policy that is no policy has none; those that are known stay
                let stamp = match ceilings.is_empty() && read.is_err() {
                    true => self.stamp(),
                    false => {
                        let (files, stamps): (Vec<PathBuf>, Vec<Stamp>) = ceilings.into_iter().unzip();
                        self.ceilings = files;
                        joined(own.into_iter().chain(stamps))
                    }
                };
                let mut words = vec![stamp.unwrap_or_default()];
                words.extend(match read {
                    Ok(content) => content.words(),
                    Err(Unusable::Unread(why)) => vec![UNREAD.to_vec(), why.into_bytes()],
                    Err(Unusable::Bad(why)) => vec![BAD.to_vec(), why.into_bytes()],
                });
                words
            }
            Some(STAMP) => self.stamp().into_iter().collect(),
            _ => Words::new(),
        }
    }

    /// Which state the files are in now.
    pub(crate) fn stamp(&self) -> Stamp {
        let ceilings = self.ceilings.iter().map(|file| source::stamp(file));
        joined(self.own().into_iter().chain(ceilings))
    }

    /// The policy itself, and its signature, if one is demanded: that there is none is a state too.
    fn own(&self) -> [Stamp; 2] {
        let signature = self.source.signed.as_ref().and_then(|_| {
            let place = signed::signature_of(&self.source.file);
            source::stamp(&place)
        });
        [source::stamp(&self.source.file), Some(signature.unwrap_or_default())]
    }

    /// The content, and each ceiling that was read, with the state it was in before.
    fn read(&self) -> (Result<Content, Unusable>, Vec<(PathBuf, Stamp)>) {
        let seen = RefCell::new(Vec::new());
        let content = self.content(&|path| seen.borrow_mut().push((path.to_owned(), source::stamp(path))));
        (content, seen.into_inner())
    }

    fn content(&self, seen: &dyn Fn(&Path)) -> Result<Content, Unusable> {
        let text = self.source.fetch(self.exposed)?;
        let signature = self.source.signature()?;
        let ceilings = RefCell::new(Vec::new());
        let policy = self.source.parse(&text, &|named, by| {
            seen(&source::directory(by).join(named));
            let file = source::ceiling(named, by)?;
            let ceiling = Ceiling { named: named.to_owned(), by: by.to_owned(), file: file.clone() };
            ceilings.borrow_mut().push(ceiling);
            Ok(file)
        })?;
        let exposed = exposed::named_anew(self.plan, &policy, self.directory);
        let exposed = exposed.map(|file| file.display().to_string());
        // what the agent may write is not even read
        let material = match exposed {
            Some(_) => Material::default(),
            None => Material::read(&policy).map_err(|error| Unusable::Bad(told(&error)))?,
        };
        Ok(Content { text, signature, ceilings: ceilings.into_inner(), exposed, material })
    }
}

/// The states of all files as one; `None` if one is not there.
fn joined(stamps: impl Iterator<Item = Stamp>) -> Stamp {
    let stamps: Option<Vec<Vec<u8>>> = stamps.collect();
    stamps.map(|stamps| stamps.join(&b'\n'))
}

impl Content {
    /// A ceiling, out of what was read with the policy.
    pub(crate) fn ceiling(&self, named: &Path, by: &Path) -> Result<CeilingFile, String> {
        let found = self.ceilings.iter().find(|ceiling| ceiling.named == named && ceiling.by == by);
        found.map(|ceiling| ceiling.file.clone()).ok_or_else(|| "the ceiling was not read".to_owned())
    }

    fn words(self) -> Words {
        let Content { text, signature, ceilings, exposed, material: Material { files, system } } = self;
        let mut words = vec![USABLE.to_vec(), text.into_bytes(), signature.unwrap_or_default()];
        words.push(exposed.unwrap_or_default().into_bytes());
        // every path of a policy is text
        let shown = |path: &Path| path.to_string_lossy().into_owned().into_bytes();
        words.push(ceilings.len().to_string().into_bytes());
        for Ceiling { named, by, file } in ceilings {
            words.extend([shown(&named), shown(&by), shown(&file.path), shown(&file.real)]);
            words.push(file.text.into_bytes());
        }
        words.push(files.len().to_string().into_bytes());
        for (path, bytes) in files {
            words.extend([shown(&path), bytes]);
        }
        words.extend(system);
        words
    }
}

const STAMP: &[u8] = b"stamp";
const CONTENT: &[u8] = b"content";
const USABLE: &[u8] = b"usable";
const UNREAD: &[u8] = b"unread";
const BAD: &[u8] = b"bad";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_arrives_whole() {
        let files = BTreeMap::from([("a.pem".into(), b"one\n".to_vec()), ("b.pem".into(), Vec::new())]);
        let material = Material { files, system: vec![vec![0, 255], vec![7]] };
        let content = || Content {
            text: "version: 1\n".to_owned(),
            signature: Some(b"{}".to_vec()),
            ceilings: vec![Ceiling {
                named: "base.yaml".into(),
                by: "/p/policy.yaml".into(),
                file: CeilingFile {
                    path: "/p/base.yaml".into(),
                    real: "/q/base.yaml".into(),
                    text: String::new(),
                },
            }],
            exposed: None,
            material: Material { files: material.files.clone(), system: material.system.clone() },
        };
        let mut words = vec![b"state".to_vec()];
        words.extend(content().words());
        let (stamp, read) = received(words).unwrap();
        assert_eq!(stamp.unwrap(), b"state");
        assert_eq!(read.unwrap(), content());
    }

    #[test]
    fn a_reader_that_says_nothing_says_no_policy() {
        assert!(matches!(received(Words::new()), Ok((None, Err(Unusable::Bad(_))))));
        let words = vec![Vec::new(), USABLE.to_vec(), Vec::new(), Vec::new(), Vec::new(), b"many".to_vec()];
        assert!(received(words).is_err());
    }
}
