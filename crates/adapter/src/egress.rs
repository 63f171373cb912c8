//! What an adapter may reach, judged by the one parser of policies.

use claw_policy::Policy;
use serde_json::json;

use crate::Egress;

/// Which entry is no sound rule of a policy, and why. What a policy would refuse to load (the whole internet, a rule
/// without a purpose, two rules that contradict each other) no adapter may ask for.
pub(crate) fn judge(entries: &[Egress]) -> Result<(), (usize, String)> {
    // one line for each rule: the line of a problem is the number of its entry
    let mut text = HEAD.to_owned();
    for Egress { destination, plane, purpose, protocol, http, .. } in entries {
        let mut rule = json!({ "destination": destination, "plane": plane, "purpose": purpose });
        if let Some(map) = rule.as_object_mut() {
            protocol.as_ref().map(|protocol| map.insert("protocol".to_owned(), json!(protocol)));
            if !http.is_empty() {
                map.insert("http".to_owned(), json!(http));
            }
        }
        text.push_str(&format!("    - {rule}\n"));
    }
    if entries.is_empty() {
        return Ok(());
    }
    let at = |line: u32| {
        let at = usize::try_from(line.saturating_sub(FIRST)).unwrap_or_default();
        at.min(entries.len().saturating_sub(1))
    };
    let policy = Policy::parse(&text, "egress").map_err(|error| {
        let first = error.problems().first();
        let (line, why) = first.map_or((FIRST, "it is wrong"), |problem| (problem.line(), problem.message()));
        (at(line), why.to_owned())
    })?;
    // a person is warned of it in his own policy; from somebody else it is refused
    let broad = policy.findings().iter().find(|finding| finding.code == BROAD);
    broad
        .map_or(Ok(()), |finding| Err((at(finding.line), format!("{}; hint: {}", finding.why, finding.mend))))
}

/// The finding that anybody can have a name that a rule opens.
const BROAD: &str = "broad-wildcard";
const HEAD: &str = "version: 1\nnetwork_policy:\n  workload:\n";
/// The line of the first rule below the head.
const FIRST: u32 = 4;
