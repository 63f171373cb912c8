//! A machine of its own: Debian's kernel under QEMU, without hardware help, with a small disk that the test made.
//!
//! It has what a kernel of a container host has and the machine that tests may lack: AppArmor, IMA, loadable modules.
//! It needs these Debian packages: apparmor, busybox-static, e2fsprogs, gcc, libc6-dev, qemu-system-x86, xz-utils. The kernel's own package is
//! fetched with apt and unpacked below the target directory, once. What cannot be had stops the test and is named.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpio;

/// A machine that is being prepared.
#[derive(Debug)]
pub struct Machine {
    place: PathBuf,
    kernel: Kernel,
}

/// What a machine printed, line by line, from its script's beginning to its end.
#[derive(Debug)]
pub struct Printed {
    /// The lines.
    pub lines: Vec<String>,
    /// How long it took from power on to power off.
    pub took: Duration,
}

impl Machine {
    /// A disk with busybox, the loader of AppArmor's profiles, and this program at `/usr/bin/claw`.
    pub fn with(program: &str) -> Machine {
        let kernel = Kernel::get();
        let number = MACHINES.fetch_add(1, Ordering::Relaxed);
        let place = std::env::temp_dir().join(format!("claw-vm-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        let machine = Machine { place, kernel };
        for directory in [
            "bin", "sbin", "usr/bin", "etc", "proc", "sys", "dev", "tmp", "root", "mnt", "run", "modules",
            "home", "opt",
        ] {
            fs::create_dir_all(machine.inside(directory)).unwrap();
        }
        fs::set_permissions(machine.inside("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        machine.copy("/bin/busybox", "/bin/busybox");
        for name in APPLETS {
            symlink("busybox", machine.inside("bin").join(name)).unwrap();
        }
        machine.program("/sbin/apparmor_parser", "/sbin/apparmor_parser");
        run(Command::new("cp").args(["-r", "/etc/apparmor.d"]).arg(machine.inside("etc")), "apparmor");
        // without its lines, which nobody reads there
        let bare = machine.inside("usr/bin/claw");
        run(Command::new("strip").args(["--strip-debug", "-o"]).arg(&bare).arg(program), "binutils");
        machine.libraries(program);
        machine.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n");
        machine.write("/etc/group", "root:x:0:\nagent:x:1000:\n");
        machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        machine.write("/etc/hosts", "127.0.0.1 localhost\n");
        let order = machine.kernel.modules(MODULES, &machine.inside("modules"));
        machine.write("/modules/order", &order.join("\n"));
        machine.write("/sbin/init", INIT);
        machine.executable("/sbin/init");
        machine
    }

    /// Writes a file of the disk.
    pub fn write(&self, path: &str, content: &str) {
        let place = self.inside(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    /// Makes a file of the disk executable.
    pub fn executable(&self, path: &str) {
        fs::set_permissions(self.inside(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Compiles a C program onto the disk; it needs no library there.
    pub fn compile(&self, path: &str, source: &str) {
        let file = self.place.join("source.c");
        fs::write(&file, source).unwrap();
        run(
            Command::new("gcc").args(["-O1", "-w", "-static", "-o"]).arg(self.inside(path)).arg(&file),
            "gcc, libc6-dev",
        );
    }

    /// Copies a file of this machine onto the disk.
    pub fn copy(&self, from: &str, to: &str) {
        let place = self.inside(to);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(from, place).unwrap_or_else(|error| panic!("cannot copy {from}: {error}"));
    }

    /// Copies a program of this machine and its libraries onto the disk.
    pub fn program(&self, from: &str, to: &str) {
        self.copy(from, to);
        self.libraries(from);
    }

    /// Starts the machine, runs the script as root, and waits until it is off. `parameters` are for the kernel.
    pub fn boot(&self, parameters: &str, script: &str, within: Duration) -> Printed {
        self.write("/script", script);
        let (disk, ram) = (self.place.join("disk"), self.place.join("initramfs"));
        let mut make = Command::new("mke2fs");
        make.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d"]).arg(self.inside(""));
        run(make.arg(&disk).arg("128M"), "e2fsprogs");
        fs::write(&ram, self.initramfs()).unwrap();
        let drive = format!("file={},format=raw,if=none,id=disk,cache=unsafe", disk.display());
        let line = format!("console=ttyS0 panic=-1 quiet {parameters}");
        let mut machine = Command::new("qemu-system-x86_64");
        machine.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio"]);
        // QEMU 7.2 emulates cmpxchg16b wrongly now and then, and the kernel's allocator falls over it
        machine.args(["-machine", "q35", "-accel", "tcg", "-cpu", "max,-cx16", "-smp", "1", "-m", "1024"]);
        machine.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(&ram);
        machine.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk", "-append", &line]);
        machine.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let begun = Instant::now();
        let mut child = machine.spawn().unwrap_or_else(|error| {
            panic!("cannot start qemu-system-x86_64 (Debian package qemu-system-x86): {error}")
        });
        let mut stream = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).replace('\r', "")
        });
        let mut late = false;
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > within {
                late = true;
                let _ = child.kill();
            }
            thread::sleep(Duration::from_millis(20));
        }
        let (console, took) = (reader.join().unwrap(), begun.elapsed());
        assert!(!late, "the virtual machine was not done within {within:?}; its console:\n{console}");
        let lines =
            console.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(lines, _)| lines);
        let lines = lines.unwrap_or_else(|| panic!("the script did not end; the console:\n{console}"));
        Printed { lines: lines.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect(), took }
    }

    /// What the kernel starts with: enough to find the disk.
    fn initramfs(&self) -> Vec<u8> {
        let modules = self.place.join("early");
        fs::create_dir_all(&modules).unwrap();
        let order = self.kernel.modules(&["virtio_blk", "virtio_pci", "ext4"], &modules);
        let mut script = "#!/bin/busybox sh\n".to_owned();
        let mut archive = cpio::Archive::default();
        for name in ["bin", "dev", "new", "modules"] {
            archive.directory(name);
        }
        for name in order {
            script.push_str(&format!("/bin/busybox insmod /modules/{name}.ko\n"));
            archive.file(
                &format!("modules/{name}.ko"),
                0o644,
                &fs::read(modules.join(format!("{name}.ko"))).unwrap(),
            );
        }
        script.push_str(EARLY);
        archive.file("bin/busybox", 0o755, &fs::read("/bin/busybox").unwrap());
        archive.file("init", 0o755, script.as_bytes());
        archive.end()
    }

    fn libraries(&self, program: &str) {
        for library in libraries(program) {
            self.copy(&library, &library);
            self.executable(&library);
        }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.place.join("root").join(path.trim_start_matches('/'))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

impl Printed {
    /// The line of this name, `NAME: VALUE`.
    pub fn value(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let mut found = self.lines.iter().filter_map(|line| line.strip_prefix(&start));
        found.next().unwrap_or_else(|| panic!("no line `{name}` in {self:#?}"))
    }

    /// All lines of this name that hold the words.
    pub fn says(&self, name: &str, words: &str) -> bool {
        let start = format!("{name}: ");
        self.lines.iter().any(|line| line.starts_with(&start) && line.contains(words))
    }
}

static FETCHING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Debian's kernel, unpacked.
#[derive(Debug)]
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The newest that apt has for this release. Debian 12's own (6.1) has Landlock ABI 2, which Claw refuses: there it is the one of
    /// its backports.
    fn get() -> Kernel {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/vm");
        let place = place.canonicalize().unwrap_or(place);
        let there = place.join("kernel");
        {
            // one test fetches it, the others wait
            let _alone = FETCHING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !there.is_dir() {
                fetch(&place);
            }
        }
        let boot = there.join("boot");
        let mut images = fs::read_dir(&boot).into_iter().flatten().flatten().map(|entry| entry.path());
        let image = images.find(|path| path.to_string_lossy().contains("/vmlinuz-"));
        let image = image.unwrap_or_else(|| {
            panic!("no kernel in {}: remove {} and try again", boot.display(), place.display())
        });
        Kernel { image, modules: there.join("lib/modules") }
    }

    /// Unpacks modules and those that they need into a directory; returns the order to load them in.
    fn modules(&self, names: &[&str], into: &Path) -> Vec<String> {
        let all = walk(&self.modules);
        let mut order = Vec::new();
        for name in names {
            module(&all, name, into, &mut order);
        }
        order
    }
}

/// One module, after those that it needs. One that is built into the kernel is not there.
fn module(all: &[PathBuf], name: &str, into: &Path, order: &mut Vec<String>) {
    let is = |path: &&PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        file == format!("{name}.ko") || file == format!("{name}.ko.xz")
    };
    let Some(path) = all.iter().find(is) else { return };
    if order.iter().any(|known| known == name) {
        return;
    }
    let bytes = if path.to_string_lossy().ends_with(".xz") {
        Command::new("xz").arg("-dc").arg(path).output().expect("xz (xz-utils)").stdout
    } else {
        fs::read(path).unwrap()
    };
    let text = bytes.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    for needed in String::from_utf8_lossy(text.unwrap_or_default()).split(',').filter(|name| !name.is_empty())
    {
        module(all, needed, into, order);
    }
    fs::write(into.join(format!("{name}.ko")), bytes).unwrap();
    order.push(name.to_owned());
}

/// Fetches and unpacks the kernel's package. apt's own lists are left alone.
fn fetch(place: &Path) {
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(place.join(directory)).unwrap();
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let suite = if name == "bookworm" { "bookworm-backports" } else { name };
    let source = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {suite} main\n"
    );
    fs::write(place.join("sources.list"), source).unwrap();
    let apt = |program: &str, words: &[&str]| {
        let own = |name: &str, path: &str| format!("{name}={}", place.join(path).display());
        let mut command = Command::new(program);
        for option in [
            own("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            own("Dir::State::lists", "lists"),
            own("Dir::Cache", "cache"),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        let output = command.args(words).current_dir(place).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} {} failed, so there is no kernel to boot: {told}",
            words.join(" ")
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    apt("apt-get", &["update", "-q"]);
    let depends = apt("apt-cache", &["depends", "linux-image-cloud-amd64"]);
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.unwrap_or_else(|| panic!("apt knows no kernel in {suite}: {depends}")).to_owned();
    apt("apt-get", &["download", "-q", &package]);
    let mut files = fs::read_dir(place).unwrap().flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "deb"));
    let file = file.unwrap_or_else(|| panic!("apt-get downloaded no {package}"));
    // order: under another name until it is whole
    let half = place.join("unpacking");
    run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&half), "dpkg");
    fs::rename(half, place.join("kernel")).unwrap();
    let _ = fs::remove_file(file);
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(walk(&path))
        } else {
            files.push(path)
        }
    }
    files
}

