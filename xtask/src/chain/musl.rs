//! A program that needs nothing of the machine it runs on: linked with musl, the unwinder of LLVM, and a standard library that is
//! built here from its source, by the compiler that came with that source.
//!
//! Compiler, sources and C libraries are unpacked below one directory ([`Archives`]); nothing is installed. The Rust project
//! gives the same parts ready made (`rust-std` for musl), for those who can reach its server.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archives::Archives;
use super::toolchain::{Toolchain, asked};
use super::{Outcome, TARGET, told};

/// What was unpacked, and what was made of it.
#[derive(Debug)]
pub(crate) struct Musl {
    directory: PathBuf,
}

impl Musl {
    /// Unpacks.
    pub(crate) fn unpack(archives: &Archives, directory: PathBuf) -> Outcome<Musl> {
        let musl = Musl { directory };
        archives.unpack(&musl.root())?;
        let kernel = musl.directory.join("kernel");
        fs::create_dir_all(&kernel)?;
        let headers = musl.root().join("usr/include");
        for (name, from) in [
            ("linux", headers.join("linux")),
            ("asm-generic", headers.join("asm-generic")),
            ("asm", headers.join("x86_64-linux-gnu/asm")),
        ] {
            symlink(from, kernel.join(name))?;
        }
        Ok(musl)
    }

    /// The compiler that was unpacked, with another's cargo.
    pub(crate) fn toolchain(&self, cargo: &Path) -> Outcome<Toolchain> {
        let libraries = self.root().join("usr/lib/x86_64-linux-gnu");
        Toolchain::unpacked(&self.root().join("usr/bin/rustc"), libraries, cargo)
    }

    /// Where the sources lie, and with them the workspace that builds the standard library.
    pub(crate) fn sources(&self) -> Outcome<PathBuf> {
        only(&self.root().join("usr/src"), |name| name.starts_with("rustc-"))
    }

    /// Writes the workspace that builds the standard library, and gives the words for cargo.
    pub(crate) fn prepare(&self) -> Outcome<Vec<OsString>> {
        let sources = self.sources()?;
        fs::write(sources.join("Cargo.toml"), include_str!("musl/std.toml"))?;
        fs::write(sources.join("standard.rs"), "#![no_std]\n")?;
        let mut words: Vec<OsString> =
            ["build", "--offline", "--quiet", "--release", "--package", "std", "--target", TARGET]
                .map(OsString::from)
                .into();
        words.extend(["--target-dir".into(), "built".into()]);
        for setting in ["source.crates-io.replace-with='vendor'", "source.vendor.directory='library/vendor'"]
        {
            words.extend(["--config".into(), setting.into()]);
        }
        Ok(words)
    }

    /// Puts together what rustc looks for: the standard library, start-up objects, C library and unwinder.
    pub(crate) fn assemble(&self) -> Outcome<()> {
        let libraries = self.sysroot().join("lib/rustlib").join(TARGET).join("lib");
        let own = libraries.join("self-contained");
        fs::create_dir_all(&own)?;
        for entry in fs::read_dir(self.sources()?.join("built").join(TARGET).join("release/deps"))? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "rlib") {
                fs::copy(entry.path(), libraries.join(entry.file_name()))?;
            }
        }
        for name in ["crt1.o", "Scrt1.o", "rcrt1.o", "crti.o", "crtn.o", "libc.a"] {
            fs::copy(self.root().join("usr/lib/x86_64-linux-musl").join(name), own.join(name))?;
        }
        for name in ["crtbegin.o", "crtbeginS.o", "crtend.o", "crtendS.o"] {
            fs::copy(asked("-print-file-name", name)?, own.join(name))?;
        }
        self.unwinder(&own.join("libunwind.a"))
    }

    /// LLVM's unwinder, and the one function that it misses.
    fn unwinder(&self, to: &Path) -> Outcome<()> {
        let llvm = only(&self.root().join("usr/lib"), |name| name.starts_with("llvm-"))?;
        let (source, object) = (self.directory.join("fprintf.c"), self.directory.join("fprintf.o"));
        fs::write(&source, include_str!("musl/fprintf.c"))?;
        let mut compile = Command::new("cc");
        compile.args(self.words()?).args(["-O2", "-fPIC", "-c"]).arg(&source).arg("-o").arg(&object);
        told(&mut compile)?;
        fs::copy(llvm.join("lib/libunwind.a"), to)?;
        // D: no time and no user in the archive
        told(Command::new("ar").arg("rD").arg(to).arg(&object)).map(drop)
    }

    /// Words for the C compiler: musl's headers, its own, and those of the kernel; none of this machine's C library.
    pub(crate) fn words(&self) -> Outcome<Vec<OsString>> {
        Ok(vec![
            "-nostdinc".into(),
            "-isystem".into(),
            self.root().join("usr/include/x86_64-linux-musl").into(),
            "-isystem".into(),
            asked("-print-file-name", "include")?.into(),
            "-idirafter".into(),
            self.directory.join("kernel").into(),
        ])
    }

    /// Where rustc finds the standard library.
    pub(crate) fn sysroot(&self) -> PathBuf {
        self.directory.join("sysroot")
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }
}

/// The one directory of this kind.
fn only(below: &Path, is: fn(&str) -> bool) -> Outcome<PathBuf> {
    let entries = fs::read_dir(below).map_err(|error| format!("{}: {error}", below.display()))?;
    let named = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is);
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(format!("{} holds none or several of what is looked for", below.display()).into()),
    }
}
