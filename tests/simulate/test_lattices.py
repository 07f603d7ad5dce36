"""Simulated atoms beside the formula that they are told to follow."""

import numpy as np
import pytest

import usidx
from usidx.errors import UsidError
from usidx.simulate import atoms


def test_the_image_is_the_sum_of_its_atoms() -> None:
    image, truth = atoms((50, 60), sigma=(0.03, 0.05), angle=0.3, dumbbell=(0.05, 0.1), spacing=0.4, noise=0.0)
    v, u = (image[d] - truth[name] for d, name in (("Y", "y"), ("X", "x")))
    along, across = u * np.cos(0.3) + v * np.sin(0.3), v * np.cos(0.3) - u * np.sin(0.3)
    parts = truth.amplitude * np.exp(-((along / 0.05) ** 2 + (across / 0.03) ** 2) / 2)
    np.testing.assert_allclose(parts.sum("atom").transpose("Y", "X") + 0.2, image, atol=1e-6)
    assert set(truth.site.values) == {0, 1}
    assert truth.sigma_y.units == "nm"


def test_strain_stretches_the_right_half() -> None:
    _, truth = atoms((40, 200), strain=0.02)
    gaps = np.diff(np.unique(truth.x.values.round(9)))
    assert gaps[:5] == pytest.approx(0.24)
    assert gaps[-5:] == pytest.approx(0.24 * 1.02)
    assert set(truth.strain_xx.values) == {0, 0.02}
    assert usidx.history(atoms((40, 40))[0])[0]["tool"] == "simulate.atoms"


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(UsidError, match="spacing=0"):
        atoms(spacing=0)
