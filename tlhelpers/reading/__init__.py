"""Read a trained model: evaluate, calibrate, explain, plot, keep."""
