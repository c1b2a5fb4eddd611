"""What all processes of torchrun on a machine refuse alike is said once, by the first of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

_STORE = "TORCHELASTIC_USE_AGENT_STORE"  # which torchrun sets
_PATIENCE = timedelta(seconds=5)  # for the first process, which may have started later, or refuse nothing
_ROOM = 0.5  # seconds that the others have for words of their own: torchrun ends them when one has ended


@contextmanager
def said(words: str) -> Iterator[bool]:
    """Whether this process is to say, within, why it ends: of several, those that the first does not say so.

    They meet in the store of torchrun's launcher; started in other ways, each process speaks.
    """
    store = _store()
    if store is None:
        yield True
        return
    key = f"{os.uname().nodename} {os.getppid()} {os.environ.get('TORCHELASTIC_RESTART_COUNT')} ends"
    first = os.environ.get("LOCAL_RANK") == "0"
    others = b""
    with suppress(Exception):  # it says nothing, or the launcher has ended
        others = b"" if first else store.get(key)
    yield others != words.encode()
    if first:
        with suppress(Exception):
            store.set(key, words)
            leave_room()


def leave_room() -> None:
    """Waits, before this process ends without a word or with one of its own, for the words of others."""
    if _STORE in os.environ:
        time.sleep(_ROOM)


def _store() -> TCPStore | None:
    """That of the launcher, which lasts as long as it does."""
    if os.environ.get(_STORE) != "True" or os.environ.get("LOCAL_WORLD_SIZE") == "1":
        return None
    with suppress(Exception):
        from torch._C._distributed_c10d import TCPStore

        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return TCPStore(*place, is_master=False, wait_for_workers=False, timeout=_PATIENCE)
    return None
