"""Objects in stores (s3, gs, hf) and on the web (https): their size and version, ranges of their bytes, uploads.

Credentials come from where each store's own tools look for them and are told to nobody: `shown` is what messages,
names and provenance have of an address. `remote` makes files of objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from gencli import machine
from gencli.errors import GencliError, cleaned, first_line

_ADDRESS = re.compile(r"(s3|gs|hf|https?)://", re.IGNORECASE)
_WAIT = 60  # seconds for an answer
_RETRY = 10  # seconds for which Google's library asks again
_PIECE = 40 << 20  # bytes that are uploaded at once, as parts
_CHANGED = "wait until it is complete, then run again"
_NO_SIGNATURE = {"s3": "AWS_NO_SIGN_REQUEST", "gs": "GS_NO_SIGN_REQUEST"}  # GDAL's names: public objects
_DENIED = (
    r"ACCESS_?DENIED|PERMISSION_?DENIED|UNAUTHENTICATED|OAuth2|Forbidden|status 40[13]|credential|ACCESS_KEY|SIGNATURE"
)
_GOOGLE = re.compile(
    r"::Status\(\w+: (?:.*? last message of )?(?:[\w() -]*CURL error \[\d+\]=)?(.+?)(?:\. | error_info=|\W*$)"
)
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_NO_SIGN_REQUEST=YES if it is public",
    "gs": "run gcloud auth application-default login; GS_NO_SIGN_REQUEST=YES if it is public",
    "hf": "run hf auth login, or set HF_TOKEN",
    "https": "give user and password in ~/.netrc",
}


def is_address(name: str | None) -> bool:
    """Whether a name is the address of an object, not a path."""
    return name is not None and _ADDRESS.match(name) is not None


def require_folder(name: str, words: str) -> None:
    """Refuses an address where folders of this machine are made.

    Raises:
        GencliError: it is one; `words` say what named it.
    """
    if re.match(r"\w+://", name):
        raise GencliError(f"{words}: {shown(name)}: an address", "name a folder of this machine")


def shown(address: str) -> str:
    """An address without its secrets."""
    return cleaned(address)


class Object(Protocol):
    """One version of an object.

    Attributes:
        size: bytes.
        version: what the store says of its content, its ETag; empty where it says nothing.
    """

    size: int
    version: str

    def read(self, start: int, count: int) -> bytes:
        """These bytes, which are there.

        Raises:
            GencliError: they cannot be had, or it changed.
        """
        ...

    def require_unchanged(self) -> None:
        """Raises GencliError if the object is another than it was."""
        ...


def changed(address: str) -> GencliError:
    """The error that an object is not what it was."""
    return GencliError(f"{shown(address)}: changed while it was read", _CHANGED)


def open_object(address: str) -> Object:
    """The object at an address.

    Raises:
        GencliError: there is none, it may not be read, or its library is missing.
    """
    scheme = _scheme(address)
    if scheme == "https":
        from gencli.files.web import WebObject

        return WebObject(address)
    if scheme == "hf":
        from gencli.files import hub

        return hub.open_object(address)
    return _ArrowObject(address)


def within(address: str) -> list[str] | None:
    """The addresses of all objects in the folder at an address, sorted; None where it is an object, or may be one.

    Raises:
        GencliError: it cannot be listed.
    """
    scheme = _scheme(address)
    if scheme == "https":
        return None
    if scheme == "hf":
        from gencli.files import hub

        return hub.within(address)
    from pyarrow import fs

    place = _place(address)
    with _told(address):
        system = _system(address)
        if "/" in place and not address.endswith("/") and system.get_file_info(place).type == fs.FileType.File:
            return None
        selector = fs.FileSelector(place, recursive=True, allow_not_found=True)
        found = [each.path for each in system.get_file_info(selector) if each.type == fs.FileType.File]
    if not found:
        _require_bucket(address)
        if address.endswith("/"):
            raise GencliError(f"{shown(address)}: no such folder", "check its name")
        return None  # which is told when it is opened
    return [f"{scheme}://{each}" for each in sorted(found)]


def _scheme(address: str) -> str:
    known = _ADDRESS.match(address)
    assert known is not None
    return known[1].lower().replace("http", "https").replace("httpss", "https")


def _place(address: str) -> str:
    """Bucket and key.

    Raises:
        GencliError: the address says anything else.
    """
    place = address.partition("://")[2]
    bucket, *key = place.removesuffix("/").split("/")
    if "@" in bucket or ":" in bucket or "?" in place:
        raise GencliError(
            f"{shown(address)}: an address of a bucket and a key says nothing else", _CREDENTIALS[_scheme(address)]
        )
    if not bucket:
        raise GencliError(f"{shown(address)}: no bucket and key", f"write {_scheme(address)}://BUCKET/KEY")
    # the library would take another object, and messages would leave out what follows #
    if {"", ".", ".."} & {bucket, *key} or "#" in place:
        raise GencliError(
            f"{shown(address)}: a key with #, or with `.`, `..` or nothing between slashes", "give it another key"
        )
    return "/".join((bucket, *key))


def _system(address: str) -> Any:
    """The file system of an address's bucket."""
    import datetime

    from pyarrow import fs

    scheme = _scheme(address)
    anonymous = os.environ.get(_NO_SIGNATURE[scheme], "").upper() in ("1", "YES", "TRUE", "ON")
    if scheme == "gs":
        return fs.GcsFileSystem(anonymous=anonymous, retry_time_limit=datetime.timedelta(seconds=_RETRY))
    options: dict[str, Any] = {"anonymous": anonymous, "connect_timeout": 10, "request_timeout": _WAIT}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        way, _, host = endpoint.rpartition("://")
        options |= {"endpoint_override": host.rstrip("/"), "scheme": way or "https"}
    elif not {"AWS_REGION", "AWS_DEFAULT_REGION"} & {*os.environ}:
        options |= {"region": fs.resolve_s3_region(_place(address).partition("/")[0])}
    return fs.S3FileSystem(background_writes=True, **options)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Within, what a store's library raises is told in a line."""
    try:
        yield
    except OSError as error:
        raise _explained(address, error) from None


