//! Settings of other sandboxes for agents: Anthropic's sandbox runtime, Codex, nono, sandlock.

use claw_model::destination::Destination;
use claw_model::net::{self, Net};

use super::k8s::target;
use super::toml;
use super::tree::{self, Node, Value};
use super::write::{Draft, Entry};
use crate::error::Problem;
use crate::rule::RuleList;
use crate::space;

/// `*.x` is any number of labels below `x`; an entry without a port is every port; denials win.
pub(super) fn srt(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::json(text)? else { return Ok(None) };
    let Some(network) = root.map("network")? else { return Ok(None) };
    let mut draft = Draft::default();
    draft.only(&root, &["network"]);
    draft.only(
        network,
        &[
            "allowedDomains",
            "deniedDomains",
            "deniedDomainReasons",
            "deniedResolvedAddresses",
            "strictAllowlist",
        ],
    );
    let mut everywhere = Vec::new();
    for item in network.list("deniedDomains")? {
        let text = item.word("deniedDomains")?;
        match text.strip_prefix('*').filter(|rest| rest.is_empty() || rest.starts_with(':')) {
            Some(rest) => everywhere.push(rest.strip_prefix(':').unwrap_or("*")),
            None => draft.deny(item, &ported(text))?,
        }
    }
    let unheld = network.list("deniedResolvedAddresses")?.iter().find(|item| !refused_anyway(item));
    for item in network.list("allowedDomains")? {
        let entry = Entry::new(item.line(), ported(item.word("allowedDomains")?), Some("TCP"));
        match unheld {
            Some(_) => draft.refuse(
                entry,
                "`deniedResolvedAddresses` narrows it, and names a network that is not private",
            ),
            None => draft.without(entry, &everywhere),
        }
    }
    Ok(Some(draft))
}

/// `*.x` is any number of labels below `x`, `**.x` also `x` itself; there are no ports: every port is meant.
pub(super) fn codex(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = toml::read(text)? else { return Ok(None) };
    let Some(profiles) = root.map("permissions")? else { return Ok(None) };
    let mut draft = Draft::default();
    for node in ["sandbox_mode", "sandbox_workspace_write"].iter().filter_map(|key| root.get(key)) {
        draft.lose(node.line(), "an older setting that replaces the permissions: not carried over");
    }
    let chosen = root.text("default_permissions")?;
    let all = profiles.entries("permissions")?;
    let Some((name, profile)) =
        all.iter().find(|(name, _)| chosen.map_or(all.len() == 1, |chosen| chosen == name))
    else {
        return Ok(None);
    };
    for (_, other) in all.iter().filter(|(other, _)| other != name) {
        draft.lose(other.line(), "a profile that `default_permissions` does not name is left out");
    }
    draft.only(profile, &["network", "description"]);
    let Some(network) = profile.map("network")? else { return Ok(Some(draft)) };
    if network.flag("enabled")? != Some(true) {
        return Ok(Some(draft));
    }
    draft.only(network, &["enabled", "mode", "domains", "mitm"]);
    let limited = match network.text("mode")? {
        None | Some("full") => false,
        Some("limited") => true,
        Some(_) => return Err(network.wrong("mode", "`full` or `limited`")),
    };
    let hooks = network.get("mitm");
    if let Some(hooks) = hooks {
        draft.lose(
            hooks.line(),
            "`mitm` narrows requests in ways that are not read: hosts are written as comments",
        );
    }
    let domains = network.map("domains")?.map_or(Ok(&[][..]), |domains| domains.entries("domains"))?;
    for (pattern, node) in domains {
        let hosts = match pattern.strip_prefix("**.") {
            Some(apex) => vec![apex.to_owned(), format!("*.{apex}")],
            None => vec![pattern.clone()],
        };
        for host in hosts {
            let text = target(&host, "*");
            match node.word("domains")? {
                "deny" => draft.deny(node, &text)?,
                "allow" if hooks.is_some() => {
                    draft.refuse(Entry::new(node.line(), text, Some("TCP")), "`mitm` narrows its requests");
                }
                "allow" if limited => {
                    let http = ["GET /**", "HEAD /**", "OPTIONS /**"].map(str::to_owned).into();
                    draft.lose(node.line(), "`limited` names no port: 443 is written");
                    draft.entries.push(Entry { http, ..Entry::new(node.line(), target(&host, "443"), None) });
                }
                "allow" => draft.entries.push(Entry::new(node.line(), text, Some("TCP"))),
                _ => return Err(node.wrong(pattern, "`allow` or `deny`")),
            }
        }
    }
    Ok(Some(draft))
}

