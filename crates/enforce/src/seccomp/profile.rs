//! A profile of the policy on top of Claw's own filter: a stack of filters, one for each action, compiled by rust-vmm's
//! seccompiler. The kernel asks every filter and takes the strictest answer (seccomp(2)), so a profile can only narrow.
//!
//! The agent is started by an execve(2) too, and a profile that forbids it must not forbid that one. So that the profile
//! can hold before the agent's first instruction, execution is asked of the supervisor, which lets the first through. So
//! it is with calls that end the process: the supervisor writes down which call and which rule before it ends it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use claw_policy::seccomp::{CallAction, CallCondition, CallOperator, CallProfile, CallRule};
use libc::sock_filter;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::table::{ProfileError, Program};
use crate::calls::SOCKETS;

/// The filters of a profile, compiled.
#[derive(Debug)]
pub(crate) struct Stack {
    asked: Program,
    others: Vec<Program>,
}

/// Rules by number: an empty list means whatever the arguments.
type Rules = BTreeMap<i64, Vec<Vec<CallCondition>>>;

impl Stack {
    /// Compiles a profile. With `sockets`, what init answers for sockets is asked by the same filter: the kernel gives one
    /// listener.
    pub(crate) fn of(profile: Option<&CallProfile>, sockets: bool) -> Result<Stack, ProfileError> {
        let sockets: &[i64] = if sockets { &SOCKETS } else { &[] };
        let Some(profile) = profile else {
            let asked: Rules = whatever(sockets).collect();
            return Ok(Stack { asked: asking(asked)?, others: Vec::new() });
        };
        let mut asked: Rules = chosen(profile, |rule, number| explained(rule.action, number), &EXECUTION);
        asked.extend(whatever(sockets));
        let asked = asking(asked)?;
        let mut others = Vec::new();
        let mut actions: Vec<CallAction> = profile.rules.iter().map(|rule| rule.action).collect();
        actions.sort_unstable();
        actions.dedup();
        for action in actions.into_iter().filter(|action| *action != CallAction::Allow) {
            let own = |rule: &CallRule, number| {
                rule.action == action && !explained(action, number) && !EXECUTION.contains(&number)
            };
            let rules = chosen(profile, own, &[]);
            if !rules.is_empty() {
                others.push((
                    rules.contains_key(&libc::SYS_seccomp),
                    compiled(rules, kernel(action), SeccompAction::Allow)?,
                ));
            }
        }
        if profile.default != CallAction::Allow {
            let rules = chosen(profile, |_, _| true, &EXECUTION);
            let last = !rules.contains_key(&libc::SYS_seccomp);
            others.push((last, compiled(rules, SeccompAction::Allow, kernel(profile.default))?));
        }
        // order: a filter that forbids installing filters must be the last
        others.sort_by_key(|(last, _)| *last);
        if others.iter().filter(|(last, _)| *last).count() > 1 {
            return Err(ProfileError::Order);
        }
        let others = others.into_iter().map(|(_, program)| Program::from(program)).collect();
        Ok(Stack { asked, others })
    }

    /// Puts the filter on this thread that asks, and returns where it asks.
    pub(crate) fn listen(&self) -> std::io::Result<OwnedFd> {
        self.asked.listen()
    }

    /// Puts the others on this thread. After this only execve(2) is left to be called.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        self.others.iter().try_for_each(Program::install)
    }
}

/// Whether the supervisor is asked: of what ends the process or is to be written down, but for what this process still
/// needs itself before the agent stands.
fn explained(action: CallAction, number: i64) -> bool {
    matches!(action, CallAction::KillProcess | CallAction::Notify) && !OWN.contains(&number)
}

/// The rules that are wanted, by number, and these numbers whatever is said of them.
fn chosen(profile: &CallProfile, wanted: impl Fn(&CallRule, i64) -> bool, always: &[i64]) -> Rules {
    let mut rules: Rules = whatever(always).collect();
    for rule in &profile.rules {
        for number in rule.calls.values().map(|number| i64::from(*number)) {
            if wanted(rule, number) {
                rules.entry(number).or_default().push(rule.conditions.clone());
            }
        }
    }
    rules
}

