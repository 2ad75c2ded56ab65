"""A stand-in for a node on the loopback interface: it answers what a test wants and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


class Asked:
    def __init__(self, method, target, headers, body):
        self.method = method
        parts = urlsplit(target)
        self.path = parts.path
        self.query = parse_qsl(parts.query)
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Node:
    """answers: what to say to one request after the other; a callable is called with the request.

    An answer is a dict (an envelope), or (status, content type, bytes), or (status, content type, bytes, length).
    None closes the connection without a word. The last one is repeated.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                r = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                node.asked.append(r)
                answer = node.answers.pop(0) if len(node.answers) > 1 else node.answers[0]
                if callable(answer):
                    answer = answer(r)
                if answer is None:
                    self.close_connection = True
                    return
                if isinstance(answer, dict):
                    answer = (200, "application/json", json.dumps(answer).encode())
                status, kind, body = answer[:3]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in (answer[4] if len(answer) > 4 else {}).items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header(
                        "Content-Length", str(answer[3] if len(answer) > 3 and answer[3] is not None else len(body))
                    )
                self.end_headers()
                self.wfile.write(body)
                if len(answer) > 3 and answer[3] is not None:
                    self.close_connection = True

            do_GET = do_POST = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
