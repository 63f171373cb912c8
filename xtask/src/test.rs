//! `cargo xtask test`: installs what the tests need, then runs all of them. `cargo xtask lint`: format, lints, licences.

use std::error::Error;
use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Box<dyn Error>>;

/// Debian packages that tests and examples use.
const PACKAGES: &[(&str, &str)] = &[
    ("bwrap", "bubblewrap"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("dig", "dnsutils"),
    ("faketime", "faketime"),
    ("gcc", "gcc"),
    ("ip", "iproute2"),
    ("javac", "default-jdk-headless"),
    ("nc", "netcat-openbsd"),
    ("nft", "nftables"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("/usr/bin/python3", "python3"),
    ("/usr/share/doc/python3-venv", "python3-venv"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("setcap", "libcap2-bin"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
    ("wget", "wget"),
    ("apparmor_parser", "apparmor"),
    ("/usr/share/doc/busybox-static", "busybox-static"),
    ("mke2fs", "e2fsprogs"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("xz", "xz-utils"),
    ("git", "git"),
    ("gpg", "gnupg"),
    ("ssh-keygen", "openssh-client"),
    ("iptables-nft", "iptables"),
    ("objcopy", "binutils"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("/usr/share/containers/seccomp.json", "golang-github-containers-common"),
];

/// Seconds for each fuzz target.
const BRIEFLY: u32 = 5;

/// Installs what is missing, then runs every test of the workspace.
pub(crate) fn run(filter: &[&str]) -> Outcome {
    install()?;
    if filter.is_empty() {
        // order: before the tests, whose closing lines are to stand last
        crate::fuzz::run(BRIEFLY)?;
    }
    step("cargo", &[&["test", "--workspace", "--no-fail-fast", "--"], filter].concat())
}

/// What must be clean before a change lands.
pub(crate) fn lint() -> Outcome {
    step("cargo", &["fmt", "--all", "--check"])?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    if found("cargo-deny") {
        step("cargo", &["deny", "check", "bans", "licenses", "sources"])?;
    } else {
        eprintln!(
            "xtask: cargo-deny is not installed: licences and sources were not checked (cargo install cargo-deny)"
        );
    }
    Ok(())
}

/// As root, missing packages are installed; otherwise they are named.
fn install() -> Outcome {
    let mut missing: Vec<&str> =
        PACKAGES.iter().filter(|(tool, _)| !found(tool)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", missing.join(" "));
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !root || !found("apt-get") {
        return Err(format!("the tests need these Debian packages: {}", missing.join(" ")).into());
    }
    step("apt-get", &["update", "-q"])?;
    step("apt-get", &[&["install", "-y", "-q", "--no-install-recommends"], missing.as_slice()].concat())
}

fn found(tool: &str) -> bool {
    if tool.starts_with('/') {
        return Path::new(tool).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(tool).exists())
}

fn step(program: &str, arguments: &[&str]) -> Outcome {
    let status = Command::new(program).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {} failed", arguments.join(" ")).into()) }
}
