//! OpenShell: `network_policies` of endpoints and programs. `*.` is one label there, `**.` any number of them.

use super::k8s::target;
use super::tree::{self, Node};
use super::write::{Draft, Entry};
use crate::error::Problem;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::yaml(text)? else { return Ok(None) };
    if root.get("network_policies").is_none() && root.get("filesystem_policy").is_none() {
        return Ok(None);
    }
    let mut draft = Draft::default();
    draft.only(&root, &["version", "network_policies", "filesystem_policy", "landlock"]);
    for (key, policy) in
        root.map("network_policies")?.map_or(Ok(&[][..]), |all| all.entries("network_policies"))?
    {
        draft.only(policy, &["name", "endpoints", "binaries"]);
        if policy.list("binaries")?.is_empty() {
            draft.lose(
                policy.line(),
                format!("`{}` names no program, so it opens nothing: left out", key.escape_debug()),
            );
            continue;
        }
        let what = "`binaries`: claw decides by destination, never by program: the rule holds for every program inside";
        draft.lose(policy.get("binaries").map_or(policy.line(), Node::line), what);
        for endpoint in policy.list("endpoints")? {
            draft.endpoint(endpoint, policy.text("name")?.unwrap_or(key))?;
        }
    }
    if let Some(files) = root.map("filesystem_policy")? {
        draft.only(files, &["include_workdir", "read_only", "read_write"]);
        draft.files(files.list("read_only")?, files.list("read_write")?)?;
        if files.flag("include_workdir")? == Some(true) {
            draft.files.get_or_insert_default().1.push(".".to_owned());
        }
    }
    Ok(Some(draft))
}

impl Draft {
    fn endpoint(&mut self, endpoint: &Node, name: &str) -> Result<(), Problem> {
        const READ: &[&str] = &[
            "host",
            "port",
            "ports",
            "path",
            "protocol",
            "enforcement",
            "access",
            "rules",
            "deny_rules",
            "allowed_ips",
            "tls",
        ];
        let line = endpoint.line();
        let mut ports: Vec<&str> = endpoint.text("port")?.into_iter().collect();
        for port in endpoint.list("ports")? {
            ports.push(port.word("ports")?);
        }
        let ports = ports.join(",");
        let host = endpoint.text("host")?;
        let ips = endpoint.list("allowed_ips")?;
        let mut targets = Vec::new();
        match host {
            Some(host) => targets.push(match host.strip_prefix("**.") {
                Some(suffix) => format!("*.{suffix}:{ports}"),
                None => target(host, &ports),
            }),
            None => {
                for ip in ips {
                    targets.push(target(ip.word("allowed_ips")?, &ports));
                }
            }
        }
        let (http, mut refused) = requests(endpoint)?;
        if host.is_some() && !ips.is_empty() {
            refused = Some("`allowed_ips` narrows where the name may lead".to_owned());
        }
        if host.is_some_and(|host| host.starts_with("*.")) {
            refused = Some("`*` is one label there, and one or more labels here: name the hosts".to_owned());
        }
        let narrow = |(key, _): &&(String, Node)| !READ.contains(&key.as_str());
        for (key, node) in endpoint.entries("endpoints")?.iter().filter(narrow) {
            self.lose(node.line(), format!("`{}` is not carried over", key.escape_debug()));
        }
        if http.is_some() && endpoint.text("enforcement")? != Some("enforce") {
            self.lose(line, "requests are only audited there: here they are enforced");
        }
        for text in targets {
            let purpose = Some(format!("imported: {name}"));
            let http = http.clone().unwrap_or_default();
            self.entries.push(Entry {
                purpose,
                http,
                refused: refused.clone(),
                ..Entry::new(line, text, None)
            });
        }
        Ok(())
    }
}

/// The requests of an endpoint, where it names any, and why they cannot be said.
fn requests(endpoint: &Node) -> Result<(Option<Vec<String>>, Option<String>), Problem> {
    let because = |why: &str| Ok((None, Some(why.to_owned())));
    match endpoint.text("protocol")? {
        None | Some("tcp") => return Ok((None, None)),
        Some("rest") => {}
        Some(other) => return because(&format!("`{}` is more than HTTP requests", other.escape_debug())),
    }
    if !endpoint.list("deny_rules")?.is_empty() {
        return because("`deny_rules` narrow the requests, and a rule cannot deny some of them");
    }
    if endpoint.text("path")?.is_some_and(|path| !matches!(path, "" | "**" | "/**")) {
        return because("`path` chooses between endpoints of one host");
    }
    let methods: &[&str] = match endpoint.text("access")? {
        None => &[],
        Some("read-only") => &["GET", "HEAD", "OPTIONS"],
        Some("read-write") => &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"],
        Some("full") => &["*"],
        Some(_) => return Err(endpoint.wrong("access", "`read-only`, `read-write` or `full`")),
    };
    let mut requests: Vec<String> = methods.iter().map(|method| format!("{method} /**")).collect();
    for rule in endpoint.list("rules")? {
        let allow = rule.map("allow")?.ok_or_else(|| rule.wrong("rules", "a list of `allow`"))?;
        let (Some(method), Some(path)) = (allow.text("method")?, allow.text("path")?) else {
            return because("a rule that is not a method and a path");
        };
        if allow.get("query").is_some() {
            return because("`query` narrows the requests");
        }
        // at least one sign of a segment: a segment that is not empty, as ours
        let path: Vec<&str> = path.split('/').map(|part| if part == "?*" { "*" } else { part }).collect();
        requests.push(format!("{method} {}", path.join("/")));
    }
    if requests.is_empty() {
        return because("it permits no request");
    }
    Ok((Some(requests), None))
}
