//! The time, and the time before which it cannot be.

use jiff::{Timestamp, ToSpan};

/// The time by a clock in doubt, with a floor: when this program was built, or the newest time that was verified before.
///
/// A clock that was set back would let what has expired live again. Below the floor, the floor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    now: Timestamp,
    floor: Timestamp,
    built: Timestamp,
}

impl Clock {
    /// What the clock says, and what it cannot be before.
    pub fn new(now: Timestamp, floor: Timestamp) -> Clock {
        Clock { now, floor, built: Timestamp::MIN }
    }

    /// A clock that is believed.
    pub fn at(now: Timestamp) -> Clock {
        Clock { now, floor: Timestamp::MIN, built: Timestamp::MIN }
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
        Clock { floor: self.floor.max(floor), ..self }
    }

    /// The same clock of a program that was made then: a clock that says less was never set.
    pub fn built(self, built: Timestamp) -> Clock {
        Clock { built, ..self }
    }

    /// How far the floor may be lifted on somebody's word: a clock that was set is believed to be wrong by a day at most, so
    /// that nobody moves it for good. One that was never set believes what is signed.
    pub fn lifted(&self, to: Timestamp) -> Timestamp {
        match self.now < self.built {
            true => to,
            false => to.min(self.now.checked_add(DAY.hours()).unwrap_or(Timestamp::MAX)),
        }
    }
}

/// Hours by which a clock that was set may be behind.
const DAY: i64 = 24;

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

    #[test]
    fn nobody_s_word_moves_a_clock_that_was_set_by_more_than_a_day() {
        let day = 86_400;
        let clock = Clock::at(at(1000)).built(at(500));
        assert_eq!(clock.lifted(at(2000)), at(2000));
        assert_eq!(clock.lifted(at(1000 + 9 * day)), at(1000 + day));
        let unset = Clock::at(at(100)).built(at(500));
        assert_eq!(unset.lifted(at(1000 + 9 * day)), at(1000 + 9 * day));
    }
}
