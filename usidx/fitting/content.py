"""Array that is fitted -> what tells it from another one, as its fit keeps it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import ResultError
from usidx.fitting.results import find_variable, pick_variable
from usidx.results.identity import OPENED, find_sources
from usidx.results.provenance import Step
from usidx.tasks.evidence import find_unselected, read_token
from usidx.tasks.pool import do_each

__all__ = ["CONTENT", "describe_content", "refuse_other_content"]

#: The parameter of a step that holds it.
CONTENT: Final = "content"
_AT_ONCE: Final = 2**13  # cells; BLAS shares out more than that to all cores, which cost more to wait for than they add
_ONE_THREAD: Final = 2**19  # cells that a thread takes
_ROUNDING: Final = 1e-9  # of sums over the same cells in another order


def describe_content(data: xr.DataArray) -> dict[str, Any]:
    """Return figures of an array in memory; of a lazy one, where its cells come from: nothing is computed.

    The order of cells, and which of them were selected of a lazy array, do not change it.
    """
    if data.chunks is None:
        return _sum_up(np.asarray(data.values))
    names = find_unselected(data.data)
    if all(name.startswith(OPENED) for name in names) and (found := find_sources(data)):
        # By path: the token of a file changes whenever something is written into it.
        return {"datasets": sorted({source.dataset for source in found})}
    return {"arrays": [read_token(name) for name in names]}


def _sum_up(values: np.ndarray) -> dict[str, Any]:
    flat = values.reshape(-1)
    parts = [flat[first : first + _ONE_THREAD] for first in range(0, flat.size, _ONE_THREAD)]
    found: list[tuple[int, complex, float]] = [(0, 0.0j, 0.0)] * len(parts)

    def add(k: int) -> None:
        found[k] = _sum_part(parts[k])

    do_each(add, range(len(parts)))
    total = sum((t for _, t, _ in found), 0.0j)
    squares = sum(s for _, _, s in found)
    return {"finite": sum(c for c, _, _ in found), "sum": [total.real, total.imag], "squares": float(squares)}


def _sum_part(flat: np.ndarray) -> tuple[int, complex, float]:
    """Return the number of finite cells, their sum, and that of their squares."""
    count, total, squares = 0, 0.0j, 0.0
    kind = np.complex128 if flat.dtype.kind == "c" else np.float64
    ones = np.ones(min(flat.size, _AT_ONCE), kind)
    for first in range(0, flat.size, _AT_ONCE):
        part = flat[first : first + _AT_ONCE].astype(kind, copy=False)
        # Of what is finite altogether, which is usual, nothing need be picked.
        if not np.isfinite(square := np.vdot(part, part).real):
            part = part[np.isfinite(part)]
            square = np.vdot(part, part).real
        count += part.size
        total += complex(np.vdot(ones[: part.size], part))
        squares += float(square)
    return count, total, squares


def refuse_other_content(first: xr.Dataset, first_step: Step, other: xr.Dataset, other_step: Step) -> None:
    """Refuse fits of which it is plain that they are of different data.

    Raises
    ------
    ResultError
        They are; or two lazy arrays cannot be shown to be the same, and the results are lazy too.
    """
    here, there = (step["parameters"].get(CONTENT) or {} for step in (first_step, other_step))
    if here == there or set(here) != set(there):
        return
    if "finite" in here:
        same = here["finite"] != there["finite"] or _has_same_sums(
            here, there
        )  # other samples: told spectrum by spectrum
    else:
        same = _has_same_spread(first, first_step, other)
    if not same:
        raise ResultError(
            "The fits are of different data. Only fits of the same data are comparable. Where the two arrays hold the "
            "same and were made in different ways, fit one of them, or compute both results before they are compared."
        )


def _has_same_sums(here: dict[str, Any], there: dict[str, Any]) -> bool:
    size = np.sqrt(float(here["squares"]) * max(int(here["finite"]), 1))
    sums = np.allclose(here["sum"], there["sum"], rtol=0.0, atol=_ROUNDING * size)
    return bool(sums and np.isclose(here["squares"], there["squares"], rtol=_ROUNDING))


def _has_same_spread(first: xr.Dataset, step: Step, other: xr.Dataset) -> bool:
    """Say whether results in memory tell of the same squares about the mean, spectrum by spectrum."""
    names = ("chi2", "r2", "samples")
    needed = [result.get(find_variable(result, name) or name) for result in (first, other) for name in names]
    if any(one is None or one.chunks is not None for one in needed) or step["parameters"].get("sigma") is not None:
        return False
    here, there = (pick_variable(result, "chi2") / (1.0 - pick_variable(result, "r2")) for result in (first, other))
    counts = [pick_variable(result, "samples") for result in (first, other)]
    known = np.isfinite(here) & np.isfinite(there) & (counts[0] == counts[1])
    return bool(np.allclose(here.where(known, 0.0), there.where(known, 0.0), rtol=1e-6, atol=0.0))
