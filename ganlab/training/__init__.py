"""Training: the loop, one iteration of a loss, the moving average, numerical health."""
