"""Pictures (JPEG, PNG, BMP, GIF) -> channels in pixels; the resolution that they name is that of printing.

By Pillow, which refuses pictures of more pixels than a camera takes. A picture in colours has a channel per colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader, Package
from usidx.instruments.scan_frame import make_even_axis

__all__ = ["READER"]

_BEGINNINGS: Final = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP"}
_MOST_PIXELS: Final = 1 << 28
_NAMES: Final = {"RGB": ("red", "green", "blue"), "RGBA": ("red", "green", "blue", "alpha"), "LA": ("gray", "alpha")}


def _recognize(path: Path, head: bytes) -> float:
    kind = next((name for begin, name in _BEGINNINGS.items() if head.startswith(begin)), "")
    if not kind or (kind == "BMP" and path.suffix.lower() != ".bmp"):
        return 0.0
    return Confidence(0.8, f"begins as {kind}")


def _parse(path: Path) -> xr.DataTree:
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG", "GIF", "BMP")) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise TranslationError(f"it says that it has {picture.width} x {picture.height} pixels")
        told: dict[str, Any] = {
            str(name): value for name, value in picture.info.items() if isinstance(value, int | float | str)
        }
        plain = picture if picture.mode in {"L", "I", "F", "I;16", *_NAMES} else picture.convert("RGB")
        values, names = np.array(plain), _NAMES.get(plain.mode, ())
    if values.dtype == bool:
        values = values.astype("u1")
    axes = tuple(
        make_even_axis(name, count, 1.0, "pixel") for name, count in zip(("Y", "X"), values.shape[:2], strict=True)
    )
    if not names:
        return build_tree([Channel(path.stem, values, axes, "Intensity", "")], told)
    layers = [Channel(f"{path.stem}/{name}", values[..., k].copy(), axes, name, "") for k, name in enumerate(names)]
    return build_tree(layers, told)


READER: Final = FormatReader(
    name="picture",
    opens="Pictures (.jpg, .png, .bmp, .gif)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".jpg", ".jpeg", ".png", ".bmp", ".gif"),
    licence="MIT-CMU",
    package=Package("PIL", "pictures", "pillow"),
)
