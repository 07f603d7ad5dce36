"""Files as they are to one page: what they hold, what was made of what, and a figure of each measurement and result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import xarray as xr

import usidx
from usidx.demo.first_look import describe_main, look_at_images, look_at_spectra
from usidx.errors import UsidError
from usidx.io.read.place.place import find_local_path
from usidx.look.draw.downsample import take_first
from usidx.look.draw.maps import split_complex
from usidx.look.draw.numbers import write_size
from usidx.look.lineage import Lineage, trace_lineage
from usidx.look.report import Block, Figure, History, Section, Table, check_writable, make_pairs_table, write_report
from usidx.look.summary.facts import pick_attributes

__all__ = ["report_files"]

_MOST_MAINS, _MOST_RESULTS, _MOST_PANELS = 12, 24, 9


def report_files(
    files: Sequence[str | PathLike[str]],
    *,
    page: str | PathLike[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write one page about files as they are; the files stay as they are, and nothing is fitted or decomposed.

    Reads what the figures show, of each measurement a map and some spectra.

    Parameters
    ----------
    files : sequence of path
        USID files, or files of instruments, which are converted for the time that it takes.
    page : path, optional
        The HTML page. By default ``<file>-report.html`` in the working directory, after the first file.
    say : callable, optional
        Is given a line of text for each file.

    Returns
    -------
    Path
        The page, which needs nothing but itself.

    Raises
    ------
    UsidError
        A file cannot be opened, or the page cannot be written.
    """
    paths = [find_local_path(file).resolve() for file in files]
    target = check_writable(Path(fspath(page)) if page is not None else Path.cwd() / f"{paths[0].stem}-report.html")
    sections: list[Section] = []
    for path in paths:
        with _as_usid(path) as file:
            found = _describe(file, path)
        before = f"{path.name}: " if len(paths) > 1 else ""
        sections += [Section(before + one.title, one.blocks) for one in found]
        say(f"{path}: {len(found)} sections")
    title = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    return write_report(target, title, sections, subtitle=", ".join(map(str, paths)), beside=False)


@contextmanager
def _as_usid(path: Path) -> Iterator[Path]:
    """Give a file that holds what is in a file of an instrument; USID files as they are."""
    if not path.is_file() or h5py.is_hdf5(path):
        yield path
        return
    with TemporaryDirectory(prefix="usidx-") as folder:
        yield usidx.convert(path, Path(folder, f"{path.name}.h5"), progress=False)


def _describe(path: Path, given: Path) -> list[Section]:
    """Describe a USID file, which stands for the one that was given."""
    tree = usidx.open_tree(path)
    lineage = trace_lineage(tree)
    mains = [node.path for node in lineage.nodes if node.kind == "main"]
    results = [node.path for node in lineage.nodes if node.kind == "result"]
    sections = [Section("The file", _describe_file(given, tree, lineage))]
    if results:
        sections.append(Section("What was made of what", [lineage]))
    sections += [Section(_name(lineage, main), _try(_show_main, path, main)) for main in mains[:_MOST_MAINS]]
    sections += [Section(_name(lineage, group), _try(_show_result, path, group)) for group in results[:_MOST_RESULTS]]
    left = [*mains[_MOST_MAINS:], *results[_MOST_RESULTS:]]
    if left:
        sections.append(Section("Not shown", [Table([[one] for one in left], ("Measurements and results",))]))
    problems = usidx.validate(path)
    if problems:
        told = Table([[str(one)] for one in problems], ("Errors and warnings",))
        sections.append(Section("What usidx validate says", [told]))
    return sections


def _name(lineage: Lineage, path: str) -> str:
    """Name a section by the last part of a path, or by all of it where another has the same."""
    last = path.rpartition("/")[2]
    return last if sum(node.name == last for node in lineage.nodes) == 1 else path


