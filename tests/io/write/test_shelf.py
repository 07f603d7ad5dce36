"""Tables of positions and steps are shared where they open as the same, and only there."""

from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest
import xarray as xr

from usidx.io.write import shelf as module
from usidx.io.write.main import create_main, find_free_name, make_safe_name
from usidx.io.write.shelf import Shelf
from usidx.label.coding import is_opened_alike
from usidx.label.roles import set_roles


def line(name: str, start: float = 0.0, **attrs: str) -> xr.DataArray:
    """Return four spectra of three steps along a line that starts somewhere."""
    coords = {"X": ("X", start + np.arange(4.0), {"units": "m", **attrs}), "E": ("E", np.arange(3.0), {"units": "V"})}
    array = xr.DataArray(np.zeros((4, 3)), coords, ("X", "E"), name)
    return set_roles(array, position="X", spectroscopic="E")


def tables_of(path: Path, arrays: list[xr.DataArray]) -> list[str]:
    """Write mains into one group, and return the table of positions that each refers to."""
    shelf = Shelf()
    with h5py.File(path, "w") as file:
        made = [create_main(file, array, str(array.name), shelf)[0] for array in arrays]
        return [file[main.attrs["Position_Values"]].name for main in made]


def test_equal_positions_are_written_once(tmp_path: Path) -> None:
    first, again, elsewhere = tables_of(tmp_path / "a.h5", [line("a"), line("b"), line("c", start=1.0)])
    assert first == again == "/Position_Values"
    assert elsewhere == "/c_Position_Values"


@pytest.mark.parametrize("other", [line("b", long_name="Fast axis"), line("b").isel(X=[0, 1, 3])])
def test_what_opens_otherwise_is_written_anew(tmp_path: Path, other: xr.DataArray) -> None:
    first, second = tables_of(tmp_path / "a.h5", [line("a"), other])
    assert first != second


def test_a_kept_dim_of_one_step_is_not_the_scalar_of_another(tmp_path: Path) -> None:
    scalar = line("b").isel(X=0)
    first, second = tables_of(tmp_path / "a.h5", [line("a").isel(X=[0]), scalar])
    assert first != second


def test_a_side_is_compared_with_few_of_many(tmp_path: Path) -> None:
    """Among 40 lines that start at other places, each finds its own without looking at the others."""
    arrays = [line(f"{kind}{start}", float(start)) for kind in "ab" for start in range(40)]
    with mock.patch.object(module, "is_opened_alike", wraps=is_opened_alike) as compared:
        tables = tables_of(tmp_path / "a.h5", arrays)
    assert tables[:40] == tables[40:]
    assert len(set(tables)) == 40
    # The steps are those of the first array for all but that; the positions are compared once for each of the second.
    assert compared.call_count == 79 + 40


def test_a_free_name_is_found_without_asking_for_each_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    contains = h5py.Group.__contains__

    def counted(group: h5py.Group, name: object) -> bool:
        asked.append(name)
        return bool(contains(group, name))

    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(100):
            assert find_free_name(file, "S") == ("S" if number == 0 else f"S_{number - 1:03d}")
            file.create_group(find_free_name(file, "S"))
        monkeypatch.setattr(h5py.Group, "__contains__", counted)
        assert find_free_name(file, "S") == "S_099"
    assert 0 < len(asked) < 20


@pytest.mark.parametrize(
    ("name", "safe"), [("a-b/c", "a_b_c"), (" x ", "x"), ("..", "Data"), (".", "Data"), ("", "Data")]
)
def test_names_stay_in_their_group(name: str, safe: str) -> None:
    assert make_safe_name(name) == safe
