"""A model provider and a weather service on loopback, over HTTPS, for the examples.

    model_server.py CERTIFICATE KEY PORTS_FILE

Writes `MODEL_PORT WEATHER_PORT` to PORTS_FILE once both listen. The provider speaks the chat-completions protocol of
OpenAI, whole or as server-sent events. Its logic is small and fixed, but it reads what it is sent: asked about the
weather and offered a tool `get_weather`, it calls the tool with the city; given the tool's result, it answers with it.
"""

import http.server
import json
import os
import re
import ssl
import sys
import threading
import urllib.parse

WEATHER = {"Oslo": "snow, -3 C", "Lisbon": "sun, 21 C"}


def answer(request):
    """The model: one message, made from the messages so far."""
    messages = request.get("messages", [])
    last = messages[-1] if messages else {}
    if last.get("role") == "tool":
        return {"role": "assistant", "content": f"The weather report says: {text(last)}."}
    offered = [tool["function"]["name"] for tool in request.get("tools", []) if tool.get("type") == "function"]
    questions = [text(message) for message in messages if message.get("role") == "user"]
    city = re.search(r"\bin ([A-Z][a-z]+)", questions[-1]) if questions else None
    if city and "get_weather" in offered:
        call = {"name": "get_weather", "arguments": json.dumps({"city": city[1]})}
        number = sum(len(message.get("tool_calls") or []) for message in messages) + 1
        calls = [{"id": f"call_{number}", "type": "function", "function": call}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    return {"role": "assistant", "content": "I can only tell the weather in a city, with a tool for it."}


def text(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, code, body, kind="application/json"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, code, value):
        self.send(code, json.dumps(value).encode())


class Model(Handler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            return self.send_json(404, {"error": {"message": f"no such path: {self.path}"}})
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self.send_json(401, {"error": {"message": "no key"}})
        request = json.loads(body)
        message = answer(request)
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        head = {"id": "chatcmpl-1", "created": 1, "model": request.get("model", "small")}
        if request.get("stream"):
            return self.stream(head, message, finish)
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self.send_json(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def stream(self, head, message, finish):
        calls = message.get("tool_calls") or []
        delta = {**message, "tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]} if calls else message
        events = []
        for part, end in [(delta, None), ({}, finish)]:
            choice = {"index": 0, "delta": part, "finish_reason": end}
            events.append(json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]}))
        body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        self.send(200, body.encode(), "text/event-stream")


class Weather(Handler):
    def do_GET(self):
        asked = urllib.parse.urlsplit(self.path)
        city = urllib.parse.parse_qs(asked.query).get("city", [""])[0]
        if asked.path != "/weather" or city not in WEATHER:
            return self.send_json(404, {"error": "no such city"})
        self.send_json(200, {"city": city, "weather": WEATHER[city]})


def main(certificate, key, ports_file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Model, Weather)]
    for server in servers:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever).start()
    with open(ports_file + ".new", "w") as file:
        file.write(" ".join(str(server.server_address[1]) for server in servers))
    os.rename(ports_file + ".new", ports_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
