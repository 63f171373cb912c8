//! `cargo xtask footprints [ID…]`: installs real frameworks, pinned, and runs each under `claw observe`, so that not one
//! byte leaves; writes its report and the policy that is suggested into `docs/footprints`; then runs it under that policy
//! with `claw run`, in a lab whose servers play the model, and says whether anything but telemetry was refused.
//!
//! Installing needs package registries; everything else happens in sandboxes and labs. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use claw_gate::Answers;
use claw_testkit::{Authority, Lab, User, once, playing};
use serde::Deserialize;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    framework: Vec<Framework>,
    #[serde(default)]
    absent: Vec<Absent>,
}

/// Something that the catalogue knows of a framework and that was not found again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absent {
    framework: String,
    what: Vec<String>,
    why: String,
}

/// One framework, and how it is run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Framework {
    id: String,
    title: String,
    /// Its names in the catalogue.
    #[expect(dead_code, reason = "for the test that compares the reports with the catalogue")]
    catalogue: Vec<String>,
    #[serde(default)]
    pypi: Vec<String>,
    #[serde(default)]
    npm: Vec<String>,
    /// Scripts of the packages run when they are installed; otherwise none does.
    #[serde(default)]
    scripts: bool,
    run: Vec<String>,
    /// The code it ends with.
    #[serde(default)]
    ends: i32,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
}

/// What is known of it at the end.
struct Row {
    framework: Framework,
    reached: Vec<String>,
    left_out: Vec<String>,
    loop_closed: Result<BTreeSet<String>, String>,
}

/// Runs the named ones, or all; the index is written when all were run.
pub(crate) fn run(ids: &[&str]) -> Outcome<()> {
    let list: List = toml::from_str(&fs::read_to_string("footprints/frameworks.toml")?)?;
    if let Some(id) = ids.iter().find(|id| list.framework.iter().all(|own| own.id != **id)) {
        return Err(format!("there is no `{id}` in footprints/frameworks.toml").into());
    }
    step(Command::new("cargo").args(["build", "--quiet", "-p", "claw-cli"]))?;
    let claw = fs::canonicalize("target/debug/claw")?;
    fs::create_dir_all(DOCS)?;
    let mut rows = Vec::new();
    for framework in list.framework {
        if !ids.is_empty() && !ids.contains(&framework.id.as_str()) {
            continue;
        }
        eprintln!("xtask: {}", framework.title);
        rows.push(one(&claw, framework)?);
    }
    for row in &rows {
        let end = match &row.loop_closed {
            Ok(denied) if denied.is_empty() => "nothing was refused".to_owned(),
            Ok(denied) => format!("refused, and telemetry: {}", listed(denied)),
            Err(why) => format!("NOT CLOSED: {why}"),
        };
        eprintln!("xtask: {}: {end}", row.framework.id);
    }
    if ids.is_empty() {
        fs::write(Path::new(DOCS).join("README.md"), index(&rows, &list.absent))?;
    }
    match rows.iter().find(|row| row.loop_closed.is_err()) {
        Some(row) => Err(format!("{}: its own policy does not suffice", row.framework.id).into()),
        None => Ok(()),
    }
}

