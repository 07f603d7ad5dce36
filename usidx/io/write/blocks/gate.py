"""Blocks from several threads -> in, until the gate is shut; who shuts it waits for those inside."""

from __future__ import annotations

import time
from threading import get_ident
from typing import Any, Protocol

__all__ = ["Gate", "Ground"]

_POLL = 0.001


class Ground(Protocol):
    """Bytes of a file that no commit holds yet, which may be written past HDF5, from any thread."""

    def is_new(self, address: int) -> bool:
        """Whether the last commit ends before `address`."""
        ...

    def write_new(self, address: int, data: Any) -> None:
        """Write bytes at a place that is new; what fails is kept for whoever checks the file."""
        ...


class Gate:
    """Entered by whoever writes a block; shut until it is opened.

    There is no lock and no count, which Ctrl-C in the main thread could leave behind for ever: threads sign in and out,
    and a thread that shuts the gate is not inside, whatever it was broken off from.
    """

    def __init__(self) -> None:
        self._inside: list[int] = []
        self.is_open = False

    def open(self) -> None:
        """Let blocks in."""
        self.is_open = True

    def shut(self) -> None:
        """Let none in any more; once this returns, no other thread is inside."""
        self.is_open = False
        while any(thread != get_ident() for thread in list(self._inside)):
            time.sleep(_POLL)

    def check(self) -> None:
        """Raise if it has been shut meanwhile."""
        if not self.is_open:
            raise InterruptedError("a block came after writing had ended")

    def __enter__(self) -> None:
        self._inside.append(get_ident())  # before looking, so that who shuts it sees this
        if not self.is_open:
            self.__exit__()
            self.check()

    def __exit__(self, *exception: object) -> None:
        self._inside.remove(get_ident())
