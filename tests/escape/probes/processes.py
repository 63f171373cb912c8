"""Processes: seeing, reading and changing those outside, gaining privileges, and staying after the end."""

import ctypes
import errno
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

from calls import call, taken
from probe import Held, NotHere, libc, probe

ENDED = "the process outside ends"
CHANGED = "the process outside is changed"


def others():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def is_victim(pid):
    """Numbers mean something else in a namespace of its own: whether this one is the process outside."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        if file.read() != b"sleep\x00100000\x00":
            raise Held("the number is another process's")


def unknown():
    """The suite looks at the process outside. In here the number may have been another process's."""
    time.sleep(0.05)
    raise Held("the suite sees whether it hit")


# seeing and reading


@probe("the process outside is seen")
def seen(lab):
    """/proc lists the processes of the host, with their command lines."""
    for pid in others():
        try:
            return is_victim(pid)
        except (Held, OSError):
            pass
    raise Held("it is not seen")


@probe("the secret is read")
def environment_of_another(lab):
    """/proc/PID/environ of every process that is seen."""
    last = Held("not found")
    for pid in others():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if b"VICTIM_SECRET=" + lab.secret.encode() in file.read():
                    return
        except OSError as error:
            last = error
    raise last


def searched(pid, wanted):
    """Whether the stack of a process holds these bytes."""
    with open(f"/proc/{pid}/maps") as file:
        line = next(line for line in file if "[stack]" in line)
    begin, end = (int(part, 16) for part in line.split()[0].split("-"))
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(begin)
        return wanted in memory.read(end - begin)


@probe("the secret is read")
def memory_of_another(lab):
    """/proc/PID/mem of every process that is seen: its stack."""
    last = Held("not found")
    for pid in others():
        try:
            if searched(pid, lab.secret.encode()):
                return
        except StopIteration:
            continue
        except OSError as error:
            last = error
    raise last


@probe("the secret is read")
def environment(lab):
    """The environment that whoever started the sandbox had."""
    if lab.secret not in " ".join(os.environ.values()):
        raise Held("not there")


