"""An address says what is looked at, and what makes no sense in it is left out."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from usidx.look.explorer.address import Address


def read(query: str) -> Address:
    return Address.read({k: [v.encode() for v in found] for k, found in parse_qs(query.lstrip("?")).items()})


def test_what_is_written_is_read() -> None:
    looked = Address("a b.h5", "/M/Raw & Data", "Raw", {"Y": 3, "X": 0}, "mean", (-1.5, 2e5), "phase")
    assert read(looked.write("secret")) == looked
    assert "token=secret" in looked.write("secret")


@pytest.mark.parametrize(
    "query", ["point=Y:-1,X,:3,Z:1e3,W:99999999999999", "band=1", "band=nan,2", "map=mean", "band=x,y"]
)
def test_nonsense_is_left_out(query: str) -> None:
    assert read(query) == Address()
