"""The same work again -> the group that holds it already, finished or begun.

A group is the same where it was made of the same thing (its identity), from sources that hold the same bytes (their
digests); both were stored when it was written. Nothing is concluded from the text of its history, but for groups that
usidx 0.1 wrote, which have neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final

import h5py
import numpy as np

from usidx.format import names
from usidx.io.read.chunks.content import digest_content, stored_size
from usidx.io.read.usid.attributes import attribute_if_any, stored_json, text_attribute
from usidx.results.declarations import declared
from usidx.results.provenance import PROVENANCE, Step, parse_steps
from usidx.results.schema import StoredResult

__all__ = ["Earlier", "Work", "digests_of_sources", "find_earlier"]

#: Sources up to this size are digested whatever is done with them.
_SMALL: Final = 64 << 20
#: Part of a source that must be worked on to make it worth a look at all of it.
_SHARE: Final = 0.5


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
    recorded : list of step
        Its history.
    stored : StoredResult
        How it is laid out.
    """

    tool: str
    identity: str | None
    sources: tuple[str, ...]
    recorded: list[Step]
    stored: StoredResult


def find_earlier(parent: h5py.Group, stem: str, origin: h5py.Dataset, work: Work) -> Earlier | None:
    """Find the newest group beside the source that is the same, finished ones first."""
    if work.identity is None:
        return None
    # Not by items(): h5py holds its lock while they are gone through, and would for ever where an error ends that.
    near = [parent.get(key) for key in parent if key.startswith(f"{stem}-{work.tool}_")]
    same = [g for g in near if isinstance(g, h5py.Group) and _is_of(g, work.tool, origin) and _is_same(g, work)]
    return max(map(_progress, same), key=lambda e: (e.done == e.size, e.path), default=None)


def _is_of(group: h5py.Group, tool: str, origin: h5py.Dataset) -> bool:
    reference = attribute_if_any(group, names.SOURCE)
    return (
        text_attribute(group, names.TOOL) == tool
        and isinstance(reference, h5py.Reference)
        and bool(reference)
        and group.file[reference] == origin
    )


def _is_same(group: h5py.Group, work: Work) -> bool:
    stored = text_attribute(group, names.IDENTITY)
    if stored is None:
        return _is_same_of_before(group, work)
    told = stored_json(group, names.SOURCE_DIGESTS)
    if stored != work.identity or set(told) != set(work.sources):
        return False
    return all(digest_content(group.file[name]) == told[name] for name in work.sources)


def digests_of_sources(file: h5py.File, work: Work, *, per_position: bool) -> dict[str, str] | None:
    """Digest the sources of what is written now, so that it is known again; None where that is not worth it.

    A look at all of a large source costs more than to compute again what needs but a part of it.
    """
    if work.identity is None:
        return None
    datasets = [file.get(name) for name in work.sources]
    if not all(isinstance(d, h5py.Dataset) for d in datasets):
        return None
    large = [d for d in datasets if stored_size(d) > _SMALL]
    if large and not per_position and not all(_is_worked_through(work.recorded, d.size) for d in large):
        return None
    found = {name: digest_content(dataset) for name, dataset in zip(work.sources, datasets, strict=True)}
    return None if None in found.values() else found  # type: ignore[return-value]


def _is_worked_through(recorded: Iterable[Step], cells: int) -> bool:
    inputs = [step["input"] for step in recorded if isinstance(step.get("input"), dict)]
    given = [int(np.prod(list(i["dims"].values()), dtype=np.int64)) for i in inputs if isinstance(i.get("dims"), dict)]
    return max(given, default=0) >= _SHARE * cells


def _progress(group: h5py.Group) -> Earlier:
    status = group.get(names.COMPLETED_POSITIONS)
    if not isinstance(status, h5py.Dataset):
        return Earlier(str(group.name), 1, 1)  # written in one transaction, so it is whole
    return Earlier(str(group.name), int(np.count_nonzero(status[()])), int(status.size))


def _is_same_of_before(group: h5py.Group, work: Work) -> bool:
    """Say whether a group of usidx 0.1, which stored no identity, is certainly the same.

    It recorded some arguments and a sample of the source. So all that it recorded must be equal, what it did not
    record must be left at its default now, nothing unknown may have come between, and the layout must be equal.
    """
    old = parse_steps(text_attribute(group, PROVENANCE) or "")
    if not old or len(old) != len(work.recorded):
        return False
    if not all(_is_step_of_before(one, now) for one, now in zip(old, work.recorded, strict=True)):
        return False
    told = stored_json(group, names.RESULT_HINTS)
    return bool(told.get("variables") == json.loads(json.dumps(work.stored.hints.get("variables"))))


def _is_step_of_before(old: Step, now: Step) -> bool:
    if old["tool"] != now["tool"] or "sources" in now:
        return False
    if old["tool"] == "open":
        return all(old.get(key) == now.get(key) for key in ("file", "dataset", "fingerprint"))
    if "input" not in now:
        return old == now
    given, then = now["input"], old.get("input", {})
    is_known = given.get("since_last_step") == then.get("since_last_step") != "unknown"
    is_known |= given.get("since_last_step") == "nothing"
    return is_known and then.get("dims") == given["dims"] and _are_arguments_of_before(old, now)


def _are_arguments_of_before(old: Step, now: Step) -> bool:
    made_by = declared(str(now["tool"]))
    if made_by is None:
        return False
    recorded: Mapping[str, Any] = old.get("parameters", {})
    told = {k: v for k, v in recorded.items() if "token" not in str(v) and "token" not in k}
    if len(told) != len(recorded):
        return False  # a token says nothing of what is behind it
    defaults = {k: p.default for k, p in made_by.signature.parameters.items() if p.default is not Parameter.empty}
    return all(told[k] == v if k in told else k in defaults and v == defaults[k] for k, v in now["parameters"].items())
