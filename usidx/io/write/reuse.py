"""The same work again -> the group that holds it already, finished or begun.

A group is the same where it was made of the same thing (its identity), from sources that hold the same bytes (their
digests); both were stored when it was written. Nothing is concluded from the text of its history, but for groups that
usidx 0.1 wrote, which have neither.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter
from typing import Any, Final

import h5py
import numpy as np

from usidx.errors import UsidWarning
from usidx.format import names
from usidx.io.read.chunks.content import digest_content, measure_stored_size
from usidx.io.read.place.place import find_place
from usidx.io.read.usid.attributes import read_attribute_if_any, read_json, read_text_attribute
from usidx.io.read.usid.datasets import digest_sample
from usidx.io.read.usid.main import is_main, read_layout
from usidx.label.coding import decode
from usidx.results.arguments import as_json
from usidx.results.declarations import find_declaration
from usidx.results.identity import OPENED
from usidx.results.provenance import PROVENANCE, Step, parse_steps
from usidx.results.schema import Entry, StoredResult, restore_attrs

__all__ = ["Earlier", "Work", "digest_sources", "find_earlier", "say_resumed"]

#: Sources up to this size are digested whatever is done with them.
_SMALL: Final = 64 << 20
#: Part of a source that must be worked on to make it worth a look at all of it.
_SHARE: Final = 0.5

#: Attributes that say what a status may be.
_FLAGS: Final = ("flag_values", "flag_meanings")
#: What a fit records of its source, which is compared by itself.
_OF_SOURCE = "content"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A results group of the same work.

    Attributes
    ----------
    path : str
        HDF5 path of the group.
    done, size : int
        Finished positions, and all of them; equal where the result is finished.
    """

    path: str
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be written, as it can be found again.

    Attributes
    ----------
    tool : str
        Ends the name of its groups.
    identity : str or None
        What it is; None where that cannot be proven, and nothing is the same.
    sources : tuple of str
        The datasets of the file that it is read from.
    is_direct : bool
        Whether sources were worked on as they were opened, without a selection or a block that was kept in memory.
    recorded : list of step
        Its history.
    stored : StoredResult
        How it is laid out.
    """

    tool: str
    identity: str | None
    sources: tuple[str, ...]
    is_direct: bool
    recorded: list[Step]
    stored: StoredResult


def find_earlier(parent: h5py.Group, stem: str, origin: h5py.Dataset, work: Work) -> Earlier | None:
    """Find the newest group beside the source that is the same, finished ones first."""
    if work.identity is None:
        return None
    # Not by items(): h5py holds its lock while they are gone through, and would for ever where an error ends that.
    near = [parent.get(key) for key in parent if key.startswith(f"{stem}-{work.tool}_")]

    @cache  # several groups may be of one source, which may be large: it is read once for all of them
    def digest_source(name: str) -> str | None:
        return digest_content(parent.file[name])

    of_source = [g for g in near if isinstance(g, h5py.Group) and _is_of(g, work.tool, origin)]
    same = [g for g in of_source if _is_same(g, work, digest_source)]
    return max(map(_read_progress, same), key=lambda e: (e.done == e.size, e.path), default=None)


def _is_of(group: h5py.Group, tool: str, origin: h5py.Dataset) -> bool:
    reference = read_attribute_if_any(group, names.SOURCE)
    return (
        read_text_attribute(group, names.TOOL) == tool
        and isinstance(reference, h5py.Reference)
        and bool(reference)
        and group.file[reference] == origin
    )


def _is_same(group: h5py.Group, work: Work, digest_source: Callable[[str], str | None]) -> bool:
    stored = read_text_attribute(group, names.IDENTITY)
    if stored is None:
        return _is_same_of_before(group, work)
    told = read_json(group, names.SOURCE_DIGESTS)
    if stored != work.identity or set(told) != set(work.sources):
        return False
    return all(digest_source(name) == told[name] for name in work.sources)


def digest_sources(file: h5py.File, work: Work, *, per_position: bool) -> dict[str, str] | None:
    """Digest the sources of what is written now, so that it is known again; None where that is not worth it.

    A look at all of a large source costs more than to compute again what needs but a part of it.
    """
    if work.identity is None:
        return None
    datasets = [file.get(name) for name in work.sources]
    if not all(isinstance(d, h5py.Dataset) for d in datasets):
        return None
    large = [d for d in datasets if measure_stored_size(d) > _SMALL]
    if large and not per_position and not all(_is_worked_through(work.recorded, d.size) for d in large):
        return None
    found = {name: digest_content(dataset) for name, dataset in zip(work.sources, datasets, strict=True)}
    return None if None in found.values() else found  # type: ignore[return-value]


def _is_worked_through(recorded: Iterable[Step], cells: int) -> bool:
    inputs = [step["input"] for step in recorded if isinstance(step.get("input"), dict)]
    given = [int(np.prod(list(i["dims"].values()), dtype=np.int64)) for i in inputs if isinstance(i.get("dims"), dict)]
    return max(given, default=0) >= _SHARE * cells


def _read_progress(group: h5py.Group) -> Earlier:
    status = group.get(names.COMPLETED_POSITIONS)
    if not isinstance(status, h5py.Dataset):
        return Earlier(str(group.name), 1, 1)  # written in one transaction, so it is whole
    return Earlier(str(group.name), int(np.count_nonzero(status[()])), int(status.size))


def _is_same_of_before(group: h5py.Group, work: Work) -> bool:
    """Say whether a group of usidx 0.1, which stored no identity, is the same as far as anything that it stored tells.

    It recorded some arguments and a sample of the source, of a Dataset that a verb was given nothing at all. So only a
    result of one verb on a main dataset as it was opened can be known: then and now no cell was selected and nothing
    computed; what was recorded is equal, what was not is left at its default; datasets and coordinates are equal.
    """
    old = parse_steps(read_text_attribute(group, PROVENANCE) or "")
    if len(old) != len(work.recorded) or not work.is_direct or sum("input" in step for step in old) != 1:
        return False
    if not all(_is_step_of_before(one, now, work) for one, now in zip(old, work.recorded, strict=True)):
        return False
    source = group.file[group.attrs[names.SOURCE]]
    if [digest_sample(source, find_place(source.file.filename))] != [
        s["fingerprint"] for s in old if s["tool"] == "open"
    ]:
        return False  # it was changed since it was opened
    told = read_json(group, names.RESULT_HINTS)
    if _list_variables(told) != _list_variables(work.stored.hints):
        return False
    return all(_is_laid_out_alike(group.get(entry.name), entry) for entry in work.stored.entries)


def _list_variables(hints: Mapping[str, Any]) -> Any:
    """Return what was said of each variable, in the words of today, but for the list of what a status may be.

    That has grown since; which number stands for what has not changed.
    """
    records = hints.get("variables")
    if not isinstance(records, dict) or not all(isinstance(r, dict) for r in records.values()):
        return None
    plain = {}
    for name, record in records.items():
        attrs = restore_attrs(record.get("attrs"))
        kept = {key: np.asarray(value).tolist() for key, value in attrs.items() if key not in _FLAGS}
        plain[name] = {**record, "attrs": kept}
    return plain


def _is_step_of_before(old: Step, now: Step, work: Work) -> bool:
    if old["tool"] != now["tool"] or "sources" in now:
        return False
    if old["tool"] == "open":
        # Not where the file lay: it may have been moved or copied since.
        told = old.get("fingerprint")
        return bool(told) and told == now.get("fingerprint") and (old.get("dataset"),) == work.sources
    if "input" not in now:
        return old == now
    if not isinstance(old.get("input"), dict) or not isinstance(old.get("parameters"), dict):
        return False  # a neighbour's text may hold anything
    given, then = _describe_as_before(now["input"]), dict(old["input"])
    # It named the graph: what was opened is called so, and anything else was made of that.
    was_direct = str(then.pop("token", "")).startswith(OPENED)
    return was_direct and given["since_last_step"] != "unknown" and then == given and _are_arguments_of_before(old, now)


def _describe_as_before(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of an input without what it did not tell."""
    since = described["since_last_step"]
    if isinstance(since, dict) and "operations" not in since:
        since = {"selection": since["selection"]}
    return {**described, "since_last_step": since}


