//! The table: a check, the world in which it fails, the world in which it passes.

use claw_host::Read;

use crate::world::Put::{Block, Capable, Directory, File, Link, Old, Socket, Text};
use crate::world::{World, answer, net, net_with, state, tree, tree_with};

/// Every check.
pub(crate) const ROWS: &[(&str, World, World)] = &[
    (
        "ssh-root-password",
        tree(&[Text("etc/ssh/sshd_config", "PermitRootLogin yes\n")]),
        tree(&[Text("etc/ssh/sshd_config", "PermitRootLogin no\n")]),
    ),
    (
        "ssh-root-login",
        tree(&[Text("etc/ssh/sshd_config", "# PermitRootLogin no\n")]),
        tree(&[Text("etc/ssh/sshd_config", "permitrootlogin no\nPermitRootLogin yes\n")]),
    ),
    (
        "ssh-passwords",
        tree(&[
            Text("etc/ssh/sshd_config", "PasswordAuthentication no\nInclude sshd_config.d/*.conf\n"),
            Text("etc/ssh/sshd_config.d/10.conf", "Match User backup\n PasswordAuthentication yes\n"),
        ]),
        tree(&[
            Text(
                "etc/ssh/sshd_config",
                "Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication yes\n",
            ),
            Text("etc/ssh/sshd_config.d/10.conf", "PasswordAuthentication no\n"),
        ]),
    ),
    (
        "ssh-questions",
        tree(&[Text("etc/ssh/sshd_config", "KbdInteractiveAuthentication yes\n")]),
        tree(&[Text("etc/ssh/sshd_config", "ChallengeResponseAuthentication no\n")]),
    ),
    (
        "ssh-empty-passwords",
        tree(&[Text("etc/ssh/sshd_config", "PermitEmptyPasswords yes\n")]),
        tree(&[Text("etc/ssh/sshd_config", "\n")]),
    ),
    (
        "ssh-host-based",
        tree(&[Text("etc/ssh/sshd_config", "HostbasedAuthentication yes\n")]),
        tree(&[Text("etc/ssh/sshd_config", "HostbasedAuthentication no\n")]),
    ),
    (
        "ssh-tcp-forwarding",
        tree(&[Text("etc/ssh/sshd_config", "AllowTcpForwarding local\n")]),
        tree(&[Text("etc/ssh/sshd_config", "DisableForwarding yes\n")]),
    ),
    (
        "ssh-agent-forwarding",
        tree(&[Text(
            "etc/ssh/sshd_config",
            "AllowAgentForwarding no\nMatch all\nAllowAgentForwarding yes\n",
        )]),
        tree(&[Text("etc/ssh/sshd_config", "AllowAgentForwarding no\n")]),
    ),
    (
        "ssh-x11-forwarding",
        tree(&[Text("etc/ssh/sshd_config", "X11Forwarding yes\n")]),
        tree(&[Text("etc/ssh/sshd_config", "")]),
    ),
    (
        "ssh-tunnels",
        tree(&[Text("etc/ssh/sshd_config", "PermitTunnel=point-to-point\n")]),
        tree(&[Text("etc/ssh/sshd_config", "PermitTunnel no\n")]),
    ),
    (
        "ssh-gateway-ports",
        tree(&[Text("etc/ssh/sshd_config", "GatewayPorts clientspecified\n")]),
        tree(&[Text("etc/ssh/sshd_config", "")]),
    ),
    (
        "ssh-user-environment",
        tree(&[Text("etc/ssh/sshd_config", "PermitUserEnvironment LANG\n")]),
        tree(&[Text("etc/ssh/sshd_config", "")]),
    ),
    (
        "ssh-strict-modes",
        tree(&[Text("etc/ssh/sshd_config", "StrictModes no\n")]),
        tree(&[Text("etc/ssh/sshd_config", "")]),
    ),
    (
        "ssh-tries",
        tree(&[Text("etc/ssh/sshd_config", "")]),
        tree(&[Text("etc/ssh/sshd_config", "MaxAuthTries 3\n")]),
    ),
    (
        "ssh-log",
        tree(&[Text("etc/ssh/sshd_config", "LogLevel QUIET\n")]),
        tree(&[Text("etc/ssh/sshd_config", "LogLevel VERBOSE\n")]),
    ),
    ("management-controller", tree(&[File("dev/ipmi0", 0o600, 0)]), tree(&[File("dev/null", 0o666, 0)])),
    (
        "docker-socket",
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/docker.sock", 0o660, 999),
        ]),
        tree(&[
            Text("etc/group", "docker:x:999:\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/docker.sock", 0o660, 999),
        ]),
    ),
    (
        "podman-socket",
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/podman/podman.sock", 0o666, 0),
        ]),
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/podman/podman.sock", 0o600, 0),
        ]),
    ),
    (
        "containerd-socket",
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/crio/crio.sock", 0o662, 0),
        ]),
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/containerd/containerd.sock", 0o660, 0),
        ]),
    ),
    (
        "machine-socket",
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/libvirt/libvirt-sock", 0o777, 0),
        ]),
        tree(&[
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Socket("run/libvirt/libvirt-sock", 0o700, 0),
        ]),
    ),
    ("container-ports", net("", &["tcp 127.0.0.1:2375"]), net("", &["tcp 127.0.0.1:2374"])),
    ("kubelet", net("", &["tcp 0.0.0.0:10250"]), net("", &["tcp 127.0.0.1:10250"])),
    ("web-consoles", net("", &["tcp [::]:9090"]), net("", &["tcp [::1]:9090"])),
    ("clear-text-logins", net("", &["tcp 0.0.0.0:23"]), net("", &["tcp 0.0.0.0:24"])),
    ("listeners", net("", &["udp 0.0.0.0:4433"]), net("", &["tcp 127.0.0.1:22", "tcp 127.0.0.1:80"])),
    (
        "listeners-vsock",
        answer(|facts| facts.vsocks = Read::Known(vec![(u32::MAX, 1024)])),
        answer(|facts| facts.vsocks = Read::Known(Vec::new())),
    ),
    (
        "listeners-workloads",
        net("ip link add docker0 type bridge; ip addr add 10.9.0.1/24 dev docker0", &["tcp 0.0.0.0:22"]),
        net("ip link add docker0 type bridge; ip addr add 10.9.0.1/24 dev docker0", &["tcp 127.0.0.1:22"]),
    ),
    ("data-stores", net("", &["tcp 0.0.0.0:6379"]), net("", &["tcp 127.0.0.1:6379"])),
    ("model-servers", net("", &["tcp 0.0.0.0:11434"]), net("", &["tcp 127.0.0.1:11434"])),
    ("debug-ports", net("", &["tcp 127.0.0.1:9229"]), net("", &["udp 127.0.0.1:9229"])),
    ("file-shares", net("", &["tcp 0.0.0.0:2049"]), net("", &["tcp 127.0.0.1:2049"])),
    ("exposed-resolver", net("", &["udp 0.0.0.0:53"]), net("", &["udp 127.0.0.53:53"])),
    (
        "claw-path",
        tree(&[File("usr/local/bin/claw", 0o755, 0), Directory("usr/local", 0o777, 0)]),
        tree(&[File("usr/local/bin/claw", 0o755, 0)]),
    ),
    (
        "claw-owner",
        tree(&[File("usr/local/bin/claw", 0o755, 1000)]),
        tree(&[File("usr/local/bin/claw", 0o755, 0)]),
    ),
    ("claw-state", state(&[Directory("state", 0o755, 0)]), state(&[Directory("state", 0o700, 0)])),
    (
        "claw-trust",
        state(&[Directory("config", 0o755, 0), File("config/trusted-policies", 0o666, 0)]),
        state(&[Directory("config", 0o755, 0), File("config/trusted-policies", 0o600, 0)]),
    ),
    ("claw-sockets", net("", &["@claw/2002/nightly"]), net("", &["@claw/0/nightly"])),
    (
        "claw-as-root",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/700000001/status",
                "Name:\tclaw\nPid:\t700000001\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/700000001/status",
                "Name:\tclaw\nPid:\t700000001\nPPid:\t1\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
        ]),
    ),
    (
        "agents-confined",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/72/status",
                "Name:\tpython3\nPid:\t72\nPPid:\t71\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000003000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/72/status",
                "Name:\tpython3\nPid:\t72\nPPid:\t71\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/5/status",
                "Name:\tother\nPid:\t5\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\tff\nNoNewPrivs:\t0\nSeccomp:\t0\n",
            ),
        ]),
    ),
    (
        "agents-apart",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/self/ns/cgroup", "cgroup:[1]"),
            Link("proc/self/ns/ipc", "ipc:[1]"),
            Link("proc/self/ns/mnt", "mnt:[1]"),
            Link("proc/self/ns/net", "net:[1]"),
            Link("proc/self/ns/pid", "pid:[1]"),
            Link("proc/self/ns/user", "user:[1]"),
            Link("proc/self/ns/uts", "uts:[1]"),
            Text(
                "proc/72/status",
                "Name:\tsh\nPid:\t72\nPPid:\t71\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/72/ns/cgroup", "cgroup:[2]"),
            Link("proc/72/ns/ipc", "ipc:[2]"),
            Link("proc/72/ns/mnt", "mnt:[2]"),
            Link("proc/72/ns/net", "net:[1]"),
            Link("proc/72/ns/pid", "pid:[2]"),
            Link("proc/72/ns/user", "user:[2]"),
            Link("proc/72/ns/uts", "uts:[2]"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/self/ns/cgroup", "cgroup:[1]"),
            Link("proc/self/ns/ipc", "ipc:[1]"),
            Link("proc/self/ns/mnt", "mnt:[1]"),
            Link("proc/self/ns/net", "net:[1]"),
            Link("proc/self/ns/pid", "pid:[1]"),
            Link("proc/self/ns/user", "user:[1]"),
            Link("proc/self/ns/uts", "uts:[1]"),
            Text(
                "proc/72/status",
                "Name:\tsh\nPid:\t72\nPPid:\t71\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/72/ns/cgroup", "cgroup:[2]"),
            Link("proc/72/ns/ipc", "ipc:[2]"),
            Link("proc/72/ns/mnt", "mnt:[2]"),
            Link("proc/72/ns/net", "net:[2]"),
            Link("proc/72/ns/pid", "pid:[2]"),
            Link("proc/72/ns/user", "user:[2]"),
            Link("proc/72/ns/uts", "uts:[2]"),
        ]),
    ),
    (
        "agents-mounts",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/self/mountinfo",
                "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:2 / /home rw - ext4 /dev/sda2 rw\n",
            ),
            Text(
                "proc/72/status",
                "Name:\tsh\nPid:\t72\nPPid:\t71\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/72/mountinfo",
                "31 1 0:9 / / rw - tmpfs tmpfs rw\n32 31 8:1 /etc /etc rw - ext4 /dev/sda1 rw\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/70/status",
                "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/70/exe", "/usr/bin/claw"),
            File("usr/bin/claw", 0o755, 0),
            Text(
                "proc/71/status",
                "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/self/mountinfo",
                "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:2 / /home rw - ext4 /dev/sda2 rw\n",
            ),
            Text(
                "proc/72/status",
                "Name:\tsh\nPid:\t72\nPPid:\t71\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text(
                "proc/72/mountinfo",
                "31 1 0:9 / / rw - tmpfs tmpfs rw\n32 31 8:1 /etc /etc ro - ext4 /dev/sda1 rw\n33 31 8:2 /ada/work /work rw - ext4 /dev/sda2 rw\n",
            ),
        ]),
    ),
    ("set-user-id", tree(&[File("usr/bin/backdoor", 0o4755, 0)]), tree(&[File("usr/bin/sudo", 0o4755, 0)])),
    (
        "set-user-id-writable",
        tree(&[File("usr/bin/sudo", 0o4775, 0)]),
        tree(&[File("usr/bin/sudo", 0o4755, 0)]),
    ),
    (
        "set-group-id",
        tree(&[File("usr/local/bin/wall", 0o2755, 0)]),
        tree(&[File("usr/bin/wall", 0o2755, 0)]),
    ),
    (
        "file-capabilities",
        tree(&[Capable("opt/tool/run", "cap_net_raw+ep")]),
        tree(&[Capable("usr/bin/ping", "cap_net_raw+ep")]),
    ),
    (
        "shared-memory",
        tree(&[
            Text(
                "proc/sysvipc/shm",
                "       key      shmid perms                  size  cpid  lpid nattch   uid\n         1          3   666   4096  1  1  1  1000\n",
            ),
            Directory("proc/sys/kernel", 0o555, 0),
        ]),
        tree(&[
            Text(
                "proc/sysvipc/shm",
                "       key      shmid perms                  size  cpid  lpid nattch   uid\n         1          3   600   4096  1  1  1  1000\n",
            ),
            Directory("proc/sys/kernel", 0o555, 0),
        ]),
    ),
    ("shared-memory-files", tree(&[File("dev/shm/a", 0o666, 1000)]), tree(&[File("dev/shm/a", 0o600, 1000)])),
    ("device-memory", tree(&[File("dev/mem", 0o644, 0)]), tree(&[File("dev/mem", 0o640, 0)])),
    ("device-disks", tree(&[Block("dev/sda", 0o666)]), tree(&[Block("dev/sda", 0o660)])),
    ("device-machines", tree(&[File("dev/kvm", 0o666, 0)]), tree(&[File("dev/kvm", 0o660, 0)])),
    (
        "user-namespaces",
        tree(&[Text("proc/sys/user/max_user_namespaces", "1000\n")]),
        tree(&[Text("proc/sys/user/max_user_namespaces", "0\n")]),
    ),
    (
        "bpf-unprivileged",
        tree(&[Text("proc/sys/kernel/unprivileged_bpf_disabled", "0\n")]),
        tree(&[Text("proc/sys/kernel/unprivileged_bpf_disabled", "2\n")]),
    ),
    (
        "bpf-jit-harden",
        tree(&[
            Text("proc/sys/net/core/bpf_jit_harden", "0\n"),
            Text("proc/sys/net/core/bpf_jit_enable", "1\n"),
        ]),
        tree(&[Text("proc/sys/net/core/bpf_jit_harden", "2\n")]),
    ),
    (
        "perf-events",
        tree(&[Text("proc/sys/kernel/perf_event_paranoid", "1\n")]),
        tree(&[Text("proc/sys/kernel/perf_event_paranoid", "3\n")]),
    ),
    (
        "ptrace-scope",
        tree(&[Text("proc/sys/kernel/yama/ptrace_scope", "0\n")]),
        tree(&[Text("proc/sys/kernel/yama/ptrace_scope", "1\n")]),
    ),
    (
        "kernel-pointers",
        tree(&[Text("proc/sys/kernel/kptr_restrict", "0\n")]),
        tree(&[Text("proc/sys/kernel/kptr_restrict", "1\n")]),
    ),
    (
        "kernel-log",
        tree(&[Text("proc/sys/kernel/dmesg_restrict", "0\n")]),
        tree(&[Text("proc/sys/kernel/dmesg_restrict", "1\n")]),
    ),
    (
        "kexec",
        tree(&[Text("proc/sys/kernel/kexec_load_disabled", "0\n")]),
        tree(&[Text("proc/sys/kernel/kexec_load_disabled", "1\n")]),
    ),
    (
        "module-loading",
        tree(&[Text("proc/modules", ""), Text("proc/sys/kernel/modules_disabled", "0\n")]),
        tree(&[
            Text("proc/sys/kernel/modules_disabled", "0\n"),
            Directory("sys/kernel", 0o755, 0),
            Text("sys/module/module/parameters/sig_enforce", "Y\n"),
        ]),
    ),
    (
        "lockdown",
        tree(&[Text("sys/kernel/security/lockdown", "[none] integrity confidentiality\n")]),
        tree(&[Text("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")]),
    ),
    (
        "core-pattern",
        tree(&[Text("proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n")]),
        tree(&[Text("proc/sys/kernel/core_pattern", "core.%p\n")]),
    ),
    (
        "core-of-privileged",
        tree(&[Text("proc/sys/fs/suid_dumpable", "2\n")]),
        tree(&[Text("proc/sys/fs/suid_dumpable", "0\n")]),
    ),
    (
        "sysrq",
        tree(&[Text("proc/sys/kernel/sysrq", "438\n")]),
        tree(&[Text("proc/sys/kernel/sysrq", "176\n")]),
    ),
    (
        "io-uring",
        tree(&[Text("proc/sys/kernel/io_uring_disabled", "0\n")]),
        tree(&[Text("proc/sys/kernel/io_uring_disabled", "2\n")]),
    ),
    (
        "userfaultfd",
        tree(&[Text("proc/sys/vm/unprivileged_userfaultfd", "1\n")]),
        tree(&[Text("proc/sys/vm/unprivileged_userfaultfd", "0\n")]),
    ),
    (
        "line-disciplines",
        tree(&[Text("proc/sys/dev/tty/ldisc_autoload", "1\n")]),
        tree(&[Text("proc/sys/dev/tty/ldisc_autoload", "0\n")]),
    ),
    (
        "terminal-input",
        tree(&[Text("proc/sys/dev/tty/legacy_tiocsti", "1\n")]),
        tree(&[Text("proc/sys/dev/tty/legacy_tiocsti", "0\n")]),
    ),
    (
        "lowest-address",
        tree(&[Text("proc/sys/vm/mmap_min_addr", "0\n")]),
        tree(&[Text("proc/sys/vm/mmap_min_addr", "65536\n")]),
    ),
    (
        "modprobe-path",
        tree(&[Text("proc/sys/kernel/modprobe", "/tmp/x\n")]),
        tree(&[Text("proc/sys/kernel/modprobe", "/sbin/modprobe\n"), File("sbin/modprobe", 0o755, 0)]),
    ),
    (
        "binary-formats",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/sys/fs/binfmt_misc/qemu", "enabled\ninterpreter /q\nflags: OC\noffset 0\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/sys/fs/binfmt_misc/qemu", "enabled\ninterpreter /q\nflags: F\noffset 0\n"),
        ]),
    ),
    (
        "landlock",
        answer(|facts| facts.landlock = Read::Known(3)),
        answer(|facts| facts.landlock = Read::Known(7)),
    ),
    (
        "mandatory-access",
        tree(&[Text("sys/kernel/security/lsm", "capability,landlock\n")]),
        tree(&[Text("sys/kernel/security/lsm", "capability,landlock,apparmor\n")]),
    ),
    (
        "seccomp",
        tree(&[Text("proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow\n")]),
        tree(&[Text("proc/sys/kernel/seccomp/actions_avail", "kill_process errno user_notif allow\n")]),
    ),
    (
        "cpu-mitigations",
        tree(&[
            Text("sys/devices/system/cpu/vulnerabilities/meltdown", "Vulnerable\n"),
            Text("sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n"),
        ]),
        tree(&[Text("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n")]),
    ),
    (
        "cpu-threads",
        tree(&[
            Text(
                "sys/devices/system/cpu/vulnerabilities/mds",
                "Mitigation: Clear CPU buffers; SMT vulnerable\n",
            ),
            Text("sys/devices/system/cpu/smt/active", "1\n"),
        ]),
        tree(&[
            Text(
                "sys/devices/system/cpu/vulnerabilities/mds",
                "Mitigation: Clear CPU buffers; SMT vulnerable\n",
            ),
            Text("sys/devices/system/cpu/smt/active", "0\n"),
        ]),
    ),
    (
        "boot-parameters",
        tree(&[
            Text("proc/cmdline", "root=/dev/sda1 mitigations=off quiet\n"),
            Directory("proc/sys/kernel", 0o555, 0),
        ]),
        tree(&[
            Text("proc/cmdline", "root=/dev/sda1 mitigations=auto,nosmt\n"),
            Directory("proc/sys/kernel", 0o555, 0),
        ]),
    ),
    (
        "secure-boot",
        tree(&[
            Text(
                "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                "\u{6}\0\0\0\u{1}",
            ),
            Text(
                "sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                "\u{6}\0\0\0\u{1}",
            ),
        ]),
        tree(&[
            Text(
                "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                "\u{6}\0\0\0\u{1}",
            ),
            Text("sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\u{6}\0\0\0\0"),
        ]),
    ),
    (
        "integrity-measurement",
        tree(&[Text("sys/kernel/security/ima/runtime_measurements_count", "1\n")]),
        tree(&[
            Text("sys/kernel/security/ima/runtime_measurements_count", "812\n"),
            Text("sys/kernel/security/ima/violations", "0\n"),
        ]),
    ),
    (
        "tpm",
        tree(&[Text("sys/class/tpm/tpm0/tpm_version_major", "1\n")]),
        tree(&[Text("sys/class/tpm/tpm0/tpm_version_major", "2\n")]),
    ),
    (
        "protected-symlinks",
        tree(&[Text("proc/sys/fs/protected_symlinks", "0\n")]),
        tree(&[Text("proc/sys/fs/protected_symlinks", "1\n")]),
    ),
    (
        "protected-hardlinks",
        tree(&[Text("proc/sys/fs/protected_hardlinks", "0\n")]),
        tree(&[Text("proc/sys/fs/protected_hardlinks", "1\n")]),
    ),
    (
        "protected-fifos",
        tree(&[Text("proc/sys/fs/protected_fifos", "0\n")]),
        tree(&[Text("proc/sys/fs/protected_fifos", "1\n")]),
    ),
    (
        "protected-files",
        tree(&[Text("proc/sys/fs/protected_regular", "0\n")]),
        tree(&[Text("proc/sys/fs/protected_regular", "2\n")]),
    ),
    (
        "address-randomisation",
        tree(&[Text("proc/sys/kernel/randomize_va_space", "1\n")]),
        tree(&[Text("proc/sys/kernel/randomize_va_space", "2\n")]),
    ),
    (
        "kernel-taint",
        tree(&[Text("proc/sys/kernel/tainted", "4097\n")]),
        tree(&[Text("proc/sys/kernel/tainted", "0\n")]),
    ),
    (
        "oops-limit",
        tree(&[Text("proc/sys/kernel/oops_limit", "10000\n")]),
        tree(&[Text("proc/sys/kernel/oops_limit", "100\n")]),
    ),
    (
        "input-dropped",
        net(
            "nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; policy drop; }'; nft insert rule inet t c counter accept",
            &[],
        ),
        net(
            "nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; policy accept; }'; nft add rule inet t c iif lo accept; nft add rule inet t c counter drop",
            &[],
        ),
    ),
    (
        "input-dropped-v6",
        net(
            "ip link add d0 type bridge; ip link set d0 up; ip -6 addr add fd00:9::1/64 dev d0 nodad; nft add table ip t; nft 'add chain ip t c { type filter hook input priority 0; policy drop; }'",
            &[],
        ),
        net(
            "ip link add d0 type bridge; ip link set d0 up; ip -6 addr add fd00:9::1/64 dev d0 nodad; nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; policy drop; }'",
            &[],
        ),
    ),
    (
        "forward-dropped",
        net("sysctl -qw net.ipv4.ip_forward=1", &[]),
        net(
            "sysctl -qw net.ipv4.ip_forward=1; nft add table inet t; nft 'add chain inet t c { type filter hook forward priority 0; policy drop; }'",
            &[],
        ),
    ),
    (
        "output-dropped",
        net(
            "nft add table inet t; nft 'add chain inet t c { type filter hook output priority 0; policy accept; }'",
            &[],
        ),
        net(
            "nft add table inet t; nft 'add chain inet t c { type filter hook output priority 0; policy drop; }'",
            &[],
        ),
    ),
    (
        "reverse-path",
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/rp_filter", "0\n"),
            Text("proc/sys/net/ipv4/conf/eth0/rp_filter", "0\n"),
        ]),
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/rp_filter", "0\n"),
            Text("proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n"),
            Text("proc/sys/net/ipv4/conf/lo/rp_filter", "0\n"),
        ]),
    ),
    (
        "loopback-routed",
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/route_localnet", "0\n"),
            Text("proc/sys/net/ipv4/conf/br0/route_localnet", "1\n"),
        ]),
        tree(&[Text("proc/sys/net/ipv4/conf/all/route_localnet", "0\n")]),
    ),
    (
        "redirects-accepted",
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/accept_redirects", "0\n"),
            Text("proc/sys/net/ipv6/conf/eth0/accept_redirects", "1\n"),
        ]),
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/accept_redirects", "0\n"),
            Text("proc/sys/net/ipv6/conf/eth0/accept_redirects", "0\n"),
        ]),
    ),
    (
        "redirects-sent",
        tree(&[Text("proc/sys/net/ipv4/conf/all/send_redirects", "1\n")]),
        tree(&[Text("proc/sys/net/ipv4/conf/all/send_redirects", "0\n")]),
    ),
    (
        "source-routes",
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/accept_source_route", "1\n"),
            Text("proc/sys/net/ipv4/conf/eth0/accept_source_route", "1\n"),
        ]),
        tree(&[
            Text("proc/sys/net/ipv4/conf/all/accept_source_route", "0\n"),
            Text("proc/sys/net/ipv4/conf/eth0/accept_source_route", "1\n"),
            Text("proc/sys/net/ipv6/conf/eth0/accept_source_route", "0\n"),
        ]),
    ),
    (
        "martians",
        tree(&[Text("proc/sys/net/ipv4/conf/all/log_martians", "0\n")]),
        tree(&[Text("proc/sys/net/ipv4/conf/all/log_martians", "1\n")]),
    ),
    (
        "syn-cookies",
        tree(&[Text("proc/sys/net/ipv4/tcp_syncookies", "0\n")]),
        tree(&[Text("proc/sys/net/ipv4/tcp_syncookies", "1\n")]),
    ),
    (
        "broadcast-echo",
        tree(&[Text("proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", "0\n")]),
        tree(&[Text("proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", "1\n")]),
    ),
    (
        "low-ports",
        tree(&[Text("proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n")]),
        tree(&[Text("proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n")]),
    ),
    (
        "metadata-route",
        net_with(
            "ip link add d0 type bridge; ip addr add 10.9.0.2/24 dev d0; ip link set d0 up; ip route add default via 10.9.0.1",
            |facts| {
                facts.texts.insert(
                    "/sys/class/dmi/id/sys_vendor".to_owned(),
                    Read::Known("Amazon EC2\n".to_owned()),
                );
            },
        ),
        net(
            "ip link add d0 type bridge; ip addr add 10.9.0.2/24 dev d0; ip link set d0 up; ip route add default via 10.9.0.1; ip route add prohibit 169.254.169.254/32",
            &[],
        ),
    ),
    (
        "promiscuous",
        net("ip link add d0 type bridge; ip link set d0 promisc on", &[]),
        net("ip link add d0 type bridge", &[]),
    ),
    (
        "raw-sockets",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/net/raw",
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n",
            ),
            Text(
                "proc/net/packet",
                "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n0000000000000000 3      3    0003   0     1 0      0      12345 \n",
            ),
        ]),
        net("", &[]),
    ),
    (
        "rare-protocols",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/modules", ""),
            Text(
                "etc/modprobe.d/a.conf",
                "install dccp /bin/false\n# install sctp /bin/false\ninstall rds /bin/true\ninstall tipc /bin/true\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/modules", ""),
            Text(
                "etc/modprobe.d/a.conf",
                "install dccp /bin/false\ninstall sctp /bin/false\ninstall rds /bin/true\ninstall tipc /bin/true\n",
            ),
        ]),
    ),
    ("abstract-sockets", net("", &["@/tmp/.X11-unix/X0"]), net("", &["@claw/0/nightly"])),
    (
        "root-immutable",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/self/mountinfo", "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/self/mountinfo", "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"),
            Text("sys/block/dm-0/dm/uuid", "CRYPT-VERITY-0-root\n"),
        ]),
    ),
    (
        "disk-encryption",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/self/mountinfo", "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"),
            Text("sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-0-root\n"),
        ]),
    ),
    (
        "tmp-mount",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n",
            ),
        ]),
    ),
    (
        "var-tmp-mount",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/self/mountinfo", "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /var/tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n",
            ),
        ]),
    ),
    (
        "shm-mount",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /dev/shm rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n",
            ),
        ]),
    ),
    (
        "home-mount",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /home rw,nodev - tmpfs tmpfs rw\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /home rw,nosuid,nodev - tmpfs tmpfs rw\n",
            ),
        ]),
    ),
    (
        "proc-of-others",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /proc rw - proc proc rw\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /proc rw - proc proc rw,hidepid=invisible\n",
            ),
        ]),
    ),
    (
        "debug-files",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /sys/kernel/debug rw - tmpfs tmpfs rw\n",
            ),
            Directory("sys/kernel/debug", 0o755, 0),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n22 21 0:9 / /sys/kernel/debug rw - tmpfs tmpfs rw\n",
            ),
            Directory("sys/kernel/debug", 0o700, 0),
        ]),
    ),
    (
        "swap",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/swaps",
                "Filename Type Size Used Priority\n/dev/dm-1 partition 1 0 -2\n/dev/zram0 partition 1 0 5\n",
            ),
            Text("sys/block/dm-1/dm/uuid", "CRYPT-PLAIN-swap\n"),
        ]),
    ),
    ("open-directories", tree(&[Directory("srv/data", 0o777, 0)]), tree(&[Directory("srv/data", 0o1777, 0)])),
    ("open-files", tree(&[File("etc/app.conf", 0o666, 0)]), tree(&[File("etc/app.conf", 0o664, 0)])),
    (
        "services-writable",
        tree(&[File("etc/cron.d/job", 0o664, 1000)]),
        tree(&[File("etc/cron.d/job", 0o644, 0)]),
    ),
    (
        "preloaded-code",
        tree(&[Text("etc/ld.so.preload", "/usr/lib/x.so\n")]),
        tree(&[Text("etc/ld.so.preload", "\n")]),
    ),
    (
        "root-alone",
        tree(&[Text("etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n")]),
        tree(&[Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")]),
    ),
    (
        "empty-passwords",
        tree(&[
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Text("etc/shadow", "root:*:1::::::\nada::1::::::\n"),
        ]),
        tree(&[
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Text("etc/shadow", "root:*:1::::::\nada:$y$j9T$x$y:1::::::\n"),
        ]),
    ),
    (
        "weak-hashes",
        tree(&[Text("etc/shadow", "ada:$1$abc$def:1::::::\n")]),
        tree(&[Text("etc/shadow", "ada:$6$abc$def:1::::::\n")]),
    ),
    (
        "account-files",
        tree(&[File("etc/passwd", 0o644, 0), File("etc/shadow", 0o644, 0)]),
        tree(&[File("etc/passwd", 0o644, 0), File("etc/shadow", 0o640, 0)]),
    ),
    (
        "sudo-without-password",
        tree(&[
            Text("etc/sudoers", "@includedir /etc/sudoers.d\n"),
            Text("etc/sudoers.d/agents", "agents ALL=(ALL) NOPASSWD: ALL\n"),
        ]),
        tree(&[
            Text("etc/sudoers", "#NOPASSWD:\nroot ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n"),
            Text("etc/sudoers.d/agents.bak", "agents ALL=(ALL) NOPASSWD: ALL\n"),
        ]),
    ),
    (
        "groups-like-root",
        tree(&[
            Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            Text("etc/group", "root:x:0:\ndocker:x:999:ada\n"),
        ]),
        tree(&[Text("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), Text("etc/group", "docker:x:999:\n")]),
    ),
    (
        "homes-writable",
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            Directory("home/ada", 0o777, 1000),
        ]),
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            Directory("home/ada", 0o755, 1000),
            Directory("home/d", 0o777, 0),
        ]),
    ),
    (
        "homes-readable",
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            Directory("home/ada", 0o755, 1000),
        ]),
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            Directory("home/ada", 0o750, 1000),
        ]),
    ),
    (
        "authorized-keys",
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            File("home/ada/.ssh/authorized_keys", 0o664, 1000),
        ]),
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            Directory("home/ada/.ssh", 0o700, 1000),
            File("home/ada/.ssh/authorized_keys", 0o600, 1000),
        ]),
    ),
    (
        "credentials-readable",
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            File("home/ada/.claude/.credentials.json", 0o644, 1000),
        ]),
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            File("home/ada/.claude/.credentials.json", 0o600, 1000),
        ]),
    ),
    (
        "host-keys",
        tree(&[File("etc/ssh/ssh_host_ed25519_key", 0o644, 0)]),
        tree(&[
            File("etc/ssh/ssh_host_ed25519_key", 0o600, 0),
            File("etc/ssh/ssh_host_ed25519_key.pub", 0o644, 0),
        ]),
    ),
    (
        "trusting-files",
        tree(&[
            Text(
                "etc/passwd",
                "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
            ),
            File("home/ada/.rhosts", 0o600, 1000),
        ]),
        tree(&[Text(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\nd:x:2:2::/home/d:/usr/sbin/nologin\n",
        )]),
    ),
    (
        "default-rights",
        tree(&[Text("etc/login.defs", "UMASK 022\n")]),
        tree(&[Text("etc/login.defs", "# UMASK 022\nUMASK\t027\n")]),
    ),
    (
        "password-hashing",
        tree(&[Text("etc/login.defs", "ENCRYPT_METHOD MD5\n")]),
        tree(&[Text("etc/login.defs", "ENCRYPT_METHOD YESCRYPT\n")]),
    ),
    (
        "clock",
        answer(|facts| facts.clock = Read::Known(false)),
        answer(|facts| facts.clock = Read::Known(true)),
    ),
    (
        "audit-daemon",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/9/status",
                "Name:\tother\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/9/status",
                "Name:\tauditd\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/9/exe", "/usr/sbin/auditd"),
            File("usr/sbin/auditd", 0o755, 0),
        ]),
    ),
    (
        "log-kept",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/9/status",
                "Name:\tother\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Directory("var/log/journal", 0o755, 0),
            Text(
                "proc/9/status",
                "Name:\tsystemd-journal\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Link("proc/9/exe", "/usr/lib/systemd/systemd-journald"),
            File("usr/lib/systemd/systemd-journald", 0o755, 0),
        ]),
    ),
    (
        "log-elsewhere",
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/9/status",
                "Name:\trsyslogd\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            ),
            Text("etc/rsyslog.conf", "*.* /var/log/all\n# *.* @@log.example.com\n"),
        ]),
        tree(&[
            Directory("proc/sys/kernel", 0o555, 0),
            Text("etc/rsyslog.d/a.conf", "*.* @@log.example.com:6514\n"),
        ]),
    ),
    (
        "updates-known",
        tree(&[File("usr/bin/apt-get", 0o755, 0), Old("var/lib/apt/lists/example_InRelease", 9)]),
        tree(&[
            File("usr/bin/apt-get", 0o755, 0),
            Old("var/lib/apt/lists/example_InRelease", 6),
            Old("var/lib/apt/lists/other_InRelease", 99),
        ]),
    ),
    ("updates-installed", tree(&[Old("var/lib/dpkg/status", 31)]), tree(&[Old("var/lib/dpkg/status", 29)])),
    (
        "updates-automatic",
        tree(&[
            File("usr/bin/apt-get", 0o755, 0),
            Text("etc/apt/apt.conf.d/20auto", "// APT::Periodic::Unattended-Upgrade \"1\";\n"),
        ]),
        tree(&[
            File("usr/bin/apt-get", 0o755, 0),
            Text("etc/apt/apt.conf.d/20auto", "APT::Periodic::Unattended-Upgrade \"1\";\n"),
        ]),
    ),
    (
        "packages-signed",
        tree(&[
            File("usr/bin/apt-get", 0o755, 0),
            Text("etc/apt/sources.list.d/a.list", "deb [ trusted=yes ] http://example.com x main\n"),
        ]),
        tree(&[
            File("usr/bin/apt-get", 0o755, 0),
            Text(
                "etc/apt/sources.list.d/a.list",
                "# deb [trusted=yes] http://example.com x main\ndeb [signed-by=/k] http://example.com x main\n",
            ),
        ]),
    ),
    (
        "restart-pending",
        tree(&[
            Text("proc/stat", "cpu 1\nbtime 1700000000\n"),
            Text("proc/sys/kernel/osrelease", "6.1.0-1-amd64\n"),
            Old("boot/vmlinuz-6.1.0-2-amd64", 1),
            Old("boot/vmlinuz-6.1.0-1-amd64", 9000),
        ]),
        tree(&[
            Text("proc/stat", "cpu 1\nbtime 1700000000\n"),
            Text("proc/sys/kernel/osrelease", "6.1.0-1-amd64\n"),
            Old("boot/vmlinuz-6.1.0-1-amd64", 1),
        ]),
    ),
    (
        "host-visible",
        tree(&[Directory("proc/sys/kernel", 0o555, 0), File(".dockerenv", 0o644, 0)]),
        tree_with(
            &[
                Directory("proc/sys/kernel", 0o555, 0),
                File(".dockerenv", 0o644, 0),
                Link("proc/self/ns/pid", "pid:[4026531836]"),
                Link("proc/self/ns/user", "user:[4026531837]"),
            ],
            |facts| facts.live = true,
        ),
    ),
];
