"""Currents under a fast periodic bias -> conductance in both directions, and what the capacitance did."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UnitsError, UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import ROLE, choose_dims, find_role
from usidx.modes.current_voltage.bias import Swept, read_bias
from usidx.modes.gmode.circuit import Circuit, Expected, make_circuit
from usidx.modes.gmode.inference_tree import DIRECTIONS, INFERENCE
from usidx.modes.gmode.scales import Scales, find_scales
from usidx.modes.gmode.waveform import find_waveform
from usidx.results.verbs import add_choices, verb
from usidx.tasks.pool import share_slices
from usidx.tasks.process.blas import limit_blas

__all__ = ["giv"]

Array = npt.NDArray[np.float64]
_NOISE: Final = 0.03  # nA, of the old tool
_PIECE: Final = 2**21  # bytes that a thread takes at a time


@verb(
    "Bayesian_Inference",
    datasets={
        "resistance": "Resistance",
        "resistance_variance": "R_variance",
        "resistance_stderr": "R_stderr",
        "corrected_current": "Corrected_Current",
    },
    dims={"voltage": "Bias"},
    form=INFERENCE,
)
def giv(
    data: xr.DataArray,
    frequency: float,
    *,
    steps: int = 250,
    extra_resistance: float = 0.0,
    sigma: float | None = None,
    conductance: float = 3.0,
    spread: float = 10.0,
    capacitance: float = 1.0,
    length: float = 1.0,
    dim: str | None = None,
    coordinate: str | None = None,
) -> xr.Dataset:
    r"""Tell the resistance from the capacitance in currents under a fast periodic bias (G-IV).

    A lazy array stays lazy; the bias is read. A fast sweep charges the capacitance of tip and cables, which makes a
    loop of any curve. For each direction of the sweep by itself the conductance, as a function of the bias, and the
    capacitance are inferred from the current by Bayes' rule. A pixel with a sample that is not finite becomes NaN.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Current, real, over whole periods of the bias; filtered, in most cases.
    frequency : float
        Of the bias, in Hz.
    steps : int
        Biases at which the resistance is found, those of both directions together.
    extra_resistance : float
        How much current goes along with the capacitance, in phase with the bias, in 1/s; ``r_extra`` of the old tool.
        It is a calibration of the amplifier.
    sigma : float, optional
        Standard deviation of the noise, in the units of `data`: errors are those of the posterior. By default it is not
        known: 0.03 nA decides what is smoothed, and errors follow from how far the samples lie from the curve found.
    conductance, spread : float
        What to expect of a contact, in nS: mean and standard deviation. A conductance that the current says nothing
        about, as at zero bias, follows its neighbours.
    capacitance : float
        How large a capacitance may be, in nF: its standard deviation about zero.
    length : float
        Bias in V over which the conductance may change; a larger one smooths more.
    dim : str, optional
        The dim of the period. By default ``Bias``, or the only spectroscopic one.
    coordinate : str, optional
        The bias along `dim`, by default a coordinate called bias, excitation or voltage, else that of the dim itself.

    Returns
    -------
    Dataset
        Over (*any, direction, voltage) ``resistance`` and ``resistance_stderr``, in GOhm of currents in nA, in Ohm of
        currents in A; ``voltage`` rises, ``direction`` is "forward" (the bias rises) or "reverse". Over (*any,
        direction) ``capacitance`` and ``capacitance_stderr``, in pF of nA, in F of A. Over the dims of `data`
        ``corrected_current``, the current without what the capacitance took, in the units of `data`.

    Raises
    ------
    RoleError
        It is not clear along which dim the bias runs.
    SelectionError
        The coordinate is not there, does not run along the dim, or changes from pixel to pixel.
    UnitsError
        The bias has no numbers, or some of them are not finite.
    UsidError
        The bias does not go up and down, the data is not real, or a number is not above zero.

    Notes
    -----
    :math:`I = V g(V) + C (dV/dt + r V)` with :math:`g` linear between the biases, normal noise, and a normal prior:
    :math:`(g - g_0)^T (1 + L^3) (g - g_0) / s^2 + C^2 / c^2`, L being minus the second difference. So the posterior is
    normal, too, and exact. Its covariance is that of every pixel: it is factorised once, and each pixel takes a
    multiplication. The resistance is 1/g, its error that of g to first order; the old tool averages over drawn g, some
    of which may be next to zero. Without a known `sigma` the errors of a pixel are scaled by the root of its mean
    squared residual.

    Currents of unknown units count as nA. The old tool takes half of dV/dt, so its capacitances are twice these, and so
    is its ``r_extra``: 110 there is 220 here.

    References
    ----------
    S. Somnath, K. J. H. Law, A. N. Morozovska, P. Maksymovych, Y. Kim, X. Lu, M. Alexe, R. Archibald, S. V. Kalinin,
    S. Jesse and R. K. Vasudevan, Nature Communications 9, 513 (2018).

    Examples
    --------
    >>> import usidx
    >>> currents, truth = usidx.simulate.giv((4, 4))
    >>> found = usidx.modes.giv(currents, 200.0)
    >>> found.resistance.dims, found.resistance.units
    (('Y', 'X', 'direction', 'voltage'), 'GOhm')
    >>> bool((abs(found.capacitance / truth.capacitance - 1) < 0.05).all())
    True
    """
    (along_dim,) = choose_dims(data, dim, 1, called=("bias",))
    swept = read_bias(data, along_dim, coordinate or find_waveform(data, along_dim))
    bias = _read_waveform(swept)
    given = {"frequency": frequency, "spread": spread, "capacitance": capacitance, "length": length}
    for name, value in (given | ({} if sigma is None else {"sigma": sigma})).items():
        if not 0 < value < np.inf:
            raise UsidError(f"{name}={value!r}; it should be above 0.")
    if steps < 6:
        raise UsidError(f"steps={steps}; give at least 6, three either way.")
    scales = find_scales(data.attrs.get("units"), swept.units)
    noise = _NOISE if sigma is None else sigma * scales.current
    expected = Expected(conductance, spread, capacitance, length)
    nodes = steps // 2 + (steps // 2 + 1) % 2  # odd, so that there is one at zero
    circuit = make_circuit(bias * scales.bias, frequency, nodes, extra_resistance, noise, expected)
    kernel = partial(_infer, circuit=circuit, scales=scales, known=sigma is not None)
    found = along(data, swept.dim, kernel, _declare_outputs(data, swept, circuit, scales))
    return add_choices(found, dim=swept.dim, coordinate=str(swept.bias.name))


def _read_waveform(swept: Swept) -> Array:
    for name in (swept.dim, *map(str, swept.bias.dims)):
        if name in ("direction", "voltage"):
            raise RoleError(f"The dim {name!r} is called as one of the result; rename it.")
    if swept.bias.dims != (swept.dim,):
        raise SelectionError(
            f"The bias {swept.bias.name!r} changes from pixel to pixel, over {swept.bias.dims}; one is wanted for all. "
            f"Select pixels that share one."
        )
    found: Array = swept.bias.values.astype(np.float64)
    if not np.isfinite(found).all():
        raise UnitsError(f"The bias {swept.bias.name!r} has values that are not finite.")
    return found


def _infer(current: npt.NDArray[Any], **circuit: Any) -> tuple[npt.NDArray[Any], ...]:
    """Return what is inferred of a block; rows in pieces, so that what is made on the way stays small."""
    rows = current.reshape(-1, current.shape[-1])
    at_once = max(1, _PIECE // (8 * rows.shape[1]))
    if len(rows) <= at_once:
        with limit_blas():
            return tuple(part.reshape(*current.shape[:-1], *part.shape[1:]) for part in _infer_rows(rows, **circuit))
    found = [np.empty((len(rows), *part.shape[1:]), part.dtype) for part in _infer_rows(rows[:1], **circuit)]

    def run(piece: slice) -> None:
        for whole, part in zip(found, _infer_rows(rows[piece], **circuit), strict=True):
            whole[piece] = part

    with limit_blas():  # rows are worked through side by side already
        share_slices(run, len(rows), at_once=at_once)
    return tuple(whole.reshape(*current.shape[:-1], *whole.shape[1:]) for whole in found)


def _infer_rows(
    current: npt.NDArray[Any], *, circuit: Circuit, scales: Scales, known: bool
) -> tuple[Array, Array, Array, Array, npt.NDArray[Any]]:
    """Return resistance and capacitance with their errors, and the corrected current."""
    nano = current.astype(np.float64) * scales.current
    nano[~np.isfinite(nano).all(axis=-1)] = np.nan
    means = np.stack([sweep.infer(nano) for sweep in circuit.sweeps], axis=-2)
    scaled = np.where(np.isfinite(means[..., 0]), 1.0, np.nan)
    if not known:
        pairs = enumerate(circuit.sweeps)
        scatter = [sweep.measure_scatter(nano, means[..., k, :]) for k, sweep in pairs]
        scaled = np.stack(scatter, axis=-1) / circuit.sigma
    errors = np.stack([sweep.stderr for sweep in circuit.sweeps]) * scaled[..., np.newaxis]
    mean, error = means[..., :-1], errors[..., :-1]
    with np.errstate(divide="ignore", invalid="ignore"):  # of a conductance that is 0 to the last digit
        resistance = scales.resistance / mean
        resistance_error = scales.resistance * error / mean**2
    stored = means[..., -1]
    corrected = nano - stored.mean(axis=-1)[..., np.newaxis] * circuit.leading
    return (
        resistance,
        resistance_error,
        stored * scales.capacitance,
        errors[..., -1] * scales.capacitance,
        (corrected / scales.current).astype(current.dtype),
    )


def _declare_outputs(data: xr.DataArray, swept: Swept, circuit: Circuit, scales: Scales) -> dict[str, Output]:
    role = {} if (found := find_role(data, swept.dim)) is None else {ROLE: found}
    unit = {} if swept.units is None else {"units": swept.units}
    voltage = xr.DataArray(circuit.nodes / scales.bias, dims="voltage", attrs={**role, "long_name": "Bias", **unit})
    direction = xr.DataArray(list(DIRECTIONS), dims="direction", attrs={**role, "long_name": "Direction"})
    over, places = ("direction", "voltage"), {"direction": direction, "voltage": voltage}
    kept_attrs = {key: data.attrs[key] for key in ("long_name", "units") if key in data.attrs}
    of_resistance, of_capacitance = scales.describe("resistance"), scales.describe("capacitance")
    held: dict[str, Any] = {"dims": over, "coords": places, "dtype": np.float64}
    kept: dict[str, Any] = {"dims": ("direction",), "coords": {"direction": direction}, "dtype": np.float64}
    return {
        "resistance": Output(**held, attrs={"long_name": "Resistance"} | of_resistance),
        "resistance_stderr": Output(**held, attrs={"long_name": "Standard error of Resistance"} | of_resistance),
        "capacitance": Output(**kept, attrs={"long_name": "Capacitance"} | of_capacitance),
        "capacitance_stderr": Output(**kept, attrs={"long_name": "Standard error of Capacitance"} | of_capacitance),
        "corrected_current": Output(attrs={"long_name": "Current", **kept_attrs}),
    }
