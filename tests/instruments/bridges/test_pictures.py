"""Pictures: a channel per colour, in pixels from the top; what claims to be larger than any camera's is refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.kit.listed_values import get_leaf
from usidx.errors import TranslationError
from usidx.instruments.bridges.pictures import READER

Image = pytest.importorskip("PIL.Image")


def test_gray_and_coloured_pictures(tmp_path: Path) -> None:
    gray = np.arange(6, dtype="u1").reshape(2, 3)
    Image.fromarray(gray).save(tmp_path / "gray.png", dpi=(300, 300))
    picture = get_leaf(READER(tmp_path / "gray.png"), "gray")
    np.testing.assert_array_equal(picture, gray)
    assert (picture.dims, picture.X.attrs["units"], picture.X.values.tolist()) == (("Y", "X"), "pixel", [0, 1, 2])
    colours = np.stack([gray, gray + 10, gray + 20], axis=-1)
    Image.fromarray(colours).save(tmp_path / "c.bmp")
    tree = READER(tmp_path / "c.bmp")
    for number, name in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(get_leaf(tree, f"c/{name}"), colours[..., number])


def test_a_picture_of_terabytes_is_refused(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 2**30, 2**30, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    with pytest.raises(TranslationError, match=r"a\.png.*'picture'"):
        READER(path)
