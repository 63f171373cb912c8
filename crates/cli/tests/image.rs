//! The root of the sandbox from an OCI image layout: what is sound is the root, what is not runs nothing.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claw_testkit::{Lab, copy_program, each};
use serde_json::{Value, json};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const MAKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/image/layout.py");

/// Makes a layout; returns the manifest's digest.
fn layout(lab: &Lab, name: &str, wish: &Value) -> String {
    let root = lab.path(name);
    let mut child = Command::new("/usr/bin/python3")
        .arg(MAKER)
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(wish.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Programs of the host with what they load, as entries of a layer.
fn programs(names: &[(&str, &str)]) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut libraries = BTreeSet::new();
    for (from, to) in names {
        let real = Path::new(from).canonicalize().unwrap();
        entries.push(json!({"path": to, "from": real}));
        let output = Command::new("ldd").arg(&real).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        libraries.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    for library in libraries {
        let inside = library.strip_prefix("/").unwrap();
        entries.push(json!({"path": inside, "from": library.canonicalize().unwrap()}));
    }
    entries
}

fn shell() -> Vec<Value> {
    programs(&[
        ("/bin/sh", "bin/sh"),
        ("/bin/cat", "programs/cat"),
        ("/bin/ls", "bin/ls"),
        ("/usr/bin/id", "bin/id"),
    ])
}

fn under(lab: &Lab, name: &str, digest: &str, more: &str) {
    lab.policy(&[], &format!("filesystem: {{root: {{oci: ../{name}, digest: \"{digest}\"}}{more}}}\n"));
}

/// What the cache holds, besides the lists of what is unpacked now.
fn kept(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.path("state/claw/images")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_image_is_the_root() {
    each(CLAW, |lab| {
        let mut entries = shell();
        entries.push(json!({"path": "etc", "kind": "directory"}));
        entries.push(json!({"path": "etc/marker", "text": "from the image\n", "mode": 0o644}));
        entries.push(json!({"path": "proc/evil", "text": "x"}));
        entries.push(json!({"path": "su", "text": "x", "mode": 0o6755}));
        let digest = layout(lab, "image", &json!({"layers": [entries]}));
        under(lab, "image", &digest, "");
        lab.write("work/here", "of the host\n");
        // the shell and `cat` are the image's, found by the image's own search path
        let run =
            lab.run("cat /etc/marker here /etc/resolv.conf /etc/hosts; id -u; ls /; ls /usr/bin").ends(2);
        let run = run
            .says("from the image\nof the host\nnameserver ")
            .says(&format!("\n{}\n", lab.user().number()));
        assert!(run.stdout.contains("localhost claw") && !run.stdout.contains("python"), "{run:#?}");
        for attack in [
            "echo x > /x",
            "echo x > /etc/marker",
            "echo x > /bin/sh",
            "echo x > here",
            "ls /root/.ssh",
            "ls /var/log",
        ] {
            assert_ne!(lab.run(attack).code, 0, "{attack}");
        }
        // what stands for the sandbox is not the image's
        lab.run("echo x > /tmp/x; cat /tmp/x /dev/null; ls /dev; ls /proc/evil || cat /proc/self/comm")
            .ends(0)
            .says("cat\n");
        lab.claw().command(&["/usr/bin/python3", "-c", "1"]).ends(127);
        let tree = lab.path("state/claw/images").join(digest.strip_prefix("sha256:").unwrap()).join("tree");
        assert_eq!(fs::metadata(tree.join("su")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::metadata(tree.join("su")).unwrap().uid(), lab.user().number());
        assert_eq!(fs::read_to_string(tree.join("etc/marker")).unwrap(), "from the image\n");
        assert!(!tree.join("tmp").exists() && !tree.join("etc/resolv.conf").exists());
        // together with a reviewed tree
        under(lab, "image", &digest, ", review: [.]");
        lab.claw().option(&["--name", "one"]).sh("echo agent > here; cat here").ends(0).prints("agent");
        assert_eq!(fs::read_to_string(lab.path("work/here")).unwrap(), "of the host\n");
    });
}

#[test]
fn upper_layers_take_away_from_lower_ones() {
    each(CLAW, |lab| {
        let file = |path: &str, text: &str| json!({"path": path, "text": text, "mode": 0o644});
        let mut first = shell();
        first.extend([
            file("a/gone", "x"),
            file("a/kept", "kept\n"),
            file("b/one", "x"),
            file("b/two", "x"),
            file("c/d/e", "x"),
        ]);
        first.extend([file("f", "x"), json!({"path": "g", "kind": "link", "to": "a"}), file("h/i", "x")]);
        // the white-outs stand behind what their own layer brings
        let second = [
            file("b/three", "three\n"),
            file("b/.wh..wh..opq", ""),
            file("a/.wh.gone", ""),
            file(".wh.c", ""),
            json!({"path": "f", "kind": "directory"}),
            file("f/now", "directory\n"),
            json!({"path": "g", "kind": "directory"}),
            json!({"path": "h", "text": "file\n"}),
            json!({"path": "again", "kind": "hard", "to": "a/kept"}),
            file("nowhere/.wh.x", ""),
        ];
        let digest = layout(lab, "image", &json!({"layers": [first, second], "gzip": false}));
        under(lab, "image", &digest, "");
        let run = lab.run("echo /a/* /b/* /f/* /g/* /c*; cat /a/kept /b/three /f/now /h /again");
        run.ends(0).prints("/a/kept /b/three /f/now /g/* /c*\nkept\nthree\ndirectory\nfile\nkept");
    });
}

/// Each is refused with its place; nothing runs, and nothing is left of it.
#[test]
fn an_image_that_is_not_sound_runs_nothing() {
    each(CLAW, |lab| {
        lab.write("outside", "outside\n");
        let outside = lab.path("outside").display().to_string();
        let bad = |entry: Value| json!({"layers": [shell(), [{"path": "fine", "text": "x"}, entry]]});
        let with = |more: Value| {
            let mut wish = json!({"layers": [shell()]});
            wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            wish
        };
        let cases = [
            (
                "device",
                bad(json!({"path": "dev/null", "kind": "character"})),
                "layer 2, entry `dev/null`: it is a device",
            ),
            ("disk", bad(json!({"path": "disk", "kind": "block"})), "it is a device"),
            ("pipe", bad(json!({"path": "p", "kind": "pipe"})), "it is a named pipe"),
            ("odd", bad(json!({"path": "p", "kind": "odd"})), "of a kind that is not unpacked"),
            ("above", bad(json!({"path": "a/../../../outside", "text": "evil"})), "its path holds `..`"),
            ("absolute", bad(json!({"path": outside, "text": "evil"})), "its path is absolute"),
            (
                "out",
                bad(json!({"path": "a/b", "kind": "link", "to": "../../outside"})),
                "it leads out of the tree",
            ),
            ("hard", bad(json!({"path": "a", "kind": "hard", "to": "../outside"})), "its path holds `..`"),
            ("missing", bad(json!({"path": "a", "kind": "hard", "to": "b"})), "which is no file"),
            ("whiteout", bad(json!({"path": ".wh.a/b", "text": "x"})), "is no white-out"),
            (
                "through",
                json!({"layers": [shell(), [{"path": "way", "kind": "link", "to": outside}, {"path": "way/x", "text": "evil"}]]}),
                "a symbolic link lies on the way to it",
            ),
            (
                "through-more",
                json!({"layers": [shell(), [{"path": "way", "kind": "link", "to": "/"}, {"path": "way/x/y", "text": "evil"}]]}),
                "a symbolic link lies on the way to it",
            ),
            (
                "hard-through",
                json!({"layers": [shell(), [{"path": "way", "kind": "link", "to": outside}, {"path": "x", "kind": "hard", "to": "way"}]]}),
                "which is no file",
            ),
            (
                "bomb",
                bad(json!({"path": "zeros", "zeros": 200 << 20})),
                "grows to more than 200 times its size",
            ),
            (
                "hidden",
                with(json!({"long": "hidden", "much": 2 << 20})),
                "layer 1: the headers of an entry have more than 1048576 bytes",
            ),
            (
                "sparse",
                with(json!({"long": "sparse", "much": 2 << 20})),
                "layer 1: the headers of an entry have more than 1048576 bytes",
            ),
            (
                "removed",
                with(json!({"long": "removed", "much": 4600})),
                "the image takes away names of more than 16 MiB",
            ),
            (
                "name",
                with(json!({"long": "hidden", "much": 200 << 9})),
                "its path is longer than 4,096 bytes",
            ),
            (
                "hard-name",
                bad(
                    json!({"path": "a", "kind": "hard", "to": format!("{}b", "b".repeat(250) + "/").repeat(15)}),
                ),
                "which is no file",
            ),
            (
                "out-name",
                bad(json!({"path": "a", "kind": "link", "to": "../".repeat(1300)})),
                "it leads out of the tree: `../../",
            ),
            ("behind", with(json!({"behind": "something"})), "stands behind the end"),
            ("content", with(json!({"spoil": "content"})), "its content has the digest"),
            ("size", with(json!({"spoil": "size"})), "bytes, not"),
            ("gone", with(json!({"spoil": "gone"})), "it is not there"),
            ("linked", with(json!({"spoil": "link"})), "symbolic link"),
            (
                "diff",
                with(json!({"diff": format!("sha256:{}", "0".repeat(64))})),
                "uncompressed it has the digest",
            ),
            (
                "media",
                with(json!({"media": "application/vnd.docker.image.rootfs.diff.tar.gzip"})),
                "media type",
            ),
            ("foreign", with(json!({"architecture": "s390x"})), "it is for linux/s390x"),
            (
                "twice",
                with(
                    json!({"replace": [["{\"schemaVersion\": 2", "{\"schemaVersion\": 2, \"schemaVersion\": 2"]]}),
                ),
                "is written twice",
            ),
            (
                "deep",
                with(
                    json!({"replace": [["\"schemaVersion\": 2", format!("\"x\": {}, \"schemaVersion\": 2", "[".repeat(500))]]}),
                ),
                "not a document",
            ),
        ];
        for (name, wish, why) in &cases {
            let digest = layout(lab, name, wish);
            under(lab, name, &digest, "");
            let run = lab.run("echo ran > /tmp/ran; echo RAN").ends(2);
            assert!(
                run.stderr.contains(why) && !run.stdout.contains("RAN"),
                "{name}: no `{why}` in {run:#?}"
            );
            // whoever made the image does not fill a terminal or a log
            assert!(run.stderr.len() < 2048, "{name}: {} bytes", run.stderr.len());
            assert_eq!(kept(lab), Vec::<String>::new(), "{name}");
        }
        assert_eq!(fs::read_to_string(lab.path("outside")).unwrap(), "outside\n");
        let digest = layout(lab, "sound", &json!({"layers": [shell()]}));
        let other = format!("sha256:{}", "0".repeat(64));
        under(lab, "sound", &other, "");
        lab.run("true").ends(2).warns("does not name").warns(&digest);
        under(lab, "nowhere", &digest, "");
        assert_ne!(lab.run("true").code, 0);
        for (policy, why) in [
            ("root: {oci: ../sound}", "needs an image layout and the digest"),
            ("root: {oci: ../sound, digest: \"sha256:x\"}", "64 lower-case hex digits"),
            ("root: {oci: ../sound, digets: x}", "did you mean `digest`?"),
        ] {
            lab.policy(&[], &format!("filesystem: {{{policy}}}\n"));
            lab.run("true").ends(2).warns(why);
        }
    });
}

#[test]
fn a_tree_is_unpacked_once_and_again_if_it_changed() {
    each(CLAW, |lab| {
        let mut entries = shell();
        entries.push(json!({"path": "marker", "text": "from the image\n", "mode": 0o644}));
        let digest = layout(lab, "image", &json!({"layers": [entries]}));
        under(lab, "image", &digest, "");
        lab.run("cat /marker").ends(0).prints("from the image");
        let tree = lab.path("state/claw/images").join(digest.strip_prefix("sha256:").unwrap()).join("tree");
        let first = fs::metadata(tree.join("marker")).unwrap().ino();
        lab.run("cat /marker").ends(0).prints("from the image");
        assert_eq!(fs::metadata(tree.join("marker")).unwrap().ino(), first);
        fs::write(tree.join("marker"), "from somebody!\n").unwrap();
        lab.run("cat /marker").ends(0).prints("from the image");
        fs::write(tree.join("bin/more"), "x").unwrap();
        lab.run("cat /bin/more").ends(1);
        assert_eq!(kept(lab).len(), 1);
    });
}

/// A layout that another tool made, with two layers and a deletion.
#[test]
fn a_layout_of_another_tool_is_the_root() {
    each(CLAW, |lab| {
        let tree = lab.directory("source");
        for entry in shell() {
            let place = tree.join(entry["path"].as_str().unwrap());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            copy_program(entry["from"].as_str().unwrap(), place);
        }
        fs::write(tree.join("first"), "first\n").unwrap();
        let second = lab.write("second", "second\n");
        let image = lab.path("made");
        let umoci = |words: &[&str]| {
            let output = Command::new("umoci").args(words).output().expect("umoci");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let name = format!("{}:latest", image.display());
        umoci(&["init", "--layout", image.to_str().unwrap()]);
        umoci(&["new", "--image", &name]);
        umoci(&["insert", "--image", &name, tree.to_str().unwrap(), "/"]);
        umoci(&["insert", "--image", &name, second.to_str().unwrap(), "/second"]);
        umoci(&["insert", "--image", &name, "--whiteout", "/first"]);
        // and copied by a third one, which writes the documents anew
        let copied = lab.path("copied");
        let output = Command::new("skopeo")
            .args([
                "copy",
                "--insecure-policy",
                &format!("oci:{name}"),
                &format!("oci:{}:latest", copied.display()),
            ])
            .output()
            .expect("skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for layout in ["made", "copied"] {
            let index: Value =
                serde_json::from_slice(&fs::read(lab.path(layout).join("index.json")).unwrap()).unwrap();
            let digest = index["manifests"][0]["digest"].as_str().unwrap();
            // root made it, for whoever runs claw
            assert!(
                Command::new("chmod").args(["-R", "a+rX"]).arg(lab.path(layout)).status().unwrap().success()
            );
            under(lab, layout, digest, "");
            lab.run(
                "PATH=/programs:/bin; cat /second; ls /first || cat /bin/sh | cat > /dev/null && cat /second",
            )
            .ends(0)
            .prints("second\nsecond");
        }
    });
}
