//! What could go wrong on each boundary, what answers it, and the test that proves the answer.

use claw_model::plane::Plane;
use claw_policy::{Exec, Policy, Travel};

use super::Finding;
use super::escape::shown;
use super::kinds::{Boundary, Kind, Proof, Threat};
use crate::zones::{Name, Zones};

/// Rows are written as they are read: where, what kind, threat, control, proofs, what remains.
struct Rows(Vec<Threat>);

impl Rows {
    fn add(
        &mut self,
        at: (Boundary, Kind),
        threat: &str,
        control: &str,
        proofs: &[Proof],
        remains: impl Into<String>,
    ) {
        let (boundary, kind) = at;
        self.0.push(Threat {
            boundary,
            kind,
            threat: threat.to_owned(),
            control: control.to_owned(),
            proofs: proofs.to_vec(),
            remains: remains.into(),
        });
    }
}

pub(super) fn threats(policy: &Policy, zones: Option<&Zones>, audit: Option<&[Finding]>) -> Vec<Threat> {
    let mut rows = Rows(Vec::new());
    workload(&mut rows, policy);
    kernel(&mut rows, policy);
    refusals_of_the_kernel(&mut rows);
    runtime(&mut rows, policy);
    management(&mut rows, zones, audit);
    controller(&mut rows, policy);
    outside(&mut rows, policy);
    rows.0.sort_by_key(|row| (row.boundary, row.kind));
    rows.0
}

fn workload(rows: &mut Rows, policy: &Policy) {
    use Boundary::Workload;
    rows.add(
        (Workload, Kind::Tampering),
        "the agent stops, slows or traces init",
        "init is not dumpable, has no capabilities, and no limit of the agent's reaches it",
        &[HOSTILE_INIT],
        "",
    );
    rows.add(
        (Workload, Kind::Denial),
        "something stays alive after the run",
        "the pid namespace ends with the agent; killing claw kills everything",
        &[LEFT_BEHIND, KILLED],
        "",
    );
    rows.add(
        (Workload, Kind::Spoofing),
        "the agent speaks to the supervisor as init",
        "one channel, which the agent does not inherit; questions from inside are not answered",
        &[HOSTILE_SUPERVISOR, NO_ASKING],
        "",
    );
    rows.add(
        (Workload, Kind::Repudiation),
        "one process of the agent is blamed for another's flow",
        "the kernel's own tables say which process holds a socket",
        &[WHO_ASKED],
        "a refused raw address names its process only where there is no other; a process can hand its socket on",
    );
    rows.add(
        (Workload, Kind::Disclosure),
        "the agent reads what init or the supervisor hold: the environment, the policy, descriptors",
        "init overwrites what it was given and is not dumpable; descriptors are closed; the environment is short",
        &[ENVIRONMENT, INHERITED, HOSTILE_SUPERVISOR],
        "what `process.env` passes",
    );
    let limits = policy.process().limits;
    let bounded = limits.memory.is_some() && limits.pids.is_some();
    rows.add(
        (Workload, Kind::Denial),
        "the agent uses up memory, processes or processor",
        "`process.limits`, held by control groups, or nothing runs",
        &[LIMITS_ROOT, LIMITS_NOT],
        if bounded {
            ""
        } else {
            "this policy sets no limit on memory and processes: the agent can use up the host's"
        },
    );
    match &policy.process().exec {
        Exec::Listed(_) => rows.add(
            (Workload, Kind::Elevation),
            "the agent runs programs it brought or wrote",
            "only files whose digest is listed are executed or mapped as code",
            &[EXEC_LISTED, EXEC_AROUND],
            "what an interpreter that is listed reads as a script",
        ),
        Exec::Any => rows.add(
            (Workload, Kind::Elevation),
            "the agent runs programs it brought or wrote",
            "none in this policy: `exec: any`",
            &[],
            "any program runs, inside these walls; `process.exec: {listed: …}` closes it",
        ),
    }
}

