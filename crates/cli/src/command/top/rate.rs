//! Amounts, rates and times as a person reads them. Pure: the numbers in, the text out.

use std::time::Duration;

/// Bytes in both directions, or bytes in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// From the agent.
    pub(crate) out: u64,
    /// To the agent.
    pub(crate) back: u64,
}

impl Bytes {
    /// Both of each.
    pub(crate) fn plus(self, other: Bytes) -> Bytes {
        Bytes { out: self.out.saturating_add(other.out), back: self.back.saturating_add(other.back) }
    }

    /// What is left without the other; nothing where there is less.
    pub(crate) fn less(self, other: Bytes) -> Bytes {
        Bytes { out: self.out.saturating_sub(other.out), back: self.back.saturating_sub(other.back) }
    }

    /// Both directions together.
    pub(crate) fn sum(self) -> u64 {
        self.out.saturating_add(self.back)
    }

    /// In a second, if this came in so much time.
    pub(crate) fn over(self, elapsed: Duration) -> Bytes {
        Bytes { out: rate(0, self.out, elapsed), back: rate(0, self.back, elapsed) }
    }
}

/// Bytes a second between two counts. A counter that went back, or no time between them, is no rate.
pub(crate) fn rate(previous: u64, current: u64, elapsed: Duration) -> u64 {
    let grown = u128::from(current.saturating_sub(previous)).saturating_mul(NANOSECONDS);
    let rate = grown.checked_div(elapsed.as_nanos()).unwrap_or_default();
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// `512 B`, `1.2 KiB`, `1023 MiB`: at most eight characters.
pub(crate) fn amount(bytes: u64) -> String {
    let mut tenths = u128::from(bytes).saturating_mul(10);
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while tenths >= 10_240
        && let Some(next) = units.next()
    {
        tenths /= 1_024;
        unit = next;
    }
    if tenths >= 1_000 || unit == "B" {
        return format!("{} {unit}", tenths / 10);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// The same in a second: at most ten characters. Nothing to compare with yet is a dash.
pub(crate) fn speed(rate: Option<u64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", amount(rate)))
}

/// `7s`, `12m07s`, `3h05m`, `2d04h`: at most six characters for a hundred days.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{:02}m", minutes % 60),
        (1..=99, ..) => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

const NANOSECONDS: u128 = 1_000_000_000;
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let check = |previous, current, millis, expect| {
            assert_eq!(rate(previous, current, Duration::from_millis(millis)), expect);
        };
        check(0, 1_000, 1_000, 1_000);
        check(1_000, 1_500, 500, 1_000);
        check(0, 1, 3_000, 0);
        check(7, 7, 1_000, 0);
        check(10, 3, 1_000, 0);
        check(0, 5, 0, 0);
        check(0, u64::MAX, 1, u64::MAX);
        check(u64::MAX, 0, 1, 0);
    }

    #[test]
    fn an_amount_has_at_most_eight_characters() {
        let check = |bytes, expect: &str| assert_eq!(amount(bytes), expect);
        check(0, "0 B");
        check(1_023, "1023 B");
        check(1_024, "1.0 KiB");
        check(1_229, "1.2 KiB");
        check(102_400, "100 KiB");
        check((1 << 20) - 1, "1023 KiB");
        check(1 << 20, "1.0 MiB");
        check(u64::MAX, "15.9 EiB");
        for power in 0..64 {
            assert!(amount(1 << power).len() <= 8 && amount((1 << power) - 1).len() <= 8);
        }
        assert_eq!((speed(None), speed(Some(2_048))), ("-".to_owned(), "2.0 KiB/s".to_owned()));
    }

    #[test]
    fn a_time_has_at_most_six_characters() {
        let check = |seconds, expect: &str| assert_eq!(span(seconds), expect);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m00s");
        check(3_599, "59m59s");
        check(3_600, "1h00m");
        check(86_399, "23h59m");
        check(86_400, "1d00h");
        check(8_640_000, "100d");
    }
}
