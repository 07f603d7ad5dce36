"""The parts of the page: what lists the files, what shows messages, progress, the view and its history."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Any

import xarray as xr

from usidx.look.app.reading.contents import Entry, write_entries
from usidx.look.app.reading.remote import File, Url
from usidx.look.app.reading.shelf import Shelf
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import make_printable
from usidx.look.explorer.layout import lay_out
from usidx.look.explorer.reading.subject import Subject
from usidx.look.explorer.reading.work import Task
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.view import View
from usidx.look.summary.facts import collect_facts, write_facts
from usidx.look.summary.steps import tell
from usidx.results.provenance import read_steps

__all__ = ["Page", "make_page"]

_PURPOSE = "`usidx view`"
_SEARCH = '<input type="search" data-search placeholder="Search in this file" aria-label="Search in this file">'
_OPENING = (
    '<h2>Open a file</h2><input type="text" data-enter="path" placeholder="Path, then Enter" '
    'aria-label="Path of a file">'
)
# What goes on is shown over the page: nothing on it moves when work begins or ends.
_AFLOAT = {"position": "fixed", "right": "20px", "bottom": "14px", "width": "auto", "z-index": "50"}


def _read_text(name: str) -> str:
    return (files("usidx.look.app") / name).read_text(encoding="utf-8")


class Page:
    """What of the page changes."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = parts

    def list_files(self, shelf: Shelf, chosen: File | None, entries: list[Entry], at: str) -> None:
        """List what can be opened, and what is in the file that is open."""
        told: list[str] = []
        for file in dict.fromkeys([*shelf.files, *([chosen] if chosen is not None else [])]):
            name = shelf.name(file)
            if file == chosen:
                told += [
                    f'<div class="file">{escape(make_printable(file.name, 120))}</div>',
                    write_entries(name, entries, at),
                ]
            else:
                told.append(_write_file_button(name, file))
        others = shelf.list_others()
        more = "".join(_write_file_button(shelf.name(f), f) for f in others if f != chosen)
        told.append(f"<h2>In the same folder</h2>{more}" if more else "")
        self._parts["files"].text = "".join(told)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Show a message above the view; an empty one takes it away."""
        kind = "message error" if is_error else "message"
        button = '<button class="plain" style="float:right;margin:-2px 0 0 12px" data-usidx="dismiss">Close</button>'
        self._parts["message"].visible = bool(text)
        self._parts["message"].text = f'<div class="{kind}" role="status">{button}{escape(text)}</div>' if text else ""

    def show_tasks(self, tasks: list[Task]) -> None:
        """Show what is going on, with a button that ends it."""
        self._parts["tasks"].text = "".join(_write_task(task) for task in tasks)

    def show_view(self, view: View, subject: Subject) -> None:
        """Put a view on the stage."""
        facts = write_facts(collect_facts(view.scene.array), named=False)
        head = f'<h1>{escape(make_printable(subject.title, 160))}</h1><p class="faint">{escape(facts)}</p>'
        self._parts["head"].text = head
        self._parts["view"].children = [lay_out(view)]

    def show_bench(self, parts: list[Any]) -> None:
        """Put the analyses below the view."""
        self._parts["bench"].children = parts

    def show_history(self, data: xr.Dataset) -> None:
        """Tell how what is looked at was made."""
        steps = "".join(f"<li>{escape(str(tell(step)))}</li>" for step in read_steps(data))
        first = next(iter(data.data_vars.values()), None)
        steps = steps or "".join(
            f"<li>{escape(str(tell(s)))}</li>" for s in (read_steps(first) if first is not None else [])
        )
        self._parts["history"].text = f'<h2>History</h2><ol class="steps">{steps}</ol>' if steps else ""

    def set_address(self, query: str) -> None:
        """Write what is looked at into the address of the browser."""
        self._parts["address"].data = {"query": [query]}

    def fetch(self, path: str) -> None:
        """Let the browser fetch a file."""
        self._parts["fetch"].data = {"query": [path]}


def _write_file_button(name: str, file: File) -> str:
    said, whole = escape(make_printable(file.name, 120)), file.shown if isinstance(file, Url) else str(file)
    told = f'data-usidx="open" data-file="{escape(name)}" data-at="" title="{escape(whole)}"'
    return f'<button class="entry other" style="--depth:0" {told}><b>{said}</b></button>'


def _write_task(task: Task) -> str:
    part = f' value="{task.done:.3f}"' if task.done > 0 else ""
    said, told, lane = escape(task.said), escape(make_printable(task.told, 120)), escape(task.lane)
    button = f'<button class="plain" style="margin:0" data-usidx="cancel" data-lane="{lane}">Cancel</button>'
    bar = f'<progress max="1"{part}></progress>'
    return f'<div class="task">{bar}<span>{said}</span><span class="told">{told}</span>{button}</div>'


def make_page(document: Any, obey: Callable[[str], None]) -> Page:
    """Put the page together; commands of its script are obeyed."""
    models = require("bokeh.models", _PURPOSE)
    sheet = models.InlineStyleSheet(css=_read_text("parts.css"))

    def make_text(text: str = "", **options: Any) -> Any:
        return models.Div(
            text=text, stylesheets=[sheet], sizing_mode="stretch_width", disable_math=True, margin=0, **options
        )

    texts = {name: make_text() for name in ("files", "head", "message", "history")}
    texts["message"].visible = False
    texts["tasks"] = make_text(styles=_AFLOAT)
    boxes = {name: models.Column(make_text(), sizing_mode="stretch_width", margin=0) for name in ("view", "bench")}
    # What is nowhere on the page is changed without laying it out anew.
    hidden = {name: models.ColumnDataSource({"query": [""]}, name=f"usidx-{name}") for name in ("address", "fetch")}
    command = models.TextInput(visible=False, name="usidx-command")
    listen(command, "value", lambda new: obey(new))
    _run_in_browser(document, models, command, hidden)
    side = [make_text('<div class="brand">usidx</div>'), make_text(_SEARCH), texts["files"], make_text(_OPENING)]
    stage = [texts["head"], texts["message"], texts["tasks"], boxes["view"], boxes["bench"], texts["history"]]
    document.add_root(models.Column(*side, name="usidx_side", sizing_mode="stretch_width"))
    document.add_root(models.Column(*stage, command, name="usidx_stage", sizing_mode="stretch_width"))
    _dress(document, models)
    return Page({**texts, **boxes, **hidden})


def _run_in_browser(document: Any, models: Any, command: Any, hidden: dict[str, Any]) -> None:
    """Let the address and the downloads follow what the server says."""
    follow = "const to = cb_obj.get('query')[0]; if (to) history.replaceState(null, '', to)"
    fetch = (
        "const to = cb_obj.get('query')[0]\n"
        "if (to) { const a = document.createElement('a'); a.href = to; a.download = ''; a.click() }"
    )
    command.js_on_change("name", models.CustomJS(args=hidden, code=""))  # so that the page knows them
    hidden["address"].js_on_change("data", models.CustomJS(code=follow))
    # What was looked at before the page was there is no change to it.
    begin = follow.replace("cb_obj", "line")
    document.js_on_event("document_ready", models.CustomJS(args={"line": hidden["address"]}, code=begin))
    hidden["fetch"].js_on_change("data", models.CustomJS(code=fetch))


def _dress(document: Any, models: Any) -> None:
    env = require("bokeh.core.templates", _PURPOSE).get_env()
    document.template = env.from_string("{% from macros import embed %}" + _read_text("page.html"))
    version = require("bokeh", _PURPOSE).__version__
    document.template_variables.update(css=_read_text("page.css"), js=_read_text("page.js"), bokeh_version=version)
    document.title = "usidx"
    if hasattr(document, "config"):  # since Bokeh 3.7
        document.config.notify_connection_status = False
    document.js_on_event("connection_lost", models.CustomJS(code="window.usidx_lost()"))
