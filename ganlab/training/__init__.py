"""The trainer, one iteration, state and checkpoints, the moving average, numerical health."""
