"""The models that can be fitted, by name: ``usidx.models.Gaussian() + usidx.models.Constant()``."""

from __future__ import annotations

from usidx.fit.curves import Constant, Exponential, Linear
from usidx.fit.model import Model, Parameter, Product, Sum
from usidx.fit.oscillator import SHO
from usidx.fit.peaks import Gaussian, Lorentzian

__all__ = [
    "SHO",
    "Constant",
    "Exponential",
    "Gaussian",
    "Linear",
    "Lorentzian",
    "Model",
    "Parameter",
    "Product",
    "Sum",
]
