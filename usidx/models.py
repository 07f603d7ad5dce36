"""The models that can be fitted, by name: ``usidx.models.Gaussian() + usidx.models.Constant()``."""

from __future__ import annotations

from usidx.fit.curves import Constant, Exponential, Linear, Polynomial, PowerLaw, Step, StretchedExponential
from usidx.fit.expression import Expression
from usidx.fit.functions import Function
from usidx.fit.images import Gaussian2D
from usidx.fit.lineshapes import BreitWignerFano, Fano, PseudoVoigt, SkewedGaussian, SplitGaussian, Voigt
from usidx.fit.loop import HysteresisLoop
from usidx.fit.model import Model, Product, Sum
from usidx.fit.oscillator import SHO
from usidx.fit.parameters import Parameter
from usidx.fit.peaks import Gaussian, Lorentzian
from usidx.fit.transport import Diode, Langmuir
from usidx.fit.waves import Sine

__all__ = [
    "SHO",
    "BreitWignerFano",
    "Constant",
    "Diode",
    "Exponential",
    "Expression",
    "Fano",
    "Function",
    "Gaussian",
    "Gaussian2D",
    "HysteresisLoop",
    "Langmuir",
    "Linear",
    "Lorentzian",
    "Model",
    "Parameter",
    "Polynomial",
    "PowerLaw",
    "Product",
    "PseudoVoigt",
    "Sine",
    "SkewedGaussian",
    "SplitGaussian",
    "Step",
    "StretchedExponential",
    "Sum",
    "Voigt",
]
