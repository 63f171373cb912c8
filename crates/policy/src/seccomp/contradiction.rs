//! Rules that say different things about one call: refused, since which of them holds would depend on the reader.

use super::{CallCondition, CallOperator, Entry};
use crate::error::{Place, Problem};

/// Every pair of rules that can both hold for one call and differ in their action. Where one of them is bound to
/// machines or capabilities, as in the profiles of container engines, the stricter one holds, and a note says so.
pub(super) fn find(rules: &[Entry], problems: &mut Vec<Problem>, notes: &mut Vec<String>) {
    for (at, Entry { rule, place, everywhere }) in rules.iter().enumerate() {
        for Entry { rule: earlier, place: first, everywhere: always } in rules.iter().take(at) {
            if earlier.action == rule.action || apart(&earlier.conditions, &rule.conditions) {
                continue;
            }
            let Some(name) = rule.calls.keys().find(|name| earlier.calls.contains_key(*name)) else {
                continue;
            };
            if !(*everywhere && *always) {
                let strict = rule.action.min(earlier.action);
                notes.push(format!(
                    "lines {} and {} differ on `{name}`: {strict} holds",
                    earlier.line, rule.line
                ));
                continue;
            }
            let what = format!(
                "`{name}` gets {} here and {} on line {}, and one call can match both",
                rule.action, earlier.action, earlier.line
            );
            let problem = Problem::new(what, Place { length: 1, ..*place }, "the second");
            let problem = problem.also(Place { length: 1, ..*first }, "the first");
            problems.push(problem.help("keep one of them, or make their arguments exclude each other"));
        }
    }
}

/// Whether no arguments satisfy both: some argument cannot.
fn apart(one: &[CallCondition], other: &[CallCondition]) -> bool {
    one.iter().any(|left| {
        other
            .iter()
            .any(|right| left.index == right.index && (excludes(left, right) || excludes(right, left)))
    })
}

fn excludes(left: &CallCondition, right: &CallCondition) -> bool {
    use CallOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    let (a, b) = (left.value, right.value);
    match (left.operator, right.operator) {
        (Equal, Equal) => a != b,
        (Equal, NotEqual) => a == b,
        (Equal, Less) => a >= b,
        (Equal, LessOrEqual) => a > b,
        (Equal, Greater) => a <= b,
        (Equal, GreaterOrEqual) => a < b,
        (Equal, MaskedEqual(mask)) => a & mask != b,
        (MaskedEqual(one), MaskedEqual(other)) => (a ^ b) & one & other != 0,
        (Less, GreaterOrEqual | Greater) => a <= b,
        (LessOrEqual, GreaterOrEqual) => a < b,
        (LessOrEqual, Greater) => a <= b,
        _ => false,
    }
}
