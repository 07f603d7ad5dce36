"""A recipe and many files -> results in each of them, and a table of what was done and what failed."""

from __future__ import annotations

import csv
import glob
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, overload

import h5py
import xarray as xr

from usidx.errors import UsidError, UsidWarning
from usidx.escapes import escape_controls
from usidx.format import names
from usidx.instruments.convert import convert
from usidx.io.read.open import open_main
from usidx.io.read.place.opened import open_file_at
from usidx.io.read.usid.attributes import read_text_attribute
from usidx.io.read.usid.inventory import take_inventory
from usidx.io.write.attributes import set_attributes, write_recipe
from usidx.io.write.results import write
from usidx.io.write.transaction import change_or_create
from usidx.recipes.changes import change_cells
from usidx.recipes.processes import call_side_by_side
from usidx.recipes.recipe import SOURCE, Recipe, RecipeStep, parse_recipe, read_recipe
from usidx.recipes.remake import call_verb, remake_argument
from usidx.results.provenance import PROVENANCE, Step, parse_steps
from usidx.tasks.progress import count_progress

__all__ = ["FileRun", "Run", "run"]

_LOG = logging.getLogger(__name__)
Labelled = xr.DataArray | xr.Dataset
Files = str | PathLike[str] | Iterable[str | PathLike[str]]
#: Seconds to wait for a file that another program has open.
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class FileRun:
    """What became of one file.

    Attributes
    ----------
    file : str
        As it was found.
    status : str
        "done", "there" where every result was there before, or "failed".
    groups : tuple of str
        HDF5 paths of the results.
    seconds : float
        How long it took.
    reason : str
        Why it failed; empty where it did not.
    """

    file: str
    status: str
    groups: tuple[str, ...]
    seconds: float
    reason: str = ""


class Run(Sequence[FileRun]):
    """What became of each file, in order; it prints as a table.

    Parameters
    ----------
    rows : sequence of FileRun
        One for each file.
    """

    def __init__(self, rows: Sequence[FileRun]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> FileRun: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FileRun]: ...
    def __getitem__(self, index: int | slice) -> FileRun | Sequence[FileRun]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def failed(self) -> tuple[FileRun, ...]:
        """The files that failed."""
        return tuple(row for row in self._rows if row.status == "failed")

    def __repr__(self) -> str:
        width = max((len(escape_controls(row.file)) for row in self._rows), default=0)
        lines = [
            f"{escape_controls(row.file):{width}}  {row.status:6}  {row.seconds:7.2f} s  "
            + escape_controls(row.reason or ", ".join(row.groups))
            for row in self._rows
        ]
        count = f"{len(self._rows)} files, {len(self.failed)} failed"
        return "\n".join([*lines, count])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the table as comma-separated text."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [one.name for one in fields(FileRun)])
            table.writeheader()
            table.writerows(asdict(row) | {"groups": " ".join(row.groups)} for row in self._rows)


