"""A server on this computer that behaves, or does not."""

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `files` (path to bytes); `behave` maps a path to a function (handler, bytes) that answers instead."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.behave, self.asked = {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Clients that go away are what is tested."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
        else:
            self.server.behave.get(self.path, whole)(self, data)

    def head(self, size):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *_):
        """Stay silent."""


def whole(handler, data):
    handler.head(len(data))
    handler.wfile.write(data)


def truncated(handler, data):
    handler.head(len(data))
    handler.wfile.write(data[: len(data) // 2])


def short(handler, data):
    whole(handler, data[:-1])


def longer(handler, data):
    whole(handler, data + b"more")


def altered(handler, data):
    whole(handler, bytes([data[0] ^ 1]) + data[1:])


def reset(handler, data):
    truncated(handler, data)
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def silent(handler, _):
    time.sleep(1)


def hanging(handler, data):
    truncated(handler, data)
    handler.wfile.flush()
    time.sleep(1)


def trickling(handler, data):
    handler.head(len(data))
    for byte in data[:200]:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def babbling(handler, _):
    handler.wfile.write(b"hello, I am no HTTP server\r\n\r\n")


def failing(handler, _):
    handler.send_error(503)


def moved(handler, _):
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/passwd")
    handler.end_headers()


@contextmanager
def serving():
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
