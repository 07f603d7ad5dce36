"""Band excitation: the oscillator in each spectrum, its phase put right, its response."""