/// These numbers, whatever the arguments.
fn whatever(numbers: &[i64]) -> impl Iterator<Item = (i64, Vec<Vec<CallCondition>>)> {
    numbers.iter().map(|number| (*number, vec![Vec::new()]))
}

/// A filter that asks where these match.
fn asking(rules: Rules) -> Result<Program, ProfileError> {
    let program = compiled(rules, SeccompAction::Trace(ASK), SeccompAction::Allow)?;
    let asks = |step: (u16, u32)| if step == (RETURN, TRACE | ASK) { NOTIFY } else { step.1 };
    let program = program.into_iter().map(|step| sock_filter { k: asks((step.code, step.k)), ..step });
    Ok(Program::from(program.collect::<Vec<_>>()))
}

fn compiled(
    rules: Rules,
    matched: SeccompAction,
    other: SeccompAction,
) -> Result<Vec<sock_filter>, ProfileError> {
    let library = |error: seccompiler::BackendError| ProfileError::Library(error.to_string());
    let mut chains = BTreeMap::new();
    for (number, sets) in rules {
        let whatever = sets.iter().any(Vec::is_empty);
        let chain: Result<Vec<SeccompRule>, _> =
            sets.into_iter().filter(|_| !whatever).map(|set| rule(&set)).collect();
        chains.insert(number, chain.map_err(library)?);
    }
    let architecture = std::env::consts::ARCH.try_into().map_err(library)?;
    let program = SeccompFilter::new(chains, other, matched, architecture).and_then(BpfProgram::try_from);
    // the library has a type of its own for the same structure
    let own =
        |step: seccompiler::sock_filter| sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k };
    Ok(program.map_err(library)?.into_iter().map(own).collect())
}