fn kernel(rows: &mut Rows, policy: &Policy) {
    use Boundary::Kernel;
    rows.add(
        (Kernel, Kind::Spoofing),
        "raw packets, foreign source addresses, other socket families",
        "no such sockets: the system call filter; loopback is the only interface",
        &[AROUND_GATE, LOOPBACK_ONLY],
        "",
    );
    rows.add(
        (Kernel, Kind::Tampering),
        "the agent changes the rules of its own network",
        "no capabilities and no new namespaces",
        &[NETWORK_FIXED, NO_PRIVILEGES],
        "",
    );
    rows.add(
        (Kernel, Kind::Tampering),
        "files of the host are changed",
        "everything is read-only but `filesystem.write`; Landlock says the same again",
        &[WRITES],
        written(policy),
    );
    rows.add(
        (Kernel, Kind::Disclosure),
        "credentials and other files of the host are read",
        "what is not listed is absent; credentials are masked under listed paths",
        &[ONLY_LISTED, MASKED],
        "what lies in the listed directories can be read, and sent to any permitted host",
    );
    rows.add(
        (Kernel, Kind::Disclosure),
        "sockets of the host (Docker, SSH agent, D-Bus) are reached",
        "not visible; under a shown directory they lead nowhere; abstract ones belong to another namespace",
        &[UNIX_SOCKETS, INHERITED],
        "a socket below a writable path",
    );
    rows.add(
        (Kernel, Kind::Elevation),
        "a hole in the kernel is reached by a system call",
        "fewer than 300 calls; none that container engines refuse",
        &[CALLS, FEWER],
        "a hole that the allowed calls reach",
    );
    rows.add(
        (Kernel, Kind::Elevation),
        "a wall is missing on this machine",
        "rules are read back and a canary tries every way out, or nothing runs",
        &[NO_NAMESPACES, CARRIES],
        "",
    );
}

fn refusals_of_the_kernel(rows: &mut Rows) {
    use Boundary::Kernel;
    rows.add(
        (Kernel, Kind::Repudiation),
        "an attack on the kernel leaves no trace",
        "calls that a seccomp profile ends are written down before they end; packets that the rules refuse too",
        &[NANO_TOLD, RAW_ADDRESS],
        "calls that `standard` refuses, and files that are not shown, leave no record",
    );
    rows.add(
        (Kernel, Kind::Denial),
        "descriptors, locks, memory files or mounts use up the kernel",
        "limits of control groups and of the process; calls that hold kernel memory are refused",
        &[LIMITS_ROOT, CALLS],
        "without `process.limits` the host's own limits hold",
    );
}

fn runtime(rows: &mut Rows, policy: &Policy) {
    use Boundary::Runtime;
    rows.add(
        (Runtime, Kind::Spoofing),
        "the agent uses the real address of a permitted host",
        "only addresses that a look-up gave out are open; they exist only inside",
        &[REAL_ADDRESS, RAW_ADDRESS],
        "",
    );
    rows.add(
        (Runtime, Kind::Tampering),
        "the agent asks for another policy or phase",
        "nothing inside can ask; a policy it could write counts only as it was accepted",
        &[NO_ASKING, ACCEPTED],
        "",
    );
    rows.add(
        (Runtime, Kind::Repudiation),
        "a flow leaves no record",
        "a decision is written before it takes effect; what cannot be written is not permitted",
        &[NO_LOSS, FULL],
        "",
    );
    rows.add(
        (Runtime, Kind::Disclosure),
        "DNS carries data out",
        "no question of the agent leaves; a name that no rule names does not exist",
        &[NO_QUESTION, NO_NAME],
        "which permitted names are asked for, and when",
    );
    rows.add(
        (Runtime, Kind::Denial),
        "a flood of denials fills the disk",
        "repeats are counted, floods are bounded",
        &[FLOOD],
        "",
    );
    rows.add((Runtime, Kind::Elevation), "bytes of the agent exploit the gate", "small readers in a memory-safe language, tried with random bytes; the supervisor has no capabilities and executes nothing", &[RANDOM_TLS, RANDOM_HTTP, TAKEN_OVER], "a flaw in the logic of a reader; the gate holds what the permitted hosts are sent");
    let rules = || policy.rules().iter().filter(|rule| rule.list().phase().is_some());
    if policy.ends_tls() {
        rows.add(
            (Runtime, Kind::Tampering),
            "a request is smuggled past the judgement",
            "each head is read once and written anew; ambiguous framing ends the connection",
            &[SMUGGLE, AUTHORITY],
            "",
        );
        rows.add(
            (Runtime, Kind::Disclosure),
            "plain text of TLS is read in the gate",
            "only where a rule names requests; in memory only",
            &[UNTOUCHED],
            "the gate's memory holds permitted requests, credentials in them too",
        );
    }
    if rules().any(|rule| rule.travel() == Travel::Brokered) {
        rows.add(
            (Runtime, Kind::Elevation),
            "a socket that was handed in is led elsewhere",
            "no call can connect it again; it is taken back when its rule ends",
            &[BROKERED, TAKEN_BACK],
            "",
        );
    }
}

