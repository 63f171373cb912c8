//! The kernel's list of measured files, in its binary form (IMA, `binary_runtime_measurements`).
//!
//! The list in text is not read: a name with a line break in it is two lines there, so whoever may make a file could break it.
//! Here every name has its length.
//!
//! An entry is: register, digest of the entry, length and name of its template, length and fields of its data, each with its
//! length; little-endian on every processor that Claw runs on. The templates that begin with a digest and a name are
//! understood (`ima-ng`, `ima-sig` and their kin); an entry of another template is passed over and counted.

use claw_model::digest::Digest;

/// One file as the kernel read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// Its path as whoever opened it saw it; the kernel writes `_` for each space.
    pub path: String,
    /// What it contained.
    pub found: Found,
}

/// What the kernel found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A digest that can be compared.
    Sha256(Digest),
    /// A digest by another algorithm.
    Other(String),
    /// It was open for writing and for reading at once: the kernel cannot say (a digest of zeros).
    Violation,
}

/// What a piece of the list holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// The entries that are there as a whole.
    pub measurements: Vec<Measurement>,
    /// Entries of templates that name no file.
    pub passed_over: usize,
    /// How many bytes they take. What follows is the beginning of an entry that is to come.
    pub taken: usize,
}

/// It is not such a list. Nothing behind that place can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImaError {
    /// The name of a template is longer than any.
    #[error("an entry's template has a name of {0} bytes")]
    Name(u32),
    /// An entry is longer than the kernel makes one.
    #[error("an entry has {0} bytes")]
    Length(u32),
}

impl Piece {
    /// Reads all entries that are there as a whole.
    pub fn read(bytes: &[u8]) -> Result<Piece, ImaError> {
        let mut piece = Piece::default();
        let mut rest = Reader(bytes);
        while let Some(entry) = entry(&mut rest)? {
            match entry {
                Some(measurement) => piece.measurements.push(measurement),
                None => piece.passed_over = piece.passed_over.saturating_add(1),
            }
            piece.taken = bytes.len().saturating_sub(rest.0.len());
        }
        Ok(piece)
    }
}

/// How the kernel spells a path in its list.
pub fn spelled(path: &str) -> String {
    path.replace(' ', "_")
}

/// The next entry: `None` if it is not there as a whole, `Some(None)` if it names no file.
fn entry(rest: &mut Reader<'_>) -> Result<Option<Option<Measurement>>, ImaError> {
    let Some(length) = rest.skip(HEAD).and_then(Reader::number) else { return Ok(None) };
    if length > LONGEST_NAME {
        return Err(ImaError::Name(length));
    }
    let Some(template) = rest.bytes(length) else { return Ok(None) };
    // the first template of all: no length of the whole, a digest of twenty bytes without one, and a name
    if template == b"ima" {
        let Some(_) = rest.bytes(20) else { return Ok(None) };
        let Some(name) = field(rest)? else { return Ok(None) };
        return Ok(Some(Some(Measurement { path: text(name), found: Found::Other("sha1".to_owned()) })));
    }
    let Some(data) = field(rest)? else { return Ok(None) };
    let mut fields = Reader(data);
    if !TEMPLATES.contains(&template) {
        return Ok(Some(None));
    }
    let (Ok(Some(digest)), Ok(Some(name))) = (field(&mut fields), field(&mut fields)) else {
        return Ok(Some(None));
    };
    Ok(Some(found(digest).map(|found| Measurement { path: text(name), found })))
}

/// Bytes with their length before them.
fn field<'a>(rest: &mut Reader<'a>) -> Result<Option<&'a [u8]>, ImaError> {
    let Some(length) = rest.number() else { return Ok(None) };
    if length > LONGEST {
        return Err(ImaError::Length(length));
    }
    Ok(rest.bytes(length))
}

