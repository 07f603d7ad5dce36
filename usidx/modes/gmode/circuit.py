"""A periodic bias and what is expected of a contact -> what turns measured currents into conductance and capacitance.

The current is linear in what is looked for, and neither the bias nor what is expected differs from pixel to pixel. So
there is one factorisation, and each pixel takes a multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from usidx.errors import UsidError
from usidx.modes.current_voltage.derivative import split_runs
from usidx.tasks.process.blas import limit_blas

__all__ = ["Circuit", "Expected", "Sweep", "make_circuit"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """The posterior of one direction of the sweep, at noise of `Circuit.sigma`.

    Attributes
    ----------
    samples : ndarray of int
        Of the period, which belong to it.
    design : ndarray, shape (sample, unknown)
        Current of each unknown: conductances at the nodes, then the capacitance.
    gain : ndarray, shape (sample, unknown)
        The mean of the posterior is `expected` + current @ `gain`.
    expected : ndarray, shape (unknown)
        What it is where no current was measured.
    stderr : ndarray, shape (unknown)
        Standard deviations of the posterior.
    freedom : float
        What the sum of squared residuals comes to, in squared standard deviations of the noise.
    """

    samples: npt.NDArray[np.intp]
    design: Array
    gain: Array
    expected: Array
    stderr: Array
    freedom: float

    def infer(self, current: npt.NDArray[Any]) -> Array:
        """Return the mean of the posterior, (*other, unknown)."""
        mean: Array = self.expected + current[..., self.samples] @ self.gain
        return mean

    def measure_scatter(self, current: npt.NDArray[Any], mean: Array) -> Array:
        """Return how far the samples lie from the curve found: the root of the mean square, (*other)."""
        left = current[..., self.samples] - mean @ self.design.T
        return np.asarray(np.sqrt(np.einsum("...k,...k->...", left, left) / self.freedom))


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """A contact under a periodic bias, in V, nA, nS, nF and s.

    Attributes
    ----------
    nodes : ndarray
        Biases at which the conductance is looked for, rising.
    sweeps : tuple of Sweep
        The bias rising, and falling.
    leading : ndarray, shape (sample)
        Current per capacitance.
    sigma : float
        Standard deviation of the noise.
    """

    nodes: Array
    sweeps: tuple[Sweep, Sweep]
    leading: Array
    sigma: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of any contact before it is measured: normal distributions.

    Attributes
    ----------
    conductance, spread : float
        Mean and standard deviation of conductances.
    capacitance : float
        Standard deviation of capacitances, whose mean is 0.
    length : float
        Bias over which the conductance may change.
    """

    conductance: float
    spread: float
    capacitance: float
    length: float


def make_circuit(bias: Array, frequency: float, nodes: int, leak: float, sigma: float, expected: Expected) -> Circuit:
    """Factorise what all pixels have in common; that of the last few calls is kept.

    Raises
    ------
    UsidError
        The bias does not go up and down.
    """
    return _make_circuit(np.ascontiguousarray(bias, np.float64).tobytes(), frequency, nodes, leak, sigma, expected)


@lru_cache(maxsize=16)
def _make_circuit(held: bytes, frequency: float, nodes: int, leak: float, sigma: float, expected: Expected) -> Circuit:
    bias = np.frombuffer(held)
    rising = _find_rising(bias)
    swing = np.ptp(bias)
    if not swing or not 4 <= rising.sum() <= bias.size - 4:
        raise UsidError(
            f"The bias should go up and down, with some samples either way; of {bias.size} it rises in {rising.sum()}."
        )
    leading = _differentiate(bias, frequency) + leak * bias
    places = np.linspace(bias.min(), bias.max(), nodes)
    hats = _interpolate(bias, places) * bias[:, np.newaxis]
    design = np.column_stack([hats, leading])
    prior = _make_prior(places, expected)
    mean = np.append(np.full(nodes, expected.conductance), 0.0)
    with limit_blas():  # matrices so small lose by threads
        found = [_solve(design, np.flatnonzero(own), prior, mean, sigma) for own in (rising, ~rising)]
    return Circuit(places, (found[0], found[1]), leading, sigma)


def _find_rising(bias: Array) -> npt.NDArray[np.bool_]:
    """Say at which samples the bias rises; where it turns, what follows counts."""
    rising = np.zeros(bias.size, dtype=bool)
    for run in split_runs(bias):
        first, last = run.samples[0], run.samples[-1]
        rising[first : last + 1] = bias[last] > bias[first]
    return rising


def _differentiate(bias: Array, frequency: float) -> Array:
    """Return dV/dt of whole periods, whose ends meet."""
    spectrum = np.abs(np.fft.rfft(bias - bias.mean()))
    periods = int(np.argmax(spectrum))
    step = periods / (frequency * bias.size)
    slope: Array = (np.roll(bias, -1) - np.roll(bias, 1)) / (2 * step)
    return slope


def _interpolate(bias: Array, nodes: Array) -> Array:
    """Return the weights of the nodes at each bias, by which values are interpolated linearly."""
    place = (bias - nodes[0]) / (nodes[1] - nodes[0])
    left = np.clip(np.floor(place).astype(np.intp), 0, nodes.size - 2)
    found = np.zeros((bias.size, nodes.size))
    rows = np.arange(bias.size)
    found[rows, left], found[rows, left + 1] = 1 - (place - left), place - left
    return found


def _make_prior(nodes: Array, expected: Expected) -> Array:
    """Return rows whose squares add up to what the prior has against a deviation from its mean.

    These are (1 + L^3) / spread^2 of the conductance, where L is minus the second difference in units of `length`, with
    ends that are free; L^3 is the square of one more difference of it.
    """
    count = nodes.size
    steps = np.diff(np.eye(count), axis=0) * (expected.length / (nodes[1] - nodes[0]))
    rough = steps @ (steps.T @ steps)
    of_conductance = np.vstack([np.eye(count), rough]) / expected.spread
    found = np.zeros((len(of_conductance) + 1, count + 1))
    found[:-1, :-1] = of_conductance
    found[-1, -1] = 1 / expected.capacitance
    return found


def _solve(design: Array, samples: npt.NDArray[np.intp], prior: Array, mean: Array, sigma: float) -> Sweep:
    """Factorise by reflections: the square of the equations would lose half of the digits."""
    own = design[samples]
    stacked = np.vstack([own / sigma, prior])
    scale = np.linalg.norm(stacked, axis=0)
    orthogonal, triangle = scipy.linalg.qr(stacked / scale, mode="economic")
    turned = orthogonal[: samples.size].T / sigma
    gain = scipy.linalg.solve_triangular(triangle, turned).T / scale
    inverse = scipy.linalg.solve_triangular(triangle, np.eye(mean.size)) / scale[:, np.newaxis]
    left = orthogonal[: samples.size]
    seen = left.T @ left  # the residuals are those of 1 - left left^T
    freedom = samples.size - 2 * np.trace(seen) + np.sum(seen * seen)
    expected = mean - (own @ mean) @ gain
    return Sweep(samples, own, gain, expected, np.sqrt((inverse**2).sum(axis=1)), max(float(freedom), 1e-9))
