//! `cargo xtask reproduce`: builds the same commit twice, with everything different that should not matter, and compares the
//! bytes. Then it looks for paths of the builder in them. `--against FILE` takes a program that was built elsewhere, such as a
//! released one, as the first.
//!
//! Different are: the directory and its depth, the home, the packages' directory, the user's number, the number of
//! processors and jobs, the clock by more than a year, the time zone, and the mask of new files; the compiler is unpacked, and the
//! standard library built, in each anew. The same are: the commit, the archives of the compiler, and the C compiler. The clock that is ahead is seen by cargo, build scripts, the C compiler and the linker; rustc, and
//! so macros, see the real one, which went on between the builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use claw_model::digest::Digest;

use super::bytes::{difference, leaks};
use super::clean::{How, Place, Source, cargo_home, root};
use super::embedded;
use super::toolchain::{Pinned, found};
use super::{Options, Outcome};

/// Two builds of one commit.
#[derive(Debug)]
pub(crate) struct Twice {
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    /// Paths that lead to a builder.
    pub(crate) private: Vec<PathBuf>,
}

/// `cargo xtask reproduce [--against FILE] [--package P] [--program P] [--profile P] [--in DIR] [--keep yes] [--listed no]`.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let known = ["against", "package", "program", "profile", "in", "keep", "listed"];
    let options = Options::of(words, &known)?;
    let root = root()?;
    let source = Source::here(&root, options.or("package", "claw-cli"), options.or("program", "claw"))?;
    let Pinned { archives, toolchain, differences, .. } = Pinned::read(&root)?;
    let listed = options.or("listed", "yes") == "yes";
    let how = How {
        toolchain: &toolchain,
        archives: Some(&archives),
        profile: options.or("profile", "release"),
        listed,
        mapped: true,
    };
    let changed = source.changed()?;
    if !changed.is_empty() {
        println!("{} files differ from the commit; the commit is built", changed.len());
    }
    if differences.is_empty() {
        println!("the toolchain is the recorded one");
    } else {
        println!("the toolchain is NOT the recorded one:\n  {}", differences.join("\n  "));
    }
    println!("{} of {}, {} profile, rustc {}", source.program, source.commit, how.profile, toolchain.release);
    let below = match options.value("in") {
        Some(directory) => PathBuf::from(directory),
        None => std::env::temp_dir(),
    };
    let below = fs::canonicalize(below)?.join(format!("claw-reproduce-{}", std::process::id()));
    let built = twice(&source, &how, &below, options.value("against").map(Path::new));
    if options.or("keep", "no") != "yes" {
        fs::remove_dir_all(&below)?;
    }
    let built = built?;
    let digest = judge(&built)?;
    if listed {
        let list = embedded::read(&built.first)?;
        println!("the list inside names {} packages", list.len());
    }
    println!("the same {} bytes twice, no path of a builder in them: {digest}", built.first.len());
    Ok(())
}

/// Builds twice; or once, where the first is there already.
pub(crate) fn twice(source: &Source, how: &How<'_>, below: &Path, against: Option<&Path>) -> Outcome<Twice> {
    for tool in ["faketime", "unshare", "taskset", "git", "tar"] {
        found(tool).ok_or_else(|| {
            format!("`{tool}` is not installed, and without it the two builds are alike in what it changes")
        })?;
    }
    let first = Place::plain(below.join("one"));
    let second = Place {
        directory: below.join("another/place-that-lies-deeper/and-has-a-longer-name"),
        user: Some(4242),
        alone: true,
        ahead: Some("+400d"),
        zone: "Asia/Kathmandu",
        umask: "077",
    };
    let told = |program: &Path, name: &str, begun: Instant| {
        let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
        println!("{name}: {} s, {}", begun.elapsed().as_secs(), Digest::of(&bytes));
        Ok::<Vec<u8>, String>(bytes)
    };
    let build = |place: &Place, name: &str| {
        let begun = Instant::now();
        let program = place.build(source, how).map_err(|error| format!("the {name}: {error}"))?;
        told(&program, name, begun)
    };
    let mut private: Vec<PathBuf> = [&first, &second].iter().map(|place| place.directory.clone()).collect();
    private.extend([source.root.clone(), cargo_home()?, how.toolchain.sysroot.clone()]);
    // `/root` is a word that a program may know; `/home/somebody` is not
    private.extend(std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.components().count() > 2));
    let (first, second) = match against {
        Some(program) => {
            let first = told(program, "what was built elsewhere", Instant::now())?;
            (first, build(&second, "second build")?)
        }
        None => (build(&first, "first build")?, build(&second, "second build")?),
    };
    Ok(Twice { first, second, private })
}

