//! `cargo xtask fuzz [SECONDS]`: builds the fuzz targets with coverage counters and runs each for so long, from its kept
//! corpus. What crashes one is left in `fuzz/artifacts`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Box<dyn Error>>;

/// Every target, by the name of its binary and of its corpus.
const TARGETS: &[&str] = &[
    "adapter",
    "application",
    "bundle",
    "client_hello",
    "commits",
    "dns",
    "dsse",
    "formats",
    "framing",
    "http_head",
    "ima",
    "image",
    "ledger",
    "pack",
    "patterns",
    "policy",
    "seccomp",
    "trust_documents",
];

/// The compiler's coverage counters (LLVM's SanitizerCoverage), which libFuzzer reads. All of it is stable.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Ccodegen-units=1 -Cdebuginfo=line-tables-only";

/// Runs every target for `seconds`.
pub(crate) fn run(seconds: u32) -> Outcome {
    let host = host()?;
    let root = fs::canonicalize("fuzz")?;
    let target = fs::canonicalize(".")?.join("target/fuzz");
    // the target is named so that the counters are not put into build scripts
    let built = Command::new("cargo")
        .args(["build", "--release", "--bins", "--target", &host, "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", COUNTERS)
        .status()?;
    if !built.success() {
        return Err("the fuzz targets do not build".into());
    }
    let crashes = root.join("artifacts");
    fs::create_dir_all(&crashes)?;
    for name in TARGETS {
        one(name, seconds, &root, &target.join(&host).join("release"), &crashes)?;
    }
    println!("xtask: {} fuzz targets, {seconds} s each: nothing found", TARGETS.len());
    Ok(())
}

fn one(name: &str, seconds: u32, root: &Path, binaries: &Path, crashes: &Path) -> Outcome {
    // what is found goes to a directory of its own: the kept corpus changes only by hand
    let found = binaries.join(format!("{name}-found"));
    fs::create_dir_all(&found)?;
    let output = Command::new(binaries.join(name))
        .arg(&found)
        .arg(root.join("corpus").join(name))
        .args([
            format!("-max_total_time={seconds}"),
            "-timeout=10".to_owned(),
            "-rss_limit_mb=2048".to_owned(),
        ])
        .args(["-max_len=8192".to_owned(), format!("-artifact_prefix={}/{name}-", crashes.display())])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last =
        text.lines().rev().find(|line| line.contains("Done") || line.contains("DONE")).unwrap_or_default();
    println!("fuzz {name}: {}", last.trim());
    if output.status.success() {
        return Ok(());
    }
    let tail: Vec<&str> = text.lines().rev().take(40).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("fuzz target {name} found something:\n{}", tail.join("\n")).into())
}

fn host() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not say its host")?.to_owned())
}
