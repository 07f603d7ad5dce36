"""TIFF images -> a channel per series, through tifffile.

Sizes come from ImageJ's own notes, never from dots per inch, which describe paper. A stack keeps its frames as what was
swept; colours are channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import MissingExtraError, TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.formats.tiff_pages import is_tiff
from usidx.instruments.reader import Confidence, FormatReader, Package, silence_log

__all__ = ["READER"]

_COLOURS: Final = ("red", "green", "blue", "alpha")
_LARGEST: Final = 4 << 30
#: No picture is packed better than deflate can.
_TIGHTEST: Final = 1032


def _recognize(path: Path, head: bytes) -> float:
    return Confidence(0.6, "begins as a TIFF, of no instrument that is known") if is_tiff(head) else 0.0


def _parse(path: Path) -> xr.DataTree:
    import tifffile

    with silence_log("tifffile"), tifffile.TiffFile(path) as file:
        sizes = _find_sizes(file)
        channels = [channel for n, series in enumerate(file.series) for channel in _read_series(path, n, series, sizes)]
        attrs = {"software": str(getattr(file.pages[0], "software", "")), **_find_notes(file)}
        return build_tree(channels, attrs)


def _find_notes(file: Any) -> dict[str, Any]:
    notes = file.imagej_metadata or {}
    return {f"ImageJ {k}": v for k, v in notes.items() if isinstance(v, str | int | float | bool)}


def _find_sizes(file: Any) -> tuple[dict[str, float], str]:
    """Return how large a pixel is along Y and X, and its unit; 1 and none where nobody says."""
    notes = file.imagej_metadata or {}
    unit = str(notes.get("unit", "")).replace("\\u00B5", "µ")
    found = {}
    for axis, tag in (("X", "XResolution"), ("Y", "YResolution")):
        value = file.pages[0].tags.get(tag)
        many, one = value.value if value is not None else (0, 0)
        if unit and unit not in {"pixel", "inch"} and many and one:
            found[axis] = one / many
    return (found, unit) if len(found) == 2 else ({}, "")


def _read_series(path: Path, number: int, series: Any, sizes: tuple[dict[str, float], str]) -> Iterator[Channel]:
    if series.nbytes > min(_LARGEST, _TIGHTEST * path.stat().st_size):
        raise TranslationError(
            f"its series {number} should have {series.nbytes} bytes, and the file has {path.stat().st_size}"
        )
    data = _unpack(series)
    names = list(series.axes.upper())
    title = str(series.name or "").replace("/", "_") or path.stem
    title = path.stem if title in {"uniform", "generic", "imagej", "shaped"} else title
    colour = names.index("S") if "S" in names and data.shape[names.index("S")] <= len(_COLOURS) else None
    if colour is None:
        yield _make_channel(title, data, names, sizes)
        return
    rest = [name for place, name in enumerate(names) if place != colour]
    for place in range(data.shape[colour]):
        yield _make_channel(f"{title}/{_COLOURS[place]}", data.take(place, axis=colour), rest, sizes)


def _unpack(series: Any) -> Array:
    try:
        return np.asarray(series.asarray())
    except ValueError as err:
        if "imagecodecs" not in str(err):
            raise
        raise MissingExtraError("imagecodecs", "tiff", f"Reading this TIFF image ({err})") from err


def _make_channel(title: str, data: Array, names: list[str], sizes: tuple[dict[str, float], str]) -> Channel:
    """Make a channel of a picture, or of a stack of pictures: what lies before Y and X counts the pictures."""
    if not {"Y", "X"} <= set(names):
        raise TranslationError(f"its series has the axes {names}, and no picture")
    order = [names.index("Y"), names.index("X"), *(n for n, name in enumerate(names) if name not in "YX")]
    frames = [f"frame_{names[n]}" if len(names) > 3 else "frame" for n in order[2:]]
    step, unit = sizes
    axes = [Axis(n, np.arange(data.shape[names.index(n)]) * step.get(n, 1), unit, "position") for n in ("Y", "X")]
    axes += [Axis(f, np.arange(data.shape[n]), "", "spectroscopic") for f, n in zip(frames, order[2:], strict=True)]
    native = data.astype(data.dtype.newbyteorder("="), copy=False)
    return Channel(title, native.transpose(order), tuple(axes), "Intensity")


READER: Final = FormatReader(
    "tiff", "TIFF image (.tif)", _recognize, _parse, (".tif", ".tiff"), "BSD-3-Clause", Package("tifffile", "tiff")
)
