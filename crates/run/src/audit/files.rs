//! Files by name: content, rights, homes.

use std::collections::BTreeMap;
use std::path::Path;

use claw_host::accounts::accounts;
use claw_host::facts::{Home, Homes, Node};
use claw_host::{Read, WANTED, sshd};

use super::root::Root;

type Texts = BTreeMap<String, Read<String>>;
type Lists = BTreeMap<String, Read<Vec<String>>>;

/// The content of every file that is wanted, and the names in the directories where they were looked for.
pub(super) fn texts(root: &Root) -> (Texts, Lists) {
    let (mut texts, mut lists) = (Texts::new(), Lists::new());
    for path in WANTED.texts {
        texts.insert((*path).to_owned(), root.text_from(Path::new(path), Path::new(&place(root, path))));
    }
    for (directory, ending) in WANTED.texts_in {
        let names = root.names(Path::new(directory));
        for name in names.known().into_iter().flatten().filter(|name| name.ends_with(ending)) {
            let path = format!("{directory}/{name}");
            if is_file(root, &path) {
                let text = root.text(Path::new(&path));
                texts.insert(path, text);
            }
        }
        if let Read::Unknown(why) = &names {
            texts.insert(format!("{directory}/*"), Read::Unknown(why.clone()));
        }
        lists.insert((*directory).to_owned(), names);
    }
    for (directory, wanted) in WANTED.texts_each {
        let names = root.names(Path::new(directory));
        for name in names.known().into_iter().flatten() {
            for file in *wanted {
                let path = format!("{directory}/{name}/{file}");
                let text = root.text(Path::new(&path));
                texts.insert(path, text);
            }
        }
        if let Read::Unknown(why) = &names {
            texts.extend(
                wanted.iter().map(|file| (format!("{directory}/*/{file}"), Read::Unknown(why.clone()))),
            );
        }
        lists.insert((*directory).to_owned(), names);
    }
    for kind in ["pid", "user"] {
        let path = format!("/proc/self/ns/{kind}");
        let link = root.link(Path::new(&path));
        texts.insert(path, link);
    }
    included(root, &mut texts, &mut lists);
    (texts, lists)
}

/// `/proc/net` and `/proc/self` are the process's; this thread may be elsewhere.
fn place(root: &Root, path: &str) -> String {
    let own = [("/proc/net/", "/proc/thread-self/net/"), ("/proc/self/", "/proc/thread-self/")];
    own.iter()
        .filter(|_| root.is_live())
        .find_map(|(before, after)| Some(format!("{after}{}", path.strip_prefix(before)?)))
        .unwrap_or_else(|| path.to_owned())
}

fn is_file(root: &Root, path: &str) -> bool {
    !matches!(root.node(Path::new(path)), Read::Known(node) if node.kind != claw_host::facts::Kind::File)
}

/// The files that sshd_config(5) includes, and those that they include.
fn included(root: &Root, texts: &mut Texts, lists: &mut Lists) {
    let mut unread = vec!["/etc/ssh/sshd_config".to_owned()];
    let mut left = MOST_INCLUDED;
    while let Some(path) = unread.pop() {
        let Some(Read::Known(text)) = texts.get(&path) else { continue };
        for pattern in sshd::includes(text) {
            // what is not followed is not in the list, and open therefore
            if lists.contains_key(&format!("glob:{pattern}")) || lists.len() > MOST_PATTERNS {
                continue;
            }
            let found = matching(root, &pattern);
            for path in found.known().into_iter().flatten() {
                if left > 0 && !texts.contains_key(path) {
                    left = left.saturating_sub(1);
                    texts.insert(path.clone(), root.text(Path::new(path)));
                    unread.push(path.clone());
                }
            }
            lists.insert(format!("glob:{pattern}"), found);
        }
    }
}

/// The paths of a pattern whose last part may hold wildcards (glob(7)). Other patterns are not followed, and are unknown then.
fn matching(root: &Root, pattern: &str) -> Read<Vec<String>> {
    let Some((directory, last)) = pattern.rsplit_once('/') else { return Read::Absent };
    if directory.contains(['*', '?', '[']) || last.contains('[') {
        return Read::Unknown("its pattern is not followed".to_owned());
    }
    if !last.contains(['*', '?']) {
        return match root.node(Path::new(pattern)) {
            Read::Absent => Read::Absent,
            _ => Read::Known(vec![pattern.to_owned()]),
        };
    }
    let hidden = |name: &&String| !name.starts_with('.') || last.starts_with('.');
    root.names(Path::new(directory)).map(|names| {
        let fitting = names.iter().filter(hidden).filter(|name| fits(name.as_bytes(), last.as_bytes()));
        fitting.map(|name| format!("{directory}/{name}")).collect()
    })
}

