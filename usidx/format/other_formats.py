"""How a file begins that is no HDF5 -> which format it is of, and the call that opens it today."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HEAD", "OtherFormat", "make_rosetta_format", "recognize_bytes"]

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
        What to install for that.
    """

    name: str
    call: str
    package: str

    def describe(self, path: str) -> str:
        """Say in a sentence or two what the file is and how it is opened."""
        opened = self.call.format(path=repr(path))
        return f"It is {self.name}. Open it with {opened} (pip install {self.package})."


def make_rosetta_format(name: str, module: str) -> OtherFormat:
    """Return a format that RosettaSciIO, the readers of HyperSpy, opens without HyperSpy."""
    return OtherFormat(name, f"rsciio.{module}.file_reader({{path}})", "rosettasciio")


# What files begin with: the first that fits is taken.
_BEGINNINGS: tuple[tuple[bytes, OtherFormat], ...] = (
    (b"GWYP", OtherFormat("a Gwyddion file (.gwy)", "gwyfile.load({path})", "gwyfile")),
    (b":NANONIS_VERSION:", OtherFormat("a Nanonis scan (.sxm)", "nanonispy2.read.Scan({path})", "nanonispy2")),
    (b"Grid dim=", OtherFormat("a Nanonis grid (.3ds)", "nanonispy2.read.Grid({path})", "nanonispy2")),
    (b"Experiment\t", OtherFormat("a Nanonis spectrum (.dat)", "nanonispy2.read.Spec({path})", "nanonispy2")),
    (b"\\*File list", OtherFormat("a Bruker Nanoscope file (.spm)", "pySPM.Bruker({path})", "pySPM")),
    (b"\\*Force file list", OtherFormat("a Bruker Nanoscope force file", "pySPM.Bruker({path})", "pySPM")),
    (b"WDF1", OtherFormat("a Renishaw file (.wdf)", "renishawWiRE.WDFReader({path})", "renishawWiRE")),
    (b"ONTMATRX", OtherFormat("an Omicron MATRIX file", "spym.load({path})", "spym")),
    (b"ARDF", OtherFormat("an Asylum force map (.ardf)", "SciFiReaders.ARDFReader({path}).read()", "SciFiReaders")),
    (b"AAMVHFSS", make_rosetta_format("a Bruker composite file (.bcf)", "bruker")),
    (b"\x49\x49\x97\x01", make_rosetta_format("a TIA file (.ser)", "tia")),
    (b"\x00\x00\x00\x03", make_rosetta_format("a DigitalMicrograph file (.dm3)", "digitalmicrograph")),
    (b"\x00\x00\x00\x04", make_rosetta_format("a DigitalMicrograph file (.dm4)", "digitalmicrograph")),
    (b"CDF\x01", OtherFormat("a netCDF file of version 3", "xarray.open_dataset({path}, engine='scipy')", "scipy")),
    (b"CDF\x02", OtherFormat("a netCDF file of version 3", "xarray.open_dataset({path}, engine='scipy')", "scipy")),
    (b"MATLAB 5.0 MAT-file", OtherFormat("a MATLAB file (.mat)", "scipy.io.loadmat({path})", "scipy")),
    (b"II*\x00", OtherFormat("a TIFF image", "tifffile.imread({path})", "tifffile")),
    (b"MM\x00*", OtherFormat("a TIFF image", "tifffile.imread({path})", "tifffile")),
    (b"\x93NUMPY", OtherFormat("a NumPy array (.npy)", "numpy.load({path})", "numpy")),
    (b"\x89PNG", OtherFormat("a PNG image", "imageio.v3.imread({path})", "imageio")),
)
_STMIMAGE = "STiMage".encode("utf-16-le")
_IGOR_VERSIONS = {v.to_bytes(2, order) for v in (1, 2, 3, 5) for order in ("little", "big")}
# Formats that share their first bytes with others, by the end of the name.
_ENDINGS = {
    ".jpk-force": OtherFormat("a JPK force curve", "afmformats.load_data({path})", "afmformats"),
    ".jpk-qi-data": OtherFormat("a JPK map", "afmformats.load_data({path})", "afmformats"),
    ".zarr": OtherFormat("a Zarr store", "xarray.open_zarr({path})", "zarr"),
    ".zspy": make_rosetta_format("a HyperSpy file in Zarr (.zspy)", "zspy"),
    ".mib": make_rosetta_format("a Merlin detector file (.mib)", "quantumdetector"),
    ".blo": make_rosetta_format("a NanoMegas file (.blo)", "blockfile"),
    ".mi": OtherFormat("a Molecular Imaging file (.mi)", "SciFiReaders.MiReader({path}).read()", "SciFiReaders"),
}
_IGOR = OtherFormat("an Igor binary wave (.ibw)", "igor2.binarywave.load({path})", "igor2")
_RHK = OtherFormat("an RHK file (.sm4)", "spym.load({path})", "spym")
_MRC = OtherFormat("an MRC file", "mrcfile.open({path})", "mrcfile")


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
