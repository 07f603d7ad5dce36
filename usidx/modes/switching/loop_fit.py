"""Response over a cycle of voltage -> the loop it makes, its nine parameters, and what they say of switching."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.fitting.arguments import check_bounds, check_choices, check_names, check_numbers, check_tied, choose_scale
from usidx.fitting.axes import Sweep
from usidx.fitting.blocks import FIGURE, start_values
from usidx.fitting.fit import Value
from usidx.fitting.models.tied import tie
from usidx.fitting.results import Shown, to_dataset
from usidx.fitting.table import find_neighbours_parameters
from usidx.fitting.weights import broadcast_sigma, invert_sigma
from usidx.label.blockwise import Output, along
from usidx.label.masking import apply_mask
from usidx.modes.switching.disk_names import LOOP_NAMES
from usidx.modes.switching.figures import SWITCHING
from usidx.modes.switching.loops import CRITERIA, Beside, count_columns, fit_loops
from usidx.modes.switching.project_loops import METRICS, declare_outputs, make_unit
from usidx.modes.switching.search import MODEL, PLACES, WIDTHS, Search
from usidx.modes.switching.voltage import find_response, find_voltage
from usidx.results.verbs import add_choices, add_input, verb

__all__ = ["loop_fit"]

_WIDTHS: Final = ("auto", "each", "common")
_WAYS: Final = ("Whether One Width Stands for All", "Whether a Fit from a Neighbour's Parameters Counts")
_SIGMAS: Final = 4.0  # standard errors: noise encloses a larger area once in thousands of loops
# Before the names of the parts of a row of figures: variables, and the dims of their columns.
_TABLE: Final = "_table_"
_COLUMN: Final = "_column_"


@verb(fit=lambda step: LOOP_NAMES)
def loop_fit(
    data: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    start: Mapping[str, Value] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, Value] | None = None,
    tied: Mapping[str, str] | None = None,
    widths: str = "auto",
    mask: xr.DataArray | None = None,
    sigma: Value | None = None,
    absolute_sigma: bool = False,
    loss: str = "auto",
    loss_scale: float | None = None,
    nuc_threshold: float = 0.03,
    tolerance: float = 1e-8,
    max_evaluations: int = 500,
    retry: str | None = None,
) -> xr.Dataset:
    """Project each hysteresis loop, fit its shape, and tell where and how far it switches.

    A lazy response stays lazy: a block is read once, projected, guessed and fitted, each loop by itself, so the result
    does not depend on how the array is cut into blocks. Samples that are not finite are left out. A loop that cannot
    be fitted gets NaN, ``converged`` False and a ``status``. Noise, and curves without hysteresis, can be fitted too:
    ``is_loop`` is False where the loop encloses no area beyond what noise can make of it.

    Parameters
    ----------
    data : DataArray or Dataset, dims (*any, dim)
        A fit of oscillators, with the variables amplitude and phase, or the response, complex or real; in-field or
        out-of-field, as selected before.
    dim : str, optional
        Along which the voltage was swept, as for :func:`usidx.project_loops`: whole cycles of it.
    coordinate : str, optional
        The voltage, by default the coordinate of the same name. It may change from loop to loop (FORC).
    start : mapping of str to float or DataArray, optional
        Start values of parameters; what is missing or NaN is guessed.
    bounds : mapping of str to (low, high), optional
        In place of those below.
    fixed, tied : mapping, optional
        Parameters that are held, or follow from others, as in :func:`usidx.fit`.
    widths : {"auto", "each", "common"}
        Whether each half of each branch has a width of its own (``each``) or all have one (``common``): six parameters
        in place of nine, for short or noisy loops. ``auto``: each its own, and one where fewer than 18 samples are
        known, or the samples do not determine four.
    mask : DataArray of bool, optional
        True where samples are left out, as in :func:`usidx.fit`; they are NaN in ``projected_loops``.
    sigma : float or DataArray, optional
        Standard deviation of the samples of the response (of a part, where it is complex), in its units.
    absolute_sigma : bool
        As in :func:`usidx.fit`.
    loss : {"auto", "linear", "soft_l1", "huber", "cauchy"}
        What is done with large residuals, as in :func:`usidx.fit`. ``auto``: least squares, and ``soft_l1`` for loops
        with wild samples, see :func:`usidx.project_loops`.
    loss_scale : float, optional
        As in :func:`usidx.fit`: by default the noise of each loop.
    nuc_threshold : float
        Share of its way that a branch has gone where nucleation sets in, between 0 and 1.
    tolerance, max_evaluations, retry : float, int, str
        As in :func:`usidx.fit`.

    Returns
    -------
    Dataset
        ``projected_loops``, of the dims of the response; over all dims but `dim`: the metrics of
        :func:`usidx.project_loops`; the parameters of :class:`usidx.models.HysteresisLoop`, in units of response and
        voltage, among them ``v_minus``, ``v_plus``, ``r_minus`` and ``switchable_polarization``, each with ``_stderr``
        (NaN on a bound; where a width of a branch is on one, for both widths of the branch and its switching voltage)
        and ``_guess``; ``imprint``, ``r_plus``, ``work_of_switching``, ``nucleation_bias_1`` and
        ``nucleation_bias_2``, with the same; ``r2_guess`` and the figures of :func:`usidx.fit`; ``aic_loop``,
        ``bic_loop``, ``aic_line`` and ``bic_line``; ``is_loop``; ``common_widths``, whether one width stands for all;
        and with `retry` ``second_try``. :func:`usidx.write` makes ``Fit-Loop_Fit_NNN`` of it, as BGlib does.

    Raises
    ------
    RoleError
        The dim is not there, or which one is meant is not clear; a mask has other cells than the response.
    SelectionError
        A Dataset has no amplitude and phase, or a coordinate or parameter is not there; there is no such loss, retry
        or form of widths; or two options contradict each other.
    UnitsError
        The coordinate is not a number, or a phase is not in rad.
    UsidError
        The response is not a number, the voltage goes only one way, nothing is left to fit, or a number is not one
        that can be meant.

    See Also
    --------
    project_loops : The projection alone.
    evaluate : The fitted loop over the voltage.

    Notes
    -----
    Bounds follow the voltage of each loop: widths lie between a third of its (median) step, below which samples do not
    tell them, and its range; switching voltages within its range. The height is positive, as the projection makes it.
    A fit begins at the guess; what fails begins at the best of some candidates; what fails then has one width for all.
    Where branches are so sharp that the samples beside them leave even that and the switching voltages undetermined,
    all widths are held on the lower bound. A fit without a degree of freedom has too few samples.
    ``is_loop`` says that the area is above four times its standard error, and the fit converged. The noise in that
    error is what the fit leaves over, or what neighbouring samples show, where that is less.
    AIC = n ln(RSS / n) + 2 k and BIC = n ln(RSS / n) + k ln n, with n samples and k fitted parameters of the loop or 2
    of the line. Nucleation biases are the exact inverse of the branch, also where its two widths differ.

    References
    ----------
    S. Jesse, H. N. Lee and S. V. Kalinin, Rev. Sci. Instrum. 77, 073702 (2006).

    Examples
    --------
    >>> import numpy as np, xarray as xr, usidx
    >>> volts = 8 * np.sin(2 * np.pi * np.arange(64) / 64)
    >>> shape = dict.fromkeys(usidx.models.HysteresisLoop().names[-4:], 1.0) | {"v_minus": -2.0, "v_plus": 3.0}
    >>> loop = usidx.models.HysteresisLoop()(volts, r_minus=-1, switchable_polarization=2, slope=0, **shape)
    >>> response = xr.DataArray(loop * np.exp(0.7j), dims="V", coords={"V": ("V", volts, {"units": "V"})})
    >>> found = usidx.loop_fit(response)
    >>> [round(found[name].item(), 6) for name in ("v_minus", "v_plus", "imprint", "work_of_switching")]
    [-2.0, 3.0, 0.5, 10.0]
    """
    response = apply_mask(find_response(data), mask)
    voltage = find_voltage(response, dim, coordinate)
    fixed, tied, start = dict(fixed or {}), dict(tied or {}), dict(start or {})
    bounds = _check_bounds(bounds, nuc_threshold, start=start, fixed=fixed, tied=tied)
    _check_choices(loss, retry, widths, {*fixed, *tied})
    check_numbers(tolerance=tolerance, max_evaluations=max_evaluations, loss_scale=loss_scale)
    search = Search(
        bounds, tuple(fixed), tuple(tied.items()), widths, absolute_sigma, loss, choose_scale(loss, loss_scale),
        nuc_threshold, tolerance, max_evaluations, None if response.chunks is None else 1,
    )  # fmt: skip
    check_bounds(search.make_options(np.array([0.0, 1.0])))
    found = _fit_all(response, voltage, sigma, start | fixed, search, retry)
    swept = str(voltage.dims[-1])
    return add_choices(
        add_input(_label_columns(found, response, voltage, retry), response, data), start=start, bounds=dict(bounds),
        model={"name": "Loop", **MODEL.describe()}, dim=[swept], swept=[str(voltage.name)], fixed=fixed, tied=tied,
        guess="area and means of the branches",
    )  # fmt: skip


def _check_bounds(
    bounds: Mapping[str, tuple[float, float]] | None, threshold: float, **given: Mapping[str, Any]
) -> Mapping[str, tuple[float, float]]:
    check_names(MODEL, bounds=bounds or {}, **given)
    tied = given["tied"]
    check_tied(tied, start=given["start"], bounds=bounds or {}, fixed=given["fixed"])
    if tied:
        tie(MODEL, tied)
    if not 0.0 < threshold < 1.0:
        raise UsidError(f"nuc_threshold={threshold!r} is no share of the way; give a number between 0 and 1.")
    return dict(bounds or {})


def _check_choices(loss: str, retry: str | None, widths: str, held: set[str]) -> None:
    """Refuse options that there are none of, or that contradict each other."""
    if loss != "auto":
        check_choices(loss, retry)
    check_choices("linear", retry)
    if widths not in _WIDTHS:
        raise SelectionError(f"No widths={widths!r}; choose one of {_WIDTHS}.")
    if widths == "common" and held & {*WIDTHS}:
        name = sorted(held & {*WIDTHS})[0]
        raise SelectionError(
            f"widths='common' makes one of all widths, and {name!r} is fixed or tied. Leave out one of the two."
        )


def _fit_all(
    response: xr.DataArray, voltage: xr.DataArray, sigma: Value | None, told: Mapping[str, Value], search: Search,
    retry: str | None,
) -> xr.Dataset:  # fmt: skip
    """Return what :func:`fit_loops` finds; with `retry` those that failed are fitted again from their neighbours."""
    swept = str(voltage.dims[-1])
    beside = [voltage, start_values(response, MODEL, told, (swept,))]
    if sigma is not None:
        beside.append(broadcast_sigma(response, sigma, (swept,)))
    outputs = _declare_outputs(response, voltage)
    kernel = partial(_fit_block, search=search, weighted=sigma is not None)
    found = along(response, swept, kernel, outputs, beside=beside)
    if retry is None:
        return found
    table = found[_TABLE + "fit"].rename({_COLUMN + "fit": FIGURE})
    before = [found[str(name)] for name in outputs]
    again = partial(_fit_failed, search=search, weighted=sigma is not None)
    beside += [find_neighbours_parameters(table, len(MODEL.names)), *before]
    return along(response, swept, again, outputs, beside=beside)


def _fit_block(
    response: npt.NDArray[Any], voltage: npt.NDArray[Any], told: npt.NDArray[Any], *sigma: npt.NDArray[Any],
    search: Search, weighted: bool,
) -> tuple[npt.NDArray[Any], ...]:  # fmt: skip
    """Return the loops, each metric, and the other parts of the rows of :func:`fit_loops`."""
    weight = [invert_sigma(one, response) for one in sigma]
    return _split_rows(fit_loops(response, Beside(voltage, told, *weight), search), response.shape[-1])


def _fit_failed(
    response: npt.NDArray[Any], voltage: npt.NDArray[Any], told: npt.NDArray[Any], *rest: npt.NDArray[Any],
    search: Search, weighted: bool,
) -> tuple[npt.NDArray[Any], ...]:  # fmt: skip
    """Return the same, the loops that failed fitted again."""
    weight, (around, loops, *parts) = (invert_sigma(rest[0], response), rest[1:]) if weighted else (None, rest)
    lead, metrics = response.shape[:-1], len(METRICS)
    columns = (loops, np.stack(parts[:metrics], axis=-1), *parts[metrics:])
    rows = np.concatenate([np.broadcast_to(c, (*lead, c.shape[-1])) for c in columns], axis=-1)
    failed = np.flatnonzero(~(_find_status(rows, response.shape[-1]) > 0))
    if failed.size:
        given = (voltage, told, weight, around)
        own = Beside(*(None if a is None else _pick(a, lead, failed) for a in given))  # type: ignore[arg-type]
        rows = rows.copy()
        rows.reshape(-1, rows.shape[-1])[failed] = fit_loops(_pick(response, lead, failed), own, search)
    return _split_rows(rows, response.shape[-1])


def _pick(values: npt.NDArray[Any], lead: tuple[int, ...], members: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return the rows of some loops."""
    size = values.shape[-1]
    return np.broadcast_to(values, (*lead, size)).reshape(int(np.prod(lead)), size)[members]


