"""Loop fits as pycroscopy 0.60 and BGlib wrote them, beside the oscillator fit that they came from."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from tests.kit.legacy import results_group, side_without
from usidx.testing.files import Expected, build_main

__all__ = ["LOOP_FIT_FIELDS", "LOOP_METRICS_FIELDS", "SWITCHING_FIELDS", "add_loop_fit"]

Array = npt.NDArray[Any]

#: Field names of a stored loop fit.
LOOP_FIT_FIELDS = ("a_0", "a_1", "a_2", "a_3", "a_4", "b_0", "b_1", "b_2", "b_3", "R2 Criterion")
#: Field names of stored loop metrics.
LOOP_METRICS_FIELDS = ("Area", "Centroid x", "Centroid y", "Rotation Angle [rad]", "Offset")
#: Field names of stored switching parameters.
SWITCHING_FIELDS = (
    "V+", "V-", "Imprint", "R+", "R-", "Switchable Polarization", "Work of Switching", "Nucleation Bias 1",
    "Nucleation Bias 2",
)  # fmt: skip


def add_loop_fit(
    built: Expected, *, dim: str = "DC_Offset", dtype: str = "f8", fitted: bool = True, seed: int = 0
) -> dict[str, Array]:
    """Add `Fit-Loop_Fit_000` into the group `Raw_Data-SHO_Fit_000`, which must be there.

    Parameters
    ----------
    built : Expected
        The source of the oscillator fit, on a complete grid, with spectroscopic dims Frequency and `dim`.
    dim : str
        Along which the voltage was swept.
    dtype : str
        Of each field: "f8" as BGlib writes, "f4" as pycroscopy 0.60 did.
    fitted : bool
        Whether there is more than the guess.
    seed : int
        The figures are random, but for those of the switching parameters that repeat fitted ones.

    Returns
    -------
    dict of str to ndarray
        Each main dataset, dims (*position, *spectroscopic without Frequency, and without `dim` but for the loops).
    """
    random = np.random.default_rng(seed)
    steps = side_without(built.spectroscopic, "Frequency")
    cycles = side_without(steps, dim)
    shape = built.position.shape + cycles.shape
    found: dict[str, Array] = {
        "Projected_Loops": random.random(built.position.shape + steps.shape).astype("f4"),
        "Loop_Metrics": _figures(random, shape, LOOP_METRICS_FIELDS, dtype),
    }
    for stage in ("Guess", "Fit") if fitted else ("Guess",):
        found[stage] = _figures(random, shape, LOOP_FIT_FIELDS, dtype)
        found[f"{stage}_Loop_Parameters"] = _switching(random, found[stage], dtype)
    with h5py.File(built.path, "r+") as file:
        parent = str(file[built.main].parent.name)
        group = results_group(file, f"{parent}/{built.main.rsplit('/', 1)[-1]}-SHO_Fit_000/Fit", "Loop_Fit")
        group.attrs.update({"projection_method": "pycroscopy BE loop model", "fit_method": "pycroscopy functional"})
        group.attrs["guess_method"] = "pycroscopy Cluster Tree"
        for stage in ("guess", "fit") if fitted else ("guess",):
            group[f"completed_{stage}_positions"] = np.ones(len(built.position.cells), "u1")
        side = cycles
        for name, values in found.items():
            if name == "Projected_Loops":
                described: dict[str, Any] = {"quantity": "SHO", "units": "compound"}
                build_main(group, values, built.position, steps, name=name, **described)
                continue
            described = {"quantity": "Metrics", "units": "compound", "prefixes": {"spectroscopic": "Loop_Metrics_"}}
            side = build_main(group, values, built.position, side, name=name, **described).spectroscopic
            if name.endswith("_Loop_Parameters"):
                group[name].attrs["nuc_threshold"] = 0.03
    return found


def _figures(random: np.random.Generator, shape: tuple[int, ...], fields: tuple[str, ...], dtype: str) -> Array:
    values = np.zeros(shape, dtype=[(name, dtype) for name in fields])
    for name in fields:
        values[name] = random.random(shape)
    return values


def _switching(random: np.random.Generator, fit: Array, dtype: str) -> Array:
    values = _figures(random, fit.shape, SWITCHING_FIELDS, dtype)
    for name, field in (("V+", "a_3"), ("V-", "a_2"), ("R-", "a_0"), ("Switchable Polarization", "a_1")):
        values[name] = fit[field]
    values["Nucleation Bias 1"].flat[0] = -1e-10
    return values
