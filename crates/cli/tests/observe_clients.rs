//! The real clients of model APIs are content with what an observed run answers. The first run asks PyPI and npm for them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/observe").join(name).canonicalize().unwrap()
}

/// Where packages are kept between runs.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Python with the clients, made once.
fn python() -> PathBuf {
    static MADE: Mutex<()> = Mutex::new(());
    let _one = MADE.lock().unwrap();
    let venv = kept("observe-venv");
    let whole = venv.join("whole");
    if !whole.exists() {
        done(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv));
        done(
            Command::new(venv.join("bin/pip"))
                .args(["install", "--quiet", "--requirement"])
                .arg(own("requirements.txt")),
        );
        fs::write(whole, "").unwrap();
    }
    venv.join("bin/python")
}

/// Observes a command that may read the clients, and gives what was written down.
fn observed(name: &str, answer: &str, command: &[&str]) -> String {
    let work = kept(&format!("observe-{name}"));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).unwrap();
    let (policy, ledger) = (work.join("policy.yaml"), work.join("run.jsonl"));
    let tests = own(".").display().to_string();
    let read = format!("[/usr, /bin, /lib, /lib64, /etc/ssl, /etc/passwd, {}, {tests}]", kept("").display());
    fs::write(&policy, format!("version: 1\nfilesystem:\n  read: {read}\n")).unwrap();
    let mut run = Command::new(CLAW);
    run.args(["observe", "--answer", answer, "--policy"]).arg(&policy).arg("--ledger").arg(&ledger).arg("--");
    let output = run.args(command).env("XDG_STATE_HOME", &work).stdin(Stdio::null()).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains(&format!("{name} ok")), "{text}");
    let records = fs::read_to_string(&ledger).unwrap();
    assert!(!records.contains("secret-key"), "a key is written down");
    records
}

fn with_python(name: &str, answer: &str) -> String {
    let (python, clients) = (python().display().to_string(), own("clients.py").display().to_string());
    observed(name, answer, &[&python, &clients, name])
}

#[test]
fn openais_python_client_is_content() {
    let records = with_python("openai", "openai");
    assert!(records.contains("\"path\":\"/own/v1/chat/completions\""), "a base URL of one's own works");
    assert!(records.contains("\"path\":\"/v1/responses\"") && records.contains("\"credential\":\"bearer\""));
}

#[test]
fn anthropics_python_client_is_content() {
    assert!(with_python("anthropic", "anthropic").contains("/v1/messages/count_tokens"));
}

#[test]
fn geminis_python_client_is_content() {
    assert!(with_python("gemini", "gemini").contains(":streamGenerateContent"));
}

#[test]
fn langchain_is_content() {
    assert!(with_python("langchain", "all").contains("/v1/embeddings"));
}

#[test]
fn openais_node_client_is_content() {
    let modules = kept("observe-node");
    if !modules.join("node_modules/openai").exists() {
        fs::create_dir_all(&modules).unwrap();
        let install =
            ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", "openai@6.49.0"];
        done(Command::new("npm").args(install).current_dir(&modules));
    }
    fs::copy(own("client.mjs"), modules.join("client.mjs")).unwrap();
    let client = modules.join("client.mjs").display().to_string();
    assert!(observed("npm", "openai", &["/usr/bin/node", &client]).contains("\"application\":\"tls\""));
}

#[test]
fn package_tools_find_an_index_that_has_nothing() {
    let python = python();
    let pip = python.with_file_name("pip").display().to_string();
    let script = format!(
        "{pip} install --disable-pip-version-check --retries 0 left-pad 2>&1 | grep 'No matching distribution' && \
         npm view left-pad --fetch-retries=0 2>&1 | grep E404 && echo index ok"
    );
    let records = observed("index", "index", &["/bin/sh", "-c", &script]);
    assert!(records.contains("\"path\":\"/simple/left-pad/\"") && records.contains("\"path\":\"/left-pad\""));
}
