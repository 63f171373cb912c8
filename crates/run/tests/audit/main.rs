//! Every check of `claw host audit` in a world where it fails and in one where it passes. The worlds are trees of files that
//! are built here, network namespaces with rules and sockets of their own, and, for what only a system call tells, its answer.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod table;
mod truth;
mod world;

use std::collections::BTreeSet;

use claw_host::{Status, all, audit};

use table::ROWS;

#[test]
fn no_check_is_missing_from_the_table() {
    let checks: BTreeSet<&str> = all().map(|check| check.id).collect();
    assert_eq!(checks.len(), all().count(), "two checks have one name");
    let rows: BTreeSet<&str> = ROWS.iter().map(|(id, ..)| *id).collect();
    assert_eq!(rows.len(), ROWS.len(), "a check stands in the table twice");
    let missing: Vec<_> = checks.difference(&rows).collect();
    assert!(missing.is_empty(), "these have no row: {missing:?}");
    assert!(
        rows.is_subset(&checks),
        "these are no checks: {:?}",
        rows.difference(&checks).collect::<Vec<_>>()
    );
    assert!(checks.len() >= 60, "{} checks", checks.len());
}

#[test]
fn each_check_fails_in_one_world_and_passes_in_another() {
    let mut wrong = Vec::new();
    for (id, fails, passes) in ROWS {
        for (world, expect) in [(fails, Status::Fail), (passes, Status::Pass)] {
            let report = audit(&world.facts());
            let one = report.outcomes.iter().find(|one| one.id == *id).unwrap();
            if one.status != expect {
                wrong.push(format!("{id}: {:?} ({}) where it should be {expect:?}", one.status, one.seen));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_passes_or_fails_in_a_tree_that_says_nothing() {
    let report = audit(&world::EMPTY.facts());
    for (status, word) in [(Status::Pass, "passed"), (Status::Fail, "failed")] {
        let named: Vec<_> =
            report.outcomes.iter().filter(|one| one.status == status).map(|one| one.id).collect();
        assert!(named.is_empty(), "an empty directory {word} {named:?}");
    }
}
