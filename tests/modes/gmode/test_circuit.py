"""What all pixels of a fast sweep have in common."""

import numpy as np
import pytest

from usidx.errors import UsidError
from usidx.modes.gmode.circuit import Expected, make_circuit

ANY = Expected(3.0, 10.0, 1.0, 1.0)


@pytest.mark.parametrize("turn", [0.0, 0.25, 0.4, 0.75])
def test_a_period_may_begin_anywhere_and_be_measured_with_noise(turn: float) -> None:
    phase = 2 * np.pi * (np.arange(400) / 400 + turn)
    bias = 5 * np.sin(phase) + np.random.default_rng(0).normal(0, 1e-3, 400)
    rising, falling = (sweep.samples for sweep in make_circuit(bias, 200.0, 21, 0.0, 0.03, ANY).sweeps)
    wrong = np.cos(phase)[rising] < -0.05
    assert not wrong.any()
    assert not (np.cos(phase)[falling] > 0.05).any()
    assert sorted([*rising, *falling]) == list(range(400))


def test_currents_that_the_model_makes_are_found_exactly() -> None:
    bias = 2 * np.sin(2 * np.pi * np.arange(200) / 200)
    circuit = make_circuit(bias, 100.0, 31, 50.0, 1e-6, ANY)
    known = np.append(2 + np.tanh(circuit.nodes), 3e-3)
    current = np.empty(200)
    for sweep in circuit.sweeps:
        current[sweep.samples] = sweep.design @ known
    for sweep in circuit.sweeps:
        mean = sweep.infer(current[np.newaxis])
        np.testing.assert_allclose(mean[0], known, rtol=1e-4)
        assert sweep.measure_scatter(current[np.newaxis], mean)[0] < 1e-6


def test_where_nothing_was_measured_it_is_as_expected() -> None:
    bias = 2 * np.sin(2 * np.pi * np.arange(200) / 200)
    sweep = make_circuit(bias, 100.0, 31, 0.0, 1e9, Expected(7.0, 2.0, 0.5, 1.0)).sweeps[0]
    mean = sweep.infer(np.zeros((1, 200)))
    np.testing.assert_allclose(mean[0, :-1], 7.0, rtol=1e-6)
    assert abs(mean[0, -1]) < 1e-6
    assert sweep.stderr[-1] == pytest.approx(0.5, rel=1e-6)


def test_what_stands_still_is_no_sweep() -> None:
    with pytest.raises(UsidError, match="should go up and down"):
        make_circuit(np.ones(50), 100.0, 21, 0.0, 0.03, ANY)
