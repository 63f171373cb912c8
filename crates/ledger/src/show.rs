//! One record as one line for a person. Untrusted text is escaped, so a line is always one line.

use crate::record::{Decision, Event, Process, Record, Signed};
use crate::text::word;

/// `12:00:01.123 connect DENY  evil.test:443 tcp  no-rule  curl(64)`.
pub fn line(record: &Record) -> String {
    let time = clock(record);
    let text = format!("{time} {:<7} {}", record.event.kind(), event(&record.event));
    text.trim_end().to_owned()
}

/// The parts of one record, for a table. Each is escaped as in [`line`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// The time of day.
    pub time: String,
    /// What was decided, where something was.
    pub decision: Option<Decision>,
    /// The plane.
    pub plane: String,
    /// The kind, and the destination, the request, or what else the record tells.
    pub what: String,
    /// The rule that decided.
    pub rule: String,
    /// The reason's code.
    pub reason: String,
    /// Who asked.
    pub process: String,
}

/// The parts of a record.
pub fn cells(record: &Record) -> Cells {
    let time = clock(record);
    let kind = record.event.kind();
    let optional = |text: &Option<String>| text.as_ref().map(|text| word(text)).unwrap_or_default();
    let caller = |process: &Option<Process>| process.as_ref().map(who).unwrap_or_default();
    match &record.event {
        Event::Dns { name, record_type, decision, rule, reason, process } => Cells {
            time,
            decision: Some(*decision),
            plane: String::new(),
            what: format!("{kind} {} {}", word(name), word(record_type)),
            rule: optional(rule),
            reason: optional(reason),
            process: caller(process),
        },
        Event::Connect { destination, port, protocol, plane, decision, rule, reason, process, .. } => Cells {
            time,
            decision: Some(*decision),
            plane: optional(plane),
            what: format!("{kind} {} {}", target(destination, *port), word(protocol)),
            rule: optional(rule),
            reason: optional(reason),
            process: caller(process),
        },
        Event::Request {
            destination, port, method, path, plane, decision, rule, reason, process, ..
        } => Cells {
            time,
            decision: Some(*decision),
            plane: optional(plane),
            what: format!("{kind} {} {} {}", word(method), word(path), target(destination, *port)),
            rule: optional(rule),
            reason: optional(reason),
            process: caller(process),
        },
        other => Cells { time, what: format!("{kind} {}", event(other)), ..Cells::default() },
    }
}

/// Whether a character shows itself: it neither moves nor reorders nor hides text.
pub fn is_visible(character: char) -> bool {
    !claw_model::shown::is_hidden(character)
}

fn clock(record: &Record) -> String {
    let time = format!("{:.3}", record.time);
    time.split_once('T').map_or("", |(_, time)| time.trim_end_matches('Z')).to_owned()
}

fn who(Process { pid, exe, package, via }: &Process) -> String {
    let name = exe.rsplit('/').next().unwrap_or(exe);
    let package = package.as_ref().map(|package| format!(" {}", word(package))).unwrap_or_default();
    let via = via.as_ref().map(|via| format!(" through {}", word(via))).unwrap_or_default();
    format!("{}({pid}){package}{via}", word(name))
}

/// On whose word a policy holds.
fn by(signed: Option<&Signed>) -> String {
    let Some(Signed { name, version, keys, expires }) = signed else { return String::new() };
    let (name, expires, keys) = (word(name), word(expires), words(keys, ","));
    format!("  signed {name} version {version} until {expires} by {keys}")
}

