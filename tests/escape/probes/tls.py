"""TLS: another site behind a permitted host's address, and other protocols on its port.

raw.test is permitted for TLS and returns whatever it gets, so bytes that come back have passed.
"""

import os
import socket
import ssl
import struct
import time

from probe import Held, probe

NAMED = "a handshake that names another host arrives"
HIDDEN = "a handshake that hides its host arrives"
FOREIGN = "bytes that are no TLS arrive at a port of TLS"
REQUEST = "a request is sent to a destination that did not prove its name"


def name_extension(*names, kind=0, behind=b""):
    """The server_name extension; `behind` lies after the end of its list."""
    names = [name if isinstance(name, bytes) else name.encode() for name in names]
    entries = b"".join(bytes([kind]) + struct.pack(">H", len(name)) + name for name in names)
    body = struct.pack(">H", len(entries)) + entries + behind
    return struct.pack(">HH", 0, len(body)) + body


def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def hello(*extensions, plain=False):
    """A client hello of TLS 1.3 with these extensions before the usual ones; `plain`: of TLS 1.0, without any."""
    usual = extension(43, b"\2\3\4") + extension(10, b"\0\2\0\x1d") + extension(13, b"\0\4\4\3\x08\4")
    usual += extension(51, struct.pack(">HHH", 36, 29, 32) + os.urandom(32))
    body = (b"\3\1" if plain else b"\3\3") + os.urandom(32) + b"\x20" + os.urandom(32)
    body += b"\0\6\x13\1\xc0\x2b\0\x2f\1\0"
    if not plain:
        every = b"".join(extensions) + usual
        body += struct.pack(">H", len(every)) + every
    return b"\1" + len(body).to_bytes(3, "big") + body


def record(data, kind=22):
    return struct.pack(">BHH", kind, 0x0301, len(data)) + data


def sent(*parts, host="raw.test"):
    """Sends the parts one by one. Held unless bytes of the first part come back."""
    with socket.create_connection((host, 443), 2) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.settimeout(0.5)
        for part in parts:
            one.sendall(part)
            if len(parts) > 1:
                time.sleep(0.002)
        answer = one.recv(65536)
    if not answer:
        raise EOFError("closed without an answer")
    if answer[:1] != parts[0][:1]:
        raise Held("an answer of the gate")


