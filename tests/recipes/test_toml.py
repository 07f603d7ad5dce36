"""What is written as TOML is read by Python as what it was."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usidx.errors import UsidError
from usidx.recipes.toml import write_toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(TEXTS, VALUES, max_size=4)


@given(TABLES)
def test_what_is_written_is_read_as_it_was(tables: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(tables)) == tables


def test_tables_and_lists_of_tables_read_well() -> None:
    text = write_toml({"open": {"dataset": "Raw"}, "step": [{"verb": "svd", "n": 3}, {"verb": "scree"}], "a": 1})
    assert text == 'a = 1\n\n[open]\ndataset = "Raw"\n\n[[step]]\nverb = "svd"\nn = 3\n\n[[step]]\nverb = "scree"\n'


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(UsidError, match="cannot hold a set"):
        write_toml({"a": {1}})
