"""Work that takes more than a moment -> a line in a terminal or a notebook: a bar, and what an iteration gained."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import count
from typing import Any, Final

from dask import is_dask_collection

from usidx.format.names import PROVENANCE
from usidx.tasks.threads import runs_here, runs_on_cluster

__all__ = [
    "TOPIC",
    "Iterations",
    "Line",
    "call_heard",
    "call_named",
    "clear_lines",
    "count_progress",
    "find_listener",
    "hear",
    "is_watched",
    "name_step",
    "overhear",
    "show_iterations",
    "show_progress",
    "work_quietly",
]

_LOG = logging.getLogger(__name__)
#: Under which workers of a cluster tell of iterations.
TOPIC = "usidx-iterations"

# A bar that comes and goes within this many seconds only flickers.
_SHOWN_AFTER = 1.0
#: Seconds from one drawing to the next.
_DRAWN_EVERY = 0.1
#: Seconds after which the time is drawn anew, where nothing else happens.
_TICK = 1.0
#: How wide a line is in a notebook, which does not say how wide it is.
_COLUMNS = 100
#: How much of a line the time takes.
_TIME = 10
_COUNTING: Final = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]"
_ITERATING: Final = "{desc} [{elapsed}]"

#: Takes what the task that runs here has to tell; None where nobody could know which task that is.
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("_listener", default=None)
#: The line that is shown for what goes on around.
_around: ContextVar[Line | None] = ContextVar("_around", default=None)
_is_quiet: ContextVar[bool] = ContextVar("_is_quiet", default=False)


class Line:
    """One line for a computation: how far it is, how long that may take, and the iterations among its tasks.

    Parameters
    ----------
    names : set of str
        The tasks whose iterations are shown: others may work in this process, or on the cluster.
    step : str
        What is done.
    """

    def __init__(self, names: set[str], step: str = "compute") -> None:
        self.names = names
        self._step = step
        self._told = ""
        self._done = self._total = 0
        self._begun = self._pass_begun = time.monotonic()
        self._drawn = -math.inf
        self._bar: Any = None
        self._lock = threading.RLock()  # who is interrupted while drawing ends the line
        self._is_over = threading.Event()
        threading.Thread(target=self._tick, name="usidx-progress", daemon=True).start()

    def count(self, done: int, total: int) -> None:
        """Take how many of all parts are done; where that is fewer than before, another pass has begun."""
        with self._lock:
            if done < self._done:
                self._pass_begun = time.monotonic()
            if done != self._done:
                self._told = ""
            self._done, self._total = done, total
            self._draw()

    def tell(self, text: str) -> None:
        """Take what an iteration gained."""
        with self._lock:
            self._told = text
            self._draw()

    def clear(self) -> None:
        """Make room for what somebody else writes; the line comes back below that."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
                self._drawn = -math.inf

    def end(self) -> None:
        """End the line, if there is anything in it; in a notebook it goes, so that none stays where the work is."""
        with self._lock:
            self._is_over.set()
            if self._bar is not None:
                self._fill()
                self._bar.close()
                self._bar = None

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._begun < _SHOWN_AFTER or now - self._drawn < _DRAWN_EVERY or self._is_over.is_set():
            return
        if self._bar is None:
            self._bar = _open_bar()
        self._fill()
        self._bar.refresh()
        self._drawn = now

    def _fill(self) -> None:
        bar = self._bar
        bar.n, bar.total = self._done, self._total
        bar.start_t = bar.last_print_t = time.time() - (time.monotonic() - self._pass_begun)
        bar.ncols = _find_width()
        bar.desc = self._told[: max(bar.ncols - _TIME, 0)] or self._step  # tqdm cuts only lines with a bar
        bar.bar_format = _ITERATING if self._told or not self._total else _COUNTING

    def _tick(self) -> None:
        """Draw the time while a long task leaves nothing else to draw."""
        while not self._is_over.wait(_TICK):
            with self._lock:
                self._draw()


def _find_width() -> int:
    """Return how wide a line may be, without the place for the cursor."""
    if _find_kernel() is None:
        with suppress(OSError, ValueError, AttributeError):  # of the very stream: another one may go into a file
            return os.get_terminal_size(sys.stderr.fileno()).columns - 1
    return shutil.get_terminal_size((_COLUMNS, 1)).columns - 1


def _open_bar() -> Any:
    # Without a delay a bar draws itself at once, before it knows anything.
    if _find_kernel() is not None:
        bar = _find_bar_class()(file=_Cell(), leave=False, ascii=False, delay=1)
    else:
        bar = _find_bar_class()(file=sys.stderr, leave=None, delay=1)
    bar.delay = 0
    return bar


