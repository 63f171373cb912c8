//! Which hosts are this machine's package indexes, read from the configuration of pip, npm and cargo.
//!
//! Text in, hosts out: whoever reads the files passes their content in. A private mirror is recognised by what the machine
//! itself is configured with, never by a name that is known here.

use serde::{Deserialize, Serialize};

mod asked;

/// Whose packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Index {
    /// Python's.
    Pip,
    /// Node's.
    Npm,
    /// Rust's.
    Cargo,
}

/// The configured indexes: host and, where the address names one, port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(Index, String, u16)>);

impl Indexes {
    /// The index that a host is configured as.
    pub fn of(&self, host: &str, port: Option<u16>) -> Option<Index> {
        let same = |(_, own, at): &&(Index, String, u16)| own == host && port.is_none_or(|port| port == *at);
        self.0.iter().find(same).map(|(index, _, _)| *index)
    }

    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what an address names: `https://user@host:8443/simple`, `sparse+https://host/index/`.
    pub fn add(&mut self, index: Index, address: &str) {
        let address = address.trim().trim_matches(['"', '\'']);
        let Some((scheme, rest)) = address.split_once("://") else { return };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let default = if scheme.ends_with("http") { 80 } else { 443 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().unwrap_or(default))
            }
            _ => (authority, default),
        };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let found = (index, host, port);
        if !found.1.is_empty() && !self.0.contains(&found) {
            self.0.push(found);
        }
    }

    /// Adds what a `pip.conf` names.
    pub fn pip_conf(&mut self, text: &str) {
        let mut key = String::new();
        for line in text.lines() {
            let own = line.trim();
            if own.starts_with(['#', ';', '[']) {
                continue;
            }
            // an indented line goes on with the value of the line before
            let value = match (line.starts_with(char::is_whitespace), own.split_once(['=', ':'])) {
                (true, _) if !key.is_empty() => own,
                (_, Some((name, value))) => {
                    key = name.trim().to_ascii_lowercase().replace('_', "-");
                    value
                }
                _ => continue,
            };
            if matches!(key.as_str(), "index-url" | "extra-index-url" | "index" | "find-links") {
                value.split_whitespace().for_each(|address| self.add(Index::Pip, address));
            }
        }
    }

    /// Adds what an `.npmrc` names.
    pub fn npmrc(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim();
            if name == "registry" || name.ends_with(":registry") {
                self.add(Index::Npm, value);
            }
        }
    }

    /// Adds what a `config.toml` of cargo names. A file that is no TOML names nothing: cargo would not read it either.
    pub fn cargo_config(&mut self, text: &str) {
        let Ok(table) = text.parse::<toml::Table>() else { return };
        let below = |name: &str| table.get(name).and_then(toml::Value::as_table).into_iter().flatten();
        for (_, source) in below("source").chain(below("registries")) {
            for key in ["registry", "index"] {
                if let Some(address) = source.get(key).and_then(toml::Value::as_str) {
                    self.add(Index::Cargo, address);
                }
            }
        }
    }

    /// Adds what the environment's variable `name` says, if it is one of theirs.
    pub fn variable(&mut self, name: &str, value: &str) {
        let index = match name.to_ascii_uppercase().as_str() {
            "PIP_INDEX_URL"
            | "PIP_EXTRA_INDEX_URL"
            | "UV_INDEX_URL"
            | "UV_DEFAULT_INDEX"
            | "UV_INDEX"
            | "UV_EXTRA_INDEX_URL" => Index::Pip,
            "NPM_CONFIG_REGISTRY" | "YARN_REGISTRY" | "YARN_NPM_REGISTRY_SERVER" => Index::Npm,
            name if name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX") => Index::Cargo,
            _ => return,
        };
        value.split_whitespace().for_each(|address| self.add(index, address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_found_in_each_configuration() {
        let mut indexes = Indexes::default();
        indexes.pip_conf(
            "# mirror\n[global]\nindex-url = https://user:secret@mirror.internal/simple\nextra-index-url =\n    http://second.internal:8080/simple\n    https://third.internal/simple\ntimeout = 5\n",
        );
        indexes.npmrc("; x\nregistry=https://npm.internal/\n@corp:registry = https://corp.internal:8443/npm/\n//npm.internal/:_authToken=abc\n");
        indexes.cargo_config("[source.m]\nregistry = \"sparse+https://crates.internal/index/\"\n");
        indexes.cargo_config("not [ toml");
        indexes.variable("UV_DEFAULT_INDEX", "https://uv.internal/simple");
        indexes.variable("npm_config_registry", "https://npm2.internal");
        indexes.variable("HOME", "https://home.internal");
        let check = |host: &str, port: u16, expect: Option<Index>| {
            assert_eq!(indexes.of(host, Some(port)), expect, "{host}:{port}");
        };
        check("mirror.internal", 443, Some(Index::Pip));
        check("second.internal", 8080, Some(Index::Pip));
        check("second.internal", 443, None);
        check("third.internal", 443, Some(Index::Pip));
        check("npm.internal", 443, Some(Index::Npm));
        check("corp.internal", 8443, Some(Index::Npm));
        check("crates.internal", 443, Some(Index::Cargo));
        check("uv.internal", 443, Some(Index::Pip));
        check("npm2.internal", 443, Some(Index::Npm));
        check("home.internal", 443, None);
        assert_eq!(indexes.of("crates.internal", None), Some(Index::Cargo));
    }
}
