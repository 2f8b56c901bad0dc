"""The standard optimizers."""
