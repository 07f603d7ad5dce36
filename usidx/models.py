"""The models that can be fitted, by name: ``usidx.models.Gaussian() + usidx.models.Constant()``."""

from __future__ import annotations

from usidx.fitting.models.composite import Product, Sum
from usidx.fitting.models.curves import Constant, Exponential, Linear, Polynomial, PowerLaw, Step, StretchedExponential
from usidx.fitting.models.expression import Expression
from usidx.fitting.models.function import Function
from usidx.fitting.models.hysteresis_loop import HysteresisLoop
from usidx.fitting.models.lineshapes import BreitWignerFano, Fano, PseudoVoigt, SkewedGaussian, SplitGaussian, Voigt
from usidx.fitting.models.model import Model
from usidx.fitting.models.parameter import Parameter
from usidx.fitting.models.peaks import Gaussian, Gaussian2D, Lorentzian
from usidx.fitting.models.sho import SHO, ComplexConstant, ComplexLinear, SHOAmplitude, ThermalSpectrum
from usidx.fitting.models.transport import Diode, Dynes, Frota, Langmuir
from usidx.fitting.models.waves import Sine

__all__ = [
    "SHO",
    "BreitWignerFano",
    "ComplexConstant",
    "ComplexLinear",
    "Constant",
    "Diode",
    "Dynes",
    "Exponential",
    "Expression",
    "Fano",
    "Frota",
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
    "SHOAmplitude",
    "Sine",
    "SkewedGaussian",
    "SplitGaussian",
    "Step",
    "StretchedExponential",
    "Sum",
    "ThermalSpectrum",
    "Voigt",
]
