"""What the policy permits: it works. A sandbox in which nothing works holds everything, and proves nothing."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import threading

from probe import Held, probe, request, talk


def trusted(name, words):
    """A request inside TLS, with the certificate checked by what the sandbox trusts, or by the suite's authority."""
    context = ssl.create_default_context()
    context.load_verify_locations("ca.pem")
    with context.wrap_socket(socket.create_connection((name, 443), 3), server_hostname=name) as one:
        one.sendall(words.encode())
        answer = one.recv(4096)
    if b"answer from allowed tls" not in answer:
        raise Held(f"another answer: {answer[:100]}")


def same(answer, expected):
    if answer != expected:
        raise Held(f"another answer: {answer[:100]}")


@probe("it works", permitted=True)
def permitted_path(lab):
    """A permitted request to a host whose requests are read."""
    head = "GET /open/a/b?c=d HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"
    answer = request("allowed.test", 80, head)
    if b"answer from allowed http to GET /open/a/b?c=d" not in answer:
        raise Held(f"another answer: {answer[:100]}")


@probe("it works", permitted=True)
def permitted_body_in_chunks(lab):
    """A permitted request with a body in chunks, and a second request on the same connection."""
    first = "POST /open/x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    second = "GET /open/y HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"
    answer = request("allowed.test", 8080, first + second)
    if answer.count(b"answer from allowed http") != 2:
        raise Held(f"another answer: {answer[:100]}")


@probe("it works", permitted=True)
def permitted_web_socket(lab):
    """A WebSocket on a permitted path."""
    with socket.create_connection(("allowed.test", 80), 3) as one:
        one.settimeout(2)
        one.sendall(b"GET /open/socket HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        if b" 101 " not in one.recv(4096):
            raise Held("no upgrade")
        one.sendall(b"frames")
        same(one.recv(4096), b"frames")


@probe("it works", permitted=True)
def permitted_tls(lab):
    """TLS to a permitted host, with its own certificate."""
    context = ssl.create_default_context(cafile="ca.pem")
    with context.wrap_socket(socket.create_connection(("allowed.test", 443), 3), server_hostname="allowed.test") as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
        if b"answer from allowed tls" not in one.recv(4096):
            raise Held("another answer")


@probe("it works", permitted=True)
def permitted_tls_with_a_second_hello(lab):
    """TLS to a permitted host that asks for a second hello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("retry.test", 443), 3), server_hostname="retry.test") as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: retry.test\r\n\r\n")
        if b"answer from allowed tls, asks twice" not in one.recv(4096):
            raise Held("another answer")


@probe("it works", permitted=True)
def permitted_hello_in_pieces(lab):
    """A hello that names the permitted host, in small records and segments."""
    from probes import tls

    whole = tls.hello(tls.name_extension("raw.test"))
    tls.sent(*[tls.record(whole[n:n + 90]) for n in range(0, len(whole), 90)])


@probe("it works", permitted=True)
def permitted_wildcard(lab):
    """TLS to a host below the wildcard, one label deep and two."""
    for name in ("one.wild.test", "two.a.wild.test"):
        context = ssl.create_default_context(cafile="ca.pem")
        with context.wrap_socket(socket.create_connection((name, 443), 3), server_hostname=name) as one:
            one.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            if b"answer from allowed tls" not in one.recv(4096):
                raise Held("another answer")


@probe("it works", permitted=True)
def permitted_request_inside_tls(lab):
    """A permitted request inside TLS that the gate ends, with the certificate checked."""
    trusted("api.test", "POST /v1/messages HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nhello")


@probe("it works", permitted=True)
def permitted_plain_bytes(lab):
    """Bytes over TCP to a permitted host."""
    same(talk("allowed.test", 7000, b"ping"), b"ping")


@probe("it works", permitted=True)
def permitted_half_close(lab):
    """A megabyte over TCP, the end of one side, and all of it back."""
    data, back = os.urandom(1 << 20), bytearray()
    with socket.create_connection(("allowed.test", 7000), 3) as one:
        one.settimeout(3)
        sender = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
        sender.start()
        while more := one.recv(65536):
            back += more
        sender.join()
    same(bytes(back), data)


@probe("it works", permitted=True)
def permitted_alias(lab):
    """A permitted name that is an alias."""
    same(talk("alias.test", 7000, b"ping"), b"ping")


@probe("it works", permitted=True)
def permitted_name_in_capitals(lab):
    """A permitted name in capitals and with a final dot."""
    same(talk("ALLOWED.Test.", 7000, b"ping"), b"ping")


@probe("it works", permitted=True)
def permitted_datagrams(lab):
    """Datagrams to a permitted host."""
    same(talk("udp.test", 5000, b"ping", kind=socket.SOCK_DGRAM), b"ping")


@probe("it works", permitted=True)
def permitted_network(lab):
    """A bare address in a permitted network."""
    same(talk("10.90.0.1", 9000, b"ping"), b"ping")


@probe("it works", permitted=True)
def permitted_look_up(lab):
    """A permitted name has an address, over UDP and over TCP."""
    from probes import dns

    socket.getaddrinfo("allowed.test", 80)
    packet = dns.question("allowed.test")
    dns.ask(packet)
    dns.judged(packet, talk(dns.inside(), 53, struct.pack(">H", len(packet)) + packet)[2:])


@probe("it works", permitted=True)
def permitted_files(lab):
    """Writing, renaming, linking and removing in the working directory and in /tmp."""
    import tempfile

    for directory in (lab.work, tempfile.mkdtemp()):
        path = os.path.join(directory, "a file")
        with open(path, "w") as file:
            file.write("text")
        os.rename(path, path + "2")
        os.symlink(path + "2", path)
        with open(path) as file:
            same(file.read(), "text")
        os.unlink(path)
        os.unlink(path + "2")


@probe("it works", permitted=True)
def permitted_threads(lab):
    """Fifty threads."""
    done = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(len(done), 50)


@probe("it works", permitted=True)
def permitted_programs(lab):
    """A shell with a pipe, and another Python."""
    piped = subprocess.run(["/bin/sh", "-c", "echo hello | tr a-z A-Z"], capture_output=True, check=True)
    same(piped.stdout, b"HELLO\n")
    words = [sys.executable, "-c", "import os; os.fork() or os._exit(0); os.wait(); print('hello')"]
    same(subprocess.run(words, capture_output=True, check=True).stdout, b"hello\n")


@probe("it works", permitted=True)
def permitted_pool(lab):
    """A pool of processes, which needs semaphores in shared memory."""
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(3) as pool:
        same(pool.map(abs, [-1, -2, -3]), [1, 2, 3])


@probe("it works", permitted=True)
def permitted_sockets_of_its_own(lab):
    """A server of the sandbox's own on its loopback, and a pair of UNIX sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        accepted, _ = server.accept()
        accepted.sendall(b"ping")
        same(one.recv(10), b"ping")
        accepted.close()
    left, right = socket.socketpair()
    left.sendall(b"ping")
    same(right.recv(10), b"ping")
