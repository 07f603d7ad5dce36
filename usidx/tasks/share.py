"""Many spectra -> slices of them, side by side on threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

__all__ = ["share"]

_SLICE: Final = 2048  # spectra that one thread takes at a time: their copies stay small


def share(run: Callable[[slice], None], size: int, threads: int | None, at_once: int = _SLICE) -> None:
    """Run over slices of the spectra on some threads."""
    parts = [slice(begin, min(begin + at_once, size)) for begin in range(0, size, at_once)]
    threads = min(_processors() if threads is None else threads, len(parts))
    if threads < 2:
        for part in parts:
            run(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run, parts):
            pass


def _processors() -> int:
    # Not on every system: the processors that this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