/// Hosts without ports, where every port is meant; URLs with paths, where one is.
pub(super) fn nono(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::json_with_comments(text)? else { return Ok(None) };
    let Some(network) = root.map("network")? else { return Ok(None) };
    let mut draft = Draft::default();
    draft.only(&root, &["$schema", "meta", "network", "extends"]);
    if let Some(extends) = root.get("extends") {
        draft.lose(extends.line(), "`extends`: what it inherits is not in this file");
    }
    if network.flag("block")? == Some(true) {
        return Ok(Some(draft));
    }
    draft.only(network, &["block", "allow_domain", "custom_credentials"]);
    let domains = network.list("allow_domain")?;
    for item in domains {
        let entry = match item.word("allow_domain")? {
            url if url.contains("://") => match address(url) {
                Some(address) if address.path.is_empty() || address.path == "/" => {
                    Entry::new(item.line(), address.destination, None)
                }
                Some(address) => {
                    let http = vec![format!("* {}", address.path)];
                    Entry { http, ..Entry::new(item.line(), address.destination, None) }
                }
                None => return Err(item.wrong("allow_domain", "a host or a URL")),
            },
            host => Entry::new(item.line(), ported(host), Some("TCP")),
        };
        draft.entries.push(entry);
    }
    let credentials = network.map("custom_credentials")?;
    for (name, node) in credentials.map_or(Ok(&[][..]), |node| node.entries("custom_credentials"))? {
        draft.lose(node.line(), format!("the credential of `{}` is not carried over", name.escape_debug()));
        let Some(address) = node.text("upstream")?.and_then(address) else {
            return Err(node.wrong("upstream", "a URL"));
        };
        let mut entry = Entry::new(node.line(), address.destination, None);
        for rule in node.list("endpoint_rules")? {
            let (method, path) = (rule.text("method")?.unwrap_or("*"), rule.text("path")?.unwrap_or("/**"));
            entry.http.push(format!("{method} {path}"));
        }
        draft.entries.push(entry);
    }
    let narrowed = ["network_profile", "credentials"].iter().any(|key| network.get(key).is_some());
    if domains.is_empty() && credentials.is_none() && !narrowed {
        let entry = Entry::new(network.line(), "0.0.0.0/0:*".to_owned(), Some("TCP"));
        draft.refuse(
            entry,
            "a profile that names no domain and does not block opens the network to the world",
        );
    }
    Ok(Some(draft))
}

