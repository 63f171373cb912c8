"""Sends packets between network namespaces. Input: one JSON document; output: one JSON list.

Each flow is [from, to, kind, address, port]; namespaces are process ids, 0 is this process's own. The answer says for each
whether it arrived, as the receiver saw it. With "hold", connections are opened first; a line on standard input later,
each tries to carry a byte in each direction.

A kind may name an address behind a colon: `spoof:A` sends a datagram from A, which is not the sender's; `answer:A` has the
receiver ask A, and the sender answer in A's name; `error:N` has the receiver ask, and the sender answer with an ICMP message
of that type; `user:N` sends as that user; `port:N` listens at another port than is connected to; `masked:A` arrives from A.
"""
import concurrent.futures
import ctypes
import json
import os
import socket
import struct
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
OWN = os.open("/proc/self/ns/net", os.O_RDONLY)
WAIT = 1.0
RAW = 253


def enter(pid):
    place = OWN if pid == 0 else os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if LIBC.setns(place, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def make(pid, family, kind, protocol=0):
    """A socket stays in the namespace in which it was made."""
    enter(pid)
    made = socket.socket(family, kind, protocol)
    made.settimeout(WAIT)
    return made


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def anyone(address):
    return "::" if ":" in address else "0.0.0.0"


def listener(pid, address, port):
    made = make(pid, family(address), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((anyone(address), port))
    made.listen(8)
    return made


def tcp(sender, receiver, address, port):
    server = listener(receiver, address, port)
    client = make(sender, family(address), socket.SOCK_STREAM)
    client.connect((address, port))
    client.sendall(b"x")
    peer, _ = server.accept()
    peer.settimeout(WAIT)
    return peer.recv(1) == b"x"


def udp(sender, receiver, address, port, size=4):
    server = make(receiver, family(address), socket.SOCK_DGRAM)
    server.bind((anyone(address), port))
    client = make(sender, family(address), socket.SOCK_DGRAM)
    client.sendto(b"x" * size, (address, port))
    return len(server.recv(65535)) == size


def icmp(sender, _receiver, address, _port):
    six = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    client = make(sender, family(address), socket.SOCK_RAW, protocol)
    mark = os.urandom(8)
    head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 7, 7)
    if not six:
        data = head + mark
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xFFFF) + (total >> 16)
        head = struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 7, 7)
    client.sendto(head + mark, (address, 0))
    while True:
        data = client.recv(4096)
        message = data if six else data[(data[0] & 15) * 4:]
        if message[0] == (129 if six else 0) and message.endswith(mark):
            return True


def raw(sender, receiver, address, _port):
    server = make(receiver, family(address), socket.SOCK_RAW, RAW)
    client = make(sender, family(address), socket.SOCK_RAW, RAW)
    mark = os.urandom(8)
    client.sendto(mark, (address, 0))
    while True:
        if server.recv(4096).endswith(mark):
            return True


