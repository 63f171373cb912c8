//! Which package opens a connection, told from the agent's own side: hooks of Python and Node, for an observed run alone.
//!
//! They stand in files and variables of the sandbox and change nothing else. What they say is the agent's word, for reports;
//! no decision depends on it.

use std::collections::BTreeMap;

use crate::Network;
use crate::tree::Step;

/// The files.
pub(crate) fn steps() -> Vec<Step> {
    let text = |name: &str, content: &str| Step::Text {
        target: format!("{DIRECTORY}/{name}").into(),
        content: content.to_owned(),
    };
    vec![
        text("sitecustomize.py", include_str!("packages/sitecustomize.py")),
        text("hook.cjs", include_str!("packages/hook.cjs")),
    ]
}

/// The variables by which Python and Node find them; what these said before still holds.
pub(crate) fn variables(environment: &mut BTreeMap<String, String>, network: &Network) {
    let mut before = |name: &str, own: String, between: char| {
        let all = match environment.get(name).filter(|value| !value.is_empty()) {
            Some(value) => format!("{own}{between}{value}"),
            None => own,
        };
        environment.insert(name.to_owned(), all);
    };
    before("PYTHONPATH", DIRECTORY.to_owned(), ':');
    before("NODE_OPTIONS", format!("--require {DIRECTORY}/hook.cjs"), ' ');
    environment.insert("CLAW_PACKAGES".to_owned(), network.packages().to_string());
}

/// Where they are found inside.
const DIRECTORY: &str = "/run/claw/packages";

#[cfg(test)]
mod tests {
    use claw_model::phase::Phase;
    use claw_policy::Policy;

    use super::*;

    #[test]
    fn what_python_and_node_are_told_already_is_kept() {
        let network = Network::of(&Policy::deny_all(), Phase::Workload).unwrap();
        let set = |list: &[(&str, &str)]| {
            let mut all: BTreeMap<String, String> =
                list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            variables(&mut all, &network);
            all
        };
        let alone = set(&[("PYTHONPATH", "")]);
        assert_eq!(alone["PYTHONPATH"], "/run/claw/packages");
        assert_eq!(alone["NODE_OPTIONS"], "--require /run/claw/packages/hook.cjs");
        let more = set(&[("PYTHONPATH", "/w/lib"), ("NODE_OPTIONS", "--max-old-space-size=512")]);
        assert_eq!(more["PYTHONPATH"], "/run/claw/packages:/w/lib");
        assert_eq!(more["NODE_OPTIONS"], "--require /run/claw/packages/hook.cjs --max-old-space-size=512");
        assert_eq!(more["CLAW_PACKAGES"], format!("{}:2", network.own4));
    }
}
