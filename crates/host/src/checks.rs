//! Every check, by area.

mod privilege;

use crate::check::{Check, Verdict};
use crate::facts::Facts;
use crate::read::Read;

/// Every check, in the order of reports.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [privilege::CHECKS].into_iter().flatten()
}

/// Judges a file that holds one number.
fn number(facts: &Facts, path: &str, good: fn(i64) -> bool, absent: Verdict) -> Verdict {
    let name = path.strip_prefix("/proc/sys/").map_or_else(|| path.to_owned(), |key| key.replace('/', "."));
    match facts.line(path) {
        Read::Known(text) => match text.parse::<i64>() {
            Ok(value) if good(value) => Verdict::Pass(format!("{name} = {value}")),
            Ok(value) => Verdict::fail(format!("{name} = {value}")),
            Err(_) => Verdict::Unknown(format!("{name} holds no number")),
        },
        Read::Absent => absent,
        Read::Unknown(why) => Verdict::Unknown(format!("{name}: {why}")),
    }
}

/// A key that this kernel does not have.
fn no_key(why: &str) -> Verdict {
    Verdict::Unknown(why.to_owned())
}
