//! Benchmarks: both sides in one run, interleaved, medians and ratios. `cargo xtask bench` writes the tables of
//! BENCHMARKS.md to standard output.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::{self, Way, median};

mod lab;

use self::lab::{Lab, Relays, Squid};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Bench = fn(&Path) -> Outcome<()>;

/// Runs the named benchmarks, or all.
pub(crate) fn run(what: &[&str]) -> Outcome<()> {
    let claw = build()?;
    let all: &[(&str, Bench)] = &[
        ("start", start),
        ("gate", gate),
        ("connect", connect),
        ("peers", peers),
        ("change", change),
        ("memory", memory),
        ("decide", decide),
        ("diff", diff),
        ("verify", verify),
        ("files", files),
        ("observe", observe),
        ("firewall", firewall),
        ("host", host),
        ("commits", crate::commits::bench),
        ("footprint", footprint),
    ];
    for (name, bench) in all {
        // a row of another's table runs only when it is named
        if what.contains(name) || (what.is_empty() && *name != "connect") {
            bench(&claw)?;
        }
    }
    Ok(())
}

/// How long `claw host audit` takes, as who runs this and, if that is root, as a user who may read little.
fn host(claw: &Path) -> Outcome<()> {
    let claw = claw.display().to_string();
    let audit = [claw.as_str(), "host", "audit", "--json"];
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    let mut ways = vec![("as who runs this", audit.to_vec())];
    if fs::metadata("/proc/self")?.uid() == 0 {
        ways.push(("as user 65534", [nobody.as_slice(), audit.as_slice()].concat()));
    }
    println!("## The host audit\n\nMedian of 21 runs, milliseconds.\n");
    println!("| `claw host audit --json` | ms | longest | target |\n|---|---|---|---|");
    for (name, words) in ways {
        let [program, arguments @ ..] = words.as_slice() else { continue };
        let mut samples = Vec::new();
        for _ in 0..21 {
            let begun = Instant::now();
            let output = Command::new(program).args(arguments).env("HOME", "/nonexistent").output()?;
            samples.push(begun.elapsed().as_secs_f64() * 1e3);
            // findings are no failure of the benchmark, an unusable answer is
            if !matches!(output.status.code(), Some(0 | 1)) {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
        }
        let longest = samples.iter().copied().fold(0.0, f64::max);
        println!("| {name} | {:.0} | {longest:.0} | under 2,000 |", median(&mut samples));
    }
    println!();
    Ok(())
}

/// The clients and servers, for use inside a sandbox.
pub(crate) fn load(arguments: &[&str]) -> Outcome<()> {
    let way = |host: &str, proxy: &str| Way {
        host: host.to_owned(),
        proxy: (proxy != "-").then(|| proxy.to_owned()),
    };
    match arguments {
        ["serve"] => load::serve()?,
        ["relay", from, to] => load::relay(from.parse()?, to.parse()?)?,
        ["connect", host, proxy, port, times] => {
            println!("{}", load::connect(&way(host, proxy), port.parse()?, times.parse()?)?);
        }
        ["bulk", host, proxy, sink, source, streams, bytes] => {
            let (up, down) = load::bulk(
                &way(host, proxy),
                sink.parse()?,
                source.parse()?,
                streams.parse()?,
                bytes.parse()?,
            )?;
            println!("{up} {down}");
        }
        ["http", host, proxy, port, connections, seconds] => {
            println!(
                "{}",
                load::requests(&way(host, proxy), port.parse()?, connections.parse()?, seconds.parse()?)?
            );
        }
        ["hold", gone, kept, port, count] => load::hold(gone, kept, port.parse()?, count.parse()?)?,
        ["many", host, port, count] => {
            println!("{}", load::many(&way(host, "-"), port.parse()?, count.parse()?)?)
        }
        ["model", port] => crate::observe::model(port.parse()?)?,
        ["history", count] => crate::commits::make(count.parse()?)?,
        ["files", count] => println!("{}", load::files(count.parse()?)?),
        _ => {
            return Err(
                "load: serve | relay | connect | bulk | http | hold | many | model | history | files".into(),
            );
        }
    }
    Ok(())
}

/// The program that is measured: a release build, or `CLAW=PROGRAM`, which takes the place of one while work goes on.
fn build() -> Outcome<PathBuf> {
    if let Some(claw) = std::env::var_os("CLAW") {
        return Ok(fs::canonicalize(claw)?);
    }
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--quiet",
            "-p",
            "claw-cli",
            "-p",
            "xtask",
            "-p",
            "claw-policy",
            "-p",
            "claw-verify",
            "-p",
            "claw-footprint",
            "--examples",
            "--bins",
        ])
        .status()?;
    if !built.success() {
        return Err("the release build failed".into());
    }
    Ok(fs::canonicalize("target/release/claw")?)
}

