"""Labelled arrays and results to figures, one function per kind of picture: the family ``.usid.plot``.

By matplotlib, for papers, or with ``backend="hvplot"`` to zoom into. The figures belong to the caller alone: nothing is
registered with pyplot and no window opens.
"""

from __future__ import annotations

from usidx.look.figures.atoms import plot_atoms
from usidx.look.figures.clusters import plot_clusters
from usidx.look.figures.dendrogram import plot_dendrogram
from usidx.look.figures.fit import plot_fit
from usidx.look.figures.loops import plot_loops
from usidx.look.figures.maps import plot_map, plot_maps
from usidx.look.figures.scree import plot_scree
from usidx.look.figures.spectra import plot_spectra
from usidx.look.figures.stack import plot_image_stack

__all__ = [
    "plot_atoms",
    "plot_clusters",
    "plot_dendrogram",
    "plot_fit",
    "plot_image_stack",
    "plot_loops",
    "plot_map",
    "plot_maps",
    "plot_scree",
    "plot_spectra",
]
