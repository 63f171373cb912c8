//! Writes a ledger of so many records about so many hosts to standard output: `generate RECORDS HOSTS [SECONDS]`.
//!
//! For benchmarks and for looking at a page; the hosts and what is done with them are made up.

use std::io::{self, BufWriter, Write};

use claw_ledger::chain::Chain;
use claw_ledger::record::{Decision, Event, Process};
use jiff::{SignedDuration, Timestamp};

fn main() -> io::Result<()> {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let records = arguments.first().copied().unwrap_or(1_000);
    let hosts = arguments.get(1).copied().unwrap_or(20).max(1);
    let mut out = Writer {
        out: BufWriter::new(io::stdout().lock()),
        chain: Chain::new(),
        time: Timestamp::from_second(1_790_000_000).unwrap_or_default(),
    };
    out.write(&Event::Start {
        run: "generated".into(),
        agent: "research-assistant".into(),
        command: vec!["python3".into(), "-m".into(), "research_assistant".into()],
        policy_digest: "sha256:00".into(),
        claw_version: env!("CARGO_PKG_VERSION").into(),
        kernel: "6.18.0".into(),
        mode: Some("sink".into()),
        signed: None,
    })?;
    let mut round = 0_u64;
    while out.chain.seq() + 8 < records.max(9) {
        flow(&mut out, round, hosts)?;
        round += 1;
    }
    while out.chain.seq() + 1 < records {
        out.write(&lookup("nobody.example", Decision::Deny, 0))?;
    }
    out.write(&Event::Exit { code: 0 })?;
    out.out.flush()
}

/// What agents do: mostly the model, some telemetry, some packages, and many hosts now and then.
fn flow(out: &mut Writer<'_>, round: u64, hosts: u64) -> io::Result<()> {
    let known = KNOWN.len() as u64;
    let (host, port, requests) = match KNOWN.get(usize::try_from(round % hosts.max(1)).unwrap_or_default()) {
        Some((host, port, requests)) if round % hosts < known => ((*host).to_owned(), *port, *requests),
        _ => (format!("site-{}.example", round % hosts), 443, &["GET /index.html"][..]),
    };
    let refused = round % 11 == 7 || host == "169.254.169.254" || port == 22;
    let decision = if refused { Decision::Deny } else { Decision::Sink };
    out.write(&lookup(&host, Decision::Sink, round))?;
    let connection = out.write(&Event::Connect {
        destination: host.clone(),
        port,
        protocol: "TCP".into(),
        phase: "workload".into(),
        plane: None,
        decision,
        rule: None,
        reason: refused.then(|| "no-rule".into()),
        sentence: None,
        assurance: None,
        process: Some(process(round)),
    })?;
    if refused {
        return Ok(());
    }
    let mut sent = 0;
    for line in requests {
        let (method, path) = line.split_once(' ').unwrap_or(("GET", "/"));
        let bytes = 200 + (round * 7_919) % 60_000 / (1 + round % 7);
        sent += bytes + 400;
        out.write(&Event::Request {
            host: None,
            destination: host.clone(),
            port,
            method: method.into(),
            path: path.into(),
            phase: Some("workload".into()),
            plane: None,
            decision,
            rule: None,
            reason: None,
            sentence: None,
            connection: Some(connection),
            user_agent: Some("python-httpx/0.28.1".into()),
            credential: (port == 443).then(|| "bearer".into()),
            status: Some(503),
            bytes_out: Some(bytes),
            query: vec!["beta".into()],
            process: Some(process(round)),
        })?;
    }
    out.write(&Event::Close {
        destination: host,
        port,
        bytes_out: sent,
        bytes_in: 1_200 + (round * 104_729) % 90_000,
        duration_ms: 120,
        end: "end".into(),
        planes: Vec::new(),
        connection: Some(connection),
        application: Some("tls".into()),
        sni: None,
        alpn: Some("h2".into()),
        requests: Some(u64::try_from(requests.len()).unwrap_or_default()),
    })?;
    Ok(())
}

struct Writer<'a> {
    out: BufWriter<io::StdoutLock<'a>>,
    chain: Chain,
    time: Timestamp,
}

impl Writer<'_> {
    fn write(&mut self, event: &Event) -> io::Result<u64> {
        let mut line = Vec::with_capacity(512);
        let seq = self.chain.append(self.time, event, &mut line);
        self.time = self.time.checked_add(SignedDuration::from_millis(37)).unwrap_or(self.time);
        self.out.write_all(&line)?;
        Ok(seq)
    }
}

fn lookup(name: &str, decision: Decision, round: u64) -> Event {
    let reason = (decision == Decision::Deny).then(|| "no-rule".into());
    Event::Dns {
        name: name.into(),
        record_type: "A".into(),
        decision,
        rule: None,
        reason,
        process: Some(process(round)),
    }
}

fn process(round: u64) -> Process {
    let package = ["openai", "httpx", "posthog", "huggingface_hub"];
    let package = package.get(usize::try_from(round % 4).unwrap_or_default()).map(|name| (*name).to_owned());
    Process { pid: 7, exe: "/usr/bin/python3.12".into(), package, via: None }
}

const KNOWN: &[(&str, u16, &[&str])] = &[
    ("api.openai.com", 443, &["POST /v1/chat/completions", "POST /v1/embeddings", "POST /v1/traces/ingest"]),
    (
        "api.anthropic.com",
        443,
        &["POST /v1/messages", "POST /api/event_logging/v2/batch", "GET /api/claude_code/settings"],
    ),
    ("generativelanguage.googleapis.com", 443, &["POST /v1beta/models/gemini-2.5-flash:generateContent"]),
    ("project-7f3a.svc.pinecone.io", 443, &["POST /query", "POST /vectors/upsert"]),
    ("api.tavily.com", 443, &["POST /search"]),
    ("huggingface.co", 443, &["GET /gpt2/resolve/main/config.json", "GET /api/agent-harnesses"]),
    ("openaipublic.blob.core.windows.net", 443, &["GET /encodings/o200k_base.tiktoken"]),
    ("eu.i.posthog.com", 443, &["POST /batch/"]),
    ("telemetry.crewai.com", 4319, &["POST /v1/traces"]),
    ("raw.githubusercontent.com", 443, &["GET /BerriAI/litellm/main/model_prices_and_context_window.json"]),
    ("api.smith.langchain.com", 443, &["POST /runs/multipart"]),
    ("169.254.169.254", 80, &[]),
    ("github.com", 22, &[]),
    ("internal-wiki.example", 443, &["GET /pages/17", "GET /search"]),
];