def _find_status(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    ends = np.cumsum([*count_columns(size).values()])
    status: npt.NDArray[Any] = rows[..., ends[list(count_columns(size)).index("fit") - 1] + PLACES.status]
    return status


def _split_rows(rows: npt.NDArray[Any], size: int) -> tuple[npt.NDArray[Any], ...]:
    ends = np.cumsum([*count_columns(size).values()])[:-1]
    loops, metrics, *parts = np.split(rows, ends, axis=-1)
    return loops, *np.moveaxis(metrics, -1, 0), *parts


def _declare_outputs(response: xr.DataArray, voltage: xr.DataArray) -> dict[str, Output]:
    found = declare_outputs(response, voltage)
    _, _, *parts = count_columns(response.sizes[voltage.dims[-1]]).items()
    for name, width in parts:
        found[_TABLE + name] = Output(dims=(_COLUMN + name,), sizes={_COLUMN + name: width}, dtype=np.float64)
    return found


def _label_columns(found: xr.Dataset, response: xr.DataArray, voltage: xr.DataArray, retry: str | None) -> xr.Dataset:
    """Give the columns of the tables their names and units."""
    swept = str(voltage.dims[-1])
    names = [str(n).removeprefix(_TABLE) for n in found.data_vars if str(n).startswith(_TABLE)]
    table = {n: found[_TABLE + n].variable.transpose(..., _COLUMN + n) for n in names}
    figures = xr.Variable((*table["fit"].dims[:-1], FIGURE), table["fit"].data)
    whole = to_dataset(figures, response, MODEL, Sweep((swept,), (voltage,)), Shown())
    fitted = {str(name): variable.variable for name, variable in whole.data_vars.items()}
    derived = _derive_figures(table["derived"], table["errors"], response, voltage)
    criteria = {
        name: _take_column(table["criteria"], k, {"long_name": title, "units": ""})
        for k, (name, title) in enumerate(CRITERIA.items())
    }
    variables = {n: found[n].variable for n in ("projected_loops", *METRICS)} | fitted | derived
    variables |= _label_guesses(table["guess"], (*MODEL.names, "r2"), variables)
    variables |= _label_guesses(table["guessed"], tuple(SWITCHING), variables)
    variables |= criteria | {"is_loop": _is_loop(variables)}
    ways = dict(zip(("common_widths", "second_try"), _WAYS, strict=True))
    for place, (name, title) in enumerate(ways.items()):
        if name != "second_try" or retry is not None:
            column = _take_column(table["ways"], place, {"long_name": title})
            variables[name] = xr.Variable(column.dims, column.data > 0, column.attrs)
    return xr.Dataset(variables, coords=found.coords)


def _take_column(values: xr.Variable, place: int, attrs: Mapping[str, Any]) -> xr.Variable:
    column = values.isel({values.dims[-1]: place})
    return xr.Variable(column.dims, column.data, attrs)


def _derive_figures(
    values: xr.Variable, errors: xr.Variable, response: xr.DataArray, voltage: xr.DataArray
) -> dict[str, xr.Variable]:
    found = {}
    for place, (name, (title, powers)) in enumerate(SWITCHING.items()):
        unit = make_unit(powers, response, voltage)
        found[name] = _take_column(values, place, {"long_name": title} | unit)
        found[f"{name}_stderr"] = _take_column(errors, place, {"long_name": f"Standard Error of {title}"} | unit)
    return found


def _label_guesses(
    values: xr.Variable, names: tuple[str, ...], fitted: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Return the guess of each variable, with its units."""
    found = {}
    for place, name in enumerate(names):
        attrs = fitted[name].attrs
        title = f"{attrs['long_name']} of the Guess" if name == "r2" else f"Guess of {attrs['long_name']}"
        own = {k: v for k, v in attrs.items() if k == "units"} | {"long_name": title}
        found[f"{name}_guess"] = _take_column(values, place, own)
    return found


def _is_loop(found: Mapping[str, xr.Variable]) -> xr.Variable:
    """Tell hysteresis from what has none, of whatever shape: by the area that is enclosed."""
    wide = found["area"] > _SIGMAS * found["area_stderr"]
    is_loop = wide & found["converged"]
    return xr.Variable(is_loop.dims, is_loop.data, {"long_name": "Whether an Area Is Enclosed"})
