"""Numbers about scores: metrics with intervals, thresholds, ensembles, calibration, agreement. Pure NumPy."""
