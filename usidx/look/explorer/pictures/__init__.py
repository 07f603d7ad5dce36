"""Bokeh figures of maps, curves and patterns, which are made once and then given other numbers."""
