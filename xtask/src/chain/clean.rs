//! A build that knows nothing of the one who builds: a commit, laid out in a directory of its own, with a home, packages and an
//! environment of its own, and no path of it in what comes out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::archives::Archives;
use super::graph::lock;
use super::musl::Musl;
use super::toolchain::Toolchain;
use super::{Outcome, TARGET, told};

/// What is built, of which commit.
pub(crate) struct Source {
    /// The repository.
    pub(crate) root: PathBuf,
    pub(crate) package: String,
    pub(crate) program: String,
    pub(crate) commit: String,
    /// Of the commit, RFC 3339, UTC.
    pub(crate) time: String,
    /// The same as SOURCE_DATE_EPOCH.
    pub(crate) epoch: String,
}

/// Where and as whom.
pub(crate) struct Place {
    /// Everything lies below.
    pub(crate) directory: PathBuf,
    /// The user's number inside; without it, whoever calls.
    pub(crate) user: Option<u32>,
    /// On one processor instead of all.
    pub(crate) alone: bool,
    /// How far the clock is ahead.
    pub(crate) ahead: Option<&'static str>,
    pub(crate) zone: &'static str,
    pub(crate) umask: &'static str,
}

/// How it is built.
pub(crate) struct How<'a> {
    pub(crate) toolchain: &'a Toolchain,
    /// A program that needs nothing of the machine: by the compiler that is unpacked from these, anew in each place. Without,
    /// one that is linked with the C library of this machine, by `toolchain` itself.
    pub(crate) archives: Option<&'a Archives>,
    pub(crate) profile: &'a str,
    /// With the list of what is linked (`cargo auditable`).
    pub(crate) listed: bool,
    /// Without, paths are left as they are: only to see that they would be found.
    pub(crate) mapped: bool,
}

impl Source {
    /// The commit that is checked out in the repository at `root`.
    pub(crate) fn here(root: &Path, package: &str, program: &str) -> Outcome<Source> {
        let git = |words: &[&str]| {
            let text = told(Command::new("git").arg("-C").arg(root).args(words).env("TZ", "UTC"))?;
            Ok::<String, Box<dyn std::error::Error>>(text.trim().to_owned())
        };
        Ok(Source {
            root: root.to_owned(),
            package: package.to_owned(),
            program: program.to_owned(),
            commit: git(&["rev-parse", "HEAD"])?,
            time: git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?,
            epoch: git(&["log", "-1", "--format=%ct"])?,
        })
    }