def shared(pid, address):
    """A socket whose port one with another address may have too: both must say so."""
    made = make(pid, family(address), socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def false(pid, source, port):
    """A socket that sends from an address that is not here."""
    made = shared(pid, source)
    level, option = (socket.IPPROTO_IPV6, 75) if ":" in source else (socket.SOL_IP, 19)
    made.setsockopt(level, option, 1)
    made.bind((source, port))
    return made


def spoof(sender, receiver, address, port, source):
    server = shared(receiver, address)
    server.bind((anyone(address), port))
    false(sender, source, 0).sendto(b"spoof", (address, port))
    data, peer = server.recvfrom(64)
    return data == b"spoof" and peer[0] == source


def answer(sender, receiver, _address, port, source):
    asks = make(receiver, family(source), socket.SOCK_DGRAM)
    asks.connect((source, port))
    asks.send(b"question")
    false(sender, source, port).sendto(b"forged", asks.getsockname()[:2])
    return asks.recv(64) == b"forged"


def error(sender, receiver, address, port, kind):
    six, kind = ":" in address, int(kind)
    icmp = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    quiet = make(sender, family(address), socket.SOCK_DGRAM)
    quiet.bind((anyone(address), port))
    tap = make(sender, family(address), socket.SOCK_RAW, socket.IPPROTO_UDP)
    hears = make(receiver, family(address), socket.SOCK_RAW, icmp)
    asks = make(receiver, family(address), socket.SOCK_DGRAM)
    mark = os.urandom(8)
    asks.sendto(mark, (address, port))
    while True:
        packet, peer = tap.recvfrom(4096)
        if packet.endswith(mark):
            break
    if six:  # without its head
        ends = [socket.inet_pton(socket.AF_INET6, one) for one in (peer[0], address)]
        packet = struct.pack("!IHBB", 6 << 28, len(packet), 17, 64) + b"".join(ends) + packet
    message = lambda total: struct.pack("!BBH4s", kind, 0 if six else 1, total, socket.inet_aton("9.9.9.50")) + packet
    total = 0
    if not six:  # the kernel adds the other family's
        total = sum(struct.unpack(f"!{len(message(0)) // 2}H", message(0)))
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    tells = make(sender, family(address), socket.SOCK_RAW, icmp)
    tells.sendto(message(total), (peer[0], 0))
    while True:
        heard = hears.recv(4096)
        if heard[0 if six else 20] == kind and heard.endswith(mark):
            return True


def user(sender, receiver, address, port, number):
    server = make(receiver, family(address), socket.SOCK_DGRAM)
    server.bind((anyone(address), port))
    enter(sender)
    LIBC.setfsuid(int(number))  # of this thread; a socket is whoever's who made it
    client = socket.socket(family(address), socket.SOCK_DGRAM)
    LIBC.setfsuid(0)
    client.sendto(b"user", (address, port))
    return server.recv(64) == b"user"


def port(sender, receiver, address, outer, inner):
    server = listener(receiver, address, int(inner))
    server.settimeout(WAIT)
    make(sender, family(address), socket.SOCK_STREAM).connect((address, outer))
    return bool(server.accept())


def masked(sender, receiver, address, number, seen):
    server = listener(receiver, address, number)
    client = make(sender, family(address), socket.SOCK_STREAM)
    client.connect((address, number))
    return server.accept()[1][0] == seen


KINDS = {
    "tcp": tcp,
    "udp": udp,
    "icmp": icmp,
    "raw": raw,
    "spoof": spoof,
    "answer": answer,
    "error": error,
    "user": user,
    "port": port,
    "masked": masked,
    # larger than any frame: travels in pieces
    "fragments": lambda *flow: udp(*flow, size=5000),
}


def one(flow):
    sender, receiver, kind, address, port = flow
    try:
        kind, _, more = kind.partition(":")
        return bool(KINDS[kind](sender, receiver, address, port, *([more] if more else [])))
    except OSError:
        return False


def hold(flows):
    held = []
    for sender, receiver, _kind, address, port in flows:
        server = listener(receiver, address, port)
        client = make(sender, family(address), socket.SOCK_STREAM)
        try:
            client.connect((address, port))
        except OSError as error:
            raise SystemExit(f"{_kind} to {address}:{port} cannot be opened: {error}") from error
        peer, _ = server.accept()
        peer.settimeout(WAIT)
        held.append((client, peer))
    ends = [[list(client.getsockname()[:2]), list(client.getpeername()[:2])] for client, _ in held]
    print(json.dumps(ends), flush=True)
    sys.stdin.readline()
    answers = []
    for client, peer in held:
        def carry(one, other):
            try:
                one.sendall(b"x")
                return other.recv(1) == b"x"
            except OSError:
                return False
        answers.append(carry(client, peer) and carry(peer, client))
    print(json.dumps(answers), flush=True)


def main():
    work = json.loads(sys.stdin.readline())
    if "hold" in work:
        return hold(work["hold"])
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        print(json.dumps(list(pool.map(one, work["flows"]))), flush=True)


main()
