//! What was seen before holds, however a later set of files is made, and whatever else was wrong with an earlier one.

use super::*;

/// All roles of the root by these keys alone, and what stands below signed by one of them.
fn held_by(forge: &mut Forge<'_>, version: u64, holders: &[usize], signed: &[usize]) {
    let ids: Vec<String> = holders.iter().map(|who| keyring::id(forge.world.keys[*who].public())).collect();
    let mut root = forge.later(version);
    for role in ["root", "timestamp", "snapshot", "targets"] {
        root["roles"][role]["keyids"] = serde_json::json!(ids);
        root["roles"][role]["threshold"] = 1.into();
    }
    forge.sign(&format!("{version}.root.json"), root, signed);
    let targets = forge.body("1.targets.json");
    forge.sign("1.targets.json", targets, holders);
    forge.above(holders[0]);
}

fn served(forge: &Forge<'_>) -> Files {
    let mut files = Files::new();
    forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
    files
}

pub(super) fn versions(forge: &Forge<'_>, seen: &Seen) -> Result<Versions, TufError> {
    let first = forge.world.root(1);
    let clock = Clock::at(forge.world.now);
    Trusted::refresh(&first, &served(forge), &clock, seen.known(&first)).map(|trusted| trusted.versions())
}

pub(super) fn remembered(forge: &Forge<'_>) -> Seen {
    let first = forge.world.root(1);
    let clock = Clock::at(forge.world.now);
    let mut seen = Seen::new();
    seen.remember(&Trusted::refresh(&first, &served(forge), &clock, None).unwrap(), 1);
    seen
}

pub(super) fn learned(forge: &Forge<'_>, mut seen: Seen) -> Seen {
    seen.learn(&forge.world.root(1), &served(forge), &Clock::at(forge.world.now));
    seen
}

/// The timestamp or snapshot, changed by a key that may.
pub(super) fn changed(forge: &mut Forge<'_>, name: &str, field: &str, value: serde_json::Value) {
    let mut body = forge.body(name);
    body[field] = value;
    forge.sign(name, body, &[0]);
}

/// Keys that were replaced are stolen: they still lead from the pinned root to another one, with any version.
#[test]
fn keys_that_were_replaced_lead_nowhere_any_more() {
    let world = small(2);
    let mut forge = Forge::of(&world);
    held_by(&mut forge, 2, &[2], &[0, 1, 2]);
    let seen = remembered(&forge);
    let mut thief = Forge::of(&world);
    held_by(&mut thief, 2, &[0, 1], &[0, 1]);
    held_by(&mut thief, 3, &[0, 1], &[0, 1]);
    assert_eq!(versions(&thief, &Seen::new()).unwrap().root, 3);
    let error = versions(&thief, &seen).unwrap_err();
    assert!(matches!(&error, TufError::OtherRoot { version: 2 }), "{error:?}");
    // nor is it remembered
    assert_eq!(learned(&thief, seen.clone()), seen);
    // one more signature makes no other root
    let root = forge.body("2.root.json");
    forge.sign("2.root.json", root, &[1, 0, 2]);
    assert_eq!(versions(&forge, &seen).unwrap().root, 2);
}

/// A repository that is refused because it expired had replaced the keys before. What they sign is refused all the same.
#[test]
fn a_root_is_remembered_where_the_rest_is_refused() {
    let world = small(2);
    let mut forge = Forge::of(&world);
    held_by(&mut forge, 2, &[2], &[0, 1, 2]);
    let mut late = Forge { world: &world, files: forge.files.clone() };
    let mut body = late.body("timestamp.json");
    body["expires"] = "2020-01-01T00:00:00Z".into();
    late.sign("timestamp.json", body, &[2]);
    assert_eq!(versions(&late, &Seen::new()).unwrap_err().code(), "expired");
    let old = Forge::of(&world);
    let seen = remembered(&old);
    assert!(versions(&old, &seen).is_ok());
    let seen = learned(&late, seen);
    let error = versions(&old, &seen).unwrap_err();
    assert!(matches!(&error, TufError::Rollback { role, trusted: 2, new: 1 } if role == "root"), "{error:?}");
    // and what its new keys sign begins anew
    assert_eq!(versions(&forge, &seen).unwrap().root, 2);
}

/// A newer timestamp came with nothing below it. Then the old one does not come again.
#[test]
fn what_was_signed_is_remembered_though_what_it_names_is_missing() {
    let world = small(2);
    let old = Forge::of(&world);
    let seen = remembered(&old);
    let mut forge = Forge::of(&world);
    changed(&mut forge, "timestamp.json", "version", 7.into());
    changed(&mut forge, "timestamp.json", "meta", serde_json::json!({"snapshot.json": {"version": 4}}));
    assert_eq!(versions(&forge, &seen).unwrap_err().code(), "missing");
    let seen = learned(&forge, seen);
    let error = versions(&old, &seen).unwrap_err();
    assert!(
        matches!(&error, TufError::Rollback { role, trusted: 7, new: 1 } if role == "timestamp"),
        "{error:?}"
    );
    // nor a newer one that goes back to the old snapshot, and that is said before the snapshot is asked for
    let mut back = Forge::of(&world);
    changed(&mut back, "timestamp.json", "version", 8.into());
    back.files.remove("1.snapshot.json");
    let error = versions(&back, &seen).unwrap_err();
    assert!(
        matches!(&error, TufError::Rollback { role, trusted: 4, new: 1 } if role == "snapshot"),
        "{error:?}"
    );
    // what was not signed by enough teaches nothing
    let mut stranger = Forge::of(&world);
    let mut body = stranger.body("timestamp.json");
    body["version"] = 99.into();
    stranger.sign("timestamp.json", body, &[]);
    assert_eq!(learned(&stranger, seen.clone()), seen);
}

/// Whoever may sign shows one thing here and another there, by the same version.
#[test]
fn one_version_is_one_content() {
    let world = small(2);
    let seen = remembered(&Forge::of(&world));
    let later = serde_json::json!("2026-08-01T00:00:00Z");
    let is_changed = |forge: &Forge<'_>, role: &str| match versions(forge, &seen) {
        Err(TufError::Changed { role: changed, version: 1 }) => assert_eq!(changed, role),
        other => panic!("{role}: {other:?}"),
    };
    let mut forge = Forge::of(&world);
    changed(&mut forge, "timestamp.json", "expires", later.clone());
    is_changed(&forge, "timestamp");
    let mut forge = Forge::of(&world);
    changed(&mut forge, "1.snapshot.json", "expires", later.clone());
    changed(&mut forge, "timestamp.json", "version", 2.into());
    changed(&mut forge, "timestamp.json", "meta", serde_json::json!({"snapshot.json": {"version": 1}}));
    is_changed(&forge, "snapshot");
    let mut forge = Forge::of(&world);
    let mut targets = forge.body("1.targets.json");
    targets["expires"] = later;
    forge.sign("1.targets.json", targets, &[0, 1]);
    changed(&mut forge, "1.snapshot.json", "version", 2.into());
    let snapshot = forge.files.remove("1.snapshot.json").unwrap();
    forge.files.insert("2.snapshot.json".to_owned(), snapshot);
    changed(&mut forge, "2.snapshot.json", "meta", serde_json::json!({"targets.json": {"version": 1}}));
    changed(&mut forge, "timestamp.json", "version", 2.into());
    changed(&mut forge, "timestamp.json", "meta", serde_json::json!({"snapshot.json": {"version": 2}}));
    is_changed(&forge, "targets");
    assert!(versions(&forge, &Seen::new()).is_ok());
}
