"""Lines: one panel or two, phases that come round, long lines as envelopes, one prefix for all."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from usidx.look.draw.canvas import make_figure
from usidx.look.draw.lines import Stroke, add_legend, count_panels, draw_lines, stack_panels

BLUE = Stroke(["#0000ff"], ["a", "b"])


def lines(values: object, unit: str = "V") -> xr.DataArray:
    array = np.asarray(values)
    bias = xr.Variable("Bias", np.arange(float(array.shape[1])), {"units": "V", "usid_role": "spectroscopic"})
    return xr.DataArray(
        array, dims=("cell", "Bias"), coords={"Bias": bias}, attrs={"long_name": "Current", "units": unit}
    )


class Run(NamedTuple):
    x: Any
    y: Any


def run_of(line: Any) -> Run:
    """Return where a drawn line runs."""
    return Run(*map(np.asarray, line.get_data()))


def test_complex_lines_take_two_panels() -> None:
    given = lines([[3 + 4j, 2j]])
    assert (count_panels(given), count_panels(given.real)) == (2, 1)
    axes = stack_panels(make_figure(3, 3), 2)
    draw_lines(axes, given, "Bias", BLUE, {})
    np.testing.assert_allclose(run_of(axes[0].lines[0]).y, [5.0, 2.0])
    np.testing.assert_allclose(run_of(axes[1].lines[0]).y, [np.arctan2(4, 3), np.pi / 2])


def test_the_pen_is_lifted_where_a_phase_comes_round() -> None:
    axes = stack_panels(make_figure(3, 3), 2)
    draw_lines(axes, lines([np.exp(1j * np.array([3.0, -3.0, -2.0]))]), "Bias", BLUE, {})
    drawn = axes[1].lines[0]
    np.testing.assert_allclose(run_of(drawn).y, [3.0, np.nan, -3.0, -2.0])
    np.testing.assert_allclose(run_of(drawn).x, [0.0, np.nan, 1.0, 2.0])


def test_points_are_all_there() -> None:
    axes = stack_panels(make_figure(3, 3), 2)
    dots = Stroke(["#0000ff"], [], points=True)
    draw_lines(axes, lines([np.exp(1j * np.array([3.0, -3.0]))]), "Bias", dots, {})
    np.testing.assert_allclose(run_of(axes[1].lines[0]).y, [3.0, -3.0])
    assert axes[1].lines[0].get_linestyle() == "None"


def test_a_long_line_is_drawn_as_its_envelope() -> None:
    values = np.zeros((1, 100_000))
    values[0, 54_321] = 7.0
    axes = stack_panels(make_figure(3, 3), 1)
    said = draw_lines(axes, lines(values), "Bias", BLUE, {})
    drawn = run_of(axes[0].lines[0]).y
    assert drawn.size <= 4000
    assert drawn.max() == 7.0
    assert said == f"lines of 100000 points drawn as the envelope of {drawn.size // 2} bins"


def test_what_is_drawn_later_has_the_same_prefix() -> None:
    axes = stack_panels(make_figure(3, 3), 1)
    scales: dict[str, float] = {}
    draw_lines(axes, lines([[0.0, 2e-9]], "A"), "Bias", BLUE, scales)
    draw_lines(axes, lines([[0.0, 5e-12]], "A"), "Bias", BLUE, scales)
    first, second = (run_of(line).y[1] for line in axes[0].lines)
    np.testing.assert_allclose([first, second], [2.0, 0.005])
    assert axes[0].get_ylabel() == "Current (nA)"


def test_legends_name_the_lines() -> None:
    figure = make_figure(3, 3)
    axes = stack_panels(figure, 1)
    draw_lines(axes, lines([[0.0, 1.0], [1.0, 0.0]]), "Bias", BLUE, {})
    add_legend(figure, axes[0], title="cost $")
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["a", "b"]
    assert figure.legends[0].get_title().get_text() == r"cost \$"


def test_no_names_no_legend() -> None:
    figure = make_figure(3, 3)
    axes = stack_panels(figure, 1)
    draw_lines(axes, lines([[0.0, 1.0]]), "Bias", Stroke(["#0000ff"], []), {})
    add_legend(figure, axes[0])
    assert not figure.legends
