"""The files that the app may open: those that were given, and others below the same folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from usidx.errors import UsidError
from usidx.io.read.usid.inventory import list_mains
from usidx.look.app.reading.contents import Entry, list_entries
from usidx.look.draw.numbers import make_printable

__all__ = ["Shelf", "Stamp", "stamp"]

#: What tells whether a file is the same as before: number, size, and when it was changed; None where it is gone.
Stamp = tuple[int, int, int] | None

# Of a folder that is offered; a longer list is searched by typing a path.
_MOST_LISTED = 200
_SHOWN = (".h5", ".hdf5", ".usid")


class Shelf:
    """Files that may be opened, and where the converted copies of instruments' files lie.

    Parameters
    ----------
    paths : sequence of path
        Files to offer at once.
    folder : path, optional
        Below which others may be opened; by default the folders of the files.

    Raises
    ------
    UsidError
        A file or the folder is not there.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str] | None = None) -> None:
        self.files = [_find_file(Path(path)) for path in paths]
        own = [file.parent for file in self.files]
        self.roots = [Path(folder).resolve()] if folder is not None else list(dict.fromkeys(own)) or [Path.cwd()]
        for root in self.roots:
            if not root.is_dir():
                raise UsidError(f"There is no folder {str(root)!r}.")
        self._given = set(self.files)
        self._copies: dict[Path, Path] = {}
        self._temporary: str | None = None
        self._contents: dict[Path, tuple[Stamp, list[Entry]]] = {}
        self._listing = threading.Lock()

    def find(self, text: str) -> Path:
        """Return the file that is meant, if it may be opened.

        Raises
        ------
        UsidError
            It lies elsewhere, by a link too, or is no file.
        """
        path = Path(text)
        candidates = [path] if path.is_absolute() else [root / path for root in self.roots]
        allowed = [found for found in (p.resolve() for p in candidates) if self._may_open(found)]
        for found in allowed:
            if found.is_file():
                return found
        said = make_printable(text, 200)
        if allowed:
            raise UsidError(f"There is no file {said!r} here.")
        raise UsidError(
            f"{said!r} does not lie below {' or '.join(map(str, self.roots))}. `usidx view --folder` opens another one."
        )

    def _may_open(self, path: Path) -> bool:
        return path in self._given or any(path.is_relative_to(root) for root in self.roots)

    def name(self, path: Path) -> str:
        """Return how a file is called in the address: short below the folder, whole elsewhere."""
        below = next((root for root in self.roots if path.is_relative_to(root)), None)
        return str(path.relative_to(below)) if below is not None and len(self.roots) == 1 else str(path)

    def list_others(self) -> list[Path]:
        """List further files of the folders that look like USID files."""
        found = (p for root in self.roots for p in sorted(root.iterdir()) if p.suffix.lower() in _SHOWN and p.is_file())
        return [p.resolve() for _, p in zip(range(_MOST_LISTED), found, strict=False) if p.resolve() not in self.files]

    def open_as_usid(self, path: Path) -> Path:
        """Return the path itself where it is a USID file, else that of a copy that it was converted to.

        Raises
        ------
        UsidError
            It is neither.
        """
        if path in self._copies:
            return self._copies[path]
        try:
            if list_mains(path):
                return path
        except UsidError:
            if path.suffix.lower() in _SHOWN:
                raise
        return self._convert(path)

    def _convert(self, path: Path) -> Path:
        from usidx.instruments.convert import convert  # takes long to load, and few files need it

        if self._temporary is None:
            self._temporary = tempfile.mkdtemp(prefix="usidx-view-")
        target = Path(self._temporary) / f"{len(self._copies)}" / f"{path.stem}.h5"
        target.parent.mkdir()
        convert(path, target, progress=False)
        self._copies[path] = target
        return target

    def list_contents(self, file: Path) -> list[Entry]:
        """List what is in a USID file; while the file is the same, as it was found before.

        Raises
        ------
        UsidError
            It cannot be read.
        """
        with self._listing:
            now = stamp(file)
            if now is None or file not in self._contents or self._contents[file][0] != now:
                self._contents[file] = (now, list_entries(file))
            return self._contents[file][1]

    def is_copy(self, path: Path) -> bool:
        """Say whether a file lies in the temporary folder."""
        return path in self._copies.values()

    def close(self) -> None:
        """Remove the converted copies."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _find_file(path: Path) -> Path:
    if not path.is_file():
        raise UsidError(f"There is no file {str(path)!r}.")
    return path.resolve()


def stamp(path: Path) -> Stamp:
    """Return what changes when a file does."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
