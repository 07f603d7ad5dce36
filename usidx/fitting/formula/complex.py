"""Complex arithmetic on graphs: a pair of nodes, real and imaginary part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from usidx.fitting.formula.nodes import Node, Operand, apply, make_constant, select

__all__ = ["Pair", "as_pair"]

ComplexOperand = Union["Pair", Operand, complex]


@dataclass(frozen=True, slots=True)
class Pair:
    """A complex quantity as two graphs."""

    real: Node
    imag: Node

    def __add__(self, other: ComplexOperand) -> Pair:
        b = as_pair(other)
        return Pair(self.real + b.real, self.imag + b.imag)

    __radd__ = __add__

    def __sub__(self, other: ComplexOperand) -> Pair:
        b = as_pair(other)
        return Pair(self.real - b.real, self.imag - b.imag)

    def __rsub__(self, other: ComplexOperand) -> Pair:
        return as_pair(other) - self

    def __mul__(self, other: ComplexOperand) -> Pair:
        b = as_pair(other)
        return Pair(self.real * b.real - self.imag * b.imag, self.real * b.imag + self.imag * b.real)

    __rmul__ = __mul__

    def __truediv__(self, other: ComplexOperand) -> Pair:
        b = as_pair(other)
        # Times the conjugate, by the square of the modulus: one real division.
        scale = 1.0 / (b.real * b.real + b.imag * b.imag)
        top = self * Pair(b.real, -b.imag)
        return Pair(top.real * scale, top.imag * scale)

    def __rtruediv__(self, other: ComplexOperand) -> Pair:
        return as_pair(other) / self

    def __neg__(self) -> Pair:
        return Pair(-self.real, -self.imag)

    def __pow__(self, exponent: int) -> Pair:
        result = as_pair(1.0)
        for _ in range(abs(exponent)):
            result = result * self
        return result if exponent >= 0 else 1.0 / result

    def sqrt(self) -> Pair:
        """Return the square root that has no negative real part."""
        # The larger part first, and the smaller one from it: their difference would cancel.
        size = apply("sqrt", self.real * self.real + self.imag * self.imag)
        larger = apply("sqrt", 0.5 * (size + apply("abs", self.real)))
        smaller = 0.5 * self.imag / larger
        real = select(self.real, larger, apply("abs", smaller))
        return Pair(real, select(self.real, smaller, select(self.imag, larger, -larger)))

    def exp(self) -> Pair:
        """Return e to the power of the pair."""
        size = apply("exp", self.real)
        return Pair(size * apply("cos", self.imag), size * apply("sin", self.imag))


def as_pair(value: ComplexOperand) -> Pair:
    """Return any number or graph as a pair."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, Node):
        return Pair(value, make_constant(0.0))
    return Pair(make_constant(complex(value).real), make_constant(complex(value).imag))
