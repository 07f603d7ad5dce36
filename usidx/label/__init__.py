"""Layout to labelled xarray objects, and back."""
