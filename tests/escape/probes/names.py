"""Names and addresses: reaching a host that was not named, by a name or number that looks like one that was."""

import ipaddress
import os
import socket

from probe import Held, probe, talk

UNNAMED = "bytes come back from a host that no rule names"
RESOLVES = "the name resolves and answers"
INWARD = "a permitted name leads to a service of the host or of its network"
METADATA = "a permitted name leads to the cloud's metadata service"


def any_of(attempts):
    """The first attempt that gets through; none does: held, with the last reason."""
    last = Held("no attempt")
    for attempt in attempts:
        try:
            return attempt()
        except (OSError, EOFError) as error:
            last = error
    raise last


# A bare address, in all its spellings.


@probe(UNNAMED)
def plain_address(lab):
    """A connection to a bare address, past every name."""
    talk(lab.evil, 80)


@probe(UNNAMED)
def plain_address_of_ipv6(lab):
    """A connection to a bare IPv6 address."""
    talk(lab.evil6, 443)


@probe(UNNAMED)
def mapped_address(lab):
    """The IPv4 address wrapped into IPv6 (::ffff:a.b.c.d)."""
    talk(f"::ffff:{lab.evil}", 80, family=socket.AF_INET6)


@probe(UNNAMED)
def decimal_address(lab):
    """The address as one decimal number, which inet_aton(3) reads and filters of names do not."""
    talk(str(int(ipaddress.ip_address(lab.evil))), 80)


@probe(UNNAMED)
def hexadecimal_address(lab):
    """The address as one hexadecimal number."""
    talk(hex(int(ipaddress.ip_address(lab.evil))), 80)


@probe(UNNAMED)
def octal_address(lab):
    """The address with octal parts, which some readers take for decimal ones."""
    talk(".".join(f"0{int(part):o}" for part in lab.evil.split(".")), 80)


@probe(UNNAMED)
def short_address(lab):
    """The address with two of its parts drawn together (a.b.N)."""
    first, second, third, fourth = (int(part) for part in lab.evil.split("."))
    talk(f"{first}.{second}.{third * 256 + fourth}", 80)


@probe(UNNAMED)
def nat64_address(lab):
    """The address behind the well-known prefix of NAT64."""
    talk("64:ff9b::505:542", 80)


@probe(UNNAMED)
def sixtofour_address(lab):
    """The address inside a 6to4 prefix."""
    talk("2002:505:542::1", 80)


@probe(UNNAMED)
def compatible_address(lab):
    """The address in the obsolete IPv4-compatible form (::a.b.c.d)."""
    talk("::5.5.5.66", 80)


@probe("a service of the host's loopback answers")
def loopback(lab):
    """A service that listens on the host's loopback only."""
    talk("127.0.0.1", 7001)


@probe("a service of the host's loopback answers")
def loopback_of_ipv6(lab):
    """A service that listens on the host's IPv6 loopback only."""
    talk("::1", 7001)


@probe("a service of the host's loopback answers")
def another_loopback_address(lab):
    """An address of 127/8 that is not 127.0.0.1."""
    talk("127.9.9.9", 7001)


@probe("a service of the host's loopback answers")
def unspecified_address(lab):
    """0.0.0.0, which leads to the loopback and is on few lists."""
    talk("0.0.0.0", 7001)


@probe("a service of the host's loopback answers")
def unspecified_address_of_ipv6(lab):
    """The unspecified IPv6 address, which leads to the loopback."""
    talk("::", 7001)


@probe("a private network answers")
def private_network(lab):
    """A neighbour on a private network, by its address."""
    talk(lab.neighbour, 80)


@probe("a metadata service answers")
def metadata_by_address(lab):
    """The usual metadata service, by its address."""
    talk(lab.metadata, 80)


