use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

fn file(extra: &str) -> String {
    format!(
        "version = 1\nthreshold = 1\n\n[[signer]]\nname = \"ada\"\nssh = \"{KEY}\"\nroles = [\"policy\"]\n{extra}"
    )
}

#[test]
fn a_file_says_who_may_sign_what() {
    let read = Signers::parse(&file("paths = [\"src/**\"]\n")).unwrap();
    let ada = read.keys.first().unwrap();
    assert!(ada.may_touch(b"src/a") && !ada.may_touch(b"docs/a"));
    assert_eq!(read.by_id("SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"), Some(ada));
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let check = |text: &str, line: usize, what: &str, hint: Option<&str>| {
        let error = Signers::parse(text).unwrap_err();
        assert!(error.what.contains(what), "{error:?}");
        assert_eq!((error.line, error.hint.as_deref()), (line, hint), "{error:?}");
    };
    check(&file("pahts = [\"a\"]\n"), 8, "unknown field `pahts`", Some("did you mean `paths`?"));
    check(&file("from = \"HEAD\"\n"), 4, "`HEAD` is no full commit id", None);
    check(&file("paths = [\"/etc\"]\n"), 4, "is not a path below", None);
    check(&file("openpgp = \"x\"\n"), 4, "only one", None);
    check(&file(&format!("[[signer]]\nname = \"b\"\nssh = \"{KEY}\"\n")), 1, "is there twice", None);
    check(
        &file("").replace("threshold = 1", "threshold = 2"),
        2,
        "`threshold` is 2, and 1 people",
        Some("nobody could ever change this file: a threshold is 1 or more, and at most their number"),
    );
    check(
        &file("").replace("[\"policy\"]", "[\"polcy\"]"),
        7,
        "unknown variant `polcy`",
        Some("did you mean `policy`?"),
    );
    check(&file("name = \"x\"\n"), 8, "duplicate key", None);
    check(
        &file("[[adopt]]\ncommit = \"4b825dc642cb6eb9a060e54bf8d69288fbee4904\"\nreason = \" \"\n"),
        8,
        "no reason",
        None,
    );
}
