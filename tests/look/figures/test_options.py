"""What a figure for a paper takes: scale bar, letters, shared colours, norms, styles; and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.style
import matplotlib.text
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import PowerNorm

import usidx
from usidx.errors import UsidError
from usidx.look.draw.scalebar import choose_bar_length


def image(values: Any, step: float = 1e-7, unit: str = "m", **attrs: str) -> xr.DataArray:
    values = np.asarray(values, dtype=float)
    sides = {d: (d, np.arange(n) * step, {"units": unit}) for d, n in zip("YX", values.shape, strict=True)}
    return xr.DataArray(values, dims=("Y", "X"), coords=sides, name="Height", attrs=attrs)


def ramp(rows: int = 10, columns: int = 20) -> xr.DataArray:
    return image(np.arange(rows * columns).reshape(rows, columns), units="V")


def bar_of(axes: Any) -> Any:
    (bar,) = [one for one in axes.artists if type(one).__name__ == "AnchoredSizeBar"]
    return bar


def test_a_scale_bar_stands_for_the_axes() -> None:
    axes = usidx.plot_map(ramp(), scalebar=True).axes[0]
    # 20 cells of 0.1 µm: less than a third of 2 µm is 0.5 µm.
    assert bar_of(axes).txt_label.get_text() == "0.5 µm"
    assert bar_of(axes).size_bar.get_children()[0].get_width() == pytest.approx(0.5)
    assert not len(axes.get_xticks())
    assert axes.get_xlabel() == ""


def test_a_scale_bar_has_the_length_that_is_asked_for() -> None:
    bar = bar_of(usidx.plot_map(ramp(), scalebar=1e-6).axes[0])
    assert bar.txt_label.get_text() == "1 µm"
    assert bar.size_bar.get_children()[0].get_width() == pytest.approx(1.0)


@pytest.mark.parametrize(("width", "length"), [(1.0, 0.2), (10.0, 2.0), (3.4, 1.0), (2000.0, 500.0), (6.7e-7, 2e-7)])
def test_lengths_are_round(width: float, length: float) -> None:
    assert choose_bar_length(width) == pytest.approx(length)


def test_no_scale_bar_without_a_unit_or_beyond_the_picture() -> None:
    bare = xr.DataArray(np.eye(4), dims=("Y", "X"))
    with pytest.raises(UsidError, match="does not fit into the picture"):
        usidx.plot_map(ramp(), scalebar=1.0)
    mixed = ramp().assign_coords(X=("X", np.arange(20.0), {"units": "V"}))
    with pytest.raises(UsidError, match="two axes with one unit"):
        usidx.plot_map(mixed, scalebar=True)
    with pytest.raises(UsidError, match="two axes with one unit"):
        usidx.plot_map(bare, scalebar=True)


@pytest.mark.parametrize(
    ("letters", "expected"), [(True, ["a", "b"]), ("(a)", ["(a)", "(b)"]), ("C", ["C", "D"]), (False, ["", ""])]
)
def test_panels_bear_letters(letters: Any, expected: list[str]) -> None:
    figure = usidx.plot_map(ramp() * 1j, letters=letters)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == expected


def test_letters_that_are_none_are_refused() -> None:
    with pytest.raises(UsidError, match=r"letters='ab'; write the first"):
        usidx.plot_map(ramp(), letters="ab")


def test_titles_go_where_they_are_not_wanted() -> None:
    figure = usidx.plot_map(ramp() * 1j, title=False)
    assert [axes.get_title() for axes in figure.axes] == [""] * len(figure.axes)
    assert figure.get_suptitle() == ""


def test_maps_share_limits_and_one_bar() -> None:
    both = xr.Dataset({"low": ramp(), "high": (3 * ramp()).assign_attrs(units="V")})
    figure = usidx.plot_maps(both, shared=True)
    first, second, *bars = figure.axes
    assert len(bars) == 1
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 3 * 199)
    apart = usidx.plot_maps(both)
    assert apart.axes[0].images[0].get_clim() == (0, 199)


def test_shared_complex_maps_have_a_bar_for_magnitudes_and_one_for_phases() -> None:
    both = xr.Dataset({"one": ramp() * 1j, "two": ramp() * 2j})
    panels = usidx.plot_maps(both, shared=True).axes
    assert [one.images[0].get_clim()[1] for one in panels[:4]] == pytest.approx([398, np.pi, 398, np.pi])
    assert len(panels) == 6


def test_robust_limits_are_percentiles() -> None:
    values = np.arange(101.0).reshape(1, 101).repeat(3, axis=0)
    assert usidx.plot_map(image(values), robust=True).axes[0].images[0].get_clim() == (2, 98)
    stray = image(np.where(np.arange(3000).reshape(50, 60) == 7, 1e6, np.arange(3000).reshape(50, 60) % 60))
    assert usidx.plot_map(stray).axes[0].images[0].get_clim()[1] == 59
    assert usidx.plot_map(stray, robust=False).axes[0].images[0].get_clim()[1] == 1e6
    assert usidx.plot_map(stray, robust=True, norm="linear").axes[0].images[0].get_clim()[1] < 60


def test_a_power_norm_lifts_what_is_weak() -> None:
    norm = usidx.plot_map(ramp(), norm="power").axes[0].images[0].norm
    assert isinstance(norm, PowerNorm)
    assert float(norm(199 / 4)) == pytest.approx(0.5)


def test_a_thread_says_by_how_much_it_is_stretched() -> None:
    figure = usidx.plot_map(ramp(2, 200))
    # As high as 0.75 of the width, where 0.01 were true.
    assert "not to scale: height stretched 75 times" in figure.get_supxlabel()
    assert figure.axes[0].get_aspect() == "auto"
    assert usidx.plot_map(ramp(10, 20)).get_supxlabel() == ""


def test_the_style_for_papers_shrinks_letters_and_sizes_alike() -> None:
    usual = usidx.plot_map(ramp())
    with matplotlib.style.context("usidx.paper"):
        figure = usidx.plot_map(ramp())
        assert figure.dpi >= 300
    assert figure.get_size_inches() == pytest.approx(0.7 * usual.get_size_inches())
    assert figure.axes[0].xaxis.label.get_fontsize() == pytest.approx(0.7 * usual.axes[0].xaxis.label.get_fontsize())
    assert 3 < figure.get_size_inches()[0] < 3.5  # a column


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_figures_are_saved_as_vectors_with_letters_as_letters(tmp_path: Path, ending: str) -> None:
    with matplotlib.style.context("usidx.paper"):
        usidx.plot_map(ramp(), letters=True).savefig(tmp_path / f"map.{ending}")
    written = (tmp_path / f"map.{ending}").read_bytes()
    starts = {"svg": b"<?xml", "pdf": b"%PDF"}
    assert written.startswith(starts[ending])
    if ending == "svg":
        assert b"Height (V)</text>" in written
    if ending == "pdf":
        assert b"/Type3" not in written


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(UsidError, match="Unknown backend 'plotly'"):
        usidx.plot_map(ramp(), backend="plotly")  # type: ignore[arg-type]