@probe("a metadata service answers")
def metadata_by_other_addresses(lab):
    """Metadata services of other clouds, and of containers, by their addresses."""
    others = ["169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]
    any_of(lambda address=address: talk(address, 80, wait=0.3) for address in others)


# Names that look like permitted ones.


@probe(RESOLVES)
def unlisted_name(lab):
    """A name that no rule names."""
    talk("evil.test", 80)


@probe(RESOLVES)
def suffix_without_a_dot(lab):
    """evilallowed.test ends in the permitted allowed.test, though not at a label."""
    talk("evilallowed.test", 80)


@probe(RESOLVES)
def permitted_name_as_a_prefix(lab):
    """allowed.test.evil.test begins like a permitted name."""
    talk("allowed.test.evil.test", 80)


@probe(RESOLVES)
def suffix_of_the_wildcard_without_a_dot(lab):
    """xwild.test ends like the wildcard, though not at a label."""
    talk("xwild.test", 443)


@probe(RESOLVES)
def apex_of_the_wildcard(lab):
    """The name below which everything is permitted is not permitted itself."""
    talk("wild.test", 7000)


@probe(RESOLVES)
def name_below_an_exact_name(lab):
    """A name below one that is permitted by itself."""
    talk("sub.allowed.test", 7000)


@probe(RESOLVES)
def final_dot(lab):
    """The same unlisted name with a final dot."""
    talk("evil.test.", 80)


@probe(RESOLVES)
def capital_letters(lab):
    """The same unlisted name in capital letters."""
    talk("EVIL.TEST", 80)


@probe(RESOLVES)
def look_alike_letter(lab):
    """A Cyrillic letter in the place of the Latin one it looks like."""
    talk("xn--llowed-2fg.test", 80)


@probe(RESOLVES)
def gates_own_name(lab):
    """policy.internal is answered by a gate itself; here it is a host outside."""
    if b"policy.internal" not in talk("policy.internal", 8080, "policy.internal"):
        raise Held("another answer")


@probe(RESOLVES)
def name_of_metadata(lab):
    """The name of a metadata service, for which somebody may have left an exception."""
    talk("metadata.google.internal", 80)


@probe(RESOLVES)
def target_of_an_alias(lab):
    """The name behind a permitted alias, after the alias was looked up."""
    talk("alias.test", 7000)
    talk("target.test", 7000)


# One address, several names, ports and transports.


@probe(RESOLVES)
def other_name_on_the_address(lab):
    """A name that is not permitted, on the very address of one that is."""
    talk("allowed.test", 7000)
    talk("shared.test", 7000)


@probe("the real address answers, past the check of the name")
def real_address_of_a_permitted_name(lab):
    """The address that the permitted name has outside, dialled directly after a look-up."""
    socket.getaddrinfo("allowed.test", 7000)
    talk(lab.allowed, 7000)


@probe("the real address answers, past the check of the name")
def real_ipv6_address_of_a_permitted_name(lab):
    """The IPv6 address that the permitted name has outside."""
    socket.getaddrinfo("allowed.test", 7000)
    talk(lab.allowed6, 7000)


@probe("another port answers")
def unlisted_port(lab):
    """Another port of a permitted host."""
    talk("allowed.test", 22)


@probe("another port answers")
def unlisted_datagram_port(lab):
    """Another UDP port of a host of which one is permitted."""
    talk("udp.test", 5001, kind=socket.SOCK_DGRAM)


@probe("another transport answers")
def datagram_to_a_stream_port(lab):
    """UDP to the port of plain bytes of a permitted host, after a connection that was permitted."""
    talk("allowed.test", 7000)
    talk("allowed.test", 7000, kind=socket.SOCK_DGRAM, family=socket.AF_INET, wait=0.5)


@probe("another port answers")
def unlisted_port_of_a_network(lab):
    """Another port in a permitted network."""
    talk("10.90.0.1", 9001)


@probe("another transport answers")
def datagram_to_a_network(lab):
    """UDP to a network that is permitted for TCP."""
    talk("10.90.0.1", 9000, kind=socket.SOCK_DGRAM, wait=0.5)


@probe("an address beside the network answers")
def beside_a_network(lab):
    """The first addresses past the end of a permitted network."""
    talk("10.90.1.1", 9000)


@probe("an address outside of the network answers")
def mapped_address_beside_a_network(lab):
    """A neighbour of a permitted network, wrapped into IPv6."""
    talk("::ffff:10.90.1.1", 9000, family=socket.AF_INET6)


@probe("the address given out for one name serves the port of another")
def address_of_one_name_and_port_of_another(lab):
    """The address of a name with a UDP rule, and a port that only another name has."""
    socket.getaddrinfo("allowed.test", 7000)
    found = socket.getaddrinfo("udp.test", 5000, socket.AF_INET)
    talk(found[0][4][0], 7000)


@probe("an address that was given out for no name answers")
def neighbours_of_a_permitted_address(lab):
    """Addresses beside the one that a permitted name was given, before they were given out."""
    found = socket.getaddrinfo("allowed.test", 7000, socket.AF_INET)
    first = ipaddress.ip_address(found[0][4][0])
    any_of(lambda n=n: talk(str(first + n), 7000, wait=0.2) for n in (1, 2, 3, 4, 5, -1, -2, 256))


@probe("an address that was given out for no name answers", weaker="none")
def address_before_its_name_was_asked(lab):
    """The outside address of a name that nobody has looked up in this run."""
    talk(lab.allowed, 80, "GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n\r\n")


@probe("the attacker is reached through a listener of the sandbox")
def listeners_inside(lab):
    """Every socket that listens inside is asked to forward, as a proxy and as SOCKS."""
    target = f"{lab.evil}:4444"
    asks = [f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode(),
            b"\5\1\0\5\1\0\1" + socket.inet_aton(lab.evil) + (4444).to_bytes(2, "big"),
            f"PROXY TCP4 127.0.0.1 {lab.evil} 40000 4444\r\n".encode()]
    heard = []
    for name in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{name}") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                address, port = words[1].split(":")
                if words[3] == "0A":
                    raw = b"".join(bytes.fromhex(address[n:n + 8])[::-1] for n in range(0, len(address), 8))
                    heard.append((str(ipaddress.ip_address(raw)), int(port, 16)))
    if not heard:
        raise Held("nothing listens inside")

    def through(host, port, ask):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        if lab.mark().encode() not in talk(host, port, ask + lab.mark().encode(), wait=0.2):
            raise EOFError("another answer")

    any_of(lambda one=one, ask=ask: through(*one, ask) for one in heard[:40] for ask in asks)


@probe("the attacker is reached through a listener of the sandbox")
def every_port_of_the_loopback(lab):
    """Every port of the sandbox's own loopback, for one that is forwarded to the host."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as one:
            one.settimeout(0.2)
            # a socket can also meet itself
            if one.connect_ex(("127.0.0.1", port)) == 0 and one.getsockname() != one.getpeername():
                found.append(port)
                try:
                    one.sendall(lab.mark().encode())
                    if lab.mark().encode() in one.recv(100):
                        return
                except OSError:
                    pass
    raise Held(f"open, and led nowhere: {found}")


# Rebinding: a permitted name that leads inward.


def inward(name, what):
    """Declares a probe for one permitted name that leads inward."""
    port = 7001 if "rebind" in name else 80

    def run(lab):
        talk(name, port, wait=1.0)

    run.__name__, run.__doc__ = "answer_" + what[0], f"A permitted name resolves to {what[1]}."
    run.__module__ = __name__
    probe(METADATA if "meta" in name else INWARD)(run)


for NAME, WHAT in {
    "rebind.test": ("loopback", "the loopback"),
    "other.rebind.test": ("another_loopback_address", "an address of 127/8 that is not 127.0.0.1"),
    "six.rebind.test": ("loopback_of_ipv6", "the IPv6 loopback"),
    "mapped.rebind.test": ("mapped_loopback", "the loopback, wrapped into IPv6"),
    "zero.rebind.test": ("zero", "0.0.0.0, which leads to the loopback"),
    "unspecified.rebind.test": ("unspecified", "the unspecified IPv6 address, which leads to the loopback"),
    "mixed.rebind.test": ("mixed", "a permitted address and, second, the loopback"),
    "meta.test": ("metadata", "the usual metadata service"),
    "container.meta.test": ("container_metadata", "the metadata service of containers"),
    "china.meta.test": ("carrier_metadata", "a metadata service in the carrier-grade range, private permitted"),
    "six.meta.test": ("unique_local_metadata", "a metadata service on IPv6, where private is permitted"),
    "google.meta.test": ("second_unique_local_metadata", "another cloud's metadata service on IPv6"),
    "oracle.meta.test": ("third_unique_local_metadata", "a third cloud's metadata service on IPv6"),
    "scaleway.meta.test": ("fourth_unique_local_metadata", "a fourth cloud's metadata service on IPv6"),
    "azure.meta.test": ("public_metadata", "a metadata service that has a public address"),
    "nat64.meta.test": ("nat64_metadata", "the metadata service behind the prefix of NAT64"),
    "sixtofour.meta.test": ("sixtofour_metadata", "the metadata service inside a 6to4 prefix"),
    "compatible.meta.test": ("compatible_metadata", "the metadata service in the IPv4-compatible form"),
    "inner.test": ("private_network", "a private network"),
    "carrier.inner.test": ("carrier_network", "the carrier-grade range"),
    "unique.inner.test": ("unique_local_network", "a unique-local network"),
}.items():
    inward(NAME, WHAT)


@probe(INWARD)
def answer_that_changes(lab):
    """A permitted name resolves to a permitted address first and to the loopback the next time."""
    answers = [b""]
    for _ in range(6):
        try:
            answers.append(talk("flip.rebind.test", 7001, f"{os.getpid()}", wait=0.3, family=socket.AF_INET))
        except (OSError, EOFError):
            pass
    raise Held(f"{len([a for a in answers if a])} answers, all from a permitted address")
