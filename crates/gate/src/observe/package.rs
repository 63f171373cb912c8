//! Which program a Python or Node process runs, from its command line. Read outside; nothing inside has to help.
//!
//! It is the script or module that was started, not the library that opened the connection: a process cannot be asked for
//! that from outside without stopping it.

/// The script, the module, or the package a script belongs to; none for other programs.
pub(crate) fn package(exe: &str, command: &[u8]) -> Option<String> {
    let name = exe.rsplit('/').next().unwrap_or(exe);
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .take(MOST_WORDS)
        .map(|word| String::from_utf8_lossy(word).chars().take(LONGEST).collect())
        .collect();
    let words = words.get(1..).unwrap_or_default();
    if name.starts_with("python") || name.starts_with("pypy") {
        python(words)
    } else if ["node", "nodejs", "bun", "deno"].contains(&name) {
        node(words)
    } else {
        None
    }
}

fn python(words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-m" => return words.next().cloned(),
            "-c" | "-" => return Some(word.clone()),
            "-W" | "-X" | "--check-hash-based-pycs" => drop(words.next()),
            // `-Im module`, `-Xdev`: letters joined, the last one may want a word
            _ if word.starts_with('-') && !word.starts_with("--") && word.ends_with('m') => {
                return words.next().cloned();
            }
            _ if word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') => {
                return Some("-c".to_owned());
            }
            _ if word.starts_with('-') => {}
            script => return named(script, &["/site-packages/", "/dist-packages/"]),
        }
    }
    None
}

fn node(words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-e" | "--eval" | "-p" | "--print" => return Some("-e".to_owned()),
            "-r" | "--require" | "--import" | "--loader" | "--env-file" => drop(words.next()),
            "run" => {}
            _ if word.starts_with('-') => {}
            script => return named(script, &["/node_modules/"]),
        }
    }
    None
}

/// The package that a script is installed as, or the script.
fn named(script: &str, roots: &[&str]) -> Option<String> {
    let inside = roots.iter().find_map(|root| Some(script.rsplit_once(root)?.1));
    let Some(inside) = inside else { return (!script.is_empty()).then(|| script.to_owned()) };
    let mut parts = inside.split('/');
    let first = parts.next()?;
    if first.starts_with('@') {
        return Some(format!("{first}/{}", parts.next()?));
    }
    Some(first.trim_end_matches(".py").to_owned())
}

const MOST_WORDS: usize = 64;
const LONGEST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_a_module_or_the_package_it_is_installed_as() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("/usr/bin/python3.12", &["python3", "agent.py", "--key", "sk-1"], Some("agent.py")),
            (
                "/usr/bin/python3.12",
                &["python3", "-X", "dev", "-m", "langgraph_cli", "dev"],
                Some("langgraph_cli"),
            ),
            ("/usr/bin/python3.12", &["python3", "-Im", "mod"], Some("mod")),
            ("/usr/bin/python3.12", &["python3", "-c", "print('sk-1')"], Some("-c")),
            (
                "/v/bin/python",
                &["python", "/v/lib/python3.12/site-packages/litellm/proxy/x.py"],
                Some("litellm"),
            ),
            ("/usr/bin/python3.12", &["python3"], None),
            (
                "/usr/bin/node",
                &["node", "--import", "x", "/w/node_modules/@openai/codex/bin.js"],
                Some("@openai/codex"),
            ),
            ("/usr/bin/node", &["node", "/w/node_modules/a/node_modules/b/i.js"], Some("b")),
            ("/usr/bin/node", &["node", "-e", "fetch('sk-1')"], Some("-e")),
            ("/usr/bin/curl", &["curl", "x"], None),
        ];
        for (exe, words, expect) in cases {
            let found = package(exe, words.join("\0").as_bytes());
            assert_eq!(found.as_deref(), *expect, "{words:?}");
        }
    }
}
