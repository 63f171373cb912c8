//! `claw host firewall`.

use std::path::Path;

use claw_host::zones::{Session, Zones};
use claw_run::firewall::{self, Checked, FirewallError, Receipt, told};

use crate::arguments::Firewall;
use crate::command::run::read;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Prints, checks, applies, confirms or watches the host's firewall.
pub(crate) fn run(arguments: &Firewall) -> u8 {
    if let Some(seconds) = arguments.guard {
        return firewall::guard(seconds).map_or(UNUSABLE, |()| DONE);
    }
    if arguments.confirm {
        return confirm(arguments.json);
    }
    let (text, zones) = match zones(&arguments.zones) {
        Ok(zones) => zones,
        Err(code) => return code,
    };
    for note in &zones.notes {
        print::say(&format!("note: {}", print::plain(note)));
    }
    let code = if arguments.apply {
        apply(arguments, &zones)
    } else if arguments.watch {
        watch(arguments, &zones)
    } else if arguments.print {
        show(arguments, &zones)
    } else if arguments.persist.is_some() && !arguments.check {
        DONE
    } else {
        check(arguments, &zones)
    };
    match &arguments.persist {
        Some(directory) if code == DONE => persist(&zones, &text, directory),
        _ => code,
    }
}

/// Reads the zones, or shows every line that is wrong.
pub(crate) fn zones(file: &Path) -> Result<(String, Zones), u8> {
    let text = read(file)?;
    match Zones::parse(&text, &file.display().to_string()) {
        Ok(zones) => Ok((text, zones)),
        Err(error) => {
            print::diagnostic(&error);
            Err(UNUSABLE)
        }
    }
}

fn show(arguments: &Firewall, zones: &Zones) -> u8 {
    let ruleset = zones.ruleset(&[]);
    if arguments.json {
        print::json(&serde_json::json!({"zones": zones, "ruleset": ruleset, "nft": ruleset.text()}));
    } else {
        print::line(ruleset.text().trim_end());
    }
    DONE
}

fn check(arguments: &Firewall, zones: &Zones) -> u8 {
    let checked = match firewall::check(zones) {
        Ok(checked) => checked,
        Err(error) => return failed(&error),
    };
    if arguments.json {
        print::json(&checked);
    } else {
        report(&checked);
    }
    if checked.sound { DONE } else { NO }
}

fn report(checked: &Checked) {
    for drift in &checked.comparison.drift {
        print::line(&print::row(&format!("drift  {}", told(drift))));
    }
    for session in &checked.kept {
        print::line(&format!("kept   {session}: open until this connection ends"));
    }
    for count in &checked.comparison.counts {
        let text = format!("count  {:>8}  {}: {}", count.packets, count.chain, count.rule);
        print::line(&print::plain(&text));
    }
    others(&checked.others);
    print::line(if checked.sound {
        "the kernel holds what is declared"
    } else {
        "the kernel holds something else than is declared"
    });
}

fn apply(arguments: &Firewall, zones: &Zones) -> u8 {
    let keep = if arguments.no_keep { Vec::new() } else { sessions() };
    let within = (arguments.confirm_within > 0).then_some(arguments.confirm_within);
    let receipt = match firewall::apply(zones, &keep, within) {
        Ok(receipt) => receipt,
        Err(error) => return failed(&error),
    };
    if arguments.json {
        print::json(&receipt);
    } else {
        in_force(&receipt);
    }
    for session in keep.iter().filter(|session| !zones.admits(session)) {
        print::say(&format!(
            "warning: {session} is kept, but no flow of a zone admits another like it: a new session would be refused"
        ));
    }
    DONE
}

fn in_force(receipt: &Receipt) {
    print::line(&format!("in force, and read back: {} rules, {} elements", receipt.rules, receipt.elements));
    for session in &receipt.kept {
        print::line(&format!("kept   {session}"));
    }
    others(&receipt.others);
    if let Some(seconds) = receipt.confirm_within {
        print::line(&format!(
            "taken back in {seconds} s unless you say, best from a new session: claw host firewall --confirm"
        ));
    }
}

fn others(others: &[String]) {
    for other in others {
        print::line(&print::row(&format!("beside {other}")));
    }
}

/// The operator's session: what sshd says, and what the processes above hold.
fn sessions() -> Vec<Session> {
    let mut found = firewall::of_ancestors().unwrap_or_default();
    found.extend(environment::ssh_connection().and_then(|text| Session::of_ssh(&text)));
    found.sort();
    found.dedup();
    found
}

fn confirm(json: bool) -> u8 {
    match firewall::confirm() {
        Ok(()) if json => {
            print::json(&serde_json::json!({"kept": true}));
            DONE
        }
        Ok(()) => {
            print::line("the rules stay");
            DONE
        }
        Err(error) => {
            print::error(&error, error.hint());
            NO
        }
    }
}

fn watch(arguments: &Firewall, zones: &Zones) -> u8 {
    let Ok(host) = environment::host() else { return UNUSABLE };
    let path = match &arguments.ledger {
        Some(path) => host.directory.join(path),
        None => host.state.join("firewall").join(format!("{}.jsonl", std::process::id())),
    };
    print::say(&format!("writing {}", print::row(&path.display().to_string())));
    let mut tell = |drift: &[String]| {
        if drift.is_empty() {
            print::say("as declared");
        }
        for one in drift {
            print::say(&print::row(&format!("drift  {one}")));
        }
    };
    match firewall::watch(zones, &path, &mut tell, &|| true) {
        Ok(()) => DONE,
        Err(error) => failed(&error),
    }
}

fn persist(zones: &Zones, text: &str, directory: &Path) -> u8 {
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/claw".into());
    match firewall::persist(zones, text, directory, &program) {
        Ok(files) => {
            for file in &files {
                print::say(&print::row(&format!("written {}", file.display())));
            }
            print::say(
                "nothing is enabled; when the rules are right: systemctl enable the unit by its whole path",
            );
            DONE
        }
        Err(error) => {
            print::error(&error, None);
            UNUSABLE
        }
    }
}

fn failed(error: &FirewallError) -> u8 {
    print::error(error, error.hint());
    UNUSABLE
}
