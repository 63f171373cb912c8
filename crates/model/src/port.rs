//! Ports: a set of ranges, written `443`, `80,443`, `8000-8010` or `*`.

use std::fmt;
use std::str::FromStr;

/// A set of ports, never empty, never holding port 0. Ranges are sorted, apart from each other, and merged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports(Box<[(u16, u16)]>);

/// The text is not a set of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No port at all, or an empty item between commas.
    #[error("no port in `{}`: write `443`, `80,443`, `8000-8010` or `*`", text.escape_debug())]
    Empty {
        /// What was written.
        text: String,
    },
    /// Port 0 names nothing.
    #[error("port 0 cannot be reached: ports are 1 to 65535")]
    Zero,
    /// Past the last port.
    #[error("port {text} is past 65535: ports are 1 to 65535")]
    TooLarge {
        /// What was written: digits only.
        text: String,
    },
    /// Not a number.
    #[error("`{}` is not a port: write `443`, `80,443`, `8000-8010` or `*`", text.escape_debug())]
    NotNumber {
        /// What was written.
        text: String,
    },
    /// A range that ends before it begins.
    #[error("the range {first}-{last} ends before it begins: write {last}-{first}")]
    Backwards {
        /// The first port written.
        first: u16,
        /// The last port written.
        last: u16,
    },
}

impl Ports {
    /// Parses `443`, `80,443`, `8000-8010` or `*`.
    pub fn parse(text: &str) -> Result<Ports, PortError> {
        if text == "*" {
            return Ok(Ports::any());
        }
        let ranges = text.split(',').map(range).collect::<Result<Vec<_>, _>>()?;
        Ok(Ports(merge(ranges)))
    }

    /// Every port.
    pub fn any() -> Ports {
        Ports(Box::new([(1, u16::MAX)]))
    }

    /// One port; `None` for port 0.
    pub fn one(port: u16) -> Option<Ports> {
        (port != 0).then(|| Ports(Box::new([(port, port)])))
    }

    /// The ports of all these ranges, first and last included; `None` if that is none at all.
    pub fn of(ranges: impl IntoIterator<Item = (u16, u16)>) -> Option<Ports> {
        let ranges: Vec<(u16, u16)> =
            ranges.into_iter().map(|(first, last)| (first.max(1), last)).filter(|(a, b)| a <= b).collect();
        (!ranges.is_empty()).then(|| Ports(merge(ranges)))
    }

    /// Whether this port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|&(first, last)| first <= port && port <= last)
    }

    /// Whether some port is in both.
    pub fn overlaps(&self, other: &Ports) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.0 <= b.1 && b.0 <= a.1))
    }

    /// Whether every port of `other` is in this set.
    pub fn covers(&self, other: &Ports) -> bool {
        other.0.iter().all(|b| self.0.iter().any(|a| a.0 <= b.0 && b.1 <= a.1))
    }

    /// Whether this is every port.
    pub fn is_any(&self) -> bool {
        matches!(*self.0, [(1, u16::MAX)])
    }

    /// The ranges, first and last included, sorted.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// How many ports.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|&(first, last)| u32::from(last - first) + 1).sum()
    }

    /// Every port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// The ports of both sets.
    pub fn union(&self, other: &Ports) -> Ports {
        Ports(merge(self.0.iter().chain(&*other.0).copied().collect()))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("*");
        }
        for (index, &(first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Ports {
    type Err = PortError;
    fn from_str(text: &str) -> Result<Self, PortError> {
        Ports::parse(text)
    }
}

crate::text::as_text!(Ports);

fn range(text: &str) -> Result<(u16, u16), PortError> {
    let Some((first, last)) = text.split_once('-') else {
        return port(text).map(|port| (port, port));
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(PortError::Backwards { first, last });
    }
    Ok((first, last))
}

fn port(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Err(PortError::Empty { text: text.to_owned() });
    }
    // `str::parse` takes a leading `+`; a port has digits only.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError::NotNumber { text: text.to_owned() });
    }
    match text.parse::<u16>() {
        Ok(0) => Err(PortError::Zero),
        Ok(port) => Ok(port),
        Err(_) => Err(PortError::TooLarge { text: text.chars().take(24).collect() }),
    }
}

/// Sorts and joins ranges that touch, so that equal sets are equal values and `covers` may look at one range.
fn merge(mut ranges: Vec<(u16, u16)>) -> Box<[(u16, u16)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrong_ports_say_what_is_wrong() {
        let check =
            |text: &str, expect: &str| assert_eq!(Ports::parse(text).unwrap_err().to_string(), expect);
        check("70000", "port 70000 is past 65535: ports are 1 to 65535");
        check("0", "port 0 cannot be reached: ports are 1 to 65535");
        check("", "no port in ``: write `443`, `80,443`, `8000-8010` or `*`");
        check("80,", "no port in ``: write `443`, `80,443`, `8000-8010` or `*`");
        check("+80", "`+80` is not a port: write `443`, `80,443`, `8000-8010` or `*`");
        check("https", "`https` is not a port: write `443`, `80,443`, `8000-8010` or `*`");
        check("9-3", "the range 9-3 ends before it begins: write 3-9");
    }

    #[test]
    fn touching_ranges_are_one() {
        assert_eq!(Ports::parse("81,80,443,82-90").unwrap().to_string(), "80-90,443");
        assert!(Ports::parse("1-65535").unwrap().is_any());
        assert_eq!(Ports::any().count(), 65535);
    }

    fn ports() -> impl Strategy<Value = Ports> {
        let range = (1u16..60, 0u16..9).prop_map(|(first, more)| (first, first + more));
        prop::collection::vec(range, 1..4).prop_map(|ranges| Ports(merge(ranges)))
    }

    proptest! {
        #[test]
        fn the_algebra_is_that_of_sets(a in ports(), b in ports()) {
            let set = |ports: &Ports| (1..100u16).filter(|port| ports.contains(*port)).collect::<Vec<_>>();
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(a.overlaps(&b), x.iter().any(|port| y.contains(port)));
            prop_assert_eq!(a.covers(&b), y.iter().all(|port| x.contains(port)));
            prop_assert_eq!(a.count() as usize, x.len());
            prop_assert_eq!(a.iter().collect::<Vec<_>>(), x);
            prop_assert_eq!(Ports::parse(&a.to_string()), Ok(a.clone()));
            prop_assert!(a.union(&b).covers(&a) && a.union(&b).covers(&b));
        }

        #[test]
        fn parsing_ports_never_panics(text in "\\PC{0,16}") {
            let _ = Ports::parse(&text);
        }
    }
}