@cache
def _find_bar_class() -> Any:
    """Return tqdm's bar, loaded only when there is something to show: the line draws it and has a thread for that."""
    from tqdm.std import tqdm

    class Bar(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        monitor_interval = 0

    Bar.set_lock(threading.RLock())  # tqdm's own also takes a semaphore that other processes could share
    return Bar


class _Cell:
    """What a bar writes to in a notebook: one output of the cell, replaced each time, and empty in the end.

    A widget would need ipywidgets, and leave what cannot be shown in a notebook that is saved; a stream leaves lines.
    """

    def __init__(self) -> None:
        self._output: Any = None

    def write(self, text: str) -> None:
        """Show a bar in the place of the last."""
        from IPython.display import display

        shown = {"text/plain": text.strip()}
        if self._output is None:
            self._output = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]
        else:
            self._output.update(shown, raw=True)

    def flush(self) -> None:
        """Do nothing: what is written is shown."""


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
def show_iterations(lazy: Iterable[Any], step: str = "compute") -> Iterator[Line]:
    """Give a line that shows the iterations that lazy objects rest on: the one that is shown already, if any."""
    graphs = [one.__dask_graph__() for one in lazy if is_dask_collection(one)]
    names = {str(name) for graph in graphs for name in getattr(graph, "layers", ())}
    around = _around.get()
    if around is not None:
        around.names |= names
        yield around
        return
    line = Line(names, step)
    _lines.append(line)
    before = _around.set(line)
    try:
        yield line
    finally:
        _around.reset(before)
        _lines.remove(line)
        line.end()


@contextmanager
def show_progress(progress: bool, lazy: Iterable[Any] = (), step: str = "compute") -> Iterator[None]:
    """Show how far dask is, in a terminal or a notebook, for work that takes more than a moment.

    With it goes what the last iteration gained, of those that the `lazy` objects rest on.
    """
    if not (progress and runs_here() and is_watched()):
        yield
        return
    if _around.get() is not None:  # which counts what this is a part of
        with show_iterations(lazy):
            yield
        return
    from dask.callbacks import Callback

    with show_iterations(lazy, step) as line, Callback(posttask=_count_by(line)):  # type: ignore[no-untyped-call,unused-ignore]
        yield


def _count_by(line: Line) -> Callable[..., None]:
    def count_tasks(_key: Any, _value: Any, _graph: Any, state: Mapping[str, Any], _worker: Any) -> None:
        done = len(state["finished"])
        line.count(done, done + sum(len(state[name]) for name in ("ready", "waiting", "running")))

    return count_tasks


@contextmanager
def count_progress(
    total: int, progress: bool, lazy: Iterable[Any] = (), step: str = "compute"
) -> Iterator[Callable[[], None]]:
    """Show one progress bar for work in `total` parts, each computed by itself; gives what to call after each part."""
    if not (progress and is_watched()):
        yield lambda: None
        return
    counted = count(1)
    with show_iterations(lazy, step) as line:
        line.count(0, total)
        yield lambda: line.count(next(counted), total)


def name_step(objects: Iterable[Any], doing: str = "") -> str:
    """Name a step by the verbs that were last recorded on what is computed, as "svd, nmf" or "write svd"."""
    verbs = dict.fromkeys(verb for one in objects if (verb := _find_verb(one)))
    return " ".join([doing, ", ".join(verbs)]).strip() or "compute"


def _find_verb(one: Any) -> str:
    with suppress(ValueError, TypeError, LookupError, AttributeError):
        verb = json.loads(one.attrs[PROVENANCE])[-1]["tool"]
        if verb != "open" and verb.replace(".", "_").isidentifier():  # no text of a file that commands a terminal
            return str(verb)
    return ""


def clear_lines() -> None:
    """Make room for what somebody else writes to the terminal."""
    for line in _lines[:]:
        line.clear()


@contextmanager
def work_quietly() -> Iterator[None]:
    """Show no line for what is done inside."""
    before = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(before)


def is_watched() -> bool:
    """Say whether a person can see a bar: in a terminal or a notebook, not in a log or if a program runs a notebook."""
    if _is_quiet.get():
        return False
    kernel = _find_kernel()
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", True))  # a program that runs notebooks cannot be asked anything
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


def _find_kernel() -> Any:
    """Return the kernel of the notebook that this runs in; None elsewhere."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None)