fn one(claw: &Path, framework: Framework) -> Outcome<Row> {
    let place = install(&framework)?;
    let ledger = place.join("observed.jsonl");
    let _ = fs::remove_file(&ledger);
    let command = command(&framework);
    let observed = Command::new(claw)
        .args(["observe", "--quiet", "--answer", "all", "--ledger", "observed.jsonl", "--"])
        .args(&command)
        .current_dir(&place)
        .env("XDG_STATE_HOME", place.join("state"))
        .stdin(Stdio::null())
        .stdout(fs::File::create(place.join("output"))?)
        .stderr(fs::File::create(place.join("errors"))?)
        .status()?;
    let told = |arguments: &[&str]| -> Outcome<String> {
        let output = Command::new(claw).args(arguments).current_dir(&place).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let report = told(&["footprint", "report", "--markdown", "observed.jsonl"])?;
    let policy = told(&["footprint", "suggest", "observed.jsonl"])?;
    let docs = Path::new(DOCS);
    fs::write(docs.join(format!("{}.md", framework.id)), page(&framework, &report))?;
    fs::write(docs.join(format!("{}.yaml", framework.id)), &policy)?;
    let (reached, left_out) = (destinations(&policy), left_out(&policy));
    let loop_closed = match observed.code() {
        Some(code) if code == framework.ends => {
            closes(claw, &place, (&policy, &left_out), (&command, framework.ends))
        }
        code => Err(format!("the observed run itself ended with {code:?}; see its `errors`")),
    };
    Ok(Row { framework, reached, left_out, loop_closed })
}

/// A directory with the programs and the framework in it; what was installed before is kept.
fn install(framework: &Framework) -> Outcome<PathBuf> {
    let place = fs::canonicalize(".")?.join("target/footprints").join(&framework.id);
    fs::create_dir_all(&place)?;
    for entry in fs::read_dir("footprints/programs")? {
        let path = entry?.path();
        let name = path.file_name().ok_or("a program without a name")?;
        fs::copy(&path, place.join(name))?;
    }
    let wanted = format!("{:?} {:?}", framework.pypi, framework.npm);
    let mark = place.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(place);
    }
    if !framework.pypi.is_empty() {
        step(Command::new("/usr/bin/python3").args(["-m", "venv", "env"]).current_dir(&place))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        step(Command::new(place.join("env/bin/python")).args(pip).args(&framework.pypi).current_dir(&place))?;
    }
    if !framework.npm.is_empty() {
        fs::write(place.join("package.json"), "{}\n")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund"]).args(&framework.npm).current_dir(&place);
        if !framework.scripts {
            npm.arg("--ignore-scripts");
        }
        // a Node of its own comes from PyPI; npm is the machine's
        let own = framework.run.iter().find(|word| word.ends_with("/node"));
        if let Some(node) = own.map(|word| place.join(word)) {
            let own = place.join("node");
            fs::create_dir_all(&own)?;
            let _ = fs::remove_file(own.join("node"));
            symlink(node, own.join("node"))?;
            let path = std::env::var("PATH").unwrap_or_default();
            npm.env("PATH", format!("{}:{path}", own.display()));
        }
        step(&mut npm)?;
    }
    fs::write(mark, wanted)?;
    Ok(place)
}

/// Keys are made up, and are set by the command, so that the suggested policy is used as it is.
fn command(framework: &Framework) -> Vec<String> {
    let set = framework.env.iter().map(|(name, value)| format!("{name}={value}"));
    ["env".to_owned()].into_iter().chain(set).chain(framework.run.iter().cloned()).collect()
}

/// Runs it again under its own policy, among servers that play the model. What was refused, if all of it is telemetry.
fn closes(
    claw: &Path,
    place: &Path,
    (policy, left_out): (&str, &[String]),
    (command, ends): (&[String], i32),
) -> Result<BTreeSet<String>, String> {
    let again = Again {
        place: place.to_owned(),
        policy: policy.to_owned(),
        command: command.to_vec(),
        destinations: destinations(policy),
    };
    if let Ok(mut next) = AGAIN.lock() {
        *next = Some(again);
    }
    let program = claw.to_string_lossy().into_owned();
    // a lab stops at the first surprise; here that is an answer
    let stopped = std::panic::catch_unwind(|| once(&program, User::Root, in_the_lab)).is_err();
    if stopped {
        return Err("it did not end in time, or the lab could not be made".to_owned());
    }
    let ended = AGAIN.lock().ok().and_then(|mut next| next.take()).ok_or("no lab")?;
    let (code, denied, errors) =
        ENDED.lock().ok().and_then(|mut ended| ended.take()).ok_or("the lab said nothing")?;
    drop(ended);
    let foreign: BTreeSet<String> =
        denied.iter().filter(|host| !left_out.iter().any(|known| known == *host)).cloned().collect();
    if !foreign.is_empty() {
        return Err(format!("refused, and no telemetry: {}", listed(&foreign)));
    }
    if code != ends {
        return Err(format!("it ended with {code}: {errors}"));
    }
    Ok(denied)
}

struct Again {
    place: PathBuf,
    policy: String,
    command: Vec<String>,
    destinations: Vec<String>,
}

/// A lab's test takes no values of its own.
static AGAIN: Mutex<Option<Again>> = Mutex::new(None);
static ENDED: Mutex<Option<(i32, BTreeSet<String>, String)>> = Mutex::new(None);

