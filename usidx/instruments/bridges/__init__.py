"""Formats of others, each by the best means: a small parser here, or the library that reads it right."""
