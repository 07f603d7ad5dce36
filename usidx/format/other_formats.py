"""How a file begins that is no HDF5 -> which format it is of, and the call that opens it today."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HEAD", "OtherFormat", "make_own_format", "make_rosetta_format", "recognize_bytes"]

#: How many bytes of a file's beginning `recognize_bytes` wants.
HEAD = 512


@dataclass(frozen=True, slots=True)
class OtherFormat:
    """A format of another program.

    Attributes
    ----------
    name : str
        What people call it, with its article.
    call : str
        What opens it, with ``{path}`` where the path goes.
    package : str
        What to install for that, empty where nothing is needed.
    """

    name: str
    call: str
    package: str

    def describe(self, path: str) -> str:
        """Say in a sentence or two what the file is and how it is opened."""
        opened = self.call.format(path=repr(path))
        needed = f" (pip install {self.package})" if self.package else ""
        return f"It is {self.name}. Open it with {opened}{needed}."


def make_rosetta_format(name: str, module: str) -> OtherFormat:
    """Return a format that RosettaSciIO, the readers of HyperSpy, opens without HyperSpy."""
    return OtherFormat(name, f"rsciio.{module}.file_reader({{path}})", "rosettasciio")


def make_own_format(name: str, extra: str = "") -> OtherFormat:
    """Return a format that usidx itself reads as a file of an instrument, and the extra that it needs for that."""
    return OtherFormat(name, "usidx.read_instrument({path})", f"'usidx[{extra}]'" if extra else "")


# What files begin with: the first that fits is taken.
_BEGINNINGS: tuple[tuple[bytes, OtherFormat], ...] = (
    (b"GWYP", make_own_format("a Gwyddion file (.gwy)")),
    (b":NANONIS_VERSION:", make_own_format("a Nanonis scan (.sxm)")),
    (b"Grid dim=", make_own_format("a Nanonis grid (.3ds)")),
    (b"Experiment\t", make_own_format("a Nanonis spectrum (.dat)")),
    (b"\\*File list", make_own_format("a Bruker Nanoscope file (.spm)")),
    (b"\\*Force file list", OtherFormat("a Bruker Nanoscope force file", "pySPM.Bruker({path})", "pySPM")),
    (b"WDF1", make_own_format("a Renishaw file (.wdf)", "em")),
    (b"ONTMATRX", make_own_format("an Omicron MATRIX file", "matrix")),
    (b"ARDF", OtherFormat("an Asylum force map (.ardf)", "SciFiReaders.ARDFReader({path}).read()", "SciFiReaders")),
    (b"AAMVHFSS", make_own_format("a Bruker composite file (.bcf)", "em")),
    (b"\x49\x49\x97\x01", make_own_format("a TIA file (.ser)", "em")),
    (b"\x00\x00\x00\x03", make_own_format("a DigitalMicrograph file (.dm3)", "em")),
    (b"\x00\x00\x00\x04", make_own_format("a DigitalMicrograph file (.dm4)", "em")),
    (b"CDF\x01", OtherFormat("a netCDF file of version 3", "xarray.open_dataset({path}, engine='scipy')", "scipy")),
    (b"CDF\x02", OtherFormat("a netCDF file of version 3", "xarray.open_dataset({path}, engine='scipy')", "scipy")),
    (b"MATLAB 5.0 MAT-file", OtherFormat("a MATLAB file (.mat)", "scipy.io.loadmat({path})", "scipy")),
    (b"II*\x00", make_own_format("a TIFF image", "tiff")),
    (b"MM\x00*", make_own_format("a TIFF image", "tiff")),
    (b"\x93NUMPY", make_own_format("a NumPy array (.npy)")),
    (b"\x89PNG", make_own_format("a PNG image", "pictures")),
)
_STMIMAGE = "STiMage".encode("utf-16-le")
_IGOR_VERSIONS = {v.to_bytes(2, order) for v in (1, 2, 3, 5) for order in ("little", "big")}
# Formats that share their first bytes with others, by the end of the name.
_ENDINGS = {
    ".jpk-force": make_own_format("a JPK force curve"),
    ".jpk-qi-data": make_own_format("a JPK map"),
    ".zarr": OtherFormat("a Zarr store", "xarray.open_zarr({path})", "zarr"),
    ".zspy": make_rosetta_format("a HyperSpy file in Zarr (.zspy)", "zspy"),
    ".mib": make_own_format("a Merlin detector file (.mib)"),
    ".blo": make_own_format("a NanoMegas file (.blo)"),
    ".mi": OtherFormat("a Molecular Imaging file (.mi)", "SciFiReaders.MiReader({path}).read()", "SciFiReaders"),
}
_IGOR = make_own_format("an Igor binary wave (.ibw)")
_RHK = make_own_format("an RHK file (.sm4)", "rhk")
_MRC = make_own_format("an MRC file", "em")


def recognize_bytes(name: str, head: bytes) -> OtherFormat | None:
    """Say which format a file is of that is no HDF5.

    Parameters
    ----------
    name : str
        Of the file, of which the ending counts.
    head : bytes
        How it begins.
    """
    lower = name.lower()
    for ending, known in _ENDINGS.items():
        if lower.endswith(ending):
            return known
    if lower.endswith((".ibw", ".bwav")) and (not head or head[:2] in _IGOR_VERSIONS):
        return _IGOR
    if _STMIMAGE in head[:64]:
        return _RHK
    if head[208:212] == b"MAP ":
        return _MRC
    return next((known for beginning, known in _BEGINNINGS if head.startswith(beginning)), None)