def _describe_file(path: Path, tree: xr.DataTree, lineage: Lineage) -> list[Block]:
    facts = {"File": str(path), "Size": write_size(path.stat().st_size)} | dict(pick_attributes(tree.attrs))
    rows = [[one.path, one.verb, one.date] for one in lineage.nodes]
    return [make_pairs_table(facts), Table(rows, ("What it holds", "What it is, or the verbs that made it", "When"))]


def _try(show: Callable[[Path, str], list[Block]], path: Path, name: str) -> list[Block]:
    """Show what can be shown; one damaged dataset leaves the rest of the page as it is."""
    try:
        return show(path, name)
    except UsidError as err:
        return [f"It cannot be shown. {err}"]


def _show_main(path: Path, main: str) -> list[Block]:
    data = usidx.open_dataset(path, main)
    first = next(iter(data.data_vars.values()))
    blocks: list[Block] = [describe_main(main, first)]
    if len(data.data_vars) > 1:
        return [*blocks, *_draw_maps(data)]
    is_image = bool(first.ndim) and not first.usid.spectroscopic_dims
    return [*blocks, *(look_at_images([first]) if is_image else look_at_spectra(first))]


def _show_result(path: Path, group: str) -> list[Block]:
    result = usidx.open_result(path, group)
    made = History(list(usidx.history(result)))
    facts = {str(name): f"{', '.join(f'{d} {n}' for d, n in v.sizes.items())}" for name, v in result.data_vars.items()}
    return [*_draw_result(result), made, make_pairs_table(facts, "Its variables, and their dims.")]


def _draw_result(result: xr.Dataset) -> list[Block]:
    there = set(map(str, result.data_vars))
    if {"labels", "mean_response"} <= there:
        return [Figure(usidx.plot_clusters(result), "Which cluster is where, and its mean response.", "clusters")]
    if {"scores", "components"} <= there:
        return _draw_decomposition(result)
    if "projected_loops" in there:
        loops = Figure(usidx.plot_loops(result), "Some loops.", "loops")
        return [loops, *_draw_maps(result)]
    return _draw_maps(result)


def _draw_decomposition(result: xr.Dataset) -> list[Block]:
    blocks: list[Block] = []
    if "explained_variance_ratio" in result or "singular_values" in result:
        blocks.append(Figure(usidx.plot_scree(result), "How much of the data each component holds.", "scree"))
    scores, components = result["scores"], result["components"]
    positions = usidx.position_dims(scores)[-2:]
    if positions:
        shown, _ = take_first(scores.isel(component=slice(_MOST_PANELS)), 2, keep=(*positions, "component"))
        picture = usidx.plot_maps(split_complex(shown)[0][1], "component")
        blocks.append(Figure(picture, "Scores: where each component is found.", "scores"))
    if usidx.spectroscopic_dims(components):
        rest = dict.fromkeys(usidx.spectroscopic_dims(components)[:-1], 0)
        lines = usidx.plot_spectra(
            components.isel(component=slice(4)).isel(rest), components.usid.spectroscopic_dims[-1]
        )
        blocks.append(Figure(lines, "Components.", "components"))
    return blocks


def _draw_maps(result: xr.Dataset) -> list[Block]:
    """Draw maps of what was found at each position: of a fit the parameters that have an error."""
    over = [str(name) for name, v in result.data_vars.items() if usidx.position_dims(v) and v.dtype.kind in "biufc"]
    parameters = [name for name in over if f"{name}_stderr" in over]
    names = (parameters or [name for name in over if not name.endswith(("_stderr", "_guess"))])[:_MOST_PANELS]
    if not names:
        return ["Nothing in it is over positions."]
    first = result[names[0]].dims
    alike = [name for name in names if result[name].dims == first]
    told = "Maps of the fitted parameters." if parameters else "Maps of its variables."
    swept = [d for d in map(str, first) if d not in usidx.position_dims(result[names[0]])]
    at: dict[Any, int] = {d: result[names[0]].sizes[d] // 2 for d in swept}
    return [Figure(usidx.plot_maps(result[alike].isel(at)), told, "maps")]
