"""api_server.py CERTIFICATE KEY LOG: plays api.anthropic.com on 127.0.0.1:443. Answers POST /v1/messages with one sentence,
streamed or not, and everything else with an empty object. Writes a line for each request that arrives."""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "The lab answers: 4."
CERTIFICATE, KEY, LOG = sys.argv[1:4]
LOCK = threading.Lock()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with LOCK, open(LOG, "a") as log:
            log.write(f"{self.command} {self.path} {len(body)}\n")
        if self.command != "POST" or self.path.split("?")[0] != "/v1/messages":
            return self.json({})
        call = json.loads(body)
        message = {
            "id": "msg_lab", "type": "message", "role": "assistant", "model": call.get("model", "lab"),
            "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 7},
        }
        if not call.get("stream"):
            return self.json(message)
        begun = dict(message, content=[], stop_reason=None)
        delta = {"type": "text_delta", "text": ANSWER}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
            {"type": "message_stop"},
        ):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def json(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server = Server(("127.0.0.1", 443), Api)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
open(LOG, "w").close()
server.serve_forever()
