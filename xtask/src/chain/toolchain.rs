//! The compiler, pinned by digest: `supply-chain/toolchain.toml` holds the SHA-256 of everything that turns sources into a
//! program. `cargo xtask toolchain` compares; `cargo xtask toolchain write` records what is found.
//!
//! The compiler of a release is Debian's, unpacked from recorded archives, for with it comes the source of its standard library;
//! cargo is the installed one. rustup's own file names a toolchain by name only, and one of another name with the same bytes is
//! not taken; so the pin is here, and is compared where it counts: before a release is built.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};

use super::archives::{self, Archives};
use super::musl::Musl;
use super::{HOST, Outcome, told};

/// Where the record lies.
const FILE: &str = "supply-chain/toolchain.toml";

/// The compiler that is called here.
pub(crate) struct Toolchain {
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    pub(crate) sysroot: PathBuf,
    /// `1.95.0`.
    pub(crate) release: String,
    /// All that `rustc -vV` says.
    pub(crate) verbose: String,
    /// Where the compiler finds what it loads, if it was unpacked and not installed.
    pub(crate) libraries: Option<PathBuf>,
}

/// What is recorded, or was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// What rustc says of itself.
    pub(crate) rustc: String,
    pub(crate) cargo: String,
    /// The wrapper that lists what is linked.
    pub(crate) auditable: String,
    pub(crate) cc: String,
    pub(crate) ld: String,
    /// The archive of cargo as the Rust project publishes it; for those who install it anew.
    pub(crate) published: BTreeMap<String, Digest>,
    /// Debian's archives of the compiler, the source of the standard library, musl, the unwinder and headers.
    pub(crate) archives: BTreeMap<String, Digest>,
    /// Cargo, by its path in what is installed.
    pub(crate) toolchain: BTreeMap<String, Digest>,
    /// The C compiler, assembler, linker, and what of the C library is linked in, by their path.
    pub(crate) system: BTreeMap<String, Digest>,
}

impl Toolchain {
    /// The compiler that stands first, past any proxy.
    pub(crate) fn read(root: &Path) -> Outcome<Toolchain> {
        let proxy = std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
        let ask = || {
            let mut command = Command::new(&proxy);
            command.current_dir(root);
            command
        };
        let mut toolchain = Toolchain::of(&ask, &proxy)?;
        toolchain.rustc = toolchain.sysroot.join("bin/rustc");
        toolchain.cargo = toolchain.sysroot.join("bin/cargo");
        Ok(toolchain)
    }

    /// Another installed compiler, with the cargo of the first.
    pub(crate) fn other(&self, rustc: &Path) -> Outcome<Toolchain> {
        let rustc = fs::canonicalize(rustc)?;
        let other = Toolchain::of(&|| Command::new(&rustc), &rustc)?;
        Ok(Toolchain { cargo: self.cargo.clone(), ..other })
    }

    /// A compiler that was unpacked, with the libraries that it loads, and another's cargo.
    pub(crate) fn unpacked(rustc: &Path, libraries: PathBuf, cargo: &Path) -> Outcome<Toolchain> {
        let ask = || {
            let mut command = Command::new(rustc);
            command.env("LD_LIBRARY_PATH", &libraries);
            command
        };
        let found = Toolchain::of(&ask, rustc)?;
        Ok(Toolchain { cargo: cargo.to_owned(), libraries: Some(libraries), ..found })
    }

    fn of(ask: &dyn Fn() -> Command, rustc: &Path) -> Outcome<Toolchain> {
        let sysroot = told(ask().args(["--print", "sysroot"]))?;
        let verbose = told(ask().arg("-vV"))?;
        let release = verbose
            .lines()
            .find_map(|line| line.strip_prefix("release: "))
            .ok_or("rustc names no release")?;
        let (release, sysroot) = (release.to_owned(), fs::canonicalize(sysroot.trim())?);
        let (rustc, cargo) = (rustc.to_owned(), PathBuf::from("cargo"));
        Ok(Toolchain { rustc, cargo, sysroot, release, verbose, libraries: None })
    }

