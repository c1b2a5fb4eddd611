"""Objects on the web: ranges of what a URL gives, of one version, by the standard library."""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import gencli
from gencli.errors import GencliError
from gencli.files.stores import changed, shown

_WAIT = 60  # seconds for an answer
_PAUSES = (0.2, 1.0)  # seconds before the second and the third try
_PASSING = (429, 500, 502, 503, 504)
_FIRST = 1 << 14  # bytes
_DOWNLOAD = "download it first, such as with curl -LO"
_NETWORK = "check the address and the network, then run again"


class WebObject:
    """What a URL gives; see `stores.Object`.

    Args:
        address: it may hold user and password, which are sent to its host alone; by default those of ~/.netrc, or of
            the file that NETRC names.
        token: that is sent to its host alone, as a bearer.
        name: in messages; by default the address.

    Raises:
        GencliError: it cannot be had, or not in parts.
    """

    def __init__(self, address: str, token: str | None = None, name: str | None = None) -> None:
        self._url, authorization = _split(address)
        self.name = name or shown(address)
        self._headers = {"User-Agent": f"gencli/{gencli.__version__}", "Accept-Encoding": "identity"}
        if token or authorization:
            self._headers["Authorization"] = f"Bearer {token}" if token else str(authorization)
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects,
            urllib.request.HTTPErrorProcessor, urllib.request.HTTPDefaultErrorHandler,
        ):  # fmt: skip
            self._opener.add_handler(handler())
        self.size, self.version, self._start = self._asked(0, _FIRST)
        if not self.version and self.size > len(self._start):
            raise GencliError(f"{self.name}: its server tells no version (ETag, Last-Modified)", _DOWNLOAD)

    def read(self, start: int, count: int) -> bytes:
        if start + count <= len(self._start):
            return self._start[start : start + count]
        size, version, found = self._asked(start, count)
        if (size, version) != (self.size, self.version):
            raise changed(self.name)
        return found

    def require_unchanged(self) -> None:
        if self._asked(0, 1)[:2] != (self.size, self.version):
            raise changed(self.name)

    def _asked(self, start: int, count: int) -> tuple[int, str, bytes]:
        """The object's size and version, and these bytes, fewer where it ends before."""
        for pause in (*_PAUSES, None):
            try:
                return self._once(start, count)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416 and (known := re.search(r"/(\d+)$", error.headers.get("Content-Range") or "")):
                    return int(known[1]), _version(error.headers), b""
                if error.code not in _PASSING or pause is None:
                    raise self._refused(error) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = getattr(error, "reason", error)
                if pause is None or isinstance(error, ValueError) or isinstance(reason, ssl.SSLCertVerificationError):
                    raise GencliError(f"{self.name}: {_words(reason)}", _NETWORK) from None
            time.sleep(pause)
        raise AssertionError

    def _once(self, start: int, count: int) -> tuple[int, str, bytes]:
        headers = self._headers | {"Range": f"bytes={start}-{start + count - 1}"}
        with self._opener.open(urllib.request.Request(self._url, headers=headers), timeout=_WAIT) as answer:  # noqa: S310
            where = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range") or "")
            coded = answer.headers.get("Content-Encoding", "identity") != "identity"
            if answer.status != 206 or where is None or int(where[1]) != start or coded:
                if answer.headers.get("Content-Length") == "0":
                    return 0, _version(answer.headers), b""
                raise GencliError(f"{self.name}: its server sends no ranges of bytes", _DOWNLOAD)
            wanted = min(int(where[3]) - start, count)
            found = answer.read(wanted)
        if len(found) != wanted:
            raise ConnectionError(f"the connection was cut after {len(found):,} of {wanted:,} bytes")
        return int(where[3]), _version(answer.headers), found

    def _refused(self, error: urllib.error.HTTPError) -> GencliError:
        if error.code in (401, 403):
            hint = "give user and password in ~/.netrc, or another address if its signature has expired"
            return GencliError(f"{self.name}: access denied ({error.code})", hint)
        if error.code in (404, 410):
            return GencliError(f"{self.name}: no such object ({error.code})", "check the address")
        return GencliError(f"{self.name}: the server answers {error.code} {error.reason}", _NETWORK)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections: credentials go to no other host, and what was encrypted stays so."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if after.scheme not in (before.scheme, "https"):
            raise ValueError(f"redirected from {before.scheme} to {after.scheme}")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and after[:2] != before[:2]:
            following.remove_header("Authorization")
        return following


def _split(address: str) -> tuple[str, str | None]:
    """The URL without user and password, and these as a header.

    Raises:
        GencliError: no URL.
    """
    hint = "write https://HOST/PATH"
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise GencliError(f"{shown(address)}: not an address", hint) from None
    if not host:
        raise GencliError(f"{shown(address)}: not an address", hint)
    user, password = map(urllib.parse.unquote, (parts.username or "", parts.password or ""))
    if not user:
        user, password = _of_netrc(host)
    place = parts.netloc.rpartition("@")[2]
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    url = urllib.parse.urlunsplit((parts.scheme, place, path or "/", parts.query, ""))
    return url, f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None


def _of_netrc(host: str) -> tuple[str, str]:
    try:
        known = netrc.netrc(os.environ.get("NETRC")).hosts.get(host)
    except (OSError, netrc.NetrcParseError):
        known = None
    return (known[0], known[2]) if known else ("", "")


def _version(headers: Any) -> str:
    return headers.get("ETag") or headers.get("Last-Modified") or ""


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {_WAIT} seconds"
    if isinstance(reason, http.client.IncompleteRead):
        return f"the connection was cut after {len(reason.partial):,} bytes"
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
