"""Formats of electron microscopes and spectrometers -> channels."""
