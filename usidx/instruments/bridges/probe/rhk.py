"""RHK files -> channels: images from the top row down, and spectra over their bias or whatever was ramped.

By sm4file, which scales the numbers and turns images so that the upper left pixel is first. It reads all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader, Package
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]

_MARK: Final = "STiMage".encode("utf-16-le")
_WAYS: Final = {"right": "forward", "left": "backward"}
#: Of a page that is a picture, and of one that holds curves.
_IMAGE, _LINE = "RHK_DATA_IMAGE", "RHK_DATA_LINE"
_RAMPS: Final = {"RHK_LINE_IV_SPECTRUM": "Bias", "RHK_LINE_IZ_SPECTRUM": "Z", "RHK_LINE_TIME_SPECTROSCOPY": "Time"}


def _recognize(path: Path, head: bytes) -> float:
    if _MARK in head[:64]:
        return Confidence(0.97, "begins with 'STiMage', as RHK writes it")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    from sm4file.sm4_file import Sm4FileAll

    held = Sm4FileAll(str(path))
    return build_tree([one for page in held.pages for one in _describe(page)])


def _describe(page: Any) -> Iterator[Channel]:
    header = page.header
    if not hasattr(header, "x_size") or not hasattr(page, "data"):
        return  # a page of settings
    texts = _find_object(header, "StringData")
    units = {name: _clean(getattr(texts, f"{name}_units", "")) for name in "xyz"}
    label = (_clean(getattr(page, "label", "")) or "Page").replace("/", "_")
    attrs = dict(_list_settings(header))
    data = np.asarray(page.data.data)
    if page.page_data_type.name == _LINE:
        yield _describe_curves(label, data, header, units, attrs)
    elif page.page_data_type.name == _IMAGE:
        yield _describe_image(label, data, header, units, attrs)


def _describe_image(label: str, data: Any, header: Any, units: dict[str, str], attrs: dict[str, Any]) -> Channel:
    rows, columns = data.shape
    height, width = abs(header.y_scale), abs(header.x_scale)
    axes = (
        make_even_axis("Y", rows, -height, units["y"] or "m", start=height * (rows - 1)),
        make_even_axis("X", columns, width, units["x"] or "m"),
    )
    frame = describe_frame(
        units["x"] or "m",
        center=(header.y_offset, header.x_offset),
        size=(height * rows, width * columns),
        angle=header.angle,
    )
    way = _WAYS.get(header.scan_type.direction(), header.scan_type.direction())
    return Channel(f"{label}/{way}", data, axes, label, units["z"], frame, attrs)


def _describe_curves(label: str, data: Any, header: Any, units: dict[str, str], attrs: dict[str, Any]) -> Channel:
    """Describe curves; the first column is what was ramped, and where each curve was taken stands beside them."""
    if data.ndim != 2 or data.shape[1] < 2:
        raise TranslationError(f"page {label!r} holds no curve")
    ramp = Axis(_RAMPS.get(header.line_type.name, "Ramp"), data[:, 0].copy(), units["x"], "spectroscopic")
    curves = data[:, 1:].T
    drift = _find_object(header, "SpecDriftData")
    places = {name: np.asarray(getattr(drift, f"specdrift_{name.lower()}_coord", [])) for name in ("Y", "X")}
    rows, columns = int(header.grid_y_size), int(header.grid_x_size)
    dims: tuple[Axis, ...] = (Axis("curve", np.arange(len(curves), dtype="f8"), "", "position"),)
    names: tuple[str, ...] = ("curve",)
    if rows * columns == len(curves) and len(curves) > 1:
        curves, names = curves.reshape(rows, columns, -1), ("Y_index", "X_index")
        counts = (rows, columns)
        dims = tuple(Axis(n, np.arange(k, dtype="f8"), "", "position") for n, k in zip(names, counts, strict=True))
        places = {name: v.reshape(counts) for name, v in places.items() if v.size == rows * columns}
    shape = curves.shape[:-1]
    coords = {name: xr.Variable(names, v, {"units": "m"}) for name, v in places.items() if v.shape == shape}
    return Channel(label, curves, (*dims, ramp), label, units["z"], coords, attrs)


def _find_object(header: Any, kind: str) -> Any:
    return next((one for one in header.page_header_objects if type(one).__name__ == kind), None)


def _list_settings(header: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the header says: its own numbers, and texts and numbers of what hangs on it."""
    for name, value in vars(header).items():
        if isinstance(value, int | float | str):
            yield name, value
        elif hasattr(value, "name"):
            yield name, value.name
    for held in header.page_header_objects:
        if is_dataclass(held) and not isinstance(held, type):
            for name, value in asdict(held).items():
                if isinstance(value, int | float | str):
                    yield f"{type(held).__name__}.{name}", value


def _clean(text: Any) -> str:
    return str(text).partition("\0")[0].strip()


READER: Final = FormatReader(
    name="rhk",
    opens="RHK files (.sm4)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".sm4",),
    licence="BSD-3-Clause",
    package=Package("sm4file", "rhk"),
)
