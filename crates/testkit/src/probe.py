# What the lab's probes share. A probe ends with 0 if it got through, else with 1 and the errno's name on stdout.
import ctypes, errno, os, socket, ssl, struct, subprocess, sys, threading, time
socket.setdefaulttimeout(4)
libc = ctypes.CDLL(None, use_errno=True)

def fail(error):
    print(errno.errorcode.get(getattr(error, "errno", 0) or 0, repr(error)))
    sys.exit(1)

def attempt(action):
    """Runs the attack; prints how it ended and how long it took."""
    begun = time.monotonic()
    try:
        action()
    except (OSError, EOFError) as error:
        print("ms=%d" % ((time.monotonic() - begun) * 1000))
        fail(error)
    print("REACHED")

def talk(address, data=b"hello\n", family=None, kind=socket.SOCK_STREAM):
    family = family or (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    with socket.socket(family, kind) as connection:
        connection.connect(address)
        connection.sendall(data)
        answer = connection.recv(4096)
        if not answer:
            raise EOFError("closed without an answer")
        print(answer.decode(errors="replace"))

def syscall(number, *arguments):
    """A raw system call: its result, or an OSError."""
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def flood():
    """Sends descriptors that nobody takes, until this user may send no more of them (unix(7), ETOOMANYREFS)."""
    kept = []
    while True:
        kept.append(socket.socketpair())
        kept[-1][0].setblocking(False)
        try:
            while True:
                socket.send_fds(kept[-1][0], [b"x"], [0] * 253)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                return kept
            raise

def hello(name):
    """The bytes of a TLS client hello for this name (None: without one)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()

def extended(record, kind, body):
    """The same hello with one more extension."""
    data = bytearray(record)
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at:at + 2], "big")
    at += 1 + data[at]
    extension = kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
    for place, width in ((at, 2), (6, 3), (3, 2)):
        length = int.from_bytes(data[place:place + width], "big") + len(extension)
        data[place:place + width] = length.to_bytes(width, "big")
    return bytes(data + extension)
