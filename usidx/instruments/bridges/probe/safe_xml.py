"""XML of instruments, packed or plain -> a tree, in bounded memory; what declares anything about itself is refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from usidx.errors import TranslationError

__all__ = ["parse_xml"]

_GZIP: Final = b"\x1f\x8b"
_PIECE: Final = 1 << 20
#: A text that unpacks to more than so many bytes, and to so many times its size, is no measurement.
_LARGE, _MOST_RATIO = 64 << 20, 20
_DEEPEST: Final = 64


def parse_xml(path: Path) -> Element:
    """Parse a file, packed by gzip or plain.

    Returns
    -------
    Element
        The root; names without their namespace's prefix are as the file has them.

    Raises
    ------
    TranslationError
        It is no XML, is cut off, unpacks to more than a measurement would, or has a document type: with it a file
        may name entities that expand without end, or other files.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    depth = 0

    def open_element(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise TranslationError(f"its elements are nested deeper than {_DEEPEST}")
        builder.start(name, attrs)

    def close_element(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = open_element, close_element
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        for piece in _read_pieces(path):
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise TranslationError(f"it is cut off, or no XML ({err})") from err
    return builder.close()


def _refuse(*_: Any) -> None:
    raise TranslationError("its XML has a document type, which may name other files or expand without end")


def _read_pieces(path: Path) -> Iterator[bytes]:
    most, count = max(_LARGE, _MOST_RATIO * path.stat().st_size), 0
    with path.open("rb") as raw:
        is_packed = raw.read(2) == _GZIP
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if is_packed else raw
        while piece := file.read(_PIECE):
            count += len(piece)
            if count > most:
                raise TranslationError(f"it unpacks to more than {most} bytes, as no measurement does")
            yield piece
