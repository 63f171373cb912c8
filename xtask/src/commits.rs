//! `cargo xtask bench commits`: a history of 100,000 commits with real signatures, judged by the gate.
//! `CLAW_BENCH_COMMITS` makes it shorter.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use claw_testkit::{Git, History, SshSigner};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Every tenth commit is a merge, every commit changes one of a hundred files in ten directories; 20 people sign.
pub(crate) fn bench(claw: &Path) -> Outcome<()> {
    let count: usize =
        std::env::var("CLAW_BENCH_COMMITS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let git = Git::new();
    let begun = Instant::now();
    let (tip, allowed) = history(&git, count)?;
    let made = begun.elapsed();
    println!(
        "## Commit gate\n\n{count} commits, SSH signatures (Ed25519), made in {:.1} s; one run each.\n",
        made.as_secs_f64()
    );
    println!("| what | seconds | µs for each | memory, MiB |\n|---|---|---|---|");
    for (what, tip) in
        [("the whole history", tip.clone()), ("its last hundredth", format!("{tip}~{}..{tip}", count / 100))]
    {
        let begun = Instant::now();
        let output = Command::new("/usr/bin/env")
            .args(["time", "-f", "%M"])
            .arg(claw)
            .args(["gate", "commits", &tip, "--repo"])
            .arg(git.repo())
            .args(["--allowed", &allowed])
            .output()?;
        let seconds = begun.elapsed().as_secs_f64();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(
                format!("the gate refuses: {} {text}", String::from_utf8_lossy(&output.stdout)).into()
            );
        }
        let kilobytes: f64 = text.lines().last().unwrap_or_default().trim().parse()?;
        println!(
            "| {what} | {seconds:.2} | {:.1} | {:.0} |",
            seconds * 1e6 / count_of(count),
            kilobytes / 1024.0
        );
    }
    let sample = 50;
    let begun = Instant::now();
    for number in 0..sample {
        let setting = format!("gpg.ssh.allowedSignersFile={}", git.path("git-signers").display());
        let commit = format!("{tip}~{number}");
        let done = git.attempt(&["-c", &setting, "verify-commit", &commit]);
        if !done.status.success() {
            return Err("git does not accept what the gate does".into());
        }
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(sample);
    println!(
        "| `git verify-commit`, {sample} of them | {:.2} | {each:.1} | |\n",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes such a history and says where it is; it stays until somebody presses enter.
pub(crate) fn make(count: usize) -> Outcome<()> {
    let git = Git::new();
    let (tip, allowed) = history(&git, count)?;
    println!("{} {tip} {allowed}", git.repo().display());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn history(git: &Git, count: usize) -> Outcome<(String, String)> {
    let people: Vec<SshSigner> = (0..20_u8).map(|seed| SshSigner::new(&format!("p{seed}"), seed)).collect();
    let mut history = History::default();
    let mut directories: Vec<Vec<String>> = Vec::new();
    let first = history.blob(b"0");
    for _ in 0..10 {
        directories.push(vec![first.clone(); 10]);
    }
    let mut trees: Vec<String> = Vec::new();
    let (mut tip, mut before) = (String::new(), String::new());
    for number in 0..count {
        let (directory, file) = (number % 10, number / 10 % 10);
        let blob = history.blob(number.to_string().as_bytes());
        if let Some(slot) = directories.get_mut(directory).and_then(|files| files.get_mut(file)) {
            *slot = blob;
        }
        let tree_of = |history: &mut History, files: &[String]| {
            let names: Vec<String> = (0..files.len()).map(|name| format!("f{name}")).collect();
            let entries: Vec<(&str, &str, &str)> =
                names.iter().zip(files).map(|(name, id)| ("100644", name.as_str(), id.as_str())).collect();
            history.tree(&entries)
        };
        if trees.is_empty() {
            trees = directories.iter().map(|files| tree_of(&mut history, files)).collect();
        } else if let (Some(slot), Some(files)) = (trees.get_mut(directory), directories.get(directory)) {
            *slot = tree_of(&mut history, files);
        }
        let names: Vec<String> = (0..trees.len()).map(|name| format!("d{name}")).collect();
        let entries: Vec<(&str, &str, &str)> =
            names.iter().zip(&trees).map(|(name, id)| ("40000", name.as_str(), id.as_str())).collect();
        let root = history.tree(&entries);
        let parents: Vec<&str> = match (tip.is_empty(), number % 10 == 9) {
            (true, _) => vec![],
            (false, true) => vec![&tip, &before],
            (false, false) => vec![&tip],
        };
        let person = number % people.len();
        let next = history.commit(
            &root,
            &parents,
            &format!("p{person}"),
            &format!("change {number}"),
            people.get(person),
        );
        before = std::mem::replace(&mut tip, next);
    }
    history.write(git.repo(), "main", &tip);
    let mut allowed = "version = 1\nthreshold = 1\n".to_owned();
    let mut lines = String::new();
    for (number, person) in people.iter().enumerate() {
        let roles = if number == 0 { "roles = [\"commit\", \"policy\"]\n" } else { "" };
        allowed.push_str(&format!(
            "\n[[signer]]\nname = \"p{number}\"\nprincipals = [\"p{number}@example.com\"]\nssh = \"{}\"\n{roles}",
            person.line()
        ));
        lines.push_str(&format!("p{number}@example.com {}\n", person.line()));
    }
    let path = git.path("allowed.toml");
    fs::write(&path, allowed)?;
    fs::write(git.path("git-signers"), lines)?;
    Ok((tip, path.display().to_string()))
}
