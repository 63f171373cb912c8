//! An answer for each system call number, compiled to a balanced tree of comparisons (seccomp(2), bpf(4)).
//!
//! Libraries compile a list of numbers to a chain, and one refusal to one filter: with four hundred numbers and five
//! refusals the kernel needed two milliseconds to take them, since it runs every filter for every number once. One tree
//! needs a twentieth of that, and costs less on every call.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use claw_sys::{notify, process};
use libc::sock_filter;

/// Why a profile could not be compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// This processor is not supported.
    #[error("there is no system call filter for this processor architecture")]
    Architecture,
    /// A jump is longer than the instruction set allows.
    #[error("the system call filter is too long")]
    TooLong,
    /// The library refuses it.
    #[error("the system call filter cannot be compiled: {0}")]
    Library(String),
    /// No order of installing works.
    #[error("the profile says several things about seccomp(2) itself: keep one")]
    Order,
}

/// A compiled filter.
#[derive(Debug, Clone)]
pub(crate) struct Program(Vec<sock_filter>);

impl From<Vec<sock_filter>> for Program {
    fn from(program: Vec<sock_filter>) -> Program {
        Program(program)
    }
}

impl Program {
    /// Puts the filter on this process for good. Needs `no_new_privs`.
    pub(crate) fn install(&self) -> io::Result<()> {
        process::filter(&self.0)
    }

    /// The same, for a filter some of whose calls wait for an answer: whoever holds the descriptor gives it.
    pub(crate) fn listen(&self) -> io::Result<OwnedFd> {
        notify::filter(&self.0)
    }
}

/// What a filter says to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Goes on to the kernel.
    Allow,
    /// `EPERM`.
    Refuse,
    /// `ENOSYS`: programs fall back as on an older kernel.
    Unknown,
    /// Goes on unless one of these checks refuses.
    Checked(usize),
}

/// A use of an allowed call that is refused: if every condition holds, with this number of errno(3).
#[derive(Debug, Clone)]
pub(crate) struct Check {
    conditions: Vec<Condition>,
    errno: i32,
}

/// A comparison of one argument's lower 32 bits, or of its upper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    argument: u32,
    half: Half,
    mask: u32,
    value: u32,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Lower,
    Upper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    WhenEqual,
    WhenUnequal,
}

impl Check {
    pub(crate) fn new(errno: i32, conditions: impl IntoIterator<Item = Condition>) -> Check {
        Check { conditions: conditions.into_iter().collect(), errno }
    }

    /// Every condition that does not hold skips the rest of the check.
    fn compile(&self) -> Result<Vec<sock_filter>, ProfileError> {
        let mut program = vec![answer(SECCOMP_RET_ERRNO | self.errno.cast_unsigned())];
        for condition in self.conditions.iter().rev() {
            let skip = u8::try_from(program.len()).map_err(|_| ProfileError::TooLong)?;
            let (then, otherwise) = match condition.holds {
                Holds::WhenEqual => (0, skip),
                Holds::WhenUnequal => (skip, 0),
            };
            program.insert(0, jump(JUMP_EQUAL, condition.value, then, otherwise));
            if condition.mask != u32::MAX {
                program.insert(0, sock_filter { code: AND, jt: 0, jf: 0, k: condition.mask });
            }
            let half = match condition.half {
                Half::Lower => 0,
                Half::Upper => 4,
            };
            let at = ARGUMENTS.saturating_add(condition.argument.saturating_mul(8)).saturating_add(half);
            program.insert(0, load(at));
        }
        Ok(program)
    }
}

/// The argument is exactly this.
pub(crate) fn equal(argument: u32, value: i32) -> Condition {
    let (half, value) = (Half::Lower, value.cast_unsigned());
    Condition { argument, half, mask: u32::MAX, value, holds: Holds::WhenEqual }
}

/// Checks that refuse every address but one, with all of its 64 bits.
pub(crate) fn other_address(errno: i32, argument: u32, address: u64) -> [Check; 2] {
    let bytes = address.to_le_bytes();
    let [a, b, c, d, e, f, g, h] = bytes;
    let (lower, upper) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let lower = unequal(argument, lower.cast_signed());
    let upper = Condition { half: Half::Upper, ..unequal(argument, upper.cast_signed()) };
    [lower, upper].map(|condition| Check::new(errno, [condition]))
}

/// The argument is anything else.
pub(crate) fn unequal(argument: u32, value: i32) -> Condition {
    Condition { holds: Holds::WhenUnequal, ..equal(argument, value) }
}

