"""Current by bias: conductance, and the gap that it shows."""
