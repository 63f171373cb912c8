//! System call filters as container runtimes write them: JSON, as in the OCI runtime specification (`linux.seccomp`) and
//! with the keys that Docker and Podman add to it.
//!
//! A profile is read whole and strictly: an unknown key, an unknown call, a rule that contradicts another one is an error
//! with its line. What a profile says is resolved for one machine: rules for other architectures, for kernels newer than
//! this one, or for capabilities that the agent has not are left out.

#![expect(non_snake_case, reason = "keys as the specification spells them")]

use std::collections::BTreeMap;
use std::fmt;

use claw_model::nearest::nearest;
use serde::{Deserialize, Serialize};

use crate::error::{Place, PolicyError, Problem};
use crate::raw::{At, Extra, Keyed, keyed, read};

mod contradiction;
mod names;
#[cfg(test)]
mod tests;

pub use names::name_of;

/// A filter, resolved for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProfile {
    /// What it is called: `nano`, or the file.
    pub name: String,
    /// What its numbers mean.
    pub architecture: Architecture,
    /// What a call gets that no rule names.
    pub default: CallAction,
    /// Rules that say something else than the default.
    pub rules: Vec<CallRule>,
    /// Whether the kernel is to log what is refused (`SECCOMP_FILTER_FLAG_LOG`).
    pub log: bool,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// One entry of `syscalls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRule {
    /// The line it begins on.
    pub line: u32,
    /// The calls of this machine that it names, and their numbers.
    pub calls: BTreeMap<String, u32>,
    /// What they get.
    pub action: CallAction,
    /// All of these hold.
    pub conditions: Vec<CallCondition>,
}

/// What a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallAction {
    /// The process ends.
    KillProcess,
    /// The thread ends.
    KillThread,
    /// `SIGSYS` is sent.
    Trap,
    /// The call fails with this number of errno(3).
    Errno(u16),
    /// It is written down and refused: Claw is the listener.
    Notify,
    /// A tracer is asked; an agent has none, and the call fails with `ENOSYS`.
    Trace(u16),
    /// The kernel logs it and performs it.
    Log,
    /// The kernel performs it.
    Allow,
}

/// A comparison of one argument, as unsigned numbers of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCondition {
    /// Which argument, from 0.
    pub index: u8,
    /// How it is compared.
    pub operator: CallOperator,
    /// With what.
    pub value: u64,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallOperator {
    /// Unequal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Equal.
    Equal,
    /// Greater or equal.
    GreaterOrEqual,
    /// Greater.
    Greater,
    /// Equal under this mask.
    MaskedEqual(u64),
}

/// What a profile is resolved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Its processor.
    pub architecture: Architecture,
    /// Major and minor number of its kernel.
    pub kernel: (u32, u32),
}

/// A processor that Claw filters system calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// `SCMP_ARCH_X86_64`.
    X86_64,
    /// `SCMP_ARCH_AARCH64`.
    Aarch64,
}

impl CallProfile {
    /// Reads a profile. `name` is what errors and records call it.
    pub fn parse(text: &str, name: &str, machine: Machine) -> Result<CallProfile, PolicyError> {
        let refuse = |problems| PolicyError::new(name, text, problems);
        // order: a tab is white space in JSON, and stands for one character here too: places stay right
        let spaces = text.replace('\t', " ");
        let raw = read::<RawSeccomp>(&spaces)
            .map_err(|problem| refuse(vec![problem.help(SHAPE)]))?
            .ok_or_else(|| {
                refuse(vec![
                    Problem::new("the profile is empty", Place { line: 1, ..Place::default() }, "here")
                        .help(SHAPE),
                ])
            })?;
        let mut reader = Reader { machine, problems: Vec::new(), notes: Vec::new() };
        let profile = reader.profile(raw, name);
        match profile {
            Some(profile) if reader.problems.is_empty() => Ok(profile),
            _ => Err(refuse(reader.problems)),
        }
    }

    /// The built-in profile `nano`: nothing is executed, traced or made executable; what tries ends.
    pub fn nano(machine: Machine) -> Result<CallProfile, PolicyError> {
        CallProfile::parse(NANO, "nano", machine)
    }

