"""The steps that made an array, as JSON in its attributes.

The first step of an array from a file is ``open`` (file, dataset, fingerprint); every verb appends its own. What
plain xarray did between two verbs is recorded where the dask graph proves it, and else said to be unknown.

Text is history. That this process itself opened a file says the seal of an ``open`` step, which no text from elsewhere
can have: only a sealed step says where something may be written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final, TypeVar

import xarray as xr

from usidx.format.names import PROVENANCE
from usidx.label.roles import refuse_unlabelled
from usidx.version import usidx_version

__all__ = [
    "PROVENANCE",
    "Labelled",
    "Step",
    "find_last_step",
    "find_sealed_source",
    "find_source",
    "make_opening_step",
    "parse_steps",
    "put_steps",
    "read_records",
    "read_steps",
    "remove_seals",
    "usidx_version",
]

Step = dict[str, Any]
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)

#: Attributes that say what the values of a variable are; those of another quantity are others.
_OF_VALUES: Final = frozenset(
    {"long_name", "standard_name", "units", "quantity", "comment", "flag_values", "flag_meanings", PROVENANCE}
)
#: Makes the seals of this process.
_KEY: Final = secrets.token_bytes(32)


def read_steps(data: xr.DataArray | xr.Dataset) -> list[Step]:
    """Return the recorded steps, oldest first; an empty list where nothing is recorded.

    A Dataset that was put together by hand from variables of one origin answers for that origin.
    """
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    text = data.attrs.get(PROVENANCE)
    if text is None and isinstance(data, xr.Dataset):
        found = {v.attrs[PROVENANCE] for v in data.data_vars.values() if PROVENANCE in v.attrs}
        text = found.pop() if len(found) == 1 else None
    return parse_steps(text) if isinstance(text, str) else []


def find_own_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the attributes that are the user's own: not what usidx sets, and no property of the values."""
    return {str(k): v for k, v in attrs.items() if k not in _OF_VALUES and not str(k).startswith("usid")}


def read_records(data: xr.DataArray | xr.Dataset) -> list[str]:
    """Return the different records on an object and on its variables, its own first."""
    holders = [data, *data.data_vars.values()] if isinstance(data, xr.Dataset) else [data]
    found = [holder.attrs.get(PROVENANCE) for holder in holders]
    return list(dict.fromkeys(text for text in found if isinstance(text, str)))


def parse_steps(text: str) -> list[Step]:
    """Return the steps that JSON holds; an empty list where it holds anything else."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return []
    well_formed = isinstance(parsed, list) and all(
        isinstance(s, dict) and isinstance(s.get("tool"), str) for s in parsed
    )
    return parsed if well_formed else []


def find_last_step(data: xr.DataArray | xr.Dataset, tool: str | None = None) -> Step | None:
    """Return the newest step (of the given tool), None where there is none."""
    found = [s for s in read_steps(data) if tool is None or s["tool"] == tool]
    return found[-1] if found else None


def find_source(data: xr.DataArray | xr.Dataset) -> tuple[str, str] | None:
    """Return (file, dataset) that the history names last, None where it names none.

    The dataset is that of the array, or a results group. This is what a text says, not where to write.
    """
    return _find_named_source(read_steps(data))


def find_sealed_source(text: str) -> tuple[str, str] | None:
    """Return (file, dataset) that this process opened last on the way to a record; None where it opened none."""
    return _find_named_source([step for step in parse_steps(text) if _is_sealed(step)])


def _find_named_source(recorded: Iterable[Step]) -> tuple[str, str] | None:
    named = [step for step in recorded if step["tool"] == "open"]
    if not named or not isinstance(named[-1].get("file"), str) or not isinstance(named[-1].get("dataset"), str):
        return None
    return named[-1]["file"], named[-1]["dataset"]


def make_opening_step(file: str, dataset: str, fingerprint: str) -> Step:
    """Return the step of what this process opens from a file."""
    step = {"tool": "open", "version": usidx_version(), "file": file, "dataset": dataset, "fingerprint": fingerprint}
    return {**step, "seal": _seal(step)}


def remove_seals(recorded: Iterable[Step]) -> list[Step]:
    """Return the steps as they are stored, or told to other processes."""
    return [_remove_seals_of_step(step) for step in recorded]


def _remove_seals_of_step(step: Step) -> Step:
    bare = {k: v for k, v in step.items() if k != "seal"}
    if isinstance(bare.get("sources"), list):
        bare["sources"] = [_remove_seals_of_step(one) for one in bare["sources"] if isinstance(one, dict)]
    return bare


def _is_sealed(step: Step) -> bool:
    seal = step.get("seal")
    return step["tool"] == "open" and isinstance(seal, str) and compare_digest(seal.encode(), _seal(step).encode())


def _seal(step: Step) -> str:
    told = json.dumps([step.get("file"), step.get("dataset"), step.get("fingerprint")])
    return blake2b(told.encode(), key=_KEY, digest_size=12).hexdigest()


def put_steps(result: Labelled, recorded: list[Step]) -> Labelled:
    """Put the steps on an array, or on a Dataset and each of its variables."""
    text = json.dumps(recorded)
    marked = result.copy(deep=False)
    holders: list[xr.DataArray | xr.Dataset] = [marked]
    if isinstance(marked, xr.Dataset):  # in place: assigning would index coordinates that cannot carry an index
        holders += [marked[name] for name in marked.data_vars]
    for holder in holders:
        holder.attrs.pop(PROVENANCE, None)
        holder.attrs[PROVENANCE] = text  # last: in reprs it is long
    return marked
