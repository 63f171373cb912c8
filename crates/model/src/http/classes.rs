//! One example of each class of requests that some patterns tell apart.
//!
//! Two requests are of one class if each of the patterns matches both or neither. The paths are walked part by part: each
//! text that some pattern spells there, one that none spells, one that holds an escaped separator, and none; a walk goes on
//! only while a pattern still has parts to compare. So the examples miss no class, and are few for patterns as people
//! write them.

use super::{CanonicalPath, RequestPattern, Segment, holds_separator, same};

/// A method and a path.
pub type Example = (String, String);

/// An example of every class; `None` if there are more than `most`.
pub fn classes(patterns: &[&RequestPattern], most: usize) -> Option<Vec<Example>> {
    let mut walk = Walk { patterns, paths: Vec::new(), most };
    let all: Vec<usize> = (0..patterns.len()).collect();
    walk.step("", 0, &all)?;
    let methods = methods(patterns);
    if walk.paths.len().saturating_mul(methods.len()) > most {
        return None;
    }
    let paths = walk.paths.iter().filter(|path| CanonicalPath::parse(path).is_ok());
    Some(paths.flat_map(|path| methods.iter().map(move |method| (method.clone(), path.clone()))).collect())
}

/// Every method that a pattern names, and one that none does.
fn methods(patterns: &[&RequestPattern]) -> Vec<String> {
    let mut methods: Vec<String> = Vec::new();
    for method in patterns.iter().filter_map(|pattern| pattern.method.as_deref()) {
        if methods.iter().all(|known| known != method) {
            methods.push(method.to_owned());
        }
    }
    let usual = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"].map(str::to_owned);
    let made = (0..=patterns.len()).map(|number| format!("OTHER{}", "-X".repeat(number)));
    let other = usual.into_iter().chain(made).find(|other| !methods.contains(other));
    methods.extend(other);
    methods
}

struct Walk<'a> {
    patterns: &'a [&'a RequestPattern],
    paths: Vec<String>,
    most: usize,
}

impl Walk<'_> {
    /// Every class of the paths that begin so, which these patterns have matched so far without an end.
    fn step(&mut self, begun: &str, depth: usize, alive: &[usize]) -> Option<()> {
        for text in self.texts(depth, alive) {
            let path = format!("{begun}/{text}");
            let mut further = Vec::new();
            let mut ends = false;
            for &index in alive {
                let Some(pattern) = self.patterns.get(index) else { continue };
                let here = match pattern.segments.get(depth) {
                    Some(Segment::Literal(own)) => same(own, &text),
                    Some(Segment::One) => !text.is_empty() && !holds_separator(&text),
                    Some(Segment::Rest) | None => false,
                };
                match pattern.segments.len() > depth + 1 {
                    _ if !here => {}
                    true => further.push(index),
                    false => ends = true,
                }
            }
            self.put(path.clone())?;
            // nothing follows a part that is empty
            if text.is_empty() {
                continue;
            }
            if !further.is_empty() {
                self.step(&path, depth + 1, &further)?;
            } else if ends {
                self.put(format!("{path}/x"))?;
            }
        }
        Some(())
    }

    fn put(&mut self, path: String) -> Option<()> {
        self.paths.push(path);
        (self.paths.len() <= self.most).then_some(())
    }

    /// What may stand at this place, as far as it makes a difference.
    fn texts(&self, depth: usize, alive: &[usize]) -> Vec<String> {
        let spelled: Vec<&str> = alive
            .iter()
            .filter_map(|index| match self.patterns.get(*index)?.segments.get(depth)? {
                Segment::Literal(text) => Some(&**text),
                _ => None,
            })
            .collect();
        let mut texts: Vec<String> = Vec::new();
        let count = spelled.len();
        let plain = (0..=count).map(|number| format!("x{}", "y".repeat(number)));
        let separated = (0..=count).map(|number| format!("x%2F{}", "y".repeat(number)));
        let free = |text: &String| spelled.iter().all(|own| !same(own, text));
        let others = plain.into_iter().find(free).into_iter().chain(separated.into_iter().find(free));
        for text in spelled.iter().map(|text| (*text).to_owned()).chain(others).chain([String::new()]) {
            if !texts.iter().any(|known| same(known, &text)) {
                texts.push(text);
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_pattern() -> impl Strategy<Value = RequestPattern> {
        let segment = prop::sample::select(vec!["a", "b", "x", "*", "a%2Fb", "x%2F"]);
        let end = prop::sample::select(vec!["", "/**", "/"]);
        let method = prop::sample::select(vec!["GET", "POST", "*"]);
        (method, prop::collection::vec(segment, 0..4), end).prop_map(|(method, parts, end)| {
            let path = parts.iter().map(|part| format!("/{part}")).collect::<String>() + end;
            let path = if path.is_empty() { "/" } else { &path };
            RequestPattern::parse(&format!("{method} {path}")).unwrap()
        })
    }

    fn any_path() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["a", "b", "x", "c", "a%2fb", "q%2Fq", "x%2F"]);
        (prop::collection::vec(segment, 0..6), any::<bool>()).prop_map(|(parts, slash)| {
            let path: String = parts.iter().map(|part| format!("/{part}")).collect();
            if slash || path.is_empty() { path + "/" } else { path }
        })
    }

    proptest! {
        #[test]
        fn every_request_is_like_one_of_the_examples(
            patterns in prop::collection::vec(any_pattern(), 0..6), path in any_path(), method in 0usize..3
        ) {
            let patterns: Vec<&RequestPattern> = patterns.iter().collect();
            let like = |method: &str, path: &str| -> Vec<bool> {
                let path = CanonicalPath::parse(path).unwrap();
                patterns.iter().map(|pattern| pattern.matches(method, path)).collect()
            };
            let asked = like(["GET", "POST", "PATCH"][method], &path);
            let examples = classes(&patterns, 100_000).unwrap();
            let found = examples.iter().any(|(method, path)| like(method, path) == asked);
            prop_assert!(found, "{:?} of {:?}", asked, examples);
        }
    }

    #[test]
    fn too_many_classes_are_told() {
        let patterns: Vec<RequestPattern> = (0..12)
            .map(|at| {
                let parts: Vec<&str> = (0..12).map(|part| if part == at { "a" } else { "*" }).collect();
                RequestPattern::parse(&format!("GET /{}", parts.join("/"))).unwrap()
            })
            .collect();
        assert_eq!(classes(&patterns.iter().collect::<Vec<_>>(), 1_000), None);
    }
}
