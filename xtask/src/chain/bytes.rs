//! The bytes of a built program: the first place where two differ, paths that leaked into them, and what they load.

use std::fmt;
use std::path::Path;

use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

use super::Outcome;

/// Where two programs begin to differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) offset: usize,
    /// The ELF section that holds it in the first.
    pub(crate) section: String,
    pub(crate) first: String,
    pub(crate) second: String,
    /// How many bytes of the shorter length differ.
    pub(crate) count: usize,
    pub(crate) lengths: (usize, usize),
}

/// The first difference, if there is one.
pub(crate) fn difference(first: &[u8], second: &[u8]) -> Option<Difference> {
    let differ = || first.iter().zip(second).enumerate().filter(|(_, (one, other))| one != other);
    let shorter = first.len().min(second.len());
    let offset = match differ().next() {
        Some((offset, _)) => offset,
        None if first.len() == second.len() => return None,
        None => shorter,
    };
    Some(Difference {
        offset,
        section: section(first, offset).unwrap_or_else(|| "no section (a header)".to_owned()),
        first: around(first, offset),
        second: around(second, offset),
        count: differ().count(),
        lengths: (first.len(), second.len()),
    })
}

/// Each of these paths that stands in the bytes, with the text around its first place.
pub(crate) fn leaks(bytes: &[u8], paths: &[&Path]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        let text = path.as_os_str().as_encoded_bytes();
        // shorter ones say nothing: `/` is everywhere
        if text.len() < SHORTEST {
            continue;
        }
        let places = bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text);
        let places: Vec<usize> = places.map(|(offset, _)| offset).collect();
        if let Some(&first) = places.first() {
            let section = section(bytes, first).unwrap_or_else(|| "no section (a header)".to_owned());
            found.push(format!(
                "{} stands {} times; first at {first:#x} in {section}: {}",
                path.display(),
                places.len(),
                around(bytes, first)
            ));
        }
    }
    found
}

/// Libraries that the program loads when it starts, as it names them.
pub(crate) fn shared(bytes: &[u8]) -> Outcome<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, bytes, link)?;
    let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED));
    let mut names = Vec::new();
    for entry in needed {
        names.push(String::from_utf8(entry.string(endian, strings)?.to_vec())?);
    }
    names.sort();
    Ok(names)
}

/// What the program needs of the machine that it runs on, beside the kernel: libraries, and what loads them.
pub(crate) fn needed(bytes: &[u8]) -> Outcome<Vec<String>> {
    let mut needed = shared(bytes)?;
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, bytes)? {
        if let Ok(Some(loader)) = segment.interpreter(endian, bytes) {
            needed.push(String::from_utf8_lossy(loader).into_owned());
        }
    }
    Ok(needed)
}

fn section(bytes: &[u8], offset: usize) -> Option<String> {
    let file = object::File::parse(bytes).ok()?;
    let offset = u64::try_from(offset).ok()?;
    file.sections().find_map(|section| {
        let (start, length) = section.file_range()?;
        let inside = (start..start.checked_add(length)?).contains(&offset);
        inside.then(|| section.name().unwrap_or("a section without a name").to_owned())
    })
}

/// The printable text around a place, or its bytes.
fn around(bytes: &[u8], offset: usize) -> String {
    let from = offset.saturating_sub(16);
    let part = bytes.get(from..(offset + 48).min(bytes.len())).unwrap_or_default();
    let printable = part.iter().filter(|byte| (0x20..0x7f).contains(*byte)).count();
    if printable * 2 < part.len() {
        return part.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    part.escape_ascii().to_string()
}

/// A path of fewer bytes is not looked for.
const SHORTEST: usize = 4;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { offset, section, first, second, count, lengths } = self;
        write!(
            f,
            "{count} bytes differ ({} and {} long), first at {offset:#x} in {section}:\n  {first}\n  {second}",
            lengths.0, lengths.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_with_its_section() {
        let first = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(difference(&first, &first), None);
        let file = object::File::parse(&*first).unwrap();
        let (start, _) = file.section_by_name(".text").unwrap().file_range().unwrap();
        let place = usize::try_from(start).unwrap() + 7;
        let mut second = first.clone();
        *second.get_mut(place).unwrap() ^= 1;
        let found = difference(&first, &second).unwrap();
        assert_eq!((found.offset, found.section.as_str(), found.count), (place, ".text", 1));
    }

    #[test]
    fn a_shorter_program_differs() {
        let found = difference(b"same", b"same and more").unwrap();
        assert_eq!((found.offset, found.count, found.lengths), (4, 0, (4, 13)));
    }

    #[test]
    fn a_path_that_leaked_is_told_with_its_place() {
        let path = Path::new("/build/of/somebody");
        assert_eq!(leaks(b"panicked at /claw/src/main.rs", &[path]), Vec::<String>::new());
        let told = leaks(b"panicked at /build/of/somebody/src/main.rs and /build/of/somebody", &[path]);
        assert_eq!(told.len(), 1);
        assert!(
            told.first().unwrap().starts_with("/build/of/somebody stands 2 times; first at 0xc"),
            "{told:?}"
        );
    }

    #[test]
    fn what_a_program_loads_is_read_from_it() {
        let names = shared(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(names.contains(&"libc.so.6".to_owned()), "{names:?}");
        let needed = needed(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(needed.last().unwrap().contains("/ld-linux"), "{needed:?}");
        assert!(shared(b"#!/bin/sh\n").is_err());
    }
}
