//! git's configuration file, as far as formats and promises stand in it.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) sub: String,
    pub(super) key: String,
    /// In lower case.
    pub(super) value: String,
    /// As it is written.
    pub(super) text: String,
}

impl Entry {
    pub(super) fn name(&self) -> String {
        let parts = [self.section.as_str(), self.sub.as_str(), self.key.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    }
}

/// Reads the settings, in order. Names are in lower case; a key without a value is `true`.
pub(super) fn read(text: &str) -> Vec<Entry> {
    let (mut section, mut sub) = (String::new(), String::new());
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut rest = line.trim();
        if let Some((head, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let (name, quoted) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
            section = name.trim().to_lowercase();
            sub = quoted.trim().trim_matches('"').to_owned();
            rest = after.trim();
        }
        if rest.is_empty() || rest.starts_with(['#', ';']) {
            continue;
        }
        let (key, value) = rest.split_once('=').unwrap_or((rest, "true"));
        let value = value.split(['#', ';']).next().unwrap_or_default().trim().trim_matches('"');
        entries.push(Entry {
            section: section.clone(),
            sub: sub.clone(),
            key: key.trim().to_lowercase(),
            value: value.to_lowercase(),
            text: value.to_owned(),
        });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_comments_are_told_apart() {
        let text = "[core] bare = false ; x\n# [extensions]\n[Remote \"o]r\"]\n\n[remote \"origin\"]\n\tPromisor\n\turl = x\n";
        let found: Vec<String> =
            read(text).iter().map(|entry| format!("{}={}", entry.name(), entry.value)).collect();
        assert!(found.contains(&"core.bare=false".to_owned()));
        assert!(found.contains(&"remote.origin.promisor=true".to_owned()), "{found:?}");
        assert!(!found.iter().any(|entry| entry.starts_with("extensions")));
    }
}
