"""The standard datasets."""
