"""Waves of Igor Pro -> channels."""
