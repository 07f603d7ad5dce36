"""Labelled array, result or file to a summary in HTML; every name is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import xarray as xr

from usidx.look.summary.facts import Line, collect_facts, find_kind, list_outline, pick_attributes
from usidx.look.summary.text import list_array_rows, list_dataset_rows, write_dataset_head, write_tree_head

__all__ = ["summary_html"]

# Notebooks bring their own colours; only weights, lines and faded text are set here.
_STYLE = """<style>
.usidx-summary { font-size: 13px; line-height: 1.5; }
.usidx-summary .head { font-size: 14px; margin-bottom: 4px; }
.usidx-summary .head b { font-weight: 600; }
.usidx-summary table { border-collapse: collapse; margin: 4px 0 8px; }
.usidx-summary th, .usidx-summary td {
  text-align: left !important; vertical-align: top; padding: 2px 16px 2px 0; background: none; border: none;
}
.usidx-summary tr { background: none !important; border-bottom: 1px solid rgba(128, 128, 128, 0.25); }
.usidx-summary th { font-weight: 500; }
.usidx-summary thead th, .usidx-summary .faint { opacity: 0.65; font-weight: 400; }
.usidx-summary .main { font-weight: 600; }
</style>"""


def summary_html(data: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Summarise an array, a result or a file as HTML for a notebook.

    Nothing is computed: coordinates are looked at, data is not. Every name is escaped.

    Parameters
    ----------
    data : DataArray, Dataset or DataTree
        Any dims.

    Returns
    -------
    str
        One element that needs nothing else.

    Raises
    ------
    RoleError
        This is no labelled object.

    Examples
    --------
    >>> from usidx.simulate import band_excitation
    >>> scan, truth = band_excitation((16, 16), 32)
    >>> summary_html(scan).startswith('<div class="usidx-summary">')
    True
    """
    return _PARTS[find_kind(data)](data)


def _wrap(*parts: str) -> str:
    return f'<div class="usidx-summary">{_STYLE}{"".join(parts)}</div>'


def _write_head(first: str, rest: Iterable[str]) -> str:
    said = " · ".join(escape(part) for part in rest if part)
    return f'<div class="head"><b>{escape(first)}</b> {said}</div>'


def _write_pairs(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><th class="faint">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in rows)
    return f"<table><tbody>{cells}</tbody></table>" if cells else ""


def _write_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _write_cells(*values: str) -> list[str]:
    return [f"<td>{escape(value)}</td>" for value in values]


def _write_array(array: xr.DataArray) -> str:
    facts = collect_facts(array)
    return _wrap(
        _write_head(facts.name, (facts.quantity, facts.dtype, facts.size)), _write_pairs(list_array_rows(array, facts))
    )


def _write_dataset(data: xr.Dataset) -> str:
    known = [collect_facts(v) for v in data.data_vars.values()]
    rows = [
        [f'<th class="main">{escape(f.name)}</th>', *_write_cells(f.quantity, f.dtype, f.shape, f.size)] for f in known
    ]
    table = _write_table(("variable", "quantity", "type", "over", "size"), rows) if rows else ""
    first, _, rest = write_dataset_head(data).partition("  ")
    return _wrap(_write_head(first, (rest,)), table, _write_pairs(list_dataset_rows(data)))


def _write_tree(tree: xr.DataTree) -> str:
    first, _, rest = write_tree_head(tree).partition("  ")
    rows = [_write_line(line) for line in list_outline(tree)]
    table = _write_table(("", "quantity", "type", "over", "size"), rows) if rows else ""
    return _wrap(_write_head(first, (rest,)), _write_pairs(pick_attributes(tree.attrs)), table)


def _write_line(line: Line) -> list[str]:
    kind = {"main": "main", "extra": "faint", "more": "faint"}.get(line.kind, "")
    name = f'<th class="{kind}" style="padding-left: {16 * min(line.depth, 20)}px">{escape(line.name)}</th>'
    if line.facts is None:
        return [name, f'<td colspan="4" class="faint">{escape(line.said)}</td>']
    return [name, *_write_cells(line.facts.quantity, line.facts.dtype, line.facts.shape, line.facts.size)]


_PARTS: dict[type, Callable[[Any], str]] = {
    xr.DataArray: _write_array,
    xr.Dataset: _write_dataset,
    xr.DataTree: _write_tree,
}
