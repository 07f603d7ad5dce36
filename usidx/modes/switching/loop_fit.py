"""Response over a cycle of voltage -> the loop it makes, its nine parameters, and what they say of switching."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.fitting.axes import Sweep
from usidx.fitting.blocks import FIGURE
from usidx.fitting.models.hysteresis_loop import HysteresisLoop
from usidx.fitting.results import Shown, to_dataset
from usidx.label.blockwise import Output, along
from usidx.modes.switching.disk_names import LOOP_NAMES
from usidx.modes.switching.figures import SWITCHING
from usidx.modes.switching.loops import CRITERIA, Search, count_columns, fit_loops
from usidx.modes.switching.project_loops import METRICS, declare_outputs, make_unit
from usidx.modes.switching.voltage import find_response, find_voltage
from usidx.results.verbs import add_choices, add_input, verb

__all__ = ["loop_fit"]

_MODEL: Final = HysteresisLoop()
# Before the names of the parts of a row of figures: variables, and the dims of their columns.
_TABLE: Final = "_table_"
_COLUMN: Final = "_column_"


@verb(fit=lambda step: LOOP_NAMES)
def loop_fit(
    data: xr.DataArray | xr.Dataset,
    dim: str | None = None,
    *,
    coordinate: str | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    nuc_threshold: float = 0.03,
    tolerance: float = 1e-8,
    max_evaluations: int = 500,
) -> xr.Dataset:
    """Project each hysteresis loop, fit its shape, and tell where and how far it switches.

    A lazy response stays lazy: a block is read once, projected, guessed and fitted, each loop by itself, so the result
    does not depend on how the array is cut into blocks. Samples that are not finite are left out. A loop that cannot
    be fitted gets NaN, ``converged`` False and a ``status``. Noise can be fitted too: ``is_loop`` is False where a
    straight line is the better description.

    Parameters
    ----------
    data : DataArray or Dataset, dims (*any, dim)
        A fit of oscillators, with the variables amplitude and phase, or the response, complex or real; in-field or
        out-of-field, as selected before.
    dim : str, optional
        Along which the voltage was swept, as for :func:`usidx.project_loops`: whole cycles of it.
    coordinate : str, optional
        The voltage, by default the coordinate of the same name. It may change from loop to loop (FORC).
    bounds : mapping of str to (low, high), optional
        In place of those below.
    nuc_threshold : float
        Share of its way that a branch has gone where nucleation sets in, between 0 and 1.
    tolerance, max_evaluations : float, int
        As in :func:`usidx.fit`.

    Returns
    -------
    Dataset
        ``projected_loops``, of the dims of the response; over all dims but `dim`: the metrics of
        :func:`usidx.project_loops`; the parameters of :class:`usidx.models.HysteresisLoop`, in units of response and
        voltage, among them ``v_minus``, ``v_plus``, ``r_minus`` and ``switchable_polarization``, each with ``_stderr``
        (NaN on a bound; where a width of a branch is on one, for both widths of the branch and its switching voltage)
        and ``_guess``; ``imprint``, ``r_plus``, ``work_of_switching``, ``nucleation_bias_1`` and
        ``nucleation_bias_2``, with the same; ``r2_guess``
        and the figures of :func:`usidx.fit`; ``aic_loop``, ``bic_loop``, ``aic_line`` and ``bic_line``; and
        ``is_loop``. :func:`usidx.write` makes ``Fit-Loop_Fit_NNN`` of it, as BGlib does.

    Raises
    ------
    RoleError
        The dim is not there, or which one is meant is not clear.
    SelectionError
        A Dataset has no amplitude and phase, or a coordinate or parameter is not there.
    UnitsError
        The coordinate is not a number, or a phase is not in rad.
    UsidError
        The response is not a number, the voltage goes only one way, or the threshold is not between 0 and 1.

    See Also
    --------
    project_loops : The projection alone.
    evaluate : The fitted loop over the voltage.

    Notes
    -----
    Bounds follow the voltage of each loop: widths lie between a third of its (median) step, below which samples do not
    tell them, and its range; switching voltages within its range. The height is positive, as the projection makes it.
    Where branches are so sharp that the samples beside them leave their widths and switching voltages undetermined,
    all widths are held on the lower bound.
    AIC = n ln(RSS / n) + 2 k and BIC = n ln(RSS / n) + k ln n, with n samples and k = 9 parameters of the loop or 2 of
    the line; ``is_loop`` says that the loop's BIC is the lower one. Nucleation biases are the exact inverse of the
    branch, also where its two widths differ.

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
    response = find_response(data)
    voltage = find_voltage(response, dim, coordinate)
    given = _check_bounds(bounds, nuc_threshold)
    search = Search(given, nuc_threshold, tolerance, max_evaluations, None if response.chunks is None else 1)
    swept = str(voltage.dims[-1])
    found = along(
        response, swept, partial(_fit_block, search=search), _declare_outputs(response, voltage), beside=[voltage]
    )
    return add_choices(
        add_input(_label_columns(found, response, voltage), response), model={"name": "Loop", **_MODEL.describe()},
        dim=[swept], swept=[str(voltage.name)], bounds=dict(given), guess="area and means of the branches",
    )  # fmt: skip


