use super::*;

const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn commit(extra: &str) -> String {
    format!(
        "tree {TREE}\nauthor A <a@x.test> 1 +0000\ncommitter B <b@x.test> 1 +0000\n{extra}\nsubject\n\nbody\n"
    )
}

fn parse(text: &str) -> Result<Commit, Malformed> {
    Commit::parse(text.as_bytes(), Kind::Sha1)
}

#[test]
fn what_is_signed_is_the_commit_without_its_signatures() {
    let signed = commit(
        "gpgsig -----BEGIN X\n a\n \n b\nencoding x\ngpgsig-sha256 -----BEGIN PGP SIGNATURE-----\n d\n",
    );
    let read = parse(&signed).unwrap();
    assert_eq!(read.signature.unwrap(), b"-----BEGIN X\na\n\nb");
    assert_eq!(String::from_utf8(read.payload).unwrap(), commit("encoding x\n"));
    assert_eq!((read.author.email.as_str(), read.committer.name.as_str()), ("a@x.test", "B"));
    assert_eq!(read.subject, "subject");
}

#[test]
fn what_has_two_readings_is_refused() {
    let check = |text: &str, expect| assert_eq!(parse(text).unwrap_err(), expect, "{text}");
    check(&commit("gpgsig a\ngpgsig b\n"), Malformed::Twice("gpgsig"));
    check(&commit("gpgsigx a\n"), Malformed::LikeSignature);
    check(&commit("gpgsig-sha256 junk\n"), Malformed::LikeSignature);
    check(&commit(&format!("tree {TREE}\n")), Malformed::Twice("tree"));
    check(&commit(&format!("parent {TREE}\n")), Malformed::Missing("parent"));
    check(&commit("author C <c> 1 +0000\n"), Malformed::Twice("author"));
    check(&commit("x y\0z\n"), Malformed::Nul);
    check(&commit("").replace("tree 4b", "tree 4B"), Malformed::Value("tree"));
    check("tree x\n\n", Malformed::Value("tree"));
    check("", Malformed::NoEnd);
}

#[test]
fn a_tag_ends_with_its_signature() {
    let text = format!("object {TREE}\ntype commit\ntag v1\ntagger A <a> 1 +0000\n\nword\n");
    let signed = format!("{text}-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n");
    let tag = Tag::parse(signed.as_bytes(), Kind::Sha1).unwrap();
    assert_eq!(String::from_utf8(tag.payload).unwrap(), text);
    assert!(tag.signature.unwrap().starts_with(b"-----BEGIN SSH"));
    assert_eq!(Tag::parse(text.as_bytes(), Kind::Sha1).unwrap().signature, None);
}
