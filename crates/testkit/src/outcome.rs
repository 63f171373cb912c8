//! What a run left: its code, its output, and its ledger.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// A finished run.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; 128+N for signal N.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// The ledger's file, if the run was one of claw's.
    pub ledger: Option<PathBuf>,
    /// The ledger's records.
    pub records: Vec<Value>,
}

impl Outcome {
    /// Stops the test unless the code is this one.
    #[track_caller]
    pub fn ends(self, code: i32) -> Outcome {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Stops the test unless standard output is exactly this, but for space around it.
    #[track_caller]
    pub fn prints(self, text: &str) -> Outcome {
        assert_eq!(self.stdout.trim(), text, "{self:#?}");
        self
    }

    /// Stops the test unless standard output holds this.
    #[track_caller]
    pub fn says(self, text: &str) -> Outcome {
        assert!(self.stdout.contains(text), "no `{text}` in {self:#?}");
        self
    }

    /// Stops the test unless standard error holds this.
    #[track_caller]
    pub fn warns(self, text: &str) -> Outcome {
        assert!(self.stderr.contains(text), "no `{text}` on standard error of {self:#?}");
        self
    }

    /// The records of this kind.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| field(record, "kind") == kind).collect()
    }

    /// Whether a connection to this destination got this decision (and reason, unless empty).
    pub fn decided(&self, destination: &str, port: u16, decision: &str, reason: &str) -> bool {
        self.of_kind("connect").iter().any(|record| {
            field(record, "destination") == destination
                && record.get("port").and_then(Value::as_u64) == Some(port.into())
                && field(record, "decision") == decision
                && (reason.is_empty() || field(record, "reason") == reason)
        })
    }

    /// Stops the test unless the ledger says that this was refused for this reason.
    #[track_caller]
    pub fn denied(self, destination: &str, port: u16, reason: &str) -> Outcome {
        assert!(
            self.decided(destination, port, "deny", reason),
            "no {reason} for {destination}:{port} in {self:#?}"
        );
        self
    }

    /// Stops the test unless the ledger says that this was permitted.
    #[track_caller]
    pub fn allowed(self, destination: &str, port: u16) -> Outcome {
        assert!(
            self.decided(destination, port, "allow", ""),
            "no permit for {destination}:{port} in {self:#?}"
        );
        self
    }

    /// Whether the look-up of this name got this decision.
    pub fn looked_up(&self, name: &str, decision: &str) -> bool {
        self.of_kind("dns")
            .iter()
            .any(|record| field(record, "name") == name && field(record, "decision") == decision)
    }
}

fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}
