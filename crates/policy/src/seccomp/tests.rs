use std::fmt::Write as _;

use super::*;

const HERE: Machine = Machine { architecture: Architecture::X86_64, kernel: (6, 18) };

fn read_here(text: &str) -> CallProfile {
    CallProfile::parse(text, "profile.json", HERE).unwrap_or_else(|error| panic!("{error}: {}", told(&error)))
}

fn told(error: &PolicyError) -> String {
    let mut text = String::new();
    for problem in error.problems() {
        let _ = writeln!(
            text,
            "{}: {} [{}]",
            problem.line(),
            problem.message(),
            problem.hint().unwrap_or_default()
        );
    }
    text
}

fn refused(text: &str) -> String {
    told(&CallProfile::parse(text, "profile.json", HERE).unwrap_err())
}

fn numbers(name: &str) -> u32 {
    names::number(name, HERE.architecture).unwrap()
}

#[test]
fn the_fragment_of_the_background_text_loads_as_it_stands() {
    let profile = read_here(
        r#"{
"defaultAction": "SCMP_ACT_ERRNO",
"architectures": ["SCMP_ARCH_X86_64"],
"syscalls": [
{
"names": ["read", "write", "clock_nanosleep", "epoll_wait"],
"action": "SCMP_ACT_ALLOW"
},
{
"names": ["ptrace", "process_vm_writev", "memfd_create", "execve", "execveat", "init_module", "finit_module"],
"action": "SCMP_ACT_KILL_PROCESS"
}
]
}"#,
    );
    assert_eq!(profile.default, CallAction::Errno(1));
    assert_eq!(profile.answer(numbers("read"), [0; 6]), CallAction::Allow);
    assert_eq!(profile.answer(numbers("mmap"), [0; 6]), CallAction::Errno(1));
    assert_eq!(profile.answer(numbers("execve"), [0; 6]), CallAction::KillProcess);
    assert_eq!(profile.kills(numbers("ptrace")).map(|rule| rule.line), Some(9));
    assert!(profile.notes.is_empty());
}

#[test]
fn rules_hold_only_where_they_are_meant_for() {
    let profile = read_here(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
        "syscalls": [
          {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
          {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
          {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
          {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.19"}},
          {"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
          {"names": ["write"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390", "s390x"]}},
          {"names": ["chown32", "arm_fadvise64_64", "s390_pci_mmio_read", "close"], "action": "SCMP_ACT_ALLOW"}
        ]}"#,
    );
    let open = |name: &str| profile.answer(numbers(name), [0; 6]) == CallAction::Allow;
    let all: Vec<&str> = ["mount", "umount2", "ptrace", "kcmp", "read", "write", "close"]
        .into_iter()
        .filter(|name| open(name))
        .collect();
    assert_eq!(all, ["umount2", "ptrace", "write", "close"]);
    assert_eq!(profile.answer(numbers("mmap"), [0; 6]), CallAction::Errno(38));
    assert_eq!(
        profile.notes,
        ["SCMP_ARCH_X86, SCMP_ARCH_X32 stays closed: programs of a foreign ABI are never run"]
    );
}

#[test]
fn arguments_are_compared_as_64_bits() {
    let operators = [
        ("SCMP_CMP_NE", 5, 0, [6, 4], 5),
        ("SCMP_CMP_LT", 5, 0, [4, 0], 5),
        ("SCMP_CMP_LE", 5, 0, [5, 0], 6),
        ("SCMP_CMP_EQ", 5, 0, [5, 5], 1 << 32 | 5),
        ("SCMP_CMP_GE", 5, 0, [5, u64::MAX], 4),
        ("SCMP_CMP_GT", 5, 0, [6, 1 << 32], 5),
        ("SCMP_CMP_MASKED_EQ", 6, 4, [4, 0xf5], 6),
    ];
    for (operator, value, two, holding, other) in operators {
        let profile = read_here(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["kill"], "action": "SCMP_ACT_TRAP",
                "args": [{{"index": 1, "value": {value}, "valueTwo": {two}, "op": "{operator}"}}]}}]}}"#
        ));
        let ask = |argument| profile.answer(numbers("kill"), [0, argument, 0, 0, 0, 0]);
        for argument in holding {
            assert_eq!(ask(argument), CallAction::Trap, "{operator} {argument}");
        }
        assert_eq!(ask(other), CallAction::Allow, "{operator} {other}");
    }
}

