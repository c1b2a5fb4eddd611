"""Data sets of the Hugging Face hub, hf://datasets/ORG/NAME[@REVISION]/PATH, by its own library, huggingface-hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gencli.errors import GencliError, first_line
from gencli.files.stores import shown
from gencli.files.web import WebObject


def open_object(address: str) -> WebObject:
    """A file of the hub; see `stores.open_object`."""
    hub = _library(address)
    with _told(address):
        files = hub.HfFileSystem()
        at = files.resolve_path(_path(address))
        place = {"repo_type": at.repo_type, "revision": at.revision, "endpoint": files.endpoint}
        url, token = hub.hf_hub_url(at.repo_id, at.path_in_repo, **place), hub.get_token()
    return WebObject(url, token, shown(address))


def within(address: str) -> list[str] | None:
    """See `stores.within`."""
    hub = _library(address)
    with _told(address):
        files, path = hub.HfFileSystem(), _path(address)
        if files.info(path)["type"] == "file":
            return None
        return [f"hf://{each}" for each in sorted(files.find(path))]


def _path(address: str) -> str:
    return address.partition("://")[2].rstrip("/")


def _library(address: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise GencliError(
            f"{shown(address)}: huggingface-hub is not installed", "pip install 'gencli[remote]'"
        ) from None
    return huggingface_hub


@contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except GencliError:
        raise
    except FileNotFoundError:
        hint = "check its name; of a private one, run hf auth login, or set HF_TOKEN"
        raise GencliError(f"{shown(address)}: not on the hub", hint) from None
    except Exception as error:  # its library's, of several kinds
        raise GencliError(
            f"{shown(address)}: the hub cannot be asked: {first_line(error, 200)}", "check the network, then run again"
        ) from None