def run(
    recipe: str | PathLike[str],
    files: Files,
    *,
    folder: str | PathLike[str] | None = None,
    report: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Run:
    """Do the steps of a recipe to each of many files, and write the results into it.

    Computes, one file after another, each in all threads or on the cluster of a client; or several files at a time, in
    processes. A file that fails does not stop the others. Results that are there are not
    computed again, so that a second run does only what is missing. A recipe is data: verbs are looked up by name, and
    nothing in it is executed. All of it is checked before the first file is touched.

    Parameters
    ----------
    recipe : path or str
        A TOML file, or its text. Each ``[[step]]`` names a ``verb``, with its arguments beside it. It goes on from the
        step before, or from the one that it names by ``from``: a step is called by its ``name``, by default its verb,
        and ``"source"`` is the data. ``before`` lists what is done to each cell first, as ``["abs"]``; ``variable``
        names the variable of a result that is meant. Results that no other step goes on from are written, and those
        with ``write = true``. ``[open]`` may name the ``dataset``, and of a compound one the ``field``; ``[convert]``
        the ``reader``, and the ``position`` and ``spectroscopic`` dims, of files of instruments.
    files : path, pattern, or an iterable of these
        USID files, and files of instruments, which are converted to ``<stem>.h5`` first. A file that has several names
        is worked on once.
    folder : path, optional
        Where converted files go, made where it is not there; by default beside their sources.
    report : path, optional
        Where the table is written as comma-separated text, also of what was done until an interruption. What is there
        and no such table is not overwritten.
    workers : int, optional
        How many processes work on a file each, with a share of the cores. Worth it for many small files. They begin
        anew, so a script that asks for them does so below ``if __name__ == "__main__":``.
    progress : bool, default True
        Show how many files are done, in a terminal or a notebook.

    Returns
    -------
    Run
        A row for each file: ``file``, ``status``, ``groups``, ``seconds``, ``reason``. Each results group holds the
        text of the recipe as its attribute ``usidx_recipe``.

    Raises
    ------
    UsidError
        The recipe is wrong: no TOML, or a verb, an argument or a step that there is not. Or `workers` is no number of
        processes, `files` are no paths, or the table cannot be written.

    Examples
    --------
    >>> import usidx
    >>> text = '''
    ... [[step]]
    ... verb = "svd"
    ... n = 4
    ... '''
    >>> usidx.run(text, usidx.example_file())[0].status
    'done'
    """
    read, listed = read_recipe(recipe), list(_list_files(files))
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UsidError(f"workers={workers!r}: expected a number of processes, 1 for none beside this one.")
    if report is not None:
        _check_report(Path(report))
    done: list[FileRun] = []
    try:
        with count_progress(len(listed), progress, step="run") as advance:
            done.extend(_run_files(read, listed, folder, workers, advance))  # keeps what comes before an interruption
    finally:
        if report is not None:
            Run(done).save(report)
    return Run(done)


def _check_report(path: Path) -> None:
    """Refuse a table that could not be written when all is done, or whose place something else has."""
    header = ",".join(one.name for one in fields(FileRun))
    try:
        if not path.is_file() or _read_line(path) in ("", header):
            path.open("a", encoding="utf-8").close()
            return
    except (OSError, ValueError) as err:
        raise UsidError(f"The table cannot be written to {str(path)!r}: {err}.") from err
    raise UsidError(f"The table would overwrite {str(path)!r}, which is no table of a run; name another file.")


def _read_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(1000).strip()


def _run_files(
    recipe: Recipe, files: Sequence[str], folder: str | PathLike[str] | None, workers: int, advance: Callable[[], None]
) -> Iterator[FileRun]:
    """Give what became of each file, with so many processes."""
    if min(workers, len(files)) > 1:
        # The recipe goes to the processes as text, which each of them reads and checks.
        task = partial(_run_apart, recipe=recipe.text, folder=folder)
        rows = call_side_by_side(task, files, min(workers, len(files)), _tell_of_death, advance)
        yield from map(_tell, rows)  # what the processes log nobody hears
        return
    for file in files:
        yield _run_file(recipe, file, folder)
        advance()


def _list_files(files: Files) -> Iterator[str]:
    """Give the files once each, whatever links lead to them; a pattern that matches nothing stands for itself."""
    met: set[str] = set()
    for one in _list_names(files):
        found = sorted(glob.glob(one, recursive=True)) if glob.has_magic(one) and not Path(one).exists() else [one]
        for path in found or [one]:
            own = path if "\0" in path else os.path.realpath(path)
            if own not in met:
                met.add(own)
                yield path


def _list_names(files: Files) -> list[str]:
    if isinstance(files, bytes | bytearray) or not isinstance(files, str | PathLike | Iterable):
        raise UsidError(f"files={files!r}; expected a path, a pattern, or several of these.")
    listed = [files] if isinstance(files, str | PathLike) else list(files)
    if strange := [one for one in listed if not isinstance(one, str | PathLike)]:
        raise UsidError(f"files has {strange[0]!r} in it; expected paths or patterns.")
    return [os.fsdecode(one) for one in listed]


def _run_file(recipe: Recipe, file: str, folder: str | PathLike[str] | None) -> FileRun:
    start = time.perf_counter()
    try:
        path = _find_usid_file(Path(file), folder, recipe.convert)
        before = path.stat().st_mtime_ns
        groups = _make_results(recipe, path)
        status = "there" if path.stat().st_mtime_ns == before else "done"
    except Exception as err:  # whatever goes wrong with one file, the others are done
        reason = str(err) if isinstance(err, UsidError | OSError) else f"{type(err).__name__}: {err}"
        return _tell(FileRun(file, "failed", (), time.perf_counter() - start, reason))
    return _tell(FileRun(file, status, groups, time.perf_counter() - start))


def _tell(row: FileRun) -> FileRun:
    """Log what became of a file."""
    level = logging.WARNING if row.status == "failed" else logging.INFO
    name, said = escape_controls(row.file), escape_controls(row.reason or ", ".join(row.groups))
    _LOG.log(level, "%s: %s in %.2f s, %s", name, row.status, row.seconds, said)
    return row


def _run_apart(file: str, recipe: str, folder: str | PathLike[str] | None) -> FileRun:
    return _run_file(parse_recipe(recipe), file, folder)


def _tell_of_death(file: str) -> FileRun:
    reason = "the process that worked on it died, twice: memory may have run out"
    return FileRun(file, "failed", (), 0.0, reason)


def _find_usid_file(path: Path, folder: str | PathLike[str] | None, reading: Mapping[str, Any]) -> Path:
    """Return the file itself, or the one that it is converted to."""
    if not path.is_file():
        raise UsidError(_explain_missing(path))
    if h5py.is_hdf5(path) and _has_main(path):
        return path
    target = (path.parent if folder is None else Path(folder)) / f"{path.stem}.h5"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        return convert(path, target, progress=False, **reading)
    if target.samefile(path):
        raise UsidError("it has no main dataset, and converted it would be called as it is; name another folder=")
    if not _is_made_of(target, path):
        raise UsidError(f"it would be converted to {str(target)!r}, where something else is; name another folder=")
    return target


def _explain_missing(path: Path) -> str:
    if path.is_dir():
        return "it is a folder; name the files in it, as by a pattern '*.h5'"
    return "no file matches this pattern" if glob.has_magic(str(path)) else "there is no such file"


def _has_main(path: Path) -> bool:
    with open_file_at(path) as file:
        return bool(_list_mains(file))


def _list_mains(file: h5py.File) -> list[h5py.Dataset]:
    return [file[name] for name in take_inventory(file).mains]


def _is_made_of(target: Path, path: Path) -> bool:
    """Say whether a USID file was converted from a file of this name and size."""
    with open_file_at(target) as file:
        texts = [read_text_attribute(main, PROVENANCE) or "" for main in _list_mains(file)]
    firsts = [steps[0] for text in texts if (steps := parse_steps(text))]
    told = {(step.get("file"), step.get("bytes")) for step in firsts if step["tool"] == "read_instrument"}
    return (path.name, path.stat().st_size) in told


def _make_results(recipe: Recipe, path: Path) -> tuple[str, ...]:
    made: dict[str, Labelled] = {SOURCE: open_main(path, recipe.dataset, field=recipe.field)}
    groups = []
    for number, step in enumerate(recipe.steps, 1):
        try:
            made[step.name] = _do_step(step, made)
        except UsidError as err:
            raise UsidError(f"step {number}, {step.name}: {err}") from err
        if step.is_written:
            with warnings.catch_warnings(), write_recipe(recipe.text):
                warnings.simplefilter("ignore", UsidWarning)  # that it goes on where it stopped
                groups.append(write(made[step.name], progress=False))
    _keep_recipe(path, groups, recipe.text)
    return tuple(groups)


def _do_step(step: RecipeStep, made: Mapping[str, Labelled]) -> Labelled:
    given: Any = made[step.start]
    if step.variable and isinstance(given, xr.Dataset):
        if step.variable not in given.data_vars:
            raise UsidError(f"there is no variable {step.variable!r} among {list(given.data_vars)}")
        given = given[step.variable]
    given = change_cells(given, step.before) if step.before else given
    if step.declared is None:
        return given  # type: ignore[no-any-return]
    source = made[SOURCE]

    def open_source(_step: Step, _described: Mapping[str, Any]) -> Labelled:
        return source

    return call_verb(step.declared, step.arguments, given, lambda told: remake_argument(told, open_source))


def _keep_recipe(path: Path, groups: Sequence[str], text: str) -> None:
    """Store the text of the recipe in the groups that were there before without it."""
    with open_file_at(path) as file:
        missing = [g for g in groups if read_text_attribute(file[g], names.RECIPE) != text]
    if missing:
        with change_or_create(path, wait=_PATIENCE) as changes:
            for group in missing:
                set_attributes(changes.file[group], {names.RECIPE: text})
