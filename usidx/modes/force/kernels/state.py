"""What is known while contact is fitted: the rows and columns of the arrays that the kernels work on."""

__all__ = [
    "AT",
    "BEST",
    "FREE",
    "GAIN",
    "GIVE",
    "INVERSE",
    "KEPT",
    "KNOWN",
    "LAW",
    "LINE",
    "LOW",
    "MATRICES",
    "MOST",
    "NOW",
    "OTHER",
    "PULL",
    "RIGHT",
    "STATE",
    "TILT",
    "TOLD",
    "WEIGHT",
]

# Parameters; the law by its logarithm, of jkr the pull as well.
LINE, TILT, AT, LAW, PULL = range(5)
# Rows of the state of a fit: parameters and right sides, each as they are and on trial; which are free; what is told;
# parameters that are kept, the best, and how far those of another explanation are.
NOW, RIGHT, FREE, TOLD, KEPT, BEST, OTHER, STATE = 0, 2, 4, 5, 6, 7, 8, 9
# Of what is told: compliance, a place that is known with a weight, the largest law, and what a jump has to bring.
GIVE, KNOWN, WEIGHT, MOST, GAIN = range(5)
LOW, INVERSE, MATRICES = 2, 3, 4  # after the normal equations, as they are and on trial