    /// What is found here: this compiler, from these archives.
    fn found(&self, own: &Toolchain, archives: &Archives) -> Outcome<Record> {
        let first = |program: &Path, word: &str| {
            let text = told(Command::new(program).arg(word))?;
            Ok::<String, Box<dyn std::error::Error>>(text.lines().next().unwrap_or_default().to_owned())
        };
        let auditable = match found("cargo-auditable") {
            Some(program) => installed(&program)?,
            None => {
                return Err(
                    "cargo-auditable is not installed\nhint: cargo install cargo-auditable --locked".into()
                );
            }
        };
        let cargo = own.cargo.strip_prefix(&own.sysroot)?.display().to_string();
        Ok(Record {
            rustc: self.verbose.lines().next().unwrap_or_default().to_owned(),
            cargo: first(&own.cargo, "--version")?,
            auditable,
            cc: first(Path::new("cc"), "--version")?,
            ld: first(Path::new("ld"), "--version")?,
            published: own.published(),
            archives: archives.files.clone(),
            toolchain: BTreeMap::from([(cargo, digest(&own.cargo)?)]),
            system: system()?,
        })
    }

    /// rustup keeps the manifest that it installed from.
    fn published(&self) -> BTreeMap<String, Digest> {
        #[derive(Deserialize)]
        struct Manifest {
            pkg: BTreeMap<String, Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            #[serde(default)]
            target: BTreeMap<String, Archive>,
        }
        #[derive(Deserialize)]
        struct Archive {
            xz_url: Option<String>,
            xz_hash: Option<String>,
        }
        let text = fs::read_to_string(self.sysroot.join("lib/rustlib/multirust-channel-manifest.toml"))
            .unwrap_or_default();
        let Ok(manifest) = toml::from_str::<Manifest>(&text) else { return BTreeMap::new() };
        let archive = |name: &str| {
            let archive = manifest.pkg.get(name)?.target.get(HOST)?;
            let name = archive.xz_url.as_ref()?.rsplit('/').next()?.to_owned();
            Some((name, format!("sha256:{}", archive.xz_hash.as_ref()?).parse().ok()?))
        };
        archive("cargo").into_iter().collect()
    }
}

impl Record {
    /// What was recorded.
    pub(crate) fn read(root: &Path) -> Outcome<Record> {
        let path = root.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// Each thing that is other than recorded.
    pub(crate) fn differences(&self, found: &Record) -> Vec<String> {
        let words = [
            ("rustc", &self.rustc, &found.rustc),
            ("cargo", &self.cargo, &found.cargo),
            ("cargo-auditable", &self.auditable, &found.auditable),
            ("cc", &self.cc, &found.cc),
            ("ld", &self.ld, &found.ld),
        ];
        let mut all: Vec<String> = words
            .iter()
            .filter(|(_, own, other)| own != other)
            .map(|(name, own, other)| format!("{name}: recorded `{own}`, found `{other}`"))
            .collect();
        let files = [
            (&self.archives, &found.archives),
            (&self.toolchain, &found.toolchain),
            (&self.system, &found.system),
        ];
        for (own, other) in files {
            for name in own.keys().chain(other.keys().filter(|name| !own.contains_key(*name))) {
                let told =
                    |digest: Option<&Digest>| digest.map_or_else(|| "nothing".to_owned(), Digest::to_string);
                if own.get(name) != other.get(name) {
                    all.push(format!(
                        "{name}: recorded {}, found {}",
                        told(own.get(name)),
                        told(other.get(name))
                    ));
                }
            }
        }
        all
    }

    /// The compiler's version: `1.96.0`.
    pub(crate) fn release(&self) -> Outcome<&str> {
        Ok(self.rustc.split(' ').nth(1).ok_or("the record names no compiler")?)
    }

    /// One digest for all of it.
    pub(crate) fn digest(&self) -> Outcome<Digest> {
        Ok(Digest::of(&serde_json::to_vec(self)?))
    }
}

/// The compiler of releases: the recorded archives, unpacked to be asked, and what else takes part here.
pub(crate) struct Pinned {
    pub(crate) archives: Archives,
    pub(crate) toolchain: Toolchain,
    pub(crate) found: Record,
    /// What is other than recorded.
    pub(crate) differences: Vec<String>,
}

impl Pinned {
    /// Fetches what is missing of the recorded archives.
    pub(crate) fn read(root: &Path) -> Outcome<Pinned> {
        let record = Record::read(root)?;
        let archives = Archives::ready(&archives::kept(root), &record.archives)?;
        let (toolchain, found) = Pinned::ask(root, &archives)?;
        let differences = record.differences(&found);
        Ok(Pinned { archives, toolchain, found, differences })
    }

