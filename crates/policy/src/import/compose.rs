//! Compose files permit by networks, not by destinations: what their environment speaks of is suggested, and nothing is
//! opened.

use super::agents::address;
use super::tree::{self, Node, Value};
use super::write::{Draft, Entry};
use crate::error::Problem;

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let Some(root) = tree::yaml(text)? else { return Ok(None) };
    let Some(services) = root.map("services")? else { return Ok(None) };
    let mut draft = Draft::default();
    for (name, service) in services.entries("services")? {
        if let Some(mode) = service.get("network_mode") {
            draft.lose(mode.line(), "`network_mode` is not carried over: nothing leaves without a rule");
        }
        let Some(environment) = service.get("environment") else { continue };
        match &environment.value {
            Value::Map(entries) => {
                for (key, node) in entries {
                    if let Value::Text(value) = &node.value {
                        draft.suggest(name, key, value, node);
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    if let Some((key, value)) = item.word("environment")?.split_once('=') {
                        draft.suggest(name, key, value, item);
                    }
                }
            }
            _ => return Err(environment.wrong("environment", "a mapping or a list")),
        }
    }
    Ok(Some(draft))
}

impl Draft {
    /// A rule for the host that a value names; of the value only host and port are kept.
    fn suggest(&mut self, service: &str, key: &str, value: &str, node: &Node) {
        let Some(address) = address(value.trim()) else { return };
        let entry = Entry {
            purpose: Some(format!("imported: {key} of {service}")),
            ..Entry::new(node.line(), address.destination, None)
        };
        let why =
            format!("a suggestion: `{}` names it; take the signs away if it is needed", key.escape_debug());
        self.refuse(entry, why);
    }
}
