//! Debian archives that a static program is made with, each held by its SHA-256: the compiler and what it loads, the source of
//! the standard library, musl, an unwinder, the kernel's headers. They are unpacked anew for each build and never installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claw_model::digest::Digest;

use super::toolchain::digest;
use super::{Outcome, told};

/// Archives on this disk that are those that were recorded.
#[derive(Debug, Clone)]
pub(crate) struct Archives {
    directory: PathBuf,
    /// File names and digests, as recorded.
    pub(crate) files: BTreeMap<String, Digest>,
}

impl Archives {
    /// Those that are recorded. What is missing is asked of apt, which has only the newest of each; older ones may be put there
    /// by hand, from wherever they are to be had.
    pub(crate) fn ready(directory: &Path, recorded: &BTreeMap<String, Digest>) -> Outcome<Archives> {
        fs::create_dir_all(directory)?;
        for (name, wanted) in recorded {
            let file = directory.join(name);
            if !file.exists() {
                let (package, version) = parts(name)?;
                download(directory, &format!("{package}={version}")).map_err(|error| {
                    format!(
                        "{name} is not in {}, and apt does not have it: {error}\n\
                         hint: apt-get update; if it is too old for that, fetch it from snapshot.debian.org",
                        directory.display()
                    )
                })?;
            }
            let found = digest(&file)?;
            if found != *wanted {
                return Err(format!(
                    "{}: recorded {wanted}, found {found}\nhint: remove it to have it fetched again",
                    file.display()
                )
                .into());
            }
        }
        Ok(Archives { directory: directory.to_owned(), files: recorded.clone() })
    }

    /// The newest that apt has.
    pub(crate) fn newest(directory: &Path) -> Outcome<Archives> {
        fs::create_dir_all(directory)?;
        let mut files = BTreeMap::new();
        for package in wanted()? {
            let version = candidate(&package)?;
            let begin = format!("{package}_{}_", version.replace(':', "%3a"));
            let here = || -> Outcome<Option<String>> {
                for entry in fs::read_dir(directory)? {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    if name.starts_with(&begin) && name.ends_with(".deb") {
                        return Ok(Some(name));
                    }
                }
                Ok(None)
            };
            let name = match here()? {
                Some(name) => name,
                None => {
                    download(directory, &format!("{package}={version}"))?;
                    here()?.ok_or_else(|| format!("apt gave no {begin}*.deb"))?
                }
            };
            let sum = digest(&directory.join(&name))?;
            files.insert(name, sum);
        }
        Ok(Archives { directory: directory.to_owned(), files })
    }

    /// Lays all of them out in one directory; of the compiler's sources, the standard library alone.
    pub(crate) fn unpack(&self, to: &Path) -> Outcome<()> {
        fs::create_dir_all(to)?;
        for name in self.files.keys() {
            let mut archive = Command::new("dpkg-deb")
                .arg("--fsys-tarfile")
                .arg(self.directory.join(name))
                .stdout(Stdio::piped())
                .spawn()?;
            let input = archive.stdout.take().ok_or("dpkg-deb gives nothing")?;
            let mut tar = Command::new("tar");
            tar.args(["-x", "--no-same-owner", "--exclude=./usr/share"]).arg("-C").arg(to);
            if name.starts_with(SOURCE) {
                tar.args(["--wildcards", "./usr/src/*/library"]);
            }
            let unpacked = tar.stdin(input).status()?;
            if !archive.wait()?.success() || !unpacked.success() {
                return Err(format!("{name} cannot be unpacked into {}", to.display()).into());
            }
        }
        Ok(())
    }
}

/// The version of a package among these archives.
pub(crate) fn version(files: &BTreeMap<String, Digest>, package: &str) -> Option<String> {
    let (_, version) = files.keys().filter_map(|name| parts(name).ok()).find(|(name, _)| name == package)?;
    Some(version)
}

/// Where archives of this repository are kept.
pub(crate) fn kept(root: &Path) -> PathBuf {
    root.join("target/archives")
}

/// Names of all packages. Those with a version in their name are found from the others.
fn wanted() -> Outcome<Vec<String>> {
    let standard = needs("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = needs(&standard, "libllvm")?;
    let number = llvm.trim_start_matches("libllvm").to_owned();
    let mut all: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    all.extend([standard, llvm, format!("libunwind-{number}-dev")]);
    all.sort();
    Ok(all)
}

/// What a package depends on whose name begins like this.
fn needs(package: &str, begin: &str) -> Outcome<String> {
    let text = told(Command::new("apt-cache").args(["depends", package]).env("LC_ALL", "C"))?;
    let mut names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let found = names.find(|name| name.starts_with(begin));
    Ok(found
        .ok_or_else(|| format!("apt-cache knows no {begin}* of {package}\nhint: apt-get update"))?
        .to_owned())
}

fn candidate(package: &str) -> Outcome<String> {
    let text = told(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    let version = line.filter(|version| *version != "(none)");
    Ok(version.ok_or_else(|| format!("apt has no {package}\nhint: apt-get update"))?.to_owned())
}

/// apt compares with the digest in the archive's signed index.
fn download(directory: &Path, what: &str) -> Outcome<()> {
    let quiet = ["-q", "-o", "APT::Sandbox::User=root", "download", what];
    told(Command::new("apt-get").args(quiet).current_dir(directory)).map(drop)
}

/// `name_version_architecture.deb`, as apt names files.
fn parts(name: &str) -> Outcome<(String, String)> {
    let mut words = name.split('_');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(package), Some(version), Some(end), None) if end.ends_with(".deb") && !name.contains('/') => {
            Ok((package.to_owned(), version.replace("%3a", ":")))
        }
        _ => Err(format!("`{name}` is no name of a Debian archive").into()),
    }
}

/// The compiler's sources.
const SOURCE: &str = "rust-web-src";

/// The compiler and libraries that not every machine has; the C library, headers of C library and kernel.
const PACKAGES: &[&str] = &[
    "rustc-web",
    "libstd-rust-web-dev",
    SOURCE,
    "libz3-4",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libffi8",
    "libxml2",
    "libicu72",
    "liblzma5",
    "musl-dev",
    "linux-libc-dev",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_a_path_is_none() {
        let taken = parts("libllvm22_1%3a22.1.8-1~deb12u1_amd64.deb").unwrap();
        assert_eq!(taken, ("libllvm22".to_owned(), "1:22.1.8-1~deb12u1".to_owned()));
        for wrong in ["musl-dev", "musl-dev_1.2.3-1_amd64.tar", "../musl-dev_1_amd64.deb", "a_b_c_d.deb", ""]
        {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_archive_with_another_byte_is_refused() {
        let directory = super::super::clean::root().unwrap().join("target/tmp/archives");
        fs::create_dir_all(&directory).unwrap();
        let name = "musl-dev_1.2.3-1_amd64.deb".to_owned();
        fs::write(directory.join(&name), "what the mirror gave").unwrap();
        let recorded = |bytes: &[u8]| BTreeMap::from([(name.clone(), Digest::of(bytes))]);
        assert!(Archives::ready(&directory, &recorded(b"what the mirror gave")).is_ok());
        let told = Archives::ready(&directory, &recorded(b"what was recorded")).unwrap_err().to_string();
        assert!(told.contains("musl-dev_1.2.3-1_amd64.deb: recorded sha256:"), "{told}");
    }
}