fn management(rows: &mut Rows, zones: Option<&Zones>, audit: Option<&[Finding]>) {
    use Boundary::Management;
    rows.add(
        (Management, Kind::Tampering),
        "the policy is changed from inside",
        "never writable inside",
        &[POLICY_FIXED],
        "whoever can write it outside",
    );
    rows.add(
        (Management, Kind::Tampering),
        "the past is changed in the ledger",
        "a hash chain; one changed, missing or moved record is found",
        &[CHANGED_BYTE, MOVED],
        "who can write the file can write a new chain: keep the head elsewhere",
    );
    rows.add(
        (Management, Kind::Repudiation),
        "records are cut off the end",
        "`claw ledger verify --head`",
        &[CUT],
        "without the head kept elsewhere it is not seen",
    );
    rows.add(
        (Management, Kind::Spoofing),
        "another user, or the agent, orders the supervisor",
        "its socket answers its own user and root only, and nobody inside",
        &[OTHER_USER, NO_ASKING],
        "other processes of the same user",
    );
    rows.add(
        (Management, Kind::Disclosure),
        "the ledger tells secrets",
        "values of credentials, queries and bodies are never written; the file is its user's alone",
        &[NO_SECRET],
        "hosts, paths and commands are written, and may say much",
    );
    rows.add(
        (Management, Kind::Elevation),
        "a repository grants itself egress",
        "a policy found in a directory counts only after `claw policy trust`",
        &[REPOSITORY],
        "",
    );
    rows.add(
        (Management, Kind::Denial),
        "the disk of the ledger fills up",
        "repeats are counted and floods bounded; what cannot be written is not permitted",
        &[FULL, FLOOD],
        "the agent then reaches nothing until there is room",
    );
    match zones {
        Some(zones) => {
            let walled = zones.zone(Name::Management).is_some() && zones.zone(Name::Workload).is_some();
            rows.add(
                (Management, Kind::Spoofing),
                "a packet claims to be of another zone",
                "a zone is an interface and its networks, where both are named; no address is believed at another zone's interface, answers neither",
                &[SPOOF, PACKETS],
                "a zone that names only one of them; what comes by an interface of no zone, or from inside the zone itself",
            );
            rows.add(
                (Management, Kind::Elevation),
                "a workload reaches the management network through the host",
                "a wall before every other rule, both ways, IPv4 and IPv6; no flow can open it",
                &[PACKETS, WALL],
                if walled { "packets that another table or a bridge takes elsewhere: `claw host firewall --check` names them" } else { "these zones name only one of the two: there is no wall" },
            );
            rows.add(
                (Management, Kind::Tampering),
                "the host's firewall is changed",
                "`claw host firewall --check` names each difference, `--watch` writes it down",
                &[DRIFT, WATCH],
                "whoever is root",
            );
            rows.add(
                (Management, Kind::Denial),
                "the operator is locked out",
                "the session is kept; rules that nobody confirms are taken back",
                &[SESSION, ROLLBACK],
                "",
            );
        }
        None => rows.add(
            (Management, Kind::Elevation),
            "a workload reaches the management network through the host",
            "not stated: no zones were given (`--zones`)",
            &[],
            "a sandbox of claw forwards nothing, but other workloads on this host may",
        ),
    }
    match audit {
        Some(findings) => {
            for finding in findings {
                let known = if finding.status == "fail" { "not so" } else { "cannot be told" };
                rows.add(
                    (Management, kind_of(&finding.area)),
                    &format!("host: {known}: {}", shown(&finding.title)),
                    &format!("`claw host audit`: {} {}", shown(&finding.id), shown(&finding.status)),
                    &[],
                    shown(&finding.seen),
                );
            }
        }
        None => rows.add(
            (Management, Kind::Elevation),
            "the host is weaker than it is taken for",
            "not stated: no audit was given (`--audit`)",
            &[],
            "run `claw host audit --json`",
        ),
    }
}