    /// Files that differ from the commit; a build does not have them.
    pub(crate) fn changed(&self) -> Outcome<Vec<String>> {
        let text = told(Command::new("git").arg("-C").arg(&self.root).args(["status", "--porcelain"]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Lays the commit out.
    fn lay(&self, to: &Path) -> Outcome<()> {
        fs::create_dir_all(to)?;
        let mut archive = Command::new("git")
            .arg("-C")
            .arg(&self.root)
            .args(["archive", "--format=tar", &self.commit])
            .stdout(Stdio::piped())
            .spawn()?;
        let input = archive.stdout.take().ok_or("git archive gives nothing")?;
        let unpacked = Command::new("tar").arg("-x").arg("-C").arg(to).stdin(input).status()?;
        if !archive.wait()?.success() || !unpacked.success() {
            return Err(format!("{} cannot be laid out in {}", self.commit, to.display()).into());
        }
        Ok(())
    }
}

impl Place {
    /// A place like the caller's own.
    pub(crate) fn plain(directory: PathBuf) -> Place {
        Place { directory, user: None, alone: false, ahead: None, zone: "UTC", umask: "022" }
    }

    fn source(&self) -> PathBuf {
        self.directory.join("source")
    }

    fn packages(&self) -> PathBuf {
        self.directory.join("packages")
    }

    fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// Builds, and gives where the program lies.
    pub(crate) fn build(&self, source: &Source, how: &How<'_>) -> Outcome<PathBuf> {
        source.lay(&self.source())?;
        stock(&self.source(), &self.packages())?;
        for directory in [self.home(), self.directory.join("tmp")] {
            fs::create_dir_all(directory)?;
        }
        let built = self.source().join("target");
        let directory = if how.profile == "dev" { "debug" } else { how.profile };
        let Some(archives) = how.archives else {
            let mut command = self.command(source, how.toolchain, &self.source(), words(source, how))?;
            if how.mapped {
                let maps = self.maps(how.toolchain);
                rust_flags(&mut command, flags("--remap-path-prefix=", &maps));
                c_flags(&mut command, &maps);
            }
            told(&mut command)?;
            return Ok(built.join(directory).join(&source.program));
        };
        let musl = Musl::unpack(archives, self.directory.join("compiler"))?;
        let toolchain = musl.toolchain(&how.toolchain.cargo)?;
        let mut maps = self.maps(&toolchain);
        maps.push((musl.sources()?, "/rust/src"));
        self.standard(source, &toolchain, &musl, &maps)?;
        let mut words = words(source, how);
        words.extend(["--target".into(), TARGET.into()]);
        let mut command = self.command(source, &toolchain, &self.source(), words)?;
        let mut rust = vec!["--sysroot".into(), musl.sysroot().into()];
        let mut c = musl.words()?;
        if how.mapped {
            rust.extend(flags("--remap-path-prefix=", &maps));
            c.extend(flags("-ffile-prefix-map=", &maps));
            c_flags(&mut command, &maps);
        }
        rust_flags(&mut command, rust);
        for (name, value) in [("CC", "cc".into()), ("AR", "ar".into()), ("CFLAGS", c.join(OsStr::new(" ")))] {
            command.env(format!("{name}_{}", TARGET.replace('-', "_")), value);
        }
        told(&mut command)?;
        Ok(built.join(TARGET).join(directory).join(&source.program))
    }

    /// Builds the standard library from its source.
    fn standard(&self, source: &Source, toolchain: &Toolchain, musl: &Musl, maps: &[Map]) -> Outcome<()> {
        let mut words: Vec<OsString> = vec![toolchain.cargo.clone().into()];
        words.extend(musl.prepare()?);
        let mut command = self.command(source, toolchain, &musl.sources()?, words)?;
        // what the compiler's own build gives it: code that can be optimised with the program, and its dependencies hidden
        let mut rust: Vec<OsString> =
            ["-Cembed-bitcode=yes", "-Zforce-unstable-if-unmarked"].map(Into::into).into();
        rust.extend(flags("--remap-path-prefix=", maps));
        rust_flags(&mut command, rust);
        // the standard library is written in what is not stable; Claw is not, and is built without this
        told(command.env("RUSTC_BOOTSTRAP", "1"))?;
        musl.assemble()
    }

    /// A command of somebody else, somewhere else, at another time, with an environment that has nothing of the caller's.
    fn command(
        &self,
        source: &Source,
        toolchain: &Toolchain,
        below: &Path,
        words: Vec<OsString>,
    ) -> Outcome<Command> {
        let all = [self.circumstances(), words].concat();
        let (program, arguments) = all.split_first().ok_or("nothing to run")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(below)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.home())
            .env("CARGO_HOME", self.packages())
            .env("CARGO_NET_OFFLINE", "true")
            // nothing is built here a second time
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO", &toolchain.cargo)
            .env("RUSTC", self.rustc(toolchain)?)
            .env("SOURCE_DATE_EPOCH", &source.epoch)
            .env("TMPDIR", self.directory.join("tmp"))
            .env("TZ", self.zone)
            .env("LC_ALL", "C.UTF-8");
        if self.alone {
            command.env("CARGO_BUILD_JOBS", "1");
        } else if let Some(jobs) = std::env::var_os("CARGO_BUILD_JOBS") {
            command.env("CARGO_BUILD_JOBS", jobs);
        }
        Ok(command)
    }

    /// The compiler. Its allocator waits for itself for ever below faketime's library, so it alone is called without; and
    /// it alone is told where the libraries lie that were unpacked with it.
    fn rustc(&self, toolchain: &Toolchain) -> Outcome<PathBuf> {
        if self.ahead.is_none() && toolchain.libraries.is_none() {
            return Ok(toolchain.rustc.clone());
        }
        let word = |path: &Path| match path.display().to_string() {
            text if text.contains('\'') => Err(format!("`{text}` cannot be written into a shell script")),
            text => Ok(format!("'{text}'")),
        };
        let mut script = "#!/bin/sh\nunset LD_PRELOAD\n".to_owned();
        if let Some(libraries) = &toolchain.libraries {
            let libraries = word(libraries)?;
            script += &format!("export LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n");
        }
        script += &format!("exec {} \"$@\"\n", word(&toolchain.rustc)?);
        let wrapper = self.directory.join("rustc");
        fs::write(&wrapper, script)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        Ok(wrapper)
    }

    /// Words before a command that change who runs it, where and when.
    fn circumstances(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |more: &[&str]| words.extend(more.iter().map(OsString::from));
        if let Some(user) = self.user {
            // unshare(1), user_namespaces(7): another user to all that asks, and still allowed to write here
            let user = user.to_string();
            add(&["unshare", "--user", "--map-user", &user, "--map-group", &user, "--"]);
        }
        if self.alone {
            add(&["taskset", "--cpu-list", &first_processor()]);
        }
        if let Some(ahead) = self.ahead {
            add(&["faketime", "-f", ahead]);
        }
        add(&["sh", "-c", "umask \"$0\" && exec \"$@\"", self.umask]);
        words
    }

    /// rustc and gcc write other paths instead of these. The longest last: gcc and rustc take the last one that fits.
    fn maps(&self, toolchain: &Toolchain) -> Vec<Map> {
        vec![
            (self.directory.clone(), "/build"),
            (toolchain.sysroot.clone(), "/rust"),
            (self.packages(), "/cargo"),
            (self.source(), "/claw"),
        ]
    }
}

/// A path, and what is written instead of it.
type Map = (PathBuf, &'static str);

fn flags(name: &str, maps: &[Map]) -> Vec<OsString> {
    let flag = |(from, to): &Map| {
        let mut word = OsString::from(name);
        word.push(from);
        word.push("=");
        word.push(to);
        word
    };
    maps.iter().map(flag).collect()
}

fn rust_flags(command: &mut Command, flags: Vec<OsString>) {
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\u{1f}")));
}

fn c_flags(command: &mut Command, maps: &[Map]) {
    for name in ["CFLAGS", "CXXFLAGS"] {
        command.env(name, flags("-ffile-prefix-map=", maps).join(OsStr::new(" ")));
    }
}

/// Words for cargo.
fn words(source: &Source, how: &How<'_>) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![how.toolchain.cargo.clone().into()];
    let mut add = |more: &[&str]| words.extend(more.iter().map(OsString::from));
    if how.listed {
        add(&["auditable"]);
    }
    add(&["build", "--locked", "--offline", "--quiet", "--target-dir", "target"]);
    add(&["--profile", how.profile, "--package", &source.package, "--bin", &source.program]);
    words
}

/// The repository that this program was built from.
pub(crate) fn root() -> Outcome<PathBuf> {
    Ok(fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?)
}

/// The caller's own packages directory.
pub(crate) fn cargo_home() -> Outcome<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    named.or_else(home).ok_or_else(|| "neither CARGO_HOME nor HOME is set".into())
}

/// Puts the archives that Cargo.lock names, and the index, into another packages directory. Cargo unpacks them anew, and
/// compares each with its checksum.
fn stock(root: &Path, packages: &Path) -> Outcome<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    told(Command::new(cargo).args(["fetch", "--locked", "--quiet"]).current_dir(root))?;
    let own = cargo_home()?.join("registry");
    let (index, cache) = (packages.join("registry/index"), packages.join("registry/cache"));
    fs::create_dir_all(&index)?;
    fs::create_dir_all(&cache)?;
    let wanted: Vec<String> = lock(root)?
        .packages
        .iter()
        .map(|package| format!("{}-{}.crate", package.name, package.version))
        .collect();
    let Ok(registries) = fs::read_dir(own.join("cache")) else { return Ok(()) };
    for registry in registries {
        let registry = registry?;
        let to = cache.join(registry.file_name());
        fs::create_dir_all(&to)?;
        for name in &wanted {
            let from = registry.path().join(name);
            if from.exists() {
                fs::copy(from, to.join(name))?;
            }
        }
        let known = own.join("index").join(registry.file_name());
        if known.exists() {
            told(Command::new("cp").arg("-a").arg(known).arg(&index))?;
        }
    }
    Ok(())
}

/// Where the compiler's helpers lie, and `cargo-auditable`.
fn path() -> OsString {
    let mut path = OsString::from("/usr/local/bin:/usr/bin:/bin");
    if let Some(auditable) = super::toolchain::found("cargo-auditable").as_deref().and_then(Path::parent) {
        path.push(":");
        path.push(auditable);
    }
    path
}

/// A processor that this process may use.
fn first_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
    list.trim().split([',', '-']).next().unwrap_or("0").to_owned()
}
