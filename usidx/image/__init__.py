"""Work over two dims of any array: drift, flattening, windows, registration, other grids, atoms."""

from usidx.image.windowing import windows

__all__ = [
    "windows",
]