/// Start-up: how long until `true` has run and everything is gone again.
fn start(claw: &Path) -> Outcome<()> {
    println!("## Start-up\n\nMedian of 100, interleaved. Target: at most 1.5 × bwrap.\n");
    start_as(claw, None)?;
    start_as(claw, Some(ORDINARY))
}

/// One table of it; `CLAW_BEFORE=PROGRAM` takes part too.
fn start_as(claw: &Path, user: Option<u32>) -> Outcome<()> {
    let state = Scratch::new("start")?;
    let mut programs = vec![("claw", claw.to_owned())];
    programs.extend(std::env::var_os("CLAW_BEFORE").map(|before| ("claw-before", before.into())));
    let mut commands: Vec<Vec<String>> =
        ["/bin/true", "unshare -Urnm true", "bwrap --unshare-all --ro-bind / / /bin/true"]
            .map(|command| command.split(' ').map(str::to_owned).collect())
            .into();
    for (name, from) in programs {
        // where every user reaches it
        let place = state.path.join(name);
        fs::copy(from, &place)?;
        let words = ["run", "--quiet", "--", "/bin/true"].map(str::to_owned);
        commands.push([place.display().to_string()].into_iter().chain(words).collect());
    }
    let home = state.path.join("home");
    fs::create_dir(&home)?;
    std::os::unix::fs::chown(&home, user, user)?;
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); commands.len()];
    for _ in 0..100 {
        for (command, samples) in commands.iter().zip(&mut samples) {
            let [program, arguments @ ..] = command.as_slice() else { continue };
            let mut run = Command::new(program);
            run.args(arguments).current_dir("/usr").env("HOME", &home).env("XDG_STATE_HOME", &home);
            run.stdout(Stdio::null()).stderr(Stdio::null());
            if let Some(user) = user {
                run.uid(user).gid(user);
            }
            let begun = Instant::now();
            let status = run.status()?;
            samples.push(begun.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("{program} failed: {status}").into());
            }
        }
    }
    let medians: Vec<f64> = samples.iter_mut().map(|samples| median(samples)).collect();
    let bwrap = medians.get(2).copied().unwrap_or(f64::NAN);
    let who = user.map_or_else(|| "root".to_owned(), |user| format!("user {user}"));
    println!("| as {who} | median ms | ratio to bwrap |\n|---|---|---|");
    for (command, median) in commands.iter().zip(&medians) {
        let name = command.join(" ").replace(&format!("{}/", state.path.display()), "");
        println!("| `{name}` | {median:.2} | {:.2} |", median / bwrap);
    }
    println!();
    Ok(())
}

/// The host's firewall: three zones with a thousand flows each, from the file to rules that were read back.
fn firewall(claw: &Path) -> Outcome<()> {
    let state = Scratch::new("firewall")?;
    let file = state.path.join("zones.yaml");
    fs::write(&file, zones(1_000))?;
    let claw = claw.display().to_string();
    let zones = file.display().to_string();
    let words = |what: &[&str]| -> Vec<String> {
        let mut words = ["-n", &claw, "host", "firewall", "--zones", &zones].map(str::to_owned).to_vec();
        words.extend(what.iter().map(|word| (*word).to_owned()));
        words
    };
    println!(
        "## Host firewall\n\nMedian of 11, in a network namespace of its own: 3 zones with 1,000 flows each.\n"
    );
    println!("| what | ms | target |\n|---|---|---|");
    for (name, what, target) in [
        ("read, checked and printed", vec!["--print"], ""),
        (
            "the same, loaded in one transaction, read back and compared",
            vec!["--apply", "--confirm-within", "0"],
            "under 1,000",
        ),
    ] {
        let mut samples = Vec::new();
        for _ in 0..11 {
            let begun = Instant::now();
            let status = Command::new("unshare")
                .args(words(&what))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            samples.push(begun.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("claw host firewall failed: {status}").into());
            }
        }
        println!("| {name} | {:.0} | {target} |", median(&mut samples));
    }
    println!();
    Ok(())
}

