"""Response over a cycle of voltage to a figure of loops."""

from __future__ import annotations

from typing import Any

import xarray as xr

from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.canvas import FAINT
from usidx.look.draw.colours import Shades
from usidx.look.draw.downsample import describe_cell, pick, pick_cells, refuse_undrawable
from usidx.look.draw.lines import Stroke
from usidx.look.draw.wishes import Backend, Title, Wishes
from usidx.look.figures.curves import Layer, draw_curves
from usidx.look.figures.smooth import evaluate_at

__all__ = ["plot_loops"]

_FITTED = "switchable_polarization"


def plot_loops(
    data: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    count: int = 6,
    title: Title = None,
    cmap: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    ax: Any = None,
    figsize: tuple[float, float] | None = None,
    letters: bool | str = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw a handful of hysteresis loops over the voltage, the way up and the way down in two colours.

    Computes the loops that are shown, no others. What was fitted is drawn over what was measured, smooth.

    Parameters
    ----------
    data : DataArray or Dataset
        Of :func:`usidx.loop_fit` or :func:`usidx.project_loops`; or the response itself, or the oscillators that were
        fitted to it: of these the loops that are shown are projected first, where they are complex.
    dim : str, optional
        Along which the voltage was swept, as for :func:`usidx.loop_fit`.
    count : int
        The most loops to draw, spread over all cells.
    title : str or False, optional
        Heading of the figure. False leaves the titles of panels out, too.
    cmap : str or Colormap, optional
        The colour map that the colours of up, down and fitted are taken from, end to end.
    vmin, vmax : float, optional
        Limits of the vertical axes, in the unit of the data.
    ax : Axes or iterable of Axes, optional
        Where to draw instead of a new figure: one for each loop, or a single one in whose place all are put.
    figsize : tuple of float, optional
        Width and height of the new figure in inches.
    letters : bool or str
        Name the panels a, b, c; or as the first is written, ``"(a)"`` or ``"A"``.
    backend : {"matplotlib", "hvplot"}
        What draws: a figure, or a picture of HoloViews to zoom into.

    Returns
    -------
    matplotlib.figure.Figure, or a HoloViews object
        A panel per loop, named by where it is.

    Raises
    ------
    RoleError
        There is no such dim, or which one is meant is not clear.
    SelectionError
        A Dataset holds neither loops nor a response.
    UsidError
        The voltage goes only one way, there is no such colour map, or `ax` does not fit the picture.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.beps((4, 4), 8)
    >>> figure = usidx.plot_loops(truth.response, count=2)
    >>> figure.axes[0].get_xlabel()
    'DC offset (V)'
    """
    from usidx.modes.switching.voltage import find_response, find_voltage

    refuse_unlabelled(data, (xr.DataArray, xr.Dataset))
    has_loops = isinstance(data, xr.Dataset) and "projected_loops" in data
    measured = data["projected_loops"] if has_loops else find_response(data)
    refuse_undrawable(measured, count)
    voltage = find_voltage(measured, dim, None)
    along = str(voltage.dims[-1])
    at = pick_cells({str(d): n for d, n in measured.sizes.items() if d != along}, count)
    loops = _project(pick(measured, at), along)
    names = [describe_cell(measured, cell) for cell in at]
    wishes = Wishes(title, Shades(cmap, vmin, vmax), ax, figsize, letters=letters, backend=backend)
    layers = _part_ways(loops, _pick_voltage(voltage, at), along, wishes.shades)
    if isinstance(data, xr.Dataset) and has_loops and _FITTED in data:
        layers.append(
            Layer(
                evaluate_at(data, measured, along, at).compute(), Stroke([_choose_colors(wishes.shades)[2]], ["fitted"])
            )
        )
    else:
        layers.insert(0, Layer(loops, Stroke([FAINT], [], width=0.6)))
    return draw_curves(layers, along, names, wishes)


def _pick_voltage(voltage: xr.DataArray, at: list[dict[str, int]]) -> xr.DataArray:
    """Pick the voltages of some cells; where all loops have the same, that one."""
    return (
        pick(voltage, [{d: cell[d] for d in cell if d in voltage.dims} for cell in at]) if voltage.ndim > 1 else voltage
    )


def _project(loops: xr.DataArray, along: str) -> xr.DataArray:
    if loops.dtype.kind == "c":
        from usidx.modes.switching.project_loops import project_loops

        loops = project_loops(loops, along)["projected_loops"]
    return loops.transpose("cell", along).compute()


def _part_ways(loops: xr.DataArray, voltage: xr.DataArray, along: str, shades: Shades) -> list[Layer]:
    """Part each loop where the voltage turns."""
    from usidx.fitting.models.hysteresis_loop import find_rising

    up, down, _ = _choose_colors(shades)
    rises = xr.DataArray(find_rising(voltage.transpose(..., along).values), dims=voltage.transpose(..., along).dims)
    return [
        Layer(loops.where(rises), Stroke([up], ["up"], points=True)),
        Layer(loops.where(~rises), Stroke([down], ["down"], points=True)),
    ]


def _choose_colors(shades: Shades) -> tuple[str, str, str]:
    up, down, fitted = ("#d55e00", "#0072b2", "#222222") if shades.cmap is None else shades.list_colours(3)
    return up, down, fitted