/// What a weakness of the host leads to first.
fn kind_of(area: &str) -> Kind {
    match area {
        "network" => Kind::Spoofing,
        "disks" => Kind::Tampering,
        "operations" => Kind::Repudiation,
        "accounts" => Kind::Disclosure,
        _ => Kind::Elevation,
    }
}

fn outside(rows: &mut Rows, policy: &Policy) {
    use Boundary::Internet;
    let rules = || policy.rules().iter().filter(|rule| rule.list().phase().is_some());
    if rules().next().is_none() {
        rows.add((Internet, Kind::Disclosure), "data leaves", "no rule opens anything", &[NOTHING], "");
        for (kind, threat) in [
            (Kind::Spoofing, "another server answers"),
            (Kind::Tampering, "a permission outlives its rule"),
            (Kind::Repudiation, "a destination denies what it was sent"),
            (Kind::Denial, "a destination holds the agent up"),
            (Kind::Elevation, "an answer exploits the gate or the agent"),
        ] {
            rows.add((Internet, kind), threat, "nothing is reached: no rule opens anything", &[NOTHING], "");
        }
        return;
    }
    rows.add((Internet, Kind::Spoofing), "another server answers for a permitted name", "on TLS rules the handshake names the host, and the agent checks the certificate; where the gate ends TLS it checks", &[HELLO, CERTIFICATE], "agents that do not check certificates");
    rows.add(
        (Internet, Kind::Spoofing),
        "a permitted name leads inward, or to a metadata service",
        "the gate resolves once, judges the addresses, and dials one of them",
        &[INWARD, METADATA],
        private(policy),
    );
    rows.add(
        (Internet, Kind::Disclosure),
        "data leaves to a host that no rule names",
        "no way out but the gate; it dials only with a permit",
        &[RAW_ADDRESS, ESCAPE, ESCAPE_USER],
        "what the named hosts do with what they are sent",
    );
    let weak = rules().filter(|rule| !rule.protocol().is_tls()).count();
    if weak > 0 {
        rows.add(
            (Internet, Kind::Disclosure),
            "somebody on the way reads or changes what is sent",
            "none: these rules are not TLS",
            &[],
            format!("{weak} {} in the clear", if weak == 1 { "rule travels" } else { "rules travel" }),
        );
    }
    let names = rules().filter(|rule| rule.http().is_none()).count();
    if names > 0 {
        rows.add(
            (Internet, Kind::Disclosure),
            "another site of a shared server is reached inside TLS",
            "the handshake must name the permitted host in the clear; encrypted hello is refused",
            &[HELLO, ECH],
            format!(
                "domain fronting on {names} {} without `http`",
                if names == 1 { "rule" } else { "rules" }
            ),
        );
    }
    if policy.ends_tls() {
        rows.add(
            (Internet, Kind::Disclosure),
            "telemetry goes to the very host of the model",
            "only the named requests reach it",
            &[REQUESTS, PLANES],
            "what a permitted request carries in query, fields and body",
        );
    }
    rows.add(
        (Internet, Kind::Tampering),
        "a permission outlives its rule",
        "every open flow is judged again when policy, phase or date change",
        &[REVOKED],
        "",
    );
    let unlimited = rules().filter(|rule| rule.limits().bytes_out.is_none()).count();
    rows.add(
        (Internet, Kind::Disclosure),
        "much leaves by a permitted host",
        "`limits` on the rule",
        &[LIMIT],
        if unlimited == 0 {
            String::new()
        } else {
            format!(
                "{unlimited} {} no bound on bytes sent",
                if unlimited == 1 { "rule has" } else { "rules have" }
            )
        },
    );
    rows.add(
        (Internet, Kind::Repudiation),
        "a destination denies what it was sent, or the agent that it sent it",
        "host, bytes, times and, where TLS is ended, method and path stand in the hash chain",
        &[WHO_ASKED, CHANGED_BYTE],
        "bodies are not kept",
    );
    rows.add(
        (Internet, Kind::Denial),
        "a destination answers slowly, without end, or not at all",
        "times for dialling and for heads, bounded buffers, `limits` on the rule",
        &[NO_ANSWER, SLOW, LIMIT],
        "a permitted answer without a limit may be as long as it likes",
    );
    rows.add(
        (Internet, Kind::Elevation),
        "an answer exploits the gate, or the agent",
        "where TLS is not ended the gate reads nothing of it; where it is, one strict reader; a gate that is taken over reaches nothing",
        &[LIES, TAKEN_OVER],
        "what the agent makes of an answer: it stays inside",
    );
}