/// A zones file with so many flows in each zone, none like another.
fn zones(count: u32) -> String {
    let mut text = "version: 1\noutput: drop\nzones:\n".to_owned();
    for (zone, head, flow) in [
        ("management", "    networks: [10.0.0.0/8]\n", "direction: in, protocol: TCP, from: [10.NET.0/24]"),
        ("runtime", "", "direction: out, protocol: TCP, to: [193.NET.0/24]"),
        (
            "workload",
            "    networks: [172.16.0.0/12]\n",
            "direction: forward, protocol: UDP, to: [194.NET.0/24]",
        ),
    ] {
        text.push_str(&format!("  {zone}:\n{head}    flows:\n"));
        for index in 0..count {
            let flow = flow.replace("NET", &format!("{}.{}", index / 250, index % 250));
            text.push_str(&format!("      - {{{flow}, ports: {}, purpose: bench}}\n", index + 1));
        }
    }
    text
}

/// The gate: connect, bulk and HTTP against the same over plain loopback, and squid's CONNECT beside it.
fn gate(claw: &Path) -> Outcome<()> {
    let lab = Lab::new()?;
    let squid = Squid::start(&lab).ok();
    let rounds = 21;
    let relays = Relays::start(&lab)?;
    let mut table: Vec<(&str, f64, &str, [Vec<f64>; 6])> = vec![
        ("connect + first byte, p50 µs", 2.6, "at most", Default::default()),
        ("one stream up, MB/s", 0.5, "at least", Default::default()),
        ("one stream down, MB/s", 0.5, "at least", Default::default()),
        ("eight streams up, MB/s", 0.5, "at least", Default::default()),
        ("eight streams down, MB/s", 0.5, "at least", Default::default()),
        ("HTTP keep-alive, 1 connection, requests/s", 0.8, "at least", Default::default()),
        ("HTTP keep-alive, 32 connections, requests/s", 0.4, "at least", Default::default()),
    ];
    for _ in 0..rounds {
        for side in 0..6 {
            let Some(values) = lab.measure(claw, side, squid.as_ref(), &relays)? else { continue };
            for (row, value) in table.iter_mut().zip(values) {
                if let Some(samples) = row.3.get_mut(side) {
                    samples.push(value);
                }
            }
        }
    }
    println!(
        "## The gate\n\nMedian of {rounds} rounds; in each round direct loopback, claw's relay, claw's brokered path, claw with a rule\nthat names requests (HTTP only), squid's CONNECT and a bare relay take turns. The bare relay (`xtask load relay`) is the\nfloor for what relays in user space: one thread, no sandbox, no decision, no record. Ratios are to direct.\n"
    );
    println!(
        "| measure | direct | relay | ratio | target | brokered | ratio | HTTP rule | ratio | squid | ratio | bare relay | ratio |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for (name, target, bound, samples) in &mut table {
        let [direct, claw, squid, bare, brokered, http] = samples.each_mut().map(|samples| median(samples));
        let cell = |value: f64| match value > 0.0 {
            true => format!("{value:.0} | {:.2}", value / direct),
            false => "| ".to_owned(),
        };
        println!(
            "| {name} | {direct:.0} | {} | {bound} {target} | {} | {} | {} | {} |",
            cell(claw),
            cell(brokered),
            cell(http),
            cell(squid),
            cell(bare)
        );
    }
    println!();
    Ok(())
}

/// Its name, the program and policy that it runs in, and what it runs.
type Side<'a> = (String, Option<(&'a Path, &'a str)>, Vec<String>);

