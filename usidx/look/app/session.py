"""One open page: its files, what is looked at, and what is done about what the user asks for."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from usidx.errors import UsidError
from usidx.io.read.open import open_main
from usidx.look.app.bench import Bench
from usidx.look.app.memory import give_back_memory
from usidx.look.app.offers import Offers
from usidx.look.app.outcome import Outcome
from usidx.look.app.page import Page, make_page
from usidx.look.app.reading.contents import Entry
from usidx.look.app.reading.remote import File
from usidx.look.app.reading.shelf import Shelf, Stamp, stamp
from usidx.look.explorer.address import Address
from usidx.look.explorer.pictures.changes import find_models_once, hold_changes
from usidx.look.explorer.reading.subject import make_subject, open_subject
from usidx.look.explorer.reading.work import Desk, Task
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.view import View

__all__ = ["open_session"]

# How often the file that is looked at is looked after, in milliseconds.
_EVERY = 1000
_LOG = logging.getLogger(__name__)


def open_session(document: Any, *, shelf: Shelf, offers: Offers, key: str) -> None:
    """Make the page of a new session; Bokeh calls this for each tab."""
    context = document.session_context
    arguments = context.request.arguments if context is not None and context.request is not None else {}
    Session(document, shelf, offers, key, Address.read(arguments)).begin()


class Session:
    """One tab of a browser."""

    def __init__(self, document: Any, shelf: Shelf, offers: Offers, key: str, address: Address) -> None:
        self.document, self.shelf, self.offers = document, shelf, offers
        self._key, self._address = key, address
        self.desk = Desk(self._post, self._show_tasks, self._fail)
        self.page: Page = make_page(document, self._obey)
        self.bench = Bench(self.desk, self.page, self._take_outcome, self._look_again)
        self.view: View | None = None
        self.file: File | None = None
        self.source: File | None = None
        self.entries: list[Entry] = []
        self._stamp: Stamp = None
        self._outcome: Outcome | None = None
        self._is_open = True
        self._has_worked = False
        document.on_session_destroyed(lambda _: self.close())

    def begin(self) -> None:
        """Open what the address names, or the first file."""
        self.page.list_files(self.shelf, None, [], "")
        first = self._address.file or (self.shelf.name(self.shelf.files[0]) if self.shelf.files else "")
        self.document.add_periodic_callback(self._look_after_file, _EVERY)
        if first:
            # Not at once: where a thread has found something before Bokeh has made the session, Bokeh fails to make it.
            begin = partial(self._do_safely, lambda: self.open_file(first, self._address.at))
            self.document.add_next_tick_callback(begin)

    def _post(self, func: Callable[[], None]) -> None:
        """Do something in the page's own thread; after the tab was closed nothing is done."""
        self._has_worked = True
        if self._is_open:
            self.document.add_next_tick_callback(lambda: self._do_safely(func))

    def _do_safely(self, func: Callable[[], None]) -> None:
        if not self._is_open:
            return
        try:
            with hold_changes(self.document):
                func()
        except Exception as err:  # whatever it is, the page must say it and live on
            if not isinstance(err, UsidError | OSError):
                _LOG.exception("What a page was to do failed")
            self.page.say(_describe(err), is_error=True)

    def _obey(self, text: str) -> None:
        """Do what was clicked."""
        try:
            command = json.loads(text)
        except ValueError:
            return
        orders: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "open": lambda c: self.open_file(str(c.get("file", "")), str(c.get("at", ""))),
            "path": lambda c: self.open_file(str(c.get("text", "")), ""),
            "cancel": lambda c: self._cancel(str(c.get("lane", ""))),
            "move": lambda c: self._move(str(c.get("to", ""))),
            "write": lambda _: self._write(),
            "take": lambda c: self._download(str(c.get("what", ""))),
            "dismiss": lambda _: self.page.say(""),
        }
        order = orders.get(str(command.get("do"))) if isinstance(command, dict) else None
        if order is not None:
            self._do_safely(lambda: order(command))

    def open_file(self, name: str, at: str) -> None:
        """Open a file, and something in it; without a path the first of it."""
        source = self.shelf.find(name)
        self.page.say("")
        self.desk.start(
            "open",
            f"Opening {source.name}",
            lambda _: self._read_contents(source),
            lambda f: self._take_contents(source, at, *f),
        )

    def _read_contents(self, source: File) -> tuple[File, list[Entry]]:
        file = self.shelf.open_as_usid(source)
        return file, self.shelf.list_contents(file)

    def _take_contents(self, source: File, at: str, file: File, entries: list[Entry]) -> None:
        self.source, self.file, self.entries, self._stamp = source, file, entries, stamp(source)
        self.page.list_files(self.shelf, source, entries, at)
        if self.shelf.is_copy(file):
            self.page.say(f"{source.name} was converted into a temporary file, which ends with the app.")
        wanted = next((e for e in entries if e.path == at), None)
        if at and wanted is None:
            self.page.say(f"{at!r} is not in {source.name} (any more).", is_error=True)
        chosen = wanted or next(iter(entries), None)
        if chosen is not None:
            self._open_entry(chosen)
        else:
            self.page.say(f"Nothing in {source.name} can be shown.", is_error=True)

    def _open_entry(self, entry: Entry) -> None:
        file = self.file
        assert file is not None
        same = (e for e in self.entries if e.places and e.places == entry.places and e.path != entry.path)
        others = {e.path: partial(open_main, file, e.path, chunks=None) for e in same}
        self.desk.start(
            "open",
            "Opening",
            lambda _: open_subject(file, entry.path, is_result=entry.kind == "result", others=others),
            lambda subject: self._look(entry.path, subject),
        )

    def _look(self, at: str, subject: Any) -> None:
        """Put a subject on the stage."""
        assert self.source is not None
        begun = self._address if self._address.at == at or not self._address.at else Address()
        self._address = replace(begun, file=self.shelf.name(self.source), at=at)
        self._outcome = None
        self._show_view(subject)
        self.page.list_files(self.shelf, self.source, self.entries, at)
        self.page.show_history(subject.data)

    def _show_view(self, subject: Any) -> None:
        if self.view is not None:
            self.view.close()
        view = self.view = View(subject, self.desk, self._remember, self._address)
        listen(view.controls.variable, "value", lambda new: self._change_variable(new))
        with find_models_once(self.document):
            self.page.show_view(view, subject)
            self.bench.offer(view, self.file, self._address.at, is_result=subject.kind != "main")
        view.begin()
        self._remember()

    def _change_variable(self, name: str) -> None:
        view = self.view
        assert view is not None
        self._address = replace(self._address, variable=name, index=dict(view.looking.index), band=None, reduce="step")
        self._show_view(view.subject)

    def _remember(self) -> None:
        """Write what is looked at into the address."""
        if self.view is not None:
            self._address = replace(Address(self._address.file, self._address.at), **self.view.describe())
            self.page.set_address(self._address.write(self._key))

    def _move(self, to: str) -> None:
        """Go to the next place, by a key."""
        if self.view is not None:
            self.view.move(to)

    def _cancel(self, lane: str) -> None:
        for one in [lane] if lane else [task.lane for task in self.desk.running]:
            self.desk.cancel(one)
        self._show_tasks(self.desk.running)
        self.bench.end()

    def _take_outcome(self, outcome: Outcome) -> None:
        """Show what an analysis made, before it is written."""
        self._outcome = outcome
        if not outcome.is_large:
            begun = self.view.looking.index if self.view is not None else {}
            self._address = Address(self._address.file, self._address.at, index=dict(begun))
            subject = make_subject(outcome.as_dataset(), f"{outcome.title} (not written)", self.file)
            self._show_view(subject)
            self.page.show_history(subject.data)

    def _write(self) -> None:
        if self._outcome is not None:
            self.bench.write(self._outcome)

    def _look_again(self, group: str) -> None:
        """Look at what was written."""
        self._address = Address(self._address.file, group)
        assert self.source is not None
        self.open_file(str(self.source), group)

    def _download(self, what: str) -> None:
        """Make what is to be downloaded, and let the browser fetch it."""
        from usidx.look.app.downloads import make_download  # takes long to load, and is loaded after the first page

        view, outcome = self.view, self._outcome or self.bench.last
        if view is None:
            return
        self.desk.start(
            "take",
            "Preparing",
            lambda _: make_download(what, view, outcome),
            lambda offer: self.page.fetch(self.offers.put(*offer)),
        )

    def _look_after_file(self) -> None:
        """Notice that the file was changed, replaced or removed by somebody else."""
        if self._has_worked and not self.desk.running:
            self._has_worked = False
            threading.Thread(target=give_back_memory, daemon=True).start()
        source = self.source
        if source is None or self.file is None or self.desk.is_busy("analysis") or self.desk.is_busy("open"):
            return
        now = stamp(source)
        if now == self._stamp:
            return
        self._stamp = now
        if now is None:
            self.page.say(
                f"{source.name} is not there any more. What is on the page stays; nothing new can be read.",
                is_error=True,
            )
            return
        self.desk.start(
            "list",
            "The file has changed",
            lambda _: self._read_contents(source),
            lambda found: self._take_changes(source, *found),
        )

    def _take_changes(self, source: File, file: File, entries: list[Entry]) -> None:
        new = len({e.path for e in entries} - {e.path for e in self.entries})
        self.entries = entries
        self.page.list_files(self.shelf, source, entries, self._address.at)
        if self._address.at and self._address.at not in {e.path for e in entries} and self._outcome is None:
            self.page.say(f"{source.name} was replaced by a file without {self._address.at!r}.", is_error=True)
        else:
            self.page.say(f"{source.name} has changed" + (f": {new} more to look at." if new else "."))
            if self._outcome is None:
                at = next((e for e in entries if e.path == self._address.at), None)
                if at is not None:
                    self._open_entry(at)

    def _show_tasks(self, tasks: list[Task]) -> None:
        self.page.show_tasks(tasks)

    def _fail(self, task: Task, err: Exception) -> None:
        """Say what went wrong; the page lives on."""
        if not isinstance(err, UsidError | OSError):
            _LOG.error("%s failed", task.said, exc_info=err)
        self.page.say(f"{task.said}: {_describe(err)}", is_error=True)
        if task.lane == "analysis":
            self.bench.end()

    def close(self) -> None:
        """Let go of everything: the tab was closed."""
        self._is_open = False
        self.desk.close()
        self.view = self._outcome = None
        threading.Thread(target=give_back_memory, daemon=True).start()


def _describe(err: Exception) -> str:
    return str(err) if isinstance(err, UsidError | OSError) else f"{type(err).__name__}: {err}"
