//! Virtual addresses: one pair for each allowed name, given out in order, never reused within a run.

use std::collections::{HashMap, HashSet};

use claw_model::host::HostName;
use claw_plan::Network;

/// The name under which the gate's own page is found, inside the sandbox only.
pub(crate) const PAGE: &str = "policy.internal";

/// Which name has which place in the pool.
#[derive(Debug)]
pub(crate) struct Names {
    network: Network,
    places: HashMap<HostName, u32>,
    entries: Vec<Entry>,
    page: Option<u32>,
    wildcards: HashMap<String, u32>,
    opened: HashSet<u32>,
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A host by name.
    Host(HostName),
    /// The gate's own page.
    Page,
}

/// A place in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its addresses.
    pub(crate) addresses: (std::net::Ipv4Addr, std::net::Ipv6Addr),
    /// Its number.
    index: u32,
    /// Whether its ports are still to be opened in the kernel.
    pub(crate) fresh: bool,
}

impl Names {
    pub(crate) fn new(network: Network) -> Names {
        Names {
            network,
            places: HashMap::new(),
            entries: Vec::new(),
            page: None,
            wildcards: HashMap::new(),
            opened: HashSet::new(),
        }
    }

    /// What the place stands for.
    pub(crate) fn name(&self, index: u32) -> Option<Entry> {
        self.entries.get(usize::try_from(index).ok()?).cloned()
    }

    /// The place of a name; made if `wildcards` (the rules that match it only by a wildcard) have room for one more.
    /// `None`: the limit is reached.
    pub(crate) fn place(&mut self, name: &HostName, wildcard: Option<&str>) -> Option<Place> {
        if let Some(index) = self.places.get(name) {
            return self.at(*index);
        }
        if let Some(rule) = wildcard {
            let used = self.wildcards.entry(rule.to_owned()).or_default();
            if *used >= MOST_PER_WILDCARD {
                return None;
            }
            *used = used.saturating_add(1);
        }
        let index = self.enter(Entry::Host(name.clone()))?;
        self.places.insert(name.clone(), index);
        self.at(index)
    }

    /// The place of any name, for a run that is observed; made if it has room for one more.
    pub(crate) fn observed(&mut self, name: &HostName) -> Option<Place> {
        match self.places.len() < MOST_OBSERVED {
            true => self.place(name, None),
            false => self.at(*self.places.get(name)?),
        }
    }

    /// The ports of a place are open in the kernel.
    pub(crate) fn opened(&mut self, place: Place) {
        self.opened.insert(place.index);
    }

    fn at(&self, index: u32) -> Option<Place> {
        let fresh = !self.opened.contains(&index);
        Some(Place { addresses: self.network.addresses(index)?, index, fresh })
    }

    /// Every host that has a place, with its addresses.
    pub(crate) fn hosts(&self) -> Vec<(HostName, (std::net::Ipv4Addr, std::net::Ipv6Addr))> {
        let all = self.places.iter();
        all.filter_map(|(name, index)| Some((name.clone(), self.network.addresses(*index)?))).collect()
    }

    /// The place of the gate's own page.
    pub(crate) fn page(&mut self) -> Option<Place> {
        if let Some(index) = self.page {
            return self.at(index);
        }
        let index = self.enter(Entry::Page)?;
        self.page = Some(index);
        self.at(index)
    }

    /// The name an address stands for, as an answer to a reverse look-up.
    pub(crate) fn reverse(&self, address: std::net::IpAddr) -> Option<String> {
        match self.name(self.network.index(address)?)? {
            Entry::Host(name) => Some(name.to_string()),
            Entry::Page => Some(PAGE.to_owned()),
        }
    }

    fn enter(&mut self, entry: Entry) -> Option<u32> {
        let index = u32::try_from(self.entries.len()).ok()?;
        self.network.addresses(index)?;
        self.entries.push(entry);
        Some(index)
    }
}

/// How many names one wildcard may give out in a run: a wildcard is a channel to whoever owns the suffix.
const MOST_PER_WILDCARD: u32 = 4096;

/// How many names an observed run may look up.
pub(crate) const MOST_OBSERVED: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use claw_model::phase::Phase;
    use claw_policy::Policy;

    fn names() -> Names {
        Names::new(Network::of(&Policy::deny_all(), Phase::Workload).unwrap())
    }

    #[test]
    fn a_name_keeps_its_address_and_an_address_its_name() {
        let mut names = names();
        let (one, other) = (HostName::parse("a.test").unwrap(), HostName::parse("b.test").unwrap());
        let first = names.place(&one, None).unwrap();
        let second = names.place(&other, None).unwrap();
        assert!(first.fresh && second.fresh);
        assert_ne!(first.addresses, second.addresses);
        assert_eq!(names.place(&one, None), Some(first), "its ports are not open yet");
        names.opened(first);
        assert_eq!(names.place(&one, None), Some(Place { fresh: false, ..first }));
        assert_eq!(names.reverse(first.addresses.0.into()), Some("a.test".to_owned()));
        assert_eq!(names.reverse(second.addresses.1.into()), Some("b.test".to_owned()));
    }

    #[test]
    fn an_observed_run_has_thousands_of_names_and_no_more() {
        let mut names = names();
        let name = |step: usize| HostName::parse(&format!("n{step}.test")).unwrap();
        let places = (0..MOST_OBSERVED).filter_map(|step| names.observed(&name(step)));
        let places: HashSet<_> = places.map(|place| place.addresses).collect();
        assert_eq!(places.len(), MOST_OBSERVED, "each has its own");
        assert_eq!(names.observed(&name(MOST_OBSERVED)), None);
        assert!(names.observed(&name(5)).is_some());
    }

    #[test]
    fn a_wildcard_runs_out_and_known_names_stay() {
        let mut names = names();
        for step in 0..MOST_PER_WILDCARD {
            assert!(
                names
                    .place(&HostName::parse(&format!("n{step}.x.test")).unwrap(), Some("*.x.test"))
                    .is_some()
            );
        }
        assert_eq!(names.place(&HostName::parse("more.x.test").unwrap(), Some("*.x.test")), None);
        assert!(names.place(&HostName::parse("n5.x.test").unwrap(), Some("*.x.test")).is_some());
        assert!(names.place(&HostName::parse("more.y.test").unwrap(), Some("*.y.test")).is_some());
    }
}
