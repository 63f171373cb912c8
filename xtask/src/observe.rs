//! `cargo xtask bench observe`: what it costs to be observed.
//!
//! A LangChain program that is imported and calls its model, alone in an empty network namespace with a model on loopback,
//! and the same under `claw observe --answer openai`. Both models say the same. The first run asks PyPI for LangChain.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::load::median;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs both, one after the other, and prints the table.
pub(crate) fn bench(claw: &Path, scratch: &Path) -> Outcome<()> {
    let python = python()?;
    let own = std::env::current_exe()?.display().to_string();
    let (agent, policy) = (scratch.join("agent.py"), scratch.join("policy.yaml"));
    fs::write(&agent, AGENT)?;
    let venv = python.parent().and_then(Path::parent).ok_or("the interpreter has no directory")?;
    let read = format!("[/usr, /bin, /lib, /lib64, /etc/ssl, {}, {}]", venv.display(), scratch.display());
    fs::write(&policy, format!("version: 1\nfilesystem:\n  read: {read}\n"))?;
    let bare = "ip link set lo up && \"$0\" load model 8099 & exec \"$1\" \"$2\" http://127.0.0.1:8099/v1";
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (side, samples) in samples.iter_mut().enumerate() {
            let mut command = if side == 0 {
                let mut command = Command::new("unshare");
                // the kill is for the model, which outlives the agent
                command.args(["-Urnpf", "--kill-child", "--mount-proc", "sh", "-c", bare, &own]);
                command
            } else {
                let mut command = Command::new(claw);
                command.args(["observe", "--quiet", "--answer", "openai", "--policy"]).arg(&policy).arg("--");
                command
            };
            let begun = Instant::now();
            let output = command
                .arg(&python)
                .arg(&agent)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("XDG_STATE_HOME", scratch)
                .stdin(Stdio::null())
                .output()?;
            let took = begun.elapsed().as_secs_f64();
            if !String::from_utf8_lossy(&output.stdout).contains("called") {
                return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            // the first of each fills the caches
            if round > 0 {
                samples.push(took);
            }
        }
    }
    let [bare, observed] = samples.each_mut().map(|samples| median(samples));
    println!(
        "## Being observed\n\nMedian of {}, interleaved: LangChain is imported and calls a model.",
        ROUNDS - 1
    );
    println!("Target: at most 1.3 × bare.\n");
    println!("| run | median s | ratio |\n|---|---|---|");
    println!("| alone in an empty network, a model on loopback in plain HTTP | {bare:.3} | 1.00 |");
    println!("| `claw observe --answer openai`, over TLS | {observed:.3} | {:.2} |\n", observed / bare);
    Ok(())
}

/// A Python with LangChain, made once.
fn python() -> Outcome<PathBuf> {
    let venv = std::env::current_dir()?.join("target/observe-bench");
    if !venv.join("whole").exists() {
        let done = |command: &mut Command| match command.status()?.success() {
            true => Ok::<(), Box<dyn Error>>(()),
            false => Err(format!("{command:?} failed").into()),
        };
        done(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let wanted = "crates/cli/tests/observe/requirements.txt";
        done(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--requirement", wanted]))?;
        fs::write(venv.join("whole"), "")?;
    }
    Ok(venv.join("bin/python"))
}

/// A model on loopback: every request gets the same chat completion. Until killed.
pub(crate) fn model(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(&stream));
    }
    Ok(())
}

fn answer(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0usize;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length.min(1 << 20)])?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            SAID.len()
        );
        let mut writer = stream;
        writer.write_all(head.as_bytes())?;
        writer.write_all(SAID.as_bytes())?;
    }
}

const ROUNDS: usize = 12;
const SAID: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":0,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"This answer is made up.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":16,"total_tokens":17}}"#;
const AGENT: &str = r#"
import sys
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

base = sys.argv[1] if len(sys.argv) > 1 else None
model = ChatOpenAI(model="gpt-x", api_key="not-a-key", base_url=base, max_retries=5, timeout=20)
for _ in range(3):
    assert "made up" in model.invoke([HumanMessage("hi")]).content
print("called")
"#;
