//! `claw completions` and `claw man`: from the same source as the command line.

use std::fs::{self, File};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Claw;
use crate::print::{self, DONE, UNUSABLE};

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> u8 {
    clap_complete::generate(shell, &mut Claw::command(), "claw", &mut std::io::stdout());
    DONE
}

/// Writes a page for each command.
pub(crate) fn pages(directory: &Path) -> u8 {
    let mut command = Claw::command();
    command.build();
    let written = fs::create_dir_all(directory).and_then(|()| write(&command, "claw", directory));
    match written {
        Ok(()) => DONE,
        Err(error) => {
            print::error(&error, None);
            UNUSABLE
        }
    }
}

fn write(command: &Command, name: &str, directory: &Path) -> std::io::Result<()> {
    let mut file = File::create(directory.join(format!("{name}.1")))?;
    Man::new(command.clone()).title(name).render(&mut file)?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        write(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(())
}
