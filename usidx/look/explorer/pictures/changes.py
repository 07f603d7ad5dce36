"""Many changes of a page at once: in one go to the browser, and with its models found once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from usidx.look.draw.extras import require

__all__ = ["find_models_once", "hold_changes", "make_poster", "put_data"]


@contextmanager
def hold_changes(document: Any) -> Iterator[None]:
    """Let all that changes go to the browser together, so that nothing is seen half done."""
    document.hold("combine")
    try:
        yield
    finally:
        document.unhold()


@contextmanager
def find_models_once(document: Any) -> Iterator[None]:
    """Put models into a page or take some out; Bokeh then looks through all of them once, not for each.

    That takes ten times as long as drawing a curve, so what changes no more than numbers and texts does without.
    """
    if document is None:
        yield
        return
    raised: BaseException | None = None
    with document.models.freeze():  # which would never end if an error came through it
        try:
            yield
        except BaseException as err:
            raised = err
    if raised is not None:
        raise raised


def put_data(source: Any, data: Mapping[str, Any]) -> None:
    """Change what is drawn; where nothing was, and nothing is to be, the browser is not told."""
    if any(len(values) for values in (*data.values(), *source.data.values())):
        source.data = dict(data)


def make_poster(document: Any, is_open: Callable[[], bool]) -> Callable[[Callable[[], None]], None]:
    """Make what lets a thread do something in the page's own one, as long as the page is open.

    Bokeh takes what is to be done next from other threads, too; but where that comes just as held changes are let go,
    it is forgotten. So it is asked for in the page's own thread.
    """
    loop = _find_loop(document)

    def ask(func: Callable[[], None]) -> None:
        if is_open():
            document.add_next_tick_callback(func)

    def post(func: Callable[[], None]) -> None:
        if loop is None:
            ask(func)
        else:
            loop.call_soon_threadsafe(ask, func)

    return post


def _find_loop(document: Any) -> asyncio.AbstractEventLoop | None:
    """Return the loop of the server that makes the page; None in a program without one."""
    try:
        asyncio.get_running_loop()  # Tornado would look for one that does not run, too, of which Python warns
    except RuntimeError:
        # Bokeh makes pages in a thread beside the loop from 3.10 on.
        server = getattr(getattr(document, "session_context", None), "server_context", None)
        found = getattr(getattr(server, "application_context", None), "io_loop", None)
    else:
        found = require("tornado.ioloop", "`usidx view`").IOLoop.current(instance=False)
    loop: asyncio.AbstractEventLoop | None = getattr(found, "asyncio_loop", found)
    return loop
