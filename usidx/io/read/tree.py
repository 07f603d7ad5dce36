"""Datasets by path -> a DataTree, in time with their number.

`xr.DataTree.from_dict` adds one node after another, and each goes over all those beside it: a file with thousands of
groups side by side would take minutes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import xarray as xr

__all__ = ["build_tree"]

Sizes = Mapping[Hashable, int]

_NOTHING = xr.Dataset()


def build_tree(nodes: Mapping[str, xr.Dataset], name: str | None = None) -> xr.DataTree:
    """Build a tree as `xr.DataTree.from_dict` does.

    Parameters
    ----------
    nodes : mapping of str to Dataset
        By path; that of a node stands behind those of the groups that hold it. Only leaves may have coordinates. The
        tree takes them over: whoever changes one later changes the tree.
    name : str, optional
        Of the root.

    Returns
    -------
    DataTree
        Where nodes do not fit together, xarray's own way says why.

    Raises
    ------
    ValueError
        A node has a dim of another size than a group that holds it.
    """
    root = xr.DataTree(nodes.get("/"), name=name)
    built: dict[str, tuple[xr.DataTree, Sizes]] = {"/": (root, root.sizes)}
    for path, data in nodes.items():
        if path == "/":
            continue
        holder, title = path.rsplit("/", 1)
        parent, sizes = built.get(holder or "/", (None, {}))
        if parent is None or not _fits(parent, title, data, sizes):
            return xr.DataTree.from_dict(dict(nodes), name=name)
        node = xr.DataTree(_NOTHING)
        # Not handed to the node above, which would copy each coordinate and index.
        node._set_node_data(data)
        # What the setter of `children` does, without its checks: it looks through all children for each of them.
        node._name, node._parent = title, parent
        parent._children[title] = node
        built[path] = node, {**sizes, **data.sizes} if data.sizes else sizes
    return root


def _fits(parent: xr.DataTree, title: str, data: xr.Dataset, sizes: Sizes) -> bool:
    is_clear = bool(title) and not parent._node_coord_variables and title not in parent._data_variables
    return is_clear and all(sizes.get(dim, size) == size for dim, size in data.sizes.items())
