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
from usidx.look.app.reading.remote import File, Url, is_url
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
    paths : sequence of path or URL
        Files to offer at once. Of those behind a URL no others are opened.
    folder : path, optional
        Below which others may be opened; by default the folders of the files.

    Raises
    ------
    UsidError
        A file or the folder is not there.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str] | None = None) -> None:
        self.files: list[File] = [_find_file(os.fspath(path)) for path in paths]
        own = [file.parent for file in self.files if isinstance(file, Path)]
        self.roots = [Path(folder).resolve()] if folder is not None else list(dict.fromkeys(own)) or [Path.cwd()]
        for root in self.roots:
            if not root.is_dir():
                raise UsidError(f"There is no folder {str(root)!r}.")
        self._given = set(self.files)
        self._copies: dict[File, Path] = {}
        self._temporary: str | None = None
        self._contents: dict[File, tuple[Stamp, list[Entry]]] = {}
        self._listing = threading.Lock()

    def find(self, text: str) -> File:
        """Return the file that is meant, if it may be opened.

        Raises
        ------
        UsidError
            It lies elsewhere, by a link too, or is no file.
        """
        for file in self.files:
            if isinstance(file, Url) and text in (file, file.shown):
                return file
        path = Path(text.replace("\0", " "))
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

    def name(self, path: File) -> str:
        """Return how a file is called in the address: short below the folder, whole elsewhere."""
        if isinstance(path, Url):
            return path.shown
        below = next((root for root in self.roots if path.is_relative_to(root)), None)
        return str(path.relative_to(below)) if below is not None and len(self.roots) == 1 else str(path)

    def list_others(self) -> list[Path]:
        """List further files of the folders that look like USID files."""
        named = (p for root in self.roots for p in sorted(root.iterdir()) if p.suffix.lower() in _SHOWN and p.is_file())
        # A link may lead elsewhere, and so may not even be named.
        found = (p for link in named if self._may_open(p := link.resolve()) and p not in self.files)
        return [p for _, p in zip(range(_MOST_LISTED), found, strict=False)]

    def open_as_usid(self, path: File) -> File:
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
            if isinstance(path, Url) or path.suffix.lower() in _SHOWN:
                raise
        if isinstance(path, Url):
            return path
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

    def list_contents(self, file: File) -> list[Entry]:
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

    def is_copy(self, path: File) -> bool:
        """Say whether a file lies in the temporary folder."""
        return path in self._copies.values()

    def close(self) -> None:
        """Remove the converted copies."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _find_file(text: str) -> File:
    if is_url(text):
        return Url(text)
    path = Path(text)
    if not path.is_file():
        raise UsidError(f"There is no file {str(path)!r}.")
    return path.resolve()


def stamp(path: File) -> Stamp:
    """Return what changes when a file does; of one behind a URL that is not asked for every second."""
    if isinstance(path, Url):
        return 0, 0, 0
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