@probe("the memory is read")
def memory_by_call(lab):
    """process_vm_readv(2) on the parent."""
    room = ctypes.create_string_buffer(8)
    here = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(room), 8), 16)
    with open("/proc/self/maps") as file:
        begin = int(next(line for line in file if "[vdso]" in line or "python" in line).split("-")[0], 16)
    there = ctypes.create_string_buffer(struct.pack("=QQ", begin, 8), 16)
    try:
        call("process_vm_readv", os.getppid(), here, 1, there, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:  # it may be read, only not there
            raise


@probe("the kernel takes the call")
def memory_written_by_call(lab):
    """process_vm_writev(2) on the process outside, to an address where nothing is."""
    data = ctypes.create_string_buffer(b"x", 8)
    here = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 1), 16)
    there = ctypes.create_string_buffer(struct.pack("=QQ", 16, 1), 16)
    try:
        call("process_vm_writev", lab.victim_pid, here, 1, there, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


@probe("the process outside is attached to")
def attached(lab):
    """ptrace(2), PTRACE_ATTACH: the process outside is stopped and read."""
    call("ptrace", 16, lab.victim_pid, 0, 0)
    try:
        is_victim(lab.victim_pid)
        os.waitpid(lab.victim_pid, 0x40000000)
    finally:
        call("ptrace", 17, lab.victim_pid, 0, 0)


@probe("process 1 is attached to")
def seized(lab):
    """ptrace(2), PTRACE_SEIZE: process 1 of the sandbox, without stopping it."""
    call("ptrace", 0x4206, 1, 0, 0)


@probe("the kernel takes the call")
def advised(lab):
    """process_madvise(2): the memory of another process thrown out to the disk."""
    one = call("pidfd_open", os.getppid(), 0)
    part = ctypes.create_string_buffer(struct.pack("=QQ", 1 << 12, 1 << 12), 16)
    try:
        taken("process_madvise", one, part, 1, 21, 0)
    finally:
        os.close(one)


@probe("the kernel takes the call")
def pages_moved(lab):
    """move_pages(2): where the pages of process 1 lie."""
    page, status = ctypes.create_string_buffer(struct.pack("=Q", 4096), 8), ctypes.create_string_buffer(8)
    taken("move_pages", 1, 1, page, None, status, 0)


@probe("the kernel takes the call")
def pages_migrated(lab):
    """migrate_pages(2): the pages of process 1 moved to where they are."""
    node = ctypes.create_string_buffer(struct.pack("=Q", 1), 8)
    taken("migrate_pages", 1, 2, node, node)


# signals


@probe(ENDED)
def killed(lab):
    """kill(2): the process outside, by its number."""
    os.kill(lab.victim_pid, signal.SIGKILL)
    unknown()


@probe("the process outside stops")
def stopped(lab):
    """kill(2): SIGSTOP to the process outside."""
    os.kill(lab.victim_pid, signal.SIGSTOP)
    unknown()


@probe(ENDED)
def killed_as_a_group(lab):
    """kill(2): the process group of the process outside."""
    os.killpg(lab.victim_pid, signal.SIGKILL)
    unknown()


@probe(ENDED)
def killed_as_a_thread(lab):
    """tgkill(2): the process outside, as a thread."""
    call("tgkill", lab.victim_pid, lab.victim_pid, signal.SIGKILL)
    unknown()


@probe(ENDED)
def killed_by_queue(lab):
    """rt_sigqueueinfo(2): a signal with data to the process outside."""
    info = ctypes.create_string_buffer(struct.pack("=iii", signal.SIGKILL, 0, -1), 128)
    call("rt_sigqueueinfo", lab.victim_pid, signal.SIGKILL, info)
    unknown()


@probe(ENDED)
def killed_by_descriptor(lab):
    """pidfd_open(2) and pidfd_send_signal(2): the process outside."""
    signal.pidfd_send_signal(call("pidfd_open", lab.victim_pid, 0), signal.SIGKILL)
    unknown()


@probe(ENDED)
def killed_by_input(lab):
    """F_SETOWN: the kernel itself sends a signal to the process outside, once a descriptor has something to read."""
    import fcntl

    reads, writes = os.pipe()
    fcntl.fcntl(reads, fcntl.F_SETOWN, lab.victim_pid)
    fcntl.fcntl(reads, 10, signal.SIGKILL)
    fcntl.fcntl(reads, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writes, b"x")
    unknown()


# the standing of processes outside


@probe(CHANGED)
def slowed_down(lab):
    """setpriority(2): the process outside."""
    os.setpriority(os.PRIO_PROCESS, lab.victim_pid, 7)
    unknown()


@probe(CHANGED)
def slowed_down_as_a_group(lab):
    """setpriority(2): the process group of the process outside."""
    os.setpriority(os.PRIO_PGRP, lab.victim_pid, 7)
    unknown()


@probe(CHANGED)
def scheduled_otherwise(lab):
    """sched_setscheduler(2): the process outside runs only when nothing else does."""
    os.sched_setscheduler(lab.victim_pid, os.SCHED_IDLE, os.sched_param(0))
    unknown()


@probe(CHANGED)
def kept_on_one_processor(lab):
    """sched_setaffinity(2): the process outside."""
    if os.cpu_count() == 1:
        raise NotHere("one processor")
    os.sched_setaffinity(lab.victim_pid, {0})
    unknown()


@probe(CHANGED)
def disk_priority(lab):
    """ioprio_set(2): the process outside waits for the disk behind everybody."""
    call("ioprio_set", 1, lab.victim_pid, 3 << 13)
    unknown()


@probe(CHANGED)
def limited(lab):
    """prlimit(2): fewer files for the process outside."""
    hard = resource.prlimit(lab.victim_pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(lab.victim_pid, resource.RLIMIT_NOFILE, (5, hard))
    unknown()


@probe(CHANGED)
def first_to_go(lab):
    """/proc/PID/oom_score_adj: the process outside is ended first when memory runs out."""
    with open(f"/proc/{lab.victim_pid}/oom_score_adj", "w") as file:
        file.write("900")
    unknown()


# privileges


@probe("the program runs as another user", weaker="user")
def set_user_id(lab):
    """A program with the set-user-id bit."""
    if "user" not in lab.programs:
        raise NotHere("root is needed to make it")
    if subprocess.run([lab.programs["user"], "-u"], capture_output=True).stdout.strip() != b"4242":
        raise Held("it runs as the same user")


@probe("the program runs as another group", weaker="user")
def set_group_id(lab):
    """A program with the set-group-id bit."""
    if "group" not in lab.programs:
        raise NotHere("root is needed to make it")
    if subprocess.run([lab.programs["group"], "-g"], capture_output=True).stdout.strip() != b"4242":
        raise Held("it runs as the same group")


@probe("the program has capabilities", weaker="user")
def file_capabilities(lab):
    """A program whose file carries capabilities."""
    if "capable" not in lab.programs:
        raise NotHere("setcap is not there")
    done = subprocess.run([lab.programs["capable"], "CapEff", "/proc/self/status"], capture_output=True)
    if int(done.stdout.split()[1] if done.stdout else b"0", 16) == 0:
        raise Held("it has none")


@probe("capabilities are left")
def capabilities(lab):
    """What was not taken away: effective, permitted, inheritable, ambient and bounding capabilities."""
    with open("/proc/self/status") as file:
        if not any(int(line.split()[1], 16) for line in file if line.startswith("Cap")):
            raise Held("none")


@probe("the capabilities are granted")
def capabilities_taken(lab):
    """capset(2): capabilities of the bounding set, taken back."""
    head, wish = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", 1 << 13, 1 << 13, 0, 0, 0, 0)
    call("capset", ctypes.create_string_buffer(head, 8), ctypes.create_string_buffer(wish, 24))


@probe("the bits are set")
def secure_bits(lab):
    """PR_SET_SECUREBITS: how the kernel treats user 0 and its capabilities."""
    if libc.prctl(28, libc.prctl(27, 0, 0, 0, 0) | 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@probe("the process is another user")
def another_user(lab):
    """setresuid(2): another user of the host, whose files and processes can then be changed."""
    os.setresuid(4242, 4242, 4242)


@probe("the groups are set")
def other_groups(lab):
    """setgroups(2): groups of the host, by which files are protected."""
    os.setgroups([6, 42])


@probe("a core file is written")
def core_file(lab):
    """A crash: the kernel writes a core file, or hands it to a program of the host."""
    child = os.fork()
    if child == 0:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        libc.prctl(4, 1, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGQUIT)
        os._exit(0)
    if not os.WCOREDUMP(os.waitpid(child, 0)[1]):
        raise Held("none")


@probe("the keyring is new")
def session_keyring(lab):
    """keyctl(2), KEYCTL_JOIN_SESSION_KEYRING: a keyring with a name, by which others join it."""
    call("keyctl", 1, b"escape")


# staying


def stay(work):
    """Runs `work` in a process that belongs to nobody."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for name in ("SIGHUP", "SIGTERM", "SIGINT"):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
            empty = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(empty, descriptor)
            os.closerange(3, 1000)
            work()
        os._exit(0)
    raise Held("the suite sees whether it stays")


def leave_a_trace(lab):
    with open(os.path.join(lab.work, "outlived"), "w") as file:
        file.write(lab.marker)


@probe("one of them still writes after the end", after=0.8)
def left_behind_changing(lab):
    """Processes that live for milliseconds, each the parent of the next: whoever ends them one by one is late."""

    def work():
        for _ in range(60):
            time.sleep(0.01)
            if os.fork() != 0:
                os._exit(0)
        leave_a_trace(lab)

    stay(work)


@probe("it goes on after the end", after=0.8)
def left_behind_by_exec(lab):
    """A program that is started anew under another name, and has nothing in common with the agent."""
    name = os.path.join(lab.work, "kworker")
    shutil.copy("/bin/sh", name)

    def work():
        script = f"sleep 0.6; echo {lab.marker} > {lab.work}/outlived"
        os.execve(name, ["[kworker/0:1]", "-c", script], {"PATH": "/bin:/usr/bin"})

    stay(work)
