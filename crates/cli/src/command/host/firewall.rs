//! `claw host firewall`.

use std::path::Path;

use claw_host::zones::{Session, Zones};
use claw_run::firewall::{self, Beside, Checked, FirewallError, Receipt, told};

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
    // a pipe would be waited for, and a device has no end
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        let name = print::plain(&file.display().to_string());
        eprintln!("claw: cannot read `{name}`: it is not a regular file");
        return Err(UNUSABLE);
    }
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
    let beside = checked.others.len();
    print::line(&match (checked.comparison.drift.is_empty(), checked.sound, beside) {
        (false, ..) => "the kernel holds something else than is declared".to_owned(),
        (true, false, _) => {
            "the kernel holds what is declared, but packets get around it: see `around` above".to_owned()
        }
        (true, true, 0) => "the kernel holds what is declared".to_owned(),
        (true, true, _) => {
            format!("the kernel holds what is declared; others decide too: see `beside` above ({beside})")
        }
    });
}

fn apply(arguments: &Firewall, zones: &Zones) -> u8 {
    let keep = if arguments.no_keep { Vec::new() } else { sessions() };
    for uplink in firewall::uplinks() {
        if let Some(zone) = zones.only_its_own(&uplink) {
            print::say(&print::plain(&format!(
                "warning: a default route leaves by `{uplink}`, from which only networks of `{}` are taken: what the internet answers is refused there; name the zone by its networks alone",
                zone.name
            )));
        }
    }
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

fn others(others: &[Beside]) {
    for other in others {
        let word = if other.around { "around" } else { "beside" };
        print::line(&print::row(&format!("{word} {}", other.what)));
    }
}

/// The operator's session: what the processes above hold, and what sshd says, if it is open. The environment alone opens
/// nothing, and whoever is left without a session is told.
fn sessions() -> Vec<Session> {
    let mut found = firewall::of_ancestors().unwrap_or_default();
    if let Some(said) = environment::ssh_connection().and_then(|text| Session::of_ssh(&text)) {
        if firewall::established().is_ok_and(|open| open.contains(&said)) {
            found.push(said);
        } else {
            print::say(&format!(
                "warning: `SSH_CONNECTION` says {said}, which is no open connection here: it is not kept"
            ));
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        print::say(
            "warning: no session of yours was found, so none is kept: you get in by declared flows only",
        );
    }
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
            print::error(&error, error.hint());
            UNUSABLE
        }
    }
}

fn failed(error: &FirewallError) -> u8 {
    print::error(error, error.hint());
    UNUSABLE
}