fn rule(conditions: &[CallCondition]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.iter().map(|condition| {
        let operator = match condition.operator {
            CallOperator::NotEqual => SeccompCmpOp::Ne,
            CallOperator::Less => SeccompCmpOp::Lt,
            CallOperator::LessOrEqual => SeccompCmpOp::Le,
            CallOperator::Equal => SeccompCmpOp::Eq,
            CallOperator::GreaterOrEqual => SeccompCmpOp::Ge,
            CallOperator::Greater => SeccompCmpOp::Gt,
            CallOperator::MaskedEqual(mask) => SeccompCmpOp::MaskedEq(mask),
        };
        SeccompCondition::new(condition.index, SeccompCmpArgLen::Qword, operator, condition.value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn kernel(action: CallAction) -> SeccompAction {
    match action {
        CallAction::KillProcess => SeccompAction::KillProcess,
        CallAction::KillThread => SeccompAction::KillThread,
        CallAction::Trap => SeccompAction::Trap,
        CallAction::Errno(number) => SeccompAction::Errno(number.into()),
        // whom nobody can ask is refused
        CallAction::Notify => SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        CallAction::Trace(number) => SeccompAction::Trace(number.into()),
        CallAction::Log => SeccompAction::Log,
        CallAction::Allow => SeccompAction::Allow,
    }
}

const EXECUTION: [i64; 2] = [libc::SYS_execve, libc::SYS_execveat];
/// What installing the stack and handing the listener out takes.
const OWN: [i64; 3] = [libc::SYS_seccomp, libc::SYS_sendmsg, libc::SYS_close];
/// `SECCOMP_RET_TRACE`; stands for `SECCOMP_RET_USER_NOTIF`, which the library does not know.
const TRACE: u32 = 0x7ff0_0000;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
const ASK: u32 = 0xc1a3;
const NOTIFY: u32 = 0x7fc0_0000;

#[cfg(test)]
mod tests {
    use claw_policy::seccomp::{Architecture, Machine};

    use super::*;

    fn profile(text: &str) -> CallProfile {
        let machine = Machine { architecture: Architecture::X86_64, kernel: (6, 18) };
        CallProfile::parse(text, "test", machine).unwrap()
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_call_gets_what_the_strictest_filter_says() {
        let profile = profile(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
                {"names": ["read", "openat"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["write"], "action": "SCMP_ACT_LOG"},
                {"names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["close"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3},
                {"names": ["tkill"], "action": "SCMP_ACT_TRAP"},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
            ]}"#,
        );
        let stack = Stack::of(Some(&profile), false).unwrap();
        let ask = |number: i64, first: u64| {
            let arguments = [first, 0, 0, 0, 0, 0];
            let all = stack.others.iter().chain([&stack.asked]);
            all.map(|program| program.value(number, arguments)).min_by_key(|value| *value as i32).unwrap()
        };
        assert_eq!(ask(libc::SYS_read, 0), 0x7fff_0000);
        assert_eq!(ask(libc::SYS_write, 0), 0x7ffc_0000);
        assert_eq!(ask(libc::SYS_ptrace, 0), NOTIFY, "asked, so that it can be told");
        assert_eq!(
            ask(libc::SYS_close, 0),
            0x8000_0000,
            "this process still needs it: the kernel's own kill"
        );
        assert_eq!(ask(libc::SYS_execve, 0), NOTIFY, "the first is Claw's own");
        assert_eq!(ask(libc::SYS_kill, 0), 0x0005_0003);
        assert_eq!(ask(libc::SYS_tkill, 0), 0x0003_0000);
        assert_eq!(ask(libc::SYS_mmap, 0), 0x0005_0026);
        assert_eq!(ask(libc::SYS_personality, 8), 0x7fff_0000);
        assert_eq!(ask(libc::SYS_personality, 9), 0x0005_0026);
        assert_eq!(ask(libc::SYS_personality, (1 << 32) | 8), 0x0005_0026, "all 64 bits are compared");
        assert_eq!(ask(libc::SYS_clone, 0x11), 0x7fff_0000);
        assert_eq!(ask(libc::SYS_clone, 0x1000_0011), 0x0005_0026);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn one_filter_asks_for_sockets_and_for_the_profile() {
        let profile = profile(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["bind"], "action": "SCMP_ACT_ERRNO"},
                {"names": ["connect"], "action": "SCMP_ACT_KILL_PROCESS",
                 "args": [{"index": 2, "value": 16, "op": "SCMP_CMP_EQ"}]}]}"#,
        );
        let ask = |stack: &Stack, number: i64| {
            let all = stack.others.iter().chain([&stack.asked]);
            all.map(|program| program.value(number, [0; 6])).min_by_key(|value| *value as i32).unwrap()
        };
        let both = Stack::of(Some(&profile), true).unwrap();
        for asked in [libc::SYS_ptrace, libc::SYS_execve, libc::SYS_connect, libc::SYS_listen] {
            assert_eq!(ask(&both, asked), NOTIFY, "{asked}");
        }
        assert_eq!(ask(&both, libc::SYS_bind), 0x0005_0001, "the stricter answer holds");
        assert_eq!(ask(&both, libc::SYS_read), 0x7fff_0000);
        let alone = Stack::of(None, true).unwrap();
        assert_eq!(ask(&alone, libc::SYS_connect), NOTIFY);
        assert_eq!(ask(&alone, libc::SYS_execve), 0x7fff_0000);
        let profile_alone = Stack::of(Some(&profile), false).unwrap();
        assert_eq!(ask(&profile_alone, libc::SYS_listen), 0x7fff_0000);
    }

    #[test]
    fn filters_that_forbid_filters_come_last_or_not_at_all() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["seccomp"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["seccomp"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#;
        assert!(matches!(Stack::of(Some(&profile(text)), false), Err(ProfileError::Order)));
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["seccomp"], "action": "SCMP_ACT_TRAP"}, {"names": ["kill"], "action": "SCMP_ACT_LOG"}]}"#;
        let stack = Stack::of(Some(&profile(text)), false).unwrap();
        assert_eq!(stack.others.last().unwrap().value(libc::SYS_seccomp, [0; 6]), 0x0003_0000);
    }
}
