"""Curve fits per cell."""
