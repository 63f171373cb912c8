//! An image layout: each document, and each entry of a layer. No panic, and nothing that is to be done leaves the tree.
#![no_main]

use std::path::{Component, Path};

use claw_image::{Act, Entry, Kind, config, index, judge, layout, manifest};
use claw_policy::later::{self, Protect};
use libfuzzer_sys::fuzz_target;
use tar::EntryType;

fuzz_target!(|bytes: &[u8]| {
    let _ = layout(bytes);
    let _ = index(bytes);
    let _ = manifest(bytes);
    let _ = config(bytes, bytes.len() % 4);
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().into_iter().flatten().take(200).flatten() {
        let (name, link) = (entry.path_bytes().into_owned(), entry.link_name_bytes().map(|link| link.into_owned()));
        let kind = match entry.header().entry_type() {
            EntryType::Regular => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symbolic,
            EntryType::Link => Kind::Hard,
            EntryType::Char | EntryType::Block => Kind::Device,
            EntryType::Fifo => Kind::Pipe,
            _ => Kind::Other,
        };
        let mode = entry.header().mode().unwrap_or_default();
        check(&Entry { path: &name, kind, link: &link.unwrap_or_default(), mode, size: entry.size() });
    }
    // the same bytes as a name and as a link's text, without an archive around them
    let (path, link) = bytes.split_at(bytes.len() / 2);
    for kind in [Kind::File, Kind::Directory, Kind::Symbolic, Kind::Hard] {
        check(&Entry { path, kind, link, mode: 0o7777, size: 0 });
    }
});

fn check(entry: &Entry<'_>) {
    let stays = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    match judge(entry) {
        Ok(Act::Hard { path, to }) => assert!(named(&path) && named(&to)),
        Ok(Act::Directory { path, mode } | Act::File { path, mode }) => assert!(named(&path) && mode & 0o6000 == 0),
        Ok(Act::Symbolic { path, .. } | Act::Remove { path }) => assert!(named(&path)),
        Ok(Act::Empty { path }) => assert!(stays(&path)),
        Ok(Act::Root) | Err(_) => {}
    }
}

/// Clean, and not the root. Its names are judged as those of a reviewed tree would be.
fn named(path: &Path) -> bool {
    let flagged = later::why(path, later::Shape::File).is_some();
    assert_eq!(flagged, Protect::standard().covers(path, later::Shape::File).is_some());
    path.file_name().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}
