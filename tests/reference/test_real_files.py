"""Real files, opened, against the check values that were read from them with h5py alone.

The values stand in the table ``MANIFEST.tsv`` beside the files: for each main dataset its mean, standard deviation and
some cells by number, counted over the rows and columns of the file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import usidx
from tests.conftest import sample_data

KNOWN = re.compile(
    r"^(?P<main>\S+) \((?P<rows>\d+), (?P<columns>\d+)\) (?P<dtype>\w+) (?P<quantity>[^\[]*)\[(?P<unit>.*?)\]"
)
CELL = re.compile(r"flat\[(-?\d+)\]=(\S+)")


@dataclass(frozen=True)
class Known:
    """One main dataset of a real file, as the table has it."""

    file: str
    main: str
    size: int
    dtype: str
    quantity: str
    unit: str
    mean: float
    std: float
    cells: dict[int, float]


def known_mains() -> list[Known]:
    table = sample_data() / "MANIFEST.tsv"
    if not table.is_file():
        return []
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    return [known for row in rows if row[0].startswith("usid/") and (known := parse(row[0], row[-2], row[-1]))]


def name_main(known: object) -> str:
    """Name a case; without the real files pytest asks for the name of no case."""
    return f"{known.file}:{known.main}" if isinstance(known, Known) else "no files"


def parse(file: str, described: str, checks: str) -> Known | None:
    found = KNOWN.match(described)
    if found is None:
        return None
    figures = dict(part.split("=") for part in checks.split(";"))
    cells = {int(number): float(value) for number, value in CELL.findall(checks.replace(";", " "))}
    size = int(found["rows"]) * int(found["columns"])
    named = found["main"], size, found["dtype"], found["quantity"], found["unit"]
    return Known(file, *named, float(figures["mean"]), float(figures["std"]), cells)


RealFiles = Callable[[str], Path]


@pytest.mark.parametrize("known", known_mains(), ids=name_main)
def test_check_values(real_files: RealFiles, known: Known) -> None:
    array = usidx.open_main(real_files(known.file), known.main)
    assert array.size == known.size
    assert array.dtype == known.dtype
    assert (array.attrs["long_name"], array.attrs["units"]) == (known.quantity, known.unit)
    values = array.values.astype("f8")
    # The table has nine digits, computed in the dtype of the file.
    assert values.mean() == pytest.approx(known.mean, rel=1e-5, abs=1e-6 * known.std)
    assert values.std() == pytest.approx(known.std, rel=1e-5)


@pytest.mark.parametrize("known", known_mains(), ids=name_main)
def test_cells_by_number(real_files: RealFiles, known: Known) -> None:
    """All of these are rasters with the first dimension of the file fastest, so C order is the order of the file."""
    values = usidx.open_main(real_files(known.file), known.main).values.ravel()
    for number, value in known.cells.items():
        assert values[number] == pytest.approx(value, rel=1e-6)


def test_names_and_places_of_sparse_sampling(real_files: RealFiles) -> None:
    scan = usidx.open_main(real_files("usid/pyUSID_sparse_sampling_a.h5"), "Channel_000/Raw_Data")
    assert scan.dims == ("position", "Frequency")
    np.testing.assert_array_equal(scan.X, [150, 200, 100, 100, 250, 0, 100, 300])
    np.testing.assert_array_equal(scan.Y, [3.75, 0, 3.75, 1.25, 2.5, 2.5, 2.5, 5])
    assert (scan.X.attrs["units"], scan.Y.attrs["units"]) == ("nm", "um")
    np.testing.assert_allclose(scan[0], [0.22936897, 0.30834144, 0.17110355])


def test_an_image_lies_with_y_first(real_files: RealFiles) -> None:
    image = usidx.open_main(real_files("usid/pyUSID_simulated_STEM_Image_a.h5"), "Raw_Data")
    assert image.dims == ("Y", "X")
    assert [int(image[y, x]) for x, y in [(0, 0), (1, 0), (0, 1), (255, 0), (0, 255), (17, 101)]] == [
        86, 96, 97, 62, 87, 104,
    ]  # fmt: skip


def test_values_that_repeat_carry_no_index(real_files: RealFiles) -> None:
    curve = usidx.open_main(real_files("usid/pyUSID_AFM_Force_Curve_a.h5"), "Raw_Data")
    assert curve.dims == ("Z",)
    assert "Z" not in curve.xindexes
    assert float(curve.Z[1009]) == pytest.approx(5.743694e-06)
