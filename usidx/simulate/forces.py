"""Maps of force curves with known contact: spheres and cones on elastic ground, with adhesion, and a tilted line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from usidx.errors import UsidError
from usidx.results.provenance import put_steps
from usidx.simulate.fields import (
    Chunks,
    SmoothField,
    assemble,
    draw_row_noise,
    make_position_coordinates,
    make_spectroscopic_coordinate,
    match_chunks,
)
from usidx.simulate.oscillation import check_positive, check_sizes
from usidx.version import usidx_version

__all__ = ["force_map"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Model = Literal["hertz", "cone", "jkr"]

_WIDTH: Final = 5e-6
_TOP: Final = 1e-6  # m, of the height
_RATE: Final = 1e-3  # s from sample to sample
_TYPICAL: Final = 40e-9  # N, a force at the end of the approach
_RADIUS: Final = 2.5e-6
_HALF_ANGLE: Final = 35.0
_POISSON: Final = 0.5
_TRUTH: Final[Mapping[str, tuple[str, str]]] = {
    "contact_point": ("Contact Point", "m"),
    "modulus": ("Young's Modulus", "Pa"),
    "indentation": ("Indentation", "m"),
    "stiffness": ("Contact Stiffness", "N/m"),
    "adhesion": ("Adhesion", "N"),
    "work": ("Work of Adhesion", "J"),
    "snap_in": ("Snap-in Force", "N"),
}


def force_map(
    shape: tuple[int, int] = (16, 16),
    samples: int = 500,
    *,
    model: Model = "hertz",
    spring_constant: float = 0.2,
    adhesion: float = 5e-9,
    tilt: float = 2e-3,
    pause: int = 0,
    noise: float = 0.01,
    seed: int = 0,
    dtype: DTypeLike = "float64",
    chunks: Chunks = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    r"""Simulate a map of force curves: the tip goes to an elastic sample and back, with adhesion and a tilted baseline.

    At each position the height of the base of the cantilever falls from 1 um to 0 and rises again. Contact point,
    modulus and adhesion differ from place to place. With `chunks` map and truth are lazy, and equal to those in memory
    for any chunking.

    Parameters
    ----------
    shape : tuple of int
        Rows (Y) and columns (X); the map is 5 um wide.
    samples : int
        Samples of the approach, and as many of the retract.
    model : {"hertz", "cone", "jkr"}
        A sphere of 2.5 um, or a cone of 35 degrees from its axis, whose adhesion is a force beside that of Hertz and
        Sneddon; or a sphere that sticks as by Johnson, Kendall and Roberts.
    spring_constant : float
        Of the cantilever, in N/m.
    adhesion : float
        Typical force that the tip is torn off with, in N; 0 for none, which jkr cannot have.
    tilt : float
        How the force changes on the way to the sample before contact, in N/m.
    pause : int
        Samples between approach and retract, at height 0.
    noise : float
        Standard deviation of the force, as a fraction of 40 nN, a typical force at the end of the approach.
    seed : int
        Same seed, same map.
    dtype : dtype
        A real type.
    chunks : mapping of dim to block size or "auto", optional
        Dask blocks; "auto" cuts slabs of about 32 MB along Y with whole curves.

    Returns
    -------
    curves : DataArray, dims (Y, X, time)
        Force in N, named ``Raw_Data``; repulsion is positive. Along ``time`` the coordinates ``height`` (m) and
        ``segment`` (0 approach, then pause, retract). ``spring_constant``, ``tip_radius``, ``half_angle`` and
        ``poisson`` are among the attributes.
    truth : Dataset, dims (Y, X)
        ``contact_point`` (the height at which the undeflected tip touches), ``modulus`` (Pa), ``indentation`` and
        ``stiffness`` at the end of the approach, ``adhesion``, its ``work``, and ``snap_in``, with which the tip is
        drawn down where it touches.

    Raises
    ------
    UsidError
        A size is below one, the model is not one of those named, jkr has no adhesion, or the dtype is not real.

    Notes
    -----
    The force F at a height z obeys :math:`F = C \delta^p - F_a` with :math:`\delta = z_0 - z - F / k`, where
    :math:`C = \frac{4}{3} E^* \sqrt{R}`, p = 3/2 for a sphere and :math:`C = \frac{2}{\pi} E^* \tan\alpha`, p = 2 for
    a cone, :math:`E^* = E / (1 - \nu^2)`. On the way back the tip stays until the contact has gone.

    References
    ----------
    I. N. Sneddon, Int. J. Eng. Sci. 3, 47 (1965). K. L. Johnson, K. Kendall and A. D. Roberts, Proc. R. Soc. A 324,
    301 (1971). H.-J. Butt, B. Cappella and M. Kappl, Surf. Sci. Rep. 59, 1 (2005).

    Examples
    --------
    >>> from usidx.simulate import force_map
    >>> curves, truth = force_map((4, 4), 200)
    >>> curves.dims, curves.height.units, truth.modulus.units
    (('Y', 'X', 'time'), 'm', 'Pa')
    """
    check_sizes(rows=shape[0], columns=shape[1], samples=samples, pause=pause + 1)
    check_positive(spring_constant=spring_constant)
    if model not in ("hertz", "cone", "jkr"):
        raise UsidError(f"Unknown model {model!r}: give one of 'hertz', 'cone', 'jkr'.")
    if model == "jkr" and not adhesion > 0:
        raise UsidError(f"model='jkr' is of a tip that sticks, and adhesion={adhesion!r}: give a force above 0.")
    if np.dtype(dtype).kind != "f":
        raise UsidError(f"A force is real, dtype {str(dtype)!r} is not: give 'float64'.")
    rng = np.random.default_rng(seed)
    fields = tuple(SmoothField.draw(rng, 0.4 * _WIDTH) for _ in range(3))
    height, segment = _make_way(samples, pause)
    surface = _Surface(
        shape[1], model, spring_constant, adhesion, tilt, fields, height, segment, noise, seed, np.dtype(dtype)
    )
    options = {"shape": list(shape), "samples": samples, "model": model, "spring_constant": spring_constant}
    options |= {"adhesion": adhesion, "tilt": tilt, "pause": pause, "noise": noise, "seed": seed}
    step = {"tool": "simulate.force_map", "version": usidx_version(), "parameters": options | {"dtype": str(dtype)}}
    return put_steps(_label(surface, shape, chunks), [step]), _build_truth(surface, shape, chunks)


def _make_way(samples: int, pause: int) -> tuple[Array, Index]:
    """Return height and segment of each sample."""
    down = np.linspace(_TOP, 0.0, samples)
    height = np.concatenate([down, np.zeros(pause), down[::-1]])
    counts = [samples, pause, samples] if pause else [samples, samples]
    return height, np.repeat(np.arange(len(counts)), counts)


def _label(surface: _Surface, shape: tuple[int, int], chunks: Chunks) -> xr.DataArray:
    count = surface.height.size
    time = make_spectroscopic_coordinate("time", _RATE * np.arange(count), "time", "s")
    coords = make_position_coordinates(shape, _WIDTH) | {"time": time}
    coords["height"] = xr.Variable("time", surface.height, {"long_name": "Height", "units": "m"})
    coords["segment"] = xr.Variable("time", surface.segment.astype("i2"), {"long_name": "Segment of the curve"})
    sizes = {"Y": shape[0], "X": shape[1], "time": count}
    attrs: dict[str, Any] = {"long_name": "Force", "units": "N", "spring_constant": surface.spring_constant}
    attrs |= {"half_angle": _HALF_ANGLE} if surface.model == "cone" else {"tip_radius": _RADIUS}
    data = assemble(surface.compute_noisy, sizes, surface.dtype, chunks)
    named = attrs | {"poisson": _POISSON}
    return xr.DataArray(data, dims=tuple(sizes), coords=coords, name="Raw_Data", attrs=named)


def _build_truth(surface: _Surface, shape: tuple[int, int], chunks: Chunks) -> xr.Dataset:
    sizes = {"Y": shape[0], "X": shape[1]}
    found = {
        name: xr.Variable(
            ("Y", "X"),
            assemble(partial(surface.compute_figure, name), sizes, np.float64, match_chunks(chunks, sizes)),
            {"long_name": title, "units": units},
        )
        for name, (title, units) in _TRUTH.items()
    }
    return xr.Dataset(found, coords=make_position_coordinates(shape, _WIDTH))


@dataclass(frozen=True)
class _Surface:
    """Everything that decides a map of force curves."""

    columns: int
    model: str
    spring_constant: float
    adhesion: float
    tilt: float
    fields: tuple[SmoothField, ...]
    height: Array
    segment: Index
    noise: float
    seed: int
    dtype: np.dtype[Any]

    @property
    def power(self) -> float:
        """Return the power of the indentation."""
        return 2.0 if self.model == "cone" else 1.5

    def compute_known(self, y: Index, x: Index) -> dict[str, Array]:
        """Return what differs from place to place, and the factor of the law of contact, over (y, x)."""
        step = _WIDTH / max(self.columns - 1, 1)
        ground, stiff, sticky = (np.tanh(field(y * step, x * step)) for field in self.fields)
        modulus = 2e5 * np.exp(0.5 * stiff)
        reduced = modulus / (1 - _POISSON**2)
        sphere, cone = 4 / 3 * np.sqrt(_RADIUS), 2 / np.pi * np.tan(np.radians(_HALF_ANGLE)) * 5.0
        law = reduced * (cone if self.model == "cone" else sphere)
        return {"contact_point": 0.4e-6 + 0.08e-6 * ground, "modulus": modulus * (5.0 if self.model == "cone" else 1.0),
                "law": law, "adhesion": self.adhesion * (1 + 0.4 * sticky)}  # fmt: skip

    def compute_figure(self, name: str, y: Index, x: Index) -> Array:
        """Return one figure of the truth over (y, x)."""
        known = self.compute_known(y, x)
        if name in known:
            return known[name]
        law = _Sticky(known, self.spring_constant) if self.model == "jkr" else _Smooth(known, self)
        force, far = law.push(known["contact_point"])
        if name == "indentation":
            return far
        if name == "stiffness":
            return law.measure_stiffness(far, force)
        if name == "snap_in":
            return -law.push(np.zeros_like(force))[0]
        return law.measure_work()

    def compute_force(self, y: Index, x: Index, time: Index) -> Array:
        """Return the force over (y, x, time), without noise."""
        known = {n: v[..., None] for n, v in self.compute_known(y, x).items()}
        law = _Sticky(known, self.spring_constant) if self.model == "jkr" else _Smooth(known, self)
        height, goes_back = self.height[time], self.segment[time] > 0
        on = known["contact_point"] - height
        touches = on >= np.where(goes_back, law.off, 0.0)
        force = np.where(touches, law.push(np.where(touches, on, 0.0))[0], 0.0)
        return force + self.tilt * (_TOP - height)

    def compute_noisy(self, y: Index, x: Index, time: Index) -> NDArray[Any]:
        """Return the force as it is measured."""
        block = np.empty((y.size, x.size, time.size), self.dtype)
        for number, row in enumerate(y):
            clean = self.compute_force(y[number : number + 1], x, time)[0]
            drawn = draw_row_noise(self.seed, int(row), (self.columns, self.height.size), (x, time))
            block[number] = clean + self.noise * _TYPICAL * drawn
        return block


class _Smooth:
    """F = C indentation^p less a constant attraction."""

    def __init__(self, known: Mapping[str, Array], surface: _Surface) -> None:
        self.law, self.pull, self.power = known["law"], known["adhesion"], surface.power
        self.give = 1 / surface.spring_constant
        self.off = -self.give * self.pull

    def push(self, on: Array) -> tuple[Array, Array]:
        """Return force and indentation where the base went on by so much since contact."""
        way = on + self.give * self.pull
        far = way.copy()
        for _ in range(60):  # from above, and the curve is hollow: each step of Newton's stays above
            excess = far + self.give * self.law * far**self.power - way
            far = far - excess / (1 + self.give * self.law * self.power * far ** (self.power - 1))
            far = np.maximum(far, 0.0)
        return self.law * far**self.power - self.pull, far

    def measure_stiffness(self, far: Array, force: Array) -> Array:
        """Return the slope of the force by the indentation."""
        return np.asarray(self.power * (force + self.pull) / far)

    def measure_work(self) -> Array:
        """Return the area between retract and zero: that of the contact, and of the cantilever that snaps off."""
        flat = (self.pull / self.law) ** (1 / self.power)
        return np.asarray(self.pull * flat * self.power / (self.power + 1) + 0.5 * self.give * self.pull**2)


class _Sticky:
    """JKR's sphere: force and indentation by the root of the contact radius, in that at no load."""

    def __init__(self, known: Mapping[str, Array], spring_constant: float) -> None:
        self.pull, self.give = known["adhesion"], 1 / spring_constant
        self.size = (4 * self.pull / known["law"]) ** (2 / 3)
        low, high = np.full_like(self.pull, 0.5), np.full_like(self.pull, 0.8)
        for _ in range(60):
            beta = (low + high) / 2
            rises = self._rise(beta) > 0
            low, high = np.where(rises, low, beta), np.where(rises, beta, high)
        self.edge = high
        self.off = self._way(high)

    def _force(self, beta: Array) -> Array:
        return np.asarray(4 * self.pull * (beta**6 - beta**3))

    def _far(self, beta: Array) -> Array:
        return np.asarray(self.size * (beta**4 - 2 / 3 * beta))

    def _way(self, beta: Array) -> Array:
        return self._far(beta) + self.give * self._force(beta)

    def _rise(self, beta: Array) -> Array:
        steep = 12 * self.pull * (2 * beta**5 - beta**2)
        return np.asarray(self.size * (4 * beta**3 - 2 / 3) + self.give * steep)

    def push(self, on: Array) -> tuple[Array, Array]:
        """Return force and indentation where the base went on by so much since contact."""
        beta = 2 + (np.maximum(on, 0) / self.size) ** 0.25
        for _ in range(60):
            beta = np.maximum(beta - (self._way(beta) - on) / self._rise(beta), self.edge)
        return self._force(beta), self._far(beta)

    def measure_stiffness(self, far: Array, force: Array) -> Array:
        """Return the slope of the force by the indentation."""
        beta = (0.5 + np.sqrt(0.25 + force / (4 * self.pull))) ** (1 / 3)
        return np.asarray(12 * self.pull * (2 * beta**5 - beta**2) / (self.size * (4 * beta**3 - 2 / 3)))

    def measure_work(self) -> Array:
        """Return the area between retract and zero: that of the contact, and of the cantilever that snaps off."""

        def integrate(beta: Array) -> Array:
            return np.asarray(0.4 * beta**10 - 2 / 3 * beta**7 + beta**4 / 6)

        whole = 4 * self.pull * self.size * (integrate(self.edge) - integrate(np.ones_like(self.edge)))
        return np.asarray(whole + 0.5 * self.give * self._force(self.edge) ** 2)