/// `ALGORITHM:` or `KIND:ALGORITHM:`, a zero, and the digest.
fn found(field: &[u8]) -> Option<Found> {
    let end = field.iter().position(|byte| *byte == 0)?;
    let (algorithm, digest) = (field.get(..end)?, field.get(end.checked_add(1)?..)?);
    let algorithm = text(algorithm.strip_suffix(b":")?);
    let (kind, algorithm) = algorithm.split_once(':').unwrap_or(("ima", &algorithm));
    Some(match <[u8; 32]>::try_from(digest) {
        _ if digest.iter().all(|byte| *byte == 0) => Found::Violation,
        // what fs-verity says of a file is the root of a tree, not the sum of its bytes
        Ok(digest) if algorithm == "sha256" && kind == "ima" => Found::Sha256(Digest(digest)),
        _ if kind == "ima" => Found::Other(algorithm.to_owned()),
        _ => Found::Other(format!("{kind}:{algorithm}")),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

/// What is left to read. What cannot be read as a whole is not taken.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let (taken, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*taken))
    }

    fn skip(&mut self, length: u32) -> Option<&mut Self> {
        self.bytes(length)?;
        Some(self)
    }
}

/// The register's number and the digest of the entry, which is always SHA-1 in this list.
const HEAD: u32 = 24;
const LONGEST_NAME: u32 = 255;
/// A path of 4096 bytes and a signature or a key beside it.
const LONGEST: u32 = 1 << 20;
const TEMPLATES: &[&[u8]] =
    &[b"ima-ng", b"ima-sig", b"ima-ngv2", b"ima-sigv2", b"ima-modsig", b"ima-buf", b"evm-sig"];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(template: &[u8], fields: &[&[u8]]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let data: Vec<u8> = fields.iter().flat_map(|field| [&length(field)[..], *field].concat()).collect();
        [&10u32.to_le_bytes()[..], &[7; 20], &length(template), template, &length(&data), &data].concat()
    }

    fn measured(path: &str, digest: [u8; 32]) -> Vec<u8> {
        entry(b"ima-ng", &[&[b"sha256:\0", &digest[..]].concat(), format!("{path}\0").as_bytes()])
    }

    fn one(bytes: &[u8]) -> Measurement {
        let piece = Piece::read(bytes).unwrap();
        assert_eq!((piece.measurements.len(), piece.passed_over, piece.taken), (1, 0, bytes.len()));
        piece.measurements.into_iter().next().unwrap()
    }

    #[test]
    fn a_file_is_read_from_each_template() {
        let digest = [&b"sha256:\0"[..], &[3; 32]].concat();
        for (template, more) in
            [(&b"ima-ng"[..], None), (b"ima-sig", Some(&b"signature"[..])), (b"ima-buf", None)]
        {
            let fields: Vec<&[u8]> = [&digest[..], b"/usr/bin/id\0"].into_iter().chain(more).collect();
            let expected =
                Measurement { path: "/usr/bin/id".to_owned(), found: Found::Sha256(Digest([3; 32])) };
            assert_eq!(one(&entry(template, &fields)), expected);
        }
        let second = [&b"ima:sha256:\0"[..], &[3; 32]].concat();
        assert_eq!(one(&entry(b"ima-ngv2", &[&second, b"/a\0"])).found, Found::Sha256(Digest([3; 32])));
    }

    #[test]
    fn what_cannot_be_compared_is_told_apart() {
        let found = |field: &[u8]| one(&entry(b"ima-ng", &[field, b"/a\0"])).found;
        assert_eq!(found(&[&b"sha256:\0"[..], &[0; 32]].concat()), Found::Violation);
        assert_eq!(found(&[&b"sha1:\0"[..], &[0; 20]].concat()), Found::Violation);
        assert_eq!(found(&[&b"sha1:\0"[..], &[1; 20]].concat()), Found::Other("sha1".to_owned()));
        let verity = [&b"verity:sha256:\0"[..], &[1; 32]].concat();
        assert_eq!(found(&verity), Found::Other("verity:sha256".to_owned()));
        // the first template has no lengths
        let old = [&[0; 24][..], &3u32.to_le_bytes(), b"ima", &[9; 20], &2u32.to_le_bytes(), b"/a"].concat();
        assert_eq!(one(&old), Measurement { path: "/a".to_owned(), found: Found::Other("sha1".to_owned()) });
    }

    #[test]
    fn a_name_with_a_line_break_forges_nothing() {
        let name = format!("/tmp/x\n10 {} ima-ng sha256:{} /usr/bin/id", "1".repeat(40), "2".repeat(64));
        assert_eq!(one(&measured(&name, [5; 32])).path, name);
    }

    #[test]
    fn a_piece_ends_with_its_last_whole_entry() {
        let (first, second) = (measured("/a", [1; 32]), measured("/b", [2; 32]));
        let whole = [first.clone(), second].concat();
        for end in 0..whole.len() {
            let piece = Piece::read(&whole[..end]).unwrap();
            let complete = end >= first.len();
            assert_eq!(piece.taken, if complete { first.len() } else { 0 }, "{end}");
            assert_eq!(piece.measurements.len(), usize::from(complete), "{end}");
        }
        assert_eq!(Piece::read(&whole).unwrap().measurements.len(), 2);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let endless = [&[0; 24][..], &[255; 4]].concat();
        assert_eq!(Piece::read(&endless), Err(ImaError::Name(u32::MAX)));
        let large = [&[0; 24][..], &3u32.to_le_bytes(), b"evm", &[255; 4]].concat();
        assert_eq!(Piece::read(&large), Err(ImaError::Length(u32::MAX)));
        let foreign = entry(b"d|n", &[b"x"]);
        assert_eq!(
            Piece::read(&foreign).unwrap(),
            Piece { passed_over: 1, taken: foreign.len(), ..Piece::default() }
        );
        let hollow = entry(b"ima-ng", &[b"sha256:"]);
        assert_eq!(Piece::read(&hollow).unwrap().passed_over, 1);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Piece::read(&bytes);
        }
    }
}
