"""Microscopy data in USID HDF5 files as lazy, labelled xarray objects.

Open a file, analyse it out of core, write the results back beside the data they came from::

    raw = usidx.open_main("scan.h5")
    result = raw.usid.svd(16)
    result.usid.write()
"""

from usidx import errors, models, simulate
from usidx.fitting.compare import compare
from usidx.fitting.evaluate import evaluate, residual
from usidx.fitting.fit import fit
from usidx.io.disk.recovery import recover
from usidx.io.read.open import open_dataset, open_main, open_tree
from usidx.io.read.results import list_results, open_result
from usidx.io.read.usid.inventory import list_mains
from usidx.io.read.validate import validate
from usidx.io.write.results import write
from usidx.label.gridding import to_grid
from usidx.label.roles import position_dims, set_roles, spectroscopic_dims
from usidx.learn.cluster import cluster
from usidx.learn.decompose import decompose
from usidx.learn.ica import ica
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import project, reconstruct
from usidx.learn.rotate import rotate
from usidx.learn.suggest_k import suggest_k
from usidx.learn.suggest_n import scree, suggest_n
from usidx.learn.svd import pca, svd
from usidx.learn.unmix import fcls, nfindr, vca
from usidx.look.explore import explore
from usidx.look.plot import (
    plot_clusters,
    plot_dendrogram,
    plot_fit,
    plot_map,
    plot_maps,
    plot_scree,
    plot_spectra,
)
from usidx.look.summary.text import summary_html
from usidx.look.summary.text import summary_text as summary
from usidx.mapping import map_positions
from usidx.modes.band_excitation.response import correct_phase, phase_offset, response
from usidx.modes.band_excitation.sho_fit import sho_fit
from usidx.modes.current_voltage.conductance import didv, normalized_conductance
from usidx.modes.current_voltage.gap import gap
from usidx.modes.switching.loop_fit import loop_fit
from usidx.modes.switching.project_loops import project_loops
from usidx.modes.switching.relaxation_fit import relaxation_fit
from usidx.results.history import history
from usidx.tasks.compute import compute
from usidx.testing.example import example_file

__all__ = [
    "cluster",
    "compare",
    "compute",
    "correct_phase",
    "decompose",
    "didv",
    "errors",
    "evaluate",
    "example_file",
    "explore",
    "fcls",
    "fit",
    "gap",
    "history",
    "ica",
    "list_mains",
    "list_results",
    "loop_fit",
    "map_positions",
    "mcr_als",
    "models",
    "nfindr",
    "nmf",
    "normalized_conductance",
    "open_dataset",
    "open_main",
    "open_result",
    "open_tree",
    "pca",
    "phase_offset",
    "plot_clusters",
    "plot_dendrogram",
    "plot_fit",
    "plot_map",
    "plot_maps",
    "plot_scree",
    "plot_spectra",
    "position_dims",
    "project",
    "project_loops",
    "reconstruct",
    "recover",
    "relaxation_fit",
    "residual",
    "response",
    "rotate",
    "scree",
    "set_roles",
    "sho_fit",
    "simulate",
    "spectroscopic_dims",
    "suggest_k",
    "suggest_n",
    "summary",
    "summary_html",
    "svd",
    "to_grid",
    "validate",
    "vca",
    "write",
]

from usidx import accessor as _accessor  # noqa: F401 - registers .usid; needs the names above