fn in_the_lab(lab: &Lab) {
    let Ok(again) = AGAIN.lock() else { return };
    let Some(again) = again.as_ref() else { return };
    let authority = Authority::new();
    let trusted = lab.write("roots.pem", &authority.pem());
    let split = |destination: &String| -> Option<(String, u16)> {
        let (host, port) = destination.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    let all: Vec<(String, u16)> = again.destinations.iter().filter_map(split).collect();
    let names: BTreeSet<&str> = all.iter().map(|(host, _)| host.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let ports: BTreeSet<u16> = all.iter().map(|(_, port)| *port).collect();
    lab.hosts(&names.iter().map(|name| format!("{} {name}\n", Lab::PUBLIC)).collect::<String>());
    let _servers: Vec<_> =
        ports.iter().map(|port| playing(Lab::PUBLIC, *port, &authority, &names, play)).collect();
    lab.write("policy.yaml", &again.policy);
    let words: Vec<&str> = again.command.iter().map(String::as_str).collect();
    let claw = lab.claw().variable("SSL_CERT_FILE", &trusted.to_string_lossy());
    let run = claw.at(again.place.clone()).within(300).command(&words);
    let denied = |record: &&serde_json::Value| record.get("decision").is_some_and(|said| said == "deny");
    let destination = |record: &serde_json::Value| -> Option<String> {
        let name = record.get("destination").or_else(|| record.get("name"))?.as_str()?;
        let port = record.get("port").and_then(serde_json::Value::as_u64).unwrap_or(443);
        Some(format!("{name}:{port}"))
    };
    let denied: BTreeSet<String> = run.records.iter().filter(denied).filter_map(destination).collect();
    let errors = run.stderr.lines().rev().take(6).collect::<Vec<_>>().join(" / ");
    if let Ok(mut ended) = ENDED.lock() {
        *ended = Some((run.code, denied, errors));
    }
}

/// What the lab's servers say: the parts that an observed run plays too, and what it says to everything else.
fn play(head: &http::request::Parts, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let all: Answers = "all".parse().unwrap_or_default();
    let moment = (MADE_UP_TIME, NUMBER.fetch_add(1, Ordering::Relaxed));
    let nothing = || (503, "application/json", br#"{"error":"nobody is here"}"#.to_vec());
    all.play(head, body, moment).unwrap_or_else(nothing)
}

/// The destinations of a policy's rules, each once.
fn destinations(policy: &str) -> Vec<String> {
    let lines = policy.lines().filter_map(|line| line.trim().strip_prefix("- destination: "));
    let all: BTreeSet<String> = lines.map(|line| line.trim_matches('"').to_owned()).collect();
    all.into_iter().collect()
}

/// What a suggestion says that it left out.
fn left_out(policy: &str) -> Vec<String> {
    let lines = policy.lines().skip_while(|line| *line != "# Left out:").skip(1);
    let hosts = lines.filter_map(|line| line.strip_prefix("# - ")).filter_map(|line| line.split(": ").next());
    let all: BTreeSet<String> = hosts.map(str::to_owned).collect();
    all.into_iter().collect()
}

fn page(framework: &Framework, report: &str) -> String {
    let packages: Vec<&str> = framework.pypi.iter().chain(&framework.npm).map(String::as_str).collect();
    format!(
        "# {}\n\nWhat `{}` reached for, observed with `cargo xtask footprints {}`: not one byte left, and a model was \
         played. The policy that is suggested from it: [{}.yaml]({}.yaml).\n\n{}\n",
        framework.title,
        packages.join("`, `"),
        framework.id,
        framework.id,
        framework.id,
        report.trim_start_matches("# Network footprint").trim()
    )
}

fn index(rows: &[Row], absent: &[Absent]) -> String {
    let mut text = "# Footprints of real frameworks\n\nEach was installed from PyPI or npm, pinned, and observed with one short task; not \
                    one byte left. Then it ran again under the policy that was suggested, unchanged. `cargo xtask footprints` does all \
                    of it anew; [footprints/](../../footprints) has the programs and versions.\n\n\
                    | framework | needs | telemetry, left out | under its own policy |\n|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let id = &row.framework.id;
        let hosts = |hosts: &[String]| match hosts {
            [] => "none".to_owned(),
            hosts => hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", "),
        };
        let end = match &row.loop_closed {
            Ok(denied) if denied.is_empty() => "finishes, nothing refused".to_owned(),
            Ok(denied) => format!("finishes; refused: {}", listed(denied)),
            Err(why) => format!("does not close: {why}"),
        };
        text.push_str(&format!(
            "| [{}]({id}.md) | {} | {} | {end} |\n",
            row.framework.title,
            hosts(&row.reached),
            hosts(&row.left_out)
        ));
    }
    text.push_str(
        "\n## Known, and not found again\n\nWhat the [catalogue](../../catalog/README.md) knows of these frameworks, from other \
         versions and other ways to run them, was found again in these runs, but for this. A test compares both. With a base URL of \
         your own the same is asked of that host; the model is the one that the command names; what a library asks is listed with the \
         library: smolagents with a model of the hub asks what `huggingface_hub` does in [langchain-local.md](langchain-local.md).\n\n\
         | framework | what | why not here |\n|---|---|---|\n",
    );
    for Absent { framework, what, why } in absent {
        let what: Vec<String> = what.iter().map(|what| format!("`{what}`")).collect();
        text.push_str(&format!("| {framework} | {} | {why} |\n", what.join(", ")));
    }
    text
}

fn listed(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ")
}

fn step(command: &mut Command) -> Outcome<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

const DOCS: &str = "docs/footprints";
const MADE_UP_TIME: i64 = 1_800_000_000;