    /// What a call gets from the rules alone, with these arguments: the strictest of those that hold.
    pub fn answer(&self, number: u32, arguments: [u64; 6]) -> CallAction {
        self.rule(number, arguments).map_or(self.default, |rule| rule.action)
    }

    /// The strictest rule that holds for a call.
    pub fn rule(&self, number: u32, arguments: [u64; 6]) -> Option<&CallRule> {
        let holds = |rule: &&CallRule| {
            rule.calls.values().any(|own| *own == number)
                && rule.conditions.iter().all(|condition| condition.holds(arguments))
        };
        self.rules.iter().filter(holds).min_by_key(|rule| rule.action)
    }

    /// The same, by the call's name.
    pub fn kills_by_name(&self, name: &str) -> bool {
        names::number(name, self.architecture).is_some_and(|number| self.kills(number).is_some())
    }

    /// The rule that ends whoever makes this call, whatever its arguments.
    pub fn kills(&self, number: u32) -> Option<&CallRule> {
        self.rules.iter().find(|rule| {
            rule.action == CallAction::KillProcess
                && rule.conditions.is_empty()
                && rule.calls.values().any(|own| *own == number)
        })
    }
}

impl CallCondition {
    fn holds(self, arguments: [u64; 6]) -> bool {
        let Some(argument) = arguments.get(usize::from(self.index)) else { return false };
        match self.operator {
            CallOperator::NotEqual => *argument != self.value,
            CallOperator::Less => *argument < self.value,
            CallOperator::LessOrEqual => *argument <= self.value,
            CallOperator::Equal => *argument == self.value,
            CallOperator::GreaterOrEqual => *argument >= self.value,
            CallOperator::Greater => *argument > self.value,
            CallOperator::MaskedEqual(mask) => argument & mask == self.value,
        }
    }
}

impl fmt::Display for CallAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallAction::KillProcess => f.write_str("SCMP_ACT_KILL_PROCESS"),
            CallAction::KillThread => f.write_str("SCMP_ACT_KILL_THREAD"),
            CallAction::Trap => f.write_str("SCMP_ACT_TRAP"),
            CallAction::Errno(number) => write!(f, "SCMP_ACT_ERRNO({number})"),
            CallAction::Notify => f.write_str("SCMP_ACT_NOTIFY"),
            CallAction::Trace(number) => write!(f, "SCMP_ACT_TRACE({number})"),
            CallAction::Log => f.write_str("SCMP_ACT_LOG"),
            CallAction::Allow => f.write_str("SCMP_ACT_ALLOW"),
        }
    }
}

impl Architecture {
    fn word(self) -> &'static str {
        match self {
            Architecture::X86_64 => "SCMP_ARCH_X86_64",
            Architecture::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// As `includes.arches` calls it.
    fn plain(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::Aarch64 => "arm64",
        }
    }
}

keyed! {
    /// A profile as it is written.
    RawSeccomp {
        defaultAction: At<String>,
        defaultErrnoRet: At<u64>,
        defaultErrno: At<String>,
        architectures: Vec<At<String>>,
        archMap: Vec<At<RawArchMap>>,
        flags: Vec<At<String>>,
        listenerPath: At<String>,
        listenerMetadata: At<String>,
        syscalls: Vec<At<RawCalls>>,
    }
}

keyed! {
    /// An architecture, and those whose programs it runs too.
    RawArchMap {
        architecture: At<String>,
        subArchitectures: Vec<At<String>>,
    }
}

keyed! {
    /// Calls and what they get.
    RawCalls {
        names: Vec<At<String>>,
        name: At<String>,
        action: At<String>,
        errnoRet: At<u64>,
        errno: At<String>,
        args: Vec<At<RawArgument>>,
        comment: At<String>,
        includes: RawWhere,
        excludes: RawWhere,
    }
}

keyed! {
    /// A comparison of an argument.
    RawArgument {
        index: At<u64>,
        value: At<u64>,
        valueTwo: At<u64>,
        op: At<String>,
    }
}