/// What a program needs, by its own loader's word.
fn libraries(program: &str) -> BTreeSet<String> {
    let output = Command::new("ldd").arg(program).output().expect("ldd (libc-bin)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

fn run(command: &mut Command, package: &str) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error} (Debian packages: {package})"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

static MACHINES: AtomicU32 = AtomicU32::new(0);
const BEGIN: &str = "--- the script begins ---\n";
const END: &str = "--- the script ends ---";
/// What Claw needs, and Debian's kernel loads on demand.
const MODULES: &[&str] = &[
    "overlay",
    "nf_tables",
    "nft_tproxy",
    "nft_reject_inet",
    "nft_log",
    "nfnetlink_log",
    "inet_diag",
    "tcp_diag",
];
const APPLETS: &[&str] = &[
    "cat", "chmod", "chown", "cp", "cut", "dmesg", "echo", "env", "false", "grep", "head", "id", "ip",
    "kill", "ls", "mkdir", "mount", "mv", "ps", "rm", "sed", "seq", "sh", "sleep", "stat", "su", "sync",
    "sysctl", "tail", "test", "touch", "tr", "true", "umount", "uname", "wc",
];
const EARLY: &str = "/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t ext4 /dev/vda /new
exec /bin/busybox switch_root /new /sbin/init
";
const INIT: &str = "#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t securityfs security /sys/kernel/security
mount -t cgroup2 cgroup /sys/fs/cgroup
for name in $(cat /modules/order); do /bin/busybox insmod /modules/$name.ko; done
ip link set lo up
mkdir -p /home/agent
chown 1000:1000 /home/agent
cd /root
echo '--- the script begins ---'
sh /script 2>&1
echo '--- the script ends ---'
/bin/busybox poweroff -f
";
