"""The same pictures by hvplot: to zoom into, with sliders and the values under the pointer."""