/// The event's own part of the line.
fn event(event: &Event) -> String {
    match event {
        Event::Start { run, agent, command, policy_digest, claw_version, kernel, mode, signed } => {
            let command = words(command, " ");
            let (run, agent, policy) = (word(run), word(agent), word(policy_digest));
            let (version, kernel) = (word(claw_version), word(kernel));
            let mode = mode.as_ref().map(|mode| format!("  observe {}", word(mode))).unwrap_or_default();
            format!(
                "{run}  {agent}  {command}  policy {policy}  claw {version}  kernel {kernel}{mode}{}",
                by(signed.as_ref())
            )
        }
        Event::Applied {
            namespaces,
            nft,
            landlock_abi,
            seccomp,
            capabilities,
            limits,
            missing,
            apparmor,
            integrity,
        } => {
            let missing = if missing.is_empty() { "nothing".to_owned() } else { words(missing, ",") };
            let (namespaces, nft, limits) = (words(namespaces, ","), word(nft), word(&limits.to_string()));
            let (seccomp, capabilities) = (word(seccomp), word(capabilities));
            let also = |name: &str, text: &Option<String>| {
                text.as_ref().map(|text| format!("  {name} {}", word(text))).unwrap_or_default()
            };
            let (apparmor, integrity) = (also("apparmor", apparmor), also("integrity", integrity));
            format!(
                "namespaces {namespaces}  nft {nft}  landlock {landlock_abi}  seccomp {seccomp}  \
                 capabilities {capabilities}  limits {limits}  missing {missing}{apparmor}{integrity}"
            )
        }
        Event::Dns { name, record_type, decision, rule, reason, process } => {
            let what = format!("{} {}", word(name), word(record_type));
            judged(*decision, what, [reason, rule], process.as_ref())
        }
        Event::Connect { destination, port, protocol, plane, decision, rule, reason, process, .. } => {
            let what = format!("{} {}", target(destination, *port), word(protocol));
            let what = plane.as_ref().map_or(what.clone(), |plane| format!("{what}  {}", word(plane)));
            judged(*decision, what, [reason, rule], process.as_ref())
        }
        Event::Request {
            destination,
            port,
            method,
            path,
            plane,
            decision,
            rule,
            reason,
            credential,
            status,
            process,
            ..
        } => {
            let mut what = format!("{} {} {}", target(destination, *port), word(method), word(path));
            if let Some(plane) = plane {
                what.push_str(&format!("  {}", word(plane)));
            }
            if let Some(status) = status {
                what.push_str(&format!("  {status}"));
            }
            if let Some(credential) = credential {
                what.push_str(&format!("  with {}", word(credential)));
            }
            judged(*decision, what, [reason, rule], process.as_ref())
        }
        Event::Close {
            destination,
            port,
            bytes_out,
            bytes_in,
            duration_ms,
            end,
            planes: _,
            connection: _,
            application,
            sni,
            alpn: _,
            requests: _,
        } => {
            let (target, end) = (target(destination, *port), word(end));
            let application =
                application.as_ref().map(|name| format!("  {}", word(name))).unwrap_or_default();
            let sni = sni.as_ref().map(|name| format!("  for {}", word(name))).unwrap_or_default();
            format!("{target}  {bytes_out} B out, {bytes_in} B in  {duration_ms} ms  {end}{application}{sni}")
        }
        Event::Repeat { of, count, reason, bytes_out: _, bytes_in: _ } => {
            let of = of.map_or("different ones".to_owned(), |of| format!("of record {of}"));
            let reason = reason.as_ref().map(|reason| format!("  {}", word(reason))).unwrap_or_default();
            format!("{count} times {of}{reason}")
        }
        Event::Revoke { what, why, closed } => {
            format!("{}  {}  {closed} connections closed", word(what), word(why))
        }
        Event::Phase { from, to, why } => format!("{} to {}  {}", word(from), word(to), word(why)),
        Event::Policy { from, to, why, signed } => {
            let to = to.as_ref().map_or("refused".to_owned(), |to| word(to));
            format!("{} to {to}  {}{}", word(from), word(why), by(signed.as_ref()))
        }
        Event::Syscall { name, action, rule, process } => {
            let process = process.as_ref().map(|process| format!("  {}", who(process))).unwrap_or_default();
            let rule = rule.as_ref().map(|rule| format!("  {}", word(rule))).unwrap_or_default();
            format!("{} {}{rule}{process}", word(name), word(action))
        }
        Event::Integrity { path, expected, found, source } => {
            let found = found.as_ref().map_or("unreadable".to_owned(), |found| word(found));
            let source = source.as_ref().map(|source| format!("  says {}", word(source))).unwrap_or_default();
            format!("{}  listed {}  now {found}{source}", word(path), word(expected))
        }
        Event::Firewall { drift, .. } if drift.is_empty() => "as declared".to_owned(),
        Event::Firewall { drift, .. } => drift.iter().map(|one| word(one)).collect::<Vec<_>>().join("; "),
        Event::Exit { code } => format!("code {code}"),
        Event::Checkpoint { upto, root, signature } => {
            let signed = if signature.is_some() { "signed" } else { "not signed" };
            format!("up to record {upto}  {}  {signed}", word(root))
        }
    }
}