/// Whether a name fits a pattern of `*` and `?`. The last `*` takes as little as it can and then more: a pattern from a foreign
/// tree costs no more than its length times the name's.
fn fits(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut place) = (0usize, 0usize);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(place) {
            Some(b'*') => {
                star = Some((place, at));
                place = place.saturating_add(1);
            }
            Some(wanted) if *wanted == b'?' || name.get(at) == Some(wanted) => {
                at = at.saturating_add(1);
                place = place.saturating_add(1);
            }
            _ => {
                let Some((from, taken)) = star else { return false };
                let taken = taken.saturating_add(1);
                star = Some((from, taken));
                at = taken;
                place = from.saturating_add(1);
            }
        }
    }
    pattern.get(place..).unwrap_or_default().iter().all(|rest| *rest == b'*')
}

/// What every file that is wanted is.
pub(super) fn nodes(root: &Root) -> BTreeMap<String, Read<Node>> {
    let mut nodes: BTreeMap<String, Read<Node>> =
        WANTED.nodes.iter().map(|path| ((*path).to_owned(), root.node(Path::new(path)))).collect();
    let listed = |directory: &str, nodes: &mut BTreeMap<String, Read<Node>>| {
        let names = root.names(Path::new(directory));
        // what is in it is unknown, whichever entry is asked for
        if let Read::Unknown(why) = &names {
            nodes.insert(format!("{directory}/*"), Read::Unknown(why.clone()));
        }
        let paths = names.known().into_iter().flatten().map(|name| format!("{directory}/{name}"));
        paths.collect::<Vec<_>>()
    };
    for directory in WANTED.nodes_in {
        for path in listed(directory, &mut nodes) {
            let node = root.node(Path::new(&path));
            nodes.insert(path, node);
        }
    }
    for user in listed("/run/user", &mut nodes) {
        for socket in
            ["docker.sock", "podman/podman.sock", "libvirt/libvirt-sock", "containerd-rootless/api.sock"]
        {
            let path = format!("{user}/{socket}");
            let node = root.node(Path::new(&path));
            nodes.insert(path, node);
        }
    }
    nodes
}

/// The homes of people and of root; how many were left out is told.
pub(super) fn homes(root: &Root, texts: &Texts) -> Read<Homes> {
    let text = match texts.get("/etc/passwd") {
        Some(Read::Known(text)) => text,
        Some(Read::Unknown(why)) => return Read::Unknown(why.clone()),
        Some(Read::Absent) | None => return Read::Absent,
    };
    let mut people: Vec<_> = accounts(text).into_iter().filter(|account| account.lives()).collect();
    let left = people.len().saturating_sub(MOST_HOMES);
    people.truncate(MOST_HOMES);
    let homes = people.into_iter().map(|account| {
        let below = |names: &[&str]| {
            let paths = names.iter().map(|name| format!("{}/{name}", account.home));
            paths.map(|path| (path.clone(), root.node(Path::new(&path)))).collect()
        };
        Home {
            name: account.name.to_owned(),
            user: account.user,
            path: account.home.to_owned(),
            node: root.node(Path::new(account.home)),
            keys: below(WANTED.keys),
            credentials: below(WANTED.credentials),
            trusting: below(WANTED.trusting),
        }
    });
    Read::Known(Homes { all: homes.collect(), left })
}

const MOST_HOMES: usize = 256;
const MOST_INCLUDED: usize = 256;
const MOST_PATTERNS: usize = 512;

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_fits_whole_names() {
        let check = |name: &str, pattern: &str, expect: bool| {
            assert_eq!(fits(name.as_bytes(), pattern.as_bytes()), expect, "{name} {pattern}");
        };
        check("a.conf", "*.conf", true);
        check("a.conf", "?.conf", true);
        check("ab.conf", "?.conf", false);
        check("a.confx", "*.conf", false);
        check("a.conf.conf", "*.conf", true);
        check("", "*", true);
        check("", "?", false);
        check("abcabd", "a*b?", true);
        check(&"a".repeat(255), &format!("{}b", "*a".repeat(100)), false);
    }
}