def _explained(address: str, error: OSError) -> GencliError:
    """What was wrong, of the words of Arrow and the libraries of stores."""
    words, place, scheme = str(error), shown(address), _scheme(address)
    if re.search(r"NO_SUCH_BUCKET|NoSuchBucket|Bucket '.*' not found|bucket does not exist", words, re.IGNORECASE):
        return GencliError(f"{place}: no such bucket", "check its name, and the region or endpoint")
    there = re.search(r"the bucket is located in '([\w-]+)'", words)
    if there and not re.search("status 5", words):
        return GencliError(f"{place}: the bucket is in the region {there[1]}", f"set AWS_REGION={there[1]}")
    if re.search(_DENIED, words, re.IGNORECASE):
        why = re.match(r"[\w ()]*", _first(words).partition(" operation")[0])  # the rest may tell a key
        return GencliError(f"{place}: access denied ({why[0] if why else ''})", _CREDENTIALS[scheme])
    if isinstance(error, FileNotFoundError):
        return GencliError(f"{place}: no such object", "check its name")
    return GencliError(f"{place}: {_first(words)}", "check the address and the network, then run again")


def _first(words: str) -> str:
    """The end of an error's first line, which says why; what is before it names the object again."""
    line = first_line(OSError(words))
    if google := _GOOGLE.search(line):
        return google[1]
    return line.rpartition(": AWS Error ")[2].removeprefix("AWS Error ")[:200]


def _require_bucket(address: str) -> None:
    from pyarrow import fs

    with _told(address):
        bucket = _place(address).partition("/")[0]
        if _system(address).get_file_info(bucket).type == fs.FileType.NotFound:
            raise GencliError(f"{shown(address)}: no such bucket", "check its name, and the region or endpoint")


class _ArrowObject:
    """An object of a store that Arrow reads."""

    def __init__(self, address: str) -> None:
        self._address, self._path = address, _place(address)
        if "/" not in self._path:
            raise GencliError(f"{shown(address)}: a bucket, not an object", "name an object in it")
        with _told(address):
            self._system = _system(address)
            try:
                self._file, self.size, self.version, self._written = self._opened()
            except FileNotFoundError:
                _require_bucket(address)  # whose absence the store tells like an object's
                raise

    def _opened(self) -> tuple[Any, int, str, str]:
        file = self._system.open_input_file(self._path)
        facts = {_word(name).lower(): _word(value) for name, value in (file.metadata() or {}).items()}
        written = facts.get("last-modified") or facts.get("updated", "")  # S3's word, and Google's
        return file, file.size(), facts.get("etag", "").strip('"'), written

    def read(self, start: int, count: int) -> bytes:
        with _told(self._address):
            try:
                found = self._file.read_at(count, start)
            except FileNotFoundError:
                raise changed(self._address) from None
        if len(found) != count:
            self.require_unchanged()
            raise GencliError(
                f"{shown(self._address)}: {len(found):,} of {count:,} bytes came", "check the network, then run again"
            )
        return found

    def require_unchanged(self) -> None:
        with _told(self._address):
            try:
                now = self._opened()[1:]
            except FileNotFoundError:
                raise changed(self._address) from None
        if now != (self.size, self.version, self._written):  # it may have been another in between
            raise changed(self._address)


def _word(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def open_upload(address: str) -> Callable[[int], None]:
    """A function that uploads the whole file open at a descriptor, which appears whole or not at all.

    Raises:
        GencliError: nothing can be written there.
    """
    scheme = _scheme(address)
    if scheme != "s3":
        raise GencliError(f"{shown(address)}: cannot be written", "name a file, or an object of s3://")
    place = _place(address)
    if "/" not in place or address.endswith("/"):
        raise GencliError(f"{shown(address)}: a folder, not an object", "name an object in it")
    _require_bucket(address)

    def upload(fd: int) -> None:
        import mmap

        machine.require_memory(2 * _PIECE, f"{shown(address)}: its parts", "free some memory")
        size = os.fstat(fd).st_size
        content = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if size else b"")
        with _told(address):
            system = _system(address)
            # Arrow completes an upload also after an error of its writer, unless a part failed in the background
            with system.open_output_stream(place) as stream:
                for start in range(0, size, _PIECE):
                    stream.write(content[start : start + _PIECE])
                    stream.flush()
            written = system.get_file_info(place).size
        if written != size:
            raise GencliError(f"{shown(address)}: {written:,} of {size:,} bytes are there", "write it again")

    return upload
