//! Packages on disk: what was signed is installed, and one changed byte anywhere is found out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use claw_adapter::Kind;
use claw_verify::Keys;
use claw_verify::key::Algorithm;
use claw_verify::sign::PrivateKey;

use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("claw-adapters-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An adapter's directory, filled in.
    fn source(&self, name: &str, release: u64) -> PathBuf {
        let path = self.path(name);
        new(&path, "github", Kind::Wasm).unwrap();
        let file = path.join("adapter.toml");
        let text = fs::read_to_string(&file).unwrap().replace(claw_adapter::FILL_IN, "Said");
        fs::write(&file, text.replace("release = 1 ", &format!("release = {release} "))).unwrap();
        fs::write(path.join("github.wasm"), b"\0asm and more").unwrap();
        path
    }

    fn key(&self, name: &str) -> (PathBuf, PrivateKey) {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let path = self.path(name);
        fs::write(&path, key.to_secret_pem().unwrap()).unwrap();
        (path, key)
    }

    /// A package of this release, and the key that signed it.
    fn package(&self, release: u64) -> (PathBuf, Keys) {
        let (file, key) = self.key("key.pem");
        let to = self.path("package");
        pack(&self.source("source", release), &to, &[file]).unwrap();
        (to, Keys::one(key.public().clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(package: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = vec![package.join("oci-layout"), package.join("index.json")];
    files.extend(fs::read_dir(package.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()));
    files
}

#[test]
fn what_was_signed_is_verified_whole() {
    let place = Place::new("whole");
    let (package, keys) = place.package(3);
    let read = verify(&package, &keys).unwrap();
    assert_eq!((read.manifest.id.as_str(), read.manifest.release), ("github", 3));
    assert_eq!(read.keys().len(), 1);
    assert_eq!(read.pinned()[0].tool, "echo");
    let (_, stranger) = place.key("other.pem");
    let error = verify(&package, &Keys::one(stranger.public().clone())).unwrap_err();
    assert_eq!(error.code(), "threshold");
}

#[test]
fn one_changed_byte_anywhere_is_refused_and_its_file_named() {
    let place = Place::new("flip");
    let (package, keys) = place.package(1);
    let mut tried = 0;
    for file in files(&package) {
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, &bad).unwrap();
            let error = crate::supervisor::told(&verify(&package, &keys).unwrap_err());
            let name = file.file_name().unwrap().to_string_lossy();
            assert!(error.contains(name.as_ref()), "byte {at} of {name}: {error}");
            tried += 1;
        }
        for bad in [good.get(1..).unwrap().to_vec(), [good.as_slice(), b"\n"].concat(), Vec::new()] {
            fs::write(&file, &bad).unwrap();
            assert!(verify(&package, &keys).is_err());
        }
        fs::remove_file(&file).unwrap();
        let error = crate::supervisor::told(&verify(&package, &keys).unwrap_err());
        assert!(error.contains(file.file_name().unwrap().to_string_lossy().as_ref()), "{error}");
        fs::write(&file, &good).unwrap();
    }
    assert!(tried > 4000, "{tried}");
    verify(&package, &keys).unwrap();
}

#[test]
fn links_and_files_that_nothing_names_are_refused() {
    let place = Place::new("links");
    let (package, keys) = place.package(1);
    let told = || crate::supervisor::told(&verify(&package, &keys).unwrap_err());
    let extra = package.join("blobs/sha256/extra");
    fs::write(&extra, "x").unwrap();
    assert_eq!(told(), "`blobs/sha256/extra`: nothing names it");
    fs::remove_file(&extra).unwrap();
    fs::create_dir(package.join("more")).unwrap();
    assert_eq!(told(), "`more`: it is no directory of a layout");
    fs::remove_dir(package.join("more")).unwrap();
    for file in files(&package) {
        let name = file.strip_prefix(&package).unwrap().display().to_string();
        let away = place.path("away");
        fs::rename(&file, &away).unwrap();
        symlink(&away, &file).unwrap();
        assert_eq!(told(), format!("`{name}`: it is a symbolic link"));
        fs::remove_file(&file).unwrap();
        fs::hard_link(&away, &file).unwrap();
        assert!(told().contains("a hard link"), "{}", told());
        fs::remove_file(&file).unwrap();
        fs::rename(&away, &file).unwrap();
    }
    // a directory that leads elsewhere
    fs::rename(package.join("blobs/sha256"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), package.join("blobs/sha256")).unwrap();
    assert_eq!(told(), "`blobs/sha256`: it is a symbolic link");
}

#[test]
fn sources_that_lead_out_of_the_directory_are_not_packed() {
    let place = Place::new("out");
    let (key, _) = place.key("key.pem");
    let source = place.source("source", 1);
    let outside = place.path("outside");
    fs::write(&outside, "secret").unwrap();
    fs::remove_file(source.join("github.wasm")).unwrap();
    symlink(&outside, source.join("github.wasm")).unwrap();
    let keys = [key];
    let refused = |to: &str| crate::supervisor::told(&pack(&source, &place.path(to), &keys).unwrap_err());
    assert!(refused("one").contains("`github.wasm` is not a file of this adapter"), "{}", refused("one"));
    fs::remove_file(source.join("github.wasm")).unwrap();
    fs::hard_link(&outside, source.join("github.wasm")).unwrap();
    assert!(refused("two").contains("`github.wasm` is not a file of this adapter"));
    assert!(!place.path("one").exists() && !place.path("two").exists());
}

#[test]
fn too_large_a_file_is_refused_before_it_is_read() {
    let place = Place::new("large");
    let (package, keys) = place.package(1);
    for file in files(&package) {
        let good = fs::read(&file).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_len(5 << 30).unwrap();
        assert!(verify(&package, &keys).is_err(), "{}", file.display());
        fs::write(&file, good).unwrap();
    }
    verify(&package, &keys).unwrap();
}

#[test]
fn several_keys_sign_one_after_the_other_and_a_threshold_counts_them() {
    let place = Place::new("threshold");
    let (package, first) = place.package(1);
    let (file, second) = place.key("second.pem");
    let both = || first.iter().cloned().chain([second.public().clone()]);
    let (two, one) = (Keys::new(both(), 2).unwrap(), Keys::new(both(), 1).unwrap());
    assert_eq!(verify(&package, &two).unwrap_err().code(), "threshold");
    let before = files(&package).len();
    let (release, _, signatures) = add(&package, &[file]).unwrap();
    assert_eq!((release.id.as_str(), signatures), ("github", 2));
    assert_eq!(verify(&package, &two).unwrap().keys().len(), 2);
    assert_eq!(verify(&package, &one).unwrap().keys().len(), 2);
    // nothing of the former signature is left
    assert_eq!(files(&package).len(), before);
}

#[test]
fn an_installed_adapter_is_pinned_and_an_older_one_refused() {
    let place = Place::new("install");
    let state = place.path("state");
    let (file, key) = place.key("key.pem");
    let keys = Keys::one(key.public().clone());
    let package = |release: u64| {
        let to = place.path(&format!("package-{release}"));
        pack(&place.source(&format!("source-{release}"), release), &to, std::slice::from_ref(&file)).unwrap();
        to
    };
    assert_eq!(list(&state).unwrap(), []);
    let old = package(3);
    let installed = install(&old, &keys, &state).unwrap();
    assert_eq!(installed.release, 3);
    // the same again is the same
    assert_eq!(install(&old, &keys, &state).unwrap().digest, installed.digest);
    let newer = install(&package(5), &keys, &state).unwrap();
    let error = install(&old, &keys, &state).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`github` version 3 is older than version 5, which was seen on this machine"
    );
    let all = list(&state).unwrap();
    assert_eq!(all, [(newer.clone(), State::Present)]);
    // one that does not hold leaves what counted
    let bad = package(6);
    fs::write(bad.join("oci-layout"), "{}").unwrap();
    assert!(install(&bad, &keys, &state).is_err());
    assert_eq!(list(&state).unwrap(), [(newer.clone(), State::Present)]);
    let store = state.join("adapters/sha256");
    let names: Vec<_> = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
    verify(&store.join(newer.digest.hex()), &keys).unwrap();
    fs::remove_dir_all(store.join(newer.digest.hex())).unwrap();
    assert_eq!(list(&state).unwrap(), [(newer, State::Missing)]);
}
