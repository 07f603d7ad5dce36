"""Each broken file differs from a sound one, and is still a file that h5py opens."""

from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.kit.broken import FAULTS, broken_file
from usidx.testing.measurements import snake_file


def described(path: Path) -> dict[str, Any]:
    """Say what is in a file: attributes by name, tables by value."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:

        def visit(name: str, item: h5py.HLObject) -> None:
            attributes = {k: str(v) for k, v in item.attrs.items() if not isinstance(v, h5py.Reference)}
            refer = {k: str(bool(v)) and target(file, v) for k, v in item.attrs.items() if k not in attributes}
            data = item[()].tolist() if isinstance(item, h5py.Dataset) else None
            found[name] = (attributes, refer, str(data))

        file.visititems(visit)
    return found


def target(file: h5py.File, reference: h5py.Reference) -> str | None:
    try:
        return str(file[reference].name)
    except (ValueError, KeyError):
        return None


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_file(tmp_path: Path, fault: str) -> None:
    snake_file(tmp_path / "sound.h5")
    built = broken_file(tmp_path / "broken.h5", fault)
    assert built.main == "/Measurement_000/Channel_000/Raw_Data"
    assert described(tmp_path / "broken.h5") != described(tmp_path / "sound.h5")