/// The argument has this bit.
pub(crate) fn masked(argument: u32, bit: i32) -> Condition {
    Condition { mask: bit.cast_unsigned(), ..equal(argument, bit) }
}

/// The argument's bits under the mask are exactly these.
pub(crate) fn bits(argument: u32, mask: i32, value: i32) -> Condition {
    Condition { mask: mask.cast_unsigned(), ..equal(argument, value) }
}

/// Some of the bits are set.
pub(crate) fn any_of(argument: u32, mask: i32) -> Condition {
    Condition { holds: Holds::WhenUnequal, ..bits(argument, mask, 0) }
}

/// The socket type without `SOCK_NONBLOCK` and `SOCK_CLOEXEC` (`SOCK_TYPE_MASK`, linux/net.h).
pub(crate) fn kind_is(kind: i32) -> Condition {
    Condition { mask: 0xf, ..equal(1, kind) }
}

/// Numbers and answers.
#[derive(Debug)]
pub(crate) struct Table {
    other: Answer,
    listed: BTreeMap<u32, Answer>,
    checks: Vec<Vec<Check>>,
}

impl Table {
    /// A table that answers `other` to every number.
    pub(crate) fn new(other: Answer) -> Table {
        Table { other, listed: BTreeMap::new(), checks: Vec::new() }
    }

    /// Adds answers. Numbers that this architecture does not have are negative and left out.
    pub(crate) fn with(mut self, numbers: &[i64], answer: Answer) -> Table {
        self.listed.extend(numbers.iter().filter_map(|number| Some((u32::try_from(*number).ok()?, answer))));
        self
    }

    /// Allows a call but for what these checks refuse.
    pub(crate) fn checked(mut self, number: i64, checks: Vec<Check>) -> Table {
        if let Ok(number) = u32::try_from(number) {
            self.listed.insert(number, Answer::Checked(self.checks.len()));
            self.checks.push(checks);
        }
        self
    }

    /// The program: a foreign architecture ends the process, then the tree.
    pub(crate) fn compile(&self) -> Result<Program, ProfileError> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => AUDIT_ARCH_X86_64,
            "aarch64" => AUDIT_ARCH_AARCH64,
            _ => return Err(ProfileError::Architecture),
        };
        let mut program = vec![
            load(ARCHITECTURE),
            jump(JUMP_EQUAL, architecture, 1, 0),
            answer(SECCOMP_RET_KILL_PROCESS),
            load(NUMBER),
        ];
        program.extend(self.tree(&self.spans())?);
        Ok(Program(program))
    }

    /// Where the answer changes: first number, answer. The first span begins at 0.
    fn spans(&self) -> Vec<(u32, Answer)> {
        let mut spans = vec![(0, self.other)];
        let mut enter = |from: u32, answer: Answer| match spans.last_mut() {
            Some(last) if last.0 == from => last.1 = answer,
            Some(last) if last.1 == answer => {}
            _ => spans.push((from, answer)),
        };
        let mut next = 0u32;
        for (number, answer) in &self.listed {
            if *number > next {
                enter(next, self.other);
            }
            enter(*number, *answer);
            next = number.saturating_add(1);
        }
        enter(next, self.other);
        spans
    }

    /// One comparison halves the spans; a jump too far for its eight bits goes through an unconditional one.
    fn tree(&self, spans: &[(u32, Answer)]) -> Result<Vec<sock_filter>, ProfileError> {
        let (low, high) = match spans {
            [] => return Ok(Vec::new()),
            [(_, only)] => return self.leaf(*only),
            _ => spans.split_at(spans.len() / 2),
        };
        let border = high.first().map(|(from, _)| *from).unwrap_or_default();
        let (low, high) = (self.tree(low)?, self.tree(high)?);
        let mut program = match u8::try_from(low.len()) {
            Ok(over) => vec![jump(JUMP_AT_LEAST, border, over, 0)],
            Err(_) => {
                let over = u32::try_from(low.len()).map_err(|_| ProfileError::TooLong)?;
                vec![
                    jump(JUMP_AT_LEAST, border, 0, 1),
                    sock_filter { code: JUMP_ALWAYS, jt: 0, jf: 0, k: over },
                ]
            }
        };
        program.extend(low);
        program.extend(high);
        Ok(program)
    }

    fn leaf(&self, only: Answer) -> Result<Vec<sock_filter>, ProfileError> {
        let value = match only {
            Answer::Allow => SECCOMP_RET_ALLOW,
            Answer::Refuse => SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
            Answer::Unknown => SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
            Answer::Checked(index) => {
                let mut program = Vec::new();
                for check in self.checks.get(index).into_iter().flatten() {
                    program.extend(check.compile()?);
                }
                program.push(answer(SECCOMP_RET_ALLOW));
                return Ok(program);
            }
        };
        Ok(vec![answer(value)])
    }
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: offset }
}

