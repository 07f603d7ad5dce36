"""Arrays over time or place -> the same over frequency, and back to the very axis that they came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import scipy.fft
import xarray as xr

from usidx.errors import ResultError, SelectionError, UsidError
from usidx.format.packing import pack_attribute, unpack_attributes
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.label.roles import Dims, choose_dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, invert_unit, read_axis
from usidx.signal.rows import blank_missing
from usidx.tasks.threads import worker_count

__all__ = ["fft", "ifft", "is_transformed", "make_window"]

Array = npt.NDArray[Any]
Keep = Literal["all", "positive"]

#: Attributes of a frequency coordinate, by which the way back is found: the dim, its coordinate (all of it, or its
#: ends where it is even to the last bit), the attributes of that as JSON, its size, and what was kept of what.
_OF: Final = "fft_of"
_COORDINATE: Final = "fft_coordinate"
_ATTRS: Final = "fft_attrs"
_SIZE: Final = "fft_size"
_KIND: Final = "fft_kind"
_BEFORE: Final = "Fourier Transform of "
#: Of a unit, that is looked for on the way back: nm and two axes in nm make nm^3.
_HIGHEST_POWER: Final = 9


@verb("FFT")
def fft(
    data: xr.DataArray,
    dim: Dims | None = None,
    *,
    window: Any = None,
    detrend: Literal["constant", "linear"] | None = None,
    keep: Keep = "all",
) -> xr.DataArray:
    r"""Transform along one dim, or several, to frequency.

    A lazy array stays lazy. Axes may begin anywhere and descend: phases refer to coordinate 0.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex, its axis even. A spectrum with a sample that is not finite becomes NaN.
    dim : str or iterable of str, optional
        By default the only spectroscopic one.
    window : str or tuple, optional
        By what each spectrum is multiplied first, as `scipy.signal.get_window` names it: ``"hann"``. By default
        nothing.
    detrend : {"constant", "linear"}, optional
        Take off the mean, or a line, first. By default nothing.
    keep : {"all", "positive"}
        The frequencies of the last dim: all, or those from 0 up, which tell all of a real array.

    Returns
    -------
    DataArray, dims (*any, dim_frequency)
        Complex. Instead of ``Time`` there is ``Time_frequency``, which ascends, in the reciprocal unit: Hz of s, 1/nm
        of nm. The units are those of `data` times those of the coordinate; single precision stays single.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The axis is not even.
    UsidError
        There is no such window or other option, or a coordinate has the name of the new dim.

    Notes
    -----
    :math:`F(f) = |\Delta t| \sum_k x(t_k) e^{-2 \pi i f t_k}`, which stands for the integral whatever the step.
    `ifft` gives back the array with its coordinate, to the bit, as long as all frequencies are there.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> time = xr.DataArray(np.arange(100) * 1e-3, dims="Time", attrs={"units": "s"})
    >>> wave = np.cos(2 * np.pi * 50 * time).assign_coords(Time=time).assign_attrs(units="V")
    >>> found = usidx.signal.fft(wave)
    >>> found.units, found.Time_frequency.units, float(abs(abs(found).idxmax()))
    ('V s', 'Hz', 50.0)
    """
    core = choose_dims(data, dim, None if dim is not None else 1)
    _check_options(window, detrend, keep)
    axes = tuple(_read(data, d) for d in core)
    steps = [_Step.of(axis, data, keep if axis is axes[-1] else "all") for axis in axes]
    for step in steps:
        if step.name in data.dims or step.name in data.coords:
            raise SelectionError(f"{step.name!r} is there already; rename it, or the dim {step.axis.dim!r}.")
    kernel = partial(_transform, steps=steps, window=window, detrend=detrend)
    output = Output(
        dims=tuple(step.name for step in steps),
        coords={step.name: step.label(data) for step in steps},
        dtype=np.result_type(_get_working_dtype(data), np.complex64),
        attrs=_describe(data, axes),
    )
    return add_choices(along(data, core, kernel, output), dim=list(core))


def _check_options(window: Any, detrend: str | None, keep: str) -> None:
    if keep not in ("all", "positive"):
        raise UsidError(f"keep={keep!r}; it should be 'all' or 'positive'.")
    if detrend not in (None, "constant", "linear"):
        raise UsidError(f"detrend={detrend!r}; it should be None, 'constant' or 'linear'.")
    if window is not None:
        make_window(window, 8)


def make_window(window: Any, size: int) -> Array:
    """Return a window by its name in SciPy.

    Raises
    ------
    UsidError
        There is none of that name.
    """
    from scipy.signal import get_window

    try:
        return np.asarray(get_window(window, size))
    except (ValueError, TypeError) as err:
        raise UsidError(f"window={window!r}: {err}") from err


def _read(data: xr.DataArray, dim: str) -> Axis:
    if not data.sizes[dim]:
        raise SelectionError(f"Dim {dim!r} of {data.name!r} is empty.")
    return read_axis(data, dim)


def _get_working_dtype(data: xr.DataArray) -> np.dtype[Any]:
    if data.dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.result_type(data.dtype, np.float32) if data.dtype.kind in "fc" else data.dtype


def _describe(data: xr.DataArray, axes: tuple[Axis, ...]) -> dict[str, str]:
    """Return quantity and units of a transform, as far as those of the array and its axes are known."""
    known, unit = data.attrs.get("units"), [axis.unit for axis in axes]
    named = {"long_name": f"{_BEFORE}{data.attrs['long_name']}"} if "long_name" in data.attrs else {}
    if not isinstance(known, str) or None in unit:
        return named
    return {**named, "units": units.multiply(known, *(u for u in unit if u is not None))}


@dataclass(frozen=True, slots=True)
class _Step:
    """The way along one axis.

    Attributes
    ----------
    axis : Axis
        That is transformed.
    kind : str
        ``real`` or ``complex`` where all frequencies are kept, ``half`` of a real array, ``positive`` of a complex one.
    """

    axis: Axis
    kind: str

    @classmethod
    def of(cls, axis: Axis, data: xr.DataArray, keep: str) -> _Step:
        is_complex = data.dtype.kind == "c"
        if keep == "positive":
            return cls(axis, "positive" if is_complex else "half")
        return cls(axis, "complex" if is_complex else "real")

    @property
    def name(self) -> str:
        return f"{self.axis.dim}_frequency"

    def compute_frequencies(self) -> Array:
        """Return the frequencies that are kept, in their order."""
        size, step = self.axis.size, abs(self.axis.step)
        if self.kind == "half":
            return np.asarray(scipy.fft.rfftfreq(size, step))
        every = np.asarray(scipy.fft.fftshift(scipy.fft.fftfreq(size, step)))
        return every[every >= 0] if self.kind == "positive" else every

    def compute_factors(self, dtype: npt.DTypeLike) -> Array:
        """Return step and phase of each frequency; turns are counted first, for they may be many."""
        turns = self.compute_frequencies() * self.axis.lowest
        return np.asarray(abs(self.axis.step) * np.exp(-2j * np.pi * (turns - np.rint(turns))), dtype)

    def label(self, data: xr.DataArray) -> xr.DataArray:
        """Return the coordinate of the frequencies, which tells the way back."""
        attrs: dict[str, Any] = {"long_name": "Frequency", _OF: self.axis.dim, _SIZE: self.axis.size, _KIND: self.kind}
        if self.axis.unit is not None:
            attrs["units"] = invert_unit(self.axis.unit)
        if self.axis.dim in data.coords:
            before = data.coords[self.axis.dim]
            attrs[_COORDINATE] = _shorten(np.asarray(before.values))
            attrs[_ATTRS] = json.dumps({str(k): pack_attribute(v, str(k)) for k, v in before.attrs.items()})
        return xr.DataArray(self.compute_frequencies(), dims=self.name, attrs=attrs)


def _shorten(values: Array) -> Array:
    """Return only the ends of a coordinate where they tell the rest to the last bit."""
    return (
        values[[0, -1]]
        if values.size > 2 and np.array_equal(_lengthen(values[[0, -1]], values.size), values)
        else values
    )


def _lengthen(ends: Array, size: int) -> Array:
    return np.linspace(ends[0], ends[-1], size).astype(ends.dtype) if ends.size != size else ends


def _transform(block: Array, *, steps: list[_Step], window: Any, detrend: str | None) -> Array:
    axes = tuple(range(-len(steps), 0))
    given = _flip(block, steps)
    if detrend is not None or window is not None:
        given = _prepare(given, axes, window, detrend)
    if steps[-1].kind == "half":
        found = scipy.fft.rfftn(given, axes=axes, workers=worker_count())
        shifted = axes[:-1]
    else:
        found = scipy.fft.fftn(given, axes=axes, workers=worker_count())
        shifted = axes
    found = scipy.fft.fftshift(found, axes=shifted) if shifted else found
    if steps[-1].kind == "positive":
        found = found[..., -steps[-1].compute_frequencies().size :].copy()
    for axis, step in zip(axes, steps, strict=True):
        found *= step.compute_factors(found.dtype).reshape(-1, *(1,) * (-axis - 1))
    lead = block.shape[: -len(steps)]
    return blank_missing(found.reshape(*lead, -1), block.reshape(*lead, -1)).reshape(found.shape)


def _flip(block: Array, steps: list[_Step]) -> Array:
    """Return the block, a view, with the axes that descend turned round."""
    return block[(..., *(slice(None, None, -1 if step.axis.step < 0 else None) for step in steps))]


def _prepare(given: Array, axes: tuple[int, ...], window: Any, detrend: str | None) -> Array:
    from scipy.signal import detrend as remove_trend

    made = given
    for axis in axes:
        if detrend is not None and made.shape[axis] > (detrend == "linear"):
            # SciPy refuses what is not finite; such spectra become NaN at the end.
            made = np.asarray(remove_trend(np.where(np.isfinite(made), made, 0), axis, detrend), given.dtype)
        if window is not None:
            factors = make_window(window, made.shape[axis]).astype(given.real.dtype)
            made = made * factors.reshape(-1, *(1,) * (-axis - 1))
    return made


def is_transformed(data: xr.DataArray, dim: str) -> bool:
    """Say whether the dim is a frequency that `fft` made."""
    return dim in data.coords and _OF in data.coords[dim].attrs


@verb("IFFT")
def ifft(data: xr.DataArray, dim: Dims | None = None) -> xr.DataArray:
    """Transform back what `fft` made: the axis, its name and its attributes are those of before.

    A lazy array stays lazy. What was real is real again; where the frequencies were changed so that it would not be,
    its real part is taken.

    Parameters
    ----------
    data : DataArray, dims (*any, dim_frequency)
        With all frequencies of a transform.
    dim : str or iterable of str, optional
        The frequencies; by default all that `fft` made.

    Returns
    -------
    DataArray, dims (*any, dim)
        Its units are those of before the transform.

    Raises
    ------
    ResultError
        No dim comes from `fft`, frequencies are missing or in another order, or only those from 0 up of a complex
        array are there.
    RoleError
        A dim is not there.

    Examples
    --------
    >>> import usidx
    >>> curves, _ = usidx.simulate.current_voltage((4, 4), 51)
    >>> back = usidx.signal.ifft(usidx.signal.fft(curves))
    >>> bool(back.Bias.equals(curves.Bias)), bool((abs(back - curves) < 1e-15).all()), back.units
    (True, True, 'A')
    """
    made = [str(d) for d in data.dims if is_transformed(data, str(d))]
    core = choose_dims(data, made if dim is None and made else dim)
    before = [_find_step(data, d) for d in core]
    # The half that was kept of a real array is undone last.
    order = sorted(range(len(core)), key=lambda n: before[n].kind == "half")
    core, steps = tuple(core[n] for n in order), [before[n] for n in order]
    output = Output(
        dims=tuple(step.axis.dim for step in steps),
        sizes={step.axis.dim: step.axis.size for step in steps},
        coords={s.axis.dim: c for s, d in zip(steps, core, strict=True) if (c := _restore(data.coords[d])) is not None},
        dtype=_choose_dtype_before(data, steps),
        attrs=_describe_before(data, steps),
    )
    return add_choices(along(data, core, partial(_transform_back, steps=steps), output), dim=list(core))


def _find_step(data: xr.DataArray, dim: str) -> _Step:
    """Return how a dim of frequencies was made, from what its coordinate tells."""
    attrs = data.coords[dim].attrs if dim in data.coords else {}
    if not {_OF, _SIZE, _KIND} <= set(attrs):
        raise ResultError(f"Dim {dim!r} was not made by usidx.signal.fft, so the axis of before is not known.")
    if attrs[_KIND] == "positive":
        raise ResultError(f"Of {dim!r} only the positive frequencies were kept; call fft with keep='all' to go back.")
    restored = _restore(data.coords[dim])
    name, size = str(attrs[_OF]), int(attrs[_SIZE])
    bare = xr.DataArray(np.empty(size, np.int8), dims=name, coords={} if restored is None else {name: restored})
    step = _Step(read_axis(bare, name), str(attrs[_KIND]))
    expected, found = step.compute_frequencies(), np.asarray(data.coords[dim].values, np.float64)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-5, atol=1e-6 * np.ptp(expected)):
        raise ResultError(
            f"{dim!r} has not all frequencies of its transform in their order ({found.size} of {expected.size}). Set "
            f"those that should go to 0, by data.where(..., 0), instead of selecting."
        )
    return step


def _restore(frequency: xr.DataArray) -> xr.DataArray | None:
    """Return the coordinate of before, None where there was none."""
    attrs = frequency.attrs
    if _COORDINATE not in attrs:
        return None
    values = _lengthen(np.atleast_1d(np.asarray(attrs[_COORDINATE])), int(attrs[_SIZE]))
    kept = unpack_attributes(json.loads(str(attrs.get(_ATTRS, "{}"))))
    return xr.DataArray(values, dims=str(attrs[_OF]), attrs=kept)


def _choose_dtype_before(data: xr.DataArray, steps: list[_Step]) -> np.dtype[Any]:
    working = np.result_type(_get_working_dtype(data), np.complex64)
    return np.empty(0, working).real.dtype if steps[-1].kind in ("real", "half") else working


def _describe_before(data: xr.DataArray, steps: list[_Step]) -> dict[str, Any]:
    named = {k: str(v).removeprefix(_BEFORE) for k, v in data.attrs.items() if k == "long_name"}
    unit = data.attrs.get("units")
    if not isinstance(unit, str) or any(step.axis.unit is None for step in steps):
        return named
    for step in steps:
        unit = _divide(unit, str(step.axis.unit))
    return {**named, "units": unit}


def _divide(unit: str, by: str) -> str:
    """Take a factor off a product of units, or one of its power, or else divide by it."""
    factors = unit.split(" ")
    if units.is_dimensionless(by):
        return unit
    powers = {units.raise_to_power(by, count): count for count in range(_HIGHEST_POWER, 0, -1)}
    for place in sorted(range(len(factors)), key=lambda n: powers.get(factors[n], _HIGHEST_POWER)):
        if factors[place] in powers:
            left = units.raise_to_power(by, powers[factors[place]] - 1)
            return " ".join(filter(None, [*factors[:place], left, *factors[place + 1 :]]))
    return units.divide(unit, by)


def _transform_back(block: Array, *, steps: list[_Step]) -> Array:
    axes = tuple(range(-len(steps), 0))
    whole = block.astype(np.result_type(block.dtype, np.complex64))  # a copy, which may be changed
    for axis, step in zip(axes, steps, strict=True):
        whole /= step.compute_factors(whole.dtype).reshape(-1, *(1,) * (-axis - 1))
    sizes = [step.axis.size for step in steps]
    if steps[-1].kind == "half":
        whole = scipy.fft.ifftshift(whole, axes=axes[:-1]) if len(axes) > 1 else whole
        found = scipy.fft.irfftn(whole, s=sizes, axes=axes, workers=worker_count())
    else:
        found = scipy.fft.ifftn(scipy.fft.ifftshift(whole, axes=axes), axes=axes, workers=worker_count())
    if steps[-1].kind == "real":
        found = found.real
    lead = block.shape[: -len(steps)]
    found = blank_missing(found.reshape(*lead, -1), block.reshape(*lead, -1)).reshape(found.shape)
    return _flip(np.asarray(found), steps)
