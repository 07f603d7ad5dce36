"""The models that can be fitted, by name: ``usidx.models.Gaussian() + usidx.models.Constant()``."""

from __future__ import annotations

from usidx.fit.curves import Constant, Exponential, Linear, Polynomial, PowerLaw, Step, StretchedExponential
from usidx.fit.expressions import Expression
from usidx.fit.functions import Function
from usidx.fit.lineshapes import Fano, PseudoVoigt, SkewedGaussian, SplitGaussian, Voigt
from usidx.fit.loop import HysteresisLoop
from usidx.fit.model import Model, Product, Sum
from usidx.fit.oscillator import SHO
from usidx.fit.parameters import Parameter
from usidx.fit.peaks import Gaussian, Lorentzian

__all__ = [
    "SHO",
    "Constant",
    "Exponential",
    "Expression",
    "Fano",
    "Function",
    "Gaussian",
    "HysteresisLoop",
    "Linear",
    "Lorentzian",
    "Model",
    "Parameter",
    "Polynomial",
    "PowerLaw",
    "Product",
    "PseudoVoigt",
    "SkewedGaussian",
    "SplitGaussian",
    "Step",
    "StretchedExponential",
    "Sum",
    "Voigt",
]
