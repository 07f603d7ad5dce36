"""Every error that usidx raises on purpose.

::

    UsidError (ValueError)
      NotMainError      the dataset is not a main dataset; says which rule failed
      LayoutError       ancillaries and main disagree (shapes, labels, units, references)
      GridError         rows do not fill a grid, or an index is not a counter
      RoleError         data has no position or spectroscopic roles, or a named dim is not there
      UnitsError        units cannot be combined
      SelectionError    a name matches nothing, or more than one thing (also a KeyError)
      MissingFileError  there is no such file, or no folder to make it in (also a FileNotFoundError)
      ExistsError       a write would change what exists (also a FileExistsError)
      ResultError       a result lacks what the verb needs
      LockedError       another program, or another part of this one, holds the file (also an OSError)
      WriteError        a file could not be written; it is as it was at the last commit (also an OSError)
      RecoveryError     a file cannot be put back to its last commit (also an OSError)
      ReplayError       what made a result cannot be run again; says why
      RemoteError       an object behind a URL cannot be reached, or changes (also an OSError)
      TranslationError  a file of an instrument cannot be read: says file, reader and reason
      MissingExtraError an optional dependency is not installed (also an ImportError)
    UsidWarning (UserWarning)  a file was repaired while it was read: what, and where
"""

from __future__ import annotations

from typing import Any

from usidx.escapes import escape_controls

__all__ = [
    "ExistsError",
    "GridError",
    "LayoutError",
    "LockedError",
    "MissingExtraError",
    "MissingFileError",
    "NotMainError",
    "RecoveryError",
    "RemoteError",
    "ReplayError",
    "ResultError",
    "RoleError",
    "SelectionError",
    "TranslationError",
    "UnitsError",
    "UsidError",
    "UsidWarning",
    "WriteError",
]


class UsidError(ValueError):
    """Base of every error that usidx raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Without it tblib, by which distributed brings errors back from workers, makes them with ValueError.__new__,
        # which refuses what is an OSError or ImportError, too: they came back as plain Exception.
        return type(self), self.args, self.__dict__ or None

    def __str__(self) -> str:
        return escape_controls(super().__str__())


class NotMainError(UsidError):
    """The dataset is not a USID main dataset; the message names the rule that failed."""


class LayoutError(UsidError):
    """Ancillary datasets and the main dataset disagree."""


class GridError(UsidError):
    """Rows do not fill a grid, or an index column does not count."""


class RoleError(UsidError):
    """Data has no position or spectroscopic roles, or a named dim is not there."""


class UnitsError(UsidError):
    """Units cannot be combined."""


class SelectionError(UsidError, KeyError):
    """A name matches nothing, or more than one thing."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument; a sentence should read as a sentence.
        return escape_controls(ValueError.__str__(self))


class MissingFileError(UsidError, FileNotFoundError):
    """There is no file of that name, or no folder to make it in."""


class ExistsError(UsidError, FileExistsError):
    """A write would change what exists."""


class ResultError(UsidError):
    """A result lacks what the verb needs."""


class LockedError(UsidError, OSError):
    """Another program, or another part of this one, holds the file; or its file system has no locks."""


class WriteError(UsidError, OSError):
    """A file could not be written; it is as it was at the last commit."""


class RecoveryError(UsidError, OSError):
    """A file cannot be put back to its last commit without destroying what another program wrote."""


class RemoteError(UsidError, OSError):
    """An object behind a URL cannot be reached, gives other bytes than asked for, or changes while it is read."""


class ReplayError(UsidError):
    """What made a result cannot be run again: a function is gone, a source changed, an argument was not recorded."""


class MissingExtraError(UsidError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self._given = package, extra, purpose
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'usidx[{extra}]'"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given, self.__dict__


class TranslationError(UsidError):
    """A file of an instrument cannot be read; the message names the file, the reader and the reason.

    Parameters
    ----------
    reason : str
        What is wrong, as the rest of a sentence.
    file, reader : str
        Filled in by who knows them: a parser only gives the reason.
    """

    def __init__(self, reason: str, *, file: str = "", reader: str = "") -> None:
        self.reason, self.file, self.reader = reason, file, reader
        by = f" by the reader {reader!r}" if reader else ""
        super().__init__(f"{file!r} cannot be read{by}: {reason}" if file else reason)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_translation_error, (self.reason, self.file, self.reader), self.__dict__


def _make_translation_error(reason: str, file: str, reader: str) -> TranslationError:
    return TranslationError(reason, file=file, reader=reader)


class UsidWarning(UserWarning):
    """A file was repaired while it was read."""

    def __str__(self) -> str:
        return escape_controls(super().__str__())
