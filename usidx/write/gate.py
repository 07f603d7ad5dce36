"""Blocks from several threads -> in, until the gate is shut; who shuts it waits for those inside."""

from __future__ import annotations

from threading import Condition
from typing import Any, Protocol

__all__ = ["Gate", "Ground"]


class Ground(Protocol):
    """Bytes of a file that no commit holds yet, which may be written past HDF5, from any thread."""

    def is_new(self, address: int) -> bool:
        """Whether the last commit ends before `address`."""
        ...

    def write_new(self, address: int, data: Any) -> None:
        """Write bytes at a place that is new; what fails is kept for whoever checks the file."""
        ...


class Gate:
    """Entered by whoever writes a block; shut until it is opened."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self.is_open = False

    def open(self) -> None:
        """Let blocks in."""
        self.is_open = True

    def shut(self) -> None:
        """Let none in any more; once this returns, none is inside."""
        with self._changed:
            self.is_open = False
            self._changed.wait_for(lambda: self._inside == 0)

    def check(self) -> None:
        """Raise if it has been shut meanwhile."""
        if not self.is_open:
            raise InterruptedError("a block came after writing had ended")

    def __enter__(self) -> None:
        with self._changed:
            self.check()
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
