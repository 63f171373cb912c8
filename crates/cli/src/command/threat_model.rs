//! `claw threat-model`.

use std::path::Path;

use claw_host::threat::{Finding, Model, findings};

use crate::arguments::ThreatModel;
use crate::command::host::firewall::zones;
use crate::command::policy::parse;
use crate::command::run::read;
use crate::print::{self, DONE, UNUSABLE};

/// Prints the threat model of a policy on this host, and draws its flows.
pub(crate) fn run(arguments: &ThreatModel) -> u8 {
    model(arguments).map_or_else(|code| code, |model| show(arguments, &model))
}

fn model(arguments: &ThreatModel) -> Result<Model, u8> {
    let policy = parse(&read(&arguments.policy)?, &arguments.policy)?;
    let zones = arguments.zones.as_deref().map(zones).transpose()?;
    let audit = arguments.audit.as_deref().map(audit).transpose()?;
    Ok(Model::of(&policy, zones.as_ref().map(|(_, zones)| zones), audit.as_deref()))
}

fn audit(file: &Path) -> Result<Vec<Finding>, u8> {
    findings(&read(file)?).map_err(|error| {
        eprintln!("claw: cannot read the audit `{}`: {error}", print::row(&file.display().to_string()));
        eprintln!("hint: make it with `claw host audit --json`");
        UNUSABLE
    })
}

fn show(arguments: &ThreatModel, model: &Model) -> u8 {
    let pictures = [(&arguments.svg, model.svg()), (&arguments.mermaid, model.mermaid())];
    for (file, picture) in pictures {
        let Some(file) = file else { continue };
        if let Err(error) = std::fs::write(file, picture) {
            eprintln!("claw: cannot write `{}`: {error}", print::row(&file.display().to_string()));
            return UNUSABLE;
        }
    }
    if arguments.json {
        print::json(model);
    } else if arguments.markdown {
        print::line(model.markdown().trim_end());
    } else if arguments.svg.is_none() && arguments.mermaid.is_none() {
        print::line(model.text().trim_end());
    }
    DONE
}
