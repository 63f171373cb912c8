//! The parts of a policy around its rules: version, profile, file system, process; and keys nobody knows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use claw_model::digest::DigestError;
use claw_model::nearest::nearest;

use super::Loader;
use crate::error::{Place, Problem};
use crate::executables::{self, Changed, Exec, Executable, Listed};
use crate::later::Protect;
use crate::policy::{Env, Filesystem, Limits, Process, Root, Seccomp};
use crate::raw::{
    At, Extra, Keyed, Loose, RawEnv, RawExec, RawExecMap, RawFilesystem, RawLimits, RawListed, RawProcess,
    RawProtect, RawRoot,
};

impl Loader<'_> {
    /// Every unknown key is a problem: a typing slip must not become a missing check.
    pub(super) fn refuse_extra(
        &mut self,
        extra: &[Extra],
        known: &[&'static str],
        later: &[&str],
        whose: &str,
    ) {
        for Extra { key, value } in extra {
            let place = self.key_place(key, *value);
            let shown = key.escape_debug();
            if later.contains(&key.as_str()) {
                self.later(&format!("`{shown}`"), place);
                continue;
            }
            let words = known.iter().copied();
            let help = match nearest(key, words) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known keys: {}", known.join(", ")),
            };
            self.problems.push(
                Problem::new(format!("`{shown}` is not a key of {whose}"), place, "unknown key").help(help),
            );
        }
    }

    /// A field that this version does not enforce is refused, never ignored.
    pub(super) fn later(&mut self, what: &str, place: Place) {
        let problem =
            Problem::new(format!("{what} is not enforced by this version of claw"), place, "not enforced");
        self.problems
            .push(problem.help("remove it: a field that is not enforced would promise what does not hold"));
    }

    /// The key stands last before its value.
    fn key_place(&self, key: &str, value: Place) -> Place {
        let before = self.text.get(..value.start).unwrap_or_default();
        match before.rfind(key) {
            Some(start) if value.start - start < key.len() + 200 => {
                let line = value.line.saturating_sub(
                    self.text.get(start..value.start).map_or(0, |gap| gap.matches('\n').count()) as u32,
                );
                Place { start, length: key.len(), line }
            }
            _ => value,
        }
    }

    /// The text, or a problem if there is none.
    pub(super) fn filled<'t>(&mut self, text: &'t At<String>, what: &str) -> Option<&'t str> {
        let trimmed = text.value.trim();
        if trimmed.is_empty() {
            let problem = Problem::new(format!("`{what}` is empty"), text.place, "nothing is written here");
            self.problems
                .push(problem.help(format!("write the {what}, or leave the key out where it is optional")));
            return None;
        }
        if trimmed.len() > LONGEST_TEXT {
            let message = format!("`{what}` is longer than {LONGEST_TEXT} bytes");
            self.problems.push(Problem::new(message, text.place, "begins here").help("say it shorter"));
            return None;
        }
        Some(trimmed)
    }

    pub(super) fn version(&mut self, version: Option<&At<u64>>) {
        if let Some(At { value, place }) = version.filter(|version| version.value != 1) {
            let problem =
                Problem::new(format!("version {value} of the policy format is not known"), *place, "here");
            self.problems.push(problem.help("this version of claw reads `version: 1`"));
        }
    }

    pub(super) fn profile(&mut self, profile: Option<&At<String>>) {
        let Some(At { value, place }) = profile else { return };
        match value.as_str() {
            "open" => {}
            "iron" | "nano" => self.later(&format!("`profile: {value}`"), *place),
            _ => self.unknown_word(value, *place, "profile", &["open", "iron", "nano"]),
        }
    }

    /// A word that is not one of a closed list.
    pub(super) fn unknown_word(&mut self, word: &str, place: Place, what: &str, known: &[&'static str]) {
        let help = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known words: {}", known.join(", ")),
        };
        let problem =
            Problem::new(format!("`{}` is not a {what}", word.escape_debug()), place, "unknown word");
        self.problems.push(problem.help(help));
    }

    pub(super) fn filesystem(&mut self, raw: RawFilesystem) -> (Filesystem, Vec<u32>) {
        self.refuse_extra(&raw.extra, RawFilesystem::KEYS, &[], "`filesystem`");
        let read = raw.read.map(|paths| self.paths(&paths));
        let write = raw.write.unwrap_or_default();
        let review = raw.review.unwrap_or_default();
        let lines = write.iter().map(|path| path.place.line).collect();
        if let Some(both) = review.iter().find(|path| write.iter().any(|other| other.value == path.value)) {
            let what = format!("`{}` is named under `write` and `review`", both.value.escape_debug());
            self.problems.push(Problem::new(what, both.place, "here").help("name it under one of them"));
        }
        let protect = raw.protect.map(|protect| self.protect(protect, &write, &review)).unwrap_or_default();
        let root = raw.root.and_then(|root| self.root(root));
        let (write, review) = (self.paths(&write), self.paths(&review));
        (Filesystem { read, write, review, protect, root }, lines)
    }

    /// What is written at once cannot be judged: a name that does not exist yet has no place to put a mount on, and a
    /// directory can be renamed after it was filled. So it is judged where it is applied, and nowhere else.
    fn protect(
        &mut self,
        At { value, place }: At<RawProtect>,
        write: &[At<String>],
        review: &[At<String>],
    ) -> Protect {
        if let Some(path) = write.first() {
            let what = format!(
                "`protect` cannot hold under `write`: what is written to `{}` is there at once, under any name",
                path.value.escape_debug()
            );
            let help = "name the path under `review`: then it is judged before it reaches the host";
            self.problems.push(Problem::new(what, path.place, "written at once").help(help));
        } else if review.is_empty() {
            let what = "`protect` without `review` protects nothing";
            let help = "name the tree under `review`, or remove `protect`";
            self.problems.push(Problem::new(what, place, "here").help(help));
        }
        let names = match value {
            RawProtect::Word(word) if word == "standard" => return Protect::standard(),
            RawProtect::Word(word) => {
                self.unknown_word(&word, place, "value of `protect`", &["standard"]);
                return Protect::default();
            }
            RawProtect::List(names) => names,
        };
        let mut protect = Protect::default();
        for name in names {
            if let Err(why) = protect.add(&name.value) {
                let what = format!("`{}` is not a name to protect: {why}", name.value.escape_debug());
                let help = "write `standard`, a name such as `.envrc`, or a pattern such as `*.service` or `deploy/*.sh`";
                self.problems.push(Problem::new(what, name.place, "here").help(help));
            }
        }
        if protect.is_none() && self.problems.is_empty() {
            let what = "the list of what is protected is empty";
            self.problems.push(Problem::new(what, place, "here").help("write `standard`, or names"));
        }
        protect
    }

    fn root(&mut self, At { value, place }: At<RawRoot>) -> Option<Root> {
        self.refuse_extra(&value.extra, RawRoot::KEYS, &[], "`root`");
        let (Some(oci), Some(digest)) = (&value.oci, &value.digest) else {
            let what = "`root` needs an image layout and the digest of its manifest";
            let help =
                "write `root: {oci: ./image, digest: \"sha256:…\"}`; `index.json` of the layout names it";
            self.problems.push(Problem::new(what, place, "here").help(help));
            return None;
        };
        let layout = self.path(oci);
        match digest.value.parse() {
            Ok(digest) => Some(Root { layout, digest }),
            Err(error) => {
                let help = "`index.json` of the layout names the digest of the manifest";
                self.problems
                    .push(Problem::new(DigestError::to_string(&error), digest.place, "here").help(help));
                None
            }
        }
    }

    fn paths(&mut self, paths: &[At<String>]) -> Vec<PathBuf> {
        paths.iter().map(|path| self.path(path)).collect()
    }

    pub(super) fn path(&mut self, path: &At<String>) -> PathBuf {
        let wrong = match path.value.as_str() {
            "" => Some(("the path is empty", "write a path such as `./workspace`")),
            text if text.contains(|c: char| c.is_control()) => {
                Some(("the path holds a control character", "write the path without it"))
            }
            text if text.starts_with('~') => {
                Some(("`~` is not expanded in a policy", "write the whole path"))
            }
            _ => None,
        };
        if let Some((what, help)) = wrong {
            self.problems.push(Problem::new(what, path.place, "here").help(help));
        }
        PathBuf::from(&path.value)
    }

    /// The list of executables is made of the host's files, which are not there under another root.
    pub(super) fn whole(&mut self, root: Option<Place>, process: &Process) {
        if let (Some(place), Exec::Listed(_)) = (root, &process.exec) {
            let what = "`filesystem.root` cannot be used with `exec: listed`";
            let help = "leave one of them out: the root's files are held by its digest already";
            self.problems.push(Problem::new(what, place, "here").help(help));
        }
    }

    pub(super) fn process(&mut self, raw: RawProcess) -> Process {
        self.refuse_extra(&raw.extra, RawProcess::KEYS, &[], "`process`");
        let seccomp = raw.seccomp.as_ref().map(|word| self.seccomp(word)).unwrap_or_default();
        let exec = raw.exec.map(|exec| self.exec(exec)).unwrap_or_default();
        let limits = raw.limits.map(|raw| self.limits(raw)).unwrap_or_default();
        let env = raw.env.map(|raw| self.env(raw)).unwrap_or_default();
        Process { seccomp, exec, limits, env }
    }

    /// A profile's name, or the path of one.
    fn seccomp(&mut self, word: &At<Loose>) -> Seccomp {
        match &word.value {
            Loose::Word(name) if name == "standard" => Seccomp::Standard,
            Loose::Word(name) if name == "nano" => Seccomp::Nano,
            Loose::Word(name) if name.contains('/') || name.ends_with(".json") => {
                Seccomp::File(self.path(&At { value: name.clone(), place: word.place }))
            }
            Loose::Word(name) => {
                let what = format!("`{}` is not a seccomp profile", name.escape_debug());
                let help = match nearest(name, ["standard", "nano"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "write `standard`, `nano`, or the path of an OCI profile: `./profile.json`".to_owned()
                    }
                };
                self.problems.push(Problem::new(what, word.place, "unknown word").help(help));
                Seccomp::Standard
            }
            Loose::Other => {
                let what = "`seccomp` is the name or the path of a profile";
                let help = "write the profile into a file of its own: `seccomp: ./profile.json`";
                self.problems.push(Problem::new(what, word.place, "here").help(help));
                Seccomp::Standard
            }
        }
    }

    /// `any`, or a list of digests.
    fn exec(&mut self, At { value, place }: At<RawExec>) -> Exec {
        let listed = match value {
            RawExec::Word(word) if word == "any" => return Exec::Any,
            RawExec::Word(word) if word == "listed" => {
                let what = "`exec: listed` without a list would execute nothing";
                let help = "write `exec: {listed: {digests: [\"sha256:… /usr/bin/env\"]}}`, or `file: ./executables.sha256`";
                self.problems.push(Problem::new(what, place, "here").help(help));
                return Exec::Any;
            }
            RawExec::Word(word) => {
                self.unknown_word(&word, place, "value of `exec`", &["any", "listed"]);
                return Exec::Any;
            }
            RawExec::Map(map) => {
                self.refuse_extra(&map.extra, RawExecMap::KEYS, &[], "`exec`");
                map.listed.unwrap_or_default()
            }
        };
        self.refuse_extra(&listed.extra, RawListed::KEYS, &[], "`listed`");
        let mut digests = Vec::new();
        for text in listed.digests.unwrap_or_default() {
            match executables::entry(&text.value) {
                Ok((digest, path)) => {
                    let entry = format!("{}:{}", self.file, text.place.line);
                    digests.push(Executable { digest, path, entry });
                }
                Err(what) => {
                    self.problems.push(Problem::new(what, text.place, "here").help(executables::SHAPE));
                }
            }
        }
        let file = listed.file.as_ref().map(|file| self.path(file));
        if digests.is_empty() && file.is_none() && self.problems.is_empty() {
            let what = "the list of what may be executed is empty";
            self.problems.push(Problem::new(what, place, "here").help(executables::SHAPE));
        }
        let changed = match listed.changed.as_ref().map(|word| (word.value.as_str(), word.place)) {
            None | Some(("record", _)) => Changed::Record,
            Some(("end", _)) => Changed::End,
            Some((word, place)) => {
                self.unknown_word(word, place, "value of `changed`", &["record", "end"]);
                Changed::Record
            }
        };
        Exec::Listed(Listed { digests, file, changed })
    }

    fn limits(&mut self, raw: RawLimits) -> Limits {
        self.refuse_extra(&raw.extra, RawLimits::KEYS, &[], "`limits`");
        let memory = raw.memory.as_ref().and_then(|memory| self.memory(memory));
        if let Some(pids) = raw.pids.as_ref().filter(|pids| pids.value == 0) {
            let problem = Problem::new("`pids: 0` lets nothing run", pids.place, "here");
            self.problems.push(problem.help("write at least 1, or leave it out"));
        }
        if let Some(cpu) = raw.cpu.as_ref().filter(|cpu| !(cpu.value.is_finite() && cpu.value > 0.0)) {
            let problem = Problem::new("`cpu` is a number of cores greater than 0", cpu.place, "here");
            self.problems.push(problem.help("write it as `1.5`, or leave it out"));
        }
        Limits { memory, pids: raw.pids.map(|pids| pids.value), cpu: raw.cpu.map(|cpu| cpu.value) }
    }

    fn memory(&mut self, memory: &At<Loose>) -> Option<u64> {
        let bytes = match &memory.value {
            Loose::Word(word) => size(word).filter(|bytes| *bytes > 0),
            Loose::Other => None,
        };
        if bytes.is_none() {
            let problem = Problem::new("`memory` is not a size", memory.place, "here");
            self.problems.push(problem.help("write it as `512MiB` or `2GiB`"));
        }
        bytes
    }

    fn env(&mut self, raw: RawEnv) -> Env {
        self.refuse_extra(&raw.extra, RawEnv::KEYS, &[], "`env`");
        let pass = raw.pass.unwrap_or_default();
        for name in &pass {
            self.variable(name.value.strip_suffix('*').unwrap_or(&name.value), &name.value, name.place);
        }
        let mut set = BTreeMap::new();
        for (name, value) in raw.set.unwrap_or_default() {
            self.variable(&name, &name, self.key_place(&name, value.place));
            if value.value.contains('\0') {
                self.problems.push(
                    Problem::new(format!("`{name}` holds a NUL"), value.place, "here").help("delete it"),
                );
            }
            set.insert(name, value.value);
        }
        Env { pass: pass.into_iter().map(|name| name.value).collect(), set }
    }

    fn variable(&mut self, name: &str, written: &str, place: Place) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let what = format!("`{}` is not the name of an environment variable", written.escape_debug());
            self.problems
                .push(Problem::new(what, place, "here").help("letters, digits and `_`, as in `HF_HOME`"));
        }
    }
}

/// `512MiB`, `2GiB`, `1000`: bytes. Both binary and decimal units, so that nobody's habit is read wrongly.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "TiB" | "Ti" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Every record of a ledger may carry such a text.
const LONGEST_TEXT: usize = 1000;
