"""Work that takes more than a moment -> a line in a terminal or a notebook: a bar, and what an iteration gained."""

from __future__ import annotations

import logging
import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

from dask import is_dask_collection

from usidx.tasks.threads import runs_here, runs_on_cluster

__all__ = [
    "TOPIC",
    "Iterations",
    "Line",
    "call_heard",
    "call_named",
    "count_progress",
    "find_listener",
    "hear",
    "is_watched",
    "overhear",
    "show_iterations",
    "show_progress",
]

_LOG = logging.getLogger(__name__)
#: Under which workers of a cluster tell of iterations.
TOPIC = "usidx-iterations"

# A bar that comes and goes within this many seconds only flickers.
_SHOWN_AFTER = 1.0
_WIDTH = 40
#: Where nobody says how wide a line may be, as in a notebook.
_COLUMNS = 200

#: Takes what the task that runs here has to tell; None where nobody could know which task that is.
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("_listener", default=None)


class Line:
    """One line for a computation, whose bar dask writes into it, and for the iterations among its tasks.

    Parameters
    ----------
    names : set of str
        The tasks whose iterations are shown: others may work in this process, or on the cluster.
    """

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self._begun = time.monotonic()
        self._bar = self._told = self._drawn = ""
        self._lock = threading.Lock()  # a bar has a thread of its own

    def write(self, text: str) -> None:
        """Take a bar, or the end of the line."""
        if text.startswith("\r"):
            self._bar = text[1:]
            self._draw()
        else:
            self.end()

    def flush(self) -> None:
        """Do nothing: what is written is flushed."""

    def draw_bar(self, done: int, total: int) -> None:
        """Show how many of all parts are done."""
        spent = time.monotonic() - self._begun
        if spent > _SHOWN_AFTER:
            part = done / total if total else 1.0
            self.write(f"\r[{'#' * int(_WIDTH * part):<{_WIDTH}}] | {int(100 * part)}% Completed | {spent:.1f} s")

    def tell(self, text: str) -> None:
        """Take what an iteration gained."""
        self._told = text
        if time.monotonic() - self._begun > _SHOWN_AFTER:
            self._draw()

    def end(self) -> None:
        """End the line, if there is anything in it."""
        with self._lock:
            if self._drawn:
                sys.stdout.write("\n")
                sys.stdout.flush()
            self._bar = self._told = self._drawn = ""

    def _draw(self) -> None:
        with self._lock:
            # The figures behind the bar only: both are too long for a line.
            text = f"{self._told}{self._bar.partition(']')[2]}" if self._told else self._bar
            text = text[: shutil.get_terminal_size((_COLUMNS, 1)).columns - 1]
            sys.stdout.write(f"\r{text:<{len(self._drawn)}}")
            sys.stdout.flush()
            self._drawn = text


_lines: list[Line] = []
_listeners: list[Callable[[str], None]] = []


class Iterations:
    """What an iteration tells whoever watches: how far it is, and what it gained.

    Parameters
    ----------
    verb : str
        Who iterates.
    most : int
        How often at most.
    what : str
        What it lowers or raises.
    step : str, optional
        What is counted.
    """

    def __init__(self, verb: str, most: int, what: str, step: str = "iteration") -> None:
        self._verb = verb
        self._most = most
        self._what = what
        self._step = step
        self._number = 0
        self._last = math.nan

    def tell(self, value: float) -> None:
        """Tell what one more step has found."""
        self._number += 1
        gain, self._last = _describe_gain(self._last, value), float(value)
        text = f"{self._verb}: {self._step} {self._number} of at most {self._most}, {self._what} {value:.4g}{gain}"
        _LOG.info("%s", text)
        listen = _listener.get()
        if listen is not None:
            listen(text)


def _describe_gain(before: float, now: float) -> str:
    if not (math.isfinite(before) and math.isfinite(now)) or before == 0:
        return ""
    part = (now - before) / abs(before)
    return f", {100 * abs(part):.2g} % {'more' if part > 0 else 'less'}"


def call_named(name: str, func: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a task, whose iterations are told under the key of what it finds."""
    return call_heard(find_listener(name), func, *args)


def call_heard(listen: Callable[[str], None], func: Callable[..., Any], *args: Any) -> Any:
    """Call a function, in any thread, whose iterations are told to a listener."""
    before = _listener.set(listen)
    try:
        return func(*args)
    finally:
        _listener.reset(before)


def find_listener(name: str) -> Callable[[str], None]:
    """Return what hears the iterations of the task that runs here, under the key of what it finds."""
    if not runs_on_cluster():
        return lambda text: hear(name, text)
    from distributed import get_worker

    worker = get_worker()
    return lambda text: worker.log_event(TOPIC, [name, text])


def hear(name: str, text: str) -> None:
    """Show what a task tells to whoever watches it."""
    for line in [line for line in _lines if name in line.names]:
        line.tell(text)
    for listen in _listeners:
        listen(text)


@contextmanager
def overhear(listen: Callable[[str], None]) -> Iterator[None]:
    """Give a listener what every iteration in this process tells; what it raises ends the iteration."""
    _listeners.append(listen)
    try:
        yield
    finally:
        _listeners.remove(listen)


@contextmanager
def show_iterations(lazy: Iterable[Any]) -> Iterator[Line]:
    """Give a line that shows the iterations that lazy objects rest on."""
    graphs = [one.__dask_graph__() for one in lazy if is_dask_collection(one)]
    line = Line({str(name) for graph in graphs for name in getattr(graph, "layers", ())})
    _lines.append(line)
    try:
        yield line
    finally:
        _lines.remove(line)
        line.end()


@contextmanager
def show_progress(progress: bool, lazy: Iterable[Any] = ()) -> Iterator[None]:
    """Show dask's progress bar, in a terminal or a notebook, for work that takes more than a moment.

    With it goes what the last iteration gained, of those that the `lazy` objects rest on.
    """
    if not (progress and runs_here() and is_watched()):
        yield
        return
    from dask.diagnostics import ProgressBar

    with show_iterations(lazy) as line, ProgressBar(minimum=_SHOWN_AFTER, out=line):  # type: ignore[no-untyped-call,unused-ignore]
        yield


@contextmanager
def count_progress(total: int, progress: bool, lazy: Iterable[Any] = ()) -> Iterator[Callable[[], None]]:
    """Show one progress bar for work in `total` parts, each computed by itself; gives what to call after each part."""
    if not (progress and is_watched()):
        yield lambda: None
        return
    counted = count(1)
    with show_iterations(lazy) as line:
        yield lambda: line.draw_bar(next(counted), total)


def is_watched() -> bool:
    """Say whether a person can see a bar: in a terminal or a notebook, not in a log."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stdout, "isatty", lambda: False)())
