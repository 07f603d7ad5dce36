"""NanoMEGAS block files -> channels: a diffraction pattern per place, and the virtual image; read by ranges.

A header of fixed size, the virtual image, then the patterns row by row, each behind six bytes of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]

_MAGIC: Final = b"IMGBLO"
_PATTERN_HEAD: Final = 6
_FIELDS: Final = [
    ("id", "S6"), ("magic", "u2"), ("image_offset", "u4"), ("pattern_offset", "u4"), ("flags", "u4"),
    ("pattern_size", "u2"), ("pattern_rotation", "u2"), ("columns", "u2"), ("rows", "u2"), ("scan_rotation", "u2"),
    ("step_x", "f8"), ("step_y", "f8"), ("beam_energy", "u4"), ("pattern_pixels", "u2"), ("camera_length", "u4"),
    ("acquisition_time", "f8"),
]  # fmt: skip


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(_MAGIC):
        return Confidence(0.98, "begins with 'IMGBLO'")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    told = _read_header(path)
    rows, columns, size = int(told["rows"]), int(told["columns"]), int(told["pattern_size"])
    scan = (
        make_even_axis("Y", rows, float(told["step_y"]), "nm"),
        make_even_axis("X", columns, float(told["step_x"]), "nm"),
    )
    pattern = _PATTERN_HEAD + size * size
    data = lay_out(
        path,
        "blo",
        (rows, columns, size, size),
        "u1",
        offset=int(told["pattern_offset"]) + _PATTERN_HEAD,
        strides=(columns * pattern, pattern, size, 1),
    )
    detector = tuple(
        _describe_detector(name, size, float(told["pattern_pixels"])) for name in ("Detector_Y", "Detector_X")
    )
    attrs = {name: value for name, value in told.items() if name != "id"}
    coords = describe_frame("nm", angle=float(told["scan_rotation"]) / 100)
    channels = [Channel("Diffraction", data, (*scan, *detector), "Intensity", "counts", coords, attrs)]
    if told["image_offset"]:
        image = lay_out(path, "blo", (rows, columns), "u1", offset=int(told["image_offset"]))
        channels.append(Channel("Virtual image", image, scan, "Intensity", "counts", coords))
    return build_tree(channels, attrs)


def _read_header(path: Path) -> dict[str, Any]:
    layouts = {order: np.dtype([(n, k if k[0] == "S" else order + k) for n, k in _FIELDS]) for order in "<>"}
    with path.open("rb") as file:
        head = file.read(layouts["<"].itemsize)
    if len(head) < layouts["<"].itemsize or not head.startswith(_MAGIC):
        raise TranslationError("it has no header of a block file")
    for layout in layouts.values():
        fields = np.frombuffer(head, layout)[0]
        if fields["magic"] == 0x0102:
            return {name: fields[name].item() for name, _ in _FIELDS}
    raise TranslationError("its header has another magic number than 0x0102")


def _describe_detector(name: str, count: int, pixels: float) -> Axis:
    """Describe a side of the detector; `pixels` are hundredths of pixels per cm of the picture."""
    return make_even_axis(name, count, 100.0 / pixels if pixels else 0.0, "cm", role="spectroscopic")


READER: Final = FormatReader(
    name="blo",
    opens="NanoMEGAS block files (.blo)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".blo",),
)
