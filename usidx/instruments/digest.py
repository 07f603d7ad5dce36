"""The sha256 of a file, found while other work goes on: a large file is read once from the disk, not twice."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Final

from usidx.errors import TranslationError

__all__ = ["RunningDigest", "digest_file"]

# Stays in the processor's cache between reading and digesting.
_PIECE: Final = 256 * 2**10


def digest_file(file: Path) -> str:
    """Return the sha256 of a file, read piece by piece."""
    running = RunningDigest(file)
    return running.wait()


class RunningDigest:
    """A digest on its way, in a thread of its own.

    Parameters
    ----------
    file : Path
        What to digest.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._digest = hashlib.sha256()
        self._failure: OSError | None = None
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sha256 of {file.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        piece = memoryview(bytearray(_PIECE))
        try:
            with self.file.open("rb", buffering=0) as opened:
                while not self._is_stopped.is_set() and (count := opened.readinto(piece)):
                    self._digest.update(piece[:count])
        except OSError as err:
            self._failure = err

    def wait(self) -> str:
        """Return the digest when it is there."""
        self._thread.join()
        if self._failure is not None:
            raise TranslationError(str(self._failure), file=str(self.file)) from self._failure
        return self._digest.hexdigest()

    def stop(self) -> None:
        """Go no further; whoever waits later gets nothing that is of use."""
        self._is_stopped.set()
        self._thread.join()
