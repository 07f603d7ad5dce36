"""The main job from end to end: open, decompose, cluster, fit, write back, and leave a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import usidx
from usidx.demo.first_look import (
    describe_file,
    find_telling_step,
    list_images,
    look_at_images,
    look_at_spectra,
    share_grid,
    stack_images,
)
from usidx.errors import UsidError
from usidx.io.read.place.place import find_local_path
from usidx.look.comparison import build_truth_table
from usidx.look.draw.downsample import describe_cell, take_first
from usidx.look.draw.maps import split_complex
from usidx.look.report import Figure, History, Section, Table, check_writable, make_pairs_table, write_report
from usidx.modes.switching.voltage import find_voltage
from usidx.results.provenance import find_last_step

__all__ = ["DemoReport", "run_demo"]

_COMPONENTS = 9
_CLUSTERS = 4
_SHOWN = 6
_LINES = 4
# Of the demo's own scan: 10 MB, a few seconds of work.
_SHAPE, _FREQUENCIES = (128, 128), 80


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What a run left behind.

    Attributes
    ----------
    file, page : Path
        The file that was worked on, and the report about it.
    results : Path
        The file that the results were written to.
    groups : tuple of str
        Results groups that were written to it.
    """

    file: Path
    page: Path
    results: Path
    groups: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """What is gathered on the way."""

    results: Path
    say: Callable[[str], None]
    sections: list[Section] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[title] = time.perf_counter() - started
        self.say(f"{title:<32} {self.seconds[title]:6.1f} s")

    def keep(self, result: xr.Dataset) -> xr.Dataset:
        """Write a result and open it again from the file, as one would tomorrow."""
        group = usidx.write(result, self.results)
        self.groups.append(group)
        return usidx.open_result(self.results, group)


