"""Files of Gwyddion -> channels."""