/// `[SCHEME://]TARGET[:PORTS]`; without a scheme both TCP and UDP; no wildcards in names.
pub(super) fn sandlock(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = toml::read(text)? else { return Ok(None) };
    if root.get("network").is_none() && root.get("http").is_none() && root.get("filesystem").is_none() {
        return Ok(None);
    }
    let mut draft = Draft::default();
    draft.only(&root, &["network", "http", "filesystem", "config"]);
    let ends_tls = root
        .map("config")?
        .is_some_and(|config| ["http_ca", "http_inject_ca"].iter().any(|key| config.get(key).is_some()));
    let http = root.map("http")?;
    let mut judged: Vec<String> = Vec::new();
    if let Some(http) = http {
        draft.only(http, &["ports", "allow", "deny"]);
        judged = http
            .list("ports")?
            .iter()
            .map(|port| port.word("ports").map(str::to_owned))
            .collect::<Result<_, _>>()?;
        judged.push("80".to_owned());
        judged.extend(ends_tls.then(|| "443".to_owned()));
        let denies = !http.list("deny")?.is_empty();
        for item in http.list("allow")? {
            draft.sandlock_request(item, ends_tls, denies)?;
        }
    }
    if let Some(network) = root.map("network")? {
        draft.only(network, &["allow", "deny"]);
        let allowed = network.list("allow")?;
        let denied = network.list("deny")?;
        for (transports, destination, item) in specs(denied)? {
            for protocol in transports {
                let purpose = Some("imported: denied by the source".to_owned());
                let entry = Entry::new(item.line(), destination.clone(), Some(protocol));
                draft.entries.push(Entry { list: RuleList::Deny, purpose, ..entry });
            }
        }
        for (transports, destination, item) in specs(allowed)? {
            let ports = format!("0.0.0.0/0:{}", judged.join(","));
            let meets = |destination: &Destination| {
                ports.parse::<Destination>().is_ok_and(|judged| judged.ports.overlaps(&destination.ports))
            };
            for protocol in transports {
                let entry = Entry::new(item.line(), destination.clone(), Some(protocol));
                let narrowed =
                    protocol == "TCP" && destination.parse().is_ok_and(|destination| meets(&destination));
                match narrowed {
                    true => draft.refuse(entry, "`[http]` judges its requests"),
                    false => draft.entries.push(entry),
                }
            }
        }
        if allowed.is_empty() && !denied.is_empty() && http.is_none() {
            let entry = Entry::new(network.line(), "0.0.0.0/0:*".to_owned(), Some("TCP"));
            draft.refuse(entry, "a list of denials alone opens the rest of the world");
        }
    }
    if let Some(files) = root.map("filesystem")? {
        draft.only(files, &["read", "write", "deny"]);
        match files.get("deny") {
            Some(deny) => {
                draft.lose(deny.line(), "`deny` hides parts of what is shown: `filesystem` is left out")
            }
            None => draft.files(files.list("read")?, files.list("write")?)?,
        }
    }
    Ok(Some(draft))
}

type Spec<'a> = (Vec<&'static str>, String, &'a Node);

fn specs(items: &[Node]) -> Result<Vec<Spec<'_>>, Problem> {
    let mut all = Vec::new();
    for item in items {
        let text = item.word("network")?;
        let (transports, rest) = match text.split_once("://") {
            Some(("tcp", rest)) => (vec!["TCP"], rest),
            Some(("udp", rest)) => (vec!["UDP"], rest),
            Some(("icmp", _)) => continue,
            Some(_) => return Err(item.wrong(text, "`tcp://`, `udp://` or `icmp://` and a target")),
            None => (vec!["TCP", "UDP"], text),
        };
        let bare = rest.is_empty() || rest.starts_with(':') || rest == "*" || rest.starts_with("*:");
        if bare {
            let ports = rest.rsplit_once(':').map_or("*", |(_, ports)| ports);
            for world in ["0.0.0.0/0", "::/0"] {
                all.push((transports.clone(), target(world, ports), item));
            }
            continue;
        }
        all.push((transports, ported(rest), item));
    }
    Ok(all)
}

impl Draft {
    /// A denial by name or network; a pattern that we cannot say denies everything below its plain end.
    fn deny(&mut self, item: &Node, text: &str) -> Result<(), Problem> {
        let mut denied = text.to_owned();
        if Destination::parse(text).is_err() {
            let (host, ports) = text.rsplit_once(':').unwrap_or((text, "*"));
            let plain = |label: &&str| {
                !label.is_empty()
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            };
            let end: Vec<&str> = host.rsplit('.').take_while(plain).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            denied = format!("*.{}:{ports}", end.join("."));
            if Destination::parse(&denied).is_err() {
                return Err(item.wrong(text, "a denial that can be read"));
            }
            let what =
                format!("`{}` is denied as `{}`, which is more", text.escape_debug(), denied.escape_debug());
            self.lose(item.line(), what);
        }
        let entry = Entry::new(item.line(), denied, None);
        let purpose = Some("imported: denied by the source".to_owned());
        self.entries.push(Entry { list: RuleList::Deny, purpose, ..entry });
        Ok(())
    }

    /// Adds an entry without ports that are denied for every name.
    fn without(&mut self, entry: Entry, everywhere: &[&str]) {
        let Ok(whole) = Destination::parse(&entry.destination) else { return self.entries.push(entry) };
        let holes = everywhere.iter().map(|ports| format!("{}:{ports}", whole.target).parse::<Destination>());
        let Ok(holes) = holes.collect::<Result<Vec<_>, _>>() else {
            return self.refuse(entry, "a denial of ports for every name cannot be read");
        };
        let rest = space::cut(&whole, holes.iter());
        match rest.parts.as_slice() {
            [] => {
                self.lose(entry.line, format!("`{}` is denied: left out", entry.destination.escape_debug()))
            }
            [part] if *part == whole => self.entries.push(entry),
            parts => {
                self.entries.extend(
                    parts.iter().map(|part| Entry { destination: part.to_string(), ..entry.clone() }),
                );
            }
        }
    }

