//! How each index is asked, whatever its host is called: the paths of its protocol.
//!
//! A mirror may stand below any path, so what is compared is how a path ends. Alone it proves nothing; the catalogue asks
//! who the client says it is too.

use claw_model::http::CanonicalPath;

use super::Index;

impl Index {
    /// Whether a request is one that this index's clients make.
    pub fn is_asked(self, method: &str, path: &str) -> bool {
        if CanonicalPath::parse(path).is_err() {
            return false;
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let reads = matches!(method, "GET" | "HEAD");
        match self {
            Index::Pip => reads && python(&parts),
            Index::Npm => (reads && node(&parts)) || (matches!(method, "GET" | "POST") && own(&parts)),
            Index::Cargo => reads && rust(&parts),
        }
    }
}

/// PEP 503 and 691: `simple/`, `simple/NAME/`; files below `packages/` or devpi's `+f/`; the index's JSON about a package.
fn python(parts: &[&str]) -> bool {
    match parts {
        [.., "simple" | "+simple"] => true,
        [.., "simple" | "+simple", name] => is_name(name),
        [.., "pypi", name, "json"] => is_name(name),
        [between @ .., file] => {
            between.iter().any(|part| matches!(*part, "packages" | "+f" | "+e"))
                && [".whl", ".whl.metadata", ".tar.gz", ".zip"].iter().any(|end| file.ends_with(end))
        }
        [] => false,
    }
}

/// npm's registry: `NAME`, `@scope%2fNAME`, a version of it, `NAME/-/NAME-1.0.0.tgz`.
fn node(parts: &[&str]) -> bool {
    match parts {
        [.., name, "-", file] => is_name(name) && file.ends_with(".tgz"),
        [.., name] if scoped(name) => true,
        [.., name, version] if scoped(name) => is_version(version),
        [.., scope, name] if scope.starts_with('@') => {
            is_name(scope.trim_start_matches('@')) && is_name(name)
        }
        [name] => is_name(name),
        [name, version] => is_name(name) && is_version(version),
        _ => false,
    }
}

/// What npm's registry offers beside packages: search, audits, who one is.
fn own(parts: &[&str]) -> bool {
    parts.iter().position(|part| *part == "-").is_some_and(|at| {
        let next = parts.get(at.saturating_add(1)).copied();
        matches!(next, Some("npm" | "v1" | "whoami" | "package" | "ping" | "user" | "org" | "team"))
    })
}

/// Cargo's sparse index (`config.json`, `se/rd/serde`), and where crates are fetched.
fn rust(parts: &[&str]) -> bool {
    match parts {
        [.., "crates", name, version, "download"] => is_name(name) && is_version(version),
        [.., "crates", name, file] => file.starts_with(name) && file.ends_with(".crate"),
        [.., "config.json"] => true,
        [.., "1" | "2", name] => is_name(name) && name.len() <= 2,
        [.., "3", first, name] => is_name(name) && name.len() == 3 && name.get(..1) == Some(first),
        [.., first, second, name] => {
            is_name(name) && name.get(..2) == Some(first) && name.get(2..4) == Some(second)
        }
        _ => false,
    }
}

fn scoped(part: &str) -> bool {
    let Some(rest) = part.strip_prefix('@') else { return false };
    let split = rest.split_once("%2f").or_else(|| rest.split_once("%2F"));
    split.is_some_and(|(scope, name)| is_name(scope) && is_name(name))
}

fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(known)
}

fn is_version(text: &str) -> bool {
    text == "latest"
        || (text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_known_by_the_paths_of_its_protocol_wherever_it_stands() {
        let check = |index: Index, line: &str, expect: bool| {
            let (method, path) = line.split_once(' ').unwrap();
            assert_eq!(index.is_asked(method, path), expect, "{index:?} {line}");
        };
        for line in [
            "GET /simple/",
            "GET /simple/requests/",
            "HEAD /api/pypi/remote/simple/zope.interface",
            "GET /root/pypi/+simple/six/",
            "GET /packages/ab/cd/0123/requests-2.32.0-py3-none-any.whl",
            "GET /packages/ab/cd/0123/requests-2.32.0-py3-none-any.whl.metadata",
            "GET /root/pypi/+f/4ca/83f2b/six-1.16.0.tar.gz",
            "GET /pypi/fastmcp/json",
        ] {
            check(Index::Pip, line, true);
        }
        for line in [
            "POST /simple/requests/",
            "GET /simple/a/b",
            "GET /you/project/archive/main.zip",
            "GET /simple/../x",
            "GET /simple/%2e%2e/",
            "GET /",
            "GET /v1/models",
        ] {
            check(Index::Pip, line, false);
        }
        for line in [
            "GET /lodash",
            "GET /lodash/latest",
            "GET /@opencode-ai%2fplugin",
            "GET /@types/node",
            "GET /api/npm/remote/@types%2Fnode",
            "GET /lodash/-/lodash-4.17.21.tgz",
            "GET /@types/node/-/node-20.0.0.tgz",
            "POST /-/npm/v1/security/advisories/bulk",
            "GET /-/v1/search",
        ] {
            check(Index::Npm, line, true);
        }
        for line in ["POST /lodash", "GET /", "GET /you/project/tar.gz/abc", "GET /you/project", "GET /a/-/b"]
        {
            check(Index::Npm, line, false);
        }
        for line in [
            "GET /config.json",
            "GET /index/se/rd/serde",
            "GET /1/a",
            "GET /2/ab",
            "GET /3/a/abc",
            "GET /api/v1/crates/serde/1.0.200/download",
            "GET /crates/serde/serde-1.0.200.crate",
        ] {
            check(Index::Cargo, line, true);
        }
        for line in ["GET /se/xx/serde", "GET /3/b/abc", "GET /2/abc", "PUT /config.json", "GET /a/b/c"] {
            check(Index::Cargo, line, false);
        }
    }
}
