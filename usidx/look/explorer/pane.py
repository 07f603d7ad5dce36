"""Subjects to an object of panel that shows them; each place where it is shown has a view of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, TypeVar

from usidx.errors import UsidError
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import make_printable
from usidx.look.explorer.address import Address
from usidx.look.explorer.layout import lay_out
from usidx.look.explorer.pictures.changes import find_models_once, hold_changes
from usidx.look.explorer.reading.subject import Subject
from usidx.look.explorer.reading.work import Cancelled, Desk, Task
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.sides.pointing import follow_keys
from usidx.look.explorer.view import View
from usidx.look.summary.facts import collect_facts, write_facts

__all__ = ["PromptDesk", "Showing", "make_pane"]

T = TypeVar("T")
Openers = Mapping[str, Callable[[], Subject]]

_PURPOSE = "Exploring"
_LOG = logging.getLogger(__name__)


class PromptDesk(Desk):
    """A desk that does all work at once: a notebook's kernel has no other moment for it."""

    def start(
        self,
        lane: str,
        said: str,
        work: Callable[[Task], T],
        then: Callable[[T], None],
        *,
        is_analysis: bool = False,
        is_quick: bool = False,
    ) -> Task:
        """Do some work, then something with what it found."""
        task = Task(lane, said, lambda _: None, is_alone=True)
        try:
            found = work(task)
        except Cancelled:
            return task
        except Exception as err:
            self._fail(task, err)
        else:
            then(found)
        return task

    def post(self, task: Task, func: Callable[[], None]) -> None:
        """Show nothing that is not ready: nobody would see it."""


class Showing:
    """One showing of an explorer: in a cell of a notebook, in a tab of a browser, in a page that is saved.

    Parameters
    ----------
    openers : mapping of str to callable
        What can be looked at; the first is shown.
    address : Address
        Where to begin.
    document : Document or None
        The page's own, where a server shows it: then work is done in threads.
    """

    def __init__(self, openers: Openers, address: Address, document: Any = None) -> None:
        models = require("bokeh.models", _PURPOSE)
        self._openers, self._address, self._document = openers, address, document
        self.desk = (
            Desk(self._post, self._show_tasks, self._fail)
            if document is not None
            else PromptDesk(lambda func: func(), lambda _: None, self._fail)
        )
        self.view: View | None = None
        self._is_open = True
        make_text = models.Div
        self._head = make_text(sizing_mode="stretch_width", disable_math=True)
        self._message = make_text(sizing_mode="stretch_width", disable_math=True, visible=False)
        self._cancel = models.Button(label="Cancel", width=80, visible=False)
        self._cancel.on_click(self._cancel_all)
        self._box = models.Column(sizing_mode="stretch_width")
        names = [(name, make_printable(name, 90)) for name in openers]
        self.choice = models.Select(title="Shown", options=names, width=420, visible=len(openers) > 1)
        parts = [self._head, self.choice, models.Row(self._cancel, self._message), self._box]
        self.root = models.Column(*parts, sizing_mode="stretch_width")
        self.choice.value = next(iter(openers))
        self._open(self.choice.value)
        listen(self.choice, "value", self._open_another)

    def _open_another(self, name: str) -> None:
        self._address = Address()
        try:
            self._open(name)
        except (UsidError, OSError) as err:
            self._say(str(err))

    def _open(self, name: str) -> None:
        self._show(self._openers[name]())

    def _show(self, subject: Subject) -> None:
        if self.view is not None:
            self.view.close()
        view = self.view = View(subject, self.desk, self._say_nothing, self._address, is_embedded=True)
        listen(view.controls.variable, "value", lambda new: self._change_variable(new))
        if view.map is not None:
            follow_keys(view.map.picture.figure, view.move)
        facts = escape(write_facts(collect_facts(view.scene.array), named=len(self._openers) < 2))
        self._head.text = f"<b>{facts}</b>"
        with find_models_once(self._document):
            self._box.children = [lay_out(view)]
        if self._document is None:
            view.begin()
        else:
            # Not at once: where a thread has found something before Bokeh has made the session, Bokeh fails to make it.
            self._document.add_next_tick_callback(view.begin)

    def _change_variable(self, name: str) -> None:
        view = self.view
        assert view is not None
        self._address = Address(variable=name, index=dict(view.looking.index))
        self._show(view.subject)

    def _say(self, text: str) -> None:
        self._message.text, self._message.visible = escape(text), bool(text)

    def _say_nothing(self) -> None:
        """Take away what was said: something else is looked at."""
        self._say("")

    def _fail(self, task: Task, err: Exception) -> None:
        """Say what went wrong; the page lives on."""
        if not isinstance(err, UsidError | OSError):
            _LOG.error("%s failed", task.said, exc_info=err)
        self._say(f"{task.said}: {err}")

    def _show_tasks(self, tasks: list[Task]) -> None:
        """Say what goes on, where it takes a while."""
        self._cancel.visible = bool(tasks)
        if tasks:
            self._say("; ".join(f"{task.said}, {task.done:.0%}" for task in tasks))
        elif self._message.text.endswith("%"):
            self._say("")

    def _cancel_all(self) -> None:
        for task in self.desk.running:
            self.desk.cancel(task.lane)
        self._show_tasks([])

    def _post(self, func: Callable[[], None]) -> None:
        """Do something in the page's own thread, and send all that changes in one message."""

        def act() -> None:
            if self._is_open:
                with hold_changes(self._document):
                    func()

        if self._is_open:
            self._document.add_next_tick_callback(act)

    def close(self) -> None:
        """Let go of everything."""
        self._is_open = False
        self.desk.close()
        self.view = None


def make_pane(openers: Openers, address: Address) -> Any:
    """Make what panel shows, serves and saves.

    Raises
    ------
    MissingExtraError
        panel is not installed.
    """
    panel = require("panel", _PURPOSE)
    from panel.pane import Bokeh

    if not getattr(panel.extension, "_loaded", False):
        panel.extension()

    class Explorer(Bokeh):  # type: ignore[misc]
        """Makes a view for each place where it is shown: what Bokeh draws belongs to one page."""

        def __init__(self, **options: Any) -> None:
            super().__init__(None, **options)
            self._showings: dict[str, Showing] = {}

        def _get_model(self, doc: Any, root: Any = None, parent: Any = None, comm: Any = None) -> Any:
            if root is None:
                return self.get_root(doc, comm)
            is_served = comm is None and doc.session_context is not None
            showing = Showing(openers, address, doc if is_served else None)
            if comm:
                self._wrap_bokeh_callbacks(root, showing.root, doc, comm)
            self._showings[root.ref["id"]] = showing
            self._models[root.ref["id"]] = (showing.root, parent)
            return showing.root

        def _cleanup(self, root: Any = None) -> None:
            showing = self._showings.pop(root.ref["id"], None) if root is not None else None
            if showing is not None:
                showing.close()
            super()._cleanup(root)

    return Explorer(sizing_mode="stretch_width")
