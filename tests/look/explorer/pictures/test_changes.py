"""Changes of a page that are made together."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from usidx.look.explorer.pictures.changes import find_models_once, hold_changes, make_poster, put_data

models = pytest.importorskip("bokeh.models", reason="bokeh is not installed")
document = pytest.importorskip("bokeh.document", reason="bokeh is not installed")


def test_models_are_found_after_an_error_too() -> None:
    page, column = document.Document(), models.Column()
    page.add_root(column)
    with pytest.raises(ValueError, match="wrong"), hold_changes(page), find_models_once(page):
        raise ValueError("wrong")
    column.children = [models.Div(name="later")]
    assert page.get_model_by_name("later") is not None


def test_nothing_in_the_place_of_nothing_is_not_told() -> None:
    page, source, told = document.Document(), models.ColumnDataSource({"x": []}), list[Any]()
    page.add_root(source)
    page.on_change(told.append)
    put_data(source, {"x": []})
    assert told == []
    put_data(source, {"x": [1.0]})
    put_data(source, {"x": []})
    assert len(told) == 2


@pytest.mark.parametrize("is_beside", [False, True])
def test_what_a_thread_asks_for_is_asked_for_in_the_thread_of_the_page(is_beside: bool) -> None:
    """Bokeh forgets what another thread asks for just as held changes are let go; it may make the page beside it."""
    ioloop = pytest.importorskip("tornado.ioloop", reason="tornado is not installed")
    asked: list[int] = []

    class Page:
        session_context: Any = None

        def add_next_tick_callback(self, func: Any) -> None:
            asked.append(threading.get_ident())
            func()

    async def run() -> None:
        loop = ioloop.IOLoop.current()  # a server of Bokeh has one
        page, ended = Page(), asyncio.Event()
        if is_beside:
            server = SimpleNamespace(application_context=SimpleNamespace(io_loop=loop))
            page.session_context = SimpleNamespace(server_context=server)
            post = await asyncio.to_thread(make_poster, page, lambda: True)
        else:
            post = make_poster(page, lambda: True)
        thread = threading.Thread(target=post, args=(ended.set,))
        thread.start()
        await ended.wait()
        thread.join()

    def be_the_page() -> int:
        asyncio.run(run())
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:  # playwright may have left a loop running in this thread
        assert asked == [pool.submit(be_the_page).result()]
