"""Parsers of formats that need no package: a file -> channels."""