def run_demo(
    file: str | PathLike[str] | None = None,
    *,
    report: str | PathLike[str] | None = None,
    write: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> DemoReport:
    """Analyse a file, or a simulated scan, and write a report about it.

    Computes. Results go into a file of their own, or, where that is asked for, into the file that they came from,
    beside the data; the data is not changed.

    Parameters
    ----------
    file : path, optional
        A USID file. By default a band-excitation scan with known truth is simulated, in the working directory.
    report : path, optional
        The HTML page to write. By default ``<file>-report.html`` in the working directory.
    write : bool, default False
        Add the results to the file. By default they go to ``<file>-results.h5`` beside the report; those of a
        simulated scan always go into its own file.
    say : callable, optional
        Is given a line of text after each step.

    Returns
    -------
    DemoReport
        Where things are.

    Raises
    ------
    UsidError
        The file cannot be opened, or has no main dataset; or the report cannot be written.
    """
    truth, noiseless = None, None
    if file is None:
        path, truth, noiseless = _simulate(say)
    else:
        path = find_local_path(file).resolve()
    page = check_writable(Path(fspath(report)) if report is not None else Path.cwd() / f"{path.stem}-report.html")
    is_own = write or truth is not None
    run = _Run(path if is_own else _find_free_path(page.with_name(f"{path.stem}-results.h5")), say)
    name = _find_largest_main(path)
    raw = usidx.open_main(path, name, field=_find_first_field(path, name))
    say(usidx.summary(raw))
    images = list_images(path)
    run.sections.append(describe_file(path, name, raw))
    is_image = bool(raw.ndim) and not raw.usid.spectroscopic_dims
    seen = [*([] if is_image else look_at_spectra(raw)), *look_at_images(images)]
    run.sections.append(Section("First look", seen))
    stack = _find_features(raw, images)
    if isinstance(stack, str):
        run.sections.append(Section("Decomposition", [stack]))
    else:
        _decompose(run, stack)
    if _is_band_excitation(raw):
        fitted = _fit(run, raw, truth, noiseless)
        _fit_loops(run, fitted)
    run.sections.append(_write_result(run))
    run.sections += _list_broken_rules(path)
    write_report(page, path.name, run.sections, subtitle=str(raw.attrs.get("long_name", name)))
    return DemoReport(path, page, run.results, tuple(run.groups))


def _simulate(say: Callable[[str], None]) -> tuple[Path, xr.Dataset, xr.DataArray]:
    from usidx.simulate.resonances import band_excitation

    scan, truth = band_excitation(_SHAPE, _FREQUENCIES)
    noiseless, _ = band_excitation(_SHAPE, _FREQUENCIES, noise=0.0)
    path = _find_free_path(Path.cwd() / "usidx-demo.h5")
    usidx.write(scan, path)
    say(f"simulated a band-excitation scan: {path}")
    return path, truth, noiseless


def _find_free_path(path: Path) -> Path:
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def _find_largest_main(path: Path) -> str:
    """Return the largest main dataset that is no result; the first of equals."""
    mains = usidx.list_mains(path)
    if not mains:
        raise UsidError(f"{str(path)!r} has no main dataset. usidx.validate(path) says what is wrong.")
    measured = [m for m in mains if "-" not in m] or mains
    return max(measured, key=lambda m: usidx.open_dataset(path, m).nbytes)


def _find_first_field(path: Path, name: str) -> str | None:
    data = usidx.open_dataset(path, name)
    return None if len(data.data_vars) == 1 else str(next(iter(data.data_vars)))


def _list_broken_rules(path: Path) -> list[Section]:
    problems = usidx.validate(path)
    if not problems:
        return []
    return [Section("What usidx validate says", [Table([[str(p)] for p in problems], ("Errors and warnings",))])]


def _find_features(raw: xr.DataArray, images: list[xr.DataArray]) -> xr.DataArray | str:
    """Return what can be decomposed, spectra or the images of one scan side by side; or why nothing can."""
    if not raw.usid.position_dims:
        return "What was measured at one place has nothing to decompose or to sort."
    if raw.usid.spectroscopic_dims:
        return raw
    stacked = [image for image in images if image.dtype.kind in "iuf" and share_grid(image, raw)]
    return stack_images(raw, stacked) if len(stacked) > 1 else "A single image has nothing to decompose or to sort."


def _decompose(run: _Run, stack: xr.DataArray) -> None:
    positions = int(np.prod([stack.sizes[d] for d in stack.usid.position_dims]))
    features = int(np.prod([stack.sizes[d] for d in stack.usid.spectroscopic_dims]))
    count = min(_COMPONENTS, positions, features)
    with run.step("singular value decomposition"):
        svd = run.keep(stack.usid.svd(count))
    blocks: list[Any] = _list_channel_names(stack)
    blocks += [
        Figure(usidx.plot_scree(svd), "How much of the data each component holds.", "scree"),
        Figure(
            usidx.plot_maps(_compute_magnitude(svd.scores), "component"),
            "Scores: where each component is found.",
            "scores",
        ),
    ]
    if features > 1:
        blocks.append(_draw_components(svd.components.isel(component=slice(_LINES)), find_telling_step(stack)))
    run.sections.append(Section("Singular value decomposition", blocks))
    if positions > _CLUSTERS:
        with run.step("k-means clustering"):
            clusters = run.keep(svd.usid.cluster("kmeans", _CLUSTERS))
        picture = Figure(
            usidx.plot_clusters(clusters), "Positions that respond alike, and their mean response.", "clusters"
        )
        run.sections.append(Section("Clusters", [picture]))


def _list_channel_names(stack: xr.DataArray) -> list[Any]:
    step = find_last_step(stack, "stack_images")
    if step is None:
        return []
    listed = enumerate(step["parameters"]["channels"])
    return [Table([[number, name] for number, name in listed], ("Channel", "Image"), "Images that share the scan.")]


def _compute_magnitude(scores: xr.DataArray) -> xr.DataArray:
    """Cut scores to a map for each component."""
    shown, _ = take_first(scores, 2, keep=(*scores.usid.position_dims[-2:], "component"))
    return split_complex(shown)[0][1]


def _draw_components(components: xr.DataArray, step: dict[str, int]) -> Figure:
    """Draw components along the fastest dim, at one step of the others."""
    *others, dim = step
    at = {d: step[d] for d in others}
    told = f"Components at {describe_cell(components, at)}." if at else "Components."
    return Figure(usidx.plot_spectra(components.isel(at), dim), told, "components")


def _is_band_excitation(raw: xr.DataArray) -> bool:
    return raw.dtype.kind == "c" and "Frequency" in raw.dims and raw.sizes["Frequency"] >= 8


def _fit(run: _Run, raw: xr.DataArray, truth: xr.Dataset | None, noiseless: xr.DataArray | None) -> xr.Dataset:
    with run.step("simple harmonic oscillator fit"):
        fit = run.keep(raw.usid.sho_fit("Frequency")).compute()
    curves = usidx.plot_fit(raw, fit.usid.evaluate(), "Frequency", truth=noiseless, count=_SHOWN)
    blocks: list[Any] = [
        f"{_count_share(fit.converged, 'spectra')} {_describe_part(fit.is_resonance, fit.converged)} rise above the "
        "noise.",
        *_draw_maps(fit, ["amplitude", "frequency", "quality_factor", "phase"], "fit-maps"),
        Figure(curves, "Some fits.", "fits"),
    ]
    if truth is not None:
        table = build_truth_table(truth, fit, caption="How close the fit came to the truth that was simulated.")
        blocks.insert(1, table)
        run.say(_as_text(table))
    run.sections.append(Section("Simple harmonic oscillator fit", blocks))
    return fit


def _fit_loops(run: _Run, fit: xr.Dataset) -> None:
    """Fit loops where a voltage was swept up and down, out of field where both were measured."""
    if "Field" in fit.amplitude.dims:
        fit = fit.isel(Field=int(np.argmin(np.abs(fit["Field"].values))))
    try:
        swept = str(find_voltage(fit.amplitude, None, None).dims[-1])
    except UsidError:
        return
    with run.step("hysteresis loops"):
        loops = run.keep(fit.usid.loop_fit(swept)).compute()
    measured = loops.projected_loops
    curves = usidx.plot_fit(measured, loops.usid.evaluate(), swept, count=_SHOWN)
    blocks: list[Any] = [
        f"{_count_share(loops.converged, 'loops')} {_describe_part(loops.is_loop, loops.converged)} are more than "
        "straight lines.",
        *_draw_maps(
            loops.where(loops.is_loop), ["v_plus", "v_minus", "imprint", "switchable_polarization"], "loop-maps"
        ),
        Figure(curves, "Some loops, projected onto the axis along which they switch.", "loops"),
    ]
    run.sections.append(Section("Hysteresis loops", blocks))


def _count_share(converged: xr.DataArray, of: str) -> str:
    if bool(converged.all()):
        return f"All {converged.size} {of} were fitted."
    missing = converged.size - int(converged.sum())
    return f"{missing} of {converged.size} {of} could not be fitted: NaN, and flagged."


def _describe_part(seen: xr.DataArray, converged: xr.DataArray) -> str:
    share = float(seen.sum() / max(int(converged.sum()), 1))
    return "All of the fits" if share == 1 else f"{100 * share:.3g} % of the fits"


def _draw_maps(fit: xr.Dataset, names: list[str], stem: str) -> list[Any]:
    """Return a picture of some parameters at a step in the middle of the sweep, nothing where there is no map."""
    first = fit[names[0]]
    at = {str(d): first.sizes[d] // 2 for d in first.dims if d not in usidx.position_dims(first)}
    if len(at) == first.ndim:
        return []
    told = f", at {describe_cell(first, at)}" if at else ""
    return [Figure(usidx.plot_maps(fit[names].isel(at)), f"Maps of the fitted parameters{told}.", stem)]


def _as_text(table: Table) -> str:
    rows = [list(map(str, table.columns)), *(list(map(str, row)) for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _write_result(run: _Run) -> Section:
    if not run.groups:
        return Section("What was written", ["Nothing but this page."])
    timed = make_pairs_table(
        {title: f"{seconds:.1f} s" for title, seconds in run.seconds.items()}, "Time of each step."
    )
    written = Table([[g] for g in run.groups], (f"Results groups written to {run.results.name}",))
    made = History(list(usidx.history(usidx.open_result(run.results, run.groups[-1]))))
    return Section("What was written", [written, timed, made])
