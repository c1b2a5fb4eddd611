"""Servers on loopback for tests: a web server with ranges, a relay that counts and cuts, S3 (moto), Google's store."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
        self.part(content)

    def part(self, content: bytes) -> None:
        """Answers with the part that is asked for."""
        web = self.server
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        facts = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if web.tagged else {}
        if asked is None or not web.ranges:
            self.answer(200, content, **facts)
        elif int(asked[1]) >= len(content):
            self.answer(416, b"", **facts, **{"Content-Range": f"bytes */{len(content)}"})
        else:
            part = content[int(asked[1]) : int(asked[2] or len(content)) + 1]
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


class Google(Web):
    """Serves the files BUCKET/KEY of a folder as Google's JSON API does, whose links name the generation of an object.

    The file `refused` in the folder is a status of all answers.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__({})
        self.folder, self.RequestHandlerClass = folder, _GoogleHandler


class _GoogleHandler(Handler):
    server: Google  # type: ignore[assignment]

    def do_GET(self) -> None:
        web, asked = self.server, urlsplit(self.path)
        bucket, _, key = asked.path.removeprefix("/storage/v1/b/").partition("/o")
        options = parse_qs(asked.query)
        place, refused = web.folder / bucket, web.folder / "refused"
        if refused.exists():
            self.answer(int(refused.read_text()), b"not for you")
        elif not place.is_dir():
            self.answer(404, b"")
        elif key:
            self._object(bucket, unquote(key[1:]), options)
        elif asked.path.endswith("/o"):
            every = (str(each.relative_to(place)) for each in sorted(place.rglob("*")) if each.is_file())
            start = options.get("prefix", [""])[0]
            self._tell({"items": [self._facts(bucket, each) for each in every if each.startswith(start)]})
        else:
            self._tell({"kind": "storage#bucket", "name": bucket})

    def _object(self, bucket: str, key: str, options: dict[str, list[str]]) -> None:
        file = self.server.folder / bucket / key
        facts = self._facts(bucket, key) if file.is_file() else {}
        if not facts or facts["generation"] not in options.get("generation", [facts["generation"]]):
            self.answer(404, b"")
        elif "media" in options.get("alt", []):
            self.part(file.read_bytes())
        else:
            self._tell(facts)

    def _facts(self, bucket: str, key: str) -> dict[str, Any]:
        content = (self.server.folder / bucket / key).read_bytes()
        version = str(int(hashlib.md5(content).hexdigest()[:15], 16))
        facts = {"name": key, "bucket": bucket, "size": str(len(content)), "generation": version, "etag": version}
        return facts | {"kind": "storage#object", "updated": "2026-01-01T00:00:00Z"}

    def _tell(self, facts: dict[str, Any]) -> None:
        self.answer(200, json.dumps(facts).encode(), **{"Content-Type": "application/json"})


@contextmanager
def google(folder: Path) -> Iterator[str]:
    """The URL of a process that serves a folder: Arrow asks Google's store while it holds the interpreter's lock."""
    words = "import sys; from pathlib import Path; from tests.servers import Google\n"
    words += "server = Google(Path(sys.argv[1])); print(server.url, flush=True); server.serve_forever()"
    with subprocess.Popen([sys.executable, "-c", words, folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


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
