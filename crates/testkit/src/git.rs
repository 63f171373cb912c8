//! Throwaway repositories made by real git, with real keys of `ssh-keygen` and `gpg`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory with a repository `repo`, keys, and a home of its own.
#[derive(Debug)]
pub struct Git {
    root: PathBuf,
    repo: PathBuf,
    who: String,
}

impl Git {
    /// A new repository whose main branch is `main`.
    pub fn new() -> Git {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("claw-git-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let repo = root.join("repo");
        fs::create_dir_all(&repo).unwrap();
        let git = Git { root, repo, who: "nobody".to_owned() };
        git.run(&["init", "-q", "-b", "main"]);
        git
    }

    /// The same keys, another repository.
    pub fn at(&self, repo: &Path) -> Git {
        Git { root: self.root.clone(), repo: repo.to_owned(), who: self.who.clone() }
    }

    /// The repository's working tree.
    pub fn repo(&self) -> &Path {
        &self.repo
    }

    /// A path beside the repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file beside the repository.
    pub fn beside(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A command with git's environment, run in the repository.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.repo).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GNUPGHOME", self.root.join("gnupg"));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), &self.who);
            command.env(format!("GIT_{role}_EMAIL"), format!("{}@example.com", self.who));
            command.env(format!("GIT_{role}_DATE"), "1700000000 +0000");
        }
        command
    }

    /// Runs git; what it prints, without the newline at its end.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command("git").args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs git, whatever comes of it.
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        self.command("git").args(arguments).output().unwrap()
    }

    /// An SSH key of this name: the public line. Made once.
    pub fn key(&self, name: &str) -> String {
        self.key_of(name, "ed25519")
    }

    /// An SSH key of this kind.
    pub fn key_of(&self, name: &str, kind: &str) -> String {
        let path = self.root.join(name);
        if !path.exists() {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", kind, "-N", "", "-C", name, "-f"])
                .arg(&path)
                .status()
                .unwrap();
            assert!(made.success());
        }
        fs::read_to_string(path.with_extension("pub")).unwrap().trim_end().to_owned()
    }

    /// From now on this person commits, with a key of that name.
    pub fn become_(&mut self, name: &str) {
        self.key(name);
        name.clone_into(&mut self.who);
        self.run(&["config", "gpg.format", "ssh"]);
        self.run(&["config", "user.signingkey", &self.path(name).with_extension("pub").to_string_lossy()]);
    }

    /// Writes a file and commits it, signed; the commit.
    pub fn commit(&self, path: &str, text: &str) -> String {
        self.commit_with(path, text, &["-S"])
    }

    /// Writes a file and commits it with these arguments; the commit.
    pub fn commit_with(&self, path: &str, text: &str, arguments: &[&str]) -> String {
        let file = self.repo.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self.run(&["add", "-A"]);
        let message = format!("change {path}");
        self.run(&[&["commit", "-q", "--allow-empty", "-m", &message], arguments].concat());
        self.head()
    }

    /// The commit that HEAD stands for.
    pub fn head(&self) -> String {
        self.run(&["rev-parse", "HEAD"])
    }

    /// Signs a file of the repository as `ssh-keygen -Y sign` does; the armoured signature.
    pub fn sign_file(&self, name: &str, purpose: &str, path: &str) -> String {
        let file = self.repo.join(path);
        let signature = self.path("signature");
        let copy = self.path("to-sign");
        fs::copy(&file, &copy).unwrap();
        let _ = fs::remove_file(self.path("to-sign.sig"));
        let done = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", purpose, "-f"])
            .arg(self.path(name))
            .arg(&copy)
            .status()
            .unwrap();
        assert!(done.success());
        fs::rename(self.path("to-sign.sig"), &signature).unwrap();
        fs::read_to_string(signature).unwrap()
    }
}

impl Default for Git {
    fn default() -> Git {
        Git::new()
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        if self.repo == self.root.join("repo") {
            let _ = Command::new("gpgconf")
                .env("GNUPGHOME", self.root.join("gnupg"))
                .args(["--kill", "all"])
                .output();
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}
