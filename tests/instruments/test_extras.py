import pytest

from usidx.errors import MissingExtraError
from usidx.instruments.extras import require


def test_what_is_installed_is_imported() -> None:
    assert require("json", "zarr", "Reading").loads("[1]") == [1]


def test_what_is_missing_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"Reading needs the package 'no_such'.*usidx\[zarr\]"):
        require("no_such.thing", "zarr", "Reading")