keyed! {
    /// Where a rule holds.
    RawWhere {
        caps: Vec<At<String>>,
        arches: Vec<At<String>>,
        minKernel: At<String>,
    }
}

/// A rule, and what is needed to compare it with others.
struct Entry {
    rule: CallRule,
    place: Place,
    /// It holds on every machine, for every agent.
    everywhere: bool,
}

impl RawWhere {
    fn says_something(&self) -> bool {
        let filled = |list: &Option<Vec<At<String>>>| list.as_ref().is_some_and(|list| !list.is_empty());
        filled(&self.caps) || filled(&self.arches) || self.minKernel.is_some()
    }
}

struct Reader {
    machine: Machine,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Reader {
    fn profile(&mut self, raw: RawSeccomp, name: &str) -> Option<CallProfile> {
        self.extra::<RawSeccomp>(&raw.extra, "a seccomp profile");
        self.architectures(raw.architectures.unwrap_or_default(), raw.archMap.unwrap_or_default());
        let log = self.flags(raw.flags.unwrap_or_default());
        for path in raw.listenerPath.iter().chain(&raw.listenerMetadata) {
            let what = "notifications are not handed to a listener of yours";
            let help = "remove it: `SCMP_ACT_NOTIFY` makes Claw write the call down and refuse it";
            self.problems.push(Problem::new(what, path.place, "here").help(help));
        }
        let Some(word) = raw.defaultAction else {
            let what = "`defaultAction` is missing: what a call gets that no rule names";
            self.problems.push(
                Problem::new(what, Place { line: 1, ..Place::default() }, "in this profile").help(SHAPE),
            );
            return None;
        };
        let number = self.number(raw.defaultErrnoRet, raw.defaultErrno);
        let default = self.action(&word, number)?;
        let mut rules = Vec::new();
        for entry in raw.syscalls.unwrap_or_default() {
            self.entry(entry, &mut rules);
        }
        contradiction::find(&rules, &mut self.problems, &mut self.notes);
        let rules = rules.into_iter().map(|entry| entry.rule).filter(|rule| rule.action != default).collect();
        let notes = std::mem::take(&mut self.notes);
        Some(CallProfile {
            name: name.to_owned(),
            architecture: self.machine.architecture,
            default,
            rules,
            log,
            notes,
        })
    }

    /// This machine's must be among them. Others are named and stay closed: programs of a foreign ABI are never run.
    fn architectures(&mut self, list: Vec<At<String>>, map: Vec<At<RawArchMap>>) {
        if let (Some(first), Some(second)) = (list.first(), map.first()) {
            let what = "both `architectures` and `archMap` are given";
            let help = "keep one of them: they could contradict each other";
            self.problems.push(
                Problem::new(what, second.place, "the second").also(first.place, "the first").help(help),
            );
        }
        let mut named = list;
        for At { value: entry, .. } in map {
            self.extra::<RawArchMap>(&entry.extra, "an entry of `archMap`");
            // the sub-architectures of another machine's entry do not matter here
            let own = entry
                .architecture
                .as_ref()
                .is_some_and(|word| word.value == self.machine.architecture.word());
            named.extend(entry.architecture);
            let below = entry.subArchitectures.unwrap_or_default();
            for word in &below {
                self.known(word, ARCHITECTURES, "architecture of libseccomp");
            }
            if own {
                named.extend(below);
            }
        }
        for word in &named {
            self.known(word, ARCHITECTURES, "architecture of libseccomp");
        }
        let own = self.machine.architecture.word();
        let native = |word: &str| word == own || word == "SCMP_ARCH_NATIVE";
        if let Some(first) = named.first().filter(|_| !named.iter().any(|word| native(&word.value))) {
            let what = format!("the profile is for other processors than this machine's `{own}`");
            self.problems.push(
                Problem::new(what, first.place, "these")
                    .help(format!("add `{own}`, or leave `architectures` out")),
            );
        }
        let foreign: Vec<&str> = named
            .iter()
            .map(|word| word.value.as_str())
            .filter(|word| FOREIGN.iter().any(|(of, name)| *of == own && name == word))
            .collect();
        if !foreign.is_empty() {
            self.notes.push(format!(
                "{} stays closed: programs of a foreign ABI are never run",
                foreign.join(", ")
            ));
        }
    }

    fn flags(&mut self, flags: Vec<At<String>>) -> bool {
        let mut log = false;
        for flag in flags {
            match flag.value.as_str() {
                "SECCOMP_FILTER_FLAG_LOG" => log = true,
                // one thread when the filter is installed; a call that waits for Claw can only be killed anyway
                "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {}
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => {
                    let what = "this flag turns the processor's protection against speculation off";
                    self.problems.push(Problem::new(what, flag.place, "here").help("remove it"));
                }
                _ => self.known(&flag, FLAGS, "flag of seccomp(2)"),
            }
        }
        log
    }

    fn entry(&mut self, At { value: entry, place }: At<RawCalls>, rules: &mut Vec<Entry>) {
        self.extra::<RawCalls>(&entry.extra, "an entry of `syscalls`");
        if let (Some(name), Some(names)) = (&entry.name, entry.names.as_ref().and_then(|names| names.first()))
        {
            let what = "both `name` and `names` are given";
            let both = Problem::new(what, name.place, "the one").also(names.place, "the other");
            self.problems.push(both.help("keep `names`"));
        }
        let names: Vec<At<String>> =
            entry.name.into_iter().chain(entry.names.into_iter().flatten()).collect();
        if names.is_empty() {
            let what = "this entry names no system call";
            self.problems.push(Problem::new(what, place, "here").help("add `names`, or remove the entry"));
        }
        let bound = |place: &Option<RawWhere>| place.as_ref().is_some_and(RawWhere::says_something);
        let everywhere = !bound(&entry.includes) && !bound(&entry.excludes);
        let here = self.holds_here(entry.includes, entry.excludes);
        let Some(word) = entry.action else {
            let what = "this entry has no `action`";
            self.problems
                .push(Problem::new(what, place, "here").help("write `\"action\": \"SCMP_ACT_ALLOW\"`"));
            return;
        };
        let number = self.number(entry.errnoRet, entry.errno);
        let action = self.action(&word, number);
        let conditions: Vec<CallCondition> = entry
            .args
            .unwrap_or_default()
            .into_iter()
            .filter_map(|argument| self.condition(argument))
            .collect();
        let calls = self.calls(&names);
        let Some(action) = action.filter(|_| here && !calls.is_empty()) else { return };
        // two comparisons of one argument cannot be in one rule of libseccomp: container runtimes make each a rule of
        // its own, of which any may hold
        let twice = conditions.iter().enumerate().any(|(at, one)| {
            conditions.iter().skip(at.saturating_add(1)).any(|other| one.index == other.index)
        });
        let sets =
            if twice { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] };
        for conditions in sets {
            let rule = CallRule { line: place.line, calls: calls.clone(), action, conditions };
            rules.push(Entry { rule, place, everywhere });
        }
    }

