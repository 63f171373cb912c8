//! The examples run for real: each starts its own servers on loopback, runs its agent under claw, and checks what was
//! reached and what was refused. The first run asks PyPI and npm for the agents' packages.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path).canonicalize().unwrap()
}

/// Where packages of agents are kept between runs.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn state() -> PathBuf {
    kept("state")
}

fn run(mut command: Command) -> String {
    let output = command.env("XDG_STATE_HOME", state()).stdin(Stdio::null()).output().unwrap();
    let text =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

#[test]
fn the_quickstart_reaches_what_it_may_and_nothing_else() {
    let agent = example("quickstart/agent.sh");
    let root = example("..");
    let mut command = Command::new(CLAW);
    command.args(["run", "--policy"]).arg(example("quickstart/agent_runtime.yaml")).arg("--").arg(&agent);
    command.current_dir(root);
    let text = run(command);
    assert!(text.contains("policy.internal"), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn a_shell_agent_reaches_one_https_server() {
    let mut command = Command::new(example("shell/run.sh"));
    command.arg(CLAW);
    assert!(run(command).contains("ok"));
}

#[test]
fn a_langchain_agent_calls_its_model_and_its_tool() {
    let mut command = Command::new(example("langchain/run.sh"));
    command.arg(CLAW).arg(kept("langchain"));
    assert!(run(command).contains("ok"));
}

#[test]
fn claude_code_reaches_its_model_and_not_its_telemetry_on_the_same_host() {
    let mut command = Command::new(example("claude-code/run.sh"));
    command.arg(CLAW).arg(kept("claude-code"));
    assert!(run(command).contains("ok"));
}

#[test]
fn a_node_agent_calls_its_model_and_its_tool() {
    let mut command = Command::new(example("node/run.sh"));
    command.arg(CLAW).arg(kept("node_modules"));
    assert!(run(command).contains("ok"));
}
