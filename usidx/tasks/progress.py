"""Work that takes more than a moment -> a bar in a terminal or a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from usidx.tasks.threads import runs_here

__all__ = ["count_progress", "is_watched", "show_progress"]

# A bar that comes and goes within this many seconds only flickers.
_SHOWN_AFTER = 1.0
_WIDTH = 40


@contextmanager
def show_progress(progress: bool) -> Iterator[None]:
    """Show dask's progress bar, in a terminal or a notebook, for work that takes more than a moment."""
    if progress and runs_here() and is_watched():
        from dask.diagnostics import ProgressBar

        bar: Any = ProgressBar(minimum=_SHOWN_AFTER)
    else:
        bar = nullcontext()
    with bar:
        yield


@contextmanager
def count_progress(total: int, progress: bool) -> Iterator[Callable[[], None]]:
    """Show one progress bar for work in `total` parts, each computed by itself; gives what to call after each part."""
    begun, done, is_drawn = time.monotonic(), 0, False

    def advance() -> None:
        nonlocal done, is_drawn
        done += 1
        spent = time.monotonic() - begun
        if progress and is_watched() and (is_drawn or spent > _SHOWN_AFTER):
            is_drawn = True
            bar = "#" * (_WIDTH * done // total)
            sys.stdout.write(f"\r[{bar:<{_WIDTH}}] | {100 * done // total}% Completed | {spent:.1f} s")
            sys.stdout.flush()

    try:
        yield advance
    finally:
        if is_drawn:
            sys.stdout.write("\n")


def is_watched() -> bool:
    """Say whether a person can see a bar: in a terminal or a notebook, not in a log."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stdout, "isatty", lambda: False)())
