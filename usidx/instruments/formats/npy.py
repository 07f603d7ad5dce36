"""NumPy's own files -> a channel each, without pickle.

npy: a header that is a Python literal, then the cells; npz: a zip of such files.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import zipfile
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.lib import format as npy_format

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.axis_roles import UNNAMED
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["NPY", "NPZ", "label_unnamed"]

Role = Literal["position", "spectroscopic", "unknown"]

_MAGIC: Final = b"\x93NUMPY"
_ZIP: Final = b"PK\x03\x04"
# An array in a zip cannot be read by ranges. Numbers of an instrument are not packed as tightly as this.
_LARGE: Final = 64 * 2**20
_TIGHTEST: Final = 200


def label_unnamed(name: str, data: Array | da.Array) -> Channel:
    """Make a channel of an array that nothing is known of: one dim is a spectrum, two an image, more nobody knows."""
    roles: dict[int, Role] = {1: "spectroscopic", 2: "position"}
    names = ("Y", "X") if data.ndim == 2 else tuple(UNNAMED.format(n) for n in range(data.ndim))
    role: Role = roles.get(data.ndim, "unknown")
    axes = tuple(Axis(n, np.arange(size), "", role) for n, size in zip(names, data.shape, strict=True))
    return Channel(name, data, axes)


def _recognize_npy(path: Path, head: bytes) -> float:
    return Confidence(0.99, "begins as NumPy's files do") if head.startswith(_MAGIC) else 0.0


def _parse_npy(path: Path) -> xr.DataTree:
    with path.open("rb") as file:
        shape, is_fortran, dtype = _read_header(file)
        offset = file.tell()
    _check_type(dtype)
    if not shape:
        raise TranslationError("it holds one number, and no array")
    stored = shape[::-1] if is_fortran else shape
    data = lay_out(path, "npy", stored, dtype, offset=offset)
    return build_tree([label_unnamed(path.stem, data.T if is_fortran else data)])


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    if version == (2, 0):
        return npy_format.read_array_header_2_0(file)
    raise TranslationError(f"its version {version} of the format is not known")


def _check_type(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise TranslationError("it holds Python objects (pickle), which could run anything, and are never loaded")
    if dtype.kind not in "biufc":
        raise TranslationError(f"it holds {dtype}, and no numbers")


def _recognize_npz(path: Path, head: bytes) -> float:
    if not head.startswith(_ZIP) or b".npy" not in head[:512]:
        return 0.0
    return Confidence(0.95, "is a zip of .npy files")


def _parse_npz(path: Path) -> xr.DataTree:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        return build_tree([_read_member(archive, info) for info in members])


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Channel:
    """Read a member; no more is unpacked than its header tells, which is no more than the zip tells."""
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as member:
        shape, is_fortran, dtype = _read_header(member)
        _check_type(dtype)
        count = prod(shape) * dtype.itemsize
        if count > info.file_size:
            raise TranslationError(f"{info.filename!r} should have {count} bytes of data, and has {info.file_size}")
        if count > max(_LARGE, _TIGHTEST * info.compress_size):
            raise TranslationError(f"{info.filename!r} unpacks {info.compress_size} bytes to {count}: it is a trap")
        content = member.read(count)
    if len(content) != count:
        raise TranslationError(f"{info.filename!r} ends before its data does")
    data = np.frombuffer(io.BytesIO(content).getbuffer(), dtype).astype(dtype.newbyteorder("="))
    data = data.reshape(shape, order="F" if is_fortran else "C")
    return label_unnamed(name, data if data.ndim else data.reshape(1))


NPY: Final = FormatReader("npy", "NumPy array (.npy)", _recognize_npy, _parse_npy, (".npy",))
NPZ: Final = FormatReader("npz", "NumPy arrays (.npz)", _recognize_npz, _parse_npz, (".npz",))
