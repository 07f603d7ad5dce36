"""The public names of usidx, each loaded when it is first asked for.

Who adds a public name adds it twice, both times here: to the imports, which editors and mypy read, and to the table,
which Python reads, so that `import usidx` costs little more than importing xarray. A test holds them together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from usidx.catalogue import MODULES as MODULES

if TYPE_CHECKING:
    from usidx import diffraction as diffraction
    from usidx import errors as errors
    from usidx import image as image
    from usidx import models as models
    from usidx import modes as modes
    from usidx import signal as signal
    from usidx import simulate as simulate
    from usidx.example import example_file as example_file
    from usidx.fitting.compare import compare as compare
    from usidx.fitting.evaluate import evaluate as evaluate
    from usidx.fitting.evaluate import evaluate_terms as evaluate_terms
    from usidx.fitting.evaluate import residual as residual
    from usidx.fitting.fit import fit as fit
    from usidx.fitting.measure_peaks import measure_peaks as measure_peaks
    from usidx.instruments.convert import convert as convert
    from usidx.instruments.export.export import export as export
    from usidx.instruments.export.objects import to_hyperspy as to_hyperspy
    from usidx.instruments.export.objects import to_pyusid as to_pyusid
    from usidx.instruments.export.objects import to_sidpy as to_sidpy
    from usidx.instruments.export.source import check_export as check_export
    from usidx.instruments.list_readers import list_readers as list_readers
    from usidx.instruments.read import read_instrument as read_instrument
    from usidx.io.disk.recovery import recover as recover
    from usidx.io.read.open import open_dataset as open_dataset
    from usidx.io.read.open import open_main as open_main
    from usidx.io.read.open import open_tree as open_tree
    from usidx.io.read.results import list_results as list_results
    from usidx.io.read.results import open_result as open_result
    from usidx.io.read.usid.inventory import list_mains as list_mains
    from usidx.io.read.validate import validate as validate
    from usidx.io.write.results import write as write
    from usidx.label.gridding import to_grid as to_grid
    from usidx.label.roles import position_dims as position_dims
    from usidx.label.roles import set_roles as set_roles
    from usidx.label.roles import spectroscopic_dims as spectroscopic_dims
    from usidx.learn.cluster import cluster as cluster
    from usidx.learn.decompose import decompose as decompose
    from usidx.learn.ica import ica as ica
    from usidx.learn.mcr import mcr_als as mcr_als
    from usidx.learn.nmf import nmf as nmf
    from usidx.learn.reconstruct import project as project
    from usidx.learn.reconstruct import reconstruct as reconstruct
    from usidx.learn.references import fit_references as fit_references
    from usidx.learn.rotate import rotate as rotate
    from usidx.learn.suggest_k import suggest_k as suggest_k
    from usidx.learn.suggest_n import scree as scree
    from usidx.learn.suggest_n import suggest_n as suggest_n
    from usidx.learn.svd import pca as pca
    from usidx.learn.svd import svd as svd
    from usidx.learn.unmix import fcls as fcls
    from usidx.learn.unmix import nfindr as nfindr
    from usidx.learn.unmix import vca as vca
    from usidx.look.explore import explore as explore
    from usidx.look.plot import plot_atoms as plot_atoms
    from usidx.look.plot import plot_clusters as plot_clusters
    from usidx.look.plot import plot_dendrogram as plot_dendrogram
    from usidx.look.plot import plot_fit as plot_fit
    from usidx.look.plot import plot_image_stack as plot_image_stack
    from usidx.look.plot import plot_loops as plot_loops
    from usidx.look.plot import plot_map as plot_map
    from usidx.look.plot import plot_maps as plot_maps
    from usidx.look.plot import plot_scree as plot_scree
    from usidx.look.plot import plot_spectra as plot_spectra
    from usidx.look.summary.html import summary_html as summary_html
    from usidx.look.summary.text import summary as summary
    from usidx.mapping import map_mains as map_mains
    from usidx.mapping import map_positions as map_positions
    from usidx.modes.band_excitation.response import correct_phase as correct_phase
    from usidx.modes.band_excitation.response import phase_offset as phase_offset
    from usidx.modes.band_excitation.response import response as response
    from usidx.modes.band_excitation.sho_fit import sho_fit as sho_fit
    from usidx.modes.current_voltage.conductance import didv as didv
    from usidx.modes.current_voltage.conductance import normalized_conductance as normalized_conductance
    from usidx.modes.current_voltage.gap import gap as gap
    from usidx.modes.switching.loop_fit import loop_fit as loop_fit
    from usidx.modes.switching.project_loops import project_loops as project_loops
    from usidx.modes.switching.relaxation_fit import relaxation_fit as relaxation_fit
    from usidx.recipes.recipe import recipe as recipe
    from usidx.recipes.replay import replay as replay
    from usidx.recipes.run import run as run
    from usidx.results.history import history as history
    from usidx.tasks.compute import compute as compute

MODULES.update(
    {
        "check_export": "usidx.instruments.export.source",
        "cluster": "usidx.learn.cluster",
        "compare": "usidx.fitting.compare",
        "compute": "usidx.tasks.compute",
        "convert": "usidx.instruments.convert",
        "correct_phase": "usidx.modes.band_excitation.response",
        "decompose": "usidx.learn.decompose",
        "didv": "usidx.modes.current_voltage.conductance",
        "diffraction": "usidx.diffraction",
        "errors": "usidx.errors",
        "evaluate": "usidx.fitting.evaluate",
        "evaluate_terms": "usidx.fitting.evaluate",
        "example_file": "usidx.example",
        "explore": "usidx.look.explore",
        "export": "usidx.instruments.export.export",
        "fcls": "usidx.learn.unmix",
        "fit": "usidx.fitting.fit",
        "fit_references": "usidx.learn.references",
        "gap": "usidx.modes.current_voltage.gap",
        "history": "usidx.results.history",
        "ica": "usidx.learn.ica",
        "image": "usidx.image",
        "list_mains": "usidx.io.read.usid.inventory",
        "list_readers": "usidx.instruments.list_readers",
        "list_results": "usidx.io.read.results",
        "loop_fit": "usidx.modes.switching.loop_fit",
        "map_mains": "usidx.mapping",
        "map_positions": "usidx.mapping",
        "mcr_als": "usidx.learn.mcr",
        "measure_peaks": "usidx.fitting.measure_peaks",
        "models": "usidx.models",
        "modes": "usidx.modes",
        "nfindr": "usidx.learn.unmix",
        "nmf": "usidx.learn.nmf",
        "normalized_conductance": "usidx.modes.current_voltage.conductance",
        "open_dataset": "usidx.io.read.open",
        "open_main": "usidx.io.read.open",
        "open_result": "usidx.io.read.results",
        "open_tree": "usidx.io.read.open",
        "pca": "usidx.learn.svd",
        "phase_offset": "usidx.modes.band_excitation.response",
        "plot_atoms": "usidx.look.plot",
        "plot_clusters": "usidx.look.plot",
        "plot_dendrogram": "usidx.look.plot",
        "plot_fit": "usidx.look.plot",
        "plot_image_stack": "usidx.look.plot",
        "plot_loops": "usidx.look.plot",
        "plot_map": "usidx.look.plot",
        "plot_maps": "usidx.look.plot",
        "plot_scree": "usidx.look.plot",
        "plot_spectra": "usidx.look.plot",
        "position_dims": "usidx.label.roles",
        "project": "usidx.learn.reconstruct",
        "project_loops": "usidx.modes.switching.project_loops",
        "read_instrument": "usidx.instruments.read",
        "recipe": "usidx.recipes.recipe",
        "reconstruct": "usidx.learn.reconstruct",
        "recover": "usidx.io.disk.recovery",
        "relaxation_fit": "usidx.modes.switching.relaxation_fit",
        "replay": "usidx.recipes.replay",
        "residual": "usidx.fitting.evaluate",
        "response": "usidx.modes.band_excitation.response",
        "rotate": "usidx.learn.rotate",
        "run": "usidx.recipes.run",
        "scree": "usidx.learn.suggest_n",
        "set_roles": "usidx.label.roles",
        "sho_fit": "usidx.modes.band_excitation.sho_fit",
        "signal": "usidx.signal",
        "simulate": "usidx.simulate",
        "spectroscopic_dims": "usidx.label.roles",
        "suggest_k": "usidx.learn.suggest_k",
        "suggest_n": "usidx.learn.suggest_n",
        "summary": "usidx.look.summary.text",
        "summary_html": "usidx.look.summary.html",
        "svd": "usidx.learn.svd",
        "to_grid": "usidx.label.gridding",
        "to_hyperspy": "usidx.instruments.export.objects",
        "to_pyusid": "usidx.instruments.export.objects",
        "to_sidpy": "usidx.instruments.export.objects",
        "validate": "usidx.io.read.validate",
        "vca": "usidx.learn.unmix",
        "write": "usidx.io.write.results",
    }
)


def load(name: str) -> Any:
    """Import what a public name stands for."""
    module = import_module(MODULES[name])
    return module if module.__name__ == f"usidx.{name}" else getattr(module, name)


if not TYPE_CHECKING:  # hidden, lest a name that is not there passes for one of unknown type

    def __getattr__(name: str) -> Any:
        if name not in MODULES:
            raise AttributeError(f"usidx has no public name {name!r}")
        return globals().setdefault(name, load(name))