def _check_bounds(
    bounds: Mapping[str, tuple[float, float]] | None, threshold: float
) -> Mapping[str, tuple[float, float]]:
    for name, (low, high) in (bounds or {}).items():
        if name not in _MODEL.names:
            raise SelectionError(f"bounds: no parameter {name!r} of a loop; its parameters are {_MODEL.names}.")
        if not low < high:
            raise UsidError(f"bounds: {name!r} has the bounds ({low}, {high}); the first should be the lower one.")
    if not 0.0 < threshold < 1.0:
        raise UsidError(f"nuc_threshold={threshold!r} is no share of the way; give a number between 0 and 1.")
    return dict(bounds or {})


def _fit_block(response: npt.NDArray[Any], voltage: npt.NDArray[Any], search: Search) -> tuple[npt.NDArray[Any], ...]:
    """Return the loops, each metric, and the other parts of the rows of :func:`fit_loops`."""
    ends = np.cumsum([*count_columns(response.shape[-1]).values()])[:-1]
    loops, metrics, *parts = np.split(fit_loops(response, voltage, search), ends, axis=-1)
    return loops, *np.moveaxis(metrics, -1, 0), *parts


def _declare_outputs(response: xr.DataArray, voltage: xr.DataArray) -> dict[str, Output]:
    found = declare_outputs(response, voltage)
    _, _, *parts = count_columns(response.sizes[voltage.dims[-1]]).items()
    for name, width in parts:
        found[_TABLE + name] = Output(dims=(_COLUMN + name,), sizes={_COLUMN + name: width}, dtype=np.float64)
    return found


def _label_columns(found: xr.Dataset, response: xr.DataArray, voltage: xr.DataArray) -> xr.Dataset:
    """Give the columns of the tables their names and units."""
    swept = str(voltage.dims[-1])
    names = [str(n).removeprefix(_TABLE) for n in found.data_vars if str(n).startswith(_TABLE)]
    table = {n: found[_TABLE + n].variable.transpose(..., _COLUMN + n) for n in names}
    figures = xr.Variable((*table["fit"].dims[:-1], FIGURE), table["fit"].data)
    whole = to_dataset(figures, response, _MODEL, Sweep((swept,), (voltage,)), Shown())
    fitted = {str(name): variable.variable for name, variable in whole.data_vars.items()}
    derived = _derive_figures(table["derived"], table["errors"], response, voltage)
    criteria = {
        name: _take_column(table["criteria"], k, {"long_name": title, "units": ""})
        for k, (name, title) in enumerate(CRITERIA.items())
    }
    variables = {n: found[n].variable for n in ("projected_loops", *METRICS)} | fitted | derived
    variables |= _label_guesses(table["guess"], (*_MODEL.names, "r2"), variables)
    variables |= _label_guesses(table["guessed"], tuple(SWITCHING), variables)
    variables |= criteria | {"is_loop": _is_loop(criteria)}
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


def _is_loop(criteria: Mapping[str, xr.Variable]) -> xr.Variable:
    found = criteria["bic_loop"] < criteria["bic_line"]
    return xr.Variable(found.dims, found.data, {"long_name": "Whether a Loop Says More Than a Line"})