def _are_arguments_of_before(old: Step, now: Step) -> bool:
    made_by = find_declaration(str(now["tool"]))
    if made_by is None:
        return False
    told: Mapping[str, Any] = old.get("parameters", {})
    if "token" in json.dumps(told) or '"<' in json.dumps(told):
        return False  # a token, or the name of a thing, says nothing of what is behind it
    defaults = {k: p.default for k, p in made_by.signature.parameters.items() if p.default is not Parameter.empty}
    # Without a robust loss its scale says nothing; its default was another.
    idle = {_OF_SOURCE} | ({"loss_scale"} if now["parameters"].get("loss") == "linear" else set())
    told, given = ({k: v for k, v in one.items() if k not in idle} for one in (told, now["parameters"]))
    return told.keys() <= given.keys() and all(
        told[k] == v if k in told else k in defaults and v == as_json(defaults[k]) for k, v in given.items()
    )


def _is_laid_out_alike(dataset: Any, entry: Entry) -> bool:
    """Say whether a dataset has the type, the dims and the coordinates of what is to be written."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != entry.data.dtype:
        return False
    if not entry.is_main:
        is_here = entry.data.chunks is None
        return dataset.shape == entry.data.shape and not (is_here and not _are_equal(dataset[()], entry.data.values))
    if not is_main(dataset):
        return False
    frame = decode(read_layout(dataset), squeeze=False)
    found = {name: c.values for name, c in frame.coords.items()}
    borne = {n: c.values for n, c in entry.data.coords.items() if set(c.dims) <= set(entry.data.dims)}
    return all(name in found and _are_equal(found[name], values) for name, values in borne.items())


def _are_equal(one: Any, other: Any) -> bool:
    one, other = np.atleast_1d(one), np.atleast_1d(other)
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


def say_resumed(earlier: Earlier) -> None:
    """Warn that an earlier run is gone on from."""
    warnings.warn(
        f"{earlier.path!r} holds {earlier.done} of {earlier.size} positions from an earlier run of the same call; "
        f"going on from there. Pass reuse=False to start anew.",
        UsidWarning,
        stacklevel=4,
    )
