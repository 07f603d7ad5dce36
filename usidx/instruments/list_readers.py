"""The readers that there are -> a table to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import overload

from usidx.instruments.reader import Reader
from usidx.instruments.registry import load_readers

__all__ = ["ReaderInfo", "ReaderList", "list_readers"]


@dataclass(frozen=True, slots=True)
class ReaderInfo:
    """What is known of a reader.

    Attributes
    ----------
    name : str
        As ``reader=`` takes it.
    opens : str
        For people.
    extensions : tuple of str
        Usual ends of names.
    licence : str
        Of what reads.
    extra : str
        Of usidx, which installs what it needs; empty where nothing is needed.
    installed : bool
        Whether it can read now.
    """

    name: str
    opens: str
    extensions: tuple[str, ...]
    licence: str
    extra: str
    installed: bool

    @classmethod
    def of(cls, name: str, reader: Reader) -> ReaderInfo:
        """Ask a reader what it says of itself."""
        return cls(
            name,
            str(getattr(reader, "opens", "")),
            tuple(getattr(reader, "extensions", ())),
            str(getattr(reader, "licence", "")),
            str(getattr(reader, "extra", "")),
            bool(getattr(reader, "is_installed", True)),
        )

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """As in a line of the table."""
        return self.name, self.opens, self.licence, self.extra, "yes" if self.installed else "no"


class ReaderList(Sequence[ReaderInfo]):
    """Readers; prints as a table."""

    _TITLES = ("reader", "opens", "licence", "extra", "installed")

    def __init__(self, readers: Sequence[ReaderInfo]) -> None:
        self._readers = tuple(readers)

    @overload
    def __getitem__(self, index: int) -> ReaderInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ReaderInfo]: ...
    def __getitem__(self, index: int | slice) -> ReaderInfo | Sequence[ReaderInfo]:
        return self._readers[index]

    def __len__(self) -> int:
        return len(self._readers)

    def __repr__(self) -> str:
        rows = [self._TITLES, *(info.cells for info in self._readers)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self._TITLES))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

    def _repr_html_(self) -> str:
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in info.cells) for info in self._readers]
        titles = "".join(f"<th>{title}</th>" for title in self._TITLES)
        return f"<table><tr>{titles}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def list_readers() -> ReaderList:
    """List the readers of instrument files, usidx's own and those of other packages.

    Returns
    -------
    ReaderList
        A sequence that prints as a table: name, what it opens, the licence of what reads, the extra of usidx that
        installs that, and whether it is installed.

    Examples
    --------
    >>> import usidx
    >>> [info.extensions for info in usidx.list_readers() if info.name == "gsf"]
    [('.gsf',)]
    """
    return ReaderList([ReaderInfo.of(name, reader) for name, reader in sorted(load_readers().items())])
