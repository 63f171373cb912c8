"""The network and the files that are attacked: made new for one run, in namespaces of its own, and gone with it.

Everything that is outside listens on addresses of the lab's `lo`. Whatever arrives is kept, by where it arrived.
"""

import ctypes
import http.server
import json
import os
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from probe import READY

EVIL, EVIL6 = "5.5.5.66", "2a00:5:5:5::66"
ALLOWED, RESOLVER, METADATA, NEIGHBOUR = "10.80.0.1", "10.53.0.53", "169.254.169.254", "192.168.77.1"
ALLOWED6 = "fd80::1"
TCP_PORTS = [22, 25, 53, 80, 443, 853, 3128, 4444, 8080, 8443]
UDP_PORTS = [53, 123, 443, 853, 4444, 5353]

METADATA_MORE = ["169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254",
                 "fd00:c1::a9fe:a9fe", "fd00:42::42", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe"]

# What the resolver answers: name to addresses. A name below one of these answers like it. Everything else that ends in
# `evil.test` is the attacker's.
NAMES = {
    "allowed.test": [ALLOWED, ALLOWED6],
    "api.test": [ALLOWED],
    "wild.test": [ALLOWED],
    "udp.test": [ALLOWED],
    "shared.test": [ALLOWED],  # not permitted, on the address of one that is
    "evil.test": [EVIL, EVIL6],
    "evilallowed.test": [EVIL],
    "allowed.test.evil.test": [EVIL],
    "rebind.test": ["127.0.0.1"],  # permitted, and leads home
    "meta.test": [METADATA],  # permitted, and leads to the cloud's metadata
    "inner.test": [NEIGHBOUR],  # permitted, and leads to a private network
    "raw.test": ["10.80.0.2"],  # permitted for TLS, and keeps whatever comes
    "retry.test": ["10.80.0.3"],  # permitted for TLS, and asks every client for a second hello
    "wrong.test": [ALLOWED],  # permitted, with a certificate of other names
    "unknown.test": [ALLOWED],  # permitted, with a certificate of an authority that nobody knows
    "xwild.test": [EVIL],
    "xn--llowed-2fg.test": [EVIL],  # a Cyrillic letter first
    "metadata.google.internal": [METADATA],
    "alias.test": [ALLOWED],  # permitted, an alias of target.test
    "target.test": [ALLOWED],
    "mapped.rebind.test": ["::ffff:127.0.0.1"],
    "zero.rebind.test": ["0.0.0.0"],
    "six.rebind.test": ["::1"],
    "unspecified.rebind.test": ["::"],
    "other.rebind.test": ["127.9.9.9"],
    "mixed.rebind.test": ["10.80.0.2", "127.0.0.1"],
    "flip.rebind.test": [],  # see `answered`
    "container.meta.test": ["169.254.170.2"],
    "china.meta.test": ["100.100.100.200"],
    "six.meta.test": ["fd00:ec2::254"],
    "google.meta.test": ["fd20:ce::254"],
    "oracle.meta.test": ["fd00:c1::a9fe:a9fe"],
    "scaleway.meta.test": ["fd00:42::42"],
    "azure.meta.test": ["168.63.129.16"],
    "nat64.meta.test": ["64:ff9b::a9fe:a9fe"],
    "sixtofour.meta.test": ["2002:a9fe:a9fe::1"],
    "compatible.meta.test": ["::169.254.169.254"],
    "carrier.inner.test": ["100.64.7.7"],
    "unique.inner.test": ["fd99::7"],
    "policy.internal": [EVIL],  # claw's own page inside; outside, anybody's
}

POLICY = """version: 1
agent: escape-suite
network_policy:
  workload:
    - {destination: "allowed.test:80", plane: tool, purpose: Requests by path, protocol: TCP/HTTP, private: allow, http: ["GET /open/**"]}
    - {destination: "allowed.test:443", plane: tool, purpose: TLS by its name, protocol: TCP/TLS, private: allow}
    - {destination: "allowed.test:7000", plane: tool, purpose: Plain bytes, protocol: TCP, private: allow}
    - {destination: "api.test:443", plane: inference, purpose: Requests inside TLS, private: allow, upstream_ca: ../ca.pem, http: ["POST /v1/messages"]}
    - {destination: "*.wild.test:443", plane: tool, purpose: A wildcard, protocol: TCP/TLS, private: allow}
    - {destination: "udp.test:5000", plane: tool, purpose: Datagrams, protocol: UDP, private: allow}
    - {destination: "rebind.test:7001", plane: tool, purpose: Leads to the host itself, protocol: TCP}
    - {destination: "meta.test:80", plane: tool, purpose: Leads to the metadata service, protocol: TCP}
    - {destination: "inner.test:80", plane: tool, purpose: Leads to a private network, protocol: TCP}
    - {destination: "allowed.test:8080", plane: tool, purpose: Requests by path, protocol: TCP/HTTP, private: allow,
       http: ["GET /open/**", "POST /open/**"]}
    - {destination: "raw.test:443", plane: tool, purpose: TLS by its name, protocol: TCP/TLS, private: allow}
    - {destination: "retry.test:443", plane: tool, purpose: TLS by its name, protocol: TCP/TLS, private: allow}
    - {destination: "wrong.test:443", plane: tool, purpose: Another certificate, private: allow, upstream_ca: ../ca.pem,
       http: ["GET /open/**"]}
    - {destination: "unknown.test:443", plane: tool, purpose: An unknown authority, private: allow,
       http: ["GET /open/**"]}
    - {destination: "alias.test:7000", plane: tool, purpose: An alias, protocol: TCP, private: allow}
    - {destination: "*.rebind.test:7001", plane: tool, purpose: Lead to the host itself, protocol: TCP, private: allow}
    - {destination: "*.meta.test:80", plane: tool, purpose: Lead to metadata services, protocol: TCP, private: allow}
    - {destination: "*.inner.test:80", plane: tool, purpose: Lead to private networks, protocol: TCP}
    - {destination: "10.90.0.0/24:9000", plane: tool, purpose: A network, protocol: TCP}
filesystem: {write: [.]}
"""
# The same where nothing reaches the working directory before it was reviewed.
REVIEWED = POLICY.replace("write: [.]", "review: [.], protect: standard")
# Held by a control group, which an ordinary user may not have.
LIMITS = "process: {limits: {pids: 300, memory: 700MiB}}\n"


class Seen:
    """What arrived outside, by where."""

    def __init__(self):
        self.lock, self.arrivals = threading.Lock(), []

    def add(self, where, data):
        with self.lock:
            self.arrivals.append((where, bytes(data)))

    def take(self):
        with self.lock:
            taken, self.arrivals = self.arrivals, []
        return taken


def daemon(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()


class Lab:
    def __init__(self, as_user=None, review=False):
        self.seen = Seen()
        # the process outside begins as nice as the suite itself
        self.niceness = str(os.getpriority(os.PRIO_PROCESS, 0))
        self.root = tempfile.mkdtemp(prefix="escape-")
        os.chmod(self.root, 0o755)
        self.work, self.home = os.path.join(self.root, "work"), os.path.join(self.root, "home")
        self.run = os.path.join(self.root, "run")
        for directory in (self.work, self.home, self.run, os.path.join(self.home, ".ssh")):
            os.mkdir(directory)
        self.user, self.review = as_user, review
        self.secret = secrets.token_hex(16)
        self.guarded, self.over, self.restored, self.traps = {}, {}, [], []
        self.network()
        self.servers()
        self.files()
        self.shared()
        self.privileged()

    def network(self):
        lines = ["link set lo up"]
        for address in (EVIL, ALLOWED, RESOLVER, METADATA, NEIGHBOUR, "10.90.0.1", "10.90.1.1", "10.80.0.2",
                        "10.80.0.3", "10.80.0.5", "100.64.7.7", *(a for a in METADATA_MORE if ":" not in a)):
            lines.append(f"addr add {address}/32 dev lo")
        for address in (EVIL6, ALLOWED6, "64:ff9b::505:542", "2002:505:542::1", "::505:542", "fd99::7",
                        *(a for a in METADATA_MORE if ":" in a)):
            lines.append(f"addr add {address}/128 dev lo nodad")
        lines.append("addr add fe80::66/64 dev lo nodad")
        lines += ["link set lo multicast on", "route add 224.0.0.0/4 dev lo"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
        # an ordinary network lets everyone ping, and lets no port be too low
        for name, value in (("net/ipv4/ping_group_range", "0 2147483647"), ("net/ipv4/ip_unprivileged_port_start", "0"),
                            ("net/ipv4/conf/all/accept_source_route", "1"), ("net/ipv4/conf/lo/accept_source_route", "1"),
                            ("net/ipv4/conf/lo/accept_local", "1")):
            with open(f"/proc/sys/{name}", "w") as file:
                file.write(value)
        self.put("hosts", "127.0.0.1 localhost\n::1 localhost\n", "/etc/hosts")
        self.put("resolv.conf", f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n", "/etc/resolv.conf")

    def put(self, name, text, over):
        path = os.path.join(self.root, name)
        with open(path, "w") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", path, os.path.realpath(over)], check=True)

    def servers(self):
        for port in TCP_PORTS:
            self.listen(EVIL, port, f"evil tcp {port}")
            self.listen(EVIL6, port, f"evil tcp6 {port}")
        for port in UDP_PORTS:
            self.datagrams(EVIL, port, f"evil udp {port}")
            self.datagrams(EVIL6, port, f"evil udp6 {port}")
        for address in (ALLOWED, ALLOWED6):
            self.listen(address, 7000, "allowed tcp 7000")
            self.listen(address, 22, "evil: another port of an allowed host")
            self.listen(address, 80, "allowed http", web=True)
        self.datagrams(ALLOWED, 5000, "allowed udp 5000")
        self.listen(ALLOWED, 5000, "evil: a stream to a port that is permitted for datagrams")
        self.datagrams(ALLOWED, 443, "evil: datagrams to a port that is permitted for streams")
        self.listen("fe80::66%lo", 7002, "evil: a link-local address")
        self.datagrams(EVIL, 4444, "evil: UDP-Lite", protocol=136)
        self.groups()
        self.datagrams(ALLOWED, 5001, "evil: another port of an allowed host")
        self.listen("10.90.0.1", 9000, "allowed network")
        self.listen("10.90.0.1", 9001, "evil: another port of an allowed network")
        for address in ("127.0.0.1", "::1"):
            self.listen(address, 7001, "evil: a service of the host's loopback")
        self.datagrams("127.0.0.1", 7001, "evil: a datagram service of the host's loopback")
        self.listen(METADATA, 80, "evil: the metadata service")
        self.listen(NEIGHBOUR, 80, "evil: a private network")
        self.more_servers()
        self.listen(ALLOWED, 443, "allowed tls", context=self.certificates())
        self.listen("10.80.0.2", 443, "allowed tls port without tls")
        asks_twice = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        asks_twice.load_cert_chain(os.path.join(self.root, "server.pem"), os.path.join(self.root, "server.key"))
        asks_twice.set_ecdh_curve("secp384r1")
        self.listen("10.80.0.3", 443, "allowed tls, asks twice", context=asks_twice)
        self.unix("@escape-abstract", "evil: an abstract UNIX socket of the host")
        self.unix("@claw/0/decoy", "evil: the socket that gives a run its orders")
        os.mkfifo(os.path.join(self.run, "pipe"), 0o666)
        daemon(self.pipe, os.path.join(self.run, "pipe"))
        self.unix(os.path.join(self.run, "daemon.sock"), "evil: a UNIX socket of the host")
        self.unix(os.path.join(self.run, "log.sock"), "evil: a UNIX datagram socket of the host", socket.SOCK_DGRAM)
        self.resolver()

    def more_servers(self):
        """Other spellings of the attacker's address, metadata services, neighbours, other transports."""
        for address in (ALLOWED, ALLOWED6):
            self.listen(address, 8080, "allowed http", web="chunked")
        self.datagrams(ALLOWED, 7000, "evil: another transport of an allowed host")
        self.datagrams("10.90.0.1", 9000, "evil: another transport of an allowed network")
        self.listen("10.90.1.1", 9000, "evil: beside an allowed network")
        self.listen("10.80.0.5", 7001, "an answer that is permitted")
        self.listen("10.80.0.5", 7000, "evil: a neighbour of an allowed host")
        self.listen("127.9.9.9", 7001, "evil: a service of the host's loopback")
        for address in ("64:ff9b::505:542", "2002:505:542::1", "::505:542"):
            self.listen(address, 80, "evil: an address that holds another")
        for address in METADATA_MORE:
            self.listen(address, 80, "evil: a metadata service")
        for address in ("100.64.7.7", "fd99::7"):
            self.listen(address, 80, "evil: a private network")

    def certificates(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.root)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "2", "-subj", "/CN=escape suite")
        names = ["allowed.test", "api.test", "*.wild.test", "*.a.wild.test", "shared.test"]
        with open(os.path.join(self.root, "names"), "w") as file:
            file.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key",
                "-out", "server.csr", "-subj", "/CN=allowed.test")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", "server.pem")
        shutil.copy(os.path.join(self.root, "ca.pem"), os.path.join(self.work, "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.root, "server.pem"), os.path.join(self.root, "server.key"))
        return context

    def listen(self, address, port, where, web=False, context=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        listener.bind(socket.getaddrinfo(address, port, family, socket.SOCK_STREAM)[0][4])
        listener.listen(128)
        daemon(self.accept, listener, where, web, context)

    def accept(self, listener, where, web=False, context=None):
        while True:
            connection, _ = listener.accept()
            self.seen.add(where, b"")
            daemon(self.serve, connection, where, web, context)

    def serve(self, connection, where, web, context):
        """Keeps every byte; answers what looks like requests as a web server, everything else by an echo."""
        try:
            connection.settimeout(5)
            if context:
                context.sni_callback = lambda _s, name, _c: self.seen.add(where, f"sni {name}".encode())
                connection = context.wrap_socket(connection, server_side=True)
                web = True
            rest = b""
            while data := connection.recv(65536):
                self.seen.add(where, data)
                if not web and b" HTTP/1." not in data:
                    connection.sendall(data)
                    continue
                rest += data
                while b"\r\n\r\n" in rest:
                    head, rest = rest.split(b"\r\n\r\n", 1)
                    length = 0
                    for line in head.split(b"\r\n"):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1].split(b",")[-1].strip() or 0)
                    if web == "chunked" and b"chunked" in head.lower():
                        length, rest = 0, self.chunks(connection, where, rest)
                    while len(rest) < length and (data := connection.recv(65536)):
                        self.seen.add(where, data)
                        rest += data
                    rest = rest[length:]
                    if b" /closed/" in head.split(b"\r\n")[0]:
                        self.seen.add("evil: a request that no rule permits was read", b"")
                    body = b"answer from " + where.encode() + b" to " + head.split(b"\r\n")[0]
                    if b"upgrade: websocket" in head.lower():
                        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                                           b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                        web = False
                        break
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except (OSError, ValueError):
            pass
        finally:
            try:
                connection.close()
            except OSError:
                pass

    def chunks(self, connection, where, rest):
        """A careless reader of chunks, with sizes of 32 bits. Returns what follows the last chunk."""
        def more():
            if not (data := connection.recv(65536)):
                raise OSError("closed")
            self.seen.add(where, data)
            return data

        size = -1
        while size:
            while b"\n" not in rest:
                rest += more()
            line, rest = rest.split(b"\n", 1)
            size = int(line.split(b";")[0].strip() or b"0", 16) & 0xFFFFFFFF
            while size and len(rest) < size + 2:
                rest += more()
            rest = rest[size + 2 if size else 0:]
        line = b"trailer"
        while line.strip():
            while b"\n" not in rest:
                rest += more()
            line, rest = rest.split(b"\n", 1)
        return rest

    def datagrams(self, address, port, where, protocol=0):
        try:
            one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM, protocol)
        except OSError:  # a protocol that this kernel does not know
            return
        one.bind((address, port))
        daemon(self.echo, one, where)

    def groups(self):
        """One who listens for multicast and for broadcast."""
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("", 5354))
        here = struct.pack("4s4si", socket.inet_aton("239.66.66.66"), bytes(4), socket.if_nametoindex("lo"))
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, here)
        daemon(self.echo, one, "evil: multicast and broadcast")

    def echo(self, one, where):
        while True:
            data, peer = one.recvfrom(65536)
            self.seen.add(where, data or b"(empty)")
            try:
                one.sendto(data, peer)
            except (OSError, TypeError):  # nobody there, or nobody with an address
                pass

    def unix(self, path, where, kind=socket.SOCK_STREAM):
        one = socket.socket(socket.AF_UNIX, kind)
        one.bind("\0" + path[1:] if path.startswith("@") else path)
        if not path.startswith("@"):
            os.chmod(path, 0o777)
        if kind == socket.SOCK_DGRAM:
            daemon(self.echo, one, where)
        else:
            one.listen(16)
            daemon(self.accept, one, where)

    def pipe(self, path):
        one = os.open(path, os.O_RDWR)
        while True:
            self.seen.add("evil: a pipe of the host", os.read(one, 4096))

    def resolver(self):
        """Answers every question; what was asked is kept, since a question is a message too."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((RESOLVER, 53))

        def serve():
            while True:
                question, peer = udp.recvfrom(4096)
                answer = self.answered(question)
                if answer:
                    udp.sendto(answer, peer)

        daemon(serve)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((RESOLVER, 53))
        tcp.listen(16)

        def serve_stream():
            while True:
                connection, _ = tcp.accept()
                try:
                    connection.settimeout(2)
                    reader = connection.makefile("rb")
                    while head := reader.read(2):
                        answer = self.answered(reader.read(struct.unpack(">H", head)[0])) or b""
                        connection.sendall(struct.pack(">H", len(answer)) + answer)
                except (OSError, struct.error):
                    pass
                finally:
                    connection.close()

        daemon(serve_stream)

    def answered(self, question):
        if len(question) < 17:
            self.seen.add("resolver", question)
            return None
        labels, at = [], 12
        while at < len(question) and question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1"))
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1:at + 3])[0] if at + 3 <= len(question) else 0
        name = ".".join(labels).lower()
        self.seen.add("resolver", f"asked {kind} {name} ".encode() + question)
        if b"ALLOWED" in question:
            self.seen.add("evil: the case of a question's letters", b"")
        parts = name.split(".")
        addresses = next((NAMES[".".join(parts[n:])] for n in range(len(parts)) if ".".join(parts[n:]) in NAMES), [])
        answers = b""
        count = 0
        if name == "flip.rebind.test" and kind == 1:
            self.flips = getattr(self, "flips", 0) + 1
            addresses = ["10.80.0.5"] if "1101001"[self.flips % 7] == "1" else ["127.0.0.1"]
        owner = b"\xc0\x0c"
        if name == "alias.test":
            target = b"\x06target\x04test\0"
            answers, count = owner + struct.pack(">HHIH", 5, 1, 1, len(target)) + target, 1
            owner = target
        for address in addresses:
            if (kind == 28) != (":" in address) or kind not in (1, 28):
                continue
            data = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            lives = 0 if name == "flip.rebind.test" else 1
            answers += owner + struct.pack(">HHIH", kind, 1, lives, len(data)) + data
            count += 1
        if kind == 16 and name.endswith("evil.test"):
            text = b"text of the attacker"
            answers += b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 1, len(text) + 1) + bytes([len(text)]) + text
            count += 1
        code = 0 if addresses else 3
        return question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0) + question[12:at + 5] + answers

    def files(self):
        """Files of a person's home that must neither be read nor change, and the policy."""
        for path, text in {
            "home/.ssh/id_ed25519": self.secret,
            "home/.ssh/authorized_keys": "nobody\n",
            "home/.bashrc": "# nothing\n",
            "home/.aws-credentials": self.secret,
            "run/state": "untouched\n",
            "run/shared": "untouched\n",
            "other/notes": self.secret,
            "home/config/claw/trusted-policies": "sha256:0 nothing\n",
            "home/state/claw/runs/earlier.jsonl": '{"seq":1}\n',
        }.items():
            path = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
            os.chmod(path, 0o600)
        self.system()
        self.policy = os.path.join(self.work, "policy.yaml")
        with open(self.policy, "w") as file:
            file.write((REVIEWED if self.review else POLICY) + (LIMITS if self.user is None and os.geteuid() == 0 else ""))
        here = os.path.dirname(os.path.abspath(__file__))
        shutil.copytree(here, os.path.join(self.work, "suite"), ignore=shutil.ignore_patterns("__pycache__"))
        if self.user is not None:
            for directory, _, names in os.walk(self.root):
                for path in [directory] + [os.path.join(directory, name) for name in names]:
                    if not path.endswith(("/hosts", "/resolv.conf", ".key")):
                        os.chown(path, self.user, self.user)
        for path in ("home/.ssh/authorized_keys", "home/.ssh/id_ed25519", "home/.bashrc", "home/.aws-credentials",
                     "run/state", "home/state/claw/runs/earlier.jsonl", "work/policy.yaml", "ca.pem",
                     "home/config/claw/trusted-policies", "run/shared", *self.over):
            self.guarded[path] = self.state(path)

    def system(self):
        """Copies of system files, laid over the machine's own, so that attacks on them hurt nobody."""
        with open("/etc/passwd") as file:
            users = file.read()
        files = {"/etc/passwd": users, "/etc/shadow": self.secret, "/etc/gshadow": self.secret}
        directories = {"/etc/ssl/private": "server", "/etc/ssh": "ssh_host_ed25519_key", "/var/log": "escape.log",
                       "/var/spool": "crontab"}
        for target, text in files.items():
            if os.path.exists(target):
                name = os.path.basename(target)
                self.put(name, text, target)
                self.over[name] = target
        for target, name in directories.items():
            if os.path.isdir(target):
                directory = "over" + target.replace("/", "-")
                os.mkdir(os.path.join(self.root, directory))
                with open(os.path.join(self.root, directory, name), "w") as file:
                    file.write(self.secret)
                subprocess.run(["mount", "--bind", os.path.join(self.root, directory), target], check=True)
                self.over[f"{directory}/{name}"] = os.path.join(target, name)

    def state(self, path):
        """What a guarded file holds, and what the file system says of it."""
        path = os.path.join(self.root, path)
        try:
            if os.path.islink(path):
                return "a link"
            facts = os.stat(path)
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return None
        try:
            attributes = os.listxattr(path)
        except OSError:
            attributes = []
        return content, facts.st_mode, facts.st_uid, facts.st_nlink, facts.st_mtime_ns, attributes

    def strays(self, marker):
        """Files that came to be outside of the working directory and carry the marker in their name."""
        found = []
        for directory in (self.root, self.home, self.run, "/tmp", "/var/tmp", "/dev/shm"):
            for name in os.listdir(directory) if os.path.isdir(directory) else []:
                if marker in name:
                    found.append(f"new {os.path.join(directory, name)}")
                    os.unlink(os.path.join(directory, name))
        return found

    def ledger(self):
        """The newest ledger's lines, or nothing: other sandboxes keep none."""
        directory = os.path.join(self.home, "state/claw/runs")
        paths = [os.path.join(directory, name) for name in os.listdir(directory) if name != "earlier.jsonl"]
        if not paths:
            return None
        with open(max(paths, key=os.path.getmtime), "rb") as file:
            return file.read().splitlines()

    def trap(self, work):
        """Does something outside while the probe runs; it is over before the suite looks what the probe did."""
        self.traps.append(threading.Thread(target=work, daemon=True))
        self.traps[-1].start()

    def await_ready(self, wait=3.0):
        """Until the probe has begun, as it says itself (`probe.ready`)."""
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if os.path.exists(os.path.join(self.work, "ready")):
                return
            with open(os.path.join(self.root, "output"), "rb") as file:
                if READY.encode() in file.read():
                    return
            time.sleep(0.02)

    def sprung(self):
        """Waits until nothing that was prepared goes on."""
        while self.traps:
            self.traps.pop().join()

    def prepare(self):
        """What every probe finds anew: a process outside, of the same user, and a connection to the attacker."""
        if not hasattr(self, "victim") or self.victim.poll() is not None:
            words = ["sleep", "100000"]
            if self.user is not None:
                words = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--", *words]
            self.victim = subprocess.Popen(words, env={"VICTIM_SECRET": self.secret}, start_new_session=True)
            while b"sleep" not in self.command_of_victim():
                time.sleep(0.005)
            self.before = self.standing()
            if hasattr(self, "victim_descriptor"):
                os.close(self.victim_descriptor)
            self.victim_descriptor = os.pidfd_open(self.victim.pid)
        if hasattr(self, "connection"):
            self.connection.close()
        self.connection = socket.create_connection((EVIL, 4444))
        # its own arrival is no probe's
        while not any(where == "evil tcp 4444" for where, _ in self.seen.arrivals):
            time.sleep(0.001)
        # it has been seen once something came back: what is seen later is the probe's
        self.connection.sendall(b"ready")
        self.connection.recv(100)
        if not hasattr(self, "secret_file"):
            self.secret_file = os.open(os.path.join(self.home, ".aws-credentials"), os.O_RDONLY)
            self.root_directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        os.lseek(self.secret_file, 0, os.SEEK_SET)
        if hasattr(self, "input_file"):
            os.close(self.input_file)
        self.input_file = os.open(os.path.join(self.run, "state"), os.O_RDONLY)

    def shared(self):
        """A shared memory segment and a message queue, open to everybody, in the suite's own IPC namespace."""
        self.shared_key = 0x65736361
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(self.shared_key, 4096, 0o1666)
        ctypes.memmove(libc.shmat(segment, None, 0), self.secret.encode(), len(self.secret))
        queue = libc.msgget(self.shared_key, 0o1666)
        libc.msgsnd(queue, struct.pack("=q", 1) + self.secret.encode(), len(self.secret), 0o4000)

    def privileged(self):
        """Programs that would lift whoever starts them: to user or group 4242, which nobody is, or by a capability."""
        self.programs = {}
        if os.geteuid() != 0:
            return
        # there to be attacked on every machine that has it, whatever it mounts by itself; in the suite's own mounts
        if not os.path.exists("/sys/kernel/tracing/trace"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=False,
                           stderr=subprocess.DEVNULL)
        for name, of, mode, owner in (("user", "id", 0o4755, (4242, -1)), ("group", "id", 0o2755, (-1, 4242)),
                                      ("capable", "grep", 0o755, (-1, -1))):
            path = os.path.join(self.work, "suite", f"lifts-by-{name}")
            shutil.copy(shutil.which(of), path)
            os.chown(path, *owner)
            os.chmod(path, mode)
            words = ["setcap", "cap_dac_read_search+ep", path]
            if name != "capable" or subprocess.run(words, check=False).returncode == 0:
                self.programs[name] = path

    def command_of_victim(self):
        with open(f"/proc/{self.victim.pid}/cmdline", "rb") as file:
            return file.read()

    def standing(self):
        """What others may not change about the process outside."""
        pid, texts = self.victim.pid, []
        for name in ("oom_score_adj", "coredump_filter", "limits"):
            with open(f"/proc/{pid}/{name}") as file:
                texts.append(file.read().strip())
        libc = ctypes.CDLL(None)
        return (os.getpriority(os.PRIO_PROCESS, pid), sorted(os.sched_getaffinity(pid)), os.sched_getscheduler(pid),
                libc.syscall({"x86_64": 252}.get(os.uname().machine, 31), 1, pid),
                texts)

    def hit(self):
        """What was done to the process outside."""
        if self.victim.poll() is not None:
            return ["a process outside was ended"]
        with open(f"/proc/{self.victim.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        if fields[0] in "Tt" or fields[16] != self.niceness:
            self.victim.kill()
            self.victim.wait()
            return ["a process outside was stopped or slowed down"]
        if self.standing() != self.before:
            self.victim.kill()
            self.victim.wait()
            return ["a process outside was changed"]
        return []

    def facts(self, marker, runner=""):
        """What a probe is told."""
        facts = {
            "marker": marker, "evil": EVIL, "evil6": EVIL6, "allowed": ALLOWED, "allowed6": ALLOWED6, "resolver": RESOLVER,
            "metadata": METADATA, "neighbour": NEIGHBOUR, "home": self.home, "run": self.run, "work": self.work,
            "root": self.root, "policy": self.policy, "secret": self.secret,
            "victim_pid": self.victim.pid, "pid_namespace": os.readlink("/proc/self/ns/pid"), "runner": runner,
            "shared_key": self.shared_key, "programs": self.programs, "review": self.review,
        }
        path = os.path.join(self.work, "escape.json")
        with open(path, "w") as file:
            json.dump(facts, file)
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def changed(self):
        """Guarded files that are not as they were; they are put back."""
        found = ["a process outlived the sandbox"] if os.path.exists(os.path.join(self.work, "outlived")) else []
        for path, state in self.guarded.items():
            whole = self.over.get(path, os.path.join(self.root, path))
            if self.state(path) != state:
                found.append(f"changed {path}")
                self.restored.append(path)
                if path not in self.over and os.path.lexists(whole):
                    os.unlink(whole)
                os.makedirs(os.path.dirname(whole), exist_ok=True)
                with open(whole, "wb") as file:
                    file.write(state[0])
                for name in self.state(path)[5]:
                    os.removexattr(whole, name)
                os.chown(whole, state[2], state[2])
                os.chmod(whole, state[1] & 0o7777)
        return found

    def clear(self):
        """The working directory as it was before the probe."""
        for name in os.listdir(self.work):
            if name not in ("suite", "policy.yaml", "ca.pem", "escape.json"):
                path = os.path.join(self.work, name)
                subprocess.run(["rm", "-rf", path], check=False)
        while self.restored:
            path = self.restored.pop()
            self.guarded[path] = self.state(path)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)
