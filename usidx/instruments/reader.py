"""What reads a format: the Protocol, and the readers that usidx has."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, runtime_checkable

import xarray as xr

from usidx.errors import MissingExtraError, TranslationError, UsidError
from usidx.version import usidx_version

__all__ = ["HEAD_BYTES", "Confidence", "FormatReader", "Package", "Reader", "explain_failure", "silence_log"]

#: Of a file, what a reader is given to recognise it by.
HEAD_BYTES = 16 * 1024


class Confidence(float):
    """How sure a reader is that a file is its own, from 0 to 1, and why.

    About 0.9 and more: by content that nothing else has. About 0.5: by content that others may have too. About 0.2: by
    the end of its name alone.

    Examples
    --------
    >>> Confidence(0.95, "begins with 'Gwyddion Simple Field'").reason
    "begins with 'Gwyddion Simple Field'"
    """

    reason: str

    def __new__(cls, value: float, reason: str = "") -> Confidence:
        """Return a number with a reason."""
        made = super().__new__(cls, value)
        made.reason = reason
        return made


@runtime_checkable
class Reader(Protocol):
    """What reads a format; packages offer theirs in the entry-point group ``usidx.readers``.

    A reader may say more of itself: ``name``, ``opens``, ``licence``, ``extra``, ``version``.
    """

    def sniff(self, path: Path, head: bytes) -> float:
        """Say how sure it is, from 0 to 1, that a file is of its format; `head` is how the file begins."""

    def __call__(self, path: Path) -> xr.DataTree:
        """Read a file, lazily where the format allows it."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that a reader needs.

    Attributes
    ----------
    module : str
        To import.
    extra : str
        Of usidx, which installs it.
    project : str
        Its name in the package index, where it is another.
    """

    module: str
    extra: str
    project: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported; it is not."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed one, empty if there is none."""
        try:
            return version(self.project or self.module)
        except PackageNotFoundError:
            return ""


@dataclass(frozen=True, slots=True)
class FormatReader:
    """A reader made of two functions, which turns whatever goes wrong into a TranslationError.

    Attributes
    ----------
    name : str
        As ``reader=`` takes it: ``"nanonis_sxm"``.
    opens : str
        What it opens, for people: ``"Nanonis scans (.sxm)"``.
    recognize : callable
        (path, head) -> confidence, 0 where it is not its format.
    parse : callable
        path -> tree. Raises whatever it likes on a file that it cannot read.
    extensions : tuple of str
        In lower case, ``".sxm"``: a file that nobody recognises by content is offered to who knows its name.
    licence : str
        Of what reads it.
    package : Package, optional
        Needed to read it; the module that holds the reader imports without it.
    """

    name: str
    opens: str
    recognize: Callable[[Path, bytes], float]
    parse: Callable[[Path], xr.DataTree]
    extensions: tuple[str, ...] = ()
    licence: str = "MIT"
    package: Package | None = None

    @property
    def extra(self) -> str:
        """What to install with usidx, empty where nothing is needed."""
        return self.package.extra if self.package else ""

    @property
    def is_installed(self) -> bool:
        """Whether it can read."""
        return self.package is None or self.package.is_installed

    @property
    def version(self) -> str:
        """Of what reads: the package, or usidx."""
        if self.package is None:
            return f"usidx {usidx_version()}"
        return f"{self.package.project or self.package.module} {self.package.version}".strip()

    def sniff(self, path: Path, head: bytes) -> float:
        """Say how sure it is that a file is of its format."""
        return self.recognize(path, head)

    def __call__(self, path: Path) -> xr.DataTree:
        """Read a file.

        Raises
        ------
        MissingExtraError
            The package that reads it is not installed.
        TranslationError
            The file is damaged, or of another format.
        """
        if self.package is not None and not self.package.is_installed:
            named = self.package.project or self.package.module
            raise MissingExtraError(named, self.package.extra, f"Reading {self.opens}")
        try:
            return self.parse(path)
        except MissingExtraError:
            raise
        except Exception as err:
            raise explain_failure(err, path, self.name) from err


def explain_failure(err: Exception, path: Path, reader: str) -> TranslationError:
    """Return what went wrong while a reader read a file, as one error that names both."""
    if isinstance(err, TranslationError):
        return TranslationError(err.reason, file=err.file or str(path), reader=err.reader or reader)
    text = str(err).strip()
    if not isinstance(err, UsidError | OSError) or not text:
        text = f"{type(err).__name__}{': ' if text else ''}{text}"
    return TranslationError(text[:300], file=str(path), reader=reader)


@contextmanager
def silence_log(package: str) -> Iterator[None]:
    """Let a package that reads say nothing of what it thinks of a file on the way; only errors matter here."""
    logger = logging.getLogger(package)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
