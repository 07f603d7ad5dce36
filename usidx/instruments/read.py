"""A file of an instrument -> a tree of labelled, lazy arrays whose history begins with the file."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Final

import xarray as xr

from usidx.errors import MissingExtraError, TranslationError
from usidx.instruments.axis_roles import assign_roles
from usidx.instruments.digest import digest_file
from usidx.instruments.reader import Reader, explain_failure
from usidx.instruments.recognize import Match, choose_reader
from usidx.instruments.registry import find_object_reader
from usidx.io.read.place.place import find_local_path
from usidx.results.provenance import Step, put_steps, read_steps
from usidx.version import usidx_version

__all__ = ["SHA256", "read_file", "read_instrument", "read_with"]

SHA256: Final = "sha256"
#: Larger files are digested when they are converted, which reads them anyway: opening one takes no time.
_DIGESTED_AT_ONCE: Final = 64 * 2**20


def read_instrument(
    path: str | PathLike[str],
    *,
    reader: str | Reader | None = None,
    position: Iterable[str] | str | None = None,
    spectroscopic: Iterable[str] | str | None = None,
) -> xr.DataTree:
    """Read a file of an instrument: a leaf per channel, physical axes with units and roles, all of its metadata.

    Lazy where the format allows it: what is asked for is read by ranges of the file, and no file stays open. The
    reader is chosen by what the file holds, before what it is called.

    Parameters
    ----------
    path : path
        A local file; or a signal of HyperSpy or a Dataset of sidpy, which is taken as it is, without a copy.
    reader : str or Reader, optional
        Name of the reader to use, see :func:`usidx.list_readers`, or a reader of your own. By default the one that is
        surest of the file.
    position, spectroscopic : str or iterable of str, optional
        Dims that say where, and dims that were swept, where the file does not say or the reader decides otherwise.
        Where only one of the two is given, all other dims have the other role. The dims of an array that has no names
        (``dim_0``, ...) are named by them: first the positions, then the others.

    Returns
    -------
    DataTree
        A leaf per channel, holding a Dataset with one variable named after the leaf, dims (*position, *spectroscopic),
        each side slowest first. Forward and backward are channels of their own. Attributes of the root say what read
        it, how sure the reader was of the file (``recognized``), and what the file says of all channels.

    Raises
    ------
    MissingFileError
        There is no such file.
    MissingExtraError
        The package that reads it is not installed; the message says which extra has it.
    SelectionError
        There is no reader of that name.
    TranslationError
        The file is damaged, or of no known format, or it is not clear what its dims mean; the message names file,
        reader and reason.

    Examples
    --------
    >>> import tempfile, numpy as np, usidx
    >>> file = f"{tempfile.mkdtemp()}/map.npy"
    >>> np.save(file, np.zeros((4, 5, 60)))
    >>> tree = usidx.read_instrument(file, position=["Y", "X"], spectroscopic="Energy")
    >>> tree["map"]["map"].dims
    ('Y', 'X', 'Energy')
    >>> tree.attrs["recognized"]
    "npy, 0.99: begins as NumPy's files do"
    """
    read_object = find_object_reader(path)
    if read_object is not None:
        return _read_object(path, read_object(path), position, spectroscopic)
    return read_file(find_local_path(path), reader, position, spectroscopic, digested=_DIGESTED_AT_ONCE)


def read_file(
    file: Path,
    reader: str | Reader | None,
    position: Iterable[str] | str | None = None,
    spectroscopic: Iterable[str] | str | None = None,
    *,
    digested: int,
) -> xr.DataTree:
    """Read a file as :func:`read_instrument` does; the digest of more bytes than `digested` is left to others."""
    match = choose_reader(file, reader)
    size = file.stat().st_size
    tree = read_with(match, file)
    with_roles = assign_roles(tree, position, spectroscopic, file=str(file), reader=match.name)
    digest = digest_file(file) if size <= digested else None
    parameters: dict[str, Any] = {"path": str(file), "reader": match.name}
    chosen = {"position": position, "spectroscopic": spectroscopic}
    parameters |= {role: _as_list(dims) for role, dims in chosen.items() if dims is not None}
    return _tell_origin(with_roles, match, {"file": file.name, "bytes": size}, parameters, digest)


def _as_list(names: Iterable[str] | str) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _read_object(
    found: object,
    tree: xr.DataTree,
    position: Iterable[str] | str | None,
    spectroscopic: Iterable[str] | str | None,
) -> xr.DataTree:
    """Return an object of another library as a tree whose history says what it was."""
    kind = f"{type(found).__module__.partition('.')[0]}.{type(found).__name__}"
    with_roles = assign_roles(tree, position, spectroscopic, file=kind, reader="in_memory")
    step: Step = {"tool": "read_instrument", "version": usidx_version(), "parameters": {"object": kind}}
    nodes = {node.path: node.to_dataset(inherit=False) for node in with_roles.subtree}
    return xr.DataTree.from_dict(
        {p: _begin_history(data, step) if data.data_vars else data for p, data in nodes.items()}
    )


def read_with(match: Match, file: Path) -> xr.DataTree:
    """Read a file with a reader; whatever goes wrong is a TranslationError."""
    try:
        tree = match.reader(file)
    except (MissingExtraError, TranslationError):
        raise
    except Exception as err:
        raise explain_failure(err, file, match.name) from err
    if not isinstance(tree, xr.DataTree) or not any(leaf.data_vars for leaf in tree.leaves):
        raise TranslationError(
            f"the reader gave a {type(tree).__name__} without data, where a DataTree is expected",
            file=str(file),
            reader=match.name,
        )
    return tree


def _tell_origin(
    tree: xr.DataTree, match: Match, file: dict[str, Any], parameters: dict[str, Any], digest: str | None
) -> xr.DataTree:
    """Begin the history of each array with the file, and say it on the root too, for people."""
    by = str(getattr(match.reader, "version", "") or type(match.reader).__module__)
    step: Step = {
        "tool": "read_instrument",
        "version": usidx_version(),
        "parameters": parameters,
        **file,
        "reader_version": by,
        **({SHA256: digest} if digest else {}),
    }
    nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    for where, data in nodes.items():
        if data.data_vars:
            nodes[where] = _begin_history(data, step)
    sure = f"{match.name}, {match.confidence:.2g}: {match.reason}"
    told = {"instrument_file": file["file"], "recognized": sure, "read_by": by}
    told |= {SHA256: digest} if digest else {}
    nodes["/"] = nodes["/"].copy(deep=False)
    nodes["/"].attrs = {**told, **{k: v for k, v in nodes["/"].attrs.items() if k not in told}}
    return xr.DataTree.from_dict(nodes, name=tree.name or file["file"])


def _begin_history(data: xr.Dataset, step: Step) -> xr.Dataset:
    told = data.copy(deep=False)
    for name in data.data_vars:
        earlier = read_steps(data[name])
        told[name].attrs.update(put_steps(xr.DataArray(attrs={}), [step, *earlier]).attrs)
    return told