fn controller(rows: &mut Rows, policy: &Policy) {
    use Boundary::Controller;
    let rules: Vec<_> = policy
        .rules()
        .iter()
        .filter(|rule| rule.list().phase().is_some() && rule.plane() == Plane::Control)
        .collect();
    if rules.is_empty() {
        for (kind, threat) in [
            (Kind::Spoofing, "somebody commands the agent as its controller"),
            (Kind::Tampering, "orders of a controller are changed on their way"),
            (Kind::Repudiation, "an order leaves no trace"),
            (Kind::Disclosure, "a controller learns what it should not"),
            (Kind::Denial, "an agent stands still without its controller"),
            (Kind::Elevation, "a controller gains rights on this host"),
        ] {
            let control = "nothing crosses it: no rule of the control plane, and claw has no controller of its own here";
            rows.add((Controller, kind), threat, control, &[NOTHING, NO_NAME], "");
        }
        return;
    }
    let tls = rules.iter().all(|rule| rule.protocol().is_tls());
    let requests = rules.iter().all(|rule| rule.http().is_some());
    rows.add(
        (Controller, Kind::Spoofing),
        "somebody else commands the agent as its controller",
        "the same as for every host: named, judged, dialled by the gate",
        &[HELLO, CERTIFICATE],
        "what the controller itself orders; its protocol is not read by this version",
    );
    rows.add(
        (Controller, Kind::Tampering),
        "orders of a controller are changed on their way",
        "TLS between the agent, or the gate, and the controller",
        &[CERTIFICATE],
        if tls { "" } else { "a rule of the control plane is not TLS" },
    );
    rows.add(
        (Controller, Kind::Repudiation),
        "an order leaves no trace",
        "each connection is written down; where requests are named, each request",
        &[WHO_ASKED],
        "what the order says is not kept",
    );
    rows.add(
        (Controller, Kind::Disclosure),
        "a controller learns more than it needs",
        "where requests are named, only those reach it",
        &[REQUESTS],
        if requests {
            "what a permitted request carries"
        } else {
            "a rule of the control plane names no requests: anything may be sent to it"
        },
    );
    rows.add(
        (Controller, Kind::Denial),
        "an agent stands still without its controller",
        "none: whether it goes on is the agent's own affair",
        &[],
        "the walls and the policy stand without it",
    );
    rows.add(
        (Controller, Kind::Elevation),
        "a controller gains rights on this host",
        "it speaks to the agent only: policy, phase and walls are not its to change",
        &[NO_ASKING, POLICY_FIXED],
        "",
    );
}

fn written(policy: &Policy) -> String {
    match policy.filesystem().map(|files| files.write.len()).unwrap_or_default() {
        0 => String::new(),
        1 => "one path is writable: what is written there may run later outside".to_owned(),
        count => format!("{count} paths are writable: what is written there may run later outside"),
    }
}

fn private(policy: &Policy) -> String {
    match policy.rules().iter().filter(|rule| rule.private_allowed()).count() {
        0 => String::new(),
        count => format!("{count} with `private: allow` may lead to private addresses"),
    }
}

macro_rules! proofs {
    ($($name:ident = $path:literal $test:literal;)*) => {
        $(const $name: Proof = Proof { path: $path, name: $test };)*
        /// Every test that is named here; a test of the repository checks that each is there.
        pub const PROOFS: &[Proof] = &[$($name),*];
    };
}

