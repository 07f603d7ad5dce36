"""Arrays as short texts."""

import base64
import zlib

import numpy as np
import pytest

from usidx.results.packed import pack_array, unpack_array


@pytest.mark.parametrize(
    "values",
    [
        np.arange(13) % 3 == 0,
        np.ones((300, 400), bool),
        np.arange(12, dtype=">i2").reshape(3, 4),
        np.array([[np.nan, 1.5], [np.inf, -0.0]]),
        np.full((5, 7), 1 + 2j, np.complex64),
        np.zeros((0, 4)),
    ],
)
def test_what_is_packed_comes_back(values: np.ndarray) -> None:
    text = pack_array(values)
    assert text is not None
    found = unpack_array(text, str(values.dtype), list(values.shape))
    assert found.shape == values.shape
    assert found.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, values)


def test_what_would_be_long_is_not_packed() -> None:
    assert pack_array(np.random.default_rng(0).random((100, 100))) is None
    assert pack_array(np.zeros((400, 400))) is None
    assert pack_array(np.array(["a"])) is None


@pytest.mark.parametrize(
    ("text", "dtype", "shape", "reason"),
    [
        ("%%", "float64", [2], "damaged"),
        (base64.b64encode(b"nothing").decode(), "float64", [2], "damaged"),
        (base64.b64encode(zlib.compress(bytes(1 << 24))).decode(), "float64", [2], "holds 17 bytes instead of 16"),
        (base64.b64encode(zlib.compress(bytes(8))).decode(), "float64", [2], "holds 8 bytes instead of 16"),
        ("", "float64", [1 << 40], "is not packed"),
        ("", "float64", [-1, -2], "is not packed"),
        ("", "object", [2], "is not packed"),
    ],
)
def test_texts_that_were_not_packed_are_refused(text: str, dtype: str, shape: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack_array(text, dtype, shape)