/// One row of the gate's table: connections that are made, and answered with a byte. `CLAW_BEFORE=PROGRAM` takes part too.
fn connect(claw: &Path) -> Outcome<()> {
    let lab = Lab::new()?;
    let relays = Relays::start(&lab)?;
    let echo = |ports: &[u16]| ports.first().map(ToString::to_string).ok_or("four ports");
    let (own, bare) = (echo(&lab.ports)?, echo(&relays.ports)?);
    let before = std::env::var_os("CLAW_BEFORE").map(PathBuf::from);
    let task = |host: &'static str, port: &str| -> Vec<String> {
        ["connect", host, "-", port, "300"].map(str::to_owned).to_vec()
    };
    let mut sides: Vec<Side<'_>> = vec![
        ("direct".into(), None, task("127.0.0.1", &own)),
        ("bare relay".into(), None, task("127.0.0.1", &bare)),
    ];
    for (name, claw) in [("", Some(claw)), (" before", before.as_deref())] {
        let Some(claw) = claw else { continue };
        for (way, policy) in [("relay", "policy.yaml"), ("brokered", "brokered.yaml")] {
            sides.push((format!("{way}{name}"), Some((claw, policy)), task("bench.test", &own)));
        }
    }
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); sides.len()];
    for _ in 0..21 {
        for ((_, inside, task), samples) in sides.iter().zip(&mut samples) {
            let task: Vec<&str> = task.iter().map(String::as_str).collect();
            let output = match inside {
                Some((claw, policy)) => lab.inside(claw, policy, &task)?,
                None => lab.outside(&task)?,
            };
            samples.push(output.trim().parse()?);
        }
    }
    let medians: Vec<f64> = samples.iter_mut().map(|samples| median(samples)).collect();
    let direct = medians.first().copied().unwrap_or(f64::NAN);
    println!("## Connect + first byte\n\nMedian of 21 rounds of 300, interleaved.\n");
    println!("| side | p50 µs | ratio to direct |\n|---|---|---|");
    for ((name, ..), median) in sides.iter().zip(&medians) {
        println!("| {name} | {median:.1} | {:.2} |", median / direct);
    }
    println!();
    Ok(())
}

/// What it costs to be observed.
fn observe(claw: &Path) -> Outcome<()> {
    let scratch = Scratch::new("observe")?;
    crate::observe::bench(claw, &scratch.path)
}

/// HTTP through claw and through others that read it.
fn peers(claw: &Path) -> Outcome<()> {
    println!("## HTTP beside peers\n");
    let status = Command::new("xtask/peers/peers.sh").arg(claw).status()?;
    println!();
    if status.success() { Ok(()) } else { Err(format!("peers.sh: {status}").into()) }
}

