"""Long work per position -> committed batches, so that it can go on where it stopped.

The status dataset is pyUSID's: ``completed_positions``, one 0 or 1 per row of the source. What pyUSID sees as partial
is partial, and the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import xarray as xr

from usidx.format import names
from usidx.format.layout import Array
from usidx.io.write.blocks.store import Store, store
from usidx.io.write.groups import log_written
from usidx.io.write.transaction import Transaction, transaction
from usidx.label.roles import position_dims
from usidx.results.schema import Entry
from usidx.tasks.cluster import count_cluster_threads
from usidx.tasks.columns import Table, find_tables
from usidx.tasks.graph import Settled, count_tasks, has_barrier, settle
from usidx.tasks.progress import count_progress
from usidx.tasks.threads import worker_count

__all__ = ["mark_finished", "mark_unfinished", "runs_per_position", "store_in_batches"]

Slab = dict[str, slice]
Targets = Callable[[h5py.Group], Sequence[Any]]

# What a kill may cost: batches are committed at least this far apart, in seconds.
_COMMIT_EVERY = 10.0
# A block of one variable must not need more of the others' source than this share, to count as computed alone.
_SHARED_WORK = 0.5


def runs_per_position(entries: Sequence[Entry]) -> bool:
    """Say whether every dataset is computed block by block along the positions, so that a part can be done alone."""
    arrays = [e.data for e in entries]
    if not all(e.is_main and dask.is_dask_collection(e.data.data) for e in entries) or not arrays:
        return False
    dims = {position_dims(a)[:1] for a in arrays}
    if len(dims) != 1 or not next(iter(dims)) or any(len(a.chunksizes[position_dims(a)[0]]) < 2 for a in arrays):
        return False
    axes = [a.dims.index(position_dims(a)[0]) for a in arrays]
    return all(_is_computed_alone(table.array, axes[table.first]) for table in find_tables([a.data for a in arrays]))


def _is_computed_alone(array: Any, axis: int) -> bool:
    """Say whether the first slab along an axis needs only its share of the work."""
    if has_barrier(array):
        return False  # a task that looks like one among many reads the whole source
    sizes = array.chunks[axis]
    part = array[(slice(None),) * axis + (slice(0, sizes[0]),)]
    return count_tasks(part) <= max(_SHARED_WORK, 2 / len(sizes)) * count_tasks(array)


def mark_unfinished(group: h5py.Group, size: int) -> None:
    """Say that no position is done yet; of a guess and its fit, under the names that BGlib has for each, too."""
    _create_status(group, np.zeros(size, dtype=np.uint8))


def mark_finished(group: h5py.Group) -> None:
    """Say of a guess and its fit that all positions are done: without it BGlib takes neither for finished."""
    if names.COMPLETED_STAGES.keys() <= group.keys():
        _create_status(group, np.ones(max(group[name].shape[0] for name in names.COMPLETED_STAGES), dtype=np.uint8))


def _create_status(group: h5py.Group, done: Array) -> None:
    status = group.create_dataset(names.COMPLETED_POSITIONS, data=done)
    if names.COMPLETED_STAGES.keys() <= group.keys():
        for name in names.COMPLETED_STAGES.values():
            group[name] = status  # one dataset, for both are computed together


def store_in_batches(
    file: Path, path: str, entries: Sequence[Entry], targets: Targets, *, progress: bool = False, wait: float = 2.0
) -> None:
    """Compute slab by slab along the slowest position dim, and commit on the way.

    Parameters
    ----------
    file : Path
        The HDF5 file.
    path : str
        The group in it, whose status says what is done.
    entries : sequence of Entry
        Its datasets.
    targets : callable
        Given the group in the file that is open now, returns where each entry's blocks go.
    progress : bool
        Show a progress bar, one for all slabs.
    wait : float
        Seconds to wait for the file.
    """
    slabs = list(_cut_slabs(entries[0].data))
    step = f"write {path.rpartition('/')[2]}"
    with (
        count_progress(len(slabs), progress, step=step) as advance,
        transaction(file, wait=wait, ahead=False) as changes,
    ):
        _store_slabs(changes, path, entries, targets, slabs, advance)
    log_written(file, path)


def _store_slabs(
    changes: Transaction,
    path: str,
    entries: Sequence[Entry],
    targets: Targets,
    slabs: Sequence[Slab],
    advance: Callable[[], None],
) -> None:
    committed = time.monotonic()
    group = changes.file[path]
    places = targets(group)
    tables = find_tables([e.data.data for e in entries])
    settled = settle([table.array for table in tables])
    for slab in slabs:
        if not _read_status(group)[_find_rows(places[0], entries[0].data, slab)].all():
            pairs = _cut_pairs(entries, tables, settled, places, slab)
            _store_slab(changes, group, pairs, _find_rows(places[0], entries[0].data, slab))
        advance()
        if changes.is_full or time.monotonic() - committed > _COMMIT_EVERY:
            changes.commit()  # closes what was open
            group = changes.file[path]
            places = targets(group)
            committed = time.monotonic()


def _cut_pairs(
    entries: Sequence[Entry], tables: Sequence[Table], settled: Sequence[Settled], places: Sequence[Any], slab: Slab
) -> list[Store]:
    """Return what to compute for a slab, and where its blocks go."""
    ((dim, part),) = slab.items()
    axes = [e.data.dims.index(dim) for e in entries]
    shifted = [_Shifted(place, axis, part.start) for place, axis in zip(places, axes, strict=True)]
    return [
        (whole.cut(axes[table.first], part), table.join_targets(shifted))
        for table, whole in zip(tables, settled, strict=True)
    ]


def _store_slab(changes: Transaction, group: h5py.Group, pairs: Sequence[Store], rows: slice | Array) -> None:
    store(pairs, changes.check)
    done = _read_status(group)
    done[rows] = 1
    group[names.COMPLETED_POSITIONS][...] = done


def _read_status(group: h5py.Group) -> Array:
    return np.asarray(group[names.COMPLETED_POSITIONS][()])


def _cut_slabs(array: xr.DataArray) -> Iterator[Slab]:
    """Cut along the slowest position dim, as many of its blocks at once as keep all workers busy."""
    dim = position_dims(array)[0]
    bounds = np.cumsum([0, *array.chunksizes[dim]]).tolist()
    beside = int(np.prod([len(c) for d, c in array.chunksizes.items() if d != dim]))
    step = max(1, ceil(2 * (count_cluster_threads() or worker_count()) / beside))
    for first in range(0, len(bounds) - 1, step):
        yield {dim: slice(bounds[first], bounds[min(first + step, len(bounds) - 1)])}


def _find_rows(target: Any, array: xr.DataArray, slab: Slab) -> slice | Array:
    """Return the rows of the file that a slab fills."""
    position = [str(d) for d in array.dims if d in position_dims(array)]
    selected: slice | Array = target.placement.position.select([slab.get(d, slice(None)) for d in position])
    return selected


class _Shifted:
    """A target seen from the start of a slab."""

    def __init__(self, target: Any, axis: int, start: int) -> None:
        self.target = target
        self.axis = axis
        self.start = start

    def __setitem__(self, key: tuple[slice, ...], block: Array) -> None:
        start = self.start + (key[self.axis].start or 0)
        shifted = slice(start, start + block.shape[self.axis])
        self.target[(*key[: self.axis], shifted, *key[self.axis + 1 :])] = block
