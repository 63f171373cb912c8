//! What the gate is measured against: servers, relays and a proxy on loopback.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Outcome, Scratch, end, text};

/// Servers on loopback, a policy that names them, and the client in a directory that is visible inside.
pub(super) struct Lab {
    pub(super) scratch: Scratch,
    server: Child,
    pub(super) ports: Vec<u16>,
}

impl Lab {
    pub(super) fn new() -> Outcome<Lab> {
        let scratch = Scratch::new("gate")?;
        fs::copy(std::env::current_exe()?, scratch.path.join("xtask"))?;
        let mut server =
            Command::new(std::env::current_exe()?).args(["load", "serve"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = server.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let ports = line.split_whitespace().map(str::parse).collect::<Result<Vec<u16>, _>>()?;
        let mut policy = "version: 1\nagent: bench\nnetwork_policy:\n  workload:\n".to_owned();
        for port in &ports {
            policy.push_str(&format!(
                "    - {{destination: \"bench.test:{port}\", plane: workload, purpose: bench, protocol: TCP, addresses: [127.0.0.1]}}\n"
            ));
        }
        fs::write(
            scratch.path.join("brokered.yaml"),
            policy.replace("protocol: TCP,", "protocol: TCP, path: brokered,"),
        )?;
        fs::write(
            scratch.path.join("http.yaml"),
            policy.replace("protocol: TCP,", "protocol: TCP/HTTP, http: [\"GET /**\"],"),
        )?;
        fs::write(scratch.path.join("policy.yaml"), policy)?;
        Ok(Lab { scratch, server, ports })
    }

    /// One round of one side: 0 direct, 1 claw's relay, 2 squid, 3 the bare relay, 4 claw brokered, 5 claw reading HTTP.
    pub(super) fn measure(
        &self,
        claw: &Path,
        side: usize,
        squid: Option<&Squid>,
        relays: &Relays,
    ) -> Outcome<Option<Vec<f64>>> {
        let ports = if side == 3 { &relays.ports } else { &self.ports };
        let [echo, sink, source, http] = ports.as_slice() else { return Err("four ports".into()) };
        let (host, proxy) = match (side, squid) {
            (0 | 3, _) => ("127.0.0.1", "-".to_owned()),
            (1 | 4 | 5, _) => ("bench.test", "-".to_owned()),
            (_, Some(squid)) => ("127.0.0.1", format!("127.0.0.1:{}", squid.port)),
            _ => return Ok(None),
        };
        let [echo, sink, source, http] = [echo, sink, source, http].map(ToString::to_string);
        let times = if side == 2 { "100" } else { "300" };
        let size = (256u64 << 20).to_string();
        let eighth = (64u64 << 20).to_string();
        let tasks: [Vec<&str>; 5] = [
            vec!["connect", host, &proxy, &echo, times],
            vec!["bulk", host, &proxy, &sink, &source, "1", &size],
            vec!["bulk", host, &proxy, &sink, &source, "8", &eighth],
            vec!["http", host, &proxy, &http, "1", "0.3"],
            vec!["http", host, &proxy, &http, "32", "0.5"],
        ];
        let mut values = Vec::new();
        for task in &tasks {
            // a rule that names requests carries nothing else
            let policy = match side {
                1 => "policy.yaml",
                4 => "brokered.yaml",
                _ => "http.yaml",
            };
            if side == 5 && task.first() != Some(&"http") {
                values.extend(if task.first() == Some(&"bulk") { vec![f64::NAN; 2] } else { vec![f64::NAN] });
                continue;
            }
            let inside = matches!(side, 1 | 4 | 5);
            let output = if inside { self.inside(claw, policy, task)? } else { self.outside(task)? };
            values.extend(output.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Some(values))
    }

    pub(super) fn outside(&self, task: &[&str]) -> Outcome<String> {
        let output = Command::new(self.scratch.path.join("xtask")).arg("load").args(task).output()?;
        text(output)
    }

    pub(super) fn inside(&self, claw: &Path, policy: &str, task: &[&str]) -> Outcome<String> {
        let output = Command::new(claw)
            .args(["run", "--quiet", "--policy", policy, "--", "./xtask", "load"])
            .args(task)
            .current_dir(&self.scratch.path)
            .env("XDG_STATE_HOME", self.scratch.path.join("state"))
            .output()?;
        text(output)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A bare relay before each server.
pub(super) struct Relays {
    processes: Vec<Child>,
    pub(super) ports: Vec<u16>,
}

impl Relays {
    pub(super) fn start(lab: &Lab) -> Outcome<Relays> {
        let mut relays = Relays { processes: Vec::new(), ports: Vec::new() };
        for port in &lab.ports {
            let own = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let arguments = ["load", "relay", &own.to_string(), &port.to_string()];
            relays.processes.push(Command::new(std::env::current_exe()?).args(arguments).spawn()?);
            relays.ports.push(own);
        }
        std::thread::sleep(Duration::from_millis(300));
        Ok(relays)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        end(&mut self.processes);
    }
}

/// A squid with one worker and no cache, on a port of its own.
pub(super) struct Squid {
    process: Child,
    port: u16,
}

impl Squid {
    pub(super) fn start(lab: &Lab) -> Outcome<Squid> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = lab.scratch.path.join("squid");
        fs::create_dir_all(&directory)?;
        // as root, squid becomes another user before it writes its log
        fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        let home = directory.display();
        let configuration = format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\ncache_mem 8 MB\nmemory_cache_shared off\npid_filename none\naccess_log none\ncache_log {home}/cache.log\ncache_store_log none\ncoredump_dir {home}\nshutdown_lifetime 0 seconds\nlogfile_rotate 0\n"
        );
        let file = directory.join("squid.conf");
        fs::write(&file, configuration)?;
        let process = Command::new("squid")
            .args(["-N", "-n", &format!("bench{port}"), "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let squid = Squid { process, port };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(squid);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("squid does not listen".into())
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
