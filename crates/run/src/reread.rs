//! What is read while the agent runs, and by whom: a reader reads the policy again, with what it names; the supervisor takes
//! it in. Both halves of what they say to each other stand here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use claw_gate::Material;
use claw_plan::Plan;

use crate::exposed;
use crate::reader::{Reader, Words};
use crate::source::{Source, Stamp, Unusable};
use crate::supervisor::told;

/// A policy's text, with what it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) text: String,
    /// A file that it names and that the agent may write.
    pub(crate) exposed: Option<String>,
    pub(crate) material: Material,
}

/// What the reader of a policy knows of its run.
pub(crate) struct Reread<'a> {
    pub(crate) source: &'a Source,
    pub(crate) plan: &'a Plan,
    pub(crate) directory: &'a Path,
    /// The agent may write where the file is.
    pub(crate) exposed: bool,
}

/// Which state the policy's file is in.
pub(crate) async fn stamp(reader: &mut Reader) -> io::Result<Stamp> {
    Ok(reader.ask(&[STAMP]).await?.into_iter().next())
}

/// The policy as it is now, and which state its file was in just before.
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
            let (own, exposed, count) = (text(next())?, text(next())?, text(next())?);
            let count: usize = count.parse().map_err(io::Error::other)?;
            let mut files = BTreeMap::new();
            for _ in 0..count {
                files.insert(text(next())?.into(), next());
            }
            let material = Material { files, system: words.collect() };
            Ok(Content { text: own, exposed: (!exposed.is_empty()).then_some(exposed), material })
        }
        UNREAD => Err(Unusable::Unread(text(next())?)),
        _ => Err(Unusable::Bad(text(next())?)),
    };
    Ok((stamp, content))
}

impl Reread<'_> {
    /// The reader's half.
    pub(crate) fn answer(&self, question: &[Vec<u8>]) -> Words {
        let stamp = self.source.stamp();
        match question.first().map(Vec::as_slice) {
            Some(CONTENT) => {
                let mut words = vec![stamp.unwrap_or_default()];
                words.extend(match self.read() {
                    Ok(content) => content.words(),
                    Err(Unusable::Unread(why)) => vec![UNREAD.to_vec(), why.into_bytes()],
                    Err(Unusable::Bad(why)) => vec![BAD.to_vec(), why.into_bytes()],
                });
                words
            }
            Some(STAMP) => stamp.into_iter().collect(),
            _ => Words::new(),
        }
    }

    fn read(&self) -> Result<Content, Unusable> {
        let text = self.source.fetch(self.exposed)?;
        let policy = self.source.parse(&text)?;
        let exposed = exposed::certificates(self.plan, &policy, self.directory);
        let exposed = exposed.first().map(|file| file.display().to_string());
        // what the agent may write is not even read
        let material = match exposed {
            Some(_) => Material::default(),
            None => Material::read(&policy).map_err(|error| Unusable::Bad(told(&error)))?,
        };
        Ok(Content { text, exposed, material })
    }
}

impl Content {
    fn words(self) -> Words {
        let Content { text, exposed, material: Material { files, system } } = self;
        let mut words = vec![USABLE.to_vec(), text.into_bytes(), exposed.unwrap_or_default().into_bytes()];
        words.push(files.len().to_string().into_bytes());
        for (path, bytes) in files {
            // every path of a policy is text
            words.extend([path.to_string_lossy().into_owned().into_bytes(), bytes]);
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
        let words = vec![Vec::new(), USABLE.to_vec(), Vec::new(), Vec::new(), b"many".to_vec()];
        assert!(received(words).is_err());
    }
}
