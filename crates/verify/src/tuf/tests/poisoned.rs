//! Whoever hands over files, and holds no key or only one, can neither make the memory forget nor make it refuse what is honest.

use super::remembered::{changed, learned, remembered, versions};
use super::*;

/// Another signature is not another root: the memory is found by what was signed.
#[test]
fn a_root_that_was_signed_once_more_is_met_by_the_same_memory() {
    let world = small(2);
    let old = Forge::of(&world);
    let mut newer = Forge::of(&world);
    changed(&mut newer, "timestamp.json", "version", 7.into());
    let seen = remembered(&newer);
    // nothing but a line more at the end, by nobody
    let mut served = Forge::of(&world);
    let mut file: serde_json::Value = serde_json::from_slice(&served.files["1.root.json"]).unwrap();
    file["signatures"].as_array_mut().unwrap().push(serde_json::json!({"keyid": "00", "sig": "00"}));
    served.files.insert("1.root.json".to_owned(), serde_json::to_vec(&file).unwrap());
    let seen = learned(&served, seen);
    assert_eq!(versions(&old, &seen).unwrap_err().code(), "rollback");
    // nor does it help to be the first
    let seen = learned(&newer, learned(&served, Seen::new()));
    assert_eq!(versions(&old, &seen).unwrap_err().code(), "rollback");
}

/// Anybody can make a root that names the holders of the next one, and so leads to it.
#[test]
fn a_root_before_the_pinned_one_is_not_remembered_on_anybodys_word() {
    let mut world = small(2);
    for _ in 0..2 {
        let term = world.term();
        world.keyring.renew(term).unwrap();
        world.sign(&[0, 1]);
    }
    let (first, third) = (world.root(1), world.root(3));
    let clock = Clock::at(world.now);
    let mut seen = Seen::new();
    seen.remember(&Trusted::refresh(&first, &world.files(), &clock, None).unwrap(), 1);
    let others = small(1);
    let stranger = &others.keys[0];
    let id = keyring::id(stranger.public());
    let mut forge = Forge::of(&world);
    // a first one would be another keyring; of a later one, the name says only what its signers say
    forge.files.remove("1.root.json");
    let mut root = forge.body("2.root.json");
    root["keys"][&id] = Forge::of(&others).body("1.root.json")["keys"][&id].clone();
    root["roles"]["root"]["keyids"].as_array_mut().unwrap().push(id.clone().into());
    root["roles"]["root"]["threshold"] = 1.into();
    let mut signed = Signed::new(root);
    signed.sign(&id, stranger).unwrap();
    forge.files.insert("2.root.json".to_owned(), signed.to_bytes());
    let mut files = Files::new();
    forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
    // it is taken for the forerunner of the third
    assert!(Trusted::refresh(&third, &files, &clock, None).is_ok());
    let before = seen.clone();
    seen.learn(&third, &files, &clock);
    assert!(seen.known(&first).is_some() && seen.known(&signed.to_bytes()).is_none());
    assert_eq!(seen, before);
}

/// A root is pinned that leads to one that was pinned before it: both are of one repository.
#[test]
fn an_older_pinned_root_meets_the_memory_of_the_newer() {
    let mut world = small(2);
    let term = world.term();
    world.keyring.renew(term).unwrap();
    world.sign(&[0, 1]);
    let (first, second) = (world.root(1), world.root(2));
    let clock = Clock::at(world.now);
    let old = world.files();
    world.sign(&[0]);
    let mut seen = Seen::new();
    let newest = world.files();
    seen.remember(&Trusted::refresh(&second, &newest, &clock, None).unwrap(), 1);
    assert!(seen.known(&first).is_none());
    seen.learn(&first, &old, &clock);
    assert_eq!(Trusted::refresh(&first, &old, &clock, seen.known(&first)).unwrap_err().code(), "rollback");
    assert_eq!(Trusted::refresh(&first, &newest, &clock, seen.known(&first)).unwrap().versions().root, 2);
}

/// Whoever signs snapshots names a role twice, so that what is remembered is not what is loaded.
#[test]
fn a_name_beside_the_role_does_not_hide_that_it_went_back() {
    let (world, old, seen) = approved_again();
    let mut forge = Forge::of(&world);
    let name = forge.files.keys().find(|name| name.ends_with(".snapshot.json")).unwrap().clone();
    let mut body = forge.body(&name);
    body["version"] = 9.into();
    body["meta"]["targets.json"] = serde_json::json!({"version": 1});
    body["meta"]["targets.json.json"] = serde_json::json!({"version": 9});
    forge.files.remove(&name);
    forge.files.insert("1.targets.json".to_owned(), old);
    forge.sign("9.snapshot.json", body, &[0]);
    let meta = serde_json::json!({"snapshot.json": {"version": 9}});
    changed(&mut forge, "timestamp.json", "version", 9.into());
    changed(&mut forge, "timestamp.json", "meta", meta);
    let error = versions(&forge, &seen).unwrap_err();
    assert!(
        matches!(&error, TufError::Rollback { role, trusted: 2, new: 1 } if role == "targets"),
        "{error:?}"
    );
}

