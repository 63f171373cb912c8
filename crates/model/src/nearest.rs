//! Did you mean: the known word nearest to what was written.

/// The candidate nearest to `word` by edit distance, if any is near enough to be a likely slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // A long text is not a slip of a short word, and comparing it would cost its length.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let length = word.chars().count();
    let (cost, best) = candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) < FAR)
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .min_by_key(|(cost, _)| *cost)?;
    let near = (word.chars().count().max(best.chars().count())).div_ceil(2).min(FAR);
    (cost < near.max(2)).then_some(best)
}

/// So many edits are no slip.
const FAR: usize = 4;

/// Edits between two words: insert, delete, replace, and swap of neighbours each count one. Two words that are far from each
/// other are not compared to their end.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        // no row is nearer than the one before it
        if row.iter().all(|cost| *cost >= FAR) {
            return usize::MAX;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["destination", "plane", "purpose", "protocol", "tool", "time"];
        let check = |word: &str, expect: Option<&str>| assert_eq!(nearest(word, known), expect, "{word}");
        check("destnation", Some("destination"));
        check("Purpose", Some("purpose"));
        check("plaen", Some("plane"));
        check("tools", Some("tool"));
        check("timr", Some("time"));
        check("dsetinatoin", Some("destination"));
        check("dstntn", None);
        check("zebra", None);
        check("", None);
        check(&"x".repeat(10_000), None);
    }
}