proofs! {
    HOSTILE_INIT = "crates/cli/tests/hostile.rs" "init_cannot_be_limited_or_slowed_down";
    LEFT_BEHIND = "crates/cli/tests/lifecycle.rs" "what_the_agent_leaves_behind_ends_with_it";
    KILLED = "crates/cli/tests/lifecycle.rs" "killing_claw_at_any_moment_leaves_nothing";
    LIMITS_ROOT = "crates/cli/tests/sandbox.rs" "limits_hold_for_root";
    LIMITS_NOT = "crates/cli/tests/sandbox.rs" "limits_that_cannot_be_held_run_nothing";
    EXEC_LISTED = "crates/cli/tests/exec.rs" "only_listed_files_are_executed";
    EXEC_AROUND = "crates/cli/tests/exec.rs" "no_way_around_the_list";
    AROUND_GATE = "crates/cli/tests/refuse.rs" "sockets_that_go_around_the_gate_do_not_exist";
    LOOPBACK_ONLY = "crates/cli/tests/sandbox.rs" "loopback_is_the_only_interface";
    NETWORK_FIXED = "crates/cli/tests/refuse.rs" "the_network_inside_cannot_be_changed";
    NO_PRIVILEGES = "crates/cli/tests/sandbox.rs" "the_agent_has_no_privileges";
    WRITES = "crates/cli/tests/sandbox.rs" "nothing_is_written_but_where_the_policy_says";
    ONLY_LISTED = "crates/cli/tests/sandbox.rs" "only_what_is_listed_is_there";
    MASKED = "crates/cli/tests/sandbox.rs" "credentials_stay_masked_under_a_listed_directory";
    UNIX_SOCKETS = "crates/cli/tests/refuse.rs" "unix_sockets_of_the_host_cannot_be_connected";
    INHERITED = "crates/cli/tests/refuse.rs" "an_inherited_socket_is_closed";
    CALLS = "crates/cli/tests/refuse.rs" "calls_that_attack_the_kernel_are_refused";
    FEWER = "crates/enforce/src/seccomp.rs" "nothing_is_allowed_that_container_engines_do_not";
    NO_NAMESPACES = "crates/cli/tests/input.rs" "without_user_namespaces_nothing_runs_and_the_hint_says_why";
    CARRIES = "crates/cli/tests/escape.rs" "every_wall_carries_weight";
    REAL_ADDRESS = "crates/cli/tests/refuse.rs" "the_real_address_of_an_allowed_name_cannot_be_reached_directly";
    RAW_ADDRESS = "crates/cli/tests/refuse.rs" "a_raw_address_cannot_be_reached";
    NO_ASKING = "crates/cli/tests/change.rs" "what_is_inside_cannot_ask_for_another_phase";
    ACCEPTED = "crates/cli/tests/change.rs" "a_policy_in_a_writable_place_counts_only_when_it_was_accepted";
    NO_LOSS = "crates/cli/tests/ledger.rs" "killing_claw_loses_no_permit_that_took_effect";
    FULL = "crates/cli/tests/ledger.rs" "a_ledger_that_is_full_permits_nothing";
    NO_QUESTION = "crates/cli/tests/refuse.rs" "no_question_reaches_a_real_name_server";
    NO_NAME = "crates/cli/tests/reach.rs" "a_refused_name_does_not_exist_whoever_is_asked_and_says_why";
    FLOOD = "crates/cli/tests/ledger.rs" "a_flood_of_denials_is_counted_rather_than_written_out";
    RANDOM_TLS = "crates/wire/src/tls/tests.rs" "random_bytes_never_panic";
    RANDOM_HTTP = "crates/wire/src/http.rs" "random_bytes_never_panic";
    SMUGGLE = "crates/cli/tests/smuggle.rs" "ambiguous_framing_brings_no_second_request";
    AUTHORITY = "crates/cli/tests/smuggle.rs" "another_authority_is_refused_wherever_it_is_named";
    UNTOUCHED = "crates/cli/tests/http.rs" "without_a_rule_that_names_requests_nothing_of_tls_is_touched";
    BROKERED = "crates/cli/tests/brokered.rs" "a_handed_socket_leads_nowhere_else";
    TAKEN_BACK = "crates/cli/tests/brokered.rs" "a_changed_policy_takes_the_socket_back";
    POLICY_FIXED = "crates/cli/tests/sandbox.rs" "the_policy_is_never_writable_though_its_directory_is";
    CHANGED_BYTE = "crates/cli/tests/ledger.rs" "one_changed_byte_is_found_and_its_record_named";
    MOVED = "crates/cli/tests/ledger.rs" "a_missing_a_doubled_and_a_swapped_record_are_found";
    CUT = "crates/cli/tests/ledger.rs" "a_cut_ledger_does_not_have_the_head_that_was_printed";
    REPOSITORY = "crates/cli/tests/input.rs" "a_repository_cannot_grant_itself_egress";
    PACKETS = "crates/cli/tests/firewall.rs" "without_rules_every_packet_arrives_and_with_them_only_declared_ones";
    SPOOF = "crates/cli/tests/firewall.rs" "no_address_is_believed_at_an_interface_that_it_does_not_belong_to";
    WALL = "crates/host/src/zones/tests.rs" "no_flow_opens_the_wall_and_its_line_is_told";
    DRIFT = "crates/cli/tests/firewall.rs" "each_drift_is_named_and_nothing_of_others_is_touched";
    WATCH = "crates/cli/tests/firewall.rs" "a_watch_writes_each_drift_into_a_ledger";
    SESSION = "crates/cli/tests/firewall.rs" "of_open_connections_declared_ones_and_the_operator_s_go_on_and_others_are_cut";
    ROLLBACK = "crates/cli/tests/firewall.rs" "rules_that_nobody_confirms_are_taken_back_though_the_terminal_is_gone";
    NOTHING = "crates/cli/tests/input.rs" "without_a_policy_nothing_leaves";
    HELLO = "crates/cli/tests/gate_tls.rs" "a_hello_for_another_name_is_refused";
    CERTIFICATE = "crates/cli/tests/http.rs" "a_destination_whose_certificate_does_not_hold_is_not_reached";
    INWARD = "crates/cli/tests/refuse.rs" "a_name_that_leads_to_a_private_address_is_refused";
    METADATA = "crates/cli/tests/refuse.rs" "metadata_services_are_refused_even_where_a_wide_rule_covers_them";
    ESCAPE = "crates/cli/tests/escape.rs" "nothing_leaks_to_root";
    ESCAPE_USER = "crates/cli/tests/escape.rs" "nothing_leaks_to_an_ordinary_user";
    ECH = "crates/cli/tests/gate_tls.rs" "a_hello_with_encrypted_client_hello_is_refused";
    REQUESTS = "crates/cli/tests/http.rs" "only_the_named_requests_pass_over_tls";
    PLANES = "crates/cli/tests/http.rs" "one_host_is_split_into_planes";
    REVOKED = "crates/cli/tests/change.rs" "a_changed_policy_closes_what_it_no_longer_permits_and_nothing_else";
    LIMIT = "crates/cli/tests/change.rs" "limits_are_reached_and_told";
    HOSTILE_SUPERVISOR = "crates/cli/tests/escape.rs" "nothing_leaks_to_an_ordinary_user";
    WHO_ASKED = "crates/cli/tests/ledger.rs" "the_ledger_names_who_asked_and_the_rule_that_answered";
    ENVIRONMENT = "crates/cli/tests/sandbox.rs" "the_environment_is_short_and_what_the_policy_says";
    NANO_TOLD = "crates/cli/tests/seccomp.rs" "nano_ends_what_executes_and_says_which_call";
    OTHER_USER = "crates/cli/tests/top.rs" "another_users_run_is_not_seen_but_by_root";
    NO_SECRET = "crates/cli/tests/observe_attack.rs" "no_secret_is_written_down_wherever_it_stands";
    NO_ANSWER = "crates/cli/tests/http.rs" "a_destination_that_does_not_answer_is_not_reached";
    SLOW = "crates/cli/tests/smuggle.rs" "slow_and_endless_heads_end";
    LIES = "crates/cli/tests/smuggle.rs" "upstreams_that_lie_are_found_out";
    TAKEN_OVER = "crates/cli/tests/taken.rs" "a_gate_that_was_taken_over_reaches_nothing";
}