fn jump(code: u16, value: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k: value }
}

fn answer(value: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: value }
}

/// `BPF_LD | BPF_W | BPF_ABS`; offsets are those of `struct seccomp_data`.
const LOAD_WORD: u16 = 0x20;
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the first argument, on little-endian machines.
const ARGUMENTS: u32 = 16;
/// `BPF_ALU | BPF_AND | BPF_K`.
const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_JMP | BPF_JGE | BPF_K`, `BPF_JMP | BPF_JA`, `BPF_RET | BPF_K`.
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ALWAYS: u16 = 0x05;
#[cfg(test)]
const JUMP_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;
const SECCOMP_RET_KILL_PROCESS: u32 = 0x8000_0000;
const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
/// `linux/audit.h`.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_AARCH64: u32 = 0xc000_00b7;

#[cfg(test)]
impl Program {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What a call gets: it goes on, or an error number.
    pub(crate) fn answer(&self, number: i64, arguments: [u64; 6]) -> Result<(), i32> {
        match self.value(number, arguments) {
            SECCOMP_RET_ALLOW => Ok(()),
            value if value & 0xffff_0000 == SECCOMP_RET_ERRNO => Err((value & 0xffff) as i32),
            other => panic!("answer {other:x}"),
        }
    }

    /// What a call of this machine gets, as the kernel's number.
    pub(crate) fn value(&self, number: i64, arguments: [u64; 6]) -> u32 {
        let own = if cfg!(target_arch = "x86_64") { AUDIT_ARCH_X86_64 } else { AUDIT_ARCH_AARCH64 };
        self.run(own, number as u32, arguments)
    }

    /// Runs the program as the kernel does.
    fn run(&self, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut value) = (0usize, 0u32);
        loop {
            let step = &self.0[at];
            at += 1;
            match step.code {
                LOAD_WORD => {
                    value = match step.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => {
                            let argument = arguments[((offset - ARGUMENTS) / 8) as usize];
                            if offset % 8 == 0 { argument as u32 } else { (argument >> 32) as u32 }
                        }
                    }
                }
                AND => value &= step.k,
                JUMP_EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                JUMP_AT_LEAST => at += usize::from(if value >= step.k { step.jt } else { step.jf }),
                JUMP_GREATER => at += usize::from(if value > step.k { step.jt } else { step.jf }),
                JUMP_ALWAYS => at += step.k as usize,
                RETURN => return step.k,
                other => panic!("instruction {other}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_gets_its_answer_and_unlisted_ones_the_other() {
        // gaps, runs, neighbours of different answers, and enough of them to need far jumps
        let allowed: Vec<i64> = (0..900).filter(|number| number % 3 != 1).collect();
        let refused: Vec<i64> = (0..900).filter(|number| number % 6 == 1).collect();
        let table = Table::new(Answer::Unknown).with(&allowed, Answer::Allow).with(&refused, Answer::Refuse);
        let program = table.compile().unwrap();
        for number in (0..2000).chain([0x4000_0000, 0x4000_0001]) {
            let expected = if allowed.contains(&number) {
                Ok(())
            } else if refused.contains(&number) {
                Err(libc::EPERM)
            } else {
                Err(libc::ENOSYS)
            };
            assert_eq!(program.answer(number, [0; 6]), expected, "{number}");
        }
    }

    #[test]
    fn a_foreign_architecture_ends_the_process() {
        let program = Table::new(Answer::Allow).compile().unwrap();
        assert_eq!(program.run(0x4000_0003, 1, [0; 6]), SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn a_check_refuses_only_when_all_its_conditions_hold() {
        let check = Check::new(7, [equal(0, 2), unequal(1, 0), masked(2, 4)]);
        let program = Table::new(Answer::Refuse).checked(5, vec![check]).compile().unwrap();
        assert_eq!(program.answer(5, [2, 1, 4, 0, 0, 0]), Err(7));
        assert_eq!(program.answer(5, [2, 1, 6, 0, 0, 0]), Err(7));
        for other in [[3, 1, 4, 0, 0, 0], [2, 0, 4, 0, 0, 0], [2, 1, 3, 0, 0, 0]] {
            assert_eq!(program.answer(5, other), Ok(()), "{other:?}");
        }
        assert_eq!(program.answer(6, [0; 6]), Err(libc::EPERM));
    }
}
