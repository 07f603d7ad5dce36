"""Each kind of view as a picture: cells have the colours of their values, curves run where the values lie."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.look.app.conftest import App, Watched
from tests.look.app.page import (
    FIGURE,
    find_point,
    read_line,
    read_map,
    take_cells,
    take_picture,
    wait_for_picture,
    wait_until_shown,
)

RAW = "/Measurement_000/Channel_000/Raw_Data"
# The marker, the scale bar and spots hide some cells; colours differ a little from one browser to the next.
MOST_HIDDEN, CLOSE = 0.15, 12
LINE = (213, 94, 0)
GROUPS = [(0, 114, 178), (230, 159, 0), (0, 158, 115)]


def color(values: Any, colormap: str, low: float, high: float) -> Any:
    shades = matplotlib.colormaps[colormap](np.clip((values - low) / (high - low), 0, 1))
    return (255 * shades[..., :3]).round().astype(int)


def look_alike(found: Any, expected: Any) -> bool:
    is_close = (np.abs(found - expected) <= CLOSE).all(axis=-1)
    return bool(is_close.mean() > 1 - MOST_HIDDEN)


def read_limits(watched: Watched, name: str) -> tuple[float, float]:
    mapper = f"{FIGURE}('{name}').renderers.at(0).glyph.color_mapper"
    low, high = watched.page.evaluate(f"[{mapper}.low, {mapper}.high]")
    return low, high


def open_at(app: App, file: str, at: str = "", **query: str) -> Watched:
    watched = app.open(file=file, **({"at": at} if at else {}), **query)
    wait_until_shown(watched, "usidx-map", "")
    return watched


def check_map(watched: Watched, expected: Any, colormap: str, name: str = "usidx-map") -> None:
    """Check the numbers of a map, and that each cell of the picture has the colour of its number."""
    assert read_map(watched, name) == pytest.approx(expected, rel=1e-4)
    low, high = read_limits(watched, name)
    colors = color(expected, colormap, low, high)
    wait_for_picture(watched, lambda: look_alike(take_cells(watched, name, expected.shape), colors))
    assert watched.complaints == []
    watched.page.close()


def check_curve(watched: Watched, x: Any, y: Any) -> None:
    """Check that the curve runs through points, in the units of the axes."""
    begin, end = watched.page.evaluate(f"(r => [r.start, r.end])({FIGURE}('usidx-curves').x_range)")
    low, high = watched.page.evaluate(f"(r => [r.start, r.end])({FIGURE}('usidx-curves').y_range)")

    def is_drawn() -> bool:
        pixels = take_picture(watched, "usidx-curves")
        height, width = pixels.shape[:2]
        columns = ((x - begin) / (end - begin) * width).astype(int)
        rows = ((high - y) / (high - low) * height).astype(int)
        is_blue = (pixels[..., 2] - pixels[..., 0]) > 60
        found = [is_blue[max(r - 12, 0) : r + 13, c].any() for r, c in zip(rows, columns, strict=True)]
        return bool(np.mean(found) > 0.9)

    wait_for_picture(watched, is_drawn)


def test_a_band_excitation_map_and_its_spectrum(app: App) -> None:
    raw = usidx.open_main(app.folder / "scan.h5", RAW).load()
    watched = open_at(app, "scan.h5", RAW)
    wait_until_shown(watched, "usidx-curves", "Y 3.33 µm")
    along = np.linspace(300.5, 339.5, 80)
    check_curve(watched, along, np.interp(along, raw.Frequency.values / 1e3, 1e3 * abs(raw[6, 5].values)))
    check_map(watched, 1e3 * abs(raw[:, :, 16].values), "viridis")


@pytest.mark.slow
def test_a_map_of_a_phase_has_colours_that_come_round(app: App) -> None:
    raw = usidx.open_main(app.folder / "scan.h5", RAW).load()
    check_map(open_at(app, "scan.h5", RAW, part="phase"), np.angle(raw[:, :, 16].values), "twilight")


@pytest.mark.slow
def test_a_parameter_of_a_fit(app: App) -> None:
    fit = usidx.open_result(app.folder / "scan.h5", "SHO_Fit_000")
    watched = open_at(app, "scan.h5", f"{RAW}-SHO_Fit_000", variable="frequency")
    check_map(watched, fit.frequency.values / 1e3, "viridis")


@pytest.mark.slow
def test_scores_of_both_signs_part_at_zero(app: App) -> None:
    svd = usidx.open_result(app.folder / "scan.h5", "SVD_000")
    watched = open_at(app, "scan.h5", f"{RAW}-SVD_000", part="real", point="component:1")
    wait_until_shown(watched, "usidx-map", "component 1")
    low, high = read_limits(watched, "usidx-map")
    assert low == pytest.approx(-high)
    scores = svd.scores.values[..., 1].real
    assert np.corrcoef(read_map(watched).ravel(), scores.ravel())[0, 1] == pytest.approx(1)
    colors = color(read_map(watched), "RdBu_r", low, high)
    wait_for_picture(watched, lambda: look_alike(take_cells(watched, "usidx-map", scores.shape), colors))
    watched.page.close()


@pytest.mark.slow
def test_clusters_have_colours_of_their_own(app: App) -> None:
    labels = usidx.open_result(app.folder / "scan.h5", "Cluster_000").labels.values
    watched = open_at(app, "scan.h5", f"{RAW}-Cluster_000")
    colors = np.array(GROUPS)[labels]
    wait_for_picture(watched, lambda: look_alike(take_cells(watched, "usidx-map", labels.shape), colors))
    watched.page.close()


@pytest.mark.slow
def test_a_pattern_is_a_picture(app: App) -> None:
    data = usidx.open_main(app.folder / "patterns.h5").load()
    watched = open_at(app, "patterns.h5")
    wait_until_shown(watched, "usidx-pattern", "Y ")
    check_map(watched, data[3, 4].values.astype(float), "viridis", "usidx-pattern")


@pytest.mark.slow
def test_atoms_lie_on_their_image(app: App) -> None:
    (group,) = usidx.list_results(app.folder / "atoms.h5")
    atoms = usidx.open_result(app.folder / "atoms.h5", group).compute()
    image = usidx.open_main(app.folder / "atoms.h5").load()
    watched = open_at(app, "atoms.h5", group)

    def are_drawn() -> bool:
        pixels = take_picture(watched, "usidx-map")
        places = []
        for name, dim, size in (("y", "Y", pixels.shape[0]), ("x", "X", pixels.shape[1])):
            along = image[dim].values
            part = (atoms[name].values - along[0]) / (along[-1] - along[0]) * (along.size - 1)
            places.append(((part + 0.5) / along.size * size).astype(int).clip(3, size - 4))
        around = [pixels[::-1][y - 3 : y + 4, x - 3 : x + 4] for y, x in zip(*places, strict=True)]
        is_orange = [(np.abs(a - LINE) <= 40).all(axis=-1).any() for a in around]
        return bool(np.mean(is_orange) > 0.8)

    wait_for_picture(watched, are_drawn)
    assert watched.complaints == []
    watched.page.close()


@pytest.mark.slow
def test_a_loop_goes_round(app: App) -> None:
    """A response is drawn over the voltage: the way up and the way down lie apart."""
    path = app.folder / "loops.h5"
    scan = usidx.simulate.band_excitation((4, 5), 24, dc_steps=32)[0].isel(Frequency=11, drop=True)
    (swept,) = set(scan.dims) - {"Y", "X"}
    usidx.write((1e6 * scan.real).assign_attrs(scan.attrs).rename("Response"), path)
    loops = usidx.open_main(path).load()
    watched = open_at(app, "loops.h5")
    wait_until_shown(watched, "usidx-curves", "Y ")
    line, voltage = loops[2, 2].values, loops[swept].values
    drawn = np.array(read_line(watched))
    assert drawn == pytest.approx(line * drawn[0] / line[0], rel=1e-4)
    up, down = (np.diff(voltage) > 0).nonzero()[0], (np.diff(voltage) < 0).nonzero()[0]
    assert min(up.size, down.size) > 8
    check_curve(watched, voltage, drawn)
    assert watched.complaints == []
    watched.page.close()


@pytest.mark.slow
def test_a_detector_is_drawn_where_it_counts(app: App) -> None:
    data = usidx.open_main(app.folder / "patterns.h5").load()
    watched = open_at(app, "patterns.h5")
    wait_until_shown(watched, "usidx-pattern", "Y ")
    watched.page.mouse.click(*find_point(watched, "usidx-pattern", 0.5, 0.5))
    wait_until_shown(watched, "usidx-map", "detector of 10 cells")
    y, x = (data[d].values for d in data.dims[2:])
    inside = (x[None] - 0.5) ** 2 + (y[:, None] - 0.5) ** 2 < 100
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ranges = f"['x_range', 'y_range'].map(name => {FIGURE}('usidx-pattern')[name])"
    (left, right), (low, high) = watched.page.evaluate(f"{ranges}.map(r => [r.start, r.end])")

    def is_round() -> bool:
        pixels = take_picture(watched, "usidx-pattern")
        height, width = pixels.shape[:2]
        columns = ((0.5 + 10 * np.cos(turns) - left) / (right - left) * width).astype(int)
        rows = ((high - 0.5 - 10 * np.sin(turns)) / (high - low) * height).astype(int)
        around = [pixels[r - 4 : r + 5, c - 4 : c + 5] for r, c in zip(rows, columns, strict=True)]
        return bool(np.mean([(a > 200).all(axis=-1).any() for a in around]) > 0.9)

    wait_for_picture(watched, is_round)
    check_map(watched, (data.values.astype(float) * inside).sum(axis=(2, 3)), "viridis")


@pytest.mark.slow
def test_a_channel_is_shown_beside_another(app: App) -> None:
    path = app.folder / "channels.h5"
    first = usidx.simulate.atoms((24, 32), scatter=0.01)[0]
    other = first.copy(data=np.sqrt(first.values)).rename("Other")
    usidx.write(xr.DataTree.from_dict({"/a": first.to_dataset(name="Raw"), "/b": other.to_dataset()}), path)
    mains = usidx.list_mains(path)
    watched = open_at(app, "channels.h5", mains[0], beside=mains[1])
    wait_until_shown(watched, "usidx-beside", "")
    assert read_map(watched) == pytest.approx(first.values, rel=1e-4)
    check_map(watched, other.values, "viridis", "usidx-beside")
