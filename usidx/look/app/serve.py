"""Files to a server on this machine that shows them in a browser."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from usidx.errors import UsidError
from usidx.look.app.memory import give_back_at_once
from usidx.look.app.offers import Offers
from usidx.look.app.reading.shelf import Shelf
from usidx.look.draw.extras import require
from usidx.look.explorer.reading.work import close_all

__all__ = ["Server", "make_server", "view"]

_PURPOSE = "`usidx view`"
# A tab that was closed gives back its memory after this many milliseconds; a reload within them is a new session too.
_UNUSED, _CHECK = 3_000, 1_000
# A page that was asked for and never connected, as by a program that follows links.
_EXPIRES = 60
# What takes long to load, and is needed for the first page but not to answer.
_AHEAD = ("bokeh.plotting", "matplotlib.colors")
_REFUSED = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>usidx</title></head>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 34em; margin: 15vh auto; color: #222">
<h1 style="font-size: 20px">This address is not complete</h1>
<p>Open the whole address that <code>usidx view</code> wrote to the terminal: it ends with a token, by which the app
knows that it is you who asks.</p></body></html>"""


class Server:
    """A server that listens; its pages open once :meth:`run` is called.

    Attributes
    ----------
    address : str
        With the token.
    """

    def __init__(self, address: str, loop: Any, http: Any, shelf: Shelf) -> None:
        self.address = address
        self._loop, self._http, self._shelf = loop, http, shelf

    def run(self) -> None:
        """Serve until :meth:`stop` is called, or Ctrl-C is pressed."""
        try:
            self._loop.start()
        finally:
            self._http.stop()
            close_all()
            self._shelf.close()

    def look_ahead(self) -> None:
        """Load what the first page will need, while the browser starts."""
        for name in _AHEAD:
            import_module(name)
        if self._shelf.files:
            with suppress(UsidError, OSError):
                self._shelf.list_contents(self._shelf.files[0])

    def stop(self) -> None:
        """End :meth:`run`; from any thread."""
        self._loop.add_callback(self._loop.stop)


def view(
    paths: Sequence[str | os.PathLike[str]],
    *,
    folder: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    token: bool = True,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Show files in a browser until Ctrl-C is pressed.

    Parameters
    ----------
    paths : sequence of path or URL
        USID files, or files of instruments, which are converted into a temporary folder.
    folder : path, optional
        Below which files may be opened from the page. By default only the folders of the files.
    host : str, default "127.0.0.1"
        Address to listen at. Any other than this machine's own lets others in who have the token.
    port : int, default 0
        Port to listen at; 0 is any free one.
    token : bool, default True
        Ask for a token that only the address holds. Without it, everybody who reaches the port reads the files.
    browser : bool, default True
        Open a browser.
    say : callable
        Takes the lines that tell the address.

    Raises
    ------
    UsidError
        A file is not there, or the port is taken.
    MissingExtraError
        Bokeh is not installed.
    """
    give_back_at_once()
    # A tab that is closed while something is sent to it is nothing to be told of in the terminal.
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)
    server = make_server(paths, folder=folder, host=host, port=port, token=token)
    say(server.address)
    sys.stdout.flush()
    threading.Thread(target=server.look_ahead, daemon=True).start()
    if browser:
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run()


def make_server(
    paths: Sequence[str | os.PathLike[str]],
    *,
    folder: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    token: bool = True,
) -> Server:
    """Make a server that listens already; see :func:`view`."""
    require("bokeh", _PURPOSE)
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.netutil import bind_sockets

    shelf = Shelf(paths, folder)
    try:
        sockets = bind_sockets(port, host)
    except OSError as err:
        raise UsidError(
            f"Port {port} of {host!r} cannot be listened at: {err}. Leave it out to take a free one."
        ) from err
    port = sockets[0].getsockname()[1]
    key = secrets.token_urlsafe(18) if token else ""
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    tornado = _make_application(shelf, host, port, key)
    http = HTTPServer(tornado)
    http.add_sockets(sockets)
    tornado.initialize(loop)
    tornado.start()
    named = f"[{host}]" if ":" in host else host
    query = {"token": key} if key else {}
    return Server(f"http://{named}:{port}/{'?' if query else ''}{urlencode(query)}", loop, http, shelf)


def _make_application(shelf: Shelf, host: str, port: int, key: str) -> Any:
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.auth_provider import NullAuth
    from bokeh.server.tornado import BokehTornado
    from bokeh.settings import settings

    from usidx.look.app.session import open_session

    settings.resources = "server"  # from this server, whatever the environment says
    offers = Offers()
    app = Application(FunctionHandler(partial(open_session, shelf=shelf, offers=offers, key=key)))
    return BokehTornado(
        {"/": app},
        extra_websocket_origins=[f"{name}:{port}" for name in {host, "127.0.0.1", "localhost"}],
        extra_patterns=[("/take/(.*)", _make_offer_handler(offers))],
        ico_path=str(files("usidx.look.app") / "icon.ico"),
        auth_provider=_make_guard(key, port) if key else NullAuth(),
        secret_key=secrets.token_bytes(32),
        sign_sessions=True,
        use_index=False,
        unused_session_lifetime_milliseconds=_UNUSED,
        check_unused_sessions_milliseconds=_CHECK,
        session_token_expiration=_EXPIRES,
        stats_log_frequency_milliseconds=600_000,
        websocket_compression_level=None,
    )


def _make_guard(key: str, port: int) -> Any:
    """Make what lets in who has the token; a cookie remembers it for the socket and for what is downloaded."""
    from bokeh.server.auth_provider import AuthProvider
    from tornado.web import RequestHandler
    from tornado.websocket import WebSocketHandler

    cookie = f"usidx-{port}"

    class Refusal(RequestHandler):
        """Says what is missing."""

        def get(self) -> None:
            self.set_status(403)
            self.write(_REFUSED)

    class Guard(AuthProvider):  # type: ignore[misc]
        """Knows the token."""

        get_user_async = None
        get_login_url = None
        logout_url = None
        get_logout_handler = None
        logout_handler = None
        login_handler = Refusal
        login_url = "/refused"

        @property
        def get_user(self) -> Callable[[Any], str | None]:
            return self._know

        def _know(self, handler: Any) -> str | None:
            if hmac.compare_digest(handler.get_argument("token", "").encode(), key.encode()):
                if not isinstance(handler, WebSocketHandler):
                    handler.set_cookie(cookie, key, httponly=True, samesite="Strict")
                return "you"
            known = hmac.compare_digest(handler.get_cookie(cookie, "").encode(), key.encode())
            return "you" if known else None

    return Guard()


def _make_offer_handler(offers: Offers) -> Any:
    from bokeh.server.views.auth_request_handler import AuthRequestHandler
    from tornado.web import HTTPError, authenticated

    class OfferHandler(AuthRequestHandler):  # type: ignore[misc]
        """Hands out what a page has made for its user, once."""

        @authenticated
        def get(self, name: str) -> None:
            offer = offers.take(name)
            if offer is None:
                raise HTTPError(410, reason="Already taken")
            self.set_header("Content-Type", offer.kind)
            self.set_header("Content-Disposition", f'attachment; filename="{offer.file_name}"')
            self.write(offer.content)

    return OfferHandler
