"""The analyses as the page offers them: what is asked for, what runs, what was run, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Protocol

from usidx.look.app.analyses import Analysis, Setting, list_analyses
from usidx.look.app.outcome import Outcome
from usidx.look.app.reading.remote import File
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import write_size
from usidx.look.explorer.layout import wrap
from usidx.look.explorer.reading.work import Desk
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.view import View

__all__ = ["Bench"]

_PURPOSE = "`usidx view`"


class Shown(Protocol):
    """What shows the bench."""

    def show_bench(self, parts: list[Any]) -> None:
        """Put models below the view."""


class Bench:
    """Where analyses are chosen and run.

    Parameters
    ----------
    desk : Desk
        Where work is done.
    page : Shown
        Where the bench stands.
    take : callable
        Takes what an analysis made.
    written : callable
        Takes the group that it was written to.
    """

    def __init__(
        self, desk: Desk, page: Shown, take: Callable[[Outcome], None], written: Callable[[str], None]
    ) -> None:
        self._desk, self._page, self._take, self._written = desk, page, take, written
        self._models = require("bokeh.models", _PURPOSE)
        self.last: Outcome | None = None
        self._place: tuple[File, str, str, bool] | None = None
        self._kept: tuple[Outcome, str] | None = None
        self._known: list[Analysis] = []
        self._widgets: dict[Setting, Any] = {}
        self._said = self._make_text()

    def _make_text(self) -> Any:
        from importlib.resources import files

        css = (files("usidx.look.app") / "parts.css").read_text(encoding="utf-8")
        sheet = self._models.InlineStyleSheet(css=css)
        return self._models.Div(stylesheets=[sheet], sizing_mode="stretch_width", disable_math=True, margin=0)

    def offer(self, view: View, file: File | None, at: str, *, is_result: bool) -> None:
        """Offer what applies to what is looked at."""
        if not view.subject.title.endswith("(not written)") and file is not None:
            self._place = (file, at, view.variable, is_result)
            self._known = list_analyses(view.scene.array)
            self.last, self._said.text = None, ""
            if self._kept is not None and self._kept[1] == at:
                self.last = self._kept[0]
                self._tell(self.last, "", at)
        models = self._models
        choice = models.Select(
            title="Analysis", options=[a.title for a in self._known], width=220, name="usidx-analysis"
        )
        run = models.Button(label="Run", button_type="primary", width=80, margin=(22, 5, 5, 5), name="usidx-run")
        settings = models.Row()
        listen(choice, "value", lambda new: self._ask(new, settings))
        run.on_click(lambda: self.run(choice.value))
        if self._known:
            choice.value = self._known[0].title
        row = wrap(choice, settings, run, visible=bool(self._known))
        self._page.show_bench([row, self._said, self._make_offers()])

    def _make_offers(self) -> Any:
        """Offer what can be taken from the page."""
        text = self._make_text()
        names = {
            "png": "PNG",
            "svg": "SVG",
            "pdf": "PDF",
            "map.csv": "Map as CSV",
            "curve.csv": "Curve as CSV",
            "nc": "netCDF",
        }
        buttons = "".join(
            f'<button class="plain" data-usidx="take" data-what="{k}">{v}</button>' for k, v in names.items()
        )
        text.text = f"<h2>Download</h2>{buttons}"
        return text

    def _ask(self, title: str, box: Any) -> None:
        """Show what an analysis asks for."""
        analysis = self._find(title)
        asked = analysis.settings if analysis is not None else ()
        # What was entered for one analysis holds for the next that asks for the same.
        self._widgets = {s: self._widgets.get(s) or self._make_widget(s) for s in asked}
        box.children = list(self._widgets.values())

    def _make_widget(self, setting: Setting) -> Any:
        models = self._models
        if setting.choices:
            return models.Select(title=setting.title, options=list(setting.choices), value=setting.value, width=130)
        return models.Spinner(title=setting.title, value=setting.value, low=1, high=512, step=1, width=90)

    def _find(self, title: str) -> Analysis | None:
        return next((a for a in self._known if a.title == title), None)

    def run(self, title: str) -> None:
        """Run an analysis in the background."""
        from usidx.look.app.jobs import compute_outcome  # takes long to load, and is loaded after the first page

        analysis = self._find(title)
        if analysis is None or self._place is None:
            return
        chosen = {s.name: widget.value for s, widget in self._widgets.items() if widget.value is not None}
        file, at, variable, is_result = self._place
        self._said.text = ""
        self._desk.start(
            "analysis",
            analysis.title,
            lambda task: compute_outcome(task, file, at, variable, analysis, chosen, is_result=is_result),
            self._finish,
            is_analysis=True,
        )

    def _finish(self, outcome: Outcome) -> None:
        self._take(outcome)
        self.last = outcome
        self._tell(outcome, "Not computed yet: it is computed as it is written." if outcome.is_large else "")

    def _tell(self, outcome: Outcome, more: str, group: str = "") -> None:
        """Show the lines that were run, and what can be done with what they made."""
        size = write_size(int(outcome.data.nbytes))
        lines = escape("\n".join([*outcome.script, *(["result.usid.write()"] if group else [])]))
        write = (
            f'<button class="plain strong" data-usidx="write">Write into the file ({size})</button>'
            if not group
            else ""
        )
        said = f"<p>Written to <b>{escape(group)}</b></p>" if group else (f"<p>{escape(more)}</p>" if more else "")
        others = "".join(
            f'<button class="plain" data-usidx="take" data-what="{what}">Save as {said}</button>'
            for what, said in (("ipynb", "notebook"), ("toml", "recipe"))
        )
        copy = '<button class="plain" data-copy>Copy</button>'
        self._said.text = (
            f'<h2>{escape(outcome.title)}</h2>{said}<div><pre class="script">{lines}</pre>{write}{copy}{others}</div>'
        )

    def write(self, outcome: Outcome) -> None:
        """Write what an analysis made beside its source."""
        from usidx.look.app.jobs import write_outcome

        self._desk.start(
            "analysis",
            f"Writing {outcome.title}",
            lambda task: write_outcome(task, outcome),
            lambda group: self._note_written(outcome, group),
            is_analysis=True,
        )

    def _note_written(self, outcome: Outcome, group: str) -> None:
        self._kept = (outcome, group)
        self._written(group)

    def end(self) -> None:
        """Say that nothing runs any more."""
        if self.last is None:
            self._said.text = ""
