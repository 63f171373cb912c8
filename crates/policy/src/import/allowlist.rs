//! The annotated allowlist: `destination`, `purpose`, `protocol`, `required`.

use super::write::{Draft, Entry};
use crate::error::Problem;
use crate::raw::{self, At, keyed};
use crate::rule::RuleList;
use claw_model::plane::Plane;

keyed! {
    RawFile {
        egress: Vec<At<RawItem>>,
        allowlist: Vec<At<RawItem>>,
    }
}

keyed! {
    RawItem {
        destination: At<String>,
        purpose: At<String>,
        protocol: At<String>,
        required: At<String>,
    }
}

pub(super) fn read(text: &str) -> Result<Option<Draft>, Problem> {
    let mut draft = Draft::default();
    let list = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let items = if list.is_some_and(|line| line.trim_start().starts_with("- ")) {
        raw::read::<Vec<At<RawItem>>>(text)?
    } else {
        let file = raw::read::<RawFile>(text)?.unwrap_or_default();
        draft.lose_extra(&file.extra, &[]);
        file.egress.or(file.allowlist)
    };
    let Some(items) = items else { return Ok(None) };
    items.into_iter().for_each(|item| draft.item(item));
    Ok(Some(draft))
}

impl Draft {
    fn item(&mut self, item: At<RawItem>) {
        let At { value: item, place } = item;
        self.lose_extra(&item.extra, &[]);
        let text =
            |field: Option<At<String>>| field.map(|field| field.value).filter(|text| !text.trim().is_empty());
        let (purpose, protocol) = (text(item.purpose), text(item.protocol));
        let Some(destination) = item.destination else {
            return self.lose(place.line, "an item without `destination` is left out");
        };
        let plane = plane(purpose.as_deref().unwrap_or_default(), protocol.as_deref().unwrap_or_default());
        self.entries.push(Entry {
            // What serves attestation is over once the runtime is attested; all else is the workload's.
            list: match plane {
                Plane::Attestation | Plane::Time | Plane::Revocation => RuleList::Bootstrap,
                _ => RuleList::Workload,
            },
            plane,
            purpose,
            required: text(item.required),
            ..Entry::new(place.line, destination.value, protocol.as_deref())
        });
    }
}

/// The plane, only where the words say it plainly.
fn plane(purpose: &str, protocol: &str) -> Plane {
    let purpose = purpose.to_ascii_lowercase();
    let words: Vec<&str> = purpose.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    if protocol == "UDP/NTP" || says(&["ntp"]) || purpose.contains("network time") {
        Plane::Time
    } else if says(&["crl", "ocsp", "revocation"]) {
        Plane::Revocation
    } else if purpose.contains("attestation evidence") || purpose.contains("attestation token") {
        Plane::Attestation
    } else if says(&["update", "updates"]) {
        Plane::Update
    } else {
        Plane::Workload
    }
}