    /// The numbers of those that this machine has. Those that only others have are left out, as runtimes do.
    fn calls(&mut self, words: &[At<String>]) -> BTreeMap<String, u32> {
        let mut calls = BTreeMap::new();
        for word in words {
            match names::number(&word.value, self.machine.architecture) {
                Some(number) => drop(calls.insert(word.value.clone(), number)),
                None if names::exists(&word.value) => {}
                None => {
                    let what = format!("`{}` is not a system call", word.value.escape_debug());
                    let near = self.near(&word.value, names::all(self.machine.architecture));
                    let help = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "see syscalls(2)".to_owned(),
                    };
                    self.problems.push(Problem::new(what, word.place, "unknown call").help(help));
                }
            }
        }
        calls
    }

    fn action(&mut self, word: &At<String>, number: Option<At<u16>>) -> Option<CallAction> {
        let errno = number.as_ref().map(|number| number.value);
        let action = match word.value.as_str() {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => CallAction::KillThread,
            "SCMP_ACT_KILL_PROCESS" => CallAction::KillProcess,
            "SCMP_ACT_TRAP" => CallAction::Trap,
            "SCMP_ACT_ERRNO" => CallAction::Errno(errno.unwrap_or(EPERM)),
            "SCMP_ACT_TRACE" => CallAction::Trace(errno.unwrap_or(EPERM)),
            "SCMP_ACT_NOTIFY" => CallAction::Notify,
            "SCMP_ACT_LOG" => CallAction::Log,
            "SCMP_ACT_ALLOW" => CallAction::Allow,
            _ => {
                self.known(word, ACTIONS, "seccomp action");
                return None;
            }
        };
        if let Some(number) =
            number.filter(|_| !matches!(action, CallAction::Errno(_) | CallAction::Trace(_)))
        {
            let what = format!("`{}` has no error number", word.value);
            self.problems.push(Problem::new(what, number.place, "this number").help("remove it"));
        }
        Some(action)
    }

    /// The number may be given as such, as the specification has it, or by its name, as Podman has it, or both.
    fn number(&mut self, number: Option<At<u64>>, name: Option<At<String>>) -> Option<At<u16>> {
        let named = name.filter(|name| !name.value.is_empty()).and_then(|name| {
            let found = names::errno(&name.value);
            if found.is_none() {
                self.known(&name, names::ERRNOS, "name of errno(3)");
            }
            found.map(|value| At { value, place: name.place })
        });
        let Some(number) = number else { return named };
        let Some(value) = u16::try_from(number.value).ok().filter(|value| *value < 4096) else {
            let what = format!("{} is not a number of errno(3)", number.value);
            self.problems
                .push(Problem::new(what, number.place, "here").help("write 1 for EPERM, 38 for ENOSYS"));
            return named;
        };
        if let Some(other) = named.filter(|named| named.value != value) {
            let what = "the number and the name of the error differ";
            let both = Problem::new(what, number.place, "the number").also(other.place, "the name");
            self.problems.push(both.help("keep one of them"));
        }
        Some(At { value, place: number.place })
    }

    fn condition(&mut self, At { value: raw, place }: At<RawArgument>) -> Option<CallCondition> {
        self.extra::<RawArgument>(&raw.extra, "an argument");
        let index = raw.index.as_ref().map_or(u64::MAX, |index| index.value);
        let Some(index) = u8::try_from(index).ok().filter(|index| *index < 6) else {
            let place = raw.index.map_or(place, |index| index.place);
            let what = "`index` is the number of an argument, 0 to 5";
            self.problems.push(Problem::new(what, place, "here").help("system calls have six arguments"));
            return None;
        };
        let Some(word) = raw.op else {
            let what = "`op` is missing: how the argument is compared";
            self.problems
                .push(Problem::new(what, place, "here").help(format!("one of {}", OPERATORS.join(", "))));
            return None;
        };
        let value = raw.value.map_or(0, |value| value.value);
        let two = raw.valueTwo.as_ref().map_or(0, |value| value.value);
        let operator = match word.value.as_str() {
            "SCMP_CMP_NE" => CallOperator::NotEqual,
            "SCMP_CMP_LT" => CallOperator::Less,
            "SCMP_CMP_LE" => CallOperator::LessOrEqual,
            "SCMP_CMP_EQ" => CallOperator::Equal,
            "SCMP_CMP_GE" => CallOperator::GreaterOrEqual,
            "SCMP_CMP_GT" => CallOperator::Greater,
            "SCMP_CMP_MASKED_EQ" => {
                if two & !value != 0 {
                    let what =
                        "this comparison never holds: `valueTwo` has bits that the mask `value` has not";
                    let place = raw.valueTwo.map_or(place, |two| two.place);
                    self.problems
                        .push(Problem::new(what, place, "here").help("widen the mask or drop the bits"));
                }
                return Some(CallCondition { index, operator: CallOperator::MaskedEqual(value), value: two });
            }
            _ => {
                self.known(&word, OPERATORS, "comparison");
                return None;
            }
        };
        if let Some(two) = raw.valueTwo.filter(|two| two.value != 0) {
            let what = format!("`valueTwo` means nothing to `{}`", word.value);
            self.problems.push(Problem::new(what, two.place, "here").help("remove it"));
        }
        Some(CallCondition { index, operator, value })
    }

    /// Whether the entry holds on this machine, for an agent without capabilities.
    fn holds_here(&mut self, includes: Option<RawWhere>, excludes: Option<RawWhere>) -> bool {
        let (includes, excludes) = (includes.unwrap_or_default(), excludes.unwrap_or_default());
        self.extra::<RawWhere>(&includes.extra, "`includes`");
        self.extra::<RawWhere>(&excludes.extra, "`excludes`");
        let own = self.machine.architecture.plain();
        for capability in includes.caps.iter().chain(&excludes.caps).flatten() {
            self.known(capability, CAPABILITIES, "capability");
        }
        for word in includes.arches.iter().chain(&excludes.arches).flatten() {
            self.known(word, PLAIN_ARCHITECTURES, "architecture");
        }
        let since = |reader: &mut Reader, word: &Option<At<String>>| {
            word.as_ref()
                .and_then(|word| reader.version(word))
                .map(|version| reader.machine.kernel >= version)
        };
        let (included, excluded) = (since(self, &includes.minKernel), since(self, &excludes.minKernel));
        let names_own = |list: &Option<Vec<At<String>>>| {
            list.as_ref()
                .filter(|list| !list.is_empty())
                .map(|list| list.iter().any(|word| word.value == own))
        };
        includes.caps.is_none_or(|caps| caps.is_empty())
            && names_own(&includes.arches) != Some(false)
            && included != Some(false)
            && names_own(&excludes.arches) != Some(true)
            && excluded != Some(true)
    }

    fn version(&mut self, word: &At<String>) -> Option<(u32, u32)> {
        let mut parts = word.value.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(major), Some(minor), None) => Some((major, minor)),
            _ => {
                let what = format!("`{}` is not a kernel version", word.value.escape_debug());
                self.problems.push(Problem::new(what, word.place, "here").help("write it as `4.8`"));
                None
            }
        }
    }

    /// What may have been meant. Not all of a file's problems are shown, and to look takes longer than to read.
    fn near<'a>(&self, word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.problems.len() < MOST_SUGGESTED { nearest(word, words) } else { None }
    }

    fn known(&mut self, word: &At<String>, words: &[&'static str], what: &str) {
        if words.contains(&word.value.as_str()) {
            return;
        }
        let help = match self.near(&word.value, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", words.iter().take(12).copied().collect::<Vec<_>>().join(", ")),
        };
        let what = format!("`{}` is not a {what}", word.value.escape_debug());
        self.problems.push(Problem::new(what, word.place, "unknown word").help(help));
    }

    fn extra<T: Keyed>(&mut self, extra: &[Extra], whose: &str) {
        for Extra { key, value } in extra {
            let help = match self.near(key, T::KEYS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", T::KEYS.join(", ")),
            };
            let what = format!("`{}` is not a key of {whose}", key.escape_debug());
            self.problems.push(Problem::new(what, *value, "its value").help(help));
        }
    }
}

/// The text of the built-in profile `nano`.
pub const NANO: &str = include_str!("seccomp/nano.json");

const EPERM: u16 = 1;
/// Problems for which the word that was meant is looked for.
const MOST_SUGGESTED: usize = 100;
const SHAPE: &str = "a seccomp profile is JSON as in `linux.seccomp` of the OCI runtime specification";

const ACTIONS: &[&str] = &[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

const OPERATORS: &[&str] = &[
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

const FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

const ARCHITECTURES: &[&str] = &[
    "SCMP_ARCH_NATIVE",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_SH",
];

/// ABIs that a machine of the first kind could run too.
const FOREIGN: &[(&str, &str)] = &[
    ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    ("SCMP_ARCH_X86_64", "SCMP_ARCH_X32"),
    ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
];

/// As Go names them.
const PLAIN_ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64n32",
    "mips64p32",
    "mips64p32le",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "x32",
    "x86",
];

/// capabilities(7).
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
];
