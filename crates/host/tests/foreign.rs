//! Files of a host are foreign bytes: no reader of them panics, whatever they say.

use claw_host::accounts::{accounts, groups};
use claw_host::facts::Shadow;
use claw_host::mounts::mounts;
use claw_host::sshd::{Config, includes};
use claw_host::{Baseline, Read};
use proptest::prelude::*;

/// Text that is often nearly right.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "Include",
        "Match",
        "all",
        "PermitRootLogin",
        "yes",
        "\"",
        "=",
        "\n",
        " ",
        "\t",
        "#",
        ":",
        "::",
        "root:x:0:0:",
        "/",
        "-",
        " - ",
        "rw,",
        "8:1",
        "$6$",
        "\\040",
        "version: 1",
        "accepted:",
        "  - ",
        "check: tpm",
        "expires: 2027-01-01",
        "{",
        "é",
        "\0",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in prop_oneof![text(), any::<String>()]) {
        let _ = (accounts(&text), groups(&text), mounts(&text), Shadow::parse(&text), includes(&text));
        let files = |_: &str| Read::Known(text.as_str());
        // every file includes every other, forever
        let matching = |pattern: &str| vec![pattern.to_owned()];
        let _ = Config::read("/etc/ssh/sshd_config", &files, &matching).held(&["permitrootlogin"]);
        let _ = Baseline::parse(&text, "accepted.yaml");
    }

    #[test]
    fn the_facts_of_a_password_file_hold_no_hash(hash in "[a-zA-Z0-9./]{20,40}") {
        let read = Shadow::parse(&format!("ada:$6$salt${hash}:1::::::\n"));
        let shown = format!("{read:?}");
        prop_assert!(!shown.contains(&hash));
    }
}
