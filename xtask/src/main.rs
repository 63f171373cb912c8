//! Developer tasks: `cargo xtask test | lint | fuzz | bench | agree | footprints | load`, and the chain: [`chain`].

mod agree;
mod bench;
mod chain;
mod commits;
mod footprints;
mod fuzz;
mod load;
mod observe;
mod test;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test", rest @ ..] => test::run(rest),
        ["lint"] => test::lint(),
        ["fuzz"] => fuzz::run(60),
        ["fuzz", seconds] => seconds.parse().map_err(Into::into).and_then(fuzz::run),
        ["bench", rest @ ..] => bench::run(rest),
        ["agree", python, modules] => agree::run(python, modules),
        ["footprints", rest @ ..] => footprints::run(rest),
        ["load", rest @ ..] => bench::load(rest),
        ["sbom", rest @ ..] => chain::sbom::run(rest),
        ["record", rest @ ..] => chain::record::run(rest),
        ["toolchain", rest @ ..] => chain::toolchain::run(rest),
        ["embedded", rest @ ..] => chain::embedded::run(rest),
        ["reproduce", rest @ ..] => chain::reproduce::run(rest),
        ["rebuild", rest @ ..] => chain::rebuild::run(rest),
        ["release", rest @ ..] => chain::release::run(rest),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str =
    "usage: cargo xtask test [FILTER] | lint | fuzz [SECONDS] | bench [WHAT] | agree PYTHON MODULES | footprints [ID] | load …
       | sbom | record | toolchain [write] | embedded | reproduce | rebuild | release";