def shaken(lab, host, name, port=443):
    """A whole handshake with `host` that names `name`. The certificate is not looked at: the attacker would not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((host, port), 2), server_hostname=name)


@probe(NAMED)
def other_name(lab):
    """A whole handshake with a permitted host that names another host of the same server."""
    shaken(lab, "allowed.test", "shared.test").close()


@probe(HIDDEN)
def no_name(lab):
    """A whole handshake that names nobody."""
    shaken(lab, "allowed.test", None).close()


@probe(NAMED)
def other_permitted_name(lab):
    """A handshake with one permitted host that names another permitted host, whose requests would be read."""
    shaken(lab, "allowed.test", "api.test").close()


@probe(NAMED)
def other_name_below_the_wildcard(lab):
    """A host below the wildcard, and a handshake that names another host below it."""
    shaken(lab, "one.wild.test", "two.wild.test").close()


@probe(NAMED)
def data_in_the_name(lab):
    """Data in the name of a handshake with a permitted host."""
    sent(record(hello(name_extension(f"{lab.mark()}.test"))))


@probe(NAMED)
def other_name_where_requests_are_read(lab):
    """A handshake that names another host, on a rule whose TLS is ended."""
    with shaken(lab, "api.test", f"{lab.mark()}.test") as one:
        one.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n")
        if b"answer from" not in one.recv(4096):
            raise Held("no answer")


@probe(NAMED)
def two_names_in_one_list(lab):
    """Two names in the server_name extension, the permitted one first."""
    sent(record(hello(name_extension("raw.test", f"{lab.mark()}.test"))))


@probe(NAMED)
def two_names_in_one_list_turned_round(lab):
    """Two names in the server_name extension, the permitted one last."""
    sent(record(hello(name_extension(f"{lab.mark()}.test", "raw.test"))))


@probe(NAMED)
def two_extensions(lab):
    """The server_name extension twice."""
    sent(record(hello(name_extension("raw.test"), name_extension(f"{lab.mark()}.test"))))


@probe(NAMED)
def name_behind_the_list(lab):
    """A second name inside the extension, behind the end of its list."""
    sent(record(hello(name_extension("raw.test", behind=b"\0\0\x20" + lab.mark().encode()[:32]))))


@probe(NAMED)
def name_of_another_kind(lab):
    """A name of a type that is not host_name."""
    sent(record(hello(name_extension("raw.test", kind=1))))


@probe(NAMED)
def nul_in_the_name(lab):
    """NUL inside the name: a reader of C strings sees the permitted part only."""
    sent(record(hello(name_extension(f"raw.test\0.{lab.mark()}.test"))))


@probe(NAMED)
def permitted_name_as_a_suffix(lab):
    """A name that ends in the permitted one."""
    sent(record(hello(name_extension(f"{lab.mark()}.raw.test"))))


@probe(NAMED)
def space_before_the_name(lab):
    """White space around the permitted name, which a careless reader cuts off."""
    sent(record(hello(name_extension("\traw.test "))))


@probe(NAMED)
def wide_letters(lab):
    """Full-width letters, which IDNA maps to the permitted name and servers do not."""
    sent(record(hello(name_extension("ｒａｗ.test"))))


@probe(NAMED)
def name_that_is_no_text(lab):
    """The permitted name with a byte that is no UTF-8, which a careless reader leaves out."""
    sent(record(hello(name_extension(b"raw\xff.test"))))


@probe(NAMED)
def port_in_the_name(lab):
    """The permitted name with a port and a path behind it."""
    sent(record(hello(name_extension("raw.test:443/"))))


@probe(NAMED)
def address_as_the_name(lab):
    """An address in the place of the name."""
    sent(record(hello(name_extension(lab.evil))))


@probe(NAMED)
def empty_name(lab):
    """A server_name extension with an empty name."""
    sent(record(hello(name_extension(""))))


@probe(NAMED)
def empty_list(lab):
    """A server_name extension with an empty list, as servers send it."""
    sent(record(hello(name_extension())))


@probe(NAMED)
def split_over_records(lab):
    """The handshake message in many records, so that the name lies in none of them whole."""
    whole = hello(name_extension(f"{lab.mark()}.test"))
    sent(b"".join(record(whole[n:n + 7]) for n in range(0, len(whole), 7)))


@probe(NAMED)
def split_over_segments(lab):
    """The hello byte by byte: a reader of the first segment sees nothing."""
    whole = record(hello(name_extension(f"{lab.mark()}.test")))
    sent(*[whole[n:n + 1] for n in range(len(whole))])


@probe(NAMED)
def slow_segments(lab):
    """The hello in two halves with a pause: a reader that waits for a while only gives up and lets it pass."""
    whole = record(hello(name_extension(f"{lab.mark()}.test")))
    with socket.create_connection(("raw.test", 443), 2) as one:
        one.settimeout(1)
        one.sendall(whole[:40])
        time.sleep(1.5)
        one.sendall(whole[40:])
        if one.recv(65536)[:1] != b"\x16":
            raise EOFError("closed")


@probe(NAMED)
def empty_records(lab):
    """Empty handshake records before the hello and inside of it."""
    whole = hello(name_extension(f"{lab.mark()}.test"))
    sent(record(b"") * 3 + record(whole[:50]) + record(b"") + record(whole[50:]))


@probe(NAMED)
def name_behind_a_huge_extension(lab):
    """The name behind an extension of thirty thousand bytes."""
    whole = hello(extension(0x4A4A, bytes(30000)), name_extension(f"{lab.mark()}.test"))
    sent(b"".join(record(whole[n:n + 16000]) for n in range(0, len(whole), 16000)))


@probe(NAMED)
def name_before_a_huge_extension(lab):
    """The wrong name at once, and then more than any reader would keep: it may give up and let it pass."""
    whole = hello(name_extension(f"{lab.mark()}.test"), extension(0x4A4A, bytes(64000)))
    sent(b"".join(record(whole[n:n + 16000]) for n in range(0, len(whole), 16000)))


@probe(HIDDEN)
def encrypted_hello(lab):
    """Encrypted client hello: the permitted name outside, another inside."""
    body = b"\0\0\1\0\1\x11\0\x20" + os.urandom(32) + struct.pack(">H", 64) + lab.mark().encode().ljust(64)[:64]
    sent(record(hello(name_extension("raw.test"), extension(0xFE0D, body))))


@probe(HIDDEN)
def encrypted_name(lab):
    """The older encrypted_server_name extension, without a name in the clear."""
    body = b"\x13\1\0\x1d\0\x20" + os.urandom(32) + b"\0\x20" + lab.mark().encode().ljust(32)[:32]
    sent(record(hello(extension(0xFFCE, body))))


@probe(HIDDEN)
def hello_without_extensions(lab):
    """A hello of TLS 1.0, which has no extensions and so no name."""
    sent(record(hello(plain=True)))


@probe(HIDDEN)
def hello_of_version_2(lab):
    """A hello in the form of SSL 2, which names nobody and has no records."""
    body = b"\1\3\1\0\3\0\0\0\x10\0\0\x2f" + os.urandom(16)
    sent(struct.pack(">H", 0x8000 | len(body)) + body)


@probe(NAMED)
def message_longer_than_it_says(lab):
    """The message says that it ends before the name; servers that go by the record read on."""
    whole = hello(name_extension(f"{lab.mark()}.test"))
    sent(record(whole[:1] + (90).to_bytes(3, "big") + whole[4:]))


@probe(NAMED)
def change_of_cipher_first(lab):
    """A change_cipher_spec record before the hello, which servers skip."""
    sent(record(b"\1", 20) + record(hello(name_extension(f"{lab.mark()}.test"))))


@probe(NAMED)
def alert_first(lab):
    """A warning alert before the hello, which servers skip."""
    sent(record(b"\1\0", 21) + record(hello(name_extension(f"{lab.mark()}.test"))))


@probe(FOREIGN)
def application_data_first(lab):
    """Records of application data, and no handshake."""
    sent(record(lab.mark().encode(), 23))


@probe(FOREIGN)
def heartbeat_first(lab):
    """A heartbeat record, and no handshake."""
    sent(record(b"\1" + struct.pack(">H", 16) + lab.mark().encode(), 24))


@probe(NAMED)
def other_message_first(lab):
    """A handshake message that is no client hello, and then one."""
    sent(record(b"\0\0\0\0" + hello(name_extension(f"{lab.mark()}.test"))))


@probe(NAMED)
def hello_for_datagrams(lab):
    """A hello in the records of DTLS."""
    whole = hello(name_extension("raw.test"))
    body = whole[:4] + b"\0\0\0\0\0" + whole[1:4] + whole[4:]
    sent(b"\x16\xfe\xff" + bytes(8) + struct.pack(">H", len(body)) + body)


@probe(FOREIGN)
def plain_request(lab):
    """A plain HTTP request to a port of TLS."""
    sent(f"GET /{lab.mark()} HTTP/1.1\r\nHost: raw.test\r\n\r\n".encode())


@probe(FOREIGN)
def request_for_a_tunnel(lab):
    """CONNECT, sent to a port of TLS."""
    sent(f"CONNECT {lab.evil}:4444 HTTP/1.1\r\nHost: {lab.mark()}\r\n\r\n".encode())


@probe(FOREIGN)
def secure_shell(lab):
    """The greeting of SSH to a port of TLS."""
    sent(f"SSH-2.0-{lab.mark()}\r\n".encode())


@probe(FOREIGN)
def request_of_a_database(lab):
    """PostgreSQL's request for TLS, which a real hello follows."""
    sent(struct.pack(">II", 8, 80877103), record(hello(name_extension("raw.test"))))