    fn ask(root: &Path, archives: &Archives) -> Outcome<(Toolchain, Record)> {
        let directory = root.join("target/compiler");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        let own = Toolchain::read(root)?;
        let toolchain = Musl::unpack(archives, directory)?.toolchain(&own.cargo)?;
        let found = toolchain.found(&own, archives)?;
        Ok((toolchain, found))
    }
}

/// `cargo xtask toolchain [write]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let root = super::clean::root()?;
    match words {
        ["write"] => {
            let (_, found) = Pinned::ask(&root, &Archives::newest(&archives::kept(&root))?)?;
            let head = "# What turns Claw's sources into a program, by SHA-256. Written by `cargo xtask toolchain write`;\n# compared before each release.\n";
            fs::create_dir_all(root.join("supply-chain"))?;
            fs::write(root.join(FILE), format!("{head}{}", toml::to_string(&found)?))?;
            println!("{FILE}: {} archives, {} files of the system", found.archives.len(), found.system.len());
            Ok(())
        }
        [] => {
            let Pinned { found, differences, .. } = Pinned::read(&root)?;
            if differences.is_empty() {
                println!("the toolchain is the recorded one: {}", found.digest()?);
                return Ok(());
            }
            Err(format!("the toolchain is not the recorded one:\n  {}", differences.join("\n  ")).into())
        }
        _ => Err("usage: cargo xtask toolchain [write]".into()),
    }
}

/// The version that cargo installed; the program has no word for it.
fn installed(program: &Path) -> Outcome<String> {
    let root = program.parent().and_then(Path::parent).ok_or("cargo-auditable lies nowhere")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let list = told(Command::new(cargo).args(["install", "--list", "--root"]).arg(root))?;
    let line = list.lines().find(|line| line.starts_with("cargo-auditable "));
    Ok(line.ok_or("cargo-auditable was not installed by cargo")?.trim_end_matches(':').to_owned())
}

/// Where a program lies, by PATH.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// gcc's parts and binutils, and what of gcc and of this machine's C library ends up in a program or in what helps to build it.
fn system() -> Outcome<BTreeMap<String, Digest>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for program in ["cc", "as", "ld", "ar"] {
        files.extend(found(program));
    }
    for part in ["cc1", "collect2", "lto-wrapper"] {
        files.push(asked("-print-prog-name", part)?);
    }
    for part in [
        "Scrt1.o",
        "crti.o",
        "crtn.o",
        "crtbeginS.o",
        "crtendS.o",
        "libgcc.a",
        "libc_nonshared.a",
        "libgcc_s.so.1",
        "libc.so.6",
    ] {
        files.push(asked("-print-file-name", part)?);
    }
    let mut digests = BTreeMap::new();
    for file in files {
        let file = fs::canonicalize(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        digests.insert(file.display().to_string(), digest(&file)?);
    }
    Ok(digests)
}

pub(crate) fn asked(question: &str, part: &str) -> Outcome<PathBuf> {
    let text = told(Command::new("cc").arg(format!("{question}={part}")))?;
    Ok(PathBuf::from(text.trim()))
}

/// The digest of a file, read in parts.
pub(crate) fn digest(path: &Path) -> Outcome<Digest> {
    let mut file = fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Digest::of_reader(&mut file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_byte_in_the_compiler_is_named() {
        let recorded = Record::read(&super::super::clean::root().unwrap()).unwrap();
        assert_eq!(recorded.differences(&recorded), Vec::<String>::new());
        let mut found = recorded.clone();
        let (name, digest) = found.archives.iter_mut().next().unwrap();
        *digest = Digest::of(b"another compiler");
        let name = name.clone();
        let told = recorded.differences(&found);
        assert!(told.len() == 1 && told.first().unwrap().starts_with(&name), "{told:?}");
        found.system.insert("/usr/bin/another-linker".to_owned(), Digest::of(b"ld"));
        assert_eq!(recorded.differences(&found).len(), 2);
    }

    #[test]
    fn the_record_names_all_that_takes_part() {
        let recorded = Record::read(&super::super::clean::root().unwrap()).unwrap();
        assert!(recorded.toolchain.contains_key("bin/cargo"));
        for part in ["rustc-web_", "libstd-rust-web-", "rust-web-src_", "libllvm", "musl-dev_", "libunwind-"]
        {
            assert!(recorded.archives.keys().any(|name| name.starts_with(part)), "{part}");
        }
        for part in ["cc1", "collect2", "-as", "-ld", "Scrt1.o", "libgcc.a"] {
            assert!(recorded.system.keys().any(|name| name.contains(part)), "{part}");
        }
        assert!(recorded.published.keys().any(|name| name.starts_with("cargo-1.95.0-")));
    }
}
