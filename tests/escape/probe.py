"""What the probes share. Runs inside the sandbox: the standard library and nothing else.

A probe is a function that tries one way out. If it returns, it got out. `Held`, an `OSError` or an `EOFError` mean
that something held it. Any other exception is a broken probe.
"""

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
import time

ESCAPED, HELD, NOT_HERE, BROKEN = 0, 1, 77, 3
READY = "escape: ready"
PROBES = {}


class Held(Exception):
    """Something held it, and it is not an error of the operating system that says so."""


class NotHere(Exception):
    """What the probe attacks does not exist on this machine."""


class Probe:
    def __init__(self, group, run, escape, weaker, permitted, terminal, after, before, look, kill, spares):
        self.group, self.run, self.escape, self.weaker, self.terminal = group, run, escape, weaker, terminal
        self.after, self.before, self.look, self.kill = after, before, look, kill
        self.permitted, self.spares = permitted, spares
        self.name = run.__name__.replace("_", "-")
        self.technique = " ".join((run.__doc__ or "").split())


def probe(escape, weaker="none", permitted=False, terminal=False, after=0.0, before=None, look=None, kill=False,
          spares=()):
    """Declares a probe. The function's name and sentence tell the technique, `escape` what getting out means, and
    `weaker` the setting in which it is shown to succeed (see `SETTINGS` in `run`). `permitted`: no attack but something
    that the policy permits; it must work, and whatever arrives is no leak. `terminal`: standard input is a
    terminal, and it controls the session of whoever started the sandbox. `after`: for so many seconds after the end the
    suite goes on looking.

    Two functions may run outside: `before(lab)` prepares a trap and returns variables for the runner's environment;
    `look(lab, output)` returns what it finds afterwards, or nothing. `kill`: once the probe has made the file `ready`,
    the runner is killed. `spares`: guarded files whose change alone is no escape."""

    def declare(run):
        group = os.path.basename(sys._getframe(1).f_code.co_filename)[:-3]
        one = Probe(group, run, escape, weaker, permitted, terminal, after, before, look, kill, spares)
        if not one.technique or one.name in PROBES:
            raise AssertionError(f"{one.name}: a probe has a name of its own and a sentence")
        PROBES[one.name] = one
        return run

    return declare


class Lab:
    """The attacked network and files, as the suite made them outside. See `escape.json` in the working directory."""

    def __init__(self, facts):
        self.__dict__.update(facts)

    def mark(self, what="x"):
        """Bytes that must arrive nowhere: the suite looks for them in whatever its servers received."""
        return f"{self.marker}-{what}"


def ready():
    """Tells the suite outside that the probe has begun: by a file, and by a line, since not every sandbox lets files of the
    working directory be seen outside while it runs."""
    open("ready", "w").close()
    print(READY, flush=True)


libc = ctypes.CDLL(None, use_errno=True)


def syscall(number, *arguments):
    """A raw system call: its result, or an OSError."""
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def reaches_kernel(number, *arguments):
    """The call is let through to the kernel, whatever the kernel then says of these arguments."""
    try:
        syscall(number, *arguments)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise


def talk(host, port, data=b"hello\n", kind=socket.SOCK_STREAM, family=0, wait=2.0):
    """Sends bytes and returns the answer. Nothing comes back: held."""
    found = socket.getaddrinfo(host, port, family, kind)
    with socket.socket(found[0][0], kind) as connection:
        connection.settimeout(wait)
        connection.connect(found[0][4])
        connection.sendall(data if isinstance(data, bytes) else data.encode())
        answer = connection.recv(65536)
    if not answer:
        raise EOFError("closed without an answer")
    return answer


def request(host, port, head, wait=2.0):
    """Sends a head as it stands, and returns all that comes back until the end."""
    with socket.create_connection((host, port), wait) as connection:
        connection.settimeout(wait)
        connection.sendall(head if isinstance(head, bytes) else head.encode())
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except socket.timeout:
            pass
    if not answer:
        raise EOFError("closed without an answer")
    return answer


def command(*words, wait=10, **more):
    """Runs a program and returns its output. It is not there: NotHere. It fails: held."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=wait, **more)
    except FileNotFoundError as error:
        raise NotHere(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise Held(f"{words[0]} did not end") from error
    if done.returncode != 0:
        raise Held(f"{words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout


def shell(script, **more):
    return command("/bin/sh", "-c", script, **more)


def compiled(source, name="attack"):
    """A C program, compiled with what is there; the path of the program."""
    directory = os.path.join(os.getcwd(), "built")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"{name}-{os.getpid()}")
    command("cc", "-x", "c", "-o", path, "-", input=source.encode(), wait=30)
    return path


def main(modules):
    """One probe, by name: `probe.py NAME`. The exit code says how it ended, the last line why."""
    import importlib

    for module in modules:
        importlib.import_module(f"probes.{module}")
    with open("escape.json") as file:
        lab = Lab(json.load(file))
    socket.setdefaulttimeout(3)
    try:
        PROBES[sys.argv[1]].run(lab)
    except NotHere as error:
        end, why = NOT_HERE, str(error)
    except (Held, OSError, EOFError) as error:
        end, why = HELD, f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        import traceback

        traceback.print_exc()
        end, why = BROKEN, "the probe is broken"
    else:
        end, why = ESCAPED, "got out"
    print(f"\nprobe: {why}", flush=True)
    os._exit(end)


if __name__ == "__main__":
    sys.modules["probe"] = sys.modules["__main__"]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes")
    main(sorted(f[:-3] for f in os.listdir(here) if f.endswith(".py") and f != "__init__.py"))