@probe(FOREIGN)
def header_of_a_proxy(lab):
    """The header of the PROXY protocol, and a true hello behind it."""
    sent(f"PROXY TCP4 {lab.evil} {lab.allowed} 1 443\r\n".encode() + record(hello(name_extension("raw.test"))))


@probe(FOREIGN)
def half_close_before_the_hello(lab):
    """Half a hello, and the end of the sender's side: what was kept may be passed on unread."""
    with socket.create_connection(("raw.test", 443), 2) as one:
        one.settimeout(0.5)
        one.sendall(b"\x16\3\1\2\0\1\0\1\xfc\3\3" + lab.mark().encode())
        one.shutdown(socket.SHUT_WR)
        if not one.recv(65536):
            raise EOFError("closed without an answer")


@probe(NAMED)
def second_hello(lab):
    """The server asks for a second hello, and that one names another host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    other = lab.mark()[:28] + ".test"
    client = context.wrap_bio(coming, going, server_hostname="retry.test")

    def step():
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return going.read()

    with socket.create_connection(("retry.test", 443), 2) as one:
        one.settimeout(1)
        one.sendall(step())
        answer = one.recv(65536)
        if not answer:
            raise EOFError("closed without an answer")
        coming.write(answer)
        again = step()
        if b"retry.test" not in again:
            raise Held("no second hello was asked for")
        one.sendall(renamed(again, b"retry.test", other.encode()))
        if one.recv(65536)[:1] != b"\x16":
            raise EOFError("closed")


def renamed(sent, old, new):
    """The records of one flight, with another name in the client hello among them."""
    out = b""
    while sent:
        kind, version, length = struct.unpack(">BHH", sent[:5])
        data, sent = sent[5:5 + length], sent[5 + length:]
        if kind == 22 and old in data:
            before, after = data.split(name_extension(old))
            start = 4 + 2 + 32
            start += 1 + before[start]
            start += 2 + struct.unpack(">H", before[start:start + 2])[0]
            start += 1 + before[start]
            room = struct.unpack(">H", before[start:start + 2])[0] + len(new) - len(old)
            data = before[:start] + struct.pack(">H", room) + before[start + 2:] + name_extension(new) + after
            data = data[:1] + (len(data) - 4).to_bytes(3, "big") + data[4:]
        out += struct.pack(">BHH", kind, version, len(data)) + data
    return out


@probe(REQUEST)
def certificate_of_another_name(lab):
    """A permitted request to a host whose certificate names others."""
    with shaken(lab, "wrong.test", "wrong.test") as one:
        one.sendall(f"GET /open/{lab.mark()} HTTP/1.1\r\nHost: wrong.test\r\n\r\n".encode())
        if b"answer from" not in one.recv(4096):
            raise Held("no answer")


@probe(REQUEST)
def certificate_of_an_unknown_authority(lab):
    """A permitted request to a host whose certificate nobody that is trusted has signed."""
    with shaken(lab, "unknown.test", "unknown.test") as one:
        one.sendall(f"GET /open/{lab.mark()} HTTP/1.1\r\nHost: unknown.test\r\n\r\n".encode())
        if b"answer from" not in one.recv(4096):
            raise Held("no answer")
