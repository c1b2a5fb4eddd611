"""Servers on loopback for tests: a web server with ranges, a relay that counts and cuts, a real S3 server (moto)."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOTO = shutil.which("moto_server")


class Web(ThreadingHTTPServer):
    """Serves `files` by path, in ranges, with their hash as ETag.

    Attributes:
        sent: bytes of content that went out.
        seen: path, query and headers of each request.
        before: called with a path and the number of its requests so far before each answer.
        cut: answers end after so many bytes, where it is not None.
        ranges, tagged: whether it sends them, and ETags.
        moved: from path to URL.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.sent, self.seen = files, 0, list[tuple[str, Any]]()
        self.cut: int | None = None
        self.tagged = True
        self.ranges, self.refused, self.moved = True, 0, dict[str, str]()
        self.before = lambda path, number: None
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none."""


class Handler(BaseHTTPRequestHandler):
    server: Web  # type: ignore[assignment]

    def do_GET(self) -> None:
        web, path = self.server, self.path.partition("?")[0]
        web.seen.append((self.path, self.headers))
        web.before(path, sum(each.partition("?")[0] == path for each, _ in web.seen))
        if path in web.moved:
            self.answer(302, b"", Location=web.moved[path])
            return
        content = web.files.get(path)
        if content is None or web.refused:
            self.answer(web.refused or 404, b"")
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        facts = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if web.tagged else {}
        if asked is None or not web.ranges:
            self.answer(200, content, **facts)
        elif int(asked[1]) >= len(content):
            self.answer(416, b"", **facts, **{"Content-Range": f"bytes */{len(content)}"})
        else:
            part = content[int(asked[1]) : int(asked[2]) + 1]
            where = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(content)}"
            self.answer(206, part, **facts, **{"Content-Range": where})

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        content = b"" if self.command == "HEAD" else content[: self.server.cut]
        self.server.sent += len(content)
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is said."""


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to a port.

    Attributes:
        down, up: bytes from the port, and to it.
        cut: after so many bytes upwards all connections end, where it is not None.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int) -> None:
        self.port, self.down, self.up = port, 0, 0
        self.cut: int | None = None
        super().__init__(("127.0.0.1", 0), _Passing)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Passing(socketserver.BaseRequestHandler):
    server: Relay  # type: ignore[assignment]

    def handle(self) -> None:
        there = socket.create_connection(("127.0.0.1", self.server.port))
        upwards = threading.Thread(target=self._pass, args=(self.request, there, "up"), daemon=True)
        upwards.start()
        self._pass(there, self.request, "down")
        upwards.join()
        there.close()

    def _pass(self, one: socket.socket, other: socket.socket, way: str) -> None:
        relay = self.server
        with suppress(OSError):
            while data := one.recv(1 << 16):
                setattr(relay, way, getattr(relay, way) + len(data))
                if relay.cut is not None and relay.up > relay.cut:
                    break
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def moto() -> Iterator[int]:
    """The port of a real S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(MOTO), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()
