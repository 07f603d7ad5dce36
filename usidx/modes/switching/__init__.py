"""Ferroelectric switching: loops over voltage, what they say of switching, relaxation after a step."""
