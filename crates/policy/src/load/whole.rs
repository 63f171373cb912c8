//! The whole policy: its promises hold, and it goes beyond no ceiling.

use std::path::{Path, PathBuf};

use super::Loader;
use crate::ceiling::{self, Beyond, Chain};
use crate::error::{Place, Problem};
use crate::policy::Policy;
use crate::promise::{Broken, broken};
use crate::raw::At;

impl Loader<'_> {
    /// `never` is proven: see [`crate::promise`].
    pub(super) fn promises(&mut self, policy: &Policy) {
        for Broken { never, rule, witness, address, from } in broken(policy) {
            let at = address.map(|address| format!(" at {address}")).unwrap_or_default();
            let from = from.map(|from| format!(", from {from} on")).unwrap_or_default();
            let what = format!(
                "`{}` is promised never to be reached, and a rule opens it: {witness}{at} (phase {}, plane {}{from})",
                never.destination, witness.phase, witness.plane
            );
            let problem = Problem::new(what, self.place(&rule), "this rule opens it")
                .also(self.place(&never), "the promise")
                .help("narrow the rule so that it does not meet the promise, or take the promise back");
            self.problems.push(problem);
        }
    }

    /// Loads the ceiling. A policy that names one is nothing without it.
    pub(super) fn ceiling(
        &mut self,
        named: &At<String>,
        chain: Option<&Chain<'_>>,
    ) -> Option<(Policy, PathBuf)> {
        let before = self.problems.len();
        let path = self.path(named);
        if before != self.problems.len() {
            return None;
        }
        self.ceiling_place = named.place;
        let loaded = match chain {
            Some(chain) => ceiling::load(&path, chain),
            None => Err(format!("the ceiling `{}` cannot be read here", shown(&path))),
        };
        loaded
            .map_err(|what| {
                let problem = Problem::new(what, named.place, "this ceiling");
                let help = "it is a policy file, named from the place of this one; a policy is not used without its ceiling";
                self.problems.push(problem.help(help));
            })
            .ok()
    }

    /// Nothing goes beyond the ceiling: see [`crate::ceiling`].
    pub(super) fn below(&mut self, policy: &Policy, above: &Policy) {
        for Beyond { rule, what } in ceiling::beyond(policy, above) {
            let rule = rule.and_then(|id| policy.rules().get(id as usize));
            let place = rule.map_or(self.ceiling_place, |rule| self.place(rule));
            let mut problem = Problem::new(what, place, "this rule");
            if rule.is_some() && self.ceiling_place != Place::default() {
                problem = problem.also(self.ceiling_place, "the ceiling");
            }
            let help = "narrow the rule, or have the ceiling widened by those who answer for it";
            self.problems.push(problem.help(help));
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