/// The digest of both, if they are one.
pub(crate) fn judge(built: &Twice) -> Outcome<Digest> {
    let private: Vec<&Path> = built.private.iter().map(PathBuf::as_path).collect();
    let mut wrong = leaks(&built.first, &private);
    wrong.extend(leaks(&built.second, &private));
    wrong.extend(difference(&built.first, &built.second).map(|difference| difference.to_string()));
    if wrong.is_empty() {
        return Ok(Digest::of(&built.first));
    }
    Err(format!("two builds are not the same, or say where they were built:\n{}", wrong.join("\n")).into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::chain::archives::Archives;
    use crate::chain::toolchain::Toolchain;
    use crate::chain::{bytes, told};

    /// A program that says where its sources lay, in Rust and in C.
    fn talkative(directory: &Path) -> Source {
        let _ = fs::remove_dir_all(directory);
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"talkative\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n",
        );
        write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"talkative\"\nversion = \"1.0.0\"\n");
        write(
            "src/main.rs",
            // spelled so that no file here holds the words themselves
            &"#[link(name = \"place\", kind = \"static\")]\nUNSAFE extern \"C\" { safe fn place(); }\n\
             fn main() { place(); println!(\"{} {}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/word\")), std::panic::Location::caller()); }\n"
                .replace("UNSAFE", "unsafe"),
        );
        write("src/place.c", "#include <stdio.h>\nvoid place(void) { puts(__FILE__); }\n");
        write(
            "build.rs",
            "use std::process::Command;\nfn main() {\n let out = std::env::var(\"OUT_DIR\").unwrap();\n \
             std::fs::write(format!(\"{out}/word\"), \"word\").unwrap();\n \
             let here = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n \
             let of = std::env::var(\"TARGET\").unwrap().replace('-', \"_\");\n \
             let flags = std::env::var(format!(\"CFLAGS_{of}\")).or_else(|_| std::env::var(\"CFLAGS\")).unwrap_or_default();\n \
             assert!(Command::new(\"cc\").args(flags.split_whitespace()).args([\"-g\", \"-c\"]).arg(format!(\"{here}/src/place.c\")).arg(\"-o\").arg(format!(\"{out}/place.o\")).status().unwrap().success());\n \
             assert!(Command::new(\"ar\").args([\"crD\"]).arg(format!(\"{out}/libplace.a\")).arg(format!(\"{out}/place.o\")).status().unwrap().success());\n \
             println!(\"cargo::rustc-link-search=native={out}\");\n}\n",
        );
        let git = |words: &[&str]| told(Command::new("git").arg("-C").arg(directory).args(words)).unwrap();
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "one"]);
        Source::here(directory, "talkative", "talkative").unwrap()
    }

    fn built(name: &str, mapped: bool) -> Twice {
        let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp").join(name);
        fs::create_dir_all(&below).unwrap();
        let below = fs::canonicalize(below).unwrap();
        let source = talkative(&below.join("repository"));
        let toolchain = Toolchain::read(&root().unwrap()).unwrap();
        let how = How { toolchain: &toolchain, archives: None, profile: "dev", listed: false, mapped };
        let places = below.join("builds");
        let _ = fs::remove_dir_all(&places);
        twice(&source, &how, &places, None).unwrap()
    }

    #[test]
    fn two_builds_in_different_places_are_the_same_bytes() {
        let built = built("reproduce-mapped", true);
        let digest = judge(&built).unwrap();
        assert_eq!(digest, Digest::of(&built.second));
    }

    #[test]
    fn without_other_paths_the_difference_and_the_leak_are_named() {
        let built = built("reproduce-plain", false);
        let told = judge(&built).unwrap_err().to_string();
        assert!(told.contains("bytes differ"), "{told}");
        assert!(told.contains("builds/one stands") && told.contains("longer-name stands"), "{told}");
        let c = Path::new("source/src/place.c");
        assert!(!leaks(&built.first, &[c]).is_empty() && !leaks(&built.second, &[c]).is_empty(), "{told}");
    }

    /// By the newest archives, for those of the record leave the mirrors when newer ones come.
    #[test]
    fn a_static_program_needs_nothing_and_is_twice_the_same_bytes() {
        let below = root().unwrap().join("target/tmp/static");
        let source = talkative(&below.join("repository"));
        let kept = below.join("archives");
        let archives = Archives::newest(&kept).or_else(|_| {
            // a machine on which nobody asked apt for anything yet
            told(Command::new("apt-get").args(["update", "-q"])).and_then(|_| Archives::newest(&kept))
        });
        let (archives, toolchain) = (archives.unwrap(), Toolchain::read(&root().unwrap()).unwrap());
        let how = How {
            toolchain: &toolchain,
            archives: Some(&archives),
            profile: "release",
            listed: false,
            mapped: true,
        };
        let places = below.join("places");
        let _ = fs::remove_dir_all(&places);
        let built = twice(&source, &how, &places, None).unwrap();
        fs::remove_dir_all(&places).unwrap();
        judge(&built).unwrap();
        assert_eq!(bytes::needed(&built.first).unwrap(), Vec::<String>::new());
        // in a directory that holds nothing else: no library, no loader
        let alone = below.join("alone");
        let _ = fs::remove_dir_all(&alone);
        fs::create_dir_all(&alone).unwrap();
        fs::write(alone.join("talkative"), &built.first).unwrap();
        fs::set_permissions(alone.join("talkative"), fs::Permissions::from_mode(0o755)).unwrap();
        let said =
            told(Command::new("unshare").args(["--map-root-user", "--root"]).arg(&alone).arg("/talkative"))
                .unwrap();
        assert_eq!(said, "/claw/src/place.c\nword src/main.rs:3:89\n");
    }
}