/// Everything that holders signed honestly, in any mixture and order: the newest is accepted after it.
#[test]
fn whatever_of_the_past_is_served_the_newest_is_accepted() {
    let mut world = small(2);
    let first = world.root(1);
    let clock = Clock::at(world.now);
    let mut past = vec![world.files()];
    for step in 0..4 {
        match step {
            0 => world.approve("tool", b"better", About::default()),
            1 => world.keyring.renew(world.term()).unwrap(),
            2 => {
                let term = world.term();
                world.keyring.remove(&keyring::id(world.keys[2].public()), term).unwrap();
            }
            _ => world.approve("tool", b"best", About::default()),
        }
        world.sign(&[0, 1]);
        past.push(world.files());
    }
    let newest = world.files();
    // each state with each one file left out, or taken from another state
    for state in &past {
        for other in &past {
            for (name, bytes) in other.iter() {
                let mut served = Files::new();
                for (own, kept) in state.iter().filter(|(own, _)| *own != name) {
                    served.add(own, kept.to_vec()).unwrap();
                }
                let mut seen = Seen::new();
                seen.learn(&first, &served, &clock);
                assert!(
                    Trusted::refresh(&first, &newest, &clock, seen.known(&first)).is_ok(),
                    "without {name}"
                );
                served.add(name, bytes.to_vec()).unwrap();
                seen.learn(&first, &served, &clock);
                seen.learn(&first, state, &clock);
                assert!(Trusted::refresh(&first, &newest, &clock, seen.known(&first)).is_ok(), "with {name}");
                assert_eq!(Seen::parse(&seen.to_bytes()).unwrap(), seen);
            }
        }
    }
}

/// A signature short, or of a stranger, on any one file: nothing of that file or below is learned.
#[test]
fn what_was_not_signed_by_enough_teaches_nothing() {
    let world = small(2);
    let seen = remembered(&Forge::of(&world));
    for (name, who) in [("2.root.json", &[0][..]), ("timestamp.json", &[]), ("1.snapshot.json", &[])] {
        let mut forge = Forge::of(&world);
        let mut body = if name == "2.root.json" { forge.later(2) } else { forge.body(name) };
        body["version"] = 2.into();
        if name == "2.root.json" {
            // it asks for one alone, and the root before it asks for two
            body["roles"]["root"]["threshold"] = 1.into();
        }
        forge.sign(name, body, who);
        assert_eq!(learned(&forge, seen.clone()), seen, "{name}");
        let fresh = learned(&forge, Seen::new());
        assert!(versions(&Forge::of(&world), &fresh).is_ok(), "{name}");
    }
    let mut forge = Forge::of(&world);
    let mut targets = forge.body("1.targets.json");
    targets["expires"] = "2026-12-31T00:00:00Z".into();
    forge.sign("1.targets.json", targets, &[0]);
    forge.above(0);
    let approved = |seen: &Seen| String::from_utf8(seen.to_bytes()).unwrap().contains(r#""approved": {}"#);
    assert!(approved(&learned(&forge, Seen::new())));
    assert!(!approved(&seen));
}

/// A key was taken back, and the root still names it. Until it does not, the thief drives no version up.
#[test]
fn a_compromised_key_teaches_nothing() {
    let mut world = small(2);
    let first = world.root(1);
    let clock = Clock::at(world.now);
    world.approve("tool", b"better", About::default());
    world.sign(&[0, 1]);
    let mut thief = Forge::of(&world);
    let mut timestamp = thief.body("timestamp.json");
    timestamp["version"] = 1000.into();
    thief.sign("timestamp.json", timestamp, &[2]);
    let known = |compromised: &[usize]| {
        let mut seen = Seen::new();
        let mut trusted = Trusted::refresh(&first, &world.files(), &clock, None).unwrap();
        trusted
            .without(&compromised.iter().map(|who| keyring::id(world.keys[*who].public())).collect())
            .unwrap();
        seen.remember(&trusted, 1);
        seen
    };
    // while it counts, it counts
    let seen = learned(&thief, known(&[]));
    assert_eq!(versions(&Forge::of(&world), &seen).unwrap_err().code(), "rollback");
    let seen = learned(&thief, known(&[2]));
    assert_eq!(seen, known(&[2]));
    assert!(versions(&Forge::of(&world), &seen).is_ok());
    assert_eq!(versions(&thief, &seen).unwrap_err().code(), "threshold");
    assert_eq!(Seen::parse(&seen.to_bytes()).unwrap(), seen);
}
