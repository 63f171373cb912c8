//! `claw doctor --self`.

use std::path::Path;

use claw_run::needs::{Need, changes, needs};
use serde::{Deserialize, Serialize};

use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

/// What a version needs, as it is printed and read back.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    version: String,
    needs: Vec<Need>,
}

/// Tells what Claw itself needs, or what changed since another version.
pub(crate) fn run(json: bool, against: Option<&Path>) -> u8 {
    let statement = Statement { version: env!("CARGO_PKG_VERSION").to_owned(), needs: needs() };
    if let Some(file) = against {
        return compare(&statement, file, json);
    }
    if json {
        print::json(&statement);
        return DONE;
    }
    for need in &statement.needs {
        print::line(&line(need));
    }
    print::line("nothing leaves but questions to the host's name servers, and what the policy names");
    DONE
}

fn compare(new: &Statement, file: &Path, json: bool) -> u8 {
    let text = match read(file) {
        Ok(text) => text,
        Err(code) => return code,
    };
    let old: Statement = match serde_json::from_str(&text) {
        Ok(old) => old,
        Err(error) => {
            let name = file.display().to_string();
            eprintln!(
                "claw: `{}` is not what `claw doctor --self --json` prints: {error}",
                print::row(&name)
            );
            return UNUSABLE;
        }
    };
    let (added, gone) = changes(&old.needs, &new.needs);
    if json {
        print::json(&serde_json::json!({"from": old.version, "to": new.version, "new": added, "gone": gone}));
    } else {
        for need in &added {
            print::line(&format!("new   {}", print::row(&line(need))));
        }
        for need in &gone {
            print::line(&format!("gone  {}", print::row(&line(need))));
        }
        if added.is_empty() {
            print::line("nothing new is needed");
        }
    }
    if added.is_empty() { DONE } else { NO }
}

fn line(need: &Need) -> String {
    format!("{:<7} {:<8} {:<46} {}", need.phase.as_str(), need.act.as_str(), need.what, need.why)
}
