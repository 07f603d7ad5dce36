"""Example files are new, or refused, and hold what was simulated."""

from pathlib import Path
from typing import get_args

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import ExistsError, UsidError
from usidx.example import Kind


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    before = Path(path).read_bytes()
    with pytest.raises(ExistsError, match=r"scan.h5' exists"):
        usidx.example_file(path)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_opens_as_what_was_simulated(kind: Kind) -> None:
    path = usidx.example_file(kind=kind)
    (main,) = usidx.list_mains(path)
    raw = usidx.open_main(path)
    first = usidx.history(raw)[0]
    made, name = first["parameters"], first["tool"].removeprefix("simulate.")
    again, _ = getattr(usidx.simulate, name)(**made)
    assert main.endswith(f"/{again.name}")
    assert raw.dims == again.dims
    np.testing.assert_array_equal(raw.values, again.values)
    assert usidx.validate(path) == []
    assert Path(path).stat().st_size < 1_000_000


def test_each_technique_of_the_guide_has_a_kind() -> None:
    techniques = {"force_map", "kelvin_probe", "general_mode", "tunnelling", "raman", "eels", "4d_stem"}
    assert techniques <= set(get_args(Kind))


def test_the_curves_of_the_example_hold_moduli() -> None:
    curves = usidx.open_main(usidx.example_file(kind="force_map"))
    found = curves.usid.modes.force_curves(model="hertz").compute()
    _, truth = usidx.simulate.force_map((12, 12), 200)
    assert float(found.converged.mean()) > 0.95
    assert float(abs(found.modulus / truth.modulus - 1).median()) < 0.05


def test_the_truth_is_not_in_the_file() -> None:
    path = usidx.example_file(kind="switching")
    _, truth = usidx.simulate.beps((8, 8), 24)
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
    assert not {str(name) for name in truth.data_vars} & {name.rpartition("/")[2] for name in names}


def test_an_unknown_kind_is_told_which_there_are() -> None:
    with pytest.raises(UsidError, match=r"There is no example 'xrd'; there are 'band_excitation', 'switching'"):
        usidx.example_file(kind="xrd")  # type: ignore[arg-type]
