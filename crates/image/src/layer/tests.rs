use proptest::prelude::*;

use super::*;

fn entry<'a>(path: &'a str, kind: Kind, link: &'a str) -> Entry<'a> {
    Entry { path: path.as_bytes(), kind, link: link.as_bytes(), mode: 0o6755, size: 0 }
}

fn file(path: &str) -> Result<Act, EntryError> {
    judge(&entry(path, Kind::File, ""))
}

#[test]
fn paths_are_cleaned_or_refused() {
    for (path, expected) in [
        ("a/b", Ok("a/b")),
        ("./a//b/.", Ok("a/b")),
        ("a/...", Ok("a/...")),
        ("/a", Err(EntryError::Absolute)),
        ("../a", Err(EntryError::Above)),
        ("a/../../b", Err(EntryError::Above)),
        ("a/..", Err(EntryError::Above)),
        ("a\0/b", Err(EntryError::Nul)),
        ("", Err(EntryError::Empty)),
        ("./", Err(EntryError::Empty)),
    ] {
        let expected = expected.map(|path| Act::File { path: path.into(), mode: 0o755 });
        assert_eq!(file(path), expected, "{path:?}");
    }
    assert_eq!(file(&"a/".repeat(129)), Err(EntryError::Long));
    assert_eq!(file(&"a".repeat(256)), Err(EntryError::Long));
    for root in ["./", "/"] {
        assert_eq!(judge(&entry(root, Kind::Directory, "")), Ok(Act::Root));
    }
    assert_eq!(judge(&entry("//", Kind::Directory, "")), Err(EntryError::Absolute));
}

#[test]
fn whiteouts_are_what_they_say_and_nothing_else() {
    for (path, expected) in [
        ("a/.wh.b", Ok(Act::Remove { path: "a/b".into() })),
        (".wh.b", Ok(Act::Remove { path: "b".into() })),
        ("a/.wh..wh..opq", Ok(Act::Empty { path: "a".into() })),
        (".wh..wh..opq", Ok(Act::Empty { path: "".into() })),
        ("a/.wh.", Err(EntryError::Whiteout)),
        ("a/.wh...", Err(EntryError::Whiteout)),
        ("a/.wh..", Err(EntryError::Whiteout)),
        ("a/.wh..wh.plnk", Err(EntryError::Whiteout)),
        (".wh.a/b", Err(EntryError::Whiteout)),
    ] {
        assert_eq!(file(path), expected, "{path}");
    }
    assert_eq!(judge(&entry("a/.wh.b", Kind::Directory, "")), Err(EntryError::Whiteout));
    assert_eq!(judge(&entry("a/.wh.b", Kind::Symbolic, "x")), Err(EntryError::Whiteout));
    assert_eq!(judge(&Entry { size: 1, ..entry("a/.wh.b", Kind::File, "") }), Err(EntryError::Whiteout));
    assert_eq!(judge(&entry("a", Kind::Hard, ".wh.b")), Err(EntryError::Whiteout));
}

#[test]
fn links_stay_in_the_tree() {
    for (path, text, stays) in [
        ("bin", "usr/bin", true),
        ("etc/mtab", "/proc/mounts", true),
        ("a/b/c", "../../d", true),
        ("a/b/c", "../../../d", false),
        ("a", "..", false),
        ("a", "/..", false),
        ("a", "/x/../../y", false),
        ("a/b", "../a/../..", false),
    ] {
        let act = judge(&entry(path, Kind::Symbolic, text));
        let expected = match stays {
            true => Ok(Act::Symbolic { path: path.into(), text: text.into() }),
            false => Err(EntryError::LeadsOut(text.to_owned())),
        };
        assert_eq!(act, expected, "{path} {text}");
    }
    assert_eq!(judge(&entry("a", Kind::Symbolic, "")), Err(EntryError::NoTarget));
    assert_eq!(judge(&entry("a", Kind::Hard, "./b")), Ok(Act::Hard { path: "a".into(), to: "b".into() }));
    assert_eq!(judge(&entry("a", Kind::Hard, "../b")), Err(EntryError::Above));
    assert_eq!(judge(&entry("a", Kind::Hard, "/b")), Err(EntryError::Absolute));
    assert_eq!(judge(&entry("a", Kind::Hard, ".")), Err(EntryError::NoTarget));
}

#[test]
fn special_files_are_refused_and_privileges_left_out() {
    assert_eq!(judge(&entry("dev/null", Kind::Device, "")), Err(EntryError::Device));
    assert_eq!(judge(&entry("p", Kind::Pipe, "")), Err(EntryError::Pipe));
    assert_eq!(judge(&entry("p", Kind::Other, "")), Err(EntryError::Other));
    assert_eq!(file("su"), Ok(Act::File { path: "su".into(), mode: 0o755 }));
    let directory = judge(&entry("d", Kind::Directory, ""));
    assert_eq!(directory, Ok(Act::Directory { path: "d".into(), mode: 0o755 }));
}

proptest! {
    #[test]
    fn no_act_ever_leaves_the_tree(path in "[a./\\\\wh\0-]{0,24}", link in "[a./\0]{0,16}", kind in 0..4usize) {
        let kind = [Kind::File, Kind::Directory, Kind::Symbolic, Kind::Hard][kind];
        let stays = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        match judge(&entry(&path, kind, &link)) {
            Ok(Act::Hard { path, to }) => assert!(stays(&path) && stays(&to)),
            Ok(Act::Directory { path, .. } | Act::File { path, .. } | Act::Symbolic { path, .. } | Act::Remove { path }) => {
                assert!(stays(&path) && path.file_name().is_some());
            }
            Ok(Act::Empty { path }) => assert!(stays(&path)),
            Ok(Act::Root) | Err(_) => {}
        }
    }
}
