"""Requests over HTTP; those of real servers are in `test_stores`."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPMessage, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files import web
from gencli.files.web import WebObject, _Redirects, _split, _words

CONTENT = bytes(range(256)) * 100
Answer = tuple[int, dict[str, str], bytes]


def test_a_redirection_keeps_credentials_on_the_host_alone() -> None:
    asked = urllib.request.Request("https://host/a", headers={"Authorization": "secret"})
    for address, kept in (("https://host/b", True), ("https://other/a", False), ("https://host:444/a", False)):
        following = _Redirects().redirect_request(asked, None, 302, "", HTTPMessage(), address)
        assert following is not None
        assert following.has_header("Authorization") == kept


def test_a_redirection_stays_encrypted() -> None:
    for before, after, follows in (("http", "http", True), ("http", "https", True), ("https", "https", True)):
        asked = urllib.request.Request(f"{before}://host/a")
        assert bool(_Redirects().redirect_request(asked, None, 302, "", HTTPMessage(), f"{after}://host/b")) == follows
    asked = urllib.request.Request("https://host/a")
    for after in ("http", "file"):
        with pytest.raises(ValueError, match=f"^redirected from https to {after}$"):
            _Redirects().redirect_request(asked, None, 302, "", HTTPMessage(), f"{after}://host/b")


@pytest.mark.parametrize(
    ("address", "url", "authorization"),
    [
        ("https://host/a b?c=d#e", "https://host/a%20b?c=d", None), ("http://host", "http://host/", None),
        ("https://me:pa%40ss@host:8/a", "https://host:8/a", "Basic bWU6cGFAc3M="),
        ("https://me@host/a%20b", "https://host/a%20b", "Basic bWU6"),
        ("https://known/a", "https://known/a", "Basic dTpw"),
        ("https://me:x@known/a", "https://known/a", "Basic bWU6eA=="),
    ],
)  # fmt: skip
def test_user_and_password_are_no_part_of_the_url(
    address: str, url: str, authorization: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine known login u password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert _split(address) == (url, authorization)
    (tmp_path / "netrc").write_text("nonsense")
    assert _split("https://known/a")[1] is None


@pytest.mark.parametrize("address", ["https:///a", "https://host:port/a", "https://[host/a"])
def test_what_names_no_host_is_no_address(address: str) -> None:
    with pytest.raises(GencliError, match=r"not an address$") as refused:
        _split(address)
    assert refused.value.hint == "write https://HOST/PATH"


class Server(http.server.ThreadingHTTPServer):
    """Answers as it is told to; `asked` are the ranges, and the headers of the last request."""

    answer: Callable[[int, int], Answer]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}/a"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.headers = dict(self.headers.items())
        self.server.asked.append(self.headers["Range"].removeprefix("bytes="))
        first, last = map(int, self.server.asked[-1].split("-"))
        code, headers, content = self.server.answer(first, last)
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *given: Any) -> None:
        pass


def right(first: int, last: int, content: bytes = CONTENT, **more: str) -> Answer:
    if first >= len(content):
        return 416, {"Content-Range": f"bytes */{len(content)}", "ETag": "one"}, b""
    part = content[first : last + 1]
    where = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    return (
        206,
        {"Content-Range": where, "ETag": "one"} | {name.replace("_", "-"): each for name, each in more.items()},
        part,
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in (("no_proxy", "127.0.0.1"), ("NETRC", "/dev/null")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(web, "_PAUSES", (0.0, 0.0))
    made = Server()
    made.answer = right
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def refusal(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(GencliError) as refused:
        act()
    return refused.value.message, refused.value.hint


def test_parts_are_asked_for_but_what_is_known(server: Server) -> None:
    found = WebObject(server.address)
    assert (found.size, found.version, found.name) == (25600, "one", server.address)
    assert [found.read(*each) for each in ((0, 5), (16380, 4), (16380, 5), (25590, 100))] == [
        CONTENT[:5], CONTENT[16380:16384], CONTENT[16380:16385], CONTENT[25590:],
    ]  # fmt: skip
    found.require_unchanged()
    assert server.asked == ["0-16383", "16380-16384", "25590-25689", "0-0"]
    assert "Authorization" not in server.headers
    assert server.headers["Accept-Encoding"] == "identity"
    assert found.read(25600, 5) == b""


def test_a_token_goes_before_user_and_password(server: Server) -> None:
    own = server.address.replace("//", "//me:secret@")
    for token, sent in (("t", "Bearer t"), (None, "Basic bWU6c2VjcmV0")):
        assert "secret" not in WebObject(own, token).name
        assert server.headers["Authorization"] == sent
    assert WebObject(own, name="mine").name == "mine"


def test_another_version_or_size_is_a_change(server: Server) -> None:
    for answer in (
        lambda first, last: right(first, last, ETag="two"),
        lambda first, last: right(first, last, CONTENT[:-1]),
    ):
        server.answer = right
        found = WebObject(server.address)
        server.answer = answer
        for act in (found.require_unchanged, lambda found=found: found.read(20000, 5)):
            assert "changed" in refusal(act)[0]


def test_a_version_is_needed_where_it_is_read_in_parts(server: Server) -> None:
    def without(size: int) -> Callable[[int, int], Answer]:
        def answer(first: int, last: int) -> Answer:
            code, headers, content = right(first, last, CONTENT[:size])
            return code, {name: value for name, value in headers.items() if name != "ETag"}, content

        return answer

    server.answer = without(16384)
    assert WebObject(server.address).read(16380, 4) == CONTENT[16380:16384]
    server.answer = without(16385)
    said = f"{server.address}: its server tells no version (ETag, Last-Modified)"
    assert refusal(lambda: WebObject(server.address)) == (said, "download it first, such as with curl -LO")
    server.answer = lambda first, last: right(first, last, ETag="", Last_Modified="today")
    assert WebObject(server.address).version == "today"


@pytest.mark.parametrize(
    "answer",
    [
        lambda first, last: (200, {}, CONTENT),
        lambda first, last: (206, {}, CONTENT[:5]),
        lambda first, last: (206, {"Content-Range": "bytes 1-5/9"}, CONTENT[1:6]),
        lambda first, last: (206, {"Content-Range": "bytes 0-4/*"}, CONTENT[:5]),
        lambda first, last: right(first, last, Content_Encoding="gzip"),
    ],
)
def test_a_server_without_ranges_is_refused(answer: Callable[[int, int], Answer], server: Server) -> None:
    server.answer = answer
    said = f"{server.address}: its server sends no ranges of bytes"
    assert refusal(lambda: WebObject(server.address)) == (said, "download it first, such as with curl -LO")
    assert len(server.asked) == 1


def test_an_object_without_bytes_has_none(server: Server) -> None:
    for answer in ((200, {"ETag": "one"}, b""), (416, {"Content-Range": "bytes */0", "ETag": "one"}, b"")):
        server.answer = lambda first, last, answer=answer: answer
        found = WebObject(server.address)
        assert (found.size, found.version, found.read(0, 0)) == (0, "one", b"")


NETWORK = "check the address and the network, then run again"
NETRC = "give user and password in ~/.netrc, or another address if its signature has expired"


@pytest.mark.parametrize(
    ("code", "said", "hint", "tries"),
    [
        (401, "access denied (401)", NETRC, 1), (403, "access denied (403)", NETRC, 1),
        (404, "no such object (404)", "check the address", 1), (410, "no such object (410)", "check the address", 1),
        (400, "the server answers 400 Bad Request", NETWORK, 1), (416, "the server answers 416 ", NETWORK, 1),
        (429, "the server answers 429 Too Many Requests", NETWORK, 3),
        (500, "the server answers 500 Internal Server Error", NETWORK, 3), (501, "the server answers 501 ", NETWORK, 1),
        (502, "the server answers 502 Bad Gateway", NETWORK, 3), (503, "the server answers 503 ", NETWORK, 3),
        (504, "the server answers 504 Gateway Timeout", NETWORK, 3),
    ],
)  # fmt: skip
def test_what_passes_is_tried_three_times(code: int, said: str, hint: str, tries: int, server: Server) -> None:
    server.answer = lambda first, last: (code, {}, b"")
    found = refusal(lambda: WebObject(server.address))
    assert found[0].startswith(f"{server.address}: {said}")
    assert found[1] == hint
    assert len(server.asked) == tries


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_later_try_is_as_good(failures: int, server: Server) -> None:
    def answer(first: int, last: int) -> Answer:
        code, headers, content = right(first, last)
        if len(server.asked) > failures:
            return code, headers, content
        return code, headers, content[:-7]

    server.answer = answer
    if failures < 3:
        assert WebObject(server.address).size == 25600
        assert len(server.asked) == failures + 1
    else:
        said = f"{server.address}: the connection was cut after 16,377 of 16,384 bytes"
        assert refusal(lambda: WebObject(server.address)) == (said, NETWORK)
        assert len(server.asked) == 3


def test_reasons_are_said_in_words() -> None:
    for reason, words in (
        (TimeoutError(), "no answer within 60 seconds"),
        (IncompleteRead(b"x" * 1234), "the connection was cut after 1,234 bytes"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"), (ValueError("said"), "said"),
        (OSError(), "OSError"),
    ):  # fmt: skip
        assert _words(reason) == words