/// How long until a changed policy has closed half of 10,000 connections, seen from inside.
fn change(claw: &Path) -> Outcome<()> {
    let lab = Lab::new()?;
    let port = lab.ports.first().copied().unwrap_or_default();
    let rule = |host: &str| {
        format!(
            "    - {{destination: \"{host}:{port}\", plane: workload, purpose: bench, protocol: TCP, addresses: [127.0.0.1]}}\n"
        )
    };
    let head = "version: 1\nagent: bench\nnetwork_policy:\n  workload:\n";
    let (file, fresh) = (lab.scratch.path.join("change.yaml"), lab.scratch.path.join("change.new"));
    let mut samples = Vec::new();
    let mut open = String::new();
    for _ in 0..5 {
        fs::write(&file, format!("{head}{}{}", rule("gone.test"), rule("kept.test")))?;
        let mut child = Command::new(claw)
            .args([
                "run",
                "--quiet",
                "--policy",
                "change.yaml",
                "--",
                "./xtask",
                "load",
                "hold",
                "gone.test",
                "kept.test",
            ])
            .args([port.to_string(), "9800".to_owned()])
            .current_dir(&lab.scratch.path)
            .env("XDG_STATE_HOME", lab.scratch.path.join("state"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?);
        open.clear();
        lines.read_line(&mut open)?;
        fs::write(&fresh, format!("{head}{}", rule("kept.test")))?;
        let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        fs::rename(&fresh, &file)?;
        let mut end = String::new();
        lines.read_line(&mut end)?;
        child.wait()?;
        let numbers: Vec<u128> = end.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [at, answered, kept] = numbers.as_slice() else { return Err("three numbers".into()) };
        if answered != kept {
            return Err(format!("of {kept} permitted connections {answered} went on").into());
        }
        samples.push(at.saturating_sub(begun) as f64 / 1e6);
    }
    println!("## A changed policy\n\n| measure | value | target |\n|---|---|---|");
    println!(
        "| half of {} open connections closed, the other half going on, ms (median of 5) | {:.0} | under 100 |\n",
        open.trim(),
        median(&mut samples)
    );
    Ok(())
}

/// Memory of an idle sandbox, 1,000 sandboxes at once, and 10,000 connections.
fn memory(claw: &Path) -> Outcome<()> {
    let state = Scratch::new("memory")?;
    let start = |count: usize| -> Outcome<Vec<Child>> {
        (0..count)
            .map(|_| {
                Ok(Command::new(claw)
                    .args(["run", "--quiet", "--", "sleep", "600"])
                    .env("XDG_STATE_HOME", &state.path)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?)
            })
            .collect()
    };
    let mut one = start(1)?;
    std::thread::sleep(Duration::from_secs(1));
    let pss = one.iter().map(|child| pss_kib(child.id())).sum::<u64>();
    end(&mut one);
    let begun = Instant::now();
    let mut many = start(MANY)?;
    let runs = state.path.join("claw/runs");
    let standing = loop {
        let standing = count_applied(&runs);
        if standing > MANY || begun.elapsed() > Duration::from_secs(120) {
            break standing.saturating_sub(1);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let took = begun.elapsed().as_secs_f64();
    let total: u64 = many.iter().map(|child| pss_kib(child.id())).sum();
    let alive = many.iter_mut().map(|child| usize::from(matches!(child.try_wait(), Ok(None)))).sum::<usize>();
    end(&mut many);
    println!("## Memory and numbers\n\n| measure | value | target |\n|---|---|---|");
    println!(
        "| supervisor and gate of one idle sandbox, PSS | {:.1} MiB | at most 8 MiB |",
        pss as f64 / 1024.0
    );
    println!("| sandboxes at once | {standing} stood after {took:.1} s, {alive} alive | {MANY} |");
    println!(
        "| supervisor and gate, PSS each, with all of them | {:.1} MiB | at most 5 MiB |",
        total as f64 / 1024.0 / MANY as f64
    );
    let lab = Lab::new()?;
    let count = lab.inside(
        claw,
        "policy.yaml",
        &["many", "bench.test", &lab.ports.first().copied().unwrap_or_default().to_string(), "10000"],
    )?;
    println!(
        "| connections open at once, each answering (descriptor limit {}) | {} | 10,000, or the ceiling |\n",
        limit(),
        count.trim()
    );
    Ok(())
}

/// File system calls inside, against the same outside and in bubblewrap: nothing is asked for each of them.
fn files(claw: &Path) -> Outcome<()> {
    let lab = Lab::new()?;
    let own = lab.scratch.path.join("xtask");
    let own = own.display().to_string();
    fs::create_dir_all(lab.scratch.path.join("w"))?;
    fs::write(lab.scratch.path.join("files.yaml"), "version: 1\nfilesystem: {write: [./w]}\n")?;
    let here = lab.scratch.path.display().to_string();
    let bwrap =
        ["--unshare-all", "--ro-bind", "/", "/", "--bind", &here, &here, "--proc", "/proc", "--dev", "/dev"];
    let task = ["load", "files", "20000"];
    let mut samples: [[Vec<f64>; 4]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| Vec::new()));
    for _ in 0..21 {
        let outputs = [
            text(Command::new(&own).args(task).current_dir(&lab.scratch.path).output()?)?,
            text(
                Command::new("bwrap")
                    .args(bwrap)
                    .arg("--")
                    .arg(&own)
                    .args(task)
                    .current_dir(&lab.scratch.path)
                    .output()?,
            )?,
            lab.inside(claw, "files.yaml", task.get(1..).unwrap_or_default())?,
        ];
        for (output, samples) in outputs.iter().zip(&mut samples) {
            for (word, samples) in output.split_whitespace().zip(samples) {
                samples.push(word.parse()?);
            }
        }
    }
    println!("## File system calls\n\nMedian of 21 rounds, ns for each (ratio to direct).\n");
    println!("| call | direct | bwrap | claw |\n|---|---|---|---|");
    let names = [
        "`stat` of a shown file",
        "`open`, `read`, `close` of it",
        "the same of a file that may be written",
        "make and remove a file",
    ];
    let medians: Vec<Vec<f64>> = samples
        .iter_mut()
        .map(|samples| samples.iter_mut().map(|samples| median(samples)).collect())
        .collect();
    for (at, name) in names.iter().enumerate() {
        let of = |which: usize| medians.get(which).and_then(|all| all.get(at)).copied().unwrap_or(f64::NAN);
        let ratio = |which| of(which) / of(0);
        println!(
            "| {name} | {:.0} | {:.0} ({:.2}) | {:.0} ({:.2}) |",
            of(0),
            of(1),
            ratio(1),
            of(2),
            ratio(2)
        );
    }
    println!();
    Ok(())
}

/// Whoever may nothing.
const ORDINARY: u32 = 65_534;
/// Sandboxes at once.
const MANY: usize = 1_000;

/// `decide` and loading, from the example of the policy crate.
fn decide(_claw: &Path) -> Outcome<()> {
    let output = Command::new("target/release/examples/scale").output()?;
    println!(
        "## Decisions\n\nTarget: under 1 µs at 100,000 rules; loading 100,000 rules under 1 s.\n\n```json"
    );
    println!("{}\n```\n", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// `claw policy diff` as a library, from the example of the policy crate.
fn diff(_claw: &Path) -> Outcome<()> {
    let output = Command::new("target/release/examples/differ").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    println!("## Comparing policies\n\nTarget: 10,000 rules against 10,000 under 50 ms.\n\n```json");
    println!("{}\n```\n", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// Verifying a bundle beside the signatures in it, from the example of the verify crate.
fn verify(_claw: &Path) -> Outcome<()> {
    let output = Command::new("target/release/examples/bundles").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    println!(
        "## Verifying a bundle\n\nTarget: at most 2 times the bare signatures in it; 1,000 bundles per second and core.\n\n```json"
    );
    println!("{}\n```\n", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// A directory that is removed at the end.
struct Scratch {
    path: PathBuf,
}

/// A report of a million records: how long, and how much memory.
fn footprint(claw: &Path) -> Outcome<()> {
    let scratch = Scratch::new("footprint")?;
    println!("## A footprint of 1,000,000 records (`cargo xtask bench footprint`)\n");
    println!("| different hosts | ledger, MB | seconds | peak memory, MiB | target |\n|---|---|---|---|---|");
    for hosts in ["14", "1000", "15000"] {
        let ledger = scratch.path.join("ledger.jsonl");
        let made = Command::new("target/release/examples/generate")
            .args(["1000000", hosts])
            .stdout(fs::File::create(&ledger)?)
            .status()?;
        if !made.success() {
            return Err("the ledger could not be made".into());
        }
        let mut seconds = Vec::new();
        let mut peak = 0;
        for _ in 0..3 {
            let begun = Instant::now();
            let mut child = Command::new(claw)
                .args(["footprint", "report", "--json"])
                .arg(&ledger)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            while child.try_wait()?.is_none() {
                peak = peak.max(peak_kib(child.id()));
                std::thread::sleep(Duration::from_millis(10));
            }
            seconds.push(begun.elapsed().as_secs_f64());
        }
        let size = fs::metadata(&ledger)?.len() / 1_000_000;
        println!("| {hosts} | {size} | {:.2} | {} | under 5 s, 300 MiB |", median(&mut seconds), peak / 1024);
    }
    Ok(())
}

/// The most memory a process had so far, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

impl Scratch {
    fn new(name: &str) -> Outcome<Scratch> {
        let path = std::env::temp_dir().join(format!("claw-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn text(output: std::process::Output) -> Outcome<String> {
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

fn end(children: &mut [Child]) {
    for child in children.iter_mut() {
        let _ = child.kill();
    }
    for child in children.iter_mut() {
        let _ = child.wait();
    }
}

fn pss_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

fn count_applied(runs: &Path) -> usize {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries
        .filter(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("\"applied\"")))
        .count()
}

fn limit() -> String {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(4).unwrap_or_default().to_owned()
}
