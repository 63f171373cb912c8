//! The time, and the time before which it cannot be.

use jiff::Timestamp;

/// The time by a clock in doubt, with a floor: when this program was built, or the newest time that was verified before.
///
/// A clock that was set back would let what has expired live again. Below the floor, the floor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    now: Timestamp,
    floor: Timestamp,
}

impl Clock {
    /// What the clock says, and what it cannot be before.
    pub fn new(now: Timestamp, floor: Timestamp) -> Clock {
        Clock { now, floor }
    }

    /// A clock that is believed.
    pub fn at(now: Timestamp) -> Clock {
        Clock { now, floor: Timestamp::MIN }
    }

    /// The time that counts: never before the floor.
    pub fn now(&self) -> Timestamp {
        self.now.max(self.floor)
    }

    /// Whether the clock says a time that cannot be, so that the floor counts.
    pub fn is_held(&self) -> bool {
        self.now < self.floor
    }

    /// What the clock itself says.
    pub fn said(&self) -> Timestamp {
        self.now
    }

    /// The same clock with a floor at least this high: a time that was verified.
    pub fn raised(self, floor: Timestamp) -> Clock {
        Clock { now: self.now, floor: self.floor.max(floor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn below_the_floor_the_floor_holds_and_it_is_told() {
        let clock = Clock::new(at(10), at(20));
        assert_eq!((clock.now(), clock.is_held(), clock.said()), (at(20), true, at(10)));
    }

    #[test]
    fn a_floor_only_rises() {
        let clock = Clock::new(at(30), at(20)).raised(at(10));
        assert_eq!((clock.now(), clock.is_held()), (at(30), false));
        assert_eq!(clock.raised(at(40)).now(), at(40));
    }
}
