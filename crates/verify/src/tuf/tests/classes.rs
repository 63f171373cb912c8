//! The flaws that the conformance suite of The Update Framework makes, made here, each refused by its class.

use serde_json::json;

use super::*;

/// What is done to a repository that holds.
type Flaw<'a> = &'a dyn Fn(&mut Forge<'_>);

const PAST: &str = "2020-01-01T00:00:00Z";

/// Changes a file and signs it again by a key that may.
fn put(forge: &mut Forge<'_>, name: &str, change: &dyn Fn(&mut serde_json::Value)) {
    let mut body = forge.body(name);
    change(&mut body);
    let who: &[usize] = if name.contains("root") || name.contains("targets") { &[0, 1] } else { &[0] };
    forge.sign(name, body, who);
}

/// A second root, changed.
fn root(forge: &mut Forge<'_>, change: &dyn Fn(&mut serde_json::Value)) {
    let (first, later) = (forge.files["1.root.json"].clone(), forge.later(2));
    put(forge, "1.root.json", &|body| {
        *body = later.clone();
        change(body);
    });
    let second = forge.files.insert("1.root.json".to_owned(), first).unwrap();
    forge.files.insert("2.root.json".to_owned(), second);
}

/// The snapshot changed, and a timestamp that names it whatever it is.
fn snapshot(forge: &mut Forge<'_>, change: &dyn Fn(&mut serde_json::Value)) {
    put(forge, "1.snapshot.json", change);
    put(forge, "timestamp.json", &|body| body["meta"] = json!({"snapshot.json": {"version": 1}}));
}

/// The targets changed, and all above that names them whatever they are.
fn targets(forge: &mut Forge<'_>, change: &dyn Fn(&mut serde_json::Value)) {
    put(forge, "1.targets.json", change);
    snapshot(forge, &|body| body["meta"] = json!({"targets.json": {"version": 1}}));
}

fn unsigned(forge: &mut Forge<'_>, name: &str) {
    let body = forge.body(name);
    forge.sign(name, body, &[]);
}

#[test]
fn every_flaw_is_refused_by_its_class() {
    let world = small(2);
    let above = |forge: &mut Forge<'_>| targets(forge, &|_| {});
    let cases: &[(&str, &str, Flaw<'_>)] = &[
        ("nothing", "accepted", &|_| {}),
        ("nothing, named by version alone", "accepted", &above),
        ("a root after it that changes nothing", "accepted", &|forge| root(forge, &|_| {})),
        ("no signature on the root", "threshold", &|forge| {
            root(forge, &|_| {});
            unsigned(forge, "2.root.json");
        }),
        ("no signature on the timestamp", "threshold", &|forge| unsigned(forge, "timestamp.json")),
        ("no signature on the snapshot", "threshold", &|forge| {
            above(forge);
            unsigned(forge, "1.snapshot.json");
        }),
        ("no signature on the targets", "threshold", &|forge| {
            above(forge);
            unsigned(forge, "1.targets.json");
        }),
        ("more signatures asked than there are keys", "threshold", &|forge| {
            root(forge, &|body| body["roles"]["snapshot"]["threshold"] = 4.into())
        }),
        ("no signature asked at all", "malformed", &|forge| {
            root(forge, &|body| body["roles"]["snapshot"]["threshold"] = 0.into())
        }),
        ("a key id twice in a role", "same-key", &|forge| {
            root(forge, &|body| {
                let id = body["roles"]["snapshot"]["keyids"][0].clone();
                body["roles"]["snapshot"]["keyids"].as_array_mut().unwrap().push(id);
            })
        }),
        ("a signature that is none", "threshold", &|forge| {
            let mut file: serde_json::Value = serde_json::from_slice(&forge.files["timestamp.json"]).unwrap();
            file["signatures"][0]["sig"] = "00".repeat(64).into();
            forge.files.insert("timestamp.json".to_owned(), serde_json::to_vec(&file).unwrap());
        }),
        ("a root of another version than its name", "root-version", &|forge| {
            root(forge, &|body| body["version"] = 3.into())
        }),
        ("a root without a role", "no-role", &|forge| {
            root(forge, &|body| drop(body["roles"].as_object_mut().unwrap().remove("snapshot")))
        }),
        ("a snapshot of another version than its name", "integrity", &|forge| {
            snapshot(forge, &|body| body["version"] = 2.into())
        }),
        ("targets of another version than their name", "integrity", &|forge| {
            targets(forge, &|body| body["version"] = 2.into())
        }),
        ("targets of another digest", "integrity", &|forge| {
            snapshot(forge, &|body| body["meta"]["targets.json"]["hashes"]["sha256"] = "00".repeat(32).into())
        }),
        ("targets of another length", "integrity", &|forge| {
            snapshot(forge, &|body| body["meta"] = json!({"targets.json": {"version": 1, "length": 3}}))
        }),
        ("targets by a digest that nobody knows", "integrity", &|forge| {
            snapshot(forge, &|body| {
                body["meta"] = json!({"targets.json": {"version": 1, "hashes": {"md4": "00"}}})
            })
        }),
        ("a snapshot of another digest", "integrity", &|forge| {
            put(forge, "1.snapshot.json", &|body| body["more"] = 1.into())
        }),
        ("no timestamp", "missing", &|forge| drop(forge.files.remove("timestamp.json"))),
        ("no snapshot", "missing", &|forge| drop(forge.files.remove("1.snapshot.json"))),
        ("no targets", "missing", &|forge| drop(forge.files.remove("1.targets.json"))),
        ("a snapshot that names no targets", "malformed", &|forge| {
            snapshot(forge, &|body| body["meta"] = json!({}))
        }),
        ("a snapshot in the place of the timestamp", "malformed", &|forge| {
            let body = forge.body("1.snapshot.json");
            forge.sign("timestamp.json", body, &[0]);
        }),
        ("a timestamp in the place of the snapshot", "malformed", &|forge| {
            above(forge);
            let body = forge.body("timestamp.json");
            forge.sign("1.snapshot.json", body, &[0]);
        }),
        ("a later TUF", "malformed", &|forge| {
            put(forge, "timestamp.json", &|body| body["spec_version"] = "2.0.0".into())
        }),
        ("a root that expired", "expired", &|forge| root(forge, &|body| body["expires"] = PAST.into())),
        ("a timestamp that expired", "expired", &|forge| {
            put(forge, "timestamp.json", &|body| body["expires"] = PAST.into())
        }),
        ("a snapshot that expired", "expired", &|forge| {
            snapshot(forge, &|body| body["expires"] = PAST.into())
        }),
        ("targets that expired", "expired", &|forge| targets(forge, &|body| body["expires"] = PAST.into())),
    ];
    let judged = |flaw: Flaw<'_>| {
        let mut forge = Forge::of(&world);
        flaw(&mut forge);
        forge.judged()
    };
    let found: Vec<_> = cases.iter().map(|(what, _, flaw)| (*what, judged(*flaw))).collect();
    let right: Vec<_> = cases.iter().map(|(what, class, _)| (*what, *class)).collect();
    assert_eq!(found, right);
}

/// What a look-up for `in/file` says that follows a delegation to a role `other`, which is held by the third key alone.
fn delegated(
    role: &dyn Fn(&mut serde_json::Value),
    other: &dyn Fn(&mut serde_json::Value),
    pinned: bool,
    who: &[usize],
) -> &'static str {
    let world = small(2);
    let mut forge = Forge::of(&world);
    let third = keyring::id(world.keys[2].public());
    let keys = forge.body("1.root.json")["keys"].clone();
    let mut entry =
        json!({"name": "other", "keyids": [third], "threshold": 1, "terminating": true, "paths": ["in/*"]});
    role(&mut entry);
    put(&mut forge, "1.targets.json", &|body| {
        body["delegations"] = json!({"keys": keys, "roles": [entry]});
    });
    let mut body = forge.body("1.targets.json");
    body.as_object_mut().unwrap().remove("delegations");
    body["targets"] = json!({"in/file": {"length": 1, "hashes": {"sha512": "00"}}});
    other(&mut body);
    forge.sign("1.other.json", body, who);
    snapshot(&mut forge, &|body| {
        body["meta"] = json!({"targets.json": {"version": 1}});
        if pinned {
            body["meta"]["other.json"] = json!({"version": 1});
        }
    });
    let mut files = Files::new();
    forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
    let mut trusted = Trusted::refresh(&world.root(1), &files, &Clock::at(world.now), None).unwrap();
    match trusted.target("in/file") {
        // without a SHA-256 nothing is installed by it
        Ok(target) if target.sha256().is_none() => "no digest",
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

#[test]
fn every_flaw_of_a_delegation_is_refused_by_its_class() {
    let is = |_: &mut serde_json::Value| {};
    let digest = |body: &mut serde_json::Value| {
        body["targets"]["in/file"]["hashes"] = json!({"sha256": "00".repeat(32)});
    };
    assert_eq!(delegated(&is, &digest, true, &[2]), "accepted");
    assert_eq!(delegated(&is, &is, true, &[2]), "no digest");
    assert_eq!(delegated(&is, &digest, true, &[0, 1]), "threshold");
    assert_eq!(delegated(&is, &digest, false, &[2]), "not-approved");
    assert_eq!(delegated(&is, &|body| body["expires"] = PAST.into(), true, &[2]), "expired");
    assert_eq!(delegated(&is, &|body| body["version"] = 2.into(), true, &[2]), "integrity");
    assert_eq!(delegated(&|role| role["paths"] = json!(["*"]), &digest, true, &[2]), "not-approved");
    assert_eq!(delegated(&|role| role["name"] = "snapshot".into(), &digest, true, &[2]), "not-approved");
    // bins by digest: the first digit of the SHA-256 of the name, and another
    let bins = |digits: &str| {
        let digits: Vec<String> = digits.chars().map(String::from).collect();
        delegated(
            &|role| {
                role["path_hash_prefixes"] = json!(digits);
                role.as_object_mut().unwrap().remove("paths");
            },
            &digest,
            true,
            &[2],
        )
    };
    let first = Digest::of(b"in/file").hex().chars().take(1).collect::<String>();
    assert_eq!(bins(&first), "accepted");
    assert_eq!(bins(&"0123456789abcdef".replace(&first, "")), "not-approved");
}