fn judged(decision: Decision, what: String, why: [&Option<String>; 2], process: Option<&Process>) -> String {
    let decision = match decision {
        Decision::Allow => "ALLOW",
        Decision::Deny => "DENY ",
        Decision::Sink => "SINK ",
    };
    let why = why.into_iter().flatten().map(|why| word(why));
    let process = process.map(who);
    let parts: Vec<String> = std::iter::once(what).chain(why).chain(process).collect();
    format!("{decision} {}", parts.join("  "))
}

/// Host and port; an IPv6 address in brackets.
pub(crate) fn target(destination: &str, port: u16) -> String {
    let host = word(destination);
    if destination.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn words(list: &[String], between: &str) -> String {
    list.iter().map(|text| word(text)).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::{at, denial, every, lookup, observed};

    fn shown(event: Event) -> String {
        line(&Record { seq: 1, time: at(0), prev: crate::Digest::of(b""), event })
    }

    #[test]
    fn every_kind_has_its_line() {
        let lines: Vec<String> = every().into_iter().map(shown).collect();
        let expect = [
            "start   quiet-otter  reviewer  python3 -c print(\\\"é\\\")  policy sha256:00  claw 0.1.0  kernel 6.8.0  signed reviewer version 7 until 2027-01-01T00:00:00Z by sha256:0a,sha256:0b",
            "applied namespaces net,pid  nft \"3 rules\"  landlock 4  seccomp standard  capabilities none  \
             limits \"{\\\"cpu\\\":1.5,\\\"memory\\\":1024}\"  missing nothing  apparmor \"claw-agent (enforce)\"  integrity \"ima: not read\"",
            "dns     ALLOW api.test A  agent_runtime.yaml:7",
            "connect DENY  evil.test:443 tcp  no-rule  curl(64)",
            "connect ALLOW api.test:443 tcp-tls  inference  agent_runtime.yaml:7",
            "request DENY  api.test:443 POST /v1/x  telemetry  path",
            "close   api.test:443  10 B out, 2000 B in  35 ms  closed",
            "repeat  12 times of record 4  no-rule",
            "revoke  agent_runtime.yaml:7  expired  2 connections closed",
            "phase   bootstrap to workload  attested",
            "policy  sha256:00 to sha256:01  \"the file changed\"  signed reviewer version 8 until 2027-01-01T00:00:00Z by sha256:0a,sha256:0b",
            "syscall execve SCMP_ACT_KILL_PROCESS  nano:5  curl(64)",
            "integrity /usr/bin/env  listed sha256:00  now sha256:01  says ima",
            "firewall \"table x missing\"",
            "exit    code -9",
            "checkpoint up to record 11  sha256:00  not signed",
        ];
        for (line, expect) in lines.iter().zip(expect) {
            let expect = expect.replace("print(\\\"é\\\")", "\"print(\\\"é\\\")\"");
            assert_eq!(*line, format!("03:04:05.000 {expect}"));
        }
    }

    #[test]
    fn what_an_observed_run_adds_is_shown() {
        let lines: Vec<String> = observed().into_iter().map(shown).collect();
        let expect = [
            "start   quiet-otter  unnamed  agent  policy sha256:00  claw 0.1.0  kernel 6.8.0  observe sink",
            "connect SINK  api.test:443 TCP  curl(64) agent.py through openai",
            "request SINK  api.test:443 POST /v1/x  503  with bearer  curl(64) agent.py through openai",
            "close   api.test:443  10 B out, 2000 B in  35 ms  end  tls  for api.test",
            "repeat  12 times of record 4  sink",
        ];
        for (line, expect) in lines.iter().zip(expect) {
            assert_eq!(*line, format!("03:04:05.000 {expect}"));
        }
    }

    #[test]
    fn untrusted_text_stays_in_its_column() {
        assert_eq!(
            shown(lookup("x A  ALLOW\n\u{1b}[1m\u{202e}", Decision::Deny)),
            "03:04:05.000 dns     DENY  \"x A  ALLOW\\u{a}\\u{1b}[1m\\u{202e}\" A  no-rule"
        );
        assert_eq!(
            shown(denial("2001:db8::1", "raw-address")),
            "03:04:05.000 connect DENY  [2001:db8::1]:443 tcp  raw-address  curl(64)"
        );
    }
}
