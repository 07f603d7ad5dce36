"""An analysis of the app as it runs: told to the page, ended when it is cancelled, kept and written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import xarray as xr

from usidx.errors import UsidError
from usidx.io.read.open import open_dataset
from usidx.io.read.results import open_result
from usidx.io.write.results import write
from usidx.look.app.analyses import Analysis
from usidx.look.app.outcome import Outcome
from usidx.look.app.reading.remote import File
from usidx.look.explorer.reading.work import Task
from usidx.recipes.recipe import recipe
from usidx.tasks.compute import compute
from usidx.tasks.progress import overhear

__all__ = ["compute_outcome", "watch", "write_notebook", "write_outcome", "write_recipe", "write_script"]


def compute_outcome(
    task: Task, file: File, at: str, variable: str, analysis: Analysis, chosen: Mapping[str, Any], *, is_result: bool
) -> Outcome:
    """Open, analyse and compute, block by block."""
    held = open_result(file, at) if is_result else open_dataset(file, at)
    data = held[variable]
    lines = write_script(file, at, variable if len(held.data_vars) > 1 or is_result else "", is_result=is_result)
    lines.append(f"result = usidx.compute({analysis.write_call(data, chosen, 'data')})")
    with watch(task):
        made = analysis.run(data, chosen)
        outcome = Outcome(analysis.title, made, lines)
        return outcome if outcome.is_large else Outcome(analysis.title, compute(made, progress=False), lines)


def write_outcome(task: Task, outcome: Outcome) -> str:
    """Write what an analysis made beside its source; return the group."""
    with watch(task):
        return write(outcome.data, progress=False)


@contextmanager
def watch(task: Task) -> Iterator[None]:
    """Tell a task how far dask is, and each iteration; end at the next of either when it is cancelled."""
    from dask.callbacks import Callback

    def before(key: Any, graph: Any, state: Mapping[str, Any]) -> None:
        done = len(state["finished"])
        total = done + sum(len(state[name]) for name in ("ready", "waiting", "running"))
        task.tell(done / max(total, 1))

    with overhear(lambda text: task.tell(task.done, text)), Callback(pretask=before):  # type: ignore[no-untyped-call,unused-ignore]
        yield


def write_script(file: File, at: str, variable: str = "", *, is_result: bool = False) -> list[str]:
    """Write the lines of Python that open what is looked at."""
    if is_result:
        return ["import usidx", f"data = usidx.open_result({str(file)!r}, {at!r})[{variable!r}]"]
    field = f", field={variable!r}" if variable else ""
    return ["import usidx", f"data = usidx.open_main({str(file)!r}, {at!r}{field})"]


def write_notebook(outcome: Outcome, title: str) -> bytes:
    """Write the lines as a notebook, which looks at the result too."""
    cells = [_make_cell(line) for line in outcome.script]
    cells.append(_make_cell("result"))
    head = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}\n\nMade by `usidx view`."}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"cells": [head, *cells], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1).encode()


def _make_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source}


def write_recipe(outcome: Outcome) -> bytes:
    """Write the steps as a recipe, by which `usidx run` does the same to other files.

    Raises
    ------
    UsidError
        It is not known what was done between the steps.
    """
    if not isinstance(outcome.data, xr.Dataset | xr.DataArray):
        raise UsidError("Only arrays and results have a recipe.")
    said = f"# {outcome.title}, by `usidx view` on {time.strftime('%Y-%m-%d')}\n"
    return (said + recipe(outcome.data)).encode()
