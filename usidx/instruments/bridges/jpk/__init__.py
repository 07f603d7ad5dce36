"""Archives of JPK instruments -> channels."""
