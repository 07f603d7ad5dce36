"""How much a command tells on the way: a log with ``-v``, no bars with ``-q``; loads nothing for that."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hide_progress", "show_log"]


@contextmanager
def show_log(*, verbose: bool) -> Iterator[None]:
    """Write to the standard error what long work tells, with -v; what fails is told by the command itself."""
    logger, before = logging.getLogger("usidx"), logging.getLogger("usidx").level
    handler = _AboveBars() if verbose else logging.NullHandler()
    handler.setFormatter(logging.Formatter("usidx: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _AboveBars(logging.StreamHandler):  # type: ignore[type-arg,unused-ignore]
    """Writes lines to the standard error, where bars may be drawn, too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line once the bars are out of the way."""
        progress = sys.modules.get("usidx.tasks.progress")  # without it there are none
        if progress is not None:
            progress.clear_lines()
        super().emit(record)


@contextmanager
def hide_progress(*, quiet: bool) -> Iterator[None]:
    """Show no bars, with -q."""
    if not quiet:
        yield
        return
    from usidx.tasks.progress import work_quietly  # loads dask

    with work_quietly():
        yield