    fn sandlock_request(&mut self, item: &Node, ends_tls: bool, denies: bool) -> Result<(), Problem> {
        let text = item.word("allow")?;
        let Some((method, place)) = text.split_once(' ') else {
            return Err(item.wrong(text, "`METHOD HOST/PATH`"));
        };
        let (host, path) = place.split_once('/').unwrap_or((place, "*"));
        let whole = path.is_empty() || path == "*";
        let path = if whole { "/**".to_owned() } else { format!("/{path}") };
        if !whole && path.ends_with("/*") {
            self.lose(item.line(), format!("`{path}` may be more than one segment there: one is written"));
        }
        let schemes: &[(&str, Option<&str>)] =
            if ends_tls { &[("80", Some("TCP/HTTP")), ("443", None)] } else { &[("80", Some("TCP/HTTP"))] };
        for (port, protocol) in schemes {
            let http = vec![format!("{method} {path}")];
            let entry = Entry { http, ..Entry::new(item.line(), format!("{host}:{port}"), *protocol) };
            match denies {
                true => {
                    self.refuse(entry, "`deny` narrows the requests, and a rule cannot deny some of them")
                }
                false => self.entries.push(entry),
            }
        }
        Ok(())
    }

    /// What is visible inside, where every path can be said.
    pub(super) fn files(&mut self, read: &[Node], write: &[Node]) -> Result<(), Problem> {
        let mut paths = |items: &[Node]| -> Result<Vec<String>, Problem> {
            let mut kept = Vec::new();
            for item in items {
                let path = item.word("filesystem")?;
                if path.contains('$') || path.starts_with('~') || path == "/" {
                    self.lose(item.line(), format!("`{}` cannot be listed: left out", path.escape_debug()));
                } else {
                    kept.push(path.to_owned());
                }
            }
            Ok(kept)
        };
        self.files = Some((paths(read)?, paths(write)?));
        Ok(())
    }
}

/// A URL's host with its port, and its path.
pub(super) struct Address {
    pub(super) destination: String,
    pub(super) path: String,
}

/// The address of a URL; the user and the query are never kept.
pub(super) fn address(url: &str) -> Option<Address> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match scheme {
        "https" | "wss" => "443",
        "http" | "ws" => "80",
        "postgres" | "postgresql" => "5432",
        "mysql" | "mariadb" => "3306",
        "redis" | "rediss" => "6379",
        "amqp" => "5672",
        "amqps" => "5671",
        "mongodb" => "27017",
        "nats" => "4222",
        _ => "",
    };
    let destination =
        if Destination::parse(host).is_ok() { host.to_owned() } else { format!("{host}:{port}") };
    Destination::parse(&destination).ok()?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(Address { destination, path: path.to_owned() })
}

/// With `:*` where no port is named.
fn ported(text: &str) -> String {
    let bracketed = text.starts_with('[') && !text.ends_with(']');
    let v6 = text.parse::<Net>().is_ok_and(|net| !net.is_v4());
    let named = !v6 && !text.starts_with('[') && text.contains(':');
    match () {
        () if bracketed || named => text.to_owned(),
        () if v6 => format!("[{text}]:*"),
        () => format!("{text}:*"),
    }
}

/// Whether addresses of this network are refused behind names without being asked.
fn refused_anyway(item: &Node) -> bool {
    let Value::Text(text) = &item.value else { return false };
    let Ok(network) = text.parse::<Net>() else { return false };
    use net::Special::{Cgnat, LinkLocal, Loopback, Metadata, Private, UniqueLocal};
    let kept = |ip| {
        matches!(net::special(ip), Some(Cgnat | LinkLocal | Loopback | Metadata | Private | UniqueLocal))
    };
    let shortest = if network.is_v4() { 8 } else { 7 };
    network.prefix() >= shortest && kept(network.address()) && kept(network.last())
}