#[test]
fn two_comparisons_of_one_argument_are_two_rules_as_runtimes_have_it() {
    let profile = read_here(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let ask = |argument| profile.answer(numbers("personality"), [argument, 0, 0, 0, 0, 0]);
    assert_eq!([ask(0), ask(8)], [CallAction::Allow; 2]);
    assert_eq!(ask(1), CallAction::Errno(1));
}

/// The fuzzer's slowest input was a file of wrong names: to look for what was meant took milliseconds for each.
#[test]
fn a_file_of_nothing_but_wrong_names_is_refused_as_any_other() {
    let names = vec!["\"io_uring_sedup\""; 200_000].join(",");
    let text = format!(
        "{{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{{\"names\": [{names}], \"action\": \"SCMP_ACT_ALLOW\"}}]}}"
    );
    let told = refused(&text);
    assert!(told.contains("did you mean `io_uring_setup`?"), "{told}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        ("", "1: the profile is empty"),
        ("[]", "expected a mapping"),
        ("{\"syscalls\": []}", "`defaultAction` is missing"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALOW\"}",
            "1: `SCMP_ACT_ALOW` is not a seccomp action [did you mean `SCMP_ACT_ALLOW`?]",
        ),
        ("{\"defaultAction\": 5}", "1: `5` is not a seccomp action"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\"sycalls\": []}",
            "2: `sycalls` is not a key of a seccomp profile [did you mean `syscalls`?]",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"defaultErrnoRet\": 1}", "has no error number"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}",
            "5000 is not a number of errno(3)",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrno\": \"EPREM\"}", "did you mean `EPERM`?"),
        (
            "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"architectures\": [\"SCMP_ARCH_AARCH64\"]}",
            "for other processors than this machine's `SCMP_ARCH_X86_64`",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"architectures\": [\"SCMP_ARCH_X86_46\"]}",
            "did you mean `SCMP_ARCH_X86_64`?",
        ),
        (
            "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"flags\": [\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]}",
            "protection against speculation",
        ),
        ("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"listenerPath\": \"/run/x\"}", "not handed to a listener"),
    ];
    for (text, expected) in cases {
        let told = refused(text);
        assert!(told.contains(expected), "{text}\n{told}");
    }
    let entries = [
        (
            r#"{"names": ["reed"], "action": "SCMP_ACT_ALLOW"}"#,
            "3: `reed` is not a system call [did you mean `read`?]",
        ),
        (r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#, "names no system call"),
        (r#"{"names": ["read"]}"#, "has no `action`"),
        (r#"{"names": "read", "action": "SCMP_ACT_ALLOW"}"#, "expected a list"),
        (r#"{"name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW"}"#, "both `name` and `names`"),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "arg": []}"#, "did you mean `args`?"),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            "0 to 5",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1}]}"#,
            "`op` is missing",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": -1, "op": "SCMP_CMP_EQ"}]}"#,
            "3: ",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_IS"}]}"#,
            "not a comparison",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
            "never holds",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#,
            "not a kernel version",
        ),
        (
            r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMN"]}}"#,
            "did you mean `CAP_SYS_ADMIN`?",
        ),
        (r#"{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "ENOSYS"}"#, "differ"),
    ];
    for (entry, expected) in entries {
        let told =
            refused(&format!("{{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [\n{entry}\n]}}"));
        assert!(told.contains(expected), "{entry}\n{told}");
    }
}

#[test]
fn contradictions_are_found_and_what_excludes_each_other_is_none() {
    let pair = |first: &str, second: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {{"names": ["kill", "clone"], "action": "SCMP_ACT_ALLOW"{first}}},
            {{"names": ["clone"], "action": "SCMP_ACT_TRAP"{second}}}]}}"#
        );
        CallProfile::parse(&text, "profile.json", HERE).map_err(|error| told(&error))
    };
    let argument = |operator: &str, value: u64, two: u64| {
        format!(
            r#", "args": [{{"index": 0, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{operator}"}}]"#
        )
    };
    let told = pair("", "").unwrap_err();
    assert!(told.starts_with("3: `clone` gets SCMP_ACT_TRAP here and SCMP_ACT_ALLOW on line 2"), "{told}");
    pair("", &argument("EQ", 1, 0)).unwrap_err();
    pair(&argument("EQ", 1, 0), &argument("LE", 1, 0)).unwrap_err();
    pair(&argument("MASKED_EQ", 1, 1), &argument("MASKED_EQ", 2, 2)).unwrap_err();
    pair(&argument("EQ", 1, 0), &argument("NE", 1, 0)).unwrap();
    pair(&argument("EQ", 1, 0), &argument("EQ", 2, 0)).unwrap();
    pair(&argument("LT", 5, 0), &argument("GE", 5, 0)).unwrap();
    pair(&argument("MASKED_EQ", 3, 1), &argument("MASKED_EQ", 1, 0)).unwrap();
}

#[test]
fn tabs_are_white_space_and_places_stay_right() {
    let told = refused(
        "{\n\t\"defaultAction\": \"SCMP_ACT_ALLOW\",\n\t\"syscalls\": [\n\t\t{\"names\": [\"reed\"], \"action\": \"SCMP_ACT_TRAP\"}\n\t]\n}",
    );
    assert!(told.starts_with("4: `reed`"), "{told}");
}

#[test]
fn nano_ends_what_executes() {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let nano = CallProfile::nano(Machine { architecture, ..HERE }).unwrap();
        let number = |name| names::number(name, architecture).unwrap();
        for name in ["execve", "execveat", "ptrace", "process_vm_writev", "memfd_create", "io_uring_setup"] {
            assert!(nano.kills(number(name)).is_some(), "{name}");
        }
        let ask = |name, arguments: [u64; 3]| {
            let [a, b, c] = arguments;
            nano.answer(number(name), [0, 0, a, b, c, 0])
        };
        let (write, execute, anonymous, private) = (2, 4, 0x20, 2);
        assert_eq!(ask("mmap", [1 | execute, private, 3]), CallAction::Allow, "a library");
        assert_eq!(ask("mmap", [1 | write, private | anonymous, 0]), CallAction::Allow, "memory");
        assert_eq!(ask("mmap", [1 | execute, private | anonymous, 0]), CallAction::KillProcess);
        assert_eq!(ask("mmap", [write | execute, private, 3]), CallAction::KillProcess);
        assert_eq!(ask("mprotect", [1 | execute, 0, 0]), CallAction::KillProcess);
        assert_eq!(ask("mprotect", [1 | write, 0, 0]), CallAction::Allow);
        assert_eq!(ask("shmat", [0o100_000, 0, 0]), CallAction::KillProcess);
        assert_eq!(ask("read", [0; 3]), CallAction::Allow);
    }
}
