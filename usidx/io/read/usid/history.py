"""The steps that a results group records -> the same, with its file where it is now."""

from __future__ import annotations

from typing import Any

import h5py

from usidx.errors import UsidError
from usidx.io.read.chunks.elsewhere import get_inside
from usidx.io.read.place.identity import find_file_number
from usidx.io.read.place.place import Place
from usidx.io.read.usid.main import is_main
from usidx.results.provenance import Step, make_opening_step

__all__ = ["set_place_in_history"]


def set_place_in_history(group: h5py.Group, place: Place, recorded: list[Step], source: str) -> list[Step]:
    """Say in a history that this process opened it here: a stored text may name any file, as after a copy or a move.

    The step that opened the source names it in this file. Where the source is in another one, opening the group is a
    step of its own.
    """
    last = max((n for n, step in enumerate(recorded) if step["tool"] == "open"), default=None)
    if last is None or not source:
        return [*recorded, make_opening_step(place.name, str(group.name), "")]
    named = str(recorded[last].get("dataset"))
    held = _get_main(group.file, named)
    is_here = held is not None and find_file_number(held) == find_file_number(group)
    here = make_opening_step(place.name, named if is_here else source, str(recorded[last].get("fingerprint", "")))
    here["version"] = recorded[last].get("version")
    file = recorded[last].get("file")
    return [*recorded[:last], here, *(_move_sources(step, file, place.name) for step in recorded[last + 1 :])]


def _get_main(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return the main dataset at a path that a text names, None where it is something else or leads elsewhere."""
    try:
        found = get_inside(file, name)
    except UsidError:
        return None
    return found if isinstance(found, h5py.Dataset) and is_main(found) else None


def _move_sources(step: Step, file: Any, here: str) -> Step:
    """Name further sources of a step in this file that lay in the same file as the first when it was written."""
    listed = step.get("sources")
    if not isinstance(listed, list):
        return step
    moved = [
        make_opening_step(here, str(one.get("dataset")), str(one.get("fingerprint", "")))
        if isinstance(one, dict) and one.get("file") == file
        else one
        for one in listed
    ]
    return {**step, "sources": moved}
