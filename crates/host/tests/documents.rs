//! docs/host-audit.md says what the checks say.

use std::fmt::Write as _;

use claw_host::{Area, all};

const PAGE: &str = include_str!("../../../docs/host-audit.md");

#[test]
fn the_page_names_every_check() {
    let (_, after) = PAGE.split_once("<!-- checks -->\n").expect("the page marks where the checks begin");
    let (table, _) = after.split_once("<!-- end of checks -->").expect("and where they end");
    let expect = tables();
    if table != expect {
        let line = table.lines().zip(expect.lines()).find(|(have, want)| have != want);
        panic!("the page differs at {line:?}; the whole:\n{expect}");
    }
    assert!(PAGE.contains(&format!("{} checks", all().count())), "the page tells another number of checks");
}

fn tables() -> String {
    let mut text = String::new();
    for area in Area::ALL {
        let _ = write!(
            text,
            "\n### {}\n\n| Check | Severity | Passes if | Reads | Otherwise | Mend | See |\n|---|---|---|---|---|---|---|\n",
            area.name()
        );
        for check in all().filter(|check| check.area == area) {
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | `{}` | {} |",
                check.id,
                check.severity.name(),
                cell(check.title),
                cell(check.reads),
                cell(check.meaning),
                cell(check.mend),
                cell(check.reference)
            );
        }
    }
    text.push('\n');
    text
}
