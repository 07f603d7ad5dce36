"""Force curves: where contact begins, how stiff it is, and what holds the tip back."""
