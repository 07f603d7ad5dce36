"""A labelled array -> a main dataset in a measurement of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import xarray as xr

from usidx.io.write.blocks.storage import Storage
from usidx.io.write.blocks.store import store
from usidx.io.write.groups import make_group, next_group
from usidx.io.write.main import create_main
from usidx.io.write.shelf import Shelf
from usidx.io.write.transaction import changing
from usidx.tasks.compute import shown

__all__ = ["write_array"]


def write_array(file: Path, array: xr.DataArray, name: str, *, storage: Storage, progress: bool, wait: float) -> str:
    """Write an array, and return the path of its main dataset."""
    with shown(progress), changing(file, wait=wait) as changes:
        channel = make_group(make_group(changes.file, next_group(changes.file, "Measurement")), "Channel_000")
        dataset, target = create_main(channel, array, name, Shelf(), storage=replace(storage, at_once=True))
        path = str(dataset.name)
        store([(array.data, target)], changes.check, changes.ground, progress=progress)
        return path
